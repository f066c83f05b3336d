/* Wait completion packets. Microsoft Learn "NtAssociateWaitCompletionPacket", "NtCancelWaitCompletionPacket". */
#include "../lpctest.h"

WITHOUT_PORTS

typedef NTSTATUS(NTAPI *create_fn)(HANDLE *, ACCESS_MASK, void *);
typedef NTSTATUS(NTAPI *associate_fn)(HANDLE, HANDLE, HANDLE, void *, void *, NTSTATUS, ULONG_PTR, BOOLEAN *);
typedef NTSTATUS(NTAPI *cancel_fn)(HANDLE, BOOLEAN);

static create_fn create;
static associate_fn associate;
static cancel_fn cancel;

static BOOL find(void)
{
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    create = (create_fn)(void *)GetProcAddress(ntdll, "NtCreateWaitCompletionPacket");
    associate = (associate_fn)(void *)GetProcAddress(ntdll, "NtAssociateWaitCompletionPacket");
    cancel = (cancel_fn)(void *)GetProcAddress(ntdll, "NtCancelWaitCompletionPacket");
    return create != NULL && associate != NULL && cancel != NULL;
}

static BOOL comes(HANDLE port, DWORD wait, ULONG_PTR key, void *value, DWORD bytes)
{
    DWORD got = 0;
    ULONG_PTR got_key = 0;
    OVERLAPPED *got_value = NULL;
    if (!GetQueuedCompletionStatus(port, &got, &got_key, &got_value, wait))
        return FALSE;
    return got == bytes && got_key == key && (void *)got_value == value;
}

TEST(objects_tell_a_port)
{
    HANDLE packet, event = CreateEventW(NULL, FALSE, FALSE, NULL), port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    BOOLEAN already = 9;
    REQUIRE(find(), SETUP);
    REQUIRE_STATUS(create(&packet, MAXIMUM_ALLOWED, NULL), 0, SETUP);
    CHECK_STATUS(associate(packet, port, event, (void *)1, (void *)0x20, 0, 3, &already), 0, SETUP);
    CHECK_EQ(already, FALSE, SETUP);
    CHECK(associate(packet, port, event, NULL, NULL, 0, 0, NULL) < 0, SETUP);
    CHECK(!comes(port, 30, 1, (void *)0x20, 3), SETUP);
    SetEvent(event);
    CHECK(comes(port, 10000, 1, (void *)0x20, 3), SETUP);
    CHECK_EQ(WaitForSingleObject(event, 0), WAIT_TIMEOUT, SETUP);

    SetEvent(event);
    CHECK_STATUS(associate(packet, port, event, (void *)2, (void *)0x40, 0, 5, &already), 0, SETUP);
    CHECK_EQ(already, TRUE, SETUP);
    CHECK(comes(port, 0, 2, (void *)0x40, 5), SETUP);

    HANDLE timer = CreateWaitableTimerW(NULL, FALSE, NULL);
    LARGE_INTEGER due = {.QuadPart = -200000};
    SetWaitableTimer(timer, &due, 0, NULL, NULL, FALSE);
    CHECK_STATUS(associate(packet, port, timer, (void *)7, (void *)0x80, 0, 0, &already), 0, SETUP);
    CHECK(comes(port, 10000, 7, (void *)0x80, 0), SETUP);
    CloseHandle(timer);
    CloseHandle(packet);
    CloseHandle(event);
    CloseHandle(port);
}

TEST(associations_are_taken_back)
{
    HANDLE packet, event = CreateEventW(NULL, FALSE, FALSE, NULL), port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    REQUIRE(find(), SETUP);
    REQUIRE_STATUS(create(&packet, MAXIMUM_ALLOWED, NULL), 0, SETUP);
    CHECK_STATUS(cancel(packet, TRUE), STATUS_CANCELLED, SETUP);
    CHECK_STATUS(associate(packet, port, event, NULL, NULL, 0, 0, NULL), 0, SETUP);
    CHECK_STATUS(cancel(packet, FALSE), 0, SETUP);
    SetEvent(event);
    Sleep(20);
    CHECK(!comes(port, 0, 0, NULL, 0), SETUP);
    CHECK_EQ(WaitForSingleObject(event, 0), WAIT_OBJECT_0, SETUP);

    SetEvent(event);
    CHECK_STATUS(associate(packet, port, event, NULL, NULL, 0, 0, NULL), 0, SETUP);
    CHECK_STATUS(cancel(packet, FALSE), STATUS_PENDING, SETUP);
    CHECK_STATUS(cancel(packet, TRUE), 0, SETUP);
    CHECK(!comes(port, 0, 0, NULL, 0), SETUP);
    CHECK_STATUS(cancel(packet, TRUE), STATUS_CANCELLED, SETUP);
    CHECK_STATUS(associate(packet, port, event, NULL, NULL, 0, 0, NULL), 0, SETUP);
    CloseHandle(packet);
    CloseHandle(event);
    CloseHandle(port);
}

TEST(many_objects_are_watched)
{
    enum { COUNT = 150 };
    HANDLE packets[COUNT], events[COUNT], port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    REQUIRE(find(), SETUP);
    for (int i = 0; i < COUNT; i++) {
        events[i] = CreateEventW(NULL, FALSE, FALSE, NULL);
        REQUIRE_STATUS(create(&packets[i], MAXIMUM_ALLOWED, NULL), 0, SETUP);
        REQUIRE_STATUS(associate(packets[i], port, events[i], (void *)(ULONG_PTR)i, (void *)1, 0, 0, NULL), 0, SETUP);
    }
    for (int i = COUNT - 1; i >= 0; i--) {
        SetEvent(events[i]);
        CHECK(comes(port, 10000, (ULONG_PTR)i, (void *)1, 0), SETUP);
        CloseHandle(events[i]);
        CloseHandle(packets[i]);
    }
    CloseHandle(port);
}
