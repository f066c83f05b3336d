//! Events.

use super::*;

/// `EVENT_ALL_ACCESS` and the generic mapping of events.
pub static EVENT_TYPE: ObjectType = ObjectType {
    name: "Event",
    generic: [0x2_0001, 0x2_0002, 0x12_0000, 0x1F_0003],
};

/// An event. Word: 1 when set. Constant: 1 for a notification (manual-reset) event.
#[derive(Debug)]
pub struct Event {
    header: Header,
    cell: Cell,
    is_manual: bool,
}

impl Event {
    /// Makes an event.
    #[must_use]
    pub fn new(is_manual: bool, is_set: bool) -> Self {
        let cell = Cell::new(u32::from(is_set), u32::from(is_manual));
        Event {
            header: Header::default(),
            cell,
            is_manual,
        }
    }

    /// Builds the event another process packed.
    pub fn unpack(fd: OwnedFd) -> Result<Self, NtStatus> {
        let cell = Cell::from_page(fd)?;
        let is_manual = cell.place().record().constant.load(Ordering::Relaxed) == 1;
        Ok(Event {
            header: Header::default(),
            cell,
            is_manual,
        })
    }

    /// Returns whether it is a notification event.
    #[must_use]
    pub const fn is_manual(&self) -> bool {
        self.is_manual
    }

    /// Sets the event; returns whether it was set before.
    pub fn set(&self) -> bool {
        self.cell.with(|place| place.update(|_| Some(1))) == Some(1)
    }

    /// Resets the event; returns whether it was set before.
    pub fn reset(&self) -> bool {
        self.cell.with(|place| place.take(|_| Some(0))) == Some(1)
    }

    /// `NtPulseEvent`: wakes whoever waits now, leaving the event reset.
    ///
    /// Sleepers look again after the word has gone back, so a pulse may be missed; Microsoft Learn `PulseEvent` says
    /// the same of Windows ("unreliable").
    pub fn pulse(&self) -> bool {
        let was_set = self.set();
        std::thread::yield_now();
        self.reset();
        was_set
    }

    /// Returns whether the event is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        is_set(&self.cell)
    }
}

impl Waitable for Event {
    fn is_signaled(&self) -> bool {
        self.is_set()
    }

    fn take(&self) -> Option<Taken> {
        if self.is_manual {
            return self.is_set().then_some(Taken::Signaled);
        }
        self.cell
            .with(|place| place.take(|word| (word != 0).then_some(0)))
            .map(|_| Taken::Signaled)
    }

    fn give_back(&self, _taken: Taken) {
        if !self.is_manual {
            self.set();
        }
    }

    fn watch(&self) -> Option<Watch> {
        watch_zero(&self.cell)
    }
}

impl Object for Event {
    fn object_type(&self) -> &'static ObjectType {
        &EVENT_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn waitable(&self) -> Option<&dyn Waitable> {
        Some(self)
    }
    fn pack(&self) -> Result<Packed, NtStatus> {
        pack_cell(&self.cell, PackedKind::Event)
    }
}
