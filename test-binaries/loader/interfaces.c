/*
 * Interfaces of the network and their addresses. Sources: Microsoft Learn, "GetAdaptersAddresses function (iphlpapi.h)",
 * "IP_ADAPTER_ADDRESSES_LH structure (iptypes.h)", "GetAdaptersInfo function (iphlpapi.h)", "GetNetworkParams function
 * (iphlpapi.h)", "NotifyIpInterfaceChange function (netioapi.h)", the pages of the ConvertInterface functions.
 */
#define _WIN32_WINNT 0x0601
#include "sockets.h"
#include <ws2ipdef.h>
#include <iphlpapi.h>
#include <netioapi.h>
#include <stdlib.h>
#include <string.h>

WITHOUT_PORTS

static IP_ADAPTER_ADDRESSES *adapters(ULONG family, ULONG flags)
{
    ULONG size = 0;
    if (GetAdaptersAddresses(family, flags, NULL, NULL, &size) != ERROR_BUFFER_OVERFLOW)
        return NULL;
    IP_ADAPTER_ADDRESSES *list = malloc(size);
    return GetAdaptersAddresses(family, flags, NULL, list, &size) == ERROR_SUCCESS ? list : NULL;
}

static const IP_ADAPTER_ADDRESSES *loopback_of(const IP_ADAPTER_ADDRESSES *list)
{
    while (list && list->IfType != IF_TYPE_SOFTWARE_LOOPBACK)
        list = list->Next;
    return list;
}

TEST(adapters_and_addresses)
{
    IP_ADAPTER_ADDRESSES *list = adapters(AF_UNSPEC, GAA_FLAG_INCLUDE_PREFIX | GAA_FLAG_INCLUDE_GATEWAYS);
    const IP_ADAPTER_ADDRESSES *loopback = loopback_of(list);
    const IP_ADAPTER_UNICAST_ADDRESS *unicast;
    REQUIRE(loopback != NULL, SETUP);
    for (const IP_ADAPTER_ADDRESSES *one = list; one; one = one->Next) {
        CHECK_EQ(one->Length, sizeof *one, SETUP);
        CHECK(one->IfIndex != 0 || one->Ipv6IfIndex != 0, SETUP);
        CHECK(one->AdapterName[0] && one->FriendlyName[0] && one->Description[0] && one->DnsSuffix, SETUP);
        CHECK(one->OperStatus == IfOperStatusUp || one->OperStatus == IfOperStatusDown, SETUP);
        CHECK(one->PhysicalAddressLength <= 8, SETUP);
    }
    CHECK_EQ(loopback->OperStatus, IfOperStatusUp, SETUP);
    CHECK_EQ(loopback->PhysicalAddressLength, 0, SETUP);
    CHECK_EQ(loopback->Luid.Info.IfType, IF_TYPE_SOFTWARE_LOOPBACK, SETUP);
    for (unicast = loopback->FirstUnicastAddress; unicast; unicast = unicast->Next)
        if (unicast->Address.lpSockaddr->sa_family == AF_INET)
            break;
    REQUIRE(unicast != NULL, SETUP);
    CHECK_EQ(unicast->Length, sizeof *unicast, SETUP);
    CHECK_EQ(unicast->Address.iSockaddrLength, sizeof(struct sockaddr_in), SETUP);
    CHECK_EQ(((struct sockaddr_in *)unicast->Address.lpSockaddr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK), SETUP);
    CHECK_EQ(unicast->OnLinkPrefixLength, 8, SETUP);
    CHECK_EQ(unicast->DadState, IpDadStatePreferred, SETUP);
    CHECK(loopback->FirstPrefix != NULL, SETUP);
    free(list);
}

TEST(families_and_flags)
{
    IP_ADAPTER_ADDRESSES *list = adapters(AF_INET, GAA_FLAG_SKIP_FRIENDLY_NAME);
    const IP_ADAPTER_ADDRESSES *loopback = loopback_of(list);
    ULONG size = 0;
    REQUIRE(loopback != NULL, SETUP);
    CHECK_PTR(loopback->FirstPrefix, 0, SETUP);
    for (const IP_ADAPTER_UNICAST_ADDRESS *one = loopback->FirstUnicastAddress; one; one = one->Next)
        CHECK_EQ(one->Address.lpSockaddr->sa_family, AF_INET, SETUP);
    free(list);
    list = adapters(AF_INET, GAA_FLAG_SKIP_UNICAST);
    loopback = loopback_of(list);
    REQUIRE(loopback != NULL, SETUP);
    CHECK_PTR(loopback->FirstUnicastAddress, 0, SETUP);
    free(list);
    CHECK_EQ(GetAdaptersAddresses(77, 0, NULL, NULL, &size), ERROR_INVALID_PARAMETER, SETUP);
    CHECK_EQ(GetAdaptersAddresses(AF_INET, 0, NULL, NULL, NULL), ERROR_INVALID_PARAMETER, SETUP);
}

TEST(names_numbers_and_luids)
{
    IP_ADAPTER_ADDRESSES *list = adapters(AF_INET, 0);
    const IP_ADAPTER_ADDRESSES *loopback = loopback_of(list);
    NET_LUID luid = {0}, other = {0};
    NET_IFINDEX index = 0;
    char name[IF_MAX_STRING_SIZE + 1];
    WCHAR wide[IF_MAX_STRING_SIZE + 1];
    REQUIRE(loopback != NULL, SETUP);
    CHECK_EQ(ConvertInterfaceIndexToLuid(loopback->IfIndex, &luid), NO_ERROR, SETUP);
    CHECK(luid.Value == loopback->Luid.Value, SETUP);
    CHECK_EQ(ConvertInterfaceLuidToIndex(&luid, &index), NO_ERROR, SETUP);
    CHECK_EQ(index, loopback->IfIndex, SETUP);
    CHECK_EQ(ConvertInterfaceLuidToNameW(&luid, wide, IF_MAX_STRING_SIZE + 1), NO_ERROR, SETUP);
    CHECK(wide[0] != 0, SETUP);
    CHECK_EQ(ConvertInterfaceNameToLuidW(wide, &other), NO_ERROR, SETUP);
    CHECK(other.Value == luid.Value, SETUP);
    CHECK_EQ(ConvertInterfaceLuidToNameW(&luid, wide, 1), ERROR_NOT_ENOUGH_MEMORY, SETUP);
    CHECK_PTR(if_indextoname(index, name), name, SETUP);
    CHECK_EQ(if_nametoindex(name), index, SETUP);
    CHECK_PTR(if_indextoname(0x7FFFFFF, name), 0, SETUP);
    CHECK_EQ(ConvertInterfaceIndexToLuid(0x7FFFFFF, &luid), ERROR_FILE_NOT_FOUND, SETUP);
    CHECK_EQ(ConvertInterfaceIndexToLuid(index, NULL), ERROR_INVALID_PARAMETER, SETUP);
    free(list);
}

TEST(the_older_functions)
{
    ULONG size = 0;
    FIXED_INFO *parameters;
    CHECK_EQ(GetNetworkParams(NULL, &size), ERROR_BUFFER_OVERFLOW, SETUP);
    CHECK(size >= sizeof *parameters, SETUP);
    parameters = malloc(size);
    CHECK_EQ(GetNetworkParams(parameters, &size), ERROR_SUCCESS, SETUP);
    CHECK(parameters->HostName[0] != 0 && strchr(parameters->HostName, '.') == NULL, SETUP);
    free(parameters);
    size = 0;
    DWORD result = GetAdaptersInfo(NULL, &size);
    context("without another interface than the loopback there is no data");
    REQUIRE(result == ERROR_BUFFER_OVERFLOW || result == ERROR_NO_DATA, SETUP);
    if (result == ERROR_NO_DATA)
        return;
    context(NULL);
    IP_ADAPTER_INFO *list = malloc(size);
    CHECK_EQ(GetAdaptersInfo(list, &size), ERROR_SUCCESS, SETUP);
    for (IP_ADAPTER_INFO *one = list; one; one = one->Next) {
        CHECK(one->AdapterName[0] && one->Index != 0, SETUP);
        CHECK(one->Type != MIB_IF_TYPE_LOOPBACK, SETUP);
        CHECK(inet_addr(one->IpAddressList.IpAddress.String) != INADDR_NONE, SETUP);
        CHECK(inet_addr(one->GatewayList.IpAddress.String) != INADDR_NONE, SETUP);
    }
    free(list);
}

static void CALLBACK on_change(void *context_, MIB_IPINTERFACE_ROW *row, MIB_NOTIFICATION_TYPE type)
{
    if (row == NULL && type == MibInitialNotification)
        SetEvent(context_);
}

TEST(changes_are_told_until_they_are_cancelled)
{
    HANDLE event = CreateEventA(NULL, FALSE, FALSE, NULL), handle = NULL, quiet = NULL;
    REQUIRE(NotifyIpInterfaceChange(AF_UNSPEC, on_change, event, TRUE, &handle) == NO_ERROR, SETUP);
    CHECK(handle != NULL, SETUP);
    CHECK_EQ(WaitForSingleObject(event, 10000), WAIT_OBJECT_0, SETUP);
    CHECK_EQ(NotifyIpInterfaceChange(AF_INET, on_change, event, FALSE, &quiet), NO_ERROR, SETUP);
    CHECK_EQ(WaitForSingleObject(event, 50), WAIT_TIMEOUT, SETUP);
    CHECK_EQ(CancelMibChangeNotify2(quiet), NO_ERROR, SETUP);
    CHECK_EQ(CancelMibChangeNotify2(handle), NO_ERROR, SETUP);
    CHECK_EQ(NotifyIpInterfaceChange(77, on_change, event, FALSE, &handle), ERROR_INVALID_PARAMETER, SETUP);
    CloseHandle(event);
}
