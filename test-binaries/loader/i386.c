/*
 * What only 32-bit programs have: FS, x87 results, callee-cleaned arguments, narrow addresses. A program built for x64 has
 * none of these tests.
 */
#include "i386.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

WITHOUT_PORTS

#ifdef __i386__

/* ClientId.UniqueThread. */
static DWORD thread_id_of_teb(void)
{
    return teb()[9];
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

/* Nor does a program that loads FS or GS with something else come to harm here, in its own code or in a call. */
TEST(segment_registers_may_be_lost)
{
    for (int i = 0; i < 100; i++) {
        DWORD *self, *before = teb(), id = thread_id_of_teb();
        __asm__ volatile("pushl %%ds\n\tpopl %%fs\n\tmovl %%fs:0x18, %0" : "=r"(self));
        CHECK_PTR(self, before, SETUP);
        __asm__ volatile("movl %1, %%fs\n\tmovl %%fs:0x18, %0" : "=r"(self) : "r"(0));
        CHECK_PTR(self, before, SETUP);
        __asm__ volatile("movl %0, %%fs" : : "r"(0));
        CHECK_EQ(GetCurrentThreadId(), id, SETUP);
        CHECK_PTR(teb(), before, SETUP);
        __asm__ volatile("pushl %%gs\n\tpopl %%gs" : :);
        CHECK_EQ(GetCurrentThreadId(), id, SETUP);
        __asm__ volatile("pushl %%ds\n\tpopl %%gs" : :);
        CHECK_EQ(GetCurrentThreadId(), id, SETUP);
        __asm__ volatile("movl %0, %%gs" : : "r"(0));
        CHECK_EQ(GetCurrentThreadId(), id, SETUP);
    }
}

/* All ways to ask whether this is a 64-bit Windows have the same answer. WOW32Reserved, one of them, takes system services. */
TEST(the_system_has_one_width)
{
    BOOL is_wow64;
    SYSTEM_INFO info;
    REQUIRE(IsWow64Process(GetCurrentProcess(), &is_wow64), SETUP);
    GetNativeSystemInfo(&info);
    CHECK_EQ(info.wProcessorArchitecture, is_wow64 ? PROCESSOR_ARCHITECTURE_AMD64 : PROCESSOR_ARCHITECTURE_INTEL, SETUP);
    CHECK_EQ(teb()[0xC0 / 4] != 0, is_wow64 != FALSE, SETUP);
    if (!is_wow64)
        return;
    /* No Windows has a service of this number. The caller keeps its arguments. */
    DWORD status = 0xFFFF, moved;
    __asm__ volatile("movl %%esp, %%esi\n\t"
                     "subl $64, %%esp\n\t"
                     "movl %%esp, %%edi\n\t"
                     "call *%%fs:0xC0\n\t"
                     "subl %%esp, %%edi\n\t"
                     "movl %%esi, %%esp"
                     : "+a"(status), "=&D"(moved)
                     :
                     : "ecx", "edx", "esi", "memory", "cc");
    CHECK_STATUS((NTSTATUS)status, STATUS_INVALID_SYSTEM_SERVICE, SETUP);
    CHECK_EQ(moved, 0, SETUP);
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

/* Methods take the object in ecx. */
TEST(methods_of_objects)
{
    HMODULE msvcrt = GetModuleHandleA("msvcrt.dll");
    const char *(__attribute__((thiscall)) *what)(const void *) = (void *)GetProcAddress(msvcrt, "?what@exception@@UBEPBDXZ");
    void (__attribute__((thiscall)) *destroy)(void *) = (void *)GetProcAddress(msvcrt, "??1exception@@UAE@XZ");
    struct {
        void *functions;
        const char *text;
        int is_owned;
    } object = {NULL, "text", 0};
    REQUIRE(what != NULL && destroy != NULL, SETUP);
    ULONG_PTR before = stack_pointer();
    for (int i = 0; i < 10; i++)
        CHECK(strcmp(what(&object), "text") == 0, SETUP);
    destroy(&object);
    CHECK_EQ(stack_pointer(), before, SETUP);
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
TEST(memory_and_names_lie_below_2_gib)
{
    void *heap = malloc(1 << 20), *pages = VirtualAlloc(NULL, 1 << 20, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
    CHECK(heap != NULL && (ULONG_PTR)heap < 0x7FFF0000, SETUP);
    CHECK(pages != NULL && (ULONG_PTR)pages < 0x7FFF0000, SETUP);
    CHECK((ULONG_PTR)GetCommandLineA() < 0x7FFF0000, SETUP);
    VirtualFree(pages, 0, MEM_RELEASE);
    free(heap);
}

#endif
