//! `ntdll.dll`.

mod objects;
mod ports;
mod sections;
