/* Objects that travel with messages: alpc §1.5, §2.5.8, statements 216–231. */
#include "../alpc.h"

TEST(single_handle)
{
    struct alpc_pair p;
    struct msg m;
    struct alpc_buffer got;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    ALPC_HANDLE_ATTR handle = {.Handle = event, .DesiredAccess = EVENT_MODIFY_STATE | SYNCHRONIZE};
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, 0, NULL), SETUP);
    for (int i = 0; i < 2; i++) {
        msg_init(&m, 4);
        int cite = i == 0 ? alpc(218) : alpc(219);
        REQUIRE_STATUS(alpc_send_with(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle),
                       STATUS_SUCCESS, cite);
        REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_HANDLE_ATTRIBUTE), STATUS_SUCCESS, alpc(220));
        REQUIRE(got.a.ValidAttributes == ALPC_HANDLE_ATTRIBUTE, alpc(216));
        ALPC_HANDLE_ATTR *received = alpc_attribute(&got, ALPC_HANDLE_ATTRIBUTE);
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
    CHECK_STATUS(alpc_send_with(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle),
                 STATUS_INVALID_HANDLE, SETUP);
    handle = (ALPC_HANDLE_ATTR){.Flags = SAME_ACCESS, .Handle = event, .ObjectType = 0x80};
    CHECK_STATUS(alpc_send_with(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle),
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
    struct alpc_buffer got;
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
        CHECK_STATUS(alpc_send_with(p.cli, ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle),
                     STATUS_SUCCESS, alpc(231));
        CHECK_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_HANDLE_ATTRIBUTE), STATUS_SUCCESS, alpc(231));
        ALPC_HANDLE_ATTR *received = alpc_attribute(&got, ALPC_HANDLE_ATTRIBUTE);
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
    struct alpc_buffer got;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    ALPC_HANDLE_ATTR handle = {.Flags = SAME_ACCESS, .Handle = event};
    ALPC_MESSAGE_HANDLE_INFORMATION info[2] = {{0}}, last;
    ULONG returned = 0;
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, MULTIHANDLE, NULL), SETUP);
    /* A datagram, and a request that is received without room for the attribute. */
    for (int i = 0; i < 2; i++) {
        msg_init(&m, 4);
        REQUIRE_STATUS(alpc_send_with(p.cli, i == 0 ? ALPC_MSGFLG_RELEASE_MESSAGE : 0, &m, ALPC_HANDLE_ATTRIBUTE, &handle,
                                 sizeof handle),
                       STATUS_SUCCESS, alpc(221));
        REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, i == 0 ? ALPC_HANDLE_ATTRIBUTE : 0), STATUS_SUCCESS,
                       i == 0 ? alpc(221) : alpc(230));
        CHECK_EQ(m.h.Type & 0xFF, i == 0 ? LPC_DATAGRAM : LPC_REQUEST, alpc(139));
        CHECK_EQ(m.h.Type & LPC_CONTINUATION_REQUIRED, LPC_CONTINUATION_REQUIRED, alpc(139));
        if (i == 0) {
            ALPC_HANDLE_ATTR *received = alpc_attribute(&got, ALPC_HANDLE_ATTRIBUTE);
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
        CHECK_STATUS(alpc_answer(p.conn, &m), STATUS_SUCCESS, alpc(139));
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
    struct alpc_buffer got;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, MULTIHANDLE, NULL), SETUP);
    for (int i = 0; i < 513; i++)
        many[i] = (ALPC_HANDLE_ATTR32){.Flags = SAME_ACCESS, .Handle = (ULONG)(ULONG_PTR)event};
    for (int i = 0; i < 5; i++) {
        ALPC_HANDLE_ATTR handle = {.Flags = INDIRECT, .Handle = (HANDLE)many, .ObjectType = rows[i].count};
        context("%lu handles", rows[i].count);
        msg_init(&m, 4);
        CHECK_STATUS(alpc_send_with(p.cli, 0, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle), rows[i].status,
                     rows[i].cite);
        if (rows[i].status != STATUS_SUCCESS)
            continue;
        ALPC_MESSAGE_HANDLE_INFORMATION info = {.Index = rows[i].count - 1};
        REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_HANDLE_ATTRIBUTE), STATUS_SUCCESS, rows[i].cite);
        CHECK_EQ(((ALPC_HANDLE_ATTR *)alpc_attribute(&got, ALPC_HANDLE_ATTRIBUTE))->ObjectType, rows[i].count,
                 rows[i].cite);
        CHECK_STATUS(NtAlpcQueryInformationMessage(p.conn, &m.h, 3, &info, sizeof info, NULL), STATUS_SUCCESS,
                     rows[i].cite);
        CHECK_STATUS(NtClose((HANDLE)(ULONG_PTR)info.Handle), STATUS_SUCCESS, rows[i].cite);
        CHECK_STATUS(alpc_answer(p.conn, &m), STATUS_SUCCESS, SETUP);
        REQUIRE_STATUS(alpc_receive_with(p.cli, &m, &got, 0), STATUS_SUCCESS, SETUP);
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
        CHECK_STATUS(alpc_send_with(p.cli, 0, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle), STATUS_INVALID_HANDLE,
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
    struct alpc_buffer got;
    static const WCHAR name[] = L"Local\\lpctest-answered";
    NEED_ALPC;
    REQUIRE(alpc_pair_open(&p, MULTIHANDLE, NULL), SETUP);
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, name);
    ALPC_HANDLE_ATTR handle = {.Flags = SAME_ACCESS, .Handle = event};
    msg_init(&m, 4);
    REQUIRE_STATUS(alpc_send_with(p.cli, 0, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle), STATUS_SUCCESS, SETUP);
    CloseHandle(event);
    REQUIRE_STATUS(alpc_receive_with(p.conn, &m, &got, ALPC_HANDLE_ATTRIBUTE), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(alpc_answer(p.conn, &m), STATUS_SUCCESS, SETUP);
    CHECK(!exists(name), alpc(229));
    alpc_pair_close(&p);
}

/* The client closes its port, or the server does, before the message is received: the object is nobody's but ours. */
TEST(handles_of_lost_messages_are_let_go)
{
    static const WCHAR name[] = L"Local\\lpctest-lost";
    struct alpc_pair p;
    struct msg m;
    DWORD before = 0, after;
    NEED_ALPC;
    for (int i = 0; i < 8; i++) {
        HANDLE event = CreateEventW(NULL, TRUE, FALSE, name);
        ALPC_HANDLE_ATTR handle = {.Flags = SAME_ACCESS, .Handle = event};
        REQUIRE(alpc_pair_open(&p, i & 1 ? MULTIHANDLE : 0, NULL), SETUP);
        msg_init(&m, 4);
        CHECK_STATUS(alpc_send_with(p.cli, i & 2 ? 0 : ALPC_MSGFLG_RELEASE_MESSAGE, &m, ALPC_HANDLE_ATTRIBUTE, &handle,
                                    sizeof handle),
                     STATUS_SUCCESS, SETUP);
        HANDLE *first = i & 4 ? &p.srv : &p.cli;
        CHECK_STATUS(NtClose(*first), STATUS_SUCCESS, SETUP);
        *first = NULL;
        alpc_pair_close(&p);
        CloseHandle(event);
        CHECK(!exists(name), SETUP);
        if (i == 0)
            GetProcessHandleCount(GetCurrentProcess(), &before);
    }
    GetProcessHandleCount(GetCurrentProcess(), &after);
    CHECK_EQ(after, before, SETUP);
}
