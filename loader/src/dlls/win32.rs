//! What the Win32 layer adds to NT calls: error codes for statuses, results with a last error, ANSI text.

use ntlpc_abi::{Handle, NtStatus};

use crate::export::{Bool, Guest, Ptr};
use crate::teb;

pub use crate::win32_error::{dos_error, error};

/// Sets the last error for a status, and the last status.
pub fn set_status(status: NtStatus) {
    teb::set_last_status(status);
    teb::set_last_error(dos_error(status));
}

/// `TRUE`, or `FALSE` with a last error.
pub fn success(result: Result<(), NtStatus>) -> Bool {
    match result {
        Ok(()) => Bool::TRUE,
        Err(status) => failed(status, Bool::FALSE),
    }
}

/// The value, or `failure` with a last error.
pub fn or_else<T>(result: Result<T, NtStatus>, failure: T) -> T {
    result.unwrap_or_else(|status| failed(status, failure))
}

/// `failure` with the last error of a status.
pub fn failed<T>(status: NtStatus, failure: T) -> T {
    set_status(status);
    failure
}

/// `failure` with a last error.
pub fn refuse<T>(code: u32, failure: T) -> T {
    teb::set_last_error(code);
    failure
}

/// A handle from `name::create`; the last error says whether it existed. `failure` for an error.
pub fn created(result: Result<(Handle, NtStatus), NtStatus>, failure: Handle) -> Handle {
    match result {
        Ok((handle, status)) => {
            let existed = status == NtStatus::OBJECT_NAME_EXISTS;
            teb::set_last_error(if existed {
                error::ALREADY_EXISTS
            } else {
                error::SUCCESS
            });
            handle
        }
        Err(status) => failed(status, failure),
    }
}

/// `INVALID_HANDLE_VALUE`.
pub const INVALID_HANDLE_VALUE: Handle = Handle(u64::MAX);

/// Decodes text in the ANSI code page, which is UTF-8 here (see `stringapiset.rs`).
#[must_use]
pub fn wide_of(ansi: &[u8]) -> Vec<u16> {
    String::from_utf8_lossy(ansi).encode_utf16().collect()
}

/// Encodes text in the ANSI code page, which is UTF-8 here.
#[must_use]
pub fn ansi_of(wide: &[u16]) -> Vec<u8> {
    String::from_utf16_lossy(wide).into_bytes()
}

/// Reads an ANSI string of the guest as UTF-16; NULL gives `None`.
pub fn wide_arg(ansi: Ptr<u8>) -> Option<Vec<u16>> {
    ansi.non_null().map(|at| wide_of(&at.read_c_string()))
}

/// Reads a wide string of the guest; NULL gives `None`.
pub fn units_arg(wide: Ptr<u16>) -> Option<Vec<u16>> {
    wide.non_null().map(Ptr::read_wide_string)
}

/// Writes `units` and a NUL if they fit in `size` elements.
///
/// Returns what such functions return: the length without NUL when it fitted, else the size needed with NUL.
pub fn put_string<T: Guest + Default>(units: &[T], buffer: Ptr<T>, size: u32) -> u32 {
    let len = u32::try_from(units.len()).unwrap_or(u32::MAX - 1);
    if buffer.is_null() || size <= len {
        teb::set_last_error(error::INSUFFICIENT_BUFFER);
        return len + 1;
    }
    buffer.write_many(units);
    buffer.add(units.len()).write(T::default());
    len
}
