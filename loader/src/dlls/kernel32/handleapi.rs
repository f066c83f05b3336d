//! Handles: `handleapi.h`.

use ntlpc_abi::Handle;

use crate::dlls::win32::{failed, success};
use crate::export::{Bool, Ptr};
use crate::ob::table::{INHERIT, PROTECT, TABLE};
use crate::ob::{duplicate, handle as handles};
use crate::win_api;

/// `HANDLE_FLAG_INHERIT`.
const FLAG_INHERIT: u32 = 1;
/// `HANDLE_FLAG_PROTECT_FROM_CLOSE`.
const FLAG_PROTECT: u32 = 2;

fn attributes_of(flags: u32) -> u32 {
    (if flags & FLAG_INHERIT != 0 {
        INHERIT
    } else {
        0
    }) | (if flags & FLAG_PROTECT != 0 {
        PROTECT
    } else {
        0
    })
}

win_api! {
    /// Closes a handle.
    "kernel32.dll|kernelbase.dll" stdcall fn CloseHandle(handle: Handle) -> Bool {
        success(handles::close(handle))
    }

    /// Copies a handle, within and between processes.
    "kernel32.dll|kernelbase.dll" stdcall fn DuplicateHandle(source_process: Handle, source: Handle, target_process: Handle, target: Ptr<Handle>, access: u32, inherit: Bool, options: u32) -> Bool {
        let attributes = if inherit.get() { INHERIT } else { 0 };
        match duplicate::duplicate(source_process, source, target_process, access, attributes, options) {
            Ok(handle) => {
                target.write_if_some(handle);
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Reads whether a handle is inherited and protected.
    "kernel32.dll|kernelbase.dll" stdcall fn GetHandleInformation(handle: Handle, flags: Ptr<u32>) -> Bool {
        match TABLE.entry(handle) {
            Ok(entry) => {
                let inherit = if entry.attributes & INHERIT != 0 { FLAG_INHERIT } else { 0 };
                let protect = if entry.attributes & PROTECT != 0 { FLAG_PROTECT } else { 0 };
                flags.write(inherit | protect);
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Changes whether a handle is inherited and protected.
    "kernel32.dll|kernelbase.dll" stdcall fn SetHandleInformation(handle: Handle, mask: u32, flags: u32) -> Bool {
        let (mask, wanted) = (attributes_of(mask), attributes_of(flags));
        success(TABLE.set_attributes(handle, |old| old & !mask | wanted & mask))
    }

    /// Returns whether two handles name one object.
    "kernel32.dll|kernelbase.dll" stdcall fn CompareObjectHandles(first: Handle, second: Handle) -> Bool {
        handles::is_same(first, second).into()
    }
}
