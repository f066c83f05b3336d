//! The `…2` forms of functions on files, which take their rarer arguments in a structure; of `fileapi.h` and `winbase.h`.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::fileapi::{FLAG_BACKUP_SEMANTICS, create, options};
use super::filesystem::copy_file;
use super::synchapi::SecurityAttributes;
use crate::dlls::win32::{INVALID_HANDLE_VALUE, error, or_else, refuse, units_arg};
use crate::export::Ptr;
use crate::ob::file::{FILE_TYPE, File, FileKind, rights};
use crate::ob::object::access::SYNCHRONIZE;
use crate::ob::open::{Disposition, How, open_target};
use crate::ob::path::Target;
use crate::ob::table::{TABLE, lookup};
use crate::{guest_struct, win_api};

guest_struct! {
    /// `CREATEFILE2_EXTENDED_PARAMETERS`.
    pub struct CreateFile2Parameters {
        size: u32,
        attributes: u32,
        flags: u32,
        security_qos_flags: u32,
        security: Ptr<SecurityAttributes>,
        template: Handle,
    }
    /// `COPYFILE2_EXTENDED_PARAMETERS`.
    pub struct CopyFile2Parameters {
        size: u32,
        flags: u32,
        cancel: Ptr<u32>,
        routine: UserPtr,
        context: UserPtr,
    }
}

/// `COPY_FILE_FAIL_IF_EXISTS`.
const FAIL_IF_EXISTS: u32 = 1;
/// `COPY_FILE_ALLOW_DECRYPTED_DESTINATION`, which asks for nothing where nothing is encrypted.
const ALLOW_DECRYPTED: u32 = 8;
/// The facility of Win32 errors in an `HRESULT`.
const HRESULT_WIN32: u32 = 0x8007_0000;

/// Opens the file behind a handle; it may have another name by now.
fn reopen(handle: Handle, access: u32, flags: u32) -> Result<Handle, NtStatus> {
    let file = lookup::<File>(handle, 0)?;
    if file.kind != FileKind::Disk {
        return Err(NtStatus::NOT_SUPPORTED);
    }
    let access = FILE_TYPE.grant(access)? | rights::READ_ATTRIBUTES | SYNCHRONIZE;
    let how = How {
        access,
        disposition: Disposition::Open,
        options: options(flags | FLAG_BACKUP_SEMANTICS),
        attributes: 0,
    };
    let link = format!("/proc/self/fd/{}", file.fd().as_raw_fd());
    let (mut again, _) = open_target(&Target::File(link.into()), how)?;
    again.path.clone_from(&file.path);
    TABLE.insert(Arc::new(again), access, 0)
}

win_api! {
    /// Opens or creates a file.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateFile2(name: Ptr<u16>, access: u32, share: u32, disposition: u32, parameters: Ptr<CreateFile2Parameters>) -> Handle {
        let Some(parameters) = parameters.non_null() else {
            return create(units_arg(name), access, Ptr::NULL, disposition, 0);
        };
        let given = parameters.read();
        if (given.size as usize) < <CreateFile2Parameters as crate::export::Guest>::size() {
            return refuse(error::INVALID_PARAMETER, INVALID_HANDLE_VALUE);
        }
        create(units_arg(name), access, given.security, disposition, given.attributes | given.flags)
    }

    /// Opens the file behind a handle anew, with other rights.
    "kernel32.dll|kernelbase.dll" stdcall fn ReOpenFile(file: Handle, access: u32, _share: u32, flags: u32) -> Handle {
        or_else(reopen(file, access, flags), INVALID_HANDLE_VALUE)
    }

    /// Copies a file; returns an `HRESULT`.
    "kernel32.dll|kernelbase.dll" stdcall fn CopyFile2(from: Ptr<u16>, to: Ptr<u16>, parameters: Ptr<CopyFile2Parameters>) -> u32 {
        let given = parameters.non_null().map(Ptr::read);
        let flags = given.as_ref().map_or(0, |given| given.flags);
        let unsupported = flags & !(FAIL_IF_EXISTS | ALLOW_DECRYPTED);
        if unsupported != 0 || given.is_some_and(|given| given.routine.0 != 0) {
            log::warn!("CopyFile2: flags {unsupported:#x} or a progress routine are not supported");
            return HRESULT_WIN32 | error::NOT_SUPPORTED;
        }
        match copy_file(units_arg(from), units_arg(to), flags & FAIL_IF_EXISTS != 0) {
            Ok(()) => 0,
            Err(code) => HRESULT_WIN32 | code,
        }
    }
}
