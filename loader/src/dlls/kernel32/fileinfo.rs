//! Information about open files by class: `GetFileInformationByHandleEx`, `SetFileInformationByHandle`, `DeviceIoControl`.

use ntlpc_abi::{Handle, NtStatus};

use crate::dlls::ntdll::devicecontrol::{Answer, control};
use crate::dlls::ntdll::directoryinformation::list;
use crate::dlls::ntdll::fileinformation::{Relative, query, set};
use crate::dlls::win32::{error, failed, refuse, success};
use crate::export::{Bool, Ptr};
use crate::ob::file::File;
use crate::ob::overlapped::{Overlapped, complete};
use crate::ob::table::lookup;
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
            (None, Some((class, is_restart))) => list(file, class, length as usize, usize::MAX, is_restart, None),
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
            Some(class) => success(set(file, class, buffer, length, Relative::ToCurrentDirectory)),
            None => refuse(error::INVALID_PARAMETER, Bool::FALSE),
        }
    }

    /// Controls a file, a file system or a device.
    "kernel32.dll|kernelbase.dll" stdcall fn DeviceIoControl(device: Handle, code: u32, input: Ptr<u8>, input_length: u32, output: Ptr<u8>, output_length: u32, returned: Ptr<u32>, overlapped: Ptr<Overlapped>) -> Bool {
        let file = match lookup::<File>(device, 0) {
            Ok(file) => file,
            Err(status) => return failed(status, Bool::FALSE),
        };
        let input = input.read_bytes(input_length as usize);
        let Answer { status, bytes } = control(&file, code, &input, output_length as usize);
        output.write_bytes(&bytes);
        returned.write_if_some(u32::try_from(bytes.len()).unwrap_or(0));
        if status.is_error() {
            return failed(status, Bool::FALSE);
        }
        if let Some(overlapped) = overlapped.non_null() {
            complete(&file, overlapped, status, bytes.len());
        }
        success(if status == NtStatus::SUCCESS { Ok(()) } else { Err(status) })
    }
}
