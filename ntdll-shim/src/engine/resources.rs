//! What an ALPC port owns under numbers of its own: sections, views, reserves, security contexts (alpc §2.10–2.13).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::Qos;
use parking_lot::Mutex;

use crate::host::{self, Event, MappedView, Section};

/// A section of a port.
#[derive(Debug)]
pub struct PortSection {
    /// Its memory.
    pub memory: Section,
    /// Whether what was sent in it can no longer be changed.
    pub is_secure: bool,
}

/// How much memory a port allows itself (alpc §1.3), in bytes; 0 for any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SectionLimits {
    /// `MaxSectionSize`: largest section.
    pub section: u64,
    /// `MaxViewSize`: largest view, made or received.
    pub view: u64,
    /// `MaxTotalSectionSize`: all sections.
    pub total: u64,
}

fn exceeds(size: u64, limit: u64) -> bool {
    limit != 0 && size > limit
}

/// A view of a port section in the process that made it; unmapped with its last holder.
#[derive(Debug)]
pub struct PortView {
    /// The section's number.
    pub section_id: u64,
    /// The section.
    pub section: Arc<PortSection>,
    /// Where it is mapped.
    pub mapped: MappedView,
}

impl Drop for PortView {
    fn drop(&mut self) {
        host::current().unmap_view(self.mapped.base);
    }
}

/// A security context: the token its messages are sent with.
#[derive(Clone, Debug)]
pub struct SecurityContext {
    /// Encoded token; empty for the process's.
    pub token: Arc<[u8]>,
    /// What a receiver may become.
    pub qos: Qos,
    /// The process's number of it.
    pub serial: u64,
    /// Whether it makes nobody anything any more.
    pub is_revoked: bool,
}

impl SecurityContext {
    /// Returns a number no other context of this process has.
    #[must_use]
    pub fn next_serial() -> u64 {
        static LAST: AtomicU64 = AtomicU64::new(0);
        LAST.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Memory set aside for one message at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// Largest `TotalLength`.
    pub size: u32,
    /// Whether a message that used it is not over.
    pub is_in_use: bool,
}

/// Bit of a reserve's number, which is told from a message id by it (alpc#253).
pub const RESERVE_BIT: u32 = 0x8000_0000;
/// Numbers of sections and contexts look like handles: steps of four, and not 0.
const NUMBER_STEP: u64 = 4;

/// How many ended messages with events are remembered.
const MANY_DIRECT: usize = 256;

#[derive(Debug, Default)]
struct Table {
    limits: SectionLimits,
    sections: HashMap<u64, Arc<PortSection>>,
    /// By address.
    views: HashMap<u64, Arc<PortView>>,
    contexts: HashMap<u64, SecurityContext>,
    reserves: HashMap<u32, Reserve>,
    /// Reserves in use and views that go with their message, by message id.
    sent: HashMap<u32, Sent>,
    /// Ids of messages with events that are over, oldest first.
    direct: VecDeque<u32>,
}

/// What a message on its way holds of its sender's port.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Address of a view that goes when the message is over; 0 for none.
    pub released_view: u64,
    /// Reserve that is free again when it is; 0 for none.
    pub reserve: u32,
    /// Bundles at the server.
    pub bundles: Vec<u64>,
    /// Events that are set when it is.
    pub events: Vec<Arc<dyn Event>>,
}

/// The resources of one port in this process.
#[derive(Debug, Default)]
pub struct Resources {
    table: Mutex<Table>,
    /// Whether a message ever held something.
    has_sent: AtomicBool,
    last_number: AtomicU64,
    last_reserve: AtomicU32,
}

impl Resources {
    /// Runs `change` under the lock; nothing in it may call the guest's memory, the server or the host.
    fn with<R>(&self, change: impl FnOnce(&mut Table) -> R) -> R {
        change(&mut self.table.lock())
    }

    fn next_number(&self) -> u64 {
        self.last_number.fetch_add(NUMBER_STEP, Ordering::Relaxed) + NUMBER_STEP
    }

    /// Sets the limits of what is made from now on.
    pub fn set_limits(&self, limits: SectionLimits) {
        self.with(|table| table.limits = limits);
    }

    /// Returns the limits.
    #[must_use]
    pub fn limits(&self) -> SectionLimits {
        self.with(|table| table.limits)
    }

    /// Checks the size of a section that is to be made.
    ///
    /// # Errors
    /// `SECTION_TOO_BIG`.
    pub fn check_section(&self, size: u64) -> Result<(), NtStatus> {
        if exceeds(size, self.with(|table| table.limits.section)) {
            return Err(NtStatus::SECTION_TOO_BIG);
        }
        Ok(())
    }

    /// Checks the size of a view that is to be mapped.
    ///
    /// # Errors
    /// `INVALID_VIEW_SIZE`.
    pub fn check_view(&self, size: u64) -> Result<(), NtStatus> {
        if exceeds(size, self.with(|table| table.limits.view)) {
            return Err(NtStatus::INVALID_VIEW_SIZE);
        }
        Ok(())
    }

    /// Adds a section; returns its number.
    ///
    /// # Errors
    /// `QUOTA_EXCEEDED` if all sections of the port would be larger than it allows.
    pub fn add_section(&self, section: PortSection) -> Result<u64, NtStatus> {
        let number = self.next_number();
        self.with(|table| {
            let others = table.sections.values().map(|other| other.memory.size);
            let total = others.fold(section.memory.size, u64::saturating_add);
            if exceeds(total, table.limits.total) {
                return Err(NtStatus::QUOTA_EXCEEDED);
            }
            table.sections.insert(number, Arc::new(section));
            Ok(number)
        })
    }

    /// Returns a section.
    ///
    /// # Errors
    /// `INVALID_HANDLE`.
    pub fn section(&self, number: u64) -> Result<Arc<PortSection>, NtStatus> {
        self.with(|table| table.sections.get(&number).cloned())
            .ok_or(NtStatus::INVALID_HANDLE)
    }

    /// Takes a section away; its views keep the memory.
    ///
    /// # Errors
    /// `INVALID_HANDLE`.
    pub fn remove_section(&self, number: u64) -> Result<(), NtStatus> {
        self.with(|table| table.sections.remove(&number))
            .map(drop)
            .ok_or(NtStatus::INVALID_HANDLE)
    }

    /// Adds a view this process made.
    pub fn add_view(&self, view: PortView) {
        self.with(|table| table.views.insert(view.mapped.base, Arc::new(view)));
    }

    /// Returns the view at an address.
    #[must_use]
    pub fn view(&self, base: u64) -> Option<Arc<PortView>> {
        self.with(|table| table.views.get(&base).cloned())
    }

    /// Takes a view away; the caller drops it, which unmaps it.
    #[must_use]
    pub fn remove_view(&self, base: u64) -> Option<Arc<PortView>> {
        self.with(|table| table.views.remove(&base))
    }

    /// Adds a security context; returns its number.
    pub fn add_context(&self, context: SecurityContext) -> u64 {
        let number = self.next_number();
        self.with(|table| table.contexts.insert(number, context));
        number
    }

    /// Returns a security context.
    ///
    /// # Errors
    /// `INVALID_HANDLE`.
    pub fn context(&self, number: u64) -> Result<SecurityContext, NtStatus> {
        self.with(|table| table.contexts.get(&number).cloned())
            .ok_or(NtStatus::INVALID_HANDLE)
    }

    /// Ends a security context for messages to come, and keeps its number; returns it.
    ///
    /// # Errors
    /// `INVALID_HANDLE`.
    pub fn revoke_context(&self, number: u64) -> Result<SecurityContext, NtStatus> {
        self.with(|table| {
            let context = table.contexts.get_mut(&number)?;
            context.is_revoked = true;
            Some(context.clone())
        })
        .ok_or(NtStatus::INVALID_HANDLE)
    }

    /// Takes a security context away.
    ///
    /// # Errors
    /// `INVALID_HANDLE`.
    pub fn remove_context(&self, number: u64) -> Result<(), NtStatus> {
        self.with(|table| table.contexts.remove(&number))
            .map(drop)
            .ok_or(NtStatus::INVALID_HANDLE)
    }

    /// Sets memory aside; returns the reserve's number.
    pub fn add_reserve(&self, size: u32) -> u32 {
        let number = (self.last_reserve.fetch_add(1, Ordering::Relaxed) + 1) | RESERVE_BIT;
        let reserve = Reserve {
            size,
            is_in_use: false,
        };
        self.with(|table| table.reserves.insert(number, reserve));
        number
    }

    /// Takes a reserve away.
    ///
    /// # Errors
    /// `INVALID_HANDLE`.
    pub fn remove_reserve(&self, number: u32) -> Result<(), NtStatus> {
        self.with(|table| table.reserves.remove(&number))
            .map(drop)
            .ok_or(NtStatus::INVALID_HANDLE)
    }

    /// Takes a reserve for a message of `total` bytes (alpc#260, alpc#262).
    ///
    /// # Errors
    /// `OBJECTID_NOT_FOUND`; `RESOURCE_IN_USE`; `BUFFER_OVERFLOW` for a longer message than it is for.
    pub fn use_reserve(&self, number: u32, total: u32) -> Result<(), NtStatus> {
        self.with(|table| {
            let reserve = table.reserves.get_mut(&number);
            let reserve = reserve.ok_or(NtStatus::OBJECTID_NOT_FOUND)?;
            if reserve.is_in_use {
                return Err(NtStatus::RESOURCE_IN_USE);
            }
            if total > reserve.size {
                return Err(NtStatus::BUFFER_OVERFLOW);
            }
            reserve.is_in_use = true;
            Ok(())
        })
    }

    /// Gives a reserve back that no message used after all.
    pub fn free_reserve(&self, number: u32) {
        self.with(|table| {
            if let Some(reserve) = table.reserves.get_mut(&number) {
                reserve.is_in_use = false;
            }
        });
    }

    /// Remembers what message `id` holds until it is over, besides what it holds already.
    pub fn message_sent(&self, id: u32, sent: Sent) {
        self.has_sent.store(true, Ordering::Relaxed);
        self.with(|table| {
            let held = table.sent.entry(id).or_default();
            if sent.released_view != 0 {
                held.released_view = sent.released_view;
            }
            if sent.reserve != 0 {
                held.reserve = sent.reserve;
            }
            held.bundles.extend(sent.bundles);
            held.events.extend(sent.events);
        });
    }

    /// Returns whether message `id` of this port, sent with an event, is over; `None` if it is not such a message.
    #[must_use]
    pub fn is_direct_over(&self, id: u32) -> Option<bool> {
        self.with(|table| {
            let is_on_its_way = table
                .sent
                .get(&id)
                .is_some_and(|sent| !sent.events.is_empty());
            let is_over = || table.direct.contains(&id).then_some(true);
            is_on_its_way.then_some(false).or_else(is_over)
        })
    }

    /// Returns whether a message ever held something.
    #[must_use]
    pub fn has_sent(&self) -> bool {
        self.has_sent.load(Ordering::Relaxed)
    }

    /// Message `id` of this port is over: answered for good, withdrawn, cancelled or lost. Returns what it held, of which the
    /// caller ends the bundles.
    #[inline]
    pub fn message_over(&self, id: u32) -> Option<Sent> {
        self.has_sent().then(|| self.release(id)).flatten()
    }

    fn release(&self, id: u32) -> Option<Sent> {
        let (sent, view) = self.with(|table| {
            let sent = table.sent.remove(&id)?;
            if let Some(reserve) = table.reserves.get_mut(&sent.reserve) {
                reserve.is_in_use = false;
            }
            let view = table.views.remove(&sent.released_view);
            if !sent.events.is_empty() {
                if table.direct.len() >= MANY_DIRECT {
                    table.direct.pop_front();
                }
                table.direct.push_back(id);
            }
            Some((sent, view))
        })?;
        drop(view);
        for event in &sent.events {
            event.set();
        }
        Some(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserve_is_busy_until_its_message_is_over() {
        let resources = Resources::default();
        let reserve = resources.add_reserve(100);
        assert_ne!(reserve & RESERVE_BIT, 0);
        assert_eq!(
            resources.use_reserve(reserve, 101),
            Err(NtStatus::BUFFER_OVERFLOW)
        );
        assert_eq!(resources.use_reserve(reserve, 100), Ok(()));
        assert_eq!(
            resources.use_reserve(reserve, 100),
            Err(NtStatus::RESOURCE_IN_USE)
        );
        let sent = Sent {
            reserve,
            bundles: vec![3],
            ..Sent::default()
        };
        resources.message_sent(7, sent);
        assert!(resources.message_over(8).is_none());
        let held = resources.message_over(7).expect("held");
        assert_eq!(held.bundles, [3]);
        assert_eq!(resources.use_reserve(reserve, 100), Ok(()));
        assert_eq!(resources.remove_reserve(reserve), Ok(()));
        assert_eq!(
            resources.remove_reserve(reserve),
            Err(NtStatus::INVALID_HANDLE)
        );
        assert_eq!(
            resources.use_reserve(reserve, 1),
            Err(NtStatus::OBJECTID_NOT_FOUND)
        );
    }
}
