/* What the build of build.ninja runs; built for Windows and for Linux. Jobs: see main. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#define nap() Sleep(5)
#else
#include <unistd.h>
#define nap() usleep(5000)
#endif

static FILE *must_open(const char *name, const char *mode)
{
    FILE *file = fopen(name, mode);
    if (!file) {
        fprintf(stderr, "worker: cannot open %s\n", name);
        exit(2);
    }
    return file;
}

/* Copies IN to OUT, lines `include NAME` replaced by the file NAME; every file read goes into the depfile. */
static void expand(const char *in, FILE *out, FILE *deps)
{
    char line[256];
    FILE *file = must_open(in, "rb");
    fprintf(deps, " %s", in);
    while (fgets(line, sizeof line, file)) {
        if (!strncmp(line, "include ", 8)) {
            line[strcspn(line, "\r\n")] = 0;
            expand(line + 8, out, deps);
        } else {
            fputs(line, out);
        }
    }
    fclose(file);
}

/* Works as a compiler would: $NTLPC_WORK steps, for scripts/bench. Steps, not time: clock() tells different times. */
static void work(void)
{
    const char *wanted = getenv("NTLPC_WORK");
    for (volatile int left = wanted ? atoi(wanted) : 0; left > 0; left--)
        ;
}

static int compile(const char *in, const char *out, const char *depfile)
{
    FILE *to = must_open(out, "wb"), *deps = must_open(depfile, "wb");
    fprintf(deps, "%s:", out);
    work();
    expand(in, to, deps);
    fprintf(deps, "\n");
    fclose(deps);
    fclose(to);
    return 0;
}

/* Joins the files named in the response file. */
static int join(const char *response, const char *out)
{
    char name[256];
    FILE *list = must_open(response + 1, "rb"), *to = must_open(out, "wb");
    while (fscanf(list, "%255s", name) == 1) {
        FILE *file = must_open(name, "rb");
        int c;
        while ((c = getc(file)) != EOF)
            putc(c, to);
        fclose(file);
    }
    fclose(list);
    fclose(to);
    return 0;
}

/* Succeeds only if another job that does the same with swapped names runs at the same time. */
static int meet(const char *mine, const char *other)
{
    fclose(must_open(mine, "wb"));
    for (int i = 0; i < 4000; i++) {
        FILE *file = fopen(other, "rb");
        if (file) {
            fclose(file);
            return 0;
        }
        nap();
    }
    fprintf(stderr, "worker: %s never came\n", other);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "compile"))
        return compile(argv[2], argv[3], argv[4]);
    if (argc == 4 && !strcmp(argv[1], "join"))
        return join(argv[2], argv[3]);
    if (argc == 4 && !strcmp(argv[1], "meet"))
        return meet(argv[2], argv[3]);
    if (argc == 4 && !strcmp(argv[1], "say")) {
        fclose(must_open(argv[3], "wb"));
        return printf("%s\n", argv[2]) < 0;
    }
    fprintf(stderr, "worker: refused\n");
    return 3;
}
