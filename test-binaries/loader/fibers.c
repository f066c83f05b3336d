/* Fibers: stacks of their own, values in the TEB and in slots that go with them, threads that they end or move between. */
#include "../lpctest.h"
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

/* GCC takes the TEB, which lies at 0 in its segment, for an array without elements. */
#pragma GCC diagnostic ignored "-Warray-bounds"

WITHOUT_PORTS

static void *main_fiber;

struct step {
    void *back;
    int count;
    char *stack;
    void *data, *address;
    NT_TIB tib;
};

static void CALLBACK count_steps(void *parameter)
{
    struct step *step = parameter;
    char here;
    for (;;) {
        step->count++;
        step->stack = &here;
        step->data = GetFiberData();
        step->address = GetCurrentFiber();
        step->tib = *(NT_TIB *)NtCurrentTeb();
        SwitchToFiber(step->back);
    }
}

TEST(a_thread_becomes_a_fiber_and_a_thread_again)
{
    int data;
    CHECK(!IsThreadAFiber(), SETUP);
    void *fiber = ConvertThreadToFiber(&data);
    REQUIRE(fiber != NULL, SETUP);
    CHECK(IsThreadAFiber(), SETUP);
    CHECK_PTR(GetCurrentFiber(), fiber, SETUP);
    CHECK_PTR(GetFiberData(), &data, SETUP);
    CHECK(ConvertThreadToFiber(NULL) == NULL, SETUP);
    CHECK_EQ(GetLastError(), ERROR_ALREADY_FIBER, SETUP);
    CHECK(ConvertFiberToThread(), SETUP);
    CHECK(!IsThreadAFiber(), SETUP);
}

static void misuse(void *unused)
{
    (void)unused;
    CHECK(!ConvertFiberToThread(), SETUP);
    CHECK_EQ(GetLastError(), ERROR_ALREADY_THREAD, SETUP);
    CHECK(ConvertThreadToFiberEx(NULL, 2) == NULL, SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER, SETUP);
    CHECK(CreateFiberEx(0, 0, 2, count_steps, NULL) == NULL, SETUP);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER, SETUP);
}

TEST(misuse_is_refused)
{
    struct worker worker;
    REQUIRE(spawn(&worker, misuse, NULL), SETUP);
    join(&worker);
}

TEST(fibers_take_turns)
{
    struct step one = {0}, two = {0};
    volatile double kept = 1.5;
    main_fiber = ConvertThreadToFiber(NULL);
    REQUIRE(main_fiber != NULL, SETUP);
    one.back = two.back = main_fiber;
    NT_TIB own = *(NT_TIB *)NtCurrentTeb();
    void *a = CreateFiber(0, count_steps, &one), *b = CreateFiberEx(0x1000, 0x200000, FIBER_FLAG_FLOAT_SWITCH, count_steps, &two);
    REQUIRE(a != NULL && b != NULL && a != b, SETUP);
    for (int i = 0; i < 1000; i++) {
        SwitchToFiber(a);
        SwitchToFiber(b);
        kept *= 1.0;
    }
    CHECK(kept == 1.5, SETUP);
    CHECK_EQ(one.count, 1000, SETUP);
    CHECK_EQ(two.count, 1000, SETUP);
    CHECK_PTR(one.data, &one, SETUP);
    CHECK_PTR(one.address, a, SETUP);
    CHECK_PTR(two.data, &two, SETUP);
    CHECK_PTR(two.address, b, SETUP);
    CHECK(one.stack < (char *)one.tib.StackBase && one.stack > (char *)one.tib.StackLimit, SETUP);
    CHECK(two.stack < (char *)two.tib.StackBase && two.stack > (char *)two.tib.StackLimit, SETUP);
    CHECK((char *)two.tib.StackBase - (char *)two.tib.StackLimit >= 0x100000, SETUP);
    CHECK(one.tib.StackBase != two.tib.StackBase && own.StackBase != one.tib.StackBase, SETUP);
    CHECK(memcmp(&own, NtCurrentTeb(), sizeof own) == 0, SETUP);
    DeleteFiber(a);
    DeleteFiber(b);
    CHECK(ConvertFiberToThread(), SETUP);
}

static DWORD slot;
static int called_with[4], calls;

static void CALLBACK slot_ends(void *value)
{
    called_with[calls++ & 3] = (int)(ULONG_PTR)value;
}

static void CALLBACK set_slot(void *parameter)
{
    ULONG_PTR *seen = parameter;
    seen[0] = (ULONG_PTR)FlsGetValue(slot);
    FlsSetValue(slot, (void *)22);
    SwitchToFiber(main_fiber);
    seen[1] = (ULONG_PTR)FlsGetValue(slot);
    SwitchToFiber(main_fiber);
}

TEST(slots_belong_to_fibers)
{
    ULONG_PTR seen[2] = {1, 1}, other[2];
    calls = 0;
    slot = FlsAlloc(slot_ends);
    REQUIRE(slot != FLS_OUT_OF_INDEXES, SETUP);
    FlsSetValue(slot, (void *)11);
    main_fiber = ConvertThreadToFiber(NULL);
    CHECK_EQ((ULONG_PTR)FlsGetValue(slot), 11, SETUP);
    void *a = CreateFiber(0, set_slot, seen), *b = CreateFiber(0, set_slot, other);
    SwitchToFiber(a);
    CHECK_EQ(seen[0], 0, SETUP);
    CHECK_EQ((ULONG_PTR)FlsGetValue(slot), 11, SETUP);
    SwitchToFiber(a);
    CHECK_EQ(seen[1], 22, SETUP);
    SwitchToFiber(b);
    DeleteFiber(a);
    CHECK_EQ(calls, 1, SETUP);
    CHECK_EQ(called_with[0], 22, SETUP);
    CHECK(FlsFree(slot), SETUP);
    CHECK_EQ(calls, 3, SETUP);
    CHECK_EQ(called_with[1] + called_with[2], 33, SETUP);
    slot = FlsAlloc(NULL);
    FlsSetValue(slot, (void *)44);
    SwitchToFiber(b);
    CHECK_EQ(other[1], 0, SETUP);
    DeleteFiber(b);
    CHECK(ConvertFiberToThread(), SETUP);
    CHECK_EQ((ULONG_PTR)FlsGetValue(slot), 44, SETUP);
    FlsFree(slot);
}

static unsigned short control_word(void)
{
    unsigned short word;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    return word;
}

static void set_control_word(unsigned short word)
{
    __asm__ volatile("fldcw %0" : : "m"(word));
}

static void CALLBACK set_rounding(void *parameter)
{
    unsigned short *seen = parameter;
    seen[0] = control_word();
    set_control_word(seen[0] | 0xc00);
    SwitchToFiber(main_fiber);
    seen[1] = control_word();
    SwitchToFiber(main_fiber);
}

TEST(control_words_are_switched_where_both_ask)
{
    unsigned short seen[2], before = control_word();
    main_fiber = ConvertThreadToFiberEx(NULL, FIBER_FLAG_FLOAT_SWITCH);
    void *fiber = CreateFiberEx(0, 0, FIBER_FLAG_FLOAT_SWITCH, set_rounding, seen);
    SwitchToFiber(fiber);
    CHECK_EQ(control_word(), before, SETUP);
    SwitchToFiber(fiber);
    CHECK_EQ(seen[1], seen[0] | 0xc00, SETUP);
    CHECK_EQ(control_word(), before, SETUP);
    DeleteFiber(fiber);
    ConvertFiberToThread();
}

static jmp_buf handler_place;
static ULONG_PTR fault_stack;

static LONG CALLBACK leave_fault(EXCEPTION_POINTERS *pointers)
{
    if (pointers->ExceptionRecord->ExceptionCode != 0xe0001234)
        return EXCEPTION_CONTINUE_SEARCH;
    fault_stack = (ULONG_PTR)&pointers;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static void CALLBACK raise_and_jump(void *parameter)
{
    struct step *step = parameter;
    RaiseException(0xe0001234, 0, 0, NULL);
    NT_TIB *tib = (NT_TIB *)NtCurrentTeb();
    if (fault_stack < (ULONG_PTR)tib->StackBase && fault_stack > (ULONG_PTR)tib->StackLimit)
        step->count |= 1;
    if (setjmp(handler_place) == 0)
        longjmp(handler_place, 1);
    step->count |= 2;
    SwitchToFiber(main_fiber);
}

TEST(exceptions_and_jumps_stay_on_the_stack_of_the_fiber)
{
    struct step step = {0};
    void *handler = AddVectoredExceptionHandler(1, leave_fault);
    main_fiber = ConvertThreadToFiber(NULL);
    void *fiber = CreateFiber(0, raise_and_jump, &step);
    SwitchToFiber(fiber);
    CHECK_EQ(step.count, 3, SETUP);
    DeleteFiber(fiber);
    ConvertFiberToThread();
    RemoveVectoredExceptionHandler(handler);
}

/* A switch inside of a callback of the runtime: the frames of both sides wait on their stacks. */
static void *sorter;
static int comparisons;

static int compare(const void *a, const void *b)
{
    comparisons++;
    SwitchToFiber(main_fiber);
    return *(const int *)a - *(const int *)b;
}

static void CALLBACK sort(void *parameter)
{
    qsort(parameter, 8, sizeof(int), compare);
    sorter = NULL;
    SwitchToFiber(main_fiber);
}

TEST(callbacks_may_switch)
{
    int numbers[8] = {5, 3, 8, 1, 7, 2, 6, 4}, own[3] = {3, 1, 2};
    main_fiber = ConvertThreadToFiber(NULL);
    void *fiber = sorter = CreateFiber(0, sort, numbers);
    int switches = 0;
    while (sorter != NULL) {
        SwitchToFiber(fiber);
        switches++;
    }
    (void)own;
    CHECK_EQ(switches, comparisons + 1, SETUP);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(numbers[i], i + 1, SETUP);
    DeleteFiber(fiber);
    ConvertFiberToThread();
}

static void CALLBACK return_at_once(void *parameter)
{
    *(int *)parameter = 1;
}

static int has_run;

static void thread_with_fiber(void *end_by)
{
    if (ConvertThreadToFiber(NULL) == NULL)
        return;
    if ((ULONG_PTR)end_by == 0)
        SwitchToFiber(CreateFiber(0, return_at_once, &has_run));
    else
        DeleteFiber(GetCurrentFiber());
    has_run = 2;
}

TEST(the_thread_ends_with_its_fiber)
{
    for (ULONG_PTR how = 0; how < 2; how++) {
        struct worker worker;
        has_run = 0;
        REQUIRE(spawn(&worker, thread_with_fiber, (void *)how), SETUP);
        join_killed(&worker);
        CHECK_EQ(has_run, how == 0 ? 1 : 0, SETUP);
    }
}

/* A fiber made here goes on in another thread, and comes back. */
struct moving {
    void *fiber, *home;
    DWORD threads[2];
    NT_TIB *tebs[2];
};

static void CALLBACK note_threads(void *parameter)
{
    struct moving *moving = parameter;
    for (int i = 0; i < 2; i++) {
        moving->threads[i] = GetCurrentThreadId();
        moving->tebs[i] = (NT_TIB *)NtCurrentTeb();
        SwitchToFiber(moving->home);
    }
}

static void run_moving(void *parameter)
{
    struct moving *moving = parameter;
    moving->home = ConvertThreadToFiber(NULL);
    SwitchToFiber(moving->fiber);
    ConvertFiberToThread();
}

TEST(fibers_move_between_threads)
{
    struct moving moving = {0};
    struct worker worker;
    moving.home = ConvertThreadToFiber(NULL);
    moving.fiber = CreateFiber(0, note_threads, &moving);
    SwitchToFiber(moving.fiber);
    REQUIRE(spawn(&worker, run_moving, &moving), SETUP);
    DWORD tid = worker.tid;
    join(&worker);
    CHECK_EQ(moving.threads[0], GetCurrentThreadId(), SETUP);
    CHECK_EQ(moving.threads[1], tid, SETUP);
    CHECK(moving.tebs[0] != moving.tebs[1], SETUP);
    DeleteFiber(moving.fiber);
    ConvertFiberToThread();
}

TEST(many_fibers_come_and_go)
{
    struct step step = {0};
    step.back = main_fiber = ConvertThreadToFiber(NULL);
    for (int i = 0; i < 5000; i++) {
        void *fiber = CreateFiberEx(0, 0x10000, 0, count_steps, &step);
        REQUIRE(fiber != NULL, SETUP);
        SwitchToFiber(fiber);
        DeleteFiber(fiber);
    }
    CHECK_EQ(step.count, 5000, SETUP);
    ConvertFiberToThread();
}
