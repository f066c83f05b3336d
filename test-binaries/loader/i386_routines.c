/*
 * Routines with conventions of their own that compilers call: stack probes and frames. A program built for x64 has
 * none of these tests.
 */
#include "i386.h"
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

#endif
