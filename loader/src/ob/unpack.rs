//! Building the objects other processes packed, and packed objects as bytes.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::file::File;
use super::host::PortObject;
use super::mutant::Mutant;
use super::object::{Object, Packed, PackedKind};
use super::process::Process;
use super::section::Section;
use super::sync::{Event, Semaphore, Signal, Timer};
use super::thread::Thread;
use super::token::Token;

fn word(bytes: &[u8], at: usize) -> Result<u32, NtStatus> {
    let bytes = bytes.get(at..at + 4).ok_or(NtStatus::INVALID_PARAMETER)?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// Builds an object. Returns `INVALID_PARAMETER` for a description that does not fit its kind.
pub fn unpack(packed: Packed) -> Result<Arc<dyn Object>, NtStatus> {
    let Packed { kind, bytes, fds } = packed;
    let mut fds = fds.into_iter();
    let mut fd = || fds.next().ok_or(NtStatus::INVALID_PARAMETER);
    Ok(match kind {
        PackedKind::Event => Arc::new(Event::unpack(fd()?)?),
        PackedKind::Mutant => Arc::new(Mutant::unpack(fd()?)?),
        PackedKind::Semaphore => Arc::new(Semaphore::unpack(fd()?)?),
        PackedKind::Timer => Arc::new(Timer::unpack(fd()?)?),
        PackedKind::Section => Arc::new(Section::unpack(&bytes, fd()?)?),
        PackedKind::Token => Arc::new(Token::from_bytes(&bytes)?),
        PackedKind::File => {
            let (&is_overlapped, path) = bytes.split_first().ok_or(NtStatus::INVALID_PARAMETER)?;
            Arc::new(File::new(
                fd()?,
                PathBuf::from(OsStr::from_bytes(path)),
                is_overlapped != 0,
            ))
        }
        PackedKind::Process => process(word(&bytes, 0)?, fd()?)?,
        PackedKind::Thread => {
            let (pid, tid) = (word(&bytes, 0)?, word(&bytes, 4)?);
            match super::thread::find(tid) {
                Ok(own) if pid == std::process::id() => own,
                _ => Thread::of_other(pid, tid, Signal::from_page(fd()?)?),
            }
        }
        PackedKind::Port => Arc::new(PortObject::unpack(fd()?)?),
        PackedKind::Directory => Arc::new(super::name::Directory::default()),
        PackedKind::SymbolicLink | PackedKind::Job => {
            return Err(NtStatus::NOT_SUPPORTED);
        }
    })
}

fn process(pid: u32, page: OwnedFd) -> Result<Arc<dyn Object>, NtStatus> {
    if pid == std::process::id() {
        return Ok(super::process::current());
    }
    if let Some(known) = super::process::watched(pid) {
        return Ok(known);
    }
    let signal = Signal::from_page(page)?;
    let linux = Pid::from_raw(pid.cast_signed()).ok_or(NtStatus::INVALID_CID)?;
    let pidfd = pidfd_open(linux, PidfdFlags::empty()).map_err(|_| NtStatus::INVALID_CID)?;
    Ok(Process::watch(pid, pidfd, signal, false)?)
}

/// Appends a packed object without its descriptors: kind, number of descriptors, length, bytes.
#[allow(
    clippy::cast_possible_truncation,
    reason = "at most a few descriptors, descriptions of at most 64 KiB"
)]
pub fn write(packed: &Packed, out: &mut Vec<u8>) {
    out.extend([packed.kind as u8, packed.fds.len() as u8]);
    out.extend((packed.bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(&packed.bytes);
}

/// Reads what [`write()`] wrote; `fds` gives as many descriptors as wanted.
pub fn read<'a>(
    bytes: &'a [u8],
    fds: &mut dyn FnMut(usize) -> Result<Vec<OwnedFd>, NtStatus>,
) -> Result<(Packed, &'a [u8]), NtStatus> {
    let (head, rest) = bytes
        .split_at_checked(6)
        .ok_or(NtStatus::INVALID_PARAMETER)?;
    let kind = PackedKind::from_u8(head[0]).ok_or(NtStatus::INVALID_PARAMETER)?;
    let length = word(head, 2)? as usize;
    let (description, rest) = rest
        .split_at_checked(length)
        .ok_or(NtStatus::INVALID_PARAMETER)?;
    Ok((
        Packed {
            kind,
            bytes: description.to_vec(),
            fds: fds(usize::from(head[1]))?,
        },
        rest,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_survive_the_way() {
        let event = Event::new(true, true);
        let packed = event.pack().expect("pack");
        let mut bytes = Vec::new();
        write(&packed, &mut bytes);
        let mut left = packed.fds;
        let (again, rest) =
            read(&bytes, &mut |count| Ok(left.drain(..count).collect())).expect("read");
        assert!(rest.is_empty());
        let event =
            super::super::object::downcast::<Event>(unpack(again).expect("unpack")).expect("event");
        assert!(event.is_manual() && event.is_set());
        assert!(read(&[1, 1, 255, 0, 0, 0], &mut |_| Ok(Vec::new())).is_err());
    }
}
