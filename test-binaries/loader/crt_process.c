/* process.h, signal.h and pipes of the C runtime. */
#include "../lpctest.h"
#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

WITHOUT_PORTS

static char program[MAX_PATH + 2], quoted[MAX_PATH + 4];

static void find_program(void)
{
    GetModuleFileNameA(NULL, program, MAX_PATH);
    snprintf(quoted, sizeof quoted, "\"%s\"", program);
}

ROLE(code)
{
    return atoi(role_arg(0));
}

ROLE(variable)
{
    const char *value = getenv("LPCTEST_VARIABLE");
    return value ? atoi(value) : 0;
}

ROLE(copy)
{
    int character;
    while ((character = getchar()) != EOF)
        putchar(character == 'a' ? 'A' : character);
    fflush(stdout);
    return 5;
}

TEST(programs_are_started_and_waited_for)
{
    const char *arguments[] = {quoted, "--role", "code", "test", "33", NULL};
    find_program();
    CHECK_EQ(_spawnv(_P_WAIT, program, arguments), 33, SETUP);
    CHECK_EQ(_spawnl(_P_WAIT, program, quoted, "--role", "code", "test", "44", NULL), 44, SETUP);
    intptr_t child = _spawnl(_P_NOWAIT, program, quoted, "--role", "code", "test", "55", NULL);
    REQUIRE(child != -1, SETUP);
    int status = 0;
    CHECK_EQ(_cwait(&status, child, 0), child, SETUP);
    CHECK_EQ(status, 55, SETUP);
    errno = 0;
    CHECK_EQ(_spawnl(_P_WAIT, "no-such-program", "x", NULL), -1, SETUP);
    CHECK_EQ(errno, ENOENT, SETUP);
}

TEST(programs_get_variables)
{
    const char *arguments[] = {quoted, "--role", "variable", "test", NULL};
    find_program();
    _putenv("LPCTEST_VARIABLE=12");
    CHECK_EQ(_spawnv(_P_WAIT, program, arguments), 12, SETUP);
    char root[MAX_PATH + 16];
    snprintf(root, sizeof root, "SystemRoot=%s", getenv("SystemRoot"));
    const char *variables[] = {"LPCTEST_VARIABLE=13", root, NULL};
    CHECK_EQ(_spawnve(_P_WAIT, program, arguments, variables), 13, SETUP);
}

TEST(pipes_lead_to_programs)
{
    int in[2], out[2];
    char text[16] = "";
    find_program();
    REQUIRE(_pipe(in, 256, _O_BINARY | _O_NOINHERIT) == 0 && _pipe(out, 256, _O_BINARY | _O_NOINHERIT) == 0, SETUP);
    int old_in = _dup(0), old_out = _dup(1);
    fflush(stdout);
    _dup2(in[0], 0);
    _dup2(out[1], 1);
    intptr_t child = _spawnl(_P_NOWAIT, program, quoted, "--role", "copy", "test", NULL);
    _dup2(old_in, 0);
    _dup2(old_out, 1);
    _close(old_in);
    _close(old_out);
    _close(in[0]);
    _close(out[1]);
    CHECK_EQ(_write(in[1], "banana", 6), 6, SETUP);
    _close(in[1]);
    int length = 0, done;
    while ((done = _read(out[0], text + length, sizeof text - length)) > 0)
        length += done;
    CHECK(length == 6 && memcmp(text, "bAnAnA", 6) == 0, SETUP);
    _close(out[0]);
    int status = 0;
    _cwait(&status, child, 0);
    CHECK_EQ(status, 5, SETUP);
}

/* Writes to one descriptor and looks whether another one is there. */
ROLE(descriptors)
{
    int open = atoi(role_arg(0)), closed = atoi(role_arg(1));
    if (_write(open, "x\n", 2) != 2)
        return 1;
    return _write(closed, "y", 1) == -1 && errno == EBADF ? 66 : 2;
}

TEST(descriptors_are_left_to_programs)
{
    int text[2], hidden[2];
    char open[16], closed[16], read[8] = "";
    find_program();
    REQUIRE(_pipe(text, 256, _O_TEXT) == 0 && _pipe(hidden, 256, _O_BINARY | _O_NOINHERIT) == 0, SETUP);
    snprintf(open, sizeof open, "%d", text[1]);
    snprintf(closed, sizeof closed, "%d", hidden[1]);
    CHECK_EQ(_spawnl(_P_WAIT, program, quoted, "--role", "descriptors", "test", open, closed, NULL), 66, SETUP);
    /* It was in text mode there too. */
    _setmode(text[0], _O_BINARY);
    CHECK_EQ(_read(text[0], read, sizeof read), 3, SETUP);
    CHECK(memcmp(read, "x\r\n", 3) == 0, SETUP);
    for (int i = 0; i < 2; i++) {
        _close(text[i]);
        _close(hidden[i]);
    }
}

static volatile LONG started;

static void __cdecl run(void *argument)
{
    InterlockedAdd((LONG *)&started, (LONG)(ULONG_PTR)argument);
    if ((ULONG_PTR)argument == 2)
        _endthread();
}

static unsigned __stdcall run_ex(void *argument)
{
    _endthreadex((unsigned)(ULONG_PTR)argument + 1);
    return 0;
}

TEST(threads)
{
    unsigned id = 0;
    DWORD exit_code = 0;
    CHECK(_beginthread(run, 0, (void *)1) != (uintptr_t)-1, SETUP);
    CHECK(_beginthread(run, 0, (void *)2) != (uintptr_t)-1, SETUP);
    for (int i = 0; i < 1000 && started != 3; i++)
        Sleep(5);
    CHECK_EQ(started, 3, SETUP);
    HANDLE thread = (HANDLE)_beginthreadex(NULL, 0, run_ex, (void *)7, 0, &id);
    REQUIRE(thread != NULL, SETUP);
    CHECK(id != 0, SETUP);
    WaitForSingleObject(thread, INFINITE);
    CHECK(GetExitCodeThread(thread, &exit_code), SETUP);
    CHECK_EQ(exit_code, 8, SETUP);
    CloseHandle(thread);
    CHECK_EQ(_getpid(), GetCurrentProcessId(), SETUP);
}

static int caught;

static void catch_signal(int number)
{
    caught = number;
}

TEST(signals)
{
    CHECK(signal(SIGTERM, catch_signal) == SIG_DFL, SETUP);
    CHECK_EQ(raise(SIGTERM), 0, SETUP);
    CHECK_EQ(caught, SIGTERM, SETUP);
    CHECK(signal(SIGTERM, SIG_IGN) == SIG_DFL, SETUP);
    CHECK_EQ(raise(SIGTERM), 0, SETUP);
    CHECK(signal(SIGTERM, SIG_DFL) == SIG_IGN, SETUP);
    CHECK(signal(1234, SIG_IGN) == SIG_ERR, SETUP);
}

TEST(exceptions_become_signals)
{
    int(__cdecl * filter)(DWORD, EXCEPTION_POINTERS *) = (void *)GetProcAddress(GetModuleHandleA("msvcrt.dll"), "_XcptFilter");
    if (filter == NULL)
        filter = (void *)GetProcAddress(GetModuleHandleA("ucrtbase.dll"), "_seh_filter_exe");
    EXCEPTION_RECORD record = {0};
    CONTEXT registers = {0};
    EXCEPTION_POINTERS pointers = {&record, &registers};
    REQUIRE(filter != NULL, SETUP);
    record.ExceptionCode = 0xC0000005;
    CHECK_EQ(filter(0xC0000005, &pointers), EXCEPTION_CONTINUE_SEARCH, SETUP);
    signal(SIGSEGV, catch_signal);
    CHECK_EQ(filter(0xC0000005, &pointers), (ULONG64)(LONG)EXCEPTION_CONTINUE_EXECUTION, SETUP);
    CHECK_EQ(caught, SIGSEGV, SETUP);
    CHECK(signal(SIGSEGV, SIG_DFL) == SIG_DFL, SETUP);
    record.ExceptionCode = 0xE0001234;
    CHECK_EQ(filter(0xE0001234, &pointers), EXCEPTION_CONTINUE_SEARCH, SETUP);
}
