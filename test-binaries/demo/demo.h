/* What the demo's server and client say to each other. */
#define LPCTEST_STATIC_IMPORT
#include "../ntport.h"

#include <stdio.h>

#define DEMO_PORT L"\\RPC Control\\LpcDemo"

enum command {
    DEMO_ECHO, /* reply: the text in capitals */
    DEMO_SUM,  /* the ULONGs at `view_offset` of the client's view; reply: their sum */
    DEMO_NAME, /* the server calls back to ask for the client's name, then greets */
};

struct demo_message {
    PORT_MESSAGE h;
    ULONG command;
    ULONG count;
    ULONG view_offset;
    ULONG sum;
    char text[96];
};

static inline void demo_prepare(struct demo_message *m, enum command command, const char *text)
{
    memset(m, 0, sizeof *m);
    m->h.DataLength = sizeof *m - sizeof m->h;
    m->h.TotalLength = sizeof *m;
    m->command = command;
    strncpy(m->text, text, sizeof m->text - 1);
}
