/*
 * Measures port traffic, PE to PE: `ping server NAME CPU` and
 * `ping client NAME CPU MODE SIZE COUNT CLIENTS`.
 *
 * MODE is request, datagram, connect or view. The client prints one line: MODE SIZE COUNT nanoseconds, and for several clients
 * the fewest and the most operations of one of them.
 */
#define LPCTEST_STATIC_IMPORT
#include "../ntport.h"
#include <stdio.h>
#include <stdlib.h>

struct message {
    PORT_MESSAGE h;
    char data[MAX_DATA_LENGTH];
};

static wchar_t name_buffer[128];
static UNICODE_STRING port_name;

static void use_cpu(const char *text)
{
    int cpu = atoi(text);
    if (cpu >= 0)
        SetProcessAffinityMask(GetCurrentProcess(), (ULONG_PTR)1 << cpu);
}

static void fail(const char *what, NTSTATUS status)
{
    fprintf(stderr, "ping: %s: %08lx\n", what, (unsigned long)status);
    exit(1);
}

static int serve(void)
{
    OBJECT_ATTRIBUTES attributes = {sizeof attributes, NULL, &port_name, 0, NULL, NULL};
    HANDLE port;
    struct message m;
    PORT_MESSAGE *reply = NULL;
    char *view = NULL;
    char *private_copy = malloc(65536);
    long open = 0, opened = 0;
    NTSTATUS status = NtCreatePort(&port, &attributes, 64, MAX_TOTAL_LENGTH, 0);
    if (status)
        fail("NtCreatePort", status);
    puts("ready");
    fflush(stdout);
    for (;;) {
        status = NtReplyWaitReceivePort(port, NULL, reply, &m.h);
        if (status && reply) {
            reply = NULL;
            continue;
        }
        reply = NULL;
        if (m.h.Type == LPC_CONNECTION_REQUEST) {
            HANDLE connection;
            REMOTE_PORT_VIEW remote = {sizeof remote, 0, NULL};
            status = NtAcceptConnectPort(&connection, NULL, &m.h, TRUE, NULL, &remote);
            if (!status)
                status = NtCompleteConnectPort(connection);
            if (status)
                fail("accept", status);
            if (remote.ViewBase)
                view = remote.ViewBase;
            open++;
            opened++;
        } else if (m.h.Type == LPC_REQUEST) {
            if (view && m.data[0] == 'v')
                memcpy(private_copy, view, 65536);
            reply = &m.h;
        } else if (m.h.Type == LPC_PORT_CLOSED) {
            if (--open == 0 && opened && m.h.MessageId)
                opened = 0;
        } else if (m.h.Type == LPC_DATAGRAM && m.data[0] == 'q') {
            return 0;
        }
    }
}

static HANDLE open_port(PORT_VIEW *view)
{
    SECURITY_QUALITY_OF_SERVICE qos = {sizeof qos, SecurityImpersonation, SECURITY_STATIC_TRACKING, FALSE};
    HANDLE port;
    NTSTATUS status = NtConnectPort(&port, &port_name, &qos, view, NULL, NULL, NULL, NULL);
    if (status)
        fail("NtConnectPort", status);
    return port;
}

static void prepare(struct message *m, int size)
{
    memset(m, 0, sizeof *m);
    m->h.DataLength = (USHORT)size;
    m->h.TotalLength = (USHORT)(HEADER + size);
    memset(m->data, 'x', size);
}

static long long ticks(void)
{
    LARGE_INTEGER now;
    QueryPerformanceCounter(&now);
    return now.QuadPart;
}

static long long nanoseconds(long long from, long long to)
{
    LARGE_INTEGER frequency;
    QueryPerformanceFrequency(&frequency);
    return (long long)((double)(to - from) * 1e9 / (double)frequency.QuadPart);
}

static volatile LONG go;
static volatile LONG stop;
static LONG done[64];
static int payload;

static DWORD WINAPI one_of_many(void *which)
{
    struct message request, reply;
    HANDLE port = open_port(NULL);
    prepare(&request, payload);
    while (!go)
        Sleep(0);
    while (!stop) {
        NTSTATUS status = NtRequestWaitReplyPort(port, &request.h, &reply.h);
        if (status)
            fail("NtRequestWaitReplyPort", status);
        done[(ULONG_PTR)which]++;
    }
    NtClose(port);
    return 0;
}

static int fan_in(int clients, int milliseconds)
{
    HANDLE threads[64];
    LONG least, most;
    long long total = 0, from, to;
    for (int i = 0; i < clients; i++)
        threads[i] = CreateThread(NULL, 0, one_of_many, (void *)(ULONG_PTR)i, 0, NULL);
    Sleep(100);
    from = ticks();
    go = 1;
    Sleep(milliseconds);
    stop = 1;
    to = ticks();
    least = most = done[0];
    for (int i = 0; i < clients; i++) {
        total += done[i];
        if (done[i] < least)
            least = done[i];
        if (done[i] > most)
            most = done[i];
    }
    WaitForMultipleObjects(clients, threads, TRUE, 10000);
    printf("%lld %lld %ld %ld\n", total, nanoseconds(from, to), least, most);
    return 0;
}

int main(int argc, char **argv)
{
    struct message request, reply;
    long long from = 0, to;
    if (argc < 4)
        return 2;
    _snwprintf(name_buffer, 127, L"\\RPC Control\\ntlpc-bench-%hs", argv[2]);
    port_name.Buffer = name_buffer;
    port_name.Length = (USHORT)(wcslen(name_buffer) * 2);
    use_cpu(argv[3]);
    if (!strcmp(argv[1], "server"))
        return serve();
    if (argc < 7)
        return 2;
    payload = atoi(argv[5]);
    long count = atol(argv[6]);
    prepare(&request, payload);
    if (!strcmp(argv[4], "fan"))
        return fan_in(argc > 7 ? atoi(argv[7]) : 1, (int)count);
    if (!strcmp(argv[4], "connect")) {
        NtClose(open_port(NULL));
        from = ticks();
        for (long i = 0; i < count; i++)
            NtClose(open_port(NULL));
        to = ticks();
    } else if (!strcmp(argv[4], "quit")) {
        HANDLE port = open_port(NULL);
        request.data[0] = 'q';
        NtRequestPort(port, &request.h);
        return 0;
    } else if (!strcmp(argv[4], "datagram")) {
        HANDLE port = open_port(NULL);
        NTSTATUS status;
        from = ticks();
        for (long i = 0; i < count; i++)
            while ((status = NtRequestPort(port, &request.h)) != 0)
                if (status != STATUS_NO_MEMORY)
                    fail("NtRequestPort", status);
        NtRequestWaitReplyPort(port, &request.h, &reply.h);
        to = ticks();
        NtClose(port);
    } else {
        PORT_VIEW view = {sizeof view, NULL, 0, 65536, NULL, NULL};
        char *source = malloc(65536);
        int is_view = !strcmp(argv[4], "view");
        HANDLE port;
        if (is_view) {
            view.SectionHandle = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 65536, NULL);
            request.data[0] = 'v';
        }
        memset(source, 7, 65536);
        port = open_port(is_view ? &view : NULL);
        for (long i = -count / 20; i < count; i++) {
            NTSTATUS status;
            if (i == 0)
                from = ticks();
            if (is_view)
                memcpy(view.ViewBase, source, 65536);
            status = NtRequestWaitReplyPort(port, &request.h, &reply.h);
            if (status)
                fail("NtRequestWaitReplyPort", status);
        }
        to = ticks();
        NtClose(port);
    }
    printf("%ld %lld\n", count, nanoseconds(from, to));
    return 0;
}
