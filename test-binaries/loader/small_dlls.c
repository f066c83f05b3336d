/* Functions of DLLs of which programs need few: UUIDs, security packages, interfaces, starting by name, COM's tables. */
#include "../lpctest.h"
#define SECURITY_WIN32
#include <objbase.h>
#include <rpc.h>
#include <shellapi.h>
/* The harness has these itself. */
#define UNICODE_STRING SSPI_UNICODE_STRING
#define PUNICODE_STRING SSPI_PUNICODE_STRING
#include <sspi.h>
#include <string.h>

WITHOUT_PORTS

TEST(uuids_as_text)
{
    UUID uuid, again;
    RPC_WSTR wide;
    RPC_CSTR ansi;
    RPC_STATUS status;
    CHECK_EQ(UuidFromStringW((RPC_WSTR)L"00112233-4455-6677-8899-AABBCCDDEEFF", &uuid), RPC_S_OK, SETUP);
    CHECK_EQ(uuid.Data1, 0x112233, SETUP);
    CHECK_EQ(uuid.Data3, 0x6677, SETUP);
    CHECK_EQ(uuid.Data4[7], 0xff, SETUP);
    CHECK_EQ(UuidToStringW(&uuid, &wide), RPC_S_OK, SETUP);
    CHECK(wcscmp((WCHAR *)wide, L"00112233-4455-6677-8899-aabbccddeeff") == 0, SETUP);
    CHECK_EQ(RpcStringFreeW(&wide), RPC_S_OK, SETUP);
    CHECK_PTR(wide, NULL, SETUP);
    UuidCreate(&uuid);
    CHECK_EQ(UuidToStringA(&uuid, &ansi), RPC_S_OK, SETUP);
    CHECK_EQ(UuidFromStringA(ansi, &again), RPC_S_OK, SETUP);
    CHECK(UuidEqual(&uuid, &again, &status), SETUP);
    CHECK_EQ(ansi[14], '4', SETUP);
    RpcStringFreeA(&ansi);
    CHECK_EQ(UuidFromStringA((RPC_CSTR) "00112233", &again), RPC_S_INVALID_STRING_UUID, SETUP);
    UuidCreateNil(&uuid);
    CHECK(UuidIsNil(&uuid, &status), SETUP);
}

BOOLEAN WINAPI GetUserNameExW(int, WCHAR *, ULONG *);

TEST(there_are_no_security_packages)
{
    SecurityFunctionTableW *table = InitSecurityInterfaceW();
    ULONG count = 9;
    SecPkgInfoW *packages;
    CredHandle credentials;
    TimeStamp expiry;
    REQUIRE(table != NULL, SETUP);
    CHECK(table->dwVersion >= 1, SETUP);
    CHECK_EQ(table->EnumerateSecurityPackagesW(&count, &packages), SEC_E_OK, SETUP);
    CHECK_EQ(count, 0, SETUP);
    CHECK_EQ((ULONG)table->AcquireCredentialsHandleW(NULL, (WCHAR *)L"Kerberos", SECPKG_CRED_OUTBOUND, NULL, NULL, NULL, NULL, &credentials, &expiry), (ULONG)SEC_E_SECPKG_NOT_FOUND, SETUP);
    CHECK(table->InitializeSecurityContextW != NULL && table->DecryptMessage != NULL, SETUP);
    CHECK_EQ((ULONG)table->DeleteSecurityContext(NULL), (ULONG)SEC_E_UNSUPPORTED_FUNCTION, SETUP);
    WCHAR name[300];
    ULONG size = 300;
    CHECK(GetUserNameExW(2, name, &size), SETUP);
    CHECK(wcschr(name, L'\\') != NULL, SETUP);
}

typedef unsigned WINAPI to_index_fn(const char *);
typedef char *WINAPI to_name_fn(unsigned, char *);

TEST(interfaces_have_names_and_numbers)
{
    HMODULE library = LoadLibraryW(L"iphlpapi.dll");
    to_index_fn *to_index = (to_index_fn *)(void *)GetProcAddress(library, "if_nametoindex");
    to_name_fn *to_name = (to_name_fn *)(void *)GetProcAddress(library, "if_indextoname");
    REQUIRE(to_index != NULL && to_name != NULL, SETUP);
    char name[300];
    CHECK_EQ(to_index("no such interface"), 0, SETUP);
    CHECK_PTR(to_name(0x7ffffff, name), NULL, SETUP);
    if (to_name(1, name) != NULL)
        CHECK_EQ(to_index(name), 1, SETUP);
}

TEST(programs_start_by_name)
{
    WCHAR path[MAX_PATH];
    DWORD code = 99;
    GetModuleFileNameW(NULL, path, MAX_PATH);
    SHELLEXECUTEINFOW info = {.cbSize = sizeof info, .fMask = SEE_MASK_NOCLOSEPROCESS | SEE_MASK_FLAG_NO_UI, .lpVerb = L"open", .lpFile = path, .lpParameters = L"--list"};
    REQUIRE(ShellExecuteExW(&info), SETUP);
    CHECK((INT_PTR)info.hInstApp > 32, SETUP);
    CHECK_EQ(WaitForSingleObject(info.hProcess, 10000), WAIT_OBJECT_0, SETUP);
    GetExitCodeProcess(info.hProcess, &code);
    CHECK_EQ(code, 0, SETUP);
    CloseHandle(info.hProcess);
    CHECK_EQ((INT_PTR)ShellExecuteW(NULL, L"open", L"C:\\no such program.exe", NULL, NULL, SW_HIDE), SE_ERR_FNF, SETUP);
    CHECK_EQ((INT_PTR)ShellExecuteA(NULL, "frobnicate", "x", NULL, NULL, SW_HIDE), SE_ERR_NOASSOC, SETUP);
}

TEST(tables_of_com)
{
    IBindCtx *context = (IBindCtx *)1;
    IRunningObjectTable *table = (IRunningObjectTable *)1;
    CHECK((ULONG)CreateBindCtx(1, &context) == (ULONG)E_INVALIDARG, SETUP);
    CHECK((ULONG)GetRunningObjectTable(1, &table) == (ULONG)E_INVALIDARG, SETUP);
}

TEST(well_known_sids_by_number)
{
    BYTE sid[SECURITY_MAX_SID_SIZE];
    DWORD size = sizeof sid;
    CHECK(CreateWellKnownSid(WinBuiltinAdministratorsSid, NULL, sid, &size), SETUP);
    CHECK_EQ(size, 16, SETUP);
    CHECK(IsWellKnownSid(sid, WinBuiltinAdministratorsSid), SETUP);
    CHECK(!IsWellKnownSid(sid, WinWorldSid), SETUP);
    size = 4;
    CHECK(!CreateWellKnownSid(WinWorldSid, NULL, sid, &size), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INSUFFICIENT_BUFFER, SETUP);
    CHECK_EQ(size, 12, SETUP);
}

TEST(uuids_of_the_time)
{
    UUID first, second;
    RPC_STATUS status = UuidCreateSequential(&first);
    CHECK(status == RPC_S_OK || status == RPC_S_UUID_LOCAL_ONLY, SETUP);
    Sleep(1);
    UuidCreateSequential(&second);
    CHECK_EQ(first.Data3 >> 12, 1, SETUP);
    CHECK(memcmp(&first, &second, sizeof first) != 0, SETUP);
}

TEST(keys_as_text)
{
    BYTE states[256] = {0};
    WCHAR text[8];
    HKL layout = GetKeyboardLayout(0);
    CHECK_EQ(ToUnicodeEx('A', 0, states, text, 8, 0, layout), 1, SETUP);
    CHECK_EQ(text[0], 'a', SETUP);
    states[VK_SHIFT] = 0x80;
    CHECK_EQ(ToUnicodeEx('1', 0, states, text, 8, 0, layout), 1, SETUP);
    CHECK_EQ(text[0], '!', SETUP);
    CHECK_EQ(ToUnicodeEx(VK_F1, 0, states, text, 8, 0, layout), 0, SETUP);
    CHECK_EQ(GetWindowThreadProcessId((HWND)(ULONG_PTR)0x1234, NULL), 0, SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_WINDOW_HANDLE, SETUP);
}
