//! The built-in DLLs: one folder per DLL, one file per Windows header.

pub mod advapi32;
mod bcrypt;
mod com;
mod crypt32;
mod dbghelp;
mod hashes;
mod iphlpapi;
pub mod kernel32;
pub mod ntdll;
mod random;
mod rpcrt4;
mod safearray;
mod secur32;
mod shellapi;
mod shlwapi;
mod small;
mod user32;
mod version;
pub mod win32;
mod wincrypt;
mod ws2_32;
