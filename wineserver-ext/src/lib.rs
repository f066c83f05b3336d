//! The central server of one prefix: names, ports, connections, security, deaths.
#![forbid(unsafe_code)]

pub mod background;
pub mod namespace;
pub mod options;
pub mod security;
