/* io.h, direct.h, sys/stat.h and the file functions of stdio.h. */
#include "../lpctest.h"
#include <direct.h>
#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utime.h>
#include <wchar.h>

WITHOUT_PORTS

/* Makes a directory of its own the current one; returns to the old one at the end. */
static char before[MAX_PATH], own[MAX_PATH];

static BOOL enter(void)
{
    char temporary[MAX_PATH];
    GetTempPathA(sizeof temporary, temporary);
    snprintf(own, sizeof own, "%slpctest-crt-%lu", temporary, GetCurrentProcessId());
    return CHECK(_getcwd(before, sizeof before) != NULL, SETUP) && CHECK_EQ(_mkdir(own), 0, SETUP) &&
           CHECK_EQ(_chdir(own), 0, SETUP);
}

static void leave(void)
{
    CHECK_EQ(_chdir(before), 0, SETUP);
    CHECK_EQ(_rmdir(own), 0, SETUP);
}

static void make(const char *name, const char *text)
{
    FILE *file = fopen(name, "wb");
    if (CHECK(file != NULL, SETUP)) {
        fputs(text, file);
        fclose(file);
    }
}

TEST(directories)
{
    char path[MAX_PATH];
    REQUIRE(enter(), SETUP);
    CHECK(_stricmp(_getcwd(path, sizeof path), own) == 0, SETUP);
    char *block = _getcwd(NULL, 0);
    CHECK(block != NULL && strcmp(block, path) == 0, SETUP);
    free(block);
    errno = 0;
    CHECK(_getcwd(path, 3) == NULL, SETUP);
    CHECK_EQ(errno, ERANGE, SETUP);
    CHECK_EQ(_wmkdir(L"sub"), 0, SETUP);
    errno = 0;
    CHECK_EQ(_mkdir("sub"), -1, SETUP);
    CHECK_EQ(errno, EEXIST, SETUP);
    make("sub\\file", "x");
    errno = 0;
    CHECK_EQ(_rmdir("sub"), -1, SETUP);
    CHECK_EQ(errno, ENOTEMPTY, SETUP);
    CHECK_EQ(remove("sub/file"), 0, SETUP);
    CHECK_EQ(_rmdir("sub"), 0, SETUP);
    errno = 0;
    CHECK_EQ(_chdir("sub"), -1, SETUP);
    CHECK_EQ(errno, ENOENT, SETUP);
    CHECK(_getdrive() > 0 && _getdrives() != 0, SETUP);
    leave();
}

TEST(what_is_known_about_files)
{
    struct _stat64 status;
    REQUIRE(enter(), SETUP);
    make("a.txt", "12345");
    CHECK_EQ(_stat64("a.txt", &status), 0, SETUP);
    CHECK_EQ(status.st_size, 5, SETUP);
    CHECK_EQ(status.st_mode, _S_IFREG | 0666, SETUP);
    CHECK_EQ(status.st_nlink, 1, SETUP);
    CHECK(status.st_mtime > 1700000000 && status.st_mtime < 5000000000, SETUP);
    CHECK_EQ(_wstat64(L".", &status), 0, SETUP);
    CHECK_EQ(status.st_mode & _S_IFMT, _S_IFDIR, SETUP);
    errno = 0;
    CHECK_EQ(_stat64("nothing", &status), -1, SETUP);
    CHECK_EQ(errno, ENOENT, SETUP);
    int number = _open("a.txt", _O_RDONLY);
    CHECK_EQ(_fstat64(number, &status), 0, SETUP);
    CHECK_EQ(status.st_size, 5, SETUP);
    CHECK_EQ(status.st_mode & _S_IFMT, _S_IFREG, SETUP);
    _close(number);
    errno = 0;
    CHECK_EQ(_fstat64(99, &status), -1, SETUP);
    CHECK_EQ(errno, EBADF, SETUP);
    remove("a.txt");
    leave();
}

TEST(access_and_modes)
{
    REQUIRE(enter(), SETUP);
    make("a.txt", "");
    CHECK_EQ(_access("a.txt", 0), 0, SETUP);
    CHECK_EQ(_access("a.txt", 6), 0, SETUP);
    CHECK_EQ(_chmod("a.txt", _S_IREAD), 0, SETUP);
    CHECK_EQ(_waccess(L"a.txt", 4), 0, SETUP);
    errno = 0;
    CHECK_EQ(_access("a.txt", 2), -1, SETUP);
    CHECK_EQ(errno, EACCES, SETUP);
    CHECK_EQ(_chmod("a.txt", _S_IREAD | _S_IWRITE), 0, SETUP);
    CHECK_EQ(_access("a.txt", 2), 0, SETUP);
    errno = 0;
    CHECK_EQ(_access("nothing", 0), -1, SETUP);
    CHECK_EQ(errno, ENOENT, SETUP);
    CHECK_EQ(_unlink("a.txt"), 0, SETUP);
    leave();
}

TEST(names_change)
{
    REQUIRE(enter(), SETUP);
    make("a", "1");
    make("b", "2");
    errno = 0;
    CHECK_EQ(rename("a", "b"), -1, SETUP);
    CHECK_EQ(errno, EEXIST, SETUP);
    CHECK_EQ(_wrename(L"a", L"c"), 0, SETUP);
    CHECK_EQ(_access("a", 0), -1, SETUP);
    errno = 0;
    CHECK_EQ(remove("a"), -1, SETUP);
    CHECK_EQ(errno, ENOENT, SETUP);
    CHECK_EQ(remove("b"), 0, SETUP);
    CHECK_EQ(_wremove(L"c"), 0, SETUP);
    leave();
}

TEST(times_can_be_set)
{
    struct __utimbuf64 times = {1000000000, 1100000000};
    struct _stat64 status;
    REQUIRE(enter(), SETUP);
    make("a", "1");
    CHECK_EQ(_utime64("a", &times), 0, SETUP);
    CHECK_EQ(_stat64("a", &status), 0, SETUP);
    CHECK_EQ(status.st_mtime, 1100000000, SETUP);
    CHECK_EQ(remove("a"), 0, SETUP);
    leave();
}

TEST(listings)
{
    struct __finddata64_t found;
    int files = 0, directories = 0;
    __int64 bytes = 0;
    REQUIRE(enter(), SETUP);
    make("a.txt", "1");
    make("b.txt", "22");
    make("c.c", "333");
    _mkdir("d.txt");
    intptr_t search = _findfirst64("*.txt", &found);
    REQUIRE(search != -1, SETUP);
    do {
        if (found.attrib & _A_SUBDIR) {
            directories++;
        } else {
            files++;
            bytes += found.size;
            CHECK(found.time_write > 1700000000, SETUP);
        }
        CHECK(strstr(found.name, ".txt") != NULL, SETUP);
    } while (_findnext64(search, &found) == 0);
    CHECK_EQ(errno, ENOENT, SETUP);
    CHECK_EQ(_findclose(search), 0, SETUP);
    CHECK_EQ(files, 2, SETUP);
    CHECK_EQ(directories, 1, SETUP);
    CHECK_EQ(bytes, 3, SETUP);
    errno = 0;
    CHECK_EQ(_findfirst64("*.nothing", &found), -1, SETUP);
    CHECK_EQ(errno, ENOENT, SETUP);
    CHECK(remove("a.txt") == 0 && remove("b.txt") == 0 && remove("c.c") == 0 && _rmdir("d.txt") == 0, SETUP);
    leave();
}

TEST(paths)
{
    char path[MAX_PATH], want[MAX_PATH + 8];
    REQUIRE(enter(), SETUP);
    make("file.x", "");
    _getcwd(want, MAX_PATH);
    strcat(want, "\\file.x");
    CHECK(_fullpath(path, "sub\\..\\file.x", sizeof path) != NULL && _stricmp(path, want) == 0, SETUP);
    errno = 0;
    CHECK(_fullpath(path, "file.x", 4) == NULL, SETUP);
    CHECK_EQ(errno, ERANGE, SETUP);
    _searchenv("file.x", "NOTHING", path);
    CHECK(_stricmp(path, want) == 0, SETUP);
    _searchenv("no-file.x", "PATH", path);
    CHECK(path[0] == 0, SETUP);
    remove("file.x");
    leave();
}

TEST(temporary_files)
{
    char name[MAX_PATH + 1], template[] = "abXXXXXX", text[8];
    CHECK(tmpnam(name) == name && _access(name, 0) == -1, SETUP);
    CHECK(strcmp(name, tmpnam(NULL)) != 0, SETUP);
    CHECK(_mktemp(template) == template && strncmp(template, "aba", 3) == 0, SETUP);
    char *made = _tempnam(NULL, "pre");
    CHECK(made != NULL && strstr(made, "\\pre") != NULL, SETUP);
    free(made);
    FILE *file = fopen(_tempnam(NULL, "t"), "w+bD");
    REQUIRE(file != NULL, SETUP);
    fputs("abc", file);
    rewind(file);
    CHECK(fgets(text, sizeof text, file) == text && strcmp(text, "abc") == 0, SETUP);
    fclose(file);
}
