/* The ALPC calls found in ntdll, and the helpers declared in alpc.h. */
#include "../alpc.h"

#define DEFINE_CALL_(result, name, args) result(NTAPI *name) args;
ALPC_CALLS(DEFINE_CALL_)
ALPC_HELPERS(DEFINE_CALL_)
#undef DEFINE_CALL_

#define RESOLVE_(result, name, args)                                                                                   \
    name = (result(NTAPI *) args)(void *)GetProcAddress(GetModuleHandleA("ntdll.dll"), #name);                         \
    if (name == NULL) {                                                                                                \
        note("ntdll.dll does not export %s", #name);                                                                   \
        complete = FALSE;                                                                                              \
    }

BOOL alpc_resolve_helpers(void)
{
    BOOL complete = TRUE;
    ALPC_HELPERS(RESOLVE_)
    return complete;
}

BOOL alpc_resolve(void)
{
    BOOL complete = alpc_resolve_helpers();
    ALPC_CALLS(RESOLVE_)
    return complete;
}
#undef RESOLVE_

ALPC_PORT_ATTRIBUTES alpc_attributes(ULONG flags, SIZE_T max_message)
{
    ALPC_PORT_ATTRIBUTES attributes = {
        .Flags = flags, .SecurityQos = qos_default(), .MaxMessageLength = max_message, .DupObjectTypes = 0xFFD};
    return attributes;
}

NTSTATUS alpc_create(HANDLE *port, WCHAR name[64], ULONG flags, SIZE_T max_message)
{
    unique_name(name);
    UNICODE_STRING string = unicode(name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(flags, max_message);
    return NtAlpcCreatePort(port, &oa, &port_attributes);
}

NTSTATUS alpc_receive(HANDLE port, struct msg *m, SIZE_T *length, ALPC_MESSAGE_ATTRIBUTES *message_attributes, ULONG ms)
{
    LARGE_INTEGER timeout = {.QuadPart = -10000LL * ms};
    return NtAlpcSendWaitReceivePort(port, 0, NULL, NULL, &m->h, length, message_attributes, &timeout);
}

NTSTATUS alpc_send(HANDLE port, ULONG flags, struct msg *m)
{
    return NtAlpcSendWaitReceivePort(port, flags, &m->h, NULL, NULL, NULL, NULL, NULL);
}

struct alpc_context_buffer alpc_context_buffer(PVOID cookie)
{
    struct alpc_context_buffer buffer = {{ALPC_CONTEXT_ATTRIBUTE, cookie != NULL ? ALPC_CONTEXT_ATTRIBUTE : 0},
                                    {.MessageContext = cookie, .PortContext = UNTOUCHED}};
    return buffer;
}

void alpc_allocate(struct alpc_buffer *attributes, ULONG flags)
{
    SIZE_T required;
    memset(attributes, 0, sizeof *attributes);
    AlpcInitializeMessageAttribute(flags, &attributes->a, sizeof *attributes, &required);
}

void *alpc_attribute(struct alpc_buffer *attributes, ULONG flag)
{
    return AlpcGetMessageAttribute(&attributes->a, flag);
}

void alpc_single(struct alpc_buffer *attributes, ULONG flag, const void *value, SIZE_T size)
{
    alpc_allocate(attributes, flag);
    memcpy(alpc_attribute(attributes, flag), value, size);
    attributes->a.ValidAttributes = flag;
}

NTSTATUS alpc_send_with(HANDLE port, ULONG flags, struct msg *m, ULONG flag, const void *value, SIZE_T size)
{
    struct alpc_buffer sent;
    alpc_single(&sent, flag, value, size);
    return NtAlpcSendWaitReceivePort(port, flags, &m->h, &sent.a, NULL, NULL, NULL, NULL);
}

NTSTATUS alpc_receive_with(HANDLE port, struct msg *m, struct alpc_buffer *got, ULONG flags)
{
    SIZE_T length = sizeof *m;
    alpc_allocate(got, flags);
    return alpc_receive(port, m, &length, &got->a, 5000);
}

NTSTATUS alpc_answer(HANDLE port, struct msg *m)
{
    struct msg reply = *m;
    reply.h.DataLength = 1;
    reply.h.TotalLength = HEADER + 1;
    return alpc_send(port, ALPC_MSGFLG_RELEASE_MESSAGE, &reply);
}

BOOL alpc_new_view(HANDLE port, ULONG flags, ALPC_DATA_VIEW_ATTR *view)
{
    SIZE_T actual;
    memset(view, 0, sizeof *view);
    if (!CHECK_STATUS(NtAlpcCreatePortSection(port, flags, NULL, 0x2000, &view->SectionHandle, &actual),
                      STATUS_SUCCESS, SETUP))
        return FALSE;
    view->ViewSize = actual;
    return CHECK_STATUS(NtAlpcCreateSectionView(port, 0, view), STATUS_SUCCESS, SETUP);
}

BOOL alpc_pair_open(struct alpc_pair *p, ULONG flags, PVOID port_context)
{
    struct msg m;
    SIZE_T length = sizeof m;
    memset(p, 0, sizeof *p);
    if (!CHECK_STATUS(alpc_create(&p->conn, p->name, flags, 0x400), STATUS_SUCCESS, SETUP))
        return FALSE;
    UNICODE_STRING name = unicode(p->name);
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(flags, 0x400);
    return CHECK_STATUS(NtAlpcConnectPort(&p->cli, &name, NULL, &port_attributes, 0, NULL, NULL, NULL, NULL, NULL, NULL),
                        STATUS_SUCCESS, SETUP) &&
           CHECK_STATUS(alpc_receive(p->conn, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP) &&
           CHECK_STATUS(NtAlpcAcceptConnectPort(&p->srv, p->conn, 0, NULL, NULL, port_context, &m.h, NULL, TRUE),
                        STATUS_SUCCESS, SETUP) &&
           CHECK_STATUS(alpc_receive(p->cli, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP) &&
           CHECK_EQ(m.h.Type & 0xFF, LPC_CONNECTION_REPLY, SETUP);
}

void alpc_pair_close(struct alpc_pair *p)
{
    HANDLE *handles[] = {&p->cli, &p->srv, &p->conn};
    for (int i = 0; i < 3; i++) {
        if (*handles[i] != NULL)
            CHECK_STATUS(NtClose(*handles[i]), STATUS_SUCCESS, SETUP);
        *handles[i] = NULL;
    }
}

void alpc_call_init(struct alpc_calling *c, HANDLE port, USHORT length)
{
    memset(c, 0, sizeof *c);
    c->port = port;
    c->length = sizeof c->reply;
    msg_init(&c->request, length);
    memset(&c->reply, 0xEE, sizeof c->reply);
}

static void call_run(void *arg)
{
    struct alpc_calling *c = arg;
    doing_("alpc_call_start", 0, "NtAlpcSendWaitReceivePort");
    c->status = NtAlpcSendWaitReceivePort(c->port, ALPC_MSGFLG_SYNC_REQUEST, &c->request.h, NULL, &c->reply.h,
                                          &c->length, NULL, NULL);
}

BOOL alpc_call_start(struct alpc_calling *c, struct worker *worker)
{
    return spawn(worker, call_run, c);
}

NTSTATUS alpc_associate(HANDLE port, HANDLE completion, ULONG_PTR key, ULONG length)
{
    ALPC_PORT_ASSOCIATE_COMPLETION_PORT info = {(PVOID)key, completion};
    return NtAlpcSetInformation(port, 2, &info, length);
}

/* Whether a packet comes within some milliseconds, and its key. */
BOOL alpc_packet(HANDLE completion, ULONG_PTR *key, DWORD ms)
{
    DWORD bytes;
    OVERLAPPED *overlapped;
    return GetQueuedCompletionStatus(completion, &bytes, key, &overlapped, ms);
}
