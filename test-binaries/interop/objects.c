/*
 * Objects that travel with messages between a server and a client that meet by name only, so that each may run on a host of its
 * own (as in alpc_pair.c): a section and a file from the server to the client.
 */
#include <stdio.h>

#include "../alpc.h"

enum { RELEASE = ALPC_MSGFLG_RELEASE_MESSAGE, SECTION_SIZE = 0x3000, FROM_SERVER = 0x5A, FROM_CLIENT = 0xA5 };

static WCHAR *port_name(void)
{
    static WCHAR name[64];
    to_wide(name, role_arg(0));
    return name;
}

static BOOL send_object(HANDLE port, HANDLE object)
{
    struct msg m;
    ALPC_HANDLE_ATTR handle = {.Flags = SAME_ACCESS, .Handle = object};
    msg_init(&m, 4);
    return CHECK_STATUS(alpc_send_with(port, RELEASE, &m, ALPC_HANDLE_ATTRIBUTE, &handle, sizeof handle), STATUS_SUCCESS,
                        alpc(231));
}

static HANDLE receive_object(HANDLE port, ULONG type)
{
    struct msg m;
    struct alpc_buffer got;
    if (!CHECK_STATUS(alpc_receive_with(port, &m, &got, ALPC_HANDLE_ATTRIBUTE), STATUS_SUCCESS, alpc(231)) ||
        !CHECK_EQ(got.a.ValidAttributes, ALPC_HANDLE_ATTRIBUTE, alpc(216)))
        return NULL;
    ALPC_HANDLE_ATTR *received = alpc_attribute(&got, ALPC_HANDLE_ATTRIBUTE);
    CHECK_EQ(received->ObjectType, type, alpc(231));
    return received->Handle;
}

ROLE(server)
{
    struct msg m;
    SIZE_T length = sizeof m;
    HANDLE conn, srv = NULL;
    WCHAR folder[MAX_PATH], path[MAX_PATH];
    DWORD written;
    if (!alpc_resolve())
        return EXIT_FAILED;
    UNICODE_STRING string = unicode(port_name());
    OBJECT_ATTRIBUTES oa = attributes(&string);
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(0, 0x400);
    HANDLE section = new_section(SECTION_SIZE);
    UCHAR *view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    GetTempPathW(MAX_PATH, folder);
    _snwprintf(path, MAX_PATH, L"%lslpctest-%lu.tmp", folder, GetCurrentProcessId());
    HANDLE file = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                              CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, NULL);
    if (!CHECK(view != NULL && file != INVALID_HANDLE_VALUE, SETUP) ||
        !CHECK(WriteFile(file, "object", 6, &written, NULL), SETUP) ||
        !CHECK_STATUS(NtAlpcCreatePort(&conn, &oa, &port_attributes), STATUS_SUCCESS, SETUP) ||
        !CHECK_STATUS(alpc_receive(conn, &m, &length, NULL, 20000), STATUS_SUCCESS, SETUP) ||
        !CHECK_STATUS(NtAlpcAcceptConnectPort(&srv, conn, 0, NULL, NULL, NULL, &m.h, NULL, TRUE), STATUS_SUCCESS, SETUP))
        return EXIT_FAILED;
    memset(view, FROM_SERVER, SECTION_SIZE);
    if (!send_object(srv, section) || !send_object(srv, file))
        return EXIT_FAILED;
    length = sizeof m;
    CHECK_STATUS(alpc_receive(conn, &m, &length, NULL, 20000), STATUS_SUCCESS, SETUP);
    CHECK_EQ(m.h.Type & 0xFF, LPC_DATAGRAM, SETUP);
    CHECK_EQ(view[SECTION_SIZE - 1], FROM_CLIENT, alpc(216));
    CloseHandle(file);
    return EXIT_PASSED;
}

ROLE(client)
{
    struct msg m;
    SIZE_T length = sizeof m;
    HANDLE port;
    char text[8] = {0};
    DWORD count = 0;
    if (!alpc_resolve())
        return EXIT_FAILED;
    UNICODE_STRING name = unicode(port_name());
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(ALPC_PORTFLG_ALLOW_LPC_REQUESTS, 0x400);
    NTSTATUS status = STATUS_OBJECT_NAME_NOT_FOUND;
    for (int i = 0; i < 200 && status == STATUS_OBJECT_NAME_NOT_FOUND; i++, Sleep(50))
        status = NtAlpcConnectPort(&port, &name, NULL, &port_attributes, 0, NULL, NULL, NULL, NULL, NULL, NULL);
    if (!CHECK_STATUS(status, STATUS_SUCCESS, SETUP) ||
        !CHECK_STATUS(alpc_receive(port, &m, &length, NULL, 20000), STATUS_SUCCESS, SETUP))
        return EXIT_FAILED;
    HANDLE section = receive_object(port, 0x80);
    HANDLE file = receive_object(port, 1);
    UCHAR *view = MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
    if (CHECK(view != NULL, alpc(216))) {
        CHECK_EQ(view[0], FROM_SERVER, alpc(216));
        CHECK_EQ(view[SECTION_SIZE - 1], FROM_SERVER, alpc(216));
        view[SECTION_SIZE - 1] = FROM_CLIENT;
    }
    CHECK_EQ(SetFilePointer(file, 0, NULL, FILE_BEGIN), 0, alpc(216));
    CHECK(ReadFile(file, text, sizeof text, &count, NULL), alpc(216));
    CHECK_EQ(count, 6, alpc(216));
    CHECK(memcmp(text, "object", 6) == 0, alpc(216));
    CloseHandle(section);
    CloseHandle(file);
    msg_init(&m, 4);
    CHECK_STATUS(alpc_send(port, RELEASE, &m), STATUS_SUCCESS, SETUP);
    /* A message that is still queued is cancelled with its sender: stay until the server goes. */
    length = sizeof m;
    alpc_receive(port, &m, &length, NULL, 20000);
    return EXIT_PASSED;
}

TEST(objects)
{
    struct child server, client;
    WCHAR wide[64];
    char name[64];
    unique_name(wide);
    to_narrow(name, wide);
    REQUIRE(child_start(&client, "client", name, NULL), SETUP);
    REQUIRE(child_start(&server, "server", name, NULL), SETUP);
    CHECK_EQ(child_join(&client), EXIT_PASSED, SETUP);
    CHECK_EQ(child_join(&server), EXIT_PASSED, SETUP);
}
