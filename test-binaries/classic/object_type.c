/* The Port and WaitablePort object types and their handles: lpc §2.2, §3.8, §3.10. */
#include "../lpctest.h"

enum { ObjectBasicInformation = 0, ObjectNameInformation = 1, ObjectTypeInformation = 2, GENERIC_ACCESS = 4 };

/* OBJECT_BASIC_INFORMATION and OBJECT_TYPE_INFORMATION: phnt ntobapi.h. */
struct basic_information {
    ULONG Attributes;
    ACCESS_MASK GrantedAccess;
    ULONG HandleCount;
    ULONG PointerCount;
    ULONG rest[10];
};

struct type_information {
    UNICODE_STRING TypeName;
    ULONG counts[12];
    ULONG InvalidAttributes;
    GENERIC_MAPPING GenericMapping;
    ULONG ValidAccessMask;
    UCHAR rest[512];
};

static NTSTATUS create_waitable(HANDLE *port, const WCHAR *name)
{
    UNICODE_STRING string = unicode(name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    return NtCreateWaitablePort(port, &oa, 0, 0x100, 0);
}

static void check_type(HANDLE port, const WCHAR *type_name)
{
    struct type_information type;
    ULONG length;
    memset(&type, 0, sizeof type);
    if (!CHECK_STATUS(NtQueryObject(port, ObjectTypeInformation, &type, sizeof type, &length), STATUS_SUCCESS, lpc(36)))
        return;
    UNICODE_STRING want = unicode(type_name);
    CHECK_EQ(type.TypeName.Length, want.Length, lpc(36));
    CHECK(type.TypeName.Length == want.Length && memcmp(type.TypeName.Buffer, type_name, want.Length) == 0, lpc(36));
    CHECK_EQ(type.GenericMapping.GenericRead, 0x020001, lpc(36));
    CHECK_EQ(type.GenericMapping.GenericWrite, 0x010001, lpc(36));
    CHECK_EQ(type.GenericMapping.GenericExecute, 0, lpc(36));
    CHECK_EQ(type.GenericMapping.GenericAll, 0x1F0001, lpc(36));
}

static void check_handle(HANDLE port)
{
    struct basic_information basic;
    ULONG length;
    memset(&basic, 0, sizeof basic);
    CHECK_STATUS(NtQueryObject(port, ObjectBasicInformation, &basic, 56, &length), STATUS_SUCCESS, lpc(37));
    CHECK_EQ(basic.GrantedAccess, PORT_ALL_ACCESS, lpc(37));
    CHECK_EQ(basic.Attributes & OBJ_INHERIT, 0, lpc(37));
}

TEST(type_of_each_kind_of_port)
{
    struct pair pair;
    WCHAR name[64];
    HANDLE waitable;
    NEED(NtQueryObject);
    REQUIRE(pair_open(&pair, NULL), SETUP);
    unique_name(name);
    REQUIRE_STATUS(create_waitable(&waitable, name), STATUS_SUCCESS, SETUP);
    check_type(pair.conn, L"Port");
    check_type(pair.srv, L"Port");
    check_type(pair.cli, L"Port");
    check_type(waitable, L"WaitablePort");
    check_handle(pair.conn);
    check_handle(pair.srv);
    check_handle(pair.cli);
    check_handle(waitable);
    CHECK_STATUS(NtClose(waitable), STATUS_SUCCESS, SETUP);
    pair_close(&pair);
}

struct name_information {
    UNICODE_STRING name;
    WCHAR rest[256];
};

static void check_name(HANDLE port, const WCHAR *name)
{
    struct name_information information;
    ULONG length = 0;
    UNICODE_STRING want = unicode(name);
    memset(&information, 0xAA, sizeof information);
    if (!CHECK_STATUS(NtQueryObject(port, ObjectNameInformation, &information, sizeof information, &length), STATUS_SUCCESS,
                      SETUP))
        return;
    CHECK_EQ(information.name.Length, want.Length, SETUP);
    if (want.Length != 0)
        CHECK(memcmp(information.name.Buffer, name, want.Length) == 0, SETUP);
    /* Too small a buffer: the length wanted. */
    if (want.Length != 0) {
        ULONG wanted = 0;
        CHECK(NtQueryObject(port, ObjectNameInformation, &information, (ULONG)sizeof(UNICODE_STRING) + 2, &wanted) < 0,
              SETUP);
        CHECK_EQ(wanted, length, SETUP);
    }
}

TEST(name_of_each_kind_of_port)
{
    struct pair pair;
    HANDLE unnamed;
    NEED(NtQueryObject);
    REQUIRE(pair_open(&pair, NULL), SETUP);
    OBJECT_ATTRIBUTES no_name = attributes(NULL);
    REQUIRE_STATUS(NtCreatePort(&unnamed, &no_name, 0, 0x100, 0), STATUS_SUCCESS, SETUP);
    check_name(pair.conn, pair.name);
    check_name(pair.srv, L"");
    check_name(pair.cli, L"");
    check_name(unnamed, L"");
    CHECK_STATUS(NtClose(unnamed), STATUS_SUCCESS, SETUP);
    pair_close(&pair);
}

TEST(waitable_port_is_signalled_while_messages_wait)
{
    struct pair pair;
    struct msg datagram, received;
    memset(&pair, 0, sizeof pair);
    unique_name(pair.name);
    REQUIRE_STATUS(create_waitable(&pair.conn, pair.name), STATUS_SUCCESS, lpc(38));
    CHECK_EQ(WaitForSingleObject(pair.conn, 0), WAIT_TIMEOUT, lpc(38));

    struct pair client;
    REQUIRE(pair_add(&pair, &client, NULL), lpc(39));
    CHECK_EQ(WaitForSingleObject(pair.conn, 0), WAIT_TIMEOUT, lpc(38));
    msg_init(&datagram, 4);
    CHECK_STATUS(NtRequestPort(client.cli, &datagram.h), STATUS_SUCCESS, lpc(39));
    CHECK_STATUS(NtRequestPort(client.cli, &datagram.h), STATUS_SUCCESS, lpc(39));
    CHECK_EQ(WaitForSingleObject(pair.conn, 5000), WAIT_OBJECT_0, lpc(38));
    /* A notification event: a wait leaves it signalled. */
    CHECK_EQ(WaitForSingleObject(pair.conn, 0), WAIT_OBJECT_0, lpc(38));
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(38));
    CHECK_EQ(WaitForSingleObject(pair.conn, 0), WAIT_OBJECT_0, lpc(38));
    CHECK_STATUS(receive_within(pair.conn, NULL, &received, 5000), STATUS_SUCCESS, lpc(38));
    CHECK_EQ(WaitForSingleObject(pair.conn, 0), WAIT_TIMEOUT, lpc(38));
    pair_close(&client);
    pair_close(&pair);
}

struct waiting {
    HANDLE handles[2];
    DWORD result;
};

static void wait_for_either(void *arg)
{
    struct waiting *waiting = arg;
    doing_("wait_for_either", 0, "WaitForMultipleObjects");
    waiting->result = WaitForMultipleObjects(2, waiting->handles, FALSE, INFINITE);
}

TEST(waiter_on_a_waitable_port_is_woken)
{
    struct pair pair, client;
    struct waiting waiting;
    struct worker worker;
    struct msg datagram;
    memset(&pair, 0, sizeof pair);
    unique_name(pair.name);
    REQUIRE_STATUS(create_waitable(&pair.conn, pair.name), STATUS_SUCCESS, SETUP);
    REQUIRE(pair_add(&pair, &client, NULL), lpc(39));
    waiting.handles[0] = CreateEventW(NULL, TRUE, FALSE, NULL);
    waiting.handles[1] = pair.conn;
    REQUIRE(spawn(&worker, wait_for_either, &waiting), SETUP);
    CHECK(still_runs(&worker), lpc(38));
    msg_init(&datagram, 4);
    CHECK_STATUS(NtRequestPort(client.cli, &datagram.h), STATUS_SUCCESS, SETUP);
    join(&worker);
    CHECK_EQ(waiting.result, WAIT_OBJECT_0 + 1, lpc(38));
    CloseHandle(waiting.handles[0]);
    pair_close(&client);
    pair_close(&pair);
}

TEST(plain_ports_are_always_signalled)
{
    struct pair pair;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    CHECK_EQ(WaitForSingleObject(pair.conn, 0), WAIT_OBJECT_0, lpc(40));
    CHECK_EQ(WaitForSingleObject(pair.srv, 0), WAIT_OBJECT_0, lpc(40));
    CHECK_EQ(WaitForSingleObject(pair.cli, 0), WAIT_OBJECT_0, lpc(40));
    pair_close(&pair);
}
