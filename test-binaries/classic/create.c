/* NtCreatePort and NtCreateWaitablePort: lpc §2.1, §2.2, §5.2. */
#include "../lpctest.h"

TEST(null_handle_pointer_comes_first)
{
    WCHAR name[64];
    unique_name(name);
    UNICODE_STRING string = unicode(name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    CHECK_STATUS(NtCreatePort(NULL, &oa, 0, 0x100, 0), STATUS_ACCESS_VIOLATION, lpc(20));
    CHECK_STATUS(NtCreatePort(NULL, NULL, 0, 0x100, 0), STATUS_ACCESS_VIOLATION, lpc(20));
    CHECK_STATUS(NtCreatePort(NULL, &oa, 0xFFFF, 0xFFFF, 0), STATUS_ACCESS_VIOLATION, lpc(20));
    CHECK_STATUS(NtCreatePort(unmapped(), &oa, 0, 0x100, 0), STATUS_ACCESS_VIOLATION, lpc(20));
}

TEST(null_attributes)
{
    HANDLE port = UNTOUCHED;
    CHECK_STATUS(NtCreatePort(&port, NULL, 0, 0x100, 0), STATUS_ACCESS_VIOLATION, lpc(21));
    CHECK_STATUS(NtCreatePort(&port, unmapped(), 0, 0x100, 0), STATUS_ACCESS_VIOLATION, lpc(21));
    CHECK_PTR(port, UNTOUCHED, lpc(21));
}

TEST(unnamed_ports)
{
    HANDLE port = NULL;
    OBJECT_ATTRIBUTES oa = attributes(NULL);
    CHECK_STATUS(NtCreatePort(&port, &oa, 0, 0x100, 0), STATUS_SUCCESS, lpc(22));
    CHECK(port != NULL, lpc(22));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, lpc(22));

    UNICODE_STRING empty = {0, 0, NULL};
    oa = attributes(&empty);
    CHECK_STATUS(NtCreatePort(&port, &oa, 0, 0x100, 0), STATUS_SUCCESS, lpc(23));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, lpc(23));
}

TEST(maximum_length_of_the_name_does_not_matter)
{
    WCHAR name[64];
    HANDLE port;
    unique_name(name);
    UNICODE_STRING string = unicode(name);
    string.MaximumLength = 0;
    OBJECT_ATTRIBUTES oa = attributes(&string);
    CHECK_STATUS(NtCreatePort(&port, &oa, 0, 0x100, 0), STATUS_SUCCESS, lpc(24));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, lpc(24));
}

TEST(length_of_the_attributes_is_checked)
{
    static const int wrong[] = {0, 1, -1, 8, -8};
    for (int i = 0; i < 5; i++) {
        WCHAR name[64];
        HANDLE port = UNTOUCHED;
        unique_name(name);
        UNICODE_STRING string = unicode(name);
        OBJECT_ATTRIBUTES oa = attributes(&string);
        oa.Length = i == 0 ? 0 : sizeof oa + (ULONG)wrong[i];
        context("Length %lu", oa.Length);
        CHECK_STATUS(NtCreatePort(&port, &oa, 0, 0x100, 0), STATUS_INVALID_PARAMETER, lpc(25));
        CHECK_PTR(port, UNTOUCHED, lpc(25));
    }
}

TEST(legal_and_illegal_attributes)
{
    static const ULONG illegal[] = {OBJ_INHERIT,  OBJ_PERMANENT,     OBJ_EXCLUSIVE,         OBJ_OPENIF,
                                    OBJ_OPENLINK, OBJ_KERNEL_HANDLE, OBJ_FORCE_ACCESS_CHECK};
    WCHAR name[64];
    HANDLE port;
    unique_name(name);
    UNICODE_STRING string = unicode(name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    CHECK_STATUS(NtCreatePort(&port, &oa, 0, 0x100, 0), STATUS_SUCCESS, lpc(27));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, lpc(27));
    oa.Attributes = OBJ_CASE_INSENSITIVE;
    CHECK_STATUS(NtCreatePort(&port, &oa, 0, 0x100, 0), STATUS_SUCCESS, lpc(26));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, lpc(26));
    for (int i = 0; i < 7; i++) {
        context("Attributes %#lx", illegal[i]);
        oa.Attributes = illegal[i];
        CHECK_STATUS(NtCreatePort(&port, &oa, 0, 0x100, 0), STATUS_INVALID_PARAMETER, lpc(28));
        oa.Attributes |= OBJ_CASE_INSENSITIVE;
        CHECK_STATUS(NtCreatePort(&port, &oa, 0, 0x100, 0), STATUS_INVALID_PARAMETER, lpc(28));
    }
}

struct colliding {
    WCHAR name[64];
    NTSTATUS status;
};

static void create_again(void *arg)
{
    struct colliding *c = arg;
    HANDLE port;
    c->status = create_port(&port, c->name);
}

TEST(names_collide_while_the_port_is_open)
{
    struct colliding colliding;
    struct worker worker;
    HANDLE port, second = UNTOUCHED;
    unique_name(colliding.name);
    REQUIRE_STATUS(create_port(&port, colliding.name), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(create_port(&second, colliding.name), STATUS_OBJECT_NAME_COLLISION, lpc(29));
    CHECK_PTR(second, UNTOUCHED, lpc(29));
    REQUIRE(spawn(&worker, create_again, &colliding), SETUP);
    join(&worker);
    CHECK_STATUS(colliding.status, STATUS_OBJECT_NAME_COLLISION, lpc(29));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);

    CHECK_STATUS(create_port(&port, colliding.name), STATUS_SUCCESS, lpc(30));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, lpc(30));
}

/* The rule of lpc §3.8 about OBJ_CASE_INSENSITIVE: it makes the call's own lookup ignore case. */
TEST(collision_may_ignore_case)
{
    WCHAR name[64];
    HANDLE port, second;
    unique_name(name);
    REQUIRE_STATUS(create_port(&port, name), STATUS_SUCCESS, SETUP);
    name[13] = L'L'; /* \RPC Control\Lpctest… */
    UNICODE_STRING string = unicode(name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    oa.Attributes = OBJ_CASE_INSENSITIVE;
    CHECK_STATUS(NtCreatePort(&second, &oa, 0, 0x100, 0), STATUS_OBJECT_NAME_COLLISION, lpc(26));
    oa.Attributes = 0;
    CHECK_STATUS(NtCreatePort(&second, &oa, 0, 0x100, 0), STATUS_SUCCESS, lpc(27));
    CHECK_STATUS(NtClose(second), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}

TEST(name_is_free_while_a_server_port_lives)
{
    struct pair pair;
    HANDLE again;
    REQUIRE(pair_open(&pair, NULL), SETUP);
    CHECK_STATUS(NtClose(pair.conn), STATUS_SUCCESS, SETUP);
    pair.conn = NULL;
    CHECK_STATUS(create_port(&again, pair.name), STATUS_SUCCESS, lpc(31));
    CHECK_STATUS(NtClose(again), STATUS_SUCCESS, lpc(31));
    pair_close(&pair);
}

TEST(paths)
{
    HANDLE port = UNTOUCHED;
    CHECK_STATUS(create_port(&port, L"\\lpctest no such directory\\port"), STATUS_OBJECT_PATH_NOT_FOUND, lpc(32));
    CHECK_STATUS(create_port(&port, L"lpctest"), STATUS_OBJECT_PATH_SYNTAX_BAD, lpc(33));
    CHECK_STATUS(create_port(&port, L"RPC Control\\lpctest"), STATUS_OBJECT_PATH_SYNTAX_BAD, lpc(33));
    CHECK_PTR(port, UNTOUCHED, lpc(33));
    CHECK_STATUS(create_port(&port, L"\\RPC Control\\testport"), STATUS_SUCCESS, lpc(35));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, lpc(35));
}

/* Either the root directory is closed to this user, or the port is really there (lpc §3.8). */
TEST(root_directory)
{
    HANDLE port, second;
    NTSTATUS status = create_port(&port, L"\\lpctest-root");
    if (status != STATUS_SUCCESS) {
        CHECK_STATUS(status, STATUS_ACCESS_DENIED, lpc(34));
        return;
    }
    CHECK_STATUS(create_port(&second, L"\\lpctest-root"), STATUS_OBJECT_NAME_COLLISION, SETUP);
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
    skip(lpc(34), "this user may create objects in the root directory");
}

static void directory_name(WCHAR *directory, WCHAR *port, const WCHAR *unique)
{
    /* \RPC Control\lpctest-… becomes \RPC Control\dir…; the port is \RPC Control\dir…\port */
    int i = 0;
    for (; unique[i] != 0; i++)
        directory[i] = port[i] = unique[i];
    directory[i] = 0;
    memcpy(port + i, L"\\port", sizeof L"\\port");
}

TEST(own_directory)
{
    WCHAR unique[64], directory[64], name[72];
    HANDLE root, port, again;
    NEED(NtCreateDirectoryObject);
    unique_name(unique);
    directory_name(directory, name, unique);
    CHECK_STATUS(create_port(&port, name), STATUS_OBJECT_PATH_NOT_FOUND, lpc(32));
    UNICODE_STRING string = unicode(directory);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    REQUIRE_STATUS(NtCreateDirectoryObject(&root, 0xF000F, &oa), STATUS_SUCCESS, lpc(35));
    CHECK_STATUS(create_port(&port, name), STATUS_SUCCESS, lpc(35));

    /* Relative to the directory: no leading backslash (lpc §3.8). */
    UNICODE_STRING relative = unicode(L"port");
    oa = attributes(&relative);
    oa.RootDirectory = root;
    CHECK_STATUS(NtCreatePort(&again, &oa, 0, 0x100, 0), STATUS_OBJECT_NAME_COLLISION, lpc(29));
    relative = unicode(L"other");
    CHECK_STATUS(NtCreatePort(&again, &oa, 0, 0x100, 0), STATUS_SUCCESS, lpc(35));
    CHECK_STATUS(NtClose(again), STATUS_SUCCESS, SETUP);
    relative = unicode(L"\\other");
    CHECK_STATUS(NtCreatePort(&again, &oa, 0, 0x100, 0), STATUS_OBJECT_PATH_SYNTAX_BAD, lpc(33));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(root), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(create_port(&port, name), STATUS_OBJECT_PATH_NOT_FOUND, lpc(32));
}
