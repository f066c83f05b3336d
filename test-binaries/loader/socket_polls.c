/*
 * Polls of sockets through \Device\Afd, as event loops use them, and alertable waits on completion ports. Sources: msafd.h of
 * wepoll, afd.rs of mio and poll.c of libuv for the device; Microsoft Learn, "GetQueuedCompletionStatusEx function".
 */
#define _WIN32_WINNT 0x0601
#include "sockets.h"
#include <stdint.h>
#include <string.h>

WITHOUT_PORTS

#define IOCTL_AFD_POLL 0x12024
#ifndef SIO_BASE_HANDLE
#define SIO_BASE_HANDLE 0x48000022
#endif
enum { RECEIVE = 1, SEND = 4, DISCONNECT = 8, ABORT = 0x10, LOCAL_CLOSE = 0x20, ACCEPTABLE = 0x80, CONNECT_FAIL = 0x100 };
#define PENDING ((NTSTATUS)0x103)
#define CANCELLED ((NTSTATUS)0xC0000120)

typedef struct {
    NTSTATUS Status;
    ULONG_PTR Information;
} IO_STATUS_BLOCK;

struct poll_info {
    LARGE_INTEGER timeout;
    ULONG count;
    ULONG exclusive;
    struct {
        HANDLE handle;
        ULONG events;
        NTSTATUS status;
    } handles[2];
};

struct poll {
    OVERLAPPED_ENTRY entry;
    IO_STATUS_BLOCK block;
    struct poll_info info;
};

typedef NTSTATUS NTAPI create_file(HANDLE *, ULONG, OBJECT_ATTRIBUTES *, IO_STATUS_BLOCK *, LARGE_INTEGER *, ULONG, ULONG,
                                   ULONG, ULONG, void *, ULONG);
typedef NTSTATUS NTAPI control(HANDLE, HANDLE, void *, void *, IO_STATUS_BLOCK *, ULONG, void *, ULONG, void *, ULONG);
typedef NTSTATUS NTAPI cancel(HANDLE, IO_STATUS_BLOCK *, IO_STATUS_BLOCK *);

static HANDLE device, port;
static control *device_control;
static cancel *cancel_request;

static BOOL opened(void)
{
    WCHAR name[] = L"\\Device\\Afd\\Test";
    UNICODE_STRING string = {sizeof name - 2, sizeof name, name};
    OBJECT_ATTRIBUTES attributes = {.Length = sizeof attributes, .ObjectName = &string};
    IO_STATUS_BLOCK block;
    HMODULE ntdll = GetModuleHandleA("ntdll.dll");
    create_file *create = (void *)GetProcAddress(ntdll, "NtCreateFile");
    device_control = (void *)GetProcAddress(ntdll, "NtDeviceIoControlFile");
    cancel_request = (void *)GetProcAddress(ntdll, "NtCancelIoFileEx");
    if (device)
        return TRUE;
    return started() && create && device_control && cancel_request &&
           create(&device, SYNCHRONIZE, &attributes, &block, NULL, 0, FILE_SHARE_READ | FILE_SHARE_WRITE, 1, 0, NULL, 0) == 0 &&
           (port = CreateIoCompletionPort(device, NULL, 7, 0)) != NULL &&
           SetFileCompletionNotificationModes(device, FILE_SKIP_SET_EVENT_ON_HANDLE);
}

static NTSTATUS start(struct poll *poll, SOCKET socket_, ULONG events)
{
    *poll = (struct poll){.info = {.timeout.QuadPart = INT64_MAX, .count = 1, .handles = {{(HANDLE)socket_, events, 0}}}};
    poll->block.Status = PENDING;
    return device_control(device, NULL, NULL, poll, &poll->block, IOCTL_AFD_POLL, &poll->info, sizeof poll->info, &poll->info,
                          sizeof poll->info);
}

/* The poll whose end the port tells next, or NULL. */
static struct poll *ended(DWORD timeout)
{
    OVERLAPPED_ENTRY entry = {0};
    ULONG removed = 0;
    if (!GetQueuedCompletionStatusEx(port, &entry, 1, &removed, timeout, FALSE) || removed != 1 || entry.lpCompletionKey != 7)
        return NULL;
    return (void *)entry.lpOverlapped;
}

static ULONG events_of(const struct poll *poll)
{
    return poll && poll->block.Status == 0 && poll->info.count == 1 ? poll->info.handles[0].events : 0;
}

TEST(what_is_there_ends_a_poll_at_once)
{
    struct connection pair;
    struct poll poll;
    REQUIRE(opened(), SETUP);
    REQUIRE(connection_open(&pair), SETUP);
    NTSTATUS status = start(&poll, pair.client, SEND | RECEIVE);
    CHECK(status == 0 || status == PENDING, SETUP);
    CHECK_PTR(ended(10000), &poll, SETUP);
    CHECK_EQ(events_of(&poll), SEND, SETUP);
    CHECK_PTR(poll.info.handles[0].handle, (HANDLE)pair.client, SETUP);
    CHECK_PTR(ended(0), 0, SETUP);
    connection_close(&pair);
}

TEST(data_and_ends_of_connections)
{
    struct connection pair;
    struct poll poll;
    char text[8];
    REQUIRE(opened(), SETUP);
    REQUIRE(connection_open(&pair), SETUP);
    CHECK_EQ(start(&poll, pair.server, RECEIVE | DISCONNECT | ABORT), PENDING, SETUP);
    CHECK_PTR(ended(50), 0, SETUP);
    send(pair.client, "data", 4, 0);
    CHECK_PTR(ended(10000), &poll, SETUP);
    CHECK_EQ(events_of(&poll), RECEIVE, SETUP);
    CHECK_EQ(recv(pair.server, text, 8, 0), 4, SETUP);
    CHECK_EQ(start(&poll, pair.server, RECEIVE | DISCONNECT | ABORT), PENDING, SETUP);
    shutdown(pair.client, SD_SEND);
    CHECK_PTR(ended(10000), &poll, SETUP);
    CHECK(events_of(&poll) & DISCONNECT, SETUP);
    connection_close(&pair);
}

TEST(connections_come_and_fail)
{
    struct sockaddr_in address;
    struct poll poll, other;
    u_long on = 1;
    REQUIRE(opened(), SETUP);
    SOCKET listener = listening(&address), client = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(listener != INVALID_SOCKET && ioctlsocket(client, FIONBIO, &on) == 0, SETUP);
    CHECK_EQ(start(&poll, listener, ACCEPTABLE), PENDING, SETUP);
    context("before it connects");
    CHECK_EQ(start(&other, client, SEND | CONNECT_FAIL), PENDING, SETUP);
    CHECK_PTR(ended(50), 0, SETUP);
    connect(client, (void *)&address, sizeof address);
    struct poll *first = ended(10000), *second = ended(10000);
    CHECK((first == &poll && second == &other) || (first == &other && second == &poll), SETUP);
    CHECK_EQ(events_of(&poll), ACCEPTABLE, SETUP);
    CHECK_EQ(events_of(&other), SEND, SETUP);
    closesocket(client);
    closesocket(listener);
    context("nobody listens");
    client = socket(AF_INET, SOCK_STREAM, 0);
    ioctlsocket(client, FIONBIO, &on);
    REQUIRE(connect(client, (void *)&address, sizeof address) == SOCKET_ERROR, SETUP);
    if (WSAGetLastError() == WSAEWOULDBLOCK) {
        start(&poll, client, SEND | CONNECT_FAIL);
        CHECK_PTR(ended(10000), &poll, SETUP);
        CHECK_EQ(events_of(&poll), CONNECT_FAIL, SETUP);
        int error = 0, length = sizeof error;
        CHECK_EQ(getsockopt(client, SOL_SOCKET, SO_ERROR, (char *)&error, &length), 0, SETUP);
        CHECK_EQ(error, WSAECONNREFUSED, SETUP);
    }
    closesocket(client);
}

TEST(polls_end_otherwise)
{
    struct connection pair;
    struct poll poll;
    IO_STATUS_BLOCK block;
    REQUIRE(opened(), SETUP);
    REQUIRE(connection_open(&pair), SETUP);
    context("cancelled");
    CHECK_EQ(start(&poll, pair.server, RECEIVE), PENDING, SETUP);
    CHECK_EQ(cancel_request(device, &poll.block, &block), 0, SETUP);
    CHECK_PTR(ended(10000), &poll, SETUP);
    CHECK_EQ(poll.block.Status, CANCELLED, SETUP);
    CHECK_EQ((ULONG)cancel_request(device, &poll.block, &block), 0xC0000225, SETUP);
    context("time is up");
    poll = (struct poll){.info = {.timeout.QuadPart = -200000, .count = 1, .handles = {{(HANDLE)pair.server, RECEIVE, 0}}}};
    CHECK_EQ(device_control(device, NULL, NULL, &poll, &poll.block, IOCTL_AFD_POLL, &poll.info, sizeof poll.info, &poll.info,
                            sizeof poll.info), PENDING, SETUP);
    CHECK_PTR(ended(10000), &poll, SETUP);
    CHECK_EQ(poll.info.count, 0, SETUP);
    context("closed");
    CHECK_EQ(start(&poll, pair.server, RECEIVE | LOCAL_CLOSE), PENDING, SETUP);
    closesocket(pair.server);
    CHECK_PTR(ended(10000), &poll, SETUP);
    CHECK_EQ(events_of(&poll), LOCAL_CLOSE, SETUP);
    closesocket(pair.client);
}

TEST(sockets_are_their_own_base)
{
    struct connection pair;
    SOCKET base = 0;
    DWORD returned = 0;
    REQUIRE(opened(), SETUP);
    REQUIRE(connection_open(&pair), SETUP);
    CHECK_EQ(WSAIoctl(pair.client, SIO_BASE_HANDLE, NULL, 0, &base, sizeof base, &returned, NULL, NULL), 0, SETUP);
    CHECK(base == pair.client && returned == sizeof base, SETUP);
    connection_close(&pair);
}

/* As libuv receives where the provider is Windows' own. */
TEST(receives_through_the_device)
{
    struct sockaddr_in address, from = {0};
    int length = sizeof from;
    char text[8] = "";
    WSABUF buffer = {sizeof text, text}, none = {0, text};
    OVERLAPPED overlapped = {.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL)};
    struct {
        WSABUF *buffers;
        ULONG count, afd_flags, tdi_flags;
        void *from;
        int *length;
    } info = {&none, 1, 2, 0xA0, &from, &length};
    REQUIRE(opened(), SETUP);
    SOCKET receiver = bound(SOCK_DGRAM, &address), sender = socket(AF_INET, SOCK_DGRAM, 0);
    REQUIRE(receiver != INVALID_SOCKET && overlapped.hEvent, SETUP);
    context("an empty peek ends with the first datagram, which stays");
    CHECK_EQ(device_control((HANDLE)receiver, overlapped.hEvent, NULL, &overlapped, (void *)&overlapped, 0x12017, &info,
                            sizeof info, NULL, 0), PENDING, SETUP);
    CHECK_EQ(WaitForSingleObject(overlapped.hEvent, 50), WAIT_TIMEOUT, SETUP);
    sendto(sender, "abc", 3, 0, (void *)&address, sizeof address);
    CHECK_EQ(WaitForSingleObject(overlapped.hEvent, 10000), WAIT_OBJECT_0, SETUP);
    context("and its sender");
    info.buffers = &buffer;
    info.tdi_flags = 0x20;
    NTSTATUS status = device_control((HANDLE)receiver, overlapped.hEvent, NULL, &overlapped, (void *)&overlapped, 0x1201B, &info,
                                     sizeof info, NULL, 0);
    CHECK(status == 0 || status == PENDING, SETUP);
    CHECK_EQ(WaitForSingleObject(overlapped.hEvent, 10000), WAIT_OBJECT_0, SETUP);
    CHECK(overlapped.InternalHigh == 3 && memcmp(text, "abc", 3) == 0, SETUP);
    CHECK(from.sin_family == AF_INET && from.sin_addr.s_addr == htonl(INADDR_LOOPBACK), SETUP);
    closesocket(receiver);
    closesocket(sender);
    CloseHandle(overlapped.hEvent);
}

TEST(closing_a_pipe_ends_what_waits)
{
    char text[4];
    OVERLAPPED here = {0}, there = {0};
    DWORD done = 0;
    const char *name = "\\\\.\\pipe\\ntlpc-closing-pipe";
    HANDLE server = CreateNamedPipeA(name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED, 0, 1, 512, 512, 0, NULL);
    HANDLE client = CreateFileA(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
    REQUIRE(server != INVALID_HANDLE_VALUE && client != INVALID_HANDLE_VALUE, SETUP);
    here.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL);
    there.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL);
    CHECK(!ReadFile(server, text, 4, NULL, &here) && GetLastError() == ERROR_IO_PENDING, SETUP);
    CHECK(!ReadFile(client, text, 4, NULL, &there) && GetLastError() == ERROR_IO_PENDING, SETUP);
    CloseHandle(server);
    CHECK_EQ(WaitForSingleObject(here.hEvent, 10000), WAIT_OBJECT_0, SETUP);
    CHECK(!GetOverlappedResult(client, &there, &done, TRUE), SETUP);
    CHECK_EQ(GetLastError(), ERROR_BROKEN_PIPE, SETUP);
    CloseHandle(client);
    CloseHandle(here.hEvent);
    CloseHandle(there.hEvent);
}

static int calls;

static void CALLBACK count_call(ULONG_PTR argument)
{
    calls += (int)argument;
}

TEST(waits_for_packets_are_alertable)
{
    OVERLAPPED_ENTRY entries[2];
    ULONG removed = 9;
    HANDLE own = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    REQUIRE(own != NULL && QueueUserAPC(count_call, GetCurrentThread(), 1), SETUP);
    CHECK(!GetQueuedCompletionStatusEx(own, entries, 2, &removed, 0, FALSE), SETUP);
    CHECK_EQ(GetLastError(), WAIT_TIMEOUT, SETUP);
    CHECK_EQ(calls, 0, SETUP);
    CHECK(!GetQueuedCompletionStatusEx(own, entries, 2, &removed, 10000, TRUE), SETUP);
    CHECK_EQ(GetLastError(), WAIT_IO_COMPLETION, SETUP);
    CHECK_EQ(calls, 1, SETUP);
    PostQueuedCompletionStatus(own, 3, 5, NULL);
    CHECK(GetQueuedCompletionStatusEx(own, entries, 2, &removed, 10000, TRUE), SETUP);
    CHECK(removed == 1 && entries[0].lpCompletionKey == 5, SETUP);
    CHECK(!GetQueuedCompletionStatusEx(own, entries, 2, &removed, 20, TRUE), SETUP);
    CHECK_EQ(GetLastError(), WAIT_TIMEOUT, SETUP);
    CloseHandle(own);
}
