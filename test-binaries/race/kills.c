/*
 * Clients, servers and their threads killed at random moments under load. Nobody hangs, the queues stay usable, notices
 * arrive. The seed is printed and may be given by --seed. lpc §3.5; statements 190, 194, 200, 203, 207.
 */
#include "../lpctest.h"

static WCHAR *wide_arg(int index)
{
    static WCHAR name[64];
    to_wide(name, role_arg(index));
    return name;
}

static void open_port(HANDLE *conn, char name[64])
{
    WCHAR wide[64];
    unique_name(wide);
    to_narrow(name, wide);
    CHECK_STATUS(create_port(conn, wide), STATUS_SUCCESS, SETUP);
}

/* A server loop over `conn`: accepts and answers everything; counts. */
struct server {
    HANDLE conn;
    HANDLE ports[64];   /* by index: PortContext - 1 */
    BOOL completed[64]; /* the client has sent something, so its connect is complete */
    LONG opened, closed, died, requests, datagrams, failures;
    LONG volatile stop;
};

static void serve_one(struct server *s, struct msg *m, PVOID port_context)
{
    HANDLE srv;
    NTSTATUS status;
    ULONG_PTR index = (ULONG_PTR)port_context - 1;
    if (index < 64 && (m->h.Type == LPC_REQUEST || m->h.Type == LPC_DATAGRAM))
        s->completed[index] = TRUE;
    switch (m->h.Type) {
    case LPC_CONNECTION_REQUEST:
        status = NtAcceptConnectPort(&srv, (PVOID)(ULONG_PTR)(s->opened + 1), &m->h, TRUE, NULL, NULL);
        if (status == STATUS_SUCCESS) {
            s->ports[s->opened++] = srv;
            status = NtCompleteConnectPort(srv);
        }
        /* The client may be dead by now. */
        if (status != STATUS_SUCCESS && status != STATUS_INVALID_CID && status != STATUS_REPLY_MESSAGE_MISMATCH)
            s->failures++;
        break;
    case LPC_REQUEST:
        s->requests++;
        status = NtReplyPort(s->conn, &m->h);
        if (status != STATUS_SUCCESS && status != STATUS_INVALID_CID && status != STATUS_REPLY_MESSAGE_MISMATCH)
            s->failures++;
        break;
    case LPC_DATAGRAM:
        s->datagrams++;
        break;
    case LPC_CLIENT_DIED:
        s->died++;
        break;
    case LPC_PORT_CLOSED:
        s->closed++;
        if (index >= 64 || s->ports[index] == NULL || NtClose(s->ports[index]) != STATUS_SUCCESS)
            s->failures++;
        else
            s->ports[index] = NULL;
        break;
    default:
        s->failures++;
        break;
    }
}

static void serve(void *arg)
{
    struct server *s = arg;
    struct msg m;
    PVOID port_context;
    while (!s->stop) {
        NTSTATUS status = receive_within(s->conn, &port_context, &m, 50);
        if (status == STATUS_SUCCESS)
            serve_one(s, &m, port_context);
        else if (status != STATUS_TIMEOUT)
            s->failures++;
    }
    /* What is left when the clients are gone. */
    while (receive_within(s->conn, &port_context, &m, 200) == STATUS_SUCCESS)
        serve_one(s, &m, port_context);
}

/* Sends until killed; ends by itself when the server is gone. Returns what ended it. */
static NTSTATUS send_until_it_ends(HANDLE port)
{
    struct msg m;
    for (ULONG i = 0;; i++) {
        NTSTATUS status;
        msg_init(&m, (USHORT)(i % 64));
        status = i % 3 == 0 ? NtRequestPort(port, &m.h) : NtRequestWaitReplyPort(port, &m.h, &m.h);
        if (status == STATUS_NO_MEMORY || status == STATUS_INSUFFICIENT_RESOURCES)
            Sleep(1);
        else if (status != STATUS_SUCCESS)
            return status;
    }
}

ROLE(client)
{
    HANDLE port;
    if (connect_port(&port, wide_arg(0)) != STATUS_SUCCESS)
        return EXIT_FAILED;
    NtRegisterThreadTerminatePort(port);
    send_until_it_ends(port);
    return EXIT_PASSED;
}

TEST(client_processes)
{
    enum { ROUNDS = 8, CLIENTS = 3 };
    static struct server server;
    struct worker worker;
    struct child children[CLIENTS];
    char name[64];
    memset(&server, 0, sizeof server);
    open_port(&server.conn, name);
    REQUIRE(spawn(&worker, serve, &server), SETUP);
    for (int round = 0; round < ROUNDS; round++) {
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
    note("%ld connections, %ld requests, %ld datagrams, %ld deaths, %ld closed", server.opened, server.requests,
         server.datagrams, server.died, server.closed);
    CHECK_EQ(server.failures, 0, lpc(190));
    /* A client killed between accept and complete leaves no LPC_PORT_CLOSED (lpc §3.5), but a dead port. */
    for (int i = 0; i < server.opened; i++) {
        struct msg m;
        if (server.ports[i] == NULL)
            continue;
        context("connection %d", i);
        msg_init(&m, 0);
        CHECK(!server.completed[i], lpc(190));
        CHECK_STATUS(NtRequestPort(server.ports[i], &m.h), STATUS_PORT_DISCONNECTED, lpc(204));
        CHECK_STATUS(NtClose(server.ports[i]), STATUS_SUCCESS, SETUP);
    }
    context(NULL);
    /* A client killed between connecting and registering leaves no CLIENT_DIED. */
    CHECK(server.died <= server.opened, lpc(194));

    /* The port serves on. */
    server.stop = FALSE;
    REQUIRE(spawn(&worker, serve, &server), SETUP);
    WCHAR wide[64];
    HANDLE port;
    struct msg m;
    to_wide(wide, name);
    CHECK_STATUS(connect_port(&port, wide), STATUS_SUCCESS, SETUP);
    for (int i = 0; i < 100; i++) {
        msg_init(&m, 8);
        CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS, SETUP);
    }
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
    server.stop = TRUE;
    join(&worker);
    CHECK_STATUS(NtClose(server.conn), STATUS_SUCCESS, SETUP);
}

struct sender {
    volatile LONG runs, registered;
    HANDLE port;
    NTSTATUS status;
};

static void send_run(void *arg)
{
    struct sender *s = arg;
    s->runs = TRUE;
    s->registered = NtRegisterThreadTerminatePort(s->port) == STATUS_SUCCESS;
    s->status = send_until_it_ends(s->port);
}

/* A server with a thread of its own, and a connection to it. */
static BOOL served_open(struct server *server, struct worker *worker, HANDLE *port)
{
    struct worker connector;
    struct connecting connecting;
    char name[64];
    WCHAR wide[64];
    memset(server, 0, sizeof *server);
    open_port(&server->conn, name);
    to_wide(wide, name);
    connect_init(&connecting, wide);
    if (!CHECK(spawn(worker, serve, server), SETUP) || !CHECK(connect_start(&connecting, &connector), SETUP))
        return FALSE;
    join(&connector);
    *port = connecting.port;
    return CHECK_STATUS(connecting.status, STATUS_SUCCESS, SETUP);
}

/* Ends both; the port has closed once, whatever became of its threads. */
static void served_close(struct server *server, struct worker *worker, HANDLE port)
{
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
    server->stop = TRUE;
    join(worker);
    note("%ld requests, %ld datagrams, %ld deaths", server->requests, server->datagrams, server->died);
    CHECK_EQ(server->failures, 0, lpc(207));
    CHECK_EQ(server->closed, 1, lpc(198));
    CHECK_STATUS(NtClose(server->conn), STATUS_SUCCESS, SETUP);
}

TEST(client_threads)
{
    enum { ROUNDS = 12, THREADS = 3 };
    static struct server server;
    struct sender senders[THREADS];
    struct worker worker, threads[THREADS];
    HANDLE port;
    struct msg m;
    REQUIRE(served_open(&server, &worker, &port), SETUP);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < THREADS; i++) {
            senders[i].port = port;
            senders[i].registered = FALSE;
            REQUIRE(spawn(&threads[i], send_run, &senders[i]), SETUP);
        }
        /* A thread killed before it registered its port is not announced. */
        for (int i = 0; i < THREADS; i++)
            while (!senders[i].registered)
                Sleep(1);
        Sleep(20 + random_below(30));
        for (int i = 0; i < THREADS; i++) {
            CHECK(TerminateThread(threads[i].thread, 0), SETUP);
            join_killed(&threads[i]);
        }
        msg_init(&m, 8);
        CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS, lpc(207));
    }
    served_close(&server, &worker, port);
    CHECK_EQ(server.died, ROUNDS * THREADS, lpc(200));
}

/* Ends threads in their first calls, which make what later ones use. */
TEST(young_threads)
{
    enum { ROUNDS = 300, LONGEST_US = 400 };
    static struct server server;
    struct sender sender;
    struct worker worker, thread;
    HANDLE port;
    struct msg m;
    LARGE_INTEGER frequency, now, until;
    REQUIRE(served_open(&server, &worker, &port), SETUP);
    QueryPerformanceFrequency(&frequency);
    for (int round = 0; round < ROUNDS; round++) {
        sender.port = port;
        sender.runs = FALSE;
        REQUIRE(spawn(&thread, send_run, &sender), SETUP);
        /* A thread that begins holds locks of the system's. */
        while (!sender.runs)
            SwitchToThread();
        QueryPerformanceCounter(&until);
        until.QuadPart += frequency.QuadPart * random_below(LONGEST_US) / 1000000;
        do
            QueryPerformanceCounter(&now);
        while (now.QuadPart < until.QuadPart);
        CHECK(TerminateThread(thread.thread, 0), SETUP);
        join_killed(&thread);
        msg_init(&m, 8);
        CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS, lpc(207));
    }
    served_close(&server, &worker, port);
    CHECK(server.died <= ROUNDS, lpc(200));
}

ROLE(server)
{
    static struct server server;
    if (create_port(&server.conn, wide_arg(0)) != STATUS_SUCCESS)
        return EXIT_FAILED;
    SetEvent((HANDLE)role_arg_number(1));
    serve(&server);
    return EXIT_PASSED;
}

struct client {
    WCHAR name[64];
    NTSTATUS connected, ended;
};

static void client_run(void *arg)
{
    struct client *c = arg;
    HANDLE port;
    c->ended = STATUS_SUCCESS;
    c->connected = connect_port(&port, c->name);
    if (c->connected != STATUS_SUCCESS)
        return;
    c->ended = send_until_it_ends(port);
    NtClose(port);
}

TEST(server_processes)
{
    enum { ROUNDS = 8, CLIENTS = 3 };
    struct client clients[CLIENTS];
    struct worker workers[CLIENTS];
    struct child child;
    char name[64];
    WCHAR wide[64];
    unique_name(wide);
    to_narrow(name, wide);
    for (int round = 0; round < ROUNDS; round++) {
        HANDLE ready = inheritable_event(FALSE);
        REQUIRE(child_start(&child, "server", name, number((ULONG_PTR)ready), NULL), SETUP);
        CHECK_EQ(WaitForSingleObject(ready, INFINITE), WAIT_OBJECT_0, SETUP);
        for (int i = 0; i < CLIENTS; i++) {
            memcpy(clients[i].name, wide, sizeof wide);
            REQUIRE(spawn(&workers[i], client_run, &clients[i]), SETUP);
        }
        Sleep(random_below(60));
        child_kill(&child);
        child_join(&child);
        for (int i = 0; i < CLIENTS; i++) {
            join(&workers[i]);
            context("round %d: connected %#lx, ended %#lx", round, (ULONG)clients[i].connected,
                    (ULONG)clients[i].ended);
            if (clients[i].connected == STATUS_SUCCESS)
                CHECK(clients[i].ended == STATUS_LPC_REPLY_LOST || clients[i].ended == STATUS_PORT_DISCONNECTED,
                      lpc(203));
            else
                CHECK(clients[i].connected == STATUS_PORT_CONNECTION_REFUSED ||
                          clients[i].connected == STATUS_OBJECT_NAME_NOT_FOUND,
                      lpc(89));
        }
        context(NULL);
        CloseHandle(ready);
    }
}
