/*
 * Types of ntlpc.h: the structures of NT's port calls as 64-bit Windows lays them out. Strings are UTF-16; write L"…" as
 * u"…". Source of the layouts: lpc §1; ALPC structures are passed as pointers to memory of the same layout as on Windows.
 */
#ifndef NTLPC_TYPES_H
#define NTLPC_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef int32_t NTSTATUS;
typedef uint64_t HANDLE;
typedef uint8_t BOOLEAN;
typedef uint16_t USHORT;
typedef uint32_t ULONG;
typedef int64_t LARGE_INTEGER; /* 100 ns; negative is relative */

typedef struct {
    USHORT Length; /* bytes */
    USHORT MaximumLength;
    const void *Buffer;
} UNICODE_STRING;

typedef struct {
    ULONG Length;
    HANDLE RootDirectory;
    const UNICODE_STRING *ObjectName;
    ULONG Attributes;
    const void *SecurityDescriptor; /* self-relative */
    const void *SecurityQualityOfService;
} OBJECT_ATTRIBUTES;

typedef struct {
    ULONG Length;
    ULONG ImpersonationLevel; /* 0 Anonymous … 3 Delegation */
    BOOLEAN ContextTrackingMode; /* 1 = dynamic */
    BOOLEAN EffectiveOnly;
} SECURITY_QUALITY_OF_SERVICE;

typedef struct {
    uint64_t UniqueProcess;
    uint64_t UniqueThread;
} CLIENT_ID;

typedef struct {
    USHORT DataLength;
    USHORT TotalLength;
    USHORT Type; /* LPC_… */
    USHORT DataInfoOffset;
    CLIENT_ID ClientId;
    ULONG MessageId;
    union {
        uint64_t ClientViewSize;
        ULONG CallbackId;
    };
} PORT_MESSAGE;

typedef struct {
    ULONG Length;
    HANDLE SectionHandle; /* of ntlpc_section */
    ULONG SectionOffset;
    uint64_t ViewSize;
    void *ViewBase;
    void *ViewRemoteBase;
} PORT_VIEW;

typedef struct {
    ULONG Length;
    uint64_t ViewSize;
    void *ViewBase;
} REMOTE_PORT_VIEW;

typedef struct {
    void *Base;
    ULONG Size;
} PORT_DATA_ENTRY;

enum {
    LPC_REQUEST = 1,
    LPC_REPLY = 2,
    LPC_DATAGRAM = 3,
    LPC_LOST_REPLY = 4,
    LPC_PORT_CLOSED = 5,
    LPC_CLIENT_DIED = 6,
    LPC_EXCEPTION = 7,
    LPC_DEBUG_EVENT = 8,
    LPC_ERROR_EVENT = 9,
    LPC_CONNECTION_REQUEST = 10,
    LPC_NO_IMPERSONATE = 0x4000,
};

#define NTLPC_ASSERT(name, condition) typedef char ntlpc_assert_##name[(condition) ? 1 : -1]
NTLPC_ASSERT(message, sizeof(PORT_MESSAGE) == 40 && offsetof(PORT_MESSAGE, MessageId) == 24);
NTLPC_ASSERT(view, sizeof(PORT_VIEW) == 48 && sizeof(REMOTE_PORT_VIEW) == 24);
NTLPC_ASSERT(attributes, sizeof(OBJECT_ATTRIBUTES) == 48 && sizeof(SECURITY_QUALITY_OF_SERVICE) == 12);

#endif
