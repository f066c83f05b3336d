//! What every process of a run did, in a memfd that survives each of them.
//!
//! A receiver takes a message, writes its name into `current`, frees the slot, counts the message, clears `current`. So when
//! it was killed, the parent can tell whether the message it had is back in the queue or died with it.

use std::io;
use std::os::fd::OwnedFd;

use ntlpc_shm::mem::{AtomicU16, AtomicU32, AtomicU64, Mapping};

/// Messages of one batch of a sender.
pub const BATCH: u32 = 1024;
/// Batches of a run.
pub const BATCHES: u32 = 4096;
/// Receiver places.
pub const RECEIVERS: usize = 16;

const PROGRESS: usize = 0x10;
const CURRENT: usize = 0x40;
const BATCH_TABLE: usize = 0x1000;
const COUNTS: usize = BATCH_TABLE + BATCHES as usize * 8;
const LEN: usize = (COUNTS + (BATCHES * BATCH) as usize * 2).next_multiple_of(0x1000);

pub struct Ledger(Mapping);

impl Ledger {
    pub fn create() -> io::Result<Ledger> {
        Ok(Ledger(Mapping::create("stress-ledger", LEN)?))
    }

    pub fn open(fd: OwnedFd) -> io::Result<Ledger> {
        Ok(Ledger(Mapping::open(fd, LEN, true)?))
    }

    pub fn mapping(&self) -> &Mapping {
        &self.0
    }

    /// 1 when senders are to end, 2 when receivers are.
    pub fn stop(&self) -> &AtomicU32 {
        self.0.w32(0)
    }

    /// How often somebody found a message after it had slept to its deadline.
    pub fn overslept(&self) -> &AtomicU32 {
        self.0.w32(4)
    }

    /// Next batch to be sent by anybody.
    pub fn next_batch(&self) -> &AtomicU32 {
        self.0.w32(8)
    }

    /// Things that should never be seen: torn payloads, answers to other questions.
    pub fn wrong(&self) -> &AtomicU32 {
        self.0.w32(12)
    }

    /// Messages received and requests answered.
    pub fn progress(&self) -> &AtomicU64 {
        self.0.w64(PROGRESS)
    }

    /// Requests answered.
    pub fn answered(&self) -> &AtomicU64 {
        self.0.w64(PROGRESS + 8)
    }

    /// Name of the message a receiver has, plus one.
    pub fn current(&self, receiver: usize) -> &AtomicU64 {
        self.0.w64(CURRENT + receiver * 8)
    }

    /// Messages of a batch whose send began.
    pub fn started(&self, batch: u32) -> &AtomicU32 {
        self.0.w32(BATCH_TABLE + batch as usize * 8)
    }

    /// Messages of a batch whose send returned.
    pub fn finished(&self, batch: u32) -> &AtomicU32 {
        self.0.w32(BATCH_TABLE + batch as usize * 8 + 4)
    }

    /// How often a message was received. Its name is `batch * BATCH + number`.
    pub fn count(&self, name: u32) -> &AtomicU16 {
        self.0.w16(COUNTS + name as usize * 2)
    }
}
