/* Views that travel with messages: alpc §1.5, §2.5.8, §2.10, §2.11, §3.5, statements 238–252. */
#include "../alpc.h"

TEST(invalid_sections_and_views)
{
    HANDLE port, section = new_section(0x10000), id;
    SIZE_T actual;
    NEED_ALPC;
    REQUIRE_STATUS(NtAlpcCreatePort(&port, NULL, NULL), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcCreatePortSection(port, SECURED, section, 0x1000, &id, &actual), STATUS_INVALID_PARAMETER,
                 alpc(251));
    REQUIRE_STATUS(NtAlpcCreatePortSection(port, 0, section, 0x1000, &id, &actual), STATUS_SUCCESS, SETUP);
    ALPC_DATA_VIEW_ATTR view = {.SectionHandle = id, .ViewSize = 0x1000};
    CHECK_STATUS(NtAlpcCreateSectionView(port, 1, &view), STATUS_INVALID_PARAMETER, alpc(252));
    CHECK_STATUS(NtAlpcCreateSectionView(port, 0, &view), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcDeleteSectionView(port, 0, view.ViewBase), STATUS_SUCCESS, alpc(238));
    CHECK(NtAlpcDeleteSectionView(port, 0, view.ViewBase) < 0, alpc(246));
    NtClose(section);
    NtClose(port);
}

TEST(view_and_its_release_in_the_reply)
{
    struct alpc_pair p;
    struct msg m;
    struct alpc_buffer got;
    ALPC_DATA_VIEW_ATTR view, release = {.Flags = UNMAP_EXISTING};
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE(alpc_new_view(p.cli, 0, &view), SETUP);
    strcpy(view.ViewBase, "to the server");
    msg_init(&m, 4);
    REQUIRE_STATUS(alpc_send_with(p.cli, 0, &m, ALPC_VIEW_ATTRIBUTE, &view, sizeof view), STATUS_SUCCESS, alpc(240));
    REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_VIEW_ATTRIBUTE), STATUS_SUCCESS, alpc(240));
    REQUIRE(got.a.ValidAttributes == ALPC_VIEW_ATTRIBUTE, alpc(240));
    ALPC_DATA_VIEW_ATTR received = *(ALPC_DATA_VIEW_ATTR *)alpc_attribute(&got, ALPC_VIEW_ATTRIBUTE);
    CHECK_EQ(strcmp(received.ViewBase, "to the server"), 0, alpc(240));
    CHECK_PTR(received.SectionHandle, NULL, alpc(241));
    CHECK(received.ViewSize >= view.ViewSize, alpc(242));
    /* The memory is shared, not copied. */
    strcpy(received.ViewBase, "and back");
    CHECK_EQ(strcmp(view.ViewBase, "and back"), 0, alpc(240));
    m.h.TotalLength = HEADER + 4;
    CHECK_STATUS(
        alpc_send_with(p.conn, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_VIEW_ATTRIBUTE, &release, sizeof release),
        STATUS_SUCCESS, alpc(244));
    CHECK(NtAlpcDeleteSectionView(p.srv, 0, received.ViewBase) < 0, alpc(244));
    CHECK_STATUS(alpc_receive_with(p.cli, &m, &got, ALPC_VIEW_ATTRIBUTE), STATUS_SUCCESS, SETUP);
    CHECK_EQ(got.a.ValidAttributes, 0, SETUP);
    CHECK_STATUS(NtAlpcDeleteSectionView(p.cli, 0, view.ViewBase), STATUS_SUCCESS, alpc(238));
    alpc_pair_close(&p);
}

TEST(release_in_a_reply_to_no_view)
{
    struct alpc_pair p;
    struct msg m;
    struct alpc_buffer got;
    ALPC_DATA_VIEW_ATTR release = {.Flags = UNMAP_EXISTING};
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    msg_init(&m, 4);
    REQUIRE_STATUS(alpc_send(p.cli, 0, &m), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, 0), STATUS_SUCCESS, SETUP);
    memcpy(m.data, "data", 4);
    CHECK_STATUS(
        alpc_send_with(p.conn, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_VIEW_ATTRIBUTE, &release, sizeof release),
        STATUS_SUCCESS, alpc(245));
    REQUIRE_STATUS(alpc_receive_with(p.cli, &m, &got, 0), STATUS_SUCCESS, alpc(245));
    CHECK_EQ(memcmp(m.data, "data", 4), 0, alpc(245));
    alpc_pair_close(&p);
}

TEST(secured_view)
{
    struct alpc_pair p;
    struct msg m;
    struct alpc_buffer got;
    ALPC_DATA_VIEW_ATTR view, plain;
    MEMORY_BASIC_INFORMATION memory;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE(alpc_new_view(p.cli, SECURED, &view), SETUP);
    REQUIRE(alpc_new_view(p.cli, 0, &plain), SETUP);
    strcpy(view.ViewBase, "as it is");
    view.Flags = SECURED;
    plain.Flags = SECURED;
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send_with(p.cli, 0, &m, ALPC_VIEW_ATTRIBUTE, &plain, sizeof plain), STATUS_INVALID_PARAMETER, SETUP);
    REQUIRE_STATUS(alpc_send_with(p.cli, 0, &m, ALPC_VIEW_ATTRIBUTE, &view, sizeof view), STATUS_SUCCESS, alpc(250));
    VirtualQuery(view.ViewBase, &memory, sizeof memory);
    CHECK_EQ(memory.Protect, PAGE_READONLY, alpc(250));
    REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_VIEW_ATTRIBUTE), STATUS_SUCCESS, alpc(250));
    ALPC_DATA_VIEW_ATTR *received = alpc_attribute(&got, ALPC_VIEW_ATTRIBUTE);
    CHECK_EQ(received->Flags, SECURED, alpc(250));
    CHECK_EQ(strcmp(received->ViewBase, "as it is"), 0, alpc(250));
    alpc_pair_close(&p);
}

/* A sender that writes all the time through a second view, and then against the protection of the first. */
struct writer {
    ALPC_DATA_VIEW_ATTR view, second;
    volatile LONG stop, writes;
};

static void write_run(void *arg)
{
    struct writer *w = arg;
    volatile ULONG *words = w->second.ViewBase;
    while (!w->stop) {
        ULONG value = (ULONG)InterlockedIncrement(&w->writes);
        for (int i = 0; i < 64; i++)
            words[i] = value;
    }
}

TEST(hostile_sender_of_a_secured_view)
{
    struct alpc_pair p;
    struct msg m;
    struct alpc_buffer got;
    struct worker worker;
    static struct writer w;
    ULONG copy[64];
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    memset(&w, 0, sizeof w);
    REQUIRE(alpc_new_view(p.cli, SECURED, &w.view), SETUP);
    w.second = w.view;
    w.second.ViewBase = NULL;
    REQUIRE_STATUS(NtAlpcCreateSectionView(p.cli, 0, &w.second), STATUS_SUCCESS, SETUP);
    REQUIRE(spawn(&worker, write_run, &w), SETUP);
    w.view.Flags = SECURED;
    for (int round = 0; round < 50; round++) {
        msg_init(&m, 4);
        REQUIRE_STATUS(alpc_send_with(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_VIEW_ATTRIBUTE, &w.view, sizeof w.view),
                       STATUS_SUCCESS, alpc(250));
        REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_VIEW_ATTRIBUTE), STATUS_SUCCESS, alpc(250));
        REQUIRE(got.a.ValidAttributes == ALPC_VIEW_ATTRIBUTE, alpc(250));
        ALPC_DATA_VIEW_ATTR *received = alpc_attribute(&got, ALPC_VIEW_ATTRIBUTE);
        memcpy(copy, received->ViewBase, sizeof copy);
        LONG seen = w.writes;
        for (int spins = 0; w.writes < seen + 3 && spins < 1000; spins++)
            Sleep(0);
        DWORD old;
        if (VirtualProtect(w.view.ViewBase, 0x1000, PAGE_READWRITE, &old))
            memset(w.view.ViewBase, 0xEE, sizeof copy);
        CHECK_EQ(memcmp(copy, received->ViewBase, sizeof copy), 0, alpc(250));
        CHECK_STATUS(NtAlpcDeleteSectionView(p.conn, 0, received->ViewBase), STATUS_SUCCESS, alpc(243));
    }
    w.stop = TRUE;
    join(&worker);
    CHECK(w.writes > 3, SETUP);
    alpc_pair_close(&p);
}

TEST(released_view_goes_with_the_timeout)
{
    struct alpc_pair p;
    struct msg m, r;
    struct alpc_buffer sent;
    SIZE_T length = sizeof r;
    LARGE_INTEGER timeout = {.QuadPart = -500000};
    ALPC_DATA_VIEW_ATTR view;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE(alpc_new_view(p.cli, 0, &view), SETUP);
    view.Flags = AUTO_RELEASE;
    alpc_allocate(&sent, ALPC_VIEW_ATTRIBUTE);
    *(ALPC_DATA_VIEW_ATTR *)alpc_attribute(&sent, ALPC_VIEW_ATTRIBUTE) = view;
    sent.a.ValidAttributes = ALPC_VIEW_ATTRIBUTE;
    msg_init(&m, 4);
    CHECK_STATUS(NtAlpcSendWaitReceivePort(p.cli, ALPC_MSGFLG_SYNC_REQUEST, &m.h, &sent.a, &r.h, &length, NULL,
                                           &timeout),
                 STATUS_TIMEOUT, alpc(246));
    CHECK(NtAlpcDeleteSectionView(p.cli, 0, view.ViewBase) < 0, alpc(246));
    CHECK_STATUS(NtAlpcDeletePortSection(p.cli, 0, view.SectionHandle), STATUS_SUCCESS, alpc(248));
    alpc_pair_close(&p);
}

TEST(released_view_goes_with_the_cancellation)
{
    struct alpc_pair p;
    struct msg m;
    ALPC_DATA_VIEW_ATTR view;
    struct alpc_buffer got;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE(alpc_new_view(p.cli, 0, &view), SETUP);
    view.Flags = AUTO_RELEASE;
    msg_init(&m, 4);
    REQUIRE_STATUS(alpc_send_with(p.cli, 0, &m, ALPC_VIEW_ATTRIBUTE, &view, sizeof view), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_CONTEXT_ATTRIBUTE), STATUS_SUCCESS, SETUP);
    ALPC_CONTEXT_ATTR *received = alpc_attribute(&got, ALPC_CONTEXT_ATTRIBUTE);
    CHECK_STATUS(NtAlpcCancelMessage(p.conn, 0, received), STATUS_MESSAGE_RETRIEVED, alpc(247));
    REQUIRE_STATUS(alpc_receive_with(p.cli, &m, &got, 0), STATUS_SUCCESS, alpc(247));
    CHECK_EQ(m.h.Type & 0xFF, LPC_CANCELED, alpc(247));
    CHECK(NtAlpcDeleteSectionView(p.cli, 0, view.ViewBase) < 0, alpc(247));
    CHECK_STATUS(NtAlpcDeletePortSection(p.cli, 0, view.SectionHandle), STATUS_SUCCESS, alpc(248));
    alpc_pair_close(&p);
}
