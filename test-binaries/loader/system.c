/* What programs ask of the system and of themselves: ntdll's system information, psapi.h, paths, COM. */
#include "../lpctest.h"
#include <psapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

WITHOUT_PORTS

typedef NTSTATUS NTAPI query_system(int class, void *to, ULONG size, ULONG *needed);

static void *export_of(const char *dll, const char *name)
{
    return (void *)GetProcAddress(LoadLibraryA(dll), name);
}

TEST(system_information)
{
    query_system *NtQuerySystemInformation = export_of("ntdll.dll", "NtQuerySystemInformation");
    struct {
        ULONG reserved, resolution, page, pages, lowest, highest, granularity;
        ULONG_PTR minimum, maximum, mask;
        char processors;
    } basic;
    LARGE_INTEGER day[6];
    struct {
        LARGE_INTEGER idle, kernel, user, dpc, interrupt;
        ULONG interrupts;
    } times[64];
    ULONG needed = 0;
    REQUIRE(NtQuerySystemInformation != NULL, SETUP);
    REQUIRE_STATUS(NtQuerySystemInformation(0, &basic, sizeof basic, &needed), 0, SETUP);
    CHECK(needed == sizeof basic && basic.page == 4096 && basic.granularity == 0x10000 && basic.processors > 0, SETUP);
    CHECK_STATUS(NtQuerySystemInformation(0, &basic, sizeof basic - 1, &needed), STATUS_INFO_LENGTH_MISMATCH, SETUP);
    CHECK_STATUS(NtQuerySystemInformation(3, day, sizeof day, NULL), 0, SETUP);
    CHECK(day[0].QuadPart > 0 && day[0].QuadPart < day[1].QuadPart, SETUP);
    CHECK_STATUS(NtQuerySystemInformation(8, times, sizeof times, &needed), 0, SETUP);
    CHECK(needed >= sizeof times[0] && needed % sizeof times[0] == 0, SETUP);
    CHECK(times[0].kernel.QuadPart >= times[0].idle.QuadPart, SETUP);
}

TEST(the_process_list_has_this_process)
{
    query_system *NtQuerySystemInformation = export_of("ntdll.dll", "NtQuerySystemInformation");
    ULONG needed = 0;
    char small[16];
    CHECK_STATUS(NtQuerySystemInformation(5, small, sizeof small, &needed), STATUS_INFO_LENGTH_MISMATCH, SETUP);
    ULONG size = needed + 0x10000;
    char *list = malloc(size);
    REQUIRE_STATUS(NtQuerySystemInformation(5, list, size, &needed), 0, SETUP);
    /* Offsets of ImageName and UniqueProcessId. */
    const size_t name_at = 56, id_at = sizeof(void *) == 8 ? 80 : 68;
    BOOL is_there = FALSE;
    for (char *at = list;; at += *(ULONG *)at) {
        UNICODE_STRING *name = (UNICODE_STRING *)(at + name_at);
        if (*(ULONG_PTR *)(at + id_at) == GetCurrentProcessId())
            is_there = wcsncmp(name->Buffer, L"system", 6) == 0;
        if (*(ULONG *)at == 0)
            break;
    }
    CHECK(is_there, SETUP);
    free(list);
}

TEST(memory_and_modules)
{
    typedef BOOL WINAPI memory_info(HANDLE, PROCESS_MEMORY_COUNTERS *, DWORD);
    typedef BOOL WINAPI modules(HANDLE, HMODULE *, DWORD, DWORD *, DWORD);
    typedef BOOL WINAPI module_info(HANDLE, HMODULE, MODULEINFO *, DWORD);
    memory_info *memory = export_of("kernel32.dll", "K32GetProcessMemoryInfo");
    modules *list = export_of("kernel32.dll", "K32EnumProcessModulesEx");
    module_info *describe = export_of("kernel32.dll", "K32GetModuleInformation");
    PROCESS_MEMORY_COUNTERS counters;
    HMODULE all[64];
    MODULEINFO info;
    DWORD needed = 0;
    REQUIRE(memory && list && describe, SETUP);
    CHECK(memory(GetCurrentProcess(), &counters, sizeof counters), SETUP);
    CHECK(counters.WorkingSetSize > 0x10000 && counters.PeakWorkingSetSize >= counters.WorkingSetSize / 2, SETUP);
    CHECK(list(GetCurrentProcess(), all, sizeof all, &needed, 3), SETUP);
    CHECK(needed >= 2 * sizeof all[0] && all[0] == GetModuleHandleA(NULL), SETUP);
    CHECK(describe(GetCurrentProcess(), all[0], &info, sizeof info), SETUP);
    CHECK(info.lpBaseOfDll == (void *)all[0] && (char *)info.EntryPoint > (char *)info.lpBaseOfDll, SETUP);
}

ROLE(child)
{
    return WaitForSingleObject((HANDLE)role_arg_number(0), 10000) == WAIT_OBJECT_0 ? EXIT_PASSED : EXIT_FAILED;
}

static void names_of(HANDLE process)
{
    typedef BOOL WINAPI query_name(HANDLE, DWORD, WCHAR *, DWORD *);
    typedef DWORD WINAPI image_name(HANDLE, WCHAR *, DWORD);
    query_name *query = export_of("kernel32.dll", "QueryFullProcessImageNameW");
    image_name *image = export_of("kernel32.dll", "K32GetProcessImageFileNameW");
    WCHAR own[MAX_PATH], name[MAX_PATH], native[MAX_PATH];
    DWORD length = MAX_PATH, own_length = GetModuleFileNameW(NULL, own, MAX_PATH);
    REQUIRE(query && image, SETUP);
    CHECK(query(process, 0, name, &length), SETUP);
    CHECK_EQ(length, own_length, SETUP);
    CHECK(_wcsicmp(name, own) == 0, SETUP);
    length = MAX_PATH;
    CHECK(query(process, 1, native, &length), SETUP);
    CHECK(wcsncmp(native, L"\\Device\\", 8) == 0, SETUP);
    CHECK(length > own_length && _wcsicmp(native + length - own_length + 2, own + 2) == 0, SETUP);
    CHECK_EQ(image(process, name, MAX_PATH), length, SETUP);
    CHECK(wcscmp(name, native) == 0, SETUP);
    length = own_length;
    CHECK(!query(process, 0, name, &length), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INSUFFICIENT_BUFFER, SETUP);
}

TEST(names_of_programs)
{
    struct child child;
    HANDLE end = inheritable_event(TRUE);
    context("this process");
    names_of(GetCurrentProcess());
    context("another process");
    REQUIRE(child_start(&child, "child", number((ULONG_PTR)end), NULL), SETUP);
    names_of(child.process);
    SetEvent(end);
    CHECK_EQ(child_join(&child), EXIT_PASSED, SETUP);
    CloseHandle(end);
}

/* A structure is written as far as its size says. RtlGetVersion answers without a size too: libuv gave it none for years. */
TEST(versions_in_structures_of_any_size)
{
    NTSTATUS (NTAPI *RtlGetVersion)(OSVERSIONINFOEXW *) = export_of("ntdll.dll", "RtlGetVersion");
    static const ULONG sizes[] = {0, 20, sizeof(OSVERSIONINFOW) - 1, sizeof(OSVERSIONINFOW), sizeof(OSVERSIONINFOW) + 1,
                                  sizeof(OSVERSIONINFOEXW), sizeof(OSVERSIONINFOEXW) + 1, 0x40000000, 0xFFFFFFFF};
    struct {
        OSVERSIONINFOEXW info;
        BYTE behind[64];
    } wide;
    REQUIRE(RtlGetVersion != NULL, SETUP);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        BOOL is_extended = sizes[i] == sizeof wide.info;
        BOOL is_known = is_extended || sizes[i] == sizeof(OSVERSIONINFOW);
        context("size %lu", sizes[i]);
        memset(&wide, 0x55, sizeof wide);
        wide.info.dwOSVersionInfoSize = sizes[i];
        CHECK_STATUS(RtlGetVersion(&wide.info), 0, SETUP);
        CHECK(wide.info.dwMajorVersion >= 6 && wide.info.dwPlatformId == VER_PLATFORM_WIN32_NT, SETUP);
        CHECK_EQ(wide.info.dwOSVersionInfoSize, sizes[i], SETUP);
        CHECK_EQ(wide.info.wProductType, is_extended ? VER_NT_WORKSTATION : 0x55, SETUP);
        CHECK_EQ(wide.behind[0], 0x55, SETUP);
        memset(&wide, 0x55, sizeof wide);
        wide.info.dwOSVersionInfoSize = sizes[i];
        CHECK_EQ(GetVersionExW((OSVERSIONINFOW *)&wide.info), is_known, SETUP);
        CHECK_EQ(wide.info.dwPlatformId, is_known ? VER_PLATFORM_WIN32_NT : 0x55555555, SETUP);
        CHECK_EQ(wide.info.wProductType, is_extended ? VER_NT_WORKSTATION : 0x55, SETUP);
    }
}

TEST(temporary_names_and_searches)
{
    char directory[MAX_PATH], name[MAX_PATH], found[MAX_PATH], *leaf = NULL;
    REQUIRE(GetTempPathA(sizeof directory, directory), SETUP);
    UINT number = GetTempFileNameA(directory, "lpctest", 0, name);
    REQUIRE(number != 0, SETUP);
    CHECK(GetFileAttributesA(name) != INVALID_FILE_ATTRIBUTES, SETUP);
    CHECK(_strnicmp(strrchr(name, '\\') + 1, "lpc", 3) == 0 && _stricmp(strrchr(name, '.'), ".tmp") == 0, SETUP);
    DWORD length = SearchPathA(directory, strrchr(name, '\\') + 1, NULL, sizeof found, found, &leaf);
    CHECK(length == strlen(found) && leaf && _stricmp(leaf, strrchr(name, '\\') + 1) == 0, SETUP);
    CHECK_EQ(SearchPathA(directory, strrchr(name, '\\') + 1, NULL, 3, found, NULL), length + 1, SETUP);
    DeleteFileA(name);
    SetLastError(0);
    CHECK_EQ(SearchPathA(directory, strrchr(name, '\\') + 1, NULL, sizeof found, found, NULL), 0, SETUP);
    CHECK_EQ(GetLastError(), ERROR_FILE_NOT_FOUND, SETUP);
    CHECK_EQ(GetTempFileNameA(directory, "x", 0x1A, name), 0x1A, SETUP);
    CHECK(_stricmp(strrchr(name, '\\') + 1, "x1A.tmp") == 0, SETUP);
    SetLastError(0);
    CHECK_EQ(GetTempFileNameA("Z:\\no such directory", "x", 0, name), 0, SETUP);
    CHECK_EQ(GetLastError(), ERROR_DIRECTORY, SETUP);
    CHECK_EQ(MulDiv(7, 3, 2), 11, SETUP);
    CHECK_EQ(MulDiv(-7, 3, 2), -11, SETUP);
    CHECK_EQ(MulDiv(1, 1, 0), -1, SETUP);
    CHECK_EQ(MulDiv(0x7FFFFFFF, 2, 1), -1, SETUP);
}

TEST(com_without_classes)
{
    typedef HRESULT WINAPI initialize(void *, DWORD);
    typedef void WINAPI uninitialize(void);
    typedef HRESULT WINAPI create(const GUID *, void *, DWORD, const GUID *, void **);
    initialize *CoInitializeEx = export_of("ole32.dll", "CoInitializeEx");
    uninitialize *CoUninitialize = export_of("ole32.dll", "CoUninitialize");
    create *CoCreateInstance = export_of("ole32.dll", "CoCreateInstance");
    static const GUID class = {0x12345678, 1, 2, {3, 4, 5, 6, 7, 8, 9, 10}};
    void *object = &object;
    REQUIRE(CoInitializeEx && CoUninitialize && CoCreateInstance, SETUP);
    CHECK_EQ((ULONG)CoInitializeEx(NULL, 0), 0, SETUP);
    CHECK_EQ((ULONG)CoInitializeEx(NULL, 0), 1, SETUP);
    CHECK_EQ((ULONG)CoInitializeEx(NULL, 2), 0x80010106, SETUP);
    CHECK_EQ((ULONG)CoCreateInstance(&class, NULL, 1, &class, &object), 0x80040154, SETUP);
    CHECK(object == NULL, SETUP);
    CoUninitialize();
    CoUninitialize();
}
