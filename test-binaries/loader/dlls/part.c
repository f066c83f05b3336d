/* The DLLs beside dlls.exe: each tells dlls_base.dll what it is told. PART is its name, BASE, REFUSES and NEIGHBOUR its part. */
#include <windows.h>

#define QUOTED_(name) #name
#define QUOTED(name) QUOTED_(name)

#ifdef BASE
static char text[1024];
/* Where the last word goes at the end of the process. */
__declspec(dllexport) HANDLE report_to;

/* Appends ` NAME` and what it was told: + and - of the process, < and > of threads, ! where it is the process's own start or end. */
__declspec(dllexport) void remember(const char *name, DWORD reason, void *reserved)
{
    const char what[] = {"-+<>"[reason], reserved != NULL ? '!' : 0, 0};
    lstrcatA(lstrcatA(lstrcatA(text, " "), name), what);
}

/* Returns what is remembered, and forgets it. */
__declspec(dllexport) const char *remembered(void)
{
    static char last[sizeof text];
    lstrcpyA(last, text);
    text[0] = 0;
    return last;
}
#else
__declspec(dllimport) void remember(const char *name, DWORD reason, void *reserved);
#endif

#ifdef NEIGHBOUR
__declspec(dllimport) int NEIGHBOUR(void);
__declspec(dllexport) int PART(void)
{
    volatile ULONG_PTR neighbour = (ULONG_PTR)NEIGHBOUR;
    return neighbour != 0;
}
#else
__declspec(dllexport) int PART(void) { return 1; }
#endif

#ifdef CALLBACKS
static void NTAPI told(void *module, DWORD reason, void *reserved)
{
    (void)module;
    remember("callback", reason, reserved);
}

ULONG _tls_index;
static char data[8];
static const PIMAGE_TLS_CALLBACK callbacks[] = {told, NULL};
const IMAGE_TLS_DIRECTORY _tls_used = {(ULONG_PTR)data, (ULONG_PTR)(data + 8), (ULONG_PTR)&_tls_index, (ULONG_PTR)callbacks, 0, 0};
#endif

BOOL WINAPI DllMainCRTStartup(HINSTANCE module, DWORD reason, void *reserved)
{
    (void)module;
    remember(QUOTED(PART), reason, reserved);
#ifdef BASE
    DWORD written;
    if (reason == DLL_PROCESS_DETACH && report_to != NULL)
        WriteFile(report_to, text, lstrlenA(text), &written, NULL);
#endif
#ifdef REFUSES
    return reason != DLL_PROCESS_ATTACH;
#else
    return TRUE;
#endif
}
