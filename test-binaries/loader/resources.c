/* Resources of the program, resources.rc, in several languages. Microsoft Learn "FindResourceExW", "LoadStringW". */
#include "../lpctest.h"
#include <string.h>

WITHOUT_PORTS

static BOOL data_is(HRSRC found, const char *want)
{
    if (found == NULL || SizeofResource(NULL, found) != strlen(want))
        return FALSE;
    return memcmp(LockResource(LoadResource(NULL, found)), want, strlen(want)) == 0;
}

enum { GERMAN = MAKELANGID(LANG_GERMAN, SUBLANG_GERMAN), CANADIAN = MAKELANGID(LANG_FRENCH, SUBLANG_FRENCH_CANADIAN) };

TEST(languages_are_chosen)
{
    CHECK(data_is(FindResourceA(NULL, MAKEINTRESOURCEA(7), (char *)RT_RCDATA), "english"), SETUP);
    CHECK(data_is(FindResourceExA(NULL, (char *)RT_RCDATA, MAKEINTRESOURCEA(7), GERMAN), "deutsch"), SETUP);
    CHECK(data_is(FindResourceExA(NULL, (char *)RT_RCDATA, "#7", CANADIAN), "francais"), SETUP);
    CHECK(data_is(FindResourceExW(NULL, (WCHAR *)RT_RCDATA, L"named", 0), "named"), SETUP);
    SetLastError(0);
    CHECK_PTR(FindResourceExA(NULL, (char *)RT_RCDATA, MAKEINTRESOURCEA(8), GERMAN), NULL, SETUP);
    CHECK_EQ(GetLastError(), ERROR_RESOURCE_LANG_NOT_FOUND, SETUP);
    CHECK_PTR(FindResourceA(NULL, "absent", (char *)RT_RCDATA), NULL, SETUP);
    CHECK_EQ(GetLastError(), ERROR_RESOURCE_NAME_NOT_FOUND, SETUP);
    CHECK_PTR(FindResourceA(NULL, "absent", "ABSENT"), NULL, SETUP);
    CHECK_EQ(GetLastError(), ERROR_RESOURCE_TYPE_NOT_FOUND, SETUP);
}

TEST(texts_are_copied_or_shown)
{
    WCHAR text[40];
    char ansi[40];
    const WCHAR *shown = NULL;
    CHECK_EQ(LoadStringW(GetModuleHandleW(NULL), 1, text, 40), 3, SETUP);
    CHECK(wcscmp(text, L"one") == 0, SETUP);
    CHECK_EQ(LoadStringA(GetModuleHandleW(NULL), 2, ansi, 7), 6, SETUP);
    CHECK(strcmp(ansi, "colour") == 0, SETUP);
    CHECK_EQ(LoadStringW(GetModuleHandleW(NULL), 2, (WCHAR *)&shown, 0), 13, SETUP);
    CHECK(shown != NULL && memcmp(shown, L"colour: color", 26) == 0, SETUP);
    CHECK_EQ(LoadStringW(GetModuleHandleW(NULL), 60, text, 40), 17, SETUP);
    CHECK(wcscmp(text, L"nur deutsch: gr\xfc\xdf") == 0, SETUP);
    CHECK_EQ(LoadStringW(GetModuleHandleW(NULL), 3, text, 40), 0, SETUP);
    CHECK_EQ(LoadStringW(GetModuleHandleW(NULL), 999, text, 40), 0, SETUP);
}

static int seen, named;

static BOOL CALLBACK see(HMODULE module, const WCHAR *kind, WCHAR *name, LONG_PTR stop_at)
{
    (void)module;
    seen++;
    if (!IS_INTRESOURCE(name) && wcscmp(name, L"NAMED") == 0 && kind == (WCHAR *)RT_RCDATA)
        named++;
    return seen != stop_at;
}

TEST(names_are_told)
{
    CHECK(EnumResourceNamesW(NULL, (WCHAR *)RT_RCDATA, see, 0), SETUP);
    CHECK_EQ(seen, 3, SETUP);
    CHECK_EQ(named, 1, SETUP);
    seen = 0;
    CHECK(!EnumResourceNamesW(NULL, (WCHAR *)RT_RCDATA, see, 2), SETUP);
    CHECK_EQ(seen, 2, SETUP);
    CHECK(!EnumResourceNamesW(NULL, L"ABSENT", see, 0), SETUP);
    CHECK_EQ(GetLastError(), ERROR_RESOURCE_TYPE_NOT_FOUND, SETUP);
}
