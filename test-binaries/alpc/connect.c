/* Connecting and accepting: alpc §2.3, §2.4b, statements 44–100. */
#include "../alpc.h"

/* A connection port and one pending asynchronous connect with the data "ABCD". */
struct scene {
    WCHAR name[64];
    HANDLE conn, cli, srv;
    struct msg sent, request;
    SIZE_T length;
};

static NTSTATUS connect_async(struct scene *s, ULONG flags, struct msg *m, SIZE_T *length)
{
    UNICODE_STRING name = unicode(s->name);
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(flags, 0x400);
    return NtAlpcConnectPort(&s->cli, &name, NULL, &port_attributes, 0, NULL, m != NULL ? &m->h : NULL, length, NULL,
                             NULL, NULL);
}

static BOOL scene_open(struct scene *s, ULONG client_flags)
{
    memset(s, 0, sizeof *s);
    msg_text(&s->sent, "ABC");
    s->length = sizeof s->sent;
    return CHECK_STATUS(alpc_create(&s->conn, s->name, 0, 0x400), STATUS_SUCCESS, SETUP) &&
           CHECK_STATUS(connect_async(s, client_flags, &s->sent, &s->length), STATUS_SUCCESS, alpc(46));
}

static BOOL scene_receive(struct scene *s)
{
    SIZE_T length = sizeof s->request;
    return CHECK_STATUS(alpc_receive(s->conn, &s->request, &length, NULL, 5000), STATUS_SUCCESS, alpc(51)) &&
           CHECK_EQ(length, sizeof s->request, alpc(129));
}

static void scene_close(struct scene *s)
{
    HANDLE const handles[] = {s->cli, s->srv, s->conn};
    for (int i = 0; i < 3; i++)
        if (handles[i] != NULL)
            CHECK_STATUS(NtClose(handles[i]), STATUS_SUCCESS, SETUP);
}

/* A DACL with one entry, for Everyone (S-1-1-0). */
struct dacl {
    ACL acl;
    ACCESS_ALLOWED_ACE ace;
    ULONG rest_of_sid[2];
};

TEST(descriptor_without_port_connect)
{
    static const UCHAR everyone[12] = {1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
    static const ACCESS_MASK masks[] = {READ_CONTROL | DELETE, READ_CONTROL | PORT_CONNECT};
    WCHAR name[64];
    HANDLE conn, port;
    NEED_ALPC;
    for (int i = 0; i < 2; i++) {
        struct dacl dacl = {{ACL_REVISION, 0, sizeof dacl, 1, 0},
                            {{ACCESS_ALLOWED_ACE_TYPE, 0, 8 + sizeof everyone}, masks[i], 0},
                            {0}};
        memcpy(&dacl.ace.SidStart, everyone, sizeof everyone);
        SECURITY_DESCRIPTOR descriptor = {
            .Revision = SECURITY_DESCRIPTOR_REVISION, .Control = SE_DACL_PRESENT, .Dacl = &dacl.acl};
        unique_name(name);
        UNICODE_STRING string = unicode(name);
        OBJECT_ATTRIBUTES oa = attributes(&string);
        oa.SecurityDescriptor = &descriptor;
        port = UNTOUCHED;
        context("mask %#lx", masks[i]);
        REQUIRE_STATUS(NtAlpcCreatePort(&conn, &oa, NULL), STATUS_SUCCESS, SETUP);
        NTSTATUS wanted = masks[i] & PORT_CONNECT ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
        CHECK_STATUS(NtAlpcConnectPort(&port, &string, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL), wanted,
                     alpc(107));
        if (wanted == STATUS_SUCCESS)
            CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
        else
            CHECK_PTR(port, UNTOUCHED, alpc(107));
        CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
    }
    context(NULL);
}

TEST(missing_name)
{
    struct msg m;
    HANDLE port = UNTOUCHED;
    SIZE_T length = sizeof m;
    NEED_ALPC;
    UNICODE_STRING name = unicode(L"\\RPC Control\\lpctest-nobody");
    CHECK_STATUS(NtAlpcConnectPort(&port, &name, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL),
                 STATUS_OBJECT_NAME_NOT_FOUND, alpc(44));
    msg_init(&m, 4);
    m.h.DataLength = 0x1000;
    CHECK_STATUS(NtAlpcConnectPort(&port, &name, NULL, NULL, 0, NULL, &m.h, &length, NULL, NULL, NULL),
                 STATUS_OBJECT_NAME_NOT_FOUND, alpc(45));
    CHECK_PTR(port, UNTOUCHED, alpc(44));
}

TEST(asynchronous_connect)
{
    struct scene s;
    struct msg before, m;
    SIZE_T length = sizeof m;
    NEED_ALPC;
    msg_text(&before, "ABC");
    REQUIRE(scene_open(&s, 0), SETUP);
    CHECK(memcmp(&before, &s.sent, sizeof before) == 0, alpc(47));
    CHECK_EQ(s.length, sizeof s.sent, alpc(48));
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(s.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_LPC_REQUESTS_NOT_ALLOWED, alpc(50));
    REQUIRE(scene_receive(&s), alpc(51));
    CHECK_EQ(s.request.h.Type & 0xFF, LPC_CONNECTION_REQUEST, alpc(51));
    CHECK_EQ(s.request.h.Type & LPC_CONTINUATION_REQUIRED, LPC_CONTINUATION_REQUIRED, alpc(52));
    CHECK_EQ((ULONG_PTR)s.request.h.ClientId.UniqueProcess, GetCurrentProcessId(), alpc(53));
    CHECK_EQ(s.request.h.DataLength, 4, alpc(54));
    CHECK(memcmp(s.request.data, "ABC", 4) == 0, alpc(54));
    CHECK(s.request.h.MessageId != 0, alpc(55));
    ULONG id = s.request.h.MessageId;

    memcpy(s.request.data, "XYZ", 4);
    REQUIRE_STATUS(NtAlpcAcceptConnectPort(&s.srv, s.conn, 0, NULL, NULL, (PVOID)(ULONG_PTR)0x51, &s.request.h, NULL,
                                           TRUE),
                   STATUS_SUCCESS, alpc(57));
    HANDLE again = NULL;
    CHECK_STATUS(NtAlpcAcceptConnectPort(&again, s.conn, 0, NULL, NULL, NULL, &s.request.h, NULL, TRUE),
                 STATUS_INVALID_MESSAGE, alpc(60));
    length = HEADER;
    CHECK_STATUS(alpc_receive(s.cli, &m, &length, NULL, 5000), STATUS_BUFFER_TOO_SMALL, alpc(67));
    CHECK_EQ(length, HEADER + 4, alpc(67));
    REQUIRE_STATUS(alpc_receive(s.cli, &m, &length, NULL, 5000), STATUS_SUCCESS, alpc(67));
    CHECK_EQ(m.h.Type & 0xFF, LPC_CONNECTION_REPLY, alpc(63));
    CHECK(memcmp(m.data, "XYZ", 4) == 0, alpc(64));
    CHECK_EQ(m.h.MessageId, id, alpc(65));
    CLIENT_ID self = own_client_id();
    CHECK(same_client(&m.h.ClientId, &self), alpc(66));
    length = sizeof m;
    CHECK_STATUS(alpc_receive(s.cli, &m, &length, NULL, 0), STATUS_TIMEOUT, alpc(68));
    ALPC_BASIC_INFORMATION basic;
    CHECK_STATUS(NtAlpcQueryInformation(s.srv, 0, &basic, sizeof basic, NULL), STATUS_SUCCESS, alpc(100));
    CHECK_PTR(basic.PortContext, (PVOID)(ULONG_PTR)0x51, alpc(100));
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(s.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, alpc(71));
    scene_close(&s);
}

TEST(connect_without_a_message)
{
    struct scene s;
    struct msg m;
    NEED_ALPC;
    memset(&s, 0, sizeof s);
    REQUIRE_STATUS(alpc_create(&s.conn, s.name, 0, 0x400), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(connect_async(&s, 0, NULL, NULL), STATUS_SUCCESS, alpc(49));
    REQUIRE(scene_receive(&s), alpc(56));
    CHECK_EQ(s.request.h.DataLength, 0, alpc(56));
    REQUIRE_STATUS(NtAlpcAcceptConnectPort(&s.srv, s.conn, 0, NULL, NULL, NULL, &s.request.h, NULL, TRUE),
                   STATUS_SUCCESS, alpc(57));
    /* The client may send before it reads the answer. */
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(s.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, alpc(70));
    scene_close(&s);
}

TEST(refusal)
{
    struct scene s;
    struct msg m;
    SIZE_T length = sizeof m;
    NEED_ALPC;
    REQUIRE(scene_open(&s, ALPC_PORTFLG_WAITABLE_PORT), SETUP);
    CHECK_EQ(WaitForSingleObject(s.cli, 0), WAIT_TIMEOUT, alpc(75));
    REQUIRE(scene_receive(&s), SETUP);
    CHECK_STATUS(NtAlpcAcceptConnectPort(NULL, s.conn, 0, NULL, NULL, NULL, &s.request.h, NULL, FALSE), STATUS_SUCCESS,
                 alpc(58));
    CHECK_STATUS(alpc_receive(s.cli, &m, &length, NULL, 5000), STATUS_PORT_CONNECTION_REFUSED, alpc(72));
    CHECK_EQ(length, sizeof m, alpc(74));
    CHECK_EQ(WaitForSingleObject(s.cli, 0), WAIT_OBJECT_0, alpc(75));
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(s.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_PORT_CONNECTION_REFUSED, alpc(73));
    scene_close(&s);
}

TEST(client_gives_up)
{
    struct scene s;
    NEED_ALPC;
    REQUIRE(scene_open(&s, 0), SETUP);
    REQUIRE(scene_receive(&s), SETUP);
    CHECK_STATUS(NtClose(s.cli), STATUS_SUCCESS, SETUP);
    s.cli = NULL;
    CHECK_STATUS(NtAlpcAcceptConnectPort(&s.srv, s.conn, 0, NULL, NULL, NULL, &s.request.h, NULL, TRUE),
                 STATUS_REQUEST_CANCELED, alpc(61));
    CHECK_STATUS(NtAlpcAcceptConnectPort(&s.srv, s.conn, 0, NULL, NULL, NULL, &s.request.h, NULL, TRUE),
                 STATUS_INVALID_MESSAGE, alpc(62));
    s.srv = NULL;
    scene_close(&s);
}

TEST(listener_closes)
{
    struct scene s;
    struct msg m;
    SIZE_T length = sizeof m;
    NEED_ALPC;
    REQUIRE(scene_open(&s, ALPC_PORTFLG_WAITABLE_PORT), SETUP);
    REQUIRE(scene_receive(&s), SETUP);
    CHECK_STATUS(NtClose(s.conn), STATUS_SUCCESS, SETUP);
    s.conn = NULL;
    CHECK_EQ(WaitForSingleObject(s.cli, 5000), WAIT_OBJECT_0, alpc(99));
    memset(&m, 0x77, sizeof m);
    CHECK_STATUS(alpc_receive(s.cli, &m, &length, NULL, 5000), STATUS_SUCCESS, alpc(95));
    CHECK_EQ(m.h.Type & 0xFF, LPC_CANCELED, alpc(95));
    CLIENT_ID self = own_client_id();
    CHECK_EQ(m.h.DataLength, 0, alpc(96));
    CHECK_EQ(m.h.MessageId, s.request.h.MessageId, alpc(96));
    CHECK(same_client(&m.h.ClientId, &self), alpc(96));
    CHECK_EQ(m.data[0], 0x77, alpc(97));
    CHECK_EQ(length, sizeof m, alpc(97));
    CHECK_STATUS(alpc_receive(s.cli, &m, &length, NULL, 0), STATUS_UNSUCCESSFUL, alpc(98));
    scene_close(&s);
}

struct sync {
    const WCHAR *name;
    struct msg m;
    SIZE_T length;
    BOOL without_message;
    HANDLE port;
    NTSTATUS status;
};

static void connect_sync(void *arg)
{
    struct sync *s = arg;
    UNICODE_STRING name = unicode(s->name);
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(ALPC_PORTFLG_WAITABLE_PORT, 0x400);
    s->port = UNTOUCHED;
    s->status = NtAlpcConnectPort(&s->port, &name, NULL, &port_attributes, ALPC_MSGFLG_SYNC_REQUEST, NULL,
                                  s->without_message ? NULL : &s->m.h, &s->length, NULL, NULL, NULL);
}

/* Connects synchronously with a capacity of `length`; the answer has six bytes. */
static void connect_with_capacity(struct sync *s, SIZE_T length, BOOL without_message, BOOLEAN accept)
{
    struct worker worker;
    struct msg request;
    WCHAR name[64];
    HANDLE conn, srv = NULL;
    SIZE_T request_length = sizeof request;
    REQUIRE_STATUS(alpc_create(&conn, name, 0, 0x400), STATUS_SUCCESS, SETUP);
    memset(s, 0, sizeof *s);
    s->name = name;
    s->length = length;
    s->without_message = without_message;
    msg_text(&s->m, "ABC");
    REQUIRE(spawn(&worker, connect_sync, s), SETUP);
    REQUIRE_STATUS(alpc_receive(conn, &request, &request_length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK(still_runs(&worker), alpc(76));
    request.h.DataLength = 6;
    request.h.TotalLength = HEADER + 6;
    memcpy(request.data, "answer", 6);
    CHECK_STATUS(NtAlpcAcceptConnectPort(&srv, conn, 0, NULL, NULL, NULL, &request.h, NULL, accept), STATUS_SUCCESS,
                 SETUP);
    join(&worker);
    if (accept)
        CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

TEST(synchronous_connect)
{
    static struct sync s;
    NEED_ALPC;
    connect_with_capacity(&s, sizeof s.m, FALSE, TRUE);
    REQUIRE_STATUS(s.status, STATUS_SUCCESS, alpc(79));
    CHECK_EQ(s.m.h.Type & 0xFF, LPC_CONNECTION_REPLY, alpc(79));
    CHECK(memcmp(s.m.data, "answer", 6) == 0, alpc(79));
    CHECK_EQ(s.length, HEADER + 6, alpc(80));
    CHECK_EQ((ULONG_PTR)s.m.h.ClientId.UniqueThread, GetCurrentThreadId(), alpc(81));
    CHECK_STATUS(NtClose(s.port), STATUS_SUCCESS, SETUP);

    struct msg before;
    connect_with_capacity(&s, sizeof s.m, FALSE, FALSE);
    msg_text(&before, "ABC");
    CHECK_STATUS(s.status, STATUS_PORT_CONNECTION_REFUSED, alpc(77));
    CHECK(memcmp(&before, &s.m, HEADER + 4) == 0, alpc(78));
    CHECK_EQ(s.length, sizeof s.m, alpc(78));

    connect_with_capacity(&s, HEADER + 4, FALSE, TRUE);
    CHECK_STATUS(s.status, STATUS_BUFFER_TOO_SMALL, alpc(83));
    CHECK_EQ(s.length, HEADER + 6, alpc(84));
    CHECK_PTR(s.port, UNTOUCHED, alpc(85));
    CHECK(memcmp(s.m.data, "ABC", 4) == 0, alpc(86));

    static const struct {
        SIZE_T length;
        NTSTATUS status;
        int cite;
    } blind[] = {{HEADER, STATUS_BUFFER_TOO_SMALL, alpc(87)},
                 {HEADER + 6, STATUS_SUCCESS, alpc(88)},
                 {HEADER + 100, STATUS_SUCCESS, alpc(89)}};
    for (int i = 0; i < 3; i++) {
        connect_with_capacity(&s, blind[i].length, TRUE, TRUE);
        CHECK_STATUS(s.status, blind[i].status, blind[i].cite);
        CHECK_EQ(s.length, HEADER + 6, blind[i].cite);
        if (s.status == STATUS_SUCCESS)
            CHECK_STATUS(NtClose(s.port), STATUS_SUCCESS, SETUP);
    }
}
