//! ALPC: the calls of Vista and later on the engine (`spec` alpc), and ntdll's own helpers for them. One file per verb.
//!
//! | file | topic |
//! |---|---|
//! | `create.rs`, `connect.rs`, `accept.rs`, `disconnect.rs` | ports and connections |
//! | `port.rs`, `object.rs` | what is said of a port and of its name |
//! | `transfer.rs`, `message.rs` | NtAlpcSendWaitReceivePort and the header of its messages |
//! | `handshake.rs` | attributes of connection requests and their answers |
//! | `frame.rs` | message attributes on their way: a row for each, to capture and to deliver |
//! | `cancel.rs` | NtAlpcCancelMessage |
//! | `information.rs`, `message_information.rs` | what can be asked and set |
//! | `references.rs` | calls that are counted, and waiting for them |
//! | `section.rs`, `view.rs` | port sections, views and the VIEW attribute |
//! | `reserve.rs` | resource reserves |
//! | `security.rs` | security contexts and the SECURITY attribute |
//! | `impersonate.rs`, `sender.rs` | becoming and opening a sender |
//! | `user.rs` | what helpers do with the caller's memory |
//! | `attributes.rs` | AlpcInitializeMessageAttribute and its kin |
//! | `notification.rs`, `list.rs` | completion ports and completion lists |
//! | `list_user.rs` | the worker's side of a completion list |

#![allow(clippy::too_many_arguments, reason = "the calls have NT's prototypes")]

mod accept;
mod attachment;
mod attributes;
mod cancel;
mod connect;
mod create;
mod disconnect;
mod frame;
mod handle_attribute;
mod handshake;
mod impersonate;
mod information;
mod list;
mod list_user;
mod message;
mod message_information;
mod notification;
mod object;
mod other_attributes;
mod port;
mod references;
mod reserve;
mod section;
mod security;
mod sender;
mod transfer;
mod user;
mod view;
mod view_attribute;

pub(crate) use accept::nt_alpc_accept_connect_port;
pub(crate) use attachment::reclaim;
pub(crate) use attributes::{
    alpc_get_header_size, alpc_get_message_attribute, alpc_initialize_message_attribute,
    alpc_max_allowed_message_length,
};
pub(crate) use cancel::nt_alpc_cancel_message;
pub(crate) use connect::{nt_alpc_connect_port, nt_alpc_connect_port_ex};
pub(crate) use create::nt_alpc_create_port;
pub(crate) use disconnect::nt_alpc_disconnect_port;
pub(crate) use impersonate::{
    nt_alpc_impersonate_client_container_of_port, nt_alpc_impersonate_client_of_port,
};
pub(crate) use information::{
    nt_alpc_query_information, nt_alpc_set_information, nt_query_port_information_process,
};
pub use list::completion_list;
pub(crate) use list_user::{
    alpc_free_completion_list_message, alpc_get_completion_list_last_message_information,
    alpc_get_completion_list_message_attributes, alpc_get_message_from_completion_list,
    alpc_get_outstanding_completion_list_message_count,
    alpc_register_completion_list_worker_thread, alpc_unregister_completion_list_worker_thread,
};
pub(crate) use message_information::nt_alpc_query_information_message;
pub(crate) use notification::{
    alpc_adjust_completion_list_concurrency_count, alpc_register_completion_list,
    alpc_rundown_completion_list, alpc_unregister_completion_list,
};
pub(crate) use reserve::{nt_alpc_create_resource_reserve, nt_alpc_delete_resource_reserve};
pub(crate) use section::{nt_alpc_create_port_section, nt_alpc_delete_port_section};
pub(crate) use security::{
    nt_alpc_create_security_context, nt_alpc_delete_security_context,
    nt_alpc_revoke_security_context,
};
pub(crate) use sender::{nt_alpc_open_sender_process, nt_alpc_open_sender_thread};
pub(crate) use transfer::nt_alpc_send_wait_receive_port;
pub(crate) use view::{nt_alpc_create_section_view, nt_alpc_delete_section_view, release_views};
