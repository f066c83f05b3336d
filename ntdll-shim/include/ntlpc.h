/*
 * NT's port calls for Linux programs: link libntdll_shim.so, which looks for wineserver-ext beside itself.
 *
 * Made from ntdll-shim/abi/src/calls.rs and status.rs by the test `header`; do not edit. Every Nt call is there as Zw, too.
 * Calls return a status; a bad pointer gives STATUS_ACCESS_VIOLATION. A process must not go on using ports of its parent
 * after fork() without exec().
 */
#ifndef NTLPC_H
#define NTLPC_H

#include "ntlpc_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Closes a handle of a port or a section. */
NTSTATUS ntlpc_close(HANDLE handle);
/* Makes a section of the memory behind a descriptor (memfd_create, shm_open, a file), for PORT_VIEW. */
NTSTATUS ntlpc_section(int fd, HANDLE *section);
/* Ends what NtImpersonateClientOfPort began on the calling thread. */
void ntlpc_revert(void);

NTSTATUS NtCreatePort(HANDLE *port_handle, const OBJECT_ATTRIBUTES *object_attributes, ULONG max_connection_info_length, ULONG max_message_length, ULONG max_pool_usage);
NTSTATUS NtCreateWaitablePort(HANDLE *port_handle, const OBJECT_ATTRIBUTES *object_attributes, ULONG max_connection_info_length, ULONG max_message_length, ULONG max_pool_usage);
NTSTATUS NtConnectPort(HANDLE *port_handle, const UNICODE_STRING *port_name, void *security_qos, void *client_view, void *server_view, void *max_message_length, void *connection_information, void *connection_information_length);
NTSTATUS NtSecureConnectPort(HANDLE *port_handle, const UNICODE_STRING *port_name, void *security_qos, void *client_view, void *required_server_sid, void *server_view, void *max_message_length, void *connection_information, void *connection_information_length);
NTSTATUS NtListenPort(HANDLE port_handle, PORT_MESSAGE *connection_request);
NTSTATUS NtAcceptConnectPort(HANDLE *port_handle, void *port_context, PORT_MESSAGE *connection_request, BOOLEAN accept, void *server_view, void *client_view);
NTSTATUS NtCompleteConnectPort(HANDLE port_handle);
NTSTATUS NtRequestPort(HANDLE port_handle, PORT_MESSAGE *request);
NTSTATUS NtRequestWaitReplyPort(HANDLE port_handle, PORT_MESSAGE *request, PORT_MESSAGE *reply);
NTSTATUS NtReplyPort(HANDLE port_handle, PORT_MESSAGE *reply);
NTSTATUS NtReplyWaitReplyPort(HANDLE port_handle, PORT_MESSAGE *reply);
NTSTATUS NtReplyWaitReceivePort(HANDLE port_handle, void *port_context, PORT_MESSAGE *reply, PORT_MESSAGE *receive);
NTSTATUS NtReplyWaitReceivePortEx(HANDLE port_handle, void *port_context, PORT_MESSAGE *reply, PORT_MESSAGE *receive, const LARGE_INTEGER *timeout);
NTSTATUS NtImpersonateClientOfPort(HANDLE port_handle, PORT_MESSAGE *message);
NTSTATUS NtReadRequestData(HANDLE port_handle, PORT_MESSAGE *message, ULONG index, void *buffer, size_t length, void *returned);
NTSTATUS NtWriteRequestData(HANDLE port_handle, PORT_MESSAGE *message, ULONG index, void *buffer, size_t length, void *returned);
NTSTATUS NtQueryInformationPort(HANDLE port_handle, ULONG information_class, void *buffer, ULONG length, void *return_length);
NTSTATUS NtRegisterThreadTerminatePort(HANDLE port_handle);
NTSTATUS NtQueryPortInformationProcess(void);
NTSTATUS NtAlpcCreatePort(HANDLE *port_handle, const OBJECT_ATTRIBUTES *object_attributes, void *port_attributes);
NTSTATUS NtAlpcConnectPort(HANDLE *port_handle, const UNICODE_STRING *port_name, const OBJECT_ATTRIBUTES *object_attributes, void *port_attributes, ULONG flags, void *required_server_sid, PORT_MESSAGE *connection_message, void *buffer_length, void *out_message_attributes, void *in_message_attributes, const LARGE_INTEGER *timeout);
NTSTATUS NtAlpcConnectPortEx(HANDLE *port_handle, const OBJECT_ATTRIBUTES *connection_port_attributes, const OBJECT_ATTRIBUTES *client_port_attributes, void *port_attributes, ULONG flags, void *server_security_requirements, PORT_MESSAGE *connection_message, void *buffer_length, void *out_message_attributes, void *in_message_attributes, const LARGE_INTEGER *timeout);
NTSTATUS NtAlpcAcceptConnectPort(HANDLE *port_handle, HANDLE connection_port_handle, ULONG flags, const OBJECT_ATTRIBUTES *object_attributes, void *port_attributes, void *port_context, PORT_MESSAGE *connection_request, void *connection_message_attributes, BOOLEAN accept);
NTSTATUS NtAlpcSendWaitReceivePort(HANDLE port_handle, ULONG flags, PORT_MESSAGE *send_message, void *send_message_attributes, void *receive_message, void *buffer_length, void *receive_message_attributes, const LARGE_INTEGER *timeout);
NTSTATUS NtAlpcDisconnectPort(HANDLE port_handle, ULONG flags);
NTSTATUS NtAlpcCancelMessage(HANDLE port_handle, ULONG flags, void *message_context);
NTSTATUS NtAlpcQueryInformation(HANDLE port_handle, ULONG information_class, void *buffer, ULONG length, void *return_length);
NTSTATUS NtAlpcSetInformation(HANDLE port_handle, ULONG information_class, void *buffer, ULONG length);
NTSTATUS NtAlpcQueryInformationMessage(HANDLE port_handle, PORT_MESSAGE *message, ULONG information_class, void *buffer, ULONG length, void *return_length);
NTSTATUS NtAlpcCreatePortSection(HANDLE port_handle, ULONG flags, HANDLE section, size_t size, HANDLE *alpc_section, void *actual_size);
NTSTATUS NtAlpcDeletePortSection(HANDLE port_handle, ULONG flags, HANDLE alpc_section);
NTSTATUS NtAlpcCreateResourceReserve(HANDLE port_handle, ULONG flags, size_t message_size, void *resource_id);
NTSTATUS NtAlpcDeleteResourceReserve(HANDLE port_handle, ULONG flags, ULONG resource_id);
NTSTATUS NtAlpcCreateSectionView(HANDLE port_handle, ULONG flags, void *view_attributes);
NTSTATUS NtAlpcDeleteSectionView(HANDLE port_handle, ULONG flags, void *view_base);
NTSTATUS NtAlpcCreateSecurityContext(HANDLE port_handle, ULONG flags, void *security_attribute);
NTSTATUS NtAlpcDeleteSecurityContext(HANDLE port_handle, ULONG flags, HANDLE context_handle);
NTSTATUS NtAlpcRevokeSecurityContext(HANDLE port_handle, ULONG flags, HANDLE context_handle);
NTSTATUS NtAlpcImpersonateClientOfPort(HANDLE port_handle, PORT_MESSAGE *message, void *flags);
NTSTATUS NtAlpcImpersonateClientContainerOfPort(HANDLE port_handle, PORT_MESSAGE *message, ULONG flags);
NTSTATUS NtAlpcOpenSenderProcess(HANDLE *process_handle, HANDLE port_handle, PORT_MESSAGE *message, ULONG flags, ULONG desired_access, const OBJECT_ATTRIBUTES *object_attributes);
NTSTATUS NtAlpcOpenSenderThread(HANDLE *thread_handle, HANDLE port_handle, PORT_MESSAGE *message, ULONG flags, ULONG desired_access, const OBJECT_ATTRIBUTES *object_attributes);
ULONG AlpcGetHeaderSize(ULONG flags);
NTSTATUS AlpcInitializeMessageAttribute(ULONG flags, void *buffer, size_t size, void *required);
void *AlpcGetMessageAttribute(void *buffer, ULONG flag);
ULONG AlpcMaxAllowedMessageLength(void);
NTSTATUS AlpcRegisterCompletionList(HANDLE port_handle, void *list, ULONG size, ULONG concurrency_count, ULONG attribute_flags);
NTSTATUS AlpcUnregisterCompletionList(HANDLE port_handle);
NTSTATUS AlpcRundownCompletionList(HANDLE port_handle);
NTSTATUS AlpcAdjustCompletionListConcurrencyCount(HANDLE port_handle, ULONG concurrency_count);
BOOLEAN AlpcRegisterCompletionListWorkerThread(void *list);
BOOLEAN AlpcUnregisterCompletionListWorkerThread(void *list);
ULONG AlpcGetOutstandingCompletionListMessageCount(void *list);
void AlpcGetCompletionListLastMessageInformation(void *list, void *last_message_id, void *last_callback_id);
void *AlpcGetMessageFromCompletionList(void *list, void *message_attributes);
ULONG AlpcFreeCompletionListMessage(void *list, void *message);
void *AlpcGetCompletionListMessageAttributes(void *list, void *message);

#define ZwCreatePort NtCreatePort
#define ZwCreateWaitablePort NtCreateWaitablePort
#define ZwConnectPort NtConnectPort
#define ZwSecureConnectPort NtSecureConnectPort
#define ZwListenPort NtListenPort
#define ZwAcceptConnectPort NtAcceptConnectPort
#define ZwCompleteConnectPort NtCompleteConnectPort
#define ZwRequestPort NtRequestPort
#define ZwRequestWaitReplyPort NtRequestWaitReplyPort
#define ZwReplyPort NtReplyPort
#define ZwReplyWaitReplyPort NtReplyWaitReplyPort
#define ZwReplyWaitReceivePort NtReplyWaitReceivePort
#define ZwReplyWaitReceivePortEx NtReplyWaitReceivePortEx
#define ZwImpersonateClientOfPort NtImpersonateClientOfPort
#define ZwReadRequestData NtReadRequestData
#define ZwWriteRequestData NtWriteRequestData
#define ZwQueryInformationPort NtQueryInformationPort
#define ZwRegisterThreadTerminatePort NtRegisterThreadTerminatePort
#define ZwQueryPortInformationProcess NtQueryPortInformationProcess
#define ZwAlpcCreatePort NtAlpcCreatePort
#define ZwAlpcConnectPort NtAlpcConnectPort
#define ZwAlpcConnectPortEx NtAlpcConnectPortEx
#define ZwAlpcAcceptConnectPort NtAlpcAcceptConnectPort
#define ZwAlpcSendWaitReceivePort NtAlpcSendWaitReceivePort
#define ZwAlpcDisconnectPort NtAlpcDisconnectPort
#define ZwAlpcCancelMessage NtAlpcCancelMessage
#define ZwAlpcQueryInformation NtAlpcQueryInformation
#define ZwAlpcSetInformation NtAlpcSetInformation
#define ZwAlpcQueryInformationMessage NtAlpcQueryInformationMessage
#define ZwAlpcCreatePortSection NtAlpcCreatePortSection
#define ZwAlpcDeletePortSection NtAlpcDeletePortSection
#define ZwAlpcCreateResourceReserve NtAlpcCreateResourceReserve
#define ZwAlpcDeleteResourceReserve NtAlpcDeleteResourceReserve
#define ZwAlpcCreateSectionView NtAlpcCreateSectionView
#define ZwAlpcDeleteSectionView NtAlpcDeleteSectionView
#define ZwAlpcCreateSecurityContext NtAlpcCreateSecurityContext
#define ZwAlpcDeleteSecurityContext NtAlpcDeleteSecurityContext
#define ZwAlpcRevokeSecurityContext NtAlpcRevokeSecurityContext
#define ZwAlpcImpersonateClientOfPort NtAlpcImpersonateClientOfPort
#define ZwAlpcImpersonateClientContainerOfPort NtAlpcImpersonateClientContainerOfPort
#define ZwAlpcOpenSenderProcess NtAlpcOpenSenderProcess
#define ZwAlpcOpenSenderThread NtAlpcOpenSenderThread

#ifdef __cplusplus
}
#endif

#define STATUS_SUCCESS ((NTSTATUS)0x00000000)
#define STATUS_WAIT_1 ((NTSTATUS)0x00000001)
#define STATUS_WAIT_63 ((NTSTATUS)0x0000003f)
#define STATUS_ABANDONED_WAIT_0 ((NTSTATUS)0x00000080)
#define STATUS_USER_APC ((NTSTATUS)0x000000c0)
#define STATUS_ALERTED ((NTSTATUS)0x00000101)
#define STATUS_TIMEOUT ((NTSTATUS)0x00000102)
#define STATUS_PENDING ((NTSTATUS)0x00000103)
#define STATUS_REPARSE ((NTSTATUS)0x00000104)
#define STATUS_MORE_ENTRIES ((NTSTATUS)0x00000105)
#define STATUS_NOT_ALL_ASSIGNED ((NTSTATUS)0x00000106)
#define STATUS_SOME_NOT_MAPPED ((NTSTATUS)0x00000107)
#define STATUS_NOTIFY_CLEANUP ((NTSTATUS)0x0000010b)
#define STATUS_NOTIFY_ENUM_DIR ((NTSTATUS)0x0000010c)
#define STATUS_PROCESS_NOT_IN_JOB ((NTSTATUS)0x00000123)
#define STATUS_PROCESS_IN_JOB ((NTSTATUS)0x00000124)
#define DBG_EXCEPTION_HANDLED ((NTSTATUS)0x00010001)
#define DBG_CONTINUE ((NTSTATUS)0x00010002)
#define STATUS_OBJECT_NAME_EXISTS ((NTSTATUS)0x40000000)
#define STATUS_THREAD_WAS_SUSPENDED ((NTSTATUS)0x40000001)
#define STATUS_IMAGE_NOT_AT_BASE ((NTSTATUS)0x40000003)
#define STATUS_NO_YIELD_PERFORMED ((NTSTATUS)0x40000024)
#define STATUS_MESSAGE_RETRIEVED ((NTSTATUS)0x4000002e)
#define STATUS_ALPC_CHECK_COMPLETION_LIST ((NTSTATUS)0x40000030)
#define DBG_REPLY_LATER ((NTSTATUS)0x40010001)
#define DBG_TERMINATE_THREAD ((NTSTATUS)0x40010003)
#define DBG_TERMINATE_PROCESS ((NTSTATUS)0x40010004)
#define DBG_CONTROL_C ((NTSTATUS)0x40010005)
#define DBG_PRINTEXCEPTION_C ((NTSTATUS)0x40010006)
#define DBG_CONTROL_BREAK ((NTSTATUS)0x40010008)
#define STATUS_GUARD_PAGE_VIOLATION ((NTSTATUS)0x80000001)
#define STATUS_DATATYPE_MISALIGNMENT ((NTSTATUS)0x80000002)
#define STATUS_BREAKPOINT ((NTSTATUS)0x80000003)
#define STATUS_SINGLE_STEP ((NTSTATUS)0x80000004)
#define STATUS_BUFFER_OVERFLOW ((NTSTATUS)0x80000005)
#define STATUS_NO_MORE_FILES ((NTSTATUS)0x80000006)
#define STATUS_HANDLES_CLOSED ((NTSTATUS)0x8000000a)
#define STATUS_PARTIAL_COPY ((NTSTATUS)0x8000000d)
#define STATUS_NO_MORE_ENTRIES ((NTSTATUS)0x8000001a)
#define STATUS_STOPPED_ON_SYMLINK ((NTSTATUS)0x8000002d)
#define DBG_EXCEPTION_NOT_HANDLED ((NTSTATUS)0x80010001)
#define STATUS_UNSUCCESSFUL ((NTSTATUS)0xc0000001)
#define STATUS_NOT_IMPLEMENTED ((NTSTATUS)0xc0000002)
#define STATUS_INVALID_INFO_CLASS ((NTSTATUS)0xc0000003)
#define STATUS_INFO_LENGTH_MISMATCH ((NTSTATUS)0xc0000004)
#define STATUS_ACCESS_VIOLATION ((NTSTATUS)0xc0000005)
#define STATUS_IN_PAGE_ERROR ((NTSTATUS)0xc0000006)
#define STATUS_INVALID_HANDLE ((NTSTATUS)0xc0000008)
#define STATUS_BAD_INITIAL_STACK ((NTSTATUS)0xc0000009)
#define STATUS_INVALID_CID ((NTSTATUS)0xc000000b)
#define STATUS_TIMER_NOT_CANCELED ((NTSTATUS)0xc000000c)
#define STATUS_INVALID_PARAMETER ((NTSTATUS)0xc000000d)
#define STATUS_NO_SUCH_DEVICE ((NTSTATUS)0xc000000e)
#define STATUS_NO_SUCH_FILE ((NTSTATUS)0xc000000f)
#define STATUS_INVALID_DEVICE_REQUEST ((NTSTATUS)0xc0000010)
#define STATUS_END_OF_FILE ((NTSTATUS)0xc0000011)
#define STATUS_NO_MEMORY ((NTSTATUS)0xc0000017)
#define STATUS_CONFLICTING_ADDRESSES ((NTSTATUS)0xc0000018)
#define STATUS_NOT_MAPPED_VIEW ((NTSTATUS)0xc0000019)
#define STATUS_UNABLE_TO_FREE_VM ((NTSTATUS)0xc000001a)
#define STATUS_UNABLE_TO_DELETE_SECTION ((NTSTATUS)0xc000001b)
#define STATUS_INVALID_SYSTEM_SERVICE ((NTSTATUS)0xc000001c)
#define STATUS_ILLEGAL_INSTRUCTION ((NTSTATUS)0xc000001d)
#define STATUS_INVALID_LOCK_SEQUENCE ((NTSTATUS)0xc000001e)
#define STATUS_INVALID_VIEW_SIZE ((NTSTATUS)0xc000001f)
#define STATUS_ALREADY_COMMITTED ((NTSTATUS)0xc0000021)
#define STATUS_ACCESS_DENIED ((NTSTATUS)0xc0000022)
#define STATUS_BUFFER_TOO_SMALL ((NTSTATUS)0xc0000023)
#define STATUS_OBJECT_TYPE_MISMATCH ((NTSTATUS)0xc0000024)
#define STATUS_NONCONTINUABLE_EXCEPTION ((NTSTATUS)0xc0000025)
#define STATUS_INVALID_DISPOSITION ((NTSTATUS)0xc0000026)
#define STATUS_UNWIND ((NTSTATUS)0xc0000027)
#define STATUS_BAD_STACK ((NTSTATUS)0xc0000028)
#define STATUS_INVALID_UNWIND_TARGET ((NTSTATUS)0xc0000029)
#define STATUS_NOT_LOCKED ((NTSTATUS)0xc000002a)
#define STATUS_NOT_COMMITTED ((NTSTATUS)0xc000002d)
#define STATUS_INVALID_PORT_ATTRIBUTES ((NTSTATUS)0xc000002e)
#define STATUS_PORT_MESSAGE_TOO_LONG ((NTSTATUS)0xc000002f)
#define STATUS_OBJECT_NAME_INVALID ((NTSTATUS)0xc0000033)
#define STATUS_OBJECT_NAME_NOT_FOUND ((NTSTATUS)0xc0000034)
#define STATUS_OBJECT_NAME_COLLISION ((NTSTATUS)0xc0000035)
#define STATUS_PORT_DO_NOT_DISTURB ((NTSTATUS)0xc0000036)
#define STATUS_PORT_DISCONNECTED ((NTSTATUS)0xc0000037)
#define STATUS_OBJECT_PATH_INVALID ((NTSTATUS)0xc0000039)
#define STATUS_OBJECT_PATH_NOT_FOUND ((NTSTATUS)0xc000003a)
#define STATUS_OBJECT_PATH_SYNTAX_BAD ((NTSTATUS)0xc000003b)
#define STATUS_SECTION_TOO_BIG ((NTSTATUS)0xc0000040)
#define STATUS_PORT_CONNECTION_REFUSED ((NTSTATUS)0xc0000041)
#define STATUS_INVALID_PORT_HANDLE ((NTSTATUS)0xc0000042)
#define STATUS_SHARING_VIOLATION ((NTSTATUS)0xc0000043)
#define STATUS_QUOTA_EXCEEDED ((NTSTATUS)0xc0000044)
#define STATUS_INVALID_PAGE_PROTECTION ((NTSTATUS)0xc0000045)
#define STATUS_MUTANT_NOT_OWNED ((NTSTATUS)0xc0000046)
#define STATUS_SEMAPHORE_LIMIT_EXCEEDED ((NTSTATUS)0xc0000047)
#define STATUS_PORT_ALREADY_SET ((NTSTATUS)0xc0000048)
#define STATUS_SECTION_NOT_IMAGE ((NTSTATUS)0xc0000049)
#define STATUS_SUSPEND_COUNT_EXCEEDED ((NTSTATUS)0xc000004a)
#define STATUS_THREAD_IS_TERMINATING ((NTSTATUS)0xc000004b)
#define STATUS_SECTION_PROTECTION ((NTSTATUS)0xc000004e)
#define STATUS_EAS_NOT_SUPPORTED ((NTSTATUS)0xc000004f)
#define STATUS_FILE_LOCK_CONFLICT ((NTSTATUS)0xc0000054)
#define STATUS_LOCK_NOT_GRANTED ((NTSTATUS)0xc0000055)
#define STATUS_DELETE_PENDING ((NTSTATUS)0xc0000056)
#define STATUS_UNKNOWN_REVISION ((NTSTATUS)0xc0000058)
#define STATUS_REVISION_MISMATCH ((NTSTATUS)0xc0000059)
#define STATUS_INVALID_OWNER ((NTSTATUS)0xc000005a)
#define STATUS_NO_IMPERSONATION_TOKEN ((NTSTATUS)0xc000005c)
#define STATUS_NO_SUCH_LOGON_SESSION ((NTSTATUS)0xc000005f)
#define STATUS_NO_SUCH_PRIVILEGE ((NTSTATUS)0xc0000060)
#define STATUS_PRIVILEGE_NOT_HELD ((NTSTATUS)0xc0000061)
#define STATUS_ILL_FORMED_PASSWORD ((NTSTATUS)0xc000006b)
#define STATUS_LOGON_FAILURE ((NTSTATUS)0xc000006d)
#define STATUS_ACCOUNT_RESTRICTION ((NTSTATUS)0xc000006e)
#define STATUS_NONE_MAPPED ((NTSTATUS)0xc0000073)
#define STATUS_INVALID_ACL ((NTSTATUS)0xc0000077)
#define STATUS_INVALID_SID ((NTSTATUS)0xc0000078)
#define STATUS_INVALID_SECURITY_DESCR ((NTSTATUS)0xc0000079)
#define STATUS_PROCEDURE_NOT_FOUND ((NTSTATUS)0xc000007a)
#define STATUS_INVALID_IMAGE_FORMAT ((NTSTATUS)0xc000007b)
#define STATUS_NO_TOKEN ((NTSTATUS)0xc000007c)
#define STATUS_BAD_INHERITANCE_ACL ((NTSTATUS)0xc000007d)
#define STATUS_RANGE_NOT_LOCKED ((NTSTATUS)0xc000007e)
#define STATUS_DISK_FULL ((NTSTATUS)0xc000007f)
#define STATUS_SECTION_NOT_EXTENDED ((NTSTATUS)0xc0000087)
#define STATUS_RESOURCE_DATA_NOT_FOUND ((NTSTATUS)0xc0000089)
#define STATUS_RESOURCE_TYPE_NOT_FOUND ((NTSTATUS)0xc000008a)
#define STATUS_RESOURCE_NAME_NOT_FOUND ((NTSTATUS)0xc000008b)
#define STATUS_ARRAY_BOUNDS_EXCEEDED ((NTSTATUS)0xc000008c)
#define STATUS_FLOAT_DENORMAL_OPERAND ((NTSTATUS)0xc000008d)
#define STATUS_FLOAT_DIVIDE_BY_ZERO ((NTSTATUS)0xc000008e)
#define STATUS_FLOAT_INEXACT_RESULT ((NTSTATUS)0xc000008f)
#define STATUS_FLOAT_INVALID_OPERATION ((NTSTATUS)0xc0000090)
#define STATUS_FLOAT_OVERFLOW ((NTSTATUS)0xc0000091)
#define STATUS_FLOAT_STACK_CHECK ((NTSTATUS)0xc0000092)
#define STATUS_FLOAT_UNDERFLOW ((NTSTATUS)0xc0000093)
#define STATUS_INTEGER_DIVIDE_BY_ZERO ((NTSTATUS)0xc0000094)
#define STATUS_INTEGER_OVERFLOW ((NTSTATUS)0xc0000095)
#define STATUS_PRIVILEGED_INSTRUCTION ((NTSTATUS)0xc0000096)
#define STATUS_FILE_INVALID ((NTSTATUS)0xc0000098)
#define STATUS_INSUFFICIENT_RESOURCES ((NTSTATUS)0xc000009a)
#define STATUS_FREE_VM_NOT_AT_BASE ((NTSTATUS)0xc000009f)
#define STATUS_MEMORY_NOT_ALLOCATED ((NTSTATUS)0xc00000a0)
#define STATUS_MEDIA_WRITE_PROTECTED ((NTSTATUS)0xc00000a2)
#define STATUS_DEVICE_NOT_READY ((NTSTATUS)0xc00000a3)
#define STATUS_BAD_IMPERSONATION_LEVEL ((NTSTATUS)0xc00000a5)
#define STATUS_CANT_OPEN_ANONYMOUS ((NTSTATUS)0xc00000a6)
#define STATUS_BAD_TOKEN_TYPE ((NTSTATUS)0xc00000a8)
#define STATUS_INSTANCE_NOT_AVAILABLE ((NTSTATUS)0xc00000ab)
#define STATUS_PIPE_NOT_AVAILABLE ((NTSTATUS)0xc00000ac)
#define STATUS_INVALID_PIPE_STATE ((NTSTATUS)0xc00000ad)
#define STATUS_PIPE_BUSY ((NTSTATUS)0xc00000ae)
#define STATUS_ILLEGAL_FUNCTION ((NTSTATUS)0xc00000af)
#define STATUS_PIPE_DISCONNECTED ((NTSTATUS)0xc00000b0)
#define STATUS_PIPE_CLOSING ((NTSTATUS)0xc00000b1)
#define STATUS_PIPE_CONNECTED ((NTSTATUS)0xc00000b2)
#define STATUS_PIPE_LISTENING ((NTSTATUS)0xc00000b3)
#define STATUS_IO_TIMEOUT ((NTSTATUS)0xc00000b5)
#define STATUS_FILE_IS_A_DIRECTORY ((NTSTATUS)0xc00000ba)
#define STATUS_NOT_SUPPORTED ((NTSTATUS)0xc00000bb)
#define STATUS_BAD_NETWORK_PATH ((NTSTATUS)0xc00000be)
#define STATUS_SHARING_PAUSED ((NTSTATUS)0xc00000cf)
#define STATUS_NOT_SAME_DEVICE ((NTSTATUS)0xc00000d4)
#define STATUS_NO_SECURITY_ON_OBJECT ((NTSTATUS)0xc00000d7)
#define STATUS_PIPE_EMPTY ((NTSTATUS)0xc00000d9)
#define STATUS_INTERNAL_ERROR ((NTSTATUS)0xc00000e5)
#define STATUS_UNEXPECTED_IO_ERROR ((NTSTATUS)0xc00000e9)
#define STATUS_INVALID_PARAMETER_1 ((NTSTATUS)0xc00000ef)
#define STATUS_INVALID_PARAMETER_2 ((NTSTATUS)0xc00000f0)
#define STATUS_INVALID_PARAMETER_3 ((NTSTATUS)0xc00000f1)
#define STATUS_INVALID_PARAMETER_4 ((NTSTATUS)0xc00000f2)
#define STATUS_INVALID_PARAMETER_5 ((NTSTATUS)0xc00000f3)
#define STATUS_INVALID_PARAMETER_6 ((NTSTATUS)0xc00000f4)
#define STATUS_STACK_OVERFLOW ((NTSTATUS)0xc00000fd)
#define STATUS_BAD_FUNCTION_TABLE ((NTSTATUS)0xc00000ff)
#define STATUS_VARIABLE_NOT_FOUND ((NTSTATUS)0xc0000100)
#define STATUS_DIRECTORY_NOT_EMPTY ((NTSTATUS)0xc0000101)
#define STATUS_NOT_A_DIRECTORY ((NTSTATUS)0xc0000103)
#define STATUS_NAME_TOO_LONG ((NTSTATUS)0xc0000106)
#define STATUS_MESSAGE_NOT_FOUND ((NTSTATUS)0xc0000109)
#define STATUS_PROCESS_IS_TERMINATING ((NTSTATUS)0xc000010a)
#define STATUS_CANNOT_IMPERSONATE ((NTSTATUS)0xc000010d)
#define STATUS_MAPPED_FILE_SIZE_ZERO ((NTSTATUS)0xc000011e)
#define STATUS_TOO_MANY_OPENED_FILES ((NTSTATUS)0xc000011f)
#define STATUS_CANCELLED ((NTSTATUS)0xc0000120)
#define STATUS_CANNOT_DELETE ((NTSTATUS)0xc0000121)
#define STATUS_FILE_CLOSED ((NTSTATUS)0xc0000128)
#define STATUS_TOO_MANY_THREADS ((NTSTATUS)0xc0000129)
#define STATUS_THREAD_NOT_IN_PROCESS ((NTSTATUS)0xc000012a)
#define STATUS_COMMITMENT_LIMIT ((NTSTATUS)0xc000012d)
#define STATUS_INVALID_IMAGE_NOT_MZ ((NTSTATUS)0xc000012f)
#define STATUS_INVALID_IMAGE_PROTECT ((NTSTATUS)0xc0000130)
#define STATUS_DLL_NOT_FOUND ((NTSTATUS)0xc0000135)
#define STATUS_ORDINAL_NOT_FOUND ((NTSTATUS)0xc0000138)
#define STATUS_ENTRYPOINT_NOT_FOUND ((NTSTATUS)0xc0000139)
#define STATUS_CONTROL_C_EXIT ((NTSTATUS)0xc000013a)
#define STATUS_LOCAL_DISCONNECT ((NTSTATUS)0xc000013b)
#define STATUS_LINK_FAILED ((NTSTATUS)0xc000013e)
#define STATUS_INVALID_ADDRESS ((NTSTATUS)0xc0000141)
#define STATUS_DLL_INIT_FAILED ((NTSTATUS)0xc0000142)
#define STATUS_UNHANDLED_EXCEPTION ((NTSTATUS)0xc0000144)
#define STATUS_INVALID_LEVEL ((NTSTATUS)0xc0000148)
#define STATUS_PIPE_BROKEN ((NTSTATUS)0xc000014b)
#define STATUS_ILLEGAL_CHARACTER ((NTSTATUS)0xc0000161)
#define STATUS_NO_SUCH_MEMBER ((NTSTATUS)0xc000017a)
#define STATUS_KEY_DELETED ((NTSTATUS)0xc000017c)
#define STATUS_CHILD_MUST_BE_VOLATILE ((NTSTATUS)0xc0000181)
#define STATUS_INVALID_DEVICE_STATE ((NTSTATUS)0xc0000184)
#define STATUS_MUTANT_LIMIT_EXCEEDED ((NTSTATUS)0xc0000191)
#define STATUS_INVALID_BUFFER_SIZE ((NTSTATUS)0xc0000206)
#define STATUS_ADDRESS_ALREADY_EXISTS ((NTSTATUS)0xc000020a)
#define STATUS_CONNECTION_RESET ((NTSTATUS)0xc000020d)
#define STATUS_REPLY_MESSAGE_MISMATCH ((NTSTATUS)0xc000021f)
#define STATUS_MAPPED_ALIGNMENT ((NTSTATUS)0xc0000220)
#define STATUS_NOT_FOUND ((NTSTATUS)0xc0000225)
#define STATUS_RETRY ((NTSTATUS)0xc000022d)
#define STATUS_HANDLE_NOT_CLOSABLE ((NTSTATUS)0xc0000235)
#define STATUS_CONNECTION_REFUSED ((NTSTATUS)0xc0000236)
#define STATUS_PORT_UNREACHABLE ((NTSTATUS)0xc000023f)
#define STATUS_CONNECTION_ABORTED ((NTSTATUS)0xc0000241)
#define STATUS_USER_MAPPED_FILE ((NTSTATUS)0xc0000243)
#define STATUS_LPC_REPLY_LOST ((NTSTATUS)0xc0000253)
#define STATUS_UNSUPPORTED_COMPRESSION ((NTSTATUS)0xc000025f)
#define STATUS_TOO_MANY_LINKS ((NTSTATUS)0xc0000265)
#define STATUS_NO_MATCH ((NTSTATUS)0xc0000272)
#define STATUS_NOT_A_REPARSE_POINT ((NTSTATUS)0xc0000275)
#define STATUS_IO_REPARSE_DATA_INVALID ((NTSTATUS)0xc0000278)
#define STATUS_IO_REPARSE_TAG_NOT_HANDLED ((NTSTATUS)0xc0000279)
#define STATUS_SERVER_SID_MISMATCH ((NTSTATUS)0xc00002a0)
#define STATUS_OBJECTID_NOT_FOUND ((NTSTATUS)0xc00002f0)
#define STATUS_PORT_NOT_SET ((NTSTATUS)0xc0000353)
#define STATUS_DEBUGGER_INACTIVE ((NTSTATUS)0xc0000354)
#define STATUS_HEAP_CORRUPTION ((NTSTATUS)0xc0000374)
#define STATUS_STACK_BUFFER_OVERRUN ((NTSTATUS)0xc0000409)
#define STATUS_INVALID_CRUNTIME_PARAMETER ((NTSTATUS)0xc0000417)
#define STATUS_ASSERTION_FAILURE ((NTSTATUS)0xc0000420)
#define STATUS_PORT_CLOSED ((NTSTATUS)0xc0000700)
#define STATUS_MESSAGE_LOST ((NTSTATUS)0xc0000701)
#define STATUS_INVALID_MESSAGE ((NTSTATUS)0xc0000702)
#define STATUS_REQUEST_CANCELED ((NTSTATUS)0xc0000703)
#define STATUS_RECURSIVE_DISPATCH ((NTSTATUS)0xc0000704)
#define STATUS_LPC_RECEIVE_BUFFER_EXPECTED ((NTSTATUS)0xc0000705)
#define STATUS_LPC_INVALID_CONNECTION_USAGE ((NTSTATUS)0xc0000706)
#define STATUS_LPC_REQUESTS_NOT_ALLOWED ((NTSTATUS)0xc0000707)
#define STATUS_RESOURCE_IN_USE ((NTSTATUS)0xc0000708)
#define STATUS_SYMLINK_CLASS_DISABLED ((NTSTATUS)0xc0000715)
#define STATUS_NO_UNICODE_TRANSLATION ((NTSTATUS)0xc0000717)
#define STATUS_CONTEXT_MISMATCH ((NTSTATUS)0xc0000719)
#define STATUS_PORT_ALREADY_HAS_COMPLETION_LIST ((NTSTATUS)0xc000071a)
#define STATUS_LPC_HANDLE_COUNT_EXCEEDED ((NTSTATUS)0xc0000722)

#endif
