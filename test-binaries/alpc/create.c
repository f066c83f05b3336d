/* NtAlpcCreatePort: alpc §2.1, statements 25–41. */
#include "../alpc.h"

enum { ObjectBasicInformation = 0, ObjectNameInformation = 1, ObjectTypeInformation = 2, AlpcBasicInformation = 0 };

TEST(pointers)
{
    HANDLE port;
    NEED_ALPC;
    OBJECT_ATTRIBUTES oa = attributes(NULL);
    ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(0, 0x400);
    CHECK_STATUS(NtAlpcCreatePort(NULL, NULL, NULL), STATUS_ACCESS_VIOLATION, alpc(25));
    CHECK_STATUS(NtAlpcCreatePort(unmapped(), &oa, &port_attributes), STATUS_ACCESS_VIOLATION, alpc(25));
    CHECK_STATUS(NtAlpcCreatePort(&port, NULL, &port_attributes), STATUS_SUCCESS, alpc(26));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, alpc(26));
    CHECK_STATUS(NtAlpcCreatePort(&port, &oa, NULL), STATUS_SUCCESS, alpc(27));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, alpc(27));
    CHECK_STATUS(NtAlpcCreatePort(&port, NULL, NULL), STATUS_SUCCESS, alpc(28));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, alpc(28));
}

TEST(object)
{
    struct {
        UNICODE_STRING name;
        WCHAR text[256];
    } named;
    ULONG basic[14], returned;
    WCHAR name[64];
    HANDLE port;
    NEED_ALPC;
    NEED(NtQueryObject);
    REQUIRE_STATUS(alpc_create(&port, name, 0, 0x400), STATUS_SUCCESS, alpc(39));
    memset(basic, 0xAA, sizeof basic);
    CHECK_STATUS(NtQueryObject(port, ObjectBasicInformation, basic, sizeof basic, &returned), STATUS_SUCCESS, alpc(29));
    CHECK_EQ(basic[1], PORT_ALL_ACCESS, alpc(29));
    CHECK_EQ(basic[0], 0, alpc(30));
    union {
        UNICODE_STRING name;
        UCHAR bytes[512];
    } type;
    CHECK_STATUS(NtQueryObject(port, ObjectTypeInformation, &type, sizeof type, &returned), STATUS_SUCCESS, alpc(31));
    CHECK_EQ(type.name.Length, sizeof L"ALPC Port" - 2, alpc(31));
    CHECK(memcmp(type.name.Buffer, L"ALPC Port", sizeof L"ALPC Port" - 2) == 0, alpc(31));
    CHECK_STATUS(NtQueryObject(port, ObjectNameInformation, &named, sizeof named, &returned), STATUS_SUCCESS, alpc(32));
    UNICODE_STRING want = unicode(name);
    CHECK_EQ(named.name.Length, want.Length, alpc(32));
    CHECK(named.name.Length == want.Length && memcmp(named.name.Buffer, name, want.Length) == 0, alpc(32));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtQueryObject(port, ObjectBasicInformation, basic, sizeof basic, &returned), STATUS_INVALID_HANDLE,
                 alpc(35));
}

TEST(names)
{
    WCHAR name[64], elsewhere[64] = L"\\BaseNamedObjects\\lpctest-alpc";
    HANDLE port, second = UNTOUCHED;
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&port, name, 0, 0x400), STATUS_SUCCESS, alpc(39));
    UNICODE_STRING string = unicode(name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    CHECK_STATUS(NtAlpcCreatePort(&second, &oa, NULL), STATUS_OBJECT_NAME_COLLISION, alpc(33));
    CHECK_PTR(second, UNTOUCHED, alpc(33));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcCreatePort(&port, &oa, NULL), STATUS_SUCCESS, alpc(34));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
    string = unicode(elsewhere);
    CHECK_STATUS(NtAlpcCreatePort(&port, &oa, NULL), STATUS_SUCCESS, alpc(40));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}

TEST(names_of_other_objects)
{
    WCHAR name[] = L"\\BaseNamedObjects\\lpctest-alpc-event";
    UNICODE_STRING string = unicode(name);
    OBJECT_ATTRIBUTES oa = attributes(&string);
    HANDLE event, port = UNTOUCHED;
    NEED_ALPC;
    REQUIRE_STATUS(NtCreateEvent(&event, EVENT_ALL_ACCESS, &oa, 0, FALSE), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcCreatePort(&port, &oa, NULL), STATUS_OBJECT_NAME_COLLISION, alpc(42));
    CHECK_PTR(port, UNTOUCHED, alpc(42));
    CHECK_STATUS(NtAlpcConnectPort(&port, &string, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL),
                 STATUS_OBJECT_TYPE_MISMATCH, SETUP);
    CHECK_PTR(port, UNTOUCHED, SETUP);
    CHECK_STATUS(NtClose(event), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcCreatePort(&port, &oa, NULL), STATUS_SUCCESS, alpc(42));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}

TEST(length_of_the_quality_of_service)
{
    static const ULONG lengths[] = {0, 11, 13, 0xFFFFFFFF};
    HANDLE port;
    NEED_ALPC;
    for (int i = 0; i < 4; i++) {
        ALPC_PORT_ATTRIBUTES port_attributes = alpc_attributes(0, 0x400);
        port_attributes.SecurityQos.Length = lengths[i];
        NTSTATUS status = NtAlpcCreatePort(&port, NULL, &port_attributes);
        context("Length %lu gives %s", lengths[i], status_name(status));
        CHECK(status == STATUS_SUCCESS || status == STATUS_INVALID_PARAMETER, alpc(43));
        if (status == STATUS_SUCCESS)
            CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
    }
    context(NULL);
}

TEST(flags_and_lengths)
{
    WCHAR name[64];
    HANDLE port;
    NEED_ALPC;
    for (int bit = 0; bit < 32; bit++) {
        ULONG flags = 1u << bit;
        context("Flags %#lx", flags);
        if (flags == 0x100000) {
            CHECK_STATUS(alpc_create(&port, name, flags, 0x400), STATUS_INVALID_PARAMETER, alpc(37));
            continue;
        }
        if (CHECK_STATUS(alpc_create(&port, name, flags, 0x400), STATUS_SUCCESS, alpc(36)))
            CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
    }
    context(NULL);
    CHECK_STATUS(alpc_create(&port, name, 0, 0x10000), STATUS_INVALID_PARAMETER, alpc(38));
    CHECK_STATUS(alpc_create(&port, name, 0, 0xFFFF), STATUS_SUCCESS, alpc(38));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}

TEST(basic_information_of_a_fresh_port)
{
    ALPC_BASIC_INFORMATION basic = {0x77777777, 0x77777777, UNTOUCHED};
    WCHAR name[64];
    HANDLE port;
    NEED_ALPC;
    REQUIRE_STATUS(alpc_create(&port, name, 0x60000, 0x400), STATUS_SUCCESS, SETUP);
    CHECK_STATUS(NtAlpcQueryInformation(port, AlpcBasicInformation, &basic, sizeof basic, NULL), STATUS_SUCCESS,
                 alpc(41));
    CHECK_EQ(basic.Flags, 0x60000, alpc(41));
    CHECK_EQ(basic.SequenceNo, 0, alpc(41));
    CHECK_PTR(basic.PortContext, NULL, alpc(41));
    CHECK_STATUS(NtClose(port), STATUS_SUCCESS, SETUP);
}
