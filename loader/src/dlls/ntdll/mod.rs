//! `ntdll.dll`.

mod objects;
mod ports;
pub mod sections;
