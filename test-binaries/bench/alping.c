/*
 * Measures ALPC traffic, PE to PE, as ping.c does classic traffic; scripts/bench reads what it prints.
 *
 * alping server NAME CPU                        serves until it is killed, on CPU unless that is -1; prints "ready"
 * alping client NAME CPU request SIZE LIMIT     round trips that wait for their answer
 * alping client NAME CPU message SIZE LIMIT     round trips whose answer is a message received by a call of its own
 * alping client NAME CPU window SIZE LIMIT      the same, sixteen questions under way at a time
 * alping client NAME CPU datagram SIZE LIMIT    datagrams, until the last was received
 *
 * LIMIT: see sample.h.
 */
#include "../alpc.h"
#include "sample.h"

enum { RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE, SYNC = ALPC_MSGFLG_SYNC_REQUEST, WINDOW = 16, MOST_DATA = 1024 };

#define DEFINE_CALL_(result, name, args) result(NTAPI *name) args;
ALPC_CALLS(DEFINE_CALL_)
#undef DEFINE_CALL_

struct message {
    PORT_MESSAGE h;
    char data[MOST_DATA];
};

static wchar_t name_buffer[128];
static UNICODE_STRING port_name;
static struct sample sample;
static struct message request, reply;

static void resolve(void)
{
    HMODULE ntdll = GetModuleHandleA("ntdll.dll");
#define RESOLVE_(result, name, args) name = (result(NTAPI *) args)(void *)GetProcAddress(ntdll, #name);
    ALPC_CALLS(RESOLVE_)
#undef RESOLVE_
}

static void use_cpu(const char *text)
{
    int cpu = atoi(text);
    if (cpu >= 0)
        SetProcessAffinityMask(GetCurrentProcess(), (ULONG_PTR)1 << cpu);
}

static void check(const char *what, NTSTATUS status)
{
    if (status) {
        fprintf(stderr, "alping: %s: %08lx\n", what, (unsigned long)status);
        exit(1);
    }
}

static long long sample_now(void)
{
    static LARGE_INTEGER frequency;
    LARGE_INTEGER now;
    if (!frequency.QuadPart)
        QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    return (long long)((double)now.QuadPart * 1e9 / (double)frequency.QuadPart);
}

static void serve(void)
{
    OBJECT_ATTRIBUTES attributes = {sizeof attributes, NULL, &port_name, 0, NULL, NULL};
    struct message m;
    PORT_MESSAGE *answer = NULL;
    HANDLE port, server;
    check("NtAlpcCreatePort", NtAlpcCreatePort(&port, &attributes, NULL));
    puts("ready");
    fflush(stdout);
    for (;;) {
        SIZE_T length = sizeof m;
        NTSTATUS status =
            NtAlpcSendWaitReceivePort(port, answer != NULL ? RELEASE : 0, answer, NULL, &m.h, &length, NULL, NULL);
        answer = NULL;
        if (status)
            continue;
        switch (m.h.Type & 0xFF) {
        case LPC_CONNECTION_REQUEST:
            check("NtAlpcAcceptConnectPort",
                  NtAlpcAcceptConnectPort(&server, port, 0, NULL, NULL, NULL, &m.h, NULL, TRUE));
            break;
        case LPC_REQUEST:
            answer = &m.h;
            break;
        }
    }
}

static HANDLE open_port(void)
{
    HANDLE port;
    check("NtAlpcConnectPort",
          NtAlpcConnectPort(&port, &port_name, NULL, NULL, SYNC, NULL, NULL, NULL, NULL, NULL, NULL));
    return port;
}

static void round_trip(HANDLE port)
{
    SIZE_T length = sizeof reply;
    check("NtAlpcSendWaitReceivePort",
          NtAlpcSendWaitReceivePort(port, SYNC, &request.h, NULL, &reply.h, &length, NULL, NULL));
}

static NTSTATUS ask(HANDLE port, ULONG flags)
{
    return NtAlpcSendWaitReceivePort(port, flags, &request.h, NULL, NULL, NULL, NULL, NULL);
}

static void be_answered(HANDLE port)
{
    SIZE_T length = sizeof reply;
    check("NtAlpcSendWaitReceivePort",
          NtAlpcSendWaitReceivePort(port, 0, NULL, NULL, &reply.h, &length, NULL, NULL));
}

static void messages(HANDLE port, const char *limit, int window)
{
    for (int i = 1; i < window; i++)
        check("NtAlpcSendWaitReceivePort", ask(port, 0));
    for (sample_begin(&sample, limit, 128); sample_next(&sample);) {
        check("NtAlpcSendWaitReceivePort", ask(port, 0));
        be_answered(port);
    }
}

static void datagrams(HANDLE port, const char *limit)
{
    for (sample_begin(&sample, limit, 1024); sample_next(&sample);) {
        NTSTATUS status;
        while ((status = ask(port, RELEASE)) == STATUS_NO_MEMORY)
            Sleep(0);
        check("NtAlpcSendWaitReceivePort", status);
    }
    round_trip(port);
    sample.end = sample_now();
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    resolve();
    _snwprintf(name_buffer, 127, L"\\RPC Control\\ntlpc-bench-%hs", argv[2]);
    port_name.Buffer = name_buffer;
    port_name.Length = (USHORT)(wcslen(name_buffer) * 2);
    use_cpu(argv[3]);
    if (!strcmp(argv[1], "server"))
        serve();
    if (argc < 7)
        return 2;
    const char *mode = argv[4], *limit = argv[6];
    int size = atoi(argv[5]);
    if (size < 0 || size > MOST_DATA)
        return 2;
    request.h.DataLength = (USHORT)size;
    request.h.TotalLength = (USHORT)(HEADER + size);
    memset(request.data, 'x', size);
    HANDLE port = open_port();
    if (!strcmp(mode, "request"))
        for (sample_begin(&sample, limit, 128); sample_next(&sample);)
            round_trip(port);
    else if (!strcmp(mode, "message"))
        messages(port, limit, 1);
    else if (!strcmp(mode, "window"))
        messages(port, limit, WINDOW);
    else if (!strcmp(mode, "datagram"))
        datagrams(port, limit);
    else
        return 2;
    sample_print(&sample);
    return 0;
}
