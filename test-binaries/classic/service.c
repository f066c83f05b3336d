/* A service that uses ports: services are started by another process than the one that asks for them. */
#include "../lpctest.h"
#include <stdio.h>

static SERVICE_STATUS_HANDLE status_handle;
static int result = EXIT_FAILED;

static void report(DWORD state)
{
    SERVICE_STATUS status = {.dwServiceType = SERVICE_WIN32_OWN_PROCESS, .dwCurrentState = state};
    SetServiceStatus(status_handle, &status);
}

static void WINAPI handle_control(DWORD control)
{
    (void)control;
}

static void WINAPI service_main(DWORD argc, WCHAR **argv)
{
    (void)argc;
    (void)argv;
    WCHAR name[64];
    struct msg m;
    HANDLE port;
    status_handle = RegisterServiceCtrlHandlerW(L"lpctest", handle_control);
    report(SERVICE_RUNNING);
    to_wide(name, role_arg(0));
    if (CHECK_STATUS(connect_port(&port, name), STATUS_SUCCESS, SETUP)) {
        msg_init(&m, 8);
        if (CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS, SETUP))
            result = EXIT_PASSED;
        NtClose(port);
    }
    report(SERVICE_STOPPED);
}

ROLE(service)
{
    SERVICE_TABLE_ENTRYW table[] = {{L"lpctest", service_main}, {NULL, NULL}};
    return StartServiceCtrlDispatcherW(table) ? result : EXIT_FAILED;
}

static SC_HANDLE install(SC_HANDLE manager, const char *port)
{
    WCHAR exe[MAX_PATH], line[2 * MAX_PATH], name[64];
    GetModuleFileNameW(NULL, exe, MAX_PATH);
    to_wide(name, port);
    _snwprintf(line, 2 * MAX_PATH, L"\"%ls\" --role service service_uses_a_port \"%ls\"", exe, name);
    return CreateServiceW(manager, L"lpctest", L"lpctest", SERVICE_ALL_ACCESS, SERVICE_WIN32_OWN_PROCESS,
                          SERVICE_DEMAND_START, SERVICE_ERROR_IGNORE, line, NULL, NULL, NULL, NULL, NULL);
}

TEST(service_uses_a_port)
{
    WCHAR wide[64];
    char name[64];
    HANDLE conn, srv;
    struct msg m;
    unique_name(wide);
    to_narrow(name, wide);
    REQUIRE_STATUS(create_port(&conn, wide), STATUS_SUCCESS, SETUP);
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_ALL_ACCESS);
    REQUIRE(manager != NULL, SETUP);
    SC_HANDLE service = install(manager, name);
    REQUIRE(service != NULL, SETUP);
    if (CHECK(StartServiceW(service, 0, NULL), SETUP)) {
        CHECK_STATUS(receive_within(conn, NULL, &m, 20000), STATUS_SUCCESS, SETUP);
        CHECK_EQ(m.h.Type, LPC_CONNECTION_REQUEST, SETUP);
        CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &m.h, TRUE, NULL, NULL), STATUS_SUCCESS, SETUP);
        CHECK_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, SETUP);
        CHECK_STATUS(receive_within(conn, NULL, &m, 20000), STATUS_SUCCESS, SETUP);
        CHECK_EQ(m.h.Type, LPC_REQUEST, SETUP);
        CHECK((DWORD)(ULONG_PTR)m.h.ClientId.UniqueProcess != GetCurrentProcessId(), SETUP);
        CHECK_STATUS(NtReplyPort(conn, &m.h), STATUS_SUCCESS, SETUP);
        CHECK_STATUS(receive_within(conn, NULL, &m, 20000), STATUS_SUCCESS, SETUP);
        CHECK_EQ(m.h.Type, LPC_PORT_CLOSED, SETUP);
        CHECK_STATUS(NtClose(srv), STATUS_SUCCESS, SETUP);
    }
    CHECK(DeleteService(service), SETUP);
    CloseServiceHandle(service);
    CloseServiceHandle(manager);
    CHECK_STATUS(NtClose(conn), STATUS_SUCCESS, SETUP);
}
