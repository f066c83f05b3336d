//! What kind of program a file is: `GetBinaryType` of `winbase.h`.
//!
//! Source: Microsoft Learn, "GetBinaryTypeW function", "PE Format" (signature, machine types, characteristics).

use std::io::{Read, Seek, SeekFrom};

use ntlpc_abi::NtStatus;

use super::fileapi::resolve_file;
use crate::dlls::win32::{error, failed, refuse, units_arg, wide_arg};
use crate::export::{Bool, Ptr};
use crate::ob::file::status_of;
use crate::win_api;

/// `SCS_32BIT_BINARY`.
const BINARY_32: u32 = 0;
/// `SCS_DOS_BINARY`.
const DOS: u32 = 1;
/// `SCS_WOW_BINARY`: for 16-bit Windows.
const WOW: u32 = 2;
/// `SCS_OS216_BINARY`: for 16-bit OS/2.
const OS2: u32 = 5;
/// `SCS_64BIT_BINARY`.
const BINARY_64: u32 = 6;

/// `IMAGE_FILE_DLL`.
const IS_DLL: u16 = 0x2000;
/// Machines of 64-bit programs: AMD64, ARM64, IA64.
const MACHINES_64: [u16; 3] = [0x8664, 0xAA64, 0x200];

/// Returns the kind of a program; `None` if it is none.
fn kind(file: &mut (impl Read + Seek)) -> Option<u32> {
    let mut header = [0; 64];
    file.read_exact(&mut header).ok()?;
    if &header[..2] != b"MZ" {
        return None;
    }
    let word = |bytes: &[u8], at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let at = u64::from(word(&header, 60)) | u64::from(word(&header, 62)) << 16;
    let mut next = [0; 64];
    let is_read = file
        .seek(SeekFrom::Start(at))
        .and_then(|_| file.read_exact(&mut next));
    match &next[..2] {
        _ if is_read.is_err() => Some(DOS),
        b"PE" if next[2..4] == [0, 0] => {
            let (machine, characteristics) = (word(&next, 4), word(&next, 22));
            if characteristics & IS_DLL != 0 {
                return None;
            }
            Some(if MACHINES_64.contains(&machine) {
                BINARY_64
            } else {
                BINARY_32
            })
        }
        // The target system: Windows, or Windows/386.
        b"NE" => Some(if matches!(next[0x36], 2 | 4) {
            WOW
        } else {
            OS2
        }),
        _ => Some(DOS),
    }
}

fn tell(name: Option<Vec<u16>>, to: Ptr<u32>) -> Bool {
    let opened = name
        .ok_or(NtStatus::OBJECT_PATH_NOT_FOUND)
        .and_then(|name| resolve_file(&name))
        .and_then(|path| std::fs::File::open(path).map_err(|error| status_of(&error)));
    match opened.map(|mut file| kind(&mut file)) {
        Ok(Some(kind)) => {
            to.write(kind);
            Bool::TRUE
        }
        Ok(None) => refuse(error::BAD_EXE_FORMAT, Bool::FALSE),
        Err(status) => failed(status, Bool::FALSE),
    }
}

win_api! {
    /// Tells what kind of program a file is.
    "kernel32.dll|kernelbase.dll" stdcall fn GetBinaryTypeW(name: Ptr<u16>, to: Ptr<u32>) -> Bool {
        tell(units_arg(name), to)
    }

    /// Tells what kind of program a file is.
    "kernel32.dll|kernelbase.dll" stdcall fn GetBinaryTypeA = "GetBinaryTypeA|GetBinaryType" (name: Ptr<u8>, to: Ptr<u32>) -> Bool {
        tell(wide_arg(name), to)
    }
}
