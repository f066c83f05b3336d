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
