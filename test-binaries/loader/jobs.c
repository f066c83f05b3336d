/* Job objects: who belongs to them, what ends their processes, what they tell. Microsoft Learn "Job Objects". */
#include "../lpctest.h"
#include <string.h>

WITHOUT_PORTS

/* Waits until an event is set that ends it. */
ROLE(waits)
{
    HANDLE go = (HANDLE)role_arg_number(0);
    WaitForSingleObject(go, INFINITE);
    return 7;
}

/* Makes a child of its own that waits, says whether it is in a job, and waits. */
ROLE(has_child)
{
    HANDLE go = (HANDLE)role_arg_number(0), ready = (HANDLE)role_arg_number(1);
    struct child child;
    BOOL in_job = FALSE;
    if (!child_start(&child, "waits", number((ULONG_PTR)go), NULL) || !IsProcessInJob(child.process, NULL, &in_job) || !in_job)
        return 1;
    SetEvent(ready);
    WaitForSingleObject(go, INFINITE);
    return 7;
}

/* Puts itself into a job that dies with it, starts a child, and ends without closing anything. */
ROLE(leaves_child)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    struct child child;
    HANDLE job = CreateJobObjectW(NULL, NULL), write = (HANDLE)role_arg_number(1);
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    if (!SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits) || !AssignProcessToJobObject(job, GetCurrentProcess()))
        return 1;
    if (!child_start(&child, "waits", role_arg(0), NULL))
        return 2;
    DWORD done;
    WriteFile(write, &child.pid, sizeof child.pid, &done, NULL);
    ExitProcess(3);
}

static BOOL in_job(HANDLE process, HANDLE job)
{
    BOOL answer = -1;
    CHECK(IsProcessInJob(process, job, &answer), SETUP);
    return answer;
}

static BOOL limit(HANDLE job, DWORD flags)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    limits.BasicLimitInformation.LimitFlags = flags;
    return SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);
}

TEST(children_of_members_are_members)
{
    HANDLE job = CreateJobObjectW(NULL, NULL), go = inheritable_event(TRUE);
    struct child child;
    CHECK(!in_job(GetCurrentProcess(), job), SETUP);
    REQUIRE(child_start(&child, "waits", number((ULONG_PTR)go), NULL), SETUP);
    CHECK(!in_job(child.process, job), SETUP);
    SetEvent(go);
    CHECK_EQ(child_join(&child), 7, SETUP);
    ResetEvent(go);

    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION counts;
    struct { JOBOBJECT_BASIC_PROCESS_ID_LIST list; ULONG_PTR more[7]; } ids;
    REQUIRE(child_start(&child, "waits", number((ULONG_PTR)go), NULL), SETUP);
    REQUIRE(AssignProcessToJobObject(job, child.process), SETUP);
    CHECK(in_job(child.process, job), SETUP);
    CHECK(in_job(child.process, NULL), SETUP);
    CHECK(QueryInformationJobObject(job, JobObjectBasicProcessIdList, &ids, sizeof ids, NULL), SETUP);
    CHECK_EQ(ids.list.NumberOfAssignedProcesses, 1, SETUP);
    CHECK_EQ(ids.list.NumberOfProcessIdsInList, 1, SETUP);
    CHECK_EQ(ids.list.ProcessIdList[0], child.pid, SETUP);
    SetEvent(go);
    child_join(&child);
    CHECK(QueryInformationJobObject(job, JobObjectBasicAccountingInformation, &counts, sizeof counts, NULL), SETUP);
    CHECK_EQ(counts.TotalProcesses, 1, SETUP);
    CHECK_EQ(counts.ActiveProcesses, 0, SETUP);
    CloseHandle(job);
    CloseHandle(go);
}

/* Starts a process and a child of it in a job whose handle they do not keep. */
static BOOL start_tree(struct child *child, HANDLE job, HANDLE go, HANDLE ready)
{
    return child_start(child, "held", number((ULONG_PTR)go), number((ULONG_PTR)ready), number((ULONG_PTR)job), NULL) &&
           SetHandleInformation(job, HANDLE_FLAG_INHERIT, 0) && WaitForSingleObject(ready, 10000) == WAIT_OBJECT_0;
}

/* Joins the job whose handle it inherited, then is as has_child. */
ROLE(held)
{
    if (!AssignProcessToJobObject((HANDLE)role_arg_number(2), GetCurrentProcess()))
        return 1;
    CloseHandle((HANDLE)role_arg_number(2));
    return role_has_child();
}

static HANDLE inheritable_job(void)
{
    SECURITY_ATTRIBUTES inherit = {sizeof inherit, NULL, TRUE};
    return CreateJobObjectA(&inherit, NULL);
}

TEST(terminating_a_job_ends_the_tree)
{
    HANDLE job = inheritable_job(), go = inheritable_event(TRUE), ready = inheritable_event(TRUE);
    struct child child;
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION counts;
    struct { JOBOBJECT_BASIC_PROCESS_ID_LIST list; ULONG_PTR more[7]; } ids;
    REQUIRE(start_tree(&child, job, go, ready), SETUP);
    CHECK(QueryInformationJobObject(job, JobObjectBasicAccountingInformation, &counts, sizeof counts, NULL), SETUP);
    CHECK_EQ(counts.TotalProcesses, 2, SETUP);
    CHECK_EQ(counts.ActiveProcesses, 2, SETUP);
    CHECK(QueryInformationJobObject(job, JobObjectBasicProcessIdList, &ids, sizeof ids, NULL), SETUP);
    CHECK_EQ(ids.list.NumberOfProcessIdsInList, 2, SETUP);
    CHECK(!QueryInformationJobObject(job, JobObjectBasicProcessIdList, &ids, sizeof ids.list, NULL), SETUP);
    CHECK_EQ(GetLastError(), ERROR_MORE_DATA, SETUP);
    CHECK_EQ(ids.list.NumberOfAssignedProcesses, 2, SETUP);
    CHECK_EQ(ids.list.NumberOfProcessIdsInList, 1, SETUP);
    DWORD other = (DWORD)ids.more[0];
    if (other == child.pid)
        other = (DWORD)ids.list.ProcessIdList[0];
    HANDLE grandchild = OpenProcess(SYNCHRONIZE | PROCESS_QUERY_INFORMATION, FALSE, other);
    CHECK(grandchild != NULL, SETUP);
    CHECK(TerminateJobObject(job, 0x1234), SETUP);
    CHECK_EQ(child_join(&child), 0x1234, SETUP);
    CHECK_EQ(WaitForSingleObject(grandchild, 10000), WAIT_OBJECT_0, SETUP);
    DWORD code = 0;
    CHECK(GetExitCodeProcess(grandchild, &code), SETUP);
    CHECK_EQ(code, 0x1234, SETUP);
    CHECK(QueryInformationJobObject(job, JobObjectBasicAccountingInformation, &counts, sizeof counts, NULL), SETUP);
    CHECK_EQ(counts.ActiveProcesses, 0, SETUP);
    CloseHandle(grandchild);
    CloseHandle(job);
    CloseHandle(go);
    CloseHandle(ready);
}

TEST(the_last_handle_ends_the_tree)
{
    HANDLE job = inheritable_job(), go = inheritable_event(TRUE), ready = inheritable_event(TRUE), copy;
    struct child child;
    struct { JOBOBJECT_BASIC_PROCESS_ID_LIST list; ULONG_PTR more[7]; } ids;
    CHECK(limit(job, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE), SETUP);
    REQUIRE(start_tree(&child, job, go, ready), SETUP);
    CHECK(QueryInformationJobObject(job, JobObjectBasicProcessIdList, &ids, sizeof ids, NULL), SETUP);
    DWORD other = (DWORD)(ids.list.ProcessIdList[0] == child.pid ? ids.more[0] : ids.list.ProcessIdList[0]);
    HANDLE grandchild = OpenProcess(SYNCHRONIZE, FALSE, other);
    CHECK(DuplicateHandle(GetCurrentProcess(), job, GetCurrentProcess(), &copy, 0, FALSE, DUPLICATE_SAME_ACCESS), SETUP);
    CloseHandle(job);
    CHECK_EQ(WaitForSingleObject(child.process, 100), WAIT_TIMEOUT, SETUP);
    CloseHandle(copy);
    CHECK_EQ(WaitForSingleObject(child.process, 10000), WAIT_OBJECT_0, SETUP);
    CHECK_EQ(WaitForSingleObject(grandchild, 10000), WAIT_OBJECT_0, SETUP);
    child_join(&child);
    CloseHandle(grandchild);
    CloseHandle(go);
    CloseHandle(ready);
}

TEST(the_end_of_the_creator_ends_the_tree)
{
    SECURITY_ATTRIBUTES inherit = {sizeof inherit, NULL, TRUE};
    HANDLE read, write, go = inheritable_event(TRUE);
    struct child child;
    DWORD pid = 0, done;
    REQUIRE(CreatePipe(&read, &write, &inherit, 0), SETUP);
    REQUIRE(child_start(&child, "leaves_child", number((ULONG_PTR)go), number((ULONG_PTR)write), NULL), SETUP);
    CHECK(ReadFile(read, &pid, sizeof pid, &done, NULL), SETUP);
    HANDLE grandchild = OpenProcess(SYNCHRONIZE, FALSE, pid);
    CHECK_EQ(child_join(&child), 3, SETUP);
    if (grandchild != NULL)
        CHECK_EQ(WaitForSingleObject(grandchild, 10000), WAIT_OBJECT_0, SETUP);
    CloseHandle(grandchild);
    CloseHandle(read);
    CloseHandle(write);
    CloseHandle(go);
}

static BOOL message(HANDLE port, DWORD *message, DWORD *pid)
{
    ULONG_PTR key = 0;
    OVERLAPPED *overlapped = NULL;
    if (!GetQueuedCompletionStatus(port, message, &key, &overlapped, 10000))
        return FALSE;
    *pid = (DWORD)(ULONG_PTR)overlapped;
    return key == 0x77;
}

TEST(a_port_is_told)
{
    HANDLE job = CreateJobObjectW(NULL, NULL), go = inheritable_event(TRUE), port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    JOBOBJECT_ASSOCIATE_COMPLETION_PORT associate = {(void *)0x77, port};
    struct child first, second;
    DWORD what = 0, pid = 0;
    REQUIRE(child_start(&first, "waits", number((ULONG_PTR)go), NULL), SETUP);
    REQUIRE(child_start(&second, "waits", number((ULONG_PTR)go), NULL), SETUP);
    CHECK(AssignProcessToJobObject(job, first.process), SETUP);
    CHECK(SetInformationJobObject(job, JobObjectAssociateCompletionPortInformation, &associate, sizeof associate), SETUP);
    CHECK(message(port, &what, &pid), SETUP);
    CHECK_EQ(what, JOB_OBJECT_MSG_NEW_PROCESS, SETUP);
    CHECK_EQ(pid, first.pid, SETUP);
    CHECK(AssignProcessToJobObject(job, second.process), SETUP);
    CHECK(message(port, &what, &pid), SETUP);
    CHECK_EQ(what, JOB_OBJECT_MSG_NEW_PROCESS, SETUP);
    CHECK_EQ(pid, second.pid, SETUP);
    SetEvent(go);
    for (int i = 0; i < 2; i++) {
        CHECK(message(port, &what, &pid), SETUP);
        CHECK_EQ(what, JOB_OBJECT_MSG_EXIT_PROCESS, SETUP);
        CHECK(pid == first.pid || pid == second.pid, SETUP);
    }
    CHECK(message(port, &what, &pid), SETUP);
    CHECK_EQ(what, JOB_OBJECT_MSG_ACTIVE_PROCESS_ZERO, SETUP);
    child_join(&first);
    child_join(&second);
    CloseHandle(job);
    CloseHandle(port);
    CloseHandle(go);
}

/* In a job of its own: breaking away needs its leave. */
ROLE(breaks_away)
{
    HANDLE job = CreateJobObjectW(NULL, NULL);
    JOBOBJECT_BASIC_LIMIT_INFORMATION own;
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION made;
    BOOL is_in = TRUE;
    char path[MAX_PATH];
    GetModuleFileNameA(NULL, path, sizeof path);
    if (!AssignProcessToJobObject(job, GetCurrentProcess()) || !IsProcessInJob(GetCurrentProcess(), NULL, &is_in) || !is_in)
        return 1;
    char line[] = "x --list";
    if (CreateProcessA(path, line, NULL, NULL, FALSE, CREATE_BREAKAWAY_FROM_JOB | CREATE_SUSPENDED, NULL, NULL, &startup, &made))
        return 2;
    if (GetLastError() != ERROR_ACCESS_DENIED)
        return 3;
    if (!limit(job, JOB_OBJECT_LIMIT_BREAKAWAY_OK))
        return 4;
    if (!CreateProcessA(path, line, NULL, NULL, FALSE, CREATE_BREAKAWAY_FROM_JOB | CREATE_SUSPENDED, NULL, NULL, &startup, &made))
        return 5;
    if (!IsProcessInJob(made.hProcess, job, &is_in) || is_in)
        return 6;
    TerminateProcess(made.hProcess, 0);
    if (!QueryInformationJobObject(NULL, JobObjectBasicLimitInformation, &own, sizeof own, NULL) || own.LimitFlags != JOB_OBJECT_LIMIT_BREAKAWAY_OK)
        return 7;
    if (!limit(job, JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK))
        return 8;
    if (!CreateProcessA(path, line, NULL, NULL, FALSE, CREATE_SUSPENDED, NULL, NULL, &startup, &made))
        return 9;
    if (!IsProcessInJob(made.hProcess, job, &is_in) || is_in)
        return 10;
    TerminateProcess(made.hProcess, 0);
    JOBOBJECT_BASIC_LIMIT_INFORMATION most = {.LimitFlags = JOB_OBJECT_LIMIT_ACTIVE_PROCESS, .ActiveProcessLimit = 1};
    if (!SetInformationJobObject(job, JobObjectBasicLimitInformation, &most, sizeof most))
        return 11;
    if (CreateProcessA(path, line, NULL, NULL, FALSE, CREATE_SUSPENDED, NULL, NULL, &startup, &made))
        return 12;
    if (GetLastError() != ERROR_NOT_ENOUGH_QUOTA)
        return 13;
    return 0;
}

TEST(breaking_away_needs_leave)
{
    struct child child;
    REQUIRE(child_start(&child, "breaks_away", NULL), SETUP);
    CHECK_EQ(child_join(&child), 0, SETUP);
}

TEST(lengths_and_limits_are_checked)
{
    HANDLE job = CreateJobObjectW(NULL, NULL);
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    CHECK(!SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, 4), SETUP);
    CHECK_EQ(GetLastError(), ERROR_BAD_LENGTH, SETUP);
    CHECK(limit(job, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_BREAKAWAY_OK), SETUP);
    CHECK(QueryInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits, NULL), SETUP);
    CHECK_EQ(limits.BasicLimitInformation.LimitFlags, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_BREAKAWAY_OK, SETUP);
    CHECK(!QueryInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits - 1, NULL), SETUP);
    CHECK_EQ(GetLastError(), ERROR_BAD_LENGTH, SETUP);
    CloseHandle(job);
}
