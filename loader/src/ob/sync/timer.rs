//! Timers.

use super::*;

/// `TIMER_ALL_ACCESS` and the generic mapping of timers.
pub static TIMER_TYPE: ObjectType = ObjectType {
    name: "Timer",
    generic: [0x2_0001, 0x2_0002, 0x12_0000, 0x1F_0003],
};

/// A timer. Word: 1 when signaled. Constant: 1 for a notification (manual-reset) timer.
///
/// No thread runs for it: whoever waits also sleeps until the due time and signals the timer then.
#[derive(Debug)]
pub struct Timer {
    header: Header,
    cell: Cell,
    is_manual: bool,
}

impl Timer {
    /// Makes a timer that is not set.
    #[must_use]
    pub fn new(is_manual: bool) -> Self {
        Timer {
            header: Header::default(),
            cell: Cell::new(0, u32::from(is_manual)),
            is_manual,
        }
    }

    /// Builds the timer another process packed.
    pub fn unpack(fd: OwnedFd) -> Result<Self, NtStatus> {
        let cell = Cell::from_page(fd)?;
        let is_manual = cell.place().record().constant.load(Ordering::Relaxed) == 1;
        Ok(Timer {
            header: Header::default(),
            cell,
            is_manual,
        })
    }

    /// Sets the due time (monotonic ns) and the period (0 for one shot); resets the signal. Returns the old signal.
    pub fn set(&self, due_ns: u64, period_ns: u64) -> bool {
        self.cell.with(|place| {
            // The due time goes first: a sleeper that marks the word later reads the new one.
            place.record().period_ns.store(period_ns, Ordering::Release);
            place
                .record()
                .due_ns
                .store(due_ns.max(1), Ordering::Release);
            place.update(|_| Some(0))
        }) == Some(1)
    }

    /// Cancels the timer, leaving its signal as it is. Returns the signal.
    pub fn cancel(&self) -> bool {
        self.fire();
        self.cell.with(|place| {
            place.record().due_ns.store(0, Ordering::Release);
            place.update(Some)
        }) == Some(1)
    }

    /// Returns the due time, or `None` when not set.
    #[must_use]
    pub fn due_ns(&self) -> Option<u64> {
        Some(self.cell.place().record().due_ns.load(Ordering::Acquire)).filter(|&due| due != 0)
    }

    /// Returns whether the timer is signaled now.
    #[must_use]
    pub fn is_signaled_now(&self) -> bool {
        self.fire();
        is_set(&self.cell)
    }

    /// Signals the timer if its time has come.
    fn fire(&self) {
        self.cell.with(|place| {
            let record = place.record();
            let due = record.due_ns.load(Ordering::Acquire);
            let now = now_ns();
            if due == 0 || now < due {
                return value(place).map(|_| ());
            }
            let period = record.period_ns.load(Ordering::Acquire);
            let next = (now - due)
                .checked_div(period)
                .map_or(0, |missed| due + (missed + 1) * period);
            if record
                .due_ns
                .compare_exchange(due, next, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            {
                place.update(|_| Some(1))?;
            }
            Ok(())
        });
    }
}

impl Waitable for Timer {
    fn is_signaled(&self) -> bool {
        self.is_signaled_now()
    }

    fn take(&self) -> Option<Taken> {
        self.fire();
        if self.is_manual {
            return is_set(&self.cell).then_some(Taken::Signaled);
        }
        self.cell
            .with(|place| place.take(|word| (word != 0).then_some(0)))
            .map(|_| Taken::Signaled)
    }

    fn give_back(&self, _taken: Taken) {
        if !self.is_manual {
            self.cell.with(|place| place.update(|_| Some(1)));
        }
    }

    fn watch(&self) -> Option<Watch> {
        // Mark first, read the due time after: see `set`.
        let watch = watch_zero(&self.cell)?;
        Some(Watch {
            deadline_ns: self.due_ns(),
            ..watch
        })
    }
}

impl Object for Timer {
    fn object_type(&self) -> &'static ObjectType {
        &TIMER_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn waitable(&self) -> Option<&dyn Waitable> {
        Some(self)
    }
    fn pack(&self) -> Result<Packed, NtStatus> {
        pack_cell(&self.cell, PackedKind::Timer)
    }
}
