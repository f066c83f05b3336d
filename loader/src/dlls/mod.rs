//! The built-in DLLs: one folder per DLL, one file per Windows header.

mod advapi32;
mod com;
pub mod kernel32;
pub mod ntdll;
mod random;
mod safearray;
mod small;
mod user32;
pub mod win32;
mod ws2_32;
