/* Ports that are waited for, what is known of them, and the ways to connect: statements 69, 82, 90–106, 211–214, 289, 300–306. */
#include "../alpc.h"

enum {
    SYNC = ALPC_MSGFLG_SYNC_REQUEST,
    RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE,
    AlpcBasicInformation = 0,
    AlpcServerInformation = 4,
    AlpcPortMessageZoneInformation = 5,
    AlpcRegisterCallbackInformation = 9,
};

static union {
    ALPC_MESSAGE_ATTRIBUTES a;
    UCHAR bytes[512];
} all;

/* Allocates every attribute but the view and the direct one, and fills the rest with 0x77. */
static void allocate_all(void)
{
    SIZE_T required;
    memset(&all, 0x77, sizeof all);
    AlpcInitializeMessageAttribute(0xFA000000, &all.a, sizeof all, &required);
}

TEST(waitable_ports)
{
    WCHAR name[64];
    HANDLE conn, cli, srv;
    struct msg m;
    SIZE_T length = sizeof m;
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&conn, name, ALPC_PORTFLG_WAITABLE_PORT, 0x400), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForSingleObject(conn, 0), WAIT_TIMEOUT, alpc(304));
    UNICODE_STRING string = unicode(name);
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(ALPC_PORTFLG_WAITABLE_PORT, 0x400);
    REQUIRE_STATUS(NtAlpcConnectPort(&cli, &string, NULL, &port_attributes, 0, NULL, NULL, NULL, NULL, NULL, NULL),
                   STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForSingleObject(conn, 5000), WAIT_OBJECT_0, alpc(303));
    CHECK_EQ(WaitForSingleObject(conn, 0), WAIT_OBJECT_0, alpc(303));
    CHECK_EQ(WaitForSingleObject(cli, 0), WAIT_TIMEOUT, alpc(69));
    REQUIRE_STATUS(alpc_receive(conn, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForSingleObject(conn, 0), WAIT_TIMEOUT, alpc(304));
    REQUIRE_STATUS(NtAlpcAcceptConnectPort(&srv, conn, 0, NULL, NULL, NULL, &m.h, NULL, TRUE), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForSingleObject(cli, 5000), WAIT_OBJECT_0, alpc(69));
    REQUIRE_STATUS(alpc_receive(cli, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForSingleObject(cli, 0), WAIT_TIMEOUT, alpc(68));
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(alpc_send(cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForSingleObject(conn, 5000), WAIT_OBJECT_0, alpc(304));
    CHECK_STATUS(alpc_receive(conn, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForSingleObject(conn, 0), WAIT_OBJECT_0, alpc(304));
    /* A message too long for the buffer is still there. */
    length = HEADER;
    CHECK_STATUS(alpc_receive(conn, &m, &length, NULL, 5000), STATUS_BUFFER_TOO_SMALL, alpc(130));
    CHECK_EQ(WaitForSingleObject(conn, 0), WAIT_OBJECT_0, alpc(304));
    length = sizeof m;
    CHECK_STATUS(alpc_receive(conn, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForSingleObject(conn, 0), WAIT_TIMEOUT, alpc(304));
    NtClose(cli);
    NtClose(srv);
    NtClose(conn);
}

/* A server communication port has the messages of its own client: alpc §2.5.3, §3.7. */
TEST(waitable_communication_ports)
{
    struct alpc_pair first, second;
    struct msg m;
    SIZE_T length = sizeof m;
    HANDLE ports[2];
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&first, ALPC_PORTFLG_WAITABLE_PORT, NULL), SETUP);
    second = first;
    UNICODE_STRING name = unicode(first.name);
    REQUIRE_STATUS(NtAlpcConnectPort(&second.cli, &name, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL),
                   STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_receive(first.conn, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(NtAlpcAcceptConnectPort(&second.srv, first.conn, 0, NULL, NULL, NULL, &m.h, NULL, TRUE),
                   STATUS_SUCCESS, SETUP);
    ports[0] = first.srv;
    ports[1] = second.srv;
    CHECK_EQ(WaitForSingleObject(first.srv, 0), WAIT_TIMEOUT, alpc(304));
    CHECK_EQ(WaitForMultipleObjects(2, ports, FALSE, 50), WAIT_TIMEOUT, alpc(304));
    msg_init(&m, 4);
    REQUIRE_STATUS(alpc_send(second.cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForSingleObject(second.srv, 5000), WAIT_OBJECT_0, alpc(303));
    CHECK_EQ(WaitForMultipleObjects(2, ports, FALSE, 5000), WAIT_OBJECT_0 + 1, alpc(303));
    CHECK_EQ(WaitForSingleObject(first.srv, 0), WAIT_TIMEOUT, alpc(304));
    /* Too long for the buffer: still there. */
    length = HEADER;
    CHECK_STATUS(alpc_receive(second.srv, &m, &length, NULL, 0), STATUS_BUFFER_TOO_SMALL, alpc(130));
    CHECK_EQ(WaitForSingleObject(second.srv, 0), WAIT_OBJECT_0, alpc(304));
    length = sizeof m;
    REQUIRE_STATUS(alpc_receive(second.srv, &m, &length, NULL, 0), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForSingleObject(second.srv, 0), WAIT_TIMEOUT, alpc(304));
    /* What the connection port received is gone from here, too. */
    msg_init(&m, 4);
    REQUIRE_STATUS(alpc_send(first.cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForMultipleObjects(2, ports, FALSE, 5000), WAIT_OBJECT_0, alpc(303));
    REQUIRE_STATUS(alpc_receive(first.conn, &m, &length, NULL, 0), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForMultipleObjects(2, ports, FALSE, 0), WAIT_TIMEOUT, alpc(304));
    /* The end of the client is something to look at. */
    CHECK_STATUS(NtClose(second.cli), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForSingleObject(second.srv, 5000), WAIT_OBJECT_0, SETUP);
    CHECK_STATUS(NtClose(second.srv), STATUS_SUCCESS, SETUP);
    alpc_pair_close(&first);
}

static void wait_run(void *arg)
{
    CHECK_EQ(WaitForSingleObject(arg, 10000), WAIT_OBJECT_0, alpc(303));
}

TEST(message_ends_a_wait_on_a_communication_port)
{
    struct alpc_pair p;
    struct worker worker;
    struct msg m;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, ALPC_PORTFLG_WAITABLE_PORT, NULL), SETUP);
    REQUIRE(spawn(&worker, wait_run, p.srv), SETUP);
    CHECK(still_runs(&worker), alpc(304));
    msg_init(&m, 4);
    REQUIRE_STATUS(alpc_send(p.cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    join(&worker);
    alpc_pair_close(&p);
}

TEST(attributes_of_a_connection_request)
{
    WCHAR name[64];
    HANDLE conn, cli, srv;
    struct msg m;
    SIZE_T length = sizeof m;
    NEED_ALPC;
    for (int accept = 0; accept < 2; accept++) {
        REQUIRE_STATUS(alpc_create(&conn, name, 0, 0x400), STATUS_SUCCESS, SETUP);
        UNICODE_STRING string = unicode(name);
        REQUIRE_STATUS(NtAlpcConnectPort(&cli, &string, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL),
                       STATUS_SUCCESS, SETUP);
        allocate_all();
        REQUIRE_STATUS(alpc_receive(conn, &m, &length, &all.a, 5000), STATUS_SUCCESS, SETUP);
        CHECK_EQ(all.a.ValidAttributes, ALPC_TOKEN_ATTRIBUTE, alpc(102));
        CHECK_EQ(all.a.ValidAttributes & ALPC_SECURITY_ATTRIBUTE, 0, alpc(214));
        ALPC_TOKEN_ATTR *token = AlpcGetMessageAttribute(&all.a, ALPC_TOKEN_ATTRIBUTE);
        token->TokenId = 0xDEADBEEF;
        CHECK_STATUS(NtAlpcAcceptConnectPort(&srv, conn, 0, NULL, NULL, NULL, &m.h, &all.a, (BOOLEAN)accept),
                     STATUS_SUCCESS, accept ? alpc(104) : alpc(105));
        CHECK_EQ(all.a.ValidAttributes, ALPC_TOKEN_ATTRIBUTE, accept ? alpc(103) : alpc(105));
        NtClose(cli);
        if (accept)
            NtClose(srv);
        NtClose(conn);
    }
}

TEST(token_of_a_sender)
{
    struct alpc_pair pair;
    struct msg m, r;
    SIZE_T length = sizeof r;
    ULONGLONG modified;
    ULONG returned;
    HANDLE token;
    TOKEN_STATISTICS statistics;
    DWORD size;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(pair.cli, 0, &m), STATUS_SUCCESS, SETUP);
    allocate_all();
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, &all.a, 5000), STATUS_SUCCESS, SETUP);
    REQUIRE((all.a.ValidAttributes & ALPC_TOKEN_ATTRIBUTE) != 0, alpc(211));
    ALPC_TOKEN_ATTR *got = AlpcGetMessageAttribute(&all.a, ALPC_TOKEN_ATTRIBUTE);
    CHECK(got->TokenId != 0, alpc(211));
    CHECK_STATUS(NtAlpcQueryInformationMessage(pair.conn, &r.h, 1, &modified, sizeof modified, &returned),
                 STATUS_SUCCESS, SETUP);
    CHECK_EQ(got->ModifiedId, modified, alpc(213));
    REQUIRE(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token), SETUP);
    REQUIRE(GetTokenInformation(token, TokenStatistics, &statistics, sizeof statistics, &size), SETUP);
    LUID id = statistics.AuthenticationId;
    CHECK_EQ(got->AuthenticationId, (ULONGLONG)(ULONG)id.HighPart << 32 | id.LowPart, alpc(212));
    CloseHandle(token);
    alpc_pair_close(&pair);
}

TEST(connecting_by_object_attributes)
{
    WCHAR name[64];
    HANDLE conn, cli, srv;
    struct msg m;
    SIZE_T length = sizeof m;
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&conn, name, 0, 0x400), STATUS_SUCCESS, SETUP);
    UNICODE_STRING string = unicode(name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    REQUIRE_STATUS(NtAlpcConnectPortEx(&cli, &oa, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS,
                   alpc(93));
    REQUIRE_STATUS(alpc_receive(conn, &m, &length, NULL, 5000), STATUS_SUCCESS, alpc(93));
    REQUIRE_STATUS(NtAlpcAcceptConnectPort(&srv, conn, 0, NULL, NULL, NULL, &m.h, NULL, TRUE), STATUS_SUCCESS, alpc(93));
    NtClose(srv);
    NtClose(cli);
    /* Nobody is the user Everyone; and a connect that nobody answers in time is no connection. */
    static const SID everyone = {1, 1, {{0, 0, 0, 0, 0, 1}}, {0}};
    HANDLE port = UNTOUCHED;
    CHECK_STATUS(NtAlpcConnectPort(&port, &string, NULL, NULL, 0, (PSID)&everyone, NULL, NULL, NULL, NULL, NULL),
                 STATUS_SERVER_SID_MISMATCH, alpc(94));
    LARGE_INTEGER soon = {.QuadPart = -500000};
    CHECK_STATUS(NtAlpcConnectPort(&port, &string, NULL, NULL, SYNC, NULL, NULL, NULL, NULL, NULL, &soon),
                 STATUS_TIMEOUT, alpc(106));
    CHECK_PTR(port, UNTOUCHED, alpc(106));
    /* The request that was given up is gone. */
    CHECK_STATUS(alpc_receive(conn, &m, &length, NULL, 0), STATUS_TIMEOUT, alpc(106));
    NtClose(conn);
}

struct connecting_client {
    UNICODE_STRING name;
    HANDLE port;
    NTSTATUS status;
};

static void connect_blindly(void *arg)
{
    struct connecting_client *c = arg;
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(ALPC_PORTFLG_WAITABLE_PORT, 0x400);
    c->status = NtAlpcConnectPort(&c->port, &c->name, NULL, &port_attributes, SYNC, NULL, NULL, NULL, NULL, NULL, NULL);
}

TEST(synchronous_connect_without_buffers)
{
    static struct connecting_client client;
    struct worker worker;
    WCHAR name[64];
    HANDLE conn, srv;
    struct msg m;
    SIZE_T length = sizeof m;
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&conn, name, 0, 0x400), STATUS_SUCCESS, SETUP);
    client.name = unicode(name);
    REQUIRE(spawn(&worker, connect_blindly, &client), SETUP);
    REQUIRE_STATUS(alpc_receive(conn, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(NtAlpcAcceptConnectPort(&srv, conn, 0, NULL, NULL, NULL, &m.h, NULL, TRUE), STATUS_SUCCESS, SETUP);
    join(&worker);
    REQUIRE_STATUS(client.status, STATUS_SUCCESS, alpc(90));
    CHECK_EQ(WaitForSingleObject(client.port, 0), WAIT_TIMEOUT, alpc(82));
    CHECK_STATUS(alpc_receive(client.port, &m, &length, NULL, 0), STATUS_TIMEOUT, alpc(82));
    ALPC_BASIC_INFORMATION basic;
    CHECK_STATUS(NtAlpcQueryInformation(client.port, AlpcBasicInformation, &basic, sizeof basic, NULL), STATUS_SUCCESS,
                 SETUP);
    CHECK_EQ(basic.SequenceNo, 1, alpc(109));
    NtClose(client.port);
    NtClose(srv);
    NtClose(conn);
}

TEST(server_of_a_blocked_thread)
{
    static struct alpc_calling calling;
    union {
        HANDLE thread;
        ALPC_SERVER_INFORMATION information;
        UCHAR bytes[256];
    } buffer;
    struct alpc_pair pair;
    struct worker worker;
    struct msg r;
    SIZE_T length = sizeof r;
    ULONG needed = 0, returned;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    alpc_call_init(&calling, pair.cli, 8);
    REQUIRE(alpc_call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    UNICODE_STRING name = unicode(pair.name);
    memset(&buffer, 0x77, sizeof buffer);
    buffer.thread = worker.thread;
    CHECK_STATUS(NtAlpcQueryInformation(NULL, AlpcServerInformation, &buffer, sizeof(ALPC_SERVER_INFORMATION), &needed),
                 STATUS_INFO_LENGTH_MISMATCH, alpc(301));
    CHECK_EQ(needed, sizeof(ALPC_SERVER_INFORMATION) + name.Length + 2, alpc(301));
    CHECK_EQ(buffer.bytes[sizeof(HANDLE)], 0x77, alpc(301));
    REQUIRE(needed <= sizeof buffer - 1, alpc(301));
    CHECK_STATUS(NtAlpcQueryInformation(NULL, AlpcServerInformation, &buffer, needed, &returned), STATUS_SUCCESS,
                 alpc(302));
    CHECK_EQ(buffer.bytes[needed], 0x77, alpc(302));
    CHECK_EQ(buffer.information.ThreadBlocked, 1, alpc(300));
    CHECK_EQ((ULONG_PTR)buffer.information.ConnectedProcessId, GetCurrentProcessId(), alpc(300));
    UNICODE_STRING *got = &buffer.information.ConnectionPortName;
    CHECK_EQ(got->Length, name.Length, alpc(300));
    CHECK((UCHAR *)got->Buffer >= buffer.bytes && (UCHAR *)got->Buffer + got->Length <= buffer.bytes + needed, alpc(300));
    CHECK(got->Length == name.Length && memcmp(got->Buffer, pair.name, name.Length) == 0, alpc(300));
    CHECK_STATUS(alpc_send(pair.conn, RELEASE, &r), STATUS_SUCCESS, SETUP);
    join(&worker);
    alpc_pair_close(&pair);
}

TEST(classes_and_handles)
{
    ALPC_PORT_MESSAGE_ZONE_INFORMATION zone = {NULL, 0};
    ALPC_BASIC_INFORMATION basic;
    UCHAR buffer[64] = {0};
    HANDLE port;
    NEED_ALPC;
    REQUIRE_STATUS(NtAlpcCreatePort(&port, NULL, NULL), STATUS_SUCCESS, SETUP);
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL), closed = CreateEventW(NULL, TRUE, FALSE, NULL);
    CloseHandle(closed);
    CHECK_STATUS(NtAlpcSetInformation(port, AlpcPortMessageZoneInformation, &zone, sizeof zone), STATUS_SUCCESS,
                 alpc(289));
#ifdef _WIN64
    CHECK_STATUS(NtAlpcSetInformation(port, AlpcPortMessageZoneInformation, &zone, sizeof zone - 1),
                 STATUS_INVALID_PARAMETER, alpc(289));
    CHECK_STATUS(NtAlpcSetInformation(port, AlpcPortMessageZoneInformation, &zone, sizeof zone + 1),
                 STATUS_INVALID_PARAMETER, alpc(289));
#endif
    CHECK(NtAlpcSetInformation(port, AlpcRegisterCallbackInformation, buffer, 2 * sizeof(PVOID)) < 0, alpc(305));
    CHECK_STATUS(NtAlpcQueryInformation(event, AlpcBasicInformation, &basic, sizeof basic, NULL),
                 STATUS_OBJECT_TYPE_MISMATCH, alpc(306));
    CHECK_STATUS(NtAlpcQueryInformation(closed, AlpcBasicInformation, &basic, sizeof basic, NULL),
                 STATUS_INVALID_HANDLE, alpc(306));
    CHECK_STATUS(NtAlpcSetInformation(event, AlpcPortMessageZoneInformation, &zone, sizeof zone),
                 STATUS_OBJECT_TYPE_MISMATCH, alpc(306));
    CHECK_STATUS(NtAlpcSetInformation(closed, AlpcPortMessageZoneInformation, &zone, sizeof zone),
                 STATUS_INVALID_HANDLE, alpc(306));
    CloseHandle(event);
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}
