//! Control codes of devices and file systems: `NtDeviceIoControlFile`, `NtFsControlFile`, `DeviceIoControl`.
//!
//! Codes and structures: Microsoft Learn "Mount Manager I/O Control Codes" (`mountmgr.h`), "File System Control Codes".

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use super::afd;
use super::files::queue_routine;
use super::iocompletion::IoStatusBlock;
use super::objects::probe;
use crate::export::{Callback, Ptr};
use crate::ob::file::{File, FileKind};
use crate::ob::sync::{Event, MODIFY_STATE};
use crate::ob::table::lookup;
use crate::ob::{path, volume};
use crate::win_api;

/// `IO_REPARSE_TAG_SYMLINK`.
pub const REPARSE_TAG_SYMLINK: u32 = 0xA000_000C;

/// Codes that are known here.
mod code {
    /// `IOCTL_MOUNTMGR_QUERY_POINTS`.
    pub const QUERY_POINTS: u32 = 0x6D_0008;
    /// `IOCTL_MOUNTMGR_QUERY_DOS_VOLUME_PATH`.
    pub const QUERY_DOS_VOLUME_PATH: u32 = 0x6D_0030;
    /// `IOCTL_MOUNTMGR_QUERY_DOS_VOLUME_PATHS`.
    pub const QUERY_DOS_VOLUME_PATHS: u32 = 0x6D_0034;
    /// `FSCTL_GET_REPARSE_POINT`.
    pub const GET_REPARSE_POINT: u32 = 0x9_00A8;
    /// `FSCTL_SET_SPARSE`.
    pub const SET_SPARSE: u32 = 0x9_00C4;
}

/// Bytes of `MOUNTMGR_MOUNT_POINT`: offset, length and padding of the link, the unique id and the device.
const POINT: usize = 24;
/// Bytes of `MOUNTMGR_MOUNT_POINTS` before its array: size of the whole, number of points.
const POINTS_HEADER: usize = 8;

/// What a control code gives back.
#[derive(Debug)]
pub struct Answer {
    /// How it ended.
    pub status: NtStatus,
    /// What goes to the output buffer.
    pub bytes: Vec<u8>,
}

impl From<Result<Vec<u8>, NtStatus>> for Answer {
    fn from(result: Result<Vec<u8>, NtStatus>) -> Self {
        match result {
            Ok(bytes) => Answer {
                status: NtStatus::SUCCESS,
                bytes,
            },
            Err(status) => Answer {
                status,
                bytes: Vec::new(),
            },
        }
    }
}

fn units(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn same_name(one: &[u8], other: &[u8]) -> bool {
    let text = |bytes: &[u8]| {
        let units: Vec<u16> = bytes
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        String::from_utf16_lossy(&units).to_lowercase()
    };
    text(one) == text(other)
}

/// The bytes that field `index` of a `MOUNTMGR_MOUNT_POINT` names; `None` if it names none.
fn field(input: &[u8], index: usize) -> Result<Option<&[u8]>, NtStatus> {
    let at = index * 8;
    let head = input.get(at..at + 6).ok_or(NtStatus::INVALID_PARAMETER)?;
    let offset = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let length = usize::from(u16::from_le_bytes([head[4], head[5]]));
    if length == 0 {
        return Ok(None);
    }
    let end = offset
        .checked_add(length)
        .ok_or(NtStatus::INVALID_PARAMETER)?;
    input
        .get(offset..end)
        .map(Some)
        .ok_or(NtStatus::INVALID_PARAMETER)
}

/// Lists the links to the volumes that match all fields of a `MOUNTMGR_MOUNT_POINT` that name something.
fn query_points(input: &[u8], output: usize) -> Answer {
    if output < POINTS_HEADER + POINT {
        return Err(NtStatus::INVALID_PARAMETER).into();
    }
    let wanted = match [0, 1, 2].map(|index| field(input, index)) {
        [Ok(link), Ok(id), Ok(device)] => [link, id, device],
        _ => return Err(NtStatus::INVALID_PARAMETER).into(),
    };
    let points: Vec<[Vec<u8>; 3]> = volume::LETTERS
        .iter()
        .flat_map(|&letter| {
            [
                format!("\\DosDevices\\{letter}:"),
                format!("\\??\\{}", volume::guid_name(letter)),
            ]
            .map(|link| {
                [
                    units(&link),
                    volume::unique_id(letter),
                    units(&volume::device(letter)),
                ]
            })
        })
        .filter(|[link, id, device]| {
            wanted[0].is_none_or(|wanted| same_name(wanted, link))
                && wanted[1].is_none_or(|wanted| wanted == id)
                && wanted[2].is_none_or(|wanted| same_name(wanted, device))
        })
        .collect();
    if points.is_empty() && wanted.iter().any(Option::is_some) {
        return Err(NtStatus::OBJECT_NAME_NOT_FOUND).into();
    }
    let mut heads = Vec::new();
    let mut tail = Vec::new();
    let start = POINTS_HEADER + POINT * points.len();
    for part in points.iter().flatten() {
        heads.extend(((start + tail.len()) as u32).to_le_bytes());
        heads.extend((part.len() as u32).to_le_bytes());
        tail.extend(part);
        tail.resize(tail.len().next_multiple_of(2), 0);
    }
    let size = (start + tail.len()) as u32;
    let mut bytes: Vec<u8> = [size, points.len() as u32]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
    if output < size as usize {
        // Only the size is told.
        bytes.truncate(4);
        bytes.resize(POINTS_HEADER, 0);
        return Answer {
            status: NtStatus::BUFFER_OVERFLOW,
            bytes,
        };
    }
    bytes.extend(heads);
    bytes.extend(tail);
    Ok(bytes).into()
}

/// Tells the drive of a volume: `MOUNTMGR_TARGET_NAME` in, `MOUNTMGR_VOLUME_PATHS` out.
fn query_volume_path(input: &[u8], output: usize) -> Answer {
    let name = input
        .get(..2)
        .map(|length| usize::from(u16::from_le_bytes([length[0], length[1]])))
        .and_then(|length| input.get(2..2 + length));
    let Some(name) = name.filter(|_| output >= 8) else {
        return Err(NtStatus::INVALID_PARAMETER).into();
    };
    let found = volume::LETTERS.iter().find(|&&letter| {
        same_name(name, &units(&volume::device(letter)))
            || same_name(
                name,
                &units(&format!("\\??\\{}", volume::guid_name(letter))),
            )
            || same_name(name, &units(&format!("\\DosDevices\\{letter}:")))
    });
    let Some(letter) = found else {
        return Err(NtStatus::OBJECT_NAME_NOT_FOUND).into();
    };
    let paths = units(&format!("{letter}:\0\0"));
    let mut bytes = (paths.len() as u32).to_le_bytes().to_vec();
    if output < bytes.len() + paths.len() {
        return Answer {
            status: NtStatus::BUFFER_OVERFLOW,
            bytes,
        };
    }
    bytes.extend(paths);
    Ok(bytes).into()
}

/// `REPARSE_DATA_BUFFER` of a symbolic link that was opened itself (Microsoft Learn "REPARSE_DATA_BUFFER structure").
fn reparse_point(file: &File, output: usize) -> Answer {
    /// `SYMLINK_FLAG_RELATIVE`.
    const RELATIVE: u32 = 1;
    const HEADER: usize = 8;
    let Ok(target) = rustix::fs::readlinkat(file.fd(), "", Vec::new()) else {
        return Err(NtStatus::NOT_A_REPARSE_POINT).into();
    };
    if output < HEADER {
        return Err(NtStatus::BUFFER_TOO_SMALL).into();
    }
    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
    let shown = path::to_windows(&target);
    let (substitute, flags) = if target.is_absolute() {
        (format!("\\??\\{shown}"), 0)
    } else {
        (shown.clone(), RELATIVE)
    };
    let (substitute, shown) = (units(&substitute), units(&shown));
    let mut data = Vec::new();
    for word in [0, substitute.len(), substitute.len(), shown.len()] {
        data.extend((word as u16).to_le_bytes());
    }
    data.extend(flags.to_le_bytes());
    data.extend(substitute);
    data.extend(shown);
    let mut bytes = REPARSE_TAG_SYMLINK.to_le_bytes().to_vec();
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    let status = if bytes.len() > output {
        bytes.truncate(output);
        NtStatus::BUFFER_OVERFLOW
    } else {
        NtStatus::SUCCESS
    };
    Answer { status, bytes }
}

/// Does what a control code says; at most `output` bytes are given back.
pub fn control(file: &File, code: u32, input: &[u8], output: usize) -> Answer {
    let is_plain = file.kind == FileKind::Disk;
    match code {
        code::QUERY_POINTS if file.is_mount_manager() => query_points(input, output),
        code::QUERY_DOS_VOLUME_PATH | code::QUERY_DOS_VOLUME_PATHS if file.is_mount_manager() => {
            query_volume_path(input, output)
        }
        code::GET_REPARSE_POINT if is_plain => reparse_point(file, output),
        // Files may have holes wherever the file system can.
        code::SET_SPARSE if is_plain && !file.is_directory() => Ok(Vec::new()).into(),
        _ => {
            log::debug!("control code {code:#x} is not supported");
            Err(NtStatus::INVALID_DEVICE_REQUEST).into()
        }
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "the prototype of NtDeviceIoControlFile"
)]
fn run(
    file: Handle,
    event: Handle,
    routine: (Callback, UserPtr),
    io: Ptr<IoStatusBlock>,
    code: u32,
    (input, input_length): (Ptr<u8>, u32),
    (output, output_length): (Ptr<u8>, u32),
) -> Result<(), NtStatus> {
    let file = lookup::<File>(file, 0)?;
    let event = (event != Handle::NULL)
        .then(|| lookup::<Event>(event, MODIFY_STATE))
        .transpose()?;
    probe(io)?;
    let mut given = vec![0; input_length as usize];
    input.try_read_bytes(&mut given)?;
    let Answer { status, bytes } = control(&file, code, &given, output_length as usize);
    if status.is_error() {
        return Err(status);
    }
    output.try_write_bytes(&bytes)?;
    io.try_write(IoStatusBlock {
        status: status.0 as usize,
        information: bytes.len(),
    })?;
    if let Some(event) = event {
        event.set();
    }
    queue_routine(io, routine, bytes.len());
    if status == NtStatus::SUCCESS {
        Ok(())
    } else {
        Err(status)
    }
}

win_api! {
    /// Controls a device: sockets know polls and receives, the mount manager its queries.
    "ntdll.dll" stdcall fn NtDeviceIoControlFile = "NtDeviceIoControlFile|ZwDeviceIoControlFile" (file: Handle, event: Handle, routine: Callback, context: UserPtr, io: Ptr<IoStatusBlock>, code: u32, input: Ptr<u8>, input_length: u32, output: Ptr<u8>, output_length: u32) -> NtStatus {
        let socket = match lookup::<File>(file, 0) {
            Ok(file) => file,
            Err(status) => return status,
        };
        if code == afd::POLL && (socket.is_afd || socket.kind == FileKind::Pipe) {
            let told = afd::Told { event, routine, context, block: io };
            let started = afd::poll(&socket, told, (input, input_length), (output, output_length));
            return started.unwrap_or_else(|status| status);
        }
        if matches!(code, afd::RECEIVE | afd::RECEIVE_DATAGRAM) && socket.kind == FileKind::Pipe {
            let told = afd::Told { event, routine, context, block: io };
            let has_sender = code == afd::RECEIVE_DATAGRAM;
            return afd::receive(socket, told, has_sender, (input, input_length)).unwrap_or_else(|status| status);
        }
        let done = run(file, event, (routine, context), io, code, (input, input_length), (output, output_length));
        done.err().unwrap_or(NtStatus::SUCCESS)
    }

    /// Controls a file system.
    "ntdll.dll" stdcall fn NtFsControlFile = "NtFsControlFile|ZwFsControlFile" (file: Handle, event: Handle, routine: Callback, context: UserPtr, io: Ptr<IoStatusBlock>, code: u32, input: Ptr<u8>, input_length: u32, output: Ptr<u8>, output_length: u32) -> Result<(), NtStatus> {
        run(file, event, (routine, context), io, code, (input, input_length), (output, output_length))
    }
}
