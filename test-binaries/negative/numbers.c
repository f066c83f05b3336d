/* Every number of a header at its extremes: nothing is sent, nothing breaks. lpc §2.0.6. */
#include "../lpctest.h"

static const USHORT extremes[] = {0, 1, HEADER - 1, HEADER, HEADER + 1, MAX_TOTAL_LENGTH, MAX_TOTAL_LENGTH + 1,
                                  0x7FFF, 0x8000, 0xFFFF};
enum { EXTREMES = sizeof extremes / sizeof extremes[0] };

/* The status lpc §2.0.6 gives two lengths, in its order. */
static NTSTATUS expected(USHORT data, USHORT total)
{
    if ((ULONG)data + HEADER > total)
        return STATUS_INVALID_PARAMETER;
    return total > MAX_TOTAL_LENGTH ? STATUS_PORT_MESSAGE_TOO_LONG : STATUS_SUCCESS;
}

TEST(lengths_of_datagrams)
{
    /* The buffer holds whatever a header may claim. */
    static union {
        PORT_MESSAGE h;
        UCHAR bytes[0x20000];
    } big;
    static struct msg received;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    for (int d = 0; d < EXTREMES; d++) {
        for (int t = 0; t < EXTREMES; t++) {
            NTSTATUS want = expected(extremes[d], extremes[t]);
            memset(&big.h, 0, sizeof big.h);
            big.h.DataLength = extremes[d];
            big.h.TotalLength = extremes[t];
            context("DataLength %u, TotalLength %u", extremes[d], extremes[t]);
            CHECK_STATUS(NtRequestPort(pair.cli, &big.h), want, want == STATUS_INVALID_PARAMETER ? lpc(125) : lpc(126));
            if (want == STATUS_SUCCESS) {
                CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, SETUP);
                CHECK_EQ(received.h.DataLength, extremes[d], lpc(18));
                CHECK_EQ(received.h.TotalLength, extremes[t], lpc(18));
            }
        }
    }
    context(NULL);
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 0), STATUS_TIMEOUT, SETUP);
    pair_close(&pair);
}

TEST(lengths_of_replies)
{
    static struct calling calling;
    static struct msg received;
    static union {
        PORT_MESSAGE h;
        UCHAR bytes[0x20000];
    } big;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, SETUP);
    for (int d = 0; d < EXTREMES; d++) {
        for (int t = 0; t < EXTREMES; t++) {
            NTSTATUS want = expected(extremes[d], extremes[t]);
            if (want == STATUS_SUCCESS)
                continue;
            big.h = received.h;
            big.h.DataLength = extremes[d];
            big.h.TotalLength = extremes[t];
            context("DataLength %u, TotalLength %u", extremes[d], extremes[t]);
            CHECK_STATUS(NtReplyPort(pair.srv, &big.h), want, SETUP);
        }
    }
    context(NULL);
    CHECK(still_runs(&worker), SETUP);
    CHECK_STATUS(NtReplyPort(pair.srv, &received.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, SETUP);
    pair_close(&pair);
}

/* A port whose maximum is smaller than a header: it connects, and nothing can be sent (lpc §1.10). */
TEST(port_with_maximum_zero)
{
    static struct connecting connecting;
    struct worker worker;
    struct msg m;
    WCHAR name[64];
    HANDLE conn, srv;
    unique_name(name);
    REQUIRE_STATUS(create_port_sized(&conn, name, 0, 0), STATUS_SUCCESS, lpc(12));
    connect_init(&connecting, name);
    REQUIRE(connect_start(&connecting, &worker), SETUP);
    REQUIRE_STATUS(NtListenPort(conn, &m.h), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(NtAcceptConnectPort(&srv, NULL, &m.h, TRUE, NULL, NULL), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, SETUP);
    join(&worker);
    msg_init(&m, 0);
    CHECK_STATUS(NtRequestPort(connecting.port, &m.h), STATUS_PORT_MESSAGE_TOO_LONG, lpc(16));
    CHECK_STATUS(NtRequestWaitReplyPort(connecting.port, &m.h, &m.h), STATUS_PORT_MESSAGE_TOO_LONG, lpc(16));
    CHECK_STATUS(NtClose(connecting.port), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

TEST(odd_names)
{
    static WCHAR longest[0x7FFF];
    HANDLE port = UNTOUCHED;
    UNICODE_STRING odd = {3, 4, L"\\x"};
    OBJECT_ATTRIBUTES oa = attributes(&odd);
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    /* No public source names the status for an odd length; it must be an error and have no effect. */
    CHECK(NtCreatePort(&port, &oa, 0, 0x100, 0) < 0, SETUP);
    CHECK(NtConnectPort(&port, &odd, &qos, NULL, NULL, NULL, NULL, NULL) < 0, SETUP);
    for (int i = 0; i < 0x7FFE; i++)
        longest[i] = i % 64 == 0 ? L'\\' : L'x';
    CHECK(connect_port(&port, longest) < 0, SETUP);
    CHECK(connect_port(&port, L"\\") < 0, SETUP);
    CHECK(connect_port(&port, L"\\\\") < 0, SETUP);
    CHECK(connect_port(&port, L"\\RPC Control\\") < 0, SETUP);
    CHECK_PTR(port, UNTOUCHED, SETUP);
}
