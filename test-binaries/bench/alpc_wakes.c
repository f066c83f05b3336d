/*
 * Counts what a server's way of receiving costs: run under `strace -c -f -e trace=futex,futex_waitv`, see docs/alpc.md.
 *
 * alpc_wakes receive|packets|list MESSAGES THREADS WINDOW
 *
 * One client thread keeps up to WINDOW requests unanswered; the server has THREADS threads:
 *
 * receive   blocked in NtAlpcSendWaitReceivePort
 * packets   waiting for packets of an I/O completion port, then receiving until there is nothing
 * list      workers of a completion list of concurrency 1, blocked in NtAlpcSendWaitReceivePort while it is empty
 *
 * Prints messages, nanoseconds, and how often a thread of the server had to wait.
 */
#define WIN32_LEAN_AND_MEAN
#include <stdio.h>
#include <stdlib.h>
#include "../alpc.h"

enum { DATA = 64, LIST_SIZE = 0x40000 };

#undef DECLARE_CALL_
#define DEFINE_CALL_(result, name, args) result(NTAPI *name) args;
ALPC_CALLS(DEFINE_CALL_)
ALPC_HELPERS(DEFINE_CALL_)

struct message {
    PORT_MESSAGE h;
    char data[DATA];
};

static HANDLE conn, cli, completion;
static PVOID list;
static long messages, window;
static volatile long waits;

static void check(const char *what, NTSTATUS status)
{
    if (status != 0) {
        fprintf(stderr, "alpc_wakes: %s: %08lx\n", what, (unsigned long)status);
        exit(1);
    }
}

static void resolve(void)
{
    HMODULE ntdll = GetModuleHandleA("ntdll.dll");
#define RESOLVE_(result, name, args) name = (result(NTAPI *) args)(void *)GetProcAddress(ntdll, #name);
    ALPC_CALLS(RESOLVE_)
    ALPC_HELPERS(RESOLVE_)
}

static void answer(const PORT_MESSAGE *request)
{
    struct message reply;
    memcpy(&reply, request, sizeof reply);
    check("reply", NtAlpcSendWaitReceivePort(conn, ALPC_MSGFLG_RELEASE_MESSAGE, &reply.h, NULL, NULL, NULL, NULL,
                                             NULL));
}

static NTSTATUS receive(HANDLE port, struct message *m, BOOL waits_for_it)
{
    LARGE_INTEGER now = {.QuadPart = 0};
    SIZE_T length = sizeof *m;
    return NtAlpcSendWaitReceivePort(port, 0, NULL, NULL, &m->h, &length, NULL, waits_for_it ? NULL : &now);
}

static DWORD WINAPI serve_receive(void *unused)
{
    struct message m;
    (void)unused;
    for (;;) {
        if (receive(conn, &m, FALSE) != 0) {
            InterlockedIncrement(&waits);
            check("receive", receive(conn, &m, TRUE));
        }
        answer(&m.h);
    }
    return 0;
}

static DWORD WINAPI serve_packets(void *unused)
{
    (void)unused;
    for (;;) {
        struct message m;
        DWORD bytes;
        ULONG_PTR key;
        OVERLAPPED *overlapped;
        if (!GetQueuedCompletionStatus(completion, &bytes, &key, &overlapped, 0)) {
            InterlockedIncrement(&waits);
            GetQueuedCompletionStatus(completion, &bytes, &key, &overlapped, INFINITE);
        }
        while (receive(conn, &m, FALSE) == 0)
            answer(&m.h);
    }
    return 0;
}

static DWORD WINAPI serve_list(void *unused)
{
    (void)unused;
    for (;;) {
        PORT_MESSAGE *m;
        struct message other;
        AlpcRegisterCompletionListWorkerThread(list);
        do {
            while ((m = AlpcGetMessageFromCompletionList(list, NULL)) != NULL) {
                answer(m);
                AlpcFreeCompletionListMessage(list, m);
            }
        } while (!AlpcUnregisterCompletionListWorkerThread(list));
        InterlockedIncrement(&waits);
        receive(conn, &other, TRUE);
    }
    return 0;
}

static void connect(void)
{
    static WCHAR name[] = L"\\RPC Control\\alpc_wakes";
    UNICODE_STRING string = {sizeof name - 2, sizeof name, name};
    OBJECT_ATTRIBUTES oa = {sizeof oa, NULL, &string, 0x40, NULL, NULL};
    ALPC_PORT_ATTRIBUTES attributes = {.SecurityQos = {sizeof(SECURITY_QUALITY_OF_SERVICE), SecurityImpersonation, 0, 0},
                                       .MaxMessageLength = 0x400};
    struct message m;
    HANDLE srv;
    check("create", NtAlpcCreatePort(&conn, &oa, &attributes));
    check("connect", NtAlpcConnectPort(&cli, &string, NULL, &attributes, 0, NULL, NULL, NULL, NULL, NULL, NULL));
    check("listen", receive(conn, &m, TRUE));
    check("accept", NtAlpcAcceptConnectPort(&srv, conn, 0, NULL, NULL, NULL, &m.h, NULL, TRUE));
    check("accepted", receive(cli, &m, TRUE));
}

int main(int argc, char **argv)
{
    LARGE_INTEGER start, end, frequency;
    LPTHREAD_START_ROUTINE serve = serve_receive;
    if (argc < 5)
        return 2;
    messages = atol(argv[2]);
    window = atol(argv[4]);
    resolve();
    connect();
    if (strcmp(argv[1], "packets") == 0) {
        completion = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
        ALPC_PORT_ASSOCIATE_COMPLETION_PORT info = {(PVOID)1, completion};
        check("associate", NtAlpcSetInformation(conn, 2, &info, sizeof info));
        serve = serve_packets;
    } else if (strcmp(argv[1], "list") == 0) {
        list = VirtualAlloc(NULL, LIST_SIZE, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
        check("register", AlpcRegisterCompletionList(conn, list, LIST_SIZE, 1, 0));
        serve = serve_list;
    }
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&start);
    for (int i = 0; i < atoi(argv[3]); i++)
        CloseHandle(CreateThread(NULL, 0, serve, NULL, 0, NULL));
    long sent = 0, answered = 0;
    while (answered < messages) {
        struct message m = {.h = {.DataLength = DATA, .TotalLength = sizeof m}};
        while (sent < messages && sent - answered < window) {
            check("send", NtAlpcSendWaitReceivePort(cli, 0, &m.h, NULL, NULL, NULL, NULL, NULL));
            sent++;
        }
        check("answer", receive(cli, &m, TRUE));
        answered++;
        while (receive(cli, &m, FALSE) == 0)
            answered++;
    }
    QueryPerformanceCounter(&end);
    printf("%ld %.0f %ld\n", messages, (double)(end.QuadPart - start.QuadPart) * 1e9 / (double)frequency.QuadPart,
           (long)waits);
    return 0;
}
