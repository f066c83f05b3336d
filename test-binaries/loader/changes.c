/* Changes in directories: ReadDirectoryChangesW with events, ports, routines and without any. */
#include "../lpctest.h"
#include <stdio.h>
#include <string.h>

WITHOUT_PORTS

static WCHAR folder[MAX_PATH];

static WCHAR *in_folder(const WCHAR *name)
{
    static WCHAR paths[4][MAX_PATH * 2];
    static int next;
    WCHAR *path = paths[next++ & 3];
    wcscpy(path, folder);
    wcscat(path, L"\\");
    wcscat(path, name);
    return path;
}

static void write_file(const WCHAR *name, const char *text)
{
    DWORD done;
    HANDLE file = CreateFileW(in_folder(name), GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    CHECK(file != INVALID_HANDLE_VALUE, SETUP);
    WriteFile(file, text, (DWORD)strlen(text), &done, NULL);
    CloseHandle(file);
}

static HANDLE open_folder(DWORD flags)
{
    static int number;
    WCHAR temporary[MAX_PATH];
    GetTempPathW(MAX_PATH, temporary);
    swprintf(folder, MAX_PATH, L"%lsntlpc-changes-%lu-%d", temporary, GetCurrentProcessId(), ++number);
    CHECK(CreateDirectoryW(folder, NULL), SETUP);
    return CreateFileW(folder, FILE_LIST_DIRECTORY, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                       OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | flags, NULL);
}

#define NAMES (FILE_NOTIFY_CHANGE_FILE_NAME | FILE_NOTIFY_CHANGE_DIR_NAME)

static DWORD buffer[1024];
static OVERLAPPED overlapped;

/* The next request's changes, one per line: action, name. */
static const char *changes(HANDLE directory, BOOL is_tree, DWORD filter)
{
    static char text[2048];
    DWORD done = 0;
    text[0] = 0;
    if (WaitForSingleObject(overlapped.hEvent, 20000) != WAIT_OBJECT_0 ||
        !GetOverlappedResult(directory, &overlapped, &done, FALSE))
        return "error";
    FILE_NOTIFY_INFORMATION *at = (FILE_NOTIFY_INFORMATION *)buffer;
    while (done > 0) {
        sprintf(text + strlen(text), "%lu %.*ls\n", at->Action, (int)(at->FileNameLength / sizeof(WCHAR)), at->FileName);
        if (at->NextEntryOffset == 0)
            break;
        at = (FILE_NOTIFY_INFORMATION *)((char *)at + at->NextEntryOffset);
    }
    if (!ReadDirectoryChangesW(directory, buffer, sizeof buffer, is_tree, filter, NULL, &overlapped, NULL))
        return "no request";
    return text;
}

static HANDLE watch(BOOL is_tree, DWORD filter)
{
    HANDLE directory = open_folder(FILE_FLAG_OVERLAPPED);
    overlapped = (OVERLAPPED){.hEvent = CreateEventW(NULL, FALSE, FALSE, NULL)};
    CHECK(ReadDirectoryChangesW(directory, buffer, sizeof buffer, is_tree, filter, NULL, &overlapped, NULL), SETUP);
    return directory;
}

static void expect_line(HANDLE directory, BOOL is_tree, DWORD filter, const char *wanted)
{
    static char all[8192];
    for (int i = 0; i < 20; i++) {
        if (strstr(all, wanted) != NULL) {
            memset(strstr(all, wanted), '.', strlen(wanted));
            return;
        }
        if (strlen(all) > 4000)
            all[0] = 0;
        strcat(all, changes(directory, is_tree, filter));
    }
    note("no %s in %s", wanted, all);
    CHECK(FALSE, SETUP);
}

/* What ended meanwhile cannot be cancelled any more. */
static void stop(HANDLE directory)
{
    DWORD done;
    BOOL was_pending = CancelIoEx(directory, &overlapped);
    if (!was_pending)
        CHECK_EQ(GetLastError(), ERROR_NOT_FOUND, SETUP);
    CHECK_EQ(WaitForSingleObject(overlapped.hEvent, 20000), WAIT_OBJECT_0, SETUP);
    if (!GetOverlappedResult(directory, &overlapped, &done, FALSE))
        CHECK_EQ(GetLastError(), ERROR_OPERATION_ABORTED, SETUP);
    CloseHandle(overlapped.hEvent);
    CloseHandle(directory);
}

TEST(names)
{
    HANDLE directory = watch(FALSE, NAMES);
    CHECK_EQ(WaitForSingleObject(overlapped.hEvent, 50), WAIT_TIMEOUT, SETUP);
    write_file(L"one.txt", "1");
    expect_line(directory, FALSE, NAMES, "1 one.txt\n");
    CHECK(MoveFileW(in_folder(L"one.txt"), in_folder(L"two.txt")), SETUP);
    expect_line(directory, FALSE, NAMES, "4 one.txt\n");
    expect_line(directory, FALSE, NAMES, "5 two.txt\n");
    CHECK(CreateDirectoryW(in_folder(L"below"), NULL), SETUP);
    expect_line(directory, FALSE, NAMES, "1 below\n");
    write_file(L"below\\unseen.txt", "1");
    DeleteFileW(in_folder(L"below\\unseen.txt"));
    CHECK(DeleteFileW(in_folder(L"two.txt")), SETUP);
    expect_line(directory, FALSE, NAMES, "2 two.txt\n");
    CHECK(RemoveDirectoryW(in_folder(L"below")), SETUP);
    expect_line(directory, FALSE, NAMES, "2 below\n");
    stop(directory);
    RemoveDirectoryW(folder);
}

TEST(filters)
{
    HANDLE directory = watch(FALSE, FILE_NOTIFY_CHANGE_LAST_WRITE);
    write_file(L"file.txt", "text");
    expect_line(directory, FALSE, FILE_NOTIFY_CHANGE_LAST_WRITE, "3 file.txt\n");
    stop(directory);
    directory = CreateFileW(folder, FILE_LIST_DIRECTORY, 7, NULL, OPEN_EXISTING,
                            FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED, NULL);
    overlapped = (OVERLAPPED){.hEvent = CreateEventW(NULL, FALSE, FALSE, NULL)};
    CHECK(ReadDirectoryChangesW(directory, buffer, sizeof buffer, FALSE, FILE_NOTIFY_CHANGE_DIR_NAME, NULL, &overlapped,
                                NULL), SETUP);
    write_file(L"file.txt", "more text");
    DeleteFileW(in_folder(L"file.txt"));
    CHECK_EQ(WaitForSingleObject(overlapped.hEvent, 100), WAIT_TIMEOUT, SETUP);
    CreateDirectoryW(in_folder(L"below"), NULL);
    expect_line(directory, FALSE, FILE_NOTIFY_CHANGE_DIR_NAME, "1 below\n");
    stop(directory);
    RemoveDirectoryW(in_folder(L"below"));
    RemoveDirectoryW(folder);
}

TEST(a_tree)
{
    HANDLE directory = watch(TRUE, NAMES);
    CreateDirectoryW(in_folder(L"a"), NULL);
    expect_line(directory, TRUE, NAMES, "1 a\n");
    CreateDirectoryW(in_folder(L"a\\b"), NULL);
    write_file(L"a\\b\\deep.txt", "1");
    expect_line(directory, TRUE, NAMES, "1 a\\b\n");
    expect_line(directory, TRUE, NAMES, "1 a\\b\\deep.txt\n");
    CHECK(MoveFileW(in_folder(L"a\\b"), in_folder(L"a\\c")), SETUP);
    expect_line(directory, TRUE, NAMES, "4 a\\b\n");
    expect_line(directory, TRUE, NAMES, "5 a\\c\n");
    write_file(L"a\\c\\later.txt", "1");
    expect_line(directory, TRUE, NAMES, "1 a\\c\\later.txt\n");
    CHECK(MoveFileW(in_folder(L"a\\c\\later.txt"), in_folder(L"top.txt")), SETUP);
    expect_line(directory, TRUE, NAMES, "2 a\\c\\later.txt\n");
    expect_line(directory, TRUE, NAMES, "1 top.txt\n");
    DeleteFileW(in_folder(L"a\\c\\deep.txt"));
    expect_line(directory, TRUE, NAMES, "2 a\\c\\deep.txt\n");
    stop(directory);
    DeleteFileW(in_folder(L"top.txt"));
    RemoveDirectoryW(in_folder(L"a\\c"));
    RemoveDirectoryW(in_folder(L"a"));
    RemoveDirectoryW(folder);
}

TEST(changes_between_requests_are_kept)
{
    HANDLE directory = watch(FALSE, FILE_NOTIFY_CHANGE_FILE_NAME);
    write_file(L"first", "");
    CHECK_EQ(WaitForSingleObject(overlapped.hEvent, 20000), WAIT_OBJECT_0, SETUP);
    write_file(L"second", "");
    SetEvent(overlapped.hEvent);
    expect_line(directory, FALSE, FILE_NOTIFY_CHANGE_FILE_NAME, "1 first\n");
    expect_line(directory, FALSE, FILE_NOTIFY_CHANGE_FILE_NAME, "1 second\n");
    stop(directory);
    DeleteFileW(in_folder(L"first"));
    DeleteFileW(in_folder(L"second"));
    RemoveDirectoryW(folder);
}

TEST(completion_ports)
{
    HANDLE directory = open_folder(FILE_FLAG_OVERLAPPED);
    HANDLE port = CreateIoCompletionPort(directory, NULL, 77, 0);
    OVERLAPPED request = {0}, *which = NULL;
    DWORD done = 99;
    ULONG_PTR key = 0;
    REQUIRE(port != NULL, SETUP);
    REQUIRE(ReadDirectoryChangesW(directory, buffer, sizeof buffer, FALSE, NAMES, NULL, &request, NULL), SETUP);
    write_file(L"x", "");
    REQUIRE(GetQueuedCompletionStatus(port, &done, &key, &which, 20000), SETUP);
    CHECK_EQ(key, 77, SETUP);
    CHECK_PTR(which, &request, SETUP);
    CHECK_EQ(done, 12 + sizeof(WCHAR), SETUP);
    /* A buffer that is too small loses what there is. */
    request = (OVERLAPPED){0};
    REQUIRE(ReadDirectoryChangesW(directory, buffer, 8, FALSE, NAMES, NULL, &request, NULL), SETUP);
    DeleteFileW(in_folder(L"x"));
    REQUIRE(GetQueuedCompletionStatus(port, &done, &key, &which, 20000), SETUP);
    CHECK_EQ(done, 0, SETUP);
    /* A closed handle ends its request. */
    request = (OVERLAPPED){0};
    REQUIRE(ReadDirectoryChangesW(directory, buffer, sizeof buffer, FALSE, NAMES, NULL, &request, NULL), SETUP);
    CloseHandle(directory);
    which = NULL;
    GetQueuedCompletionStatus(port, &done, &key, &which, 20000);
    CHECK_PTR(which, &request, SETUP);
    CHECK_EQ(done, 0, SETUP);
    CloseHandle(port);
    RemoveDirectoryW(folder);
}

static DWORD routine_bytes;

static void CALLBACK note_routine(DWORD error, DWORD bytes, OVERLAPPED *request)
{
    routine_bytes = error == 0 && request->hEvent == (HANDLE)0x1234567 ? bytes : 1;
}

TEST(routines)
{
    HANDLE directory = open_folder(FILE_FLAG_OVERLAPPED);
    OVERLAPPED request = {.hEvent = (HANDLE)0x1234567};
    routine_bytes = 0;
    REQUIRE(ReadDirectoryChangesW(directory, buffer, sizeof buffer, FALSE, NAMES, NULL, &request, note_routine), SETUP);
    write_file(L"xy", "");
    for (int i = 0; i < 200 && routine_bytes == 0; i++)
        SleepEx(100, TRUE);
    CHECK_EQ(routine_bytes, 12 + 2 * sizeof(WCHAR), SETUP);
    CloseHandle(directory);
    DeleteFileW(in_folder(L"xy"));
    RemoveDirectoryW(folder);
}

static void make_file_soon(void *unused)
{
    (void)unused;
    Sleep(100);
    write_file(L"soon", "");
}

TEST(without_overlapped)
{
    struct worker worker;
    DWORD done = 0;
    HANDLE directory = open_folder(0);
    REQUIRE(spawn(&worker, make_file_soon, NULL), SETUP);
    CHECK(ReadDirectoryChangesW(directory, buffer, sizeof buffer, FALSE, NAMES, &done, NULL, NULL), SETUP);
    CHECK_EQ(done, 12 + 4 * sizeof(WCHAR), SETUP);
    join(&worker);
    CloseHandle(directory);
    DeleteFileW(in_folder(L"soon"));
    RemoveDirectoryW(folder);
}

TEST(refused)
{
    HANDLE directory = open_folder(FILE_FLAG_OVERLAPPED);
    OVERLAPPED request = {0};
    CHECK(!ReadDirectoryChangesW(directory, buffer, sizeof buffer, FALSE, 0, NULL, &request, NULL), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER, SETUP);
    CHECK(!ReadDirectoryChangesW(directory, (char *)buffer + 1, 1000, FALSE, NAMES, NULL, &request, NULL), SETUP);
    CHECK_EQ(GetLastError(), ERROR_NOACCESS, SETUP);
    write_file(L"file", "");
    HANDLE file = CreateFileW(in_folder(L"file"), GENERIC_READ, 7, NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
    CHECK(!ReadDirectoryChangesW(file, buffer, sizeof buffer, FALSE, NAMES, NULL, &request, NULL), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER, SETUP);
    CloseHandle(file);
    CloseHandle(directory);
    DeleteFileW(in_folder(L"file"));
    RemoveDirectoryW(folder);
}
