//! Waits for several sockets: `select` and `WSAPoll` of `winsock2.h`.

use std::io;
use std::sync::Arc;

use ntlpc_abi::Handle;
use rustix::event::{PollFd, PollFlags, Timespec};

use super::winsock2::{INVALID, file, outcome};
use crate::export::Ptr;
use crate::ob::file::{File, retry};
use crate::ob::socket;
use crate::{guest_struct, width, win_api};

guest_struct! {
    /// `WSAPOLLFD`.
    pub struct PollEntry {
        socket: Handle,
        events: i16,
        returned: i16,
    }
}

/// Most sockets of a set: programs define `FD_SETSIZE` as they like, but have not more handles.
const MOST: u32 = 1 << 16;

/// `fd_set`: a count and that many SOCKETs.
fn read_set(at: Ptr<u32>) -> Vec<Handle> {
    at.non_null().map_or_else(Vec::new, |at| {
        let sockets = at.byte_add(width().pointer() as u64).cast::<Handle>();
        sockets.read_many(at.read().min(MOST) as usize)
    })
}

fn write_set(at: Ptr<u32>, handles: &[Handle]) {
    if let Some(at) = at.non_null() {
        at.byte_add(width().pointer() as u64)
            .cast::<Handle>()
            .write_many(handles);
        at.write(u32::try_from(handles.len()).unwrap_or(0));
    }
}

fn wait(sets: [Ptr<u32>; 3], timeout: Ptr<[i32; 2]>) -> Result<usize, u32> {
    let wanted = [PollFlags::IN, PollFlags::OUT, PollFlags::PRI];
    let handles = sets.map(read_set);
    let mut files = Vec::new();
    for (set, (list, flags)) in handles.iter().zip(wanted).enumerate() {
        for &handle in list {
            files.push((set, handle, file(handle)?, flags));
        }
    }
    if files.is_empty() {
        return Err(INVALID);
    }
    let timeout = timeout
        .non_null()
        .map(Ptr::read)
        .map(|[seconds, micros]| Timespec {
            tv_sec: seconds.into(),
            tv_nsec: i64::from(micros) * 1000,
        });
    let ready: Vec<(usize, Handle)> = {
        let fds: Vec<_> = files.iter().map(|(_, _, file, _)| file.fd()).collect();
        let mut polled: Vec<PollFd<'_>> = fds
            .iter()
            .zip(&files)
            .map(|(fd, entry)| PollFd::new(fd, entry.3))
            .collect();
        retry(|| rustix::event::poll(&mut polled, timeout.as_ref()).map_err(Into::into))
            .map_err(|error: io::Error| socket::wsa_error(&error))?;
        let is_ready = |set: usize, events: PollFlags| match set {
            // The end of a connection is readable; a failed connect is an exception.
            0 => events.intersects(PollFlags::IN | PollFlags::HUP),
            1 => events.contains(PollFlags::OUT) && !events.contains(PollFlags::ERR),
            _ => events.intersects(PollFlags::PRI | PollFlags::ERR),
        };
        files
            .iter()
            .zip(&polled)
            .filter(|(entry, fd)| is_ready(entry.0, fd.revents()))
            .map(|(entry, _)| (entry.0, entry.1))
            .collect()
    };
    for (set, at) in sets.into_iter().enumerate() {
        let list: Vec<Handle> = ready
            .iter()
            .filter(|(s, _)| *s == set)
            .map(|(_, handle)| *handle)
            .collect();
        write_set(at, &list);
    }
    Ok(ready.len())
}

/// Poll flags of Winsock (`POLLRDNORM` 0x100, `POLLRDBAND` 0x200, `POLLWRNORM` 0x10) and Linux, bit by bit.
const POLL_BITS: [(i16, PollFlags); 6] = [
    (0x100, PollFlags::IN),
    (0x200, PollFlags::PRI),
    (0x10, PollFlags::OUT),
    (1, PollFlags::ERR),
    (2, PollFlags::HUP),
    (4, PollFlags::NVAL),
];

fn poll(entries: Ptr<PollEntry>, count: u32, timeout_ms: i32) -> Result<usize, u32> {
    let list = entries.read_many(count as usize);
    if list.is_empty() {
        return Err(INVALID);
    }
    let files: Vec<Option<Arc<File>>> = list.iter().map(|e| file(e.socket).ok()).collect();
    let timeout = (timeout_ms >= 0).then(|| Timespec {
        tv_sec: i64::from(timeout_ms / 1000),
        tv_nsec: i64::from(timeout_ms % 1000) * 1_000_000,
    });
    let returned: Vec<PollFlags> = {
        let fds: Vec<_> = files.iter().flatten().map(|file| file.fd()).collect();
        let wanted = list.iter().zip(&files).filter(|(_, file)| file.is_some());
        let mut polled: Vec<_> = fds
            .iter()
            .zip(wanted)
            .map(|(fd, (entry, _))| {
                let flags = POLL_BITS
                    .iter()
                    .filter(|(bit, _)| entry.events & bit != 0)
                    .fold(PollFlags::empty(), |flags, (_, flag)| flags | *flag);
                PollFd::new(fd, flags)
            })
            .collect();
        crate::ob::file::retry(|| {
            rustix::event::poll(&mut polled, timeout.as_ref()).map_err(Into::into)
        })
        .map_err(|error: io::Error| socket::wsa_error(&error))?;
        polled.iter().map(PollFd::revents).collect()
    };
    let mut returned = returned.into_iter();
    let mut ready = 0;
    for (i, (entry, file)) in list.iter().zip(&files).enumerate() {
        let flags = match file {
            Some(_) => returned.next().unwrap_or(PollFlags::empty()),
            None => PollFlags::NVAL,
        };
        let bits = POLL_BITS
            .iter()
            .filter(|(_, flag)| flags.contains(*flag))
            .fold(0, |bits, (bit, _)| bits | bit);
        ready += usize::from(bits != 0);
        entries.add(i).write(PollEntry {
            returned: bits,
            ..*entry
        });
    }
    Ok(ready)
}

win_api! {
    /// Waits for several sockets.
    "ws2_32.dll|wsock32.dll" stdcall fn select @ 18 (_count: i32, read: Ptr<u32>, write: Ptr<u32>, except: Ptr<u32>, timeout: Ptr<[i32; 2]>) -> i32 {
        outcome(wait([read, write, except], timeout))
    }

    /// Returns whether a set of `select` has a socket (`FD_ISSET`).
    "ws2_32.dll|wsock32.dll" stdcall fn __WSAFDIsSet @ 151 (handle: Handle, set: Ptr<u32>) -> i32 {
        let sockets = set.byte_add(width().pointer() as u64).cast::<Handle>();
        i32::from((0..set.read() as usize).any(|i| sockets.add(i).read() == handle))
    }

    /// Waits for several sockets.
    "ws2_32.dll" stdcall fn WSAPoll(entries: Ptr<PollEntry>, count: u32, timeout: i32) -> i32 {
        outcome(poll(entries, count, timeout))
    }
}
