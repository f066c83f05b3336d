/* Ctrl-C and Ctrl-Break between processes, and what console functions say of handles that are no console. */
#include "../lpctest.h"
#include <signal.h>

WITHOUT_PORTS

#ifndef STATUS_CONTROL_C_EXIT
#define STATUS_CONTROL_C_EXIT 0xC000013A
#endif

static HANDLE happened;
static DWORD last_event;

static BOOL WINAPI note_event(DWORD event)
{
    last_event = event;
    SetEvent(happened);
    return TRUE;
}

static BOOL WINAPI pass_on(DWORD event)
{
    last_event = event + 100;
    return FALSE;
}

static void on_signal(int number)
{
    last_event = (DWORD)number;
    SetEvent(happened);
}

/* Says that it is ready by the event of its first argument; the exit code is what came, added to 10. */
static int wait_for_event(void)
{
    SetEvent((HANDLE)role_arg_number(0));
    if (WaitForSingleObject(happened, 20000) != WAIT_OBJECT_0)
        return EXIT_FAILED;
    return 10 + (int)last_event;
}

ROLE(handles_events)
{
    happened = CreateEventW(NULL, TRUE, FALSE, NULL);
    SetConsoleCtrlHandler(note_event, TRUE);
    return wait_for_event();
}

ROLE(handles_ctrl_c_too)
{
    happened = CreateEventW(NULL, TRUE, FALSE, NULL);
    SetConsoleCtrlHandler(note_event, TRUE);
    SetConsoleCtrlHandler(NULL, FALSE);
    return wait_for_event();
}

ROLE(handles_signals)
{
    happened = CreateEventW(NULL, TRUE, FALSE, NULL);
    signal(SIGBREAK, on_signal);
    return wait_for_event();
}

ROLE(passes_on)
{
    happened = CreateEventW(NULL, TRUE, FALSE, NULL);
    SetConsoleCtrlHandler(note_event, TRUE);
    SetConsoleCtrlHandler(pass_on, TRUE);
    return wait_for_event();
}

ROLE(handles_nothing)
{
    SetEvent((HANDLE)role_arg_number(0));
    Sleep(20000);
    return EXIT_FAILED;
}

/* Its child is in its group. */
ROLE(has_child)
{
    struct child child;
    happened = CreateEventW(NULL, TRUE, FALSE, NULL);
    SetConsoleCtrlHandler(note_event, TRUE);
    HANDLE ready = inheritable_event(TRUE);
    if (!child_start(&child, "handles_events", number((ULONG_PTR)ready), NULL))
        return EXIT_FAILED;
    WaitForSingleObject(ready, 20000);
    int own = wait_for_event();
    return own == 11 && child_join(&child) == 11 ? 42 : EXIT_FAILED;
}

static BOOL start_ready(struct child *child, const char *role, DWORD flags)
{
    HANDLE ready = inheritable_event(TRUE);
    child_flags = flags;
    BOOL is_started = child_start(child, role, number((ULONG_PTR)ready), NULL);
    child_flags = 0;
    CHECK_EQ(is_started ? WaitForSingleObject(ready, 20000) : WAIT_FAILED, WAIT_OBJECT_0, SETUP);
    CloseHandle(ready);
    return is_started;
}

static void check_exit(const char *role, DWORD event, DWORD code)
{
    struct child child;
    context("%s", role);
    REQUIRE(start_ready(&child, role, CREATE_NEW_PROCESS_GROUP), SETUP);
    CHECK(GenerateConsoleCtrlEvent(event, child.pid), SETUP);
    CHECK_EQ(child_join(&child), code, SETUP);
    context(NULL);
}

TEST(a_group_gets_ctrl_break)
{
    check_exit("handles_events", CTRL_BREAK_EVENT, 10 + CTRL_BREAK_EVENT);
    check_exit("passes_on", CTRL_BREAK_EVENT, 10 + CTRL_BREAK_EVENT);
    check_exit("handles_nothing", CTRL_BREAK_EVENT, STATUS_CONTROL_C_EXIT);
    check_exit("handles_signals", CTRL_BREAK_EVENT, 10 + SIGBREAK);
    check_exit("has_child", CTRL_BREAK_EVENT, 42);
}

TEST(a_new_group_ignores_ctrl_c)
{
    struct child child;
    REQUIRE(start_ready(&child, "handles_events", CREATE_NEW_PROCESS_GROUP), SETUP);
    CHECK(GenerateConsoleCtrlEvent(CTRL_C_EVENT, child.pid), SETUP);
    CHECK_EQ(WaitForSingleObject(child.process, 300), WAIT_TIMEOUT, SETUP);
    CHECK(GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, child.pid), SETUP);
    CHECK_EQ(child_join(&child), 10 + CTRL_BREAK_EVENT, SETUP);
    check_exit("handles_ctrl_c_too", CTRL_C_EVENT, 10 + CTRL_C_EVENT);
}

TEST(all_of_the_console_get_what_goes_to_no_group)
{
    struct child same, other;
    happened = CreateEventW(NULL, TRUE, FALSE, NULL);
    last_event = 99;
    REQUIRE(SetConsoleCtrlHandler(note_event, TRUE), SETUP);
    REQUIRE(start_ready(&same, "handles_events", 0), SETUP);
    REQUIRE(start_ready(&other, "handles_events", CREATE_NEW_PROCESS_GROUP), SETUP);
    CHECK(GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, 0), SETUP);
    CHECK_EQ(WaitForSingleObject(happened, 20000), WAIT_OBJECT_0, SETUP);
    CHECK_EQ(last_event, CTRL_BREAK_EVENT, SETUP);
    CHECK_EQ(child_join(&same), 10 + CTRL_BREAK_EVENT, SETUP);
    CHECK_EQ(child_join(&other), 10 + CTRL_BREAK_EVENT, SETUP);
    ResetEvent(happened);
    CHECK(GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0), SETUP);
    CHECK_EQ(WaitForSingleObject(happened, 20000), WAIT_OBJECT_0, SETUP);
    CHECK_EQ(last_event, CTRL_C_EVENT, SETUP);
    CHECK(SetConsoleCtrlHandler(note_event, FALSE), SETUP);
    CHECK(!SetConsoleCtrlHandler(note_event, FALSE), SETUP);
}

TEST(events_refused)
{
    CHECK(!GenerateConsoleCtrlEvent(7, 0), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER, SETUP);
    CHECK(!GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, 0x7ffffff1), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER, SETUP);
}

TEST(what_is_no_console)
{
    HANDLE read, write;
    INPUT_RECORD record = {0};
    CHAR_INFO cell = {{0}, 7};
    SMALL_RECT region = {0, 0, 0, 0};
    COORD one = {1, 1}, origin = {0, 0};
    DWORD done;
    REQUIRE(CreatePipe(&read, &write, NULL, 0), SETUP);
    HANDLE handles[] = {read, write};
    for (int i = 0; i < 2; i++) {
        HANDLE handle = handles[i];
#define REFUSED(call)                                                                                                  \
    do {                                                                                                               \
        SetLastError(0);                                                                                               \
        CHECK(!(call), SETUP);                                                                                         \
        CHECK_EQ(GetLastError(), ERROR_INVALID_HANDLE, SETUP);                                                         \
    } while (0)
        REFUSED(ReadConsoleInputW(handle, &record, 1, &done));
        REFUSED(PeekConsoleInputW(handle, &record, 1, &done));
        REFUSED(GetNumberOfConsoleInputEvents(handle, &done));
        REFUSED(WriteConsoleInputW(handle, &record, 1, &done));
        REFUSED(FlushConsoleInputBuffer(handle));
        REFUSED(WriteConsoleOutputW(handle, &cell, one, origin, &region));
        REFUSED(WriteConsoleOutputA(handle, &cell, one, origin, &region));
        REFUSED(ScrollConsoleScreenBufferW(handle, &region, NULL, origin, &cell));
    }
    CloseHandle(read);
    CloseHandle(write);
}
