/*
 * What only 32-bit programs have: exception handlers at FS:[0], scope tables, x87 results, callee-cleaned arguments.
 * A program built for x64 has none of these tests.
 */
#include "../lpctest.h"
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

WITHOUT_PORTS

#ifdef __i386__

struct registration {
    struct registration *next;
    void *handler;
};

static struct registration *chain(void)
{
    struct registration *first;
    __asm__ volatile("movl %%fs:0, %0" : "=r"(first));
    return first;
}

static void set_chain(struct registration *first)
{
    __asm__ volatile("movl %0, %%fs:0" : : "r"(first) : "memory");
}

static DWORD *teb(void)
{
    DWORD *self;
    __asm__ volatile("movl %%fs:0x18, %0" : "=r"(self));
    return self;
}

/* ClientId.UniqueThread. */
static DWORD thread_id_of_teb(void)
{
    return teb()[9];
}

static ULONG_PTR stack_pointer(void)
{
    ULONG_PTR esp;
    __asm__ volatile("movl %%esp, %0" : "=r"(esp));
    return esp;
}

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

/* A function with two nested __try blocks, as compilers of Microsoft lay them out (version 3). */
struct scope {
    DWORD enclosing;
    void *filter;
    void *handler;
};
extern int __cdecl _except_handler3(void);
int __cdecl try_except(int verdict);
static LONG finally_ran, filter_saw_frame;

int __cdecl try_filter(int verdict, EXCEPTION_POINTERS *pointers)
{
    filter_saw_frame = pointers->ExceptionRecord->ExceptionCode == (DWORD)STATUS_ACCESS_VIOLATION;
    if (verdict == EXCEPTION_CONTINUE_EXECUTION)
        pointers->ContextRecord->Eip += 2;
    return verdict;
}

void __cdecl try_finally(void)
{
    finally_ran++;
}

__asm__(".text\n"
        "_try_except:\n"
        "    pushl %ebp\n"
        "    movl %esp, %ebp\n"
        "    pushl $-1\n"
        "    pushl $try_scopes\n"
        "    pushl $__except_handler3\n"
        "    pushl %fs:0\n"
        "    movl %esp, %fs:0\n"
        "    subl $8, %esp\n"
        "    pushl %ebx\n"
        "    pushl %esi\n"
        "    pushl %edi\n"
        "    movl %esp, -0x18(%ebp)\n"
        "    movl $1, -4(%ebp)\n"
        "    xorl %eax, %eax\n"
        "    movl (%eax), %ecx\n" /* two bytes */
        "    movl $0, -4(%ebp)\n"
        "    call _try_finally\n"
        "    movl $1, %eax\n"
        "    jmp 1f\n"
        "try_filter_code:\n"
        "    pushl -0x14(%ebp)\n"
        "    pushl 8(%ebp)\n"
        "    call _try_filter\n"
        "    addl $8, %esp\n"
        "    ret\n"
        "try_finally_code:\n"
        "    call _try_finally\n"
        "    ret\n"
        "try_handler_code:\n"
        "    movl -0x18(%ebp), %esp\n"
        "    movl $2, %eax\n"
        "1:  movl $-1, -4(%ebp)\n"
        "    popl %edi\n"
        "    popl %esi\n"
        "    popl %ebx\n"
        "    movl -0x10(%ebp), %ecx\n"
        "    movl %ecx, %fs:0\n"
        "    movl %ebp, %esp\n"
        "    popl %ebp\n"
        "    ret\n"
        ".section .rdata,\"dr\"\n"
        "    .p2align 2\n"
        "try_scopes:\n"
        "    .long -1, try_filter_code, try_handler_code\n"
        "    .long 0, 0, try_finally_code\n"
        ".text\n");

TEST(scope_tables_of_version_3)
{
    ULONG_PTR before = stack_pointer();
    struct registration *first = chain();
    finally_ran = 0;
    CHECK_EQ(try_except(EXCEPTION_EXECUTE_HANDLER), 2, SETUP);
    CHECK_EQ(finally_ran, 1, SETUP);
    CHECK(filter_saw_frame, SETUP);
    CHECK_EQ(try_except(EXCEPTION_CONTINUE_EXECUTION), 1, SETUP);
    CHECK_EQ(finally_ran, 2, SETUP);
    CHECK_EQ(stack_pointer(), before, SETUP);
    CHECK_PTR(chain(), first, SETUP);
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

/* A call of a program that reloads FS finds it as it was: 32-bit Windows keeps the base in the selector. */
TEST(fs_may_be_reloaded)
{
    for (int i = 0; i < 100; i++) {
        DWORD *self, *before = teb();
        __asm__ volatile("pushl %%fs\n\tpopl %%fs\n\tmovl %%fs:0x18, %0" : "=r"(self));
        CHECK_PTR(self, before, SETUP);
        __asm__ volatile("pushl %%fs\n\tpopl %%fs" : :);
        CHECK_EQ(GetCurrentThreadId(), thread_id_of_teb(), SETUP);
    }
}

TEST(results_in_registers)
{
    double (__cdecl *ldexp_)(double, int) = (void *)GetProcAddress(GetModuleHandleA("msvcrt.dll"), "ldexp");
    double (__cdecl *atof_)(const char *) = (void *)GetProcAddress(GetModuleHandleA("msvcrt.dll"), "atof");
    LONG64 (__cdecl *atoi64)(const char *) = (void *)GetProcAddress(GetModuleHandleA("msvcrt.dll"), "_atoi64");
    double sum = 0;
    /* More calls than the x87 has registers. */
    for (int i = 0; i < 100; i++)
        sum += ldexp_(1.5, 1) + atof_("0.25");
    CHECK(sum == 325, SETUP);
    CHECK_EQ(atoi64("-81985529216486896"), (ULONG64)-81985529216486896ll, SETUP);
}

/* Helpers of compilers: arguments on the x87 stack or in xmm registers. */
TEST(arguments_in_registers)
{
    HMODULE msvcrt = GetModuleHandleA("msvcrt.dll");
    void *power = GetProcAddress(msvcrt, "_CIpow"), *to_long = GetProcAddress(msvcrt, "_ftol");
    void *sse = GetProcAddress(msvcrt, "_libm_sse2_pow_precise");
    REQUIRE(power != NULL && to_long != NULL, SETUP);
    for (int i = 0; i < 100; i++) {
        double x = 3, y = 4, result;
        LONG64 integer;
        __asm__ volatile("fldl %1\n\tfldl %2\n\tcall *%3\n\tfstpl %0"
                         : "=m"(result)
                         : "m"(x), "m"(y), "r"(power)
                         : "eax", "ecx", "edx", "memory");
        CHECK(result == 81, SETUP);
        x = -2.75;
        __asm__ volatile("fldl %1\n\tcall *%2" : "=A"(integer) : "m"(x), "r"(to_long) : "ecx", "memory");
        CHECK(integer == -2, SETUP);
        if (sse != NULL) {
            x = 2;
            y = 10;
            __asm__ volatile("movsd %1, %%xmm0\n\tmovsd %2, %%xmm1\n\tcall *%3\n\tmovsd %%xmm0, %0"
                             : "=m"(result)
                             : "m"(x), "m"(y), "r"(sse)
                             : "eax", "ecx", "edx", "memory");
            CHECK(result == 1024, SETUP);
        }
    }
}

/* Exported functions of 32-bit systems, not the compiler's instructions. */
TEST(interlocked_functions)
{
    HMODULE kernel32 = GetModuleHandleA("kernel32.dll");
    LONG(WINAPI *increment)(LONG *) = (void *)GetProcAddress(kernel32, "InterlockedIncrement");
    LONG(WINAPI *compare)(LONG *, LONG, LONG) = (void *)GetProcAddress(kernel32, "InterlockedCompareExchange");
    LONG64(WINAPI *compare64)(LONG64 *, LONG64, LONG64) =
        (void *)GetProcAddress(kernel32, "InterlockedCompareExchange64");
    LONG value = 41;
    LONG64 wide = 1ll << 40;
    ULONG_PTR before = stack_pointer();
    REQUIRE(increment != NULL && compare != NULL && compare64 != NULL, SETUP);
    CHECK_EQ(increment(&value), 42, SETUP);
    CHECK_EQ(compare(&value, 7, 42), 42, SETUP);
    CHECK_EQ(value, 7, SETUP);
    CHECK(compare64(&wide, 5, 1ll << 40) == 1ll << 40 && wide == 5, SETUP);
    CHECK_EQ(stack_pointer(), before, SETUP);
}

TEST(arguments_of_every_kind_in_one_call)
{
    char text[128];
    ULONG_PTR before = stack_pointer();
    sprintf(text, "%d %I64d %s %.3f %c %p %hd %u", -1, -5000000000ll, "x", 2.125, 'c', (void *)0x1234, 7, 4000000000u);
    CHECK(strcmp(text, "-1 -5000000000 x 2.125 c 00001234 7 4000000000") == 0, SETUP);
    CHECK_EQ(stack_pointer(), before, SETUP);
}

static LONG thread_runs;

static DWORD WINAPI short_thread(void *arg)
{
    /* x87 arithmetic with the precision Windows sets: 53 bits. */
    volatile double third = 1.0 / 3.0;
    if (thread_id_of_teb() == GetCurrentThreadId() && third * 3.0 == 1.0 && chain() == (void *)-1)
        InterlockedIncrement(&thread_runs);
    return (DWORD)(ULONG_PTR)arg;
}

TEST(threads_by_the_thousand)
{
    HANDLE threads[32];
    thread_runs = 0;
    for (int round = 0; round < 64; round++) {
        for (int i = 0; i < 32; i++)
            REQUIRE((threads[i] = CreateThread(NULL, 0x10000, short_thread, (void *)i, 0, NULL)) != NULL, SETUP);
        for (int i = 0; i < 32; i++) {
            DWORD code = 0;
            WaitForSingleObject(threads[i], INFINITE);
            if (!GetExitCodeThread(threads[i], &code) || code != (DWORD)i)
                CHECK_EQ(code, (DWORD)i, SETUP);
            CloseHandle(threads[i]);
        }
    }
    CHECK_EQ(thread_runs, 2048, SETUP);
}

static volatile LONG spinning, stop_spinning;

static DWORD WINAPI spin(void *arg)
{
    int values[16];
    (void)arg;
    spinning = 1;
    /* Guest code, gates and callbacks, so that interruptions fall into all of them. */
    while (!stop_spinning) {
        for (int i = 0; i < 16; i++)
            values[i] = (i * 7) % 16;
        GetTickCount();
        if (GetCurrentThreadId() != thread_id_of_teb())
            return 1;
    }
    return values[0];
}

TEST(suspended_threads_show_and_take_contexts)
{
    spinning = stop_spinning = 0;
    HANDLE thread = CreateThread(NULL, 0, spin, NULL, 0, NULL);
    while (!spinning)
        Sleep(1);
    for (int i = 0; i < 300; i++) {
        CONTEXT context = {.ContextFlags = CONTEXT_FULL | CONTEXT_SEGMENTS};
        if (SuspendThread(thread) != 0 || !GetThreadContext(thread, &context) || context.Esp == 0 || context.Eip == 0
            || !SetThreadContext(thread, &context) || ResumeThread(thread) != 1) {
            CHECK_EQ(i, 300, SETUP);
            break;
        }
    }
    stop_spinning = 1;
    WaitForSingleObject(thread, INFINITE);
    DWORD code = 1;
    GetExitCodeThread(thread, &code);
    CHECK_EQ(code, 0, SETUP);
    CloseHandle(thread);
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

TEST(memory_and_names_lie_below_2_gib)
{
    void *heap = malloc(1 << 20), *pages = VirtualAlloc(NULL, 1 << 20, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
    CHECK(heap != NULL && (ULONG_PTR)heap < 0x7FFF0000, SETUP);
    CHECK(pages != NULL && (ULONG_PTR)pages < 0x7FFF0000, SETUP);
    CHECK((ULONG_PTR)GetCommandLineA() < 0x7FFF0000, SETUP);
    BOOL is_wow64 = TRUE;
    CHECK(IsWow64Process(GetCurrentProcess(), &is_wow64), SETUP);
    CHECK_EQ(is_wow64, FALSE, SETUP);
    SYSTEM_INFO info;
    GetNativeSystemInfo(&info);
    CHECK_EQ(info.wProcessorArchitecture, PROCESSOR_ARCHITECTURE_INTEL, SETUP);
    VirtualFree(pages, 0, MEM_RELEASE);
    free(heap);
}

#endif
