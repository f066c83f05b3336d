//! `crypt32.dll`: stores of certificates, of which the system's root store is that of Linux. Chains are not built.

mod certificate;
mod chain;
mod context;
mod der;
mod find;
mod names;
mod store;
mod text;
