//! The built-in DLLs: one folder per DLL, one file per Windows header.

pub mod kernel32;
mod ntdll;
pub mod win32;
