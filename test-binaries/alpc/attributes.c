/* Attributes that travel: views, handles, security contexts, events, tickets. alpc §1.5, §2.5.8, statements 211–252. */
#include "../alpc.h"

enum { SAME_ACCESS = 0x10000, INDIRECT = 0x40000, MULTIHANDLE = 0x2000000 };
enum { UNMAP_EXISTING = 0x10000, AUTO_RELEASE = 0x20000, SECURED = 0x40000 };

/* A buffer with room for some attributes. */
struct attributes {
    union {
        ALPC_MESSAGE_ATTRIBUTES a;
        UCHAR bytes[256];
    };
};

static void allocate(struct attributes *attributes, ULONG flags)
{
    SIZE_T required;
    memset(attributes, 0, sizeof *attributes);
    AlpcInitializeMessageAttribute(flags, &attributes->a, sizeof *attributes, &required);
}

static void *attribute(struct attributes *attributes, ULONG flag)
{
    return AlpcGetMessageAttribute(&attributes->a, flag);
}

/* Sends `length` data bytes with one attribute. */
static NTSTATUS send_with(HANDLE port, ULONG flags, struct msg *m, ULONG flag, const void *value, SIZE_T size)
{
    struct attributes sent;
    allocate(&sent, flag);
    memcpy(attribute(&sent, flag), value, size);
    sent.a.ValidAttributes = flag;
    return NtAlpcSendWaitReceivePort(port, flags, &m->h, &sent.a, NULL, NULL, NULL, NULL);
}

static NTSTATUS receive_with(HANDLE port, struct msg *m, struct attributes *got, ULONG flags)
{
    SIZE_T length = sizeof *m;
    allocate(got, flags);
    return alpc_receive(port, m, &length, &got->a, 5000);
}

static NTSTATUS answer(HANDLE port, struct msg *m)
{
    struct msg reply = *m;
    reply.h.DataLength = 1;
    reply.h.TotalLength = HEADER + 1;
    return alpc_send(port, ALPC_MSGFLG_RELEASE_MESSAGE, &reply);
}

/* A view of a new section of a port. */
static BOOL new_view(HANDLE port, ULONG flags, ALPC_DATA_VIEW_ATTR *view)
{
    SIZE_T actual;
    memset(view, 0, sizeof *view);
    if (!CHECK_STATUS(NtAlpcCreatePortSection(port, flags, NULL, 0x2000, &view->SectionHandle, &actual),
                      STATUS_SUCCESS, SETUP))
        return FALSE;
    view->ViewSize = actual;
    return CHECK_STATUS(NtAlpcCreateSectionView(port, 0, view), STATUS_SUCCESS, SETUP);
}

TEST(invalid_sections_and_views)
{
    HANDLE port, section = new_section(0x10000), id;
    SIZE_T actual;
    NEED_ALPC;
    REQUIRE_STATUS(NtAlpcCreatePort(&port, NULL, NULL), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcCreatePortSection(port, SECURED, section, 0x1000, &id, &actual), STATUS_INVALID_PARAMETER,
                 alpc(251));
    REQUIRE_STATUS(NtAlpcCreatePortSection(port, 0, section, 0x1000, &id, &actual), STATUS_SUCCESS, SETUP);
    ALPC_DATA_VIEW_ATTR view = {.SectionHandle = id, .ViewSize = 0x1000};
    CHECK_STATUS(NtAlpcCreateSectionView(port, 1, &view), STATUS_INVALID_PARAMETER, alpc(252));
    CHECK_STATUS(NtAlpcCreateSectionView(port, 0, &view), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcDeleteSectionView(port, 0, view.ViewBase), STATUS_SUCCESS, alpc(238));
    CHECK(NtAlpcDeleteSectionView(port, 0, view.ViewBase) < 0, alpc(246));
    NtClose(section);
    NtClose(port);
}

TEST(view_and_its_release_in_the_reply)
{
    struct alpc_pair p;
    struct msg m;
    struct attributes got;
    ALPC_DATA_VIEW_ATTR view, release = {.Flags = UNMAP_EXISTING};
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE(new_view(p.cli, 0, &view), SETUP);
    strcpy(view.ViewBase, "to the server");
    msg_init(&m, 4);
    REQUIRE_STATUS(send_with(p.cli, 0, &m, ALPC_VIEW_ATTRIBUTE, &view, sizeof view), STATUS_SUCCESS, alpc(240));
    REQUIRE_STATUS(receive_with(p.conn, &m, &got, ALPC_VIEW_ATTRIBUTE), STATUS_SUCCESS, alpc(240));
    REQUIRE(got.a.ValidAttributes == ALPC_VIEW_ATTRIBUTE, alpc(240));
    ALPC_DATA_VIEW_ATTR received = *(ALPC_DATA_VIEW_ATTR *)attribute(&got, ALPC_VIEW_ATTRIBUTE);
    CHECK_EQ(strcmp(received.ViewBase, "to the server"), 0, alpc(240));
    CHECK_PTR(received.SectionHandle, NULL, alpc(241));
    CHECK(received.ViewSize >= view.ViewSize, alpc(242));
    /* The memory is shared, not copied. */
    strcpy(received.ViewBase, "and back");
    CHECK_EQ(strcmp(view.ViewBase, "and back"), 0, alpc(240));
    m.h.TotalLength = HEADER + 4;
    CHECK_STATUS(
        send_with(p.conn, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_VIEW_ATTRIBUTE, &release, sizeof release),
        STATUS_SUCCESS, alpc(244));
    CHECK(NtAlpcDeleteSectionView(p.srv, 0, received.ViewBase) < 0, alpc(244));
    CHECK_STATUS(receive_with(p.cli, &m, &got, ALPC_VIEW_ATTRIBUTE), STATUS_SUCCESS, SETUP);
    CHECK_EQ(got.a.ValidAttributes, 0, SETUP);
    CHECK_STATUS(NtAlpcDeleteSectionView(p.cli, 0, view.ViewBase), STATUS_SUCCESS, alpc(238));
    alpc_pair_close(&p);
}

TEST(release_in_a_reply_to_no_view)
{
    struct alpc_pair p;
    struct msg m;
    struct attributes got;
    ALPC_DATA_VIEW_ATTR release = {.Flags = UNMAP_EXISTING};
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    msg_init(&m, 4);
    REQUIRE_STATUS(alpc_send(p.cli, 0, &m), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(receive_with(p.conn, &m, &got, 0), STATUS_SUCCESS, SETUP);
    memcpy(m.data, "data", 4);
    CHECK_STATUS(
        send_with(p.conn, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_VIEW_ATTRIBUTE, &release, sizeof release),
        STATUS_SUCCESS, alpc(245));
    REQUIRE_STATUS(receive_with(p.cli, &m, &got, 0), STATUS_SUCCESS, alpc(245));
    CHECK_EQ(memcmp(m.data, "data", 4), 0, alpc(245));
    alpc_pair_close(&p);
}

TEST(secured_view)
{
    struct alpc_pair p;
    struct msg m;
    struct attributes got;
    ALPC_DATA_VIEW_ATTR view, plain;
    MEMORY_BASIC_INFORMATION memory;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE(new_view(p.cli, SECURED, &view), SETUP);
    REQUIRE(new_view(p.cli, 0, &plain), SETUP);
    strcpy(view.ViewBase, "as it is");
    view.Flags = SECURED;
    plain.Flags = SECURED;
    msg_init(&m, 4);
    CHECK_STATUS(send_with(p.cli, 0, &m, ALPC_VIEW_ATTRIBUTE, &plain, sizeof plain), STATUS_INVALID_PARAMETER, SETUP);
    REQUIRE_STATUS(send_with(p.cli, 0, &m, ALPC_VIEW_ATTRIBUTE, &view, sizeof view), STATUS_SUCCESS, alpc(250));
    VirtualQuery(view.ViewBase, &memory, sizeof memory);
    CHECK_EQ(memory.Protect, PAGE_READONLY, alpc(250));
    REQUIRE_STATUS(receive_with(p.conn, &m, &got, ALPC_VIEW_ATTRIBUTE), STATUS_SUCCESS, alpc(250));
    ALPC_DATA_VIEW_ATTR *received = attribute(&got, ALPC_VIEW_ATTRIBUTE);
    CHECK_EQ(received->Flags, SECURED, alpc(250));
    CHECK_EQ(strcmp(received->ViewBase, "as it is"), 0, alpc(250));
    alpc_pair_close(&p);
}

TEST(released_view_goes_with_the_timeout)
{
    struct alpc_pair p;
    struct msg m, r;
    struct attributes sent;
    SIZE_T length = sizeof r;
    LARGE_INTEGER timeout = {.QuadPart = -500000};
    ALPC_DATA_VIEW_ATTR view;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE(new_view(p.cli, 0, &view), SETUP);
    view.Flags = AUTO_RELEASE;
    allocate(&sent, ALPC_VIEW_ATTRIBUTE);
    *(ALPC_DATA_VIEW_ATTR *)attribute(&sent, ALPC_VIEW_ATTRIBUTE) = view;
    sent.a.ValidAttributes = ALPC_VIEW_ATTRIBUTE;
    msg_init(&m, 4);
    CHECK_STATUS(NtAlpcSendWaitReceivePort(p.cli, ALPC_MSGFLG_SYNC_REQUEST, &m.h, &sent.a, &r.h, &length, NULL,
                                           &timeout),
                 STATUS_TIMEOUT, alpc(246));
    CHECK(NtAlpcDeleteSectionView(p.cli, 0, view.ViewBase) < 0, alpc(246));
    CHECK_STATUS(NtAlpcDeletePortSection(p.cli, 0, view.SectionHandle), STATUS_SUCCESS, alpc(248));
    alpc_pair_close(&p);
}

TEST(released_view_goes_with_the_cancellation)
{
    struct alpc_pair p;
    struct msg m;
    ALPC_DATA_VIEW_ATTR view;
    struct attributes got;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE(new_view(p.cli, 0, &view), SETUP);
    view.Flags = AUTO_RELEASE;
    msg_init(&m, 4);
    REQUIRE_STATUS(send_with(p.cli, 0, &m, ALPC_VIEW_ATTRIBUTE, &view, sizeof view), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(receive_with(p.conn, &m, &got, ALPC_CONTEXT_ATTRIBUTE), STATUS_SUCCESS, SETUP);
    ALPC_CONTEXT_ATTR *received = attribute(&got, ALPC_CONTEXT_ATTRIBUTE);
    CHECK_STATUS(NtAlpcCancelMessage(p.conn, 0, received), STATUS_MESSAGE_RETRIEVED, alpc(247));
    REQUIRE_STATUS(receive_with(p.cli, &m, &got, 0), STATUS_SUCCESS, alpc(247));
    CHECK_EQ(m.h.Type & 0xFF, LPC_CANCELED, alpc(247));
    CHECK(NtAlpcDeleteSectionView(p.cli, 0, view.ViewBase) < 0, alpc(247));
    CHECK_STATUS(NtAlpcDeletePortSection(p.cli, 0, view.SectionHandle), STATUS_SUCCESS, alpc(248));
    alpc_pair_close(&p);
}

TEST(single_handle)
{
    struct alpc_pair p;
    struct msg m;
    struct attributes got;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    ALPC_HANDLE_ATTR handle = {.Handle = event, .DesiredAccess = EVENT_MODIFY_STATE | SYNCHRONIZE};
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    for (int i = 0; i < 2; i++) {
        msg_init(&m, 4);
        int cite = i == 0 ? alpc(218) : alpc(219);
        REQUIRE_STATUS(send_with(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle),
                       STATUS_SUCCESS, cite);
        REQUIRE_STATUS(receive_with(p.conn, &m, &got, ALPC_HANDLE_ATTRIBUTE), STATUS_SUCCESS, alpc(220));
        REQUIRE(got.a.ValidAttributes == ALPC_HANDLE_ATTRIBUTE, alpc(216));
        ALPC_HANDLE_ATTR *received = attribute(&got, ALPC_HANDLE_ATTRIBUTE);
        CHECK_EQ(received->Flags, 0, alpc(216));
        CHECK_EQ(received->ObjectType, 0x10, alpc(216));
        CHECK(received->Handle != event, alpc(216));
        ResetEvent(event);
        CHECK(SetEvent(received->Handle), alpc(216));
        CHECK_EQ(WaitForSingleObject(event, 0), WAIT_OBJECT_0, alpc(217));
        CHECK_STATUS(NtClose(received->Handle), STATUS_SUCCESS, alpc(216));
        handle = (ALPC_HANDLE_ATTR){.Flags = SAME_ACCESS, .Handle = event};
    }
    /* What cannot go is not sent. */
    handle = (ALPC_HANDLE_ATTR){.Flags = SAME_ACCESS, .Handle = (HANDLE)(ULONG_PTR)0x7777774};
    msg_init(&m, 4);
    CHECK_STATUS(send_with(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle),
                 STATUS_INVALID_HANDLE, SETUP);
    handle = (ALPC_HANDLE_ATTR){.Flags = SAME_ACCESS, .Handle = event, .ObjectType = 0x80};
    CHECK_STATUS(send_with(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle),
                 STATUS_OBJECT_TYPE_MISMATCH, SETUP);
    SIZE_T length = sizeof m;
    CHECK_STATUS(alpc_receive(p.conn, &m, &length, NULL, 0), STATUS_TIMEOUT, SETUP);
    CloseHandle(event);
    alpc_pair_close(&p);
}

TEST(kinds_of_objects)
{
    struct alpc_pair p;
    struct msg m;
    struct attributes got;
    WCHAR path[MAX_PATH];
    HANDLE token;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    GetModuleFileNameW(NULL, path, MAX_PATH);
    REQUIRE(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token), SETUP);
    struct {
        HANDLE handle;
        ULONG type;
    } objects[] = {
        {CreateFileW(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL), 1},
        {OpenThread(THREAD_QUERY_INFORMATION, FALSE, GetCurrentThreadId()), 4},
        {CreateSemaphoreW(NULL, 0, 5, NULL), 8},
        {OpenProcess(PROCESS_QUERY_INFORMATION, FALSE, GetCurrentProcessId()), 0x20},
        {CreateMutexW(NULL, FALSE, NULL), 0x40},
        {new_section(0x1000), 0x80},
        {token, 0x200},
    };
    for (int i = 0; i < 7; i++) {
        ALPC_HANDLE_ATTR handle = {.Flags = SAME_ACCESS, .Handle = objects[i].handle};
        context("type %#lx", objects[i].type);
        msg_init(&m, 4);
        CHECK_STATUS(send_with(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle),
                     STATUS_SUCCESS, alpc(231));
        CHECK_STATUS(receive_with(p.conn, &m, &got, ALPC_HANDLE_ATTRIBUTE), STATUS_SUCCESS, alpc(231));
        ALPC_HANDLE_ATTR *received = attribute(&got, ALPC_HANDLE_ATTRIBUTE);
        CHECK_EQ(received->ObjectType, objects[i].type, alpc(231));
        CHECK_STATUS(NtClose(received->Handle), STATUS_SUCCESS, alpc(231));
        NtClose(objects[i].handle);
    }
    context(NULL);
    alpc_pair_close(&p);
}

TEST(handles_by_index)
{
    struct alpc_pair p;
    struct msg m;
    struct attributes got;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    ALPC_HANDLE_ATTR handle = {.Flags = SAME_ACCESS, .Handle = event};
    ALPC_MESSAGE_HANDLE_INFORMATION info[2] = {{0}}, last;
    ULONG returned = 0;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, MULTIHANDLE, NULL), SETUP);
    /* A datagram, and a request that is received without room for the attribute. */
    for (int i = 0; i < 2; i++) {
        msg_init(&m, 4);
        REQUIRE_STATUS(send_with(p.cli, i == 0 ? ALPC_MSGFLG_RELEASE_MESSAGE : 0, &m, ALPC_HANDLE_ATTRIBUTE, &handle,
                                 sizeof handle),
                       STATUS_SUCCESS, alpc(221));
        REQUIRE_STATUS(receive_with(p.conn, &m, &got, i == 0 ? ALPC_HANDLE_ATTRIBUTE : 0), STATUS_SUCCESS,
                       i == 0 ? alpc(221) : alpc(230));
        CHECK_EQ(m.h.Type & 0xFF, i == 0 ? LPC_DATAGRAM : LPC_REQUEST, alpc(139));
        CHECK_EQ(m.h.Type & LPC_CONTINUATION_REQUIRED, LPC_CONTINUATION_REQUIRED, alpc(139));
        if (i == 0) {
            ALPC_HANDLE_ATTR *received = attribute(&got, ALPC_HANDLE_ATTRIBUTE);
            CHECK_EQ(got.a.ValidAttributes, ALPC_HANDLE_ATTRIBUTE, alpc(221));
            CHECK_EQ(received->Flags, INDIRECT, alpc(221));
            CHECK_PTR(received->Handle, NULL, alpc(221));
            CHECK_EQ(received->ObjectType, 1, alpc(221));
            CHECK_EQ(received->DesiredAccess, 0, alpc(221));
        }
        for (int k = 0; k < 2; k++) {
            info[k].Index = 0;
            CHECK_STATUS(NtAlpcQueryInformationMessage(p.conn, &m.h, 3, &info[k], sizeof info[k], &returned),
                         STATUS_SUCCESS, i == 0 ? alpc(222) : alpc(230));
            CHECK_EQ(info[k].Index, 0, alpc(222));
            CHECK_EQ(returned, 0x14, alpc(222));
        }
        CHECK(info[0].Handle != info[1].Handle, alpc(223));
        last.Index = 1;
        CHECK_STATUS(NtAlpcQueryInformationMessage(p.conn, &m.h, 3, &last, sizeof last, &returned),
                     STATUS_INVALID_HANDLE, alpc(224));
        CHECK_STATUS(answer(p.conn, &m), STATUS_SUCCESS, alpc(139));
        CHECK(NtAlpcQueryInformationMessage(p.conn, &m.h, 3, &info[0], sizeof info[0], &returned) < 0, alpc(139));
        for (int k = 0; k < 2; k++) {
            ResetEvent(event);
            CHECK(SetEvent((HANDLE)(ULONG_PTR)info[k].Handle), alpc(225));
            CHECK_EQ(WaitForSingleObject(event, 0), WAIT_OBJECT_0, alpc(225));
            CHECK_STATUS(NtClose((HANDLE)(ULONG_PTR)info[k].Handle), STATUS_SUCCESS, alpc(225));
        }
    }
    CloseHandle(event);
    alpc_pair_close(&p);
}

static ALPC_HANDLE_ATTR32 many[513];

TEST(indirect_arrays)
{
    static const struct {
        ULONG count;
        NTSTATUS status;
        int cite;
    } rows[] = {{0, STATUS_INVALID_PARAMETER, alpc(226)},
                {1, STATUS_INVALID_PARAMETER, alpc(226)},
                {2, STATUS_SUCCESS, alpc(227)},
                {512, STATUS_SUCCESS, alpc(227)},
                {513, STATUS_LPC_HANDLE_COUNT_EXCEEDED, alpc(228)}};
    struct alpc_pair p;
    struct msg m;
    struct attributes got;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, MULTIHANDLE, NULL), SETUP);
    for (int i = 0; i < 513; i++)
        many[i] = (ALPC_HANDLE_ATTR32){.Flags = SAME_ACCESS, .Handle = (ULONG)(ULONG_PTR)event};
    for (int i = 0; i < 5; i++) {
        ALPC_HANDLE_ATTR handle = {.Flags = INDIRECT, .Handle = (HANDLE)many, .ObjectType = rows[i].count};
        context("%lu handles", rows[i].count);
        msg_init(&m, 4);
        CHECK_STATUS(send_with(p.cli, 0, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle), rows[i].status,
                     rows[i].cite);
        if (rows[i].status != STATUS_SUCCESS)
            continue;
        ALPC_MESSAGE_HANDLE_INFORMATION info = {.Index = rows[i].count - 1};
        REQUIRE_STATUS(receive_with(p.conn, &m, &got, ALPC_HANDLE_ATTRIBUTE), STATUS_SUCCESS, rows[i].cite);
        CHECK_EQ(((ALPC_HANDLE_ATTR *)attribute(&got, ALPC_HANDLE_ATTRIBUTE))->ObjectType, rows[i].count,
                 rows[i].cite);
        CHECK_STATUS(NtAlpcQueryInformationMessage(p.conn, &m.h, 3, &info, sizeof info, NULL), STATUS_SUCCESS,
                     rows[i].cite);
        CHECK_STATUS(NtClose((HANDLE)(ULONG_PTR)info.Handle), STATUS_SUCCESS, rows[i].cite);
        CHECK_STATUS(answer(p.conn, &m), STATUS_SUCCESS, SETUP);
        REQUIRE_STATUS(receive_with(p.cli, &m, &got, 0), STATUS_SUCCESS, SETUP);
    }
    context(NULL);
    CloseHandle(event);
    alpc_pair_close(&p);
}

/* Whether an event of this name exists. */
static BOOL exists(const WCHAR *name)
{
    HANDLE event = OpenEventW(SYNCHRONIZE, FALSE, name);
    if (event != NULL)
        CloseHandle(event);
    return event != NULL;
}

TEST(failed_send_leaks_nothing)
{
    struct alpc_pair p;
    struct msg m;
    DWORD before, after;
    static const WCHAR name[] = L"Local\\lpctest-leak";
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, MULTIHANDLE, NULL), SETUP);
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, name);
    REQUIRE(event != NULL, SETUP);
    many[0] = (ALPC_HANDLE_ATTR32){.Flags = SAME_ACCESS, .Handle = (ULONG)(ULONG_PTR)event};
    many[1] = many[0];
    many[2] = (ALPC_HANDLE_ATTR32){.Flags = SAME_ACCESS, .Handle = 0x7777774};
    ALPC_HANDLE_ATTR handle = {.Flags = INDIRECT, .Handle = (HANDLE)many, .ObjectType = 3};
    GetProcessHandleCount(GetCurrentProcess(), &before);
    for (int i = 0; i < 50; i++) {
        msg_init(&m, 4);
        CHECK_STATUS(send_with(p.cli, 0, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle), STATUS_INVALID_HANDLE,
                     alpc(229));
    }
    GetProcessHandleCount(GetCurrentProcess(), &after);
    CHECK_EQ(after, before, alpc(229));
    CHECK(exists(name), SETUP);
    CloseHandle(event);
    CHECK(!exists(name), alpc(229));
    alpc_pair_close(&p);
}

TEST(handles_of_answered_messages_are_let_go)
{
    struct alpc_pair p;
    struct msg m;
    struct attributes got;
    static const WCHAR name[] = L"Local\\lpctest-answered";
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, MULTIHANDLE, NULL), SETUP);
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, name);
    ALPC_HANDLE_ATTR handle = {.Flags = SAME_ACCESS, .Handle = event};
    msg_init(&m, 4);
    REQUIRE_STATUS(send_with(p.cli, 0, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle), STATUS_SUCCESS, SETUP);
    CloseHandle(event);
    REQUIRE_STATUS(receive_with(p.conn, &m, &got, ALPC_HANDLE_ATTRIBUTE), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(answer(p.conn, &m), STATUS_SUCCESS, SETUP);
    CHECK(!exists(name), alpc(229));
    alpc_pair_close(&p);
}

TEST(security_context_of_a_message)
{
    struct alpc_pair p;
    struct msg m;
    struct attributes got;
    SECURITY_QUALITY_OF_SERVICE qos = qos_default();
    ALPC_SECURITY_ATTR security = {.QoS = &qos};
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    REQUIRE_STATUS(NtAlpcCreateSecurityContext(p.cli, 0, &security), STATUS_SUCCESS, SETUP);
    msg_init(&m, 4);
    REQUIRE_STATUS(send_with(p.cli, 0, &m, ALPC_SECURITY_ATTRIBUTE, &security, sizeof security), STATUS_SUCCESS,
                   alpc(215));
    REQUIRE_STATUS(receive_with(p.conn, &m, &got, ALPC_SECURITY_ATTRIBUTE), STATUS_SUCCESS, alpc(215));
    CHECK_EQ(got.a.ValidAttributes, ALPC_SECURITY_ATTRIBUTE, alpc(215));
    ALPC_SECURITY_ATTR *received = attribute(&got, ALPC_SECURITY_ATTRIBUTE);
    CHECK_PTR(received->ContextHandle, security.ContextHandle, alpc(215));
    CHECK_STATUS(answer(p.conn, &m), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(receive_with(p.cli, &m, &got, 0), STATUS_SUCCESS, SETUP);
    /* Without one there is none. */
    msg_init(&m, 4);
    REQUIRE_STATUS(alpc_send(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, alpc(214));
    REQUIRE_STATUS(receive_with(p.conn, &m, &got, ALPC_SECURITY_ATTRIBUTE), STATUS_SUCCESS, alpc(214));
    CHECK_EQ(got.a.ValidAttributes, 0, alpc(214));
    /* One that is made for the message. */
    struct attributes sent;
    allocate(&sent, ALPC_SECURITY_ATTRIBUTE);
    ALPC_SECURITY_ATTR *made = attribute(&sent, ALPC_SECURITY_ATTRIBUTE);
    *made = (ALPC_SECURITY_ATTR){.Flags = 0x20000, .QoS = &qos};
    sent.a.ValidAttributes = ALPC_SECURITY_ATTRIBUTE;
    msg_init(&m, 4);
    REQUIRE_STATUS(NtAlpcSendWaitReceivePort(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m.h, &sent.a, NULL, NULL, NULL, NULL),
                   STATUS_SUCCESS, SETUP);
    CHECK(made->ContextHandle != NULL && made->ContextHandle != security.ContextHandle, SETUP);
    CHECK_STATUS(NtAlpcDeleteSecurityContext(p.cli, 0, made->ContextHandle), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcDeleteSecurityContext(p.cli, 0, made->ContextHandle), STATUS_INVALID_HANDLE, SETUP);
    alpc_pair_close(&p);
}

TEST(direct_event_and_ticket)
{
    struct alpc_pair p;
    struct msg m;
    struct attributes got;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL), bad = (HANDLE)(ULONG_PTR)0x7777774;
    ULONG64 ticket = 0x1122334455667788;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    msg_init(&m, 4);
    CHECK_STATUS(send_with(p.cli, 0, &m, ALPC_DIRECT_ATTRIBUTE, &bad, sizeof bad), STATUS_INVALID_HANDLE, alpc(232));
    REQUIRE_STATUS(send_with(p.cli, 0, &m, ALPC_DIRECT_ATTRIBUTE, &event, sizeof event), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(receive_with(p.conn, &m, &got, ALPC_DIRECT_ATTRIBUTE), STATUS_SUCCESS, SETUP);
    CHECK_EQ(got.a.ValidAttributes, 0, SETUP);
    CHECK_EQ(WaitForSingleObject(event, 0), WAIT_TIMEOUT, SETUP);
    CHECK_STATUS(answer(p.conn, &m), STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(receive_with(p.cli, &m, &got, 0), STATUS_SUCCESS, SETUP);
    CHECK_EQ(WaitForSingleObject(event, 0), WAIT_OBJECT_0, SETUP);
    msg_init(&m, 4);
    REQUIRE_STATUS(send_with(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_WORK_ON_BEHALF_ATTRIBUTE, &ticket,
                             sizeof ticket),
                   STATUS_SUCCESS, SETUP);
    REQUIRE_STATUS(receive_with(p.conn, &m, &got, ALPC_WORK_ON_BEHALF_ATTRIBUTE), STATUS_SUCCESS, SETUP);
    CHECK_EQ(got.a.ValidAttributes, ALPC_WORK_ON_BEHALF_ATTRIBUTE, SETUP);
    CHECK_EQ(*(ULONG64 *)attribute(&got, ALPC_WORK_ON_BEHALF_ATTRIBUTE), ticket, SETUP);
    CloseHandle(event);
    alpc_pair_close(&p);
}
