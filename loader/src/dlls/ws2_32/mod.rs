//! `ws2_32.dll` and `mswsock.dll`.

mod addresses;
mod database;
mod mswsock;
mod names;
mod network_events;
pub(in crate::dlls) mod overlapped;
mod protocols;
mod select;
mod winsock2;
mod ws2tcpip;
mod wsock32;
