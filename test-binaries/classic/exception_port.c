/* The exception port of a process: lpc §4.5, §1.7, statements 211–216, 219. Each case is a process of its own. */
#include "../lpctest.h"

enum { ProcessExceptionPort = 8, DEBUG_DATA_LENGTH = WIDE_PORTS ? 0xA8 : 0x5C,
       DEBUG_TOTAL_LENGTH = WIDE_PORTS ? 0xD0 : 0x78 };

/* Enables or disables SeTcbPrivilege; FALSE if the token does not hold it. */
static BOOL set_tcb_privilege(BOOL enable)
{
    TOKEN_PRIVILEGES privileges = {.PrivilegeCount = 1};
    HANDLE token;
    privileges.Privileges[0].Luid.LowPart = 7; /* SE_TCB_PRIVILEGE, phnt ntseapi.h */
    privileges.Privileges[0].Attributes = enable ? SE_PRIVILEGE_ENABLED : 0;
    if (!CHECK(OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY, &token), SETUP))
        return FALSE;
    BOOL adjusted = AdjustTokenPrivileges(token, FALSE, &privileges, sizeof privileges, NULL, NULL) &&
                    GetLastError() == ERROR_SUCCESS;
    CloseHandle(token);
    return adjusted;
}

static NTSTATUS set_port(HANDLE *port, ULONG length)
{
    return NtSetInformationProcess(GetCurrentProcess(), ProcessExceptionPort, port, length);
}

/* A debugger may be started first, which takes its time: receives of exceptions wait for a minute. */
enum { NO_PRIVILEGE = 50 };

ROLE(setter)
{
    WCHAR name[64];
    HANDLE conn, port;
    ULONG returned;
    unique_name(name);
    if (!CHECK_STATUS(create_port(&conn, name), STATUS_SUCCESS, SETUP))
        return EXIT_FAILED;
    CHECK_STATUS(NtQueryInformationProcess(GetCurrentProcess(), ProcessExceptionPort, &port, sizeof port, &returned),
                 STATUS_INVALID_INFO_CLASS, lpc(212));
    set_tcb_privilege(FALSE);
    CHECK_STATUS(set_port(&conn, sizeof conn), STATUS_PRIVILEGE_NOT_HELD, lpc(213));
    if (!set_tcb_privilege(TRUE))
        return NO_PRIVILEGE;
    CHECK_STATUS(set_port(&conn, sizeof conn - 1), STATUS_INFO_LENGTH_MISMATCH, lpc(213));
    CHECK_STATUS(set_port(&conn, sizeof conn + 4), STATUS_INFO_LENGTH_MISMATCH, lpc(213));
    HANDLE none = NULL, event = CreateEventW(NULL, TRUE, FALSE, NULL);
    CHECK_STATUS(set_port(&none, sizeof none), STATUS_INVALID_HANDLE, lpc(211));
    CHECK_STATUS(set_port(&event, sizeof event), STATUS_OBJECT_TYPE_MISMATCH, lpc(211));
    CHECK_STATUS(set_port(&conn, sizeof conn), STATUS_SUCCESS, lpc(211));
    CHECK_STATUS(set_port(&conn, sizeof conn), STATUS_PORT_ALREADY_SET, lpc(211));
    return EXIT_PASSED;
}

TEST(setting_the_port)
{
    struct child child;
    NEED(NtSetInformationProcess);
    NEED(NtQueryInformationProcess);
    REQUIRE(child_start(&child, "setter", NULL), SETUP);
    DWORD code = child_join(&child);
    if (code == NO_PRIVILEGE)
        skip(lpc(211), "this user does not hold SeTcbPrivilege");
    else
        CHECK_EQ(code, EXIT_PASSED, lpc(211));
}

static LONG resumed;

/* Where the server lets the faulting thread go on. */
static DECLSPEC_NORETURN void after_the_fault(void)
{
    InterlockedExchange(&resumed, 1);
    ExitThread(0x600D);
}

struct faulting {
    HANDLE port; /* registered and used for requests first, if not NULL */
    struct msg m;
};

static DWORD WINAPI fault(LPVOID arg)
{
    struct faulting *f = arg;
    if (f->port != NULL) {
        NtRegisterThreadTerminatePort(f->port);
        for (int i = 0; i < 10; i++) {
            msg_init(&f->m, 4);
            if (NtRequestWaitReplyPort(f->port, &f->m.h, &f->m.h) != STATUS_SUCCESS)
                return 1;
        }
    }
    int volatile *volatile bad_address = (int volatile *)(ULONG_PTR)0x10;
    *bad_address = 1;
    return 0;
}

static LONG WINAPI pass_on(EXCEPTION_POINTERS *unused)
{
    (void)unused;
    return EXCEPTION_CONTINUE_SEARCH;
}

static BOOL redirect(HANDLE thread)
{
    CONTEXT registers = {.ContextFlags = CONTEXT_FULL};
    if (!CHECK(GetThreadContext(thread, &registers), lpc(216)))
        return FALSE;
#ifdef _WIN64
    registers.Rip = (ULONG64)(ULONG_PTR)after_the_fault;
    registers.Rsp = (registers.Rsp & ~(ULONG64)15) - 0x108;
#else
    registers.Eip = (ULONG)(ULONG_PTR)after_the_fault;
    registers.Esp = (registers.Esp & ~15u) - 0x104;
#endif
    return CHECK(SetThreadContext(thread, &registers), lpc(216));
}

/* Checks the LPC_EXCEPTION in `m` and lets `thread` go on elsewhere. */
static BOOL handle_exception(HANDLE conn, struct msg *m, DWORD tid, HANDLE thread)
{
    DBGKM_EXCEPTION_MSG *exception = (DBGKM_EXCEPTION_MSG *)m;
    CLIENT_ID id = client_id(GetCurrentProcessId(), tid);
    CHECK_EQ(m->h.Type, LPC_EXCEPTION, lpc(214));
    CHECK_EQ(m->h.DataLength, DEBUG_DATA_LENGTH, lpc(214));
    CHECK_EQ(m->h.TotalLength, DEBUG_TOTAL_LENGTH, lpc(214));
    CHECK(same_client(&m->h.ClientId, &id), lpc(214));
    CHECK_EQ(exception->ApiNumber, 0, lpc(215));
    CHECK_STATUS(exception->ReturnedStatus, STATUS_PENDING, lpc(215));
    CHECK_STATUS((NTSTATUS)exception->Exception.ExceptionRecord.ExceptionCode, STATUS_ACCESS_VIOLATION, lpc(214));
    CHECK_EQ(exception->Exception.ExceptionRecord.ExceptionInformation[1], 0x10, lpc(214));
    CHECK_EQ(exception->Exception.FirstChance, 0, lpc(214));
    if (!redirect(thread))
        return FALSE;
    exception->ReturnedStatus = DBG_CONTINUE;
    return CHECK_STATUS(NtReplyPort(conn, &m->h), STATUS_SUCCESS, lpc(216));
}

static BOOL become_own_exception_port(HANDLE conn)
{
    SetUnhandledExceptionFilter(pass_on);
    return set_tcb_privilege(TRUE) && CHECK_STATUS(set_port(&conn, sizeof conn), STATUS_SUCCESS, lpc(211));
}

ROLE(faulter)
{
    static struct faulting faulting;
    PVOID port_context = UNTOUCHED;
    struct msg m;
    WCHAR name[64];
    HANDLE conn;
    DWORD tid, code = 0;
    unique_name(name);
    if (!CHECK_STATUS(create_port(&conn, name), STATUS_SUCCESS, SETUP))
        return EXIT_FAILED;
    if (!become_own_exception_port(conn))
        return NO_PRIVILEGE;
    HANDLE thread = CreateThread(NULL, 0, fault, &faulting, 0, &tid);
    if (!CHECK_STATUS(receive_within(conn, &port_context, &m, 60000), STATUS_SUCCESS, lpc(214)))
        return EXIT_FAILED;
    CHECK_PTR(port_context, NULL, lpc(214));
    if (!handle_exception(conn, &m, tid, thread))
        return EXIT_FAILED;
    CHECK_EQ(WaitForSingleObject(thread, INFINITE), WAIT_OBJECT_0, lpc(216));
    CHECK(GetExitCodeThread(thread, &code), SETUP);
    CHECK_EQ(code, 0x600D, lpc(216));
    CHECK_EQ(resumed, 1, lpc(216));
    return EXIT_PASSED;
}

TEST(unhandled_fault)
{
    struct child child;
    NEED(NtSetInformationProcess);
    REQUIRE(child_start(&child, "faulter", NULL), SETUP);
    DWORD code = child_join(&child);
    if (code == NO_PRIVILEGE)
        skip(lpc(214), "this user does not hold SeTcbPrivilege");
    else
        CHECK_EQ(code, EXIT_PASSED, lpc(214));
}

/* One connection, ten requests, one exception, one death: what a server loop sees. */
ROLE(looper)
{
    static struct faulting faulting;
    ULONG counts[16] = {0};
    struct connecting connecting;
    struct worker connector;
    struct msg m;
    WCHAR name[64];
    HANDLE conn, srv = NULL, thread = NULL;
    DWORD tid = 0;
    unique_name(name);
    if (!CHECK_STATUS(create_port(&conn, name), STATUS_SUCCESS, SETUP))
        return EXIT_FAILED;
    if (!become_own_exception_port(conn))
        return NO_PRIVILEGE;
    connect_init(&connecting, name);
    connect_start(&connecting, &connector);
    while (counts[LPC_CLIENT_DIED] == 0) {
        if (!CHECK_STATUS(receive_within(conn, NULL, &m, 60000), STATUS_SUCCESS, lpc(219)))
            return EXIT_FAILED;
        counts[m.h.Type & 15]++;
        switch (m.h.Type) {
        case LPC_CONNECTION_REQUEST:
            CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &m.h, TRUE, NULL, NULL), STATUS_SUCCESS, lpc(219));
            /* The connecting thread registers no port: its death would be told to the exception port too. */
            CHECK_STATUS(NtCompleteConnectPort(srv), STATUS_SUCCESS, lpc(219));
            WaitForSingleObject(connector.thread, INFINITE);
            CHECK_STATUS(receive_within(conn, NULL, &m, 10000), STATUS_SUCCESS, SETUP);
            CHECK_EQ(m.h.Type, LPC_CLIENT_DIED, SETUP);
            faulting.port = connecting.port;
            thread = CreateThread(NULL, 0, fault, &faulting, 0, &tid);
            break;
        case LPC_REQUEST:
            CHECK_STATUS(NtReplyPort(srv, &m.h), STATUS_SUCCESS, lpc(219));
            break;
        case LPC_EXCEPTION:
            handle_exception(conn, &m, tid, thread);
            break;
        default:
            break;
        }
    }
    CHECK_STATUS(receive_within(conn, NULL, &m, 100), STATUS_TIMEOUT, lpc(219));
    CHECK_EQ(counts[LPC_CONNECTION_REQUEST], 1, lpc(219));
    CHECK_EQ(counts[LPC_REQUEST], 10, lpc(219));
    CHECK_EQ(counts[LPC_EXCEPTION], 1, lpc(219));
    CHECK_EQ(counts[LPC_CLIENT_DIED], 1, lpc(219));
    return EXIT_PASSED;
}

TEST(loop_of_a_server_that_is_its_own_exception_port)
{
    struct child child;
    NEED(NtSetInformationProcess);
    REQUIRE(child_start(&child, "looper", NULL), SETUP);
    DWORD code = child_join(&child);
    if (code == NO_PRIVILEGE)
        skip(lpc(219), "this user does not hold SeTcbPrivilege");
    else
        CHECK_EQ(code, EXIT_PASSED, lpc(219));
}
