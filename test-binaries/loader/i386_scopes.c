/*
 * Scope tables of Microsoft's compilers in 32-bit programs: __try as _except_handler3 and _except_handler4 run it. A program built for
 * x64 has none of these tests.
 */
#include "i386.h"

WITHOUT_PORTS

#ifdef __i386__

/*
 * A function with two nested __try blocks, as compilers of Microsoft lay them out: SETUP follows its prologue, HEAD comes
 * before its scopes, OUTSIDE is the level outside of both.
 */
int __cdecl try_except3(int verdict);
int __cdecl try_except4(int verdict);
static LONG finally_ran, filter_saw_frame;
/* Whether the function overwrites what lies above its other variables. */
LONG damage;
ULONG_PTR cookie = 0xBB40E64E;
static LONG cookies_checked;

int __cdecl try_filter(int verdict, EXCEPTION_POINTERS *pointers)
{
    filter_saw_frame = pointers->ExceptionRecord->ExceptionCode == (DWORD)STATUS_ACCESS_VIOLATION;
    if (verdict == EXCEPTION_CONTINUE_EXECUTION)
        pointers->ContextRecord->Eip += 2;
    return verdict;
}

void __cdecl try_finally(void)
{
    finally_ran++;
}

static void __fastcall check_cookie(ULONG_PTR value)
{
    cookies_checked++;
    if (value != cookie)
        ExitProcess(77);
}

int __cdecl except_handler4(EXCEPTION_RECORD *record, void *frame, CONTEXT *context, void *dispatcher)
{
    int(__cdecl * common)(ULONG_PTR *, void *, EXCEPTION_RECORD *, void *, CONTEXT *, void *) =
        (void *)GetProcAddress(GetModuleHandleA("msvcrt.dll"), "_except_handler4_common");
    return common(&cookie, check_cookie, record, frame, context, dispatcher);
}

#define TRY_FUNCTION(NAME, HANDLER, OUTSIDE, SETUP, HEAD)                                                              \
    __asm__(".text\n"                                                                                                  \
            "_" NAME ":\n"                                                                                             \
            "    pushl %ebp\n"                                                                                         \
            "    movl %esp, %ebp\n"                                                                                    \
            "    pushl $" OUTSIDE "\n"                                                                                 \
            "    pushl $" NAME "_scopes\n"                                                                             \
            "    pushl $" HANDLER "\n"                                                                                 \
            "    pushl %fs:0\n"                                                                                        \
            "    subl $12, %esp\n"                                                                                     \
            "    pushl %ebx\n"                                                                                         \
            "    pushl %esi\n"                                                                                         \
            "    pushl %edi\n"                                                                                         \
            SETUP                                                                                                      \
            "    leal -0x10(%ebp), %eax\n"                                                                             \
            "    movl %eax, %fs:0\n"                                                                                   \
            "    movl %esp, -0x18(%ebp)\n"                                                                             \
            "    movl $1, -4(%ebp)\n"                                                                                  \
            "    cmpl $0, _damage\n"                                                                                   \
            "    je 2f\n"                                                                                              \
            "    incl -0x1c(%ebp)\n"                                                                                   \
            "2:  xorl %eax, %eax\n"                                                                                    \
            "    movl (%eax), %ecx\n" /* two bytes */                                                                  \
            "    movl $0, -4(%ebp)\n"                                                                                  \
            "    call _try_finally\n"                                                                                  \
            "    movl $1, %eax\n"                                                                                      \
            "    jmp 1f\n"                                                                                             \
            NAME "_filter:\n"                                                                                          \
            "    pushl -0x14(%ebp)\n"                                                                                  \
            "    pushl 8(%ebp)\n"                                                                                      \
            "    call _try_filter\n"                                                                                   \
            "    addl $8, %esp\n"                                                                                      \
            "    ret\n"                                                                                                \
            NAME "_finally:\n"                                                                                         \
            "    call _try_finally\n"                                                                                  \
            "    ret\n"                                                                                                \
            NAME "_handler:\n"                                                                                         \
            "    movl -0x18(%ebp), %esp\n"                                                                             \
            "    movl $2, %eax\n"                                                                                      \
            "1:  movl $" OUTSIDE ", -4(%ebp)\n"                                                                        \
            "    popl %edi\n"                                                                                          \
            "    popl %esi\n"                                                                                          \
            "    popl %ebx\n"                                                                                          \
            "    movl -0x10(%ebp), %ecx\n"                                                                             \
            "    movl %ecx, %fs:0\n"                                                                                   \
            "    movl %ebp, %esp\n"                                                                                    \
            "    popl %ebp\n"                                                                                          \
            "    ret\n"                                                                                                \
            ".section .rdata,\"dr\"\n"                                                                                 \
            "    .p2align 2\n"                                                                                         \
            NAME "_scopes:\n"                                                                                          \
            HEAD                                                                                                       \
            "    .long " OUTSIDE ", " NAME "_filter, " NAME "_handler\n"                                               \
            "    .long 0, 0, " NAME "_finally\n"                                                                       \
            ".text\n")

extern int __cdecl _except_handler3(void);
TRY_FUNCTION("try_except3", "__except_handler3", "-1", "", "");
/* The table's address and the frame's are mixed with the cookie; no cookie of local arrays, one at -0x1c. */
TRY_FUNCTION("try_except4", "_except_handler4", "-2",
             "    movl _cookie, %eax\n"
             "    xorl %eax, -8(%ebp)\n"
             "    xorl %ebp, %eax\n"
             "    movl %eax, -0x1c(%ebp)\n",
             "    .long -2, 0, -0x1c, 0\n");

static void scopes(int(__cdecl *try_except)(int))
{
    ULONG_PTR before = stack_pointer();
    struct registration *first = chain();
    finally_ran = 0;
    CHECK_EQ(try_except(EXCEPTION_EXECUTE_HANDLER), 2, SETUP);
    CHECK_EQ(finally_ran, 1, SETUP);
    CHECK(filter_saw_frame, SETUP);
    CHECK_EQ(try_except(EXCEPTION_CONTINUE_EXECUTION), 1, SETUP);
    CHECK_EQ(finally_ran, 2, SETUP);
    CHECK_EQ(stack_pointer(), before, SETUP);
    CHECK_PTR(chain(), first, SETUP);
}

TEST(scope_tables_of_version_3)
{
    scopes(try_except3);
}

TEST(scope_tables_of_version_4)
{
    cookies_checked = 0;
    scopes(try_except4);
    CHECK(cookies_checked > 0, SETUP);
}

ROLE(damaged)
{
    damage = 1;
    return try_except4(EXCEPTION_EXECUTE_HANDLER);
}

TEST(damaged_frames_end_the_program)
{
    struct child child;
    REQUIRE(child_start(&child, "damaged", NULL), SETUP);
    CHECK_EQ(child_join(&child), 77, SETUP);
}

#endif
