/* Demo: an LPC server. Serves one client and ends when the client has closed its port. */
#include "demo.h"

#include <ctype.h>
#include <stdlib.h>

static void *client_view; /* the client's section as mapped into this process */

static void check(const char *call, NTSTATUS status)
{
    if (status == STATUS_SUCCESS)
        return;
    printf("%s failed with status 0x%08lx\n", call, (ULONG)status);
    exit(1);
}

static HANDLE accept_client(struct demo_message *request)
{
    REMOTE_PORT_VIEW view = {.Length = sizeof view};
    HANDLE port;
    printf("connection request from process %u, thread %u: \"%.*s\", with a view of %u bytes\n",
           (unsigned)(ULONG_PTR)request->h.ClientId.UniqueProcess, (unsigned)(ULONG_PTR)request->h.ClientId.UniqueThread,
           request->h.DataLength, (char *)(&request->h + 1), (unsigned)request->h.ClientViewSize);
    check("NtAcceptConnectPort", NtAcceptConnectPort(&port, NULL, &request->h, TRUE, NULL, &view));
    check("NtCompleteConnectPort", NtCompleteConnectPort(port));
    client_view = view.ViewBase;
    printf("accepted\n");
    return port;
}

/* Asks the client, which waits for its reply, a question of our own; its answer comes back in `question`. */
static void call_back(HANDLE port, const struct demo_message *request, struct demo_message *question)
{
    demo_prepare(question, DEMO_NAME, "And who are you?");
    question->h.Type = LPC_REQUEST;
    question->h.ClientId = request->h.ClientId;
    question->h.MessageId = request->h.MessageId;
    check("NtRequestWaitReplyPort", NtRequestWaitReplyPort(port, &question->h, &question->h));
}

static void answer(HANDLE port, struct demo_message *request)
{
    struct demo_message callback;
    switch (request->command) {
    case DEMO_ECHO:
        printf("request: echo \"%s\"\n", request->text);
        for (char *c = request->text; *c != 0; c++)
            *c = (char)toupper((unsigned char)*c);
        break;
    case DEMO_SUM:
        printf("request: sum of %u numbers in the view\n", (unsigned)request->count);
        request->sum = 0;
        for (ULONG i = 0; i < request->count; i++)
            request->sum += ((ULONG *)((char *)client_view + request->view_offset))[i];
        break;
    case DEMO_NAME:
        printf("request: a greeting; calling back for the name\n");
        call_back(port, request, &callback);
        printf("the client answered \"%s\"\n", callback.text);
        snprintf(request->text, sizeof request->text, "Good day, %.64s!", callback.text);
        break;
    default:
        break;
    }
}

int main(void)
{
    UNICODE_STRING name = {sizeof DEMO_PORT - 2, sizeof DEMO_PORT, (PWSTR)DEMO_PORT};
    OBJECT_ATTRIBUTES attributes = {.Length = sizeof attributes, .ObjectName = &name};
    HANDLE listening, port = NULL;
    struct demo_message message;
    PORT_MESSAGE *reply = NULL;

    setvbuf(stdout, NULL, _IONBF, 0);
    check("NtCreatePort", NtCreatePort(&listening, &attributes, 96, sizeof(struct demo_message), 0));
    printf("listening on \\RPC Control\\LpcDemo\n");
    for (;;) {
        check("NtReplyWaitReceivePort", NtReplyWaitReceivePort(listening, NULL, reply, &message.h));
        reply = NULL;
        switch (message.h.Type) {
        case LPC_CONNECTION_REQUEST:
            port = accept_client(&message);
            break;
        case LPC_DATAGRAM:
            printf("datagram: \"%s\"\n", message.text);
            break;
        case LPC_REQUEST:
            answer(port, &message);
            reply = &message.h;
            break;
        case LPC_PORT_CLOSED:
            printf("the client has closed its port\n");
            NtClose(port);
            NtClose(listening);
            return 0;
        default:
            printf("message of type %u\n", message.h.Type);
            break;
        }
    }
}
