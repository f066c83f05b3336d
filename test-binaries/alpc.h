/* ALPC calls, structures and helpers, declared from the public layouts (alpc §1, appendix A). Used with lpctest.h. */
#ifndef ALPC_H
#define ALPC_H

#include "lpctest.h"

#ifndef STATUS_LPC_HANDLE_COUNT_EXCEEDED
#define STATUS_LPC_HANDLE_COUNT_EXCEEDED ((NTSTATUS)0xC0000722)
#endif

/* alpc §1.3 */
typedef struct {
    ULONG Flags;
    SECURITY_QUALITY_OF_SERVICE SecurityQos;
    SIZE_T MaxMessageLength;
    SIZE_T MemoryBandwidth;
    SIZE_T MaxPoolUsage;
    SIZE_T MaxSectionSize;
    SIZE_T MaxViewSize;
    SIZE_T MaxTotalSectionSize;
    ULONG DupObjectTypes;
#ifdef _WIN64
    ULONG Reserved;
#endif
} ALPC_PORT_ATTRIBUTES;

/* alpc §1.4 */
typedef struct {
    ULONG AllocatedAttributes;
    ULONG ValidAttributes;
} ALPC_MESSAGE_ATTRIBUTES;

enum {
    ALPC_PORTFLG_ALLOW_IMPERSONATION = 0x10000,
    ALPC_PORTFLG_ALLOW_LPC_REQUESTS = 0x20000,
    ALPC_PORTFLG_WAITABLE_PORT = 0x40000,
    ALPC_PORTFLG_ALLOW_DUP_OBJECT = 0x80000,
    ALPC_MSGFLG_RELEASE_MESSAGE = 0x10000,
    ALPC_MSGFLG_SYNC_REQUEST = 0x20000,
    LPC_CONTINUATION_REQUIRED = 0x2000,
    LPC_CONNECTION_REPLY = 11,
    LPC_CANCELED = 12,
};
#define ALPC_SECURITY_ATTRIBUTE 0x80000000u
#define ALPC_VIEW_ATTRIBUTE 0x40000000u
#define ALPC_CONTEXT_ATTRIBUTE 0x20000000u
#define ALPC_HANDLE_ATTRIBUTE 0x10000000u
#define ALPC_TOKEN_ATTRIBUTE 0x08000000u
#define ALPC_DIRECT_ATTRIBUTE 0x04000000u
#define ALPC_WORK_ON_BEHALF_ATTRIBUTE 0x02000000u

/* alpc §1.5 */
typedef struct {
    PVOID PortContext;
    PVOID MessageContext;
    ULONG Sequence;
    ULONG MessageId;
    ULONG CallbackId;
} ALPC_CONTEXT_ATTR;

typedef struct {
    ULONG Flags;
    HANDLE SectionHandle;
    PVOID ViewBase;
    SIZE_T ViewSize;
} ALPC_DATA_VIEW_ATTR;

typedef struct {
    ULONG Flags;
    SECURITY_QUALITY_OF_SERVICE *QoS;
    HANDLE ContextHandle;
} ALPC_SECURITY_ATTR;

typedef struct {
    ULONG Flags;
    HANDLE Handle;
    ULONG ObjectType;
    ULONG DesiredAccess;
} ALPC_HANDLE_ATTR;

typedef struct {
    ULONG Flags;
    ULONG Handle;
    ULONG ObjectType;
    ULONG DesiredAccess;
} ALPC_HANDLE_ATTR32;

typedef struct {
    ULONGLONG TokenId;
    ULONGLONG AuthenticationId;
    ULONGLONG ModifiedId;
} ALPC_TOKEN_ATTR;

typedef struct {
    ULONG Index;
    ULONG Flags;
    ULONG Handle;
    ULONG ObjectType;
    ULONG GrantedAccess;
} ALPC_MESSAGE_HANDLE_INFORMATION;

/* alpc §1.6, class 2 */
typedef struct {
    PVOID CompletionKey;
    HANDLE CompletionPort;
} ALPC_PORT_ASSOCIATE_COMPLETION_PORT;

/* Class 4, what comes back; the name follows. */
typedef struct {
    BOOLEAN ThreadBlocked;
    HANDLE ConnectedProcessId;
    UNICODE_STRING ConnectionPortName;
} ALPC_SERVER_INFORMATION;

/* Class 5. */
typedef struct {
    PVOID Buffer;
    ULONG Size;
} ALPC_PORT_MESSAGE_ZONE_INFORMATION;

/* Class 6. */
typedef struct {
    PVOID Buffer;
    ULONG Size;
    ULONG ConcurrencyCount;
    ULONG AttributeFlags;
} ALPC_PORT_COMPLETION_LIST_INFORMATION;

/* Class 12. */
typedef struct {
    ULONG SessionId;
    ULONG ProcessId;
} ALPC_SERVER_SESSION_INFORMATION;

/* alpc §1.6, class 0 */
typedef struct {
    ULONG Flags;
    ULONG SequenceNo;
    PVOID PortContext;
} ALPC_BASIC_INFORMATION;

/* alpc §1.8 */
#define ALIGNED(bytes) __attribute__((aligned(bytes)))
#define ALPC_COMPLETION_LIST_START_MAGIC 0xDEADBEEFBAADF00Dull
#define ALPC_COMPLETION_LIST_END_MAGIC 0xBAADF00DDEADBEEFull
typedef union {
    struct {
        ULONG64 Head : 24;
        ULONG64 Tail : 24;
        ULONG64 ActiveThreadCount : 16;
    };
    volatile ULONG64 Value;
} ALPC_COMPLETION_LIST_STATE;

typedef struct {
    ULONG64 StartMagic;
    ULONG TotalSize;
    ULONG ListOffset;
    ULONG ListSize;
    ULONG BitmapOffset;
    ULONG BitmapSize;
    ULONG DataOffset;
    ULONG DataSize;
    ULONG AttributeFlags;
    ULONG AttributeSize;
    ALIGNED(128) ALPC_COMPLETION_LIST_STATE State;
    ULONG LastMessageId;
    ULONG LastCallbackId;
    ALIGNED(128) ULONG PostCount;
    ALIGNED(128) ULONG ReturnCount;
    ALIGNED(128) ULONG LogSequenceNumber;
    ALIGNED(128) PVOID UserLock;
    ALIGNED(8) ULONG64 EndMagic;
} ALPC_COMPLETION_LIST_HEADER;

#define ALPC_CALLS(X)                                                                                                  \
    X(NTSTATUS, NtAlpcCreatePort, (HANDLE * port, OBJECT_ATTRIBUTES * object, ALPC_PORT_ATTRIBUTES * port_attributes)) \
    X(NTSTATUS, NtAlpcConnectPort,                                                                                     \
      (HANDLE * port, UNICODE_STRING * name, OBJECT_ATTRIBUTES * object, ALPC_PORT_ATTRIBUTES * port_attributes,       \
       ULONG flags, PSID server_sid, PORT_MESSAGE * message, SIZE_T * length, ALPC_MESSAGE_ATTRIBUTES * out,           \
       ALPC_MESSAGE_ATTRIBUTES * in, LARGE_INTEGER * timeout))                                                         \
    X(NTSTATUS, NtAlpcAcceptConnectPort,                                                                               \
      (HANDLE * port, HANDLE connection_port, ULONG flags, OBJECT_ATTRIBUTES * object,                                 \
       ALPC_PORT_ATTRIBUTES * port_attributes, PVOID port_context, PORT_MESSAGE * request,                             \
       ALPC_MESSAGE_ATTRIBUTES * message_attributes, BOOLEAN accept))                                                  \
    X(NTSTATUS, NtAlpcSendWaitReceivePort,                                                                             \
      (HANDLE port, ULONG flags, PORT_MESSAGE * send, ALPC_MESSAGE_ATTRIBUTES * send_attributes,                       \
       PORT_MESSAGE * receive, SIZE_T * length, ALPC_MESSAGE_ATTRIBUTES * receive_attributes,                          \
       LARGE_INTEGER * timeout))                                                                                       \
    X(NTSTATUS, NtAlpcDisconnectPort, (HANDLE port, ULONG flags))                                                      \
    X(NTSTATUS, NtAlpcCancelMessage, (HANDLE port, ULONG flags, ALPC_CONTEXT_ATTR * message))                          \
    X(NTSTATUS, NtAlpcQueryInformation, (HANDLE port, ULONG class, PVOID buffer, ULONG length, ULONG * returned))      \
    X(NTSTATUS, NtAlpcQueryInformationMessage,                                                                         \
      (HANDLE port, PORT_MESSAGE * message, ULONG class, PVOID buffer, ULONG length, ULONG * returned))                \
    X(NTSTATUS, NtAlpcSetInformation, (HANDLE port, ULONG class, PVOID buffer, ULONG length))                          \
    X(NTSTATUS, NtAlpcConnectPortEx,                                                                                   \
      (HANDLE * port, OBJECT_ATTRIBUTES * connection_port, OBJECT_ATTRIBUTES * client_port,                            \
       ALPC_PORT_ATTRIBUTES * port_attributes, ULONG flags, PVOID server_security, PORT_MESSAGE * message,             \
       SIZE_T * length, ALPC_MESSAGE_ATTRIBUTES * out, ALPC_MESSAGE_ATTRIBUTES * in, LARGE_INTEGER * timeout))         \
    X(NTSTATUS, NtAlpcQueryInformationMessage,                                                                         \
      (HANDLE port, PORT_MESSAGE * message, ULONG class, PVOID buffer, ULONG length, ULONG * returned))                \
    X(NTSTATUS, NtAlpcImpersonateClientOfPort, (HANDLE port, PORT_MESSAGE * message, PVOID flags))                     \
    X(NTSTATUS, NtAlpcImpersonateClientContainerOfPort, (HANDLE port, PORT_MESSAGE * message, ULONG flags))            \
    X(ULONG, NtQueryPortInformationProcess, (void))                                                                    \
    X(NTSTATUS, NtAlpcCreatePortSection,                                                                               \
      (HANDLE port, ULONG flags, HANDLE section, SIZE_T size, HANDLE * alpc_section, SIZE_T * actual))                 \
    X(NTSTATUS, NtAlpcDeletePortSection, (HANDLE port, ULONG flags, HANDLE alpc_section))                              \
    X(NTSTATUS, NtAlpcCreateSectionView, (HANDLE port, ULONG flags, ALPC_DATA_VIEW_ATTR * view))                       \
    X(NTSTATUS, NtAlpcDeleteSectionView, (HANDLE port, ULONG flags, PVOID base))                                       \
    X(NTSTATUS, NtAlpcCreateResourceReserve, (HANDLE port, ULONG flags, SIZE_T size, ULONG * id))                      \
    X(NTSTATUS, NtAlpcDeleteResourceReserve, (HANDLE port, ULONG flags, ULONG id))                                     \
    X(NTSTATUS, NtAlpcCreateSecurityContext, (HANDLE port, ULONG flags, ALPC_SECURITY_ATTR * attribute))               \
    X(NTSTATUS, NtAlpcDeleteSecurityContext, (HANDLE port, ULONG flags, HANDLE security_context))                      \
    X(NTSTATUS, NtAlpcRevokeSecurityContext, (HANDLE port, ULONG flags, HANDLE security_context))                      \
    X(NTSTATUS, NtAlpcOpenSenderProcess,                                                                               \
      (HANDLE * process, HANDLE port, PORT_MESSAGE * message, ULONG flags, ULONG access, OBJECT_ATTRIBUTES * object))  \
    X(NTSTATUS, NtAlpcOpenSenderThread,                                                                                \
      (HANDLE * thread, HANDLE port, PORT_MESSAGE * message, ULONG flags, ULONG access, OBJECT_ATTRIBUTES * object))

/* ntdll's own code for ALPC: no system calls but in the calls that name a port. */
#define ALPC_HELPERS(X)                                                                                                \
    X(ULONG, AlpcGetHeaderSize, (ULONG attribute_flags))                                                               \
    X(NTSTATUS, AlpcInitializeMessageAttribute,                                                                        \
      (ULONG attribute_flags, ALPC_MESSAGE_ATTRIBUTES * buffer, SIZE_T size, SIZE_T * required))                       \
    X(PVOID, AlpcGetMessageAttribute, (ALPC_MESSAGE_ATTRIBUTES * buffer, ULONG attribute_flag))                        \
    X(ULONG, AlpcMaxAllowedMessageLength, (void))                                                                      \
    X(NTSTATUS, AlpcRegisterCompletionList,                                                                            \
      (HANDLE port, PVOID list, ULONG size, ULONG concurrency, ULONG attribute_flags))                                 \
    X(NTSTATUS, AlpcUnregisterCompletionList, (HANDLE port))                                                           \
    X(NTSTATUS, AlpcRundownCompletionList, (HANDLE port))                                                              \
    X(NTSTATUS, AlpcAdjustCompletionListConcurrencyCount, (HANDLE port, ULONG concurrency))                            \
    X(BOOLEAN, AlpcRegisterCompletionListWorkerThread, (PVOID list))                                                   \
    X(BOOLEAN, AlpcUnregisterCompletionListWorkerThread, (PVOID list))                                                 \
    X(ULONG, AlpcGetOutstandingCompletionListMessageCount, (PVOID list))                                               \
    X(void, AlpcGetCompletionListLastMessageInformation, (PVOID list, ULONG * message_id, ULONG * callback_id))        \
    X(PORT_MESSAGE *, AlpcGetMessageFromCompletionList, (PVOID list, ALPC_MESSAGE_ATTRIBUTES * *attributes))           \
    X(ULONG, AlpcFreeCompletionListMessage, (PVOID list, PORT_MESSAGE * message))                                      \
    X(ALPC_MESSAGE_ATTRIBUTES *, AlpcGetCompletionListMessageAttributes, (PVOID list, PORT_MESSAGE * message))

#define DECLARE_CALL_(result, name, args) extern result(NTAPI *name) args;
ALPC_CALLS(DECLARE_CALL_)
ALPC_HELPERS(DECLARE_CALL_)
#undef DECLARE_CALL_

/* Fills the call variables; FALSE, with a note, if ntdll lacks one. Every test starts with it. */
BOOL alpc_resolve(void);
#define NEED_ALPC REQUIRE(alpc_resolve(), SETUP)
/* As alpc_resolve, for the helpers alone. */
BOOL alpc_resolve_helpers(void);
#define NEED_HELPERS REQUIRE(alpc_resolve_helpers(), SETUP)

ALPC_PORT_ATTRIBUTES alpc_attributes(ULONG flags, SIZE_T max_message);
/* Makes a connection port in \RPC Control whose name is written to `name`. */
NTSTATUS alpc_create(HANDLE *port, WCHAR name[64], ULONG flags, SIZE_T max_message);
/* Receives within some milliseconds; `length` is the capacity and becomes what the call wrote. */
NTSTATUS alpc_receive(HANDLE port, struct msg *m, SIZE_T *length, ALPC_MESSAGE_ATTRIBUTES *attributes, ULONG ms);
NTSTATUS alpc_send(HANDLE port, ULONG flags, struct msg *m);

/* A buffer with room for every attribute. */
struct alpc_buffer {
    union {
        ALPC_MESSAGE_ATTRIBUTES a;
        UCHAR bytes[256];
    };
};
enum { SAME_ACCESS = 0x10000, INDIRECT = 0x40000, MULTIHANDLE = 0x2000000 };
enum { UNMAP_EXISTING = 0x10000, AUTO_RELEASE = 0x20000, SECURED = 0x40000 };

/* An attribute buffer with a context alone. */
struct alpc_context_buffer {
    ALPC_MESSAGE_ATTRIBUTES a;
    ALPC_CONTEXT_ATTR context;
};
/* `cookie`, if it is not NULL, is a valid MessageContext. */
struct alpc_context_buffer alpc_context_buffer(PVOID cookie);

/* Gives the buffer room for some attributes, none of them valid. */
void alpc_allocate(struct alpc_buffer *attributes, ULONG flags);
/* Returns where an allocated attribute is. */
void *alpc_attribute(struct alpc_buffer *attributes, ULONG flag);
/* Makes the buffer one with one valid attribute. */
void alpc_single(struct alpc_buffer *attributes, ULONG flag, const void *value, SIZE_T size);
/* Sends a message with one attribute. */
NTSTATUS alpc_send_with(HANDLE port, ULONG flags, struct msg *m, ULONG flag, const void *value, SIZE_T size);
/* Receives a message within five seconds with room for some attributes. */
NTSTATUS alpc_receive_with(HANDLE port, struct msg *m, struct alpc_buffer *got, ULONG flags);
/* Answers a message for good, with one byte. */
NTSTATUS alpc_answer(HANDLE port, struct msg *m);
/* Makes a view of a new section of a port; FALSE if that fails. */
BOOL alpc_new_view(HANDLE port, ULONG flags, ALPC_DATA_VIEW_ATTR *view);

/* A connection within one process: asynchronous connect, accept, and the connection reply read. */
struct alpc_pair {
    WCHAR name[64];
    HANDLE conn, srv, cli;
};
BOOL alpc_pair_open(struct alpc_pair *p, ULONG flags, PVOID port_context);
void alpc_pair_close(struct alpc_pair *p);

/* NtAlpcSendWaitReceivePort with ALPC_MSGFLG_SYNC_REQUEST in a thread of its own. */
struct alpc_calling {
    HANDLE port;
    struct msg request, reply;
    SIZE_T length;
    NTSTATUS status;
};
void alpc_call_init(struct alpc_calling *c, HANDLE port, USHORT length);
BOOL alpc_call_start(struct alpc_calling *c, struct worker *worker);

/* Has a completion port told of a port's messages (class 2); `length` is what the caller says of the structure. */
NTSTATUS alpc_associate(HANDLE port, HANDLE completion, ULONG_PTR key, ULONG length);
/* Takes a packet of a completion port. */
BOOL alpc_packet(HANDLE completion, ULONG_PTR *key, DWORD ms);

#endif
