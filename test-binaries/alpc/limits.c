/* What a port allows itself of sections and views, and what it takes of objects: alpc §1.3, §2.10, §2.11. */
#include "../alpc.h"

static NTSTATUS create_with(HANDLE *port, ALPC_PORT_ATTRIBUTES *port_attributes)
{
    return NtAlpcCreatePort(port, NULL, port_attributes);
}

static NTSTATUS section(HANDLE port, SIZE_T size, HANDLE *id)
{
    SIZE_T actual;
    *id = UNTOUCHED;
    return NtAlpcCreatePortSection(port, 0, NULL, size, id, &actual);
}

TEST(largest_section)
{
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(0, 0x400);
    HANDLE port, id;
    NEED_ALPC;
    port_attributes.MaxSectionSize = 0x20000;
    REQUIRE_STATUS(create_with(&port, &port_attributes), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(section(port, 0x20001, &id), STATUS_SECTION_TOO_BIG, SETUP);
    CHECK_PTR(id, UNTOUCHED, SETUP);
    CHECK_STATUS(section(port, 0x20000, &id), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcDeletePortSection(port, 0, id), STATUS_SUCCESS, SETUP);
    /* Changed attributes count at once. */
    port_attributes.MaxSectionSize = 0x10000;
    CHECK_STATUS(NtAlpcSetInformation(port, 1, &port_attributes, sizeof port_attributes), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(section(port, 0x20000, &id), STATUS_SECTION_TOO_BIG, SETUP);
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}

TEST(all_sections)
{
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(0, 0x400);
    HANDLE port, first, second;
    NEED_ALPC;
    port_attributes.MaxTotalSectionSize = 0x20000;
    REQUIRE_STATUS(create_with(&port, &port_attributes), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(section(port, 0x10000, &first), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(section(port, 0x10001, &second), STATUS_QUOTA_EXCEEDED, SETUP);
    CHECK_PTR(second, UNTOUCHED, SETUP);
    CHECK_STATUS(section(port, 0x10000, &second), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcDeletePortSection(port, 0, first), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(section(port, 1, &first), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}

TEST(largest_view)
{
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(0, 0x400);
    HANDLE port, id;
    NEED_ALPC;
    port_attributes.MaxViewSize = 0x1000;
    REQUIRE_STATUS(create_with(&port, &port_attributes), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(section(port, 0x10000, &id), STATUS_SUCCESS, SETUP);
    static const SIZE_T sizes[] = {0, 0x1001, 0x10000, 0x1000};
    for (int i = 0; i < 4; i++) {
        ALPC_DATA_VIEW_ATTR view = {.SectionHandle = id, .ViewSize = sizes[i]};
        context("size %#lx", (ULONG)sizes[i]);
        CHECK_STATUS(NtAlpcCreateSectionView(port, 0, &view), i < 3 ? STATUS_INVALID_VIEW_SIZE : STATUS_SUCCESS, SETUP);
        CHECK_EQ(view.ViewBase != NULL, i == 3, SETUP);
    }
    context(NULL);
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}

TEST(largest_received_view)
{
    struct alpc_pair p;
    struct msg m;
    struct alpc_buffer got;
    ALPC_DATA_VIEW_ATTR view;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE(alpc_new_view(p.cli, 0, &view), SETUP);
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(0, 0x400);
    for (int is_allowed = 0; is_allowed < 2; is_allowed++) {
        port_attributes.MaxViewSize = is_allowed ? view.ViewSize : view.ViewSize - 1;
        CHECK_STATUS(NtAlpcSetInformation(p.conn, 1, &port_attributes, sizeof port_attributes), STATUS_SUCCESS, SETUP);
        msg_init(&m, 4);
        REQUIRE_STATUS(alpc_send_with(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_VIEW_ATTRIBUTE, &view, sizeof view),
                       STATUS_SUCCESS, SETUP);
        REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_VIEW_ATTRIBUTE), STATUS_SUCCESS, SETUP);
        CHECK_EQ(got.a.ValidAttributes, is_allowed ? ALPC_VIEW_ATTRIBUTE : 0, SETUP);
    }
    alpc_pair_close(&p);
}

/* alpc §2.5.8: types not in DupObjectTypes are refused when ALLOW_DUP_OBJECT is set. */
TEST(types_of_objects)
{
    enum { EVENT = 0x10, SEMAPHORE = 0x8, SECTION = 0x80, MUTEX = 0x40 };
    const struct {
        HANDLE handle;
        ULONG type;
    } objects[] = {{CreateEventW(NULL, TRUE, FALSE, NULL), EVENT},
                   {CreateSemaphoreW(NULL, 0, 1, NULL), SEMAPHORE},
                   {CreateMutexW(NULL, FALSE, NULL), MUTEX},
                   {new_section(0x1000), SECTION}};
    static const ULONG filters[] = {0, EVENT, SEMAPHORE | SECTION, 0xFFD};
    struct alpc_pair p;
    struct msg m;
    struct alpc_buffer got;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, ALPC_PORTFLG_ALLOW_DUP_OBJECT, NULL), SETUP);
    for (int f = 0; f < 4; f++) {
        ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(ALPC_PORTFLG_ALLOW_DUP_OBJECT, 0x400);
        port_attributes.DupObjectTypes = filters[f];
        CHECK_STATUS(NtAlpcSetInformation(p.srv, 1, &port_attributes, sizeof port_attributes), STATUS_SUCCESS, SETUP);
        for (int o = 0; o < 4; o++) {
            BOOL is_taken = (filters[f] & objects[o].type) != 0;
            ALPC_HANDLE_ATTR handle = {.Flags = SAME_ACCESS, .Handle = objects[o].handle};
            msg_init(&m, 4);
            context("DupObjectTypes %#lx, type %#lx", filters[f], objects[o].type);
            CHECK_STATUS(alpc_send_with(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_HANDLE_ATTRIBUTE, &handle,
                                        sizeof handle),
                         is_taken ? STATUS_SUCCESS : STATUS_OBJECT_TYPE_MISMATCH, alpc(220));
            if (!is_taken)
                continue;
            REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_HANDLE_ATTRIBUTE), STATUS_SUCCESS, SETUP);
            REQUIRE(got.a.ValidAttributes == ALPC_HANDLE_ATTRIBUTE, SETUP);
            ALPC_HANDLE_ATTR *received = alpc_attribute(&got, ALPC_HANDLE_ATTRIBUTE);
            CHECK_EQ(received->ObjectType, objects[o].type, SETUP);
            CHECK_STATUS(NtClose(received->Handle), STATUS_SUCCESS, SETUP);
        }
    }
    context(NULL);
    CHECK_STATUS(alpc_receive(p.conn, &m, &(SIZE_T){sizeof m}, NULL, 0), STATUS_TIMEOUT, SETUP);
    for (int o = 0; o < 4; o++)
        CHECK_STATUS(NtClose(objects[o].handle), STATUS_SUCCESS, SETUP);
    alpc_pair_close(&p);
}
