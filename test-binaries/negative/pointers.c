/*
 * Every pointer argument of every call, bad in every way: NULL, unmapped, misaligned, and ending one byte before an
 * inaccessible page. Each call returns a status and changes nothing; the port works on afterwards.
 * lpc §2.0.9 and the probes of §2.1–§2.18.
 */
#include "../lpctest.h"

static struct pair pair;
static UNICODE_STRING name;
static SECURITY_QUALITY_OF_SERVICE qos;
static struct msg good;

static NTSTATUS create(void *p, BOOL as_attributes)
{
    HANDLE port;
    OBJECT_ATTRIBUTES oa = attributes(NULL);
    return as_attributes ? NtCreatePort(&port, p, 0, 0x100, 0) : NtCreatePort(p, &oa, 0, 0x100, 0);
}

static NTSTATUS create_handle(void *p) { return create(p, FALSE); }
static NTSTATUS create_attributes(void *p) { return create(p, TRUE); }

static NTSTATUS create_name(void *p)
{
    HANDLE port;
    OBJECT_ATTRIBUTES oa = attributes(p);
    return NtCreatePort(&port, &oa, 0, 0x100, 0);
}

static NTSTATUS create_name_buffer(void *p)
{
    HANDLE port;
    UNICODE_STRING string = {64, 64, p};
    OBJECT_ATTRIBUTES oa = attributes(&string);
    return NtCreatePort(&port, &oa, 0, 0x100, 0);
}

static NTSTATUS create_descriptor(void *p)
{
    HANDLE port;
    WCHAR unique[64];
    unique_name(unique);
    UNICODE_STRING string = unicode(unique);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    oa.SecurityDescriptor = p;
    return NtCreatePort(&port, &oa, 0, 0x100, 0);
}

static NTSTATUS connect_with(int which, void *p)
{
    HANDLE port;
    HANDLE *port_out = which == 0 ? p : &port;
    UNICODE_STRING *port_name = which == 1 ? p : &name;
    SECURITY_QUALITY_OF_SERVICE *port_qos = which == 2 ? p : &qos;
    ULONG length = 4, max;
    UCHAR info[4];
    return NtConnectPort(port_out, port_name, port_qos, which == 3 ? p : NULL, which == 4 ? p : NULL,
                         which == 5 ? p : &max, which == 6 ? p : info, which == 7 ? p : &length);
}

static NTSTATUS connect_handle(void *p) { return connect_with(0, p); }
static NTSTATUS connect_name(void *p) { return connect_with(1, p); }
static NTSTATUS connect_qos(void *p) { return connect_with(2, p); }
static NTSTATUS connect_client_view(void *p) { return connect_with(3, p); }
static NTSTATUS connect_server_view(void *p) { return connect_with(4, p); }
static NTSTATUS connect_max(void *p) { return connect_with(5, p); }
static NTSTATUS connect_info(void *p) { return connect_with(6, p); }
static NTSTATUS connect_info_length(void *p) { return connect_with(7, p); }

static NTSTATUS connect_name_buffer(void *p)
{
    HANDLE port;
    UNICODE_STRING string = {64, 64, p};
    return NtConnectPort(&port, &string, &qos, NULL, NULL, NULL, NULL, NULL);
}

static NTSTATUS listen(void *p) { return NtListenPort(pair.conn, p); }

static NTSTATUS accept_handle(void *p) { return NtAcceptConnectPort(p, NULL, &good.h, FALSE, NULL, NULL); }

static NTSTATUS accept_request(void *p)
{
    HANDLE port;
    return NtAcceptConnectPort(&port, NULL, p, FALSE, NULL, NULL);
}

static NTSTATUS accept_server_view(void *p)
{
    HANDLE port;
    return NtAcceptConnectPort(&port, NULL, &good.h, TRUE, p, NULL);
}

static NTSTATUS accept_client_view(void *p)
{
    HANDLE port;
    return NtAcceptConnectPort(&port, NULL, &good.h, TRUE, NULL, p);
}

static NTSTATUS datagram(void *p) { return NtRequestPort(pair.cli, p); }

static NTSTATUS request(void *p)
{
    struct msg reply;
    return NtRequestWaitReplyPort(pair.cli, p, &reply.h);
}

static NTSTATUS request_reply(void *p) { return NtRequestWaitReplyPort(pair.cli, &good.h, p); }
static NTSTATUS reply(void *p) { return NtReplyPort(pair.srv, p); }
static NTSTATUS reply_wait_reply(void *p) { return NtReplyWaitReplyPort(pair.cli, p); }
static NTSTATUS receive(void *p) { return NtReplyWaitReceivePort(pair.conn, NULL, NULL, p); }

static NTSTATUS receive_reply(void *p)
{
    struct msg m;
    return NtReplyWaitReceivePort(pair.conn, NULL, p, &m.h);
}

static NTSTATUS receive_context(void *p)
{
    struct msg m;
    return NtReplyWaitReceivePort(pair.conn, p, NULL, &m.h);
}

static NTSTATUS receive_timeout(void *p)
{
    struct msg m;
    return NtReplyWaitReceivePortEx(pair.conn, NULL, NULL, &m.h, p);
}

static NTSTATUS impersonate(void *p) { return NtImpersonateClientOfPort(pair.srv, p); }

static NTSTATUS read_message(void *p)
{
    char copy[4];
    return NtReadRequestData(pair.srv, p, 0, copy, 4, NULL);
}

static NTSTATUS read_buffer(void *p) { return NtReadRequestData(pair.srv, &good.h, 0, p, 64, NULL); }
static NTSTATUS write_buffer(void *p) { return NtWriteRequestData(pair.srv, &good.h, 0, p, 64, NULL); }
static NTSTATUS query_buffer(void *p) { return NtQueryInformationPort(pair.conn, 0, p, 64, NULL); }
static NTSTATUS query_returned(void *p) { return NtQueryInformationPort(pair.conn, 0, NULL, 0, p); }

enum { MESSAGE = 1, MAY_BE_NULL = 2, SIZED = 4, REVISED = 8 };

/* SIZED structures start with their own length, REVISED ones with the revision 1. */
static const struct argument {
    const char *name;
    NTSTATUS (*call)(void *);
    int kind;
    SIZE_T size; /* bytes the call reads or writes at least */
    int cite;
} arguments[] = {
    {"NtCreatePort PortHandle", create_handle, 0, sizeof(HANDLE), lpc(20)},
    {"NtCreatePort ObjectAttributes", create_attributes, SIZED, sizeof(OBJECT_ATTRIBUTES), lpc(21)},
    {"NtCreatePort ObjectName", create_name, MAY_BE_NULL, sizeof(UNICODE_STRING), SETUP},
    {"NtCreatePort ObjectName.Buffer", create_name_buffer, MAY_BE_NULL, 64, SETUP},
    {"NtCreatePort SecurityDescriptor", create_descriptor, REVISED | MAY_BE_NULL, 20, SETUP},
    {"NtConnectPort PortHandle", connect_handle, 0, sizeof(HANDLE), lpc(41)},
    {"NtConnectPort PortName", connect_name, 0, sizeof(UNICODE_STRING), lpc(42)},
    {"NtConnectPort PortName.Buffer", connect_name_buffer, MAY_BE_NULL, 64, SETUP},
    {"NtConnectPort SecurityQos", connect_qos, 0, 12, lpc(43)},
    {"NtConnectPort ClientView", connect_client_view, SIZED | MAY_BE_NULL, sizeof(PORT_VIEW), SETUP},
    {"NtConnectPort ServerView", connect_server_view, SIZED | MAY_BE_NULL, sizeof(REMOTE_PORT_VIEW), SETUP},
    {"NtConnectPort MaxMessageLength", connect_max, MAY_BE_NULL, 4, SETUP},
    {"NtConnectPort ConnectionInformation", connect_info, MAY_BE_NULL, 4, SETUP},
    {"NtConnectPort ConnectionInformationLength", connect_info_length, MAY_BE_NULL, 4, SETUP},
    {"NtListenPort ConnectionRequest", listen, MESSAGE, HEADER, lpc(59)},
    {"NtAcceptConnectPort PortHandle", accept_handle, 0, sizeof(HANDLE), lpc(72)},
    {"NtAcceptConnectPort ConnectionRequest", accept_request, 0, HEADER, SETUP},
    {"NtAcceptConnectPort ServerView", accept_server_view, SIZED | MAY_BE_NULL, sizeof(PORT_VIEW), SETUP},
    {"NtAcceptConnectPort ClientView", accept_client_view, SIZED | MAY_BE_NULL, sizeof(REMOTE_PORT_VIEW), SETUP},
    {"NtRequestPort Request", datagram, MESSAGE, HEADER, SETUP},
    {"NtRequestWaitReplyPort Request", request, MESSAGE, HEADER, lpc(124)},
    {"NtRequestWaitReplyPort Reply", request_reply, MESSAGE, HEADER, lpc(124)},
    {"NtReplyPort Reply", reply, MESSAGE, HEADER, lpc(121)},
    {"NtReplyWaitReplyPort Reply", reply_wait_reply, MESSAGE, HEADER, SETUP},
    {"NtReplyWaitReceivePort Receive", receive, MESSAGE, HEADER, lpc(153)},
    {"NtReplyWaitReceivePort Reply", receive_reply, MESSAGE | MAY_BE_NULL, HEADER, SETUP},
    {"NtReplyWaitReceivePort PortContext", receive_context, MAY_BE_NULL, sizeof(PVOID), SETUP},
    {"NtReplyWaitReceivePortEx Timeout", receive_timeout, MAY_BE_NULL, 8, SETUP},
    {"NtImpersonateClientOfPort Message", impersonate, 0, HEADER, SETUP},
    {"NtReadRequestData Message", read_message, 0, HEADER, SETUP},
    {"NtReadRequestData Buffer", read_buffer, 0, 64, SETUP},
    {"NtWriteRequestData Buffer", write_buffer, 0, 64, SETUP},
    {"NtQueryInformationPort Buffer", query_buffer, MAY_BE_NULL, 64, SETUP},
    {"NtQueryInformationPort ReturnLength", query_returned, MAY_BE_NULL, 4, SETUP},
};
enum { ARGUMENTS = sizeof arguments / sizeof arguments[0] };

static BOOL set_up(void)
{
    if (!pair_open(&pair, NULL))
        return FALSE;
    name = unicode(pair.name);
    qos = qos_default();
    msg_init(&good, 4);
    return TRUE;
}

/* The queue holds nothing and the connection still carries a message. */
static void check_alive(void)
{
    struct msg m, received;
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 0), STATUS_TIMEOUT, SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(NtRequestPort(pair.cli, &m.h), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, SETUP);
}

TEST(null)
{
    REQUIRE(set_up(), SETUP);
    for (int i = 0; i < ARGUMENTS; i++) {
        if (arguments[i].kind & MAY_BE_NULL)
            continue;
        context("%s NULL", arguments[i].name);
        CHECK_STATUS(arguments[i].call(NULL), STATUS_ACCESS_VIOLATION, arguments[i].cite);
    }
    context(NULL);
    check_alive();
    pair_close(&pair);
}

TEST(nothing_mapped)
{
    REQUIRE(set_up(), SETUP);
    char *bad = unmapped();
    for (int i = 0; i < ARGUMENTS; i++) {
        context("%s unmapped", arguments[i].name);
        CHECK_STATUS(arguments[i].call(bad), STATUS_ACCESS_VIOLATION, arguments[i].cite);
    }
    context(NULL);
    check_alive();
    pair_close(&pair);
}

/* Addresses of the kernel half and the last bytes of the address space. */
TEST(not_a_user_address)
{
    static const ULONG_PTR addresses[] = {~(ULONG_PTR)0 - 7, ~(ULONG_PTR)0 - 63,
                                          (ULONG_PTR)1 << (sizeof(void *) * 8 - 1)};
    REQUIRE(set_up(), SETUP);
    for (int i = 0; i < ARGUMENTS; i++) {
        for (int k = 0; k < 3; k++) {
            context("%s at address %d", arguments[i].name, k);
            CHECK_STATUS(arguments[i].call((void *)addresses[k]), STATUS_ACCESS_VIOLATION, arguments[i].cite);
        }
    }
    context(NULL);
    check_alive();
    pair_close(&pair);
}

TEST(last_bytes_inaccessible)
{
    REQUIRE(set_up(), SETUP);
    for (int i = 0; i < ARGUMENTS; i++) {
        /* All but the last eight bytes can be accessed; messages keep their alignment. */
        SIZE_T room = arguments[i].size > 8 ? arguments[i].size - 8 : 0;
        char *bad = before_guard_page(room + 4096);
        memset(bad, 0, room + 4096);
        if (arguments[i].kind & SIZED)
            *(ULONG *)(bad + 4096) = (ULONG)arguments[i].size;
        else if (arguments[i].kind & REVISED)
            bad[4096] = SECURITY_DESCRIPTOR_REVISION;
        context("%s before a guard page", arguments[i].name);
        CHECK_STATUS(arguments[i].call(bad + 4096), STATUS_ACCESS_VIOLATION, arguments[i].cite);
    }
    context(NULL);
    check_alive();
    pair_close(&pair);
}

TEST(misaligned_messages)
{
    static union {
        struct msg m;
        char bytes[sizeof(struct msg) + 8];
    } buffer;
    REQUIRE(set_up(), SETUP);
    for (int i = 0; i < ARGUMENTS; i++) {
        if (!(arguments[i].kind & MESSAGE))
            continue;
        for (int offset = 1; offset < 4; offset++) {
            context("%s at offset %d", arguments[i].name, offset);
            memset(&buffer, 0, sizeof buffer);
            CHECK_STATUS(arguments[i].call(buffer.bytes + offset), STATUS_DATATYPE_MISALIGNMENT, lpc(59));
        }
    }
    context(NULL);
    check_alive();
    pair_close(&pair);
}

/* The data behind a good header end at an inaccessible page. */
TEST(data_inaccessible)
{
    struct msg reply_buffer;
    REQUIRE(set_up(), SETUP);
    PORT_MESSAGE *m = before_guard_page(HEADER + 8);
    m->DataLength = 16;
    m->TotalLength = HEADER + 16;
    CHECK_STATUS(NtRequestPort(pair.cli, m), STATUS_ACCESS_VIOLATION, SETUP);
    CHECK_STATUS(NtRequestWaitReplyPort(pair.cli, m, &reply_buffer.h), STATUS_ACCESS_VIOLATION, SETUP);
    check_alive();
    /* Eight bytes fit exactly. */
    m->DataLength = 8;
    m->TotalLength = HEADER + 8;
    CHECK_STATUS(NtRequestPort(pair.cli, m), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(receive_within(pair.conn, NULL, &reply_buffer, 5000), STATUS_SUCCESS, SETUP);
    pair_close(&pair);
}

/* Each call with each kind of bad handle: the status of lpc §2.0.3. */
TEST(handles)
{
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    REQUIRE(set_up(), SETUP);
    HANDLE closed = CreateEventW(NULL, TRUE, FALSE, NULL);
    CloseHandle(closed);
    const struct {
        HANDLE handle;
        NTSTATUS status;
    } bad[] = {{NULL, STATUS_INVALID_HANDLE},
               {closed, STATUS_INVALID_HANDLE},
               {(HANDLE)(ULONG_PTR)0x7FFF0, STATUS_INVALID_HANDLE},
               {event, STATUS_OBJECT_TYPE_MISMATCH}};
    struct msg m, r;
    msg_init(&m, 4);
    m.h.MessageId = 1;
    m.h.ClientId = own_client_id();
    for (int i = 0; i < 4; i++) {
        HANDLE port = bad[i].handle;
        struct msg fresh;
        msg_init(&fresh, 4);
        context("handle %d", i);
        CHECK_STATUS(NtListenPort(port, &r.h), bad[i].status, lpc(88));
        CHECK_STATUS(NtCompleteConnectPort(port), bad[i].status, lpc(88));
        CHECK_STATUS(NtRequestPort(port, &fresh.h), bad[i].status, SETUP);
        CHECK_STATUS(NtRequestWaitReplyPort(port, &fresh.h, &r.h), bad[i].status, SETUP);
        CHECK_STATUS(NtReplyPort(port, &m.h), bad[i].status, SETUP);
        CHECK_STATUS(NtReplyWaitReplyPort(port, &m.h), bad[i].status, SETUP);
        CHECK_STATUS(NtReplyWaitReceivePort(port, NULL, NULL, &r.h), bad[i].status, lpc(154));
        CHECK_STATUS(NtImpersonateClientOfPort(port, &m.h), bad[i].status, SETUP);
        CHECK_STATUS(NtRegisterThreadTerminatePort(port), bad[i].status, lpc(191));
    }
    context(NULL);
    check_alive();
    CloseHandle(event);
    pair_close(&pair);
}
