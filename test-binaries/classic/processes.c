/* Client and server as two processes: lpc §3.3–§3.7 and statements 64, 79, 83–101, 190, 196, 203. */
#include "../lpctest.h"

static WCHAR *wide_arg(int index)
{
    static WCHAR name[64];
    to_wide(name, role_arg(index));
    return name;
}

/* Makes a connection port whose name the children get as an argument. */
static BOOL open_port(HANDLE *conn, char name[64])
{
    WCHAR wide[64];
    unique_name(wide);
    to_narrow(name, wide);
    return CHECK_STATUS(create_port(conn, wide), STATUS_SUCCESS, SETUP);
}

static BOOL accept_next(HANDLE conn, HANDLE *srv, struct msg *request)
{
    return CHECK_STATUS(receive_within(conn, NULL, request, 20000), STATUS_SUCCESS, SETUP) &&
           CHECK_EQ(request->h.Type, LPC_CONNECTION_REQUEST, SETUP) &&
           CHECK_STATUS(NtAcceptConnectPort(srv, NULL, &request->h, TRUE, NULL, NULL), STATUS_SUCCESS, SETUP) &&
           CHECK_STATUS(NtCompleteConnectPort(*srv), STATUS_SUCCESS, SETUP);
}

ROLE(talker)
{
    HANDLE port;
    struct msg m;
    if (!CHECK_STATUS(connect_port(&port, wide_arg(0)), STATUS_SUCCESS, lpc(78)))
        return EXIT_FAILED;
    msg_text(&m, "datagram");
    CHECK_STATUS(NtRequestPort(port, &m.h), STATUS_SUCCESS, lpc(139));
    for (UCHAR i = 0; i < 100; i++) {
        msg_init(&m, 4);
        m.data[0] = i;
        CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS, lpc(109));
        CHECK_EQ(m.h.Type, LPC_REPLY, lpc(109));
        CHECK_EQ(m.data[0], (UCHAR)(i + 1), lpc(109));
    }
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
    return EXIT_PASSED;
}

TEST(conversation)
{
    struct child child;
    struct msg m;
    HANDLE conn, srv;
    char name[64];
    REQUIRE(open_port(&conn, name), SETUP);
    REQUIRE(child_start(&child, "talker", name, NULL), SETUP);
    REQUIRE(accept_next(conn, &srv, &m), SETUP);
    CLIENT_ID client = client_id(child.pid, child.tid);
    CHECK(same_client(&m.h.ClientId, &client), lpc(64));
    REQUIRE_STATUS(receive_within(conn, NULL, &m, 20000), STATUS_SUCCESS, lpc(139));
    CHECK_EQ(m.h.Type, LPC_DATAGRAM, lpc(139));
    CHECK(strcmp((char *)m.data, "datagram") == 0, lpc(140));
    CHECK(same_client(&m.h.ClientId, &client), lpc(140));
    for (UCHAR i = 0; i < 100; i++) {
        REQUIRE_STATUS(receive_within(conn, NULL, &m, 20000), STATUS_SUCCESS, lpc(148));
        CHECK_EQ(m.h.Type, LPC_REQUEST, lpc(107));
        CHECK_EQ(m.data[0], i, lpc(134));
        CHECK(same_client(&m.h.ClientId, &client), lpc(107));
        m.data[0]++;
        REQUIRE_STATUS(NtReplyPort(srv, &m.h), STATUS_SUCCESS, lpc(112));
    }
    REQUIRE_STATUS(receive_within(conn, NULL, &m, 20000), STATUS_SUCCESS, lpc(183));
    CHECK_EQ(m.h.Type, LPC_PORT_CLOSED, lpc(183));
    CHECK(same_client(&m.h.ClientId, &client), lpc(184));
    CHECK_EQ(child_join(&child), EXIT_PASSED, SETUP);
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

/* Serves a child that runs `talker` and has connected; the child's process can be opened by the id in its messages. */
static void serve_talker(HANDLE conn, struct child *child)
{
    struct msg m;
    HANDLE srv;
    REQUIRE(accept_next(conn, &srv, &m), SETUP);
    HANDLE process = OpenProcess(PROCESS_QUERY_INFORMATION, FALSE, (DWORD)(ULONG_PTR)m.h.ClientId.UniqueProcess);
    CHECK(process != NULL && GetProcessId(process) == child->pid, lpc(64));
    CloseHandle(process);
    for (;;) {
        REQUIRE_STATUS(receive_within(conn, NULL, &m, 20000), STATUS_SUCCESS, SETUP);
        if (m.h.Type == LPC_PORT_CLOSED)
            break;
        m.data[0]++;
        if (m.h.Type == LPC_REQUEST)
            CHECK_STATUS(NtReplyPort(srv, &m.h), STATUS_SUCCESS, SETUP);
    }
    CHECK_EQ(child_join(child), EXIT_PASSED, SETUP);
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
}

TEST(child_with_an_environment_of_its_own)
{
    static WCHAR environment[] = L"SYSTEMROOT=C:\\windows\0LPCTEST=1\0";
    struct child child;
    HANDLE conn;
    char name[64];
    REQUIRE(open_port(&conn, name), SETUP);
    child_environment = environment;
    BOOL started = child_start(&child, "talker", name, NULL);
    child_environment = NULL;
    REQUIRE(started, SETUP);
    serve_talker(conn, &child);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

/* Tries to accept the connection request whose ids are the arguments. */
ROLE(usurper)
{
    struct msg m;
    HANDLE srv = UNTOUCHED;
    msg_init(&m, 0);
    m.h.ClientId = client_id((DWORD)role_arg_number(0), (DWORD)role_arg_number(1));
    m.h.MessageId = (ULONG)role_arg_number(2);
    CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &m.h, TRUE, NULL, NULL), STATUS_REPLY_MESSAGE_MISMATCH, lpc(79));
    CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &m.h, FALSE, NULL, NULL), STATUS_REPLY_MESSAGE_MISMATCH, lpc(79));
    CHECK_PTR(srv, UNTOUCHED, lpc(79));
    return EXIT_PASSED;
}

TEST(another_process_accepts)
{
    static struct connecting connecting;
    struct worker worker;
    struct child child;
    struct msg m;
    WCHAR name[64];
    HANDLE conn, srv = UNTOUCHED;
    unique_name(name);
    REQUIRE_STATUS(create_port(&conn, name), STATUS_SUCCESS, SETUP);
    connect_init(&connecting, name);
    REQUIRE(connect_start(&connecting, &worker), SETUP);
    REQUIRE_STATUS(NtListenPort(conn, &m.h), STATUS_SUCCESS, SETUP);
    REQUIRE(child_start(&child, "usurper", number((ULONG_PTR)m.h.ClientId.UniqueProcess),
                        number((ULONG_PTR)m.h.ClientId.UniqueThread), number(m.h.MessageId), NULL),
            SETUP);
    CHECK_EQ(child_join(&child), EXIT_PASSED, SETUP);
    CHECK(still_runs(&worker), lpc(79));
    CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &m.h, FALSE, NULL, NULL), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

ROLE(shower)
{
    PORT_VIEW mine = {.Length = sizeof mine, .SectionHandle = new_section(0x10000), .ViewSize = 0x10000};
    REMOTE_PORT_VIEW theirs = {.Length = sizeof theirs};
    UNICODE_STRING name = unicode(wide_arg(0));
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    struct msg m;
    HANDLE port;
    if (!CHECK_STATUS(NtConnectPort(&port, &name, &qos, &mine, &theirs, NULL, NULL, NULL), STATUS_SUCCESS, lpc(91)))
        return EXIT_FAILED;
    CHECK(mine.ViewBase != NULL && mine.ViewRemoteBase != NULL, lpc(91));
    CHECK_EQ(theirs.Length, 0, lpc(93));
    CHECK_EQ(theirs.ViewSize, 0x20000, lpc(93));
    CloseHandle(mine.SectionHandle);
    strcpy(mine.ViewBase, "the client's view");
    msg_init(&m, 2 * sizeof(PVOID));
    memcpy(m.data, &mine.ViewRemoteBase, sizeof(PVOID));
    memcpy(m.data + sizeof(PVOID), &theirs.ViewBase, sizeof(PVOID));
    CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS, lpc(99));
    CHECK(strcmp(theirs.ViewBase, "the server's view") == 0, lpc(99));
    CHECK(strcmp(mine.ViewBase, "THE client's view") == 0, lpc(99));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
    return EXIT_PASSED;
}

TEST(views)
{
    PORT_VIEW mine = {.Length = sizeof mine, .SectionHandle = new_section(0x20000)};
    REMOTE_PORT_VIEW theirs = {.Length = sizeof theirs};
    struct child child;
    struct msg m;
    HANDLE conn, srv;
    char name[64];
    PVOID told;
    REQUIRE(open_port(&conn, name), SETUP);
    REQUIRE(child_start(&child, "shower", name, NULL), SETUP);
    REQUIRE_STATUS(receive_within(conn, NULL, &m, 20000), STATUS_SUCCESS, SETUP);
    CHECK_EQ(m.h.ClientViewSize, 0x10000, lpc(66));
    REQUIRE_STATUS(NtAcceptConnectPort(&srv, NULL, &m.h, TRUE, &mine, &theirs), STATUS_SUCCESS, lpc(95));
    strcpy(mine.ViewBase, "the server's view");
    CHECK_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, SETUP);
    CHECK_EQ(theirs.ViewSize, 0x10000, lpc(96));
    REQUIRE_STATUS(receive_within(conn, NULL, &m, 20000), STATUS_SUCCESS, SETUP);
    CHECK(strcmp(theirs.ViewBase, "the client's view") == 0, lpc(99));
    memcpy(theirs.ViewBase, "THE", 3);
    memcpy(&told, m.data, sizeof told);
    CHECK_PTR(told, theirs.ViewBase, lpc(97));
    memcpy(&told, m.data + sizeof told, sizeof told);
    CHECK_PTR(told, mine.ViewRemoteBase, lpc(98));
    CHECK_STATUS(NtReplyPort(srv, &m.h), STATUS_SUCCESS, SETUP);
    CHECK_EQ(child_join(&child), EXIT_PASSED, SETUP);
    CloseHandle(mine.SectionHandle);
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

/* Connects twice, registers one port for the main thread, and waits to be killed. */
ROLE(victim)
{
    HANDLE first, second;
    struct msg m;
    if (!CHECK_STATUS(connect_port(&first, wide_arg(0)), STATUS_SUCCESS, SETUP) ||
        !CHECK_STATUS(connect_port(&second, wide_arg(0)), STATUS_SUCCESS, SETUP) ||
        !CHECK_STATUS(NtRegisterThreadTerminatePort(first), STATUS_SUCCESS, SETUP))
        return EXIT_FAILED;
    msg_init(&m, 4);
    CHECK_STATUS(NtRequestPort(first, &m.h), STATUS_SUCCESS, SETUP);
    Sleep(INFINITE);
    return EXIT_PASSED;
}

TEST(client_process_is_killed)
{
    struct child child;
    struct msg m;
    HANDLE conn, srv[2];
    PVOID port_context, closed[2];
    char name[64];
    REQUIRE(open_port(&conn, name), SETUP);
    REQUIRE(child_start(&child, "victim", name, NULL), SETUP);
    REQUIRE(accept_next(conn, &srv[0], &m), SETUP);
    REQUIRE(accept_next(conn, &srv[1], &m), SETUP);
    REQUIRE_STATUS(receive_within(conn, NULL, &m, 20000), STATUS_SUCCESS, SETUP);
    DWORD tid = child.tid;
    child_kill(&child);
    CHECK_EQ(child_join(&child), EXIT_ABANDONED, SETUP);
    REQUIRE_STATUS(receive_within(conn, &port_context, &m, 20000), STATUS_SUCCESS, lpc(190));
    CHECK_EQ(m.h.Type, LPC_CLIENT_DIED, lpc(194));
    CHECK_EQ((ULONG_PTR)m.h.ClientId.UniqueThread, tid, lpc(196));
    CHECK_PTR(port_context, srv[0], lpc(195));
    for (int i = 0; i < 2; i++) {
        REQUIRE_STATUS(receive_within(conn, &closed[i], &m, 20000), STATUS_SUCCESS, lpc(190));
        CHECK_EQ(m.h.Type, LPC_PORT_CLOSED, lpc(190));
    }
    CHECK((closed[0] == srv[0] && closed[1] == srv[1]) || (closed[0] == srv[1] && closed[1] == srv[0]), lpc(190));
    CHECK_STATUS(receive_within(conn, NULL, &m, 100), STATUS_TIMEOUT, lpc(190));
    for (int i = 0; i < 2; i++)
        CHECK_STATUS(NtClose(srv[i]), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}

/* A server that accepts one client, takes its request, and waits to be killed. */
ROLE(doomed_server)
{
    HANDLE conn, srv;
    struct msg m;
    HANDLE ready = (HANDLE)role_arg_number(1);
    if (!CHECK_STATUS(create_port(&conn, wide_arg(0)), STATUS_SUCCESS, SETUP))
        return EXIT_FAILED;
    SetEvent(ready);
    if (!accept_next(conn, &srv, &m))
        return EXIT_FAILED;
    if (role_arg_number(2) != 0)
        CHECK_STATUS(receive_within(conn, NULL, &m, 20000), STATUS_SUCCESS, SETUP);
    SetEvent(ready);
    Sleep(INFINITE);
    return EXIT_PASSED;
}

TEST(server_process_is_killed)
{
    static struct calling calling;
    static struct connecting late;
    struct worker caller, connector;
    struct child child;
    struct msg m;
    WCHAR wide[64];
    char name[64];
    HANDLE port = NULL;
    for (ULONG_PTR taken = 0; taken < 2; taken++) {
        context(taken ? "the request received" : "the request queued");
        HANDLE ready = inheritable_event(FALSE);
        unique_name(wide);
        to_narrow(name, wide);
        REQUIRE(child_start(&child, "doomed_server", name, number((ULONG_PTR)ready), number(taken), NULL), SETUP);
        CHECK_EQ(WaitForSingleObject(ready, INFINITE), WAIT_OBJECT_0, SETUP);
        REQUIRE_STATUS(connect_port(&port, wide), STATUS_SUCCESS, SETUP);
        call_init(&calling, port, 4);
        REQUIRE(call_start(&calling, &caller), SETUP);
        CHECK_EQ(WaitForSingleObject(ready, INFINITE), WAIT_OBJECT_0, SETUP);
        connect_init(&late, wide);
        REQUIRE(connect_start(&late, &connector), SETUP);
        CHECK(still_runs(&caller) && still_runs(&connector), SETUP);
        child_kill(&child);
        join(&caller);
        CHECK_STATUS(calling.status, STATUS_LPC_REPLY_LOST, lpc(203));
        join(&connector);
        CHECK_STATUS(late.status, STATUS_PORT_CONNECTION_REFUSED, lpc(89));
        child_join(&child);
        msg_init(&m, 4);
        CHECK_STATUS(NtRequestPort(port, &m.h), STATUS_PORT_DISCONNECTED, lpc(147));
        CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_PORT_DISCONNECTED, lpc(202));
        CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
        CHECK_STATUS(connect_port(&port, wide), STATUS_OBJECT_NAME_NOT_FOUND, lpc(205));
        /* The name is free for another server. */
        CHECK_STATUS(create_port(&port, wide), STATUS_SUCCESS, lpc(30));
        CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
        CloseHandle(ready);
    }
}

/* Uses a client port it inherited. */
ROLE(heir)
{
    HANDLE port = (HANDLE)role_arg_number(0);
    struct msg m;
    msg_init(&m, 4);
    CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS, lpc(136));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
    return EXIT_PASSED;
}

/* Handles of ports are ordinary: they may be duplicated and inherited (lpc §3.10). */
TEST(inherited_client_port)
{
    struct child child;
    struct msg m;
    struct pair pair;
    HANDLE inherited;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    REQUIRE(DuplicateHandle(GetCurrentProcess(), pair.cli, GetCurrentProcess(), &inherited, 0, TRUE,
                            DUPLICATE_SAME_ACCESS),
            SETUP);
    REQUIRE(child_start(&child, "heir", number((ULONG_PTR)inherited), NULL), SETUP);
    REQUIRE_STATUS(receive_within(pair.conn, NULL, &m, 20000), STATUS_SUCCESS, lpc(136));
    CLIENT_ID client = client_id(child.pid, child.tid);
    CHECK(same_client(&m.h.ClientId, &client), lpc(107));
    CHECK_STATUS(NtReplyPort(pair.srv, &m.h), STATUS_SUCCESS, lpc(136));
    CHECK_EQ(child_join(&child), EXIT_PASSED, SETUP);
    CHECK_STATUS(NtClose(pair.cli), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(receive_within(pair.conn, NULL, &m, 100), STATUS_TIMEOUT, lpc(189));
    CHECK_STATUS(NtClose(inherited), STATUS_SUCCESS, SETUP);
    pair.cli = NULL;
    CHECK_STATUS(receive_within(pair.conn, NULL, &m, 20000), STATUS_SUCCESS, lpc(189));
    CHECK_EQ(m.h.Type, LPC_PORT_CLOSED, lpc(189));
    pair_close(&pair);
}

/* Offers its own memory as data information. */
ROLE(lender)
{
    static char offered[32] = "bytes of the other process", received[16];
    UNICODE_STRING name = unicode(wide_arg(0));
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    struct msg m;
    HANDLE port;
    if (!CHECK_STATUS(NtConnectPort(&port, &name, &qos, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS, SETUP))
        return EXIT_FAILED;
    msg_init(&m, 3 * sizeof(PORT_DATA_ENTRY));
    m.h.DataInfoOffset = HEADER;
    PORT_DATA_INFORMATION *info = (PORT_DATA_INFORMATION *)m.data;
    info->CountDataEntries = 2;
    info->DataEntries[0] = (PORT_DATA_ENTRY){.Base = offered, .Size = sizeof offered};
    info->DataEntries[1] = (PORT_DATA_ENTRY){.Base = received, .Size = sizeof received};
    CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS, lpc(172));
    CHECK(strcmp(received, "written") == 0, lpc(172));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
    return EXIT_PASSED;
}

TEST(request_data)
{
    struct child child;
    struct msg m;
    HANDLE conn, srv;
    char name[64], copy[32];
    SIZE_T returned;
    REQUIRE(open_port(&conn, name), SETUP);
    REQUIRE(child_start(&child, "lender", name, NULL), SETUP);
    REQUIRE(accept_next(conn, &srv, &m), SETUP);
    REQUIRE_STATUS(receive_within(conn, NULL, &m, 20000), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtReadRequestData(srv, &m.h, 0, copy, sizeof copy, &returned), STATUS_SUCCESS, lpc(172));
    CHECK(strcmp(copy, "bytes of the other process") == 0, lpc(172));
    CHECK_STATUS(NtWriteRequestData(srv, &m.h, 1, "written", 8, &returned), STATUS_SUCCESS, lpc(172));
    CHECK_EQ(returned, 8, lpc(172));
    m.h.DataInfoOffset = 0;
    CHECK_STATUS(NtReplyPort(srv, &m.h), STATUS_SUCCESS, SETUP);
    CHECK_EQ(child_join(&child), EXIT_PASSED, SETUP);
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}
