/* mbstring.h and locale objects of the C runtime, in a code page of single bytes. */
#include "../lpctest.h"
#include <mbctype.h>
#include <mbstring.h>
#include <stdio.h>
#include <stdlib.h>

WITHOUT_PORTS

#define B(text) ((const unsigned char *)(text))

TEST(strings_of_single_bytes)
{
    unsigned char text[32];
    CHECK_EQ(_mbslen(B("abc")), 3, SETUP);
    CHECK_PTR(_mbschr(B("a.b"), '.') - B("a.b") < 3, TRUE, SETUP);
    CHECK(_mbsstr(B("hello"), B("xx")) == NULL, SETUP);
    CHECK_EQ(_mbsicmp(B("ABC"), B("abc")), 0, SETUP);
    CHECK(_mbscmp(B("a"), B("b")) < 0, SETUP);
    _mbscpy(text, B("One"));
    _mbscat(text, B(" two"));
    CHECK(strcmp((char *)text, "One two") == 0, SETUP);
    CHECK(strcmp((char *)_mbsupr(text), "ONE TWO") == 0, SETUP);
    CHECK_PTR(_mbsinc(text), text + 1, SETUP);
    CHECK_PTR(_mbsdec(text, text + 3), text + 2, SETUP);
    CHECK_PTR(_mbsdec(text, text), NULL, SETUP);
    CHECK_EQ(_mbsnextc(text), 'O', SETUP);
    CHECK_EQ(_mbclen(text), 1, SETUP);
    CHECK_PTR(_mbstok(text, B(" ")), text, SETUP);
    CHECK(strcmp((char *)_mbstok(NULL, B(" ")), "TWO") == 0, SETUP);
}

TEST(kinds_of_single_bytes)
{
    CHECK(!_ismbblead('a') && !_ismbbtrail('a'), SETUP);
    CHECK(_ismbcalpha('a') && !_ismbcalpha('1') && _ismbcdigit('1'), SETUP);
    CHECK_EQ(_mbctoupper('q'), 'Q', SETUP);
    CHECK_EQ(_mbctolower('Q'), 'q', SETUP);
}
