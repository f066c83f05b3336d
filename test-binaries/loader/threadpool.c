/* The thread pool: work, timers, waits, I/O, clean-up groups, and the older interfaces. Stock Wine passes it too. */
#include "../lpctest.h"
#include <stdio.h>

WITHOUT_PORTS

static LONG calls;

static void CALLBACK count_work(PTP_CALLBACK_INSTANCE instance, void *context, PTP_WORK work)
{
    (void)instance;
    (void)work;
    InterlockedIncrement((LONG *)context);
}

TEST(work_runs_once_for_each_submission)
{
    LONG counter = 0;
    PTP_WORK work = CreateThreadpoolWork(count_work, &counter, NULL);
    REQUIRE(work != NULL, SETUP);
    for (int i = 0; i < 100; i++)
        SubmitThreadpoolWork(work);
    WaitForThreadpoolWorkCallbacks(work, FALSE);
    CHECK_EQ(counter, 100, SETUP);
    CloseThreadpoolWork(work);
}

struct meeting {
    LONG inside;
    HANDLE all_here;
    LONG wanted;
};

static void CALLBACK meet(PTP_CALLBACK_INSTANCE instance, void *context, PTP_WORK work)
{
    struct meeting *meeting = context;
    (void)instance;
    (void)work;
    if (InterlockedIncrement(&meeting->inside) == meeting->wanted)
        SetEvent(meeting->all_here);
    WaitForSingleObject(meeting->all_here, 20000);
}

/* Callbacks that wait for one another all get a thread, as far as their pool may have that many. */
TEST(blocked_callbacks_do_not_starve_others)
{
    TP_CALLBACK_ENVIRON surroundings;
    PTP_POOL pool = CreateThreadpool(NULL);
    SetThreadpoolThreadMaximum(pool, 20);
    CHECK(SetThreadpoolThreadMinimum(pool, 20), SETUP);
    InitializeThreadpoolEnvironment(&surroundings);
    SetThreadpoolCallbackPool(&surroundings, pool);
    struct meeting meeting = {0, CreateEventW(NULL, TRUE, FALSE, NULL), 20};
    PTP_WORK work = CreateThreadpoolWork(meet, &meeting, &surroundings);
    for (int i = 0; i < meeting.wanted; i++)
        SubmitThreadpoolWork(work);
    CHECK_EQ(WaitForSingleObject(meeting.all_here, 20000), WAIT_OBJECT_0, SETUP);
    WaitForThreadpoolWorkCallbacks(work, FALSE);
    CHECK_EQ(meeting.inside, 20, SETUP);
    CloseThreadpoolWork(work);
    CloseThreadpool(pool);
    CloseHandle(meeting.all_here);
}

/* A pool of one thread runs its callbacks one after the other; what has not begun can be cancelled. */
TEST(cancelled_callbacks_never_begin)
{
    struct meeting meeting = {0, CreateEventW(NULL, TRUE, FALSE, NULL), 1000};
    TP_CALLBACK_ENVIRON surroundings;
    PTP_POOL pool = CreateThreadpool(NULL);
    SetThreadpoolThreadMaximum(pool, 1);
    CHECK(SetThreadpoolThreadMinimum(pool, 1), SETUP);
    InitializeThreadpoolEnvironment(&surroundings);
    SetThreadpoolCallbackPool(&surroundings, pool);
    PTP_WORK work = CreateThreadpoolWork(meet, &meeting, &surroundings);
    for (int i = 0; i < 10; i++)
        SubmitThreadpoolWork(work);
    for (int i = 0; i < 1000 && meeting.inside == 0; i++)
        Sleep(5);
    Sleep(50);
    CHECK_EQ(meeting.inside, 1, SETUP);
    SetEvent(meeting.all_here);
    WaitForThreadpoolWorkCallbacks(work, TRUE);
    CHECK(meeting.inside >= 1 && meeting.inside <= 10, SETUP);
    LONG seen = meeting.inside;
    Sleep(50);
    CHECK_EQ(meeting.inside, seen, SETUP);
    CloseThreadpoolWork(work);
    CloseThreadpool(pool);
    DestroyThreadpoolEnvironment(&surroundings);
    CloseHandle(meeting.all_here);
}

static HANDLE fired;

static void CALLBACK on_timer(PTP_CALLBACK_INSTANCE instance, void *context, PTP_TIMER timer)
{
    (void)instance;
    (void)timer;
    if (InterlockedIncrement((LONG *)context) == 3)
        SetEvent(fired);
}

static FILETIME relative(DWORD milliseconds)
{
    LARGE_INTEGER time;
    FILETIME result;
    time.QuadPart = -10000ll * milliseconds;
    result.dwLowDateTime = time.LowPart;
    result.dwHighDateTime = time.HighPart;
    return result;
}

TEST(timers_repeat_until_stopped)
{
    LONG counter = 0;
    FILETIME due = relative(60);
    fired = CreateEventW(NULL, FALSE, FALSE, NULL);
    PTP_TIMER timer = CreateThreadpoolTimer(on_timer, &counter, NULL);
    CHECK(!IsThreadpoolTimerSet(timer), SETUP);
    ULONGLONG begin = GetTickCount64();
    SetThreadpoolTimer(timer, &due, 20, 0);
    CHECK(IsThreadpoolTimerSet(timer), SETUP);
    CHECK_EQ(WaitForSingleObject(fired, 20000), WAIT_OBJECT_0, SETUP);
    CHECK(GetTickCount64() - begin >= 85, SETUP);
    SetThreadpoolTimer(timer, NULL, 0, 0);
    WaitForThreadpoolTimerCallbacks(timer, TRUE);
    LONG seen = counter;
    Sleep(80);
    CHECK_EQ(counter, seen, SETUP);
    CHECK(!IsThreadpoolTimerSet(timer), SETUP);
    CloseThreadpoolTimer(timer);
    CloseHandle(fired);
}

static TP_WAIT_RESULT last_result;

static void CALLBACK on_wait(PTP_CALLBACK_INSTANCE instance, void *context, PTP_WAIT wait, TP_WAIT_RESULT result)
{
    (void)wait;
    last_result = result;
    InterlockedIncrement((LONG *)context);
    SetEventWhenCallbackReturns(instance, fired);
}

TEST(waits_fire_once_for_each_time_they_are_set)
{
    LONG counter = 0;
    FILETIME timeout = relative(30);
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
    fired = CreateEventW(NULL, FALSE, FALSE, NULL);
    PTP_WAIT wait = CreateThreadpoolWait(on_wait, &counter, NULL);
    SetThreadpoolWait(wait, event, NULL);
    SetEvent(event);
    CHECK_EQ(WaitForSingleObject(fired, 20000), WAIT_OBJECT_0, SETUP);
    CHECK_EQ(last_result, WAIT_OBJECT_0, SETUP);
    CHECK_EQ(WaitForSingleObject(event, 0), WAIT_TIMEOUT, SETUP);
    SetEvent(event);
    CHECK_EQ(WaitForSingleObject(fired, 50), WAIT_TIMEOUT, SETUP);
    ResetEvent(event);
    SetThreadpoolWait(wait, event, &timeout);
    CHECK_EQ(WaitForSingleObject(fired, 20000), WAIT_OBJECT_0, SETUP);
    CHECK_EQ(last_result, WAIT_TIMEOUT, SETUP);
    CHECK_EQ(counter, 2, SETUP);
    /* A wait that was taken back swallows no signal. */
    for (int i = 0; i < 50; i++) {
        SetThreadpoolWait(wait, event, NULL);
        SetThreadpoolWait(wait, NULL, NULL);
        SetEvent(event);
        CHECK_EQ(WaitForSingleObject(event, 5000), WAIT_OBJECT_0, SETUP);
    }
    WaitForThreadpoolWaitCallbacks(wait, TRUE);
    CloseThreadpoolWait(wait);
    CloseHandle(event);
    CloseHandle(fired);
}

TEST(more_waits_than_one_thread_can_watch)
{
    enum { COUNT = 150 };
    static HANDLE events[COUNT];
    static PTP_WAIT waits[COUNT];
    LONG counter = 0;
    fired = CreateEventW(NULL, TRUE, FALSE, NULL);
    for (int i = 0; i < COUNT; i++) {
        events[i] = CreateEventW(NULL, FALSE, FALSE, NULL);
        waits[i] = CreateThreadpoolWait(on_wait, &counter, NULL);
        SetThreadpoolWait(waits[i], events[i], NULL);
    }
    for (int i = 0; i < COUNT; i++)
        SetEvent(events[i]);
    for (int i = 0; i < 2000 && counter < COUNT; i++)
        Sleep(5);
    CHECK_EQ(counter, COUNT, SETUP);
    for (int i = 0; i < COUNT; i++) {
        WaitForThreadpoolWaitCallbacks(waits[i], FALSE);
        CloseThreadpoolWait(waits[i]);
        CloseHandle(events[i]);
    }
    CloseHandle(fired);
}

static LONG cancelled;

static void CALLBACK on_cancel(void *object, void *cleanup)
{
    (void)object;
    InterlockedExchangeAdd(&cancelled, *(LONG *)cleanup);
}

TEST(cleanup_groups_end_their_members)
{
    LONG counter = 0, cleanup = 1;
    struct meeting meeting = {0, CreateEventW(NULL, TRUE, FALSE, NULL), 1000};
    TP_CALLBACK_ENVIRON surroundings;
    PTP_POOL pool = CreateThreadpool(NULL);
    PTP_CLEANUP_GROUP group = CreateThreadpoolCleanupGroup();
    SetThreadpoolThreadMaximum(pool, 1);
    InitializeThreadpoolEnvironment(&surroundings);
    SetThreadpoolCallbackPool(&surroundings, pool);
    SetThreadpoolCallbackCleanupGroup(&surroundings, group, on_cancel);
    cancelled = 0;
    PTP_WORK blocker = CreateThreadpoolWork(meet, &meeting, &surroundings);
    SubmitThreadpoolWork(blocker);
    for (int i = 0; i < 1000 && meeting.inside == 0; i++)
        Sleep(5);
    PTP_WORK work = CreateThreadpoolWork(count_work, &counter, &surroundings);
    SubmitThreadpoolWork(work);
    SetEvent(meeting.all_here);
    CloseThreadpoolCleanupGroupMembers(group, FALSE, &cleanup);
    CHECK_EQ(counter, 1, SETUP);
    CHECK_EQ(cancelled, 0, SETUP);
    CloseThreadpoolCleanupGroup(group);
    CloseThreadpool(pool);
    CloseHandle(meeting.all_here);
}

static void CALLBACK leave_thread(PTP_CALLBACK_INSTANCE instance, void *context)
{
    (void)instance;
    InterlockedIncrement((LONG *)context);
    RaiseException(0x12345, 0, 0, NULL);
}

static LONG passed_over;

static LONG CALLBACK pass_over(EXCEPTION_POINTERS *pointers)
{
    if (pointers->ExceptionRecord->ExceptionCode != 0x12345)
        return EXCEPTION_CONTINUE_SEARCH;
    InterlockedIncrement(&passed_over);
    return EXCEPTION_CONTINUE_EXECUTION;
}

TEST(simple_callbacks_may_raise_exceptions)
{
    LONG counter = 0;
    void *handler = AddVectoredExceptionHandler(TRUE, pass_over);
    for (int i = 0; i < 5; i++)
        CHECK(TrySubmitThreadpoolCallback(leave_thread, &counter, NULL), SETUP);
    for (int i = 0; i < 1000 && *(volatile LONG *)&passed_over < 5; i++)
        Sleep(5);
    CHECK_EQ(counter, 5, SETUP);
    CHECK_EQ(passed_over, 5, SETUP);
    RemoveVectoredExceptionHandler(handler);
}

static void CALLBACK on_io(PTP_CALLBACK_INSTANCE instance, void *context, void *overlapped, ULONG result, ULONG_PTR bytes,
                           PTP_IO io)
{
    (void)instance;
    (void)overlapped;
    (void)io;
    CHECK_EQ(result, 0, SETUP);
    InterlockedExchangeAdd((LONG *)context, (LONG)bytes);
}

TEST(completed_operations_become_callbacks)
{
    char name[64];
    OVERLAPPED overlapped = {0};
    LONG bytes = 0;
    DWORD written;
    char buffer[16];
    snprintf(name, sizeof name, "\\\\.\\pipe\\ntlpc-threadpool-%lu", GetCurrentProcessId());
    HANDLE server = CreateNamedPipeA(name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED, 0, 1, 512, 512, 0, NULL);
    REQUIRE(server != INVALID_HANDLE_VALUE, SETUP);
    HANDLE client = CreateFileA(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    REQUIRE(client != INVALID_HANDLE_VALUE, SETUP);
    PTP_IO io = CreateThreadpoolIo(server, on_io, &bytes, NULL);
    REQUIRE(io != NULL, SETUP);
    StartThreadpoolIo(io);
    if (!ReadFile(server, buffer, sizeof buffer, NULL, &overlapped))
        CHECK_EQ(GetLastError(), ERROR_IO_PENDING, SETUP);
    CHECK(WriteFile(client, "12345", 5, &written, NULL), SETUP);
    WaitForThreadpoolIoCallbacks(io, FALSE);
    CHECK_EQ(bytes, 5, SETUP);
    CloseThreadpoolIo(io);
    CloseHandle(client);
    CloseHandle(server);
}

static DWORD CALLBACK work_item(void *context)
{
    InterlockedIncrement((LONG *)context);
    return 0;
}

TEST(work_items)
{
    LONG counter = 0;
    for (int i = 0; i < 20; i++)
        CHECK(QueueUserWorkItem(work_item, &counter, WT_EXECUTEDEFAULT), SETUP);
    for (int i = 0; i < 2000 && counter < 20; i++)
        Sleep(5);
    CHECK_EQ(counter, 20, SETUP);
}

static void CALLBACK on_registered(void *context, BOOLEAN timed_out)
{
    (void)context;
    InterlockedExchangeAdd(&calls, timed_out ? 100 : 1);
    SetEvent(fired);
}

TEST(registered_waits)
{
    HANDLE wait, event = CreateEventW(NULL, FALSE, FALSE, NULL);
    fired = CreateEventW(NULL, FALSE, FALSE, NULL);
    calls = 0;
    REQUIRE(RegisterWaitForSingleObject(&wait, event, on_registered, NULL, INFINITE, WT_EXECUTEDEFAULT), SETUP);
    for (int i = 1; i <= 3; i++) {
        SetEvent(event);
        CHECK_EQ(WaitForSingleObject(fired, 20000), WAIT_OBJECT_0, SETUP);
        CHECK_EQ(calls, i, SETUP);
    }
    CHECK(UnregisterWaitEx(wait, INVALID_HANDLE_VALUE), SETUP);
    SetEvent(event);
    CHECK_EQ(WaitForSingleObject(event, 5000), WAIT_OBJECT_0, SETUP);
    calls = 0;
    REQUIRE(RegisterWaitForSingleObject(&wait, event, on_registered, NULL, 20, WT_EXECUTEONLYONCE), SETUP);
    CHECK_EQ(WaitForSingleObject(fired, 20000), WAIT_OBJECT_0, SETUP);
    CHECK_EQ(WaitForSingleObject(fired, 60), WAIT_TIMEOUT, SETUP);
    CHECK_EQ(calls, 100, SETUP);
    CHECK(UnregisterWaitEx(wait, INVALID_HANDLE_VALUE), SETUP);
    CloseHandle(event);
    CloseHandle(fired);
}

static HANDLE slow_go;

static void CALLBACK slowly(void *context, BOOLEAN timed_out)
{
    (void)timed_out;
    SetEvent(fired);
    WaitForSingleObject(slow_go, 20000);
    InterlockedIncrement((LONG *)context);
}

TEST(unregistering_says_that_a_callback_runs)
{
    LONG counter = 0;
    HANDLE wait, event = CreateEventW(NULL, FALSE, TRUE, NULL), done = CreateEventW(NULL, TRUE, FALSE, NULL);
    fired = CreateEventW(NULL, FALSE, FALSE, NULL);
    slow_go = CreateEventW(NULL, TRUE, FALSE, NULL);
    REQUIRE(RegisterWaitForSingleObject(&wait, event, slowly, &counter, INFINITE, WT_EXECUTEONLYONCE), SETUP);
    CHECK_EQ(WaitForSingleObject(fired, 20000), WAIT_OBJECT_0, SETUP);
    CHECK(!UnregisterWaitEx(wait, done), SETUP);
    CHECK_EQ(GetLastError(), ERROR_IO_PENDING, SETUP);
    CHECK_EQ(WaitForSingleObject(done, 30), WAIT_TIMEOUT, SETUP);
    SetEvent(slow_go);
    CHECK_EQ(WaitForSingleObject(done, 20000), WAIT_OBJECT_0, SETUP);
    CHECK_EQ(counter, 1, SETUP);
    CloseHandle(event);
    CloseHandle(done);
    CloseHandle(fired);
    CloseHandle(slow_go);
}

TEST(timer_queues)
{
    HANDLE queue = CreateTimerQueue(), once, often;
    REQUIRE(queue != NULL, SETUP);
    fired = CreateEventW(NULL, FALSE, FALSE, NULL);
    calls = 0;
    CHECK(CreateTimerQueueTimer(&once, queue, on_registered, NULL, 10, 0, WT_EXECUTEONLYONCE), SETUP);
    CHECK_EQ(WaitForSingleObject(fired, 20000), WAIT_OBJECT_0, SETUP);
    CHECK_EQ(calls, 100, SETUP);
    CHECK(CreateTimerQueueTimer(&often, queue, on_registered, NULL, 100000, 10, WT_EXECUTEINTIMERTHREAD), SETUP);
    CHECK_EQ(WaitForSingleObject(fired, 40), WAIT_TIMEOUT, SETUP);
    CHECK(ChangeTimerQueueTimer(queue, often, 5, 10), SETUP);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(WaitForSingleObject(fired, 20000), WAIT_OBJECT_0, SETUP);
    CHECK(DeleteTimerQueueTimer(queue, often, INVALID_HANDLE_VALUE), SETUP);
    LONG seen = calls;
    Sleep(50);
    CHECK_EQ(calls, seen, SETUP);
    CHECK(DeleteTimerQueueEx(queue, INVALID_HANDLE_VALUE), SETUP);
    CloseHandle(fired);
}
