/* Information classes of ports and messages beyond the basic ones: alpc §1.6, §2.8, §2.9. */
#include "../alpc.h"

enum {
    AlpcConnectedSIDInformation = 3,
    AlpcServerInformation = 4,
    AlpcMessageZoneInformation = 5,
    AlpcRegisterCallbackInformation = 9,
    AlpcWaitForPortReferences = 11,
    AlpcServerSessionInformation = 12,
    AlpcMessageDirectStatusInformation = 2,
    TRACK_PORT_REFERENCES = 0x40000,
};

/* The SID of this process's user. */
static BOOL own_sid(UCHAR *buffer, ULONG size, PSID *sid)
{
    HANDLE token;
    DWORD needed;
    if (!CHECK(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token), SETUP))
        return FALSE;
    BOOL known = CHECK(GetTokenInformation(token, TokenUser, buffer, size, &needed), SETUP);
    CloseHandle(token);
    *sid = ((TOKEN_USER *)buffer)->User.Sid;
    return known;
}

TEST(user_of_the_server)
{
    static UCHAR everyone[12] = {1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
    UCHAR buffer[256];
    PSID sid = NULL;
    struct alpc_pair p;
    NEED_ALPC;
    REQUIRE(own_sid(buffer, sizeof buffer, &sid), SETUP);
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    ULONG length = GetLengthSid(sid);
    CHECK_STATUS(NtAlpcQueryInformation(p.cli, AlpcConnectedSIDInformation, sid, length, NULL), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcQueryInformation(p.cli, AlpcConnectedSIDInformation, everyone, sizeof everyone, NULL),
                 STATUS_SERVER_SID_MISMATCH, SETUP);
    CHECK_STATUS(NtAlpcQueryInformation(p.cli, AlpcConnectedSIDInformation, sid, length - 1, NULL),
                 STATUS_INFO_LENGTH_MISMATCH, SETUP);
    CHECK_STATUS(NtAlpcQueryInformation(p.cli, AlpcConnectedSIDInformation, sid, 0, NULL), STATUS_INFO_LENGTH_MISMATCH,
                 SETUP);
    CHECK_STATUS(NtAlpcQueryInformation(p.cli, AlpcConnectedSIDInformation, unmapped(), length, NULL),
                 STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtAlpcQueryInformation(p.srv, AlpcConnectedSIDInformation, sid, length, NULL),
                 STATUS_INVALID_PARAMETER, SETUP);
    CHECK_STATUS(NtClose(p.srv), STATUS_SUCCESS, SETUP);
    p.srv = NULL;
    CHECK_STATUS(NtAlpcQueryInformation(p.cli, AlpcConnectedSIDInformation, sid, length, NULL),
                 STATUS_PORT_DISCONNECTED, SETUP);
    alpc_pair_close(&p);
}

TEST(process_of_the_server)
{
    struct {
        ALPC_SERVER_SESSION_INFORMATION information;
        ULONG behind;
    } got = {{0x77777777, 0x77777777}, 0x77777777};
    const ULONG size = sizeof got.information;
    ULONG returned = 0;
    struct alpc_pair p;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    CHECK_STATUS(NtAlpcQueryInformation(p.cli, AlpcServerSessionInformation, &got, size - 1, &returned),
                 STATUS_INFO_LENGTH_MISMATCH, SETUP);
    CHECK_EQ(returned, size, SETUP);
    CHECK_EQ(got.information.ProcessId, 0x77777777, SETUP);
    CHECK_STATUS(NtAlpcQueryInformation(p.cli, AlpcServerSessionInformation, &got, sizeof got, NULL), STATUS_SUCCESS,
                 SETUP);
    CHECK_EQ(got.information.ProcessId, GetCurrentProcessId(), SETUP);
    CHECK_EQ(got.behind, 0x77777777, SETUP);
    CHECK_STATUS(NtAlpcQueryInformation(p.cli, AlpcServerSessionInformation, unmapped(), size, NULL),
                 STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtAlpcQueryInformation(p.conn, AlpcServerSessionInformation, &got, size, NULL),
                 STATUS_INVALID_PARAMETER, SETUP);
    alpc_pair_close(&p);
}

static void tracked_receive(void *arg)
{
    HANDLE port = arg;
    struct msg m;
    SIZE_T length = sizeof m;
    CHECK_STATUS(
        NtAlpcSendWaitReceivePort(port, TRACK_PORT_REFERENCES, NULL, NULL, &m.h, &length, NULL, NULL),
        STATUS_SUCCESS, SETUP);
}

static void wait_for_references(void *arg)
{
    ULONG most = 0;
    CHECK_STATUS(NtAlpcQueryInformation(arg, AlpcWaitForPortReferences, &most, sizeof most, NULL), STATUS_SUCCESS,
                 SETUP);
}

TEST(waiting_for_references)
{
    struct worker receiver, waiter;
    struct alpc_pair p;
    struct msg m;
    ULONG most = 0;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    CHECK_STATUS(NtAlpcQueryInformation(p.conn, AlpcWaitForPortReferences, &most, sizeof most, NULL), STATUS_SUCCESS,
                 SETUP);
    CHECK_STATUS(NtAlpcQueryInformation(p.conn, AlpcWaitForPortReferences, &most, sizeof most - 1, NULL),
                 STATUS_INFO_LENGTH_MISMATCH, SETUP);
    CHECK_STATUS(NtAlpcQueryInformation(p.conn, AlpcWaitForPortReferences, unmapped(), sizeof most, NULL),
                 STATUS_ACCESS_VIOLATION, SETUP);
    REQUIRE(spawn(&receiver, tracked_receive, p.conn), SETUP);
    CHECK(still_runs(&receiver), SETUP);
    most = 1;
    CHECK_STATUS(NtAlpcQueryInformation(p.conn, AlpcWaitForPortReferences, &most, sizeof most, NULL), STATUS_SUCCESS,
                 SETUP);
    REQUIRE(spawn(&waiter, wait_for_references, p.conn), SETUP);
    CHECK(still_runs(&waiter), SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, SETUP);
    join(&receiver);
    join(&waiter);
    alpc_pair_close(&p);
}

TEST(direct_status)
{
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    struct alpc_context_buffer context;
    struct alpc_buffer sent;
    struct alpc_pair p;
    struct msg m, got;
    SIZE_T length = sizeof got;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, ALPC_PORTFLG_ALLOW_LPC_REQUESTS, NULL), SETUP);
    for (int is_cancelled = 0; is_cancelled < 2; is_cancelled++) {
        alpc_single(&sent, ALPC_DIRECT_ATTRIBUTE, &event, sizeof event);
        msg_init(&m, 4);
        REQUIRE_STATUS(NtAlpcSendWaitReceivePort(p.cli, 0, &m.h, &sent.a, NULL, NULL, NULL, NULL), STATUS_SUCCESS,
                       SETUP);
        context = alpc_context_buffer(NULL);
        REQUIRE_STATUS(alpc_receive(p.conn, &got, &length, &context.a, 5000), STATUS_SUCCESS, SETUP);
        CHECK_STATUS(NtAlpcQueryInformationMessage(p.cli, &got.h, AlpcMessageDirectStatusInformation, NULL, 0, NULL),
                     STATUS_PENDING, SETUP);
        if (is_cancelled)
            CHECK_STATUS(NtAlpcCancelMessage(p.cli, 0, &context.context), STATUS_MESSAGE_RETRIEVED, SETUP);
        else
            CHECK_STATUS(alpc_answer(p.conn, &got), STATUS_SUCCESS, SETUP);
        m = got;
        CHECK_STATUS(alpc_receive(p.cli, &got, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
        CHECK_EQ(WaitForSingleObject(event, 5000), WAIT_OBJECT_0, SETUP);
        CHECK_STATUS(NtAlpcQueryInformationMessage(p.cli, &m.h, AlpcMessageDirectStatusInformation, NULL, 0, NULL),
                     is_cancelled ? STATUS_REQUEST_CANCELED : STATUS_SUCCESS, SETUP);
        ResetEvent(event);
    }
    m.h.MessageId += 4;
    CHECK_STATUS(NtAlpcQueryInformationMessage(p.cli, &m.h, AlpcMessageDirectStatusInformation, NULL, 0, NULL),
                 STATUS_MESSAGE_NOT_FOUND, SETUP);
    CloseHandle(event);
    alpc_pair_close(&p);
}

TEST(order_of_checks)
{
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL), port;
    ALPC_PORT_MESSAGE_ZONE_INFORMATION zone = {event, 0x1000};
    ULONG word = 0;
    NEED_ALPC;
    REQUIRE_STATUS(NtAlpcCreatePort(&port, NULL, NULL), STATUS_SUCCESS, SETUP);
    /* The handle comes before the class and the length, the class before the length, the length before the buffer. */
    CHECK_STATUS(NtAlpcQueryInformation(event, 99, NULL, 0, NULL), STATUS_OBJECT_TYPE_MISMATCH, alpc(306));
    CHECK_STATUS(NtAlpcSetInformation(event, 99, NULL, 0), STATUS_OBJECT_TYPE_MISMATCH, alpc(306));
    CHECK_STATUS(NtAlpcQueryInformation(port, 99, unmapped(), 0, NULL), STATUS_INVALID_INFO_CLASS, SETUP);
    CHECK_STATUS(NtAlpcSetInformation(port, 99, unmapped(), 0), STATUS_INVALID_INFO_CLASS, SETUP);
    /* Classes that are only set, and only asked. */
    static const ULONG only_set[] = {1, 2, 5, 6, 7, 8, 9, 10}, only_asked[] = {0, 3, 4, 11, 12};
    for (int i = 0; i < 8; i++) {
        context("class %lu", only_set[i]);
        CHECK_STATUS(NtAlpcQueryInformation(port, only_set[i], &word, sizeof word, NULL), STATUS_INVALID_INFO_CLASS,
                     SETUP);
    }
    for (int i = 0; i < 5; i++) {
        context("class %lu", only_asked[i]);
        CHECK_STATUS(NtAlpcSetInformation(port, only_asked[i], &word, sizeof word), STATUS_INVALID_INFO_CLASS, SETUP);
    }
    context(NULL);
    CHECK_STATUS(NtAlpcSetInformation(port, AlpcMessageZoneInformation, unmapped(), sizeof zone),
                 STATUS_ACCESS_VIOLATION, alpc(289));
    CHECK_STATUS(NtAlpcSetInformation(port, AlpcMessageZoneInformation, &zone, sizeof zone), STATUS_NOT_SUPPORTED,
                 SETUP);
    CHECK_STATUS(NtAlpcSetInformation(port, 1, NULL, sizeof(ALPC_PORT_ATTRIBUTES)), STATUS_ACCESS_VIOLATION, alpc(291));
    CloseHandle(event);
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}
