/* Classic and ALPC ends of one connection: alpc §2.19, statements 334–343. Both ends in one process. */
#include "../alpc.h"

enum { RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE, SYNC = ALPC_MSGFLG_SYNC_REQUEST, INFO = 8 };

static NTSTATUS classic_receive(HANDLE port, PVOID *port_context, struct msg *m)
{
    return receive_within(port, port_context, m, 5000);
}

/* A classic client at an ALPC server. */
struct classic_scene {
    HANDLE conn, srv, cli;
    struct connecting connecting;
    struct worker worker;
    WCHAR name[64];
};

static BOOL classic_scene_open(struct classic_scene *s)
{
    struct msg m;
    SIZE_T length = sizeof m;
    memset(s, 0, sizeof *s);
    if (!CHECK_STATUS(alpc_create(&s->conn, s->name, 0, 0x400), STATUS_SUCCESS, SETUP))
        return FALSE;
    connect_init(&s->connecting, s->name);
    s->connecting.with_info = TRUE;
    s->connecting.info_length = INFO;
    memcpy(s->connecting.info, "question", INFO);
    if (!connect_start(&s->connecting, &s->worker) ||
        !CHECK_STATUS(alpc_receive(s->conn, &m, &length, NULL, 5000), STATUS_SUCCESS, alpc(334)))
        return FALSE;
    CHECK_EQ(m.h.Type & 0xFF, LPC_CONNECTION_REQUEST, alpc(51));
    CHECK_EQ(m.h.DataLength, INFO, alpc(54));
    CHECK(memcmp(m.data, "question", INFO) == 0, alpc(54));
    memcpy(m.data, "answered", INFO);
    if (!CHECK_STATUS(NtAlpcAcceptConnectPort(&s->srv, s->conn, 0, NULL, NULL, (PVOID)0x51, &m.h, NULL, TRUE),
                      STATUS_SUCCESS, alpc(334)))
        return FALSE;
    join(&s->worker);
    s->cli = s->connecting.port;
    return CHECK_STATUS(s->connecting.status, STATUS_SUCCESS, alpc(334)) &&
           CHECK(s->connecting.max_message != 0, alpc(335)) &&
           CHECK(memcmp(s->connecting.info, "answered", INFO) == 0, alpc(64));
}

static void classic_scene_close(struct classic_scene *s)
{
    CHECK_STATUS(NtClose(s->cli), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(s->srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(s->conn), STATUS_SUCCESS, SETUP);
}

TEST(classic_client_at_an_alpc_server)
{
    static struct classic_scene s;
    static struct calling calling;
    struct worker worker;
    struct msg m, r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(classic_scene_open(&s), SETUP);
    msg_init(&m, 8);
    CHECK_STATUS(NtRequestPort(s.cli, &m.h), STATUS_SUCCESS, alpc(336));
    REQUIRE_STATUS(alpc_receive(s.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(336));
    CHECK_EQ(r.h.Type, LPC_DATAGRAM, alpc(336));
    m.h.Type = LPC_CLIENT_DIED;
    CHECK_STATUS(NtRequestPort(s.cli, &m.h), STATUS_INVALID_PARAMETER, alpc(337));
    m.h.Type = LPC_REQUEST;
    CHECK_STATUS(NtRequestPort(s.cli, &m.h), STATUS_INVALID_PARAMETER, alpc(338));
    HANDLE const ports[] = {s.conn, s.srv};
    for (int i = 0; i < 2; i++) {
        call_init(&calling, s.cli, 8);
        REQUIRE(call_start(&calling, &worker), SETUP);
        REQUIRE_STATUS(alpc_receive(s.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(339));
        CHECK_EQ(r.h.Type & 0xFF, LPC_REQUEST, alpc(339));
        r.data[0] = 0x66;
        CHECK_STATUS(alpc_send(ports[i], RELEASE, &r), STATUS_SUCCESS, alpc(340));
        join(&worker);
        CHECK_STATUS(calling.status, STATUS_SUCCESS, alpc(340));
        CHECK_EQ(calling.reply.h.Type & 0xFF, LPC_REPLY, alpc(340));
        CHECK_EQ(calling.reply.h.DataLength, 8, alpc(340));
        CHECK_EQ(calling.reply.data[0], 0x66, alpc(340));
    }
    classic_scene_close(&s);
}

TEST(alpc_server_receives_by_the_classic_call)
{
    static struct alpc_calling calling;
    struct alpc_pair pair;
    struct worker worker;
    struct msg r;
    PVOID port_context = NULL;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, (PVOID)0x5252), SETUP);
    alpc_call_init(&calling, pair.cli, 8);
    REQUIRE(alpc_call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(classic_receive(pair.conn, &port_context, &r), STATUS_SUCCESS, alpc(342));
    CHECK_EQ(r.h.Type & 0xFF, LPC_REQUEST, alpc(342));
    CHECK_PTR(port_context, (PVOID)0x5252, alpc(342));
    r.data[0] = 0x67;
    CHECK_STATUS(NtReplyPort(pair.srv, &r.h), STATUS_SUCCESS, alpc(342));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, alpc(342));
    CHECK_EQ(calling.reply.data[0], 0x67, alpc(342));
    alpc_pair_close(&pair);
}

TEST(alpc_client_at_a_classic_server)
{
    static struct alpc_calling calling;
    struct worker worker;
    struct msg m, r;
    WCHAR name[64];
    HANDLE conn, srv, cli;
    PVOID port_context;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE_STATUS((unique_name(name), create_port(&conn, name)), STATUS_SUCCESS, SETUP);
    UNICODE_STRING string = unicode(name);
    msg_text(&m, "ABC");
    REQUIRE_STATUS(NtAlpcConnectPort(&cli, &string, NULL, NULL, 0, NULL, &m.h, NULL, NULL, NULL, NULL), STATUS_SUCCESS,
                   SETUP);
    REQUIRE_STATUS(classic_receive(conn, &port_context, &r), STATUS_SUCCESS, alpc(334));
    CHECK_EQ(r.h.Type, LPC_CONNECTION_REQUEST, alpc(334));
    CHECK(memcmp(r.data, "ABC", 4) == 0, alpc(54));
    memcpy(r.data, "XYZ", 4);
    REQUIRE_STATUS(NtAcceptConnectPort(&srv, (PVOID)0x53, &r.h, TRUE, NULL, NULL), STATUS_SUCCESS, alpc(334));
    REQUIRE_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, alpc(334));
    REQUIRE_STATUS(alpc_receive(cli, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(63));
    CHECK_EQ(r.h.Type & 0xFF, LPC_CONNECTION_REPLY, alpc(63));
    CHECK(memcmp(r.data, "XYZ", 4) == 0, alpc(64));
    /* A datagram, a request that waits, one that does not. */
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(classic_receive(conn, &port_context, &r), STATUS_SUCCESS, SETUP);
    CHECK_EQ(r.h.Type, LPC_DATAGRAM, SETUP);
    alpc_call_init(&calling, cli, 8);
    REQUIRE(alpc_call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(classic_receive(conn, &port_context, &r), STATUS_SUCCESS, SETUP);
    CHECK_EQ(r.h.Type, LPC_REQUEST, SETUP);
    CHECK_PTR(port_context, (PVOID)0x53, SETUP);
    r.data[0] = 0x68;
    CHECK_STATUS(NtReplyPort(srv, &r.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, SETUP);
    CHECK_EQ(calling.reply.h.Type, LPC_REPLY, SETUP);
    CHECK_EQ(calling.reply.data[0], 0x68, SETUP);
    CHECK_STATUS(alpc_send(cli, 0, &m), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(classic_receive(conn, &port_context, &r), STATUS_SUCCESS, SETUP);
    CHECK_EQ(r.h.Type, LPC_REQUEST, SETUP);
    r.data[0] = 0x69;
    CHECK_STATUS(NtReplyPort(srv, &r.h), STATUS_SUCCESS, alpc(153));
    CHECK_STATUS(NtReplyPort(srv, &r.h), STATUS_REPLY_MESSAGE_MISMATCH, SETUP);
    REQUIRE_STATUS(alpc_receive(cli, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(153));
    CHECK_EQ(r.data[0], 0x69, alpc(153));
    CHECK_STATUS(NtClose(cli), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(classic_receive(conn, &port_context, &r), STATUS_SUCCESS, SETUP);
    CHECK_EQ(r.h.Type, LPC_PORT_CLOSED, SETUP);
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

TEST(refusal_of_a_classic_client)
{
    static struct connecting connecting;
    struct worker worker;
    struct msg m;
    SIZE_T length = sizeof m;
    WCHAR name[64];
    HANDLE conn;
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&conn, name, 0, 0x400), STATUS_SUCCESS, SETUP);
    connect_init(&connecting, name);
    REQUIRE(connect_start(&connecting, &worker), SETUP);
    REQUIRE_STATUS(alpc_receive(conn, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcAcceptConnectPort(NULL, conn, 0, NULL, NULL, NULL, &m.h, NULL, FALSE), STATUS_SUCCESS, alpc(59));
    join(&worker);
    CHECK_STATUS(connecting.status, STATUS_PORT_CONNECTION_REFUSED, alpc(77));
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

TEST(port_information_of_a_process)
{
    NEED_ALPC;
    CHECK_EQ(NtQueryPortInformationProcess(), 1, alpc(343));
}
