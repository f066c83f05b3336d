//! Events, semaphores and timers. Mutants have their own file.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ntlpc_abi::NtStatus;

use super::futex::now_ns;
use super::object::{Header, Object, ObjectType, Packed, PackedKind};
use super::record::{Cell, MOVED, Place, SLEEPERS};
use super::wait::{Taken, Waitable, Watch, watch_record};

/// `EVENT_ALL_ACCESS` and the generic mapping of events.
pub static EVENT_TYPE: ObjectType = ObjectType {
    name: "Event",
    generic: [0x2_0001, 0x2_0002, 0x12_0000, 0x1F_0003],
};
/// `SEMAPHORE_ALL_ACCESS` and the generic mapping of semaphores.
pub static SEMAPHORE_TYPE: ObjectType = ObjectType {
    name: "Semaphore",
    generic: [0x2_0001, 0x2_0002, 0x12_0000, 0x1F_0003],
};
/// `TIMER_ALL_ACCESS` and the generic mapping of timers.
pub static TIMER_TYPE: ObjectType = ObjectType {
    name: "Timer",
    generic: [0x2_0001, 0x2_0002, 0x12_0000, 0x1F_0003],
};

/// `EVENT_MODIFY_STATE`, `SEMAPHORE_MODIFY_STATE`, `TIMER_MODIFY_STATE`.
pub const MODIFY_STATE: u32 = 2;
/// `EVENT_QUERY_STATE`, `SEMAPHORE_QUERY_STATE`, `TIMER_QUERY_STATE`.
pub const QUERY_STATE: u32 = 1;

fn is_set(cell: &Cell) -> bool {
    cell.with(value) != 0
}

fn value(place: &Place) -> Result<u32, super::record::Moved> {
    match place.record().word.load(Ordering::Acquire) {
        MOVED => Err(super::record::Moved),
        word => Ok(word & !SLEEPERS),
    }
}

fn watch_zero(cell: &Cell) -> Option<Watch> {
    watch_record(&cell.place(), |word| word == 0)
}

fn pack_cell(cell: &Cell, kind: PackedKind) -> Result<Packed, NtStatus> {
    Ok(Packed {
        kind,
        bytes: Vec::new(),
        fds: vec![cell.share()?],
    })
}

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

/// A semaphore. Word: count. Constant: limit.
///
/// The largest count is one less than NT's, because that value marks a record that moved.
#[derive(Debug)]
pub struct Semaphore {
    header: Header,
    cell: Cell,
}

impl Semaphore {
    /// Makes a semaphore. Returns `INVALID_PARAMETER` unless `0 <= count <= limit` and `limit > 0`.
    pub fn new(count: i32, limit: i32) -> Result<Self, NtStatus> {
        if limit <= 0 || count < 0 || count > limit {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let limit = limit.unsigned_abs();
        let cell = Cell::new(count.unsigned_abs().min(MOVED - 1), limit);
        Ok(Semaphore {
            header: Header::default(),
            cell,
        })
    }

    /// Builds the semaphore another process packed.
    pub fn unpack(fd: OwnedFd) -> Result<Self, NtStatus> {
        Ok(Semaphore {
            header: Header::default(),
            cell: Cell::from_page(fd)?,
        })
    }

    /// Returns the limit.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.cell.place().record().constant.load(Ordering::Relaxed)
    }

    /// Returns the count.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.cell.with(value)
    }

    /// Adds to the count; returns the count before, or `SEMAPHORE_LIMIT_EXCEEDED`.
    pub fn release(&self, count: i32) -> Result<u32, NtStatus> {
        let Ok(count) = u32::try_from(count) else {
            return Err(NtStatus::INVALID_PARAMETER);
        };
        if count == 0 {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let limit = self.limit().min(MOVED - 1);
        let add = |word: u32| word.checked_add(count).filter(|&sum| sum <= limit);
        self.cell
            .with(|place| place.update(add))
            .ok_or(NtStatus::SEMAPHORE_LIMIT_EXCEEDED)
    }
}

impl Waitable for Semaphore {
    fn is_signaled(&self) -> bool {
        is_set(&self.cell)
    }

    fn take(&self) -> Option<Taken> {
        self.cell
            .with(|place| place.take(|word| word.checked_sub(1)))
            .map(|_| Taken::Signaled)
    }

    fn give_back(&self, _taken: Taken) {
        self.cell
            .with(|place| place.update(|word| Some(word.saturating_add(1).min(MOVED - 1))));
    }

    fn watch(&self) -> Option<Watch> {
        watch_zero(&self.cell)
    }
}

impl Object for Semaphore {
    fn object_type(&self) -> &'static ObjectType {
        &SEMAPHORE_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn waitable(&self) -> Option<&dyn Waitable> {
        Some(self)
    }
    fn pack(&self) -> Result<Packed, NtStatus> {
        pack_cell(&self.cell, PackedKind::Semaphore)
    }
}

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

/// A signal owned by another object: an auto- or manual-reset flag to wait on. Used by processes, threads, files.
#[derive(Debug)]
pub struct Signal(Cell);

impl Signal {
    /// Makes a signal.
    #[must_use]
    pub fn new(is_set: bool) -> Self {
        Signal(Cell::new(u32::from(is_set), 1))
    }

    /// Takes over the page of a signal made elsewhere.
    pub fn from_page(fd: OwnedFd) -> Result<Self, NtStatus> {
        Ok(Signal(Cell::from_page(fd)?))
    }

    /// Moves it to a shared page and returns a descriptor of it.
    pub fn share(&self) -> Result<OwnedFd, NtStatus> {
        self.0.share()
    }

    /// Returns where its record lies.
    #[must_use]
    pub fn place(&self) -> Arc<Place> {
        self.0.place()
    }

    /// Sets or resets it.
    pub fn assign(&self, is_set: bool) {
        self.0
            .with(|place| place.update(|_| Some(u32::from(is_set))));
    }
}

impl Waitable for Signal {
    fn is_signaled(&self) -> bool {
        is_set(&self.0)
    }
    fn take(&self) -> Option<Taken> {
        is_set(&self.0).then_some(Taken::Signaled)
    }
    fn give_back(&self, _taken: Taken) {}
    fn watch(&self) -> Option<Watch> {
        watch_zero(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::wait::{WaitKind, wait};
    use super::*;
    use crate::ob::wait::deadline;

    fn now() -> Option<u64> {
        deadline(Some(0))
    }

    #[test]
    fn auto_reset_events_satisfy_one_wait() {
        let event: Arc<dyn Object> = Arc::new(Event::new(false, true));
        assert_eq!(
            wait(std::slice::from_ref(&event), WaitKind::Any, false, now()),
            NtStatus::SUCCESS
        );
        assert_eq!(
            wait(&[event], WaitKind::Any, false, now()),
            NtStatus::TIMEOUT
        );
    }

    #[test]
    fn semaphore_release_beyond_the_limit_changes_nothing() {
        let semaphore = Semaphore::new(1, 2).expect("valid");
        assert_eq!(
            semaphore.release(2),
            Err(NtStatus::SEMAPHORE_LIMIT_EXCEEDED)
        );
        assert_eq!(semaphore.release(1), Ok(1));
        assert_eq!(semaphore.count(), 2);
        assert!(Semaphore::new(3, 2).is_err() && Semaphore::new(0, 0).is_err());
    }

    #[test]
    fn wait_all_takes_nothing_until_all_are_signaled() {
        let first = Arc::new(Event::new(false, true));
        let second = Arc::new(Event::new(false, false));
        let both: [Arc<dyn Object>; 2] = [first.clone(), second.clone()];
        assert_eq!(wait(&both, WaitKind::All, false, now()), NtStatus::TIMEOUT);
        assert!(first.is_set());
        let helper = std::thread::spawn(move || second.set());
        assert_eq!(wait(&both, WaitKind::All, false, None), NtStatus::SUCCESS);
        assert!(!first.is_set());
        helper.join().expect("join");
    }

    #[test]
    fn a_sleeper_survives_the_move_to_a_shared_page() {
        let event = Arc::new(Event::new(false, false));
        let object: Arc<dyn Object> = event.clone();
        let sleeper = std::thread::spawn(move || wait(&[object], WaitKind::Any, false, None));
        std::thread::sleep(std::time::Duration::from_millis(20));
        let packed = event.pack().expect("pack");
        let other = Event::unpack(packed.fds.into_iter().next().expect("fd")).expect("unpack");
        other.set();
        assert_eq!(sleeper.join().expect("join"), NtStatus::SUCCESS);
    }

    #[test]
    fn timers_fire_by_the_waiters_clock_and_repeat() {
        let timer = Arc::new(Timer::new(false));
        let object: Arc<dyn Object> = timer.clone();
        let start = now_ns();
        timer.set(start + 3_000_000, 2_000_000);
        assert_eq!(
            wait(std::slice::from_ref(&object), WaitKind::Any, false, None),
            NtStatus::SUCCESS
        );
        assert!(now_ns() >= start + 3_000_000);
        assert_eq!(
            wait(std::slice::from_ref(&object), WaitKind::Any, false, None),
            NtStatus::SUCCESS
        );
        assert!(now_ns() >= start + 5_000_000);
        timer.cancel();
        assert_eq!(
            wait(&[object], WaitKind::Any, false, now()),
            NtStatus::TIMEOUT
        );
    }
}
