/* Waits of Win32 on a waitable port, alone and among other objects: lpc §2.2 and §5.2 (lpc#38). */
#include "../lpctest.h"

static BOOL waitable_pair(struct pair *server, struct pair *client)
{
    memset(server, 0, sizeof *server);
    unique_name(server->name);
    UNICODE_STRING string = unicode(server->name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    return CHECK_STATUS(NtCreateWaitablePort(&server->conn, &oa, 0, 0x100, 0), STATUS_SUCCESS, SETUP) &&
           CHECK(pair_add(server, client, NULL), SETUP);
}

static void send_one(HANDLE port)
{
    struct msg datagram;
    msg_init(&datagram, 4);
    CHECK_STATUS(NtRequestPort(port, &datagram.h), STATUS_SUCCESS, SETUP);
}

static void drain_one(HANDLE port)
{
    struct msg received;
    CHECK_STATUS(receive_within(port, NULL, &received, 5000), STATUS_SUCCESS, SETUP);
}

static void send_later(void *port)
{
    Sleep(100);
    send_one((HANDLE)port);
}

TEST(mixed_array)
{
    struct pair server, client;
    HANDLE handles[3];
    REQUIRE(waitable_pair(&server, &client), SETUP);
    handles[0] = CreateEventW(NULL, TRUE, FALSE, NULL);
    handles[1] = server.conn;
    handles[2] = CreateEventW(NULL, FALSE, FALSE, NULL);
    CHECK_EQ(WaitForMultipleObjects(3, handles, FALSE, 50), WAIT_TIMEOUT, lpc(38));
    SetEvent(handles[2]);
    CHECK_EQ(WaitForMultipleObjects(3, handles, FALSE, 5000), WAIT_OBJECT_0 + 2, SETUP);
    for (int i = 0; i < 20; i++) {
        struct worker worker;
        REQUIRE(spawn(&worker, send_later, client.cli), SETUP);
        CHECK_EQ(WaitForMultipleObjects(3, handles, FALSE, 10000), WAIT_OBJECT_0 + 1, lpc(38));
        join(&worker);
        drain_one(server.conn);
        CHECK_EQ(WaitForMultipleObjects(3, handles, FALSE, 0), WAIT_TIMEOUT, lpc(38));
    }
    CloseHandle(handles[0]);
    CloseHandle(handles[2]);
    pair_close(&client);
    pair_close(&server);
}

TEST(wait_for_all)
{
    struct pair server, client;
    HANDLE handles[2];
    REQUIRE(waitable_pair(&server, &client), SETUP);
    handles[0] = CreateEventW(NULL, FALSE, TRUE, NULL);
    handles[1] = server.conn;
    CHECK_EQ(WaitForMultipleObjects(2, handles, TRUE, 50), WAIT_TIMEOUT, lpc(38));
    send_one(client.cli);
    CHECK_EQ(WaitForMultipleObjects(2, handles, TRUE, 10000), WAIT_OBJECT_0, lpc(38));
    /* The wait took the event, not the message. */
    CHECK_EQ(WaitForSingleObject(handles[0], 0), WAIT_TIMEOUT, SETUP);
    CHECK_EQ(WaitForSingleObject(server.conn, 0), WAIT_OBJECT_0, lpc(38));
    CloseHandle(handles[0]);
    pair_close(&client);
    pair_close(&server);
}

static LONG apcs;

static void CALLBACK count_apc(ULONG_PTR arg)
{
    (void)arg;
    InterlockedIncrement(&apcs);
}

TEST(alertable_wait)
{
    struct pair server, client;
    REQUIRE(waitable_pair(&server, &client), SETUP);
    apcs = 0;
    CHECK(QueueUserAPC(count_apc, GetCurrentThread(), 0), SETUP);
    CHECK_EQ(WaitForSingleObjectEx(server.conn, 20, FALSE), WAIT_TIMEOUT, lpc(38));
    CHECK_EQ(apcs, 0, SETUP);
    CHECK_EQ(WaitForSingleObjectEx(server.conn, 5000, TRUE), WAIT_IO_COMPLETION, SETUP);
    CHECK_EQ(apcs, 1, SETUP);
    send_one(client.cli);
    CHECK_EQ(WaitForSingleObjectEx(server.conn, 5000, TRUE), WAIT_OBJECT_0, lpc(38));
    pair_close(&client);
    pair_close(&server);
}

TEST(timeout_is_kept)
{
    struct pair server, client;
    HANDLE handles[2];
    REQUIRE(waitable_pair(&server, &client), SETUP);
    handles[0] = CreateEventW(NULL, TRUE, FALSE, NULL);
    handles[1] = server.conn;
    ULONGLONG begin = GetTickCount64();
    CHECK_EQ(WaitForSingleObject(server.conn, 300), WAIT_TIMEOUT, lpc(38));
    CHECK_EQ(WaitForMultipleObjects(2, handles, FALSE, 300), WAIT_TIMEOUT, lpc(38));
    CHECK(GetTickCount64() - begin >= 560, SETUP);
    CloseHandle(handles[0]);
    pair_close(&client);
    pair_close(&server);
}

static HANDLE registered, called;
static LONG callbacks, taken;

/* The wait is registered again before a callback runs, so one message may cause several callbacks. */
static void CALLBACK take_if_there(void *arg, BOOLEAN timed_out)
{
    struct msg received;
    (void)arg;
    CHECK(!timed_out, lpc(38));
    InterlockedIncrement(&callbacks);
    if (receive_within(registered, NULL, &received, 0) == STATUS_SUCCESS && InterlockedIncrement(&taken))
        SetEvent(called);
}

/* Registers a wait, sends ten messages one after the other and waits until a callback took each. */
static void take_by_registered_wait(ULONG flags)
{
    struct pair server, client;
    HANDLE wait;
    REQUIRE(waitable_pair(&server, &client), SETUP);
    callbacks = taken = 0;
    registered = server.conn;
    called = CreateEventW(NULL, FALSE, FALSE, NULL);
    REQUIRE(RegisterWaitForSingleObject(&wait, server.conn, take_if_there, NULL, INFINITE, flags), SETUP);
    CHECK_EQ(WaitForSingleObject(called, 100), WAIT_TIMEOUT, lpc(38));
    CHECK_EQ(callbacks, 0, lpc(38));
    for (int i = 0; i < 10; i++) {
        send_one(client.cli);
        CHECK_EQ(WaitForSingleObject(called, 10000), WAIT_OBJECT_0, lpc(38));
    }
    CHECK(UnregisterWaitEx(wait, INVALID_HANDLE_VALUE), SETUP);
    CHECK_EQ(taken, 10, lpc(38));
    CloseHandle(called);
    pair_close(&client);
    pair_close(&server);
}

TEST(registered_wait)
{
    take_by_registered_wait(WT_EXECUTEDEFAULT);
}

/* Here a callback ends before the port is waited for again: one callback for each message. */
TEST(registered_wait_in_wait_thread)
{
    take_by_registered_wait(WT_EXECUTEINWAITTHREAD);
    CHECK_EQ(callbacks, 10, lpc(38));
}

TEST(signal_and_wait)
{
    struct pair server, client;
    struct worker worker;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    REQUIRE(waitable_pair(&server, &client), SETUP);
    REQUIRE(spawn(&worker, send_later, client.cli), SETUP);
    CHECK_EQ(SignalObjectAndWait(event, server.conn, 10000, FALSE), WAIT_OBJECT_0, lpc(38));
    CHECK_EQ(WaitForSingleObject(event, 0), WAIT_OBJECT_0, SETUP);
    join(&worker);
    CloseHandle(event);
    pair_close(&client);
    pair_close(&server);
}

/* Waits for an inherited port; the exit code is the result. */
ROLE(waiter)
{
    HANDLE port = (HANDLE)role_arg_number(0), ready = (HANDLE)role_arg_number(1);
    if (WaitForSingleObject(port, 0) != WAIT_TIMEOUT)
        return 101;
    SetEvent(ready);
    return WaitForSingleObject(port, 20000);
}

TEST(several_processes_wait)
{
    struct pair server, client;
    struct child child;
    HANDLE inherited, ready = inheritable_event(TRUE);
    REQUIRE(waitable_pair(&server, &client), SETUP);
    REQUIRE(DuplicateHandle(GetCurrentProcess(), server.conn, GetCurrentProcess(), &inherited, 0, TRUE,
                            DUPLICATE_SAME_ACCESS),
            SETUP);
    REQUIRE(child_start(&child, "waiter", number((ULONG_PTR)inherited), number((ULONG_PTR)ready), NULL), SETUP);
    CHECK_EQ(WaitForSingleObject(ready, 20000), WAIT_OBJECT_0, lpc(38));
    send_one(client.cli);
    CHECK_EQ(WaitForSingleObject(server.conn, 5000), WAIT_OBJECT_0, lpc(38));
    CHECK_EQ(child_join(&child), WAIT_OBJECT_0, lpc(38));
    CloseHandle(inherited);
    CloseHandle(ready);
    pair_close(&client);
    pair_close(&server);
}

/* Registers a wait for an inherited port, until told to stop. */
ROLE(registered_waiter)
{
    HANDLE ready = (HANDLE)role_arg_number(2), stop = (HANDLE)role_arg_number(3), wait;
    registered = (HANDLE)role_arg_number(0);
    called = (HANDLE)role_arg_number(1);
    if (!RegisterWaitForSingleObject(&wait, registered, take_if_there, NULL, INFINITE, WT_EXECUTEDEFAULT))
        return 101;
    SetEvent(ready);
    WaitForSingleObject(stop, INFINITE);
    return UnregisterWaitEx(wait, INVALID_HANDLE_VALUE) ? 0 : 102;
}

static void send_and_have_taken(HANDLE port)
{
    for (int i = 0; i < 10; i++) {
        send_one(port);
        CHECK_EQ(WaitForSingleObject(called, 10000), WAIT_OBJECT_0, lpc(38));
    }
}

/* Three processes register waits for a port: each message is taken, also when this process no longer waits. */
TEST(registered_waits_of_several_processes)
{
    enum { CHILDREN = 2 };
    struct pair server, client;
    struct child children[CHILDREN];
    HANDLE inherited, wait, ready = inheritable_event(FALSE), stop = inheritable_event(TRUE);
    REQUIRE(waitable_pair(&server, &client), SETUP);
    REQUIRE(DuplicateHandle(GetCurrentProcess(), server.conn, GetCurrentProcess(), &inherited, 0, TRUE,
                            DUPLICATE_SAME_ACCESS),
            SETUP);
    registered = server.conn;
    called = inheritable_event(FALSE);
    for (int i = 0; i < CHILDREN; i++) {
        REQUIRE(child_start(&children[i], "registered_waiter", number((ULONG_PTR)inherited),
                            number((ULONG_PTR)called), number((ULONG_PTR)ready), number((ULONG_PTR)stop), NULL),
                SETUP);
        CHECK_EQ(WaitForSingleObject(ready, 20000), WAIT_OBJECT_0, lpc(38));
    }
    REQUIRE(RegisterWaitForSingleObject(&wait, server.conn, take_if_there, NULL, INFINITE, WT_EXECUTEDEFAULT), SETUP);
    send_and_have_taken(client.cli);
    CHECK(UnregisterWaitEx(wait, INVALID_HANDLE_VALUE), SETUP);
    send_and_have_taken(client.cli);
    SetEvent(stop);
    for (int i = 0; i < CHILDREN; i++)
        CHECK_EQ(child_join(&children[i]), 0, lpc(38));
    CloseHandle(inherited);
    CloseHandle(called);
    CloseHandle(ready);
    CloseHandle(stop);
    pair_close(&client);
    pair_close(&server);
}

static void suspended_send(void *arg)
{
    struct worker *victim = arg;
    CHECK_EQ(SuspendThread(victim->thread), 0, SETUP);
    Sleep(50);
    CHECK_EQ(ResumeThread(victim->thread), 1, SETUP);
}

static HANDLE waited;

static void wait_plainly(void *result)
{
    *(DWORD *)result = WaitForSingleObject(waited, 15000);
}

TEST(suspended_waiter_goes_on)
{
    struct pair server, client;
    struct worker worker;
    DWORD result = ~0u;
    REQUIRE(waitable_pair(&server, &client), SETUP);
    waited = server.conn;
    REQUIRE(spawn(&worker, wait_plainly, &result), SETUP);
    CHECK(still_runs(&worker), SETUP);
    for (int i = 0; i < 10; i++)
        suspended_send(&worker);
    send_one(client.cli);
    join(&worker);
    CHECK_EQ(result, WAIT_OBJECT_0, lpc(38));
    pair_close(&client);
    pair_close(&server);
}
