//! `ws2_32.dll`.

mod winsock2;
