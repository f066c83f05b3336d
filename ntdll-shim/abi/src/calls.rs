//! The table of exported port calls: name, arguments, personality, result — the one place a call is declared.
//!
//! [`for_each_call!`](crate::for_each_call) hands the table to a macro of the caller's choice. From it come the
//! dispatcher and trace of `ntdll-shim`, its C exports, Wine's thunks, the loader's export table
//! (both widths) and the status table in the README.
//!
//! Source of the prototypes: phnt `ntlpcapi.h`, lpc §2, alpc §2.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

/// What an argument is: how it is read from a slot, how wide it is on i386, how the trace prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// `HANDLE` by value; sign-extended from 32 bits.
    Handle,
    /// Pointer that receives a `HANDLE`.
    OutHandle,
    /// Any other pointer.
    Ptr,
    /// `PPORT_MESSAGE`.
    Message,
    /// `PUNICODE_STRING`.
    String,
    /// `POBJECT_ATTRIBUTES`.
    Attributes,
    /// `PLARGE_INTEGER` holding a timeout.
    Timeout,
    /// A pointer-sized value the kernel only stores (`PortContext`).
    Value,
    /// `ULONG`; upper half of the slot is garbage on x86-64.
    U32,
    /// `BOOLEAN`; only the low byte counts.
    Bool,
    /// `SIZE_T` by value.
    Size,
}

/// What a helper returns. Helpers are ntdll's own user-mode code: on a bad pointer they raise `STATUS_ACCESS_VIOLATION`
/// in the caller, where a system service returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultKind {
    /// `NTSTATUS`.
    Status,
    /// `ULONG`.
    U32,
    /// `BOOLEAN`.
    Bool,
    /// A pointer.
    Ptr,
    /// Nothing.
    Void,
}

/// One exported call.
#[derive(Debug)]
pub struct Call {
    /// Name as exported; a system service is exported with `Zw` for `Nt`, too.
    pub name: &'static str,
    /// Argument names and kinds, in order.
    pub args: &'static [(&'static str, ArgKind)],
    /// Personality that implements it: `classic` or `alpc`.
    pub family: &'static str,
    /// What a helper returns; `None` for a system service, which returns `NTSTATUS`.
    pub helper: Option<ResultKind>,
}

impl Call {
    /// Returns the names the call is exported under.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let alias = self.name.strip_prefix("Nt");
        let alias = alias.map(|rest| format!("Zw{rest}"));
        core::iter::once(self.name.to_owned()).chain(alias)
    }
}

/// Calls `$callback! { Name = family::function(argument: Kind, …); … }` with every row of the table.
///
/// `function` lives in `ntdll_shim::family`. A row without a result is a system service; `-> Kind` makes it a helper with
/// that [`ResultKind`].
#[macro_export]
macro_rules! for_each_call {
    ($callback:ident) => {
        $callback! {
            NtCreatePort = classic::nt_create_port(port_handle: OutHandle, object_attributes: Attributes, max_connection_info_length: U32, max_message_length: U32, max_pool_usage: U32);
            NtCreateWaitablePort = classic::nt_create_waitable_port(port_handle: OutHandle, object_attributes: Attributes, max_connection_info_length: U32, max_message_length: U32, max_pool_usage: U32);
            NtConnectPort = classic::nt_connect_port(port_handle: OutHandle, port_name: String, security_qos: Ptr, client_view: Ptr, server_view: Ptr, max_message_length: Ptr, connection_information: Ptr, connection_information_length: Ptr);
            NtSecureConnectPort = classic::nt_secure_connect_port(port_handle: OutHandle, port_name: String, security_qos: Ptr, client_view: Ptr, required_server_sid: Ptr, server_view: Ptr, max_message_length: Ptr, connection_information: Ptr, connection_information_length: Ptr);
            NtListenPort = classic::nt_listen_port(port_handle: Handle, connection_request: Message);
            NtAcceptConnectPort = classic::nt_accept_connect_port(port_handle: OutHandle, port_context: Value, connection_request: Message, accept: Bool, server_view: Ptr, client_view: Ptr);
            NtCompleteConnectPort = classic::nt_complete_connect_port(port_handle: Handle);
            NtRequestPort = classic::nt_request_port(port_handle: Handle, request: Message);
            NtRequestWaitReplyPort = classic::nt_request_wait_reply_port(port_handle: Handle, request: Message, reply: Message);
            NtReplyPort = classic::nt_reply_port(port_handle: Handle, reply: Message);
            NtReplyWaitReplyPort = classic::nt_reply_wait_reply_port(port_handle: Handle, reply: Message);
            NtReplyWaitReceivePort = classic::nt_reply_wait_receive_port(port_handle: Handle, port_context: Ptr, reply: Message, receive: Message);
            NtReplyWaitReceivePortEx = classic::nt_reply_wait_receive_port_ex(port_handle: Handle, port_context: Ptr, reply: Message, receive: Message, timeout: Timeout);
            NtImpersonateClientOfPort = classic::nt_impersonate_client_of_port(port_handle: Handle, message: Message);
            NtReadRequestData = classic::nt_read_request_data(port_handle: Handle, message: Message, index: U32, buffer: Ptr, length: Size, returned: Ptr);
            NtWriteRequestData = classic::nt_write_request_data(port_handle: Handle, message: Message, index: U32, buffer: Ptr, length: Size, returned: Ptr);
            NtQueryInformationPort = classic::nt_query_information_port(port_handle: Handle, class: U32, buffer: Ptr, length: U32, return_length: Ptr);
            NtRegisterThreadTerminatePort = classic::nt_register_thread_terminate_port(port_handle: Handle);
            NtQueryPortInformationProcess = alpc::nt_query_port_information_process();
            NtAlpcCreatePort = alpc::nt_alpc_create_port(port_handle: OutHandle, object_attributes: Attributes, port_attributes: Ptr);
            NtAlpcConnectPort = alpc::nt_alpc_connect_port(port_handle: OutHandle, port_name: String, object_attributes: Attributes, port_attributes: Ptr, flags: U32, required_server_sid: Ptr, connection_message: Message, buffer_length: Ptr, out_message_attributes: Ptr, in_message_attributes: Ptr, timeout: Timeout);
            NtAlpcConnectPortEx = alpc::nt_alpc_connect_port_ex(port_handle: OutHandle, connection_port_attributes: Attributes, client_port_attributes: Attributes, port_attributes: Ptr, flags: U32, server_security_requirements: Ptr, connection_message: Message, buffer_length: Ptr, out_message_attributes: Ptr, in_message_attributes: Ptr, timeout: Timeout);
            NtAlpcAcceptConnectPort = alpc::nt_alpc_accept_connect_port(port_handle: OutHandle, connection_port_handle: Handle, flags: U32, object_attributes: Attributes, port_attributes: Ptr, port_context: Value, connection_request: Message, connection_message_attributes: Ptr, accept: Bool);
            NtAlpcSendWaitReceivePort = alpc::nt_alpc_send_wait_receive_port(port_handle: Handle, flags: U32, send_message: Message, send_message_attributes: Ptr, receive_message: Ptr, buffer_length: Ptr, receive_message_attributes: Ptr, timeout: Timeout);
            NtAlpcDisconnectPort = alpc::nt_alpc_disconnect_port(port_handle: Handle, flags: U32);
            NtAlpcCancelMessage = alpc::nt_alpc_cancel_message(port_handle: Handle, flags: U32, message_context: Ptr);
            NtAlpcQueryInformation = alpc::nt_alpc_query_information(port_handle: Handle, class: U32, buffer: Ptr, length: U32, return_length: Ptr);
            NtAlpcSetInformation = alpc::nt_alpc_set_information(port_handle: Handle, class: U32, buffer: Ptr, length: U32);
            NtAlpcQueryInformationMessage = alpc::nt_alpc_query_information_message(port_handle: Handle, message: Message, class: U32, buffer: Ptr, length: U32, return_length: Ptr);
            NtAlpcCreatePortSection = alpc::nt_alpc_create_port_section(port_handle: Handle, flags: U32, section: Handle, size: Size, alpc_section: OutHandle, actual_size: Ptr);
            NtAlpcDeletePortSection = alpc::nt_alpc_delete_port_section(port_handle: Handle, flags: U32, alpc_section: Handle);
            NtAlpcCreateResourceReserve = alpc::nt_alpc_create_resource_reserve(port_handle: Handle, flags: U32, message_size: Size, resource_id: Ptr);
            NtAlpcDeleteResourceReserve = alpc::nt_alpc_delete_resource_reserve(port_handle: Handle, flags: U32, resource_id: U32);
            NtAlpcCreateSectionView = alpc::nt_alpc_create_section_view(port_handle: Handle, flags: U32, view_attributes: Ptr);
            NtAlpcDeleteSectionView = alpc::nt_alpc_delete_section_view(port_handle: Handle, flags: U32, view_base: Ptr);
            NtAlpcCreateSecurityContext = alpc::nt_alpc_create_security_context(port_handle: Handle, flags: U32, security_attribute: Ptr);
            NtAlpcDeleteSecurityContext = alpc::nt_alpc_delete_security_context(port_handle: Handle, flags: U32, context_handle: Handle);
            NtAlpcRevokeSecurityContext = alpc::nt_alpc_revoke_security_context(port_handle: Handle, flags: U32, context_handle: Handle);
            NtAlpcImpersonateClientOfPort = alpc::nt_alpc_impersonate_client_of_port(port_handle: Handle, message: Message, flags: Value);
            NtAlpcImpersonateClientContainerOfPort = alpc::nt_alpc_impersonate_client_container_of_port(port_handle: Handle, message: Message, flags: U32);
            NtAlpcOpenSenderProcess = alpc::nt_alpc_open_sender_process(process_handle: OutHandle, port_handle: Handle, message: Message, flags: U32, desired_access: U32, object_attributes: Attributes);
            NtAlpcOpenSenderThread = alpc::nt_alpc_open_sender_thread(thread_handle: OutHandle, port_handle: Handle, message: Message, flags: U32, desired_access: U32, object_attributes: Attributes);
            AlpcGetHeaderSize = alpc::alpc_get_header_size(flags: U32) -> U32;
            AlpcInitializeMessageAttribute = alpc::alpc_initialize_message_attribute(flags: U32, buffer: Ptr, size: Size, required: Ptr) -> Status;
            AlpcGetMessageAttribute = alpc::alpc_get_message_attribute(buffer: Ptr, flag: U32) -> Ptr;
            AlpcMaxAllowedMessageLength = alpc::alpc_max_allowed_message_length() -> U32;
            AlpcRegisterCompletionList = alpc::alpc_register_completion_list(port_handle: Handle, list: Ptr, size: U32, concurrency_count: U32, attribute_flags: U32) -> Status;
            AlpcUnregisterCompletionList = alpc::alpc_unregister_completion_list(port_handle: Handle) -> Status;
            AlpcRundownCompletionList = alpc::alpc_rundown_completion_list(port_handle: Handle) -> Status;
            AlpcAdjustCompletionListConcurrencyCount = alpc::alpc_adjust_completion_list_concurrency_count(port_handle: Handle, concurrency_count: U32) -> Status;
            AlpcRegisterCompletionListWorkerThread = alpc::alpc_register_completion_list_worker_thread(list: Ptr) -> Bool;
            AlpcUnregisterCompletionListWorkerThread = alpc::alpc_unregister_completion_list_worker_thread(list: Ptr) -> Bool;
            AlpcGetOutstandingCompletionListMessageCount = alpc::alpc_get_outstanding_completion_list_message_count(list: Ptr) -> U32;
            AlpcGetCompletionListLastMessageInformation = alpc::alpc_get_completion_list_last_message_information(list: Ptr, last_message_id: Ptr, last_callback_id: Ptr) -> Void;
            AlpcGetMessageFromCompletionList = alpc::alpc_get_message_from_completion_list(list: Ptr, message_attributes: Ptr) -> Ptr;
            AlpcFreeCompletionListMessage = alpc::alpc_free_completion_list_message(list: Ptr, message: Ptr) -> U32;
            AlpcGetCompletionListMessageAttributes = alpc::alpc_get_completion_list_message_attributes(list: Ptr, message: Ptr) -> Ptr;
        }
    };
}

/// Declares [`CallId`] and its table from the rows.
macro_rules! declare {
    (@helper) => { None };
    (@helper $result:ident) => { Some(ResultKind::$result) };
    ($($name:ident = $family:ident :: $function:ident ($($arg:ident : $kind:ident),* $(,)?) $(-> $result:ident)?;)*) => {
        /// Index of a call in the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum CallId {
            $(
                #[doc = concat!("`", stringify!($name), "`")]
                $name,
            )*
        }

        impl CallId {
            /// Every call, in table order.
            pub const ALL: &'static [CallId] = &[$(CallId::$name,)*];

            /// Returns the declaration of the call.
            #[must_use]
            pub const fn call(self) -> &'static Call {
                &TABLE[self as usize]
            }
        }

        const TABLE: &[Call] = &[$(Call {
            name: stringify!($name),
            args: &[$((stringify!($arg), ArgKind::$kind),)*],
            family: stringify!($family),
            helper: declare!(@helper $($result)?),
        },)*];
    };
}

for_each_call!(declare);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_an_nt_prefix_and_fit_the_longest_known_prototype() {
        for id in CallId::ALL {
            let call = id.call();
            let is_service = call.name.starts_with("Nt");
            assert_eq!(is_service, call.helper.is_none(), "{}", call.name);
            assert_eq!(call.names().count(), 1 + usize::from(is_service));
            assert!(call.args.len() <= 11, "{}", call.name);
        }
    }
}
