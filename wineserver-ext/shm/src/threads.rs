//! The server's table of threads: who a thread number is. Everyone else maps it read-only.
//!
//! An entry is 32 bytes: thread number, process number, NT process id, NT thread id (u32 each), creation time
//! (u64, 100 ns since 1601), alive (u32), padding. A number is `generation:12 | index:20`; an index is reused only after
//! the server knows that its old number is forgotten.

use std::io;
use std::os::fd::OwnedFd;

use crate::Tno;
use crate::mem::{Mapping, Ordering::SeqCst};
use crate::sys;

const ENTRY_LEN: usize = 32;
/// Threads the table can hold at one time.
pub const CAPACITY: u32 = 1 << 20;
const LEN: usize = CAPACITY as usize * ENTRY_LEN;

/// What is known of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Thread {
    /// Number of its process, given by the server.
    pub process_no: u32,
    /// NT process id.
    pub process: u32,
    /// NT thread id.
    pub thread: u32,
    /// Creation time, 100 ns since 1601.
    pub create_time: u64,
    /// Whether it still runs.
    pub alive: bool,
}

/// The table, as the server writes it or as others read it.
#[derive(Debug)]
pub struct ThreadTable {
    mem: Mapping,
}

impl ThreadTable {
    /// Server: creates the table; every later mapping of its memfd is read-only.
    ///
    /// # Errors
    /// No descriptor or no memory.
    pub fn create() -> io::Result<ThreadTable> {
        let mem = Mapping::create("ntlpc-threads", LEN)?;
        let fd = mem.fd().try_clone_to_owned()?;
        sys::seal_future_writes(&fd)?;
        Ok(ThreadTable { mem })
    }

    /// Maps the table read-only.
    ///
    /// # Errors
    /// Not the table, or no address space.
    pub fn map(fd: OwnedFd) -> io::Result<ThreadTable> {
        Ok(ThreadTable {
            mem: Mapping::open(fd, LEN, false)?,
        })
    }

    /// Returns the mapping, whose memfd can be handed on.
    #[must_use]
    pub fn mapping(&self) -> &Mapping {
        &self.mem
    }

    /// Server: writes the entry of `tno`, which nobody knows yet.
    pub fn set(&self, tno: Tno, thread: &Thread) {
        let at = entry(tno);
        self.mem.w32(at).store(0, SeqCst);
        self.mem.w32(at + 4).store(thread.process_no, SeqCst);
        self.mem.w32(at + 8).store(thread.process, SeqCst);
        self.mem.w32(at + 12).store(thread.thread, SeqCst);
        self.mem.w64(at + 16).store(thread.create_time, SeqCst);
        self.mem.w32(at + 24).store(u32::from(thread.alive), SeqCst);
        self.mem.w32(at).store(tno, SeqCst);
    }

    /// Server: marks `tno` dead. The rest of its entry stays readable meanwhile: whoever receives its last messages needs it.
    pub fn retire(&self, tno: Tno) {
        let at = entry(tno);
        if self.mem.w32(at).load(SeqCst) == tno {
            self.mem.w32(at + 24).store(0, SeqCst);
        }
    }

    /// Returns what is known of `tno`; None if it never was given or is forgotten.
    #[must_use]
    #[inline]
    pub fn get(&self, tno: Tno) -> Option<Thread> {
        let at = entry(tno);
        if tno == 0 || self.mem.w32(at).load(SeqCst) != tno {
            return None;
        }
        let thread = Thread {
            process_no: self.mem.w32(at + 4).load(SeqCst),
            process: self.mem.w32(at + 8).load(SeqCst),
            thread: self.mem.w32(at + 12).load(SeqCst),
            create_time: self.mem.w64(at + 16).load(SeqCst),
            alive: self.mem.w32(at + 24).load(SeqCst) != 0,
        };
        // The entry may have been given to another thread while it was read.
        (self.mem.w32(at).load(SeqCst) == tno).then_some(thread)
    }
}

fn entry(tno: Tno) -> usize {
    (tno % CAPACITY) as usize * ENTRY_LEN
}
