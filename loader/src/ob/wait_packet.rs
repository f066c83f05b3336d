//! Wait completion packets: a packet is queued to a completion port when an object becomes signaled.
//!
//! Source: Microsoft Learn "`NtAssociateWaitCompletionPacket` function", "`NtCancelWaitCompletionPacket` function". Threads watch
//! up to 63 objects each besides their own wake-up event; what one takes for an association that is gone, it gives back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;

use super::completion::{Completion, Packet};
use super::mutant::Mutant;
use super::object::{Header, Object, ObjectType, downcast};
use super::sync::Event;
use super::wait::{self, WaitKind};
use super::waitable::Taken;

/// The type of wait completion packets; their one right is to change them.
pub static WAIT_PACKET_TYPE: ObjectType = ObjectType {
    name: "WaitCompletionPacket",
    generic: [0x2_0001, 0x2_0001, 0x2_0000, 0xF_0001],
};

/// Objects one thread watches.
const MOST: usize = wait::MAX_OBJECTS - 1;

#[derive(Debug, Default)]
struct State {
    /// Number of the association that is watched; 0: none.
    watched: u64,
    numbers: u64,
    /// Port the packet was queued to, and whether it is still there.
    queued: Option<(Arc<Completion>, Arc<AtomicBool>)>,
}

/// A wait completion packet.
#[derive(Debug, Default)]
pub struct WaitPacket {
    header: Header,
    state: Mutex<State>,
}

#[derive(Clone, Debug)]
struct Entry {
    packet: Arc<WaitPacket>,
    number: u64,
    object: Arc<dyn Object>,
    port: Arc<Completion>,
    message: Packet,
}

#[derive(Debug)]
struct Group {
    wake: Arc<Event>,
    entries: Mutex<Vec<Entry>>,
}

static GROUPS: Mutex<Vec<Arc<Group>>> = Mutex::new(Vec::new());

impl State {
    fn is_queued(&self) -> bool {
        self.queued
            .as_ref()
            .is_some_and(|(_, is_there)| is_there.load(Ordering::Acquire))
    }

    fn queue(&mut self, port: &Arc<Completion>, message: Packet) {
        let is_there = Arc::new(AtomicBool::new(true));
        self.queued = Some((port.clone(), is_there.clone()));
        port.post_marked(message, is_there);
    }
}

impl WaitPacket {
    /// Queues `message` to `port` once `object` is signaled; returns whether it is already.
    ///
    /// Returns `INVALID_PARAMETER_1` while the packet is in use, `OBJECT_TYPE_MISMATCH` for an object that cannot be waited
    /// on, or is a mutant, which only a thread can own.
    pub fn associate(
        self: &Arc<Self>,
        port: &Arc<Completion>,
        object: Arc<dyn Object>,
        message: Packet,
    ) -> Result<bool, NtStatus> {
        let face = object.waitable().ok_or(NtStatus::OBJECT_TYPE_MISMATCH)?;
        if downcast::<Mutant>(object.clone()).is_ok() {
            return Err(NtStatus::OBJECT_TYPE_MISMATCH);
        }
        let mut state = self.state.lock();
        if state.watched != 0 || state.is_queued() {
            return Err(NtStatus::INVALID_PARAMETER_1);
        }
        if face.take().is_some() {
            state.queue(port, message);
            return Ok(true);
        }
        state.numbers += 1;
        let entry = Entry {
            packet: self.clone(),
            number: state.numbers,
            object: object.clone(),
            port: port.clone(),
            message,
        };
        watch(entry)?;
        state.watched = state.numbers;
        Ok(false)
    }

    /// Takes the association back, and with `withdraws` also a packet that is queued.
    ///
    /// Returns `PENDING` if the packet is queued and stays, `CANCELLED` if nothing is associated.
    pub fn cancel(self: &Arc<Self>, withdraws: bool) -> NtStatus {
        let mut state = self.state.lock();
        if state.watched != 0 {
            state.watched = 0;
            unwatch(self);
            return NtStatus::SUCCESS;
        }
        let Some((port, is_there)) = &state.queued else {
            return NtStatus::CANCELLED;
        };
        if !is_there.load(Ordering::Acquire) {
            return NtStatus::CANCELLED;
        }
        if !withdraws {
            return NtStatus::PENDING;
        }
        if port.withdraw(is_there) {
            NtStatus::SUCCESS
        } else {
            NtStatus::CANCELLED
        }
    }
}

/// Gives an entry to the first group with room.
fn watch(entry: Entry) -> Result<(), NtStatus> {
    let mut groups = GROUPS.lock();
    let roomy = groups
        .iter()
        .find(|group| group.entries.lock().len() < MOST);
    if let Some(group) = roomy {
        group.entries.lock().push(entry);
        group.wake.set();
        return Ok(());
    }
    let group = Arc::new(Group {
        wake: Arc::new(Event::new(false, false)),
        entries: Mutex::new(vec![entry]),
    });
    let own = group.clone();
    std::thread::Builder::new()
        .name("wait-packets".into())
        .stack_size(0x1_0000)
        .spawn(move || own.run())
        .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
    groups.push(group);
    Ok(())
}

fn unwatch(packet: &Arc<WaitPacket>) {
    for group in GROUPS.lock().iter() {
        let mut entries = group.entries.lock();
        let before = entries.len();
        entries.retain(|entry| !Arc::ptr_eq(&entry.packet, packet));
        if entries.len() != before {
            group.wake.set();
            return;
        }
    }
}

impl Group {
    fn run(&self) {
        loop {
            let watched = self.entries.lock().clone();
            let wake: Arc<dyn Object> = self.wake.clone();
            let objects: Vec<Arc<dyn Object>> = std::iter::once(wake)
                .chain(watched.iter().map(|entry| entry.object.clone()))
                .collect();
            let status = wait::wait(&objects, WaitKind::Any, false, None);
            let index = match status.0 {
                signaled @ 1..64 => signaled as usize - 1,
                abandoned @ 0x81..0xC0 => abandoned as usize - 0x81,
                0 => continue,
                _ => {
                    log::warn!("wait completion packets: wait failed: {status}");
                    return;
                }
            };
            if let Some(entry) = watched.get(index) {
                self.signaled(entry);
            }
        }
    }

    fn signaled(&self, entry: &Entry) {
        let is_same = |other: &Entry| {
            Arc::ptr_eq(&other.packet, &entry.packet) && other.number == entry.number
        };
        self.entries.lock().retain(|other| !is_same(other));
        let mut state = entry.packet.state.lock();
        if state.watched == entry.number {
            state.watched = 0;
            state.queue(&entry.port, entry.message);
        } else if let Some(face) = entry.object.waitable() {
            face.give_back(Taken::Signaled);
        }
    }
}

impl Object for WaitPacket {
    fn object_type(&self) -> &'static ObjectType {
        &WAIT_PACKET_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn last_handle_closed(&self) {
        // What was watched for it finds no association.
        self.state.lock().watched = 0;
    }
}
