/*
 * Programs of other languages as servers and clients of ports: peer.go and peer.rs, built beside this one, meet each
 * other and the C ones here. A server takes four clients and ends when all have gone; each client sends 250 requests and
 * expects the first word back inverted in its low half and the second one incremented. `selftest` goes through the
 * runtime of the language: threads, files, processes, sockets, exceptions.
 */
#include "../lpctest.h"
#include <stdio.h>

enum { CLIENTS = 4, REQUESTS = 250 };

static WCHAR *port_name(void)
{
    static WCHAR name[64];
    to_wide(name, role_arg(0));
    return name;
}

ROLE(server)
{
    HANDLE conn, srv;
    struct msg m;
    PORT_MESSAGE *reply = NULL;
    int closed = 0;
    if (!CHECK_STATUS(create_port(&conn, port_name()), STATUS_SUCCESS, SETUP))
        return EXIT_FAILED;
    while (closed < CLIENTS) {
        if (!CHECK_STATUS(NtReplyWaitReceivePort(conn, NULL, reply, &m.h), STATUS_SUCCESS, lpc(117)))
            return EXIT_FAILED;
        reply = NULL;
        switch (m.h.Type & 0xFF) {
        case LPC_CONNECTION_REQUEST:
            CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &m.h, TRUE, NULL, NULL), STATUS_SUCCESS, lpc(76));
            CHECK_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, lpc(78));
            break;
        case LPC_REQUEST:
            ((ULONG *)m.data)[0] ^= 0xFFFF;
            ((ULONG *)m.data)[1]++;
            reply = &m.h;
            break;
        case LPC_PORT_CLOSED:
            closed++;
            break;
        }
    }
    return EXIT_PASSED;
}

static BOOL ask(WCHAR *text, ULONG client)
{
    UNICODE_STRING name = unicode(text);
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    NTSTATUS status = STATUS_OBJECT_NAME_NOT_FOUND;
    HANDLE port;
    for (int attempt = 0; attempt < 400 && status == STATUS_OBJECT_NAME_NOT_FOUND; attempt++) {
        if (attempt > 0)
            Sleep(50);
        status = NtConnectPort(&port, &name, &qos, NULL, NULL, NULL, NULL, NULL);
    }
    if (!CHECK_STATUS(status, STATUS_SUCCESS, lpc(78)))
        return FALSE;
    for (ULONG i = 0; i < REQUESTS; i++) {
        struct msg m;
        msg_init(&m, 16);
        ULONG sent[4] = {client, i, client * i, 0}, wanted[4] = {client ^ 0xFFFF, i + 1, client * i, 0};
        memcpy(m.data, sent, sizeof sent);
        if (!CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS, lpc(109)) ||
            !CHECK(memcmp(m.data, wanted, sizeof wanted) == 0, lpc(112)))
            return FALSE;
    }
    return CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}

struct asker {
    struct worker worker;
    WCHAR *name;
    ULONG client;
    BOOL passed;
};

static void ask_in_thread(void *arg)
{
    struct asker *asker = arg;
    asker->passed = ask(asker->name, asker->client);
}

ROLE(client)
{
    static struct asker askers[CLIENTS];
    int status = EXIT_PASSED;
    for (ULONG client = 0; client < CLIENTS; client++) {
        askers[client].name = port_name();
        askers[client].client = client;
        spawn(&askers[client].worker, ask_in_thread, &askers[client]);
    }
    for (ULONG client = 0; client < CLIENTS; client++) {
        join(&askers[client].worker);
        if (!askers[client].passed)
            status = EXIT_FAILED;
    }
    return status;
}

/* Starts NAME.exe, which lies beside this program. */
static HANDLE start(const char *program, const char *role, const char *argument)
{
    char line[MAX_PATH * 2], path[MAX_PATH];
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION process;
    GetModuleFileNameA(NULL, path, sizeof path);
    *(strrchr(path, '\\') + 1) = 0;
    snprintf(line, sizeof line, "\"%s%s.exe\" %s \"%s\"", path, program, role, argument);
    if (!CHECK(CreateProcessA(NULL, line, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &process), SETUP))
        return NULL;
    CloseHandle(process.hThread);
    return process.hProcess;
}

static void passes(HANDLE process)
{
    DWORD code = ~0u;
    if (!process)
        return;
    CHECK_EQ(WaitForSingleObject(process, 60000), WAIT_OBJECT_0, SETUP);
    GetExitCodeProcess(process, &code);
    CHECK_EQ(code, 0, SETUP);
    TerminateProcess(process, 1);
    CloseHandle(process);
}

/* NULL stands for the C roles of this program. */
static void meet(const char *server, const char *client)
{
    struct child server_child, client_child;
    HANDLE server_process = NULL, client_process = NULL;
    WCHAR wide[64];
    char name[64];
    unique_name(wide);
    to_narrow(name, wide);
    if (server)
        server_process = start(server, "server", name);
    else
        REQUIRE(child_start(&server_child, "server", name, NULL), SETUP);
    if (client)
        client_process = start(client, "client", name);
    else
        REQUIRE(child_start(&client_child, "client", name, NULL), SETUP);
    if (client)
        passes(client_process);
    else
        CHECK_EQ(child_join(&client_child), EXIT_PASSED, SETUP);
    if (server)
        passes(server_process);
    else
        CHECK_EQ(child_join(&server_child), EXIT_PASSED, SETUP);
}

TEST(c_server_c_client) { meet(NULL, NULL); }
TEST(c_server_go_client) { meet(NULL, "go"); }
TEST(go_server_c_client) { meet("go", NULL); }
TEST(go_server_rust_client) { meet("go", "rust"); }
TEST(rust_server_go_client) { meet("rust", "go"); }
TEST(rust_server_c_client) { meet("rust", NULL); }
TEST(c_server_rust_client) { meet(NULL, "rust"); }
TEST(go_runtime) { passes(start("go", "selftest", "")); }
TEST(rust_runtime) { passes(start("rust", "selftest", "")); }
