//! I/O completion ports.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;

use super::futex::{self, Sleep, Woken};
use super::object::{Header, Object, ObjectType};
use super::record::SLEEPERS;
use super::waitable::{Taken, Waitable, Watch, Word, WordRef};

/// `IO_COMPLETION_ALL_ACCESS` and the generic mapping of completion ports.
pub static COMPLETION_TYPE: ObjectType = ObjectType {
    name: "IoCompletion",
    generic: [0x2_0001, 0x2_0002, 0x12_0000, 0x1F_0003],
};

/// One completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Key of the file.
    pub key: u64,
    /// `OVERLAPPED` or APC context of the operation.
    pub value: u64,
    /// Status of the operation.
    pub status: u32,
    /// Bytes moved.
    pub information: u64,
}

/// A completion port.
#[derive(Debug, Default)]
pub struct Completion {
    header: Header,
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Packets queued, with [`SLEEPERS`].
    word: AtomicU32,
    packets: Mutex<VecDeque<Queued>>,
}

#[derive(Debug)]
struct Queued {
    packet: Packet,
    /// Cleared when the packet leaves the queue.
    mark: Option<Arc<AtomicBool>>,
}

impl Word for Queue {
    fn word(&self) -> &AtomicU32 {
        &self.word
    }
    fn is_shared(&self) -> bool {
        false
    }
}

impl Completion {
    /// Queues a packet.
    pub fn post(&self, packet: Packet) {
        self.push(Queued { packet, mark: None });
    }

    /// Queues a packet; `mark` is cleared when it leaves the queue.
    pub fn post_marked(&self, packet: Packet, mark: Arc<AtomicBool>) {
        let mark = Some(mark);
        self.push(Queued { packet, mark });
    }

    /// Takes the packet with a mark back; returns whether it was there.
    pub fn withdraw(&self, mark: &Arc<AtomicBool>) -> bool {
        let mut packets = self.queue.packets.lock();
        let is_it = |queued: &Queued| queued.mark.as_ref().is_some_and(|m| Arc::ptr_eq(m, mark));
        let Some(at) = packets.iter().position(is_it) else {
            return false;
        };
        packets.remove(at);
        mark.store(false, Ordering::Release);
        let left = u32::try_from(packets.len()).unwrap_or(SLEEPERS - 1);
        let sleepers = self.queue.word.load(Ordering::Relaxed) & SLEEPERS;
        self.queue.word.store(left | sleepers, Ordering::Release);
        true
    }

    fn push(&self, queued: Queued) {
        let mut packets = self.queue.packets.lock();
        packets.push_back(queued);
        let count = u32::try_from(packets.len()).unwrap_or(SLEEPERS - 1);
        let old = self.queue.word.swap(count, Ordering::AcqRel);
        drop(packets);
        if old & SLEEPERS != 0 {
            futex::wake_all(&self.queue.word, false);
        }
    }

    /// Takes up to `most` packets, waiting for the first until the deadline. Empty on timeout.
    pub fn remove(&self, most: usize, deadline_ns: Option<u64>) -> Vec<Packet> {
        loop {
            {
                let mut packets = self.queue.packets.lock();
                let count = packets.len().min(most);
                let taken: Vec<Packet> = packets
                    .drain(..count)
                    .map(|queued| {
                        if let Some(mark) = queued.mark {
                            mark.store(false, Ordering::Release);
                        }
                        queued.packet
                    })
                    .collect();
                let left = u32::try_from(packets.len()).unwrap_or(SLEEPERS - 1);
                let sleepers = self.queue.word.load(Ordering::Relaxed) & SLEEPERS;
                self.queue.word.store(
                    left | if taken.is_empty() { SLEEPERS } else { sleepers },
                    Ordering::Release,
                );
                if !taken.is_empty() {
                    return taken;
                }
            }
            if deadline_ns.is_some_and(|deadline| deadline <= futex::now_ns()) {
                return Vec::new();
            }
            let sleep = Sleep {
                word: &self.queue.word,
                expected: SLEEPERS,
                is_shared: false,
            };
            if futex::sleep(&[sleep], deadline_ns) == Woken::Ending {
                return Vec::new();
            }
        }
    }

    /// Returns how many packets are queued.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.queue.packets.lock().len()
    }
}

impl Waitable for Completion {
    fn is_signaled(&self) -> bool {
        self.depth() != 0
    }
    fn take(&self) -> Option<Taken> {
        self.is_signaled().then_some(Taken::Signaled)
    }
    fn give_back(&self, _taken: Taken) {}
    fn watch(&self) -> Option<Watch> {
        match self
            .queue
            .word
            .compare_exchange(0, SLEEPERS, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) | Err(SLEEPERS) => Some(Watch {
                word: WordRef::Other(self.queue.clone()),
                expected: SLEEPERS,
                deadline_ns: None,
            }),
            Err(_) => None,
        }
    }
}

impl Object for Completion {
    fn object_type(&self) -> &'static ObjectType {
        &COMPLETION_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn waitable(&self) -> Option<&dyn Waitable> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_in_order_and_wake_a_remover() {
        let port = Arc::new(Completion::default());
        let remover = port.clone();
        let thread = std::thread::spawn(move || remover.remove(1, None));
        std::thread::sleep(std::time::Duration::from_millis(10));
        let packet = |key| Packet {
            key,
            value: 0,
            status: 0,
            information: 0,
        };
        port.post(packet(1));
        assert_eq!(thread.join().expect("join"), [packet(1)]);
        port.post(packet(2));
        port.post(packet(3));
        assert_eq!(port.remove(8, None), [packet(2), packet(3)]);
        assert_eq!(port.remove(8, Some(0)), []);
    }
}
