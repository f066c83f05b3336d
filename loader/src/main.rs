//! Placeholder until its first file lands.
fn main() {}
