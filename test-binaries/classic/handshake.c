/* Listening, accepting, refusing, completing: lpc §2.5–§2.7, §3.3, §5.4. */
#include "../lpctest.h"

/* A connection port with one client blocked in NtConnectPort. */
struct scene {
    WCHAR name[64];
    HANDLE conn;
    struct connecting client;
    struct worker worker;
    struct msg request;
};

static BOOL scene_create(struct scene *s)
{
    memset(s, 0, sizeof *s);
    unique_name(s->name);
    connect_init(&s->client, s->name);
    return CHECK_STATUS(create_port(&s->conn, s->name), STATUS_SUCCESS, SETUP);
}

static BOOL scene_receive(struct scene *s)
{
    return connect_start(&s->client, &s->worker) &&
           CHECK_STATUS(NtListenPort(s->conn, &s->request.h), STATUS_SUCCESS, SETUP);
}

static void scene_refuse(struct scene *s)
{
    HANDLE port = UNTOUCHED;
    CHECK_STATUS(NtAcceptConnectPort(&port, NULL, &s->request.h, FALSE, NULL, NULL), STATUS_SUCCESS, lpc(73));
    join(&s->worker);
    CHECK_STATUS(s->client.status, STATUS_PORT_CONNECTION_REFUSED, lpc(74));
    CHECK_STATUS(NtClose(s->conn), STATUS_SUCCESS, SETUP);
}

TEST(listen_buffer)
{
    HANDLE conn;
    WCHAR name[64];
    unique_name(name);
    REQUIRE_STATUS(create_port(&conn, name), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtListenPort(conn, NULL), STATUS_ACCESS_VIOLATION, lpc(59));
    CHECK_STATUS(NtListenPort(conn, (PORT_MESSAGE *)1), STATUS_DATATYPE_MISALIGNMENT, lpc(59));
    CHECK_STATUS(NtListenPort(conn, (PORT_MESSAGE *)4), STATUS_ACCESS_VIOLATION, lpc(59));
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

TEST(connection_request_without_information)
{
    struct scene s;
    REQUIRE(scene_create(&s), SETUP);
    memset(&s.request, 0xAA, sizeof s.request);
    REQUIRE(scene_receive(&s), SETUP);
    CLIENT_ID id = client_id(GetCurrentProcessId(), s.worker.tid);
    CHECK_EQ(s.request.h.Type, LPC_CONNECTION_REQUEST, lpc(60));
    CHECK_EQ(s.request.h.DataLength, 0, lpc(62));
    CHECK_EQ(s.request.h.TotalLength, HEADER, lpc(62));
    CHECK_EQ(s.request.h.DataInfoOffset, 0, lpc(63));
    CHECK(s.request.h.MessageId != 0, lpc(63));
    CHECK_EQ(s.request.h.ClientViewSize, 0, lpc(63));
    CHECK(same_client(&s.request.h.ClientId, &id), lpc(64));
    scene_refuse(&s);
}

TEST(connection_request_with_information)
{
    struct scene s;
    PVOID port_context = UNTOUCHED;
    REQUIRE(scene_create(&s), SETUP);
    s.client.with_info = TRUE;
    s.client.info_length = 7;
    memcpy(s.client.info, "\x01\x80\xFFxyz\x7F", 7);
    memset(&s.request, 0x77, sizeof s.request);
    REQUIRE(connect_start(&s.client, &s.worker), SETUP);
    REQUIRE_STATUS(NtReplyWaitReceivePort(s.conn, &port_context, NULL, &s.request.h), STATUS_SUCCESS, lpc(67));
    CHECK_PTR(port_context, NULL, lpc(67));
    CHECK_EQ(s.request.h.Type, LPC_CONNECTION_REQUEST, lpc(60));
    CHECK_EQ(s.request.h.DataLength, 7, lpc(61));
    CHECK_EQ(s.request.h.TotalLength, HEADER + 7, lpc(61));
    CHECK(memcmp(s.request.data, "\x01\x80\xFFxyz\x7F", 7) == 0, lpc(65));
    scene_refuse(&s);
}

TEST(size_of_the_client_view)
{
    struct scene s;
    REQUIRE(scene_create(&s), SETUP);
    PORT_VIEW view = {.Length = sizeof view, .SectionHandle = new_section(0x1000), .ViewSize = 0x1000};
    s.client.client_view = &view;
    REQUIRE(scene_receive(&s), SETUP);
    CHECK_EQ(s.request.h.ClientViewSize, 0x1000, lpc(66));
    CloseHandle(view.SectionHandle);
    scene_refuse(&s);
}

TEST(accept_finds_the_client_by_its_ids)
{
    struct scene s;
    struct msg m;
    HANDLE srv = UNTOUCHED;
    REQUIRE(scene_create(&s), SETUP);
    REQUIRE(scene_receive(&s), SETUP);
    memset(&m, 0, sizeof m);
    CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &m.h, TRUE, NULL, NULL), STATUS_INVALID_CID, lpc(68));
    CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &m.h, FALSE, NULL, NULL), STATUS_INVALID_CID, lpc(68));
    m.h.ClientId = s.request.h.ClientId;
    CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &m.h, TRUE, NULL, NULL), STATUS_REPLY_MESSAGE_MISMATCH, lpc(69));
    CHECK_STATUS(NtAcceptConnectPort(NULL, NULL, &s.request.h, TRUE, NULL, NULL), STATUS_ACCESS_VIOLATION, lpc(72));
    CHECK_STATUS(NtAcceptConnectPort(NULL, NULL, &s.request.h, FALSE, NULL, NULL), STATUS_ACCESS_VIOLATION, lpc(72));
    CHECK(still_runs(&s.worker), lpc(72));
    CHECK_PTR(srv, UNTOUCHED, lpc(69));

    m.h.MessageId = s.request.h.MessageId;
    struct msg before = m;
    REQUIRE_STATUS(NtAcceptConnectPort(&srv, NULL, &m.h, TRUE, NULL, NULL), STATUS_SUCCESS, lpc(70));
    CHECK(srv != UNTOUCHED && srv != NULL, lpc(76));
    CHECK(memcmp(&m, &before, sizeof m) == 0, lpc(76));
    HANDLE second = UNTOUCHED;
    CHECK_STATUS(NtAcceptConnectPort(&second, NULL, &m.h, TRUE, NULL, NULL), STATUS_REPLY_MESSAGE_MISMATCH, lpc(71));
    CHECK_PTR(second, UNTOUCHED, lpc(71));

    CHECK(still_runs(&s.worker), lpc(77));
    CHECK_PTR(s.client.port, UNTOUCHED, lpc(77));
    CHECK_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, lpc(78));
    join(&s.worker);
    CHECK_STATUS(s.client.status, STATUS_SUCCESS, lpc(78));
    CHECK(s.client.port != UNTOUCHED && s.client.port != NULL, lpc(78));
    CHECK_STATUS(NtClose(s.client.port), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(s.conn), STATUS_SUCCESS, SETUP);
}

TEST(refusal_leaves_handles_alone_and_the_client_may_retry)
{
    static const ULONG_PTR patterns[] = {0, ~(ULONG_PTR)0, 0x55555555};
    struct scene s;
    HANDLE srv;
    REQUIRE(scene_create(&s), SETUP);
    for (int i = 0; i < 3; i++) {
        context("handle variable %#lx", (ULONG)patterns[i]);
        srv = (HANDLE)patterns[i];
        s.client.port = (HANDLE)patterns[i];
        REQUIRE(scene_receive(&s), SETUP);
        CHECK_EQ(s.request.h.Type, LPC_CONNECTION_REQUEST, lpc(75));
        CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &s.request.h, FALSE, NULL, NULL), STATUS_SUCCESS, lpc(73));
        CHECK_EQ((ULONG_PTR)srv, patterns[i], lpc(73));
        join(&s.worker);
        CHECK_STATUS(s.client.status, STATUS_PORT_CONNECTION_REFUSED, lpc(74));
        CHECK_EQ((ULONG_PTR)s.client.port, patterns[i], lpc(74));
    }
    context(NULL);
    /* No notice of the refused ones comes in between (also lpc#187). */
    CHECK_STATUS(receive_within(s.conn, NULL, &s.request, 0), STATUS_TIMEOUT, lpc(187));
    REQUIRE(connect_start(&s.client, &s.worker), SETUP);
    REQUIRE_STATUS(receive_within(s.conn, NULL, &s.request, 5000), STATUS_SUCCESS, lpc(75));
    CHECK_EQ(s.request.h.Type, LPC_CONNECTION_REQUEST, lpc(75));
    REQUIRE_STATUS(NtAcceptConnectPort(&srv, NULL, &s.request.h, TRUE, NULL, NULL), STATUS_SUCCESS, lpc(75));
    CHECK_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, lpc(75));
    join(&s.worker);
    CHECK_STATUS(s.client.status, STATUS_SUCCESS, lpc(75));
    CHECK_STATUS(NtClose(s.client.port), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(s.conn), STATUS_SUCCESS, SETUP);
}

TEST(complete)
{
    struct pair pair;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    REQUIRE(pair_open(&pair, NULL), SETUP);
    CHECK_STATUS(NtCompleteConnectPort(NULL), STATUS_INVALID_HANDLE, lpc(80));
    CHECK_STATUS(NtCompleteConnectPort(pair.conn), STATUS_INVALID_PORT_HANDLE, lpc(81));
    CHECK_STATUS(NtCompleteConnectPort(pair.cli), STATUS_INVALID_PORT_HANDLE, lpc(81));
    CHECK_STATUS(NtCompleteConnectPort(event), STATUS_OBJECT_TYPE_MISMATCH, lpc(82));
    CHECK_STATUS(NtCompleteConnectPort(pair.srv), STATUS_INVALID_PARAMETER, lpc(83));
    CloseHandle(event);
    pair_close(&pair);
}

/* Answers a client that offers a buffer of `client_length` with `server_length` bytes; returns what it was told. */
static ULONG answer_length(BOOLEAN accept, ULONG client_length, USHORT server_length, int cite)
{
    struct scene s;
    HANDLE srv = NULL;
    if (!scene_create(&s))
        return 0xFFFFFFFF;
    s.client.with_info = TRUE;
    s.client.info_length = client_length;
    memset(s.client.info, 0x11, sizeof s.client.info);
    if (!scene_receive(&s))
        abandon_if_threads_remain_();
    s.request.h.DataLength = server_length;
    memset(s.request.data, 0x22, server_length);
    CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &s.request.h, accept, NULL, NULL), STATUS_SUCCESS, cite);
    if (accept)
        CHECK_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, cite);
    join(&s.worker);
    CHECK_STATUS(s.client.status, accept ? STATUS_SUCCESS : STATUS_PORT_CONNECTION_REFUSED, cite);
    ULONG shorter = client_length < server_length ? client_length : server_length;
    for (ULONG i = 0; i < client_length + 8; i++) {
        context("byte %lu of %u answered to %lu", i, server_length, client_length);
        CHECK_EQ(s.client.info[i], i < shorter ? 0x22 : 0x11, cite);
    }
    context(NULL);
    if (accept) {
        CHECK_STATUS(NtClose(s.client.port), STATUS_SUCCESS, SETUP);
        CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    }
    CHECK_STATUS(NtClose(s.conn), STATUS_SUCCESS, SETUP);
    return s.client.info_length;
}

TEST(answer_data)
{
    CHECK_EQ(answer_length(TRUE, 6, 8, lpc(84)), 6, lpc(84));
    CHECK_EQ(answer_length(TRUE, 8, 6, lpc(85)), 6, lpc(85));
    CHECK_EQ(answer_length(TRUE, 8, 0, lpc(85)), 0, lpc(85));
    CHECK_EQ(answer_length(TRUE, MAX_CONNECT_INFO, MAX_CONNECT_INFO, lpc(84)), MAX_CONNECT_INFO, lpc(84));
    CHECK_EQ(answer_length(FALSE, 8, 5, lpc(86)), 5, lpc(86));
}

TEST(accept_in_another_order)
{
    struct scene s;
    struct connecting second;
    struct worker second_worker;
    struct msg second_request;
    HANDLE srv, refused = UNTOUCHED;
    REQUIRE(scene_create(&s), SETUP);
    REQUIRE(scene_receive(&s), SETUP);
    connect_init(&second, s.name);
    REQUIRE(connect_start(&second, &second_worker), SETUP);
    REQUIRE_STATUS(NtListenPort(s.conn, &second_request.h), STATUS_SUCCESS, lpc(87));
    REQUIRE_STATUS(NtAcceptConnectPort(&srv, NULL, &second_request.h, TRUE, NULL, NULL), STATUS_SUCCESS, lpc(87));
    CHECK_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, lpc(87));
    join(&second_worker);
    CHECK_STATUS(second.status, STATUS_SUCCESS, lpc(87));
    CHECK(still_runs(&s.worker), lpc(87));
    CHECK_STATUS(NtAcceptConnectPort(&refused, NULL, &s.request.h, FALSE, NULL, NULL), STATUS_SUCCESS, lpc(87));
    join(&s.worker);
    CHECK_STATUS(s.client.status, STATUS_PORT_CONNECTION_REFUSED, lpc(87));
    CHECK_STATUS(NtClose(second.port), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(s.conn), STATUS_SUCCESS, SETUP);
}

TEST(other_objects_are_not_ports)
{
    struct msg m;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    msg_init(&m, 0);
    CHECK_STATUS(NtListenPort(event, &m.h), STATUS_OBJECT_TYPE_MISMATCH, lpc(88));
    CHECK_STATUS(NtReplyWaitReceivePort(event, NULL, NULL, &m.h), STATUS_OBJECT_TYPE_MISMATCH, lpc(88));
    CHECK_STATUS(NtCompleteConnectPort(event), STATUS_OBJECT_TYPE_MISMATCH, lpc(88));
    CHECK_STATUS(NtListenPort(NULL, &m.h), STATUS_INVALID_HANDLE, lpc(80));
    CloseHandle(event);
}

TEST(connection_port_closes_while_a_client_connects)
{
    struct scene s;
    REQUIRE(scene_create(&s), SETUP);
    REQUIRE(connect_start(&s.client, &s.worker), SETUP);
    CHECK(still_runs(&s.worker), lpc(89));
    CHECK_STATUS(NtClose(s.conn), STATUS_SUCCESS, SETUP);
    join(&s.worker);
    CHECK_STATUS(s.client.status, STATUS_PORT_CONNECTION_REFUSED, lpc(89));
    CHECK_PTR(s.client.port, UNTOUCHED, lpc(89));

    /* The same after the request was received. */
    REQUIRE(scene_create(&s), SETUP);
    REQUIRE(scene_receive(&s), SETUP);
    CHECK_STATUS(NtClose(s.conn), STATUS_SUCCESS, SETUP);
    join(&s.worker);
    CHECK_STATUS(s.client.status, STATUS_PORT_CONNECTION_REFUSED, lpc(89));
}

TEST(client_thread_dies_while_connecting)
{
    struct scene s;
    HANDLE srv = UNTOUCHED;
    REQUIRE(scene_create(&s), SETUP);
    REQUIRE(scene_receive(&s), SETUP);
    CHECK(TerminateThread(s.worker.thread, 0), SETUP);
    join_killed(&s.worker);
    NTSTATUS status = NtAcceptConnectPort(&srv, NULL, &s.request.h, TRUE, NULL, NULL);
    context("accept giving %s", status_name(status));
    CHECK(status == STATUS_INVALID_CID || status == STATUS_REPLY_MESSAGE_MISMATCH, lpc(90));
    context(NULL);
    CHECK_PTR(srv, UNTOUCHED, lpc(90));
    CHECK_STATUS(NtClose(s.conn), STATUS_SUCCESS, SETUP);
}

TEST(server_port_closes_before_completion)
{
    struct scene s;
    HANDLE srv;
    REQUIRE(scene_create(&s), SETUP);
    REQUIRE(scene_receive(&s), SETUP);
    REQUIRE_STATUS(NtAcceptConnectPort(&srv, NULL, &s.request.h, TRUE, NULL, NULL), STATUS_SUCCESS, SETUP);
    CHECK(still_runs(&s.worker), lpc(77));
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    join(&s.worker);
    /* lpc §2.3, recommendation Q4 */
    CHECK_STATUS(s.client.status, STATUS_PORT_CONNECTION_REFUSED, SETUP);
    CHECK_STATUS(NtClose(s.conn), STATUS_SUCCESS, SETUP);
}
