/* Datagrams: lpc §2.8, §5.7. */
#include "../lpctest.h"

TEST(header_of_a_datagram)
{
    struct msg datagram, received;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    msg_init(&datagram, 6);
    datagram.h.CallbackId = 0x1234;
    datagram.h.MessageId = 0x99999999;
    datagram.h.ClientId = client_id(4, 8);
    CHECK_STATUS(NtRequestPort(pair.cli, &datagram.h), STATUS_SUCCESS, lpc(139));
    memset(&received, 0xAA, sizeof received);
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(139));
    CLIENT_ID self = own_client_id();
    CHECK_EQ(received.h.Type, LPC_DATAGRAM, lpc(139));
    CHECK(same_client(&received.h.ClientId, &self), lpc(140));
    CHECK_EQ(received.h.DataLength, 6, lpc(140));
    CHECK_EQ(received.h.TotalLength, HEADER + 6, lpc(140));
    CHECK(memcmp(received.data, datagram.data, 6) == 0, lpc(140));
    CHECK(received.h.MessageId != 0 && received.h.MessageId != 0x99999999, lpc(140));
    CHECK_EQ(received.h.CallbackId, 0, lpc(140));
    pair_close(&pair);
}

static void datagram_then_request(void *arg)
{
    struct calling *calling = arg;
    struct msg datagram;
    msg_text(&datagram, "first");
    calling->status = NtRequestPort(calling->port, &datagram.h);
    if (calling->status == STATUS_SUCCESS)
        calling->status = NtRequestWaitReplyPort(calling->port, &calling->request.h, calling->reply_to);
}

TEST(datagram_and_request_keep_their_order)
{
    static struct calling calling;
    struct msg received;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 0);
    msg_text(&calling.request, "second");
    REQUIRE(spawn(&worker, datagram_then_request, &calling), SETUP);
    CHECK(still_runs(&worker), lpc(141));
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(141));
    CHECK_EQ(received.h.Type, LPC_DATAGRAM, lpc(141));
    CHECK(strcmp((char *)received.data, "first") == 0, lpc(141));
    ULONG id = received.h.MessageId;
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(141));
    CHECK_EQ(received.h.Type, LPC_REQUEST, lpc(141));
    CHECK(strcmp((char *)received.data, "second") == 0, lpc(141));
    CHECK_EQ(received.h.MessageId, id + 1, lpc(133));
    CHECK_STATUS(NtReplyPort(pair.srv, &received.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(141));
    pair_close(&pair);
}

TEST(refused_datagrams)
{
    static const USHORT types[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    struct msg datagram, received;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    msg_init(&datagram, 48);
    memset(datagram.data, 0, 48);
    datagram.h.DataInfoOffset = HEADER;
    CHECK_STATUS(NtRequestPort(pair.cli, &datagram.h), STATUS_INVALID_PARAMETER, lpc(142));
    for (int i = 0; i < 10; i++) {
        context("Type %u", types[i]);
        msg_init(&datagram, 4);
        datagram.h.Type = types[i];
        CHECK_STATUS(NtRequestPort(pair.cli, &datagram.h), STATUS_INVALID_PARAMETER, lpc(143));
    }
    context(NULL);
    msg_init(&datagram, 4);
    datagram.h.TotalLength = 0x1000;
    CHECK_STATUS(NtRequestPort(pair.cli, &datagram.h), STATUS_PORT_MESSAGE_TOO_LONG, SETUP);
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 0), STATUS_TIMEOUT, lpc(143));
    /* The kernel-mode bit of a user is cleared, not refused (lpc §2.8 step 2). */
    msg_init(&datagram, 4);
    datagram.h.Type = LPC_KERNELMODE_MESSAGE;
    CHECK_STATUS(NtRequestPort(pair.cli, &datagram.h), STATUS_SUCCESS, lpc(139));
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(139));
    CHECK_EQ(received.h.Type, LPC_DATAGRAM, lpc(139));
    pair_close(&pair);
}

/* lpc §2.8 lets an implementation bound the queue; a thousand small messages fit any sensible bound. */
TEST(nobody_receives)
{
    enum { COUNT = 1000 };
    struct msg datagram, received;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    for (ULONG i = 0; i < COUNT; i++) {
        msg_init(&datagram, 4);
        memcpy(datagram.data, &i, 4);
        context("datagram %lu", i);
        REQUIRE_STATUS(NtRequestPort(pair.cli, &datagram.h), STATUS_SUCCESS, lpc(144));
    }
    for (ULONG i = 0; i < COUNT; i++) {
        ULONG got = 0;
        context("datagram %lu", i);
        REQUIRE_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(144));
        memcpy(&got, received.data, 4);
        REQUIRE(got == i, lpc(141));
    }
    pair_close(&pair);
}

TEST(datagrams_have_no_reply)
{
    struct msg datagram, received;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    msg_init(&datagram, 4);
    CHECK_STATUS(NtRequestPort(pair.cli, &datagram.h), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtReplyPort(pair.srv, &received.h), STATUS_REPLY_MESSAGE_MISMATCH, lpc(145));
    CHECK_STATUS(NtReplyPort(pair.conn, &received.h), STATUS_REPLY_MESSAGE_MISMATCH, lpc(145));
    pair_close(&pair);
}

TEST(server_sends_to_the_client)
{
    struct msg datagram, received;
    struct pair pair;
    PVOID port_context = UNTOUCHED;
    REQUIRE(pair_open(&pair, (PVOID)(ULONG_PTR)0x1234), SETUP);
    msg_init(&datagram, 4);
    CHECK_STATUS(NtRequestPort(pair.srv, &datagram.h), STATUS_SUCCESS, lpc(146));
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 0), STATUS_TIMEOUT, lpc(146));
    CHECK_STATUS(receive_within(pair.cli, &port_context, &received, 5000), STATUS_SUCCESS, lpc(146));
    CHECK_EQ(received.h.Type, LPC_DATAGRAM, lpc(146));
    /* PortContext belongs to messages of clients (lpc §2.0.4). */
    CHECK_PTR(port_context, NULL, lpc(146));
    pair_close(&pair);
}

TEST(peer_is_gone)
{
    struct msg datagram;
    struct pair pair;
    msg_init(&datagram, 4);
    REQUIRE(pair_open(&pair, NULL), SETUP);
    CHECK_STATUS(NtClose(pair.srv), STATUS_SUCCESS, SETUP);
    pair.srv = NULL;
    CHECK_STATUS(NtRequestPort(pair.cli, &datagram.h), STATUS_PORT_DISCONNECTED, lpc(147));
    pair_close(&pair);

    REQUIRE(pair_open(&pair, NULL), SETUP);
    CHECK_STATUS(NtClose(pair.cli), STATUS_SUCCESS, SETUP);
    pair.cli = NULL;
    CHECK_STATUS(NtRequestPort(pair.srv, &datagram.h), STATUS_PORT_DISCONNECTED, lpc(147));
    pair_close(&pair);
}
