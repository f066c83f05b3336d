//! `advapi32.dll` and `sechost.dll`: security, registry.

mod sddl;
mod securitybaseapi;
mod tokens;
mod winreg;
mod winreg_values;
