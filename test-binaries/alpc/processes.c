/* Attributes between processes: the client is another process. alpc §2.5.8, §3.4. */
#include "../alpc.h"

enum { BOTH = ALPC_VIEW_ATTRIBUTE | ALPC_HANDLE_ATTRIBUTE };

/* Connects to the port named by the first argument. */
static BOOL connect(HANDLE *port)
{
    WCHAR name[64];
    struct msg m;
    SIZE_T length = sizeof m;
    to_wide(name, role_arg(0));
    UNICODE_STRING string = unicode(name);
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(0, 0x400);
    return alpc_resolve() &&
           CHECK_STATUS(NtAlpcConnectPort(port, &string, NULL, &port_attributes, 0, NULL, NULL, NULL, NULL, NULL, NULL),
                        STATUS_SUCCESS, SETUP) &&
           CHECK_STATUS(alpc_receive(*port, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP);
}

/* Sends a view and an event; the server writes into the one and sets the other. With a second argument it waits to be
 * killed after that. */
ROLE(client)
{
    HANDLE port, section, event = CreateEventW(NULL, TRUE, FALSE, NULL);
    struct alpc_buffer sent;
    struct msg m;
    SIZE_T actual, length = sizeof m;
    if (!connect(&port) ||
        !CHECK_STATUS(NtAlpcCreatePortSection(port, 0, NULL, 0x1000, &section, &actual), STATUS_SUCCESS, SETUP))
        return EXIT_FAILED;
    ALPC_DATA_VIEW_ATTR view = {.SectionHandle = section, .ViewSize = actual};
    if (!CHECK_STATUS(NtAlpcCreateSectionView(port, 0, &view), STATUS_SUCCESS, SETUP))
        return EXIT_FAILED;
    strcpy(view.ViewBase, "question");
    alpc_allocate(&sent, BOTH);
    *(ALPC_DATA_VIEW_ATTR *)alpc_attribute(&sent, ALPC_VIEW_ATTRIBUTE) = view;
    *(ALPC_HANDLE_ATTR *)alpc_attribute(&sent, ALPC_HANDLE_ATTRIBUTE) =
        (ALPC_HANDLE_ATTR){.Flags = 0x10000, .Handle = event};
    sent.a.ValidAttributes = BOTH;
    msg_init(&m, 4);
    if (!CHECK_STATUS(NtAlpcSendWaitReceivePort(port, 0, &m.h, &sent.a, NULL, NULL, NULL, NULL), STATUS_SUCCESS,
                      alpc(240)))
        return EXIT_FAILED;
    if (role_arg(1) != NULL)
        Sleep(INFINITE);
    CHECK_EQ(WaitForSingleObject(event, 10000), WAIT_OBJECT_0, alpc(217));
    CHECK_EQ(strcmp(view.ViewBase, "answer"), 0, alpc(240));
    if (!CHECK_STATUS(alpc_receive(port, &m, &length, NULL, 5000), STATUS_SUCCESS, SETUP))
        return EXIT_FAILED;
    NtClose(port);
    return EXIT_PASSED;
}

/* Accepts the client and receives its message. */
static BOOL meet(HANDLE conn, HANDLE *srv, struct msg *m, struct alpc_buffer *got)
{
    SIZE_T length = sizeof *m;
    if (!CHECK_STATUS(alpc_receive(conn, m, &length, NULL, 20000), STATUS_SUCCESS, SETUP) ||
        !CHECK_STATUS(NtAlpcAcceptConnectPort(srv, conn, 0, NULL, NULL, NULL, &m->h, NULL, TRUE), STATUS_SUCCESS, SETUP))
        return FALSE;
    alpc_allocate(got, BOTH);
    length = sizeof *m;
    return CHECK_STATUS(alpc_receive(conn, m, &length, &got->a, 20000), STATUS_SUCCESS, SETUP) &&
           CHECK_EQ(got->a.ValidAttributes, BOTH, alpc(240));
}

TEST(view_and_event_of_another_process)
{
    HANDLE conn, srv;
    WCHAR name[64];
    char narrow[64];
    struct child child;
    struct alpc_buffer got;
    struct msg m;
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&conn, name, 0, 0x400), STATUS_SUCCESS, SETUP);
    to_narrow(narrow, name);
    REQUIRE(child_start(&child, "client", narrow, NULL), SETUP);
    REQUIRE(meet(conn, &srv, &m, &got), SETUP);
    ALPC_DATA_VIEW_ATTR *view = alpc_attribute(&got, ALPC_VIEW_ATTRIBUTE);
    ALPC_HANDLE_ATTR *handle = alpc_attribute(&got, ALPC_HANDLE_ATTRIBUTE);
    CHECK_EQ(strcmp(view->ViewBase, "question"), 0, alpc(240));
    strcpy(view->ViewBase, "answer");
    CHECK(SetEvent(handle->Handle), alpc(217));
    CHECK_STATUS(alpc_send(conn, ALPC_MSGFLG_RELEASE_MESSAGE, &m), STATUS_SUCCESS, SETUP);
    CHECK_EQ(child_join(&child), EXIT_PASSED, alpc(240));
    CHECK_STATUS(NtAlpcDeleteSectionView(srv, 0, view->ViewBase), STATUS_SUCCESS, alpc(243));
    NtClose(handle->Handle);
    NtClose(srv);
    NtClose(conn);
}

TEST(what_was_received_outlives_a_killed_sender)
{
    HANDLE conn, srv;
    WCHAR name[64];
    char narrow[64];
    struct child child;
    struct alpc_buffer got;
    struct msg m;
    SIZE_T length = sizeof m;
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&conn, name, 0, 0x400), STATUS_SUCCESS, SETUP);
    to_narrow(narrow, name);
    REQUIRE(child_start(&child, "client", narrow, "stay", NULL), SETUP);
    REQUIRE(meet(conn, &srv, &m, &got), SETUP);
    child_kill(&child);
    REQUIRE_STATUS(alpc_receive(conn, &m, &length, NULL, 20000), STATUS_SUCCESS, alpc(199));
    CHECK_EQ(m.h.Type & 0xFF, LPC_PORT_CLOSED, alpc(199));
    ALPC_DATA_VIEW_ATTR *view = alpc_attribute(&got, ALPC_VIEW_ATTRIBUTE);
    ALPC_HANDLE_ATTR *handle = alpc_attribute(&got, ALPC_HANDLE_ATTRIBUTE);
    CHECK_EQ(strcmp(view->ViewBase, "question"), 0, alpc(240));
    CHECK(SetEvent(handle->Handle), alpc(217));
    CHECK_STATUS(NtAlpcDeleteSectionView(srv, 0, view->ViewBase), STATUS_SUCCESS, alpc(243));
    NtClose(handle->Handle);
    NtClose(srv);
    NtClose(conn);
}
