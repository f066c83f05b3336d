/*
 * Routines that compilers call for single operations: stack probes, frames, arithmetic with 64 bits. A program built for
 * x64 has none of these tests.
 */
#include "i386.h"
#include <limits.h>
#include <setjmp.h>
#include <string.h>

WITHOUT_PORTS

#ifdef __i386__

static void *routine(const char *dll, const char *name)
{
    void *address = (void *)GetProcAddress(GetModuleHandleA(dll), name);
    context("%s!%s", dll, name);
    CHECK(address != NULL, SETUP);
    return address;
}

/* Returns how far the routine moves the stack for `bytes`, and writes whether ecx was kept. */
static DWORD taken(void *probe, DWORD bytes, BOOL *keeps_ecx)
{
    DWORD moved, ecx = 0x12345678, top;
    __asm__ volatile("movl %%esp, %%esi\n\t"
                     "call *%%edx\n\t"
                     "movl %%esp, %%edi\n\t"
                     "movl %%esi, %%esp"
                     : "+a"(bytes), "+c"(ecx), "=&S"(top), "=&D"(moved)
                     : "d"(probe)
                     : "memory", "cc");
    *keeps_ecx = ecx == 0x12345678;
    return top - moved;
}

TEST(stack_probes_take_what_eax_says)
{
    static const DWORD sizes[] = {0, 4, 100, 0xFFC, 0x1000, 0x1004, 0x5000, 0x20000};
    void *probe = routine("ntdll.dll", "_chkstk");
    REQUIRE(probe != NULL, SETUP);
    void *alias = routine("ntdll.dll", "_alloca_probe");
    REQUIRE(alias != NULL, SETUP);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        BOOL keeps_ecx;
        context("%lu bytes", sizes[i]);
        CHECK_EQ(taken(probe, sizes[i], &keeps_ecx), sizes[i], SETUP);
        CHECK(keeps_ecx, SETUP);
        CHECK_EQ(taken(alias, sizes[i], &keeps_ecx), sizes[i], SETUP);
    }
}

/* The probe touches each page, so that a stack whose end was not reached yet grows. */
static DWORD WINAPI take_much(void *probe)
{
    BOOL keeps_ecx;
    return taken(probe, 0x80000, &keeps_ecx) == 0x80000 && keeps_ecx;
}

TEST(stack_grows_under_a_probe)
{
    void *probe = routine("ntdll.dll", "_chkstk");
    DWORD code = 0;
    REQUIRE(probe != NULL, SETUP);
    HANDLE thread = CreateThread(NULL, 0x100000, take_much, probe, 0, NULL);
    REQUIRE(thread != NULL, SETUP);
    CHECK_EQ(WaitForSingleObject(thread, 10000), WAIT_OBJECT_0, SETUP);
    CHECK(GetExitCodeThread(thread, &code) && code == 1, SETUP);
    CloseHandle(thread);
}

struct frame {
    DWORD esp, ebp;
    struct registration *chain;
    DWORD state, handler;
    struct registration *next;
};

/* A function that begins with the routine, as compilers make it. */
void __cdecl begins_with(void *prolog, struct frame *seen);
__asm__(".text\n"
        ".globl _begins_with\n"
        "_begins_with:\n\t"
        "movl $0x11223344, %eax\n\t"
        "call *4(%esp)\n\t"
        "movl 12(%ebp), %ecx\n\t"
        "movl %esp, (%ecx)\n\t"
        "movl %ebp, 4(%ecx)\n\t"
        "movl %fs:0, %eax\n\t"
        "movl %eax, 8(%ecx)\n\t"
        "movl -4(%ebp), %eax\n\t"
        "movl %eax, 12(%ecx)\n\t"
        "movl -8(%ebp), %eax\n\t"
        "movl %eax, 16(%ecx)\n\t"
        "movl -12(%ebp), %eax\n\t"
        "movl %eax, 20(%ecx)\n\t"
        "movl %eax, %fs:0\n\t"
        "leave\n\t"
        "ret");

TEST(eh_prolog_makes_a_frame)
{
    void *prolog = routine("msvcrt.dll", "_EH_prolog");
    struct registration *before = chain();
    struct frame seen;
    REQUIRE(prolog != NULL, SETUP);
    begins_with(prolog, &seen);
    CHECK_EQ(seen.ebp, seen.esp + 12, SETUP);
    CHECK_PTR(seen.chain, (ULONG_PTR)seen.esp, SETUP);
    CHECK_EQ(seen.state, (DWORD)-1, SETUP);
    CHECK_EQ(seen.handler, 0x11223344, SETUP);
    CHECK_PTR(seen.next, (ULONG_PTR)before, SETUP);
    CHECK_PTR(chain(), (ULONG_PTR)before, SETUP);
}

/* Calls a routine that removes two numbers from the stack; writes whether stack and registers are as they were. */
static ULONG64 operation(void *routine, ULONG64 left, ULONG64 right, BOOL *keeps)
{
    ULONG64 result;
    DWORD ebx = 0x11223344, esi, edi;
    __asm__ volatile("movl %%esp, %%edi\n\t"
                     "pushl 12(%%esi)\n\t"
                     "pushl 8(%%esi)\n\t"
                     "pushl 4(%%esi)\n\t"
                     "pushl (%%esi)\n\t"
                     "call *%%eax\n\t"
                     "subl %%esp, %%edi\n\t"
                     "addl %%edi, %%esp"
                     : "=A"(result), "+b"(ebx), "=S"(esi), "=&D"(edi)
                     : "a"(routine), "S"(((ULONG64[]){left, right}))
                     : "ecx", "memory", "cc");
    *keeps = ebx == 0x11223344 && edi == 0;
    return result;
}

static void compare(const char *name, void *address, ULONG64 left, ULONG64 right, ULONG64 wanted)
{
    BOOL keeps;
    ULONG64 result = operation(address, left, right, &keeps);
    context("%s of %I64x, %I64x is %I64x", name, left, right, result);
    CHECK(result == wanted, SETUP);
    CHECK(keeps, SETUP);
}

static const char *const operations[] = {"_allmul", "_alldiv", "_allrem", "_aulldiv", "_aullrem"};

static void compare_all(void *const *addresses, ULONG64 left, ULONG64 right)
{
    LONG64 a = (LONG64)left, b = (LONG64)right;
    compare(operations[0], addresses[0], left, right, left * right);
    if (right == 0)
        return;
    /* The only quotient that does not fit is what it is as a number without sign. */
    BOOL fits = a != LLONG_MIN || b != -1;
    compare(operations[1], addresses[1], left, right, fits ? (ULONG64)(a / b) : left);
    compare(operations[2], addresses[2], left, right, fits ? (ULONG64)(a % b) : 0);
    compare(operations[3], addresses[3], left, right, left / right);
    compare(operations[4], addresses[4], left, right, left % right);
}

TEST(arithmetic_with_64_bits)
{
    static const ULONG64 numbers[] = {
        0, 1, 2, 3, 10, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 0x100000000, 0x100000001, 0x1FFFFFFFF,
        0x7FFFFFFF00000000, 0x7FFFFFFFFFFFFFFE, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0x8000000000000001,
        0x80000000FFFFFFFF, 0xFFFFFFFF00000000, 0xFFFFFFFF00000001, 0xFFFFFFFF7FFFFFFF, 0xFFFFFFFF80000000,
        0xFFFFFFFFFFFFFFF6, 0xFFFFFFFFFFFFFFFE, 0xFFFFFFFFFFFFFFFF,
    };
    enum { COUNT = sizeof numbers / sizeof *numbers };
    void *addresses[5];
    for (int i = 0; i < 5; i++)
        REQUIRE((addresses[i] = routine("ntdll.dll", operations[i])) != NULL, SETUP);
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < COUNT; j++)
            compare_all(addresses, numbers[i], numbers[j]);
    ULONG64 state = 1;
    for (int i = 0; i < 20000; i++) {
        ULONG64 pair[2];
        for (int j = 0; j < 2; j++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            pair[j] = (state ^ state << 32) >> (state >> 58);
        }
        compare_all(addresses, pair[0], pair[1]);
        compare_all(addresses, (ULONG64)-(LONG64)pair[0], pair[1]);
    }
}

static jmp_buf out;
static NTSTATUS caught_code;

static LONG WINAPI catch(EXCEPTION_POINTERS *pointers)
{
    caught_code = (NTSTATUS)pointers->ExceptionRecord->ExceptionCode;
    longjmp(out, 1);
}

static void divide_by_zero(void *routine)
{
    BOOL keeps;
    caught_code = 0;
    if (!setjmp(out))
        operation(routine, 0x123456789ABCDEF0, 0, &keeps);
}

/* In stock Wine 8.0 it is an illegal instruction. */
TEST(division_by_zero_raises)
{
    void *handler = AddVectoredExceptionHandler(1, catch);
    for (int i = 1; i < 5; i++) {
        void *address = routine("ntdll.dll", operations[i]);
        REQUIRE(address != NULL, SETUP);
        divide_by_zero(address);
        CHECK_STATUS(caught_code, STATUS_INTEGER_DIVIDE_BY_ZERO, SETUP);
    }
    RemoveVectoredExceptionHandler(handler);
}

#endif
