/*
 * An ALPC server and client that meet by name only, so that each may run on a host of its own. On one host the test starts
 * both as processes; scripts/conformance also starts the role `server` on one host and `client` on another.
 * The argument of both roles is the name of the port.
 */
#include "../alpc.h"

enum {
    RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE,
    SYNC = ALPC_MSGFLG_SYNC_REQUEST,
    REQUESTS = 200,
    DATAGRAMS = 10,
    LONG_MESSAGE = 0x8000,
};

/* What the client asks for, in data[0]. */
enum { ECHO, CALL_BACK, CONTINUE, CANCEL, WHO };

struct long_msg {
    PORT_MESSAGE h;
    UCHAR data[0x10000];
};

static WCHAR *port_name(void)
{
    static WCHAR name[64];
    to_wide(name, role_arg(0));
    return name;
}

static NTSTATUS receive(HANDLE port, struct long_msg *m, struct alpc_context_buffer *context)
{
    SIZE_T length = sizeof *m;
    LARGE_INTEGER timeout = {.QuadPart = -200000000};
    return NtAlpcSendWaitReceivePort(port, 0, NULL, NULL, &m->h, &length, &context->a, &timeout);
}

static void call_back(HANDLE srv, const PORT_MESSAGE *request)
{
    struct msg callback;
    SIZE_T length = sizeof callback;
    msg_init(&callback, 4);
    callback.h.MessageId = request->MessageId;
    callback.h.CallbackId = request->CallbackId;
    callback.data[0] = 33;
    CHECK_STATUS(NtAlpcSendWaitReceivePort(srv, SYNC, &callback.h, NULL, &callback.h, &length, NULL, NULL),
                 STATUS_SUCCESS, alpc(167));
    CHECK_EQ(callback.data[0], 34, alpc(167));
}

ROLE(server)
{
    static struct long_msg m;
    HANDLE conn, srv = NULL;
    ULONG requests = 0, datagrams = 0;
    CLIENT_ID client = {0};
    if (!alpc_resolve())
        return EXIT_FAILED;
    UNICODE_STRING string = unicode(port_name());
    OBJECT_ATTRIBUTES oa = attributes(&string), plain = attributes(NULL);
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(0, 0xFFFF);
    if (!CHECK_STATUS(NtAlpcCreatePort(&conn, &oa, &port_attributes), STATUS_SUCCESS, SETUP))
        return EXIT_FAILED;
    for (;;) {
        struct alpc_context_buffer got = {{ALPC_CONTEXT_ATTRIBUTE, 0}, {0}};
        if (!CHECK_STATUS(receive(conn, &m, &got), STATUS_SUCCESS, SETUP))
            return EXIT_FAILED;
        switch (m.h.Type & 0xFF) {
        case LPC_CONNECTION_REQUEST:
            CHECK_EQ(m.h.DataLength, 6, alpc(54));
            CHECK(memcmp(m.data, "hello", 6) == 0, alpc(54));
            client = m.h.ClientId;
            memcpy(m.data, "olleh", 6);
            if (!CHECK_STATUS(NtAlpcAcceptConnectPort(&srv, conn, 0, NULL, NULL, (PVOID)0x1234, &m.h, NULL, TRUE),
                              STATUS_SUCCESS, SETUP))
                return EXIT_FAILED;
            break;
        case LPC_REQUEST:
            requests++;
            CHECK_PTR(got.context.PortContext, (PVOID)0x1234, alpc(101));
            CHECK_EQ((ULONG_PTR)m.h.ClientId.UniqueProcess, (ULONG_PTR)client.UniqueProcess, alpc(140));
            if (m.data[0] == CALL_BACK) {
                call_back(srv, &m.h);
                break;
            }
            if (m.data[0] == CANCEL) {
                CHECK_STATUS(NtAlpcCancelMessage(conn, 0, &got.context), STATUS_MESSAGE_RETRIEVED, alpc(180));
                CHECK_STATUS(NtAlpcSendWaitReceivePort(conn, RELEASE, &m.h, NULL, NULL, NULL, NULL, NULL),
                             STATUS_REQUEST_CANCELED, alpc(186));
                break;
            }
            if (m.data[0] == WHO) {
                HANDLE process;
                NTSTATUS status =
                    NtAlpcOpenSenderProcess(&process, conn, &m.h, 0, PROCESS_QUERY_LIMITED_INFORMATION, &plain);
                if (status == STATUS_INVALID_CID) {
                    skip(alpc(266), "the client's process is one of another host");
                } else if (CHECK_STATUS(status, STATUS_SUCCESS, alpc(266))) {
                    CHECK_EQ(GetProcessId(process), (ULONG_PTR)client.UniqueProcess, alpc(266));
                    NtClose(process);
                }
            }
            m.data[1]++;
            CHECK_STATUS(NtAlpcSendWaitReceivePort(conn, m.data[0] == CONTINUE ? 0 : RELEASE, &m.h, NULL, NULL, NULL,
                                                   NULL, NULL),
                         STATUS_SUCCESS, alpc(148));
            break;
        case LPC_REPLY:
            CHECK_EQ(m.data[2], 0x77, alpc(151));
            break;
        case LPC_DATAGRAM:
            datagrams++;
            break;
        case LPC_PORT_CLOSED:
            CHECK_PTR(got.context.PortContext, (PVOID)0x1234, alpc(200));
            CHECK_EQ(datagrams, DATAGRAMS, alpc(143));
            CHECK(requests >= REQUESTS, alpc(143));
            CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
            CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
            return EXIT_PASSED;
        default:
            CHECK_EQ(m.h.Type, LPC_REQUEST, SETUP);
            break;
        }
    }
}

static NTSTATUS ask(HANDLE port, struct long_msg *m, UCHAR what, USHORT length)
{
    SIZE_T capacity = sizeof *m;
    memset(&m->h, 0, sizeof m->h);
    m->h.DataLength = length;
    m->h.TotalLength = HEADER + length;
    m->data[0] = what;
    m->data[1] = 7;
    return NtAlpcSendWaitReceivePort(port, SYNC, &m->h, NULL, &m->h, &capacity, NULL, NULL);
}

static BOOL connect(HANDLE *port)
{
    for (int attempt = 0; attempt < 400; attempt++) {
        struct msg m;
        SIZE_T length = sizeof m;
        msg_init(&m, 6);
        memcpy(m.data, "hello", 6);
        UNICODE_STRING string = unicode(port_name());
        NTSTATUS status =
            NtAlpcConnectPort(port, &string, NULL, NULL, SYNC, NULL, &m.h, &length, NULL, NULL, NULL);
        if (status == STATUS_OBJECT_NAME_NOT_FOUND) {
            Sleep(50);
            continue;
        }
        return CHECK_STATUS(status, STATUS_SUCCESS, alpc(79)) && CHECK(memcmp(m.data, "olleh", 6) == 0, alpc(79));
    }
    return CHECK(!"the server has come", SETUP);
}

ROLE(client)
{
    static struct long_msg m;
    HANDLE port;
    struct alpc_context_buffer got = {{ALPC_CONTEXT_ATTRIBUTE, 0}, {0}};
    if (!alpc_resolve() || !connect(&port))
        return EXIT_FAILED;
    for (int i = 0; i < REQUESTS; i++) {
        if (!CHECK_STATUS(ask(port, &m, ECHO, (USHORT)(i == 7 ? LONG_MESSAGE : 8 + i)), STATUS_SUCCESS, alpc(148)) ||
            !CHECK_EQ(m.data[1], 8, alpc(148)))
            return EXIT_FAILED;
    }
    CHECK_STATUS(ask(port, &m, WHO, 8), STATUS_SUCCESS, alpc(266));
    /* A callback ends the request. */
    CHECK_STATUS(ask(port, &m, CALL_BACK, 8), STATUS_SUCCESS, alpc(166));
    CHECK_EQ(m.data[0], 33, alpc(166));
    m.data[0]++;
    CHECK_STATUS(NtAlpcSendWaitReceivePort(port, RELEASE, &m.h, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS, alpc(166));
    CHECK_STATUS(ask(port, &m, CONTINUE, 8), STATUS_SUCCESS, alpc(151));
    m.data[2] = 0x77;
    CHECK_STATUS(NtAlpcSendWaitReceivePort(port, RELEASE, &m.h, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS, alpc(151));
    CHECK_STATUS(ask(port, &m, CANCEL, 8), STATUS_MESSAGE_LOST, alpc(183));
    /* Ten questions at once, answered as messages. */
    for (int i = 0; i < 10; i++) {
        memset(&m.h, 0, sizeof m.h);
        m.h.DataLength = 8;
        m.h.TotalLength = HEADER + 8;
        m.data[0] = ECHO;
        m.data[1] = (UCHAR)i;
        CHECK_STATUS(NtAlpcSendWaitReceivePort(port, 0, &m.h, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS, alpc(153));
    }
    for (int i = 0; i < 10; i++) {
        if (!CHECK_STATUS(receive(port, &m, &got), STATUS_SUCCESS, alpc(153)))
            return EXIT_FAILED;
        CHECK_EQ(m.data[1], i + 1, alpc(153));
    }
    for (int i = 0; i < DATAGRAMS; i++) {
        memset(&m.h, 0, sizeof m.h);
        m.h.TotalLength = HEADER;
        CHECK_STATUS(NtAlpcSendWaitReceivePort(port, RELEASE, &m.h, NULL, NULL, NULL, NULL, NULL), STATUS_SUCCESS,
                     alpc(122));
    }
    /* One more question: its answer says that the datagrams were received before the port goes. */
    CHECK_STATUS(ask(port, &m, ECHO, 8), STATUS_SUCCESS, alpc(148));
    return EXIT_PASSED;
}

TEST(alpc)
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
