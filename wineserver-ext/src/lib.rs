//! The central server of one prefix: names, ports, connections, security, deaths.
#![forbid(unsafe_code)]

pub mod namespace;
pub mod security;
