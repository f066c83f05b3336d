/* NtImpersonateClientOfPort and NtQueryInformationPort: lpc §2.13, §2.16, statements 176–180, 182. */
#include "../lpctest.h"

static void call_then_wait(void *arg)
{
    struct calling *calling = arg;
    calling->status = NtRequestWaitReplyPort(calling->port, &calling->request.h, calling->reply_to);
    if (calling->status == STATUS_SUCCESS)
        calling->status = NtRequestWaitReplyPort(calling->port, &calling->request.h, calling->reply_to);
}

TEST(only_while_the_request_is_outstanding)
{
    static struct calling calling;
    struct msg request, next;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 4);
    REQUIRE(spawn(&worker, call_then_wait, &calling), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &request, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtImpersonateClientOfPort(pair.conn, &request.h), STATUS_INVALID_PORT_HANDLE, lpc(176));
    CHECK_STATUS(NtImpersonateClientOfPort(pair.cli, &request.h), STATUS_INVALID_PORT_HANDLE, lpc(176));
    CHECK_STATUS(NtImpersonateClientOfPort(NULL, &request.h), STATUS_INVALID_HANDLE, lpc(176));
    CHECK_STATUS(NtImpersonateClientOfPort(pair.srv, NULL), STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtImpersonateClientOfPort(pair.srv, &request.h), STATUS_SUCCESS, lpc(177));
    CHECK(RevertToSelf(), lpc(177));
    struct msg wrong = request;
    wrong.h.ClientId = client_id(0xFFFFFFF0, 0xFFFFFFF4);
    CHECK_STATUS(NtImpersonateClientOfPort(pair.srv, &wrong.h), STATUS_INVALID_CID, lpc(179));

    CHECK_STATUS(NtReplyPort(pair.srv, &request.h), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &next, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtImpersonateClientOfPort(pair.srv, &request.h), STATUS_REPLY_MESSAGE_MISMATCH, lpc(178));
    CHECK_STATUS(NtReplyPort(pair.srv, &next.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    pair_close(&pair);
}

TEST(client_has_closed)
{
    struct msg datagram, received;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    msg_init(&datagram, 4);
    CHECK_STATUS(NtRequestPort(pair.cli, &datagram.h), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(pair.cli), STATUS_SUCCESS, SETUP);
    pair.cli = NULL;
    /* The sender, this thread, lives. */
    CHECK_STATUS(NtImpersonateClientOfPort(pair.srv, &received.h), STATUS_PORT_DISCONNECTED, lpc(179));
    pair_close(&pair);
}

TEST(sender_forbids_it)
{
    static struct calling calling;
    struct msg request;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 4);
    calling.request.h.Type = LPC_NO_IMPERSONATE;
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &request, 5000), STATUS_SUCCESS, lpc(180));
    CHECK_EQ(request.h.Type, LPC_REQUEST, lpc(180));
    CHECK_STATUS(NtImpersonateClientOfPort(pair.srv, &request.h), STATUS_ACCESS_DENIED, lpc(180));
    CHECK_STATUS(NtReplyPort(pair.srv, &request.h), STATUS_SUCCESS, lpc(180));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(180));

    /* The mark belongs to that request alone. */
    call_init(&calling, pair.cli, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &request, 5000), STATUS_SUCCESS, lpc(180));
    CHECK_STATUS(NtImpersonateClientOfPort(pair.srv, &request.h), STATUS_SUCCESS, lpc(180));
    CHECK(RevertToSelf(), SETUP);
    CHECK_STATUS(NtReplyPort(pair.srv, &request.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    pair_close(&pair);
}

TEST(query_information)
{
    struct pair pair;
    UCHAR buffer[64];
    ULONG returned = 0x5555;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    REQUIRE(pair_open(&pair, NULL), SETUP);
    HANDLE const ports[] = {pair.conn, pair.srv, pair.cli};
    CHECK_STATUS(NtQueryInformationPort(NULL, 0, buffer, sizeof buffer, &returned), STATUS_INVALID_INFO_CLASS,
                 lpc(182));
    for (int i = 0; i < 3; i++) {
        memset(buffer, 0x77, sizeof buffer);
        context("port %d", i);
        CHECK_STATUS(NtQueryInformationPort(ports[i], 0, buffer, sizeof buffer, &returned), STATUS_SUCCESS, lpc(182));
        CHECK_EQ(buffer[0], 0x77, lpc(182));
        CHECK_EQ(buffer[63], 0x77, lpc(182));
    }
    context(NULL);
    CHECK_STATUS(NtQueryInformationPort(event, 0, buffer, sizeof buffer, &returned), STATUS_OBJECT_TYPE_MISMATCH,
                 lpc(182));
    CHECK_STATUS(NtQueryInformationPort(pair.conn, 0, unmapped(), 16, &returned), STATUS_ACCESS_VIOLATION, SETUP);
    CloseHandle(event);
    pair_close(&pair);
}
