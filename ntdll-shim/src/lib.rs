//! NT port calls on Linux: classic LPC and ALPC over shared memory, for three hosts.

pub mod host;
pub mod interrupt;
