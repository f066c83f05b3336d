/* C++ of mingw-w64: exceptions through libgcc, threads through winpthreads, streams of libstdc++. */
#include "cpp.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <future>
#include <iomanip>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

int destroyed;

struct Guard {
    ~Guard() { destroyed++; }
};

__attribute__((noinline)) int descend(int depth)
{
    Guard guard;
    if (depth == 0)
        throw std::runtime_error("bottom");
    return descend(depth - 1) + 1;
}

struct Counter {
    static std::atomic<int> made, gone;
    int value = 5;
    Counter() { made++; }
    ~Counter() { gone++; }
};
std::atomic<int> Counter::made{0}, Counter::gone{0};

thread_local Counter counter;
thread_local int plain = 7;

struct Base {
    virtual ~Base() {}
};
struct Left : virtual Base {};
struct Right : virtual Base {};
struct Both : Left, Right {};

} // namespace

int cpp_exceptions(void)
{
    destroyed = 0;
    int caught = 0;
    for (int i = 0; i < 3; i++) {
        try {
            descend(10);
        } catch (const std::exception &error) {
            caught += std::string(error.what()) == "bottom";
        }
    }
    try {
        try {
            throw 5;
        } catch (int number) {
            caught += number;
            throw;
        }
    } catch (...) {
        caught += 100;
    }
    return caught * 1000 + destroyed;
}

int cpp_standard_exceptions(void)
{
    int bits = 0;
    try {
        std::string().at(3);
    } catch (const std::out_of_range &) {
        bits |= 1;
    }
    try {
        std::vector<int>().reserve(static_cast<size_t>(-1));
    } catch (const std::length_error &) {
        bits |= 2;
    }
    try {
        (void)std::stoi("x");
    } catch (const std::invalid_argument &) {
        bits |= 4;
    }
    try {
        std::map<int, int>().at(1);
    } catch (const std::logic_error &) {
        bits |= 8;
    }
    return bits;
}

int cpp_thread_locals(int threads)
{
    int sum = 0;
    std::mutex mutex;
    std::vector<std::thread> running;
    int made = Counter::made, gone = Counter::gone;
    for (int i = 0; i < threads; i++)
        running.emplace_back([&, i] {
            counter.value += i;
            plain += i;
            std::lock_guard<std::mutex> lock(mutex);
            sum += counter.value + plain;
        });
    for (auto &thread : running)
        thread.join();
    return Counter::made - made == threads && Counter::gone - gone == threads ? sum : -1;
}

int cpp_threads(int threads)
{
    int shared = 0;
    std::atomic<int> counted{0};
    std::mutex mutex;
    std::vector<std::thread> running;
    for (int i = 0; i < threads; i++)
        running.emplace_back([&] {
            for (int n = 0; n < 1000; n++) {
                std::lock_guard<std::mutex> lock(mutex);
                shared++;
            }
            counted++;
        });
    for (auto &thread : running)
        thread.join();
    return counted == threads ? shared : -1;
}

int cpp_condition_variables(void)
{
    std::mutex mutex;
    std::condition_variable changed;
    int turn = 0;
    std::thread other([&] {
        for (int i = 0; i < 100; i++) {
            std::unique_lock<std::mutex> lock(mutex);
            changed.wait(lock, [&] { return turn % 2 == 1; });
            turn++;
            changed.notify_all();
        }
    });
    for (int i = 0; i < 100; i++) {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [&] { return turn % 2 == 0; });
        turn++;
        changed.notify_all();
    }
    other.join();
    std::unique_lock<std::mutex> lock(mutex);
    bool is_late = !changed.wait_for(lock, std::chrono::milliseconds(20), [] { return false; });
    return is_late ? turn : -1;
}

int cpp_exceptions_between_threads(void)
{
    std::promise<int> promise;
    auto future = promise.get_future();
    std::thread thread([&] {
        try {
            throw std::domain_error("far");
        } catch (...) {
            promise.set_exception(std::current_exception());
        }
    });
    thread.join();
    try {
        return future.get();
    } catch (const std::domain_error &error) {
        return std::string(error.what()) == "far" ? 1 : -1;
    }
}

const char *cpp_text(void)
{
    static std::string text;
    std::ostringstream out;
    out << 42 << ' ' << std::hex << 255 << std::dec << ' ' << std::fixed << std::setprecision(3) << 3.14159 << ' '
        << std::setw(5) << std::setfill('*') << 7 << ' ' << std::boolalpha << true << ' ' << std::scientific << 1e10;
    std::istringstream in("12 0x1f 2.5 word");
    int decimal, hexadecimal;
    double real;
    std::string word;
    in >> decimal >> std::hex >> hexadecimal >> std::dec >> real >> word;
    out << ' ' << decimal + hexadecimal << ' ' << std::defaultfloat << real << ' ' << word;
    text = out.str();
    return text.c_str();
}

int cpp_streams_of_files(const char *path)
{
    {
        std::ofstream out(path);
        for (int i = 0; i < 1000; i++)
            out << i << '\n';
    }
    std::ifstream in(path);
    std::string line;
    int sum = 0;
    while (std::getline(in, line))
        sum += std::stoi(line);
    in.clear();
    in.seekg(0, std::ios::end);
    return in.tellg() == 4890 ? sum : -1;
}

int cpp_casts(void)
{
    Both both;
    Base *base = &both;
    int bits = 0;
    bits |= dynamic_cast<Both *>(base) == &both ? 1 : 0;
    bits |= dynamic_cast<Right *>(static_cast<Left *>(&both)) == static_cast<Right *>(&both) ? 2 : 0;
    Base alone;
    base = &alone;
    try {
        (void)dynamic_cast<Left &>(*base);
    } catch (const std::bad_cast &) {
        bits |= 4;
    }
    return bits;
}

int cpp_through_c(void (*callback)(void))
{
    Guard guard;
    try {
        callback();
    } catch (int number) {
        return number;
    }
    return 0;
}

void cpp_throw(void)
{
    throw 9;
}

int cpp_terminates(void)
{
    std::set_terminate([] { std::_Exit(61); });
    throw 1;
}
