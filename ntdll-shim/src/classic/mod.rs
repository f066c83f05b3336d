//! Classic LPC: the eighteen calls of NT 5 on the engine (`spec` lpc). One file per verb.

#![allow(clippy::too_many_arguments, reason = "the calls have NT's prototypes")]

mod accept;
mod complete;
mod connect;
mod create;
pub mod exception;
mod impersonate;
mod listen;
mod message;
mod query;
mod receive;
mod reply;
mod request;
mod request_data;
mod terminate;
mod view;

pub(crate) use accept::nt_accept_connect_port;
pub(crate) use complete::nt_complete_connect_port;
pub(crate) use connect::{nt_connect_port, nt_secure_connect_port};
pub(crate) use create::{nt_create_port, nt_create_waitable_port};
pub(crate) use impersonate::nt_impersonate_client_of_port;
pub(crate) use listen::nt_listen_port;
pub(crate) use query::nt_query_information_port;
pub(crate) use receive::{nt_reply_wait_receive_port, nt_reply_wait_receive_port_ex};
pub(crate) use reply::{nt_reply_port, nt_reply_wait_reply_port};
pub(crate) use request::{nt_request_port, nt_request_wait_reply_port};
pub(crate) use request_data::{nt_read_request_data, nt_write_request_data};
pub(crate) use terminate::nt_register_thread_terminate_port;
pub use terminate::release_terminate_ports;
