//! `ws2_32.dll` and `mswsock.dll`.

mod database;
mod mswsock;
mod names;
mod overlapped;
mod winsock2;
mod ws2tcpip;
