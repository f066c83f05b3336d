/*
 * Options of sockets, descriptions of protocols, large sets of select, and wsock32.dll. Sources: Microsoft Learn, "SOL_SOCKET socket
 * options", "IPPROTO_IP socket options", "linger structure", "WSAEnumProtocolsW function (winsock2.h)", "WSAPROTOCOL_INFOW
 * structure (winsock2.h)", "select function (winsock2.h)", "WSAConnect function (winsock2.h)", "WSAAccept function (winsock2.h)".
 */
#define FD_SETSIZE 200
#include "sockets.h"
#include <ws2tcpip.h>
#include <mswsock.h>
#include <string.h>

WITHOUT_PORTS

static int option_of(SOCKET socket_, int level, int name)
{
    int value = -1, length = sizeof value;
    return getsockopt(socket_, level, name, (char *)&value, &length) == 0 && length <= 4 ? value : -1;
}

static int set(SOCKET socket_, int level, int name, int value)
{
    return setsockopt(socket_, level, name, (char *)&value, sizeof value);
}

TEST(lingering)
{
    struct connection pair;
    struct linger linger = {1, 0};
    int length = sizeof linger;
    char text[4];
    REQUIRE(connection_open(&pair), SETUP);
    CHECK_EQ(setsockopt(pair.client, SOL_SOCKET, SO_LINGER, (char *)&linger, sizeof linger), 0, SETUP);
    linger = (struct linger){7, 7};
    CHECK_EQ(getsockopt(pair.client, SOL_SOCKET, SO_LINGER, (char *)&linger, &length), 0, SETUP);
    CHECK(length == sizeof linger && linger.l_onoff == 1 && linger.l_linger == 0, SETUP);
    context("closed at once, which resets the connection");
    closesocket(pair.client);
    CHECK_EQ(recv(pair.server, text, 4, 0), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAECONNRESET, SETUP);
    closesocket(pair.server);
}

TEST(times_and_sizes)
{
    struct connection pair;
    char text[4];
    REQUIRE(connection_open(&pair), SETUP);
    CHECK_EQ(set(pair.client, SOL_SOCKET, SO_RCVTIMEO, 60), 0, SETUP);
    CHECK_EQ(option_of(pair.client, SOL_SOCKET, SO_RCVTIMEO), 60, SETUP);
    ULONGLONG before = GetTickCount64();
    CHECK_EQ(recv(pair.client, text, 4, 0), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAETIMEDOUT, SETUP);
    CHECK(GetTickCount64() - before >= 40, SETUP);
    CHECK_EQ(set(pair.server, SOL_SOCKET, SO_RCVBUF, 0x8000), 0, SETUP);
    CHECK_EQ(option_of(pair.server, SOL_SOCKET, SO_RCVBUF), 0x8000, SETUP);
    CHECK_EQ(set(pair.server, IPPROTO_TCP, TCP_NODELAY, 1), 0, SETUP);
    CHECK((option_of(pair.server, IPPROTO_TCP, TCP_NODELAY) & 0xFF) == 1, SETUP);
    CHECK_EQ(option_of(pair.server, SOL_SOCKET, SO_TYPE), SOCK_STREAM, SETUP);
    context("after ConnectEx, without a value");
    CHECK_EQ(setsockopt(pair.client, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0), 0, SETUP);
    context("none such");
    CHECK_EQ(set(pair.client, SOL_SOCKET, 0x7777, 1), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAENOPROTOOPT, SETUP);
    connection_close(&pair);
}

TEST(groups)
{
    struct sockaddr_in address;
    struct ip_mreq group = {.imr_interface.s_addr = htonl(INADDR_LOOPBACK)};
    u_long interface_ = htonl(INADDR_LOOPBACK);
    REQUIRE(started(), SETUP);
    SOCKET receiver = bound(SOCK_DGRAM, &address);
    group.imr_multiaddr.s_addr = inet_addr("239.1.2.3");
    CHECK_EQ(setsockopt(receiver, IPPROTO_IP, IP_ADD_MEMBERSHIP, (char *)&group, sizeof group), 0, SETUP);
    CHECK_EQ(setsockopt(receiver, IPPROTO_IP, IP_DROP_MEMBERSHIP, (char *)&group, sizeof group), 0, SETUP);
    CHECK_EQ(setsockopt(receiver, IPPROTO_IP, IP_DROP_MEMBERSHIP, (char *)&group, sizeof group), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEADDRNOTAVAIL, SETUP);
    CHECK_EQ(setsockopt(receiver, IPPROTO_IP, IP_MULTICAST_IF, (char *)&interface_, sizeof interface_), 0, SETUP);
    CHECK_EQ(set(receiver, IPPROTO_IP, IP_MULTICAST_TTL, 3), 0, SETUP);
    CHECK_EQ(option_of(receiver, IPPROTO_IP, IP_MULTICAST_TTL), 3, SETUP);
    CHECK_EQ(set(receiver, IPPROTO_IP, IP_MULTICAST_LOOP, 0), 0, SETUP);
    CHECK_EQ(option_of(receiver, IPPROTO_IP, IP_MULTICAST_LOOP), 0, SETUP);
    CHECK_EQ(set(receiver, IPPROTO_IP, IP_TTL, 9), 0, SETUP);
    CHECK_EQ(option_of(receiver, IPPROTO_IP, IP_TTL), 9, SETUP);
    context("wsock32.dll has the numbers of Winsock 1.1");
    typedef int WSAAPI option(SOCKET, int, int, char *, int *);
    option *old = (void *)GetProcAddress(LoadLibraryA("wsock32.dll"), "getsockopt");
    int value = 0, length = sizeof value;
    REQUIRE(old != NULL, SETUP);
    CHECK_EQ(old(receiver, IPPROTO_IP, 7, (char *)&value, &length), 0, SETUP);
    CHECK_EQ(value, 9, SETUP);
    closesocket(receiver);
}

TEST(descriptions_of_protocols)
{
    WSAPROTOCOL_INFOW all[32], info;
    DWORD size = 0;
    int tcp[] = {IPPROTO_TCP, 0}, length = sizeof info;
    REQUIRE(started(), SETUP);
    CHECK_EQ(WSAEnumProtocolsW(NULL, NULL, &size), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAENOBUFS, SETUP);
    CHECK(size >= 4 * sizeof info && size <= sizeof all, SETUP);
    size = sizeof all;
    int count = WSAEnumProtocolsW(tcp, all, &size);
    REQUIRE(count >= 2 && count <= 32, SETUP);
    for (int i = 0; i < count; i++) {
        CHECK_EQ(all[i].iProtocol, IPPROTO_TCP, SETUP);
        CHECK_EQ(all[i].iSocketType, SOCK_STREAM, SETUP);
        CHECK(all[i].szProtocol[0] != 0, SETUP);
    }
    SOCKET datagram = socket(AF_INET6, SOCK_DGRAM, 0);
    CHECK_EQ(getsockopt(datagram, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &length), 0, SETUP);
    CHECK(info.iAddressFamily == AF_INET6 && info.iSocketType == SOCK_DGRAM && info.iProtocol == IPPROTO_UDP, SETUP);
    CHECK(info.dwServiceFlags1 & XP1_IFS_HANDLES && info.dwServiceFlags1 & XP1_CONNECTIONLESS, SETUP);
    CHECK(info.ProtocolChain.ChainLen == 1 && length == sizeof info, SETUP);
    closesocket(datagram);
}

TEST(sets_of_many_sockets)
{
    struct connection pair;
    struct timeval now = {0, 0};
    SOCKET others[120];
    fd_set readable;
    REQUIRE(connection_open(&pair), SETUP);
    FD_ZERO(&readable);
    for (int i = 0; i < 120; i++) {
        struct sockaddr_in address;
        others[i] = bound(SOCK_DGRAM, &address);
        FD_SET(others[i], &readable);
    }
    FD_SET(pair.server, &readable);
    CHECK_EQ(readable.fd_count, 121, SETUP);
    send(pair.client, "x", 1, 0);
    Sleep(20);
    CHECK_EQ(select(0, &readable, NULL, NULL, &now), 1, SETUP);
    CHECK(readable.fd_count == 1 && readable.fd_array[0] == pair.server, SETUP);
    for (int i = 0; i < 120; i++)
        closesocket(others[i]);
    connection_close(&pair);
}

TEST(wsock32_has_its_own_ordinals)
{
    static const struct {
        const char *name;
        WORD ordinal;
    } list[] = {
        {"accept", 1}, {"bind", 2}, {"closesocket", 3}, {"connect", 4}, {"getpeername", 5}, {"getsockname", 6}, {"getsockopt", 7},
        {"htonl", 8}, {"htons", 9}, {"inet_addr", 10}, {"inet_ntoa", 11}, {"ioctlsocket", 12}, {"listen", 13}, {"ntohl", 14},
        {"ntohs", 15}, {"recv", 16}, {"recvfrom", 17}, {"select", 18}, {"send", 19}, {"sendto", 20}, {"setsockopt", 21},
        {"shutdown", 22}, {"socket", 23}, {"gethostbyaddr", 51}, {"gethostbyname", 52}, {"gethostname", 57},
        {"WSAGetLastError", 111}, {"WSASetLastError", 112}, {"WSAStartup", 115}, {"WSACleanup", 116}, {"__WSAFDIsSet", 151},
    };
    HMODULE dll = LoadLibraryA("wsock32.dll");
    REQUIRE(dll != NULL, SETUP);
    for (int i = 0; i < (int)(sizeof list / sizeof list[0]); i++) {
        context("#%u %s", list[i].ordinal, list[i].name);
        void *by_name = (void *)GetProcAddress(dll, list[i].name);
        CHECK(by_name != NULL, SETUP);
        CHECK_PTR((void *)GetProcAddress(dll, MAKEINTRESOURCEA(list[i].ordinal)), by_name, SETUP);
    }
    context(NULL);
    u_long WSAAPI (*parse)(const char *) = (void *)GetProcAddress(dll, MAKEINTRESOURCEA(10));
    CHECK_EQ(parse("127.0.0.1"), htonl(INADDR_LOOPBACK), SETUP);
}

TEST(connections_by_the_newer_calls)
{
    struct sockaddr_in address, peer;
    int length = sizeof peer;
    REQUIRE(started(), SETUP);
    SOCKET listener = listening(&address), client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(WSAConnect(client, (void *)&address, sizeof address, NULL, NULL, NULL, NULL), 0, SETUP);
    SOCKET server = WSAAccept(listener, (void *)&peer, &length, NULL, 0);
    CHECK(server != INVALID_SOCKET && peer.sin_family == AF_INET, SETUP);
    closesocket(server);
    closesocket(client);
    closesocket(listener);
}
