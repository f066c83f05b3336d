/*
 * Overlapped operations of sockets, with completion routines and without. Sources: Microsoft Learn, "WSARecv function
 * (winsock2.h)", "WSASend function (winsock2.h)", "closesocket function", "WSAGetOverlappedResult function (winsock2.h)".
 */
#include "sockets.h"
#include <stdlib.h>
#include <string.h>

WITHOUT_PORTS

/* An operation, with what its routine was told. */
struct operation {
    WSAOVERLAPPED overlapped;
    WSABUF buffer;
    char bytes[4096];
    DWORD flags;
    int calls, number;
    DWORD error, count, told_flags, thread;
};

static int finished;

static void CALLBACK finish(DWORD error, DWORD count, LPWSAOVERLAPPED overlapped, DWORD flags)
{
    struct operation *operation = CONTAINING_RECORD(overlapped, struct operation, overlapped);
    operation->calls++;
    operation->error = error;
    operation->count = count;
    operation->told_flags = flags;
    operation->thread = GetCurrentThreadId();
    operation->number = finished++;
}

static void prepare(struct operation *operation, ULONG length)
{
    memset(operation, 0, sizeof *operation);
    operation->buffer = (WSABUF){length, operation->bytes};
    operation->told_flags = 0x55;
    finished = 0;
}

/* It ends now or later. */
static BOOL is_begun(int result)
{
    return result == 0 || WSAGetLastError() == WSA_IO_PENDING;
}

static BOOL begin_receive(SOCKET socket_, struct operation *operation)
{
    return is_begun(WSARecv(socket_, &operation->buffer, 1, NULL, &operation->flags, &operation->overlapped, finish));
}

/* Waits alertably until the routine was called. */
static BOOL is_told(const struct operation *operation)
{
    for (int i = 0; i < 100 && !operation->calls; i++)
        SleepEx(100, TRUE);
    return operation->calls == 1;
}

TEST(routines_run_in_alertable_waits)
{
    struct connection pair;
    struct operation receive;
    WSAEVENT event = WSACreateEvent();
    REQUIRE(connection_open(&pair), SETUP);
    prepare(&receive, sizeof receive.bytes);
    /* The caller's own with a routine. */
    receive.overlapped.hEvent = event;
    REQUIRE(begin_receive(pair.server, &receive), SETUP);
    CHECK_EQ(send(pair.client, "text", 4, 0), 4, SETUP);
    Sleep(100);
    CHECK_EQ(receive.calls, 0, SETUP);
    CHECK_EQ(SleepEx(10000, TRUE), WAIT_IO_COMPLETION, SETUP);
    CHECK_EQ(receive.calls, 1, SETUP);
    CHECK(receive.error == 0 && receive.count == 4 && receive.told_flags == 0, SETUP);
    CHECK_EQ(receive.thread, GetCurrentThreadId(), SETUP);
    CHECK(memcmp(receive.bytes, "text", 4) == 0, SETUP);
    CHECK_PTR(receive.overlapped.hEvent, event, SETUP);
    CHECK_EQ(WSAWaitForMultipleEvents(1, &event, FALSE, 0, FALSE), WSA_WAIT_TIMEOUT, SETUP);
    context("a wait for events");
    prepare(&receive, sizeof receive.bytes);
    REQUIRE(begin_receive(pair.server, &receive), SETUP);
    CHECK_EQ(WSAWaitForMultipleEvents(1, &event, FALSE, 20, TRUE), WSA_WAIT_TIMEOUT, SETUP);
    CHECK_EQ(send(pair.client, "more", 4, 0), 4, SETUP);
    CHECK_EQ(WSAWaitForMultipleEvents(1, &event, FALSE, 10000, TRUE), WSA_WAIT_IO_COMPLETION, SETUP);
    CHECK(receive.calls == 1 && receive.count == 4, SETUP);
    context("the end of the connection");
    prepare(&receive, sizeof receive.bytes);
    REQUIRE(begin_receive(pair.server, &receive), SETUP);
    shutdown(pair.client, SD_SEND);
    CHECK(is_told(&receive) && receive.error == 0 && receive.count == 0, SETUP);
    context(NULL);
    connection_close(&pair);
    WSACloseEvent(event);
}

TEST(sends_go_in_their_order)
{
    enum { SENDS = 64, BYTES = 4096 };
    struct connection pair;
    struct operation *sends = calloc(SENDS, sizeof *sends);
    char *received = malloc(SENDS * BYTES);
    int count = 0;
    REQUIRE(connection_open(&pair), SETUP);
    for (int i = 0; i < SENDS; i++) {
        prepare(&sends[i], BYTES);
        memset(sends[i].bytes, i, BYTES);
        REQUIRE(is_begun(WSASend(pair.client, &sends[i].buffer, 1, NULL, 0, &sends[i].overlapped, finish)), SETUP);
    }
    for (int got; count < SENDS * BYTES; count += got)
        if ((got = recv(pair.server, received + count, SENDS * BYTES - count, 0)) <= 0)
            break;
    REQUIRE(count == SENDS * BYTES, SETUP);
    for (int i = 0; i < SENDS; i++) {
        context("send %d", i);
        CHECK(received[i * BYTES] == i && memcmp(received + i * BYTES, sends[i].bytes, BYTES) == 0, SETUP);
        CHECK(is_told(&sends[i]) && sends[i].error == 0 && sends[i].count == BYTES, SETUP);
        CHECK_EQ(sends[i].number, i, SETUP);
    }
    context(NULL);
    connection_close(&pair);
    free(received);
    free(sends);
}

TEST(receives_are_filled_in_their_order)
{
    struct connection pair;
    static struct operation receives[8];
    REQUIRE(connection_open(&pair), SETUP);
    for (int i = 0; i < 8; i++)
        prepare(&receives[i], 2);
    for (int i = 0; i < 8; i++)
        REQUIRE(begin_receive(pair.server, &receives[i]), SETUP);
    CHECK_EQ(send(pair.client, "0a1b2c3d4e5f6g7h", 16, 0), 16, SETUP);
    for (int i = 0; i < 8; i++) {
        context("receive %d", i);
        CHECK(is_told(&receives[i]) && receives[i].count == 2, SETUP);
        CHECK(receives[i].number == i && receives[i].bytes[0] == '0' + i && receives[i].bytes[1] == 'a' + i, SETUP);
    }
    context(NULL);
    connection_close(&pair);
}

static struct connection chain_of;
static char chain_text[32];
static int chain_length;

static void CALLBACK receive_next(DWORD error, DWORD count, LPWSAOVERLAPPED overlapped, DWORD flags)
{
    struct operation *operation = CONTAINING_RECORD(overlapped, struct operation, overlapped);
    (void)flags;
    if (error == 0 && count == 1 && chain_length < 31)
        chain_text[chain_length++] = operation->bytes[0];
    operation->calls += error != 0 || count != 1;
    if (operation->calls == 0)
        WSARecv(chain_of.server, &operation->buffer, 1, NULL, &operation->flags, overlapped, receive_next);
}

TEST(a_routine_starts_the_next_operation)
{
    static struct operation receive;
    REQUIRE(connection_open(&chain_of), SETUP);
    prepare(&receive, 1);
    REQUIRE(is_begun(WSARecv(chain_of.server, &receive.buffer, 1, NULL, &receive.flags, &receive.overlapped, receive_next)),
            SETUP);
    CHECK_EQ(send(chain_of.client, "one by one", 10, 0), 10, SETUP);
    shutdown(chain_of.client, SD_SEND);
    CHECK(is_told(&receive), SETUP);
    CHECK(strcmp(chain_text, "one by one") == 0, SETUP);
    connection_close(&chain_of);
}

TEST(closing_a_socket_cancels)
{
    struct connection pair;
    static struct operation receives[2];
    char text[4];
    REQUIRE(connection_open(&pair), SETUP);
    for (int i = 0; i < 2; i++)
        prepare(&receives[i], 2);
    for (int i = 0; i < 2; i++)
        REQUIRE(begin_receive(pair.server, &receives[i]), SETUP);
    CHECK_EQ(closesocket(pair.server), 0, SETUP);
    for (int i = 0; i < 2; i++)
        CHECK(is_told(&receives[i]) && receives[i].error == WSA_OPERATION_ABORTED && receives[i].count == 0, SETUP);
    CHECK_EQ(recv(pair.client, text, sizeof text, 0), 0, SETUP);
    closesocket(pair.client);
}

TEST(errors_are_told_to_routines)
{
    struct connection pair;
    struct operation receive;
    char text[1];
    REQUIRE(connection_open(&pair), SETUP);
    prepare(&receive, 2);
    REQUIRE(begin_receive(pair.server, &receive), SETUP);
    context("reset: closed with data that nobody read");
    CHECK_EQ(send(pair.server, "unread", 6, 0), 6, SETUP);
    CHECK_EQ(recv(pair.client, text, 1, 0), 1, SETUP);
    closesocket(pair.client);
    CHECK(is_told(&receive), SETUP);
    CHECK_EQ(receive.error, WSAECONNRESET, SETUP);
    context(NULL);
    closesocket(pair.server);
    CHECK_EQ(WSARecv(pair.server, &receive.buffer, 1, NULL, &receive.flags, &receive.overlapped, finish), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAENOTSOCK, SETUP);
}

TEST(datagrams_tell_their_sender)
{
    struct sockaddr_in address, other, from;
    int length = sizeof from;
    struct operation receive;
    SOCKET receiver = started() ? bound(SOCK_DGRAM, &address) : INVALID_SOCKET, sender = bound(SOCK_DGRAM, &other);
    REQUIRE(receiver != INVALID_SOCKET && sender != INVALID_SOCKET, SETUP);
    prepare(&receive, sizeof receive.bytes);
    memset(&from, 0, sizeof from);
    REQUIRE(is_begun(WSARecvFrom(receiver, &receive.buffer, 1, NULL, &receive.flags, (void *)&from, &length,
                                 &receive.overlapped, finish)),
            SETUP);
    CHECK_EQ(sendto(sender, "abc", 3, 0, (void *)&address, sizeof address), 3, SETUP);
    CHECK(is_told(&receive) && receive.error == 0 && receive.count == 3, SETUP);
    CHECK(length == sizeof from && from.sin_port == other.sin_port && from.sin_addr.s_addr == other.sin_addr.s_addr, SETUP);
    closesocket(receiver);
    closesocket(sender);
}

TEST(events_without_routines)
{
    struct connection pair;
    struct operation receive;
    DWORD count = 0, flags = 1;
    WSAEVENT event = WSACreateEvent();
    REQUIRE(connection_open(&pair), SETUP);
    prepare(&receive, 8);
    receive.overlapped.hEvent = event;
    receive.flags = MSG_WAITALL;
    REQUIRE(is_begun(WSARecv(pair.server, &receive.buffer, 1, NULL, &receive.flags, &receive.overlapped, NULL)), SETUP);
    CHECK(!WSAGetOverlappedResult(pair.server, &receive.overlapped, &count, FALSE, &flags), SETUP);
    CHECK_EQ(WSAGetLastError(), WSA_IO_INCOMPLETE, SETUP);
    CHECK_EQ(send(pair.client, "half", 4, 0), 4, SETUP);
    CHECK_EQ(WSAWaitForMultipleEvents(1, &event, FALSE, 100, FALSE), WSA_WAIT_TIMEOUT, SETUP);
    CHECK_EQ(send(pair.client, "rest", 4, 0), 4, SETUP);
    CHECK_EQ(WSAWaitForMultipleEvents(1, &event, FALSE, 10000, FALSE), WSA_WAIT_EVENT_0, SETUP);
    CHECK(WSAGetOverlappedResult(pair.server, &receive.overlapped, &count, FALSE, &flags), SETUP);
    CHECK(count == 8 && flags == 0 && memcmp(receive.bytes, "halfrest", 8) == 0, SETUP);
    connection_close(&pair);
    WSACloseEvent(event);
}
