/* Who sent a message, and becoming it: alpc §2.9, §2.14–§2.16, statements 266–282. */
#include "../alpc.h"

enum {
    RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE,
    AlpcMessageSidInformation = 0,
    AlpcMessageTokenModifiedIdInformation = 1,
};

static BOOL own_sid(UCHAR *sid, ULONG size)
{
    union {
        TOKEN_USER user;
        UCHAR bytes[256];
    } user;
    HANDLE token;
    DWORD length;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token))
        return FALSE;
    BOOL got = GetTokenInformation(token, TokenUser, &user, sizeof user, &length);
    CloseHandle(token);
    return got && CopySid(size, sid, user.user.User.Sid);
}

/* What can be asked of a received message while it is not answered. */
static void ask_all(struct alpc_pair *pair, struct msg *m, BOOL is_waiting)
{
    UCHAR sid[128], own[128];
    ULONGLONG modified = 0;
    ULONG returned = 0;
    HANDLE process, thread;
    OBJECT_ATTRIBUTES oa = attributes(NULL);
    HANDLE const ports[] = {pair->conn, pair->srv};
    REQUIRE(own_sid(own, sizeof own), SETUP);
    for (int i = 0; i < 2; i++) {
        REQUIRE_STATUS(NtAlpcQueryInformationMessage(ports[i], &m->h, AlpcMessageSidInformation, sid, sizeof sid,
                                                     &returned),
                       STATUS_SUCCESS, is_waiting ? alpc(271) : alpc(272));
        CHECK(EqualSid(sid, own), is_waiting ? alpc(271) : alpc(272));
        CHECK_STATUS(NtAlpcQueryInformationMessage(ports[i], &m->h, AlpcMessageTokenModifiedIdInformation, &modified,
                                                   sizeof modified, &returned),
                     STATUS_SUCCESS, alpc(273));
        CHECK_EQ(returned, 8, alpc(273));
        REQUIRE_STATUS(NtAlpcOpenSenderProcess(&process, ports[i], &m->h, 0, PROCESS_QUERY_LIMITED_INFORMATION, &oa),
                       STATUS_SUCCESS, is_waiting ? alpc(266) : alpc(267));
        CHECK_EQ(GetProcessId(process), GetCurrentProcessId(), is_waiting ? alpc(266) : alpc(267));
        CHECK_STATUS(NtClose(process), STATUS_SUCCESS, SETUP);
        NTSTATUS status = NtAlpcOpenSenderThread(&thread, ports[i], &m->h, 0, THREAD_QUERY_LIMITED_INFORMATION, &oa);
        if (!is_waiting) {
            CHECK_STATUS(status, STATUS_ACCESS_DENIED, alpc(269));
            continue;
        }
        REQUIRE_STATUS(status, STATUS_SUCCESS, alpc(268));
        CHECK_EQ(GetThreadId(thread), (ULONG_PTR)m->h.ClientId.UniqueThread, alpc(268));
        CHECK_STATUS(NtClose(thread), STATUS_SUCCESS, SETUP);
    }
}

TEST(of_a_waiting_request)
{
    static struct alpc_calling calling;
    struct alpc_pair pair;
    struct worker worker;
    struct msg r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    alpc_call_init(&calling, pair.cli, 8);
    REQUIRE(alpc_call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    CHECK_EQ((ULONG_PTR)r.h.ClientId.UniqueThread, worker.tid, SETUP);
    ask_all(&pair, &r, TRUE);
    CHECK_STATUS(alpc_send(pair.conn, RELEASE, &r), STATUS_SUCCESS, SETUP);
    join(&worker);
    alpc_pair_close(&pair);
}

TEST(of_an_asynchronous_request)
{
    struct alpc_pair pair;
    struct msg r;
    SIZE_T length = sizeof r;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    msg_init(&r, 4);
    CHECK_STATUS(alpc_send(pair.cli, 0, &r), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
    ask_all(&pair, &r, FALSE);
    alpc_pair_close(&pair);
}

TEST(arguments)
{
    struct alpc_pair pair;
    struct msg m;
    UCHAR buffer[128];
    ULONG returned;
    HANDLE handle;
    OBJECT_ATTRIBUTES oa = attributes(NULL);
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&pair, 0, NULL), SETUP);
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL), closed = CreateEventW(NULL, TRUE, FALSE, NULL);
    CloseHandle(closed);
    msg_init(&m, 4);
    CHECK_STATUS(NtAlpcQueryInformationMessage(event, &m.h, 0, buffer, sizeof buffer, &returned),
                 STATUS_INVALID_PARAMETER, alpc(274));
#ifdef _WIN64
    /* The bit of the 32-bit header moves the id to where the 64-bit one has the thread. */
    m.h.MessageId = 5;
    m.h.Type = 0x1000;
    CHECK_STATUS(NtAlpcQueryInformationMessage(event, &m.h, 0, buffer, sizeof buffer, &returned),
                 STATUS_INVALID_PARAMETER, alpc(276));
    m.h.MessageId = 0;
    m.h.ClientId.UniqueThread = (HANDLE)5;
    CHECK_STATUS(NtAlpcQueryInformationMessage(event, &m.h, 0, buffer, sizeof buffer, &returned),
                 STATUS_OBJECT_TYPE_MISMATCH, alpc(276));
    msg_init(&m, 4);
#endif
    m.h.MessageId = 5;
    CHECK_STATUS(NtAlpcQueryInformationMessage(event, &m.h, 0, buffer, sizeof buffer, &returned),
                 STATUS_OBJECT_TYPE_MISMATCH, alpc(275));
    CHECK_STATUS(NtAlpcOpenSenderProcess(&handle, event, &m.h, 0, PROCESS_QUERY_LIMITED_INFORMATION, &oa),
                 STATUS_OBJECT_TYPE_MISMATCH, alpc(270));
    CHECK_STATUS(NtAlpcOpenSenderThread(&handle, closed, &m.h, 0, THREAD_QUERY_LIMITED_INFORMATION, &oa),
                 STATUS_INVALID_HANDLE, alpc(270));
    CHECK_STATUS(NtAlpcImpersonateClientOfPort(pair.srv, &m.h, NULL), STATUS_ACCESS_DENIED, alpc(277));
    CHECK(NtAlpcImpersonateClientOfPort(event, &m.h, NULL) < 0, alpc(281));
    CHECK_STATUS(NtAlpcImpersonateClientContainerOfPort(pair.srv, &m.h, 1), STATUS_INVALID_PARAMETER, alpc(282));
    CloseHandle(event);
    alpc_pair_close(&pair);
}

TEST(impersonation)
{
    static struct alpc_calling calling;
    struct alpc_pair pair;
    struct worker worker;
    struct msg r;
    SIZE_T length = sizeof r;
    HANDLE token;
    NEED_ALPC;
    NEED(NtOpenThreadToken);
    for (int allowed = 0; allowed < 2; allowed++) {
        REQUIRE(alpc_pair_open(&pair, allowed ? ALPC_PORTFLG_ALLOW_IMPERSONATION : 0, NULL), SETUP);
        alpc_call_init(&calling, pair.cli, 8);
        REQUIRE(alpc_call_start(&calling, &worker), SETUP);
        REQUIRE_STATUS(alpc_receive(pair.conn, &r, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
        if (allowed) {
            CHECK_STATUS(NtAlpcImpersonateClientOfPort(pair.srv, &r.h, NULL), STATUS_SUCCESS, alpc(278));
            CHECK_STATUS(NtOpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &token), STATUS_SUCCESS, alpc(278));
            CHECK_STATUS(NtClose(token), STATUS_SUCCESS, SETUP);
            CHECK(RevertToSelf(), alpc(280));
        } else {
            CHECK(NtAlpcImpersonateClientOfPort(pair.srv, &r.h, NULL) < 0, alpc(279));
        }
        CHECK_STATUS(NtOpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &token), STATUS_NO_TOKEN, alpc(280));
        CHECK_STATUS(alpc_send(pair.conn, RELEASE, &r), STATUS_SUCCESS, SETUP);
        join(&worker);
        alpc_pair_close(&pair);
    }
}
