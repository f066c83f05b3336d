/* Text of the C runtime: functions with a locale, checked buffers, printf with positions. */
#include "../lpctest.h"
#include <errno.h>
#include <locale.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

WITHOUT_PORTS

static void *function(const char *name)
{
    void *found = (void *)GetProcAddress(GetModuleHandleA("msvcrt.dll"), name);
    if (found == NULL)
        note("no %s", name);
    return found;
}

#define IMPORT(result, name, ...)                                                                                      \
    result(__cdecl * name)(__VA_ARGS__) = (result(__cdecl *)(__VA_ARGS__))function(#name);                             \
    REQUIRE(name != NULL, SETUP)

TEST(functions_with_a_locale_do_what_those_without_do)
{
    IMPORT(void *, _create_locale, int, const char *);
    IMPORT(void, _free_locale, void *);
    IMPORT(double, _strtod_l, const char *, char **, void *);
    IMPORT(long, _strtol_l, const char *, char **, int, void *);
    IMPORT(int, _wcsicmp_l, const WCHAR *, const WCHAR *, void *);
    IMPORT(int, _isalpha_l, int, void *);
    IMPORT(int, _snprintf_l, char *, size_t, const char *, void *, ...);
    IMPORT(int, _sscanf_l, const char *, const char *, void *, ...);
    IMPORT(long long, _wtoi64_l, const WCHAR *, void *);
    char *end, text[32];
    int number = 0;
    void *c = _create_locale(LC_ALL, "C");
    REQUIRE(c != NULL, SETUP);
    CHECK(_strtod_l("1.5x", &end, c) == 1.5 && *end == 'x', SETUP);
    CHECK(_strtol_l("-1Fz", &end, 16, c) == -0x1F && *end == 'z', SETUP);
    CHECK_EQ(_wcsicmp_l(L"Same", L"sAME", c), 0, SETUP);
    CHECK(_isalpha_l('q', c) != 0 && _isalpha_l('1', c) == 0, SETUP);
    CHECK_EQ(_snprintf_l(text, sizeof text, "%.2f|%d", c, 0.5, 7), 6, SETUP);
    CHECK(strcmp(text, "0.50|7") == 0, SETUP);
    CHECK_EQ(_sscanf_l(" 12", "%d", c, &number), 1, SETUP);
    CHECK_EQ(number, 12, SETUP);
    CHECK(_wtoi64_l(L"9876543210", c) == 9876543210, SETUP);
    _free_locale(c);
}

TEST(conversions_name_their_arguments)
{
    IMPORT(int, _sprintf_p, char *, size_t, const char *, ...);
    IMPORT(int, _swprintf_p, WCHAR *, size_t, const WCHAR *, ...);
    char text[64];
    WCHAR wide[64];
    CHECK_EQ(_sprintf_p(text, sizeof text, "%3$s %1$d %2$.1f %1$04d", 7, 2.5, "x"), 12, SETUP);
    CHECK(strcmp(text, "x 7 2.5 0007") == 0, SETUP);
    CHECK_EQ(_sprintf_p(text, sizeof text, "%1$*2$I64d%%", 5LL, 4), 5, SETUP);
    CHECK(strcmp(text, "   5%") == 0, SETUP);
    CHECK_EQ(_sprintf_p(text, sizeof text, "%d-%s", 1, "plain"), 7, SETUP);
    CHECK_EQ(_swprintf_p(wide, 64, L"%2$s%1$c", 'c', L"w"), 2, SETUP);
    CHECK(wcscmp(wide, L"wc") == 0, SETUP);
}

TEST(checked_buffers_are_filled)
{
    IMPORT(int, _strset_s, char *, size_t, int);
    IMPORT(int, _wcsnset_s, WCHAR *, size_t, WCHAR, size_t);
    IMPORT(int, _ecvt_s, char *, size_t, double, int, int *, int *);
    IMPORT(int, _fcvt_s, char *, size_t, double, int, int *, int *);
    IMPORT(int, _atoflt, float *, const char *);
    char text[16] = "abc";
    WCHAR wide[8] = L"abcd";
    int point, sign;
    float number;
    CHECK_EQ(_strset_s(text, sizeof text, '*'), 0, SETUP);
    CHECK(strcmp(text, "***") == 0, SETUP);
    CHECK_EQ(_wcsnset_s(wide, 8, L'-', 2), 0, SETUP);
    CHECK(wcscmp(wide, L"--cd") == 0, SETUP);
    CHECK_EQ(_ecvt_s(text, sizeof text, -12.75, 3, &point, &sign), 0, SETUP);
    CHECK(strcmp(text, "128") == 0 && point == 2 && sign != 0, SETUP);
    CHECK_EQ(_fcvt_s(text, sizeof text, 3.14159, 2, &point, &sign), 0, SETUP);
    CHECK(strcmp(text, "314") == 0 && point == 1 && sign == 0, SETUP);
    CHECK_EQ(_atoflt(&number, "0.25"), 0, SETUP);
    CHECK(number == 0.25f, SETUP);
}

static int __cdecl compare_with(void *context, const void *left, const void *right)
{
    ++*(int *)context;
    return *(const int *)left - *(const int *)right;
}

TEST(linear_searches_get_a_context)
{
    IMPORT(void *, _lfind_s, const void *, const void *, unsigned *, size_t, int(__cdecl *)(void *, const void *, const void *), void *);
    IMPORT(void *, _lsearch_s, const void *, void *, unsigned *, size_t, int(__cdecl *)(void *, const void *, const void *), void *);
    int numbers[4] = {5, 6, 7}, calls = 0, key = 6, other = 9;
    unsigned count = 3;
    CHECK_PTR(_lfind_s(&key, numbers, &count, sizeof key, compare_with, &calls), &numbers[1], SETUP);
    CHECK_EQ(calls, 2, SETUP);
    CHECK_PTR(_lsearch_s(&other, numbers, &count, sizeof key, compare_with, &calls), &numbers[3], SETUP);
    CHECK(count == 4 && numbers[3] == 9, SETUP);
}

TEST(blocks_grow_with_zeros)
{
    IMPORT(void *, _aligned_recalloc, void *, size_t, size_t, size_t);
    IMPORT(void, _aligned_free, void *);
    unsigned char *block = _aligned_recalloc(NULL, 4, 8, 64);
    REQUIRE(block != NULL, SETUP);
    memset(block, 0xAA, 32);
    block = _aligned_recalloc(block, 10, 8, 64);
    CHECK((ULONG_PTR)block % 64 == 0 && block[31] == 0xAA && block[32] == 0 && block[79] == 0, SETUP);
    _aligned_free(block);
}

TEST(private_names_lead_to_the_functions)
{
    HMODULE runtime = LoadLibraryA("ucrtbase.dll");
    REQUIRE(runtime != NULL, SETUP);
    CHECK_PTR(GetProcAddress(runtime, "_o_malloc"), GetProcAddress(runtime, "malloc"), SETUP);
    CHECK_PTR(GetProcAddress(runtime, "_o__wcsicmp"), GetProcAddress(runtime, "_wcsicmp"), SETUP);
    CHECK(GetProcAddress(runtime, "_o_no_such_function") == NULL, SETUP);
}
