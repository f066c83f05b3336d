/*
 * ALPC clients killed at random moments under load: requests that wait and that do not, datagrams, views and handles. The
 * server does not hang, hears of each of its clients once, and has none of their messages left to answer; and a server killed
 * under its clients sets them free. The seed is printed and may be given by --seed. Statements 161, 198, 199, 201, 203.
 */
#include "../alpc.h"

enum { RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE, SYNC = ALPC_MSGFLG_SYNC_REQUEST, MOST = 64 };

struct view_buffer {
    ALPC_MESSAGE_ATTRIBUTES a;
    ALPC_DATA_VIEW_ATTR view;
};

static UNICODE_STRING name_arg(void)
{
    static WCHAR name[64];
    to_wide(name, role_arg(0));
    return unicode(name);
}

struct server {
    HANDLE conn;
    HANDLE ports[MOST]; /* by index: PortContext - 1 */
    LONG opened, closed, requests, datagrams, cancelled, views, handles, failures;
    LONG volatile stop;
};

/* Statuses of an answer whose requester may just have been killed. */
static BOOL is_expected(NTSTATUS status)
{
    return status == STATUS_SUCCESS || status == STATUS_REQUEST_CANCELED || status == STATUS_INVALID_MESSAGE ||
           status == STATUS_PORT_DISCONNECTED;
}

static void serve_one(struct server *s, struct msg *m, PVOID port_context)
{
    HANDLE srv = NULL;
    NTSTATUS status;
    ULONG_PTR index = (ULONG_PTR)port_context - 1;
    switch (m->h.Type & 0xFF) {
    case LPC_CONNECTION_REQUEST:
        if (s->opened == MOST) {
            s->failures++;
            break;
        }
        status = NtAlpcAcceptConnectPort(&srv, s->conn, 0, NULL, NULL, (PVOID)(ULONG_PTR)(s->opened + 1), &m->h, NULL,
                                         TRUE);
        if (status == STATUS_SUCCESS)
            s->ports[s->opened++] = srv;
        else if (!is_expected(status))
            s->failures++;
        break;
    case LPC_REQUEST:
        s->requests++;
        if (!is_expected(alpc_send(s->conn, RELEASE, m)))
            s->failures++;
        break;
    case LPC_DATAGRAM:
        s->datagrams++;
        break;
    case LPC_CANCELED:
        s->cancelled++;
        break;
    case LPC_PORT_CLOSED:
        s->closed++;
        if (index >= MOST || s->ports[index] == NULL || NtClose(s->ports[index]) != STATUS_SUCCESS)
            s->failures++;
        else
            s->ports[index] = NULL;
        break;
    default:
        s->failures++;
        break;
    }
}

enum { TAKEN = ALPC_CONTEXT_ATTRIBUTE | ALPC_VIEW_ATTRIBUTE | ALPC_HANDLE_ATTRIBUTE };

/* Receives a message, lets go of what came with it, and serves it. */
static NTSTATUS receive(struct server *s, ULONG ms)
{
    struct msg m;
    struct alpc_buffer got;
    SIZE_T length = sizeof m;
    alpc_allocate(&got, TAKEN);
    NTSTATUS status = alpc_receive(s->conn, &m, &length, &got.a, ms);
    if (status != STATUS_SUCCESS)
        return status;
    if (got.a.ValidAttributes & ALPC_VIEW_ATTRIBUTE) {
        ALPC_DATA_VIEW_ATTR *view = alpc_attribute(&got, ALPC_VIEW_ATTRIBUTE);
        if (NtAlpcDeleteSectionView(s->conn, 0, view->ViewBase) != STATUS_SUCCESS)
            s->failures++;
        s->views++;
    }
    if (got.a.ValidAttributes & ALPC_HANDLE_ATTRIBUTE) {
        ALPC_HANDLE_ATTR *handle = alpc_attribute(&got, ALPC_HANDLE_ATTRIBUTE);
        if (!SetEvent(handle->Handle) || NtClose(handle->Handle) != STATUS_SUCCESS)
            s->failures++;
        s->handles++;
    }
    ALPC_CONTEXT_ATTR *context = alpc_attribute(&got, ALPC_CONTEXT_ATTRIBUTE);
    serve_one(s, &m, got.a.ValidAttributes & ALPC_CONTEXT_ATTRIBUTE ? context->PortContext : NULL);
    return status;
}

static void serve(void *arg)
{
    struct server *s = arg;
    while (!s->stop) {
        NTSTATUS status = receive(s, 50);
        if (status != STATUS_SUCCESS && status != STATUS_TIMEOUT)
            s->failures++;
    }
    /* What is left when the clients are gone. */
    while (receive(s, 200) == STATUS_SUCCESS)
        continue;
}

static NTSTATUS send_view(HANDLE port)
{
    struct msg m;
    SIZE_T actual;
    struct view_buffer sent = {{ALPC_VIEW_ATTRIBUTE, ALPC_VIEW_ATTRIBUTE}, {0}};
    NTSTATUS status = NtAlpcCreatePortSection(port, 0, NULL, 0x1000, &sent.view.SectionHandle, &actual);
    if (status != STATUS_SUCCESS)
        return status;
    HANDLE section = sent.view.SectionHandle;
    sent.view.ViewSize = actual;
    status = NtAlpcCreateSectionView(port, 0, &sent.view);
    if (status == STATUS_SUCCESS) {
        memset(sent.view.ViewBase, 7, 64);
        msg_init(&m, 8);
        status = NtAlpcSendWaitReceivePort(port, RELEASE, &m.h, &sent.a, NULL, NULL, NULL, NULL);
        NtAlpcDeleteSectionView(port, 0, sent.view.ViewBase);
    }
    NtAlpcDeletePortSection(port, 0, section);
    return status;
}

static NTSTATUS send_event(HANDLE port, ULONG flags)
{
    struct msg m;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    ALPC_HANDLE_ATTR handle = {.Flags = SAME_ACCESS, .Handle = event};
    msg_init(&m, 8);
    NTSTATUS status = alpc_send_with(port, flags, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle);
    CloseHandle(event);
    return status;
}

/* Sends until killed; ends by itself when the server is gone. Returns what ended it. */
static NTSTATUS send_until_it_ends(HANDLE port)
{
    struct msg m;
    for (ULONG i = 0;; i++) {
        SIZE_T length = sizeof m;
        NTSTATUS status;
        msg_init(&m, (USHORT)(i % 64));
        switch (i % 4) {
        case 0:
            status = alpc_send(port, RELEASE, &m);
            break;
        case 1:
            status = NtAlpcSendWaitReceivePort(port, SYNC, &m.h, NULL, &m.h, &length, NULL, NULL);
            break;
        case 2:
            status = alpc_send(port, 0, &m);
            if (status == STATUS_SUCCESS)
                status = NtAlpcSendWaitReceivePort(port, 0, NULL, NULL, &m.h, &length, NULL, NULL);
            break;
        default:
            status = i % 16 == 3 ? send_view(port) : i % 16 == 7 ? send_event(port, RELEASE) : STATUS_SUCCESS;
            break;
        }
        if (status == STATUS_NO_MEMORY || status == STATUS_INSUFFICIENT_RESOURCES)
            Sleep(1);
        else if (status != STATUS_SUCCESS)
            return status;
    }
}

ROLE(client)
{
    HANDLE port;
    UNICODE_STRING name = name_arg();
    if (!alpc_resolve() || NtAlpcConnectPort(&port, &name, NULL, NULL, SYNC, NULL, NULL, NULL, NULL, NULL, NULL) < 0)
        return EXIT_FAILED;
    NTSTATUS status = send_until_it_ends(port);
    return status == STATUS_PORT_DISCONNECTED ? EXIT_PASSED : EXIT_FAILED;
}

TEST(client_processes)
{
    enum { ROUNDS = 8, CLIENTS = 3 };
    static struct server server;
    struct worker worker;
    DWORD before = 0, after;
    struct child children[CLIENTS];
    WCHAR wide[64];
    char name[64];
    NEED_ALPC;
    memset(&server, 0, sizeof server);
    REQUIRE_STATUS(alpc_create(&server.conn, wide, 0, 0x1000), STATUS_SUCCESS, SETUP);
    to_narrow(name, wide);
    REQUIRE(spawn(&worker, serve, &server), SETUP);
    for (int round = 0; round < ROUNDS; round++) {
        if (round == 1)
            GetProcessHandleCount(GetCurrentProcess(), &before);
        for (int i = 0; i < CLIENTS; i++)
            if (!child_start(&children[i], "client", name, NULL))
                abandon_if_threads_remain_();
        /* From "barely started" to "in full flow". */
        Sleep(random_below(120));
        for (int i = 0; i < CLIENTS; i++) {
            child_kill(&children[i]);
            child_join(&children[i]);
        }
    }
    server.stop = TRUE;
    join(&worker);
    GetProcessHandleCount(GetCurrentProcess(), &after);
    note("%ld connections, %ld requests, %ld datagrams, %ld cancelled, %ld closed, %ld views, %ld handles; %lu -> %lu",
         server.opened, server.requests, server.datagrams, server.cancelled, server.closed, server.views, server.handles,
         before, after);
    /* The thread of the server and what the first round left to be closed are all that may be gone. */
    CHECK(after <= before, SETUP);
    CHECK_EQ(server.failures, 0, alpc(203));
    CHECK_EQ(server.closed, server.opened, alpc(199));
    CHECK(server.requests > 0 || server.opened == 0, alpc(203));
    CHECK_STATUS(NtClose(server.conn), STATUS_SUCCESS, SETUP);
}

ROLE(server)
{
    static struct server server;
    UNICODE_STRING name = name_arg();
    OBJECT_ATTRIBUTES oa = attributes(&name);
    if (!alpc_resolve() || NtAlpcCreatePort(&server.conn, &oa, NULL) != STATUS_SUCCESS)
        return EXIT_FAILED;
    serve(&server);
    return EXIT_PASSED;
}

struct sending {
    HANDLE port;
    NTSTATUS status;
};

static void send_all(void *arg)
{
    struct sending *s = arg;
    s->status = send_until_it_ends(s->port);
}

TEST(server_process)
{
    enum { ROUNDS = 6, THREADS = 3 };
    NEED_ALPC;
    for (int round = 0; round < ROUNDS; round++) {
        struct child child;
        struct worker workers[THREADS];
        struct sending sending[THREADS];
        WCHAR wide[64];
        char text[64];
        unique_name(wide);
        to_narrow(text, wide);
        REQUIRE(child_start(&child, "server", text, NULL), SETUP);
        UNICODE_STRING name = unicode(wide);
        for (int i = 0; i < THREADS; i++) {
            NTSTATUS status;
            int attempts = 400;
            while ((status = NtAlpcConnectPort(&sending[i].port, &name, NULL, NULL, SYNC, NULL, NULL, NULL, NULL, NULL,
                                               NULL)) == STATUS_OBJECT_NAME_NOT_FOUND &&
                   --attempts > 0)
                Sleep(20);
            REQUIRE_STATUS(status, STATUS_SUCCESS, SETUP);
            REQUIRE(spawn(&workers[i], send_all, &sending[i]), SETUP);
        }
        Sleep(random_below(80));
        child_kill(&child);
        child_join(&child);
        for (int i = 0; i < THREADS; i++) {
            join(&workers[i]);
            CHECK_STATUS(sending[i].status, STATUS_PORT_DISCONNECTED, alpc(198));
            CHECK_STATUS(NtClose(sending[i].port), STATUS_SUCCESS, SETUP);
        }
    }
}
