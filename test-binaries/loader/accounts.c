/* Accounts by SID and name, security of objects, programs started with a token. */
#include "../lpctest.h"
#include <aclapi.h>
#include <sddl.h>
#include <string.h>

WITHOUT_PORTS

TEST(well_known_accounts)
{
    static const struct { const WCHAR *sid, *name, *domain; SID_NAME_USE kind; } accounts[] = {
        {L"S-1-1-0", L"Everyone", L"", SidTypeWellKnownGroup},
        {L"S-1-5-18", L"SYSTEM", L"NT AUTHORITY", SidTypeWellKnownGroup},
        {L"S-1-5-32-544", L"Administrators", L"BUILTIN", SidTypeAlias},
    };
    for (unsigned i = 0; i < sizeof accounts / sizeof *accounts; i++) {
        PSID sid;
        WCHAR name[64], domain[64];
        DWORD names = 64, domains = 64;
        SID_NAME_USE kind;
        BYTE again[68];
        DWORD size = sizeof again;
        REQUIRE(ConvertStringSidToSidW(accounts[i].sid, &sid), SETUP);
        CHECK(LookupAccountSidW(NULL, sid, name, &names, domain, &domains, &kind), SETUP);
        CHECK(wcscmp(name, accounts[i].name) == 0, SETUP);
        CHECK(wcscmp(domain, accounts[i].domain) == 0, SETUP);
        CHECK_EQ(names, wcslen(accounts[i].name), SETUP);
        CHECK_EQ(kind, accounts[i].kind, SETUP);
        domains = 64;
        CHECK(LookupAccountNameW(NULL, accounts[i].name, again, &size, domain, &domains, &kind), SETUP);
        CHECK(EqualSid(again, sid), SETUP);
        names = domains = 0;
        CHECK(!LookupAccountSidW(NULL, sid, NULL, &names, NULL, &domains, &kind), SETUP);
        CHECK_EQ(GetLastError(), ERROR_INSUFFICIENT_BUFFER, SETUP);
        CHECK_EQ(names, wcslen(accounts[i].name) + 1, SETUP);
        LocalFree(sid);
    }
}

static TOKEN_USER *user(void)
{
    static ULONG64 buffer[32];
    HANDLE token;
    DWORD size;
    CHECK(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token), SETUP);
    CHECK(GetTokenInformation(token, TokenUser, buffer, sizeof buffer, &size), SETUP);
    CloseHandle(token);
    return (TOKEN_USER *)buffer;
}

TEST(the_user_has_an_account)
{
    WCHAR name[256], domain[256], own[256];
    DWORD names = 256, domains = 256, size = 256;
    SID_NAME_USE kind;
    CHECK(LookupAccountSidW(NULL, user()->User.Sid, name, &names, domain, &domains, &kind), SETUP);
    CHECK_EQ(kind, SidTypeUser, SETUP);
    CHECK(GetUserNameW(own, &size), SETUP);
    CHECK_EQ(size, wcslen(own) + 1, SETUP);
    CHECK(wcscmp(name, own) == 0, SETUP);
    BYTE sid[68];
    size = sizeof sid;
    domains = 256;
    CHECK(LookupAccountNameW(NULL, own, sid, &size, domain, &domains, &kind), SETUP);
    CHECK(EqualSid(sid, user()->User.Sid), SETUP);
    CHECK(!LookupAccountNameW(NULL, L"nobody-has-this-name", sid, &size, domain, &domains, &kind), SETUP);
    CHECK_EQ(GetLastError(), ERROR_NONE_MAPPED, SETUP);
}

TEST(security_of_objects)
{
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
    PSID owner;
    ACL *dacl;
    SECURITY_DESCRIPTOR *descriptor, *again;
    WCHAR *text;
    REQUIRE(GetSecurityInfo(event, SE_KERNEL_OBJECT, OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION, &owner, NULL, &dacl, NULL, (void **)&descriptor) == 0, SETUP);
    CHECK(IsValidSid(owner), SETUP);
    LocalFree(descriptor);
    REQUIRE(ConvertStringSecurityDescriptorToSecurityDescriptorW(L"D:(A;;GA;;;WD)", SDDL_REVISION_1, (void **)&again, NULL), SETUP);
    REQUIRE(GetSecurityInfo(event, SE_KERNEL_OBJECT, DACL_SECURITY_INFORMATION, NULL, NULL, &dacl, NULL, (void **)&descriptor) == 0, SETUP);
    LocalFree(descriptor);
    dacl = (ACL *)((BYTE *)again + *(DWORD *)((BYTE *)again + 16));
    CHECK_EQ(SetSecurityInfo(event, SE_KERNEL_OBJECT, DACL_SECURITY_INFORMATION, NULL, NULL, dacl, NULL), 0, SETUP);
    REQUIRE(GetSecurityInfo(event, SE_KERNEL_OBJECT, DACL_SECURITY_INFORMATION, NULL, NULL, NULL, NULL, (void **)&descriptor) == 0, SETUP);
    CHECK(ConvertSecurityDescriptorToStringSecurityDescriptorW(descriptor, SDDL_REVISION_1, DACL_SECURITY_INFORMATION, &text, NULL), SETUP);
    CHECK(wcsstr(text, L";;;WD)") != NULL || wcsstr(text, L";;;S-1-1-0)") != NULL, SETUP);
    LocalFree(text);
    LocalFree(descriptor);
    LocalFree(again);
    CloseHandle(event);

    WCHAR path[MAX_PATH];
    GetModuleFileNameW(NULL, path, MAX_PATH);
    REQUIRE(GetNamedSecurityInfoW(path, SE_FILE_OBJECT, OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION, &owner, NULL, &dacl, NULL, (void **)&descriptor) == 0, SETUP);
    CHECK(IsValidSid(owner) && dacl != NULL, SETUP);
    LocalFree(descriptor);
    CHECK_EQ(GetNamedSecurityInfoW((WCHAR *)L"C:\\no such file", SE_FILE_OBJECT, OWNER_SECURITY_INFORMATION, &owner, NULL, NULL, NULL, (void **)&descriptor), ERROR_FILE_NOT_FOUND, SETUP);
}

TEST(programs_start_with_a_token_of_the_user)
{
    WCHAR path[MAX_PATH], line[MAX_PATH + 20];
    HANDLE token;
    STARTUPINFOW startup = {.cb = sizeof startup};
    PROCESS_INFORMATION made;
    DWORD code = 99;
    GetModuleFileNameW(NULL, path, MAX_PATH);
    wcscpy(line, L"x no_such_test");
    REQUIRE(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY | TOKEN_DUPLICATE | TOKEN_ASSIGN_PRIMARY, &token), SETUP);
    REQUIRE(CreateProcessWithTokenW(token, 0, path, line, CREATE_SUSPENDED, NULL, NULL, &startup, &made), SETUP);
    CHECK(TerminateProcess(made.hProcess, 5), SETUP);
    WaitForSingleObject(made.hProcess, 10000);
    GetExitCodeProcess(made.hProcess, &code);
    CHECK_EQ(code, 5, SETUP);
    CloseHandle(made.hProcess);
    CloseHandle(made.hThread);
    CHECK(!CreateProcessWithTokenW(NULL, 0, path, line, 0, NULL, NULL, &startup, &made), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_HANDLE, SETUP);
    CloseHandle(token);
}
