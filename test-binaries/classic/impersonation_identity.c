/* Whose identity impersonation gives: tracking and levels: lpc §3.9, statement 181. */
#include "../lpctest.h"

/* Sends one request while impersonating the anonymous identity. */
struct disguised {
    HANDLE port;
    BOOL disguise;
    BOOL disguised;
    NTSTATUS status;
};

static void call_disguised(void *arg)
{
    struct disguised *d = arg;
    struct msg m;
    d->disguised = !d->disguise || ImpersonateAnonymousToken(GetCurrentThread());
    msg_init(&m, 4);
    d->status = NtRequestWaitReplyPort(d->port, &m.h, &m.h);
    RevertToSelf();
}

static BOOL open_pair(struct pair *pair, SECURITY_IMPERSONATION_LEVEL level, BOOLEAN tracking)
{
    struct connecting connecting;
    struct worker worker;
    struct msg request;
    memset(pair, 0, sizeof *pair);
    unique_name(pair->name);
    connect_init(&connecting, pair->name);
    connecting.qos.ImpersonationLevel = level;
    connecting.qos.ContextTrackingMode = tracking;
    if (!CHECK_STATUS(create_port(&pair->conn, pair->name), STATUS_SUCCESS, SETUP) ||
        !connect_start(&connecting, &worker))
        return FALSE;
    if (!CHECK_STATUS(NtListenPort(pair->conn, &request.h), STATUS_SUCCESS, SETUP) ||
        !CHECK_STATUS(NtAcceptConnectPort(&pair->srv, NULL, &request.h, TRUE, NULL, NULL), STATUS_SUCCESS, SETUP) ||
        !CHECK_STATUS(NtCompleteConnectPort(pair->srv), STATUS_SUCCESS, SETUP))
        abandon_if_threads_remain_();
    join(&worker);
    pair->cli = connecting.port;
    return CHECK_STATUS(connecting.status, STATUS_SUCCESS, SETUP);
}

/* The user of this thread's token: 'u' the user of the process, 'a' anonymous, 'x' another, 0 none. */
static char identity(DWORD *error)
{
    union {
        TOKEN_USER user;
        UCHAR bytes[256];
    } thread_user, process_user;
    static const UCHAR anonymous[12] = {1, 1, 0, 0, 0, 0, 0, 5, 7, 0, 0, 0};
    HANDLE token;
    DWORD length;
    *error = 0;
    if (!OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &token)) {
        *error = GetLastError();
        return 0;
    }
    BOOL read = GetTokenInformation(token, TokenUser, &thread_user, sizeof thread_user, &length);
    CloseHandle(token);
    if (!CHECK(read, SETUP) || !CHECK(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token), SETUP))
        return 0;
    read = GetTokenInformation(token, TokenUser, &process_user, sizeof process_user, &length);
    CloseHandle(token);
    if (!CHECK(read, SETUP))
        return 0;
    if (EqualSid(thread_user.user.User.Sid, process_user.user.User.Sid))
        return 'u';
    return EqualSid(thread_user.user.User.Sid, (PSID)anonymous) ? 'a' : 'x';
}

/* Impersonates the sender of one request and returns the identity that gave. */
static char impersonated(struct pair *pair, BOOL disguise, NTSTATUS want, int cite)
{
    struct disguised disguised = {.port = pair->cli, .disguise = disguise};
    struct worker worker;
    struct msg request;
    DWORD error;
    char who = 0;
    if (!spawn(&worker, call_disguised, &disguised))
        return 0;
    if (!CHECK_STATUS(receive_within(pair->conn, NULL, &request, 5000), STATUS_SUCCESS, cite))
        abandon_if_threads_remain_();
    CHECK(identity(&error) == 0 && error == ERROR_NO_TOKEN, SETUP);
    if (CHECK_STATUS(NtImpersonateClientOfPort(pair->srv, &request.h), want, cite)) {
        who = identity(&error);
        if (who == 0)
            note("OpenThreadToken failed with %lu", error);
        CHECK(RevertToSelf(), SETUP);
    }
    CHECK_STATUS(NtReplyPort(pair->srv, &request.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK(disguised.disguised, SETUP);
    CHECK_STATUS(disguised.status, STATUS_SUCCESS, cite);
    return who;
}

TEST(static_tracking_keeps_the_identity_of_the_connect)
{
    struct pair pair;
    REQUIRE(open_pair(&pair, SecurityImpersonation, SECURITY_STATIC_TRACKING), SETUP);
    CHECK_EQ(impersonated(&pair, FALSE, STATUS_SUCCESS, lpc(181)), 'u', lpc(181));
    pair_close(&pair);
}

TEST(static_tracking_with_another_sender)
{
    struct pair pair;
    REQUIRE(open_pair(&pair, SecurityImpersonation, SECURITY_STATIC_TRACKING), SETUP);
    CHECK_EQ(impersonated(&pair, TRUE, STATUS_SUCCESS, lpc(181)), 'u', lpc(181));
    pair_close(&pair);
}

TEST(dynamic_tracking_takes_the_identity_of_the_sender)
{
    struct pair pair;
    REQUIRE(open_pair(&pair, SecurityImpersonation, SECURITY_DYNAMIC_TRACKING), SETUP);
    CHECK_EQ(impersonated(&pair, FALSE, STATUS_SUCCESS, lpc(181)), 'u', lpc(181));
    CHECK_EQ(impersonated(&pair, TRUE, STATUS_SUCCESS, lpc(181)), 'a', lpc(181));
    pair_close(&pair);
}

/* lpc §3.9: at the anonymous level the thread token cannot be opened; at identification its user can be read. */
TEST(levels)
{
    static const SECURITY_IMPERSONATION_LEVEL levels[] = {SecurityIdentification, SecurityImpersonation,
                                                          SecurityDelegation};
    struct pair pair;
    for (int i = 0; i < 3; i++) {
        SECURITY_IMPERSONATION_LEVEL level = SecurityAnonymous;
        static struct calling calling;
        struct worker worker;
        struct msg request;
        DWORD length;
        HANDLE token;
        context("level %d", levels[i]);
        REQUIRE(open_pair(&pair, levels[i], SECURITY_STATIC_TRACKING), SETUP);
        call_init(&calling, pair.cli, 4);
        REQUIRE(call_start(&calling, &worker), SETUP);
        REQUIRE_STATUS(receive_within(pair.conn, NULL, &request, 5000), STATUS_SUCCESS, SETUP);
        REQUIRE_STATUS(NtImpersonateClientOfPort(pair.srv, &request.h), STATUS_SUCCESS, lpc(177));
        CHECK(OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &token), SETUP);
        CHECK(GetTokenInformation(token, TokenImpersonationLevel, &level, sizeof level, &length), SETUP);
        CHECK_EQ(level, levels[i], SETUP);
        CloseHandle(token);
        CHECK(RevertToSelf(), SETUP);
        CHECK_STATUS(NtReplyPort(pair.srv, &request.h), STATUS_SUCCESS, SETUP);
        join(&worker);
        pair_close(&pair);
    }
    context(NULL);
    REQUIRE(open_pair(&pair, SecurityAnonymous, SECURITY_STATIC_TRACKING), SETUP);
    DWORD error = 0;
    static struct calling calling;
    struct worker worker;
    struct msg request;
    call_init(&calling, pair.cli, 4);
    REQUIRE(call_start(&calling, &worker), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &request, 5000), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(NtImpersonateClientOfPort(pair.srv, &request.h), STATUS_SUCCESS, SETUP);
    CHECK_EQ(identity(&error), 0, SETUP);
    CHECK_EQ(error, ERROR_CANT_OPEN_ANONYMOUS, SETUP);
    CHECK(RevertToSelf(), SETUP);
    CHECK_STATUS(NtReplyPort(pair.srv, &request.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    pair_close(&pair);
}
