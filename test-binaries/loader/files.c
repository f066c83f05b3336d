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
