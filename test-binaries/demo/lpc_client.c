/* Demo: an LPC client. Start lpc_server.exe first, or within five seconds. */
#include "demo.h"

#include <stdlib.h>

static void check(const char *call, NTSTATUS status)
{
    if (status == STATUS_SUCCESS)
        return;
    printf("%s failed with status 0x%08lx\n", call, (ULONG)status);
    exit(1);
}

static HANDLE connect_to_server(PORT_VIEW *view)
{
    UNICODE_STRING name = {sizeof DEMO_PORT - 2, sizeof DEMO_PORT, (PWSTR)DEMO_PORT};
    SECURITY_QUALITY_OF_SERVICE qos = {sizeof qos, SecurityImpersonation, SECURITY_DYNAMIC_TRACKING, TRUE};
    char hello[] = "hello from the client";
    HANDLE port;
    NTSTATUS status = STATUS_OBJECT_NAME_NOT_FOUND;
    for (int attempt = 0; attempt < 50 && status == STATUS_OBJECT_NAME_NOT_FOUND; attempt++) {
        ULONG max_message, info_length = sizeof hello - 1;
        if (attempt > 0)
            Sleep(100);
        status = NtConnectPort(&port, &name, &qos, view, NULL, &max_message, hello, &info_length);
        if (status == STATUS_SUCCESS)
            printf("connected; messages may be %u bytes long\n", (unsigned)max_message);
    }
    check("NtConnectPort", status);
    return port;
}

int main(void)
{
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 0x10000, NULL);
    PORT_VIEW view = {.Length = sizeof view, .SectionHandle = section, .ViewSize = 0x10000};
    struct demo_message message;

    setvbuf(stdout, NULL, _IONBF, 0);
    HANDLE port = connect_to_server(&view);

    static const char *const texts[] = {"one engine", "two personalities", "three hosts"};
    for (int i = 0; i < 3; i++) {
        demo_prepare(&message, DEMO_ECHO, texts[i]);
        check("NtRequestWaitReplyPort", NtRequestWaitReplyPort(port, &message.h, &message.h));
        printf("\"%s\" came back as \"%s\"\n", texts[i], message.text);
    }

    demo_prepare(&message, DEMO_ECHO, "a datagram waits for nobody");
    check("NtRequestPort", NtRequestPort(port, &message.h));
    printf("datagram sent\n");

    ULONG *numbers = view.ViewBase;
    for (ULONG i = 0; i < 10000; i++)
        numbers[i] = i + 1;
    demo_prepare(&message, DEMO_SUM, "");
    message.count = 10000;
    check("NtRequestWaitReplyPort", NtRequestWaitReplyPort(port, &message.h, &message.h));
    printf("the server says the 10000 numbers in the view sum up to %u\n", (unsigned)message.sum);

    demo_prepare(&message, DEMO_NAME, "");
    check("NtRequestWaitReplyPort", NtRequestWaitReplyPort(port, &message.h, &message.h));
    while (message.h.Type == LPC_REQUEST) {
        printf("the server asks: \"%s\"\n", message.text);
        strcpy(message.text, "an unmodified PE program");
        check("NtReplyWaitReplyPort", NtReplyWaitReplyPort(port, &message.h));
    }
    printf("the server says: \"%s\"\n", message.text);

    check("NtClose", NtClose(port));
    printf("closed\n");
    return 0;
}
