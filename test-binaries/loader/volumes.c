/* What native programs ask of files, volumes and the mount manager: names by device, control codes, listings by a pattern, new
 * names beside another directory, routines at the end of a transfer. Microsoft Learn; phnt; mountmgr.h. */
#include "../lpctest.h"
#include <stdio.h>
#include <string.h>

WITHOUT_PORTS

enum { SHARE = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE };
enum { QUERY_POINTS = 0x6D0008, QUERY_DOS_VOLUME_PATH = 0x6D0030, GET_REPARSE_POINT = 0x900A8 };
enum { NO_SUCH_FILE = (int)0xC000000F, NO_MORE_FILES = (int)0x80000006, BUFFER_OVERFLOW = (int)0x80000005 };

struct status_block {
    ULONG_PTR status, information;
};
/* MOUNTMGR_MOUNT_POINT: link, unique id, device. */
struct part {
    ULONG offset;
    USHORT length, padding;
};
struct points {
    ULONG size, count;
    struct part parts[64][3];
};
typedef void NTAPI routine(void *context, struct status_block *io, ULONG reserved);
typedef NTSTATUS NTAPI query_object(HANDLE, ULONG, void *, ULONG, ULONG *);
typedef NTSTATUS NTAPI control_file(HANDLE, HANDLE, routine *, void *, struct status_block *, ULONG, void *, ULONG, void *, ULONG);
typedef NTSTATUS NTAPI open_file(HANDLE *, ACCESS_MASK, OBJECT_ATTRIBUTES *, struct status_block *, ULONG, ULONG);
typedef NTSTATUS NTAPI query_directory(HANDLE, HANDLE, void *, void *, struct status_block *, void *, ULONG, ULONG, BOOLEAN,
                                       UNICODE_STRING *, BOOLEAN);
typedef NTSTATUS NTAPI set_file(HANDLE, struct status_block *, void *, ULONG, ULONG);
typedef NTSTATUS NTAPI transfer(HANDLE, HANDLE, routine *, void *, struct status_block *, void *, ULONG, LARGE_INTEGER *, ULONG *);

static void *export_of(const char *name)
{
    return (void *)GetProcAddress(GetModuleHandleA("ntdll.dll"), name);
}

static UNICODE_STRING counted(const WCHAR *text)
{
    USHORT bytes = (USHORT)(wcslen(text) * 2);
    return (UNICODE_STRING){bytes, bytes, (WCHAR *)text};
}

/* Makes a folder of its own, with a file in it; gives both paths. */
static HANDLE new_file(WCHAR folder[MAX_PATH], WCHAR path[MAX_PATH])
{
    WCHAR temporary[MAX_PATH], longer[MAX_PATH];
    GetTempPathW(MAX_PATH, temporary);
    GetLongPathNameW(temporary, longer, MAX_PATH);
    _snwprintf(folder, MAX_PATH, L"%lslpctest-volumes-%lu", longer, GetCurrentProcessId());
    CreateDirectoryW(folder, NULL);
    _snwprintf(path, MAX_PATH, L"%ls\\one.txt", folder);
    return CreateFileW(path, GENERIC_READ | GENERIC_WRITE | DELETE, SHARE, NULL, CREATE_ALWAYS, 0, NULL);
}

static HANDLE open_folder(const WCHAR *folder)
{
    return CreateFileW(folder, GENERIC_READ, SHARE, NULL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
}

TEST(files_are_named_by_their_device)
{
    query_object *NtQueryObject = export_of("NtQueryObject");
    open_file *NtOpenFile = export_of("NtOpenFile");
    WCHAR folder[MAX_PATH], path[MAX_PATH], device[MAX_PATH], name[600], final[600], drive[3] = L"?:";
    struct {
        UNICODE_STRING name;
        WCHAR text[600];
    } object;
    struct status_block io;
    HANDLE file = new_file(folder, path), again;
    ULONG used = 0;
    REQUIRE(file != INVALID_HANDLE_VALUE, SETUP);
    drive[0] = path[0];
    REQUIRE(QueryDosDeviceW(drive, device, MAX_PATH) != 0, SETUP);
    CHECK(wcsncmp(device, L"\\Device\\HarddiskVolume", 22) == 0, SETUP);
    _snwprintf(name, 600, L"%ls%ls", device, path + 2);
    /* The name by device leads to the file again. */
    UNICODE_STRING native = counted(name);
    OBJECT_ATTRIBUTES attributes = {.Length = sizeof attributes, .ObjectName = &native, .Attributes = OBJ_CASE_INSENSITIVE};
    CHECK_STATUS(NtOpenFile(&again, GENERIC_READ | SYNCHRONIZE, &attributes, &io, SHARE, 0x20), STATUS_SUCCESS, SETUP);
    CloseHandle(again);
    CHECK_STATUS(NtQueryObject(file, 1, &object, sizeof object, &used), STATUS_SUCCESS, SETUP);
    CHECK_EQ(object.name.Length, wcslen(name) * 2, SETUP);
    CHECK(object.name.Buffer && wcscmp(object.name.Buffer, name) == 0, SETUP);
    CHECK_EQ(used, sizeof object.name + object.name.Length + 2, SETUP);
    CHECK_EQ(GetFinalPathNameByHandleW(file, final, 600, VOLUME_NAME_NT), wcslen(name), SETUP);
    CHECK(wcscmp(final, name) == 0, SETUP);
    /* By its volume's GUID. */
    CHECK(GetFinalPathNameByHandleW(file, final, 600, VOLUME_NAME_GUID) > 49, SETUP);
    CHECK(wcsncmp(final, L"\\\\?\\Volume{", 11) == 0 && wcscmp(final + 48, path + 2) == 0, SETUP);
    again = CreateFileW(final, GENERIC_READ, SHARE, NULL, OPEN_EXISTING, 0, NULL);
    CHECK(again != INVALID_HANDLE_VALUE, SETUP);
    CloseHandle(again);
    CHECK(GetFinalPathNameByHandleW(file, final, 600, VOLUME_NAME_DOS) && wcscmp(final + 4, path) == 0, SETUP);
    CHECK(GetFinalPathNameByHandleW(file, final, 600, VOLUME_NAME_NONE) && wcscmp(final, path + 2) == 0, SETUP);
    CloseHandle(file);
    DeleteFileW(path);
    RemoveDirectoryW(folder);
}

static int is_text(const void *at, USHORT bytes, const WCHAR *text)
{
    return bytes == wcslen(text) * 2 && memcmp(at, text, bytes) == 0;
}

TEST(the_mount_manager_knows_drives)
{
    control_file *NtDeviceIoControlFile = export_of("NtDeviceIoControlFile");
    WCHAR device[MAX_PATH];
    struct {
        struct part parts[3];
        WCHAR name[MAX_PATH];
    } wanted = {0};
    struct {
        USHORT length;
        WCHAR name[100];
    } volume = {0};
    struct {
        ULONG bytes;
        WCHAR text[64];
    } drives = {0};
    static struct points found;
    struct status_block io;
    DWORD used = 0;
    HANDLE manager = CreateFileW(L"\\\\.\\MountPointManager", 0, SHARE, NULL, OPEN_EXISTING, 0, NULL);
    REQUIRE(manager != INVALID_HANDLE_VALUE, SETUP);
    REQUIRE(QueryDosDeviceW(L"C:", device, MAX_PATH) != 0, SETUP);
    wanted.parts[2] = (struct part){sizeof wanted.parts, (USHORT)(wcslen(device) * 2), 0};
    wcscpy(wanted.name, device);
    REQUIRE_STATUS(NtDeviceIoControlFile(manager, NULL, NULL, NULL, &io, QUERY_POINTS, &wanted, sizeof wanted, &found, sizeof found),
                   STATUS_SUCCESS, SETUP);
    CHECK(io.information == found.size && found.count >= 1, SETUP);
    int drive = 0, guid = 0;
    for (ULONG i = 0; i < found.count; i++) {
        const char *base = (char *)&found;
        const struct part *link = &found.parts[i][0], *owner = &found.parts[i][2];
        CHECK(is_text(base + owner->offset, owner->length, device), SETUP);
        drive += is_text(base + link->offset, link->length, L"\\DosDevices\\C:");
        if (link->length == 96 && memcmp(base + link->offset, L"\\??\\Volume{", 22) == 0) {
            guid++;
            volume.length = link->length;
            memcpy(volume.name, base + link->offset, link->length);
        }
    }
    CHECK(drive == 1 && guid == 1, SETUP);
    /* What does not fit is only told. */
    CHECK(!DeviceIoControl(manager, QUERY_POINTS, &wanted, sizeof wanted, &found, 32, &used, NULL), SETUP);
    CHECK_EQ(GetLastError(), ERROR_MORE_DATA, SETUP);
    CHECK(found.size > 32, SETUP);
    wcscpy(wanted.name, L"\\Device\\NoSuchVolume");
    wanted.parts[2].length = 40;
    CHECK(!DeviceIoControl(manager, QUERY_POINTS, &wanted, sizeof wanted, &found, sizeof found, &used, NULL), SETUP);
    CHECK_EQ(GetLastError(), ERROR_FILE_NOT_FOUND, SETUP);
    /* From the volume to its drive. */
    REQUIRE(DeviceIoControl(manager, QUERY_DOS_VOLUME_PATH, &volume, sizeof volume, &drives, sizeof drives, &used, NULL), SETUP);
    CHECK(wcsncmp(drives.text, L"C:", 2) == 0 && drives.bytes >= 8, SETUP);
    /* Codes nobody knows. */
    CHECK(!DeviceIoControl(manager, 0x123400, NULL, 0, NULL, 0, &used, NULL), SETUP);
    CloseHandle(manager);
}

TEST(files_that_are_no_links)
{
    control_file *NtFsControlFile = export_of("NtFsControlFile");
    WCHAR folder[MAX_PATH], path[MAX_PATH];
    char buffer[1024];
    struct status_block io;
    DWORD used;
    HANDLE file = new_file(folder, path);
    REQUIRE(file != INVALID_HANDLE_VALUE && NtFsControlFile != NULL, SETUP);
    CHECK_STATUS(NtFsControlFile(file, NULL, NULL, NULL, &io, GET_REPARSE_POINT, NULL, 0, buffer, sizeof buffer),
                 0xC0000275, SETUP);
    CHECK(!DeviceIoControl(file, GET_REPARSE_POINT, NULL, 0, buffer, sizeof buffer, &used, NULL), SETUP);
    CHECK_EQ(GetLastError(), ERROR_NOT_A_REPARSE_POINT, SETUP);
    CHECK(!DeviceIoControl((HANDLE)0x7654320, GET_REPARSE_POINT, NULL, 0, buffer, sizeof buffer, &used, NULL), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_HANDLE, SETUP);
    CloseHandle(file);
    DeleteFileW(path);
    RemoveDirectoryW(folder);
}

TEST(links_are_opened_themselves)
{
    WCHAR folder[MAX_PATH], path[MAX_PATH], link[MAX_PATH + 16];
    struct {
        ULONG tag;
        USHORT bytes, reserved, target, target_bytes, shown, shown_bytes;
        ULONG flags;
        WCHAR text[600];
    } data;
    FILE_ATTRIBUTE_TAG_INFO info;
    BY_HANDLE_FILE_INFORMATION whole;
    DWORD used;
    HANDLE file = new_file(folder, path);
    REQUIRE(file != INVALID_HANDLE_VALUE, SETUP);
    CloseHandle(file);
    _snwprintf(link, MAX_PATH, L"%ls\\link", folder);
    /* SYMBOLIC_LINK_FLAG_ALLOW_UNPRIVILEGED_CREATE */
    if (CHECK(CreateSymbolicLinkW(link, path, 2), SETUP)) {
        HANDLE open = CreateFileW(link, FILE_READ_ATTRIBUTES, SHARE, NULL, OPEN_EXISTING,
                                  FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_BACKUP_SEMANTICS, NULL);
        REQUIRE(open != INVALID_HANDLE_VALUE, SETUP);
        CHECK(GetFileInformationByHandle(open, &whole), SETUP);
        CHECK(whole.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT, SETUP);
        CHECK(GetFileInformationByHandleEx(open, FileAttributeTagInfo, &info, sizeof info), SETUP);
        CHECK_EQ(info.ReparseTag, IO_REPARSE_TAG_SYMLINK, SETUP);
        CHECK(DeviceIoControl(open, GET_REPARSE_POINT, NULL, 0, &data, sizeof data, &used, NULL), SETUP);
        CHECK(data.tag == IO_REPARSE_TAG_SYMLINK && data.bytes == used - 8 && data.flags == 0, SETUP);
        CHECK(is_text((char *)data.text + data.shown, data.shown_bytes, path), SETUP);
        CHECK(memcmp((char *)data.text + data.target, L"\\??\\", 8) == 0, SETUP);
        CHECK(!DeviceIoControl(open, GET_REPARSE_POINT, NULL, 0, &data, 40, &used, NULL), SETUP);
        CHECK_EQ(GetLastError(), ERROR_MORE_DATA, SETUP);
        CHECK(!DeviceIoControl(open, GET_REPARSE_POINT, NULL, 0, &data, 4, &used, NULL), SETUP);
        CHECK_EQ(GetLastError(), ERROR_INSUFFICIENT_BUFFER, SETUP);
        CloseHandle(open);
        /* Who does not ask for the link gets the file. */
        open = CreateFileW(link, GENERIC_READ, SHARE, NULL, OPEN_EXISTING, 0, NULL);
        CHECK(GetFileInformationByHandle(open, &whole), SETUP);
        CHECK(!(whole.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT), SETUP);
        CloseHandle(open);
        CHECK(DeleteFileW(link), SETUP);
        CHECK(GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES, SETUP);
    }
    DeleteFileW(path);
    RemoveDirectoryW(folder);
}

/* FILE_DIRECTORY_INFORMATION up to its name. */
struct entry {
    ULONG next, index;
    LARGE_INTEGER values[6];
    ULONG attributes, bytes;
    WCHAR name[1];
};

TEST(directories_are_listed_by_a_pattern)
{
    query_directory *NtQueryDirectoryFile = export_of("NtQueryDirectoryFile");
    WCHAR folder[MAX_PATH], path[MAX_PATH], other[MAX_PATH + 16];
    static union {
        struct entry first;
        char bytes[2048];
    } list;
    struct status_block io;
    UNICODE_STRING all_o = counted(L"O*"), none = counted(L"none*");
    HANDLE file = new_file(folder, path);
    REQUIRE(file != INVALID_HANDLE_VALUE, SETUP);
    CloseHandle(file);
    _snwprintf(other, MAX_PATH, L"%ls\\other.txt", folder);
    CloseHandle(CreateFileW(other, GENERIC_WRITE, SHARE, NULL, CREATE_ALWAYS, 0, NULL));
    HANDLE directory = open_folder(folder);
    REQUIRE(directory != INVALID_HANDLE_VALUE, SETUP);
    CHECK_STATUS(NtQueryDirectoryFile(directory, NULL, NULL, NULL, &io, &list, sizeof list, 1, TRUE, &all_o, FALSE), STATUS_SUCCESS,
                 SETUP);
    CHECK(list.first.next == 0 && is_text(list.first.name, (USHORT)list.first.bytes, L"one.txt"), SETUP);
    CHECK_STATUS(NtQueryDirectoryFile(directory, NULL, NULL, NULL, &io, &list, sizeof list, 1, FALSE, NULL, FALSE), STATUS_SUCCESS,
                 SETUP);
    CHECK(list.first.next == 0 && is_text(list.first.name, (USHORT)list.first.bytes, L"other.txt"), SETUP);
    CHECK_STATUS(NtQueryDirectoryFile(directory, NULL, NULL, NULL, &io, &list, sizeof list, 1, FALSE, NULL, FALSE), NO_MORE_FILES,
                 SETUP);
    CHECK_EQ((ULONG)io.status, (ULONG)NO_MORE_FILES, SETUP);
    CHECK_EQ(io.information, 0, SETUP);
    CloseHandle(directory);
    directory = open_folder(folder);
    CHECK_STATUS(NtQueryDirectoryFile(directory, NULL, NULL, NULL, &io, &list, sizeof list, 1, FALSE, &none, FALSE), NO_SUCH_FILE,
                 SETUP);
    CloseHandle(directory);
    DeleteFileW(other);
    DeleteFileW(path);
    RemoveDirectoryW(folder);
}

TEST(new_names_are_relative_to_directories)
{
    set_file *NtSetInformationFile = export_of("NtSetInformationFile");
    WCHAR folder[MAX_PATH], path[MAX_PATH], below[MAX_PATH + 16], moved[MAX_PATH + 32];
    struct {
        BOOLEAN replace;
        HANDLE root;
        ULONG bytes;
        WCHAR name[16];
    } name = {.bytes = 14, .name = L"new.txt"};
    struct status_block io;
    HANDLE file = new_file(folder, path);
    REQUIRE(file != INVALID_HANDLE_VALUE, SETUP);
    _snwprintf(below, MAX_PATH, L"%ls\\below", folder);
    CreateDirectoryW(below, NULL);
    HANDLE directory = open_folder(below);
    name.root = directory;
    CHECK_STATUS(NtSetInformationFile(file, &io, &name, sizeof name, 10), STATUS_SUCCESS, SETUP);
    _snwprintf(moved, MAX_PATH, L"%ls\\new.txt", below);
    CHECK(GetFileAttributesW(moved) != INVALID_FILE_ATTRIBUTES, SETUP);
    CHECK(GetFileAttributesW(path) == INVALID_FILE_ATTRIBUTES, SETUP);
    CloseHandle(file);
    /* Without a directory: in its own. */
    file = CreateFileW(moved, DELETE, SHARE, NULL, OPEN_EXISTING, 0, NULL);
    name.root = NULL;
    memcpy(name.name, L"two.txt", 14);
    CHECK_STATUS(NtSetInformationFile(file, &io, &name, sizeof name, 10), STATUS_SUCCESS, SETUP);
    CloseHandle(file);
    _snwprintf(moved, MAX_PATH, L"%ls\\two.txt", below);
    CHECK(DeleteFileW(moved), SETUP);
    CloseHandle(directory);
    RemoveDirectoryW(below);
    RemoveDirectoryW(folder);
}

static void NTAPI note_end(void *context, struct status_block *io, ULONG reserved)
{
    (void)reserved;
    *(ULONG_PTR *)context = io->information + 100;
}

TEST(transfers_end_with_a_routine)
{
    transfer *NtReadFile = export_of("NtReadFile"), *NtWriteFile = export_of("NtWriteFile");
    WCHAR name[64];
    char text[8] = "";
    struct status_block read = {0}, written = {0};
    ULONG_PTR read_end = 0, write_end = 0;
    _snwprintf(name, 64, L"\\\\.\\pipe\\lpctest-volumes-%lu", GetCurrentProcessId());
    HANDLE server = CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED, 0, 1, 100, 100, 0, NULL);
    HANDLE client = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
    REQUIRE(server != INVALID_HANDLE_VALUE && client != INVALID_HANDLE_VALUE, SETUP);
    /* Nothing to read yet. */
    CHECK_STATUS(NtReadFile(client, NULL, note_end, &read_end, &read, text, 5, NULL, NULL), STATUS_PENDING, SETUP);
    CHECK_EQ(SleepEx(0, TRUE), 0, SETUP);
    NTSTATUS status = NtWriteFile(server, NULL, note_end, &write_end, &written, "hello", 5, NULL, NULL);
    CHECK(status == STATUS_SUCCESS || status == STATUS_PENDING, SETUP);
    while (read_end == 0 || write_end == 0)
        SleepEx(1000, TRUE);
    CHECK_EQ(read_end, 105, SETUP);
    CHECK_EQ(write_end, 105, SETUP);
    CHECK(memcmp(text, "hello", 5) == 0, SETUP);
    CHECK_EQ((ULONG)read.status, STATUS_SUCCESS, SETUP);
    CloseHandle(client);
    CloseHandle(server);
}

typedef NTSTATUS NTAPI set_memory(HANDLE, ULONG, ULONG_PTR, void *, void *, ULONG);
typedef NTSTATUS NTAPI cancel_synchronous(HANDLE, struct status_block *, struct status_block *);
typedef NTSTATUS NTAPI open_current_user(ACCESS_MASK, HANDLE *);
typedef NTSTATUS NTAPI active_context(void **);
typedef BOOLEAN NTAPI counter(LARGE_INTEGER *);
typedef LARGE_INTEGER NTAPI precise(void);

TEST(small_calls_of_language_runtimes)
{
    set_memory *NtSetInformationVirtualMemory = export_of("NtSetInformationVirtualMemory");
    cancel_synchronous *NtCancelSynchronousIoFile = export_of("NtCancelSynchronousIoFile");
    open_current_user *RtlOpenCurrentUser = export_of("RtlOpenCurrentUser");
    active_context *RtlGetActiveActivationContext = export_of("RtlGetActiveActivationContext");
    counter *RtlQueryPerformanceCounter = export_of("RtlQueryPerformanceCounter");
    struct {
        void *address;
        SIZE_T bytes;
    } range = {export_of("NtClose"), 100};
    ULONG flags = 0;
    struct status_block io = {0};
    void *active = &io;
    HANDLE key = NULL;
    LARGE_INTEGER count, later;
    REQUIRE(NtSetInformationVirtualMemory != NULL, SETUP);
    CHECK_STATUS(NtSetInformationVirtualMemory(GetCurrentProcess(), 0, 1, &range, &flags, sizeof flags), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtSetInformationVirtualMemory(GetCurrentProcess(), 0, 1, &range, &flags, 1), STATUS_INVALID_PARAMETER_6, SETUP);
    CHECK_STATUS(NtSetInformationVirtualMemory(GetCurrentProcess(), 0, 0, &range, &flags, sizeof flags), STATUS_INVALID_PARAMETER_3,
                 SETUP);
    CHECK_STATUS(NtCancelSynchronousIoFile(GetCurrentThread(), NULL, &io), STATUS_NOT_FOUND, SETUP);
    CHECK_STATUS(RtlOpenCurrentUser(KEY_READ, &key), STATUS_SUCCESS, SETUP);
    CHECK(key != NULL && RegCloseKey((HKEY)key) == 0, SETUP);
    REQUIRE(RtlGetActiveActivationContext != NULL && RtlQueryPerformanceCounter != NULL, SETUP);
    CHECK_STATUS(RtlGetActiveActivationContext(&active), STATUS_SUCCESS, SETUP);
    CHECK_PTR(active, NULL, SETUP);
    CHECK(RtlQueryPerformanceCounter(&count) && QueryPerformanceCounter(&later) && later.QuadPart >= count.QuadPart, SETUP);
}
