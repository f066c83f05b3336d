/*
 * What programs import from ws2_32.dll and oleaut32.dll by ordinal, and the old functions for names. The calls of this program
 * are themselves imports by ordinal (winsock.x64.def). Sources: Microsoft Learn, the functions' pages; the ordinals are those
 * of the SDK's import libraries.
 */
#include <winsock2.h>
#include "../lpctest.h"
#include <oleauto.h>
#include <stdio.h>
#include <string.h>

WITHOUT_PORTS

static void *export_of(const char *dll, const char *name)
{
    return (void *)GetProcAddress(LoadLibraryA(dll), name);
}

struct ordinal {
    const char *name;
    WORD ordinal;
};

static void same_by_both(const char *dll, const struct ordinal *list, int count)
{
    for (int i = 0; i < count; i++) {
        void *by_name = export_of(dll, list[i].name);
        context("%s #%u %s", dll, list[i].ordinal, list[i].name);
        CHECK(by_name != NULL, SETUP);
        CHECK_PTR(export_of(dll, MAKEINTRESOURCEA(list[i].ordinal)), by_name, SETUP);
    }
    context(NULL);
}

#define COUNT(array) (int)(sizeof array / sizeof array[0])

TEST(ordinals_name_the_same_functions)
{
    static const struct ordinal ws2_32[] = {
        {"accept", 1}, {"bind", 2}, {"closesocket", 3}, {"connect", 4}, {"getpeername", 5}, {"getsockname", 6},
        {"getsockopt", 7}, {"htonl", 8}, {"htons", 9}, {"ioctlsocket", 10}, {"inet_addr", 11}, {"inet_ntoa", 12},
        {"listen", 13}, {"ntohl", 14}, {"ntohs", 15}, {"recv", 16}, {"recvfrom", 17}, {"select", 18}, {"send", 19},
        {"sendto", 20}, {"setsockopt", 21}, {"shutdown", 22}, {"socket", 23}, {"gethostbyaddr", 51},
        {"gethostbyname", 52}, {"getprotobyname", 53}, {"getprotobynumber", 54}, {"getservbyname", 55},
        {"getservbyport", 56}, {"gethostname", 57}, {"WSAGetLastError", 111}, {"WSASetLastError", 112},
        {"WSAStartup", 115}, {"WSACleanup", 116}, {"__WSAFDIsSet", 151},
    };
    static const struct ordinal oleaut32[] = {
        {"SysAllocString", 2}, {"SysAllocStringLen", 4}, {"SysFreeString", 6}, {"SysStringLen", 7}, {"VariantInit", 8},
        {"VariantClear", 9}, {"SafeArrayCreate", 15}, {"SafeArrayDestroy", 16}, {"SafeArrayGetDim", 17},
        {"SafeArrayGetElemsize", 18}, {"SafeArrayGetUBound", 19}, {"SafeArrayGetLBound", 20}, {"SafeArrayLock", 21},
        {"SafeArrayUnlock", 22}, {"SafeArrayAccessData", 23}, {"SafeArrayUnaccessData", 24},
        {"SafeArrayCreateVector", 411},
    };
    same_by_both("ws2_32.dll", ws2_32, COUNT(ws2_32));
    same_by_both("oleaut32.dll", oleaut32, COUNT(oleaut32));
    CHECK_PTR(export_of("ws2_32.dll", MAKEINTRESOURCEA(0xFFF0)), 0, SETUP);
}

static BOOL started(void)
{
    WSADATA data;
    return WSAStartup(MAKEWORD(2, 2), &data) == 0;
}

TEST(imports_by_ordinal)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int length = sizeof address;
    char text[8] = "";
    fd_set readable;
    struct timeval soon = {10, 0};
    REQUIRE(started(), SETUP);
    CHECK_EQ(htons(0x1234), 0x3412, SETUP);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SOCKET listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(listener != INVALID_SOCKET && client != INVALID_SOCKET, SETUP);
    REQUIRE(bind(listener, (void *)&address, sizeof address) == 0 && listen(listener, 1) == 0, SETUP);
    REQUIRE(getsockname(listener, (void *)&address, &length) == 0, SETUP);
    REQUIRE(connect(client, (void *)&address, length) == 0, SETUP);
    SOCKET server = accept(listener, NULL, NULL);
    REQUIRE(server != INVALID_SOCKET, SETUP);
    CHECK_EQ(send(client, "ping", 4, 0), 4, SETUP);
    FD_ZERO(&readable);
    FD_SET(server, &readable);
    FD_SET(listener, &readable);
    CHECK_EQ(select(0, &readable, NULL, NULL, &soon), 1, SETUP);
    CHECK(FD_ISSET(server, &readable), SETUP);
    CHECK(!FD_ISSET(listener, &readable) && !FD_ISSET(client, &readable), SETUP);
    CHECK_EQ(recv(server, text, sizeof text, 0), 4, SETUP);
    CHECK(memcmp(text, "ping", 4) == 0, SETUP);
    CHECK(closesocket(server) == 0 && closesocket(client) == 0 && closesocket(listener) == 0, SETUP);
    CHECK_EQ(closesocket(listener), SOCKET_ERROR, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAENOTSOCK, SETUP);
    CHECK_EQ(WSACleanup(), 0, SETUP);
}

TEST(addresses_in_text)
{
    typedef char *WSAAPI to_text(struct in_addr);
    typedef u_long WSAAPI from_text(const char *);
    to_text *print = export_of("ws2_32.dll", MAKEINTRESOURCEA(12));
    from_text *parse = export_of("ws2_32.dll", MAKEINTRESOURCEA(11));
    struct in_addr address = {.s_addr = htonl(0xC0A80102)};
    REQUIRE(print && parse && started(), SETUP);
    CHECK(strcmp(print(address), "192.168.1.2") == 0, SETUP);
    CHECK_EQ(parse("192.168.1.2"), address.s_addr, SETUP);
    CHECK_EQ(parse("0xC0.0250.258"), address.s_addr, SETUP);
    CHECK_EQ(parse("127.1"), htonl(INADDR_LOOPBACK), SETUP);
    CHECK_EQ(parse("256.1"), INADDR_NONE, SETUP);
    CHECK_EQ(parse("1.2.3.4.5"), INADDR_NONE, SETUP);
    CHECK_EQ(parse("localhost"), INADDR_NONE, SETUP);
    WSACleanup();
}

TEST(hosts_by_name_and_address)
{
    typedef struct hostent *WSAAPI by_name(const char *);
    typedef struct hostent *WSAAPI by_address(const char *, int, int);
    by_name *named = export_of("ws2_32.dll", MAKEINTRESOURCEA(52));
    by_address *addressed = export_of("ws2_32.dll", MAKEINTRESOURCEA(51));
    u_long loopback = htonl(INADDR_LOOPBACK);
    struct hostent *host;
    REQUIRE(named && addressed && started(), SETUP);
    host = named("localhost");
    REQUIRE(host != NULL, SETUP);
    CHECK(host->h_addrtype == AF_INET && host->h_length == 4 && host->h_name[0] != 0, SETUP);
    CHECK(host->h_aliases != NULL && host->h_addr_list[0] != NULL, SETUP);
    CHECK(memcmp(host->h_addr_list[0], &loopback, 4) == 0, SETUP);
    host = named("10.20.30.40");
    REQUIRE(host != NULL && host->h_addr_list[0] != NULL, SETUP);
    CHECK_EQ(*(u_long *)host->h_addr_list[0], htonl(0x0A141E28), SETUP);
    CHECK_PTR(host->h_addr_list[1], 0, SETUP);
    host = addressed((char *)&loopback, 4, AF_INET);
    REQUIRE(host != NULL, SETUP);
    CHECK(host->h_name[0] != 0 && host->h_length == 4, SETUP);
    CHECK(memcmp(host->h_addr_list[0], &loopback, 4) == 0 && host->h_addr_list[1] == NULL, SETUP);
    CHECK_PTR(addressed((char *)&loopback, 3, AF_INET), 0, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEFAULT, SETUP);
    CHECK_PTR(addressed((char *)&loopback, 4, 77), 0, SETUP);
    CHECK_EQ(WSAGetLastError(), WSAEAFNOSUPPORT, SETUP);
    WSACleanup();
}

TEST(protocols_and_services)
{
    typedef struct protoent *WSAAPI protocol_by_name(const char *);
    typedef struct protoent *WSAAPI protocol_by_number(int);
    typedef struct servent *WSAAPI service_by_name(const char *, const char *);
    typedef struct servent *WSAAPI service_by_port(int, const char *);
    protocol_by_name *named = export_of("ws2_32.dll", MAKEINTRESOURCEA(53));
    protocol_by_number *numbered = export_of("ws2_32.dll", MAKEINTRESOURCEA(54));
    service_by_name *service = export_of("ws2_32.dll", MAKEINTRESOURCEA(55));
    service_by_port *port = export_of("ws2_32.dll", MAKEINTRESOURCEA(56));
    struct protoent *protocol;
    struct servent *found;
    REQUIRE(named && numbered && service && port && started(), SETUP);
    protocol = named("udp");
    REQUIRE(protocol != NULL, SETUP);
    CHECK(strcmp(protocol->p_name, "udp") == 0 && protocol->p_proto == 17 && protocol->p_aliases != NULL, SETUP);
    protocol = numbered(6);
    REQUIRE(protocol != NULL, SETUP);
    CHECK(strcmp(protocol->p_name, "tcp") == 0 && protocol->p_proto == 6, SETUP);
    CHECK_PTR(named("no such protocol"), 0, SETUP);
    CHECK_EQ(WSAGetLastError(), WSANO_DATA, SETUP);
    found = service("http", "tcp");
    REQUIRE(found != NULL, SETUP);
    CHECK(strcmp(found->s_name, "http") == 0 && strcmp(found->s_proto, "tcp") == 0, SETUP);
    CHECK_EQ((u_short)found->s_port, htons(80), SETUP);
    found = port(htons(53), "udp");
    REQUIRE(found != NULL, SETUP);
    CHECK(strcmp(found->s_name, "domain") == 0 && strcmp(found->s_proto, "udp") == 0, SETUP);
    CHECK(service("domain", NULL) != NULL, SETUP);
    CHECK_PTR(service("http", "no such protocol"), 0, SETUP);
    CHECK_EQ(WSAGetLastError(), WSANO_DATA, SETUP);
    WSACleanup();
}

TEST(arrays_of_automation)
{
    typedef SAFEARRAY *WINAPI create(VARTYPE, UINT, SAFEARRAYBOUND *);
    typedef HRESULT WINAPI on_array(SAFEARRAY *);
    typedef HRESULT WINAPI bound_of(SAFEARRAY *, UINT, LONG *);
    typedef HRESULT WINAPI access_data(SAFEARRAY *, void **);
    typedef BSTR WINAPI make_string(const OLECHAR *);
    typedef HRESULT WINAPI clear(VARIANTARG *);
    create *make = export_of("oleaut32.dll", MAKEINTRESOURCEA(15));
    on_array *destroy = export_of("oleaut32.dll", MAKEINTRESOURCEA(16));
    on_array *done = export_of("oleaut32.dll", MAKEINTRESOURCEA(24));
    bound_of *upper = export_of("oleaut32.dll", MAKEINTRESOURCEA(19)), *lower = export_of("oleaut32.dll", MAKEINTRESOURCEA(20));
    access_data *data = export_of("oleaut32.dll", MAKEINTRESOURCEA(23));
    make_string *string = export_of("oleaut32.dll", MAKEINTRESOURCEA(2));
    clear *empty = export_of("oleaut32.dll", MAKEINTRESOURCEA(9));
    SAFEARRAYBOUND bounds[2] = {{3, 1}, {4, -2}};
    LONG value = 0;
    void *at = NULL;
    REQUIRE(make && destroy && done && upper && lower && data && string && empty, SETUP);
    SAFEARRAY *array = make(VT_I4, 2, bounds);
    REQUIRE(array != NULL, SETUP);
    CHECK(array->cDims == 2 && array->cbElements == 4 && array->cLocks == 0, SETUP);
    /* The bounds lie there in the other order. */
    CHECK(array->rgsabound[0].cElements == 4 && array->rgsabound[1].cElements == 3, SETUP);
    CHECK(lower(array, 1, &value) == S_OK && value == 1, SETUP);
    CHECK(upper(array, 2, &value) == S_OK && value == 1, SETUP);
    CHECK_EQ(upper(array, 3, &value), DISP_E_BADINDEX, SETUP);
    REQUIRE(data(array, &at) == S_OK && at == array->pvData, SETUP);
    memset(at, 0x5A, 3 * 4 * 4);
    CHECK_EQ((ULONG)destroy(array), (ULONG)DISP_E_ARRAYISLOCKED, SETUP);
    CHECK_EQ(done(array), S_OK, SETUP);
    CHECK_EQ(destroy(array), S_OK, SETUP);
    CHECK_PTR(make(VT_I4, 0, bounds), 0, SETUP);
    array = make(VT_BSTR, 1, bounds);
    REQUIRE(array && data(array, &at) == S_OK, SETUP);
    ((BSTR *)at)[1] = string(L"text");
    CHECK_EQ(done(array), S_OK, SETUP);
    VARIANT variant = {.vt = VT_ARRAY | VT_BSTR, .parray = array};
    CHECK_EQ(empty(&variant), S_OK, SETUP);
    CHECK_EQ(variant.vt, VT_EMPTY, SETUP);
}
