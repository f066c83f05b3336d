/*
 * Server and client that meet by name only, so that each may run on a host of its own. On one host the test starts both
 * as processes; scripts/conformance also starts the role `server` on one host and `client` on another.
 * The argument of both roles is the name of the port.
 */
#include "../lpctest.h"

static WCHAR *port_name(void)
{
    static WCHAR name[64];
    to_wide(name, role_arg(0));
    return name;
}

enum { VIEW = 0x10000, REQUESTS = 200 };

/* What the client asks for, in data[0]. */
enum { ECHO, CALL_BACK, READ_MEMORY, IMPERSONATE, USE_VIEW };

static void call_back(HANDLE srv, const struct msg *request)
{
    struct msg callback;
    msg_init(&callback, 4);
    callback.h.Type = LPC_REQUEST;
    callback.h.ClientId = request->h.ClientId;
    callback.h.MessageId = request->h.MessageId;
    callback.data[0] = 33;
    CHECK_STATUS(NtRequestWaitReplyPort(srv, &callback.h, &callback.h), STATUS_SUCCESS, lpc(164));
    CHECK_EQ(callback.h.Type, LPC_REPLY, lpc(166));
    CHECK_EQ(callback.data[0], 34, lpc(166));
}

static void read_memory(HANDLE srv, struct msg *request)
{
    char copy[16] = "";
    SIZE_T returned = 0;
    CHECK_STATUS(NtReadRequestData(srv, &request->h, 0, copy, sizeof copy, &returned), STATUS_SUCCESS, lpc(172));
    CHECK(strcmp(copy, "client's memory") == 0, lpc(172));
    CHECK_STATUS(NtWriteRequestData(srv, &request->h, 0, "server's answer", 16, &returned), STATUS_SUCCESS, lpc(172));
    request->h.DataInfoOffset = 0;
}

static void answer(HANDLE srv, const REMOTE_PORT_VIEW *view, struct msg *request)
{
    switch (request->data[0]) {
    case CALL_BACK:
        call_back(srv, request);
        break;
    case READ_MEMORY:
        read_memory(srv, request);
        break;
    case IMPERSONATE:
        CHECK_STATUS(NtImpersonateClientOfPort(srv, &request->h), STATUS_SUCCESS, lpc(177));
        CHECK(RevertToSelf(), SETUP);
        break;
    case USE_VIEW:
        CHECK(strcmp(view->ViewBase, "seen by both") == 0, lpc(99));
        memcpy(view->ViewBase, "SEEN", 4);
        break;
    default:
        break;
    }
    request->data[1]++;
    CHECK_STATUS(NtReplyPort(srv, &request->h), STATUS_SUCCESS, lpc(112));
}

ROLE(server)
{
    HANDLE conn, srv = NULL;
    REMOTE_PORT_VIEW view = {.Length = sizeof view};
    PVOID port_context;
    struct msg m;
    ULONG requests = 0, datagrams = 0, died = 0;
    CLIENT_ID client = {0};
    if (!CHECK_STATUS(create_port(&conn, port_name()), STATUS_SUCCESS, SETUP))
        return EXIT_FAILED;
    for (;;) {
        if (!CHECK_STATUS(receive_within(conn, &port_context, &m, 20000), STATUS_SUCCESS, SETUP))
            return EXIT_FAILED;
        switch (m.h.Type) {
        case LPC_CONNECTION_REQUEST:
            CHECK_EQ(m.h.DataLength, 6, lpc(61));
            CHECK(memcmp(m.data, "hello", 6) == 0, lpc(65));
            CHECK_EQ(m.h.ClientViewSize, VIEW, lpc(66));
            client = m.h.ClientId;
            memcpy(m.data, "olleh", 6);
            if (!CHECK_STATUS(NtAcceptConnectPort(&srv, (PVOID)(ULONG_PTR)0x1234, &m.h, TRUE, NULL, &view),
                              STATUS_SUCCESS, lpc(76)) ||
                !CHECK_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, lpc(78)))
                return EXIT_FAILED;
            CHECK_EQ(view.ViewSize, VIEW, lpc(96));
            break;
        case LPC_REQUEST:
            requests++;
            CHECK_PTR(port_context, (PVOID)(ULONG_PTR)0x1234, lpc(150));
            CHECK(same_client(&m.h.ClientId, &client), lpc(107));
            answer(srv, &view, &m);
            break;
        case LPC_DATAGRAM:
            datagrams++;
            CHECK(same_client(&m.h.ClientId, &client), lpc(140));
            break;
        case LPC_CLIENT_DIED:
            died++;
            break;
        case LPC_PORT_CLOSED:
            CHECK(same_client(&m.h.ClientId, &client), lpc(184));
            CHECK_PTR(port_context, (PVOID)(ULONG_PTR)0x1234, lpc(185));
            CHECK_EQ(requests, REQUESTS + 4, lpc(134));
            CHECK_EQ(datagrams, 10, lpc(139));
            CHECK_EQ(died, 1, lpc(194));
            CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
            CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
            return EXIT_PASSED;
        default:
            CHECK_EQ(m.h.Type, LPC_REQUEST, SETUP);
            break;
        }
    }
}

static BOOL ask(HANDLE port, UCHAR what, int cite)
{
    struct msg m;
    msg_init(&m, 4);
    m.data[0] = what;
    m.data[1] = 7;
    return CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS, cite) &&
           CHECK_EQ(m.h.Type, LPC_REPLY, cite) && CHECK_EQ(m.data[1], 8, cite);
}

static void be_called_back(HANDLE port)
{
    struct msg m;
    msg_init(&m, 4);
    m.data[0] = CALL_BACK;
    if (!CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS, lpc(164)) ||
        !CHECK_EQ(m.h.Type, LPC_REQUEST, lpc(164)))
        return;
    CHECK_EQ(m.data[0], 33, lpc(164));
    m.data[0]++;
    CHECK_STATUS(NtReplyWaitReplyPort(port, &m.h), STATUS_SUCCESS, lpc(166));
    CHECK_EQ(m.h.Type, LPC_REPLY, lpc(166));
}

static void lend_memory(HANDLE port)
{
    static char memory[16] = "client's memory";
    struct msg m;
    msg_init(&m, 8 + 2 * sizeof(PORT_DATA_ENTRY));
    m.data[0] = READ_MEMORY;
    m.h.DataInfoOffset = HEADER + 8;
    PORT_DATA_INFORMATION *info = (PORT_DATA_INFORMATION *)(m.data + 8);
    info->CountDataEntries = 1;
    info->DataEntries[0] = (PORT_DATA_ENTRY){.Base = memory, .Size = sizeof memory};
    CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS, lpc(172));
    CHECK(strcmp(memory, "server's answer") == 0, lpc(172));
}

ROLE(client)
{
    PORT_VIEW view = {.Length = sizeof view, .SectionHandle = new_section(VIEW), .ViewSize = VIEW};
    UNICODE_STRING name = unicode(port_name());
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    NTSTATUS status = STATUS_OBJECT_NAME_NOT_FOUND;
    char info[8] = "hello";
    ULONG info_length = 6;
    struct msg m;
    HANDLE port;
    /* The server may start later. */
    for (int attempt = 0; attempt < 200 && status == STATUS_OBJECT_NAME_NOT_FOUND; attempt++) {
        if (attempt > 0)
            Sleep(100);
        status = NtConnectPort(&port, &name, &qos, &view, NULL, NULL, info, &info_length);
    }
    if (!CHECK_STATUS(status, STATUS_SUCCESS, lpc(78)))
        return EXIT_FAILED;
    CHECK_EQ(info_length, 6, lpc(84));
    CHECK(memcmp(info, "olleh", 6) == 0, lpc(84));
    CHECK_STATUS(NtRegisterThreadTerminatePort(port), STATUS_SUCCESS, lpc(192));
    for (int i = 0; i < REQUESTS; i++)
        if (!ask(port, ECHO, lpc(109)))
            return EXIT_FAILED;
    msg_init(&m, 4);
    for (int i = 0; i < 10; i++)
        CHECK_STATUS(NtRequestPort(port, &m.h), STATUS_SUCCESS, lpc(139));
    be_called_back(port);
    lend_memory(port);
    ask(port, IMPERSONATE, lpc(177));
    strcpy(view.ViewBase, "seen by both");
    ask(port, USE_VIEW, lpc(99));
    CHECK(strcmp(view.ViewBase, "SEEN by both") == 0, lpc(99));
    /* The process ends with its port open: CLIENT_DIED, then PORT_CLOSED. */
    return EXIT_PASSED;
}

TEST(classic)
{
    struct child server, client;
    WCHAR wide[64];
    char name[64];
    unique_name(wide);
    to_narrow(name, wide);
    REQUIRE(child_start(&client, "client", name, NULL), SETUP);
    REQUIRE(child_start(&server, "server", name, NULL), SETUP);
    CHECK_EQ(child_join(&client), EXIT_PASSED, SETUP);
    CHECK_EQ(child_join(&server), EXIT_PASSED, SETUP);
}
