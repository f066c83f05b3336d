//! ALPC: the calls of Vista and later on the engine (`spec` alpc), and ntdll's own helpers for them.
//!
//! | file | topic |
//! |---|---|
//! | `user.rs` | what helpers do with the caller's memory |
//! | `attributes.rs` | AlpcInitializeMessageAttribute and its kin |
//! | `list_user.rs` | the worker's side of a completion list |

mod attributes;
mod list_user;
mod user;

pub(crate) use attributes::{
    alpc_get_header_size, alpc_get_message_attribute, alpc_initialize_message_attribute,
    alpc_max_allowed_message_length,
};
pub(crate) use list_user::{
    alpc_free_completion_list_message, alpc_get_completion_list_last_message_information,
    alpc_get_completion_list_message_attributes, alpc_get_message_from_completion_list,
    alpc_get_outstanding_completion_list_message_count,
    alpc_register_completion_list_worker_thread, alpc_unregister_completion_list_worker_thread,
};
