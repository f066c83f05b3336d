/* cmd.exe: system, _popen, CreateProcess of command lines and of batch files. */
#include "../lpctest.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

WITHOUT_PORTS

static char directory[MAX_PATH], before[MAX_PATH];

static void enter_directory(void)
{
    char temporary[MAX_PATH];
    GetCurrentDirectoryA(sizeof before, before);
    GetTempPathA(sizeof temporary, temporary);
    snprintf(directory, sizeof directory, "%scmd test %lu", temporary, (unsigned long)GetCurrentProcessId());
    CreateDirectoryA(directory, NULL);
    SetCurrentDirectoryA(directory);
}

static void leave_directory(void)
{
    char command[MAX_PATH + 32];
    SetCurrentDirectoryA(before);
    snprintf(command, sizeof command, "rd /s /q \"%s\"", directory);
    CHECK_EQ(system(command), 0, SETUP);
    CHECK_EQ(GetFileAttributesA(directory), INVALID_FILE_ATTRIBUTES, SETUP);
}

/* Runs a command with its output in `out`, line ends as \n; returns the exit code. */
static int output_of(const char *command, char *out, size_t size)
{
    FILE *pipe = _popen(command, "r");
    if (pipe == NULL)
        return -1;
    size_t length = fread(out, 1, size - 1, pipe);
    out[length] = 0;
    return _pclose(pipe);
}

#define CHECK_OUTPUT(command, code, wanted)                                                                            \
    do {                                                                                                               \
        char out_[512];                                                                                                \
        CHECK_EQ(output_of(command, out_, sizeof out_), code, SETUP);                                                  \
        CHECK(strcmp(out_, wanted) == 0, SETUP);                                                                       \
        if (strcmp(out_, wanted))                                                                                      \
            fprintf(stderr, "%s gave \"%s\"\n", command, out_);                                                        \
    } while (0)

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    REQUIRE(file != NULL, SETUP);
    fputs(text, file);
    fclose(file);
}

/* Runs a command line with CreateProcess; returns the exit code. */
static DWORD run(char *line)
{
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION process;
    DWORD code = 0xDEAD;
    if (!CreateProcessA(NULL, line, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &process))
        return GetLastError() | 0x80000000;
    WaitForSingleObject(process.hProcess, INFINITE);
    GetExitCodeProcess(process.hProcess, &code);
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
    return code;
}

ROLE(code)
{
    return role_arg_number(0);
}

ROLE(upper)
{
    int character;
    while ((character = getchar()) != EOF)
        putchar(character >= 'a' && character <= 'z' ? character - 32 : character);
    return 0;
}

TEST(there_is_a_shell)
{
    CHECK(system(NULL) != 0, SETUP);
    CHECK_EQ(system("exit 7"), 7, SETUP);
    CHECK_EQ(system("no-such-program 2>nul"), 1, SETUP);
}

TEST(operators_and_conditions)
{
    CHECK_OUTPUT("echo a&& echo b|| echo c", 0, "a\nb\n");
    CHECK_OUTPUT("(no-such-program 2>nul)|| echo c", 0, "c\n");
    CHECK_OUTPUT("echo \"a & b\" ^& c", 0, "\"a & b\" & c\n");
    CHECK_OUTPUT("if exist no-such-file (echo there) else (echo not there)", 0, "not there\n");
    CHECK_OUTPUT("if not a==b echo differs& echo too", 0, "differs\ntoo\n");
    CHECK_OUTPUT("set NTLPC_X=abcdef&& cmd /c echo %NTLPC_X%", 0, "abcdef\n");
    SetEnvironmentVariableA("NTLPC_Y", "abcdef");
    CHECK_OUTPUT("echo %NTLPC_Y%,%ntlpc_y:~1,2%,%NTLPC_Y:cd=-%", 0, "abcdef,bc,ab-ef\n");
}

TEST(files_and_redirections)
{
    enter_directory();
    CHECK_EQ(system("md a\\b && echo one>a\\b\\x.txt&& echo two>>a\\b\\x.txt"), 0, SETUP);
    CHECK_OUTPUT("type a\\b\\x.txt", 0, "one\ntwo\n");
    CHECK_EQ(system("copy a\\b\\x.txt a\\y.txt >nul && del a\\b\\x.txt && rd a\\b"), 0, SETUP);
    CHECK_EQ(GetFileAttributesA("a\\b"), INVALID_FILE_ATTRIBUTES, SETUP);
    CHECK_EQ(system("ren a\\y.txt z.txt && move a\\z.txt . >nul"), 0, SETUP);
    CHECK(GetFileAttributesA("z.txt") != INVALID_FILE_ATTRIBUTES, SETUP);
    char inner[MAX_PATH + 8];
    snprintf(inner, sizeof inner, "%s\\a\n", directory);
    CHECK_OUTPUT("cd a && cd", 0, inner);
    CHECK_EQ(system("type no-such-file 2>errors.txt"), 1, SETUP);
    CHECK_OUTPUT("type errors.txt", 0, "The system cannot find the file specified.\n");
    leave_directory();
}

TEST(programs_run_with_exit_codes_and_pipes)
{
    char program[MAX_PATH], line[3 * MAX_PATH], text[64];
    GetModuleFileNameA(NULL, program, sizeof program);
    snprintf(line, sizeof line, "cmd.exe /c \"\"%s\" --role code test 3000000000\"", program);
    CHECK_EQ(run(line), 3000000000u, SETUP);
    snprintf(line, sizeof line, "cmd /s /c \"\"%s\" --role code test 5 && exit 1 || exit 2\"", program);
    CHECK_EQ(run(line), 2, SETUP);
    snprintf(line, sizeof line, "echo some text| \"%s\" --role upper test", program);
    CHECK_EQ(output_of(line, text, sizeof text), 0, SETUP);
    CHECK(strstr(text, "SOME TEXT") != NULL, SETUP);
}

TEST(batch_files)
{
    char line[] = "t.bat one \"two three\"";
    enter_directory();
    write_file("t.bat", "@echo off\nsetlocal\nset X=5\ncall :sub \"a b\" %X%\necho back %errorlevel%\n"
                        "if \"%1\"==\"one\" (\n  echo first is one\n) else (\n  echo first is %1\n)\n"
                        "goto end\n:sub\necho sub %~1 %2 %~nx0\nexit /b 3\n:end\necho all %*\nexit /b 42\n");
    CHECK_OUTPUT("t one \"two three\"", 42, "sub a b 5 t.bat\nback 3\nfirst is one\nall one \"two three\"\n");
    CHECK_OUTPUT("call t.bat 2& echo after& exit", 42, "sub a b 5 t.bat\nback 3\nfirst is 2\nall 2\nafter\n");
    write_file("t.bat", "@exit /b 9\n");
    CHECK_EQ(run(line), 9, SETUP);
    leave_directory();
}
