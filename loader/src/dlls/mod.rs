//! The built-in DLLs: one folder per DLL, one file per Windows header.

mod kernel32;
pub mod win32;
