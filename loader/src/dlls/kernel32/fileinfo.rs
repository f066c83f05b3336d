//! Information about open files by class: `GetFileInformationByHandleEx`, `SetFileInformationByHandle`, `DeviceIoControl`.

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use crate::dlls::ntdll::fileinformation::{list, query, set};
use crate::dlls::win32::{error, failed, refuse, success};
use crate::export::{Bool, Ptr};
use crate::win_api;

/// The native class of a `FILE_INFO_BY_HANDLE_CLASS` that describes a file.
const fn native(class: u32) -> Option<u32> {
    Some(match class {
        // Basic, Standard, Name, Rename, Disposition, Allocation, EndOfFile
        0 => 4,
        1 => 5,
        2 => 9,
        3 => 10,
        4 => 13,
        5 => 19,
        6 => 20,
        // AttributeTag, Id, DispositionEx, RenameEx
        9 => 35,
        18 => 59,
        21 => 64,
        22 => 65,
        _ => return None,
    })
}

/// The native class of a listing and whether it starts again.
const fn listing(class: u32) -> Option<(u32, bool)> {
    match class {
        // FileIdBothDirectoryInfo, …RestartInfo; FileFullDirectoryInfo, …RestartInfo
        10 => Some((37, false)),
        11 => Some((37, true)),
        14 => Some((2, false)),
        15 => Some((2, true)),
        _ => None,
    }
}

win_api! {
    /// Describes an open file, or lists an open directory.
    "kernel32.dll|kernelbase.dll" stdcall fn GetFileInformationByHandleEx(file: Handle, class: u32, buffer: Ptr<u8>, length: u32) -> Bool {
        let bytes = match (native(class), listing(class)) {
            (Some(class), _) => query(file, class),
            (None, Some((class, is_restart))) => list(file, class, length as usize, is_restart),
            (None, None) => return refuse(error::INVALID_PARAMETER, Bool::FALSE),
        };
        match bytes {
            Ok(bytes) if bytes.len() <= length as usize => {
                buffer.write_bytes(&bytes);
                Bool::TRUE
            }
            Ok(_) => refuse(if class == 2 { error::MORE_DATA } else { 24 }, Bool::FALSE),
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Changes an open file.
    "kernel32.dll|kernelbase.dll" stdcall fn SetFileInformationByHandle(file: Handle, class: u32, buffer: Ptr<u8>, length: u32) -> Bool {
        match native(class) {
            Some(class) => success(set(file, class, buffer, length)),
            None => refuse(error::INVALID_PARAMETER, Bool::FALSE),
        }
    }

    /// Controls a device; no device here knows any code.
    "kernel32.dll|kernelbase.dll" stdcall fn DeviceIoControl(_device: Handle, code: u32, _input: UserPtr, _input_length: u32, _output: UserPtr, _output_length: u32, _returned: Ptr<u32>, _overlapped: UserPtr) -> Bool {
        log::debug!("device control {code:#x} is not supported");
        failed(NtStatus::INVALID_DEVICE_REQUEST, Bool::FALSE)
    }
}
