//! The token that counts for a thread.

use std::sync::Arc;

use ntlpc_abi::NtStatus;

use super::thread;
use super::token::{Token, primary};

/// Returns the token that counts for the calling thread: its own, or the process's.
#[must_use]
pub fn effective() -> Arc<Token> {
    thread::with_current(|thread| thread.token.lock().clone()).unwrap_or_else(primary)
}

/// Returns `PRIVILEGE_NOT_HELD` unless the effective token of the calling thread has the privilege enabled.
pub fn require(number: u32) -> Result<(), NtStatus> {
    if effective().is_enabled(number) {
        Ok(())
    } else {
        Err(NtStatus::PRIVILEGE_NOT_HELD)
    }
}
