/* Version information of files: version.rc is this program's. Microsoft Learn "VerQueryValueW". */
#include "../lpctest.h"
#include <string.h>

WITHOUT_PORTS

static void *information(const WCHAR *name)
{
    DWORD handle = 9, size = GetFileVersionInfoSizeW(name, &handle);
    if (!CHECK(size != 0, SETUP))
        return NULL;
    CHECK_EQ(handle, 0, SETUP);
    void *block = HeapAlloc(GetProcessHeap(), 0, size);
    CHECK(GetFileVersionInfoW(name, 0, 10, block), SETUP);
    CHECK(GetFileVersionInfoW(name, 0, size, block), SETUP);
    return block;
}

TEST(values_are_found_by_path)
{
    WCHAR name[MAX_PATH], *text;
    char *ansi;
    VS_FIXEDFILEINFO *fixed;
    WORD *translation;
    UINT length;
    GetModuleFileNameW(NULL, name, MAX_PATH);
    void *block = information(name);
    REQUIRE(block != NULL, SETUP);
    REQUIRE(VerQueryValueW(block, L"\\", (void **)&fixed, &length), SETUP);
    CHECK_EQ(length, sizeof *fixed, SETUP);
    CHECK_EQ(fixed->dwSignature, 0xfeef04bd, SETUP);
    CHECK_EQ(fixed->dwFileVersionMS, 0x10002, SETUP);
    CHECK_EQ(fixed->dwFileVersionLS, 0x30004, SETUP);
    CHECK_EQ(fixed->dwProductVersionMS, 0x50006, SETUP);
    REQUIRE(VerQueryValueW(block, L"\\VarFileInfo\\Translation", (void **)&translation, &length), SETUP);
    CHECK_EQ(length, 4, SETUP);
    CHECK_EQ(translation[0], 0x409, SETUP);
    CHECK_EQ(translation[1], 1200, SETUP);
    REQUIRE(VerQueryValueW(block, L"\\StringFileInfo\\040904B0\\companyname", (void **)&text, &length), SETUP);
    CHECK(wcscmp(text, L"A company") == 0, SETUP);
    CHECK_EQ(length, wcslen(text) + 1, SETUP);
    REQUIRE(VerQueryValueA(block, "\\StringFileInfo\\040904b0\\ProductName", (void **)&ansi, &length), SETUP);
    CHECK(strcmp(ansi, "ntlpc") == 0, SETUP);
    REQUIRE(VerQueryValueA(block, "\\StringFileInfo\\040904b0\\FileDescription", (void **)&ansi, &length), SETUP);
    CHECK(strcmp(ansi, "Test of version information") == 0, SETUP);
    CHECK(!VerQueryValueW(block, L"\\StringFileInfo\\040904b0\\Nothing", (void **)&text, &length), SETUP);
    CHECK_EQ(GetLastError(), ERROR_RESOURCE_TYPE_NOT_FOUND, SETUP);
    HeapFree(GetProcessHeap(), 0, block);
}

TEST(the_system_has_a_version)
{
    VS_FIXEDFILEINFO *fixed;
    UINT length;
    void *block = information(L"kernel32.dll");
    REQUIRE(block != NULL, SETUP);
    REQUIRE(VerQueryValueW(block, L"\\", (void **)&fixed, &length), SETUP);
    CHECK(fixed->dwFileVersionMS >= 0x50000, SETUP);
    HeapFree(GetProcessHeap(), 0, block);
}

TEST(files_without_a_version)
{
    DWORD handle;
    CHECK_EQ(GetFileVersionInfoSizeW(L"C:\\no such file.exe", &handle), 0, SETUP);
    CHECK_EQ(GetLastError(), ERROR_FILE_NOT_FOUND, SETUP);
}
