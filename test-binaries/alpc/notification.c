/* Ports that tell of their messages: completion ports. alpc §2.8, §3.6. */
#include "../alpc.h"

TEST(association)
{
    HANDLE port, other, completion = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    WCHAR name[64];
    NEED_ALPC;
    REQUIRE(completion != NULL, SETUP);
    REQUIRE_STATUS(alpc_create(&port, name, 0, 0x400), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(alpc_associate(port, completion, 5, sizeof(ALPC_PORT_ASSOCIATE_COMPLETION_PORT) - 4),
                 STATUS_INFO_LENGTH_MISMATCH, alpc(294));
    CHECK_STATUS(alpc_associate(port, port, 5, sizeof(ALPC_PORT_ASSOCIATE_COMPLETION_PORT)), STATUS_OBJECT_TYPE_MISMATCH,
                 SETUP);
    CHECK_STATUS(alpc_associate(port, completion, 5, sizeof(ALPC_PORT_ASSOCIATE_COMPLETION_PORT)), STATUS_SUCCESS,
                 alpc(295));
    CHECK_STATUS(alpc_associate(port, completion, 6, sizeof(ALPC_PORT_ASSOCIATE_COMPLETION_PORT)), STATUS_PORT_ALREADY_SET,
                 alpc(295));
    REQUIRE_STATUS(NtAlpcCreatePort(&other, NULL, NULL), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(alpc_associate(other, completion, 7, sizeof(ALPC_PORT_ASSOCIATE_COMPLETION_PORT)), STATUS_SUCCESS,
                 alpc(299));
    NtClose(other);
    NtClose(port);
    CloseHandle(completion);
}

TEST(packets_tell_of_messages)
{
    struct alpc_pair p = {.conn = NULL};
    struct msg m;
    ULONG_PTR key = 0;
    HANDLE completion = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&p.conn, p.name, 0, 0x400), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_associate(p.conn, completion, 0x1234, sizeof(ALPC_PORT_ASSOCIATE_COMPLETION_PORT)), STATUS_SUCCESS,
                   SETUP);
    CHECK(!alpc_packet(completion, &key, 100), alpc(296));
    UNICODE_STRING name = unicode(p.name);
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(0, 0x400);
    REQUIRE_STATUS(
        NtAlpcConnectPort(&p.cli, &name, NULL, &port_attributes, 0, NULL, NULL, NULL, NULL, NULL, NULL),
        STATUS_SUCCESS, SETUP);
    CHECK(alpc_packet(completion, &key, 5000), alpc(296));
    CHECK_EQ(key, 0x1234, alpc(296));
    SIZE_T length = sizeof m;
    REQUIRE_STATUS(alpc_receive(p.conn, &m, &length, NULL, 0), STATUS_SUCCESS, alpc(298));
    CHECK_EQ(m.h.Type & 0xFF, LPC_CONNECTION_REQUEST, alpc(298));
    REQUIRE_STATUS(NtAlpcAcceptConnectPort(&p.srv, p.conn, 0, NULL, NULL, (PVOID)9, &m.h, NULL, TRUE), STATUS_SUCCESS,
                   SETUP);
    CHECK(!alpc_packet(completion, &key, 100), alpc(297));
    for (int i = 0; i < 3; i++) {
        msg_init(&m, (USHORT)(8 + i));
        REQUIRE_STATUS(alpc_send(p.cli, 0, &m), STATUS_SUCCESS, SETUP);
    }
    for (int i = 0; i < 3; i++) {
        CHECK(alpc_packet(completion, &key, 5000), alpc(297));
        length = sizeof m;
        REQUIRE_STATUS(alpc_receive(p.conn, &m, &length, NULL, 0), STATUS_SUCCESS, alpc(298));
        CHECK_EQ(m.h.DataLength, 8 + i, alpc(298));
    }
    length = sizeof m;
    CHECK_STATUS(alpc_receive(p.conn, &m, &length, NULL, 0), STATUS_TIMEOUT, alpc(298));
    alpc_pair_close(&p);
    CloseHandle(completion);
}

TEST(one_packet_for_each_of_many)
{
    enum { MESSAGES = 700 };
    struct alpc_pair p;
    struct msg m;
    ULONG_PTR key = 0;
    HANDLE completion = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE_STATUS(alpc_associate(p.conn, completion, 1, sizeof(ALPC_PORT_ASSOCIATE_COMPLETION_PORT)), STATUS_SUCCESS,
                   SETUP);
    for (int i = 0; i < MESSAGES; i++) {
        msg_init(&m, 4);
        memcpy(m.data, &i, 4);
        REQUIRE_STATUS(alpc_send(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, SETUP);
    }
    for (int i = 0; i < MESSAGES; i++) {
        int number = -1;
        REQUIRE(alpc_packet(completion, &key, 5000), alpc(297));
        SIZE_T length = sizeof m;
        REQUIRE_STATUS(alpc_receive(p.conn, &m, &length, NULL, 0), STATUS_SUCCESS, alpc(298));
        memcpy(&number, m.data, 4);
        CHECK_EQ(number, i, alpc(143));
    }
    CHECK(!alpc_packet(completion, &key, 100), alpc(297));
    alpc_pair_close(&p);
    CloseHandle(completion);
}

struct blocked {
    HANDLE port;
    struct msg m;
    NTSTATUS status;
};

static void receive_run(void *arg)
{
    struct blocked *b = arg;
    SIZE_T length = sizeof b->m;
    b->status = alpc_receive(b->port, &b->m, &length, NULL, 5000);
}

TEST(blocked_receiver_comes_first)
{
    struct alpc_pair p;
    struct blocked b = {0};
    struct worker worker;
    ULONG_PTR key = 0;
    HANDLE completion = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE_STATUS(alpc_associate(p.conn, completion, 1, sizeof(ALPC_PORT_ASSOCIATE_COMPLETION_PORT)), STATUS_SUCCESS,
                   SETUP);
    b.port = p.conn;
    REQUIRE(spawn(&worker, receive_run, &b), SETUP);
    CHECK(still_runs(&worker), SETUP);
    struct msg m;
    msg_init(&m, 5);
    REQUIRE_STATUS(alpc_send(p.cli, 0, &m), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(b.status, STATUS_SUCCESS, alpc(297));
    CHECK_EQ(b.m.h.DataLength, 5, alpc(297));
    CHECK(!alpc_packet(completion, &key, 100), alpc(297));
    alpc_pair_close(&p);
    CloseHandle(completion);
}

/* Four threads share the work of a completion port. */
static volatile LONG served[4];
static volatile LONG total_served;
struct server {
    HANDLE completion;
    HANDLE port;
    int index;
};

static void serve_run(void *arg)
{
    struct server *server = arg;
    ULONG_PTR key;
    while (alpc_packet(server->completion, &key, INFINITE) && key != 0) {
        struct msg m;
        SIZE_T length = sizeof m;
        while (alpc_receive(server->port, &m, &length, NULL, 0) == STATUS_SUCCESS) {
            if ((m.h.Type & 0xFF) == LPC_REQUEST) {
                msg_init(&m, m.h.DataLength);
                alpc_send(server->port, ALPC_MSGFLG_RELEASE_MESSAGE, &m);
            }
            InterlockedIncrement(&served[server->index]);
            InterlockedIncrement(&total_served);
            length = sizeof m;
        }
    }
}

TEST(completion_port_balances_messages)
{
    enum { MESSAGES = 400 };
    struct alpc_pair p;
    struct server servers[4];
    struct worker workers[4];
    HANDLE completion = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 4);
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE_STATUS(alpc_associate(p.conn, completion, 1, sizeof(ALPC_PORT_ASSOCIATE_COMPLETION_PORT)), STATUS_SUCCESS,
                   SETUP);
    total_served = 0;
    for (int i = 0; i < 4; i++) {
        servers[i] = (struct server){completion, p.conn, i};
        REQUIRE(spawn(&workers[i], serve_run, &servers[i]), SETUP);
    }
    for (int i = 0; i < MESSAGES; i++) {
        struct msg m;
        msg_init(&m, 16);
        REQUIRE_STATUS(alpc_send(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, alpc(297));
    }
    for (int i = 0; i < 1000 && total_served < MESSAGES; i++)
        Sleep(5);
    CHECK_EQ(total_served, MESSAGES, alpc(297));
    for (int i = 0; i < 4; i++)
        PostQueuedCompletionStatus(completion, 0, 0, NULL);
    for (int i = 0; i < 4; i++)
        join(&workers[i]);
    alpc_pair_close(&p);
    CloseHandle(completion);
}
