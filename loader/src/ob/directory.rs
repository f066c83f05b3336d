//! The handle of the current directory, which native programs give as the root of relative names (`CURDIR`, phnt `ntrtl.h`).

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};

use super::file::File;
use super::open::{Disposition, How, open_target, option};
use super::path::Target;
use super::table::TABLE;
use crate::guest::Ptr;
use crate::peb;
use crate::peb::CurrentDirectory;

/// `SYNCHRONIZE | FILE_TRAVERSE`, the access Windows opens it with.
const ACCESS: u32 = 0x0010_0020;

/// Opens the current directory anew, and notes the handle in the process parameters.
pub fn open() {
    let field: Ptr<Handle> = peb::parameter::<CurrentDirectory>("current_directory")
        .byte_add(CurrentDirectory::offset_of("handle") as u64)
        .cast();
    let old = field.read();
    let handle = open_directory().unwrap_or_else(|status| {
        log::warn!("the current directory has no handle: {status}");
        Handle::NULL
    });
    field.write(handle);
    if old != Handle::NULL {
        // The guest may have closed it.
        let _ = TABLE.close(old);
    }
}

fn open_directory() -> Result<Handle, NtStatus> {
    let path = std::env::current_dir().map_err(|_| NtStatus::OBJECT_PATH_NOT_FOUND)?;
    let how = How {
        access: ACCESS,
        disposition: Disposition::Open,
        options: option::SYNCHRONOUS,
        attributes: 0,
    };
    let (file, _): (File, _) = open_target(&Target::File(path), how)?;
    TABLE.insert(Arc::new(file), ACCESS, 0)
}
