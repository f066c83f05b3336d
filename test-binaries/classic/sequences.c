/* Whole conversations of the public test programs: lpc statements 217, 218. */
#include "../lpctest.h"

/* One process: a client thread that connects, sends, asks and ends. */
struct client {
    const WCHAR *name;
    NTSTATUS connected, registered, datagram, request;
    struct msg reply;
};

static void client_run(void *arg)
{
    struct client *c = arg;
    struct msg m;
    HANDLE port = NULL;
    if ((c->connected = connect_port(&port, c->name)) != STATUS_SUCCESS)
        return;
    c->registered = NtRegisterThreadTerminatePort(port);
    msg_text(&m, "Request1");
    c->datagram = NtRequestPort(port, &m.h);
    msg_text(&m, "Request2");
    c->request = NtRequestWaitReplyPort(port, &m.h, &c->reply.h);
    /* The thread ends with its port open. */
}

TEST(connect_datagram_request_death)
{
    static struct client client;
    struct worker worker;
    struct msg m;
    WCHAR name[64];
    HANDLE conn, srv = NULL;
    static const USHORT want[] = {LPC_CONNECTION_REQUEST, LPC_DATAGRAM, LPC_REQUEST, LPC_CLIENT_DIED};
    unique_name(name);
    REQUIRE_STATUS(create_port(&conn, name), STATUS_SUCCESS, SETUP);
    client.name = name;
    REQUIRE(spawn(&worker, client_run, &client), SETUP);
    for (int i = 0; i < 4; i++) {
        context("message %d", i);
        REQUIRE_STATUS(NtReplyWaitReceivePort(conn, NULL, NULL, &m.h), STATUS_SUCCESS, lpc(217));
        CHECK_EQ(m.h.Type, want[i], lpc(217));
        if (i == 0) {
            REQUIRE_STATUS(NtAcceptConnectPort(&srv, NULL, &m.h, TRUE, NULL, NULL), STATUS_SUCCESS, lpc(217));
            REQUIRE_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, lpc(217));
        } else if (i == 1) {
            CHECK(strcmp((char *)m.data, "Request1") == 0, lpc(217));
        } else if (i == 2) {
            CHECK(strcmp((char *)m.data, "Request2") == 0, lpc(217));
            struct msg reply = m;
            msg_text(&reply, "Reply");
            reply.h.ClientId = m.h.ClientId;
            reply.h.MessageId = m.h.MessageId;
            CHECK_STATUS(NtReplyPort(conn, &reply.h), STATUS_SUCCESS, lpc(217));
        }
    }
    join(&worker);
    context(NULL);
    CHECK_STATUS(client.connected, STATUS_SUCCESS, lpc(217));
    CHECK_STATUS(client.registered, STATUS_SUCCESS, lpc(217));
    CHECK_STATUS(client.datagram, STATUS_SUCCESS, lpc(217));
    CHECK_STATUS(client.request, STATUS_SUCCESS, lpc(217));
    CHECK_EQ(client.reply.h.Type, LPC_REPLY, lpc(217));
    CHECK(strcmp((char *)client.reply.data, "Reply") == 0, lpc(217));
    CHECK_STATUS(receive_within(conn, NULL, &m, 100), STATUS_TIMEOUT, lpc(217));
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

/* A client that is refused once, connects again, sends a datagram and closes. */
static void persistent_run(void *arg)
{
    struct client *c = arg;
    struct msg m;
    HANDLE port = UNTOUCHED;
    c->registered = connect_port(&port, c->name);
    c->connected = connect_port(&port, c->name);
    msg_init(&m, 4);
    m.h.TotalLength = 48;
    if (c->connected == STATUS_SUCCESS) {
        c->datagram = NtRequestPort(port, &m.h);
        NtClose(port);
    }
}

TEST(refuse_accept_datagram_on_the_server_port)
{
    static struct client client;
    struct worker worker;
    struct msg m;
    WCHAR name[64];
    HANDLE conn, srv = UNTOUCHED;
    PVOID port_context = NULL;
    unique_name(name);
    UNICODE_STRING string = unicode(name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    oa.Attributes = OBJ_CASE_INSENSITIVE;
    REQUIRE_STATUS(NtCreatePort(&conn, &oa, MAX_CONNECT_INFO, MAX_TOTAL_LENGTH, 2 * MAX_TOTAL_LENGTH), STATUS_SUCCESS,
                   lpc(218));
    client.name = name;
    REQUIRE(spawn(&worker, persistent_run, &client), SETUP);
    REQUIRE_STATUS(NtListenPort(conn, &m.h), STATUS_SUCCESS, lpc(218));
    CHECK_STATUS(NtAcceptConnectPort(&srv, (PVOID)(ULONG_PTR)0x92, &m.h, FALSE, NULL, NULL), STATUS_SUCCESS, lpc(218));
    CHECK_PTR(srv, UNTOUCHED, lpc(218));
    REQUIRE_STATUS(NtListenPort(conn, &m.h), STATUS_SUCCESS, lpc(218));
    REQUIRE_STATUS(NtAcceptConnectPort(&srv, (PVOID)(ULONG_PTR)0x92, &m.h, TRUE, NULL, NULL), STATUS_SUCCESS,
                   lpc(218));
    REQUIRE_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, lpc(218));
    REQUIRE_STATUS(NtReplyWaitReceivePort(srv, &port_context, NULL, &m.h), STATUS_SUCCESS, lpc(218));
    CHECK_EQ(m.h.Type, LPC_DATAGRAM, lpc(218));
    CHECK_EQ(m.h.DataLength, 4, lpc(218));
    CHECK_EQ(m.h.TotalLength, 48, lpc(218));
    CHECK_PTR(port_context, (PVOID)(ULONG_PTR)0x92, lpc(218));
    join(&worker);
    CHECK_STATUS(client.registered, STATUS_PORT_CONNECTION_REFUSED, lpc(218));
    CHECK_STATUS(client.connected, STATUS_SUCCESS, lpc(218));
    CHECK_STATUS(client.datagram, STATUS_SUCCESS, lpc(218));
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, lpc(218));
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}
