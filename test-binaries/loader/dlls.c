/* DLLs beside the program: the order they are told in, who keeps them, forwarders, and loading without running.
 * Microsoft Learn "DllMain entry point", "LoadLibraryEx", "FreeLibrary". The DLLs are dlls/part.c. */
#include "../lpctest.h"
#include <string.h>

WITHOUT_PORTS

__declspec(dllimport) int user(void);
__declspec(dllimport) const char *remembered(void);
__declspec(dllimport) HANDLE report_to;

static BOOL remember_is(const char *want)
{
    const char *got = remembered();
    if (strcmp(got, want) == 0)
        return TRUE;
    note("remembered:%s", got);
    return FALSE;
}

static char before_main[200];

__attribute__((constructor)) static void keep_what_came_before_main(void) { strcpy(before_main, remembered()); }

TEST(dlls_of_the_program_start_before_it_and_stay)
{
    HMODULE base = GetModuleHandleA("dlls_base"), its_user = GetModuleHandleA("DLLS_USER.DLL");
    REQUIRE(base != NULL && its_user != NULL && base != its_user && user() == 1, SETUP);
    note("before main:%s", before_main);
    CHECK(strcmp(before_main, " base+! callback+ user+!") == 0, SETUP);
    for (int i = 0; i < 3; i++)
        CHECK(FreeLibrary(base) && FreeLibrary(its_user), SETUP);
    CHECK(GetModuleHandleA("dlls_base.dll") == base && GetModuleHandleA("dlls_user.dll") == its_user, SETUP);
}

static void nothing(void *unused) { (void)unused; }

TEST(threads_are_told_in_the_order_of_the_starts)
{
    struct worker worker;
    /* The harness's own thread. */
    for (int i = 0; i < 100 && strstr(remembered(), "user<") == NULL; i++)
        Sleep(10);
    REQUIRE(spawn(&worker, nothing, NULL), SETUP);
    join(&worker);
    CHECK(remember_is(" base< callback< user< callback> user> base>"), SETUP);
    CHECK(DisableThreadLibraryCalls(GetModuleHandleA("dlls_base")), SETUP);
    REQUIRE(spawn(&worker, nothing, NULL), SETUP);
    join(&worker);
    CHECK(remember_is(" callback< user< callback> user>"), SETUP);
}

ROLE(ends)
{
    remembered();
    report_to = (HANDLE)role_arg_number(0);
    return 0;
}

TEST(the_end_is_told_backwards)
{
    SECURITY_ATTRIBUTES inherit = {sizeof inherit, NULL, TRUE};
    HANDLE from, to;
    struct child child;
    char text[200] = "";
    DWORD got = 0;
    REQUIRE(CreatePipe(&from, &to, &inherit, 0), SETUP);
    REQUIRE(child_start(&child, "ends", number((ULONG_PTR)to), NULL), SETUP);
    CloseHandle(to);
    CHECK_EQ(child_join(&child), 0, SETUP);
    CHECK(ReadFile(from, text, sizeof text - 1, &got, NULL), SETUP);
    /* Before it comes what the harness's own thread was told of. */
    const char *end = strstr(text, " callback- ");
    if (!CHECK(end != NULL && strcmp(end, " callback- user-! base-!") == 0, SETUP))
        note("end:%s", text);
    CloseHandle(from);
}

TEST(a_dll_that_refuses_is_told_and_forgotten)
{
    remembered();
    SetLastError(0);
    CHECK_PTR(LoadLibraryA("dlls_refuses.dll"), NULL, SETUP);
    CHECK_EQ(GetLastError(), ERROR_DLL_INIT_FAILED, SETUP);
    CHECK(remember_is(" refuses+ refuses-"), SETUP);
    CHECK_PTR(GetModuleHandleA("dlls_refuses.dll"), NULL, SETUP);
}

TEST(dlls_that_need_each_other_go_together)
{
    remembered();
    HMODULE first = LoadLibraryA("dlls_ring1.dll");
    REQUIRE(first != NULL, SETUP);
    CHECK(remember_is(" ring2+ ring1+"), SETUP);
    CHECK_PTR(LoadLibraryA("Dlls_Ring1"), first, SETUP);
    HMODULE second = LoadLibraryA("dlls_ring2.dll");
    CHECK(FreeLibrary(first) && FreeLibrary(first), SETUP);
    CHECK(remember_is(""), SETUP);
    CHECK(FreeLibrary(second), SETUP);
    CHECK(remember_is(" ring1- ring2-"), SETUP);
    CHECK(GetModuleHandleA("dlls_ring1.dll") == NULL && GetModuleHandleA("dlls_ring2.dll") == NULL, SETUP);
}

TEST(forwarders_lead_to_other_dlls)
{
    HMODULE forward = LoadLibraryA("dlls_forward.dll");
    REQUIRE(forward != NULL, SETUP);
    CHECK_PTR(GetProcAddress(forward, "said"), GetProcAddress(GetModuleHandleA("dlls_base"), "remembered"), SETUP);
    CHECK_PTR(GetProcAddress(forward, "sleeps"), GetProcAddress(GetModuleHandleA("kernel32"), "Sleep"), SETUP);
    SetLastError(0);
    CHECK_PTR(GetProcAddress(forward, "lost"), NULL, SETUP);
    CHECK_EQ(GetLastError(), ERROR_PROC_NOT_FOUND, SETUP);
    CHECK_PTR(GetProcAddress(forward, "astray"), NULL, SETUP);
    CHECK(FreeLibrary(forward), SETUP);
}

TEST(data_is_not_run_and_not_found)
{
    remembered();
    HMODULE data = LoadLibraryExA("dlls_refuses.dll", NULL, LOAD_LIBRARY_AS_DATAFILE);
    CHECK_EQ((ULONG_PTR)data & 3, 1, SETUP);
    CHECK_PTR(GetModuleHandleA("dlls_refuses.dll"), NULL, SETUP);
    CHECK(FreeLibrary(data), SETUP);
    HMODULE bare = LoadLibraryExA("dlls_refuses.dll", NULL, DONT_RESOLVE_DLL_REFERENCES);
    CHECK(bare != NULL && GetProcAddress(bare, "refuses") != NULL && GetModuleHandleA("dlls_refuses") == bare, SETUP);
    CHECK(FreeLibrary(bare), SETUP);
    CHECK(remember_is(""), SETUP);
}
