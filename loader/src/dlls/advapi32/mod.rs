//! `advapi32.dll` and `sechost.dll`: security, registry.

pub mod accounts;
mod aclapi;
mod evntprov;
mod processes;
mod sddl;
mod securitybaseapi;
mod tokens;
mod well_known;
mod wincred;
mod winreg;
mod winreg_values;
