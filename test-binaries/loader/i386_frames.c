/*
 * Exceptions of 32-bit programs: handlers at FS:[0], unwinds, jumps. A program built for x64 has none of
 * these tests.
 */
#include "i386.h"
#include <setjmp.h>
#include <stdlib.h>

WITHOUT_PORTS

#ifdef __i386__

/* What the last handler was shown. */
static EXCEPTION_RECORD seen_record;
static CONTEXT seen_context;
static LONG calls;
/* Bytes of the instruction that faults; the handler continues behind it. */
static DWORD skip_bytes;

static int __cdecl skipping_handler(EXCEPTION_RECORD *record, void *frame, CONTEXT *context, void *dispatcher)
{
    (void)frame, (void)dispatcher;
    seen_record = *record;
    seen_context = *context;
    calls++;
    context->Eip += skip_bytes;
    return ExceptionContinueExecution;
}

/* Runs `code` with skipping_handler in front of the chain. */
#define SKIPPING(bytes, code)                                                                                          \
    do {                                                                                                               \
        struct registration registration_ = {chain(), skipping_handler};                                              \
        skip_bytes = (bytes);                                                                                          \
        calls = 0;                                                                                                     \
        set_chain(&registration_);                                                                                     \
        code;                                                                                                          \
        set_chain(registration_.next);                                                                                 \
    } while (0)

TEST(faults_become_exceptions_with_their_codes)
{
    SKIPPING(2, __asm__ volatile("movl (%%eax), %%ecx" : : "a"(0x14) : "ecx"));
    CHECK_EQ(seen_record.ExceptionCode, (DWORD)STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_EQ(seen_record.NumberParameters, 2, SETUP);
    CHECK_EQ(seen_record.ExceptionInformation[0], 0, SETUP);
    CHECK_EQ(seen_record.ExceptionInformation[1], 0x14, SETUP);
    CHECK_PTR(seen_record.ExceptionAddress, seen_context.Eip, SETUP);
    CHECK_EQ(seen_context.Eax, 0x14, SETUP);
    CHECK_EQ(seen_context.ContextFlags & CONTEXT_FULL, CONTEXT_FULL, SETUP);

    SKIPPING(2, __asm__ volatile("movl %%ecx, (%%eax)" : : "a"(0x18), "c"(0)));
    CHECK_EQ(seen_record.ExceptionInformation[0], 1, SETUP);

    SKIPPING(2, __asm__ volatile("divl %%ecx" : : "a"(1), "c"(0), "d"(0)));
    CHECK_EQ(seen_record.ExceptionCode, (DWORD)STATUS_INTEGER_DIVIDE_BY_ZERO, SETUP);
    SKIPPING(2, __asm__ volatile("ud2"));
    CHECK_EQ(seen_record.ExceptionCode, (DWORD)STATUS_ILLEGAL_INSTRUCTION, SETUP);
    SKIPPING(1, __asm__ volatile("hlt"));
    CHECK_EQ(seen_record.ExceptionCode, (DWORD)STATUS_PRIVILEGED_INSTRUCTION, SETUP);
    SKIPPING(1, __asm__ volatile("int3"));
    CHECK_EQ(seen_record.ExceptionCode, (DWORD)STATUS_BREAKPOINT, SETUP);
    CHECK_EQ(calls, 1, SETUP);
}

TEST(raised_exceptions_continue_behind_the_call)
{
    ULONG_PTR arguments[2] = {3, 5}, before = stack_pointer();
    SKIPPING(0, RaiseException(0xE0000042, 0, 2, arguments));
    CHECK_EQ(calls, 1, SETUP);
    CHECK_EQ(seen_record.ExceptionCode, 0xE0000042, SETUP);
    CHECK_EQ(seen_record.ExceptionInformation[1], 5, SETUP);
    CHECK_EQ(stack_pointer(), before, SETUP);
}

static LONG CALLBACK vectored(EXCEPTION_POINTERS *pointers)
{
    calls++;
    if (pointers->ExceptionRecord->ExceptionCode != (DWORD)STATUS_ILLEGAL_INSTRUCTION)
        return EXCEPTION_CONTINUE_SEARCH;
    pointers->ContextRecord->Eip += 2;
    pointers->ContextRecord->Esi = 0x1234;
    return EXCEPTION_CONTINUE_EXECUTION;
}

TEST(vectored_handlers_come_first)
{
    ULONG esi = 0;
    void *handle = AddVectoredExceptionHandler(1, vectored);
    calls = 0;
    __asm__ volatile("ud2" : "=S"(esi) : "0"(0));
    CHECK_EQ(esi, 0x1234, SETUP);
    CHECK_EQ(calls, 1, SETUP);
    CHECK(RemoveVectoredExceptionHandler(handle), SETUP);
}

/* Frames to unwind: each handler counts how often it was asked to clean up. */
static LONG searched, unwound;

static int __cdecl counting_handler(EXCEPTION_RECORD *record, void *frame, CONTEXT *context, void *dispatcher)
{
    (void)frame, (void)context, (void)dispatcher;
    if (record->ExceptionFlags & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND))
        unwound++;
    else
        searched++;
    return ExceptionContinueSearch;
}

static jmp_buf target_buffer;
static struct registration *target;

static int __cdecl catching_handler(EXCEPTION_RECORD *record, void *frame, CONTEXT *context, void *dispatcher)
{
    (void)context, (void)dispatcher;
    if (record->ExceptionFlags & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND))
        return ExceptionContinueSearch;
    RtlUnwind(frame, NULL, record, NULL);
    if (chain() != target)
        return ExceptionContinueSearch;
    longjmp(target_buffer, 7);
}

__attribute__((noinline)) static void fault_two_frames_deep(void)
{
    /* Inner frames lie lower. */
    struct registration frames[2] = {{&frames[1], counting_handler}, {chain(), counting_handler}};
    set_chain(&frames[0]);
    __asm__ volatile("movl %%eax, (%%eax)" : : "a"(8) : "memory");
}

__attribute__((noinline)) static int catch_one(void)
{
    struct registration catcher = {chain(), catching_handler};
    target = &catcher;
    int value = setjmp(target_buffer);
    if (value == 0) {
        set_chain(&catcher);
        fault_two_frames_deep();
    }
    set_chain(catcher.next);
    return value;
}

TEST(caught_faults_leave_the_stack_as_it_was)
{
    ULONG_PTR before = stack_pointer();
    struct registration *first = chain();
    searched = unwound = 0;
    for (int i = 0; i < 20000; i++)
        if (catch_one() != 7) {
            CHECK_EQ(i, 20000, SETUP);
            break;
        }
    CHECK_EQ(searched, 40000, SETUP);
    CHECK_EQ(unwound, 40000, SETUP);
    CHECK_EQ(stack_pointer(), before, SETUP);
    CHECK_PTR(chain(), first, SETUP);
}

/* What two handlers saw of an exception and of the one that the inner handler raised meanwhile. */
enum { FIRST_CODE = 0xE0000010, SECOND_CODE };
static DWORD inner_flags, outer_flags[2];

static int __cdecl raising_handler(EXCEPTION_RECORD *record, void *frame, CONTEXT *context, void *dispatcher)
{
    (void)frame, (void)context, (void)dispatcher;
    if (record->ExceptionCode == FIRST_CODE)
        RaiseException(SECOND_CODE, 0, 0, NULL);
    else
        inner_flags = record->ExceptionFlags;
    return ExceptionContinueSearch;
}

static int __cdecl noting_handler(EXCEPTION_RECORD *record, void *frame, CONTEXT *context, void *dispatcher)
{
    (void)frame, (void)context, (void)dispatcher;
    outer_flags[record->ExceptionCode - FIRST_CODE] = record->ExceptionFlags;
    return ExceptionContinueExecution;
}

TEST(exceptions_of_handlers_are_nested_up_to_their_frames)
{
    /* Inner frames lie lower. */
    struct registration frames[2] = {{&frames[1], raising_handler}, {chain(), noting_handler}};
    set_chain(&frames[0]);
    outer_flags[0] = outer_flags[1] = inner_flags = 0xFF;
    RaiseException(FIRST_CODE, 0, 0, NULL);
    CHECK_PTR(chain(), &frames[0], SETUP);
    set_chain(frames[1].next);
    CHECK_EQ(inner_flags, EXCEPTION_NESTED_CALL, SETUP);
    CHECK_EQ(outer_flags[1], 0, SETUP);
    CHECK_EQ(outer_flags[0], 0, SETUP);
}

/* A handler that raises another exception when its frame is left. */
static LONG leaving, left_for_second;

static int __cdecl leaving_handler(EXCEPTION_RECORD *record, void *frame, CONTEXT *context, void *dispatcher)
{
    (void)frame, (void)context, (void)dispatcher;
    if (record->ExceptionFlags & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND)) {
        leaving++;
        left_for_second += record->ExceptionCode == SECOND_CODE;
        if (record->ExceptionCode == FIRST_CODE)
            RaiseException(SECOND_CODE, 0, 0, NULL);
    }
    return ExceptionContinueSearch;
}

__attribute__((noinline)) static void raise_two_frames_deep(void)
{
    struct registration frames[2] = {{&frames[1], leaving_handler}, {chain(), counting_handler}};
    set_chain(&frames[0]);
    RaiseException(FIRST_CODE, 0, 0, NULL);
}

TEST(unwinds_that_collide_go_on_behind_the_frame)
{
    struct registration *first = chain(), catcher = {first, catching_handler};
    searched = unwound = leaving = left_for_second = 0;
    target = &catcher;
    int value = setjmp(target_buffer);
    if (value == 0) {
        set_chain(&catcher);
        raise_two_frames_deep();
    }
    set_chain(first);
    CHECK_EQ(value, 7, SETUP);
    /* The frame whose handler raised is not left again; the other one is left by the second unwind alone. */
    CHECK_EQ(leaving, 1, SETUP);
    CHECK_EQ(left_for_second, 0, SETUP);
    CHECK_EQ(searched, 2, SETUP);
    CHECK_EQ(unwound, 1, SETUP);
}

static int __cdecl continuing_handler(EXCEPTION_RECORD *record, void *frame, CONTEXT *context, void *dispatcher)
{
    (void)frame, (void)context, (void)dispatcher;
    outer_flags[0] = record->ExceptionFlags;
    ExitProcess(78);
}

/* A frame that is not on the stack ends the search. */
ROLE(foreign_frame)
{
    static struct registration foreign = {(void *)-1, continuing_handler};
    set_chain(&foreign);
    RaiseException(FIRST_CODE, 0, 0, NULL);
    return 1;
}

TEST(frames_outside_of_the_stack_are_not_called)
{
    struct child child;
    REQUIRE(child_start(&child, "foreign_frame", NULL), SETUP);
    CHECK_EQ(child_join(&child), FIRST_CODE, SETUP);
}

static jmp_buf comparator_buffer;

static int __cdecl leaving_comparator(const void *a, const void *b)
{
    (void)a, (void)b;
    longjmp(comparator_buffer, 3);
}

TEST(longjmp_out_of_callbacks)
{
    static volatile int rounds;
    static ULONG_PTR before;
    int values[4] = {4, 3, 2, 1};
    before = stack_pointer();
    for (rounds = 0; rounds < 10000; rounds++)
        if (setjmp(comparator_buffer) == 0) {
            qsort(values, 4, sizeof *values, leaving_comparator);
            break;
        }
    CHECK_EQ(rounds, 10000, SETUP);
    CHECK_EQ(stack_pointer(), before, SETUP);
}

__attribute__((noinline)) static int recurse(int depth)
{
    volatile char room[4096];
    room[0] = (char)depth;
    return depth > 0 ? recurse(depth + 1) + room[0] : 0;
}

static int __cdecl overflow_handler(EXCEPTION_RECORD *record, void *frame, CONTEXT *context, void *dispatcher)
{
    (void)context, (void)dispatcher;
    if (record->ExceptionFlags & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND))
        return ExceptionContinueSearch;
    seen_record = *record;
    RtlUnwind(frame, NULL, record, NULL);
    longjmp(target_buffer, 1);
}

static void overflow(void *arg)
{
    struct registration catcher = {chain(), overflow_handler};
    if (setjmp(target_buffer) == 0) {
        set_chain(&catcher);
        recurse(1);
    } else {
        *(LONG *)arg = 1;
    }
    set_chain(catcher.next);
}

TEST(stack_overflow_can_be_caught)
{
    LONG was_caught = 0;
    struct worker worker;
    REQUIRE(spawn(&worker, overflow, &was_caught), SETUP);
    join(&worker);
    CHECK_EQ(was_caught, 1, SETUP);
    CHECK_EQ(seen_record.ExceptionCode, (DWORD)STATUS_STACK_OVERFLOW, SETUP);
}

#endif
