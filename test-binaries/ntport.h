/*
 * Port calls of ntdll and their structures, declared from the public layouts (lpc §1, §2), and helpers that build
 * arguments. The calls are variables filled by GetProcAddress, or, with LPCTEST_STATIC_IMPORT, static imports.
 */
#ifndef NTPORT_H
#define NTPORT_H

#define WIN32_LEAN_AND_MEAN
#define WIN32_NO_STATUS
#include <windows.h>
#undef WIN32_NO_STATUS
#include <ntstatus.h>
#include <stddef.h>
#include <string.h>

typedef LONG NTSTATUS;

/* lpc §1.2 */
typedef struct {
    USHORT Length; /* bytes, without a terminator */
    USHORT MaximumLength;
    PWSTR Buffer;
} UNICODE_STRING;

typedef struct {
    ULONG Length;
    HANDLE RootDirectory;
    UNICODE_STRING *ObjectName;
    ULONG Attributes;
    PVOID SecurityDescriptor;
    PVOID SecurityQualityOfService;
} OBJECT_ATTRIBUTES;

/*
 * On 64-bit systems 32-bit programs too pass ports the structures of 64-bit programs (lpc#6): -DWOW64_PORTS. PORT_FIELD
 * is a member of pointer size there.
 */
#if defined(_WIN64) || defined(WOW64_PORTS)
#define WIDE_PORTS 1
#else
#define WIDE_PORTS 0
#endif
#ifdef WOW64_PORTS
#define PORT_ALIGNED __attribute__((aligned(8)))
#define PORT_FIELD(type, name)                                                                                         \
    type name PORT_ALIGNED;                                                                                            \
    ULONG name##High
#else
#define PORT_ALIGNED
#define PORT_FIELD(type, name) type name
#endif

typedef struct {
    PORT_FIELD(HANDLE, UniqueProcess);
    PORT_FIELD(HANDLE, UniqueThread);
} CLIENT_ID;

enum {
    OBJ_INHERIT = 0x002,
    OBJ_PERMANENT = 0x010,
    OBJ_EXCLUSIVE = 0x020,
    OBJ_CASE_INSENSITIVE = 0x040,
    OBJ_OPENIF = 0x080,
    OBJ_OPENLINK = 0x100,
    OBJ_KERNEL_HANDLE = 0x200,
    OBJ_FORCE_ACCESS_CHECK = 0x400,
};

/* lpc §1.1 */
typedef struct {
    USHORT DataLength;
    USHORT TotalLength;
    USHORT Type;
    USHORT DataInfoOffset;
    union {
        CLIENT_ID ClientId;
        double force_alignment;
    };
    ULONG MessageId;
    union {
        SIZE_T ClientViewSize PORT_ALIGNED;
        ULONG CallbackId;
    };
} PORT_MESSAGE;

/* lpc §1.9 */
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
    LPC_KERNELMODE_MESSAGE = 0x8000,
};

/* lpc §1.3 */
typedef struct {
    ULONG Length;
    PORT_FIELD(HANDLE, SectionHandle);
    ULONG SectionOffset;
    PORT_FIELD(SIZE_T, ViewSize);
    PORT_FIELD(PVOID, ViewBase);
    PORT_FIELD(PVOID, ViewRemoteBase);
} PORT_VIEW;

/* lpc §1.4 */
typedef struct {
    ULONG Length;
    PORT_FIELD(SIZE_T, ViewSize);
    PORT_FIELD(PVOID, ViewBase);
} REMOTE_PORT_VIEW;

/* lpc §1.5 */
typedef struct {
    PORT_FIELD(PVOID, Base);
    ULONG Size;
} PORT_DATA_ENTRY;

typedef struct {
    ULONG CountDataEntries;
    PORT_DATA_ENTRY DataEntries[1];
} PORT_DATA_INFORMATION;

/* lpc §1.6 */
typedef struct {
    PORT_MESSAGE PortMsg;
    LARGE_INTEGER CreateTime;
} LPC_CLIENT_DIED_MSG;

#ifdef WOW64_PORTS
typedef EXCEPTION_RECORD64 PORT_EXCEPTION_RECORD;
#else
typedef EXCEPTION_RECORD PORT_EXCEPTION_RECORD;
#endif

/* lpc §1.7, the part an LPC_EXCEPTION carries */
typedef struct {
    PORT_MESSAGE PortMsg;
    ULONG ApiNumber;
    NTSTATUS ReturnedStatus;
    struct {
        PORT_EXCEPTION_RECORD ExceptionRecord;
        ULONG FirstChance;
    } Exception;
} DBGKM_EXCEPTION_MSG;

/* lpc §1.10 */
#if WIDE_PORTS
enum { MAX_TOTAL_LENGTH = 0x288, MAX_CONNECT_INFO = 0x208, HEADER = 40 };
#else
enum { MAX_TOTAL_LENGTH = 0x148, MAX_CONNECT_INFO = 0x104, HEADER = 24 };
#endif
enum { MAX_DATA_LENGTH = MAX_TOTAL_LENGTH - HEADER };

enum { PORT_CONNECT = 1, PORT_ALL_ACCESS = 0x1F0001 };

/* Calls every host has. */
#define NT_CALLS(X)                                                                                                    \
    X(NtCreatePort, (HANDLE * port, OBJECT_ATTRIBUTES * attributes, ULONG max_info, ULONG max_message, ULONG max_pool)) \
    X(NtCreateWaitablePort,                                                                                            \
      (HANDLE * port, OBJECT_ATTRIBUTES * attributes, ULONG max_info, ULONG max_message, ULONG max_pool))              \
    X(NtConnectPort,                                                                                                   \
      (HANDLE * port, UNICODE_STRING * name, SECURITY_QUALITY_OF_SERVICE * qos, PORT_VIEW * client_view,               \
       REMOTE_PORT_VIEW * server_view, ULONG * max_message, PVOID info, ULONG * info_length))                          \
    X(NtSecureConnectPort,                                                                                             \
      (HANDLE * port, UNICODE_STRING * name, SECURITY_QUALITY_OF_SERVICE * qos, PORT_VIEW * client_view,               \
       PSID server_sid, REMOTE_PORT_VIEW * server_view, ULONG * max_message, PVOID info, ULONG * info_length))         \
    X(NtListenPort, (HANDLE port, PORT_MESSAGE * connection_request))                                                  \
    X(NtAcceptConnectPort,                                                                                             \
      (HANDLE * port, PVOID port_context, PORT_MESSAGE * connection_request, BOOLEAN accept, PORT_VIEW * server_view,  \
       REMOTE_PORT_VIEW * client_view))                                                                                \
    X(NtCompleteConnectPort, (HANDLE port))                                                                            \
    X(NtRequestPort, (HANDLE port, PORT_MESSAGE * request))                                                            \
    X(NtRequestWaitReplyPort, (HANDLE port, PORT_MESSAGE * request, PORT_MESSAGE * reply))                             \
    X(NtReplyPort, (HANDLE port, PORT_MESSAGE * reply))                                                                \
    X(NtReplyWaitReplyPort, (HANDLE port, PORT_MESSAGE * reply))                                                       \
    X(NtReplyWaitReceivePort, (HANDLE port, PVOID * context, PORT_MESSAGE * reply, PORT_MESSAGE * receive))            \
    X(NtReplyWaitReceivePortEx,                                                                                        \
      (HANDLE port, PVOID * context, PORT_MESSAGE * reply, PORT_MESSAGE * receive, LARGE_INTEGER * timeout))           \
    X(NtImpersonateClientOfPort, (HANDLE port, PORT_MESSAGE * message))                                                \
    X(NtReadRequestData,                                                                                               \
      (HANDLE port, PORT_MESSAGE * message, ULONG index, PVOID buffer, SIZE_T length, SIZE_T * returned))              \
    X(NtWriteRequestData,                                                                                              \
      (HANDLE port, PORT_MESSAGE * message, ULONG index, PVOID buffer, SIZE_T length, SIZE_T * returned))              \
    X(NtQueryInformationPort, (HANDLE port, ULONG class, PVOID buffer, ULONG length, ULONG * returned))                \
    X(NtRegisterThreadTerminatePort, (HANDLE port))                                                                    \
    X(NtClose, (HANDLE handle))

/* Calls only some tests need; a test that uses one starts with NEED(call). */
#define NT_OPTIONAL_CALLS(X)                                                                                           \
    X(NtQueryObject, (HANDLE handle, ULONG class, PVOID buffer, ULONG length, ULONG * returned))                       \
    X(NtDuplicateObject,                                                                                               \
      (HANDLE source_process, HANDLE source, HANDLE target_process, HANDLE * target, ULONG access, ULONG attributes,   \
       ULONG options))                                                                                                 \
    X(NtWaitForSingleObject, (HANDLE handle, BOOLEAN alertable, LARGE_INTEGER * timeout))                              \
    X(NtCreateSection,                                                                                                 \
      (HANDLE * section, ULONG access, OBJECT_ATTRIBUTES * attributes, LARGE_INTEGER * size, ULONG protection,         \
       ULONG allocation, HANDLE file))                                                                                 \
    X(NtCreateDirectoryObject, (HANDLE * directory, ULONG access, OBJECT_ATTRIBUTES * attributes))                     \
    X(NtSetInformationProcess, (HANDLE process, ULONG class, PVOID buffer, ULONG length))                              \
    X(NtQueryInformationProcess, (HANDLE process, ULONG class, PVOID buffer, ULONG length, ULONG * returned))          \
    X(NtOpenThreadToken, (HANDLE thread, ULONG access, BOOLEAN as_self, HANDLE * token))                               \
    X(NtCreateEvent, (HANDLE * event, ULONG access, OBJECT_ATTRIBUTES * attributes, ULONG type, BOOLEAN signalled))    \
    X(NtAlertThread, (HANDLE thread))                                                                                  \
    X(NtQueueApcThread, (HANDLE thread, PVOID routine, PVOID a, PVOID b, PVOID c))

#ifdef LPCTEST_STATIC_IMPORT
#define DECLARE_CALL_(name, args) NTSYSAPI NTSTATUS NTAPI name args;
#else
#define DECLARE_CALL_(name, args) extern NTSTATUS(NTAPI *name) args;
#endif
NT_CALLS(DECLARE_CALL_)
#undef DECLARE_CALL_
#define DECLARE_CALL_(name, args) extern NTSTATUS(NTAPI *name) args;
NT_OPTIONAL_CALLS(DECLARE_CALL_)
#undef DECLARE_CALL_

/* A message with room for any data a test receives. */
struct msg {
    PORT_MESSAGE h;
    UCHAR data[1024];
};

/* Sets `m` to a new message of `length` data bytes 1, 2, 3 … */
void msg_init(struct msg *m, USHORT length);
void msg_text(struct msg *m, const char *text);

UNICODE_STRING unicode(const WCHAR *text);
OBJECT_ATTRIBUTES attributes(UNICODE_STRING *name);
/* Level SecurityImpersonation, static tracking. */
SECURITY_QUALITY_OF_SERVICE qos_default(void);
/* Writes a name in \RPC Control nobody else uses. */
void unique_name(WCHAR name[64]);
CLIENT_ID client_id(DWORD pid, DWORD tid);
CLIENT_ID own_client_id(void);
BOOL same_client(const CLIENT_ID *a, const CLIENT_ID *b);
/* A section of the paging file. */
HANDLE new_section(ULONG size);
void to_wide(WCHAR *wide, const char *text);
void to_narrow(char *text, const WCHAR *wide);

/* Makes a connection port of `name` with the limits MAX_CONNECT_INFO and MAX_TOTAL_LENGTH. */
NTSTATUS create_port(HANDLE *port, const WCHAR *name);
NTSTATUS create_port_sized(HANDLE *port, const WCHAR *name, ULONG max_info, ULONG max_message);
/* Connects with no views and no information. */
NTSTATUS connect_port(HANDLE *port, const WCHAR *name);
/* Receives with a timeout in milliseconds. */
NTSTATUS receive_within(HANDLE port, PVOID *port_context, struct msg *receive, ULONG milliseconds);

/* NtConnectPort in a thread of its own. Set what the call is to get before connect_start. */
#define UNTOUCHED ((HANDLE)(ULONG_PTR)0x55555555)
struct worker;
struct connecting {
    const WCHAR *name;
    SECURITY_QUALITY_OF_SERVICE qos;
    PORT_VIEW *client_view;
    REMOTE_PORT_VIEW *server_view;
    UCHAR info[1024];
    ULONG info_length; /* in: bytes of info to send; out: as returned */
    BOOL with_info;    /* pass info and info_length */
    ULONG max_message;
    HANDLE port; /* UNTOUCHED until the call writes it */
    NTSTATUS status;
    struct worker *worker;
};
void connect_init(struct connecting *c, const WCHAR *name);
BOOL connect_start(struct connecting *c, struct worker *worker);

/* NtRequestWaitReplyPort in a thread of its own. */
struct calling {
    HANDLE port;
    struct msg request;
    struct msg reply;
    PORT_MESSAGE *reply_to; /* where the reply goes; &reply unless changed */
    NTSTATUS status;
    struct worker *worker;
};
void call_init(struct calling *c, HANDLE port, USHORT length);
BOOL call_start(struct calling *c, struct worker *worker);

/* A connection within one process. */
struct pair {
    WCHAR name[64];
    HANDLE conn; /* server connection port */
    HANDLE srv;  /* server communication port */
    HANDLE cli;  /* client communication port */
    PVOID port_context;
    DWORD connecting_tid; /* the thread that called NtConnectPort */
};
/* Creates a connection port and connects to it; port_context is that of the server port. */
BOOL pair_open(struct pair *p, PVOID port_context);
/* Connects once more to the connection port of `p`. */
BOOL pair_add(struct pair *p, struct pair *second, PVOID port_context);
/* Closes what is open. */
void pair_close(struct pair *p);

#endif
