/* NtAlpcSendWaitReceivePort: sending, receiving, replying: alpc §2.5, statements 110–164. */
#include "../alpc.h"

enum { RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE, SYNC = ALPC_MSGFLG_SYNC_REQUEST };

TEST(validation)
{
    struct alpc_pair pair;
    struct msg m, r;
    SIZE_T length = sizeof r;
    LARGE_INTEGER poll = {.QuadPart = 0};
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    HANDLE closed = CreateEventW(NULL, TRUE, FALSE, NULL);
    CloseHandle(closed);
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(closed, RELEASE, &m), STATUS_INVALID_HANDLE, alpc(110));
    CHECK_STATUS(NtAlpcSendWaitReceivePort(closed, SYNC, &m.h, NULL, &r.h, NULL, NULL, NULL), STATUS_INVALID_HANDLE,
                 alpc(111));
    CHECK_STATUS(NtAlpcSendWaitReceivePort(pair.cli, 0x01000000, &m.h, NULL, NULL, NULL, NULL, NULL),
                 STATUS_INVALID_PARAMETER, alpc(113));
    CHECK_STATUS(NtAlpcSendWaitReceivePort(pair.cli, SYNC | RELEASE, &m.h, NULL, &r.h, &length, NULL, NULL),
                 STATUS_INVALID_PARAMETER_2, alpc(114));
    CHECK_STATUS(NtAlpcSendWaitReceivePort(pair.cli, SYNC, NULL, NULL, &r.h, &length, NULL, NULL),
                 STATUS_INVALID_PARAMETER_2, alpc(115));
    CHECK_STATUS(NtAlpcSendWaitReceivePort(pair.cli, SYNC, &m.h, NULL, NULL, NULL, NULL, NULL),
                 STATUS_LPC_RECEIVE_BUFFER_EXPECTED, alpc(116));
    m.h.TotalLength = 0x7000;
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_PORT_MESSAGE_TOO_LONG, alpc(117));
    m.h.TotalLength = HEADER - 1;
    m.h.DataLength = 0;
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_INVALID_PARAMETER, alpc(119));
    m.h.TotalLength = HEADER + 4;
    m.h.DataLength = 5;
#ifdef _WIN64
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_INVALID_PARAMETER, alpc(120));
#endif
    CHECK_STATUS(NtAlpcSendWaitReceivePort(pair.conn, 0, NULL, NULL, &r.h, NULL, NULL, &poll), STATUS_TIMEOUT,
                 alpc(125));
    alpc_pair_close(&pair);
}

TEST(kinds_of_messages)
{
    struct alpc_pair pair;
    struct msg m, before, r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    msg_init(&m, 4);
    m.h.Type = LPC_EXCEPTION;
    m.h.ClientId = client_id(4, 8);
    before = m;
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_SUCCESS, alpc(137));
    CHECK(memcmp(&m, &before, sizeof m) == 0, alpc(163));
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(144));
    CHECK_EQ(length, sizeof r, alpc(129));
    CLIENT_ID self = own_client_id();
    CHECK_EQ(r.h.Type & 0xFF, LPC_DATAGRAM, alpc(137));
    CHECK_EQ(r.h.Type & LPC_CONTINUATION_REQUIRED, 0, alpc(138));
    CHECK(same_client(&r.h.ClientId, &self), alpc(140));
    CHECK(same_client(&r.h.ClientId, &self), alpc(164));

    msg_init(&m, 4);
    /* The low half of the flags is ignored. */
    CHECK_STATUS(alpc_send(pair.cli, 1, &m), STATUS_SUCCESS, alpc(112));
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(134));
    CHECK_EQ(r.h.Type & 0xFF, LPC_REQUEST, alpc(134));
    CHECK_EQ(r.h.Type & LPC_CONTINUATION_REQUIRED, LPC_CONTINUATION_REQUIRED, alpc(135));
    CHECK(r.h.MessageId != 0, alpc(141));
    ULONG id = r.h.MessageId;
    CHECK_STATUS(alpc_send(pair.conn, RELEASE, &r), STATUS_SUCCESS, alpc(153));
    struct msg answer;
    REQUIRE_STATUS(alpc_receive(pair.cli, &answer, &length, NULL, 5000), STATUS_SUCCESS, alpc(153));
    CHECK_EQ(answer.h.MessageId, id, alpc(152));
    CHECK_STATUS(alpc_send(pair.conn, RELEASE, &r), STATUS_INVALID_MESSAGE, alpc(154));
    r.h.MessageId = 0x7FFFFFF0;
    CHECK_STATUS(alpc_send(pair.conn, RELEASE, &r), STATUS_INVALID_MESSAGE, alpc(155));

    msg_init(&m, 0);
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_SUCCESS, alpc(122));
    CHECK_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(122));
    m.h.TotalLength = HEADER + 8;
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_SUCCESS, alpc(121));
    CHECK_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(121));
    alpc_pair_close(&pair);
}

TEST(type_on_64_bit_windows)
{
    struct alpc_pair pair;
    struct msg m, r;
    SIZE_T length = sizeof r;
    BOOL is_wow64 = FALSE;
    NEED_ALPC;
    IsWow64Process(GetCurrentProcess(), &is_wow64);
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(pair.cli, 0, &m), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    if (is_wow64)
        CHECK_EQ(r.h.Type, 0x3001, alpc(136));
    else
        CHECK_EQ(r.h.Type, 0x2001, alpc(135));
    alpc_pair_close(&pair);
}

TEST(small_buffers)
{
    struct alpc_pair pair;
    struct msg m, r;
    SIZE_T length = HEADER + 3;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    msg_init(&m, 16);
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    memset(&r, 0x77, sizeof r);
    CHECK_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_BUFFER_TOO_SMALL, alpc(130));
    CHECK_EQ(length, HEADER + 16, alpc(131));
    CHECK_EQ(r.h.Type, 0x7777, alpc(132));
    CHECK_EQ(r.data[0], 0x77, alpc(132));
    CHECK_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(133));
    CHECK(memcmp(r.data, m.data, 16) == 0, alpc(133));
    alpc_pair_close(&pair);
}

TEST(timeouts)
{
    static const LONGLONG timeouts[] = {0, -1, 1};
    static const int cites[] = {alpc(124), alpc(126), alpc(127)};
    struct alpc_pair pair;
    struct msg r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    for (int i = 0; i < 3; i++) {
        LARGE_INTEGER timeout = {.QuadPart = timeouts[i]};
        CHECK_STATUS(NtAlpcSendWaitReceivePort(pair.conn, 0, NULL, NULL, &r.h, &length, NULL, &timeout),
                     STATUS_TIMEOUT, cites[i]);
    }
    CHECK_STATUS(alpc_receive(pair.srv, &r, &length, NULL, 0), STATUS_TIMEOUT, alpc(145));
    FILETIME now;
    ULONGLONG begin = GetTickCount64();
    GetSystemTimeAsFileTime(&now);
    LARGE_INTEGER until = {.LowPart = now.dwLowDateTime, .HighPart = (LONG)now.dwHighDateTime};
    until.QuadPart += 500000;
    CHECK_STATUS(NtAlpcSendWaitReceivePort(pair.conn, 0, NULL, NULL, &r.h, &length, NULL, &until), STATUS_TIMEOUT,
                 alpc(128));
    CHECK(GetTickCount64() - begin >= 10, alpc(128));
    struct msg m;
    LARGE_INTEGER soon = {.QuadPart = -500000};
    msg_init(&m, 4);
    CHECK_STATUS(NtAlpcSendWaitReceivePort(pair.cli, SYNC, &m.h, NULL, &r.h, &length, NULL, &soon), STATUS_TIMEOUT,
                 alpc(160));
    alpc_pair_close(&pair);
}

TEST(synchronous_requests)
{
    static struct alpc_calling calling;
    struct alpc_pair pair;
    struct worker worker;
    struct msg r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    HANDLE const ports[] = {pair.conn, pair.srv};
    for (int i = 0; i < 2; i++) {
        alpc_call_init(&calling, pair.cli, 8);
        REQUIRE(alpc_call_start(&calling, &worker), SETUP);
        REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(134));
        r.data[0] = 0x99;
        CHECK_STATUS(alpc_send(ports[i], RELEASE, &r), STATUS_SUCCESS, i == 0 ? alpc(148) : alpc(149));
        join(&worker);
        CHECK_STATUS(calling.status, STATUS_SUCCESS, i == 0 ? alpc(148) : alpc(149));
        CHECK_EQ(calling.reply.h.Type, LPC_REPLY, alpc(150));
        CHECK_EQ(calling.reply.data[0], 0x99, alpc(150));
        CHECK_EQ(calling.reply.h.MessageId, r.h.MessageId, alpc(152));
    }
    /* A reply that is not the last word. */
    alpc_call_init(&calling, pair.cli, 8);
    REQUIRE(alpc_call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(alpc_send(pair.conn, 0, &r), STATUS_SUCCESS, alpc(151));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, alpc(151));
    CHECK_EQ(calling.reply.h.Type & 0xFF, LPC_REQUEST, alpc(151));
    CHECK_EQ(calling.reply.h.Type & LPC_CONTINUATION_REQUIRED, LPC_CONTINUATION_REQUIRED, alpc(151));
    alpc_pair_close(&pair);
}

TEST(server_originated_request)
{
    struct alpc_pair pair;
    struct msg m, r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, ALPC_PORTFLG_ALLOW_LPC_REQUESTS, NULL), SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(pair.srv, 0, &m), STATUS_SUCCESS, alpc(156));
    REQUIRE_STATUS(alpc_receive(pair.cli, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(156));
    CHECK_EQ(r.h.Type & 0xFF, LPC_REQUEST, alpc(156));
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &r), STATUS_SUCCESS, alpc(157));
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(157));
    CHECK_EQ(r.h.Type & 0xFF, LPC_REPLY, alpc(157));
    alpc_pair_close(&pair);
}

TEST(many_datagrams_in_order)
{
    enum { COUNT = 10000 };
    struct alpc_pair pair;
    struct msg m, r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    for (ULONG i = 0; i < COUNT; i++) {
        msg_init(&m, 4);
        memcpy(m.data, &i, 4);
        REQUIRE(alpc_send(pair.cli, RELEASE, &m) == STATUS_SUCCESS, alpc(143));
    }
    for (ULONG i = 0; i < COUNT; i++) {
        ULONG got;
        REQUIRE(alpc_receive(pair.conn, &r, &length, NULL, 5000) == STATUS_SUCCESS, alpc(143));
        memcpy(&got, r.data, 4);
        REQUIRE(got == i, alpc(143));
    }
    alpc_pair_close(&pair);
}

TEST(disconnect_and_close)
{
    struct alpc_pair pair;
    struct msg m, r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(NtAlpcDisconnectPort(pair.cli, 0), STATUS_SUCCESS, alpc(193));
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_PORT_DISCONNECTED, alpc(194));
    CHECK_STATUS(NtAlpcDisconnectPort(pair.cli, 0), STATUS_PORT_DISCONNECTED, alpc(195));
    alpc_pair_close(&pair);

    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    CHECK_STATUS(NtAlpcDisconnectPort(pair.srv, 0), STATUS_SUCCESS, alpc(197));
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_SUCCESS, alpc(197));
    alpc_pair_close(&pair);

    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    CHECK_STATUS(alpc_send(pair.cli, RELEASE, &m), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(pair.cli), STATUS_SUCCESS, SETUP);
    pair.cli = NULL;
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(201));
    CHECK_EQ(r.h.Type & 0xFF, LPC_CANCELED, alpc(201));
    CHECK_EQ(r.h.DataLength, 0, alpc(201));
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, alpc(199));
    CHECK_EQ(r.h.Type & 0xFF, LPC_PORT_CLOSED, alpc(199));
    alpc_pair_close(&pair);
}
