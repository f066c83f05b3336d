/* Receiving: lpc §2.5, §2.10, §5.8. */
#include "../lpctest.h"

static void receive_datagram(struct pair *pair, HANDLE port, PVOID want_context, int cite)
{
    struct msg datagram, received;
    PVOID port_context = UNTOUCHED;
    msg_init(&datagram, 4);
    CHECK_STATUS(NtRequestPort(pair->cli, &datagram.h), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(receive_within(port, &port_context, &received, 5000), STATUS_SUCCESS, cite);
    CHECK_PTR(port_context, want_context, cite);
}

TEST(where_a_client_message_arrives)
{
    struct pair pair, other;
    REQUIRE(pair_open(&pair, (PVOID)(ULONG_PTR)0xABCD00), SETUP);
    REQUIRE(pair_add(&pair, &other, NULL), SETUP);
    receive_datagram(&pair, pair.conn, (PVOID)(ULONG_PTR)0xABCD00, lpc(150));
    receive_datagram(&pair, pair.srv, (PVOID)(ULONG_PTR)0xABCD00, lpc(149));
    receive_datagram(&other, pair.conn, other.srv, lpc(151));
    /* Any server communication port reads the queue of the connection port. */
    receive_datagram(&pair, other.srv, (PVOID)(ULONG_PTR)0xABCD00, lpc(149));
    pair_close(&other);
    pair_close(&pair);
}

TEST(request_is_received_on_either_port)
{
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    for (int i = 0; i < 2; i++) {
        static struct calling calling;
        struct worker worker;
        struct msg received;
        HANDLE port = i == 0 ? pair.conn : pair.srv;
        int cite = i == 0 ? lpc(148) : lpc(149);
        call_init(&calling, pair.cli, 4);
        REQUIRE(call_start(&calling, &worker), SETUP);
        /* The context pointer may be NULL. */
        REQUIRE_STATUS(NtReplyWaitReceivePort(port, NULL, NULL, &received.h), STATUS_SUCCESS, lpc(152));
        CHECK_EQ(received.h.Type, LPC_REQUEST, cite);
        CHECK_STATUS(NtReplyPort(port, &received.h), STATUS_SUCCESS, cite);
        join(&worker);
        CHECK_STATUS(calling.status, STATUS_SUCCESS, cite);
    }
    pair_close(&pair);
}

TEST(bad_receive_arguments)
{
    struct pair pair;
    struct msg m;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    LARGE_INTEGER poll = {.QuadPart = 0};
    REQUIRE(pair_open(&pair, NULL), SETUP);
    CHECK_STATUS(NtReplyWaitReceivePort(pair.conn, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION, lpc(153));
    CHECK_STATUS(NtReplyWaitReceivePortEx(pair.conn, NULL, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION, lpc(153));
    CHECK_STATUS(NtReplyWaitReceivePort(event, NULL, NULL, &m.h), STATUS_OBJECT_TYPE_MISMATCH, lpc(154));
    CHECK_STATUS(NtReplyWaitReceivePortEx(event, NULL, NULL, &m.h, &poll), STATUS_OBJECT_TYPE_MISMATCH, lpc(154));
    CloseHandle(event);
    pair_close(&pair);
}

TEST(failing_reply_receives_nothing)
{
    struct pair pair;
    struct msg datagram, reply, received;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    msg_init(&datagram, 4);
    CHECK_STATUS(NtRequestPort(pair.cli, &datagram.h), STATUS_SUCCESS, SETUP);
    msg_init(&reply, 4);
    reply.h.ClientId = own_client_id();
    reply.h.MessageId = 0x7FFFFFF1;
    memset(&received, 0x77, sizeof received);
    CHECK_STATUS(NtReplyWaitReceivePort(pair.conn, NULL, &reply.h, &received.h), STATUS_REPLY_MESSAGE_MISMATCH,
                 lpc(155));
    CHECK_EQ(received.h.Type, 0x7777, lpc(155));
    reply.h.MessageId = 0;
    CHECK_STATUS(NtReplyWaitReceivePort(pair.conn, NULL, &reply.h, &received.h), STATUS_INVALID_PARAMETER, lpc(155));
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 0), STATUS_SUCCESS, lpc(155));
    CHECK_EQ(received.h.Type, LPC_DATAGRAM, lpc(155));
    pair_close(&pair);
}

static void call_three_times(void *arg)
{
    struct calling *calling = arg;
    for (int i = 0; i < 3; i++) {
        calling->request.data[0] = (UCHAR)i;
        calling->status = NtRequestWaitReplyPort(calling->port, &calling->request.h, &calling->reply.h);
        if (calling->status != STATUS_SUCCESS || calling->reply.data[0] != i + 0x40)
            return;
    }
}

TEST(reply_and_receive_in_one_call)
{
    static struct calling calling;
    struct worker worker;
    struct msg m;
    struct pair pair;
    PORT_MESSAGE *reply = NULL;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 4);
    REQUIRE(spawn(&worker, call_three_times, &calling), SETUP);
    for (int i = 0; i < 3; i++) {
        REQUIRE_STATUS(NtReplyWaitReceivePort(pair.conn, NULL, reply, &m.h), STATUS_SUCCESS, lpc(156));
        CHECK_EQ(m.data[0], i, lpc(156));
        m.data[0] = (UCHAR)(i + 0x40);
        reply = &m.h;
    }
    CHECK_STATUS(NtReplyPort(pair.conn, &m.h), STATUS_SUCCESS, lpc(156));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(156));
    CHECK_EQ(calling.reply.data[0], 0x42, lpc(156));
    pair_close(&pair);
}

enum { SHARED_MESSAGES = 200, END_MARK = 0xFFFF };

struct receiving {
    HANDLE port;
    LONG *seen;
    NTSTATUS status;
};

static void receive_until_the_end(void *arg)
{
    struct receiving *r = arg;
    struct msg m;
    do {
        USHORT index;
        r->status = NtReplyWaitReceivePort(r->port, NULL, NULL, &m.h);
        if (r->status != STATUS_SUCCESS)
            return;
        memcpy(&index, m.data, 2);
        if (index < SHARED_MESSAGES)
            InterlockedIncrement(&r->seen[index]);
        else
            return;
    } while (TRUE);
}

TEST(each_message_goes_to_one_receiver)
{
    static LONG seen[SHARED_MESSAGES];
    struct receiving receiving[2];
    struct worker workers[2];
    struct msg m;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    for (int i = 0; i < 2; i++) {
        receiving[i] = (struct receiving){i == 0 ? pair.conn : pair.srv, seen, 0};
        REQUIRE(spawn(&workers[i], receive_until_the_end, &receiving[i]), SETUP);
    }
    for (USHORT i = 0; i < SHARED_MESSAGES + 2; i++) {
        USHORT index = i < SHARED_MESSAGES ? i : END_MARK;
        msg_init(&m, 2);
        memcpy(m.data, &index, 2);
        CHECK_STATUS(NtRequestPort(pair.cli, &m.h), STATUS_SUCCESS, SETUP);
    }
    for (int i = 0; i < 2; i++) {
        join(&workers[i]);
        CHECK_STATUS(receiving[i].status, STATUS_SUCCESS, lpc(157));
    }
    for (int i = 0; i < SHARED_MESSAGES; i++) {
        context("message %d", i);
        CHECK_EQ(seen[i], 1, lpc(157));
    }
    pair_close(&pair);
}

static ULONG64 now_100ns(void)
{
    FILETIME time;
    GetSystemTimeAsFileTime(&time);
    return (ULONG64)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

TEST(timeouts)
{
    struct pair pair;
    struct msg received;
    PVOID port_context = UNTOUCHED;
    LARGE_INTEGER timeout;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    memset(&received, 0x77, sizeof received);
    timeout.QuadPart = 0;
    CHECK_STATUS(NtReplyWaitReceivePortEx(pair.conn, &port_context, NULL, &received.h, &timeout), STATUS_TIMEOUT,
                 lpc(158));
    for (ULONG i = 0; i < sizeof received; i++)
        if (((UCHAR *)&received)[i] != 0x77)
            CHECK_EQ(((UCHAR *)&received)[i], 0x77, lpc(158));
    CHECK_PTR(port_context, UNTOUCHED, lpc(158));

    timeout.QuadPart = -1500000; /* 150 ms */
    ULONG64 start = now_100ns();
    CHECK_STATUS(NtReplyWaitReceivePortEx(pair.conn, &port_context, NULL, &received.h, &timeout), STATUS_TIMEOUT,
                 lpc(159));
    /* The system time may be read up to a clock tick late. */
    CHECK(now_100ns() - start >= 1500000 - 160000, lpc(159));

    /* Positive values are absolute: this one has passed. */
    timeout.QuadPart = 1;
    CHECK_STATUS(NtReplyWaitReceivePortEx(pair.conn, NULL, NULL, &received.h, &timeout), STATUS_TIMEOUT, lpc(158));
    CHECK_STATUS(NtReplyWaitReceivePortEx(pair.srv, NULL, NULL, &received.h, &timeout), STATUS_TIMEOUT, lpc(158));
    CHECK_STATUS(NtReplyWaitReceivePortEx(pair.cli, NULL, NULL, &received.h, &timeout), STATUS_TIMEOUT, lpc(158));
    CHECK_STATUS(NtReplyWaitReceivePortEx(pair.conn, NULL, NULL, &received.h, unmapped()), STATUS_ACCESS_VIOLATION,
                 SETUP);
    pair_close(&pair);
}

TEST(timeout_does_not_hold_the_reply_back)
{
    static struct calling calling;
    struct worker worker;
    struct msg m, none;
    struct pair pair;
    LARGE_INTEGER timeout = {.QuadPart = -100000};
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &m, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtReplyWaitReceivePortEx(pair.conn, NULL, &m.h, &none.h, &timeout), STATUS_TIMEOUT, lpc(160));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(160));
    pair_close(&pair);
}

TEST(listening_discards_everything_else)
{
    static struct calling calling;
    static struct connecting connecting;
    struct worker caller, connector;
    struct msg m;
    struct pair pair;
    HANDLE srv = UNTOUCHED;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(NtRequestPort(pair.cli, &m.h), STATUS_SUCCESS, SETUP);
    call_init(&calling, pair.cli, 4);
    REQUIRE(call_start(&calling, &caller), SETUP);
    CHECK(still_runs(&caller), SETUP);
    connect_init(&connecting, pair.name);
    REQUIRE(connect_start(&connecting, &connector), SETUP);
    REQUIRE_STATUS(NtListenPort(pair.conn, &m.h), STATUS_SUCCESS, lpc(161));
    CHECK_EQ(m.h.Type, LPC_CONNECTION_REQUEST, lpc(161));
    CHECK_EQ((ULONG_PTR)m.h.ClientId.UniqueThread, connector.tid, lpc(161));
    CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &m.h, FALSE, NULL, NULL), STATUS_SUCCESS, SETUP);
    join(&connector);
    CHECK_STATUS(receive_within(pair.conn, NULL, &m, 0), STATUS_TIMEOUT, lpc(161));
    /* The sender of the discarded request waits until its server port goes. */
    CHECK(still_runs(&caller), lpc(161));
    CHECK_STATUS(NtClose(pair.srv), STATUS_SUCCESS, SETUP);
    pair.srv = NULL;
    join(&caller);
    CHECK_STATUS(calling.status, STATUS_LPC_REPLY_LOST, lpc(201));
    pair_close(&pair);
}

static LONG apcs;

static void CALLBACK count_apc(ULONG_PTR unused)
{
    (void)unused;
    InterlockedIncrement(&apcs);
}

TEST(apcs_and_alerts_do_not_end_a_wait)
{
    static struct calling calling;
    struct worker worker;
    struct msg m;
    struct pair pair;
    NEED(NtAlertThread);
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &m, 5000), STATUS_SUCCESS, SETUP);
    CHECK(QueueUserAPC(count_apc, worker.thread, 0) != 0, SETUP);
    /* Wine 8 and lpcrun have no alerts. */
    NTSTATUS alerted = NtAlertThread(worker.thread);
    CHECK(alerted == STATUS_SUCCESS || alerted == STATUS_NOT_IMPLEMENTED || alerted == STATUS_NOT_SUPPORTED, SETUP);
    CHECK(still_runs(&worker), lpc(162));
    CHECK_EQ(apcs, 0, lpc(162));
    CHECK_STATUS(NtReplyPort(pair.srv, &m.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(162));
    CHECK_EQ(calling.reply.h.Type, LPC_REPLY, lpc(162));
    pair_close(&pair);
}

TEST(disconnected_server_port_drains_first)
{
    struct msg m;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(NtRequestPort(pair.cli, &m.h), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(pair.cli), STATUS_SUCCESS, SETUP);
    pair.cli = NULL;
    CHECK_STATUS(NtReplyWaitReceivePort(pair.srv, NULL, NULL, &m.h), STATUS_SUCCESS, lpc(163));
    CHECK_EQ(m.h.Type, LPC_DATAGRAM, lpc(163));
    CHECK_STATUS(NtReplyWaitReceivePort(pair.srv, NULL, NULL, &m.h), STATUS_SUCCESS, lpc(163));
    CHECK_EQ(m.h.Type, LPC_PORT_CLOSED, lpc(163));
    CHECK_STATUS(NtReplyWaitReceivePort(pair.srv, NULL, NULL, &m.h), STATUS_PORT_DISCONNECTED, lpc(163));
    pair_close(&pair);
}
