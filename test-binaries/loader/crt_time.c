/* time.h of the C runtime. */
#include "../lpctest.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/timeb.h>
#include <time.h>
#include <wchar.h>

WITHOUT_PORTS

TEST(parts_in_utc)
{
    __time64_t when = 951782399; /* 2000-02-28 23:59:59, a Monday */
    struct tm *tm = _gmtime64(&when);
    REQUIRE(tm != NULL, SETUP);
    CHECK_EQ(tm->tm_year, 100, SETUP);
    CHECK_EQ(tm->tm_mon, 1, SETUP);
    CHECK_EQ(tm->tm_mday, 28, SETUP);
    CHECK_EQ(tm->tm_hour, 23, SETUP);
    CHECK_EQ(tm->tm_min, 59, SETUP);
    CHECK_EQ(tm->tm_sec, 59, SETUP);
    CHECK_EQ(tm->tm_wday, 1, SETUP);
    CHECK_EQ(tm->tm_yday, 58, SETUP);
    CHECK_EQ(tm->tm_isdst, 0, SETUP);
    CHECK_EQ(_mkgmtime64(tm), when, SETUP);
    when = -1;
    errno = 0;
    CHECK(_gmtime64(&when) == NULL, SETUP);
    CHECK_EQ(errno, EINVAL, SETUP);
}

TEST(local_parts_come_back)
{
    for (__time64_t when = 86400; when < 2000000000; when += 40000007) {
        struct tm *tm = _localtime64(&when);
        REQUIRE(tm != NULL, SETUP);
        struct tm copy = *tm;
        REQUIRE(_mktime64(&copy) == when, SETUP);
        CHECK_EQ(copy.tm_yday, tm->tm_yday, SETUP);
    }
}

TEST(parts_are_normalized)
{
    struct tm tm = {.tm_year = 99, .tm_mon = 13, .tm_mday = 31, .tm_hour = 25, .tm_min = -1};
    CHECK(_mkgmtime64(&tm) != -1, SETUP); /* February 31st, 2000 */
    CHECK_EQ(tm.tm_mon, 2, SETUP);
    CHECK_EQ(tm.tm_mday, 3, SETUP);
    CHECK_EQ(tm.tm_hour, 0, SETUP);
    CHECK_EQ(tm.tm_min, 59, SETUP);
    CHECK_EQ(tm.tm_wday, 5, SETUP);
}

TEST(texts)
{
    static const struct {
        const char *format, *want;
    } rows[] = {
        {"%a %A %b %B", "Tue Tuesday Jan January"},
        {"%d %H %I %j %m %M %p %S", "04 17 05 004 01 08 PM 09"},
        {"%U %w %W %x %X %y %Y %%", "01 2 01 01/04/00 17:08:09 00 2000 %"},
        {"%#d %#H %#M %#x", "4 17 8 Tuesday, January 04, 2000"},
        {"%#c", "Tuesday, January 04, 2000 17:08:09"},
    };
    __time64_t when = 947005689;
    struct tm tm = *_gmtime64(&when);
    char text[100];
    wchar_t wide[100];
    for (int i = 0; i < (int)(sizeof rows / sizeof *rows); i++) {
        size_t length = strftime(text, sizeof text, rows[i].format, &tm);
        context("%s", text);
        CHECK(strcmp(text, rows[i].want) == 0, SETUP);
        CHECK_EQ(length, strlen(rows[i].want), SETUP);
    }
    context(NULL);
    CHECK_EQ(wcsftime(wide, 100, L"%Y-%m-%d", &tm), 10, SETUP);
    CHECK(wcscmp(wide, L"2000-01-04") == 0, SETUP);
    CHECK_EQ(strftime(text, 5, "%Y-%m", &tm), 0, SETUP);
    CHECK(strncmp(asctime(&tm), "Tue Jan", 7) == 0, SETUP);
    CHECK(strcmp(asctime(&tm) + 10, " 17:08:09 2000\n") == 0, SETUP);
    context("%s", asctime(&tm));
    CHECK_EQ(strlen(asctime(&tm)), 25, SETUP);
    context(NULL);
}

TEST(the_present)
{
    struct __timeb64 precise;
    FILETIME system;
    __time64_t now = _time64(NULL);
    _ftime64(&precise);
    GetSystemTimeAsFileTime(&system);
    ULONG64 ticks = (ULONG64)system.dwHighDateTime << 32 | system.dwLowDateTime;
    __time64_t want = (__time64_t)(ticks / 10000000) - 11644473600;
    CHECK(want - now >= 0 && want - now < 3, SETUP);
    CHECK(precise.time - now >= 0 && precise.time - now < 3 && precise.millitm < 1000, SETUP);
    CHECK(_difftime64(now + 5, now) == 5.0, SETUP);
    clock_t before = clock();
    Sleep(30);
    CHECK(before >= 0 && clock() - before >= 25, SETUP);
}

TEST(zones_of_the_environment)
{
    __time64_t winter = 947005689, summer = 962730000;
    _putenv("TZ=PST8PDT");
    _tzset();
    CHECK_EQ(_timezone, 8 * 3600, SETUP);
    CHECK(_daylight != 0, SETUP);
    CHECK(strcmp(_tzname[0], "PST") == 0 && strcmp(_tzname[1], "PDT") == 0, SETUP);
    CHECK_EQ(_localtime64(&winter)->tm_hour, 9, SETUP);
    CHECK_EQ(_localtime64(&winter)->tm_isdst, 0, SETUP);
    struct tm *tm = _localtime64(&summer); /* 2000-07-04 17:00 UTC */
    CHECK_EQ(tm->tm_hour, 10, SETUP);
    CHECK_EQ(tm->tm_isdst, 1, SETUP);
}
