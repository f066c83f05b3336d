/*
 * What Wine has in the place of ports, PE to PE; scripts/bench reads what it prints.
 *
 * peers server NAME CPU pipe|events             serves until it is killed, on CPU unless that is -1; prints "ready"
 * peers client NAME CPU pipe|events SIZE LIMIT  round trips: a pipe in message mode, or a section and two events
 * peers alone CPU one|several LIMIT             waits on one signalled event, or on one of two
 * peers waitable NAME                           makes a waitable port, prints "ready" and keeps it until stdin ends
 *
 * LIMIT and output: see sample.h.
 */
#define LPCTEST_STATIC_IMPORT
#include "../ntport.h"
#include "sample.h"

enum { MOST = 4096 };

static char buffer[MOST];
static struct sample sample;

static void use_cpu(const char *text)
{
    int cpu = atoi(text);
    if (cpu >= 0)
        SetProcessAffinityMask(GetCurrentProcess(), (ULONG_PTR)1 << cpu);
}

static void check(const char *what, BOOL is_true)
{
    if (!is_true) {
        fprintf(stderr, "peers: %s: error %lu\n", what, GetLastError());
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

static char *named(const char *kind, const char *name)
{
    static char names[4][128];
    static int next;
    char *text = names[next++ % 4];
    snprintf(text, sizeof names[0], "%s%s", kind, name);
    return text;
}

static void serve_pipe(const char *name)
{
    DWORD size;
    HANDLE pipe = CreateNamedPipeA(named("\\\\.\\pipe\\ntlpc-", name), PIPE_ACCESS_DUPLEX,
                                   PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE, 1, MOST, MOST, 0, NULL);
    check("CreateNamedPipe", pipe != INVALID_HANDLE_VALUE);
    say("ready");
    check("ConnectNamedPipe", ConnectNamedPipe(pipe, NULL) || GetLastError() == ERROR_PIPE_CONNECTED);
    while (ReadFile(pipe, buffer, MOST, &size, NULL))
        check("WriteFile", WriteFile(pipe, buffer, size, &size, NULL));
}

static void ask_pipe(const char *name, DWORD length, const char *limit)
{
    DWORD size, mode = PIPE_READMODE_MESSAGE;
    HANDLE pipe = CreateFileA(named("\\\\.\\pipe\\ntlpc-", name), GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0,
                              NULL);
    check("CreateFile", pipe != INVALID_HANDLE_VALUE && SetNamedPipeHandleState(pipe, &mode, NULL, NULL));
    for (sample_begin(&sample, limit, 64); sample_next(&sample);) {
        check("WriteFile", WriteFile(pipe, buffer, length, &size, NULL));
        check("ReadFile", ReadFile(pipe, buffer, MOST, &size, NULL) && size == length);
    }
    sample_print(&sample);
}

struct shared {
    HANDLE there, back;
    struct {
        DWORD size;
        char data[MOST];
    } *memory;
};

static struct shared share(const char *name)
{
    struct shared s;
    HANDLE section = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, sizeof *s.memory, named("m-", name));
    s.there = CreateEventA(NULL, FALSE, FALSE, named("t-", name));
    s.back = CreateEventA(NULL, FALSE, FALSE, named("b-", name));
    check("section and events", section && s.there && s.back);
    s.memory = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    check("MapViewOfFile", s.memory != NULL);
    return s;
}

static void serve_events(const char *name)
{
    struct shared s = share(name);
    say("ready");
    while (WaitForSingleObject(s.there, INFINITE) == WAIT_OBJECT_0) {
        memcpy(buffer, s.memory->data, s.memory->size);
        memcpy(s.memory->data, buffer, s.memory->size);
        SetEvent(s.back);
    }
}

static void ask_events(const char *name, DWORD length, const char *limit)
{
    struct shared s = share(name);
    s.memory->size = length;
    for (sample_begin(&sample, limit, 64); sample_next(&sample);) {
        memcpy(s.memory->data, buffer, length);
        SetEvent(s.there);
        check("wait", WaitForSingleObject(s.back, INFINITE) == WAIT_OBJECT_0);
        memcpy(buffer, s.memory->data, length);
    }
    sample_print(&sample);
}

static void wait_alone(BOOL several, const char *limit)
{
    HANDLE events[2] = {CreateEventA(NULL, TRUE, FALSE, NULL), CreateEventA(NULL, TRUE, TRUE, NULL)};
    for (sample_begin(&sample, limit, 64); sample_next(&sample);) {
        DWORD result = several ? WaitForMultipleObjects(2, events, FALSE, INFINITE) : WaitForSingleObject(events[1], INFINITE);
        check("wait", result == (several ? WAIT_OBJECT_0 + 1 : WAIT_OBJECT_0));
    }
    sample_print(&sample);
}

static void keep_waitable(const char *name)
{
    static wchar_t wide[128];
    UNICODE_STRING string = {0, sizeof wide, wide};
    OBJECT_ATTRIBUTES attributes = {sizeof attributes, NULL, &string, 0, NULL, NULL};
    HANDLE port;
    string.Length = (USHORT)(2 * _snwprintf(wide, 127, L"\\RPC Control\\ntlpc-bench-%hs", name));
    check("NtCreateWaitablePort", NtCreateWaitablePort(&port, &attributes, 0, 0x100, 0) == 0);
    say("ready");
    getchar();
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "alone")) {
        use_cpu(argv[2]);
        wait_alone(!strcmp(argv[3], "several"), argv[4]);
    } else if (argc == 3 && !strcmp(argv[1], "waitable")) {
        keep_waitable(argv[2]);
    } else if (argc == 5 && !strcmp(argv[1], "server")) {
        use_cpu(argv[3]);
        (!strcmp(argv[4], "pipe") ? serve_pipe : serve_events)(argv[2]);
    } else if (argc == 7 && !strcmp(argv[1], "client") && atoi(argv[5]) <= MOST) {
        use_cpu(argv[3]);
        (!strcmp(argv[4], "pipe") ? ask_pipe : ask_events)(argv[2], atoi(argv[5]), argv[6]);
    } else {
        return 2;
    }
    return 0;
}
