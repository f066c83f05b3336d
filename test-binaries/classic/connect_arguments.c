/* Arguments of NtConnectPort and NtSecureConnectPort, in the order they are looked at: lpc §2.3, §5.3. */
#include "../lpctest.h"

static const WCHAR nowhere[] = L"\\RPC Control\\lpctest-nobody";

TEST(null_pointers)
{
    UNICODE_STRING name = unicode(nowhere);
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    HANDLE port = UNTOUCHED;
    CHECK_STATUS(NtConnectPort(NULL, &name, &qos, NULL, NULL, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION, lpc(41));
    CHECK_STATUS(NtConnectPort(unmapped(), &name, &qos, NULL, NULL, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION,
                 lpc(41));
    CHECK_STATUS(NtConnectPort(&port, NULL, &qos, NULL, NULL, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION, lpc(42));
    CHECK_STATUS(NtConnectPort(&port, unmapped(), &qos, NULL, NULL, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION,
                 lpc(42));
    CHECK_STATUS(NtConnectPort(&port, &name, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION, lpc(43));
    CHECK_STATUS(NtConnectPort(&port, &name, unmapped(), NULL, NULL, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION,
                 lpc(43));
    CHECK_PTR(port, UNTOUCHED, lpc(43));
}

TEST(names)
{
    HANDLE port = UNTOUCHED;
    CHECK_STATUS(connect_port(&port, nowhere), STATUS_OBJECT_NAME_NOT_FOUND, lpc(44));
    PORT_VIEW client_view = {.Length = sizeof client_view};
    REMOTE_PORT_VIEW server_view = {.Length = sizeof server_view};
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    UNICODE_STRING empty = {0, 0, NULL};
    CHECK_STATUS(NtConnectPort(&port, &empty, &qos, &client_view, &server_view, NULL, NULL, NULL),
                 STATUS_OBJECT_NAME_INVALID, lpc(45));
    CHECK_PTR(port, UNTOUCHED, lpc(44));
}

TEST(views_are_looked_at_before_qos_and_name)
{
    HANDLE port = UNTOUCHED;
    UNICODE_STRING empty = {0, 0, NULL};
    PORT_VIEW client_view = {.Length = 0};
    REMOTE_PORT_VIEW server_view = {.Length = 0};
    CHECK_STATUS(NtConnectPort(&port, &empty, NULL, &client_view, &server_view, NULL, NULL, NULL),
                 STATUS_INVALID_PARAMETER, lpc(46));
    client_view.Length = sizeof client_view;
    CHECK_STATUS(NtConnectPort(&port, &empty, NULL, &client_view, &server_view, NULL, NULL, NULL),
                 STATUS_INVALID_PARAMETER, lpc(47));
    server_view.Length = sizeof server_view;
    CHECK_STATUS(NtConnectPort(&port, &empty, NULL, &client_view, &server_view, NULL, NULL, NULL),
                 STATUS_ACCESS_VIOLATION, lpc(48));
    client_view.Length = sizeof client_view - 1;
    CHECK_STATUS(NtConnectPort(&port, &empty, NULL, &client_view, &server_view, NULL, NULL, NULL),
                 STATUS_INVALID_PARAMETER, lpc(46));
    client_view.Length = sizeof client_view;
    server_view.Length = sizeof server_view + 4;
    CHECK_STATUS(NtConnectPort(&port, &empty, NULL, &client_view, &server_view, NULL, NULL, NULL),
                 STATUS_INVALID_PARAMETER, lpc(47));
    CHECK_PTR(port, UNTOUCHED, lpc(48));
}

TEST(section_of_the_client_view)
{
    WCHAR name[64];
    HANDLE conn, port = UNTOUCHED;
    struct msg received;
    unique_name(name);
    REQUIRE_STATUS(create_port(&conn, name), STATUS_SUCCESS, SETUP);
    UNICODE_STRING string = unicode(name);
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    PORT_VIEW client_view = {.Length = sizeof client_view, .ViewSize = 0x1000};
    REMOTE_PORT_VIEW server_view = {.Length = sizeof server_view};
    CHECK_STATUS(NtConnectPort(&port, &string, &qos, &client_view, &server_view, NULL, NULL, NULL),
                 STATUS_INVALID_HANDLE, lpc(49));
    /* Nothing was queued. */
    CHECK_STATUS(receive_within(conn, NULL, &received, 0), STATUS_TIMEOUT, lpc(49));
    CHECK_PTR(port, UNTOUCHED, lpc(49));
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

TEST(length_of_qos_is_ignored)
{
    static const DWORD lengths[] = {0, 1, 0xCCCCCCCC};
    for (int i = 0; i < 3; i++) {
        struct connecting connecting;
        struct worker worker;
        struct msg request;
        WCHAR name[64];
        HANDLE conn, srv;
        context("Length %#lx", lengths[i]);
        unique_name(name);
        REQUIRE_STATUS(create_port(&conn, name), STATUS_SUCCESS, SETUP);
        connect_init(&connecting, name);
        connecting.qos.Length = lengths[i];
        REQUIRE(connect_start(&connecting, &worker), SETUP);
        REQUIRE_STATUS(receive_within(conn, NULL, &request, 5000), STATUS_SUCCESS, lpc(50));
        REQUIRE_STATUS(NtAcceptConnectPort(&srv, NULL, &request.h, TRUE, NULL, NULL), STATUS_SUCCESS, lpc(50));
        REQUIRE_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, lpc(50));
        join(&worker);
        CHECK_STATUS(connecting.status, STATUS_SUCCESS, lpc(50));
        CHECK_STATUS(NtClose(connecting.port), STATUS_SUCCESS, SETUP);
        CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
        CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
    }
}

struct bare {
    const WCHAR *name;
    HANDLE port;
    NTSTATUS status;
};

static void connect_bare(void *arg)
{
    struct bare *bare = arg;
    UNICODE_STRING name = unicode(bare->name);
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    bare->status = NtConnectPort(&bare->port, &name, &qos, NULL, NULL, NULL, NULL, NULL);
}

static void connect_bare_secure(void *arg)
{
    struct bare *bare = arg;
    UNICODE_STRING name = unicode(bare->name);
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    bare->status = NtSecureConnectPort(&bare->port, &name, &qos, NULL, NULL, NULL, NULL, NULL, NULL);
}

static void accept_bare(void (*run)(void *), int cite)
{
    struct bare bare = {0};
    struct worker worker;
    struct msg request;
    WCHAR name[64];
    HANDLE conn, srv;
    unique_name(name);
    REQUIRE_STATUS(create_port(&conn, name), STATUS_SUCCESS, SETUP);
    bare.name = name;
    REQUIRE(spawn(&worker, run, &bare), SETUP);
    REQUIRE_STATUS(receive_within(conn, NULL, &request, 5000), STATUS_SUCCESS, cite);
    REQUIRE_STATUS(NtAcceptConnectPort(&srv, NULL, &request.h, TRUE, NULL, NULL), STATUS_SUCCESS, cite);
    REQUIRE_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, cite);
    join(&worker);
    CHECK_STATUS(bare.status, STATUS_SUCCESS, cite);
    CHECK_STATUS(NtClose(bare.port), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

TEST(optional_pointers_may_be_null)
{
    accept_bare(connect_bare, lpc(51));
}

TEST(no_server_sid)
{
    accept_bare(connect_bare_secure, lpc(55));
}

TEST(name_of_something_else)
{
    HANDLE port = UNTOUCHED;
    CHECK_STATUS(connect_port(&port, L"\\RPC Control"), STATUS_OBJECT_TYPE_MISMATCH, lpc(52));
    CHECK_PTR(port, UNTOUCHED, lpc(52));
}

TEST(name_of_an_event)
{
    HANDLE port = UNTOUCHED, event;
    WCHAR name[64];
    NEED(NtCreateEvent);
    unique_name(name);
    UNICODE_STRING string = unicode(name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    REQUIRE_STATUS(NtCreateEvent(&event, EVENT_ALL_ACCESS, &oa, 0, FALSE), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(connect_port(&port, name), STATUS_OBJECT_TYPE_MISMATCH, lpc(52));
    CHECK_PTR(port, UNTOUCHED, lpc(52));
    CHECK_STATUS(NtClose(event), STATUS_SUCCESS, SETUP);
}

TEST(letter_case_matters)
{
    WCHAR name[64];
    HANDLE conn, port = UNTOUCHED;
    unique_name(name);
    UNICODE_STRING string = unicode(name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    oa.Attributes = OBJ_CASE_INSENSITIVE;
    REQUIRE_STATUS(NtCreatePort(&conn, &oa, 0, 0x100, 0), STATUS_SUCCESS, SETUP);
    name[13] = L'L';
    CHECK_STATUS(connect_port(&port, name), STATUS_OBJECT_NAME_NOT_FOUND, lpc(53));
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

TEST(unusual_paths)
{
    HANDLE port = UNTOUCHED;
    CHECK_STATUS(connect_port(&port, L"lpctest-nobody"), STATUS_OBJECT_PATH_SYNTAX_BAD, SETUP);
    CHECK_STATUS(connect_port(&port, L"\\lpctest no such directory\\port"), STATUS_OBJECT_PATH_NOT_FOUND, SETUP);
    CHECK_PTR(port, UNTOUCHED, SETUP);
}

TEST(information_is_cut_at_the_system_maximum)
{
    static struct connecting connecting;
    static struct msg request;
    struct worker worker;
    WCHAR name[64];
    HANDLE conn, srv = UNTOUCHED;
    unique_name(name);
    REQUIRE_STATUS(create_port_sized(&conn, name, 0, 0x100), STATUS_SUCCESS, SETUP);
    connect_init(&connecting, name);
    connecting.with_info = TRUE;
    connecting.info_length = MAX_CONNECT_INFO + 20;
    for (int i = 0; i < 1024; i++)
        connecting.info[i] = (UCHAR)(i * 7);
    REQUIRE(connect_start(&connecting, &worker), SETUP);
    memset(&request, 0x77, sizeof request);
    REQUIRE_STATUS(receive_within(conn, NULL, &request, 5000), STATUS_SUCCESS, lpc(58));
    CHECK_EQ(request.h.DataLength, MAX_CONNECT_INFO, lpc(58));
    CHECK_EQ(request.h.TotalLength, HEADER + MAX_CONNECT_INFO, lpc(58));
    CHECK(memcmp(request.data, connecting.info, MAX_CONNECT_INFO) == 0, lpc(58));
    CHECK_EQ(request.data[MAX_CONNECT_INFO], 0x77, lpc(58));
    CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &request.h, FALSE, NULL, NULL), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(connecting.status, STATUS_PORT_CONNECTION_REFUSED, SETUP);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}
