/* Symbols and stacks of the process. Microsoft Learn "Debug Help Library". */
#include "../lpctest.h"
#include <dbghelp.h>
#include <stddef.h>
#include <string.h>

WITHOUT_PORTS

static _Alignas(8) char buffer[sizeof(SYMBOL_INFO) + 200];
static SYMBOL_INFO *const symbol = (SYMBOL_INFO *)buffer;

__attribute__((noinline)) static const char *name_of(DWORD64 address, DWORD64 *displacement)
{
    memset(buffer, 0, sizeof buffer);
    symbol->SizeOfStruct = sizeof *symbol;
    symbol->MaxNameLen = 200;
    return SymFromAddr(GetCurrentProcess(), address, displacement, symbol) ? buffer + offsetof(SYMBOL_INFO, Name) : "";
}

static volatile int depth;
static const char *seen[32];
static char names[32][64];
static int frames;

/* Kept with a frame pointer, as i386 needs it. */
#define WITH_FRAME __attribute__((noinline, optimize("no-omit-frame-pointer", "no-optimize-sibling-calls")))

WITH_FRAME static void walk_here(void)
{
    CONTEXT context;
    STACKFRAME64 frame = {0};
    DWORD machine;
    RtlCaptureContext(&context);
#ifdef _WIN64
    machine = IMAGE_FILE_MACHINE_AMD64;
    frame.AddrPC.Offset = context.Rip;
    frame.AddrFrame.Offset = context.Rbp;
    frame.AddrStack.Offset = context.Rsp;
#else
    machine = IMAGE_FILE_MACHINE_I386;
    frame.AddrPC.Offset = context.Eip;
    frame.AddrFrame.Offset = context.Ebp;
    frame.AddrStack.Offset = context.Esp;
#endif
    frame.AddrPC.Mode = frame.AddrFrame.Mode = frame.AddrStack.Mode = AddrModeFlat;
    frames = 0;
    while (frames < 32 && StackWalk64(machine, GetCurrentProcess(), GetCurrentThread(), &frame, &context, NULL, SymFunctionTableAccess64, SymGetModuleBase64, NULL)) {
        DWORD64 displacement;
        strncpy(names[frames], name_of(frame.AddrPC.Offset, &displacement), 63);
        seen[frames] = names[frames];
        frames++;
    }
    depth++;
}

WITH_FRAME void calls_the_walk(void)
{
    walk_here();
    depth++;
}

WITH_FRAME void calls_the_caller(void)
{
    calls_the_walk();
    depth++;
}

static BOOL is_seen(const char *name)
{
    for (int i = 0; i < frames; i++)
        if (strcmp(seen[i], name) == 0)
            return TRUE;
    return FALSE;
}

TEST(sessions)
{
    HANDLE process = GetCurrentProcess();
    CHECK_PTR(name_of(0, NULL)[0], 0, SETUP);
    CHECK(SymInitialize(process, NULL, TRUE), SETUP);
    CHECK(!SymInitialize(process, NULL, TRUE), SETUP);
    DWORD options = SymGetOptions();
    CHECK_EQ(SymSetOptions(options | SYMOPT_LOAD_LINES), options | SYMOPT_LOAD_LINES, SETUP);
    CHECK_EQ(SymGetOptions(), options | SYMOPT_LOAD_LINES, SETUP);
    CHECK(SymCleanup(process), SETUP);
    CHECK(!SymCleanup(process), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_HANDLE, SETUP);
}

TEST(functions_by_address)
{
    DWORD64 displacement = 99;
    DWORD line_displacement;
    IMAGEHLP_LINE64 line = {.SizeOfStruct = sizeof line};
    HANDLE process = GetCurrentProcess();
    REQUIRE(SymInitialize(process, NULL, TRUE), SETUP);
    DWORD64 exported = (ULONG_PTR)GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "CreateEventW");
    CHECK(strcmp(name_of(exported, &displacement), "CreateEventW") == 0, SETUP);
    CHECK_EQ(displacement, 0, SETUP);
    CHECK_EQ(symbol->Address, exported, SETUP);
    CHECK(strcmp(name_of((ULONG_PTR)calls_the_caller + 1, &displacement), "calls_the_caller") == 0, SETUP);
    CHECK_EQ(displacement, 1, SETUP);
    CHECK_EQ(symbol->ModBase, (ULONG_PTR)GetModuleHandleW(NULL), SETUP);
    CHECK_EQ(SymGetModuleBase64(process, (ULONG_PTR)calls_the_caller), (ULONG_PTR)GetModuleHandleW(NULL), SETUP);
    CHECK_EQ(SymGetModuleBase64(process, 0x10), 0, SETUP);
    CHECK(!SymGetLineFromAddr64(process, exported, &line_displacement, &line), SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_ADDRESS, SETUP);
    IMAGEHLP_MODULE64 module = {.SizeOfStruct = sizeof module};
    CHECK(SymGetModuleInfo64(process, exported, &module), SETUP);
    CHECK(_stricmp(module.ModuleName, "kernel32") == 0, SETUP);
    CHECK(!SymFromAddr(process, 0x10, &displacement, symbol), SETUP);
    SymCleanup(process);
}

TEST(stacks_are_walked)
{
    REQUIRE(SymInitialize(GetCurrentProcess(), NULL, TRUE), SETUP);
    calls_the_caller();
    CHECK(frames >= 4, SETUP);
    CHECK(is_seen("calls_the_walk"), SETUP);
    CHECK(is_seen("calls_the_caller"), SETUP);
    SymCleanup(GetCurrentProcess());
}

static BOOL CALLBACK counts(PCSTR name, DWORD64 base, ULONG size, PVOID context)
{
    *(int *)context += strlen(name) != 0 && base != 0 && size != 0;
    return TRUE;
}

TEST(modules_are_listed)
{
    int count = 0;
    CHECK(EnumerateLoadedModules64(GetCurrentProcess(), counts, &count), SETUP);
    CHECK(count >= 3, SETUP);
}
