//! The standard handles: descriptors 0 to 2 as file objects, unless the creator of the process passed handles.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use ntlpc_abi::Handle;

use super::file::{FILE_TYPE, File};
use super::table::{INHERIT, TABLE};
use crate::peb;

/// Fields of the process parameters, in the order of the descriptors.
const FIELDS: [&str; 3] = ["standard_input", "standard_output", "standard_error"];

/// Makes the standard handles and notes them in the process parameters.
pub fn install() {
    let passed = super::spawn::startup_handles();
    let own = [
        std::io::stdin().as_duplicate(),
        std::io::stdout().as_duplicate(),
        std::io::stderr().as_duplicate(),
    ];
    for (i, (field, fd)) in FIELDS.iter().zip(own).enumerate() {
        let handle = match (&passed, fd) {
            (Some(handles), _) => handles[i],
            (None, Some(fd)) => {
                let file = Arc::new(File::new(fd, PathBuf::new(), false));
                TABLE
                    .insert(file, FILE_TYPE.generic[3], INHERIT)
                    .unwrap_or(Handle::NULL)
            }
            (None, None) => Handle::NULL,
        };
        peb::parameter::<Handle>(field).write(handle);
    }
}

trait Duplicate {
    /// A descriptor of our own, so that the guest can close its handle without touching ours.
    fn as_duplicate(&self) -> Option<OwnedFd>;
}

impl<T: std::os::fd::AsFd> Duplicate for T {
    fn as_duplicate(&self) -> Option<OwnedFd> {
        let fd: BorrowedFd<'_> = self.as_fd();
        fd.try_clone_to_owned().ok()
    }
}

/// `STD_INPUT_HANDLE` and so on as field names.
#[must_use]
pub fn field(number: u32) -> Option<&'static str> {
    // -10, -11, -12
    FIELDS
        .get((u32::MAX - 9).wrapping_sub(number) as usize)
        .copied()
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_of_the_standard_handles() {
        assert_eq!(super::field(-10_i32 as u32), Some("standard_input"));
        assert_eq!(super::field(-12_i32 as u32), Some("standard_error"));
        assert_eq!(super::field(-13_i32 as u32), None);
    }
}
