//! The registry of threads, and the table of them that every process can read.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use ntlpc_shm::threads::{self, ThreadTable};
use ntlpc_shm::{SERVER, Tno};

use crate::limits::KEPT_THREAD_NUMBERS;
use crate::namespace::ObjectId;
use crate::security::Token;

/// Index bits of a thread number; the rest is its generation (`ntlpc_shm::threads`).
const INDEX_BITS: u32 = 20;

/// A live thread.
#[derive(Debug)]
pub struct Thread {
    /// Its number.
    pub tno: Tno,
    /// Number of its process.
    pub process: u32,
    /// NT process id.
    pub nt_pid: u32,
    /// NT thread id.
    pub nt_tid: u32,
    /// Linux thread id.
    pub linux_tid: u32,
    /// Creation time, 100 ns since 1601.
    pub create_time: u64,
    /// Ports registered by NtRegisterThreadTerminatePort, oldest first.
    pub terminate_ports: Vec<ObjectId>,
    /// Impersonation token.
    pub token: Option<Token>,
    /// Number of that token among all that threads took on.
    pub token_number: u64,
    /// Reports the thread's death where the host cannot.
    pub pidfd: Option<OwnedFd>,
}

/// All threads.
#[derive(Debug)]
pub struct Threads {
    table: ThreadTable,
    table_fd: Arc<OwnedFd>,
    live: BTreeMap<Tno, Thread>,
    by_client_id: HashMap<(u32, u32), Tno>,
    /// Numbers of dead threads, oldest first; their entries stay readable as long as possible.
    dead: VecDeque<Tno>,
    next_index: u32,
}

impl Threads {
    /// Makes the table, with one entry for the server itself, whose ClientId is 0.0.
    pub fn new() -> io::Result<Threads> {
        let table = ThreadTable::create()?;
        let table_fd = Arc::new(table.mapping().fd().try_clone_to_owned()?);
        let threads = Threads {
            table,
            table_fd,
            live: BTreeMap::new(),
            by_client_id: HashMap::new(),
            dead: VecDeque::new(),
            next_index: SERVER + 1,
        };
        threads.table.set(
            SERVER,
            &threads::Thread {
                alive: true,
                ..Default::default()
            },
        );
        Ok(threads)
    }

    /// Returns the descriptor of the table; every mapping of it is read-only.
    #[must_use]
    pub fn table_fd(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.table_fd)
    }

    /// Adds a thread; its `tno` is chosen here.
    ///
    /// Returns `STATUS_INVALID_CID` if a live thread has its ClientId, `STATUS_INSUFFICIENT_RESOURCES` if the table is full.
    pub fn register(&mut self, mut thread: Thread) -> Result<Tno, NtStatus> {
        let client_id = (thread.nt_pid, thread.nt_tid);
        if self.by_client_id.contains_key(&client_id) {
            return Err(NtStatus::INVALID_CID);
        }
        let tno = self.allocate().ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        thread.tno = tno;
        self.table.set(tno, &entry(&thread));
        self.by_client_id.insert(client_id, tno);
        self.live.insert(tno, thread);
        Ok(tno)
    }

    /// Marks a thread dead; from now on its ClientId names nobody.
    pub fn end(&mut self, tno: Tno) -> Option<Thread> {
        let thread = self.live.remove(&tno)?;
        self.by_client_id.remove(&(thread.nt_pid, thread.nt_tid));
        self.table.retire(tno);
        self.dead.push_back(tno);
        Some(thread)
    }

    /// Returns a live thread.
    #[must_use]
    pub fn get(&self, tno: Tno) -> Option<&Thread> {
        self.live.get(&tno)
    }

    /// Returns a live thread, to change it.
    pub fn get_mut(&mut self, tno: Tno) -> Option<&mut Thread> {
        self.live.get_mut(&tno)
    }

    /// Returns the live thread of a ClientId, or `STATUS_INVALID_CID`.
    pub fn by_client_id(&self, pid: u32, tid: u32) -> Result<&Thread, NtStatus> {
        self.by_client_id
            .get(&(pid, tid))
            .and_then(|tno| self.live.get(tno))
            .ok_or(NtStatus::INVALID_CID)
    }

    /// Returns what the table says of a live or dead thread.
    #[must_use]
    pub fn entry(&self, tno: Tno) -> Option<threads::Thread> {
        self.table.get(tno)
    }

    /// Returns the live threads by ascending number.
    pub fn iter(&self) -> impl Iterator<Item = &Thread> {
        self.live.values()
    }

    fn allocate(&mut self) -> Option<Tno> {
        let may_reuse =
            self.dead.len() > KEPT_THREAD_NUMBERS || self.next_index == threads::CAPACITY;
        if let Some(&old) = self.dead.front()
            && may_reuse
        {
            self.dead.pop_front();
            return Some(old.wrapping_add(1 << INDEX_BITS));
        }
        (self.next_index < threads::CAPACITY).then(|| {
            self.next_index += 1;
            self.next_index - 1
        })
    }
}

fn entry(thread: &Thread) -> threads::Thread {
    threads::Thread {
        process_no: thread.process,
        process: thread.nt_pid,
        thread: thread.nt_tid,
        create_time: thread.create_time,
        alive: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(pid: u32, tid: u32) -> Thread {
        Thread {
            tno: 0,
            process: 1,
            nt_pid: pid,
            nt_tid: tid,
            linux_tid: tid,
            create_time: 7,
            terminate_ports: Vec::new(),
            token: None,
            token_number: 0,
            pidfd: None,
        }
    }

    #[test]
    fn dead_thread_keeps_its_entry_but_not_its_client_id() {
        let mut threads = Threads::new().expect("a table");
        let tno = threads.register(thread(8, 12)).expect("free");

        threads.end(tno);

        assert_eq!(
            threads.by_client_id(8, 12).map(|thread| thread.tno),
            Err(NtStatus::INVALID_CID)
        );
        assert_eq!(
            threads.entry(tno).map(|entry| (entry.thread, entry.alive)),
            Some((12, false))
        );
        assert_ne!(threads.register(thread(8, 12)), Ok(tno));
    }

    #[test]
    fn dying_thread_can_be_looked_up_at_any_moment() {
        let mut threads = Threads::new().expect("a table");
        let reader = ThreadTable::map(threads.table_fd().try_clone().expect("a descriptor"))
            .expect("the table maps");
        for tid in 1..2000 {
            let tno = threads.register(thread(8, tid)).expect("free");
            std::thread::scope(|scope| {
                let looking = scope.spawn(|| {
                    loop {
                        let found = reader.get(tno).expect("an entry that was given stays");
                        if !found.alive {
                            return found.thread;
                        }
                    }
                });
                threads.end(tno);
                assert_eq!(looking.join().expect("found at every look"), tid);
            });
        }
    }

    #[test]
    fn client_id_is_of_one_thread_only() {
        let mut threads = Threads::new().expect("a table");
        threads.register(thread(8, 12)).expect("free");

        assert_eq!(threads.register(thread(8, 12)), Err(NtStatus::INVALID_CID));
        assert_eq!(
            threads.by_client_id(12, 12).map(|thread| thread.tno),
            Err(NtStatus::INVALID_CID)
        );
    }

    #[test]
    fn reused_number_has_another_generation() {
        let mut threads = Threads::new().expect("a table");
        let first = threads.register(thread(8, 12)).expect("free");
        threads.end(first);
        let mut seen = std::collections::HashSet::from([first]);
        for _ in 0..KEPT_THREAD_NUMBERS + 10 {
            let tno = threads.register(thread(8, 12)).expect("free");
            assert!(seen.insert(tno), "{tno:#x} given twice");
            threads.end(tno);
        }

        assert!(threads.entry(first).is_none());
    }
}
