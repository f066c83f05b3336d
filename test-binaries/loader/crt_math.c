/* math.h and float.h of the C runtime, called through the DLL: no result is folded by the compiler. */
#include "../lpctest.h"
#include <errno.h>
#include <float.h>
#include <math.h>

WITHOUT_PORTS

static HMODULE runtime(void)
{
    HMODULE ucrt = GetModuleHandleW(L"ucrtbase.dll");
    return ucrt ? ucrt : GetModuleHandleW(L"msvcrt.dll");
}

static void *function(const char *name)
{
    void *found = (void *)GetProcAddress(runtime(), name);
    context("%s", name);
    CHECK(found != NULL, SETUP);
    return found;
}

static double one(const char *name, double x)
{
    double(__cdecl * f)(double) = function(name);
    return f ? f(x) : -12345.0;
}

static double two(const char *name, double x, double y)
{
    double(__cdecl * f)(double, double) = function(name);
    return f ? f(x, y) : -12345.0;
}

static BOOL near_to(double got, double want)
{
    double difference = got - want;
    double bound = (want < 0 ? -want : want) * 4e-16;
    return difference <= bound && -difference <= bound;
}

TEST(elementary_functions)
{
    static const struct {
        const char *name;
        double x, want;
    } rows[] = {
        {"sin", 1.0, 0.8414709848078965},   {"cos", 1.0, 0.5403023058681398},   {"tan", 1.0, 1.557407724654902},
        {"asin", 0.5, 0.5235987755982989},  {"acos", 0.5, 1.0471975511965979},  {"atan", 2.0, 1.1071487177940904},
        {"sinh", 1.0, 1.1752011936438014},  {"cosh", 1.0, 1.543080634815244},   {"tanh", 0.5, 0.46211715726000973},
        {"exp", 1.0, 2.718281828459045},    {"log", 10.0, 2.302585092994046},   {"log10", 1000.0, 3.0},
        {"sqrt", 2.0, 1.4142135623730951},  {"ceil", -1.5, -1.0},               {"floor", -1.5, -2.0},
        {"fabs", -3.25, 3.25},              {"_logb", 10.0, 3.0},               {"_chgsign", 2.5, -2.5},
        {"_j0", 1.0, 0.7651976865579666},   {"_y1", 2.0, -0.10703243154093755},
    };
    for (int i = 0; i < (int)(sizeof rows / sizeof *rows); i++)
        CHECK(near_to(one(rows[i].name, rows[i].x), rows[i].want), SETUP);
    CHECK(near_to(two("pow", 2.0, 0.5), 1.4142135623730951), SETUP);
    CHECK(near_to(two("atan2", -1.0, -1.0), -2.356194490192345), SETUP);
    CHECK(two("fmod", 7.5, -2.0) == 1.5, SETUP);
    CHECK(two("_hypot", 3.0, 4.0) == 5.0, SETUP);
    CHECK(two("_copysign", 3.0, -0.0) == -3.0, SETUP);
    CHECK(two("_nextafter", 1.0, 2.0) == 1.0000000000000002, SETUP);
    context(NULL);
}

TEST(parts_of_numbers)
{
    double(__cdecl * split)(double, int *) = function("frexp");
    double(__cdecl * join)(double, int) = function("ldexp");
    double(__cdecl * whole)(double, double *) = function("modf");
    int exponent;
    double integer;
    CHECK(split(-10.0, &exponent) == -0.625 && exponent == 4, SETUP);
    CHECK(join(-0.625, 4) == -10.0, SETUP);
    CHECK(whole(-3.75, &integer) == -0.75 && integer == -3.0, SETUP);
    context(NULL);
}

TEST(kinds_of_numbers)
{
    int(__cdecl * class)(double) = function("_fpclass");
    int(__cdecl * is_nan)(double) = function("_isnan");
    int(__cdecl * finite)(double) = function("_finite");
    volatile double zero = 0.0;
    CHECK_EQ(class(1.0), _FPCLASS_PN, SETUP);
    CHECK_EQ(class(-zero), _FPCLASS_NZ, SETUP);
    CHECK_EQ(class(-1.0 / zero), _FPCLASS_NINF, SETUP);
    CHECK_EQ(class(1e-310), _FPCLASS_PD, SETUP);
    CHECK(is_nan(zero / zero) && !is_nan(1.0), SETUP);
    CHECK(finite(1.0) && !finite(1.0 / zero), SETUP);
    context(NULL);
}

TEST(errors_set_errno)
{
    errno = 0;
    CHECK(one("sqrt", -1.0) != 0.0, SETUP);
    CHECK_EQ(errno, EDOM, SETUP);
    errno = 0;
    one("log", 0.0);
    CHECK_EQ(errno, ERANGE, SETUP);
    errno = 0;
    one("acos", 2.0);
    CHECK_EQ(errno, EDOM, SETUP);
    errno = 0;
    two("pow", 10.0, 400.0);
    CHECK_EQ(errno, ERANGE, SETUP);
    errno = 0;
    one("sin", 1.0);
    CHECK_EQ(errno, 0, SETUP);
    context(NULL);
}

TEST(control_word)
{
    unsigned before = _controlfp(0, 0);
    volatile double one = 1.0, three = 3.0;
    CHECK_EQ(before & _MCW_EM, _MCW_EM, SETUP);
    CHECK_EQ(before & _MCW_RC, _RC_NEAR, SETUP);
    double nearest = one / three;
    CHECK_EQ(_controlfp(_RC_UP, _MCW_RC) & _MCW_RC, _RC_UP, SETUP);
    double up = one / three;
    CHECK_EQ(_controlfp(_RC_CHOP, _MCW_RC) & _MCW_RC, _RC_CHOP, SETUP);
    _controlfp(before, _MCW_RC);
    CHECK(up > nearest, SETUP);
    CHECK_EQ(_controlfp(0, 0), before, SETUP);
}

TEST(status_word)
{
    volatile double zero = 0.0, one = 1.0, result;
    _clearfp();
    result = one / zero;
    (void)result;
    CHECK_EQ(_statusfp() & 8u, 8u, SETUP);
    CHECK_EQ(_clearfp() & 8u, 8u, SETUP);
    CHECK_EQ(_statusfp(), 0, SETUP);
}
