//! The built-in DLLs: one folder per DLL, one file per Windows header.

pub mod advapi32;
mod bcrypt;
mod com;
mod hashes;
pub mod kernel32;
pub mod ntdll;
mod random;
mod safearray;
mod small;
mod user32;
pub mod win32;
mod wincrypt;
mod ws2_32;
