/* Many clients and several server threads on one port; connects and closes in a storm. lpc §3.4; 134, 157, 183. */
#include "../lpctest.h"

enum { CLIENTS = 8, REQUESTS = 400, SERVERS = 3 };

struct server {
    HANDLE conn;
    LONG volatile *stop;
    LONG accepted, answered, closed, failures;
};

static void serve(void *arg)
{
    struct server *s = arg;
    struct msg m;
    PVOID port_context;
    HANDLE srv;
    while (!*s->stop) {
        NTSTATUS status = receive_within(s->conn, &port_context, &m, 50);
        if (status == STATUS_TIMEOUT)
            continue;
        if (status != STATUS_SUCCESS) {
            InterlockedIncrement(&s->failures);
            continue;
        }
        switch (m.h.Type) {
        case LPC_CONNECTION_REQUEST:
            if (NtAcceptConnectPort(&srv, NULL, &m.h, TRUE, NULL, NULL) == STATUS_SUCCESS &&
                NtCompleteConnectPort(srv) == STATUS_SUCCESS)
                s->accepted++;
            else
                s->failures++;
            break;
        case LPC_REQUEST:
            m.data[0] ^= 0xFF;
            if (NtReplyPort(s->conn, &m.h) == STATUS_SUCCESS)
                s->answered++;
            else
                s->failures++;
            break;
        case LPC_PORT_CLOSED:
            /* The context of a port accepted with NULL is its handle (lpc#151). */
            s->closed++;
            if (NtClose(port_context) != STATUS_SUCCESS)
                s->failures++;
            break;
        default:
            s->failures++;
            break;
        }
    }
}

struct client {
    const WCHAR *name;
    ULONG number, rounds, requests;
    LONG good, failures;
};

static void client_run(void *arg)
{
    struct client *c = arg;
    struct msg m;
    for (ULONG round = 0; round < c->rounds; round++) {
        HANDLE port;
        if (connect_port(&port, c->name) != STATUS_SUCCESS) {
            c->failures++;
            continue;
        }
        for (ULONG i = 0; i < c->requests; i++) {
            msg_init(&m, (USHORT)(8 + (i + c->number) % 100));
            memcpy(m.data + 1, &i, 4);
            m.data[0] = (UCHAR)c->number;
            USHORT length = m.h.DataLength;
            ULONG back = 0;
            NTSTATUS status = NtRequestWaitReplyPort(port, &m.h, &m.h);
            memcpy(&back, m.data + 1, 4);
            if (status == STATUS_SUCCESS && back == i && m.data[0] == (UCHAR)~c->number && m.h.DataLength == length)
                c->good++;
            else
                c->failures++;
        }
        if (NtClose(port) != STATUS_SUCCESS)
            c->failures++;
    }
}

static void storm(ULONG rounds, ULONG requests)
{
    static struct server servers[SERVERS];
    static struct client clients[CLIENTS];
    struct worker server_threads[SERVERS], client_threads[CLIENTS];
    LONG volatile stop = FALSE;
    WCHAR name[64];
    HANDLE conn;
    LONG accepted = 0, answered = 0, closed = 0;
    unique_name(name);
    REQUIRE_STATUS(create_port(&conn, name), STATUS_SUCCESS, SETUP);
    for (int i = 0; i < SERVERS; i++) {
        servers[i] = (struct server){.conn = conn, .stop = &stop};
        REQUIRE(spawn(&server_threads[i], serve, &servers[i]), SETUP);
    }
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.name = name, .number = (ULONG)i, .rounds = rounds, .requests = requests};
        REQUIRE(spawn(&client_threads[i], client_run, &clients[i]), SETUP);
    }
    for (int i = 0; i < CLIENTS; i++) {
        join(&client_threads[i]);
        context("client %d", i);
        CHECK_EQ(clients[i].failures, 0, lpc(134));
        CHECK_EQ(clients[i].good, rounds * requests, lpc(134));
    }
    context(NULL);
    Sleep(300);
    stop = TRUE;
    for (int i = 0; i < SERVERS; i++) {
        join(&server_threads[i]);
        CHECK_EQ(servers[i].failures, 0, lpc(157));
        accepted += servers[i].accepted;
        answered += servers[i].answered;
        closed += servers[i].closed;
    }
    CHECK_EQ(accepted, CLIENTS * rounds, lpc(183));
    CHECK_EQ(closed, CLIENTS * rounds, lpc(183));
    CHECK_EQ(answered, CLIENTS * rounds * requests, lpc(157));
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

TEST(many_clients_several_servers)
{
    storm(1, REQUESTS);
}

TEST(connects_and_closes)
{
    storm(20, 3);
}
