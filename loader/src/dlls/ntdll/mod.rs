//! `ntdll.dll`.

mod ldr;
mod objects;
mod ports;
mod rtlexception;
pub mod sections;
