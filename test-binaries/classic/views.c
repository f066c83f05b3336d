/* Sections shared over a connection: lpc §3.7, §5.5. */
#include "../lpctest.h"

/* What client and server pass and get; `fresh` fills in the lengths. */
struct scene {
    WCHAR name[64];
    HANDLE conn, srv;
    struct connecting client;
    struct worker worker;
    struct msg request;
    PORT_VIEW client_view;          /* passed by the client */
    REMOTE_PORT_VIEW remote_server; /* passed by the client */
    PORT_VIEW server_view;          /* passed by the server */
    REMOTE_PORT_VIEW remote_client; /* passed by the server */
};

static BOOL fresh(struct scene *s)
{
    memset(s, 0, sizeof *s);
    s->client_view.Length = sizeof s->client_view;
    s->remote_server.Length = sizeof s->remote_server;
    s->server_view.Length = sizeof s->server_view;
    s->remote_client.Length = sizeof s->remote_client;
    unique_name(s->name);
    connect_init(&s->client, s->name);
    return CHECK_STATUS(create_port(&s->conn, s->name), STATUS_SUCCESS, SETUP);
}

static BOOL receive(struct scene *s)
{
    return connect_start(&s->client, &s->worker) &&
           CHECK_STATUS(receive_within(s->conn, NULL, &s->request, 5000), STATUS_SUCCESS, SETUP);
}

/* Accepts with the given views (either may be NULL) and lets the client return. */
static BOOL accept_with(struct scene *s, PORT_VIEW *server_view, REMOTE_PORT_VIEW *client_view)
{
    if (!CHECK_STATUS(NtAcceptConnectPort(&s->srv, NULL, &s->request.h, TRUE, server_view, client_view),
                      STATUS_SUCCESS, SETUP) ||
        !CHECK_STATUS(NtCompleteConnectPort(s->srv), STATUS_SUCCESS, SETUP))
        return FALSE;
    join(&s->worker);
    return CHECK_STATUS(s->client.status, STATUS_SUCCESS, SETUP);
}

static void close_all(struct scene *s)
{
    CHECK_STATUS(NtClose(s->client.port), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(s->srv), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtClose(s->conn), STATUS_SUCCESS, SETUP);
}

TEST(views_in_both_directions)
{
    struct scene s;
    REQUIRE(fresh(&s), SETUP);
    HANDLE client_section = s.client_view.SectionHandle = new_section(0x1000);
    HANDLE server_section = s.server_view.SectionHandle = new_section(0x2000);
    s.client_view.ViewSize = 0x1000;
    s.server_view.ViewSize = 0x2000;
    s.client.client_view = &s.client_view;
    s.client.server_view = &s.remote_server;
    REQUIRE(receive(&s), SETUP);
    CHECK_EQ(s.request.h.ClientViewSize, 0x1000, lpc(100));
    REQUIRE(accept_with(&s, &s.server_view, &s.remote_client), lpc(220));

    CHECK(s.client_view.ViewBase != NULL, lpc(91));
    CHECK(s.client_view.ViewRemoteBase != NULL, lpc(91));
    CHECK_EQ(s.client_view.Length, sizeof s.client_view, lpc(92));
    CHECK_PTR(s.client_view.SectionHandle, client_section, lpc(92));
    CHECK_EQ(s.client_view.SectionOffset, 0, lpc(92));
    CHECK_EQ(s.client_view.ViewSize, 0x1000, lpc(92));
    CHECK_EQ(s.remote_server.Length, 0, lpc(93));
    CHECK_EQ(s.remote_server.ViewSize, 0x2000, lpc(93));
    CHECK(s.remote_server.ViewBase != NULL, lpc(93));
    CHECK(s.server_view.ViewBase != NULL, lpc(95));
    CHECK(s.server_view.ViewRemoteBase != NULL, lpc(95));
    CHECK(s.server_view.ViewBase != s.server_view.ViewRemoteBase, lpc(95));
    CHECK_EQ(s.server_view.ViewSize, 0x2000, lpc(95));
    CHECK_EQ(s.remote_client.Length, sizeof s.remote_client, lpc(96));
    CHECK_EQ(s.remote_client.ViewSize, 0x1000, lpc(96));
    CHECK(s.remote_client.ViewBase != NULL, lpc(96));
    CHECK_PTR(s.client_view.ViewRemoteBase, s.remote_client.ViewBase, lpc(97));
    CHECK_PTR(s.remote_server.ViewBase, s.server_view.ViewRemoteBase, lpc(98));

    UCHAR volatile *client = s.client_view.ViewBase;
    UCHAR volatile *server = s.remote_client.ViewBase;
    server[0] = 0x5A;
    server[0xFFF] = 0xA5;
    CHECK_EQ(client[0], 0x5A, lpc(99));
    CHECK_EQ(client[0xFFF], 0xA5, lpc(99));
    client[7] = 7;
    CHECK_EQ(server[7], 7, lpc(99));
    client = s.remote_server.ViewBase;
    server = s.server_view.ViewBase;
    server[0x1FFF] = 0x77;
    CHECK_EQ(client[0x1FFF], 0x77, lpc(99));

    /* The views outlive the section handles. */
    CHECK(CloseHandle(client_section), lpc(103));
    CHECK(CloseHandle(server_section), lpc(103));
    client[1] = 0x33;
    CHECK_EQ(server[1], 0x33, lpc(103));
    close_all(&s);
}

TEST(server_gives_no_section)
{
    struct scene s;
    REQUIRE(fresh(&s), SETUP);
    s.client.server_view = &s.remote_server;
    s.remote_server.ViewBase = UNTOUCHED;
    s.remote_server.ViewSize = 0x5555;
    REQUIRE(receive(&s), SETUP);
    REQUIRE(accept_with(&s, NULL, NULL), lpc(94));
    CHECK_EQ(s.remote_server.ViewSize, 0, lpc(94));
    CHECK_PTR(s.remote_server.ViewBase, NULL, lpc(94));
    close_all(&s);
}

TEST(client_section_is_mapped_into_a_server_that_asks_for_nothing)
{
    struct scene s;
    REQUIRE(fresh(&s), SETUP);
    s.client_view.SectionHandle = new_section(0x1000);
    s.client_view.ViewSize = 0x1000;
    s.client.client_view = &s.client_view;
    REQUIRE(receive(&s), SETUP);
    CHECK_EQ(s.request.h.ClientViewSize, 0x1000, lpc(100));
    REQUIRE(accept_with(&s, NULL, NULL), lpc(100));
    REQUIRE(s.client_view.ViewRemoteBase != NULL, lpc(101));
    /* Both ends are this process: the remote address is valid here. */
    CHECK(s.client_view.ViewRemoteBase != s.client_view.ViewBase, lpc(101));
    *(ULONG volatile *)s.client_view.ViewBase = 0xC0FFEE;
    CHECK_EQ(*(ULONG volatile *)s.client_view.ViewRemoteBase, 0xC0FFEE, lpc(101));
    CloseHandle(s.client_view.SectionHandle);
    close_all(&s);
}

TEST(accept_checks_the_lengths_of_views)
{
    struct scene s;
    HANDLE srv = UNTOUCHED;
    REQUIRE(fresh(&s), SETUP);
    REQUIRE(receive(&s), SETUP);
    s.server_view.Length--;
    CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &s.request.h, TRUE, &s.server_view, NULL), STATUS_INVALID_PARAMETER,
                 lpc(102));
    s.remote_client.Length = 0;
    CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &s.request.h, TRUE, NULL, &s.remote_client),
                 STATUS_INVALID_PARAMETER, lpc(102));
    CHECK_PTR(srv, UNTOUCHED, lpc(102));
    /* The request is still pending (lpc §2.6: only step 6 consumes it). */
    CHECK(still_runs(&s.worker), lpc(102));
    REQUIRE(accept_with(&s, NULL, NULL), lpc(102));
    close_all(&s);
}

static BOOL is_mapped(void *address)
{
    MEMORY_BASIC_INFORMATION information;
    memset(&information, 0, sizeof information);
    CHECK_EQ(VirtualQuery(address, &information, sizeof information), sizeof information, SETUP);
    return information.State != MEM_FREE;
}

TEST(views_end_with_their_ports)
{
    struct scene s;
    REQUIRE(fresh(&s), SETUP);
    s.client_view.SectionHandle = new_section(0x10000);
    s.server_view.SectionHandle = new_section(0x10000);
    s.client.client_view = &s.client_view;
    s.client.server_view = &s.remote_server;
    REQUIRE(receive(&s), SETUP);
    REQUIRE(accept_with(&s, &s.server_view, &s.remote_client), SETUP);
    CHECK(is_mapped(s.client_view.ViewBase), lpc(104));
    CHECK_STATUS(NtClose(s.client.port), STATUS_SUCCESS, SETUP);
    CHECK(!is_mapped(s.client_view.ViewBase), lpc(104));
    CHECK(!is_mapped(s.remote_server.ViewBase), lpc(104));
    CHECK(is_mapped(s.server_view.ViewBase), lpc(104));
    CHECK(is_mapped(s.remote_client.ViewBase), lpc(104));
    CHECK_STATUS(NtClose(s.srv), STATUS_SUCCESS, SETUP);
    CHECK(!is_mapped(s.server_view.ViewBase), lpc(104));
    CHECK(!is_mapped(s.remote_client.ViewBase), lpc(104));
    CHECK_STATUS(NtClose(s.conn), STATUS_SUCCESS, SETUP);
    CloseHandle(s.client_view.SectionHandle);
    CloseHandle(s.server_view.SectionHandle);
}

TEST(refused_client_keeps_no_view)
{
    struct scene s;
    HANDLE srv = UNTOUCHED;
    REQUIRE(fresh(&s), SETUP);
    s.client_view.SectionHandle = new_section(0x1000);
    s.client.client_view = &s.client_view;
    REQUIRE(receive(&s), SETUP);
    CHECK_STATUS(NtAcceptConnectPort(&srv, NULL, &s.request.h, FALSE, NULL, NULL), STATUS_SUCCESS, SETUP);
    join(&s.worker);
    CHECK_STATUS(s.client.status, STATUS_PORT_CONNECTION_REFUSED, SETUP);
    CloseHandle(s.client_view.SectionHandle);
    CHECK_STATUS(NtClose(s.conn), STATUS_SUCCESS, SETUP);
}

TEST(offset_of_the_section)
{
    static const ULONG misaligned[] = {1, 0x1000, 0x8000, 0xFFFF};
    struct scene s;
    HANDLE port = UNTOUCHED;
    REQUIRE(fresh(&s), SETUP);
    UNICODE_STRING name = unicode(s.name);
    s.client_view.SectionHandle = new_section(0x30000);
    for (int i = 0; i < 4; i++) {
        context("SectionOffset %#lx", misaligned[i]);
        s.client_view.SectionOffset = misaligned[i];
        s.client_view.ViewSize = 0x1000;
        CHECK_STATUS(NtConnectPort(&port, &name, &s.client.qos, &s.client_view, NULL, NULL, NULL, NULL),
                     STATUS_MAPPED_ALIGNMENT, lpc(105));
    }
    context(NULL);
    CHECK_PTR(port, UNTOUCHED, lpc(105));

    /* An aligned offset shows the right part of the section. */
    s.client_view.SectionOffset = 0x10000;
    s.client_view.ViewSize = 0x1000;
    s.client.client_view = &s.client_view;
    REQUIRE(receive(&s), SETUP);
    REQUIRE(accept_with(&s, NULL, &s.remote_client), lpc(105));
    CHECK_EQ(s.client_view.SectionOffset, 0x10000, lpc(92));
    char *whole = MapViewOfFile(s.client_view.SectionHandle, FILE_MAP_WRITE, 0, 0, 0);
    REQUIRE(whole != NULL, SETUP);
    *(ULONG volatile *)s.client_view.ViewBase = 0xABCD1234;
    CHECK_EQ(*(ULONG volatile *)(whole + 0x10000), 0xABCD1234, lpc(105));
    UnmapViewOfFile(whole);
    CloseHandle(s.client_view.SectionHandle);
    close_all(&s);
}

TEST(size_zero_means_to_the_end)
{
    struct scene s;
    REQUIRE(fresh(&s), SETUP);
    s.client_view.SectionHandle = new_section(0x30000);
    s.client_view.SectionOffset = 0x10000;
    s.client.client_view = &s.client_view;
    REQUIRE(receive(&s), SETUP);
    CHECK_EQ(s.request.h.ClientViewSize, 0x20000, lpc(106));
    REQUIRE(accept_with(&s, NULL, &s.remote_client), lpc(106));
    CHECK_EQ(s.client_view.ViewSize, 0x20000, lpc(106));
    CHECK_EQ(s.remote_client.ViewSize, 0x20000, lpc(106));
    CloseHandle(s.client_view.SectionHandle);
    close_all(&s);
}
