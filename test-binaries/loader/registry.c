/* The registry through winreg.h and the calls of ntdll. */
#include "../lpctest.h"
#include <stdio.h>
#include <string.h>

WITHOUT_PORTS

/* A key of this process, made afresh for each test. */
static HKEY own;
static char own_path[64];

static BOOL enter(void)
{
    DWORD disposition = 0;
    snprintf(own_path, sizeof own_path, "Software\\lpctest-%lu", GetCurrentProcessId());
    RegDeleteTreeA(HKEY_CURRENT_USER, own_path);
    return CHECK_EQ(RegCreateKeyExA(HKEY_CURRENT_USER, own_path, 0, NULL, 0, KEY_ALL_ACCESS, NULL, &own, &disposition),
                    ERROR_SUCCESS, SETUP) &&
           CHECK_EQ(disposition, REG_CREATED_NEW_KEY, SETUP);
}

static void leave(void)
{
    CHECK_EQ(RegCloseKey(own), ERROR_SUCCESS, SETUP);
    CHECK_EQ(RegDeleteTreeA(HKEY_CURRENT_USER, own_path), ERROR_SUCCESS, SETUP);
    CHECK_EQ(RegOpenKeyExA(HKEY_CURRENT_USER, own_path, 0, KEY_READ, &own), ERROR_FILE_NOT_FOUND, SETUP);
}

TEST(values_keep_type_and_bytes)
{
    DWORD type = 0, size, number = 0x12345678, got = 0;
    BYTE bytes[8] = {0};
    REQUIRE(enter(), SETUP);
    CHECK_EQ(RegSetValueExA(own, "Number", 0, REG_DWORD, (BYTE *)&number, 4), ERROR_SUCCESS, SETUP);
    size = 4;
    CHECK_EQ(RegQueryValueExA(own, "nUMBER", NULL, &type, (BYTE *)&got, &size), ERROR_SUCCESS, SETUP);
    CHECK(type == REG_DWORD && size == 4 && got == number, SETUP);
    CHECK_EQ(RegSetValueExW(own, L"bytes", 0, REG_BINARY, (BYTE *)"\1\2\3", 3), ERROR_SUCCESS, SETUP);
    size = 2;
    CHECK_EQ(RegQueryValueExW(own, L"bytes", NULL, &type, bytes, &size), ERROR_MORE_DATA, SETUP);
    CHECK(size == 3 && bytes[0] == 0, SETUP);
    size = 0;
    CHECK_EQ(RegQueryValueExW(own, L"bytes", NULL, NULL, NULL, &size), ERROR_SUCCESS, SETUP);
    CHECK_EQ(size, 3, SETUP);
    CHECK_EQ(RegQueryValueExW(own, L"bytes", NULL, NULL, bytes, NULL), ERROR_INVALID_PARAMETER, SETUP);
    CHECK_EQ(RegQueryValueExW(own, L"bytes", NULL, &type, NULL, NULL), ERROR_SUCCESS, SETUP);
    CHECK_EQ(RegQueryValueExW(own, L"missing", NULL, NULL, NULL, &size), ERROR_FILE_NOT_FOUND, SETUP);
    CHECK_EQ(RegSetValueExW(own, NULL, 0, REG_SZ, (BYTE *)L"default", 16), ERROR_SUCCESS, SETUP);
    size = 0;
    CHECK_EQ(RegQueryValueExW(own, L"", NULL, &type, NULL, &size), ERROR_SUCCESS, SETUP);
    CHECK(type == REG_SZ && size == 16, SETUP);
    CHECK_EQ(RegDeleteValueA(own, "number"), ERROR_SUCCESS, SETUP);
    CHECK_EQ(RegDeleteValueA(own, "number"), ERROR_FILE_NOT_FOUND, SETUP);
    leave();
}

TEST(text_is_translated_for_ansi)
{
    WCHAR wide[8] = {0};
    char ansi[8] = {0};
    DWORD size, type;
    REQUIRE(enter(), SETUP);
    CHECK_EQ(RegSetValueExA(own, "t", 0, REG_SZ, (BYTE *)"abc", 4), ERROR_SUCCESS, SETUP);
    size = sizeof wide;
    CHECK_EQ(RegQueryValueExW(own, L"t", NULL, &type, (BYTE *)wide, &size), ERROR_SUCCESS, SETUP);
    CHECK(size == 8 && memcmp(wide, L"abc", 8) == 0, SETUP);
    size = sizeof ansi;
    CHECK_EQ(RegQueryValueExA(own, "t", NULL, &type, (BYTE *)ansi, &size), ERROR_SUCCESS, SETUP);
    CHECK(size == 4 && strcmp(ansi, "abc") == 0, SETUP);
    leave();
}

TEST(get_value_checks_the_type_and_ends_text)
{
    WCHAR text[64];
    DWORD size, type = 0;
    REQUIRE(enter(), SETUP);
    SetEnvironmentVariableA("LPCTEST_PLACE", "here");
    CHECK_EQ(RegSetValueExW(own, L"open", 0, REG_SZ, (BYTE *)L"ab", 4), ERROR_SUCCESS, SETUP);
    memset(text, 0xFF, sizeof text);
    size = sizeof text;
    CHECK_EQ(RegGetValueW(own, NULL, L"open", RRF_RT_REG_SZ, &type, text, &size), ERROR_SUCCESS, SETUP);
    CHECK(size == 6 && text[2] == 0, SETUP);
    size = sizeof text;
    CHECK_EQ(RegGetValueW(own, NULL, L"open", RRF_RT_REG_DWORD, &type, text, &size), ERROR_UNSUPPORTED_TYPE, SETUP);
    CHECK_EQ(RegSetKeyValueA(HKEY_CURRENT_USER, own_path, "e", REG_EXPAND_SZ, "%LPCTEST_PLACE%!", 17), ERROR_SUCCESS,
             SETUP);
    char place[64] = "";
    size = sizeof place;
    CHECK_EQ(RegGetValueA(HKEY_CURRENT_USER, own_path, "e", RRF_RT_REG_SZ, &type, place, &size), ERROR_SUCCESS, SETUP);
    CHECK(type == REG_SZ && strcmp(place, "here!") == 0, SETUP);
    size = sizeof place;
    CHECK_EQ(RegGetValueA(HKEY_CURRENT_USER, own_path, "e", RRF_RT_REG_EXPAND_SZ | RRF_NOEXPAND, &type, place, &size),
             ERROR_SUCCESS, SETUP);
    CHECK(type == REG_EXPAND_SZ && strcmp(place, "%LPCTEST_PLACE%!") == 0, SETUP);
    leave();
}

TEST(keys_are_enumerated_in_order)
{
    static const char *const names[] = {"b", "C", "a"};
    char name[8];
    DWORD size, subkeys, longest, values, longest_value, longest_data;
    HKEY key;
    REQUIRE(enter(), SETUP);
    for (int i = 0; i < 3; i++) {
        REQUIRE(RegCreateKeyA(own, names[i], &key) == ERROR_SUCCESS, SETUP);
        CHECK_EQ(RegSetValueExA(key, names[i], 0, REG_SZ, (BYTE *)"xy", 3), ERROR_SUCCESS, SETUP);
        RegCloseKey(key);
    }
    static const char *const sorted[] = {"a", "b", "C"};
    for (int i = 0; i < 3; i++) {
        size = sizeof name;
        CHECK_EQ(RegEnumKeyExA(own, i, name, &size, NULL, NULL, NULL, NULL), ERROR_SUCCESS, SETUP);
        CHECK(size == 1 && strcmp(name, sorted[i]) == 0, SETUP);
    }
    size = sizeof name;
    CHECK_EQ(RegEnumKeyExA(own, 3, name, &size, NULL, NULL, NULL, NULL), ERROR_NO_MORE_ITEMS, SETUP);
    size = 1;
    CHECK_EQ(RegEnumKeyExA(own, 0, name, &size, NULL, NULL, NULL, NULL), ERROR_MORE_DATA, SETUP);
    CHECK_EQ(RegSetValueExA(own, "first", 0, REG_BINARY, (BYTE *)"12345", 5), ERROR_SUCCESS, SETUP);
    CHECK_EQ(RegQueryInfoKeyA(own, NULL, NULL, NULL, &subkeys, &longest, NULL, &values, &longest_value, &longest_data,
                              NULL, NULL),
             ERROR_SUCCESS, SETUP);
    CHECK(subkeys == 3 && longest == 1 && values == 1 && longest_value == 5 && longest_data == 5, SETUP);
    DWORD type = 0, data = 8;
    char bytes[8];
    size = sizeof name;
    CHECK_EQ(RegEnumValueA(own, 0, name, &size, NULL, &type, (BYTE *)bytes, &data), ERROR_SUCCESS, SETUP);
    CHECK(size == 5 && type == REG_BINARY && data == 5, SETUP);
    size = sizeof name;
    CHECK_EQ(RegEnumValueA(own, 1, name, &size, NULL, NULL, NULL, NULL), ERROR_NO_MORE_ITEMS, SETUP);
    leave();
}

TEST(keys_with_subkeys_stay)
{
    HKEY key, below;
    REQUIRE(enter(), SETUP);
    CHECK_EQ(RegCreateKeyExW(own, L"a\\b\\c", 0, NULL, 0, KEY_ALL_ACCESS, NULL, &below, NULL), ERROR_SUCCESS, SETUP);
    CHECK_EQ(RegOpenKeyExW(own, L"A\\B", 0, KEY_ALL_ACCESS, &key), ERROR_SUCCESS, SETUP);
    CHECK_EQ(RegDeleteKeyW(own, L"a\\b"), ERROR_ACCESS_DENIED, SETUP);
    CHECK_EQ(RegDeleteKeyW(own, L"a\\b\\c"), ERROR_SUCCESS, SETUP);
    CHECK_EQ(RegSetValueExW(below, L"x", 0, REG_SZ, NULL, 0), ERROR_KEY_DELETED, SETUP);
    CHECK_EQ(RegDeleteKeyExW(key, L"c", 0, 0), ERROR_FILE_NOT_FOUND, SETUP);
    RegCloseKey(below);
    RegCloseKey(key);
    CHECK_EQ(RegCreateKeyExW(own, L"v", 0, NULL, REG_OPTION_VOLATILE, KEY_ALL_ACCESS, NULL, &key, NULL), ERROR_SUCCESS,
             SETUP);
    CHECK_EQ(RegCreateKeyExW(key, L"w", 0, NULL, 0, KEY_ALL_ACCESS, NULL, &below, NULL), ERROR_CHILD_MUST_BE_VOLATILE,
             SETUP);
    RegCloseKey(key);
    leave();
}

TEST(handles_grant_what_they_were_opened_for)
{
    HKEY key;
    REQUIRE(enter(), SETUP);
    REQUIRE(RegOpenKeyExA(HKEY_CURRENT_USER, own_path, 0, KEY_QUERY_VALUE, &key) == ERROR_SUCCESS, SETUP);
    CHECK_EQ(RegSetValueExA(key, "x", 0, REG_SZ, (BYTE *)"", 1), ERROR_ACCESS_DENIED, SETUP);
    RegCloseKey(key);
    CHECK_EQ(RegQueryValueExA(key, "x", NULL, NULL, NULL, NULL), ERROR_INVALID_HANDLE, SETUP);
    HANDLE event = CreateEventA(NULL, FALSE, FALSE, NULL);
    CHECK_EQ(RegQueryValueExA((HKEY)event, "x", NULL, NULL, NULL, NULL), ERROR_INVALID_HANDLE, SETUP);
    CloseHandle(event);
    leave();
}

ROLE(writer)
{
    HKEY key;
    DWORD number = 7;
    if (RegOpenKeyExA(HKEY_CURRENT_USER, role_arg(0), 0, KEY_ALL_ACCESS, &key))
        return 1;
    if (RegSetValueExA(key, "seen", 0, REG_DWORD, (BYTE *)&number, 4))
        return 2;
    RegSetKeyValueA(key, NULL, "again", REG_DWORD, &number, 4);
    return RegCreateKeyExA(key, "v", 0, NULL, REG_OPTION_VOLATILE, KEY_ALL_ACCESS, NULL, &key, NULL) ? 3 : 0;
}

TEST(processes_share_one_registry)
{
    struct child child;
    DWORD number = 0, size = 4;
    HKEY key;
    REQUIRE(enter(), SETUP);
    REQUIRE(child_start(&child, "writer", own_path, NULL), SETUP);
    CHECK_EQ(child_join(&child), 0, SETUP);
    CHECK_EQ(RegQueryValueExA(own, "seen", NULL, NULL, (BYTE *)&number, &size), ERROR_SUCCESS, SETUP);
    CHECK_EQ(number, 7, SETUP);
    CHECK_EQ(RegOpenKeyExA(own, "v", 0, KEY_READ, &key), ERROR_SUCCESS, SETUP);
    RegCloseKey(key);
    leave();
}

TEST(what_programs_look_up_is_there)
{
    char text[128];
    DWORD size = sizeof text;
    CHECK_EQ(RegGetValueA(HKEY_LOCAL_MACHINE, "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion", "ProductName",
                          RRF_RT_REG_SZ, NULL, text, &size),
             ERROR_SUCCESS, SETUP);
    CHECK(strncmp(text, "Windows", 7) == 0 || strncmp(text, "Microsoft", 9) == 0, SETUP);
    size = sizeof text;
    CHECK_EQ(RegGetValueA(HKEY_LOCAL_MACHINE, "SOFTWARE\\Microsoft\\Cryptography", "MachineGuid", RRF_RT_REG_SZ, NULL,
                          text, &size),
             ERROR_SUCCESS, SETUP);
    CHECK(size == 37 && text[8] == '-' && text[23] == '-', SETUP);
    size = sizeof text;
    CHECK_EQ(RegGetValueA(HKEY_LOCAL_MACHINE, "HARDWARE\\DESCRIPTION\\System\\CentralProcessor\\0",
                          "ProcessorNameString", RRF_RT_REG_SZ, NULL, text, &size),
             ERROR_SUCCESS, SETUP);
}

/* The calls of ntdll, looked up: mingw's import library has no prototypes for them. */
typedef NTSTATUS NTAPI open_key(HANDLE *key, ACCESS_MASK access, OBJECT_ATTRIBUTES *attributes);
typedef NTSTATUS NTAPI query_value_key(HANDLE key, UNICODE_STRING *name, int class, void *to, ULONG size, ULONG *needed);
typedef NTSTATUS NTAPI query_key(HANDLE key, int class, void *to, ULONG size, ULONG *needed);

#define STATUS_BUFFER_TOO_SMALL_ ((NTSTATUS)0xC0000023)
#define STATUS_BUFFER_OVERFLOW_ ((NTSTATUS)0x80000005)

static UNICODE_STRING counted(const WCHAR *text)
{
    USHORT bytes = (USHORT)(wcslen(text) * sizeof *text);
    return (UNICODE_STRING){bytes, bytes, (WCHAR *)text};
}

static void *ntdll(const char *name)
{
    return (void *)GetProcAddress(GetModuleHandleA("ntdll.dll"), name);
}

TEST(native_calls_describe_keys_and_values)
{
    open_key *NtOpenKey = ntdll("NtOpenKey");
    query_value_key *NtQueryValueKey = ntdll("NtQueryValueKey");
    query_key *NtQueryKey = ntdll("NtQueryKey");
    UNICODE_STRING path = counted(L"\\Registry\\Machine\\Software\\Microsoft\\Cryptography"), none = counted(L"nothing"),
                   name = counted(L"MachineGuid");
    OBJECT_ATTRIBUTES attributes = {sizeof attributes, NULL, &path, 0x40, NULL, NULL};
    struct {
        ULONG title, type, size;
        WCHAR text[64];
    } partial;
    struct {
        ULONG bytes;
        WCHAR text[128];
    } full;
    HANDLE key;
    ULONG needed = 0;
    REQUIRE_STATUS(NtOpenKey(&key, KEY_READ, &attributes), 0, SETUP);
    CHECK_STATUS(NtQueryValueKey(key, &name, 2, &partial, sizeof partial, &needed), 0, SETUP);
    CHECK(partial.type == REG_SZ && partial.size == 74 && needed == 12 + 74, SETUP);
    CHECK_STATUS(NtQueryValueKey(key, &name, 2, &partial, 20, &needed), STATUS_BUFFER_OVERFLOW_, SETUP);
    CHECK_STATUS(NtQueryValueKey(key, &name, 2, &partial, 8, &needed), STATUS_BUFFER_TOO_SMALL_, SETUP);
    CHECK_EQ(needed, 12 + 74, SETUP);
    CHECK_STATUS(NtQueryValueKey(key, &none, 2, &partial, sizeof partial, &needed), STATUS_OBJECT_NAME_NOT_FOUND, SETUP);
    CHECK_STATUS(NtQueryKey(key, 3, &full, sizeof full, &needed), 0, SETUP);
    CHECK(_wcsnicmp(full.text, path.Buffer, full.bytes / 2) == 0, SETUP);
    CloseHandle(key);
    path = counted(L"\\Registry\\Machine\\Software\\lpctest nothing");
    CHECK_STATUS(NtOpenKey(&key, KEY_READ, &attributes), STATUS_OBJECT_NAME_NOT_FOUND, SETUP);
}
