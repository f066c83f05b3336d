/*
 * Socket addresses as text and as names. Sources: Microsoft Learn, "WSAAddressToStringW function (winsock2.h)",
 * "WSAStringToAddressW function (winsock2.h)", "getnameinfo function (ws2tcpip.h)", "InetNtopW function (ws2tcpip.h)".
 */
#include "sockets.h"
#include <ws2tcpip.h>
#include <string.h>
#include <wchar.h>

WITHOUT_PORTS

typedef int WSAAPI name_wide(const struct sockaddr *, int, WCHAR *, DWORD, WCHAR *, DWORD, int);
typedef const WCHAR *WSAAPI print_wide(int, const void *, WCHAR *, size_t);
typedef int WSAAPI parse_wide(int, const WCHAR *, void *);

static void *function(const char *name)
{
    return (void *)GetProcAddress(LoadLibraryA("ws2_32.dll"), name);
}

static struct sockaddr_in loopback(u_short port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

TEST(addresses_to_text)
{
    struct sockaddr_in four = loopback(8080);
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr.s6_addr = {[15] = 1}};
    char text[64];
    WCHAR wide[64];
    DWORD length = sizeof text;
    REQUIRE(started(), SETUP);
    CHECK_EQ(WSAAddressToStringA((void *)&four, sizeof four, NULL, text, &length), 0, SETUP);
    CHECK(strcmp(text, "127.0.0.1:8080") == 0, SETUP);
    CHECK_EQ(length, 15, SETUP);
    four.sin_port = 0;
    length = 64;
    CHECK_EQ(WSAAddressToStringW((void *)&four, sizeof four, NULL, wide, &length), 0, SETUP);
    CHECK(wcscmp(wide, L"127.0.0.1") == 0, SETUP);
    CHECK_EQ(length, 10, SETUP);
    length = 64;
    CHECK_EQ(WSAAddressToStringW((void *)&six, sizeof six, NULL, wide, &length), 0, SETUP);
    CHECK(wcscmp(wide, L"::1") == 0, SETUP);
    six.sin6_port = htons(80);
    length = 64;
    CHECK_EQ(WSAAddressToStringW((void *)&six, sizeof six, NULL, wide, &length), 0, SETUP);
    CHECK(wcscmp(wide, L"[::1]:80") == 0, SETUP);
    context("too small");
    length = 9;
    CHECK_EQ(WSAAddressToStringA((void *)&four, sizeof four, NULL, text, &length), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEFAULT, SETUP);
    CHECK_EQ(length, 10, SETUP);
    context("no address");
    length = sizeof text;
    CHECK_EQ(WSAAddressToStringA(NULL, sizeof four, NULL, text, &length), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEINVAL, SETUP);
    four.sin_family = 77;
    CHECK_EQ(WSAAddressToStringA((void *)&four, sizeof four, NULL, text, &length), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEINVAL, SETUP);
}

TEST(text_to_addresses)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    int length = sizeof four;
    REQUIRE(started(), SETUP);
    memset(&four, 0x55, sizeof four);
    CHECK_EQ(WSAStringToAddressA("127.0.0.1:8080", AF_INET, NULL, (void *)&four, &length), 0, SETUP);
    CHECK(four.sin_family == AF_INET && four.sin_port == htons(8080), SETUP);
    CHECK_EQ(four.sin_addr.s_addr, htonl(INADDR_LOOPBACK), SETUP);
    CHECK_EQ(length, sizeof four, SETUP);
    CHECK_EQ(WSAStringToAddressW(L"10.1.2.3", AF_INET, NULL, (void *)&four, &length), 0, SETUP);
    CHECK(four.sin_port == 0 && four.sin_addr.s_addr == htonl(0x0A010203), SETUP);
    length = sizeof six;
    CHECK_EQ(WSAStringToAddressW(L"[fe80::1%4]:443", AF_INET6, NULL, (void *)&six, &length), 0, SETUP);
    CHECK(six.sin6_family == AF_INET6 && six.sin6_port == htons(443) && six.sin6_scope_id == 4, SETUP);
    CHECK(six.sin6_addr.s6_addr[0] == 0xFE && six.sin6_addr.s6_addr[15] == 1, SETUP);
    CHECK_EQ(WSAStringToAddressA("::1", AF_INET6, NULL, (void *)&six, &length), 0, SETUP);
    CHECK(six.sin6_port == 0 && six.sin6_addr.s6_addr[15] == 1, SETUP);
    context("none");
    CHECK_EQ(WSAStringToAddressA("localhost", AF_INET, NULL, (void *)&four, &length), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEINVAL, SETUP);
    CHECK_EQ(WSAStringToAddressA("::1", AF_INET, NULL, (void *)&four, &length), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEINVAL, SETUP);
    context("too small");
    length = 8;
    CHECK_EQ(WSAStringToAddressA("127.0.0.1", AF_INET, NULL, (void *)&four, &length), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEFAULT, SETUP);
    CHECK_EQ(length, sizeof four, SETUP);
}

TEST(names_of_addresses)
{
    name_wide *wide_names = function("GetNameInfoW");
    struct sockaddr_in address = loopback(80);
    char host[NI_MAXHOST], service[NI_MAXSERV];
    WCHAR wide_host[NI_MAXHOST], wide_service[NI_MAXSERV];
    REQUIRE(started() && wide_names, SETUP);
    CHECK_EQ(getnameinfo((void *)&address, sizeof address, host, sizeof host, service, sizeof service,
                         NI_NUMERICHOST | NI_NUMERICSERV), 0, SETUP);
    CHECK(strcmp(host, "127.0.0.1") == 0 && strcmp(service, "80") == 0, SETUP);
    CHECK_EQ(wide_names((void *)&address, sizeof address, wide_host, NI_MAXHOST, wide_service, NI_MAXSERV,
                        NI_NUMERICHOST), 0, SETUP);
    CHECK(wcscmp(wide_host, L"127.0.0.1") == 0 && wcscmp(wide_service, L"http") == 0, SETUP);
    context("one of both");
    host[0] = 0;
    CHECK_EQ(getnameinfo((void *)&address, sizeof address, host, sizeof host, NULL, 0, 0), 0, SETUP);
    CHECK(host[0] != 0, SETUP);
    context("a port without a name");
    address.sin_port = htons(60001);
    CHECK_EQ(getnameinfo((void *)&address, sizeof address, NULL, 0, service, sizeof service, 0), 0, SETUP);
    CHECK(strcmp(service, "60001") == 0, SETUP);
    context("errors");
    CHECK_EQ(getnameinfo((void *)&address, sizeof address, NULL, 0, NULL, 0, 0), WSAHOST_NOT_FOUND, SETUP);
    CHECK_EQ(getnameinfo((void *)&address, 8, host, sizeof host, NULL, 0, NI_NUMERICHOST), WSAEFAULT, SETUP);
    CHECK_EQ(getnameinfo(NULL, sizeof address, host, sizeof host, NULL, 0, NI_NUMERICHOST), WSAEFAULT, SETUP);
    CHECK_EQ(getnameinfo((void *)&address, sizeof address, host, 0, NULL, 0, NI_NUMERICHOST), WSAEINVAL, SETUP);
    address.sin_family = 77;
    CHECK_EQ(getnameinfo((void *)&address, sizeof address, host, sizeof host, NULL, 0, NI_NUMERICHOST),
             WSAEAFNOSUPPORT, SETUP);
}

TEST(bare_addresses)
{
    print_wide *print = function("InetNtopW");
    parse_wide *parse = function("InetPtonW");
    unsigned char six[16] = {0x20, 0x01, 0x0D, 0xB8, [15] = 0x11}, other[16];
    u_long four = 0;
    WCHAR text[48];
    REQUIRE(started() && print && parse, SETUP);
    CHECK_PTR(print(AF_INET6, six, text, 48), text, SETUP);
    CHECK(wcscmp(text, L"2001:db8::11") == 0, SETUP);
    CHECK_EQ(parse(AF_INET6, text, other), 1, SETUP);
    CHECK(memcmp(six, other, 16) == 0, SETUP);
    CHECK_EQ(parse(AF_INET, L"1.2.3.4", &four), 1, SETUP);
    CHECK_EQ(four, htonl(0x01020304), SETUP);
    CHECK_PTR(print(AF_INET, &four, text, 48), text, SETUP);
    CHECK(wcscmp(text, L"1.2.3.4") == 0, SETUP);
    CHECK_EQ(parse(AF_INET, L"1.2.3", &four), 0, SETUP);
    CHECK_PTR(print(AF_INET, &four, text, 4), 0, SETUP);
    CHECK_EQ(WSAGetLastError(), ERROR_INVALID_PARAMETER, SETUP);
    CHECK_PTR(print(77, &four, text, 48), 0, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEAFNOSUPPORT, SETUP);
    CHECK_EQ(parse(77, L"1.2.3.4", &four), -1, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEAFNOSUPPORT, SETUP);
}
