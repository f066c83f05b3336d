/* C++ programs of mingw-w64, with their libraries inside or beside them: cpp.cpp is what they do. */
#include "../lpctest.h"
#include <stdio.h>
#include "cpp.h"

WITHOUT_PORTS

TEST(exceptions_cross_frames)
{
    CHECK_EQ(cpp_exceptions(), 108033, SETUP);
    CHECK_EQ(cpp_standard_exceptions(), 15, SETUP);
    CHECK_EQ(cpp_through_c(cpp_throw), 9, SETUP);
}

TEST(threads_have_objects_of_their_own)
{
    CHECK_EQ(cpp_thread_locals(8), 8 * 12 + 2 * 28, SETUP);
}

TEST(threads_share_locks)
{
    CHECK_EQ(cpp_threads(4), 4000, SETUP);
    CHECK_EQ(cpp_condition_variables(), 200, SETUP);
    CHECK_EQ(cpp_exceptions_between_threads(), 1, SETUP);
}

TEST(streams_format_and_parse)
{
    const char *want = "42 ff 3.142 ****7 true 1.000e+10 43 2.5 word";
    CHECK(strcmp(cpp_text(), want) == 0, SETUP);
}

TEST(streams_read_and_write_files)
{
    char path[MAX_PATH + 32], directory[MAX_PATH];
    GetTempPathA(sizeof directory, directory);
    snprintf(path, sizeof path, "%slpctest-cpp-%lu", directory, GetCurrentProcessId());
    CHECK_EQ(cpp_streams_of_files(path), 499500, SETUP);
    CHECK(DeleteFileA(path), SETUP);
}

TEST(casts_follow_the_object)
{
    CHECK_EQ(cpp_casts(), 7, SETUP);
}

ROLE(terminator)
{
    return cpp_terminates();
}

TEST(uncaught_exceptions_terminate)
{
    struct child child;
    REQUIRE(child_start(&child, "terminator", NULL), SETUP);
    CHECK_EQ(child_join(&child), 61, SETUP);
}
