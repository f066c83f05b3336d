/*
 * Harness of the Windows test programs: one program, some TEST()s, each check cites the statement it shows.
 *
 *   TEST(second_reply_is_a_mismatch)
 *   {
 *       REQUIRE(pair_open(&pair), SETUP);
 *       CHECK_STATUS(NtReplyPort(pair.srv, &reply.h), STATUS_REPLY_MESSAGE_MISMATCH, lpc(117));
 *   }
 *
 * Output on stdout: `run TEST` before each test, then a line `ok|FAIL|skip lpc#N TEST` for every statement it cites,
 * details of failures on lines that start with `#`, and at the end `N tests, M failures`. Exit codes: EXIT_*.
 *
 * Options of every program: `--list`, `--after TEST` (go on after a test that hung), `--seed N`, or names of tests.
 */
#ifndef LPCTEST_H
#define LPCTEST_H

#include "ntport.h"

enum {
    EXIT_PASSED = 0,
    EXIT_FAILED = 1,
    EXIT_MISSING_EXPORT = 97, /* ntdll lacks a port call the harness needs */
    EXIT_ABANDONED = 98,      /* a test gave up while threads of it were still inside calls */
    EXIT_HANG = 99,           /* the watchdog fired */
};

/* Citations: statement numbers of the classic and of the ALPC specification. SETUP cites nothing. */
#define lpc(n) (n)
#define alpc(n) (0x10000 | (n))
#define SETUP 0

typedef void test_fn(void);
typedef int role_fn(void);

void register_test_(int line, const char *name, test_fn *run);
void register_role_(const char *name, role_fn *run);

/* Defines a test; tests run in the order of the source. */
#define TEST(name)                                                                                                     \
    static void test_##name(void);                                                                                     \
    __attribute__((constructor)) static void register_test_##name(void)                                                \
    {                                                                                                                  \
        register_test_(__LINE__, #name, test_##name);                                                                  \
    }                                                                                                                  \
    static void test_##name(void)

/* Defines what the program does when a test starts it again as another process; returns the exit code. */
#define ROLE(name)                                                                                                     \
    static int role_##name(void);                                                                                      \
    __attribute__((constructor)) static void register_role_##name(void) { register_role_(#name, role_##name); }        \
    static int role_##name(void)

/* At file scope: the program calls no ports, so ntdll need not have the calls. */
#define WITHOUT_PORTS                                                                                                  \
    __attribute__((constructor)) static void without_ports(void) { without_ports_(); }
void without_ports_(void);

/* Checks. Each yields whether it held, records it under `cite`, and tells the watchdog what this thread is in. */
struct site {
    const char *file;
    int line;
    const char *text;
};
void doing_(const char *file, int line, const char *text);
BOOL check_(struct site site, BOOL held, int cite);
BOOL check_status_(struct site site, NTSTATUS got, NTSTATUS want, int cite);
BOOL check_eq_(struct site site, ULONG64 got, ULONG64 want, int cite);
void abandon_if_threads_remain_(void);

#define SITE_(text) ((struct site){__FILE__, __LINE__, text})
#define CHECK(cond, cite) (doing_(__FILE__, __LINE__, #cond), check_(SITE_(#cond), (cond) ? TRUE : FALSE, (cite)))
#define CHECK_STATUS(call, want, cite)                                                                                 \
    (doing_(__FILE__, __LINE__, #call), check_status_(SITE_(#call), (call), (NTSTATUS)(want), (cite)))
#define CHECK_EQ(got, want, cite)                                                                                      \
    (doing_(__FILE__, __LINE__, #got), check_eq_(SITE_(#got), (ULONG64)(got), (ULONG64)(want), (cite)))
#define CHECK_PTR(got, want, cite) CHECK_EQ((ULONG_PTR)(got), (ULONG_PTR)(want), (cite))

/* As CHECK, but a test (not a helper) ends where it does not hold. */
#define REQUIRE(cond, cite)                                                                                            \
    do {                                                                                                               \
        if (!CHECK(cond, cite)) {                                                                                      \
            abandon_if_threads_remain_();                                                                              \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)
#define REQUIRE_STATUS(call, want, cite)                                                                               \
    do {                                                                                                               \
        if (!CHECK_STATUS(call, want, cite)) {                                                                         \
            abandon_if_threads_remain_();                                                                              \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)
/* Ends the test with a failure that names the export if ntdll does not have it. */
#define NEED(function) REQUIRE(function != NULL, SETUP)

/* Says that a statement cannot be shown here, and why. */
void skip(int cite, const char *reason);
/* Text added to every failure this thread reports from now on; NULL ends it. */
__attribute__((format(printf, 1, 2))) void context(const char *format, ...);
/* Prints one `#` line. */
__attribute__((format(printf, 1, 2))) void note(const char *format, ...);
const char *status_name(NTSTATUS status);

/* Random numbers of race tests: the seed is printed and can be given by --seed. */
ULONG random_below(ULONG limit);

/* Threads of this process. */
struct worker {
    HANDLE thread;
    DWORD tid;
    void (*run)(void *);
    void *arg;
};
BOOL spawn(struct worker *worker, void (*run)(void *), void *arg);
void join(struct worker *worker);
/* The worker was ended by TerminateThread: wait for it and forget it. */
void join_killed(struct worker *worker);
/* Whether the worker is still running after 100 ms; for calls that must block. */
BOOL still_runs(struct worker *worker);

/* Processes: the program itself, started as one of its roles. */
struct child {
    HANDLE process;
    HANDLE thread;
    DWORD pid;
    DWORD tid;
};
/* Starts `role`; the strings up to NULL are its arguments. Inheritable handles are inherited. */
BOOL child_start(struct child *child, const char *role, ...);
/* Environment block of the children started from now on; NULL is this process's. */
extern WCHAR *child_environment;
/* More flags of CreateProcess for the children started from now on. */
extern DWORD child_flags;
/* Waits for the process and returns its exit code. */
DWORD child_join(struct child *child);
void child_kill(struct child *child);
/* Arguments of the role this process was started in; NULL past the end. */
const char *role_arg(int index);
ULONG_PTR role_arg_number(int index);
/* Formats a number for child_start, in one of eight rotating buffers. */
const char *number(ULONG_PTR value);
/* A handle both processes may use: an unnamed event that children inherit. */
HANDLE inheritable_event(BOOL manual_reset);

/* Hostile memory. */
/* Returns `size` accessible bytes that end at an inaccessible page. */
void *before_guard_page(SIZE_T size);
/* Returns an address where nothing is mapped. */
void *unmapped(void);
/* Makes the page of `address` inaccessible, or accessible again. */
void protect(void *address, DWORD protection);

#endif
