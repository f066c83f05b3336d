/* Conversations by NtAlpcSendWaitReceivePort: sizes, order, cookies, callbacks, reserves; statements 108–211, 259–262. */
#include "../alpc.h"

enum { RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE, SYNC = ALPC_MSGFLG_SYNC_REQUEST };

/* Connects once more to the port of `pair`. */
static BOOL connect_again(struct alpc_pair *pair, struct alpc_pair *second, PVOID port_context)
{
    struct msg m;
    SIZE_T length = sizeof m;
    UNICODE_STRING name = unicode(pair->name);
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(0, 0x400);
    memset(second, 0, sizeof *second);
    return CHECK_STATUS(NtAlpcConnectPort(&second->cli, &name, NULL, &port_attributes, 0, NULL, NULL, NULL, NULL, NULL,
                                          NULL),
                        STATUS_SUCCESS, SETUP) &&
           CHECK_STATUS(alpc_receive(pair->conn, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP) &&
           CHECK_STATUS(NtAlpcAcceptConnectPort(&second->srv, pair->conn, 0, NULL, NULL, port_context, &m.h, NULL, TRUE),
                        STATUS_SUCCESS, SETUP) &&
           CHECK_STATUS(alpc_receive(second->cli, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
}

TEST(two_clients)
{
    struct alpc_pair pair, second;
    struct msg m, r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, (PVOID)1), SETUP);
    REQUIRE(connect_again(&pair, &second, (PVOID)2), SETUP);
    CHECK(pair.srv != second.srv, alpc(108));
    msg_text(&m, "one");
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    msg_text(&m, "two");
    CHECK_STATUS(alpc_send(second.cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_receive(second.srv, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(146));
    CHECK(memcmp(r.data, "two", 4) == 0, alpc(146));
    REQUIRE_STATUS(alpc_receive(pair.srv, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(147));
    CHECK(memcmp(r.data, "one", 4) == 0, alpc(147));
    CHECK_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 0), STATUS_TIMEOUT, alpc(147));
    /* Two questions at once have different names. */
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(pair.cli, 0, &m), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(alpc_send(second.cli, 0, &m), STATUS_SUCCESS, SETUP);
    struct msg first;
    REQUIRE_STATUS(alpc_receive(pair.conn, &first, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK(first.h.MessageId != r.h.MessageId, alpc(142));
    NtClose(second.cli);
    NtClose(second.srv);
    alpc_pair_close(&pair);
}

static void receive_on_server_port(void *arg)
{
    struct alpc_calling *c = arg;
    c->status = alpc_receive(c->port, &c->reply, &c->length, NULL, 20000);
}

TEST(waiting_on_a_communication_port)
{
    static struct alpc_calling waiting;
    struct alpc_pair pair, second;
    struct worker worker;
    struct msg m, r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    REQUIRE(connect_again(&pair, &second, NULL), SETUP);
    alpc_call_init(&waiting, pair.srv, 0);
    REQUIRE(spawn(&worker, receive_on_server_port, &waiting), SETUP);
    msg_text(&m, "two");
    CHECK_STATUS(alpc_send(second.cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    CHECK(still_runs(&worker), alpc(145));
    msg_text(&m, "one");
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(waiting.status, STATUS_SUCCESS, alpc(145));
    CHECK(memcmp(waiting.reply.data, "one", 4) == 0, alpc(145));
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK(memcmp(r.data, "two", 4) == 0, alpc(144));
    NtClose(second.cli);
    NtClose(second.srv);
    alpc_pair_close(&pair);
}

TEST(sizes)
{
    static struct {
        PORT_MESSAGE h;
        UCHAR data[0x10000];
    } m, r;
    static const ULONG lengths[] = {0x200, 0x1000, 0x4018, 0xFFFF};
    WCHAR name[64];
    HANDLE conn, cli, srv;
    SIZE_T length;
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&conn, name, 0, 0xFFFF), STATUS_SUCCESS, SETUP);
    UNICODE_STRING string = unicode(name);
    /* The connection port's maximum counts; that of a client may say anything. */
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(0, 0x20000);
    REQUIRE_STATUS(NtAlpcConnectPort(&cli, &string, NULL, &port_attributes, 0x80000, NULL, NULL, NULL, NULL, NULL, NULL),
                   STATUS_SUCCESS, alpc(92));
    length = sizeof r;
    REQUIRE_STATUS(NtAlpcSendWaitReceivePort(conn, 0, NULL, NULL, &r.h, &length, NULL, NULL), STATUS_SUCCESS, alpc(91));
    REQUIRE_STATUS(NtAlpcAcceptConnectPort(&srv, conn, 0, NULL, NULL, NULL, &r.h, NULL, TRUE), STATUS_SUCCESS, SETUP);
    for (int i = 0; i < 4; i++) {
        context("TotalLength %#lx", lengths[i]);
        memset(&m.h, 0, sizeof m.h);
        m.h.TotalLength = (USHORT)lengths[i];
        m.h.DataLength = (USHORT)(lengths[i] - HEADER);
        for (ULONG at = 0; at < lengths[i] - HEADER; at++)
            m.data[at] = (UCHAR)(at * 7 + i);
        REQUIRE_STATUS(NtAlpcSendWaitReceivePort(cli, RELEASE, &m.h, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS,
                       i == 2 ? alpc(118) : alpc(123));
        memset(&r, 0, sizeof r);
        length = sizeof r;
        REQUIRE_STATUS(NtAlpcSendWaitReceivePort(conn, 0, NULL, NULL, &r.h, &length, NULL, NULL), STATUS_SUCCESS,
                       alpc(123));
        CHECK_EQ(r.h.TotalLength, lengths[i], alpc(123));
        CHECK(memcmp(r.data, m.data, lengths[i] - HEADER) == 0, i == 2 ? alpc(118) : alpc(123));
        CHECK_EQ(r.data[lengths[i] - HEADER], 0, alpc(123));
    }
    context(NULL);
    NtClose(cli);
    NtClose(srv);
    NtClose(conn);
}

TEST(cookies_and_sequence)
{
    static struct alpc_calling calling;
    struct alpc_pair pair;
    struct msg m, r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, (PVOID)0x51), SETUP);
    struct alpc_context_buffer sent = alpc_context_buffer((PVOID)0x1234), got = alpc_context_buffer(NULL);
    for (ULONG i = 0; i < 3; i++) {
        msg_init(&m, 4);
        REQUIRE_STATUS(NtAlpcSendWaitReceivePort(pair.cli, 0, &m.h, &sent.a, NULL, NULL, NULL, NULL), STATUS_SUCCESS,
                       SETUP);
        REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, &got.a, 5000), STATUS_SUCCESS, SETUP);
        CHECK_EQ(got.a.ValidAttributes, ALPC_CONTEXT_ATTRIBUTE, alpc(205));
        CHECK_EQ(got.context.MessageId, r.h.MessageId, alpc(206));
        CHECK_EQ(got.context.MessageId, r.h.MessageId, alpc(191));
        CHECK_PTR(got.context.PortContext, (PVOID)0x51, alpc(207));
        CHECK_PTR(got.context.PortContext, (PVOID)0x51, alpc(101));
        CHECK_PTR(got.context.MessageContext, NULL, alpc(192));
        /* The connection request was the first. */
        CHECK_EQ(got.context.Sequence, i + 2, alpc(208));
        CHECK_STATUS(alpc_send(pair.conn, RELEASE, &r), STATUS_SUCCESS, SETUP);
        struct alpc_context_buffer back = alpc_context_buffer(NULL);
        REQUIRE_STATUS(alpc_receive(pair.cli, &r, &length, &back.a, 5000), STATUS_SUCCESS, SETUP);
        CHECK_PTR(back.context.MessageContext, (PVOID)0x1234, alpc(209));
    }
    /* What is not allocated is not written. */
    ALPC_MESSAGE_ATTRIBUTES none[8];
    memset(none, 0x77, sizeof none);
    none[0].AllocatedAttributes = 0;
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, none, 5000), STATUS_SUCCESS, alpc(210));
    CHECK_EQ(none[0].ValidAttributes, 0, alpc(210));
    CHECK_EQ(none[1].AllocatedAttributes, 0x77777777, alpc(210));
    (void)calling;
    alpc_pair_close(&pair);
}

TEST(callback)
{
    static struct alpc_calling calling, called;
    struct alpc_pair pair;
    struct worker client, server;
    struct msg request, m, r;
    SIZE_T length = sizeof r;
    LARGE_INTEGER poll = {.QuadPart = 0};
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    alpc_call_init(&calling, pair.cli, 8);
    REQUIRE(alpc_call_start(&calling, &client), SETUP);
    REQUIRE_STATUS(alpc_receive(pair.conn, &request, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    m = request;
    m.h.MessageId++;
    CHECK_STATUS(NtAlpcSendWaitReceivePort(pair.srv, SYNC, &m.h, NULL, &r.h, &length, NULL, &poll),
                 STATUS_INVALID_MESSAGE, alpc(168));
    m = request;
    m.h.CallbackId = 77;
    CHECK_STATUS(NtAlpcSendWaitReceivePort(pair.srv, SYNC, &m.h, NULL, &r.h, &length, NULL, &poll),
                 STATUS_INVALID_MESSAGE, alpc(169));
    alpc_call_init(&called, pair.srv, 4);
    called.request.h.MessageId = request.h.MessageId;
    called.request.h.CallbackId = request.h.CallbackId;
    called.request.data[0] = 0x42;
    REQUIRE(alpc_call_start(&called, &server), SETUP);
    join(&client);
    REQUIRE_STATUS(calling.status, STATUS_SUCCESS, alpc(166));
    CHECK(calling.reply.h.CallbackId != 0, alpc(166));
    CHECK(calling.reply.h.MessageId != 0, alpc(166));
    CHECK_EQ(calling.reply.data[0], 0x42, alpc(166));
    CHECK(still_runs(&server), alpc(167));
    m = calling.reply;
    m.data[0] = 0x43;
    /* The answer, and whatever comes next: nothing does. */
    poll.QuadPart = -1000000;
    CHECK_STATUS(NtAlpcSendWaitReceivePort(pair.cli, RELEASE, &m.h, NULL, &r.h, &length, NULL, &poll), STATUS_TIMEOUT,
                 alpc(171));
    join(&server);
    CHECK_STATUS(called.status, STATUS_SUCCESS, alpc(167));
    CHECK_EQ(called.reply.data[0], 0x43, alpc(167));
    CHECK_STATUS(alpc_send(pair.conn, RELEASE, &request), STATUS_INVALID_MESSAGE, alpc(170));
    alpc_pair_close(&pair);
}

TEST(reply_that_continues_is_answered)
{
    static struct alpc_calling calling;
    struct alpc_pair pair;
    struct worker worker;
    struct msg r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    alpc_call_init(&calling, pair.cli, 8);
    REQUIRE(alpc_call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    ULONG id = r.h.MessageId;
    CHECK_STATUS(alpc_send(pair.conn, 0, &r), STATUS_SUCCESS, alpc(151));
    join(&worker);
    REQUIRE_STATUS(calling.status, STATUS_SUCCESS, alpc(151));
    CHECK_EQ(calling.reply.h.MessageId, id, alpc(152));
    calling.reply.data[0] = 0x44;
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &calling.reply), STATUS_SUCCESS, alpc(151));
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(151));
    CHECK_EQ(r.h.Type & 0xFF, LPC_REPLY, alpc(151));
    CHECK_EQ(r.h.MessageId, id, alpc(152));
    CHECK_EQ(r.data[0], 0x44, alpc(151));
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &calling.reply), STATUS_INVALID_MESSAGE, alpc(154));
    alpc_pair_close(&pair);
}

TEST(requests_to_a_client)
{
    struct alpc_pair pair;
    struct msg m, r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(pair.srv, 0, &m), STATUS_LPC_REQUESTS_NOT_ALLOWED, alpc(158));
    CHECK_STATUS(alpc_receive(pair.cli, &r, &length, NULL, 0), STATUS_TIMEOUT, alpc(158));
    alpc_pair_close(&pair);
}

TEST(send_and_receive_in_one_call)
{
    struct alpc_pair pair;
    struct msg m, r;
    SIZE_T length = sizeof r;
    LARGE_INTEGER timeout = {.QuadPart = -50000000};
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(pair.cli, 0, &m), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    r.data[0] = 0x55;
    struct msg next;
    REQUIRE_STATUS(NtAlpcSendWaitReceivePort(pair.conn, RELEASE, &r.h, NULL, &next.h, &length, NULL, &timeout),
                   STATUS_SUCCESS, alpc(159));
    CHECK_EQ(next.h.Type & 0xFF, LPC_DATAGRAM, alpc(159));
    REQUIRE_STATUS(alpc_receive(pair.cli, &next, &length, NULL, 5000), STATUS_SUCCESS, alpc(159));
    CHECK_EQ(next.data[0], 0x55, alpc(159));
    alpc_pair_close(&pair);
}

TEST(reserve_is_busy_until_the_message_is_released)
{
    static struct alpc_calling calling;
    struct alpc_pair pair;
    struct worker worker;
    struct msg r;
    SIZE_T length = sizeof r;
    ULONG reserve;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    REQUIRE_STATUS(NtAlpcCreateResourceReserve(pair.cli, 0, 0x100, &reserve), STATUS_SUCCESS, SETUP);
    alpc_call_init(&calling, pair.cli, 8);
    calling.request.h.MessageId = 0x80123456;
    CHECK_STATUS(alpc_send(pair.cli, 0, &calling.request), STATUS_OBJECTID_NOT_FOUND, alpc(262));
    for (int i = 0; i < 2; i++) {
        calling.request.h.MessageId = reserve;
        REQUIRE(alpc_call_start(&calling, &worker), SETUP);
        REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(259));
        CHECK_STATUS(alpc_send(pair.conn, i == 0 ? RELEASE : 0, &r), STATUS_SUCCESS, SETUP);
        join(&worker);
        CHECK_STATUS(calling.status, STATUS_SUCCESS, i == 0 ? alpc(259) : alpc(261));
    }
    CHECK_STATUS(alpc_send(pair.cli, 0, &calling.request), STATUS_RESOURCE_IN_USE, alpc(260));
    alpc_pair_close(&pair);
}
