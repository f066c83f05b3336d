/* NtRegisterThreadTerminatePort and LPC_CLIENT_DIED: lpc §2.18, §3.6, statements 191–200. */
#include "../lpctest.h"

static ULONG64 quad(FILETIME time)
{
    return (ULONG64)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

/* A thread that registers `port` some times, sends a datagram if asked to, and exits. */
struct mortal {
    HANDLE port;
    int registrations;
    BOOL with_datagram;
    NTSTATUS status;
    ULONG64 created;
    HANDLE wait_for;
};

static void live_and_die(void *arg)
{
    struct mortal *m = arg;
    FILETIME created, exited, kernel, user;
    struct msg datagram;
    m->status = STATUS_SUCCESS;
    for (int i = 0; i < m->registrations && m->status == STATUS_SUCCESS; i++)
        m->status = NtRegisterThreadTerminatePort(m->port);
    if (m->with_datagram && m->status == STATUS_SUCCESS) {
        msg_init(&datagram, 4);
        m->status = NtRequestPort(m->port, &datagram.h);
    }
    if (GetThreadTimes(GetCurrentThread(), &created, &exited, &kernel, &user))
        m->created = quad(created);
    if (m->wait_for != NULL)
        WaitForSingleObject(m->wait_for, INFINITE);
}

TEST(registering)
{
    struct mortal mortal = {.registrations = 2};
    struct worker worker;
    struct pair pair;
    struct msg received;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    REQUIRE(pair_open(&pair, NULL), SETUP);
    CHECK_STATUS(NtRegisterThreadTerminatePort(NULL), STATUS_INVALID_HANDLE, lpc(191));
    CHECK_STATUS(NtRegisterThreadTerminatePort(event), STATUS_OBJECT_TYPE_MISMATCH, SETUP);
    mortal.port = pair.cli;
    REQUIRE(spawn(&worker, live_and_die, &mortal), SETUP);
    join(&worker);
    CHECK_STATUS(mortal.status, STATUS_SUCCESS, lpc(192));
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(199));
        CHECK_EQ(received.h.Type, LPC_CLIENT_DIED, lpc(199));
    }
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 100), STATUS_TIMEOUT, lpc(199));

    mortal = (struct mortal){.port = pair.conn, .registrations = 1};
    REQUIRE(spawn(&worker, live_and_die, &mortal), SETUP);
    join(&worker);
    CHECK_STATUS(mortal.status, STATUS_SUCCESS, lpc(193));
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(193));
    CHECK_EQ(received.h.Type, LPC_CLIENT_DIED, lpc(193));
    CloseHandle(event);
    pair_close(&pair);
}

TEST(notice_of_an_exit)
{
    union {
        struct msg m;
        LPC_CLIENT_DIED_MSG died;
    } received;
    struct mortal mortal = {.registrations = 1, .with_datagram = TRUE};
    struct worker worker;
    struct pair pair;
    PVOID port_context = UNTOUCHED;
    REQUIRE(pair_open(&pair, (PVOID)(ULONG_PTR)0xDEAD0), SETUP);
    mortal.port = pair.cli;
    REQUIRE(spawn(&worker, live_and_die, &mortal), SETUP);
    join(&worker);
    CHECK_STATUS(mortal.status, STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &received.m, 5000), STATUS_SUCCESS, lpc(197));
    CHECK_EQ(received.m.h.Type, LPC_DATAGRAM, lpc(197));
    memset(&received, 0xAA, sizeof received);
    REQUIRE_STATUS(receive_within(pair.conn, &port_context, &received.m, 5000), STATUS_SUCCESS, lpc(194));
    CLIENT_ID dead = client_id(GetCurrentProcessId(), worker.tid);
    CHECK_EQ(received.m.h.Type, LPC_CLIENT_DIED, lpc(194));
    CHECK_EQ(received.m.h.DataLength, 8, lpc(194));
    CHECK_EQ(received.m.h.TotalLength, HEADER + 8, lpc(194));
    CHECK(received.m.h.MessageId != 0, lpc(194));
    CHECK_EQ(received.m.h.CallbackId, 0, lpc(194));
    CHECK_PTR(port_context, (PVOID)(ULONG_PTR)0xDEAD0, lpc(195));
    CHECK(same_client(&received.m.h.ClientId, &dead), lpc(196));
    CHECK_EQ(received.died.CreateTime.QuadPart, mortal.created, lpc(196));
    /* The port is still open: no LPC_PORT_CLOSED. */
    CHECK_STATUS(receive_within(pair.conn, NULL, &received.m, 100), STATUS_TIMEOUT, lpc(198));
    pair_close(&pair);
}

TEST(notice_of_a_killed_thread)
{
    struct mortal mortal = {.registrations = 1, .with_datagram = TRUE};
    struct worker worker;
    struct msg received;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    mortal.port = pair.cli;
    mortal.wait_for = CreateEventW(NULL, TRUE, FALSE, NULL);
    REQUIRE(spawn(&worker, live_and_die, &mortal), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(197));
    CHECK_EQ(received.h.Type, LPC_DATAGRAM, lpc(197));
    DWORD tid = worker.tid;
    CHECK(TerminateThread(worker.thread, 0), SETUP);
    join_killed(&worker);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(194));
    CHECK_EQ(received.h.Type, LPC_CLIENT_DIED, lpc(194));
    CHECK_EQ((ULONG_PTR)received.h.ClientId.UniqueThread, tid, lpc(196));
    CloseHandle(mortal.wait_for);
    pair_close(&pair);
}

TEST(two_threads)
{
    struct mortal mortal[2];
    struct worker workers[2];
    struct msg received;
    struct pair pair;
    BOOL seen[2] = {FALSE, FALSE};
    REQUIRE(pair_open(&pair, NULL), SETUP);
    for (int i = 0; i < 2; i++) {
        mortal[i] = (struct mortal){.port = pair.cli, .registrations = 1};
        REQUIRE(spawn(&workers[i], live_and_die, &mortal[i]), SETUP);
    }
    for (int i = 0; i < 2; i++)
        join(&workers[i]);
    for (int i = 0; i < 2; i++) {
        REQUIRE_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(200));
        CHECK_EQ(received.h.Type, LPC_CLIENT_DIED, lpc(200));
        for (int k = 0; k < 2; k++)
            seen[k] |= (ULONG_PTR)received.h.ClientId.UniqueThread == workers[k].tid;
    }
    CHECK(seen[0] && seen[1], lpc(200));
    pair_close(&pair);
}

/* The registration keeps the connection alive after the handle is closed (lpc §2.18, §3.6). */
TEST(registration_holds_the_port)
{
    struct mortal mortal = {.registrations = 1, .with_datagram = TRUE};
    struct worker worker;
    struct msg received;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    mortal.port = pair.cli;
    mortal.wait_for = CreateEventW(NULL, TRUE, FALSE, NULL);
    REQUIRE(spawn(&worker, live_and_die, &mortal), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(pair.cli), STATUS_SUCCESS, SETUP);
    pair.cli = NULL;
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 100), STATUS_TIMEOUT, SETUP);
    SetEvent(mortal.wait_for);
    join(&worker);
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, SETUP);
    CHECK_EQ(received.h.Type, LPC_CLIENT_DIED, SETUP);
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, SETUP);
    CHECK_EQ(received.h.Type, LPC_PORT_CLOSED, SETUP);
    CloseHandle(mortal.wait_for);
    pair_close(&pair);
}
