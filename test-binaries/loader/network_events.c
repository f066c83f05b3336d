/*
 * Event objects of Winsock and network events. Sources: Microsoft Learn, "WSAEventSelect function (winsock2.h)",
 * "WSAEnumNetworkEvents function (winsock2.h)", "WSAWaitForMultipleEvents function (winsock2.h)", "ioctlsocket function".
 */
#include "sockets.h"
#include <string.h>

WITHOUT_PORTS

static BOOL is_set(WSAEVENT event, DWORD timeout)
{
    return WSAWaitForMultipleEvents(1, &event, FALSE, timeout, FALSE) == WSA_WAIT_EVENT_0;
}

/* The events recorded by now; the event object is reset. */
static long taken(SOCKET socket_, WSAEVENT event)
{
    WSANETWORKEVENTS events = {0};
    return WSAEnumNetworkEvents(socket_, event, &events) == 0 ? events.lNetworkEvents : -1;
}

/* Waits until all of `wanted` were recorded and returns what was; the last error of each in `codes`. */
static long awaited(SOCKET socket_, WSAEVENT event, long wanted, int codes[FD_MAX_EVENTS])
{
    long all = 0;
    while ((all & wanted) != wanted) {
        WSANETWORKEVENTS events = {0};
        if (!is_set(event, 10000) || WSAEnumNetworkEvents(socket_, event, &events) != 0)
            break;
        for (int i = 0; codes && i < FD_MAX_EVENTS; i++)
            if (events.lNetworkEvents & 1 << i)
                codes[i] = events.iErrorCode[i];
        all |= events.lNetworkEvents;
    }
    return all;
}

TEST(event_objects)
{
    WSAEVENT events[2] = {WSACreateEvent(), WSACreateEvent()};
    REQUIRE(started() && events[0] != WSA_INVALID_EVENT && events[1] != WSA_INVALID_EVENT, SETUP);
    CHECK_EQ(WSAWaitForMultipleEvents(2, events, FALSE, 0, FALSE), WSA_WAIT_TIMEOUT, SETUP);
    CHECK(WSASetEvent(events[1]), SETUP);
    CHECK_EQ(WSAWaitForMultipleEvents(2, events, FALSE, WSA_INFINITE, FALSE), WSA_WAIT_EVENT_0 + 1, SETUP);
    CHECK_EQ(WSAWaitForMultipleEvents(2, events, TRUE, 20, FALSE), WSA_WAIT_TIMEOUT, SETUP);
    CHECK(WSASetEvent(events[0]), SETUP);
    CHECK_EQ(WSAWaitForMultipleEvents(2, events, TRUE, WSA_INFINITE, FALSE), WSA_WAIT_EVENT_0, SETUP);
    /* They are reset by hand. */
    CHECK(is_set(events[0], 0) && WSAResetEvent(events[0]) && !is_set(events[0], 0), SETUP);
    CHECK_EQ(WSAWaitForMultipleEvents(0, events, FALSE, 0, FALSE), WSA_WAIT_FAILED, SETUP);
    CHECK_EQ(WSAGetLastError(), WSA_INVALID_PARAMETER, SETUP);
    CHECK(WSACloseEvent(events[0]) && WSACloseEvent(events[1]), SETUP);
    CHECK(!WSACloseEvent(events[0]), SETUP);
    CHECK_EQ(WSAGetLastError(), WSA_INVALID_HANDLE, SETUP);
    CHECK(!WSASetEvent(events[0]) && WSAGetLastError() == WSA_INVALID_HANDLE, SETUP);
}

TEST(accepting_enables_accepts)
{
    struct sockaddr_in address;
    WSAEVENT event = WSACreateEvent();
    SOCKET listener = started() ? bound(SOCK_STREAM, &address) : INVALID_SOCKET;
    REQUIRE(listener != INVALID_SOCKET, SETUP);
    REQUIRE(WSAEventSelect(listener, event, FD_ACCEPT) == 0 && listen(listener, 5) == 0, SETUP);
    CHECK(!is_set(event, 50), SETUP);
    SOCKET first = connected(&address);
    CHECK_EQ(awaited(listener, event, FD_ACCEPT, NULL), FD_ACCEPT, SETUP);
    SOCKET second = connected(&address);
    context("a second connection, before the first is taken");
    CHECK(!is_set(event, 100), SETUP);
    context(NULL);
    SOCKET server = accept(listener, NULL, NULL);
    CHECK(server != INVALID_SOCKET, SETUP);
    CHECK(is_set(event, 10000), SETUP);
    CHECK_EQ(taken(listener, event), FD_ACCEPT, SETUP);
    closesocket(server);
    server = accept(listener, NULL, NULL);
    CHECK(server != INVALID_SOCKET && !is_set(event, 100), SETUP);
    CHECK_EQ(accept(listener, NULL, NULL), INVALID_SOCKET, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEWOULDBLOCK, SETUP);
    closesocket(server);
    closesocket(first);
    closesocket(second);
    closesocket(listener);
    context("a connection from before");
    listener = listening(&address);
    first = connected(&address);
    REQUIRE(listener != INVALID_SOCKET && first != INVALID_SOCKET, SETUP);
    CHECK(WSAEventSelect(listener, event, FD_ACCEPT | FD_CLOSE) == 0 && is_set(event, 10000), SETUP);
    context(NULL);
    closesocket(first);
    closesocket(listener);
    WSACloseEvent(event);
}

TEST(what_is_accepted_inherits_the_events)
{
    struct sockaddr_in address;
    WSAEVENT event = WSACreateEvent();
    SOCKET listener = started() ? listening(&address) : INVALID_SOCKET;
    REQUIRE(listener != INVALID_SOCKET, SETUP);
    REQUIRE(WSAEventSelect(listener, event, FD_ACCEPT | FD_READ | FD_WRITE) == 0, SETUP);
    SOCKET client = connected(&address);
    CHECK_EQ(awaited(listener, event, FD_ACCEPT, NULL), FD_ACCEPT, SETUP);
    SOCKET server = accept(listener, NULL, NULL);
    REQUIRE(server != INVALID_SOCKET, SETUP);
    CHECK_EQ(awaited(server, event, FD_WRITE, NULL), FD_WRITE, SETUP);
    send(client, "x", 1, 0);
    CHECK_EQ(awaited(server, event, FD_READ, NULL), FD_READ, SETUP);
    CHECK_EQ(taken(listener, NULL), 0, SETUP);
    closesocket(client);
    closesocket(server);
    closesocket(listener);
    WSACloseEvent(event);
}

TEST(connecting)
{
    struct sockaddr_in address;
    int codes[FD_MAX_EVENTS] = {1, 1, 1, 1, 1, 1};
    WSAEVENT event = WSACreateEvent();
    SOCKET listener = started() ? listening(&address) : INVALID_SOCKET, client = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(listener != INVALID_SOCKET && client != INVALID_SOCKET, SETUP);
    REQUIRE(WSAEventSelect(client, event, FD_CONNECT | FD_WRITE | FD_READ | FD_CLOSE) == 0, SETUP);
    CHECK(!is_set(event, 50), SETUP);
    CHECK_EQ(connect(client, (void *)&address, sizeof address), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEWOULDBLOCK, SETUP);
    CHECK_EQ(awaited(client, event, FD_CONNECT | FD_WRITE, codes), FD_CONNECT | FD_WRITE, SETUP);
    CHECK(codes[FD_CONNECT_BIT] == 0 && codes[FD_WRITE_BIT] == 0 && codes[FD_READ_BIT] == 1, SETUP);
    closesocket(client);
    closesocket(listener);
    context("nobody listens");
    client = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(WSAEventSelect(client, event, FD_CONNECT | FD_WRITE | FD_READ | FD_CLOSE) == 0, SETUP);
    CHECK_EQ(connect(client, (void *)&address, sizeof address), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEWOULDBLOCK, SETUP);
    CHECK_EQ(awaited(client, event, FD_CONNECT, codes), FD_CONNECT, SETUP);
    CHECK_EQ(codes[FD_CONNECT_BIT], WSAECONNREFUSED, SETUP);
    CHECK(!is_set(event, 50), SETUP);
    context(NULL);
    closesocket(client);
    WSACloseEvent(event);
}

TEST(receiving_enables_reads)
{
    struct connection pair;
    char text[100] = "";
    WSAEVENT event = WSACreateEvent();
    REQUIRE(connection_open(&pair), SETUP);
    REQUIRE(WSAEventSelect(pair.server, event, FD_READ) == 0, SETUP);
    CHECK(!is_set(event, 0), SETUP);
    CHECK_EQ(send(pair.client, text, 100, 0), 100, SETUP);
    CHECK_EQ(awaited(pair.server, event, FD_READ, NULL), FD_READ, SETUP);
    send(pair.client, text, 1, 0);
    context("more, before the first is read");
    CHECK(!is_set(event, 100), SETUP);
    context("some of it is read");
    CHECK_EQ(recv(pair.server, text, 50, 0), 50, SETUP);
    CHECK(is_set(event, 10000), SETUP);
    CHECK_EQ(taken(pair.server, event), FD_READ, SETUP);
    context("a look changes nothing but enables");
    CHECK_EQ(recv(pair.server, text, 1, MSG_PEEK), 1, SETUP);
    CHECK(is_set(event, 10000), SETUP);
    CHECK_EQ(taken(pair.server, event), FD_READ, SETUP);
    context("all is read");
    CHECK_EQ(recv(pair.server, text, 100, 0), 51, SETUP);
    CHECK(!is_set(event, 50), SETUP);
    CHECK_EQ(recv(pair.server, text, 100, 0), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEWOULDBLOCK, SETUP);
    send(pair.client, text, 1, 0);
    CHECK_EQ(awaited(pair.server, event, FD_READ, NULL), FD_READ, SETUP);
    context(NULL);
    connection_close(&pair);
    WSACloseEvent(event);
}

TEST(a_send_that_would_block_enables_writes)
{
    static char block[0x10000];
    struct connection pair;
    int sent, total = 0, received = 0;
    WSAEVENT event = WSACreateEvent();
    REQUIRE(connection_open(&pair), SETUP);
    REQUIRE(WSAEventSelect(pair.client, event, FD_WRITE) == 0, SETUP);
    CHECK_EQ(awaited(pair.client, event, FD_WRITE, NULL), FD_WRITE, SETUP);
    CHECK_EQ(send(pair.client, block, 1, 0), 1, SETUP);
    CHECK(!is_set(event, 50), SETUP);
    for (total = 1; (sent = send(pair.client, block, sizeof block, 0)) > 0;)
        total += sent;
    CHECK_EQ(WSAGetLastError(), WSAEWOULDBLOCK, SETUP);
    CHECK(!is_set(event, 100), SETUP);
    while (received < total) {
        int count = recv(pair.server, block, sizeof block, 0);
        if (!CHECK(count > 0, SETUP))
            break;
        received += count;
    }
    CHECK_EQ(awaited(pair.client, event, FD_WRITE, NULL), FD_WRITE, SETUP);
    CHECK_EQ(send(pair.client, block, 1, 0), 1, SETUP);
    connection_close(&pair);
    WSACloseEvent(event);
}

TEST(a_close_comes_after_all_data)
{
    struct connection pair;
    char text[8];
    int codes[FD_MAX_EVENTS] = {1, 1, 1, 1, 1, 1};
    WSAEVENT event = WSACreateEvent();
    REQUIRE(connection_open(&pair), SETUP);
    REQUIRE(WSAEventSelect(pair.server, event, FD_READ | FD_CLOSE) == 0, SETUP);
    send(pair.client, "last", 4, 0);
    CHECK_EQ(shutdown(pair.client, SD_SEND), 0, SETUP);
    CHECK_EQ(awaited(pair.server, event, FD_READ, NULL), FD_READ, SETUP);
    CHECK(!is_set(event, 100), SETUP);
    CHECK_EQ(recv(pair.server, text, 2, 0), 2, SETUP);
    CHECK_EQ(awaited(pair.server, event, FD_READ, NULL), FD_READ, SETUP);
    CHECK_EQ(recv(pair.server, text, 8, 0), 2, SETUP);
    CHECK_EQ(awaited(pair.server, event, FD_CLOSE, codes), FD_CLOSE, SETUP);
    CHECK_EQ(codes[FD_CLOSE_BIT], 0, SETUP);
    context("once only");
    CHECK_EQ(recv(pair.server, text, 8, 0), 0, SETUP);
    CHECK(!is_set(event, 50), SETUP);
    context("the other way is open");
    CHECK_EQ(send(pair.server, "answer", 6, 0), 6, SETUP);
    CHECK_EQ(recv(pair.client, text, 8, 0), 6, SETUP);
    connection_close(&pair);
    context("reset: closed with data that nobody read");
    REQUIRE(connection_open(&pair), SETUP);
    REQUIRE(WSAEventSelect(pair.server, event, FD_READ | FD_CLOSE) == 0, SETUP);
    CHECK_EQ(send(pair.server, "unread", 6, 0), 6, SETUP);
    CHECK_EQ(recv(pair.client, text, 1, 0), 1, SETUP);
    closesocket(pair.client);
    CHECK_EQ(awaited(pair.server, event, FD_CLOSE, codes), FD_CLOSE, SETUP);
    CHECK_EQ(codes[FD_CLOSE_BIT], WSAECONNRESET, SETUP);
    context(NULL);
    closesocket(pair.server);
    WSACloseEvent(event);
}

TEST(closing_a_socket_ends_its_events)
{
    struct connection pair;
    char text[8];
    WSAEVENT event = WSACreateEvent();
    REQUIRE(connection_open(&pair), SETUP);
    REQUIRE(WSAEventSelect(pair.server, event, FD_READ | FD_CLOSE) == 0, SETUP);
    CHECK_EQ(closesocket(pair.server), 0, SETUP);
    CHECK_EQ(recv(pair.client, text, 8, 0), 0, SETUP);
    closesocket(pair.client);
    CHECK(!is_set(event, 50), SETUP);
    CHECK(WSACloseEvent(event), SETUP);
}

TEST(selecting_again)
{
    struct connection pair;
    u_long on = 1, off = 0;
    char text[8];
    WSAEVENT first = WSACreateEvent(), second = WSACreateEvent();
    REQUIRE(connection_open(&pair), SETUP);
    REQUIRE(WSAEventSelect(pair.server, first, FD_WRITE) == 0 && is_set(first, 10000), SETUP);
    context("the other event, and the record is empty");
    CHECK_EQ(WSAEventSelect(pair.server, second, FD_READ), 0, SETUP);
    CHECK_EQ(taken(pair.server, first), 0, SETUP);
    send(pair.client, "x", 1, 0);
    CHECK(is_set(second, 10000) && !is_set(first, 0), SETUP);
    context("whether calls wait");
    CHECK_EQ(ioctlsocket(pair.server, FIONBIO, &off), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEINVAL, SETUP);
    CHECK_EQ(ioctlsocket(pair.server, FIONBIO, &on), 0, SETUP);
    context("none");
    WSAResetEvent(second);
    CHECK_EQ(WSAEventSelect(pair.server, NULL, 0), 0, SETUP);
    CHECK_EQ(taken(pair.server, second), 0, SETUP);
    CHECK_EQ(recv(pair.server, text, 8, 0), 1, SETUP);
    send(pair.client, "x", 1, 0);
    CHECK(!is_set(second, 50), SETUP);
    CHECK_EQ(recv(pair.server, text, 8, 0), 1, SETUP);
    CHECK_EQ(recv(pair.server, text, 8, 0), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEWOULDBLOCK, SETUP);
    CHECK_EQ(ioctlsocket(pair.server, FIONBIO, &off), 0, SETUP);
    context(NULL);
    connection_close(&pair);
    WSACloseEvent(first);
    WSACloseEvent(second);
}

TEST(urgent_data)
{
    struct connection pair;
    char text[8];
    WSAEVENT event = WSACreateEvent();
    REQUIRE(connection_open(&pair), SETUP);
    REQUIRE(WSAEventSelect(pair.server, event, FD_READ | FD_OOB) == 0, SETUP);
    CHECK_EQ(send(pair.client, "!", 1, MSG_OOB), 1, SETUP);
    CHECK_EQ(awaited(pair.server, event, FD_OOB, NULL), FD_OOB, SETUP);
    CHECK_EQ(recv(pair.server, text, 8, MSG_OOB), 1, SETUP);
    CHECK(text[0] == '!' && !is_set(event, 50), SETUP);
    send(pair.client, "x", 1, 0);
    CHECK_EQ(awaited(pair.server, event, FD_READ, NULL), FD_READ, SETUP);
    connection_close(&pair);
    WSACloseEvent(event);
}

TEST(datagrams)
{
    struct sockaddr_in address, other;
    char text[8];
    WSAEVENT event = WSACreateEvent();
    SOCKET receiver = started() ? bound(SOCK_DGRAM, &address) : INVALID_SOCKET, sender = bound(SOCK_DGRAM, &other);
    REQUIRE(receiver != INVALID_SOCKET && sender != INVALID_SOCKET, SETUP);
    REQUIRE(WSAEventSelect(receiver, event, FD_READ | FD_WRITE) == 0, SETUP);
    CHECK_EQ(awaited(receiver, event, FD_WRITE, NULL), FD_WRITE, SETUP);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(sendto(sender, "abc", 3, 0, (void *)&address, sizeof address), 3, SETUP);
    CHECK_EQ(awaited(receiver, event, FD_READ, NULL), FD_READ, SETUP);
    CHECK_EQ(recvfrom(receiver, text, 8, 0, NULL, NULL), 3, SETUP);
    CHECK_EQ(awaited(receiver, event, FD_READ, NULL), FD_READ, SETUP);
    CHECK_EQ(recvfrom(receiver, text, 8, 0, NULL, NULL), 3, SETUP);
    CHECK(!is_set(event, 50), SETUP);
    closesocket(receiver);
    closesocket(sender);
    WSACloseEvent(event);
}

TEST(errors)
{
    struct connection pair;
    WSANETWORKEVENTS events;
    WSAEVENT event = WSACreateEvent();
    REQUIRE(connection_open(&pair), SETUP);
    CHECK_EQ(WSAEventSelect(INVALID_SOCKET, event, FD_READ), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAENOTSOCK, SETUP);
    CHECK_EQ(WSAEventSelect(pair.server, NULL, FD_READ), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEINVAL, SETUP);
    CHECK_EQ(WSAEnumNetworkEvents(INVALID_SOCKET, event, &events), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAENOTSOCK, SETUP);
    REQUIRE(WSAEventSelect(pair.server, event, FD_WRITE) == 0 && is_set(event, 10000), SETUP);
    CHECK_EQ(WSAEnumNetworkEvents(pair.server, event, NULL), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEFAULT, SETUP);
    context("the record and the event are as before");
    CHECK(is_set(event, 0), SETUP);
    memset(&events, 0x55, sizeof events);
    CHECK_EQ(WSAEnumNetworkEvents(pair.server, NULL, &events), 0, SETUP);
    CHECK(events.lNetworkEvents == FD_WRITE && events.iErrorCode[FD_WRITE_BIT] == 0, SETUP);
    CHECK_EQ(events.iErrorCode[FD_READ_BIT], 0x55555555, SETUP);
    CHECK(is_set(event, 0), SETUP);
    context(NULL);
    connection_close(&pair);
    WSACloseEvent(event);
}
