/* The harness declared in lpctest.h: registration, checks, watchdog, threads and processes of a test. */
#include "../lpctest.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TESTS = 64, MAX_ROLES = 16, MAX_CITES = 64, MAX_THREADS = 256, MAX_CHILDREN = 64, LINE = 512 };

struct test {
    int line;
    const char *name;
    test_fn *run;
};

struct role {
    const char *name;
    role_fn *run;
};

/* What one test showed about one statement. */
struct result {
    int cite;
    int failed;
};

/* What a thread is in, for the watchdog and for failure messages. */
struct activity {
    DWORD tid; /* 0: free */
    const char *file;
    int line;
    const char *text;
    char context[160];
};

static struct test tests[MAX_TESTS];
static int test_count;
static struct role roles[MAX_ROLES];
static int role_count;

static CRITICAL_SECTION lock; /* guards everything below */
static struct result results[MAX_CITES];
static int result_count;
static int test_failures;
static const char *test_name = "";
static struct activity activities[MAX_THREADS];
static HANDLE workers[MAX_THREADS];
static HANDLE children[MAX_CHILDREN];

static HANDLE test_over; /* auto-reset: the watchdog starts a new period */
static DWORD timeout_ms = 30000;
static char **role_args;
static int role_arg_count;
static ULONG seed = 20040805;
static BOOL needs_ports = TRUE;

static void print_line(const char *format, va_list args)
{
    char text[LINE];
    int length = vsnprintf(text, sizeof text - 1, format, args);
    if (length < 0 || length > (int)sizeof text - 2)
        length = (int)sizeof text - 2;
    text[length++] = '\n';
    fwrite(text, 1, (size_t)length, stdout);
    fflush(stdout);
}

__attribute__((format(printf, 1, 2))) static void print(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_line(format, args);
    va_end(args);
}

void note(const char *format, ...)
{
    char with_mark[LINE] = "# ";
    strncat(with_mark, format, sizeof with_mark - 3);
    va_list args;
    va_start(args, format);
    EnterCriticalSection(&lock);
    print_line(with_mark, args);
    LeaveCriticalSection(&lock);
    va_end(args);
}

static const char *cite_text(int cite, char text[24])
{
    if (cite == SETUP)
        return "-";
    _snprintf(text, 24, "%s#%d", cite & 0x10000 ? "alpc" : "lpc", cite & 0xFFFF);
    return text;
}

const char *status_name(NTSTATUS status)
{
#define NAME(s)                                                                                                        \
    case s:                                                                                                            \
        return #s;
    switch ((ULONG)status) {
        NAME(STATUS_SUCCESS)
        NAME(STATUS_TIMEOUT)
        NAME(STATUS_PENDING)
        NAME(STATUS_DATATYPE_MISALIGNMENT)
        NAME(STATUS_PARTIAL_COPY)
        NAME(STATUS_UNSUCCESSFUL)
        NAME(STATUS_NOT_IMPLEMENTED)
        NAME(STATUS_INVALID_INFO_CLASS)
        NAME(STATUS_INFO_LENGTH_MISMATCH)
        NAME(STATUS_ACCESS_VIOLATION)
        NAME(STATUS_INVALID_HANDLE)
        NAME(STATUS_INVALID_CID)
        NAME(STATUS_INVALID_PARAMETER)
        NAME(STATUS_NO_MEMORY)
        NAME(STATUS_ACCESS_DENIED)
        NAME(STATUS_BUFFER_TOO_SMALL)
        NAME(STATUS_OBJECT_TYPE_MISMATCH)
        NAME(STATUS_PORT_MESSAGE_TOO_LONG)
        NAME(STATUS_OBJECT_NAME_INVALID)
        NAME(STATUS_OBJECT_NAME_NOT_FOUND)
        NAME(STATUS_OBJECT_NAME_COLLISION)
        NAME(STATUS_PORT_DISCONNECTED)
        NAME(STATUS_OBJECT_PATH_INVALID)
        NAME(STATUS_OBJECT_PATH_NOT_FOUND)
        NAME(STATUS_OBJECT_PATH_SYNTAX_BAD)
        NAME(STATUS_PORT_CONNECTION_REFUSED)
        NAME(STATUS_INVALID_PORT_HANDLE)
        NAME(STATUS_PORT_ALREADY_SET)
        NAME(STATUS_THREAD_IS_TERMINATING)
        NAME(STATUS_PRIVILEGE_NOT_HELD)
        NAME(STATUS_INVALID_SID)
        NAME(STATUS_INSUFFICIENT_RESOURCES)
        NAME(STATUS_BAD_IMPERSONATION_LEVEL)
        NAME(STATUS_CANT_OPEN_ANONYMOUS)
        NAME(STATUS_NOT_SUPPORTED)
        NAME(STATUS_INVALID_PARAMETER_3)
        NAME(STATUS_INVALID_PARAMETER_4)
        NAME(STATUS_REPLY_MESSAGE_MISMATCH)
        NAME(STATUS_MAPPED_ALIGNMENT)
        NAME(STATUS_CANCELLED)
        NAME(STATUS_LPC_REPLY_LOST)
        NAME(STATUS_SERVER_SID_MISMATCH)
    default:
        return "status";
    }
#undef NAME
}

void register_test_(int line, const char *name, test_fn *run)
{
    int at = test_count++;
    for (; at > 0 && tests[at - 1].line > line; at--)
        tests[at] = tests[at - 1];
    tests[at] = (struct test){line, name, run};
}

void register_role_(const char *name, role_fn *run)
{
    roles[role_count++] = (struct role){name, run};
}

void without_ports_(void)
{
    needs_ports = FALSE;
}

/* Returns the calling thread's entry; the lock is held. */
static struct activity *own_activity_locked(void)
{
    DWORD tid = GetCurrentThreadId();
    struct activity *unused = NULL;
    for (int i = 0; i < MAX_THREADS; i++) {
        if (activities[i].tid == tid)
            return &activities[i];
        if (activities[i].tid == 0 && unused == NULL)
            unused = &activities[i];
    }
    if (unused == NULL) {
        print("# more than %d threads", MAX_THREADS);
        ExitProcess(EXIT_ABANDONED);
    }
    memset(unused, 0, sizeof *unused);
    unused->tid = tid;
    return unused;
}

static const char *base_name(const char *file)
{
    return strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
}

void doing_(const char *file, int line, const char *text)
{
    EnterCriticalSection(&lock);
    struct activity *activity = own_activity_locked();
    activity->file = base_name(file);
    activity->line = line;
    activity->text = text;
    LeaveCriticalSection(&lock);
}

void context(const char *format, ...)
{
    EnterCriticalSection(&lock);
    struct activity *activity = own_activity_locked();
    activity->context[0] = 0;
    if (format != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(activity->context, sizeof activity->context - 1, format, args);
        va_end(args);
    }
    LeaveCriticalSection(&lock);
}

/* Records a check of the calling thread and returns `held`; prints what differs where it does not hold. */
static BOOL record(struct site site, BOOL held, int cite, const char *difference)
{
    EnterCriticalSection(&lock);
    struct activity *activity = own_activity_locked();
    if (!held) {
        char name[24];
        test_failures++;
        print("# %s:%d: %s: %s%s%s [%s]", base_name(site.file), site.line, test_name, difference,
              activity->context[0] ? " with " : "", activity->context, cite_text(cite, name));
    }
    activity->text = NULL;
    int i = 0;
    while (i < result_count && results[i].cite != cite)
        i++;
    if (i == result_count && result_count < MAX_CITES)
        results[result_count++] = (struct result){cite, 0};
    if (i < MAX_CITES && !held)
        results[i].failed++;
    LeaveCriticalSection(&lock);
    return held;
}

BOOL check_(struct site site, BOOL held, int cite)
{
    return record(site, held, cite, site.text);
}

BOOL check_status_(struct site site, NTSTATUS got, NTSTATUS want, int cite)
{
    char text[320] = "";
    if (got != want)
        _snprintf(text, sizeof text - 1, "%.160s = %s (0x%08lx), want %s (0x%08lx)", site.text, status_name(got),
                  (ULONG)got, status_name(want), (ULONG)want);
    return record(site, got == want, cite, text);
}

BOOL check_eq_(struct site site, ULONG64 got, ULONG64 want, int cite)
{
    char text[320] = "";
    if (got != want)
        _snprintf(text, sizeof text - 1, "%.160s = 0x%lx%08lx, want 0x%lx%08lx", site.text, (ULONG)(got >> 32),
                  (ULONG)got, (ULONG)(want >> 32), (ULONG)want);
    return record(site, got == want, cite, text);
}

void skip(int cite, const char *reason)
{
    char name[24];
    print("skip %s %s: %s", cite_text(cite, name), test_name, reason);
}

/* Prints the statement lines of the test or role that ends. */
static void print_results(void)
{
    EnterCriticalSection(&lock);
    for (int i = 0; i < result_count; i++) {
        char name[24];
        if (results[i].cite != SETUP || results[i].failed)
            print("%s %s %s", results[i].failed ? "FAIL" : "ok", cite_text(results[i].cite, name), test_name);
    }
    LeaveCriticalSection(&lock);
}

/* Ends the process and its children at once, after telling what every thread is in. */
static void stop(const char *why, UINT exit_code)
{
    print("# %s: %s", test_name, why);
    for (int i = 0; i < MAX_THREADS; i++) {
        struct activity *a = &activities[i];
        if (a->tid != 0 && a->text != NULL)
            print("#   thread %04lx is in %s (%s:%d)%s%s", a->tid, a->text, a->file, a->line,
                  a->context[0] ? " with " : "", a->context);
    }
    for (int i = 0; i < result_count; i++) {
        char name[24];
        if (results[i].failed)
            print("FAIL %s %s", cite_text(results[i].cite, name), test_name);
    }
    print("FAIL - %s", test_name);
    for (int i = 0; i < MAX_CHILDREN; i++)
        if (children[i] != NULL)
            TerminateProcess(children[i], exit_code);
    TerminateProcess(GetCurrentProcess(), exit_code);
}

static DWORD WINAPI watchdog(LPVOID unused)
{
    (void)unused;
    while (WaitForSingleObject(test_over, timeout_ms) == WAIT_OBJECT_0)
        ;
    stop("hangs", EXIT_HANG);
    return 0;
}

void abandon_if_threads_remain_(void)
{
    for (int i = 0; i < MAX_THREADS; i++)
        if (workers[i] != NULL && WaitForSingleObject(workers[i], 0) == WAIT_TIMEOUT)
            stop("gave up with threads inside calls", EXIT_ABANDONED);
}

static DWORD WINAPI worker_main(LPVOID arg)
{
    struct worker *worker = arg;
    worker->run(worker->arg);
    EnterCriticalSection(&lock);
    own_activity_locked()->tid = 0;
    LeaveCriticalSection(&lock);
    return 0;
}

BOOL spawn(struct worker *worker, void (*run)(void *), void *arg)
{
    worker->run = run;
    worker->arg = arg;
    worker->thread = CreateThread(NULL, 0, worker_main, worker, 0, &worker->tid);
    if (!CHECK(worker->thread != NULL, SETUP))
        return FALSE;
    EnterCriticalSection(&lock);
    int i = 0;
    while (workers[i] != NULL)
        i++;
    workers[i] = worker->thread;
    LeaveCriticalSection(&lock);
    return TRUE;
}

void join(struct worker *worker)
{
    CHECK_EQ(WaitForSingleObject(worker->thread, INFINITE), WAIT_OBJECT_0, SETUP);
    EnterCriticalSection(&lock);
    for (int i = 0; i < MAX_THREADS; i++)
        if (workers[i] == worker->thread)
            workers[i] = NULL;
    LeaveCriticalSection(&lock);
    CloseHandle(worker->thread);
    worker->thread = NULL;
}

void join_killed(struct worker *worker)
{
    DWORD tid = worker->tid;
    join(worker);
    EnterCriticalSection(&lock);
    for (int i = 0; i < MAX_THREADS; i++)
        if (activities[i].tid == tid)
            activities[i].tid = 0;
    LeaveCriticalSection(&lock);
}

BOOL still_runs(struct worker *worker)
{
    return WaitForSingleObject(worker->thread, 100) == WAIT_TIMEOUT;
}

static void append(WCHAR *line, int *length, const char *text)
{
    while (*text != 0 && *length < 1020)
        line[(*length)++] = (UCHAR)*text++;
}

WCHAR *child_environment;
DWORD child_flags;

BOOL child_start(struct child *child, const char *role, ...)
{
    WCHAR exe[MAX_PATH] = {0};
    WCHAR line[1024];
    int length = 0;
    GetModuleFileNameW(NULL, exe, MAX_PATH - 1);
    append(line, &length, "lpctest --role ");
    append(line, &length, role);
    append(line, &length, " ");
    append(line, &length, test_name);
    va_list args;
    va_start(args, role);
    for (const char *arg = va_arg(args, const char *); arg != NULL; arg = va_arg(args, const char *)) {
        append(line, &length, " \"");
        append(line, &length, arg);
        append(line, &length, "\"");
    }
    va_end(args);
    line[length] = 0;

    STARTUPINFOW startup = {.cb = sizeof startup,
                            .dwFlags = STARTF_USESTDHANDLES,
                            .hStdInput = GetStdHandle(STD_INPUT_HANDLE),
                            .hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE),
                            .hStdError = GetStdHandle(STD_ERROR_HANDLE)};
    PROCESS_INFORMATION started;
    memset(&started, 0, sizeof started);
    if (!CHECK(CreateProcessW(exe, line, NULL, NULL, TRUE, CREATE_UNICODE_ENVIRONMENT | child_flags, child_environment,
                              NULL, &startup, &started), SETUP))
        return FALSE;
    *child = (struct child){started.hProcess, started.hThread, started.dwProcessId, started.dwThreadId};
    EnterCriticalSection(&lock);
    for (int i = 0; i < MAX_CHILDREN; i++) {
        if (children[i] == NULL) {
            children[i] = child->process;
            break;
        }
    }
    LeaveCriticalSection(&lock);
    return TRUE;
}

DWORD child_join(struct child *child)
{
    DWORD exit_code = EXIT_ABANDONED;
    CHECK_EQ(WaitForSingleObject(child->process, INFINITE), WAIT_OBJECT_0, SETUP);
    CHECK(GetExitCodeProcess(child->process, &exit_code), SETUP);
    EnterCriticalSection(&lock);
    for (int i = 0; i < MAX_CHILDREN; i++)
        if (children[i] == child->process)
            children[i] = NULL;
    LeaveCriticalSection(&lock);
    CloseHandle(child->process);
    CloseHandle(child->thread);
    return exit_code;
}

void child_kill(struct child *child)
{
    CHECK(TerminateProcess(child->process, EXIT_ABANDONED), SETUP);
}

const char *role_arg(int index)
{
    return index < role_arg_count ? role_args[index] : NULL;
}

ULONG_PTR role_arg_number(int index)
{
    const char *text = role_arg(index);
    ULONG_PTR value = 0;
    for (; text != NULL && *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (ULONG_PTR)(*text - '0');
    return value;
}

const char *number(ULONG_PTR value)
{
    static char buffers[8][24];
    static LONG next;
    char *end = buffers[InterlockedIncrement(&next) & 7] + 23;
    *end = 0;
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    return end;
}

HANDLE inheritable_event(BOOL manual_reset)
{
    SECURITY_ATTRIBUTES inherit = {sizeof inherit, NULL, TRUE};
    HANDLE event = CreateEventW(&inherit, manual_reset, FALSE, NULL);
    CHECK(event != NULL, SETUP);
    return event;
}

ULONG random_below(ULONG limit)
{
    EnterCriticalSection(&lock);
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    ULONG value = seed % limit;
    LeaveCriticalSection(&lock);
    return value;
}

static int run_test(const struct test *test)
{
    test_name = test->name;
    test_failures = 0;
    result_count = 0;
    context(NULL);
    print("run %s", test_name);
    test->run();
    abandon_if_threads_remain_();
    print_results();
    SetEvent(test_over);
    return test_failures != 0;
}

static int run_role(int argc, char **argv)
{
    test_name = argv[3];
    role_args = argv + 4;
    role_arg_count = argc - 4;
    for (int i = 0; i < role_count; i++) {
        if (strcmp(roles[i].name, argv[2]) == 0) {
            int code = roles[i].run();
            print_results();
            return test_failures ? EXIT_FAILED : code;
        }
    }
    print("# no role %s", argv[2]);
    return EXIT_FAILED;
}

static BOOL named(int argc, char **argv, const char *name)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return TRUE;
    return FALSE;
}

const char *resolve_calls_(void);

int main(int argc, char **argv)
{
    InitializeCriticalSection(&lock);
    const char *missing = resolve_calls_();
    if (missing != NULL && needs_ports) {
        print("# ntdll.dll does not export %s", missing);
        return EXIT_MISSING_EXPORT;
    }
    char text[16];
    if (GetEnvironmentVariableA("LPCTEST_TIMEOUT", text, sizeof text) > 0)
        timeout_ms = 1000 * (DWORD)atoi(text);
    BOOL is_role = argc >= 4 && strcmp(argv[1], "--role") == 0;
    if (is_role)
        timeout_ms -= timeout_ms / 4;
    test_over = CreateEventW(NULL, FALSE, FALSE, NULL);
    HANDLE guard = CreateThread(NULL, 0, watchdog, NULL, 0, NULL);
    if (test_over == NULL || guard == NULL) {
        print("# cannot start the watchdog");
        return EXIT_FAILED;
    }
    if (is_role)
        return run_role(argc, argv);

    const char *after = NULL;
    BOOL only_list = FALSE;
    int first_name = 1;
    for (; first_name < argc && strncmp(argv[first_name], "--", 2) == 0; first_name++) {
        if (strcmp(argv[first_name], "--list") == 0)
            only_list = TRUE;
        else if (strcmp(argv[first_name], "--after") == 0 && first_name + 1 < argc)
            after = argv[++first_name];
        else if (strcmp(argv[first_name], "--seed") == 0 && first_name + 1 < argc)
            seed = (ULONG)strtoul(argv[++first_name], NULL, 0) | 1;
    }
    int run = 0;
    int failures = 0;
    for (int i = 0; i < test_count; i++) {
        if (after != NULL) {
            if (strcmp(after, tests[i].name) == 0)
                after = NULL;
            continue;
        }
        if (first_name < argc && !named(argc - first_name, argv + first_name, tests[i].name))
            continue;
        if (only_list) {
            print("%s", tests[i].name);
            continue;
        }
        run++;
        failures += run_test(&tests[i]);
    }
    if (only_list)
        return EXIT_PASSED;
    print("%d tests, %d failures", run, failures);
    return failures ? EXIT_FAILED : EXIT_PASSED;
}
