//! `advapi32.dll` and `sechost.dll`: security.

mod sddl;
mod securitybaseapi;
mod tokens;
