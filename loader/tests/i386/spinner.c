/* Threads that cross the gate in every way there is, and check that FS and their registers stay theirs. */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

enum { THREADS = 3 };
static LONG rounds, mistakes;
static volatile LONG stop;

static DWORD *teb(void)
{
    DWORD *self;
    __asm__ volatile("movl %%fs:0x18, %0" : "=r"(self));
    return self;
}

static int __cdecl compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Continues behind the two bytes of `movl (%eax), %ecx`. */
static LONG CALLBACK skip_fault(EXCEPTION_POINTERS *pointers)
{
    pointers->ContextRecord->Eip += 2;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static DWORD WINAPI spin(void *arg)
{
    const DWORD *mine = teb();
    DWORD id = GetCurrentThreadId(), seed = (DWORD)(ULONG_PTR)arg;
    while (!stop) {
        int values[8];
        char text[32];
        for (int i = 0; i < 8; i++)
            values[i] = (int)((seed = seed * 1103515245 + 12345) >> 16 & 0xFF);
        qsort(values, 8, sizeof *values, compare);
        for (int i = 1; i < 8; i++)
            if (values[i - 1] > values[i])
                InterlockedIncrement(&mistakes);
        sprintf(text, "%.2f", strtod("1.25", NULL) * 3);
        if (text[0] != '3' || text[2] != '7' || teb() != mine || mine[9] != id || GetCurrentThreadId() != id)
            InterlockedIncrement(&mistakes);
        DWORD eax = 8, ebx = 0x11223344, esi = 0x55667788;
        __asm__ volatile("movl (%%eax), %%ecx" : "+a"(eax), "+b"(ebx), "+S"(esi) : : "ecx", "memory");
        if (eax != 8 || ebx != 0x11223344 || esi != 0x55667788)
            InterlockedIncrement(&mistakes);
        InterlockedIncrement(&rounds);
    }
    return 0;
}

int main(void)
{
    HANDLE threads[THREADS];
    AddVectoredExceptionHandler(1, skip_fault);
    for (int i = 0; i < THREADS; i++)
        threads[i] = CreateThread(NULL, 0, spin, (void *)(ULONG_PTR)(i + 1), 0, NULL);
    puts("running");
    fflush(stdout);
    getchar();
    stop = 1;
    WaitForMultipleObjects(THREADS, threads, TRUE, INFINITE);
    printf("%ld rounds, %ld mistakes\n", rounds, mistakes);
    return mistakes != 0;
}
