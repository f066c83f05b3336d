/* Data-information blocks, NtReadRequestData, NtWriteRequestData: lpc §1.5, §2.15, statements 170–175. */
#include "../lpctest.h"

enum { INFO_OFFSET = 8, INFO = HEADER + INFO_OFFSET };

/* Sets `m` to a request that announces two entries. */
static void describe(struct msg *m, void *first, ULONG first_size, void *second, ULONG second_size)
{
    msg_init(m, 8 + 3 * sizeof(PORT_DATA_ENTRY));
    m->h.DataInfoOffset = INFO;
    PORT_DATA_INFORMATION *info = (PORT_DATA_INFORMATION *)(m->data + INFO_OFFSET);
    memset(info, 0, 3 * sizeof(PORT_DATA_ENTRY));
    info->CountDataEntries = 2;
    info->DataEntries[0] = (PORT_DATA_ENTRY){.Base = first, .Size = first_size};
    info->DataEntries[1] = (PORT_DATA_ENTRY){.Base = second, .Size = second_size};
}

TEST(invalid_blocks)
{
    enum { DATA = 8 + 3 * sizeof(PORT_DATA_ENTRY), SMALLEST = sizeof(PORT_DATA_INFORMATION) };
    static const USHORT offsets[] = {1, HEADER - 4, HEADER + DATA - SMALLEST + 4, HEADER + DATA, 0xFFFC};
    static const ULONG counts[] = {3, 0x10000000, 0x0FFFFFFF, 0xFFFFFFFF};
    struct msg m, reply;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    for (int i = 0; i < 5; i++) {
        context("DataInfoOffset %u", offsets[i]);
        describe(&m, NULL, 0, NULL, 0);
        m.h.DataInfoOffset = offsets[i];
        CHECK_STATUS(NtRequestWaitReplyPort(pair.cli, &m.h, &reply.h), STATUS_INVALID_PARAMETER, lpc(170));
    }
    for (int i = 0; i < 4; i++) {
        context("CountDataEntries %#lx", counts[i]);
        describe(&m, NULL, 0, NULL, 0);
        ((PORT_DATA_INFORMATION *)(m.data + INFO_OFFSET))->CountDataEntries = counts[i];
        CHECK_STATUS(NtRequestWaitReplyPort(pair.cli, &m.h, &reply.h), STATUS_INVALID_PARAMETER, lpc(170));
    }
    context(NULL);
    CHECK_STATUS(receive_within(pair.conn, NULL, &m, 0), STATUS_TIMEOUT, lpc(170));
    pair_close(&pair);
}

TEST(server_reads_and_writes_the_client)
{
    static struct calling calling;
    static char first[32] = "what the client offers to read", second[16] = "................";
    static char copy[64];
    struct msg request;
    struct worker worker;
    struct pair pair;
    SIZE_T returned = 0;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 0);
    describe(&calling.request, first, sizeof first, second, sizeof second);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &request, 5000), STATUS_SUCCESS, SETUP);
    CHECK_EQ(request.h.DataInfoOffset, INFO, lpc(171));

    CHECK_STATUS(NtReadRequestData(pair.srv, &request.h, 0, copy, sizeof first, &returned), STATUS_SUCCESS, lpc(172));
    CHECK_EQ(returned, sizeof first, lpc(172));
    CHECK(memcmp(copy, first, sizeof first) == 0, lpc(172));
    CHECK_STATUS(NtReadRequestData(pair.conn, &request.h, 0, copy, 4, NULL), STATUS_SUCCESS, lpc(172));
    CHECK_STATUS(NtWriteRequestData(pair.srv, &request.h, 1, "from the server", 16, &returned), STATUS_SUCCESS,
                 lpc(172));
    CHECK_EQ(returned, 16, lpc(172));
    CHECK(memcmp(second, "from the server", 16) == 0, lpc(172));

    struct msg without = request;
    without.h.DataInfoOffset = 0;
    CHECK_STATUS(NtReadRequestData(pair.srv, &without.h, 0, copy, 4, NULL), STATUS_INVALID_PARAMETER, lpc(173));
    CHECK_STATUS(NtWriteRequestData(pair.srv, &without.h, 0, copy, 4, NULL), STATUS_INVALID_PARAMETER, lpc(173));
    CHECK_STATUS(NtReadRequestData(pair.srv, &request.h, 2, copy, 4, NULL), STATUS_INVALID_PARAMETER, lpc(173));
    CHECK_STATUS(NtReadRequestData(pair.srv, &request.h, 0xFFFFFFFF, copy, 4, NULL), STATUS_INVALID_PARAMETER,
                 lpc(173));
    CHECK_STATUS(NtReadRequestData(pair.srv, &request.h, 0, copy, sizeof first + 1, NULL), STATUS_INVALID_PARAMETER,
                 lpc(173));
    CHECK_STATUS(NtWriteRequestData(pair.srv, &request.h, 1, copy, sizeof second + 1, NULL), STATUS_INVALID_PARAMETER,
                 lpc(173));
    CHECK_STATUS(NtReadRequestData(pair.srv, &request.h, 0, NULL, 4, NULL), STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtWriteRequestData(pair.srv, &request.h, 0, unmapped(), 4, NULL), STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtReadRequestData(pair.srv, NULL, 0, copy, 4, NULL), STATUS_ACCESS_VIOLATION, SETUP);

    CHECK_STATUS(NtReplyPort(pair.srv, &request.h), STATUS_SUCCESS, SETUP);
    NTSTATUS late = NtReadRequestData(pair.srv, &request.h, 0, copy, 4, NULL);
    join(&worker);
    CHECK(late == STATUS_REPLY_MESSAGE_MISMATCH || late == STATUS_INVALID_CID, lpc(174));
    pair_close(&pair);
}

static void call_then_call_again(void *arg)
{
    struct calling *calling = arg;
    struct msg reply;
    calling->status = NtRequestWaitReplyPort(calling->port, &calling->request.h, &reply.h);
    msg_init(&calling->request, 4);
    if (calling->status == STATUS_SUCCESS)
        calling->status = NtRequestWaitReplyPort(calling->port, &calling->request.h, &reply.h);
}

TEST(nothing_is_readable_after_the_reply)
{
    static struct calling calling;
    static char offered[16], copy[16];
    struct msg request, next;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 0);
    describe(&calling.request, offered, sizeof offered, offered, sizeof offered);
    REQUIRE(spawn(&worker, call_then_call_again, &calling), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &request, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtReplyPort(pair.srv, &request.h), STATUS_SUCCESS, SETUP);
    /* The client thread lives and waits again, for another message. */
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &next, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtReadRequestData(pair.srv, &request.h, 0, copy, 4, NULL), STATUS_REPLY_MESSAGE_MISMATCH, lpc(174));
    CHECK_STATUS(NtWriteRequestData(pair.srv, &request.h, 0, copy, 4, NULL), STATUS_REPLY_MESSAGE_MISMATCH, lpc(174));
    CHECK_STATUS(NtReplyPort(pair.srv, &next.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, SETUP);
    pair_close(&pair);
}

TEST(permitted_ranges_are_those_sent)
{
    static struct calling calling;
    static char offered[16] = "offered bytes..", secret[16] = "secret bytes...", copy[16];
    struct msg request;
    struct worker worker;
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 0);
    describe(&calling.request, offered, sizeof offered, offered, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &request, 5000), STATUS_SUCCESS, SETUP);
    /* Neither the client's edits after sending nor the server's edits of its copy change the ranges. */
    describe(&calling.request, secret, sizeof secret, secret, sizeof secret);
    struct msg edited = request;
    describe(&edited, secret, sizeof secret, secret, sizeof secret);
    edited.h = request.h;
    CHECK_STATUS(NtReadRequestData(pair.srv, &edited.h, 0, copy, 16, NULL), STATUS_SUCCESS, lpc(175));
    CHECK(memcmp(copy, offered, 16) == 0, lpc(175));
    CHECK_STATUS(NtReadRequestData(pair.srv, &edited.h, 1, copy, 5, NULL), STATUS_INVALID_PARAMETER, lpc(175));
    CHECK_STATUS(NtReplyPort(pair.srv, &request.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(calling.status, STATUS_SUCCESS, SETUP);
    pair_close(&pair);
}

TEST(client_memory_is_gone)
{
    static struct calling calling;
    static char copy[16];
    struct msg request;
    struct worker worker;
    struct pair pair;
    SIZE_T returned;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    call_init(&calling, pair.cli, 0);
    describe(&calling.request, unmapped(), 16, NULL, 16);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &request, 5000), STATUS_SUCCESS, SETUP);
    for (ULONG i = 0; i < 2; i++) {
        NTSTATUS status = NtReadRequestData(pair.srv, &request.h, i, copy, 16, &returned);
        context("entry %lu, status %s", i, status_name(status));
        CHECK(status == STATUS_ACCESS_VIOLATION || status == STATUS_PARTIAL_COPY, SETUP);
    }
    context(NULL);
    CHECK_STATUS(NtReplyPort(pair.srv, &request.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    pair_close(&pair);
}
