/* Requests and replies: lpc §2.9, §2.11, §5.6. */
#include "../lpctest.h"

/* Receives the request of `calling` on `port`. */
static BOOL receive_request(HANDLE port, struct msg *received)
{
    return CHECK_STATUS(receive_within(port, NULL, received, 5000), STATUS_SUCCESS, SETUP);
}

TEST(headers_of_request_and_reply)
{
    static struct calling calling;
    static struct msg received, reply;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 12);
    calling.request.h.CallbackId = 0x12345678;
    calling.request.h.MessageId = 0x99999999;
    calling.request.h.ClientId = client_id(4, 8);
    REQUIRE(call_start(&calling, &worker), SETUP);
    memset(&received, 0xAA, sizeof received);
    REQUIRE(receive_request(pair.conn, &received), SETUP);
    CLIENT_ID client = client_id(GetCurrentProcessId(), worker.tid);
    CHECK_EQ(received.h.Type, LPC_REQUEST, lpc(107));
    CHECK(received.h.MessageId != 0 && received.h.MessageId != 0x99999999, lpc(107));
    CHECK(same_client(&received.h.ClientId, &client), lpc(107));
    CHECK_EQ(received.h.DataInfoOffset, 0, lpc(107));
    CHECK_EQ(received.h.CallbackId, 0, lpc(108));
    CHECK_EQ(received.h.ClientViewSize, 0, lpc(108));
    CHECK(memcmp(received.data, calling.request.data, 12) == 0, lpc(107));

    reply = received;
    reply.h.DataLength = 20;
    reply.h.TotalLength = HEADER + 24;
    memset(reply.data, 0x5A, 24);
    struct msg before = reply;
    CHECK_STATUS(NtReplyPort(pair.srv, &reply.h), STATUS_SUCCESS, lpc(112));
    CHECK(memcmp(&before, &reply, sizeof reply) == 0, lpc(115));
    CHECK_EQ(reply.h.Type, LPC_REQUEST, lpc(115));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(109));
    CHECK_EQ(calling.reply.h.Type, LPC_REPLY, lpc(109));
    CHECK_EQ(calling.reply.h.DataLength, 20, lpc(109));
    CHECK_EQ(calling.reply.h.TotalLength, HEADER + 24, lpc(109));
    CHECK(calling.reply.h.MessageId != 0, lpc(109));
    CHECK_EQ(calling.reply.h.CallbackId, 0, lpc(109));
    CHECK(memcmp(calling.reply.data, reply.data, 20) == 0, lpc(109));
    CHECK(same_client(&calling.reply.h.ClientId, &client), lpc(110));
    CHECK_EQ(calling.reply.h.MessageId, received.h.MessageId, lpc(111));
    pair_close(&pair);
}

TEST(reply_on_the_connection_port)
{
    static struct calling calling;
    struct msg received;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE(receive_request(pair.conn, &received), SETUP);
    CHECK_STATUS(NtReplyPort(pair.conn, &received.h), STATUS_SUCCESS, lpc(113));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(113));
    pair_close(&pair);
}

TEST(reply_on_the_port_of_another_client)
{
    static struct calling calling;
    struct msg received;
    struct worker worker;
    struct pair pair, other;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    REQUIRE(pair_add(&pair, &other, NULL), SETUP);
    call_init(&calling, pair.cli, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE(receive_request(pair.conn, &received), SETUP);
    CHECK_STATUS(NtReplyPort(other.srv, &received.h), STATUS_REPLY_MESSAGE_MISMATCH, lpc(114));
    CHECK(still_runs(&worker), lpc(114));
    CHECK_STATUS(NtReplyPort(pair.srv, &received.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    pair_close(&other);
    pair_close(&pair);
}

TEST(request_port_leaves_the_buffer_alone)
{
    struct msg datagram, before;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    msg_init(&datagram, 9);
    before = datagram;
    CHECK_STATUS(NtRequestPort(pair.cli, &datagram.h), STATUS_SUCCESS, lpc(116));
    CHECK(memcmp(&datagram, &before, sizeof before) == 0, lpc(116));
    pair_close(&pair);
}

TEST(replies_that_match_nothing)
{
    static struct calling calling;
    struct msg received, wrong;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE(receive_request(pair.conn, &received), SETUP);

    wrong = received;
    wrong.h.MessageId = 0;
    CHECK_STATUS(NtReplyPort(pair.srv, &wrong.h), STATUS_INVALID_PARAMETER, lpc(118));
    wrong = received;
    wrong.h.MessageId++;
    CHECK_STATUS(NtReplyPort(pair.srv, &wrong.h), STATUS_REPLY_MESSAGE_MISMATCH, lpc(117));
    wrong = received;
    wrong.h.ClientId = client_id(0xFFFFFFF0, 0xFFFFFFF4);
    CHECK_STATUS(NtReplyPort(pair.srv, &wrong.h), STATUS_INVALID_CID, lpc(119));
    wrong = received;
    wrong.h.ClientId.UniqueProcess = (HANDLE)(ULONG_PTR)0xFFFFFFF0;
    CHECK_STATUS(NtReplyPort(pair.srv, &wrong.h), STATUS_INVALID_CID, lpc(120));
    CHECK_STATUS(NtReplyPort(pair.srv, NULL), STATUS_ACCESS_VIOLATION, lpc(121));
    wrong = received;
    wrong.h.TotalLength = MAX_TOTAL_LENGTH + 4;
    CHECK_STATUS(NtReplyPort(pair.srv, &wrong.h), STATUS_PORT_MESSAGE_TOO_LONG, lpc(126));
    CHECK(still_runs(&worker), lpc(117));

    CHECK_STATUS(NtReplyPort(pair.srv, &received.h), STATUS_SUCCESS, lpc(117));
    NTSTATUS again = NtReplyPort(pair.srv, &received.h);
    join(&worker);
    /* While the client thread lives; afterwards the id names nobody (lpc §2.9). */
    CHECK(again == STATUS_REPLY_MESSAGE_MISMATCH || again == STATUS_INVALID_CID, lpc(117));
    pair_close(&pair);
}

/* Sends two requests from one thread, so that the second reply meets a living thread. */
static void call_twice(void *arg)
{
    struct calling *calling = arg;
    struct msg reply;
    calling->status = NtRequestWaitReplyPort(calling->port, &calling->request.h, &reply.h);
    if (calling->status == STATUS_SUCCESS)
        calling->status = NtRequestWaitReplyPort(calling->port, &calling->request.h, &reply.h);
}

TEST(second_reply_is_a_mismatch)
{
    static struct calling calling;
    struct msg first, second;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 4);
    REQUIRE(spawn(&worker, call_twice, &calling), SETUP);
    REQUIRE(receive_request(pair.conn, &first), SETUP);
    CHECK_STATUS(NtReplyPort(pair.srv, &first.h), STATUS_SUCCESS, SETUP);
    REQUIRE(receive_request(pair.conn, &second), SETUP);
    CHECK_STATUS(NtReplyPort(pair.srv, &first.h), STATUS_REPLY_MESSAGE_MISMATCH, lpc(117));
    CHECK_EQ(second.h.MessageId, first.h.MessageId + 1, lpc(133));
    CHECK_STATUS(NtReplyPort(pair.srv, &second.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(117));
    pair_close(&pair);
}

TEST(reply_to_a_connection_request)
{
    static const USHORT types[] = {0, 2, 3, 5, 6, 7, 8, 9, LPC_CONNECTION_REQUEST, LPC_REQUEST};
    static struct connecting connecting;
    struct worker worker;
    struct msg request;
    WCHAR name[64];
    HANDLE conn, srv = UNTOUCHED;
    unique_name(name);
    REQUIRE_STATUS(create_port(&conn, name), STATUS_SUCCESS, SETUP);
    connect_init(&connecting, name);
    REQUIRE(connect_start(&connecting, &worker), SETUP);
    REQUIRE_STATUS(NtListenPort(conn, &request.h), STATUS_SUCCESS, SETUP);
    for (int i = 0; i < 10; i++) {
        struct msg reply = request;
        reply.h.Type = types[i];
        context("Type %u", types[i]);
        CHECK_STATUS(NtReplyPort(conn, &reply.h), STATUS_REPLY_MESSAGE_MISMATCH,
                     types[i] == LPC_REQUEST ? lpc(123) : lpc(122));
    }
    context(NULL);
    CHECK(still_runs(&worker), lpc(122));
    CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &request.h, FALSE, NULL, NULL), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

TEST(requests_refused_at_once)
{
    static const USHORT types[] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0x100};
    static struct msg request, reply;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    msg_init(&request, 1);
    CHECK_STATUS(NtRequestWaitReplyPort(pair.cli, NULL, NULL), STATUS_ACCESS_VIOLATION, lpc(124));
    CHECK_STATUS(NtRequestWaitReplyPort(pair.cli, &request.h, NULL), STATUS_ACCESS_VIOLATION, lpc(124));
    CHECK_STATUS(NtRequestWaitReplyPort(pair.cli, NULL, &reply.h), STATUS_ACCESS_VIOLATION, lpc(124));
    request.h.DataLength = 0x1000;
    CHECK_STATUS(NtRequestWaitReplyPort(pair.cli, &request.h, &reply.h), STATUS_INVALID_PARAMETER, lpc(125));
    CHECK_STATUS(NtRequestWaitReplyPort(NULL, &request.h, &reply.h), STATUS_INVALID_PARAMETER, lpc(127));
    CHECK_STATUS(NtRequestPort(NULL, &request.h), STATUS_INVALID_PARAMETER, lpc(127));
    /* No wrap of the 16-bit sum (lpc §1.1). */
    request.h.DataLength = 0xFFF0;
    CHECK_STATUS(NtRequestWaitReplyPort(pair.cli, &request.h, &reply.h), STATUS_INVALID_PARAMETER, lpc(125));
    msg_init(&request, 1);
    request.h.TotalLength = 0x1000;
    CHECK_STATUS(NtRequestWaitReplyPort(pair.cli, &request.h, &reply.h), STATUS_PORT_MESSAGE_TOO_LONG, lpc(126));
    msg_init(&request, 1);
    CHECK_STATUS(NtRequestWaitReplyPort(NULL, &request.h, &reply.h), STATUS_INVALID_HANDLE, lpc(127));
    for (int i = 0; i < 11; i++) {
        context("Type %u", types[i]);
        msg_init(&request, 1);
        request.h.Type = types[i];
        CHECK_STATUS(NtRequestWaitReplyPort(pair.cli, &request.h, &reply.h), STATUS_INVALID_PARAMETER, lpc(131));
    }
    context(NULL);
    CHECK_STATUS(receive_within(pair.conn, NULL, &reply, 0), STATUS_TIMEOUT, SETUP);
    pair_close(&pair);
}

TEST(data_are_captured_when_sent)
{
    static struct calling calling;
    struct msg received;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 16);
    REQUIRE(call_start(&calling, &worker), SETUP);
    CHECK(still_runs(&worker), SETUP);
    memset(calling.request.data, 0xFF, 16);
    calling.request.h.DataLength = 0;
    REQUIRE(receive_request(pair.conn, &received), SETUP);
    CHECK_EQ(received.h.DataLength, 16, lpc(128));
    for (UCHAR i = 0; i < 16; i++)
        CHECK_EQ(received.data[i], i + 1, lpc(128));
    CHECK_STATUS(NtReplyPort(pair.srv, &received.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    pair_close(&pair);
}

TEST(reply_buffer_vanishes)
{
    static struct calling calling;
    struct msg received;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    void *page = VirtualAlloc(NULL, 0x1000, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    call_init(&calling, pair.cli, 4);
    calling.reply_to = page;
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE(receive_request(pair.conn, &received), SETUP);
    CHECK(still_runs(&worker), SETUP);
    CHECK(VirtualFree(page, 0, MEM_RELEASE), SETUP);
    CHECK_STATUS(NtReplyPort(pair.srv, &received.h), STATUS_SUCCESS, lpc(129));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_ACCESS_VIOLATION, lpc(129));
    /* The connection works on. */
    call_init(&calling, pair.cli, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE(receive_request(pair.conn, &received), SETUP);
    CHECK_STATUS(NtReplyPort(pair.srv, &received.h), STATUS_SUCCESS, lpc(129));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(129));
    pair_close(&pair);
}

TEST(no_data)
{
    static struct calling calling;
    struct msg received;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 0);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE(receive_request(pair.conn, &received), SETUP);
    CHECK_EQ(received.h.DataLength, 0, lpc(130));
    CHECK_EQ(received.h.TotalLength, HEADER, lpc(130));
    CHECK_STATUS(NtReplyPort(pair.srv, &received.h), STATUS_SUCCESS, lpc(130));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(130));
    CHECK_EQ(calling.reply.h.DataLength, 0, lpc(130));
    pair_close(&pair);
}

TEST(request_to_the_own_connection_port)
{
    static struct calling calling;
    struct msg received;
    struct worker worker;
    PVOID port_context = UNTOUCHED;
    WCHAR name[64];
    HANDLE conn;
    unique_name(name);
    REQUIRE_STATUS(create_port(&conn, name), STATUS_SUCCESS, SETUP);
    call_init(&calling, conn, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(receive_within(conn, &port_context, &received, 5000), STATUS_SUCCESS, lpc(132));
    CHECK_PTR(port_context, NULL, lpc(132));
    CHECK_EQ(received.h.Type, LPC_REQUEST, lpc(132));
    CHECK_STATUS(NtReplyPort(conn, &received.h), STATUS_SUCCESS, lpc(132));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(132));
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

struct sequence {
    HANDLE port;
    NTSTATUS status;
    ULONG answered;
};

static void call_ten_times(void *arg)
{
    struct sequence *sequence = arg;
    struct msg m;
    for (ULONG i = 0; i < 10; i++) {
        msg_init(&m, 4);
        m.data[0] = (UCHAR)i;
        /* Request and reply share the buffer (lpc#135). */
        sequence->status = NtRequestWaitReplyPort(sequence->port, &m.h, &m.h);
        if (sequence->status != STATUS_SUCCESS || m.data[0] != i + 100)
            return;
        sequence->answered++;
    }
}

TEST(ten_requests_in_order)
{
    struct sequence sequence = {0};
    struct msg received;
    struct worker worker;
    struct pair pair;
    ULONG last_id = 0;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    sequence.port = pair.cli;
    REQUIRE(spawn(&worker, call_ten_times, &sequence), SETUP);
    for (UCHAR i = 0; i < 10; i++) {
        REQUIRE(receive_request(pair.conn, &received), SETUP);
        CHECK_EQ(received.data[0], i, lpc(134));
        if (i > 0)
            CHECK_EQ(received.h.MessageId, last_id + 1, lpc(133));
        last_id = received.h.MessageId;
        received.data[0] = (UCHAR)(i + 100);
        REQUIRE_STATUS(NtReplyPort(pair.srv, &received.h), STATUS_SUCCESS, lpc(134));
    }
    join(&worker);
    CHECK_STATUS(sequence.status, STATUS_SUCCESS, lpc(135));
    CHECK_EQ(sequence.answered, 10, lpc(135));
    /* A thread that did not connect used the handle. */
    CHECK(worker.tid != pair.connecting_tid, lpc(136));
    CHECK_EQ(sequence.answered, 10, lpc(136));
    pair_close(&pair);
}

struct replying {
    HANDLE port;
    struct msg reply;
    NTSTATUS status;
};

static void reply_run(void *arg)
{
    struct replying *replying = arg;
    replying->status = NtReplyPort(replying->port, &replying->reply.h);
}

TEST(another_thread_replies)
{
    static struct calling calling;
    static struct replying replying;
    struct worker worker, helper;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE(receive_request(pair.conn, &replying.reply), SETUP);
    replying.port = pair.srv;
    REQUIRE(spawn(&helper, reply_run, &replying), SETUP);
    join(&helper);
    CHECK_STATUS(replying.status, STATUS_SUCCESS, lpc(137));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(137));
    pair_close(&pair);
}

struct client_server {
    HANDLE port;
    NTSTATUS received, replied;
    struct msg message;
};

static void serve_on_the_client_port(void *arg)
{
    struct client_server *c = arg;
    c->received = NtReplyWaitReceivePort(c->port, NULL, NULL, &c->message.h);
    c->replied = NtReplyPort(c->port, &c->message.h);
}

TEST(server_requests_from_a_receiving_client)
{
    static struct client_server client;
    static struct msg request, reply;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    client.port = pair.cli;
    REQUIRE(spawn(&worker, serve_on_the_client_port, &client), SETUP);
    msg_init(&request, 8);
    CHECK_STATUS(NtRequestWaitReplyPort(pair.srv, &request.h, &reply.h), STATUS_SUCCESS, lpc(138));
    join(&worker);
    CHECK_STATUS(client.received, STATUS_SUCCESS, lpc(138));
    CHECK_STATUS(client.replied, STATUS_SUCCESS, lpc(138));
    CHECK_EQ(client.message.h.Type, LPC_REQUEST, lpc(138));
    CHECK_EQ(reply.h.Type, LPC_REPLY, lpc(138));
    CHECK(memcmp(reply.data, request.data, 8) == 0, lpc(138));
    pair_close(&pair);
}
