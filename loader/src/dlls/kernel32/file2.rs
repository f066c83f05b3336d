//! The `…2` forms of functions on files, which take their rarer arguments in a structure; of `fileapi.h` and `winbase.h`.

use ntlpc_abi::{Handle, UserPtr};

use super::fileapi::create;
use super::filesystem::copy_file;
use super::synchapi::SecurityAttributes;
use crate::dlls::win32::{INVALID_HANDLE_VALUE, error, refuse, units_arg};
use crate::export::Ptr;
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
            Err(status) => HRESULT_WIN32 | crate::dlls::win32::dos_error(status),
        }
    }
}
