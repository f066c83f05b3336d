/* Waits that user APCs and alerts end: alpc §1.7 (WAIT_ALERTABLE), §2.5.4, statement 165. */
#include "../alpc.h"

enum {
    ALERTABLE = 0x200000,
    SYNC = ALPC_MSGFLG_SYNC_REQUEST,
    RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE,
};

static volatile LONG apcs;
static volatile DWORD apc_thread;

static void CALLBACK count_apc(ULONG_PTR count)
{
    InterlockedExchangeAdd(&apcs, (LONG)count);
    apc_thread = GetCurrentThreadId();
}

/* A receive in a thread of its own. */
struct receiving {
    HANDLE port;
    ULONG flags;
    LONGLONG timeout;
    struct msg m;
    NTSTATUS status;
};

static void receive_run(void *arg)
{
    struct receiving *r = arg;
    SIZE_T length = sizeof r->m;
    LARGE_INTEGER timeout = {.QuadPart = r->timeout};
    r->status = NtAlpcSendWaitReceivePort(r->port, r->flags, NULL, NULL, &r->m.h, &length, NULL,
                                          r->timeout != 0 ? &timeout : NULL);
}

TEST(apc_ends_an_alertable_receive)
{
    struct alpc_pair p;
    struct worker worker;
    struct msg m;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    struct receiving r = {.port = p.conn, .flags = ALERTABLE};
    apcs = 0;
    REQUIRE(spawn(&worker, receive_run, &r), SETUP);
    CHECK(still_runs(&worker), alpc(165));
    REQUIRE(QueueUserAPC(count_apc, worker.thread, 1) != 0, SETUP);
    join(&worker);
    CHECK_STATUS(r.status, STATUS_USER_APC, alpc(165));
    CHECK_EQ(apcs, 1, alpc(165));
    CHECK_EQ(apc_thread, worker.tid, alpc(165));
    /* The port is as it was. */
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(p.cli, RELEASE, &m), STATUS_SUCCESS, alpc(165));
    r.flags = 0;
    receive_run(&r);
    CHECK_STATUS(r.status, STATUS_SUCCESS, alpc(165));
    CHECK_EQ(r.m.h.Type & 0xFF, LPC_DATAGRAM, alpc(165));
    alpc_pair_close(&p);
}

TEST(message_ends_an_alertable_receive)
{
    struct alpc_pair p;
    struct worker worker;
    struct msg m;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    struct receiving r = {.port = p.conn, .flags = ALERTABLE};
    REQUIRE(spawn(&worker, receive_run, &r), SETUP);
    CHECK(still_runs(&worker), alpc(165));
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(p.cli, RELEASE, &m), STATUS_SUCCESS, alpc(165));
    join(&worker);
    CHECK_STATUS(r.status, STATUS_SUCCESS, alpc(165));
    CHECK_EQ(r.m.h.DataLength, 4, alpc(165));
    r.timeout = -500000;
    receive_run(&r);
    CHECK_STATUS(r.status, STATUS_TIMEOUT, alpc(126));
    alpc_pair_close(&p);
}

TEST(apcs_that_wait_already)
{
    struct alpc_pair p;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    struct receiving r = {.port = p.conn, .flags = ALERTABLE, .timeout = -50000000};
    apcs = 0;
    REQUIRE(QueueUserAPC(count_apc, GetCurrentThread(), 1) != 0, SETUP);
    REQUIRE(QueueUserAPC(count_apc, GetCurrentThread(), 10) != 0, SETUP);
    receive_run(&r);
    CHECK_STATUS(r.status, STATUS_USER_APC, alpc(165));
    CHECK_EQ(apcs, 11, alpc(165));
    alpc_pair_close(&p);
}

TEST(apc_leaves_another_receive_alone)
{
    struct alpc_pair p;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    struct receiving r = {.port = p.conn, .flags = 0, .timeout = -500000};
    apcs = 0;
    REQUIRE(QueueUserAPC(count_apc, GetCurrentThread(), 1) != 0, SETUP);
    receive_run(&r);
    CHECK_STATUS(r.status, STATUS_TIMEOUT, alpc(165));
    CHECK_EQ(apcs, 0, alpc(165));
    SleepEx(0, TRUE);
    CHECK_EQ(apcs, 1, SETUP);
    alpc_pair_close(&p);
}

TEST(apc_after_a_sent_message)
{
    struct alpc_pair p;
    struct msg m, got;
    SIZE_T length = sizeof got;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    apcs = 0;
    REQUIRE(QueueUserAPC(count_apc, GetCurrentThread(), 1) != 0, SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(NtAlpcSendWaitReceivePort(p.cli, ALERTABLE | RELEASE, &m.h, NULL, &got.h, &length, NULL, NULL),
                 STATUS_USER_APC, alpc(165));
    CHECK_EQ(apcs, 1, alpc(165));
    /* It was sent, and once. */
    CHECK_STATUS(alpc_receive(p.conn, &got, &length, NULL, 5000), STATUS_SUCCESS, alpc(165));
    CHECK_STATUS(alpc_receive(p.conn, &got, &length, NULL, 0), STATUS_TIMEOUT, alpc(165));
    alpc_pair_close(&p);
}

static void CALLBACK on_timer(PVOID count, DWORD low, DWORD high)
{
    (void)low, (void)high;
    InterlockedExchangeAdd(&apcs, (LONG)(ULONG_PTR)count);
}

TEST(timer_ends_an_alertable_receive)
{
    struct alpc_pair p;
    LARGE_INTEGER due = {.QuadPart = -500000};
    HANDLE timer = CreateWaitableTimerW(NULL, TRUE, NULL);
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    struct receiving r = {.port = p.cli, .flags = ALERTABLE, .timeout = -50000000};
    apcs = 0;
    if (SetWaitableTimer(timer, &due, 0, on_timer, (PVOID)1, FALSE)) {
        receive_run(&r);
        CHECK_STATUS(r.status, STATUS_USER_APC, alpc(165));
        CHECK_EQ(apcs, 1, alpc(165));
    } else {
        skip(alpc(165), "this kernel32 has no timers with completion routines");
    }
    CloseHandle(timer);
    alpc_pair_close(&p);
}

static void call_run(void *arg)
{
    struct alpc_calling *c = arg;
    c->status = NtAlpcSendWaitReceivePort(c->port, SYNC | ALERTABLE, &c->request.h, NULL, &c->reply.h, &c->length, NULL,
                                          NULL);
}

TEST(apc_ends_an_alertable_request)
{
    struct alpc_pair p;
    struct worker worker;
    struct alpc_calling call;
    struct msg m;
    SIZE_T length = sizeof m;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    apcs = 0;
    alpc_call_init(&call, p.cli, 4);
    REQUIRE(spawn(&worker, call_run, &call), SETUP);
    REQUIRE_STATUS(alpc_receive(p.conn, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK(still_runs(&worker), alpc(165));
    REQUIRE(QueueUserAPC(count_apc, worker.thread, 1) != 0, SETUP);
    join(&worker);
    CHECK_STATUS(call.status, STATUS_USER_APC, alpc(165));
    CHECK_EQ(apcs, 1, alpc(165));
    /* The request is withdrawn, as by a timeout. */
    CHECK(alpc_answer(p.conn, &m) < 0, alpc(165));
    alpc_call_init(&call, p.cli, 4);
    REQUIRE(spawn(&worker, call_run, &call), SETUP);
    REQUIRE_STATUS(alpc_receive(p.conn, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(alpc_answer(p.conn, &m), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(call.status, STATUS_SUCCESS, SETUP);
    alpc_pair_close(&p);
}

/* A synchronous connect in a thread of its own. */
struct connector {
    WCHAR name[64];
    HANDLE port;
    NTSTATUS status;
};

static void connect_run(void *arg)
{
    struct connector *c = arg;
    UNICODE_STRING name = unicode(c->name);
    c->status = NtAlpcConnectPort(&c->port, &name, NULL, NULL, SYNC | ALERTABLE, NULL, NULL, NULL, NULL, NULL, NULL);
}

TEST(apc_ends_an_alertable_connect)
{
    struct connector connector = {.port = UNTOUCHED};
    struct worker worker;
    struct msg m;
    HANDLE conn, srv;
    SIZE_T length = sizeof m;
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&conn, connector.name, 0, 0x400), STATUS_SUCCESS, SETUP);
    apcs = 0;
    REQUIRE(spawn(&worker, connect_run, &connector), SETUP);
    REQUIRE_STATUS(alpc_receive(conn, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK(still_runs(&worker), alpc(165));
    REQUIRE(QueueUserAPC(count_apc, worker.thread, 1) != 0, SETUP);
    join(&worker);
    CHECK_STATUS(connector.status, STATUS_USER_APC, alpc(165));
    CHECK_PTR(connector.port, UNTOUCHED, alpc(165));
    CHECK_STATUS(NtAlpcAcceptConnectPort(&srv, conn, 0, NULL, NULL, NULL, &m.h, NULL, TRUE), STATUS_REQUEST_CANCELED,
                 alpc(61));
    NtClose(conn);
}
