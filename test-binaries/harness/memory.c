/* Hostile memory: pages a call must not touch. */
#include "../lpctest.h"

enum { PAGE = 0x1000 };

void *before_guard_page(SIZE_T size)
{
    SIZE_T room = (size + PAGE - 1) & ~(SIZE_T)(PAGE - 1);
    char *base = VirtualAlloc(NULL, room + PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    CHECK(base != NULL, SETUP);
    protect(base + room, PAGE_NOACCESS);
    return base + room - size;
}

void *unmapped(void)
{
    void *base = VirtualAlloc(NULL, PAGE, MEM_RESERVE, PAGE_NOACCESS);
    CHECK(base != NULL, SETUP);
    return base;
}

void protect(void *address, DWORD protection)
{
    DWORD old;
    CHECK(VirtualProtect(address, 1, protection, &old), SETUP);
}
