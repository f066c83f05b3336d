//! The server's table of threads: who a thread number is. Everyone else maps it read-only.
//!
//! An entry is 32 bytes: thread number, process number, NT process id, NT thread id (u32 each), creation time
//! (u64, 100 ns since 1601), alive (u32), padding. A number is `generation:12 | index:20`; an index is reused only after
//! the server knows that its old number is forgotten.

use std::io;
use std::os::fd::OwnedFd;

use crate::Tno;
use crate::mem::{Mapping, Ordering::SeqCst, Window};
use crate::sys;

const ENTRY_LEN: usize = 32;
const NUMBER: usize = 0;
const PROCESS_NO: usize = 4;
const PROCESS: usize = 8;
const THREAD: usize = 12;
const CREATE_TIME: usize = 16;
const ALIVE: usize = 24;
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

    #[inline(always)]
    fn entry(&self, tno: Tno) -> Window<'_, ENTRY_LEN> {
        self.mem.window((tno % CAPACITY) as usize * ENTRY_LEN)
    }

    /// Server: writes the entry of `tno`, which nobody knows yet.
    pub fn set(&self, tno: Tno, thread: &Thread) {
        let entry = self.entry(tno);
        entry.w32::<NUMBER>().store(0, SeqCst);
        entry.w32::<PROCESS_NO>().store(thread.process_no, SeqCst);
        entry.w32::<PROCESS>().store(thread.process, SeqCst);
        entry.w32::<THREAD>().store(thread.thread, SeqCst);
        entry.w64::<CREATE_TIME>().store(thread.create_time, SeqCst);
        entry.w32::<ALIVE>().store(u32::from(thread.alive), SeqCst);
        entry.w32::<NUMBER>().store(tno, SeqCst);
    }

    /// Server: marks `tno` dead. The rest of its entry stays readable meanwhile: whoever receives its last messages needs it.
    pub fn retire(&self, tno: Tno) {
        let entry = self.entry(tno);
        if entry.w32::<NUMBER>().load(SeqCst) == tno {
            entry.w32::<ALIVE>().store(0, SeqCst);
        }
    }

    /// Returns what is known of `tno`; None if it never was given or is forgotten.
    #[must_use]
    #[inline]
    pub fn get(&self, tno: Tno) -> Option<Thread> {
        let entry = self.entry(tno);
        if tno == 0 || entry.w32::<NUMBER>().load(SeqCst) != tno {
            return None;
        }
        let thread = Thread {
            process_no: entry.w32::<PROCESS_NO>().load(SeqCst),
            process: entry.w32::<PROCESS>().load(SeqCst),
            thread: entry.w32::<THREAD>().load(SeqCst),
            create_time: entry.w64::<CREATE_TIME>().load(SeqCst),
            alive: entry.w32::<ALIVE>().load(SeqCst) != 0,
        };
        // The entry may have been given to another thread while it was read.
        (entry.w32::<NUMBER>().load(SeqCst) == tno).then_some(thread)
    }
}
