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

static void do_nothing(void)
{
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
    throw_number((int)(code & 0xFF) + (pointers->ExceptionRecord->ExceptionCode == code));
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

TEST(functions_with_async_exceptions_have_faults_translated)
{
    typedef void translator(unsigned, EXCEPTION_POINTERS *);
    translator *(*set)(translator *) = (void *)GetProcAddress(GetModuleHandleA("vcruntime140.dll"), "_set_se_translator");
    REQUIRE(set != NULL, SETUP);
    forget_trail();
    CHECK_EQ(translated(fault), -1, SETUP);
    CHECK(trail_is("bxa"), SETUP);
    CHECK_PTR(set(translate), NULL, SETUP);
    CHECK_EQ(translated(fault), (EXCEPTION_ACCESS_VIOLATION & 0xFF) + 1, SETUP);
    CHECK(trail_is("ba"), SETUP);
    CHECK_EQ(translated(throw_four), 4, SETUP);
    CHECK(trail_is("ba"), SETUP);
    CHECK_PTR(set(NULL), translate, SETUP);
    CHECK_EQ(excepted_by(left_alone, fault), EXCEPTION_ACCESS_VIOLATION & 0xFFFF, SETUP);
    CHECK(trail_is("dce"), SETUP);
}

TEST(constructors_undo_what_they_made)
{
    forget_trail();
    CHECK_EQ(by_function_try(0), 0, SETUP);
    CHECK(trail_is("21"), SETUP);
    CHECK_EQ(by_function_try(1), 21, SETUP);
    CHECK(trail_is("1w"), SETUP);
    CHECK_EQ(by_function_try(2), 31, SETUP);
    CHECK(trail_is("21w"), SETUP);
    CHECK_EQ(part_of_an_array(), 30, SETUP);
    CHECK(trail_is("nnn"), SETUP);
}

TEST(pointers_convert_as_in_the_language)
{
    CHECK_EQ(by_pointer_conversions(0), 30, SETUP);
    CHECK_EQ(by_pointer_conversions(1), 30, SETUP);
    CHECK_EQ(by_pointer_conversions(2), 23, SETUP);
    CHECK_EQ(by_pointer_conversions(3), 23, SETUP);
}

TEST(destructors_throw_and_catch)
{
    forget_trail();
    CHECK_EQ(thrown_by_destructor(), 8, SETUP);
    CHECK(trail_is("tio"), SETUP);
    CHECK_EQ(caught_while_unwinding(), 11, SETUP);
}

TEST(catch_blocks_are_left_by_jumps)
{
    forget_trail();
    CHECK_EQ(jumps_out_of_catch(), 1, SETUP);
    CHECK(trail_is("dd"), SETUP);
}

TEST(finally_blocks_run_for_exceptions_of_cxx)
{
    forget_trail();
    CHECK_EQ(finally_runs(throw_four), 104, SETUP);
    CHECK(trail_is("u"), SETUP);
    CHECK_EQ(finally_runs(do_nothing), 100, SETUP);
    CHECK(trail_is("v"), SETUP);
}

static void end_as_terminated(void)
{
    ExitProcess(57);
}

ROLE(terminated)
{
    void *(*set)(void (*)(void)) = (void *)GetProcAddress(LoadLibraryA("ucrtbase.dll"), "set_terminate");
    if (set != NULL) {
        set(end_as_terminated);
        ended((int)role_arg_number(0));
    }
    return 1;
}

TEST(what_cannot_be_handled_terminates)
{
    /* The last one calls abort() without terminate(). */
    const DWORD codes[] = {57, 57, 3};
    for (ULONG_PTR kind = 0; kind < 3; kind++) {
        struct child child;
#ifdef __i386__
        /* Clang does not mark noexcept functions there, and a search finds nothing that would end the program. */
        if (kind == 1)
            continue;
#endif
        REQUIRE(child_start(&child, "terminated", number(kind), NULL), SETUP);
        DWORD code = child_join(&child);
        if (code != codes[kind])
            note("kind %d", (int)kind);
        CHECK_EQ(code, codes[kind], SETUP);
    }
}

TEST(casts_follow_the_object)
{
    CHECK_EQ(casts(), 127, SETUP);
}

#ifdef _WIN64
void destroy_guard(void *guard)
{
    (void)guard;
    trail('4');
}

TEST(compressed_tables_are_understood)
{
    forget_trail();
    CHECK_EQ(caught_by_version_4(throw_four), 1004, SETUP);
    CHECK(trail_is("4"), SETUP);
    CHECK_EQ((unsigned)caught_by_version_4(do_nothing), -1u, SETUP);
    CHECK(trail_is(""), SETUP);
}
#endif

static int(__cdecl *is_exception_typeof)(const void *, EXCEPTION_POINTERS *);
static int own_type, other_type;

static LONG WINAPI ask_for_types(EXCEPTION_POINTERS *pointers)
{
    EXCEPTION_RECORD *record = pointers->ExceptionRecord;
    if (record->ExceptionCode != 0xE06D7363)
        return EXCEPTION_CONTINUE_SEARCH;
    /* ThrowInfo, its list of types, the first of them, its descriptor. */
    const char *image = sizeof(void *) == 8 ? (const char *)record->ExceptionInformation[3] : NULL;
    const int *info = (const int *)record->ExceptionInformation[2];
    const int *types = (const int *)(image + info[3]);
    const int *type = (const int *)(image + types[1]);
    own_type = is_exception_typeof(image + type[1], pointers);
    struct {
        void *functions, *spare;
        char name[16];
    } other = {NULL, NULL, ".?AUnobody@@"};
    other_type = is_exception_typeof(&other, pointers);
    return EXCEPTION_CONTINUE_SEARCH;
}

TEST(types_of_exceptions_are_told)
{
    HMODULE runtime = GetModuleHandleA("vcruntime140.dll");
    is_exception_typeof = (void *)GetProcAddress(runtime, "_is_exception_typeof");
    REQUIRE(is_exception_typeof != NULL, SETUP);
    void *handler = AddVectoredExceptionHandler(1, ask_for_types);
    CHECK_EQ(from_callback(throw_four), 4, SETUP);
    RemoveVectoredExceptionHandler(handler);
    CHECK_EQ(own_type, 1, SETUP);
    CHECK_EQ(other_type, 0, SETUP);
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
