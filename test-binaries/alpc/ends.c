/* How ports and connections end: alpc §2.6, §3.4, statements 161, 162, 196–204. */
#include "../alpc.h"

enum { RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE, SYNC = ALPC_MSGFLG_SYNC_REQUEST };

struct blocked {
    HANDLE port;
    NTSTATUS status;
};

static void receive_forever(void *arg)
{
    struct blocked *b = arg;
    struct msg m;
    SIZE_T length = sizeof m;
    b->status = NtAlpcSendWaitReceivePort(b->port, 0, NULL, NULL, &m.h, &length, NULL, NULL);
}

TEST(port_closes_under_its_receiver)
{
    static struct blocked blocked;
    struct worker worker;
    WCHAR name[64];
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&blocked.port, name, 0, 0x400), STATUS_SUCCESS, SETUP);
    REQUIRE(spawn(&worker, receive_forever, &blocked), SETUP);
    CHECK(still_runs(&worker), alpc(161));
    CHECK_STATUS(NtClose(blocked.port), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(blocked.status, STATUS_PORT_CLOSED, alpc(161));
}

TEST(one_message_wakes_one_receiver)
{
    static struct blocked blocked[2];
    struct alpc_pair pair;
    struct worker workers[2];
    struct msg m;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    for (int i = 0; i < 2; i++) {
        blocked[i].port = pair.conn;
        REQUIRE(spawn(&workers[i], receive_forever, &blocked[i]), SETUP);
        CHECK(still_runs(&workers[i]), SETUP);
    }
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    HANDLE const threads[] = {workers[0].thread, workers[1].thread};
    DWORD first = WaitForMultipleObjects(2, threads, FALSE, 5000);
    REQUIRE(first < 2, alpc(162));
    CHECK(still_runs(&workers[1 - first]), alpc(162));
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    join(&workers[0]);
    join(&workers[1]);
    CHECK_STATUS(blocked[0].status, STATUS_SUCCESS, alpc(162));
    CHECK_STATUS(blocked[1].status, STATUS_SUCCESS, alpc(162));
    alpc_pair_close(&pair);
}

TEST(server_disconnects_under_a_waiting_client)
{
    static struct alpc_calling calling;
    struct alpc_pair pair;
    struct worker worker;
    struct msg r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    alpc_call_init(&calling, pair.cli, 8);
    REQUIRE(alpc_call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcDisconnectPort(pair.srv, 0), STATUS_SUCCESS, alpc(198));
    join(&worker);
    CHECK(calling.status < 0, alpc(198));
    alpc_pair_close(&pair);
}

TEST(port_closed_names_the_client)
{
    struct alpc_pair pair;
    struct msg r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, (PVOID)0x5151), SETUP);
    CHECK_STATUS(NtClose(pair.cli), STATUS_SUCCESS, SETUP);
    pair.cli = NULL;
    struct alpc_context_buffer got = alpc_context_buffer(NULL);
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, &got.a, 5000), STATUS_SUCCESS, alpc(199));
    CHECK_EQ(r.h.Type & 0xFF, LPC_PORT_CLOSED, alpc(199));
    CHECK_PTR(got.context.PortContext, (PVOID)0x5151, alpc(200));
    CHECK_EQ(r.h.Type & LPC_CONTINUATION_REQUIRED, 0, alpc(202));
    alpc_pair_close(&pair);
}

struct disconnecting {
    HANDLE port;
    LONG volatile *successes;
};

static void disconnect(void *arg)
{
    struct disconnecting *d = arg;
    if (NtAlpcDisconnectPort(d->port, 0) == STATUS_SUCCESS)
        InterlockedIncrement(d->successes);
}

TEST(concurrent_disconnects)
{
    enum { THREADS = 4, ROUNDS = 20 };
    NEED_ALPC;
    for (int round = 0; round < ROUNDS; round++) {
        struct alpc_pair pair;
        struct worker workers[THREADS];
        LONG volatile successes = 0;
        REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
        struct disconnecting d = {pair.cli, &successes};
        for (int i = 0; i < THREADS; i++)
            REQUIRE(spawn(&workers[i], disconnect, &d), SETUP);
        for (int i = 0; i < THREADS; i++)
            join(&workers[i]);
        CHECK_EQ(successes, 1, alpc(196));
        alpc_pair_close(&pair);
    }
}

ROLE(client_that_ends)
{
    WCHAR name[64];
    HANDLE port;
    struct msg m;
    SIZE_T length = sizeof m;
    if (!alpc_resolve())
        return EXIT_FAILED;
    to_wide(name, role_arg(0));
    UNICODE_STRING string = unicode(name);
    msg_init(&m, 0);
    NTSTATUS status = NtAlpcConnectPort(&port, &string, NULL, NULL, SYNC, NULL, &m.h, &length, NULL, NULL, NULL);
    return status == STATUS_SUCCESS ? EXIT_PASSED : EXIT_FAILED;
}

TEST(client_process_ends)
{
    struct child child;
    struct msg r;
    SIZE_T length = sizeof r;
    char text[64];
    WCHAR name[64];
    HANDLE conn, srv;
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&conn, name, 0, 0x400), STATUS_SUCCESS, SETUP);
    to_narrow(text, name);
    REQUIRE(child_start(&child, "client_that_ends", text, NULL), SETUP);
    REQUIRE_STATUS(alpc_receive(conn, &r, &length, NULL, 20000), STATUS_SUCCESS, SETUP);
    CHECK_EQ((ULONG_PTR)r.h.ClientId.UniqueProcess, child.pid, alpc(53));
    REQUIRE_STATUS(NtAlpcAcceptConnectPort(&srv, conn, 0, NULL, NULL, (PVOID)7, &r.h, NULL, TRUE), STATUS_SUCCESS,
                   SETUP);
    CHECK_EQ(child_join(&child), EXIT_PASSED, SETUP);
    struct alpc_context_buffer got = alpc_context_buffer(NULL);
    REQUIRE_STATUS(alpc_receive(conn, &r, &length, &got.a, 5000), STATUS_SUCCESS, alpc(203));
    CHECK_EQ(r.h.Type & 0xFF, LPC_PORT_CLOSED, alpc(203));
    CHECK_PTR(got.context.PortContext, (PVOID)7, alpc(203));
    NtClose(srv);
    NtClose(conn);
    /* Its name went with it. */
    HANDLE port;
    UNICODE_STRING string = unicode(name);
    CHECK_STATUS(NtAlpcConnectPort(&port, &string, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL),
                 STATUS_OBJECT_NAME_NOT_FOUND, alpc(204));
}
