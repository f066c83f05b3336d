/* C++ by the Microsoft ABI with asynchronous exceptions (/EHa): faults concern its functions. */
#include "msvc.h"

namespace {

struct Guard {
    char name;
    ~Guard() { trail(name); }
};

} // namespace

extern "C" int translated(void (*callback)(void))
{
    Guard outer{'a'};
    try {
        Guard inner{'b'};
        callback();
    } catch (int number) {
        return number;
    } catch (...) {
        trail('x');
        return -1;
    }
    return 0;
}

/* Its catch (...) is for exceptions of C++ only. */
extern "C" int left_alone(void (*callback)(void))
{
    Guard outer{'c'};
    try {
        Guard inner{'d'};
        callback();
    } catch (...) {
        return -1;
    }
    return 0;
}
