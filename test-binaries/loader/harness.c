/* What the harness and the port programs expect of their host, shown without any port: stock Wine passes it too. */
#include "../lpctest.h"

WITHOUT_PORTS

static void count(void *arg)
{
    InterlockedIncrement((LONG *)arg);
}

TEST(threads)
{
    LONG counter = 0;
    struct worker workers[16];
    for (int i = 0; i < 16; i++)
        REQUIRE(spawn(&workers[i], count, &counter), SETUP);
    for (int i = 0; i < 16; i++)
        join(&workers[i]);
    CHECK_EQ(counter, 16, SETUP);
}

static void wait_for(void *arg)
{
    WaitForSingleObject(*(HANDLE *)arg, INFINITE);
}

TEST(blocked_threads_can_be_seen_and_killed)
{
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    struct worker first, second;
    REQUIRE(spawn(&first, wait_for, &event), SETUP);
    REQUIRE(spawn(&second, wait_for, &event), SETUP);
    CHECK(still_runs(&first), SETUP);
    CHECK(TerminateThread(first.thread, 7), SETUP);
    join_killed(&first);
    SetEvent(event);
    join(&second);
    CloseHandle(event);
}

TEST(guard_pages)
{
    MEMORY_BASIC_INFORMATION information;
    for (SIZE_T size = 1; size <= 0x2001; size += 0x7FF) {
        char *p = before_guard_page(size);
        memset(p, 0x5A, size);
        CHECK_EQ((ULONG_PTR)(p + size) % 0x1000, 0, SETUP);
        CHECK_EQ(VirtualQuery(p + size, &information, sizeof information), sizeof information, SETUP);
        CHECK_EQ(information.Protect, PAGE_NOACCESS, SETUP);
    }
}

ROLE(echo)
{
    CHECK(strcmp(role_arg(0), "\\RPC Control\\some name") == 0, SETUP);
    CHECK_EQ(role_arg_number(1), 4000000000u, SETUP);
    CHECK(role_arg(2) != NULL && role_arg(2)[0] == 0, SETUP);
    CHECK(role_arg(3) == NULL, SETUP);
    return 42;
}

TEST(roles_get_their_arguments)
{
    struct child child;
    REQUIRE(child_start(&child, "echo", "\\RPC Control\\some name", number(4000000000u), "", NULL), SETUP);
    CHECK(child.pid != 0 && child.pid != GetCurrentProcessId(), SETUP);
    CHECK_EQ(child_join(&child), 42, SETUP);
}

ROLE(signaller)
{
    CHECK(SetEvent((HANDLE)role_arg_number(0)), SETUP);
    Sleep(INFINITE);
    return EXIT_PASSED;
}

TEST(events_are_inherited_and_children_killed)
{
    struct child child;
    HANDLE event = inheritable_event(FALSE);
    REQUIRE(child_start(&child, "signaller", number((ULONG_PTR)event), NULL), SETUP);
    CHECK_EQ(WaitForSingleObject(event, INFINITE), WAIT_OBJECT_0, SETUP);
    child_kill(&child);
    CHECK_EQ(child_join(&child), EXIT_ABANDONED, SETUP);
    CloseHandle(event);
}

TEST(sections_are_shared)
{
    HANDLE section = new_section(0x20000);
    char volatile *first = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    char volatile *second = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0x10000, 0x1000);
    REQUIRE(first != NULL && second != NULL, SETUP);
    first[0x10001] = 9;
    CHECK_EQ(second[1], 9, SETUP);
    CHECK(UnmapViewOfFile((void *)first), SETUP);
    CHECK(UnmapViewOfFile((void *)second), SETUP);
    CloseHandle(section);
}
