/*
 * Measures a call of a function that does next to nothing: what it costs to get out of the program and back.
 *
 * thunk LIMIT: see sample.h.
 */
#include <windows.h>

#include "sample.h"

static long long sample_now(void)
{
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (long long)((double)now.QuadPart * 1e9 / (double)frequency.QuadPart);
}

int main(int argc, char **argv)
{
    static struct sample s;
    /* By address: headers make it an instruction. */
    DWORD(WINAPI *volatile id)(void) = (void *)GetProcAddress(GetModuleHandleA("kernel32.dll"), "GetCurrentThreadId");
    for (sample_begin(&s, argc > 1 ? argv[1] : "200ms", 4096); sample_next(&s);)
        id();
    sample_print(&s);
    return 0;
}
