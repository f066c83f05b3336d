/* C++ by the Microsoft ABI: built by clang, without headers. The tests are in msvc.c. */
#include "msvc.h"

extern "C" int __uncaught_exceptions(void);

/* What the compiler's own library would bring. */
extern "C" int _fltused = 0;
#ifndef _WIN64
void operator delete(void *) noexcept {}
#endif
extern void *type_info_functions[2] asm("??_7type_info@@6B@");
void *type_info_functions[2] = {};

namespace {

struct Guard {
    char name;
    explicit Guard(char name) : name(name) {}
    ~Guard() { trail(name); }
};

struct Base {
    int value;
    explicit Base(int value) : value(value) {}
    Base(const Base &other) : value(other.value) { trail('c'); }
    virtual ~Base() { trail('d'); }
};

struct Other {
    long long padding = 7;
    virtual ~Other() {}
};

struct Derived : Other, Base {
    explicit Derived(int value) : Base(value) {}
};

struct Virtual : virtual Base {
    explicit Virtual(int value) : Base(value) {}
};

struct Unrelated {
    virtual ~Unrelated() {}
};

__attribute__((noinline)) void descend(int depth, int value)
{
    Guard guard(static_cast<char>('0' + depth));
    if (depth == 0)
        throw Derived(value);
    descend(depth - 1, value);
}

} // namespace

extern "C" {

int by_reference(void)
{
    try {
        descend(2, 11);
    } catch (const Base &base) {
        return base.value;
    }
    return -1;
}

int by_value(void)
{
    try {
        descend(0, 12);
    } catch (Base base) {
        trail('b');
        return base.value;
    }
    return -1;
}

int by_virtual_base(void)
{
    try {
        throw Virtual(13);
    } catch (Base &base) {
        return base.value;
    }
}

int by_pointer(void)
{
    static Derived object(14);
    try {
        throw &object;
    } catch (Unrelated *) {
        return -2;
    } catch (Base *base) {
        return base == static_cast<Base *>(&object) ? base->value : -3;
    }
}

int first_match(int kind)
{
    try {
        if (kind == 0)
            throw 'x';
        if (kind == 1)
            throw 5;
        if (kind == 2)
            throw 2.5;
        throw Unrelated();
    } catch (char) {
        return 10;
    } catch (int number) {
        return number;
    } catch (double number) {
        return static_cast<int>(number * 4);
    } catch (...) {
        return 99;
    }
}

int rethrown(void)
{
    int sum = 0;
    try {
        try {
            try {
                descend(1, 3);
            } catch (Base &base) {
                Guard guard('i');
                sum += base.value;
                base.value = 4;
                throw;
            }
        } catch (Derived &derived) {
            Guard guard('m');
            sum += derived.value;
            throw;
        }
    } catch (...) {
        trail('o');
        sum += 100;
    }
    return sum;
}

int thrown_in_catch(void)
{
    Guard guard('f');
    try {
        try {
            throw Base(1);
        } catch (Base &) {
            Guard inner('i');
            throw 7;
        }
    } catch (int number) {
        trail('o');
        return number;
    }
}

int caught_in_catch(void)
{
    int sum = 0;
    try {
        throw 1;
    } catch (int outer) {
        try {
            Guard guard('g');
            throw 2;
        } catch (int inner) {
            sum = inner * 10;
        }
        sum += outer;
        try {
            throw;
        } catch (int again) {
            sum += again * 100;
        }
    }
    return sum;
}

int in_a_loop(int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++) {
        try {
            Guard guard('l');
            if (i % 2)
                throw i;
            sum += 1000;
        } catch (int number) {
            sum += number;
            continue;
        }
    }
    return sum;
}

static void rethrow_at(int depth)
{
    try {
        if (depth == 0)
            throw 1;
        rethrow_at(depth - 1);
    } catch (int &number) {
        number++;
        throw;
    }
}

int rethrown_through(int depth)
{
    try {
        rethrow_at(depth);
    } catch (int number) {
        return number;
    }
    return -1;
}

int from_callback(void (*callback)(void))
{
    Guard guard('k');
    try {
        callback();
    } catch (int number) {
        return number;
    }
    return 0;
}

void throw_number(int number)
{
    throw number;
}

static int unexcepted(void (*callback)(void))
{
    Guard guard('x');
    try {
        callback();
    } catch (...) {
        return -1;
    }
    return 0;
}

int excepted_by(int (*function)(void (*)(void)), void (*callback)(void))
{
    int code = 0;
    __try {
        return function(callback);
    } __except (code = static_cast<int>(_exception_code() & 0xFFFF), 1) {
        trail('e');
        return code;
    }
}

int excepted(void (*callback)(void))
{
    return excepted_by(unexcepted, callback);
}

int casts(void)
{
    Derived derived(1);
    Virtual with_virtual(2);
    Base *base = &derived;
    Other *other = &derived;
    Base *virtual_base = &with_virtual;
    int bits = 0;
    bits |= dynamic_cast<Derived *>(base) == &derived ? 1 : 0;
    bits |= dynamic_cast<Base *>(other) == base ? 2 : 0;
    bits |= dynamic_cast<Unrelated *>(base) == nullptr ? 4 : 0;
    bits |= dynamic_cast<Virtual *>(virtual_base) == &with_virtual ? 8 : 0;
    bits |= dynamic_cast<Virtual *>(base) == nullptr ? 16 : 0;
    bits |= dynamic_cast<void *>(base) == static_cast<void *>(&derived) ? 32 : 0;
    try {
        dynamic_cast<Virtual &>(*base).value = 9;
    } catch (...) {
        bits |= 64;
    }
    return bits;
}

int uncaught(int number)
{
    throw number;
}
}

namespace {

/* Thrown from initializers, the body and a base, past what was made before. */
struct Wrapped {
    Guard first{'p'};
    Guard second{'q'};
    explicit Wrapped(int number) try : first('1'), second(number == 1 ? throw 20 : '2') {
        if (number == 2)
            throw 30;
    } catch (int &caught) {
        trail('w');
        caught++;
    }
};

struct Counted {
    static int made;
    Counted()
    {
        if (made == 3)
            throw made;
        made++;
    }
    ~Counted()
    {
        made--;
        trail('n');
    }
};
int Counted::made;

volatile int always = 1;

struct Thrower {
    __attribute__((noinline)) ~Thrower() noexcept(false)
    {
        if (always)
            throw 8;
    }
};

struct Careful {
    int *seen;
    __attribute__((noinline)) ~Careful()
    {
        try {
            throw 1.5;
        } catch (double) {
            *seen += __uncaught_exceptions() * 10;
        }
        *seen += __uncaught_exceptions();
    }
};

__attribute__((noinline)) void nothing_escapes(int number) noexcept
{
    Guard guard('z');
    throw_number(number);
}

struct Copied {
    int *copies;
    explicit Copied(int *copies) : copies(copies) {}
    Copied(const Copied &other) : copies(other.copies)
    {
        if (++*copies == 1)
            throw 6;
    }
    ~Copied() { trail('y'); }
};

} // namespace

extern "C" {

int by_function_try(int number)
{
    try {
        Wrapped wrapped(number);
    } catch (int caught) {
        return caught;
    }
    return 0;
}

int part_of_an_array(void)
{
    try {
        Counted all[5];
        return -1;
    } catch (int made) {
        return made * 10 + Counted::made;
    }
}

int by_pointer_conversions(int kind)
{
    static Derived object(3);
    static const int number = 5;
    try {
        switch (kind) {
        case 0:
            throw nullptr;
        case 1:
            throw &number;
        case 2:
            throw static_cast<const Derived *>(&object);
        default:
            throw &object;
        }
    } catch (int *) {
        return 1;
    } catch (const Base *base) {
        return 20 + base->value;
    } catch (const void *) {
        return 30;
    }
}

int thrown_by_destructor(void)
{
    Guard outer('o');
    try {
        Guard inner('i');
        Thrower thrower;
        trail('t');
    } catch (int number) {
        return number;
    }
    return -1;
}

int caught_while_unwinding(void)
{
    int seen = 0;
    try {
        Careful careful{&seen};
        throw 'c';
    } catch (char) {
        seen += __uncaught_exceptions() * 100;
    }
    return seen;
}

int jumps_out_of_catch(void)
{
    int sum = 0;
    for (int i = 0; i < 3; i++) {
        try {
            throw Base(i);
        } catch (Base &base) {
            sum = sum * 10 + base.value;
            if (i == 1)
                goto out;
        }
    }
out:
    return sum;
}

int finally_runs(void (*callback)(void))
{
    int number = 0;
    try {
        [&] {
            __try {
                callback();
            } __finally {
                number = 100;
                trail(_abnormal_termination() ? 'u' : 'v');
            }
        }();
    } catch (int thrown) {
        number += thrown;
    }
    return number;
}

void ended(int kind)
{
    int copies = 0;
    switch (kind) {
    case 0: /* a destructor throws while an exception is on its way */
        try {
            Thrower thrower;
            throw 1;
        } catch (...) {
        }
        break;
    case 1: /* out of a function that promised not to */
        try {
            nothing_escapes(2);
        } catch (...) {
        }
        break;
    case 2: /* the copy for the handler throws */
        try {
            throw Copied(&copies);
        } catch (Copied copied) {
            copies = *copied.copies;
        } catch (...) {
        }
        break;
    }
}
}
