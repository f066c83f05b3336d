//! The types that cross between processes or have names: how each is built of what was packed.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::file::File;
use super::host::PortObject;
use super::job::Job;
use super::mutant::Mutant;
use super::name::{Directory, Named};
use super::object::{Object, ObjectType};
use super::packed::{self, Packed, PackedKind, word};
use super::process::Process;
use super::section::Section;
use super::sync::{Event, Semaphore, Signal, Timer};
use super::thread::Thread;
use super::token::Token;

/// Lets [`packed::build`] build the objects of all types.
pub fn install() {
    packed::set_builder(unpack);
}

/// Builds an object. Returns `INVALID_PARAMETER` for a description that does not fit its kind.
fn unpack(packed: Packed) -> Result<Arc<dyn Object>, NtStatus> {
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
        PackedKind::Directory => Arc::new(Directory::default()),
        PackedKind::Job => Arc::new(Job::unpack(fds.collect())?),
        PackedKind::SymbolicLink => return Err(NtStatus::NOT_SUPPORTED),
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

macro_rules! named {
    ($($ty:ty, $kind:ident, $of:path;)*) => {$(
        impl Named for $ty {
            const KIND: PackedKind = PackedKind::$kind;
            const TYPE: &'static ObjectType = &$of;
        }
    )*};
}

named! {
    super::sync::Event, Event, super::sync::EVENT_TYPE;
    super::sync::Semaphore, Semaphore, super::sync::SEMAPHORE_TYPE;
    super::sync::Timer, Timer, super::sync::TIMER_TYPE;
    super::mutant::Mutant, Mutant, super::mutant::MUTANT_TYPE;
    super::section::Section, Section, super::section::SECTION_TYPE;
    Directory, Directory, super::name::DIRECTORY_TYPE;
    Job, Job, super::job::JOB_TYPE;
    super::wait_packet::WaitPacket, File, super::wait_packet::WAIT_PACKET_TYPE;
    super::completion::Completion, File, super::completion::COMPLETION_TYPE;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ob::packed::{read, write};

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
