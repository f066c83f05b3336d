/* Threads and processes stopped inside of every ALPC call that blocks: alpc §2.5, §2.7; lpc §3.5 for what is left. */
#include "../alpc.h"

enum { SYNC = ALPC_MSGFLG_SYNC_REQUEST, RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE };

/* A pair and a thread inside a call on it. */
struct blocked {
    struct alpc_pair pair;
    struct worker worker;
    struct msg request, reply;
    SIZE_T length;
    HANDLE port;
    NTSTATUS status;
};

static void receive_on(struct blocked *b, HANDLE port)
{
    b->length = sizeof b->reply;
    b->status = NtAlpcSendWaitReceivePort(port, 0, NULL, NULL, &b->reply.h, &b->length, NULL, NULL);
}

static void receive_run(void *arg)
{
    struct blocked *b = arg;
    receive_on(b, b->pair.conn);
}

static void send_release(struct blocked *b, HANDLE port)
{
    struct msg m;
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(port, RELEASE, &m), STATUS_SUCCESS, SETUP);
    join(&b->worker);
}

static void receive_release(struct blocked *b)
{
    send_release(b, b->pair.cli);
}

static void server_receive_run(void *arg)
{
    struct blocked *b = arg;
    receive_on(b, b->pair.srv);
}

static void client_receive_run(void *arg)
{
    struct blocked *b = arg;
    receive_on(b, b->pair.cli);
}

static void client_receive_release(struct blocked *b)
{
    send_release(b, b->pair.srv);
}

/* A message of one call whose second half waits. */
static void send_and_receive_run(void *arg)
{
    struct blocked *b = arg;
    b->length = sizeof b->reply;
    msg_init(&b->request, 4);
    b->status = NtAlpcSendWaitReceivePort(b->pair.cli, RELEASE, &b->request.h, NULL, &b->reply.h, &b->length, NULL, NULL);
}

static void request_on(struct blocked *b, HANDLE port)
{
    b->length = sizeof b->reply;
    msg_init(&b->request, 8);
    b->status = NtAlpcSendWaitReceivePort(port, SYNC, &b->request.h, NULL, &b->reply.h, &b->length, NULL, NULL);
}

static void request_run(void *arg)
{
    struct blocked *b = arg;
    request_on(b, b->pair.cli);
}

static void answer_release(struct blocked *b, HANDLE port)
{
    struct msg request;
    SIZE_T length = sizeof request;
    CHECK_STATUS(alpc_receive(port, &request, &length, NULL, 10000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(alpc_answer(port, &request), STATUS_SUCCESS, SETUP);
    join(&b->worker);
}

static void request_release(struct blocked *b)
{
    answer_release(b, b->pair.conn);
}

/* The server asks its client. */
static void server_request_run(void *arg)
{
    struct blocked *b = arg;
    request_on(b, b->pair.srv);
}

static void server_request_release(struct blocked *b)
{
    answer_release(b, b->pair.cli);
}

static void connect_run(void *arg)
{
    struct blocked *b = arg;
    UNICODE_STRING name = unicode(b->pair.name);
    b->port = NULL;
    b->status = NtAlpcConnectPort(&b->port, &name, NULL, NULL, SYNC, NULL, NULL, NULL, NULL, NULL, NULL);
}

static void connect_release(struct blocked *b)
{
    struct msg request;
    SIZE_T length = sizeof request;
    HANDLE port;
    CHECK_STATUS(alpc_receive(b->pair.conn, &request, &length, NULL, 10000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcAcceptConnectPort(&port, b->pair.conn, 0, NULL, NULL, NULL, &request.h, NULL, TRUE), STATUS_SUCCESS,
                 SETUP);
    join(&b->worker);
    CHECK_STATUS(NtClose(b->port), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}

static const struct {
    const char *name;
    void (*run)(void *);
    void (*release)(struct blocked *);
} cases[] = {
    {"a receive", receive_run, receive_release},
    {"a receive on the server's port", server_receive_run, receive_release},
    {"a receive on the client's port", client_receive_run, client_receive_release},
    {"a datagram and a receive", send_and_receive_run, client_receive_release},
    {"a request", request_run, request_release},
    {"a request of the server", server_request_run, server_request_release},
    {"NtAlpcConnectPort", connect_run, connect_release},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static BOOL open(struct blocked *b)
{
    return alpc_pair_open(&b->pair, ALPC_PORTFLG_ALLOW_LPC_REQUESTS, NULL);
}

static BOOL block(struct blocked *b, int index)
{
    context("%s", cases[index].name);
    b->status = STATUS_PENDING;
    return CHECK(spawn(&b->worker, cases[index].run, b), SETUP) && CHECK(still_runs(&b->worker), SETUP);
}

/* Takes what stopped threads left; a request nobody waits on any more cannot be answered. */
static void drain(HANDLE port)
{
    struct msg m;
    SIZE_T length = sizeof m;
    while (alpc_receive(port, &m, &length, NULL, 0) == STATUS_SUCCESS) {
        if ((m.h.Type & 0xFF) == LPC_REQUEST)
            CHECK(alpc_answer(port, &m) < 0, SETUP);
        length = sizeof m;
    }
}

TEST(suspended_thread_goes_on)
{
    static struct blocked b;
    NEED_ALPC;
    for (int i = 0; i < CASES; i++) {
        REQUIRE(open(&b), SETUP);
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
        alpc_pair_close(&b.pair);
    }
}

TEST(released_while_suspended)
{
    static struct blocked b;
    struct msg m;
    SIZE_T length = sizeof m;
    NEED_ALPC;
    REQUIRE(open(&b), SETUP);
    REQUIRE(block(&b, 4), SETUP);
    CHECK_EQ(SuspendThread(b.worker.thread), 0, SETUP);
    CHECK_STATUS(alpc_receive(b.pair.conn, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(alpc_answer(b.pair.conn, &m), STATUS_SUCCESS, SETUP);
    CHECK(still_runs(&b.worker), SETUP);
    CHECK_STATUS(b.status, STATUS_PENDING, SETUP);
    CHECK_EQ(ResumeThread(b.worker.thread), 1, SETUP);
    join(&b.worker);
    CHECK_STATUS(b.status, STATUS_SUCCESS, SETUP);
    alpc_pair_close(&b.pair);
}

TEST(terminated_thread_leaves_the_port_usable)
{
    static struct blocked b;
    NEED_ALPC;
    for (int i = 0; i < CASES; i++) {
        REQUIRE(open(&b), SETUP);
        for (int n = 0; n < 3; n++) {
            REQUIRE(block(&b, i), SETUP);
            CHECK(TerminateThread(b.worker.thread, 0), SETUP);
            join_killed(&b.worker);
        }
        drain(b.pair.conn);
        drain(b.pair.cli);
        REQUIRE(block(&b, i), SETUP);
        cases[i].release(&b);
        CHECK_STATUS(b.status, STATUS_SUCCESS, SETUP);
        alpc_pair_close(&b.pair);
    }
}

enum { EXITED = 7, TERMINATED = 9 };

/* Blocks a thread in a call, says so, and exits or waits to be terminated. */
ROLE(blocked)
{
    static struct blocked b;
    if (!alpc_resolve() || !open(&b) || !block(&b, (int)role_arg_number(0)))
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
    NEED_ALPC;
    for (int i = 0; i < CASES; i++)
        end_process(i, TRUE);
}

TEST(process_is_terminated_with_a_thread_inside)
{
    NEED_ALPC;
    for (int i = 0; i < CASES; i++)
        end_process(i, FALSE);
}
