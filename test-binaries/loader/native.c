/* What native programs and language runtimes ask of ntdll and its neighbours: alerts, files by name, counted strings, names of
 * machine and user, providers of events, paths as texts. Microsoft Learn; phnt. */
#include "../lpctest.h"
#include <stdio.h>
#include <string.h>

WITHOUT_PORTS

static void *export_of(const char *dll, const char *name)
{
    return (void *)GetProcAddress(LoadLibraryA(dll), name);
}

typedef NTSTATUS NTAPI alert_thread(HANDLE id);
typedef NTSTATUS NTAPI wait_for_alert(void *address, LARGE_INTEGER *timeout);

static volatile LONG waits;

static DWORD WINAPI wait_to_be_alerted(void *wait)
{
    waits = 1;
    return (DWORD)((wait_for_alert *)wait)(NULL, NULL);
}

TEST(threads_are_alerted_by_number)
{
    alert_thread *NtAlertThreadByThreadId = export_of("ntdll.dll", "NtAlertThreadByThreadId");
    wait_for_alert *NtWaitForAlertByThreadId = export_of("ntdll.dll", "NtWaitForAlertByThreadId");
    LARGE_INTEGER timeout = {.QuadPart = -200000};
    HANDLE self = (HANDLE)(ULONG_PTR)GetCurrentThreadId();
    DWORD id, code;
    REQUIRE(NtAlertThreadByThreadId != NULL && NtWaitForAlertByThreadId != NULL, SETUP);
    CHECK_STATUS(NtWaitForAlertByThreadId(NULL, &timeout), STATUS_TIMEOUT, SETUP);
    /* An alert waits for its thread, once. */
    CHECK_STATUS(NtAlertThreadByThreadId(self), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlertThreadByThreadId(self), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtWaitForAlertByThreadId(NULL, &timeout), STATUS_ALERTED, SETUP);
    CHECK_STATUS(NtWaitForAlertByThreadId(NULL, &timeout), STATUS_TIMEOUT, SETUP);
    HANDLE thread = CreateThread(NULL, 0, wait_to_be_alerted, NtWaitForAlertByThreadId, 0, &id);
    REQUIRE(thread != NULL, SETUP);
    while (!waits)
        Sleep(1);
    CHECK_STATUS(NtAlertThreadByThreadId((HANDLE)(ULONG_PTR)id), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForSingleObject(thread, INFINITE), WAIT_OBJECT_0, SETUP);
    CHECK(GetExitCodeThread(thread, &code) && code == STATUS_ALERTED, SETUP);
    CloseHandle(thread);
    CHECK_STATUS(NtAlertThreadByThreadId((HANDLE)(ULONG_PTR)0xFFFFFFF0), STATUS_INVALID_CID, SETUP);
}

struct status_block {
    ULONG_PTR status, information;
};

typedef NTSTATUS NTAPI query_attributes(OBJECT_ATTRIBUTES *attributes, void *to);
typedef NTSTATUS NTAPI lock_file(HANDLE, HANDLE, void *, void *, struct status_block *, LARGE_INTEGER *, LARGE_INTEGER *, ULONG,
                                 BOOLEAN, BOOLEAN);
typedef NTSTATUS NTAPI unlock_file(HANDLE, struct status_block *, LARGE_INTEGER *, LARGE_INTEGER *, ULONG);

enum { SHARE = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE };

/* Makes a file of three bytes that goes with its handle. */
static HANDLE new_file(WCHAR path[MAX_PATH])
{
    WCHAR folder[MAX_PATH];
    DWORD written;
    GetTempPathW(MAX_PATH, folder);
    _snwprintf(path, MAX_PATH, L"%lslpctest-native-%lu.tmp", folder, GetCurrentProcessId());
    HANDLE file = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, SHARE, NULL, CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, NULL);
    CHECK(file != INVALID_HANDLE_VALUE && WriteFile(file, "123", 3, &written, NULL), SETUP);
    return file;
}

TEST(files_are_described_by_name)
{
    query_attributes *NtQueryAttributesFile = export_of("ntdll.dll", "NtQueryAttributesFile");
    query_attributes *NtQueryFullAttributesFile = export_of("ntdll.dll", "NtQueryFullAttributesFile");
    WCHAR path[MAX_PATH], native[MAX_PATH + 16];
    struct {
        LARGE_INTEGER times[4];
        ULONG attributes, unused;
    } basic;
    struct {
        LARGE_INTEGER times[4], allocation, end;
        ULONG attributes, unused;
    } full;
    HANDLE file = new_file(path);
    _snwprintf(native, MAX_PATH + 4, L"\\??\\%ls", path);
    UNICODE_STRING name = unicode(native);
    OBJECT_ATTRIBUTES oa = attributes(&name);
    CHECK_STATUS(NtQueryAttributesFile(&oa, &basic), STATUS_SUCCESS, SETUP);
    CHECK(basic.times[2].QuadPart != 0 && !(basic.attributes & FILE_ATTRIBUTE_DIRECTORY), SETUP);
    CHECK_STATUS(NtQueryFullAttributesFile(&oa, &full), STATUS_SUCCESS, SETUP);
    CHECK_EQ(full.end.QuadPart, 3, SETUP);
    wcscat(native, L".none");
    name = unicode(native);
    CHECK_STATUS(NtQueryAttributesFile(&oa, &basic), STATUS_OBJECT_NAME_NOT_FOUND, SETUP);
    CloseHandle(file);
}

TEST(ranges_of_files_are_locked)
{
    lock_file *NtLockFile = export_of("ntdll.dll", "NtLockFile");
    unlock_file *NtUnlockFile = export_of("ntdll.dll", "NtUnlockFile");
    WCHAR path[MAX_PATH];
    struct status_block io;
    LARGE_INTEGER offset = {.QuadPart = 16}, length = {.QuadPart = 16};
    HANDLE file = new_file(path);
    HANDLE other = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, SHARE, NULL, OPEN_EXISTING, 0, NULL);
    CHECK_STATUS(NtLockFile(file, NULL, NULL, NULL, &io, &offset, &length, 0, TRUE, TRUE), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtLockFile(other, NULL, NULL, NULL, &io, &offset, &length, 0, TRUE, TRUE), STATUS_LOCK_NOT_GRANTED, SETUP);
    CHECK_STATUS(NtUnlockFile(file, &io, &offset, &length, 0), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtLockFile(other, NULL, NULL, NULL, &io, &offset, &length, 0, TRUE, TRUE), STATUS_SUCCESS, SETUP);
    CloseHandle(other);
    CloseHandle(file);
}

TEST(counted_strings)
{
    BOOLEAN NTAPI (*RtlEqualUnicodeString)(const UNICODE_STRING *, const UNICODE_STRING *, BOOLEAN) =
        export_of("ntdll.dll", "RtlEqualUnicodeString");
    WCHAR NTAPI (*RtlUpcaseUnicodeChar)(WCHAR) = export_of("ntdll.dll", "RtlUpcaseUnicodeChar");
    ULONG NTAPI (*RtlGetFullPathName_U)(const WCHAR *, ULONG, WCHAR *, WCHAR **) = export_of("ntdll.dll", "RtlGetFullPathName_U");
    ULONG NTAPI (*RtlGetCurrentDirectory_U)(ULONG, WCHAR *) = export_of("ntdll.dll", "RtlGetCurrentDirectory_U");
    UNICODE_STRING lower = unicode(L"\x00e4zz"), upper = unicode(L"\x00c4ZZ");
    WCHAR path[MAX_PATH], *leaf;
    CHECK(!RtlEqualUnicodeString(&lower, &upper, FALSE), SETUP);
    CHECK(RtlEqualUnicodeString(&lower, &upper, TRUE), SETUP);
    CHECK_EQ(RtlUpcaseUnicodeChar(0xe4), 0xc4, SETUP);
    CHECK_EQ(RtlGetFullPathName_U(L"C:\\a\\..\\b", sizeof path, path, &leaf), 2 * wcslen(L"C:\\b"), SETUP);
    CHECK(wcscmp(path, L"C:\\b") == 0 && wcscmp(leaf, L"b") == 0, SETUP);
    ULONG bytes = RtlGetCurrentDirectory_U(sizeof path, path);
    CHECK_EQ(bytes, 2 * wcslen(path), SETUP);
}

TEST(lock_of_the_process_block)
{
    char *NTAPI (*RtlGetCurrentPeb)(void) = export_of("ntdll.dll", "RtlGetCurrentPeb");
    CRITICAL_SECTION *lock = *(CRITICAL_SECTION **)(RtlGetCurrentPeb() + (sizeof(void *) == 8 ? 0x38 : 0x1c));
    ULONG_PTR low = 0, high = 0;
    VOID WINAPI (*GetCurrentThreadStackLimits)(ULONG_PTR *, ULONG_PTR *) = export_of("kernel32.dll", "GetCurrentThreadStackLimits");
    REQUIRE(lock != NULL, SETUP);
    EnterCriticalSection(lock);
    CHECK(TryEnterCriticalSection(lock), SETUP);
    LeaveCriticalSection(lock);
    LeaveCriticalSection(lock);
    GetCurrentThreadStackLimits(&low, &high);
    CHECK(low < (ULONG_PTR)&low && (ULONG_PTR)&low < high, SETUP);
}

TEST(names_of_machine_and_user)
{
    WCHAR name[256];
    char narrow[256];
    DWORD size = 256, needed = 0;
    BOOL WINAPI (*GetUserNameW)(WCHAR *, DWORD *) = export_of("advapi32.dll", "GetUserNameW");
    CHECK(GetComputerNameExW(ComputerNameDnsHostname, name, &size), SETUP);
    CHECK_EQ(size, wcslen(name), SETUP);
    CHECK(!GetComputerNameExW(ComputerNameDnsHostname, NULL, &needed) && GetLastError() == ERROR_MORE_DATA, SETUP);
    CHECK_EQ(needed, size + 1, SETUP);
    size = 256;
    CHECK(GetComputerNameExA(ComputerNamePhysicalDnsHostname, narrow, &size) && strlen(narrow) == size, SETUP);
    size = 256;
    CHECK(GetUserNameW(name, &size), SETUP);
    CHECK_EQ(size, wcslen(name) + 1, SETUP);
    size = 1;
    CHECK(!GetUserNameW(name, &size) && GetLastError() == ERROR_INSUFFICIENT_BUFFER, SETUP);
    CHECK(size > 1, SETUP);
}

TEST(providers_of_events)
{
    static const GUID provider = {0x12345678, 1, 2, {3, 4, 5, 6, 7, 8, 9, 10}};
    ULONG WINAPI (*EventRegister)(const GUID *, void *, void *, ULONGLONG *) = export_of("advapi32.dll", "EventRegister");
    ULONG WINAPI (*EventUnregister)(ULONGLONG) = export_of("advapi32.dll", "EventUnregister");
    BOOLEAN WINAPI (*EventProviderEnabled)(ULONGLONG, UCHAR, ULONGLONG) = export_of("advapi32.dll", "EventProviderEnabled");
    ULONGLONG handle = 0;
    REQUIRE(EventRegister != NULL && EventUnregister != NULL && EventProviderEnabled != NULL, SETUP);
    CHECK_EQ(EventRegister(&provider, NULL, NULL, &handle), ERROR_SUCCESS, SETUP);
    CHECK(handle != 0, SETUP);
    CHECK(!EventProviderEnabled(handle, 4, 0), SETUP);
    CHECK_EQ(EventUnregister(handle), ERROR_SUCCESS, SETUP);
}

TEST(paths_as_texts)
{
    typedef HRESULT WINAPI allocate_canonical(const WCHAR *, ULONG, WCHAR **);
    typedef HRESULT WINAPI combine(WCHAR *, SIZE_T, const WCHAR *, const WCHAR *, ULONG);
    typedef HRESULT WINAPI remove_name(WCHAR *, SIZE_T);
    const char *dll = "api-ms-win-core-path-l1-1-0.dll";
    allocate_canonical *PathAllocCanonicalize = export_of(dll, "PathAllocCanonicalize");
    combine *PathCchCombineEx = export_of(dll, "PathCchCombineEx");
    remove_name *PathCchRemoveFileSpec = export_of(dll, "PathCchRemoveFileSpec");
    WCHAR *made = NULL, path[64] = L"C:\\a\\b";
    REQUIRE(PathAllocCanonicalize != NULL && PathCchCombineEx != NULL && PathCchRemoveFileSpec != NULL, SETUP);
    CHECK_EQ(PathAllocCanonicalize(L"C:\\a\\.\\x\\..\\b\\", 0, &made), S_OK, SETUP);
    CHECK(made != NULL && wcscmp(made, L"C:\\a\\b\\") == 0, SETUP);
    LocalFree(made);
    CHECK_EQ(PathCchRemoveFileSpec(path, 64), S_OK, SETUP);
    CHECK(wcscmp(path, L"C:\\a") == 0, SETUP);
    CHECK_EQ(PathCchCombineEx(path, 64, L"C:\\a", L"..\\c", 0), S_OK, SETUP);
    CHECK(wcscmp(path, L"C:\\c") == 0, SETUP);
    CHECK_EQ((ULONG)PathCchCombineEx(path, 4, L"C:\\a", L"b", 0), 0x8007007A, SETUP);
}

TEST(timer_and_folders)
{
    UINT WINAPI (*timeGetDevCaps)(UINT *, UINT) = export_of("winmm.dll", "timeGetDevCaps");
    HRESULT WINAPI (*SHGetFolderPathW)(HWND, int, HANDLE, DWORD, WCHAR *) = export_of("shell32.dll", "SHGetFolderPathW");
    UINT periods[2] = {0, 0};
    WCHAR path[MAX_PATH] = {0};
    REQUIRE(timeGetDevCaps != NULL && SHGetFolderPathW != NULL, SETUP);
    CHECK_EQ(timeGetDevCaps(periods, sizeof periods), 0, SETUP);
    CHECK(periods[0] == 1 && periods[1] >= periods[0], SETUP);
    CHECK_EQ(SHGetFolderPathW(NULL, 0x28, NULL, 0, path), S_OK, SETUP);
    CHECK(path[1] == L':', SETUP);
}

/* PAGE_TARGETS_INVALID goes with executable protections (Microsoft Learn, "Memory Protection Constants"). */
TEST(pages_of_code_with_targets)
{
    enum { TARGETS = 0x40000000 };
    DWORD old = 0;
    MEMORY_BASIC_INFORMATION info;
    void *code = VirtualAlloc(NULL, 0x1000, MEM_RESERVE | MEM_COMMIT, PAGE_EXECUTE_READ | TARGETS);
    REQUIRE(code != NULL, SETUP);
    CHECK(VirtualProtect(code, 0x1000, PAGE_EXECUTE_READWRITE | TARGETS, &old), SETUP);
    CHECK_EQ(old, PAGE_EXECUTE_READ, SETUP);
    CHECK(VirtualQuery(code, &info, sizeof info) && info.Protect == PAGE_EXECUTE_READWRITE, SETUP);
    VirtualFree(code, 0, MEM_RELEASE);
}

typedef NTSTATUS NTAPI query_file(HANDLE file, struct status_block *io, void *buffer, ULONG length, ULONG class);

/* What ends in a name is cut where the buffer ends (Microsoft Learn, "FILE_ALL_INFORMATION structure"). */
TEST(all_that_is_known_of_a_file)
{
    query_file *NtQueryInformationFile = export_of("ntdll.dll", "NtQueryInformationFile");
    enum { ALL = 18, FIXED = 100, SIZE_AT = 48, LENGTH_AT = 96 };
    static union {
        UCHAR bytes[1024];
        ULONG words[256];
        LONGLONG longs[128];
    } all;
    WCHAR path[MAX_PATH];
    struct status_block io;
    HANDLE file = new_file(path);
    CHECK_STATUS(NtQueryInformationFile(file, &io, &all, sizeof all, ALL), STATUS_SUCCESS, SETUP);
    CHECK_EQ(all.longs[SIZE_AT / 8], 3, SETUP);
    ULONG name = all.words[LENGTH_AT / 4];
    CHECK_EQ(name, 2 * wcslen(path + 2), SETUP);
    CHECK(memcmp(all.bytes + FIXED, path + 2, name) == 0, SETUP);
    memset(&all, 0, sizeof all);
    CHECK_STATUS(NtQueryInformationFile(file, &io, &all, FIXED + 4, ALL), STATUS_BUFFER_OVERFLOW, SETUP);
    CHECK_EQ(all.words[LENGTH_AT / 4], name, SETUP);
    CHECK(memcmp(all.bytes + FIXED, path + 2, 4) == 0, SETUP);
    CHECK_STATUS(NtQueryInformationFile(file, &io, &all, 8, ALL), STATUS_INFO_LENGTH_MISMATCH, SETUP);
    CloseHandle(file);
}

TEST(pipes_by_the_long_prefix)
{
    char name[64];
    snprintf(name, sizeof name, "\\\\?\\pipe\\lpctest-native-%lu", GetCurrentProcessId());
    HANDLE pipe = CreateNamedPipeA(name, PIPE_ACCESS_DUPLEX, 0, 1, 512, 512, 0, NULL);
    CHECK(pipe != INVALID_HANDLE_VALUE, SETUP);
    HANDLE client = CreateFileA(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    CHECK(client != INVALID_HANDLE_VALUE, SETUP);
    CloseHandle(client);
    CloseHandle(pipe);
}

/* A thread that is ended by the end of the process holds a lock; what runs then wants it. Windows ends the process there and does
 * not say with which code: what fails is a child that does not end, which the watchdog notices. */
static CRITICAL_SECTION orphan;
static volatile LONG is_orphaned;

static void NTAPI at_the_end(void *module, DWORD reason, void *reserved)
{
    (void)module;
    (void)reserved;
    if (reason == DLL_PROCESS_DETACH && is_orphaned)
        EnterCriticalSection(&orphan);
}

__attribute__((section(".CRT$XLF"), used)) static const PIMAGE_TLS_CALLBACK at_the_end_entry = at_the_end;

static DWORD WINAPI hold_the_lock(void *unused)
{
    EnterCriticalSection(&orphan);
    is_orphaned = TRUE;
    Sleep(INFINITE);
    return unused != NULL;
}

ROLE(orphaning)
{
    InitializeCriticalSection(&orphan);
    CreateThread(NULL, 0, hold_the_lock, NULL, 0, NULL);
    while (!is_orphaned)
        Sleep(1);
    return EXIT_PASSED;
}

TEST(locks_of_ended_threads_end_the_process)
{
    struct child child;
    REQUIRE(child_start(&child, "orphaning", NULL), SETUP);
    child_join(&child);
}

TEST(titles_of_the_console)
{
    WCHAR title[MAX_PATH] = {0};
    char narrow[4] = {0};
    BOOL has_console = GetConsoleTitleW(title, MAX_PATH) > 0;
    SetLastError(0);
    /* Without a console there is no title to set; a process under lpcrun always has one of its own. */
    if (!has_console && !SetConsoleTitleW(L"t")) {
        skip(SETUP, "the process has no console");
        return;
    }
    CHECK(SetConsoleTitleW(L"a title"), SETUP);
    CHECK_EQ(GetConsoleTitleW(title, MAX_PATH), 7, SETUP);
    CHECK(wcscmp(title, L"a title") == 0, SETUP);
    CHECK(GetConsoleTitleA(narrow, sizeof narrow) > 0, SETUP);
    CHECK(memcmp(narrow, "a t", 4) == 0, SETUP);
}

/* Microsoft Learn, "FILE_PIPE_LOCAL_INFORMATION structure". */
TEST(ends_of_pipes_are_described)
{
    query_file *NtQueryInformationFile = export_of("ntdll.dll", "NtQueryInformationFile");
    enum { MODES = 23, LOCAL = 24, READABLE = 5, QUOTA = 6, ROOM = 7, STATE = 8, END = 9 };
    ULONG words[10], modes[2];
    struct status_block io;
    char name[64];
    DWORD written;
    snprintf(name, sizeof name, "\\\\.\\pipe\\lpctest-ends-%lu", GetCurrentProcessId());
    HANDLE pipe = CreateNamedPipeA(name, PIPE_ACCESS_DUPLEX, PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE, 1, 4096, 4096, 0, NULL);
    REQUIRE(pipe != INVALID_HANDLE_VALUE, SETUP);
    HANDLE client = CreateFileA(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    REQUIRE(client != INVALID_HANDLE_VALUE, SETUP);
    CHECK(ConnectNamedPipe(pipe, NULL) || GetLastError() == ERROR_PIPE_CONNECTED, SETUP);
    CHECK_STATUS(NtQueryInformationFile(pipe, &io, words, sizeof words, LOCAL), STATUS_SUCCESS, SETUP);
    CHECK(words[0] == 1 && words[STATE] == 3 && words[END] == 1, SETUP);
    CHECK_EQ(words[ROOM], words[QUOTA], SETUP);
    CHECK(WriteFile(client, "12345", 5, &written, NULL), SETUP);
    CHECK_STATUS(NtQueryInformationFile(pipe, &io, words, sizeof words, LOCAL), STATUS_SUCCESS, SETUP);
    CHECK_EQ(words[READABLE], 5, SETUP);
    CHECK_STATUS(NtQueryInformationFile(client, &io, words, sizeof words, LOCAL), STATUS_SUCCESS, SETUP);
    CHECK_EQ(words[END], 0, SETUP);
    CHECK(words[ROOM] < words[QUOTA], SETUP);
    CHECK_STATUS(NtQueryInformationFile(client, &io, modes, sizeof modes, MODES), STATUS_SUCCESS, SETUP);
    CloseHandle(client);
    CloseHandle(pipe);
}
