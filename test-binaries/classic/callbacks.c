/* Callbacks: a server asks the client that waits for its reply: lpc §2.12, §3.4, statements 164–169. */
#include "../lpctest.h"

/* A client that answers `callbacks` callbacks and keeps what it saw. */
struct client {
    HANDLE port;
    struct msg seen[4];
    int count;
    NTSTATUS status;
    BOOL with_reply_port; /* answer by NtReplyPort and stop waiting */
    HANDLE go_on;         /* waited for before the thread ends */
};

static void client_run(void *arg)
{
    struct client *client = arg;
    struct msg m;
    msg_init(&m, 4);
    client->status = NtRequestWaitReplyPort(client->port, &m.h, &m.h);
    while (client->status == STATUS_SUCCESS && client->count < 4) {
        client->seen[client->count++] = m;
        if (m.h.Type != LPC_REQUEST)
            break;
        m.data[0] = (UCHAR)(m.data[0] + 1);
        if (client->with_reply_port) {
            client->status = NtReplyPort(client->port, &m.h);
            break;
        }
        client->status = NtReplyWaitReplyPort(client->port, &m.h);
    }
    if (client->go_on != NULL)
        WaitForSingleObject(client->go_on, INFINITE);
}

static void callback_init(struct msg *callback, const struct msg *request)
{
    msg_init(callback, 4);
    callback->h.Type = LPC_REQUEST;
    callback->h.ClientId = request->h.ClientId;
    callback->h.MessageId = request->h.MessageId;
    callback->data[0] = 10;
}

/* Calls back on the server port, then on the connection port, then replies. */
TEST(callback_and_final_reply)
{
    static struct client client;
    struct msg request, callback, answer;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    client = (struct client){.port = pair.cli};
    REQUIRE(spawn(&worker, client_run, &client), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &request, 5000), STATUS_SUCCESS, SETUP);
    callback_init(&callback, &request);
    REQUIRE_STATUS(NtRequestWaitReplyPort(pair.srv, &callback.h, &answer.h), STATUS_SUCCESS, lpc(164));
    CHECK_EQ(answer.h.Type, LPC_REPLY, lpc(166));
    CHECK_EQ(answer.data[0], 11, lpc(166));
    CHECK_EQ(answer.h.MessageId, request.h.MessageId, lpc(165));
    callback.data[0] = 20;
    REQUIRE_STATUS(NtRequestWaitReplyPort(pair.conn, &callback.h, &answer.h), STATUS_SUCCESS, lpc(164));
    CHECK_EQ(answer.data[0], 21, lpc(166));
    CHECK_STATUS(NtReplyPort(pair.srv, &request.h), STATUS_SUCCESS, lpc(166));
    join(&worker);
    CHECK_STATUS(client.status, STATUS_SUCCESS, lpc(166));
    REQUIRE(client.count == 3, lpc(166));

    CLIENT_ID server = own_client_id();
    for (int i = 0; i < 2; i++) {
        context("callback %d", i);
        CHECK_EQ(client.seen[i].h.Type, LPC_REQUEST, lpc(164));
        CHECK(client.seen[i].h.CallbackId != 0, lpc(164));
        CHECK(same_client(&client.seen[i].h.ClientId, &server), lpc(164));
        CHECK_EQ(client.seen[i].h.MessageId, request.h.MessageId, lpc(165));
    }
    context(NULL);
    CHECK(client.seen[0].h.CallbackId != client.seen[1].h.CallbackId, lpc(164));
    CHECK_EQ(client.seen[2].h.Type, LPC_REPLY, lpc(166));
    CHECK_EQ(client.seen[2].h.MessageId, request.h.MessageId, lpc(166));

    struct msg datagram, received;
    msg_init(&datagram, 4);
    CHECK_STATUS(NtRequestPort(pair.cli, &datagram.h), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, SETUP);
    CHECK_EQ(received.h.MessageId, request.h.MessageId + 1, lpc(169));
    pair_close(&pair);
}

TEST(client_answers_without_waiting_on)
{
    static struct client client;
    struct msg request, callback, answer;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    client = (struct client){
        .port = pair.cli, .with_reply_port = TRUE, .go_on = CreateEventW(NULL, TRUE, FALSE, NULL)};
    REQUIRE(spawn(&worker, client_run, &client), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &request, 5000), STATUS_SUCCESS, SETUP);
    callback_init(&callback, &request);
    REQUIRE_STATUS(NtRequestWaitReplyPort(pair.srv, &callback.h, &answer.h), STATUS_SUCCESS, lpc(167));
    CHECK_EQ(answer.data[0], 11, lpc(167));
    CHECK_STATUS(NtReplyPort(pair.srv, &request.h), STATUS_REPLY_MESSAGE_MISMATCH, lpc(167));
    SetEvent(client.go_on);
    join(&worker);
    CHECK_STATUS(client.status, STATUS_SUCCESS, lpc(167));
    CloseHandle(client.go_on);
    pair_close(&pair);
}

TEST(callbacks_that_match_nothing)
{
    static struct calling calling;
    struct msg request, callback, answer;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &request, 5000), STATUS_SUCCESS, SETUP);
    callback_init(&callback, &request);
    callback.h.MessageId = 0;
    CHECK_STATUS(NtRequestWaitReplyPort(pair.srv, &callback.h, &answer.h), STATUS_INVALID_PARAMETER, lpc(168));
    callback.h.MessageId = request.h.MessageId - 1;
    CHECK_STATUS(NtRequestWaitReplyPort(pair.srv, &callback.h, &answer.h), STATUS_REPLY_MESSAGE_MISMATCH, lpc(168));
    callback.h.ClientId = client_id(0xFFFFFFF0, 0xFFFFFFF4);
    CHECK_STATUS(NtRequestWaitReplyPort(pair.srv, &callback.h, &answer.h), STATUS_INVALID_CID, lpc(168));
    CHECK(still_runs(&worker), lpc(168));
    CHECK_STATUS(NtReplyPort(pair.srv, &request.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(168));
    pair_close(&pair);
}

/* Nested: the client, called back, calls the server back in turn before it answers (lpc §3.4). */
struct nested {
    HANDLE port;
    NTSTATUS request_status, callback_status, answer_status;
    struct msg asked, answered, final;
};

static void nested_run(void *arg)
{
    struct nested *n = arg;
    struct msg m;
    msg_init(&m, 4);
    n->request_status = NtRequestWaitReplyPort(n->port, &m.h, &n->asked.h);
    if (n->request_status != STATUS_SUCCESS)
        return;
    callback_init(&m, &n->asked);
    m.data[0] = 77;
    n->callback_status = NtRequestWaitReplyPort(n->port, &m.h, &n->answered.h);
    if (n->callback_status != STATUS_SUCCESS)
        return;
    n->final = n->asked;
    n->final.data[0] = 99;
    n->answer_status = NtReplyWaitReplyPort(n->port, &n->final.h);
}

TEST(nested_callbacks)
{
    static struct nested nested;
    struct msg request, callback, inner, answer;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    nested.port = pair.cli;
    REQUIRE(spawn(&worker, nested_run, &nested), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &request, 5000), STATUS_SUCCESS, SETUP);
    callback_init(&callback, &request);
    REQUIRE_STATUS(NtRequestWaitReplyPort(pair.srv, &callback.h, &inner.h), STATUS_SUCCESS, lpc(164));
    CHECK_EQ(inner.h.Type, LPC_REQUEST, lpc(164));
    CHECK_EQ(inner.data[0], 77, lpc(164));
    CHECK_EQ(inner.h.MessageId, request.h.MessageId, lpc(165));
    answer = inner;
    answer.data[0] = 78;
    REQUIRE_STATUS(NtReplyWaitReplyPort(pair.srv, &answer.h), STATUS_SUCCESS, lpc(166));
    CHECK_EQ(answer.h.Type, LPC_REPLY, lpc(166));
    CHECK_EQ(answer.data[0], 99, lpc(166));
    CHECK_STATUS(NtReplyPort(pair.srv, &request.h), STATUS_SUCCESS, lpc(166));
    join(&worker);
    CHECK_STATUS(nested.request_status, STATUS_SUCCESS, lpc(166));
    CHECK_STATUS(nested.callback_status, STATUS_SUCCESS, lpc(166));
    CHECK_EQ(nested.answered.data[0], 78, lpc(166));
    CHECK_STATUS(nested.answer_status, STATUS_SUCCESS, lpc(166));
    CHECK_EQ(nested.final.h.Type, LPC_REPLY, lpc(166));
    pair_close(&pair);
}
