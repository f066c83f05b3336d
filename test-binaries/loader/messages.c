/* Messages of threads without windows, keys, the window station. Microsoft Learn "About Messages and Message Queues". */
#include "../lpctest.h"
#include <string.h>

WITHOUT_PORTS

TEST(posted_messages_come_in_order)
{
    MSG message;
    DWORD own = GetCurrentThreadId();
    CHECK(!PeekMessageW(&message, NULL, 0, 0, PM_NOREMOVE), SETUP);
    CHECK(PostThreadMessageW(own, WM_APP, 1, -2), SETUP);
    CHECK(PostThreadMessageA(own, WM_APP + 1, 3, 4), SETUP);
    CHECK(PeekMessageW(&message, NULL, 0, 0, PM_NOREMOVE), SETUP);
    CHECK_EQ(message.message, WM_APP, SETUP);
    CHECK(PeekMessageA(&message, NULL, WM_APP + 1, WM_APP + 1, PM_NOREMOVE), SETUP);
    CHECK_EQ(message.message, WM_APP + 1, SETUP);
    CHECK_EQ(GetMessageW(&message, NULL, 0, 0), 1, SETUP);
    CHECK_PTR(message.hwnd, NULL, SETUP);
    CHECK_EQ(message.message, WM_APP, SETUP);
    CHECK_EQ(message.wParam, 1, SETUP);
    CHECK_EQ(message.lParam, (LPARAM)-2, SETUP);
    CHECK(!TranslateMessage(&message), SETUP);
    CHECK_EQ(DispatchMessageW(&message), 0, SETUP);
    CHECK_EQ(GetMessageA(&message, (HWND)-1, 0, 0), 1, SETUP);
    CHECK_EQ(message.lParam, 4, SETUP);
    CHECK(!PeekMessageW(&message, NULL, 0, 0, PM_REMOVE), SETUP);
}

TEST(quitting_comes_when_nothing_else_is_there)
{
    MSG message;
    PostQuitMessage(9);
    PostThreadMessageW(GetCurrentThreadId(), WM_USER, 0, 0);
    CHECK_EQ(GetMessageW(&message, NULL, 0, 0), 1, SETUP);
    CHECK_EQ(message.message, WM_USER, SETUP);
    CHECK_EQ(GetMessageW(&message, NULL, WM_APP, WM_APP), 0, SETUP);
    CHECK_EQ(message.message, WM_QUIT, SETUP);
    CHECK_EQ(message.wParam, 9, SETUP);
    CHECK(!PeekMessageW(&message, NULL, 0, 0, PM_REMOVE), SETUP);
}

static HANDLE has_queue;
static WPARAM sum;

static void loop(void *unused)
{
    (void)unused;
    MSG message;
    PeekMessageW(&message, NULL, WM_USER, WM_USER, PM_NOREMOVE);
    SetEvent(has_queue);
    while (GetMessageW(&message, NULL, 0, 0) > 0)
        sum += message.wParam;
}

static void waits(void *event)
{
    WaitForSingleObject(event, INFINITE);
}

TEST(threads_post_to_each_other)
{
    struct worker worker;
    has_queue = CreateEventW(NULL, TRUE, FALSE, NULL);
    sum = 0;
    REQUIRE(spawn(&worker, loop, NULL), SETUP);
    WaitForSingleObject(has_queue, INFINITE);
    for (WPARAM i = 1; i <= 100; i++)
        CHECK(PostThreadMessageW(worker.tid, WM_USER, i, 0), SETUP);
    CHECK(still_runs(&worker), SETUP);
    CHECK(PostThreadMessageW(worker.tid, WM_QUIT, 0, 0), SETUP);
    join(&worker);
    CHECK_EQ(sum, 5050, SETUP);

    ResetEvent(has_queue);
    REQUIRE(spawn(&worker, waits, has_queue), SETUP);
    CHECK(!PostThreadMessageW(worker.tid, WM_USER, 0, 0), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_THREAD_ID, SETUP);
    SetEvent(has_queue);
    join(&worker);
    CHECK(!PostThreadMessageW(4, WM_USER, 0, 0), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_THREAD_ID, SETUP);
    CloseHandle(has_queue);
}

static void post_later(void *tid)
{
    Sleep(50);
    PostThreadMessageW(*(DWORD *)tid, WM_USER, 0, 0);
}

TEST(waits_end_with_messages)
{
    struct worker worker;
    MSG message;
    DWORD own = GetCurrentThreadId();
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
    PeekMessageW(&message, NULL, 0, 0, PM_NOREMOVE);
    CHECK_EQ(MsgWaitForMultipleObjects(1, &event, FALSE, 10, QS_ALLINPUT), WAIT_TIMEOUT, SETUP);
    SetEvent(event);
    CHECK_EQ(MsgWaitForMultipleObjects(1, &event, FALSE, 10000, QS_ALLINPUT), WAIT_OBJECT_0, SETUP);
    REQUIRE(spawn(&worker, post_later, &own), SETUP);
    CHECK_EQ(MsgWaitForMultipleObjects(1, &event, FALSE, 10000, QS_ALLINPUT), WAIT_OBJECT_0 + 1, SETUP);
    join(&worker);
    /* What has been looked at wakes nobody, unless asked. */
    CHECK(PeekMessageW(&message, NULL, 0, 0, PM_NOREMOVE), SETUP);
    CHECK_EQ(MsgWaitForMultipleObjectsEx(1, &event, 10, QS_ALLINPUT, 0), WAIT_TIMEOUT, SETUP);
    CHECK_EQ(MsgWaitForMultipleObjectsEx(1, &event, 10, QS_ALLINPUT, MWMO_INPUTAVAILABLE), WAIT_OBJECT_0 + 1, SETUP);
    CHECK(PeekMessageW(&message, NULL, 0, 0, PM_REMOVE), SETUP);
    CHECK_EQ(MsgWaitForMultipleObjectsEx(0, NULL, 0, QS_ALLINPUT, MWMO_INPUTAVAILABLE), WAIT_TIMEOUT, SETUP);
    HANDLE bad = (HANDLE)(ULONG_PTR)0xdeadbee0;
    CHECK_EQ(MsgWaitForMultipleObjects(1, &bad, FALSE, 0, QS_ALLINPUT), WAIT_FAILED, SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_HANDLE, SETUP);
    CloseHandle(event);
}

TEST(there_are_no_windows)
{
    MSG message;
    CHECK(!PeekMessageW(&message, (HWND)(ULONG_PTR)0x1234, 0, 0, PM_REMOVE), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_WINDOW_HANDLE, SETUP);
    CHECK_EQ(GetMessageW(&message, (HWND)(ULONG_PTR)0x1234, 0, 0), -1, SETUP);
}

TEST(keys_have_scan_codes)
{
    CHECK_EQ(MapVirtualKeyW(VK_ESCAPE, MAPVK_VK_TO_VSC), 1, SETUP);
    CHECK_EQ(MapVirtualKeyW('A', MAPVK_VK_TO_VSC), 0x1e, SETUP);
    CHECK_EQ(MapVirtualKeyW(VK_RETURN, MAPVK_VK_TO_VSC), 0x1c, SETUP);
    CHECK_EQ(MapVirtualKeyW(0x39, MAPVK_VSC_TO_VK), VK_SPACE, SETUP);
    CHECK_EQ(MapVirtualKeyW('Z', MAPVK_VK_TO_CHAR), 'Z', SETUP);
    CHECK_EQ(MapVirtualKeyW(0x2a, 3), VK_LSHIFT, SETUP);
}

TEST(the_process_has_a_window_station)
{
    WCHAR name[32];
    DWORD needed;
    HWINSTA station = GetProcessWindowStation();
    CHECK(station != NULL, SETUP);
    CHECK_PTR(GetProcessWindowStation(), station, SETUP);
    CHECK(!GetUserObjectInformationW(station, UOI_NAME, NULL, 0, &needed), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INSUFFICIENT_BUFFER, SETUP);
    CHECK_EQ(needed, sizeof L"WinSta0", SETUP);
    CHECK(GetUserObjectInformationW(station, UOI_NAME, name, sizeof name, &needed), SETUP);
    CHECK(memcmp(name, L"WinSta0", sizeof L"WinSta0") == 0, SETUP);
    HDESK desktop = GetThreadDesktop(GetCurrentThreadId());
    CHECK(desktop != NULL, SETUP);
    CHECK(GetUserObjectInformationW(desktop, UOI_TYPE, name, sizeof name, &needed), SETUP);
    CHECK(memcmp(name, L"Desktop", sizeof L"Desktop") == 0, SETUP);
}
