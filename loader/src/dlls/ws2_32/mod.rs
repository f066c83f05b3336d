//! `ws2_32.dll` and `mswsock.dll`.

mod mswsock;
mod overlapped;
mod winsock2;
mod ws2tcpip;
