/* Attributes that travel with a connection request and with its answer: alpc §2.3, §2.4b, statements 102–105, 214–222. */
#include "../alpc.h"

enum { SYNC = ALPC_MSGFLG_SYNC_REQUEST, ALL = 0xFE000000, CREATE_HANDLE = 0x20000 };

/* A server and a client that connects with attributes. */
struct scene {
    WCHAR name[64];
    HANDLE conn, cli;
    ULONG flags, port_flags;
    struct msg message;
    struct alpc_buffer out, in;
    NTSTATUS status;
};

static BOOL scene_open(struct scene *s, ULONG port_flags, ULONG flag, const void *value, SIZE_T size)
{
    memset(s, 0, sizeof *s);
    s->port_flags = port_flags;
    alpc_single(&s->out, flag, value, size);
    alpc_allocate(&s->in, ALL);
    msg_init(&s->message, 4);
    return CHECK_STATUS(alpc_create(&s->conn, s->name, port_flags, 0x400), STATUS_SUCCESS, SETUP);
}

static void connect_run(void *arg)
{
    struct scene *s = arg;
    UNICODE_STRING name = unicode(s->name);
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(s->port_flags, 0x400);
    SIZE_T length = sizeof s->message;
    s->status = NtAlpcConnectPort(&s->cli, &name, NULL, &port_attributes, s->flags, NULL, &s->message.h, &length,
                                  &s->out.a, &s->in.a, NULL);
}

static void scene_close(struct scene *s, HANDLE srv)
{
    CHECK_STATUS(NtClose(s->cli), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(s->conn), STATUS_SUCCESS, SETUP);
}

/* Checks that `handle` names the event `event`. */
static void check_same_event(HANDLE event, HANDLE handle)
{
    ResetEvent(event);
    CHECK(SetEvent(handle), alpc(217));
    CHECK_EQ(WaitForSingleObject(event, 0), WAIT_OBJECT_0, alpc(217));
    CHECK_STATUS(NtClose(handle), STATUS_SUCCESS, SETUP);
}

TEST(handles_both_ways)
{
    static struct scene s;
    struct worker worker;
    struct alpc_buffer got, answer;
    struct msg m;
    HANDLE srv;
    NEED_ALPC;
    for (int is_sync = 0; is_sync < 2; is_sync++) {
        HANDLE there = CreateEventW(NULL, TRUE, FALSE, NULL), back = CreateEventW(NULL, TRUE, FALSE, NULL);
        ALPC_HANDLE_ATTR handle = {.Flags = SAME_ACCESS, .Handle = there};
        context(is_sync ? "synchronous" : "asynchronous");
        REQUIRE(scene_open(&s, 0, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle), SETUP);
        s.flags = is_sync ? SYNC : 0;
        if (is_sync)
            REQUIRE(spawn(&worker, connect_run, &s), SETUP);
        else
            connect_run(&s);
        REQUIRE_STATUS(alpc_receive_with(s.conn, &m, &got, ALL), STATUS_SUCCESS, SETUP);
        CHECK_EQ(m.h.Type & 0xFF, LPC_CONNECTION_REQUEST, SETUP);
        CHECK_EQ(got.a.ValidAttributes, ALPC_HANDLE_ATTRIBUTE | ALPC_TOKEN_ATTRIBUTE, alpc(102));
        ALPC_HANDLE_ATTR *received = alpc_attribute(&got, ALPC_HANDLE_ATTRIBUTE);
        CHECK_EQ(received->ObjectType, 0x10, alpc(216));
        check_same_event(there, received->Handle);
        handle.Handle = back;
        alpc_single(&answer, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle);
        REQUIRE_STATUS(NtAlpcAcceptConnectPort(&srv, s.conn, 0, NULL, NULL, NULL, &m.h, &answer.a, TRUE),
                       STATUS_SUCCESS, SETUP);
        if (is_sync)
            join(&worker);
        REQUIRE_STATUS(s.status, STATUS_SUCCESS, SETUP);
        struct alpc_buffer *in = &s.in;
        if (!is_sync) {
            in = &got;
            REQUIRE_STATUS(alpc_receive_with(s.cli, &m, &got, ALL), STATUS_SUCCESS, SETUP);
            CHECK_EQ(m.h.Type & 0xFF, LPC_CONNECTION_REPLY, SETUP);
        }
        REQUIRE((in->a.ValidAttributes & ALPC_HANDLE_ATTRIBUTE) != 0, SETUP);
        received = alpc_attribute(in, ALPC_HANDLE_ATTRIBUTE);
        check_same_event(back, received->Handle);
        CloseHandle(there);
        CloseHandle(back);
        scene_close(&s, srv);
    }
    context(NULL);
}

/* The thread that connects asynchronously need not live until the answer. */
TEST(handles_of_a_request_by_index)
{
    static struct scene s;
    struct worker worker;
    struct alpc_buffer got;
    struct msg m;
    HANDLE srv, event = CreateEventW(NULL, TRUE, FALSE, NULL);
    ALPC_HANDLE_ATTR handle = {.Flags = SAME_ACCESS, .Handle = event};
    NEED_ALPC;
    REQUIRE(scene_open(&s, MULTIHANDLE, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle), SETUP);
    REQUIRE(spawn(&worker, connect_run, &s), SETUP);
    REQUIRE_STATUS(alpc_receive_with(s.conn, &m, &got, ALPC_HANDLE_ATTRIBUTE), STATUS_SUCCESS, SETUP);
    join(&worker);
    REQUIRE(got.a.ValidAttributes == ALPC_HANDLE_ATTRIBUTE, alpc(221));
    ALPC_HANDLE_ATTR *received = alpc_attribute(&got, ALPC_HANDLE_ATTRIBUTE);
    CHECK_EQ(received->Flags, INDIRECT, alpc(221));
    CHECK_EQ(received->ObjectType, 1, alpc(221));
    for (int i = 0; i < 2; i++) {
        ALPC_MESSAGE_HANDLE_INFORMATION info = {0};
        REQUIRE_STATUS(NtAlpcQueryInformationMessage(s.conn, &m.h, 3, &info, sizeof info, NULL), STATUS_SUCCESS,
                       alpc(223));
        check_same_event(event, (HANDLE)(ULONG_PTR)info.Handle);
    }
    REQUIRE_STATUS(NtAlpcAcceptConnectPort(&srv, s.conn, 0, NULL, NULL, NULL, &m.h, NULL, TRUE), STATUS_SUCCESS, SETUP);
    ALPC_MESSAGE_HANDLE_INFORMATION info = {0};
    CHECK_STATUS(NtAlpcQueryInformationMessage(s.conn, &m.h, 3, &info, sizeof info, NULL), STATUS_MESSAGE_NOT_FOUND,
                 SETUP);
    CloseHandle(event);
    scene_close(&s, srv);
}

TEST(security_of_a_request)
{
    static struct scene s;
    struct worker worker;
    struct alpc_buffer got;
    struct msg m;
    HANDLE srv, token;
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    ALPC_SECURITY_ATTR security = {.Flags = CREATE_HANDLE, .QoS = &qos};
    NEED_ALPC;
    REQUIRE(scene_open(&s, 0, ALPC_SECURITY_ATTRIBUTE, &security, sizeof security), SETUP);
    REQUIRE(spawn(&worker, connect_run, &s), SETUP);
    REQUIRE_STATUS(alpc_receive_with(s.conn, &m, &got, ALPC_SECURITY_ATTRIBUTE), STATUS_SUCCESS, SETUP);
    join(&worker);
    ALPC_SECURITY_ATTR *made = alpc_attribute(&s.out, ALPC_SECURITY_ATTRIBUTE);
    CHECK(made->ContextHandle != NULL, SETUP);
    REQUIRE(got.a.ValidAttributes == ALPC_SECURITY_ATTRIBUTE, alpc(215));
    ALPC_SECURITY_ATTR *received = alpc_attribute(&got, ALPC_SECURITY_ATTRIBUTE);
    CHECK_PTR(received->ContextHandle, made->ContextHandle, alpc(215));
    CHECK_STATUS(NtAlpcImpersonateClientOfPort(s.conn, &m.h, NULL), STATUS_SUCCESS, SETUP);
    CHECK(OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &token), SETUP);
    CloseHandle(token);
    RevertToSelf();
    /* The buffer that was received may be given back. */
    CHECK_STATUS(NtAlpcAcceptConnectPort(&srv, s.conn, 0, NULL, NULL, NULL, &m.h, &got.a, TRUE), STATUS_SUCCESS,
                 alpc(103));
    CHECK_EQ(got.a.ValidAttributes, ALPC_SECURITY_ATTRIBUTE, alpc(103));
    CHECK_STATUS(NtAlpcImpersonateClientOfPort(s.conn, &m.h, NULL), STATUS_ACCESS_DENIED, SETUP);
    /* The context belongs to the client's port. */
    CHECK_STATUS(NtAlpcDeleteSecurityContext(s.cli, 0, made->ContextHandle), STATUS_SUCCESS, SETUP);
    scene_close(&s, srv);
}

TEST(sender_of_a_request)
{
    static struct scene s;
    struct worker worker;
    struct alpc_buffer got;
    struct msg m;
    HANDLE srv, opened;
    OBJECT_ATTRIBUTES oa = {.Length = sizeof oa};
    ULONG64 ticket = 0x1122334455667788;
    NEED_ALPC;
    REQUIRE(scene_open(&s, 0, ALPC_WORK_ON_BEHALF_ATTRIBUTE, &ticket, sizeof ticket), SETUP);
    s.flags = SYNC;
    REQUIRE(spawn(&worker, connect_run, &s), SETUP);
    REQUIRE_STATUS(alpc_receive_with(s.conn, &m, &got, ALL), STATUS_SUCCESS, SETUP);
    CHECK_EQ(got.a.ValidAttributes, ALPC_WORK_ON_BEHALF_ATTRIBUTE | ALPC_TOKEN_ATTRIBUTE, SETUP);
    CHECK_EQ(*(ULONG64 *)alpc_attribute(&got, ALPC_WORK_ON_BEHALF_ATTRIBUTE), ticket, SETUP);
    REQUIRE_STATUS(NtAlpcOpenSenderProcess(&opened, s.conn, &m.h, 0, PROCESS_QUERY_LIMITED_INFORMATION, &oa),
                   STATUS_SUCCESS, alpc(266));
    CHECK_EQ(GetProcessId(opened), GetCurrentProcessId(), alpc(266));
    CloseHandle(opened);
    REQUIRE_STATUS(NtAlpcOpenSenderThread(&opened, s.conn, &m.h, 0, THREAD_QUERY_LIMITED_INFORMATION, &oa),
                   STATUS_SUCCESS, alpc(268));
    CHECK_EQ(GetThreadId(opened), worker.tid, alpc(268));
    CloseHandle(opened);
    REQUIRE_STATUS(NtAlpcAcceptConnectPort(&srv, s.conn, 0, NULL, NULL, NULL, &m.h, NULL, TRUE), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_STATUS(s.status, STATUS_SUCCESS, SETUP);
    scene_close(&s, srv);
}

TEST(requests_that_fail_leave_nothing)
{
    static struct scene s;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL), bad = (HANDLE)(ULONG_PTR)0x7777774;
    DWORD before, after;
    struct worker worker;
    struct alpc_buffer got;
    struct msg m;
    NEED_ALPC;
    /* A bad handle: nobody is asked. */
    ALPC_HANDLE_ATTR handle = {.Flags = SAME_ACCESS, .Handle = bad};
    REQUIRE(scene_open(&s, 0, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle), SETUP);
    connect_run(&s);
    CHECK_STATUS(s.status, STATUS_INVALID_HANDLE, SETUP);
    CHECK_STATUS(alpc_receive(s.conn, &m, &(SIZE_T){sizeof m}, NULL, 0), STATUS_TIMEOUT, SETUP);
    /* A view of a port that is only being made. */
    ALPC_DATA_VIEW_ATTR view = {.ViewBase = &s, .ViewSize = 0x1000};
    alpc_single(&s.out, ALPC_VIEW_ATTRIBUTE, &view, sizeof view);
    connect_run(&s);
    CHECK_STATUS(s.status, STATUS_INVALID_PARAMETER, SETUP);
    NtClose(s.conn);
    for (int i = 0; i < 12; i++) {
        /* Refused, with the handle taken or not; once before counting. */
        handle.Handle = event;
        REQUIRE(scene_open(&s, i & 1 ? MULTIHANDLE : 0, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle), SETUP);
        s.flags = SYNC;
        REQUIRE(spawn(&worker, connect_run, &s), SETUP);
        REQUIRE_STATUS(alpc_receive_with(s.conn, &m, &got, 0), STATUS_SUCCESS, SETUP);
        CHECK_STATUS(NtAlpcAcceptConnectPort(NULL, s.conn, 0, NULL, NULL, NULL, &m.h, NULL, FALSE), STATUS_SUCCESS,
                     SETUP);
        join(&worker);
        CHECK_STATUS(s.status, STATUS_PORT_CONNECTION_REFUSED, SETUP);
        CHECK_STATUS(NtClose(s.conn), STATUS_SUCCESS, SETUP);
        if (i == 3)
            GetProcessHandleCount(GetCurrentProcess(), &before);
    }
    GetProcessHandleCount(GetCurrentProcess(), &after);
    CHECK_EQ(after, before, SETUP);
    CloseHandle(event);
}
