/* Connections over the loopback interface for programs that test sockets. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <winsock2.h>
#include "../lpctest.h"

/* Winsock is started once, by the first test that asks. */
static inline BOOL started(void)
{
    static BOOL is_started;
    WSADATA data;
    if (!is_started)
        is_started = WSAStartup(MAKEWORD(2, 2), &data) == 0;
    return is_started;
}

/* A bound socket of a type, and its address. */
static inline SOCKET bound(int type, struct sockaddr_in *address)
{
    int length = sizeof *address;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    SOCKET socket_ = socket(AF_INET, type, 0);
    if (socket_ == INVALID_SOCKET || bind(socket_, (void *)address, length) != 0 ||
        getsockname(socket_, (void *)address, &length) != 0)
        return INVALID_SOCKET;
    return socket_;
}

static inline SOCKET listening(struct sockaddr_in *address)
{
    SOCKET listener = bound(SOCK_STREAM, address);
    return listener != INVALID_SOCKET && listen(listener, 5) == 0 ? listener : INVALID_SOCKET;
}

/* A client connected to an address, or none. */
static inline SOCKET connected(const struct sockaddr_in *address)
{
    SOCKET client = socket(AF_INET, SOCK_STREAM, 0);
    return connect(client, (const void *)address, sizeof *address) == 0 ? client : INVALID_SOCKET;
}

struct connection {
    SOCKET client, server;
};

static inline BOOL connection_open(struct connection *pair)
{
    struct sockaddr_in address;
    SOCKET listener = started() ? listening(&address) : INVALID_SOCKET;
    *pair = (struct connection){INVALID_SOCKET, INVALID_SOCKET};
    if (listener == INVALID_SOCKET)
        return FALSE;
    pair->client = connected(&address);
    pair->server = accept(listener, NULL, NULL);
    closesocket(listener);
    return pair->client != INVALID_SOCKET && pair->server != INVALID_SOCKET;
}

static inline void connection_close(struct connection *pair)
{
    closesocket(pair->client);
    closesocket(pair->server);
}

#endif
