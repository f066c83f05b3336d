/* Ports that close, within one process: lpc §3.5, statements 183–189, 201, 202, 204–207. */
#include "../lpctest.h"

static ULONG64 quad(FILETIME time)
{
    return (ULONG64)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

TEST(client_closes)
{
    union {
        struct msg m;
        LPC_CLIENT_DIED_MSG closed;
    } received;
    FILETIME created, exited, kernel, user;
    PVOID port_context = UNTOUCHED;
    struct pair pair;
    REQUIRE(pair_open(&pair, (PVOID)(ULONG_PTR)0xC10CED0), SETUP);
    CHECK_STATUS(NtClose(pair.cli), STATUS_SUCCESS, SETUP);
    pair.cli = NULL;
    memset(&received, 0xAA, sizeof received);
    CHECK_STATUS(receive_within(pair.conn, &port_context, &received.m, 5000), STATUS_SUCCESS, lpc(183));
    CHECK_EQ(received.m.h.Type, LPC_PORT_CLOSED, lpc(183));
    CHECK_EQ(received.m.h.DataLength, 8, lpc(183));
    CHECK_EQ(received.m.h.TotalLength, HEADER + 8, lpc(183));
    CHECK_EQ(received.m.h.DataInfoOffset, 0, lpc(183));
    CHECK_EQ(received.m.h.CallbackId, 0, lpc(183));
    CHECK(received.m.h.MessageId != 0, lpc(183));
    CLIENT_ID self = own_client_id();
    CHECK(same_client(&received.m.h.ClientId, &self), lpc(184));
    CHECK_PTR(port_context, (PVOID)(ULONG_PTR)0xC10CED0, lpc(185));
    CHECK(GetProcessTimes(GetCurrentProcess(), &created, &exited, &kernel, &user), SETUP);
    CHECK_EQ(received.closed.CreateTime.QuadPart, quad(created), lpc(186));
    CHECK_STATUS(receive_within(pair.conn, NULL, &received.m, 0), STATUS_TIMEOUT, lpc(183));

    struct msg datagram;
    msg_init(&datagram, 4);
    CHECK_STATUS(NtRequestPort(pair.srv, &datagram.h), STATUS_PORT_DISCONNECTED, lpc(204));
    pair_close(&pair);
}

TEST(server_port_closed_first)
{
    struct msg received;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    CHECK_STATUS(NtClose(pair.srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(pair.cli), STATUS_SUCCESS, SETUP);
    pair.srv = pair.cli = NULL;
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 100), STATUS_TIMEOUT, lpc(188));
    pair_close(&pair);
}

TEST(duplicated_client_port)
{
    struct msg received;
    struct pair pair;
    HANDLE duplicate;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    REQUIRE(DuplicateHandle(GetCurrentProcess(), pair.cli, GetCurrentProcess(), &duplicate, 0, FALSE,
                            DUPLICATE_SAME_ACCESS),
            lpc(189));
    CHECK_STATUS(NtClose(pair.cli), STATUS_SUCCESS, SETUP);
    pair.cli = NULL;
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 100), STATUS_TIMEOUT, lpc(189));
    struct msg datagram;
    msg_init(&datagram, 4);
    CHECK_STATUS(NtRequestPort(duplicate, &datagram.h), STATUS_SUCCESS, lpc(189));
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(189));
    CHECK_STATUS(NtClose(duplicate), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(189));
    CHECK_EQ(received.h.Type, LPC_PORT_CLOSED, lpc(189));
    pair_close(&pair);
}

TEST(server_port_closes_under_a_waiting_client)
{
    static struct calling calling;
    struct msg received, next;
    struct worker worker;
    struct pair pair;
    for (int taken = 0; taken < 2; taken++) {
        context(taken ? "the request received" : "the request queued");
        REQUIRE(pair_open(&pair, NULL), SETUP);
        call_init(&calling, pair.cli, 4);
        REQUIRE(call_start(&calling, &worker), SETUP);
        CHECK(still_runs(&worker), SETUP);
        if (taken)
            REQUIRE_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, SETUP);
        CHECK_STATUS(NtClose(pair.srv), STATUS_SUCCESS, SETUP);
        pair.srv = NULL;
        join(&worker);
        CHECK_STATUS(calling.status, STATUS_LPC_REPLY_LOST, lpc(201));
        msg_init(&next, 4);
        CHECK_STATUS(NtRequestWaitReplyPort(pair.cli, &next.h, &next.h), STATUS_PORT_DISCONNECTED, lpc(202));
        if (!taken) {
            /* What was queued is still delivered; nobody waits for the reply (lpc §3.5). */
            CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, SETUP);
            CHECK_EQ(received.h.Type, LPC_REQUEST, SETUP);
        }
        NTSTATUS status = NtReplyPort(pair.conn, &received.h);
        CHECK(status == STATUS_REPLY_MESSAGE_MISMATCH || status == STATUS_INVALID_CID, SETUP);
        pair_close(&pair);
    }
}

TEST(connection_port_closes_and_pairs_live_on)
{
    static struct calling calling;
    struct msg received;
    struct worker worker;
    struct pair pair;
    HANDLE port = UNTOUCHED;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    CHECK_STATUS(NtClose(pair.conn), STATUS_SUCCESS, SETUP);
    pair.conn = NULL;
    CHECK_STATUS(connect_port(&port, pair.name), STATUS_OBJECT_NAME_NOT_FOUND, lpc(205));
    CHECK_PTR(port, UNTOUCHED, lpc(205));
    call_init(&calling, pair.cli, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(receive_within(pair.srv, NULL, &received, 5000), STATUS_SUCCESS, lpc(205));
    CHECK_STATUS(NtReplyPort(pair.srv, &received.h), STATUS_SUCCESS, lpc(205));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(205));
    pair_close(&pair);
}

TEST(connection_port_closes_under_its_own_request)
{
    static struct calling calling;
    struct worker worker;
    WCHAR name[64];
    HANDLE conn;
    unique_name(name);
    REQUIRE_STATUS(create_port(&conn, name), STATUS_SUCCESS, SETUP);
    call_init(&calling, conn, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    CHECK(still_runs(&worker), lpc(206));
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_LPC_REPLY_LOST, lpc(206));
}

TEST(client_thread_is_killed_with_its_request_queued)
{
    static struct calling calling;
    struct msg received;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    CHECK(still_runs(&worker), lpc(207));
    DWORD tid = worker.tid;
    CHECK(TerminateThread(worker.thread, 0), SETUP);
    join_killed(&worker);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(207));
    CHECK_EQ(received.h.Type, LPC_REQUEST, lpc(207));
    CHECK_EQ((ULONG_PTR)received.h.ClientId.UniqueThread, tid, lpc(207));
    CHECK(memcmp(received.data, calling.request.data, 4) == 0, lpc(207));
    CHECK_STATUS(NtReplyPort(pair.srv, &received.h), STATUS_INVALID_CID, lpc(207));
    pair_close(&pair);
}

static void receive_forever(void *arg)
{
    struct calling *calling = arg;
    calling->status = NtReplyWaitReceivePort(calling->port, NULL, NULL, &calling->reply.h);
}

/* Recommendations of lpc §3.5: receivers whose peers are all gone are told so. */
TEST(client_receives_when_its_server_port_closes)
{
    static struct calling calling;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 0);
    REQUIRE(spawn(&worker, receive_forever, &calling), SETUP);
    CHECK(still_runs(&worker), SETUP);
    CHECK_STATUS(NtClose(pair.srv), STATUS_SUCCESS, SETUP);
    pair.srv = NULL;
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_PORT_DISCONNECTED, SETUP);
    pair_close(&pair);
}

/* A server that waits for the client's reply is woken like a client (lpc §3.5, first row). */
TEST(client_closes_under_a_waiting_server)
{
    static struct calling calling;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.srv, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    CHECK(still_runs(&worker), SETUP);
    CHECK_STATUS(NtClose(pair.cli), STATUS_SUCCESS, SETUP);
    pair.cli = NULL;
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_LPC_REPLY_LOST, SETUP);
    pair_close(&pair);
}
