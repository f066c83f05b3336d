/* Code pages, dates and times as text, time zones. */
#include "../lpctest.h"
#include <stdio.h>
#include <string.h>

WITHOUT_PORTS

TEST(code_pages)
{
    CPINFOEXW wide;
    CPINFOEXA ansi;
    REQUIRE(GetCPInfoExW(CP_UTF8, 0, &wide), SETUP);
    CHECK_EQ(wide.CodePage, CP_UTF8, SETUP);
    CHECK_EQ(wide.MaxCharSize, 4, SETUP);
    CHECK_EQ(wide.LeadByte[0], 0, SETUP);
    CHECK(wcsncmp(wide.CodePageName, L"65001", 5) == 0, SETUP);
    REQUIRE(GetCPInfoExA(1252, 0, &ansi), SETUP);
    CHECK_EQ(ansi.CodePage, 1252, SETUP);
    CHECK_EQ(ansi.MaxCharSize, 1, SETUP);
    CHECK_EQ(ansi.DefaultChar[0], '?', SETUP);
    CHECK(ansi.CodePageName[0] != 0, SETUP);
    REQUIRE(GetCPInfoExW(CP_ACP, 0, &wide), SETUP);
    CHECK_EQ(wide.CodePage, GetACP(), SETUP);
    CHECK(!GetCPInfoExW(54321, 0, &wide), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER, SETUP);
}

static const SYSTEMTIME afternoon = {2024, 2, 0, 9, 15, 4, 5, 678};

static void check_date(LCID locale, DWORD flags, const char *picture, const char *expected)
{
    char text[100] = "";
    int count = GetDateFormatA(locale, flags, &afternoon, picture, text, sizeof text);
    context("%s", expected);
    CHECK_EQ(count, strlen(expected) + 1, SETUP);
    if (!CHECK(strcmp(text, expected) == 0, SETUP))
        note("got %s", text);
    CHECK_EQ(GetDateFormatA(locale, flags, &afternoon, picture, NULL, 0), count, SETUP);
    context(NULL);
}

static void check_time(LCID locale, DWORD flags, const char *picture, const char *expected)
{
    char text[100] = "";
    int count = GetTimeFormatA(locale, flags, &afternoon, picture, text, sizeof text);
    context("%s", expected);
    CHECK_EQ(count, strlen(expected) + 1, SETUP);
    if (!CHECK(strcmp(text, expected) == 0, SETUP))
        note("got %s", text);
    CHECK_EQ(GetTimeFormatA(locale, flags, &afternoon, picture, NULL, 0), count, SETUP);
    context(NULL);
}

#define US MAKELCID(MAKELANGID(LANG_ENGLISH, SUBLANG_ENGLISH_US), SORT_DEFAULT)

TEST(dates)
{
    check_date(US, 0, NULL, "2/9/2024");
    check_date(US, DATE_SHORTDATE, NULL, "2/9/2024");
    check_date(US, DATE_LONGDATE, NULL, "Friday, February 9, 2024");
    check_date(US, DATE_YEARMONTH, NULL, "February 2024");
    check_date(LOCALE_INVARIANT, 0, NULL, "02/09/2024");
    check_date(LOCALE_INVARIANT, DATE_LONGDATE, NULL, "Friday, 09 February 2024");
    check_date(US, 0, "ddd',' MMM dd yy", "Fri, Feb 09 24");
    check_date(US, 0, "'day' d 'o''clock' yyyy-MM-dd", "day 9 o'clock 2024-02-09");
    check_date(US, 0, "", "");
}

TEST(times)
{
    check_time(US, 0, NULL, "3:04:05 PM");
    check_time(US, TIME_NOSECONDS, NULL, "3:04 PM");
    check_time(US, TIME_NOMINUTESORSECONDS, NULL, "3 PM");
    check_time(US, TIME_NOTIMEMARKER, NULL, "3:04:05");
    check_time(US, TIME_FORCE24HOURFORMAT | TIME_NOTIMEMARKER, NULL, "15:04:05");
    check_time(LOCALE_INVARIANT, 0, NULL, "15:04:05");
    check_time(US, 0, "hh'h' mm'm' ss t", "03h 04m 05 P");
    check_time(US, 0, "HH:mm:ss", "15:04:05");
}

TEST(dates_and_times_refused)
{
    WCHAR text[100];
    SYSTEMTIME bad = afternoon;
    bad.wMonth = 13;
    CHECK_EQ(GetDateFormatW(US, 0, &bad, NULL, text, 100), 0, SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER, SETUP);
    bad = afternoon;
    bad.wHour = 24;
    CHECK_EQ(GetTimeFormatW(US, 0, &bad, NULL, text, 100), 0, SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER, SETUP);
    CHECK_EQ(GetDateFormatW(US, DATE_SHORTDATE, &afternoon, L"d", text, 100), 0, SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_FLAGS, SETUP);
    CHECK_EQ(GetDateFormatW(US, DATE_SHORTDATE | DATE_LONGDATE, &afternoon, NULL, text, 100), 0, SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_FLAGS, SETUP);
    CHECK_EQ(GetDateFormatW(US, 0, &afternoon, NULL, text, 5), 0, SETUP);
    CHECK_EQ(GetLastError(), ERROR_INSUFFICIENT_BUFFER, SETUP);
    CHECK_EQ(GetDateFormatW(US, 0, &afternoon, NULL, text, -1), 0, SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER, SETUP);
}

TEST(locales_by_name)
{
    typedef int WINAPI date_ex(const WCHAR *, DWORD, const SYSTEMTIME *, const WCHAR *, WCHAR *, int, const WCHAR *);
    typedef int WINAPI time_ex(const WCHAR *, DWORD, const SYSTEMTIME *, const WCHAR *, WCHAR *, int);
    HMODULE kernel32 = GetModuleHandleA("kernel32.dll");
    date_ex *date = (date_ex *)(void *)GetProcAddress(kernel32, "GetDateFormatEx");
    time_ex *time = (time_ex *)(void *)GetProcAddress(kernel32, "GetTimeFormatEx");
    WCHAR text[100];
    REQUIRE(date != NULL && time != NULL, SETUP);
    CHECK_EQ(date(L"en-US", DATE_LONGDATE, &afternoon, NULL, text, 100, NULL), 25, SETUP);
    CHECK(wcscmp(text, L"Friday, February 9, 2024") == 0, SETUP);
    CHECK_EQ(time(L"", 0, &afternoon, NULL, text, 100), 9, SETUP);
    CHECK(wcscmp(text, L"15:04:05") == 0, SETUP);
    CHECK(date(NULL, 0, NULL, NULL, text, 100, NULL) >= 9, SETUP);
    CHECK_EQ(date(L"no-such-place", 0, &afternoon, NULL, text, 100, NULL), 0, SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER, SETUP);
}

TEST(the_zone)
{
    TIME_ZONE_INFORMATION plain;
    DYNAMIC_TIME_ZONE_INFORMATION dynamic;
    DWORD which = GetTimeZoneInformation(&plain);
    /* The same by its year. */
    typedef BOOL WINAPI zone_of_year(USHORT, void *, TIME_ZONE_INFORMATION *);
    zone_of_year *ForYear = (zone_of_year *)(void *)GetProcAddress(GetModuleHandleA("kernel32.dll"), "GetTimeZoneInformationForYear");
    TIME_ZONE_INFORMATION by_year;
    SYSTEMTIME today;
    GetLocalTime(&today);
    REQUIRE(ForYear != NULL && ForYear(today.wYear, NULL, &by_year), SETUP);
    CHECK(by_year.Bias == plain.Bias && by_year.DaylightBias == plain.DaylightBias, SETUP);
    CHECK(memcmp(&by_year.DaylightDate, &plain.DaylightDate, sizeof plain.DaylightDate) == 0, SETUP);
    CHECK(memcmp(&by_year.StandardDate, &plain.StandardDate, sizeof plain.StandardDate) == 0, SETUP);
    CHECK_EQ(GetDynamicTimeZoneInformation(&dynamic), which, SETUP);
    CHECK(which <= TIME_ZONE_ID_DAYLIGHT, SETUP);
    CHECK_EQ(dynamic.Bias, plain.Bias, SETUP);
    CHECK(wcscmp(dynamic.StandardName, plain.StandardName) == 0, SETUP);
    CHECK_EQ(dynamic.DaylightDate.wMonth, plain.DaylightDate.wMonth, SETUP);
    CHECK(!dynamic.DynamicDaylightTimeDisabled, SETUP);
    CHECK((which == TIME_ZONE_ID_UNKNOWN) == (plain.DaylightDate.wMonth == 0), SETUP);
    SYSTEMTIME now, local, back;
    union {
        FILETIME parts;
        LONG64 whole;
    } utc, here;
    GetSystemTime(&now);
    REQUIRE(SystemTimeToTzSpecificLocalTime(NULL, &now, &local), SETUP);
    SystemTimeToFileTime(&now, &utc.parts);
    SystemTimeToFileTime(&local, &here.parts);
    LONG64 ahead = (here.whole - utc.whole) / 600000000;
    LONG bias = plain.Bias + (which == TIME_ZONE_ID_DAYLIGHT ? plain.DaylightBias : plain.StandardBias);
    CHECK_EQ(ahead, -bias, SETUP);
    REQUIRE(TzSpecificLocalTimeToSystemTime(NULL, &local, &back), SETUP);
    CHECK(memcmp(&back, &now, sizeof now) == 0, SETUP);
}

TEST(conversions_follow_the_rules_of_a_zone)
{
    /* Pacific time. */
    TIME_ZONE_INFORMATION zone = {480, L"", {0, 11, 0, 1, 2, 0, 0, 0}, 0, L"", {0, 3, 0, 2, 2, 0, 0, 0}, -60};
    static const struct {
        SYSTEMTIME utc;
        WORD day, hour;
    } moments[] = {
        {{2024, 1, 0, 15, 20, 0, 0, 0}, 15, 12}, {{2024, 7, 0, 15, 20, 0, 0, 0}, 15, 13},
        {{2024, 3, 0, 10, 9, 59, 0, 0}, 10, 1},  {{2024, 3, 0, 10, 10, 0, 0, 0}, 10, 3},
        {{2024, 11, 0, 3, 8, 59, 0, 0}, 3, 1},   {{2024, 11, 0, 3, 10, 0, 0, 0}, 3, 2},
    };
    for (int i = 0; i < 6; i++) {
        SYSTEMTIME local, back;
        context("moment %d", i);
        REQUIRE(SystemTimeToTzSpecificLocalTime(&zone, &moments[i].utc, &local), SETUP);
        CHECK_EQ(local.wDay, moments[i].day, SETUP);
        CHECK_EQ(local.wHour, moments[i].hour, SETUP);
        REQUIRE(TzSpecificLocalTimeToSystemTime(&zone, &local, &back), SETUP);
        CHECK_EQ(back.wHour, moments[i].utc.wHour, SETUP);
    }
    context(NULL);
}

TEST(places_and_names_of_locales)
{
    WCHAR text[32];
    CHECK(GetUserGeoID(GEOCLASS_NATION) > 0, SETUP);
    CHECK_EQ(GetGeoInfoW(244, GEO_ISO2, NULL, 0, 0), 3, SETUP);
    CHECK_EQ(GetGeoInfoW(244, GEO_ISO2, text, 32, 0), 3, SETUP);
    CHECK(wcscmp(text, L"US") == 0, SETUP);
    CHECK(GetGeoInfoW(244, GEO_ISO3, text, 2, 0) == 0 && GetLastError() == ERROR_INSUFFICIENT_BUFFER, SETUP);
    CHECK_EQ(ResolveLocaleName(L"en-US", text, 32), 6, SETUP);
    CHECK(wcscmp(text, L"en-US") == 0, SETUP);
}
