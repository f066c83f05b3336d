/* Threads and processes stopped inside of every call that blocks: lpc §3.1, §3.5, statements 90 and 207. */
#include "../lpctest.h"

/* A pair and a thread inside a call on it. */
struct blocked {
    struct pair pair;
    struct worker worker, server;
    struct msg m, request;
    HANDLE port;
    NTSTATUS status;
};

static void listen_run(void *arg)
{
    struct blocked *b = arg;
    b->status = NtListenPort(b->pair.conn, &b->m.h);
}

static void listen_release(struct blocked *b)
{
    struct connecting connecting;
    struct worker connector;
    HANDLE port = NULL;
    connect_init(&connecting, b->pair.name);
    CHECK(connect_start(&connecting, &connector), SETUP);
    join(&b->worker);
    CHECK_EQ(b->m.h.Type, LPC_CONNECTION_REQUEST, SETUP);
    CHECK_STATUS(NtAcceptConnectPort(&port, NULL, &b->m.h, FALSE, NULL, NULL), STATUS_SUCCESS, SETUP);
    join(&connector);
    CHECK_STATUS(connecting.status, STATUS_PORT_CONNECTION_REFUSED, SETUP);
}

static void receive_run(void *arg)
{
    struct blocked *b = arg;
    b->status = NtReplyWaitReceivePort(b->pair.conn, NULL, NULL, &b->m.h);
}

static void receive_release(struct blocked *b)
{
    struct msg datagram;
    msg_init(&datagram, 4);
    CHECK_STATUS(NtRequestPort(b->pair.cli, &datagram.h), STATUS_SUCCESS, SETUP);
    join(&b->worker);
}

static void receive_ex_run(void *arg)
{
    struct blocked *b = arg;
    LARGE_INTEGER hour = {.QuadPart = -36000000000};
    b->status = NtReplyWaitReceivePortEx(b->pair.conn, NULL, NULL, &b->m.h, &hour);
}

static void client_receive_run(void *arg)
{
    struct blocked *b = arg;
    b->status = NtReplyWaitReceivePort(b->pair.cli, NULL, NULL, &b->m.h);
}

static void client_receive_release(struct blocked *b)
{
    struct msg datagram;
    msg_init(&datagram, 4);
    CHECK_STATUS(NtRequestPort(b->pair.srv, &datagram.h), STATUS_SUCCESS, SETUP);
    join(&b->worker);
}

static void connect_run(void *arg)
{
    struct blocked *b = arg;
    b->status = connect_port(&b->port, b->pair.name);
}

static void connect_release(struct blocked *b)
{
    struct msg request;
    HANDLE port;
    CHECK_STATUS(receive_within(b->pair.conn, NULL, &request, 10000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAcceptConnectPort(&port, NULL, &request.h, TRUE, NULL, NULL), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtCompleteConnectPort(port), STATUS_SUCCESS, SETUP);
    join(&b->worker);
    CHECK_STATUS(NtClose(b->port), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}

static void request_run(void *arg)
{
    struct blocked *b = arg;
    msg_init(&b->m, 8);
    b->status = NtRequestWaitReplyPort(b->pair.cli, &b->m.h, &b->m.h);
}

static void request_release(struct blocked *b)
{
    struct msg request;
    CHECK_STATUS(receive_within(b->pair.conn, NULL, &request, 10000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtReplyPort(b->pair.conn, &request.h), STATUS_SUCCESS, SETUP);
    join(&b->worker);
}

/* Takes a request and calls its client back. */
static void call_back(void *arg)
{
    struct blocked *b = arg;
    struct msg callback, answer;
    CHECK_STATUS(receive_within(b->pair.conn, NULL, &b->request, 10000), STATUS_SUCCESS, SETUP);
    msg_init(&callback, 4);
    callback.h.Type = LPC_REQUEST;
    callback.h.ClientId = b->request.h.ClientId;
    callback.h.MessageId = b->request.h.MessageId;
    CHECK_STATUS(NtRequestWaitReplyPort(b->pair.srv, &callback.h, &answer.h), STATUS_SUCCESS, SETUP);
}

/* Answers the callback and waits on. */
static void answer_run(void *arg)
{
    struct blocked *b = arg;
    CHECK(spawn(&b->server, call_back, b), SETUP);
    msg_init(&b->m, 8);
    CHECK_STATUS(NtRequestWaitReplyPort(b->pair.cli, &b->m.h, &b->m.h), STATUS_SUCCESS, SETUP);
    b->status = NtReplyWaitReplyPort(b->pair.cli, &b->m.h);
}

static void answer_release(struct blocked *b)
{
    join(&b->server);
    CHECK_STATUS(NtReplyPort(b->pair.srv, &b->request.h), STATUS_SUCCESS, SETUP);
    join(&b->worker);
}

static const struct {
    const char *name;
    void (*run)(void *);
    void (*release)(struct blocked *);
} cases[] = {
    {"NtListenPort", listen_run, listen_release},
    {"NtReplyWaitReceivePort", receive_run, receive_release},
    {"NtReplyWaitReceivePort on a client's port", client_receive_run, client_receive_release},
    {"NtConnectPort", connect_run, connect_release},
    {"NtRequestWaitReplyPort", request_run, request_release},
    {"NtReplyWaitReceivePortEx", receive_ex_run, receive_release},
    {"NtReplyWaitReplyPort", answer_run, answer_release},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static BOOL block(struct blocked *b, int index)
{
    context("%s", cases[index].name);
    b->status = STATUS_PENDING;
    return CHECK(spawn(&b->worker, cases[index].run, b), SETUP) && CHECK(still_runs(&b->worker), SETUP);
}

/* Takes what a stopped thread left in the queue and answers it: nobody hears of an answer that nobody waits for. */
static void drain(HANDLE conn)
{
    struct msg m;
    while (receive_within(conn, NULL, &m, 0) == STATUS_SUCCESS) {
        CHECK(m.h.Type != LPC_LOST_REPLY, lpc(210));
        if (m.h.Type == LPC_REQUEST)
            CHECK_STATUS(NtReplyPort(conn, &m.h), STATUS_INVALID_CID, lpc(209));
    }
}

TEST(suspended_thread_goes_on)
{
    static struct blocked b;
    for (int i = 0; i < CASES; i++) {
        REQUIRE(pair_open(&b.pair, NULL), SETUP);
        REQUIRE(block(&b, i), SETUP);
        for (int n = 0; n < 10; n++) {
            CONTEXT registers = {.ContextFlags = CONTEXT_CONTROL};
            CHECK_EQ(SuspendThread(b.worker.thread), 0, SETUP);
            CHECK(GetThreadContext(b.worker.thread, &registers), SETUP);
            CHECK_EQ(ResumeThread(b.worker.thread), 1, SETUP);
        }
        CHECK(still_runs(&b.worker), SETUP);
        cases[i].release(&b);
        CHECK_STATUS(b.status, STATUS_SUCCESS, SETUP);
        pair_close(&b.pair);
    }
}

TEST(released_while_suspended)
{
    static struct blocked b;
    struct msg datagram;
    REQUIRE(pair_open(&b.pair, NULL), SETUP);
    REQUIRE(block(&b, 1), SETUP);
    CHECK_EQ(SuspendThread(b.worker.thread), 0, SETUP);
    msg_init(&datagram, 4);
    CHECK_STATUS(NtRequestPort(b.pair.cli, &datagram.h), STATUS_SUCCESS, SETUP);
    CHECK(still_runs(&b.worker), SETUP);
    CHECK_STATUS(b.status, STATUS_PENDING, SETUP);
    CHECK_EQ(ResumeThread(b.worker.thread), 1, SETUP);
    join(&b.worker);
    CHECK_STATUS(b.status, STATUS_SUCCESS, SETUP);
    pair_close(&b.pair);
}

TEST(terminated_thread_leaves_the_port_usable)
{
    static struct blocked b;
    for (int i = 0; i < CASES; i++) {
        REQUIRE(pair_open(&b.pair, NULL), SETUP);
        for (int n = 0; n < 3; n++) {
            REQUIRE(block(&b, i), SETUP);
            CHECK(TerminateThread(b.worker.thread, 0), SETUP);
            join_killed(&b.worker);
        }
        drain(b.pair.conn);
        REQUIRE(block(&b, i), SETUP);
        cases[i].release(&b);
        CHECK_STATUS(b.status, STATUS_SUCCESS, lpc(207));
        pair_close(&b.pair);
    }
}

/* The call of one thread keeps a port without handles, whatever became of other threads of the process. */
TEST(call_keeps_its_port_after_another_thread_was_terminated)
{
    static struct blocked b, victim;
    struct msg request, closed;
    REQUIRE(pair_open(&b.pair, NULL), SETUP);
    victim.pair = b.pair;
    REQUIRE(block(&victim, 2), SETUP);
    CHECK(TerminateThread(victim.worker.thread, 0), SETUP);
    join_killed(&victim.worker);
    REQUIRE(block(&b, 4), SETUP);
    CHECK_STATUS(receive_within(b.pair.conn, NULL, &request, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(b.pair.cli), STATUS_SUCCESS, SETUP);
    b.pair.cli = NULL;
    CHECK_STATUS(receive_within(b.pair.conn, NULL, &closed, 100), STATUS_TIMEOUT, SETUP);
    CHECK_STATUS(NtReplyPort(b.pair.conn, &request.h), STATUS_SUCCESS, SETUP);
    join(&b.worker);
    CHECK_STATUS(b.status, STATUS_SUCCESS, SETUP);
    CHECK_STATUS(receive_within(b.pair.conn, NULL, &closed, 5000), STATUS_SUCCESS, SETUP);
    CHECK_EQ(closed.h.Type, LPC_PORT_CLOSED, SETUP);
    pair_close(&b.pair);
}

/* As above, but the thread inside the call is the one that is terminated. */
TEST(terminated_call_does_not_keep_its_port)
{
    static struct blocked b;
    struct msg m;
    REQUIRE(pair_open(&b.pair, NULL), SETUP);
    REQUIRE(block(&b, 2), SETUP);
    CHECK_STATUS(NtClose(b.pair.cli), STATUS_SUCCESS, SETUP);
    b.pair.cli = NULL;
    CHECK_STATUS(receive_within(b.pair.conn, NULL, &m, 100), STATUS_TIMEOUT, SETUP);
    CHECK(TerminateThread(b.worker.thread, 0), SETUP);
    join_killed(&b.worker);
    CHECK_STATUS(receive_within(b.pair.conn, NULL, &m, 5000), STATUS_SUCCESS, SETUP);
    CHECK_EQ(m.h.Type, LPC_PORT_CLOSED, SETUP);
    pair_close(&b.pair);
}

enum { EXITED = 7, TERMINATED = 9 };

/* Blocks a thread in a call, says so, and exits or waits to be terminated. */
ROLE(blocked)
{
    static struct blocked b;
    if (!pair_open(&b.pair, NULL) || !block(&b, (int)role_arg_number(0)))
        return EXIT_FAILED;
    SetEvent((HANDLE)role_arg_number(1));
    if (role_arg_number(2))
        ExitProcess(EXITED);
    Sleep(INFINITE);
    return EXIT_FAILED;
}

static void end_process(int index, BOOL exits)
{
    struct child child;
    HANDLE ready = inheritable_event(TRUE);
    context("%s", cases[index].name);
    REQUIRE(child_start(&child, "blocked", number(index), number((ULONG_PTR)ready), number(exits), NULL), SETUP);
    HANDLE either[2] = {ready, child.process};
    CHECK_EQ(WaitForMultipleObjects(2, either, FALSE, 20000), WAIT_OBJECT_0, SETUP);
    if (!exits)
        CHECK(TerminateProcess(child.process, TERMINATED), SETUP);
    CHECK_EQ(child_join(&child), exits ? EXITED : TERMINATED, SETUP);
    CloseHandle(ready);
}

TEST(process_exits_with_a_thread_inside)
{
    for (int i = 0; i < CASES; i++)
        end_process(i, TRUE);
}

TEST(process_is_terminated_with_a_thread_inside)
{
    for (int i = 0; i < CASES; i++)
        end_process(i, FALSE);
}
