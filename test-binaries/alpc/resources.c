/* Sections, views, reserves, security contexts, port information: alpc §2.8, §2.10–§2.13, statements 233–295. */
#include "../alpc.h"

TEST(sections_and_views)
{
    static const SIZE_T sizes[] = {1, 0x1000, 0x1001, 0x1234};
    HANDLE port, section;
    SIZE_T actual;
    NEED_ALPC;
    REQUIRE_STATUS(NtAlpcCreatePort(&port, NULL, NULL), STATUS_SUCCESS, SETUP);
    for (int i = 0; i < 4; i++) {
        context("size %#lx", (ULONG)sizes[i]);
        section = NULL;
        REQUIRE_STATUS(NtAlpcCreatePortSection(port, 0, NULL, sizes[i], &section, &actual), STATUS_SUCCESS, alpc(234));
        CHECK_EQ(actual, 0x10000, alpc(233));
        CHECK(section != NULL, alpc(235));
        ALPC_DATA_VIEW_ATTR view = {.SectionHandle = section, .ViewSize = actual};
        REQUIRE_STATUS(NtAlpcCreateSectionView(port, 0, &view), STATUS_SUCCESS, alpc(236));
        CHECK(view.ViewBase != NULL, alpc(236));
        CHECK_EQ(view.ViewSize, actual, alpc(236));
        memset(view.ViewBase, 0x5A, actual);
        CHECK_EQ(((UCHAR volatile *)view.ViewBase)[actual - 1], 0x5A, alpc(237));
        CHECK_STATUS(NtAlpcDeleteSectionView(port, 0, view.ViewBase), STATUS_SUCCESS, alpc(238));
        CHECK_STATUS(NtAlpcDeletePortSection(port, 0, section), STATUS_SUCCESS, alpc(238));
    }
    context(NULL);
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    ALPC_DATA_VIEW_ATTR view = {.SectionHandle = NULL, .ViewSize = 0x1000};
    CHECK_STATUS(NtAlpcCreatePortSection(event, 0, NULL, 1, &section, &actual), STATUS_OBJECT_TYPE_MISMATCH, alpc(239));
    CHECK_STATUS(NtAlpcDeletePortSection(event, 0, section), STATUS_OBJECT_TYPE_MISMATCH, alpc(239));
    CHECK_STATUS(NtAlpcCreateSectionView(event, 0, &view), STATUS_OBJECT_TYPE_MISMATCH, alpc(239));
    CHECK_STATUS(NtAlpcDeleteSectionView(event, 0, &view), STATUS_OBJECT_TYPE_MISMATCH, alpc(239));
    CloseHandle(event);
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}

TEST(view_in_a_message)
{
    union {
        ALPC_MESSAGE_ATTRIBUTES a;
        UCHAR bytes[256];
    } sent, got;
    struct alpc_pair pair;
    struct msg m, r;
    SIZE_T length = sizeof r, actual, required;
    HANDLE section;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    REQUIRE_STATUS(NtAlpcCreatePortSection(pair.cli, 0, NULL, 0x1000, &section, &actual), STATUS_SUCCESS, SETUP);
    ALPC_DATA_VIEW_ATTR view = {.SectionHandle = section, .ViewSize = actual};
    REQUIRE_STATUS(NtAlpcCreateSectionView(pair.cli, 0, &view), STATUS_SUCCESS, SETUP);
    strcpy(view.ViewBase, "in the view");
    AlpcInitializeMessageAttribute(ALPC_VIEW_ATTRIBUTE, &sent.a, sizeof sent, &required);
    *(ALPC_DATA_VIEW_ATTR *)AlpcGetMessageAttribute(&sent.a, ALPC_VIEW_ATTRIBUTE) = view;
    sent.a.ValidAttributes = ALPC_VIEW_ATTRIBUTE;
    AlpcInitializeMessageAttribute(ALPC_VIEW_ATTRIBUTE, &got.a, sizeof got, &required);
    msg_init(&m, 4);
    REQUIRE_STATUS(NtAlpcSendWaitReceivePort(pair.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m.h, &sent.a, NULL, NULL, NULL,
                                             NULL),
                   STATUS_SUCCESS, alpc(240));
    /* The section may go as soon as the message is sent. */
    CHECK_STATUS(NtAlpcDeletePortSection(pair.cli, 0, section), STATUS_SUCCESS, alpc(249));
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, &got.a, 5000), STATUS_SUCCESS, alpc(240));
    CHECK_EQ(got.a.ValidAttributes & ALPC_VIEW_ATTRIBUTE, ALPC_VIEW_ATTRIBUTE, alpc(240));
    ALPC_DATA_VIEW_ATTR *received = AlpcGetMessageAttribute(&got.a, ALPC_VIEW_ATTRIBUTE);
    CHECK(strcmp(received->ViewBase, "in the view") == 0, alpc(240));
    CHECK(strcmp(received->ViewBase, "in the view") == 0, alpc(249));
    CHECK_PTR(received->SectionHandle, NULL, alpc(241));
    CHECK(received->ViewSize >= actual, alpc(242));
    CHECK_STATUS(NtAlpcDeleteSectionView(pair.srv, 0, received->ViewBase), STATUS_SUCCESS, alpc(243));
    alpc_pair_close(&pair);
}

TEST(reserves)
{
    static const SIZE_T small[] = {0, 1, 23, 24, 39}, right[] = {40, 41, 0xFFD7}, big[] = {0xFFD8, 0xFFFFFFFF};
    HANDLE port;
    ULONG id;
    NEED_ALPC;
    REQUIRE_STATUS(NtAlpcCreatePort(&port, NULL, NULL), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcCreateResourceReserve(port, 1, 64, &id), STATUS_INVALID_PARAMETER, alpc(254));
    for (int i = 0; i < 5; i++) {
        id = 0x77777777;
        context("size %lu", (ULONG)small[i]);
        CHECK_STATUS(NtAlpcCreateResourceReserve(port, 0, small[i], &id), STATUS_INVALID_PARAMETER, alpc(255));
        CHECK_EQ(id, 0x77777777, alpc(255));
    }
    for (int i = 0; i < 2; i++) {
        id = 0x77777777;
        context("size %#lx", (ULONG)big[i]);
        CHECK_STATUS(NtAlpcCreateResourceReserve(port, 0, big[i], &id), STATUS_BUFFER_OVERFLOW, alpc(257));
        CHECK_EQ(id, 0x77777777, alpc(257));
    }
    for (int i = 0; i < 3; i++) {
        ULONG out[2] = {0, 0x77777777};
        context("size %#lx", (ULONG)right[i]);
        CHECK_STATUS(NtAlpcCreateResourceReserve(port, 0, right[i], out), STATUS_SUCCESS, alpc(256));
        CHECK_EQ(out[0] >> 31, 1, alpc(253));
        CHECK_EQ(out[1], 0x77777777, alpc(253));
        CHECK_STATUS(NtAlpcDeleteResourceReserve(port, 0, out[0]), STATUS_SUCCESS, alpc(258));
        CHECK_STATUS(NtAlpcDeleteResourceReserve(port, 0, out[0]), STATUS_INVALID_HANDLE, alpc(258));
    }
    context(NULL);
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}

TEST(security_contexts)
{
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    HANDLE port;
    NEED_ALPC;
    REQUIRE_STATUS(NtAlpcCreatePort(&port, NULL, NULL), STATUS_SUCCESS, SETUP);
    for (int i = 0; i < 2; i++) {
        ALPC_SECURITY_ATTR attribute = {.Flags = i == 0 ? 0 : 0x20000, .QoS = &qos};
        int cite = i == 0 ? alpc(263) : alpc(264);
        CHECK_STATUS(NtAlpcCreateSecurityContext(port, 0, &attribute), STATUS_SUCCESS, cite);
        CHECK(attribute.ContextHandle != NULL, cite);
        CHECK_STATUS(NtAlpcRevokeSecurityContext(port, 0, attribute.ContextHandle), STATUS_SUCCESS, alpc(265));
        CHECK_STATUS(NtAlpcDeleteSecurityContext(port, 0, attribute.ContextHandle), STATUS_SUCCESS, alpc(265));
    }
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}

TEST(basic_information)
{
    UCHAR buffer[64];
    ULONG returned;
    HANDLE port;
    NEED_ALPC;
    REQUIRE_STATUS(NtAlpcCreatePort(&port, NULL, NULL), STATUS_SUCCESS, SETUP);
    for (ULONG length = 0; length < sizeof(ALPC_BASIC_INFORMATION); length++) {
        memset(buffer, 0x77, sizeof buffer);
        returned = 0;
        context("length %lu", length);
        CHECK_STATUS(NtAlpcQueryInformation(port, 0, buffer, length, &returned), STATUS_INFO_LENGTH_MISMATCH,
                     alpc(283));
        CHECK_EQ(returned, sizeof(ALPC_BASIC_INFORMATION), alpc(283));
        CHECK_EQ(buffer[0], 0x77, alpc(283));
    }
    context(NULL);
    memset(buffer, 0x77, sizeof buffer);
    CHECK_STATUS(NtAlpcQueryInformation(port, 0, buffer, sizeof buffer, &returned), STATUS_SUCCESS, alpc(284));
    CHECK_EQ(returned, sizeof(ALPC_BASIC_INFORMATION), alpc(284));
    CHECK_EQ(buffer[sizeof(ALPC_BASIC_INFORMATION)], 0x77, alpc(284));
    CHECK_STATUS(NtAlpcQueryInformation(port, 0, buffer, sizeof(ALPC_BASIC_INFORMATION), NULL), STATUS_SUCCESS,
                 alpc(285));
    CHECK_STATUS(NtAlpcQueryInformation(port, 0, unmapped(), sizeof(ALPC_BASIC_INFORMATION), NULL),
                 STATUS_ACCESS_VIOLATION, alpc(290));
    CHECK_STATUS(NtAlpcQueryInformation(port, 0, before_guard_page(sizeof(ALPC_BASIC_INFORMATION)),
                                        sizeof(ALPC_BASIC_INFORMATION), NULL),
                 STATUS_SUCCESS, alpc(293));
    UCHAR *page = VirtualAlloc(NULL, 0x1000, MEM_RESERVE | MEM_COMMIT, PAGE_READONLY);
    CHECK_STATUS(NtAlpcQueryInformation(port, 0, page, sizeof(ALPC_BASIC_INFORMATION), NULL), STATUS_ACCESS_VIOLATION,
                 alpc(292));
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(0x20000, 0x400);
    struct {
        ALPC_PORT_ATTRIBUTES attributes;
        ULONG more;
    } longer = {alpc_attributes(0x40000, 0x400), 0};
    ALPC_BASIC_INFORMATION basic;
    CHECK_STATUS(NtAlpcSetInformation(port, 1, &port_attributes, sizeof port_attributes), STATUS_SUCCESS, alpc(286));
    CHECK_STATUS(NtAlpcQueryInformation(port, 0, &basic, sizeof basic, NULL), STATUS_SUCCESS, alpc(286));
    CHECK_EQ(basic.Flags, 0x20000, alpc(286));
    CHECK_STATUS(NtAlpcSetInformation(port, 1, unmapped(), sizeof port_attributes), STATUS_ACCESS_VIOLATION, alpc(291));
#ifdef _WIN64
    CHECK_STATUS(NtAlpcSetInformation(port, 1, &port_attributes, sizeof port_attributes - 1),
                 STATUS_INFO_LENGTH_MISMATCH, alpc(287));
    CHECK_STATUS(NtAlpcSetInformation(port, 1, &longer, sizeof longer), STATUS_INFO_LENGTH_MISMATCH, alpc(287));
#else
    CHECK_STATUS(NtAlpcSetInformation(port, 1, &longer, sizeof longer), STATUS_SUCCESS, alpc(288));
    CHECK_STATUS(NtAlpcQueryInformation(port, 0, &basic, sizeof basic, NULL), STATUS_SUCCESS, alpc(288));
    CHECK_EQ(basic.Flags, 0x40000, alpc(288));
#endif
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}
