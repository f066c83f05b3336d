/* NtAlpcCancelMessage: alpc §2.7, statements 172–190. */
#include "../alpc.h"

enum {
    RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE,
    SYNC = ALPC_MSGFLG_SYNC_REQUEST,
    TRY_CANCEL = 1,
    CHECK_CONTEXT = 8,
};

/* A client that waits for the answer to a request which the server has received. */
struct scene {
    struct alpc_pair pair;
    struct worker worker;
    struct alpc_calling calling;
    struct alpc_context_buffer sent;
    struct msg request;
    ALPC_CONTEXT_ATTR received;
};

static void call_with_cookie(void *arg)
{
    struct scene *s = arg;
    s->calling.status = NtAlpcSendWaitReceivePort(s->pair.cli, SYNC, &s->calling.request.h, &s->sent.a,
                                                  &s->calling.reply.h, &s->calling.length, NULL, NULL);
}

static BOOL scene_open(struct scene *s, ULONG flags, PVOID cookie)
{
    struct alpc_context_buffer got = {{ALPC_CONTEXT_ATTRIBUTE, 0}, {0}};
    SIZE_T length = sizeof s->request;
    memset(s, 0, sizeof *s);
    if (!alpc_pair_open(&s->pair, flags, NULL))
        return FALSE;
    alpc_call_init(&s->calling, s->pair.cli, 8);
    s->sent.a.AllocatedAttributes = s->sent.a.ValidAttributes = ALPC_CONTEXT_ATTRIBUTE;
    s->sent.context.MessageContext = cookie;
    if (!spawn(&s->worker, call_with_cookie, s) ||
        !CHECK_STATUS(alpc_receive(s->pair.conn, &s->request, &length, &got.a, 5000), STATUS_SUCCESS, SETUP))
        return FALSE;
    s->received = got.context;
    return TRUE;
}

TEST(arguments)
{
    ALPC_CONTEXT_ATTR context = {.MessageId = 0};
    NEED_ALPC;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL), closed = CreateEventW(NULL, TRUE, FALSE, NULL);
    CloseHandle(closed);
    CHECK_STATUS(NtAlpcCancelMessage(closed, 0x10, &context), STATUS_INVALID_PARAMETER, alpc(172));
    CHECK_STATUS(NtAlpcCancelMessage(closed, 0x80000000, &context), STATUS_INVALID_PARAMETER, alpc(173));
    CHECK_STATUS(NtAlpcCancelMessage(closed, 0, &context), STATUS_MESSAGE_NOT_FOUND, alpc(174));
    context.MessageId = 1;
    CHECK_STATUS(NtAlpcCancelMessage(closed, 0, &context), STATUS_INVALID_HANDLE, alpc(175));
    CHECK_STATUS(NtAlpcCancelMessage(event, 0, &context), STATUS_OBJECT_TYPE_MISMATCH, alpc(176));
    CHECK_STATUS(NtAlpcCancelMessage(event, 0, unmapped()), STATUS_ACCESS_VIOLATION, SETUP);
    CloseHandle(event);
}

TEST(trying)
{
    static struct scene s;
    NEED_ALPC;
    REQUIRE(scene_open(&s, 0, NULL), SETUP);
    CHECK_STATUS(NtAlpcCancelMessage(s.pair.conn, TRY_CANCEL, &s.received), STATUS_MESSAGE_RETRIEVED, alpc(177));
    CHECK(still_runs(&s.worker), alpc(177));
    CHECK_STATUS(NtAlpcCancelMessage(s.pair.cli, TRY_CANCEL, &s.received), STATUS_MESSAGE_RETRIEVED, alpc(178));
    CHECK_STATUS(alpc_send(s.pair.conn, RELEASE, &s.request), STATUS_SUCCESS, alpc(179));
    join(&s.worker);
    CHECK_STATUS(s.calling.status, STATUS_SUCCESS, alpc(179));
    alpc_pair_close(&s.pair);
}

TEST(from_every_port)
{
    static struct scene s;
    NEED_ALPC;
    for (int from = 0; from < 3; from++) {
        REQUIRE(scene_open(&s, 0, NULL), SETUP);
        HANDLE const ports[] = {s.pair.conn, s.pair.srv, s.pair.cli};
        context("port %d", from);
        CHECK_STATUS(NtAlpcCancelMessage(ports[from], 0, &s.received), STATUS_MESSAGE_RETRIEVED, alpc(180));
        join(&s.worker);
        CHECK_STATUS(s.calling.status, STATUS_MESSAGE_LOST, alpc(183));
        UCHAR any = 0;
        for (ULONG i = 0; i < sizeof s.calling.reply; i++)
            any |= ((UCHAR *)&s.calling.reply)[i];
        CHECK_EQ(any, 0, alpc(183));
        CHECK_STATUS(NtAlpcCancelMessage(ports[from], 0, &s.received), STATUS_REQUEST_CANCELED, alpc(185));
        CHECK_STATUS(alpc_send(s.pair.conn, RELEASE, &s.request), STATUS_REQUEST_CANCELED, alpc(186));
        CHECK(s.calling.status < 0, alpc(182));
        CHECK(s.calling.status < 0, alpc(190));
        alpc_pair_close(&s.pair);
    }
    context(NULL);
}

TEST(id_alone)
{
    static struct scene s;
    NEED_ALPC;
    REQUIRE(scene_open(&s, 0, NULL), SETUP);
    ALPC_CONTEXT_ATTR context = {.MessageId = s.received.MessageId};
    CHECK_STATUS(NtAlpcCancelMessage(s.pair.conn, 0, &context), STATUS_PENDING, alpc(181));
    join(&s.worker);
    CHECK(s.calling.status < 0, alpc(181));
    alpc_pair_close(&s.pair);
}

TEST(port_that_takes_messages_is_told_by_one)
{
    static struct scene s;
    NEED_ALPC;
    REQUIRE(scene_open(&s, 0x70000, NULL), SETUP);
    CHECK_STATUS(NtAlpcCancelMessage(s.pair.srv, 0, &s.received), STATUS_MESSAGE_RETRIEVED, alpc(180));
    join(&s.worker);
    REQUIRE_STATUS(s.calling.status, STATUS_SUCCESS, alpc(184));
    CHECK_EQ(s.calling.reply.h.Type & 0xFF, LPC_CANCELED, alpc(184));
    CHECK_EQ(s.calling.reply.h.DataLength, 0, alpc(184));
    CHECK_EQ(s.calling.reply.h.MessageId, s.request.h.MessageId, alpc(184));
    alpc_pair_close(&s.pair);
}

TEST(cookies)
{
    static struct scene s;
    NEED_ALPC;
    REQUIRE(scene_open(&s, 0, (PVOID)0x1234), SETUP);
    /* On the client's port the cookie of the client counts, on the server's there is none. */
    CHECK_STATUS(NtAlpcCancelMessage(s.pair.cli, CHECK_CONTEXT, &s.received), STATUS_CONTEXT_MISMATCH, alpc(187));
    ALPC_CONTEXT_ATTR changed = s.received;
    changed.MessageContext = (PVOID)0x99;
    CHECK_STATUS(NtAlpcCancelMessage(s.pair.srv, CHECK_CONTEXT, &changed), STATUS_CONTEXT_MISMATCH, alpc(187));
    CHECK_STATUS(NtAlpcCancelMessage(s.pair.srv, TRY_CANCEL | CHECK_CONTEXT, &changed), STATUS_CONTEXT_MISMATCH,
                 alpc(188));
    CHECK(still_runs(&s.worker), alpc(187));
    CHECK_STATUS(alpc_send(s.pair.conn, RELEASE, &s.request), STATUS_SUCCESS, alpc(188));
    join(&s.worker);
    alpc_pair_close(&s.pair);

    REQUIRE(scene_open(&s, 0, (PVOID)0x1234), SETUP);
    changed = s.received;
    changed.MessageContext = (PVOID)0x99;
    CHECK_STATUS(NtAlpcCancelMessage(s.pair.conn, 0, &changed), STATUS_MESSAGE_RETRIEVED, alpc(189));
    join(&s.worker);
    CHECK(s.calling.status < 0, alpc(189));
    alpc_pair_close(&s.pair);
}

TEST(asynchronous_request)
{
    struct alpc_pair pair;
    struct msg m, r;
    SIZE_T length = sizeof r;
    struct alpc_context_buffer got = {{ALPC_CONTEXT_ATTRIBUTE, 0}, {0}};
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(pair.cli, 0, &m), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_receive(pair.conn, &m, &length, &got.a, 5000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcCancelMessage(pair.conn, 0, &got.context), STATUS_MESSAGE_RETRIEVED, alpc(180));
    CHECK_STATUS(alpc_send(pair.conn, RELEASE, &m), STATUS_REQUEST_CANCELED, alpc(186));
    REQUIRE_STATUS(alpc_receive(pair.cli, &r, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK_EQ(r.h.Type & 0xFF, LPC_CANCELED, SETUP);
    CHECK_EQ(r.h.MessageId, m.h.MessageId, SETUP);
    CHECK_STATUS(NtAlpcCancelMessage(pair.cli, 0, &got.context), STATUS_REQUEST_CANCELED, alpc(185));
    alpc_pair_close(&pair);
}
