/* Port calls found in ntdll, and the builders of arguments declared in ntport.h. */
#include "../lpctest.h"

#include <string.h>

#ifndef LPCTEST_STATIC_IMPORT
#define DEFINE_CALL_(name, args) NTSTATUS(NTAPI *name) args;
NT_CALLS(DEFINE_CALL_)
#undef DEFINE_CALL_
#endif
#define DEFINE_CALL_(name, args) NTSTATUS(NTAPI *name) args;
NT_OPTIONAL_CALLS(DEFINE_CALL_)
#undef DEFINE_CALL_

/* Fills the call variables; returns the first required name that ntdll lacks. */
const char *resolve_calls_(void)
{
    HMODULE ntdll = GetModuleHandleA("ntdll.dll");
    if (ntdll == NULL)
        return "anything: it is not loaded";
#ifndef LPCTEST_STATIC_IMPORT
#define RESOLVE_(name, args)                                                                                           \
    name = (NTSTATUS(NTAPI *) args)(void *)GetProcAddress(ntdll, #name);                                               \
    if (name == NULL)                                                                                                  \
        return #name;
    NT_CALLS(RESOLVE_)
#undef RESOLVE_
#endif
#define RESOLVE_(name, args) name = (NTSTATUS(NTAPI *) args)(void *)GetProcAddress(ntdll, #name);
    NT_OPTIONAL_CALLS(RESOLVE_)
#undef RESOLVE_
    return NULL;
}

void msg_init(struct msg *m, USHORT length)
{
    memset(m, 0, sizeof *m);
    m->h.DataLength = length;
    m->h.TotalLength = (USHORT)(HEADER + length);
    for (USHORT i = 0; i < length; i++)
        m->data[i] = (UCHAR)(i + 1);
}

void msg_text(struct msg *m, const char *text)
{
    msg_init(m, (USHORT)(strlen(text) + 1));
    memcpy(m->data, text, strlen(text) + 1);
}

UNICODE_STRING unicode(const WCHAR *text)
{
    USHORT length = 0;
    while (text[length] != 0)
        length++;
    UNICODE_STRING string = {(USHORT)(length * 2), (USHORT)(length * 2 + 2), (PWSTR)text};
    return string;
}

OBJECT_ATTRIBUTES attributes(UNICODE_STRING *name)
{
    OBJECT_ATTRIBUTES oa = {.Length = sizeof oa, .ObjectName = name};
    return oa;
}

SECURITY_QUALITY_OF_SERVICE qos_default(void)
{
    SECURITY_QUALITY_OF_SERVICE qos = {sizeof qos, SecurityImpersonation, SECURITY_STATIC_TRACKING, FALSE};
    return qos;
}

void to_wide(WCHAR *wide, const char *text)
{
    while ((*wide++ = (UCHAR)*text++) != 0)
        ;
}

void to_narrow(char *text, const WCHAR *wide)
{
    while ((*text++ = (char)*wide++) != 0)
        ;
}

void unique_name(WCHAR name[64])
{
    static LONG next;
    static const char prefix[] = "\\RPC Control\\lpctest-";
    char text[64];
    memcpy(text, prefix, sizeof prefix);
    strcat(text, number(GetCurrentProcessId()));
    strcat(text, "-");
    strcat(text, number((ULONG_PTR)InterlockedIncrement(&next)));
    to_wide(name, text);
}

CLIENT_ID client_id(DWORD pid, DWORD tid)
{
    CLIENT_ID id = {.UniqueProcess = (HANDLE)(ULONG_PTR)pid, .UniqueThread = (HANDLE)(ULONG_PTR)tid};
    return id;
}

CLIENT_ID own_client_id(void)
{
    return client_id(GetCurrentProcessId(), GetCurrentThreadId());
}

BOOL same_client(const CLIENT_ID *a, const CLIENT_ID *b)
{
    return a->UniqueProcess == b->UniqueProcess && a->UniqueThread == b->UniqueThread;
}

HANDLE new_section(ULONG size)
{
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, size, NULL);
    CHECK(section != NULL, SETUP);
    return section;
}

NTSTATUS create_port_sized(HANDLE *port, const WCHAR *name, ULONG max_info, ULONG max_message)
{
    UNICODE_STRING string = unicode(name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    return NtCreatePort(port, &oa, max_info, max_message, 0);
}

NTSTATUS create_port(HANDLE *port, const WCHAR *name)
{
    return create_port_sized(port, name, MAX_CONNECT_INFO, MAX_TOTAL_LENGTH);
}

NTSTATUS connect_port(HANDLE *port, const WCHAR *name)
{
    UNICODE_STRING string = unicode(name);
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    return NtConnectPort(port, &string, &qos, NULL, NULL, NULL, NULL, NULL);
}

NTSTATUS receive_within(HANDLE port, PVOID *port_context, struct msg *receive, ULONG milliseconds)
{
    LARGE_INTEGER timeout;
    timeout.QuadPart = -10000LL * milliseconds;
    return NtReplyWaitReceivePortEx(port, port_context, NULL, &receive->h, &timeout);
}

void connect_init(struct connecting *c, const WCHAR *name)
{
    memset(c, 0, sizeof *c);
    c->name = name;
    c->qos = qos_default();
    c->port = UNTOUCHED;
}

static void connect_run(void *arg)
{
    struct connecting *c = arg;
    UNICODE_STRING name = unicode(c->name);
    doing_("connect_start", 0, "NtConnectPort");
    c->status = NtConnectPort(&c->port, &name, &c->qos, c->client_view, c->server_view, &c->max_message,
                              c->with_info ? c->info : NULL, c->with_info ? &c->info_length : NULL);
}

BOOL connect_start(struct connecting *c, struct worker *worker)
{
    c->worker = worker;
    return spawn(worker, connect_run, c);
}

void call_init(struct calling *c, HANDLE port, USHORT length)
{
    memset(c, 0, sizeof *c);
    c->port = port;
    msg_init(&c->request, length);
    memset(&c->reply, 0xEE, sizeof c->reply);
    c->reply_to = &c->reply.h;
}

static void call_run(void *arg)
{
    struct calling *c = arg;
    doing_("call_start", 0, "NtRequestWaitReplyPort");
    c->status = NtRequestWaitReplyPort(c->port, &c->request.h, c->reply_to);
}

BOOL call_start(struct calling *c, struct worker *worker)
{
    c->worker = worker;
    return spawn(worker, call_run, c);
}

/* Connects a thread of this process to `p->name` and accepts it on `p->conn`. */
static BOOL connect_within(struct pair *p, PVOID port_context)
{
    struct connecting connecting;
    struct worker worker;
    struct msg request;
    connect_init(&connecting, p->name);
    if (!connect_start(&connecting, &worker))
        return FALSE;
    BOOL accepted = CHECK_STATUS(NtListenPort(p->conn, &request.h), STATUS_SUCCESS, SETUP) &&
                    CHECK_STATUS(NtAcceptConnectPort(&p->srv, port_context, &request.h, TRUE, NULL, NULL),
                                 STATUS_SUCCESS, SETUP) &&
                    CHECK_STATUS(NtCompleteConnectPort(p->srv), STATUS_SUCCESS, SETUP);
    if (!accepted)
        abandon_if_threads_remain_();
    join(&worker);
    p->cli = connecting.port;
    p->port_context = port_context != NULL ? port_context : (PVOID)p->srv;
    p->connecting_tid = worker.tid;
    return accepted && CHECK_STATUS(connecting.status, STATUS_SUCCESS, SETUP);
}

BOOL pair_open(struct pair *p, PVOID port_context)
{
    memset(p, 0, sizeof *p);
    unique_name(p->name);
    return CHECK_STATUS(create_port(&p->conn, p->name), STATUS_SUCCESS, SETUP) && connect_within(p, port_context);
}

BOOL pair_add(struct pair *p, struct pair *second, PVOID port_context)
{
    memset(second, 0, sizeof *second);
    memcpy(second->name, p->name, sizeof p->name);
    second->conn = p->conn;
    BOOL open = connect_within(second, port_context);
    second->conn = NULL;
    return open;
}

void pair_close(struct pair *p)
{
    HANDLE *handles[] = {&p->cli, &p->srv, &p->conn};
    for (int i = 0; i < 3; i++) {
        if (*handles[i] != NULL)
            CHECK_STATUS(NtClose(*handles[i]), STATUS_SUCCESS, SETUP);
        *handles[i] = NULL;
    }
}
