//! `lpcrun`: runs PE console programs on Linux.
mod vm;
fn main() {}
mod crt;
