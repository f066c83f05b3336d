/* Exceptions and run-time types of C++ programs that Microsoft's compiler built: msvc.cpp has their tables. */
#include "../lpctest.h"
#include "msvc.h"

WITHOUT_PORTS

static char letters[64];

void trail(char letter)
{
    size_t length = strlen(letters);
    if (length < sizeof letters - 1)
        letters[length] = letter;
}

static void forget_trail(void)
{
    memset(letters, 0, sizeof letters);
}

static BOOL trail_is(const char *want)
{
    BOOL same = strcmp(letters, want) == 0;
    if (!same)
        note("trail is %s, want %s", letters, want);
    forget_trail();
    return same;
}

TEST(objects_are_caught_as_their_bases)
{
    forget_trail();
    CHECK_EQ(by_reference(), 11, SETUP);
    CHECK(trail_is("012d"), SETUP);
    CHECK_EQ(by_value(), 12, SETUP);
    CHECK(trail_is("c0bdd"), SETUP);
    CHECK_EQ(by_virtual_base(), 13, SETUP);
    CHECK(trail_is("d"), SETUP);
    CHECK_EQ(by_pointer(), 14, SETUP);
    CHECK(trail_is(""), SETUP);
}

TEST(the_first_handler_that_fits_is_taken)
{
    CHECK_EQ(first_match(0), 10, SETUP);
    CHECK_EQ(first_match(1), 5, SETUP);
    CHECK_EQ(first_match(2), 10, SETUP);
    CHECK_EQ(first_match(3), 99, SETUP);
}

TEST(exceptions_are_thrown_again)
{
    forget_trail();
    CHECK_EQ(rethrown(), 107, SETUP);
    CHECK(trail_is("01imod"), SETUP);
    CHECK_EQ(rethrown_through(40), 42, SETUP);
}

TEST(catch_blocks_throw_and_catch)
{
    forget_trail();
    CHECK_EQ(thrown_in_catch(), 7, SETUP);
    CHECK(trail_is("idof"), SETUP);
    CHECK_EQ(caught_in_catch(), 121, SETUP);
    CHECK(trail_is("g"), SETUP);
    CHECK_EQ(in_a_loop(4), 2004, SETUP);
    CHECK(trail_is("llll"), SETUP);
}

static void throw_four(void)
{
    throw_number(4);
}

TEST(exceptions_pass_frames_of_c)
{
    forget_trail();
    CHECK_EQ(from_callback(throw_four), 4, SETUP);
    CHECK(trail_is("k"), SETUP);
}

static void fault(void)
{
    *(volatile int *)unmapped() = 1;
}

TEST(faults_are_no_business_of_catch)
{
    forget_trail();
    CHECK_EQ(excepted(fault), EXCEPTION_ACCESS_VIOLATION & 0xFFFF, SETUP);
    CHECK(trail_is("e"), SETUP);
}

static void translate(unsigned code, EXCEPTION_POINTERS *pointers)
{
    throw_number((int)(code & 0xFF) + (pointers->ContextRecord->Rip != 0));
}

TEST(translators_are_for_functions_that_ask_for_them)
{
    typedef void translator(unsigned, EXCEPTION_POINTERS *);
    translator *(*set)(translator *) = (void *)GetProcAddress(GetModuleHandleA("vcruntime140.dll"), "_set_se_translator");
    REQUIRE(set != NULL, SETUP);
    CHECK_PTR(set(translate), NULL, SETUP);
    CHECK_EQ(excepted(fault), EXCEPTION_ACCESS_VIOLATION & 0xFFFF, SETUP);
    CHECK_PTR(set(NULL), translate, SETUP);
}

TEST(casts_follow_the_object)
{
    CHECK_EQ(casts(), 127, SETUP);
}

void destroy_guard(void *guard)
{
    (void)guard;
    trail('4');
}

static void do_nothing(void)
{
}

TEST(compressed_tables_are_understood)
{
    forget_trail();
    CHECK_EQ(caught_by_version_4(throw_four), 1004, SETUP);
    CHECK(trail_is("4"), SETUP);
    CHECK_EQ((unsigned)caught_by_version_4(do_nothing), -1u, SETUP);
    CHECK(trail_is(""), SETUP);
}

static LONG WINAPI end_with_code(EXCEPTION_POINTERS *pointers)
{
    ExitProcess(pointers->ExceptionRecord->ExceptionCode == 0xE06D7363 ? 55 : 56);
}

ROLE(thrower)
{
    SetUnhandledExceptionFilter(end_with_code);
    return uncaught(3);
}

TEST(uncaught_exceptions_reach_the_filter)
{
    struct child child;
    REQUIRE(child_start(&child, "thrower", NULL), SETUP);
    CHECK_EQ(child_join(&child), 55, SETUP);
}
