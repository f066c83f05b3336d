/* Exceptions of C programs with __try: codes, filters, __finally, stacks. Built by clang, which knows the keywords. */
#include "../lpctest.h"
#include <float.h>
#include <malloc.h>

WITHOUT_PORTS

static EXCEPTION_RECORD seen;

static LONG note_record(EXCEPTION_POINTERS *pointers, LONG verdict)
{
    seen = *pointers->ExceptionRecord;
    return verdict;
}

/* Runs `action` and returns the code of the exception it raises, 0 for none. */
static DWORD code_of(void (*action)(void))
{
    memset(&seen, 0, sizeof seen);
    __try {
        action();
    } __except (note_record(GetExceptionInformation(), EXCEPTION_EXECUTE_HANDLER)) {
        return seen.ExceptionCode;
    }
    return 0;
}

static volatile int *target;

static void read_target(void) { (void)*target; }
static void write_target(void) { *target = 1; }
static void call_target(void) { ((void (*)(void))(ULONG_PTR)target)(); }
static void break_point(void) { __asm__ volatile("int3"); }
static void illegal(void) { __asm__ volatile("ud2"); }
static void privileged(void) { __asm__ volatile("hlt"); }

static void divide(LONG64 value, int divisor)
{
    __asm__ volatile("idivl %2" : : "a"((int)value), "d"((int)(value >> 32)), "r"(divisor) : "cc");
}

static void divide_by_zero(void) { divide(5, 0); }
static void overflow(void) { divide(-0x80000000LL, -1); }

static void divide_in_memory(void)
{
    volatile unsigned char zero[5] = {1, 0, 0, 0, 0};
    __asm__ volatile("divl 1(%0)" : : "r"(zero), "a"(1), "d"(0) : "cc", "memory");
}

TEST(faults_have_codes)
{
    target = unmapped();
    CHECK_EQ(code_of(read_target), (DWORD)EXCEPTION_ACCESS_VIOLATION, SETUP);
    CHECK_EQ(seen.NumberParameters, 2, SETUP);
    CHECK_EQ(seen.ExceptionInformation[0], 0, SETUP);
    CHECK_EQ(seen.ExceptionInformation[1], (ULONG_PTR)target, SETUP);
    CHECK_EQ(code_of(write_target), (DWORD)EXCEPTION_ACCESS_VIOLATION, SETUP);
    CHECK_EQ(seen.ExceptionInformation[0], 1, SETUP);
    CHECK_EQ(code_of(call_target), (DWORD)EXCEPTION_ACCESS_VIOLATION, SETUP);
    CHECK_EQ(seen.ExceptionInformation[0], 8, SETUP);
    CHECK_PTR(seen.ExceptionAddress, target, SETUP);
    CHECK_EQ(code_of(break_point), (DWORD)EXCEPTION_BREAKPOINT, SETUP);
    CHECK_EQ(code_of(illegal), (DWORD)EXCEPTION_ILLEGAL_INSTRUCTION, SETUP);
    CHECK_EQ(code_of(privileged), (DWORD)EXCEPTION_PRIV_INSTRUCTION, SETUP);
}

TEST(divisions)
{
    CHECK_EQ(code_of(divide_by_zero), (DWORD)EXCEPTION_INT_DIVIDE_BY_ZERO, SETUP);
    CHECK_EQ(code_of(divide_in_memory), (DWORD)EXCEPTION_INT_DIVIDE_BY_ZERO, SETUP);
    CHECK_EQ(code_of(overflow), (DWORD)EXCEPTION_INT_OVERFLOW, SETUP);
}

static void divide_floats(void)
{
    volatile double one = 1.0, zero = 0.0;
    one = one / zero;
}

/* Lets the x87 report what the instruction before found. */
static void settle(void) { __asm__ volatile("fwait"); }

static void multiply_floats(void)
{
    volatile double large = 1e300;
    large = large * large;
    settle();
}

static void subtract_infinities(void)
{
    volatile double one = 1.0, large = 1e308;
    one = large * 10;
    one = one - one;
    settle();
}

static void divide_after_denormal(void)
{
    volatile double small = 5e-324, one = 1.0, three = 3.0;
    small = small * one;
    one = one / three;
    settle();
}

TEST(masked_floating_point_exceptions_are_not_told)
{
    unsigned before = _controlfp(0, 0);
    _clearfp();
    _controlfp((before | _MCW_EM) & ~_EM_INEXACT, _MCW_EM);
    CHECK_EQ(code_of(divide_after_denormal), (DWORD)EXCEPTION_FLT_INEXACT_RESULT, SETUP);
    _clearfp();
    _controlfp(before, _MCW_EM);
}

TEST(floating_point)
{
    CHECK_EQ(code_of(divide_floats), 0, SETUP);
    unsigned before = _controlfp(0, 0);
    _clearfp();
    _controlfp(before & ~(_EM_ZERODIVIDE | _EM_OVERFLOW), _MCW_EM);
    CHECK_EQ(code_of(divide_floats), (DWORD)EXCEPTION_FLT_DIVIDE_BY_ZERO, SETUP);
    _clearfp();
    CHECK_EQ(code_of(multiply_floats), (DWORD)EXCEPTION_FLT_OVERFLOW, SETUP);
    _clearfp();
    _controlfp((before | _MCW_EM) & ~_EM_INVALID, _MCW_EM);
    CHECK_EQ(code_of(subtract_infinities), (DWORD)EXCEPTION_FLT_INVALID_OPERATION, SETUP);
    _clearfp();
    _controlfp(before, _MCW_EM);
    CHECK_EQ(code_of(divide_floats), 0, SETUP);
}

static void raise_with_words(void)
{
    ULONG_PTR words[3] = {11, 22, 33};
    RaiseException(0xE0001234, 0, 3, words);
}

TEST(programs_raise_exceptions)
{
    CHECK_EQ(code_of(raise_with_words), 0xE0001234, SETUP);
    CHECK_EQ(seen.NumberParameters, 3, SETUP);
    CHECK_EQ(seen.ExceptionInformation[2], 33, SETUP);
    CHECK_EQ(seen.ExceptionFlags, 0, SETUP);
}

static void raise_and_continue(void)
{
    __try {
        RaiseException(0xE0000001, EXCEPTION_NONCONTINUABLE, 0, NULL);
    } __except (GetExceptionCode() == 0xE0000001 ? EXCEPTION_CONTINUE_EXECUTION : EXCEPTION_CONTINUE_SEARCH) {
    }
}

TEST(some_exceptions_cannot_be_continued)
{
    CHECK_EQ(code_of(raise_and_continue), (DWORD)EXCEPTION_NONCONTINUABLE_EXCEPTION, SETUP);
}

static char letters[64];

static int trail(char letter)
{
    letters[strlen(letters)] = letter;
    return 0;
}

static BOOL trail_is(const char *want)
{
    BOOL same = strcmp(letters, want) == 0;
    if (!same)
        note("trail is %s, want %s", letters, want);
    memset(letters, 0, sizeof letters);
    return same;
}

static void with_finally(void)
{
    __try {
        __try {
            trail('a');
            RaiseException(0xE0000002, 0, 0, NULL);
            trail('x');
        } __finally {
            trail(AbnormalTermination() ? 'b' : 'x');
        }
    } __finally {
        trail(AbnormalTermination() ? 'c' : 'x');
    }
}

TEST(filters_are_asked_before_frames_are_left)
{
    memset(letters, 0, sizeof letters);
    __try {
        __try {
            with_finally();
        } __except (trail('1'), EXCEPTION_CONTINUE_SEARCH) {
            trail('x');
        }
    } __except (trail('2'), EXCEPTION_EXECUTE_HANDLER) {
        trail('3');
    }
    CHECK(trail_is("a12bc3"), SETUP);
    __try {
        trail('a');
    } __finally {
        trail(AbnormalTermination() ? 'x' : 'b');
    }
    CHECK(trail_is("ab"), SETUP);
}

static LONG replace_target(void)
{
    static int place;
    if (target == &place)
        return EXCEPTION_EXECUTE_HANDLER;
    trail('f');
    return EXCEPTION_EXECUTE_HANDLER;
}

static void finally_raises(void)
{
    __try {
        __try {
            RaiseException(0xE0000003, 0, 0, NULL);
        } __finally {
            trail('f');
            RaiseException(0xE0000004, 0, 0, NULL);
        }
    } __except (GetExceptionCode() == 0xE0000004 ? EXCEPTION_EXECUTE_HANDLER : EXCEPTION_CONTINUE_SEARCH) {
        trail('h');
    }
}

TEST(exceptions_inside_of_exceptions)
{
    memset(letters, 0, sizeof letters);
    target = unmapped();
    __try {
        read_target();
    } __except (code_of(illegal) == (DWORD)EXCEPTION_ILLEGAL_INSTRUCTION ? replace_target() : EXCEPTION_CONTINUE_SEARCH) {
        trail('h');
    }
    CHECK(trail_is("fh"), SETUP);
    __try {
        finally_raises();
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        trail('x');
    }
    CHECK(trail_is("fh"), SETUP);
}

static LONG CALLBACK first_vectored(EXCEPTION_POINTERS *pointers)
{
    (void)pointers;
    trail('1');
    return EXCEPTION_CONTINUE_SEARCH;
}

static LONG CALLBACK last_vectored(EXCEPTION_POINTERS *pointers)
{
    trail('2');
    return pointers->ExceptionRecord->ExceptionCode == 0xE0000005 ? EXCEPTION_CONTINUE_EXECUTION : EXCEPTION_CONTINUE_SEARCH;
}

static LONG CALLBACK continue_vectored(EXCEPTION_POINTERS *pointers)
{
    (void)pointers;
    trail('c');
    return EXCEPTION_CONTINUE_SEARCH;
}

TEST(vectored_handlers_come_first)
{
    memset(letters, 0, sizeof letters);
    void *last = AddVectoredExceptionHandler(0, last_vectored);
    void *first = AddVectoredExceptionHandler(1, first_vectored);
    void *after = AddVectoredContinueHandler(0, continue_vectored);
    __try {
        RaiseException(0xE0000005, 0, 0, NULL);
        trail('r');
        RaiseException(0xE0000006, 0, 0, NULL);
    } __except (trail('f'), EXCEPTION_EXECUTE_HANDLER) {
        trail('h');
    }
    CHECK(RemoveVectoredExceptionHandler(first) && RemoveVectoredExceptionHandler(last), SETUP);
    CHECK(RemoveVectoredContinueHandler(after), SETUP);
    CHECK(!RemoveVectoredExceptionHandler(first), SETUP);
    CHECK(trail_is("12cr12fh"), SETUP);
}

static void touch_guard(void) { *target = 5; }

TEST(guard_pages_are_told_once)
{
    DWORD old;
    int *page = VirtualAlloc(NULL, 0x1000, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE | PAGE_GUARD);
    REQUIRE(page != NULL, SETUP);
    target = page;
    CHECK_EQ(code_of(touch_guard), (DWORD)EXCEPTION_GUARD_PAGE, SETUP);
    CHECK_EQ(code_of(touch_guard), 0, SETUP);
    CHECK(VirtualProtect(page, 0x1000, PAGE_READWRITE | PAGE_GUARD, &old) && old == PAGE_READWRITE, SETUP);
    CHECK_EQ(code_of(touch_guard), (DWORD)EXCEPTION_GUARD_PAGE, SETUP);
    VirtualFree(page, 0, MEM_RELEASE);
}

static volatile int sink;

__attribute__((noinline)) static int descend(int depth)
{
    volatile char room[2000];
    room[0] = (char)depth;
    sink += room[depth % 2000];
    return depth < 0 ? 0 : descend(depth + 1) + room[0];
}

static void overflow_stack(void) { sink = descend(0); }

static void overflow_twice(void *arg)
{
    DWORD *codes = arg;
    codes[0] = code_of(overflow_stack);
    codes[1] = (DWORD)_resetstkoflw();
    codes[2] = code_of(overflow_stack);
}

TEST(stacks_overflow_and_recover)
{
    DWORD codes[3] = {0};
    struct worker worker;
    REQUIRE(spawn(&worker, overflow_twice, codes), SETUP);
    join(&worker);
    CHECK_EQ(codes[0], (DWORD)EXCEPTION_STACK_OVERFLOW, SETUP);
    CHECK_EQ(codes[1], 1, SETUP);
    CHECK_EQ(codes[2], (DWORD)EXCEPTION_STACK_OVERFLOW, SETUP);
}

static LONG WINAPI end_program(EXCEPTION_POINTERS *pointers)
{
    ExitProcess(pointers->ExceptionRecord->ExceptionCode & 0xFF);
}

static LONG WINAPI execute(EXCEPTION_POINTERS *pointers)
{
    (void)pointers;
    return EXCEPTION_EXECUTE_HANDLER;
}

static LONG WINAPI repair(EXCEPTION_POINTERS *pointers)
{
    static int place = 7;
    (void)pointers;
    target = &place;
    return EXCEPTION_CONTINUE_EXECUTION;
}

ROLE(crash)
{
    SetErrorMode(SEM_NOGPFAULTERRORBOX);
    ULONG_PTR way = role_arg_number(0);
    SetUnhandledExceptionFilter(way == 1 ? end_program : way == 2 ? execute : NULL);
    RaiseException(0xE0000077, 0, 0, NULL);
    return EXIT_PASSED;
}

ROLE(repaired)
{
    ULONG_PTR words[2] = {0};
    SetUnhandledExceptionFilter(repair);
    target = NULL;
    RaiseException(0xE0000078, 0, 2, words);
    return *target;
}

TEST(nobody_handles_an_exception)
{
    struct child child;
    REQUIRE(child_start(&child, "crash", number(1), NULL), SETUP);
    CHECK_EQ(child_join(&child), 0x77, SETUP);
    REQUIRE(child_start(&child, "crash", number(2), NULL), SETUP);
    CHECK_EQ(child_join(&child), 0xE0000077, SETUP);
    REQUIRE(child_start(&child, "repaired", NULL), SETUP);
    CHECK_EQ(child_join(&child), 7, SETUP);
}
