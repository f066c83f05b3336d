//! What differs between the machines whose Linux processes Wine runs in: x86-64, and i386 (old WoW64, 32-bit Wine).
//!
//! | what | x86-64 | i386 |
//! |---|---|---|
//! | entry of a service, and its arguments | 64-bit words in a row | 32-bit words behind the result |
//! | calls of `ntdll.so` | Microsoft or System V, probed | stdcall or cdecl, one way to call both |
//! | machine code in and beside PE ntdll | `code.rs`, `pool_code.rs` | the same |
//! | entries of signal handlers, `pthread_exit` | `signals.rs` | the same |
//! | a second PE ntdll, of 32-bit code | `wow64.rs` | there is none |

#[cfg(target_arch = "x86")]
mod i386;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86")]
pub use i386::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;
