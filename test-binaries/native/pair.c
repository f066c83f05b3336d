/*
 * A Linux program that uses ports through libntdll_shim.so: a server process, a client process, and what goes wrong.
 *
 *   pair               both; prints `N tests, M failures`
 *   pair demo-client   the client of test-binaries/demo/lpc_server.exe, which runs under lpcrun
 */
#define _GNU_SOURCE
#include <ntlpc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int tests, failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        tests++;                                                                                                       \
        if (!(condition)) {                                                                                            \
            failures++;                                                                                                \
            printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #condition);                                                \
        }                                                                                                              \
    } while (0)
#define CHECK_STATUS(call, want)                                                                                       \
    do {                                                                                                               \
        NTSTATUS got_ = (call);                                                                                        \
        tests++;                                                                                                       \
        if (got_ != (want)) {                                                                                          \
            failures++;                                                                                                \
            printf("FAIL %s:%d: %s = %#x, want %s\n", __FILE__, __LINE__, #call, (unsigned)got_, #want);               \
        }                                                                                                              \
    } while (0)

struct message {
    PORT_MESSAGE h;
    ULONG words[24];
};

static UNICODE_STRING name_of(const uint16_t *text)
{
    USHORT length = 0;
    while (text[length] != 0)
        length++;
    return (UNICODE_STRING){2 * length, 2 * length, text};
}

static void message_init(struct message *m, USHORT data_length)
{
    memset(m, 0, sizeof *m);
    m->h.DataLength = data_length;
    m->h.TotalLength = (USHORT)(sizeof m->h + data_length);
}

static HANDLE shared_memory(size_t size, ULONG **mapped)
{
    HANDLE section = 0;
    int fd = memfd_create("view", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0)
        abort();
    CHECK_STATUS(ntlpc_section(fd, &section), STATUS_SUCCESS);
    *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return section;
}

static NTSTATUS connect_with_view(HANDLE *port, const uint16_t *name, PORT_VIEW *view, ULONG *max_message)
{
    UNICODE_STRING string = name_of(name);
    SECURITY_QUALITY_OF_SERVICE qos = {sizeof qos, 2, 0, 1};
    return NtConnectPort(port, &string, &qos, view, NULL, max_message, NULL, NULL);
}

static void serve(HANDLE port)
{
    struct message m;
    REMOTE_PORT_VIEW view = {.Length = sizeof view};
    HANDLE connection = 0;
    CHECK_STATUS(NtListenPort(port, &m.h), STATUS_SUCCESS);
    CHECK(m.h.Type == LPC_CONNECTION_REQUEST && m.h.ClientId.UniqueProcess != (uint64_t)getpid());
    CHECK_STATUS(NtAcceptConnectPort(&connection, (void *)0x1234, &m.h, 1, NULL, &view), STATUS_SUCCESS);
    CHECK(view.ViewBase != NULL && view.ViewSize == 0x10000);
    CHECK_STATUS(NtCompleteConnectPort(connection), STATUS_SUCCESS);

    void *context = NULL;
    CHECK_STATUS(NtReplyWaitReceivePort(port, &context, NULL, &m.h), STATUS_SUCCESS);
    CHECK(context == (void *)0x1234 && m.h.Type == LPC_REQUEST);
    ULONG sum = 0;
    for (ULONG i = 0; i < m.words[0]; i++)
        sum += ((ULONG *)view.ViewBase)[i];
    m.words[0] = sum;
    CHECK_STATUS(NtImpersonateClientOfPort(connection, &m.h), STATUS_SUCCESS);
    ntlpc_revert();
    CHECK_STATUS(NtReplyPort(connection, &m.h), STATUS_SUCCESS);

    CHECK_STATUS(NtReplyWaitReceivePort(port, &context, NULL, &m.h), STATUS_SUCCESS);
    CHECK(m.h.Type == LPC_DATAGRAM && m.words[0] == 7);
    /* The client registered its thread and died: CLIENT_DIED comes before PORT_CLOSED (lpc §3.6). */
    CHECK_STATUS(NtReplyWaitReceivePort(port, &context, NULL, &m.h), STATUS_SUCCESS);
    CHECK(m.h.Type == LPC_CLIENT_DIED);
    CHECK_STATUS(NtReplyWaitReceivePort(port, &context, NULL, &m.h), STATUS_SUCCESS);
    CHECK(m.h.Type == LPC_PORT_CLOSED);
    CHECK_STATUS(ntlpc_close(connection), STATUS_SUCCESS);
}

static void be_client(void)
{
    struct message m;
    HANDLE port = 0;
    ULONG *memory, max_message = 0;
    PORT_VIEW view = {.Length = sizeof view, .ViewSize = 0x10000};
    view.SectionHandle = shared_memory(0x10000, &memory);
    CHECK_STATUS(connect_with_view(&port, u"\\RPC Control\\native-pair", &view, &max_message), STATUS_SUCCESS);
    CHECK(view.ViewBase != NULL && view.ViewRemoteBase != NULL && max_message == sizeof(struct message));
    ULONG *numbers = view.ViewBase;
    for (ULONG i = 0; i < 100; i++)
        numbers[i] = i;
    CHECK(memory[99] == 99);
    CHECK_STATUS(NtRegisterThreadTerminatePort(port), STATUS_SUCCESS);
    message_init(&m, 4);
    m.words[0] = 100;
    CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS);
    CHECK(m.h.Type == LPC_REPLY && m.words[0] == 4950);
    message_init(&m, 4);
    m.words[0] = 7;
    CHECK_STATUS(NtRequestPort(port, &m.h), STATUS_SUCCESS);
    m.h.TotalLength = 0x7000;
    CHECK_STATUS(NtRequestPort(port, &m.h), STATUS_PORT_MESSAGE_TOO_LONG);
    CHECK_STATUS(NtRequestPort(port, (PORT_MESSAGE *)8), STATUS_ACCESS_VIOLATION);
    CHECK_STATUS(NtListenPort(port, NULL), STATUS_ACCESS_VIOLATION);
}

static void go_wrong(void)
{
    HANDLE port = 0;
    CHECK_STATUS(connect_with_view(&port, u"\\RPC Control\\nobody", NULL, NULL), STATUS_OBJECT_NAME_NOT_FOUND);
    CHECK_STATUS(NtCreatePort(NULL, NULL, 0, 0x100, 0), STATUS_ACCESS_VIOLATION);
    CHECK_STATUS(NtListenPort(0x4444, NULL), STATUS_ACCESS_VIOLATION);
    CHECK_STATUS(ntlpc_close(0), STATUS_INVALID_HANDLE);
    CHECK_STATUS(ntlpc_section(-1, &port), STATUS_INVALID_HANDLE);
    CHECK_STATUS(ZwCompleteConnectPort(0x4444), STATUS_INVALID_HANDLE);
}

static int both(void)
{
    HANDLE port = 0;
    int ready[2], status = -1;
    if (pipe(ready) != 0)
        return 1;
    pid_t child = fork();
    if (child == 0) {
        char byte;
        if (read(ready[0], &byte, 1) == 1)
            be_client();
        fflush(stdout);
        _exit(failures != 0); /* with the port open */
    }
    UNICODE_STRING name = name_of(u"\\RPC Control\\native-pair");
    OBJECT_ATTRIBUTES attributes = {.Length = sizeof attributes, .ObjectName = &name};
    CHECK_STATUS(NtCreatePort(&port, &attributes, 64, sizeof(struct message), 0), STATUS_SUCCESS);
    if (write(ready[1], "", 1) == 1)
        serve(port);
    waitpid(child, &status, 0);
    CHECK(status == 0);
    go_wrong();
    CHECK_STATUS(ntlpc_close(port), STATUS_SUCCESS);
    printf("%d tests, %d failures\n", tests, failures);
    return failures != 0;
}

/* As test-binaries/demo/demo.h. */
struct demo_message {
    PORT_MESSAGE h;
    ULONG command;
    ULONG count;
    ULONG view_offset;
    ULONG sum;
    char text[96];
};

static void demo_prepare(struct demo_message *m, ULONG command, const char *text)
{
    memset(m, 0, sizeof *m);
    m->h.DataLength = sizeof *m - sizeof m->h;
    m->h.TotalLength = sizeof *m;
    m->command = command;
    strncpy(m->text, text, sizeof m->text - 1);
}

static int demo_client(void)
{
    enum { ECHO, SUM, NAME };
    struct demo_message m;
    HANDLE port = 0;
    ULONG *memory;
    NTSTATUS status = STATUS_OBJECT_NAME_NOT_FOUND;
    PORT_VIEW view = {.Length = sizeof view, .ViewSize = 0x10000};
    view.SectionHandle = shared_memory(0x10000, &memory);
    for (int i = 0; i < 500 && status == STATUS_OBJECT_NAME_NOT_FOUND; i++) {
        status = connect_with_view(&port, u"\\RPC Control\\LpcDemo", &view, NULL);
        usleep(10000); /* the server is starting */
    }
    CHECK(status == STATUS_SUCCESS);
    demo_prepare(&m, ECHO, "from linux");
    CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS);
    CHECK(strcmp(m.text, "FROM LINUX") == 0);
    for (ULONG i = 0; i < 10; i++)
        memory[i] = i;
    demo_prepare(&m, SUM, "");
    m.count = 10;
    CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS);
    CHECK(m.sum == 45);
    demo_prepare(&m, NAME, "");
    CHECK_STATUS(NtRequestWaitReplyPort(port, &m.h, &m.h), STATUS_SUCCESS);
    CHECK(m.h.Type == LPC_REQUEST); /* the server calls back */
    strcpy(m.text, "penguin");
    CHECK_STATUS(NtReplyWaitReplyPort(port, &m.h), STATUS_SUCCESS);
    CHECK(strstr(m.text, "penguin") != NULL);
    CHECK_STATUS(ntlpc_close(port), STATUS_SUCCESS);
    printf("%d tests, %d failures\n", tests, failures);
    return failures != 0;
}

int main(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "demo-client") == 0 ? demo_client() : both();
}
