/* Ports whose messages are callbacks of the thread pool: alpc §2.18, statements 331–333. */
#include "../alpc.h"

typedef void(NTAPI *alpc_callback)(PTP_CALLBACK_INSTANCE instance, PVOID context, PVOID alpc);
typedef void(NTAPI *alpc_callback_ex)(PTP_CALLBACK_INSTANCE instance, PVOID context, PVOID alpc, PVOID apc_context);

#define POOL_CALLS(X)                                                                                                  \
    X(NTSTATUS, TpAllocAlpcCompletion,                                                                                 \
      (PVOID * alpc, HANDLE port, alpc_callback callback, PVOID context, PTP_CALLBACK_ENVIRON environ))                \
    X(NTSTATUS, TpAllocAlpcCompletionEx,                                                                               \
      (PVOID * alpc, HANDLE port, alpc_callback_ex callback, PVOID context, PTP_CALLBACK_ENVIRON environ))             \
    X(void, TpReleaseAlpcCompletion, (PVOID alpc))                                                                     \
    X(void, TpWaitForAlpcCompletion, (PVOID alpc))                                                                     \
    X(void, TpAlpcRegisterCompletionList, (PVOID alpc))                                                                \
    X(void, TpAlpcUnregisterCompletionList, (PVOID alpc))                                                              \
    X(void, TpCallbackSendAlpcMessageOnCompletion,                                                                     \
      (PTP_CALLBACK_INSTANCE instance, HANDLE port, ULONG flags, PORT_MESSAGE * message))                              \
    X(void, TpCallbackSendPendingAlpcMessage, (PTP_CALLBACK_INSTANCE instance))

#define DEFINE_CALL_(result, name, args) static result(NTAPI *name) args;
POOL_CALLS(DEFINE_CALL_)
#undef DEFINE_CALL_

static BOOL resolve(void)
{
    BOOL complete = alpc_resolve();
#define RESOLVE_(result, name, args)                                                                                   \
    name = (result(NTAPI *) args)(void *)GetProcAddress(GetModuleHandleA("ntdll.dll"), #name);                         \
    if (name == NULL) {                                                                                                \
        note("ntdll.dll does not export %s", #name);                                                                   \
        complete = FALSE;                                                                                              \
    }
    POOL_CALLS(RESOLVE_)
#undef RESOLVE_
    return complete;
}
#define NEED_POOL REQUIRE(resolve(), SETUP)

/* What the callbacks of a test see and do. */
struct server {
    HANDLE port;
    HANDLE called;
    PVOID alpc;
    volatile LONG calls;
    volatile LONG messages;
    volatile LONG wrong;
    volatile LONG running;
    DWORD delay;
    void (*then)(struct server *server, PTP_CALLBACK_INSTANCE instance, struct msg *m);
};

static BOOL server_init(struct server *server, HANDLE port)
{
    memset(server, 0, sizeof *server);
    server->port = port;
    server->called = CreateEventW(NULL, FALSE, FALSE, NULL);
    return CHECK(server->called != NULL, SETUP);
}

static void serve(PTP_CALLBACK_INSTANCE instance, struct server *server, PVOID alpc)
{
    struct msg m;
    SIZE_T length = sizeof m;
    InterlockedIncrement(&server->running);
    InterlockedIncrement(&server->calls);
    if (alpc != server->alpc)
        InterlockedIncrement(&server->wrong);
    while (alpc_receive(server->port, &m, &length, NULL, 0) == STATUS_SUCCESS) {
        InterlockedIncrement(&server->messages);
        if (server->then != NULL)
            server->then(server, instance, &m);
        length = sizeof m;
    }
    Sleep(server->delay);
    InterlockedDecrement(&server->running);
    SetEvent(server->called);
}

static void NTAPI on_message(PTP_CALLBACK_INSTANCE instance, PVOID context, PVOID alpc)
{
    serve(instance, context, alpc);
}

static void NTAPI on_message_ex(PTP_CALLBACK_INSTANCE instance, PVOID context, PVOID alpc, PVOID apc_context)
{
    if (apc_context != NULL)
        InterlockedIncrement(&((struct server *)context)->wrong);
    serve(instance, context, alpc);
}

static BOOL send_datagram(HANDLE port)
{
    struct msg m;
    msg_init(&m, 8);
    return CHECK_STATUS(alpc_send(port, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, SETUP);
}

/* Waits until a count is reached. */
static BOOL reaches(volatile LONG *count, LONG wanted)
{
    for (int i = 0; i < 1000 && *count < wanted; i++)
        Sleep(5);
    return *count >= wanted;
}

TEST(callback_runs_for_a_message)
{
    struct alpc_pair p;
    struct server server;
    NEED_POOL;
    for (int ex = 0; ex < 2; ex++) {
        REQUIRE(alpc_pair_open(&p, 0, NULL) && server_init(&server, p.conn), SETUP);
        NTSTATUS status = ex == 0 ? TpAllocAlpcCompletion(&server.alpc, p.conn, on_message, &server, NULL)
                                  : TpAllocAlpcCompletionEx(&server.alpc, p.conn, on_message_ex, &server, NULL);
        REQUIRE_STATUS(status, STATUS_SUCCESS, alpc(331));
        CHECK(server.alpc != NULL, alpc(331));
        REQUIRE(send_datagram(p.cli), SETUP);
        CHECK(reaches(&server.messages, 1), alpc(331));
        CHECK_EQ(server.wrong, 0, alpc(331));
        TpWaitForAlpcCompletion(server.alpc);
        CHECK_EQ(server.running, 0, alpc(332));
        TpReleaseAlpcCompletion(server.alpc);
        CloseHandle(server.called);
        alpc_pair_close(&p);
    }
}

TEST(port_with_a_completion_port_is_refused)
{
    HANDLE port, completion = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    ALPC_PORT_ASSOCIATE_COMPLETION_PORT info = {NULL, completion};
    PVOID item = (PVOID)1;
    struct server server = {.port = NULL};
    NEED_POOL;
    REQUIRE_STATUS(NtAlpcCreatePort(&port, NULL, NULL), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(NtAlpcSetInformation(port, 2, &info, sizeof info), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(TpAllocAlpcCompletion(&item, port, on_message, &server, NULL), STATUS_PORT_ALREADY_SET, SETUP);
    CHECK_STATUS(TpAllocAlpcCompletion(&item, completion, on_message, &server, NULL), STATUS_OBJECT_TYPE_MISMATCH,
                 SETUP);
    NtClose(port);
    CloseHandle(completion);
}

TEST(wait_ends_with_the_callback)
{
    struct alpc_pair p;
    struct server server;
    NEED_POOL;
    REQUIRE(alpc_pair_open(&p, 0, NULL) && server_init(&server, p.conn), SETUP);
    server.delay = 200;
    REQUIRE_STATUS(TpAllocAlpcCompletion(&server.alpc, p.conn, on_message, &server, NULL), STATUS_SUCCESS, alpc(332));
    REQUIRE(send_datagram(p.cli), SETUP);
    CHECK(reaches(&server.messages, 1), alpc(332));
    CHECK_EQ(server.running, 1, alpc(332));
    TpWaitForAlpcCompletion(server.alpc);
    CHECK_EQ(server.running, 0, alpc(332));
    /* After the release nobody is called. */
    TpReleaseAlpcCompletion(server.alpc);
    LONG calls = server.calls;
    REQUIRE(send_datagram(p.cli), SETUP);
    Sleep(100);
    CHECK_EQ(server.calls, calls, SETUP);
    CloseHandle(server.called);
    alpc_pair_close(&p);
}

static HANDLE reply_port;

static void send_on_return(struct server *server, PTP_CALLBACK_INSTANCE instance, struct msg *m)
{
    struct msg reply = *m;
    (void)server;
    reply.data[0] = 0x99;
    TpCallbackSendAlpcMessageOnCompletion(instance, reply_port, ALPC_MSGFLG_RELEASE_MESSAGE, &reply.h);
}

static void send_now(struct server *server, PTP_CALLBACK_INSTANCE instance, struct msg *m)
{
    send_on_return(server, instance, m);
    TpCallbackSendPendingAlpcMessage(instance);
}

TEST(answers_at_the_end_of_the_callback)
{
    struct alpc_pair p;
    struct server server;
    struct msg m;
    NEED_POOL;
    for (int now = 0; now < 2; now++) {
        REQUIRE(alpc_pair_open(&p, 0, NULL) && server_init(&server, p.conn), SETUP);
        server.delay = 200;
        server.then = now ? send_now : send_on_return;
        reply_port = p.conn;
        REQUIRE_STATUS(TpAllocAlpcCompletion(&server.alpc, p.conn, on_message, &server, NULL), STATUS_SUCCESS,
                       alpc(333));
        msg_init(&m, 8);
        REQUIRE_STATUS(alpc_send(p.cli, 0, &m), STATUS_SUCCESS, alpc(333));
        CHECK(reaches(&server.messages, 1), alpc(333));
        SIZE_T length = sizeof m;
        NTSTATUS early = alpc_receive(p.cli, &m, &length, NULL, 50);
        CHECK_STATUS(early, now ? STATUS_SUCCESS : STATUS_TIMEOUT, alpc(333));
        if (!now) {
            length = sizeof m;
            CHECK_STATUS(alpc_receive(p.cli, &m, &length, NULL, 5000), STATUS_SUCCESS, alpc(333));
        }
        CHECK_EQ(m.data[0], 0x99, alpc(333));
        TpWaitForAlpcCompletion(server.alpc);
        TpReleaseAlpcCompletion(server.alpc);
        CloseHandle(server.called);
        alpc_pair_close(&p);
    }
}

static PVOID list;
static volatile LONG list_messages, list_actives;

static void NTAPI on_list(PTP_CALLBACK_INSTANCE instance, PVOID context, PVOID alpc)
{
    PORT_MESSAGE *message;
    (void)instance, (void)alpc, (void)context;
    if (((ALPC_COMPLETION_LIST_HEADER *)list)->State.ActiveThreadCount != 0)
        InterlockedIncrement(&list_actives);
    while ((message = AlpcGetMessageFromCompletionList(list, NULL)) != NULL) {
        InterlockedIncrement(&list_messages);
        AlpcFreeCompletionListMessage(list, message);
    }
}

TEST(callbacks_are_workers_of_a_list)
{
    struct alpc_pair p;
    PVOID item;
    NEED_POOL;
    list = VirtualAlloc(NULL, 0x10000, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE_STATUS(AlpcRegisterCompletionList(p.conn, list, 0x10000, 1, 0), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(TpAllocAlpcCompletion(&item, p.conn, on_list, NULL, NULL), STATUS_SUCCESS, SETUP);
    TpAlpcRegisterCompletionList(item);
    for (int i = 0; i < 300; i++)
        REQUIRE(send_datagram(p.cli), SETUP);
    CHECK(reaches(&list_messages, 300), alpc(331));
    TpWaitForAlpcCompletion(item);
    CHECK(list_actives > 0, SETUP);
    CHECK_EQ(((ALPC_COMPLETION_LIST_HEADER *)list)->State.ActiveThreadCount, 0, SETUP);
    TpAlpcUnregisterCompletionList(item);
    TpReleaseAlpcCompletion(item);
    alpc_pair_close(&p);
    VirtualFree(list, 0, MEM_RELEASE);
}
