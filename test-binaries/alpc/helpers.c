/* The attribute helpers of ntdll: alpc §2.17, statements 1–24. */
#include "../alpc.h"

#ifdef _WIN64
#define BY_WIDTH(x86, x64) (x64)
#else
#define BY_WIDTH(x86, x64) (x86)
#endif

enum { ALL_SIZE = BY_WIDTH(0x6C, 0xA0) };

static const struct {
    ULONG flag;
    ULONG size;
    int cite;
} known[] = {{ALPC_WORK_ON_BEHALF_ATTRIBUTE, 8, alpc(3)},
             {ALPC_DIRECT_ATTRIBUTE, BY_WIDTH(4, 8), alpc(4)},
             {ALPC_TOKEN_ATTRIBUTE, 0x18, alpc(5)},
             {ALPC_HANDLE_ATTRIBUTE, BY_WIDTH(0x10, 0x18), alpc(6)},
             {ALPC_CONTEXT_ATTRIBUTE, BY_WIDTH(0x14, 0x20), alpc(7)},
             {ALPC_VIEW_ATTRIBUTE, BY_WIDTH(0x10, 0x20), alpc(8)},
             {ALPC_SECURITY_ATTRIBUTE, BY_WIDTH(0xC, 0x18), alpc(9)}};

TEST(header_sizes)
{
    NEED_HELPERS;
    CHECK_EQ(AlpcGetHeaderSize(0), 8, alpc(1));
    for (int bit = 0; bit < 25; bit++) {
        context("bit %d", bit);
        CHECK_EQ(AlpcGetHeaderSize(1u << bit), 8, alpc(2));
    }
    context(NULL);
    for (int i = 0; i < 7; i++) {
        CHECK_EQ(AlpcGetHeaderSize(known[i].flag), 8 + known[i].size, known[i].cite);
        for (int k = 0; k < i; k++)
            CHECK_EQ(AlpcGetHeaderSize(known[i].flag | known[k].flag), 8 + known[i].size + known[k].size, alpc(11));
    }
    CHECK_EQ(AlpcGetHeaderSize(0xFFFFFFFF), ALL_SIZE, alpc(10));
}

TEST(initialize)
{
    union {
        ALPC_MESSAGE_ATTRIBUTES a;
        UCHAR bytes[256];
    } buffer;
    SIZE_T required = 0;
    NEED_HELPERS;
    CHECK_STATUS(AlpcInitializeMessageAttribute(0xFFFFFFFF, NULL, 0, &required), STATUS_SUCCESS, alpc(12));
    CHECK_EQ(required, ALL_SIZE, alpc(12));
    memset(&buffer, 0x77, sizeof buffer);
    required = 0;
    CHECK_STATUS(AlpcInitializeMessageAttribute(0xFFFFFFFF, &buffer.a, ALL_SIZE - 1, &required),
                 STATUS_BUFFER_TOO_SMALL, alpc(13));
    CHECK_EQ(required, ALL_SIZE, alpc(13));
    CHECK_EQ(buffer.a.AllocatedAttributes, 0x77777777, alpc(13));
    CHECK_EQ(buffer.a.ValidAttributes, 0x77777777, alpc(13));
    CHECK_STATUS(AlpcInitializeMessageAttribute(ALPC_VIEW_ATTRIBUTE, &buffer.a,
                                                AlpcGetHeaderSize(ALPC_VIEW_ATTRIBUTE) + 1, &required),
                 STATUS_SUCCESS, alpc(14));
    CHECK_EQ(buffer.a.AllocatedAttributes, ALPC_VIEW_ATTRIBUTE, alpc(14));
    CHECK_EQ(buffer.a.ValidAttributes, 0, alpc(14));
    for (int i = 8; i < 256; i++)
        CHECK_EQ(buffer.bytes[i], 0x77, alpc(15));
    CHECK_STATUS(AlpcInitializeMessageAttribute(0xFFFFFFFF, &buffer.a, sizeof buffer, &required), STATUS_SUCCESS,
                 alpc(16));
    CHECK_EQ(buffer.a.AllocatedAttributes, 0xFFFFFFFF, alpc(16));
}

TEST(find_attribute)
{
    union {
        ALPC_MESSAGE_ATTRIBUTES a;
        UCHAR bytes[256];
    } buffer;
    NEED_HELPERS;
    memset(&buffer, 0, sizeof buffer);
    buffer.a.AllocatedAttributes = 0xFFFFFFFF;
    CHECK_PTR(AlpcGetMessageAttribute(&buffer.a, 0), NULL, alpc(17));
    CHECK_PTR(AlpcGetMessageAttribute(&buffer.a, 1), NULL, alpc(18));
    CHECK_PTR(AlpcGetMessageAttribute(&buffer.a, ALPC_VIEW_ATTRIBUTE | ALPC_CONTEXT_ATTRIBUTE), NULL, alpc(21));
    ULONG above = 0;
    for (int i = 6; i >= 0; i--) {
        CHECK_PTR(AlpcGetMessageAttribute(&buffer.a, known[i].flag), buffer.bytes + AlpcGetHeaderSize(above), alpc(22));
        above |= known[i].flag;
    }
    CHECK(AlpcGetMessageAttribute(&buffer.a, ALPC_CONTEXT_ATTRIBUTE) != NULL, alpc(20));
    for (int i = 0; i < 7; i++) {
        buffer.a.AllocatedAttributes = known[i].flag;
        CHECK_PTR(AlpcGetMessageAttribute(&buffer.a, known[i].flag), buffer.bytes + 8, alpc(23));
        buffer.a.AllocatedAttributes = ~known[i].flag;
        buffer.a.ValidAttributes = 0xFFFFFFFF;
        CHECK_PTR(AlpcGetMessageAttribute(&buffer.a, known[i].flag), NULL, alpc(19));
        buffer.a.ValidAttributes = 0;
    }
}

TEST(largest_message)
{
    NEED_HELPERS;
    CHECK_EQ(AlpcMaxAllowedMessageLength(), BY_WIDTH(0xFFEF, 0xFFFF), alpc(24));
}

/* A helper is ntdll's own code: a bad pointer raises where a service returns a status. */
static void *missing_page;
static ULONG raised;

static LONG CALLBACK supply_page(EXCEPTION_POINTERS *info)
{
    const EXCEPTION_RECORD *record = info->ExceptionRecord;
    if (record->ExceptionCode != (DWORD)STATUS_ACCESS_VIOLATION || record->NumberParameters < 2 ||
        (record->ExceptionInformation[1] & ~(ULONG_PTR)0xFFF) != (ULONG_PTR)missing_page)
        return EXCEPTION_CONTINUE_SEARCH;
    raised++;
    VirtualAlloc(missing_page, 0x1000, MEM_COMMIT, PAGE_READWRITE);
    return EXCEPTION_CONTINUE_EXECUTION;
}

TEST(bad_pointer_raises)
{
    NEED_HELPERS;
    PVOID handler = AddVectoredExceptionHandler(1, supply_page);
    missing_page = VirtualAlloc(NULL, 0x1000, MEM_RESERVE, PAGE_NOACCESS);
    REQUIRE(handler != NULL && missing_page != NULL, SETUP);
    AlpcGetMessageAttribute(missing_page, ALPC_VIEW_ATTRIBUTE);
    CHECK_EQ(raised, 1, SETUP);
    VirtualFree(missing_page, 0, MEM_RELEASE);
    missing_page = VirtualAlloc(NULL, 0x1000, MEM_RESERVE, PAGE_NOACCESS);
    REQUIRE(missing_page != NULL, SETUP);
    AlpcRegisterCompletionListWorkerThread(missing_page);
    CHECK_EQ(raised, 2, SETUP);
    VirtualFree(missing_page, 0, MEM_RELEASE);
    RemoveVectoredExceptionHandler(handler);
}
