/* Who may connect to whom: the DACL of the port and RequiredServerSid: lpc §2.3, §3.9, statements 54, 56, 57. */
#include "../lpctest.h"

/* A DACL with at most one entry, for Everyone (S-1-1-0). */
struct dacl {
    ACL acl;
    ACCESS_ALLOWED_ACE ace;
    ULONG rest_of_sid[2];
};

static void dacl_init(struct dacl *dacl, UCHAR ace_type, ACCESS_MASK mask)
{
    static const UCHAR everyone[12] = {1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
    memset(dacl, 0, sizeof *dacl);
    dacl->acl.AclRevision = ACL_REVISION;
    dacl->acl.AclSize = sizeof *dacl;
    dacl->acl.AceCount = mask != 0;
    dacl->ace.Header.AceType = ace_type;
    dacl->ace.Header.AceSize = 8 + sizeof everyone;
    dacl->ace.Mask = mask;
    memcpy(&dacl->ace.SidStart, everyone, sizeof everyone);
}

static NTSTATUS create_with_descriptor(HANDLE *port, const WCHAR *name, SECURITY_DESCRIPTOR *descriptor)
{
    UNICODE_STRING string = unicode(name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    oa.SecurityDescriptor = descriptor;
    return NtCreatePort(port, &oa, MAX_CONNECT_INFO, MAX_TOTAL_LENGTH, 0);
}

static void check_denied(UCHAR ace_type, ACCESS_MASK mask)
{
    struct dacl dacl;
    struct msg received;
    WCHAR name[64];
    HANDLE conn, port = UNTOUCHED;
    dacl_init(&dacl, ace_type, mask);
    SECURITY_DESCRIPTOR descriptor = {
        .Revision = SECURITY_DESCRIPTOR_REVISION, .Control = SE_DACL_PRESENT, .Dacl = &dacl.acl};
    unique_name(name);
    context("ACE type %u, mask %#lx", ace_type, mask);
    REQUIRE_STATUS(create_with_descriptor(&conn, name, &descriptor), STATUS_SUCCESS, lpc(54));
    CHECK_STATUS(connect_port(&port, name), STATUS_ACCESS_DENIED, lpc(54));
    CHECK_PTR(port, UNTOUCHED, lpc(54));
    CHECK_STATUS(receive_within(conn, NULL, &received, 0), STATUS_TIMEOUT, lpc(54));
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

TEST(dacl_without_port_connect)
{
    check_denied(ACCESS_ALLOWED_ACE_TYPE, 0); /* no entry at all */
    check_denied(ACCESS_ALLOWED_ACE_TYPE, READ_CONTROL | DELETE);
    check_denied(ACCESS_DENIED_ACE_TYPE, PORT_CONNECT);
}

/* Accepts what `connecting` asks for on `conn` and closes both ends. */
static void check_accepted(struct connecting *connecting, HANDLE conn, int cite)
{
    struct worker worker;
    struct msg request;
    HANDLE srv;
    REQUIRE(connect_start(connecting, &worker), SETUP);
    REQUIRE_STATUS(receive_within(conn, NULL, &request, 5000), STATUS_SUCCESS, cite);
    REQUIRE_STATUS(NtAcceptConnectPort(&srv, NULL, &request.h, TRUE, NULL, NULL), STATUS_SUCCESS, cite);
    REQUIRE_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, cite);
    join(&worker);
    CHECK_STATUS(connecting->status, STATUS_SUCCESS, cite);
    CHECK_STATUS(NtClose(connecting->port), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
}

TEST(dacl_with_port_connect)
{
    struct dacl dacl;
    dacl_init(&dacl, ACCESS_ALLOWED_ACE_TYPE, PORT_CONNECT);
    ACL *const dacls[] = {&dacl.acl, NULL}; /* a NULL DACL lets everyone in */
    for (int i = 0; i < 2; i++) {
        SECURITY_DESCRIPTOR descriptor = {
            .Revision = SECURITY_DESCRIPTOR_REVISION, .Control = SE_DACL_PRESENT, .Dacl = dacls[i]};
        struct connecting connecting;
        WCHAR name[64];
        HANDLE conn;
        context("%s DACL", dacls[i] ? "allowing" : "NULL");
        unique_name(name);
        REQUIRE_STATUS(create_with_descriptor(&conn, name, &descriptor), STATUS_SUCCESS, lpc(54));
        connect_init(&connecting, name);
        check_accepted(&connecting, conn, lpc(54));
        CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
    }
}

struct secure {
    const WCHAR *name;
    PSID sid;
    HANDLE port;
    NTSTATUS status;
};

static void connect_secure(void *arg)
{
    struct secure *secure = arg;
    UNICODE_STRING name = unicode(secure->name);
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    secure->status = NtSecureConnectPort(&secure->port, &name, &qos, NULL, secure->sid, NULL, NULL, NULL, NULL);
}

TEST(server_sid)
{
    static const UCHAR everyone[12] = {1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
    union {
        TOKEN_USER user;
        UCHAR bytes[256];
    } user;
    DWORD length;
    HANDLE token, conn, srv;
    WCHAR name[64];
    struct msg request;
    struct worker worker;
    struct secure secure = {.port = UNTOUCHED};

    REQUIRE(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token), SETUP);
    REQUIRE(GetTokenInformation(token, TokenUser, &user, sizeof user, &length), SETUP);
    CloseHandle(token);
    unique_name(name);
    REQUIRE_STATUS(create_port(&conn, name), STATUS_SUCCESS, SETUP);
    secure.name = name;

    secure.sid = (PSID)everyone;
    connect_secure(&secure);
    CHECK_STATUS(secure.status, STATUS_SERVER_SID_MISMATCH, lpc(57));
    CHECK_PTR(secure.port, UNTOUCHED, lpc(57));
    CHECK_STATUS(receive_within(conn, NULL, &request, 0), STATUS_TIMEOUT, lpc(57));

    secure.sid = user.user.User.Sid;
    REQUIRE(spawn(&worker, connect_secure, &secure), SETUP);
    REQUIRE_STATUS(receive_within(conn, NULL, &request, 5000), STATUS_SUCCESS, lpc(56));
    REQUIRE_STATUS(NtAcceptConnectPort(&srv, NULL, &request.h, TRUE, NULL, NULL), STATUS_SUCCESS, lpc(56));
    REQUIRE_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, lpc(56));
    join(&worker);
    CHECK_STATUS(secure.status, STATUS_SUCCESS, lpc(56));
    CHECK_STATUS(NtClose(secure.port), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

TEST(malformed_server_sid)
{
    static const UCHAR bad_revision[12] = {7, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
    static const UCHAR too_many[12] = {1, 200, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
    const struct {
        PSID sid;
        NTSTATUS status;
    } cases[] = {{(PSID)bad_revision, STATUS_INVALID_SID},
                 {(PSID)too_many, STATUS_INVALID_SID},
                 {unmapped(), STATUS_ACCESS_VIOLATION}};
    for (int i = 0; i < 3; i++) {
        struct secure secure = {.name = L"\\RPC Control\\lpctest-nobody", .sid = cases[i].sid, .port = UNTOUCHED};
        context("case %d", i);
        connect_secure(&secure);
        CHECK_STATUS(secure.status, cases[i].status, SETUP);
    }
}
