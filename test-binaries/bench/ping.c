/*
 * Measures port traffic, PE to PE; scripts/bench reads what it prints.
 *
 * ping server NAME CPU                  serves until it is killed, on CPU unless that is -1; prints "ready"
 * ping client NAME CPU request SIZE LIMIT       round trips
 * ping client NAME CPU view SIZE LIMIT          round trips that carry 64 KiB in a view
 * ping client NAME CPU datagram SIZE LIMIT      datagrams, until the last was received
 * ping client NAME CPU connect SIZE LIMIT       connections made and closed
 * ping client NAME CPU fan SIZE LIMIT CLIENTS   round trips of several threads, each with its own connection
 * ping client NAME CPU idle SIZE LIMIT          makes that many connections, prints "ready", round trips on the last
 * ping client NAME CPU ports SIZE LIMIT         the same with so many ports of its own and one connection
 *
 * LIMIT: see sample.h. `fan` prints operations, nanoseconds, and the fewest and most operations of a client.
 */
#define LPCTEST_STATIC_IMPORT
#include "../ntport.h"
#include "sample.h"

struct message {
    PORT_MESSAGE h;
    char data[MAX_DATA_LENGTH];
};

enum { VIEW_SIZE = 65536, MOST_CLIENTS = 64 };

static wchar_t name_buffer[128];
static UNICODE_STRING port_name;

static void use_cpu(const char *text)
{
    int cpu = atoi(text);
    if (cpu >= 0)
        SetProcessAffinityMask(GetCurrentProcess(), (ULONG_PTR)1 << cpu);
}

static void check(const char *what, NTSTATUS status)
{
    if (status) {
        fprintf(stderr, "ping: %s: %08lx\n", what, (unsigned long)status);
        exit(1);
    }
}

static void say(const char *word)
{
    puts(word);
    fflush(stdout);
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

/* What the server keeps of a connection: its PortContext. */
struct connection {
    HANDLE port;
    char *view;
};

static void accept_connection(struct message *m)
{
    struct connection *connection = calloc(1, sizeof *connection);
    REMOTE_PORT_VIEW remote = {sizeof remote, 0, NULL};
    check("NtAcceptConnectPort", NtAcceptConnectPort(&connection->port, connection, &m->h, TRUE, NULL, &remote));
    connection->view = remote.ViewBase;
    check("NtCompleteConnectPort", NtCompleteConnectPort(connection->port));
}

static void serve(void)
{
    OBJECT_ATTRIBUTES attributes = {sizeof attributes, NULL, &port_name, 0, NULL, NULL};
    HANDLE port;
    struct message m;
    PORT_MESSAGE *reply = NULL;
    char *private_copy = malloc(VIEW_SIZE);
    check("NtCreatePort", NtCreatePort(&port, &attributes, 64, MAX_TOTAL_LENGTH, 0));
    say("ready");
    for (;;) {
        struct connection *connection = NULL;
        NTSTATUS status = NtReplyWaitReceivePort(port, (void **)&connection, reply, &m.h);
        reply = NULL;
        if (status)
            continue;
        switch (m.h.Type) {
        case LPC_CONNECTION_REQUEST:
            accept_connection(&m);
            break;
        case LPC_REQUEST:
            if (connection->view)
                memcpy(private_copy, connection->view, VIEW_SIZE);
            reply = &m.h;
            break;
        case LPC_PORT_CLOSED:
            NtClose(connection->port);
            free(connection);
            break;
        }
    }
}

static HANDLE open_port(PORT_VIEW *view)
{
    SECURITY_QUALITY_OF_SERVICE qos = {sizeof qos, SecurityImpersonation, SECURITY_STATIC_TRACKING, FALSE};
    HANDLE port;
    check("NtConnectPort", NtConnectPort(&port, &port_name, &qos, view, NULL, NULL, NULL, NULL));
    return port;
}

static void prepare(struct message *m, int size)
{
    memset(m, 0, sizeof *m);
    m->h.DataLength = (USHORT)size;
    m->h.TotalLength = (USHORT)(HEADER + size);
    memset(m->data, 'x', size);
}

static struct sample sample;
static struct message request, reply;

static void round_trip(HANDLE port)
{
    check("NtRequestWaitReplyPort", NtRequestWaitReplyPort(port, &request.h, &reply.h));
}

static void round_trips(const char *limit)
{
    HANDLE port = open_port(NULL);
    for (sample_begin(&sample, limit, 128); sample_next(&sample);)
        round_trip(port);
    sample_print(&sample);
}

static void views(const char *limit)
{
    PORT_VIEW view = {sizeof view, NULL, 0, VIEW_SIZE, NULL, NULL};
    char *source = malloc(VIEW_SIZE);
    HANDLE port;
    view.SectionHandle = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, VIEW_SIZE, NULL);
    memset(source, 7, VIEW_SIZE);
    port = open_port(&view);
    for (sample_begin(&sample, limit, 16); sample_next(&sample);) {
        memcpy(view.ViewBase, source, VIEW_SIZE);
        round_trip(port);
    }
    sample_print(&sample);
}

static void datagrams(const char *limit)
{
    HANDLE port = open_port(NULL);
    for (sample_begin(&sample, limit, 1024); sample_next(&sample);) {
        NTSTATUS status;
        while ((status = NtRequestPort(port, &request.h)) == STATUS_NO_MEMORY)
            Sleep(0);
        check("NtRequestPort", status);
    }
    round_trip(port);
    sample.end = sample_now();
    sample_print(&sample);
}

static void connections(const char *limit)
{
    for (sample_begin(&sample, limit, 8); sample_next(&sample);)
        NtClose(open_port(NULL));
    sample_print(&sample);
}

/* Waits for a line, so that the caller can look at the memory, then does round trips. */
static void measure_beside(HANDLE port)
{
    say("ready");
    getchar();
    for (sample_begin(&sample, "100ms", 128); sample_next(&sample);)
        round_trip(port);
    sample_print(&sample);
}

static void idle_connections(const char *limit)
{
    HANDLE port = NULL;
    for (long left = atol(limit); left > 0; left--) {
        port = open_port(NULL);
        round_trip(port);
    }
    measure_beside(port);
}

static void idle_ports(const char *limit)
{
    OBJECT_ATTRIBUTES attributes = {sizeof attributes, NULL, NULL, 0, NULL, NULL};
    HANDLE port;
    for (long left = atol(limit); left > 0; left--)
        check("NtCreatePort", NtCreatePort(&port, &attributes, 64, MAX_TOTAL_LENGTH, 0));
    port = open_port(NULL);
    round_trip(port);
    measure_beside(port);
}

static volatile LONG connected, go, stop;
static LONG done[MOST_CLIENTS];

static DWORD WINAPI one_of_many(void *which)
{
    struct message own = request, answer;
    HANDLE port = open_port(NULL);
    InterlockedIncrement(&connected);
    while (!go)
        Sleep(1);
    while (!stop) {
        check("NtRequestWaitReplyPort", NtRequestWaitReplyPort(port, &own.h, &answer.h));
        done[(ULONG_PTR)which]++;
    }
    NtClose(port);
    return 0;
}

static void fan_in(const char *limit, int clients)
{
    HANDLE threads[MOST_CLIENTS];
    LONG least = 0x7fffffff, most = 0;
    long long total = 0, from, to;
    if (clients < 1 || clients > MOST_CLIENTS)
        exit(2);
    for (int i = 0; i < clients; i++)
        threads[i] = CreateThread(NULL, 0, one_of_many, (void *)(ULONG_PTR)i, 0, NULL);
    while (connected < clients)
        Sleep(1);
    from = sample_now();
    go = 1;
    Sleep(atoi(limit));
    stop = 1;
    to = sample_now();
    for (int i = 0; i < clients; i++) {
        total += done[i];
        least = done[i] < least ? done[i] : least;
        most = done[i] > most ? done[i] : most;
    }
    WaitForMultipleObjects(clients, threads, TRUE, 10000);
    printf("%lld %lld %ld %ld\n", total, to - from, least, most);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    _snwprintf(name_buffer, 127, L"\\RPC Control\\ntlpc-bench-%hs", argv[2]);
    port_name.Buffer = name_buffer;
    port_name.Length = (USHORT)(wcslen(name_buffer) * 2);
    use_cpu(argv[3]);
    if (!strcmp(argv[1], "server"))
        serve();
    if (argc < 7)
        return 2;
    const char *mode = argv[4], *limit = argv[6];
    prepare(&request, atoi(argv[5]));
    if (!strcmp(mode, "request"))
        round_trips(limit);
    else if (!strcmp(mode, "view"))
        views(limit);
    else if (!strcmp(mode, "datagram"))
        datagrams(limit);
    else if (!strcmp(mode, "connect"))
        connections(limit);
    else if (!strcmp(mode, "idle"))
        idle_connections(limit);
    else if (!strcmp(mode, "ports"))
        idle_ports(limit);
    else if (!strcmp(mode, "fan"))
        fan_in(limit, argc > 7 ? atoi(argv[7]) : 1);
    else
        return 2;
    return 0;
}
