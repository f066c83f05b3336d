/* Files opened anew, volumes, device names, kinds of programs, states of pipes, calls that are cancelled. */
#include "../lpctest.h"
#include <stdio.h>
#include <string.h>

WITHOUT_PORTS

TEST(files_opened_anew)
{
    typedef HANDLE WINAPI reopen(HANDLE, DWORD, DWORD, DWORD);
    reopen *ReOpen = (reopen *)(void *)GetProcAddress(GetModuleHandleA("kernel32.dll"), "ReOpenFile");
    char path[MAX_PATH], name[MAX_PATH], text[8] = "";
    DWORD done;
    REQUIRE(ReOpen != NULL, SETUP);
    GetTempPathA(MAX_PATH, path);
    GetTempFileNameA(path, "ro", 0, name);
    HANDLE writer = CreateFileA(name, GENERIC_WRITE, 7, NULL, CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, NULL);
    REQUIRE(writer != INVALID_HANDLE_VALUE, SETUP);
    CHECK(WriteFile(writer, "hello", 5, &done, NULL), SETUP);
    CHECK(!ReadFile(writer, text, 5, &done, NULL), SETUP);
    CHECK_EQ(GetLastError(), ERROR_ACCESS_DENIED, SETUP);
    HANDLE reader = ReOpen(writer, GENERIC_READ, 7, 0);
    REQUIRE(reader != INVALID_HANDLE_VALUE, SETUP);
    CHECK(ReadFile(reader, text, 5, &done, NULL), SETUP);
    CHECK(strcmp(text, "hello") == 0, SETUP);
    HANDLE later = ReOpen(reader, GENERIC_READ, 7, FILE_FLAG_OVERLAPPED);
    REQUIRE(later != INVALID_HANDLE_VALUE, SETUP);
    OVERLAPPED request = {.Offset = 1, .hEvent = CreateEventA(NULL, TRUE, FALSE, NULL)};
    CHECK(ReadFile(later, text, 4, NULL, &request) || GetLastError() == ERROR_IO_PENDING, SETUP);
    CHECK(GetOverlappedResult(later, &request, &done, TRUE), SETUP);
    CHECK_EQ(done, 4, SETUP);
    CHECK(memcmp(text, "ello", 4) == 0, SETUP);
    CloseHandle(later);
    CloseHandle(reader);
    CloseHandle(writer);
    CHECK(ReOpen((HANDLE)0x7654320, GENERIC_READ, 7, 0) == INVALID_HANDLE_VALUE, SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_HANDLE, SETUP);
}

TEST(space_in_clusters)
{
    DWORD sectors = 0, bytes = 0, free = 0, total = 0;
    REQUIRE(GetDiskFreeSpaceW(L"C:\\", &sectors, &bytes, &free, &total), SETUP);
    CHECK_EQ(bytes, 512, SETUP);
    CHECK(sectors > 0 && free <= total && total > 0, SETUP);
    CHECK(GetDiskFreeSpaceA(NULL, &sectors, &bytes, &free, &total), SETUP);
    CHECK(!GetDiskFreeSpaceW(L"Q:\\", &sectors, &bytes, &free, &total), SETUP);
    CHECK_EQ(GetLastError(), ERROR_PATH_NOT_FOUND, SETUP);
}

TEST(device_names)
{
    WCHAR name[2048];
    char ansi[2048];
    DWORD count = QueryDosDeviceW(L"C:", name, 2048);
    CHECK(count >= 4 && wcsncmp(name, L"\\Device\\", 8) == 0, SETUP);
    CHECK(count >= 4 && name[count - 1] == 0 && name[wcslen(name) + 1] == 0, SETUP);
    CHECK_EQ(QueryDosDeviceW(L"C:", name, 4), 0, SETUP);
    CHECK_EQ(GetLastError(), ERROR_INSUFFICIENT_BUFFER, SETUP);
    CHECK_EQ(QueryDosDeviceW(L"no such device", name, 2048), 0, SETUP);
    CHECK_EQ(GetLastError(), ERROR_FILE_NOT_FOUND, SETUP);
    BOOL has_drive = FALSE;
    count = QueryDosDeviceA(NULL, ansi, sizeof ansi);
    for (char *at = ansi; count > 0 && *at; at += strlen(at) + 1)
        has_drive |= strcmp(at, "C:") == 0;
    CHECK(has_drive, SETUP);
}

TEST(kinds_of_programs)
{
    WCHAR own[MAX_PATH];
    char path[MAX_PATH], name[MAX_PATH];
    DWORD kind = 99, done;
    GetModuleFileNameW(NULL, own, MAX_PATH);
    REQUIRE(GetBinaryTypeW(own, &kind), SETUP);
    CHECK_EQ(kind, sizeof(void *) == 8 ? SCS_64BIT_BINARY : SCS_32BIT_BINARY, SETUP);
    GetTempPathA(MAX_PATH, path);
    GetTempFileNameA(path, "bt", 0, name);
    HANDLE file = CreateFileA(name, GENERIC_WRITE, 7, NULL, CREATE_ALWAYS, 0, NULL);
    WriteFile(file, "no program", 10, &done, NULL);
    CloseHandle(file);
    CHECK(!GetBinaryTypeA(name, &kind), SETUP);
    CHECK_EQ(GetLastError(), ERROR_BAD_EXE_FORMAT, SETUP);
    DeleteFileA(name);
    CHECK(!GetBinaryTypeA(name, &kind), SETUP);
    CHECK_EQ(GetLastError(), ERROR_FILE_NOT_FOUND, SETUP);
}

TEST(states_of_pipes)
{
    char name[100], user[100] = "";
    DWORD state = 99, instances = 99, number, size = sizeof user;
    sprintf(name, "\\\\.\\pipe\\ntlpc-files-%lu", GetCurrentProcessId());
    HANDLE server = CreateNamedPipeA(name, PIPE_ACCESS_DUPLEX, PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE, 2, 4096, 4096, 0,
                                     NULL);
    REQUIRE(server != INVALID_HANDLE_VALUE, SETUP);
    CHECK(GetNamedPipeHandleStateW(server, &state, &instances, NULL, NULL, NULL, 0), SETUP);
    CHECK_EQ(state, PIPE_READMODE_MESSAGE, SETUP);
    CHECK_EQ(instances, 1, SETUP);
    HANDLE client = CreateFileA(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    REQUIRE(client != INVALID_HANDLE_VALUE, SETUP);
    CHECK(GetNamedPipeHandleStateA(client, &state, NULL, NULL, NULL, NULL, 0), SETUP);
    CHECK_EQ(state, PIPE_READMODE_BYTE, SETUP);
    state = PIPE_READMODE_MESSAGE;
    CHECK(SetNamedPipeHandleState(client, &state, NULL, NULL), SETUP);
    state = 99;
    CHECK(GetNamedPipeHandleStateW(client, &state, NULL, NULL, NULL, NULL, 0), SETUP);
    CHECK_EQ(state, PIPE_READMODE_MESSAGE, SETUP);
    HANDLE second = CreateNamedPipeA(name, PIPE_ACCESS_DUPLEX, PIPE_TYPE_MESSAGE, 2, 4096, 4096, 0, NULL);
    CHECK(second != INVALID_HANDLE_VALUE, SETUP);
    CHECK(GetNamedPipeHandleStateW(server, NULL, &instances, NULL, NULL, NULL, 0), SETUP);
    CHECK_EQ(instances, 2, SETUP);
    CHECK(!GetNamedPipeHandleStateA(client, NULL, NULL, &number, NULL, NULL, 0), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER, SETUP);
    CHECK(!GetNamedPipeHandleStateA(client, NULL, NULL, NULL, NULL, user, size), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER, SETUP);
    CloseHandle(second);
    CloseHandle(client);
    CloseHandle(server);
}

struct reading {
    HANDLE pipe;
    BOOL result;
    DWORD error, done;
};

static void read_pipe(void *parameter)
{
    struct reading *reading = parameter;
    char byte;
    reading->result = ReadFile(reading->pipe, &byte, 1, &reading->done, NULL);
    reading->error = GetLastError();
}

TEST(waiting_calls_are_cancelled)
{
    HANDLE write;
    struct reading reading = {.result = TRUE};
    struct worker worker;
    REQUIRE(CreatePipe(&reading.pipe, &write, NULL, 0), SETUP);
    REQUIRE(spawn(&worker, read_pipe, &reading), SETUP);
    CHECK(still_runs(&worker), SETUP);
    CHECK(CancelSynchronousIo(worker.thread), SETUP);
    join(&worker);
    CHECK(!reading.result, SETUP);
    CHECK_EQ(reading.error, ERROR_OPERATION_ABORTED, SETUP);
    HANDLE own;
    DuplicateHandle(GetCurrentProcess(), GetCurrentThread(), GetCurrentProcess(), &own, 0, FALSE, DUPLICATE_SAME_ACCESS);
    CHECK(!CancelSynchronousIo(own), SETUP);
    CHECK_EQ(GetLastError(), ERROR_NOT_FOUND, SETUP);
    CloseHandle(own);
    CloseHandle(reading.pipe);
    CloseHandle(write);
}

/* Returns the names a pattern finds in the current directory, each with a space before it, in their order. */
static const char *found(const char *pattern)
{
    static char names[400];
    WIN32_FIND_DATAA data;
    HANDLE search = FindFirstFileA(pattern, &data);
    names[0] = 0;
    if (search == INVALID_HANDLE_VALUE)
        return "";
    do {
        if (data.cFileName[0] != '.')
            strcat(strcat(names, " "), data.cFileName);
    } while (FindNextFileA(search, &data));
    CHECK_EQ(GetLastError(), ERROR_NO_MORE_FILES, SETUP);
    FindClose(search);
    return names;
}

static void check_found(const char *pattern, const char *want)
{
    const char *got = found(pattern);
    if (!CHECK(strcmp(got, want) == 0, SETUP))
        note("%s finds%s", pattern, got);
}

/* Makes a new directory with files and goes there. */
static BOOL go_to_files(void)
{
    static const char *const names[] = {"a.txt", "b.TXT", "c.text", "d.e.txt", "noext", "x"};
    char path[MAX_PATH], name[MAX_PATH];
    DWORD written;
    GetTempPathA(MAX_PATH, path);
    snprintf(name, sizeof name, "%slpctest-files-%lu", path, GetCurrentProcessId());
    BOOL made = (CreateDirectoryA(name, NULL) || GetLastError() == ERROR_ALREADY_EXISTS) && SetCurrentDirectoryA(name);
    for (int i = 0; made && i < 6; i++) {
        HANDLE file = CreateFileA(names[i], GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
        made = file != INVALID_HANDLE_VALUE && WriteFile(file, "text", 4, &written, NULL);
        CloseHandle(file);
    }
    return made;
}

static void leave_files(void)
{
    char path[MAX_PATH];
    WIN32_FIND_DATAA data;
    HANDLE search = FindFirstFileA("*", &data);
    do
        DeleteFileA(data.cFileName);
    while (FindNextFileA(search, &data));
    FindClose(search);
    GetCurrentDirectoryA(MAX_PATH, path);
    SetCurrentDirectoryA("..");
    CHECK(RemoveDirectoryA(path), SETUP);
}

TEST(patterns_of_names)
{
    REQUIRE(go_to_files(), SETUP);
    check_found("*.*", " a.txt b.TXT c.text d.e.txt noext x");
    check_found("*.txt", " a.txt b.TXT d.e.txt");
    check_found("?.TXT", " a.txt b.TXT");
    check_found("*.t*t", " a.txt b.TXT c.text d.e.txt");
    check_found("d.*.txt", " d.e.txt");
    check_found("A.TXT", " a.txt");
    check_found("nothing*", "");
    leave_files();
}

TEST(patterns_of_names_without_an_extension)
{
    REQUIRE(go_to_files(), SETUP);
    check_found("*.", " noext x");
    check_found("a??.txt", " a.txt");
    check_found("??", " x");
    leave_files();
}

TEST(other_names_of_files)
{
    char path[MAX_PATH];
    REQUIRE(go_to_files(), SETUP);
    CHECK(CreateHardLinkA("hard", "a.txt", NULL), SETUP);
    CHECK(DeleteFileA("a.txt") && GetFileAttributesA("hard") != INVALID_FILE_ATTRIBUTES, SETUP);
    CHECK(!CreateHardLinkA("hard", "x", NULL), SETUP);
    CHECK_EQ(GetLastError(), ERROR_ALREADY_EXISTS, SETUP);
    CHECK(!CopyFileA("noext", "x", TRUE), SETUP);
    CHECK_EQ(GetLastError(), ERROR_FILE_EXISTS, SETUP);
    CHECK(!RemoveDirectoryA("noext"), SETUP);
    CHECK_EQ(GetLastError(), ERROR_DIRECTORY, SETUP);
    CHECK(!RemoveDirectoryA("nothing"), SETUP);
    CHECK_EQ(GetLastError(), ERROR_FILE_NOT_FOUND, SETUP);
    CHECK_EQ(GetLongPathNameA("noext", path, MAX_PATH), 5, SETUP);
    CHECK(strcmp(path, "noext") == 0, SETUP);
    CHECK_EQ(GetLongPathNameA("nothing", path, MAX_PATH), 0, SETUP);
    CHECK_EQ(GetDriveTypeA("C:\\"), DRIVE_FIXED, SETUP);
    CHECK_EQ(GetDriveTypeA("Q:\\"), DRIVE_NO_ROOT_DIR, SETUP);
    leave_files();
}
