/* Layouts of the structures and the size limits: lpc §1, §5.1. */
#include "../lpctest.h"

#define BY_WIDTH(x86, x64) (WIDE_PORTS ? (x64) : (x86))

TEST(sizes_of_structures)
{
    CHECK_EQ(sizeof(PORT_MESSAGE), BY_WIDTH(24, 40), lpc(1));
    CHECK_EQ(offsetof(PORT_MESSAGE, ClientId), 8, lpc(2));
    CHECK_EQ(offsetof(PORT_MESSAGE, MessageId), BY_WIDTH(16, 24), lpc(2));
    CHECK_EQ(offsetof(PORT_MESSAGE, CallbackId), BY_WIDTH(20, 32), lpc(2));
    CHECK_EQ(sizeof(PORT_VIEW), BY_WIDTH(24, 48), lpc(3));
    CHECK_EQ(sizeof(REMOTE_PORT_VIEW), BY_WIDTH(12, 24), lpc(3));
    CHECK_EQ(sizeof(PORT_DATA_ENTRY), BY_WIDTH(8, 16), lpc(4));
    CHECK_EQ(offsetof(PORT_DATA_INFORMATION, DataEntries), BY_WIDTH(4, 8), lpc(4));
    CHECK_EQ(sizeof(LPC_CLIENT_DIED_MSG), BY_WIDTH(32, 48), lpc(5));
    CHECK_EQ(offsetof(LPC_CLIENT_DIED_MSG, CreateTime), BY_WIDTH(24, 40), lpc(5));
}

#ifdef WOW64_PORTS
TEST(wide_layout_of_a_32_bit_program)
{
    BOOL is_wow64 = FALSE;
    struct msg m;
    struct pair pair;
    CHECK(IsWow64Process(GetCurrentProcess(), &is_wow64), lpc(6));
    CHECK_EQ(is_wow64, TRUE, lpc(6));
    CHECK_EQ(sizeof(void *), 4, lpc(6));
    REQUIRE(pair_open(&pair, NULL), SETUP);
    msg_text(&m, "behind 40 bytes");
    CHECK_STATUS(NtRequestPort(pair.cli, &m.h), STATUS_SUCCESS, lpc(6));
    memset(&m, 0, sizeof m);
    CHECK_STATUS(receive_within(pair.conn, NULL, &m, 5000), STATUS_SUCCESS, lpc(6));
    CHECK(memcmp((char *)&m + 40, "behind 40 bytes", 15) == 0, lpc(6));
    CHECK_EQ(m.h.TotalLength - m.h.DataLength, 40, lpc(6));
    CHECK(*(ULONG *)((char *)&m + 24) != 0, lpc(6));
    pair_close(&pair);
}
#endif

/* The offsets of statement 2 as the implementation uses them, read and written as raw bytes. */
TEST(fields_are_where_the_layout_says)
{
    static union {
        struct msg m;
        USHORT u16[4];
        ULONG u32[16];
        UCHAR bytes[64];
    } raw;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    memset(&raw, 0, sizeof raw);
    raw.u16[0] = 4;
    raw.u16[1] = (USHORT)BY_WIDTH(28, 44);
    memcpy(raw.bytes + BY_WIDTH(24, 40), "data", 4);
    CHECK_STATUS(NtRequestPort(pair.cli, &raw.m.h), STATUS_SUCCESS, lpc(1));
    memset(&raw, 0xAA, sizeof raw);
    CHECK_STATUS(receive_within(pair.conn, NULL, &raw.m, 5000), STATUS_SUCCESS, lpc(1));
    CHECK(memcmp(raw.bytes + BY_WIDTH(24, 40), "data", 4) == 0, lpc(1));
    CHECK_EQ(raw.u16[0], 4, lpc(1));
    CHECK_EQ(raw.u16[1], BY_WIDTH(28, 44), lpc(1));
    CHECK_EQ(raw.u16[2], LPC_DATAGRAM, lpc(1));
    CHECK_EQ(raw.u16[3], 0, lpc(1));
    CHECK_EQ(raw.u32[2], GetCurrentProcessId(), lpc(2));
    CHECK_EQ(raw.u32[BY_WIDTH(3, 4)], GetCurrentThreadId(), lpc(2));
    CHECK(raw.u32[BY_WIDTH(4, 6)] != 0, lpc(2));
    CHECK_EQ(raw.u32[BY_WIDTH(5, 8)], 0, lpc(2));
    pair_close(&pair);
}

static NTSTATUS create_with(ULONG max_info, ULONG max_message, ULONG max_pool)
{
    WCHAR name[64];
    UNICODE_STRING string;
    HANDLE port = NULL;
    unique_name(name);
    string = unicode(name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    NTSTATUS status = NtCreatePort(&port, &oa, max_info, max_message, max_pool);
    if (status == STATUS_SUCCESS)
        CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
    return status;
}

TEST(limits_of_creation)
{
    const int message_limit = BY_WIDTH(lpc(7), lpc(8));
    const int info_limit = BY_WIDTH(lpc(9), lpc(10));
    CHECK_STATUS(create_with(0, BY_WIDTH(0x148, 0x288), 0), STATUS_SUCCESS, message_limit);
    CHECK_STATUS(create_with(0, BY_WIDTH(0x149, 0x289), 0), STATUS_INVALID_PARAMETER_4, message_limit);
    CHECK_STATUS(create_with(BY_WIDTH(0x104, 0x208), 0, 0), STATUS_SUCCESS, info_limit);
    CHECK_STATUS(create_with(BY_WIDTH(0x105, 0x209), 0, 0), STATUS_INVALID_PARAMETER_3, info_limit);
    CHECK_STATUS(create_with(BY_WIDTH(0x105, 0x209), BY_WIDTH(0x149, 0x289), 0), STATUS_INVALID_PARAMETER_4, lpc(11));
    CHECK_STATUS(create_with(0xFFFFFFFF, 0xFFFFFFFF, 0), STATUS_INVALID_PARAMETER_4, lpc(11));
    CHECK_STATUS(create_with(0, 0, 0), STATUS_SUCCESS, lpc(12));
}

TEST(pool_usage_is_ignored)
{
    ULONG variable = 0x4D4D;
    CHECK_STATUS(create_with(0, 0x100, 0), STATUS_SUCCESS, lpc(13));
    CHECK_STATUS(create_with(0, 0x100, 0x4D4D), STATUS_SUCCESS, lpc(13));
    CHECK_STATUS(create_with(0, 0x100, 0xFFFFFFFF), STATUS_SUCCESS, lpc(13));
    CHECK_STATUS(create_with(0, 0x100, (ULONG)(ULONG_PTR)&variable), STATUS_SUCCESS, lpc(13));
    CHECK_EQ(variable, 0x4D4D, lpc(13));
}

TEST(maximum_message_length_is_reported_exactly)
{
    static const ULONG lengths[] = {0x100, 0x101, 0x40, 0};
    for (int i = 0; i < 4; i++) {
        struct connecting connecting;
        struct worker worker;
        struct msg request;
        WCHAR name[64];
        HANDLE conn, srv;
        context("MaxMessageLength %#lx", lengths[i]);
        unique_name(name);
        REQUIRE_STATUS(create_port_sized(&conn, name, 0, lengths[i]), STATUS_SUCCESS, SETUP);
        connect_init(&connecting, name);
        connecting.max_message = 0xCCCCCCCC;
        REQUIRE(connect_start(&connecting, &worker), SETUP);
        REQUIRE_STATUS(NtListenPort(conn, &request.h), STATUS_SUCCESS, SETUP);
        REQUIRE_STATUS(NtAcceptConnectPort(&srv, NULL, &request.h, TRUE, NULL, NULL), STATUS_SUCCESS, lpc(14));
        REQUIRE_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, SETUP);
        join(&worker);
        CHECK_STATUS(connecting.status, STATUS_SUCCESS, SETUP);
        CHECK_EQ(connecting.max_message, lengths[i], lpc(14));
        CHECK_STATUS(NtClose(connecting.port), STATUS_SUCCESS, SETUP);
        CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
        CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
    }
}

TEST(largest_message)
{
    static struct calling calling;
    struct worker worker;
    struct pair pair;
    static struct msg received;
    REQUIRE(pair_open(&pair, NULL), SETUP);
#if !WIDE_PORTS
    CHECK_EQ(MAX_DATA_LENGTH, 304, lpc(15));
    CHECK_EQ(MAX_TOTAL_LENGTH, 328, lpc(15));
#endif
    call_init(&calling, pair.cli, MAX_DATA_LENGTH);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(16));
    CHECK_EQ(received.h.DataLength, MAX_DATA_LENGTH, BY_WIDTH(lpc(15), lpc(16)));
    CHECK(memcmp(received.data, calling.request.data, MAX_DATA_LENGTH) == 0, BY_WIDTH(lpc(15), lpc(16)));
    CHECK_STATUS(NtReplyPort(pair.conn, &received.h), STATUS_SUCCESS, lpc(16));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(16));
    CHECK(memcmp(calling.reply.data, calling.request.data, MAX_DATA_LENGTH) == 0, lpc(16));

    call_init(&calling, pair.cli, MAX_DATA_LENGTH + 1);
    CHECK_STATUS(NtRequestWaitReplyPort(pair.cli, &calling.request.h, &calling.reply.h), STATUS_PORT_MESSAGE_TOO_LONG,
                 lpc(16));
    CHECK_STATUS(NtRequestPort(pair.cli, &calling.request.h), STATUS_PORT_MESSAGE_TOO_LONG, lpc(16));
    pair_close(&pair);
}

TEST(data_are_copied_in_fours)
{
    static struct calling calling;
    static struct msg received;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 8);
    calling.request.h.DataLength = 1;
    calling.request.h.TotalLength = HEADER + 1;
    REQUIRE(call_start(&calling, &worker), SETUP);
    memset(&received, 0x77, sizeof received);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(17));
    CHECK(memcmp(received.data, "\1\2\3\4\x77", 5) == 0, lpc(17));
    CHECK_EQ(received.h.DataLength, 1, lpc(18));
    CHECK_EQ(received.h.TotalLength, HEADER + 1, lpc(18));

    struct msg reply = received;
    reply.h.DataLength = 5;
    reply.h.TotalLength = HEADER + 5;
    memcpy(reply.data, "abcdefgh", 8);
    CHECK_STATUS(NtReplyPort(pair.conn, &reply.h), STATUS_SUCCESS, lpc(17));
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, lpc(17));
    CHECK(memcmp(calling.reply.data, "abcdefgh\xEE", 9) == 0, lpc(17));
    CHECK_EQ(calling.reply.h.DataLength, 5, lpc(18));
    pair_close(&pair);
}

TEST(total_length_may_exceed_the_data)
{
    struct msg datagram, received;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    msg_init(&datagram, 4);
    datagram.h.TotalLength = 48;
    CHECK_STATUS(NtRequestPort(pair.cli, &datagram.h), STATUS_SUCCESS, lpc(19));
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(19));
    CHECK_EQ(received.h.DataLength, 4, lpc(19));
    CHECK_EQ(received.h.TotalLength, 48, lpc(19));
    pair_close(&pair);
}
