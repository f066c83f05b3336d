//! Mutants (mutexes): owned by a thread, recursive, abandoned when the owner dies.
//!
//! The word is laid out as the kernel's robust futexes want it (`man 2 set_robust_list`): Linux thread id of the owner,
//! `FUTEX_WAITERS` (somebody sleeps), `FUTEX_OWNER_DIED`. A shared mutant is linked into the owner's robust list, so the
//! kernel itself abandons it when the owner is killed, at whatever instruction. Ids of the robust list are Linux's:
//! sharers live in one pid name space.
#![allow(
    unsafe_code,
    reason = "registers the thread's robust list with the kernel"
)]

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ntlpc_abi::NtStatus;

use super::object::{Header, Object, ObjectType};
use super::packed::{Packed, PackedKind};
use super::record::{Cell, Place, ROBUST_OFFSET};
use super::waitable::{Taken, Waitable, Watch, watch_record};

/// `MUTANT_ALL_ACCESS` and the generic mapping of mutants.
pub static MUTANT_TYPE: ObjectType = ObjectType {
    name: "Mutant",
    generic: [0x2_0001, 0x2_0000, 0x12_0000, 0x1F_0001],
};

/// `FUTEX_OWNER_DIED`.
const OWNER_DIED: u32 = 0x4000_0000;
/// `FUTEX_TID_MASK`.
const TID_MASK: u32 = 0x3FFF_FFFF;

/// A mutant. Word: owner's Linux thread id, 0 when free, [`OWNER_DIED`] when free and abandoned.
#[derive(Debug)]
pub struct Mutant {
    header: Header,
    core: Arc<Core>,
}

#[derive(Debug)]
struct Core {
    cell: Cell,
    /// How often the owner, a thread of this process, has taken it.
    depth: AtomicU32,
}

/// `struct robust_list_head`.
#[repr(C)]
struct RobustHead {
    first: u64,
    offset: i64,
    pending: u64,
}

/// Mutants this thread owns.
struct Held {
    cores: Vec<Arc<Core>>,
    /// Places of the shared ones, in list order; they stay mapped while linked.
    linked: Vec<Arc<Place>>,
    robust: Option<Box<RobustHead>>,
}

thread_local! {
    static HELD: RefCell<Held> = const { RefCell::new(Held { cores: Vec::new(), linked: Vec::new(), robust: None }) };
}

impl Held {
    fn robust(&mut self) -> &mut RobustHead {
        self.robust.get_or_insert_with(|| {
            let mut head = Box::new(RobustHead {
                first: 0,
                offset: ROBUST_OFFSET,
                pending: 0,
            });
            let address = std::ptr::from_mut(&mut *head);
            head.first = address.addr() as u64;
            // SAFETY: the head stays at this address until `Drop` below takes the registration back.
            unsafe { libc::syscall(libc::SYS_set_robust_list, address, size_of::<RobustHead>()) };
            head
        })
    }

    /// Rewrites the links from the private list; nothing is ever read back from shared memory.
    fn relink(&mut self) {
        let places = std::mem::take(&mut self.linked);
        let head = self.robust();
        let mut next = std::ptr::from_mut(head).addr() as u64;
        for place in places.iter().rev() {
            place.record().robust_next.store(next, Ordering::Release);
            next = std::ptr::from_ref(&place.record().robust_next).addr() as u64;
        }
        head.first = next;
        self.linked = places;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        release_all(self);
        if self.robust.is_some() {
            // SAFETY: a null head takes the registration back; the box is freed after this.
            unsafe { libc::syscall(libc::SYS_set_robust_list, 0, size_of::<RobustHead>()) };
        }
    }
}

fn release_all(held: &mut Held) {
    for core in std::mem::take(&mut held.cores) {
        core.depth.store(0, Ordering::Relaxed);
        core.cell.with(|place| place.update(|_| Some(OWNER_DIED)));
    }
    if !held.linked.is_empty() {
        held.linked.clear();
        held.relink();
    }
}

/// Abandons every mutant the calling thread owns. Called when a guest thread ends.
pub fn abandon_held() {
    HELD.with_borrow_mut(release_all);
}

fn me() -> u32 {
    crate::linux::thread_id()
}

impl Core {
    /// Takes it if free or ours.
    fn take(self: &Arc<Self>) -> Option<Taken> {
        let me = me();
        let old = self.cell.with(|place| {
            if place.is_shared() {
                return self.take_shared(place, me);
            }
            place.take(|word| match word & TID_MASK {
                0 => Some(me),
                owner if owner == me => Some(word),
                _ => None,
            })
        })?;
        if old & TID_MASK == me {
            self.depth.fetch_add(1, Ordering::Relaxed);
            return Some(Taken::Signaled);
        }
        self.depth.store(1, Ordering::Relaxed);
        HELD.with_borrow_mut(|held| held.cores.push(self.clone()));
        Some(if old & OWNER_DIED != 0 {
            Taken::Abandoned
        } else {
            Taken::Signaled
        })
    }

    /// As [`Core::take`] for a shared record: announces the attempt to the kernel before the word names us.
    fn take_shared(
        self: &Arc<Self>,
        place: &Place,
        me: u32,
    ) -> Result<Option<u32>, super::record::Moved> {
        HELD.with_borrow_mut(|held| {
            held.robust().pending = std::ptr::from_ref(&place.record().robust_next).addr() as u64;
            let old = place.take(|word| match word & TID_MASK {
                0 => Some(me),
                owner if owner == me => Some(word),
                _ => None,
            });
            if let Ok(Some(word)) = old
                && word & TID_MASK == 0
            {
                held.linked.push(self.cell.place());
                held.relink();
            }
            held.robust().pending = 0;
            old
        })
    }

    fn release(self: &Arc<Self>) -> Result<u32, NtStatus> {
        let me = me();
        let owner = self.cell.place().record().word.load(Ordering::Acquire) & TID_MASK;
        let depth = self.depth.load(Ordering::Relaxed);
        if owner != me || depth == 0 {
            return Err(NtStatus::MUTANT_NOT_OWNED);
        }
        if depth > 1 {
            self.depth.store(depth - 1, Ordering::Relaxed);
            return Ok(depth);
        }
        self.depth.store(0, Ordering::Relaxed);
        HELD.with_borrow_mut(|held| {
            held.cores.retain(|core| !Arc::ptr_eq(core, self));
            let place = self.cell.place();
            let is_linked = held.linked.iter().any(|linked| Arc::ptr_eq(linked, &place));
            if is_linked {
                held.robust().pending =
                    std::ptr::from_ref(&place.record().robust_next).addr() as u64;
                held.linked.retain(|linked| !Arc::ptr_eq(linked, &place));
                held.relink();
            }
            self.cell.with(|place| place.update(|_| Some(0)));
            if is_linked {
                held.robust().pending = 0;
            }
        });
        Ok(depth)
    }
}

impl Mutant {
    /// Makes a mutant; `is_owned` by the calling thread or free.
    #[must_use]
    pub fn new(is_owned: bool) -> Self {
        let mutant = Mutant {
            header: Header::default(),
            core: Arc::new(Core {
                cell: Cell::new(0, 0),
                depth: AtomicU32::new(0),
            }),
        };
        if is_owned {
            mutant.core.take();
        }
        mutant
    }

    /// Builds the mutant another process packed.
    pub fn unpack(fd: OwnedFd) -> Result<Self, NtStatus> {
        let core = Core {
            cell: Cell::from_page(fd)?,
            depth: AtomicU32::new(0),
        };
        Ok(Mutant {
            header: Header::default(),
            core: Arc::new(core),
        })
    }

    /// Releases it once; returns how often it was held, or `MUTANT_NOT_OWNED`.
    pub fn release(&self) -> Result<u32, NtStatus> {
        self.core.release()
    }

    /// Returns how often it is held, whether by the caller, and whether it was abandoned.
    #[must_use]
    pub fn query(&self) -> (u32, bool, bool) {
        let word = self.core.cell.place().record().word.load(Ordering::Acquire);
        let is_mine = word & TID_MASK == me();
        let depth = if word & TID_MASK == 0 {
            0
        } else {
            self.core.depth.load(Ordering::Relaxed).max(1)
        };
        (depth, is_mine, word & OWNER_DIED != 0)
    }
}

/// Creates or opens a mutant by attributes. One that is new and `is_owned` is taken by the calling thread after it has
/// its final place, so that the kernel knows its owner.
pub fn create(
    attributes: &super::attributes::Attributes,
    access: u32,
    is_owned: bool,
) -> Result<(ntlpc_abi::Handle, NtStatus), NtStatus> {
    let (handle, status) = super::name::create(attributes, access, || Ok(Mutant::new(false)))?;
    if is_owned && status == NtStatus::SUCCESS {
        super::table::lookup::<Mutant>(handle, 0)?.core.take();
    }
    Ok((handle, status))
}

impl Waitable for Mutant {
    fn is_signaled(&self) -> bool {
        let owner = self.core.cell.place().record().word.load(Ordering::Acquire) & TID_MASK;
        owner == 0 || owner == me()
    }

    fn take(&self) -> Option<Taken> {
        self.core.take()
    }

    fn give_back(&self, _taken: Taken) {
        let _ = self.core.release();
    }

    fn watch(&self) -> Option<Watch> {
        let me = me();
        watch_record(&self.core.cell.place(), |word| {
            word & TID_MASK != 0 && word & TID_MASK != me
        })
    }
}

impl Object for Mutant {
    fn object_type(&self) -> &'static ObjectType {
        &MUTANT_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn waitable(&self) -> Option<&dyn Waitable> {
        Some(self)
    }
    fn pack(&self) -> Result<Packed, NtStatus> {
        let fd = self.core.cell.share()?;
        Ok(Packed {
            kind: PackedKind::Mutant,
            bytes: Vec::new(),
            fds: vec![fd],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::wait::{WaitKind, wait};
    use super::*;

    #[test]
    fn recursion_counts_and_strangers_cannot_release() {
        let mutant = Arc::new(Mutant::new(true));
        assert_eq!(mutant.take(), Some(Taken::Signaled));
        let stranger = mutant.clone();
        let result = std::thread::spawn(move || (stranger.take(), stranger.release()))
            .join()
            .expect("join");
        assert_eq!(result, (None, Err(NtStatus::MUTANT_NOT_OWNED)));
        assert_eq!((mutant.release(), mutant.release()), (Ok(2), Ok(1)));
        assert_eq!(mutant.release(), Err(NtStatus::MUTANT_NOT_OWNED));
    }

    #[test]
    fn an_owner_that_ends_abandons_the_mutant() {
        for is_shared in [false, true] {
            let mutant = Arc::new(Mutant::new(false));
            if is_shared {
                mutant.pack().expect("pack");
            }
            let taken = mutant.clone();
            std::thread::spawn(move || taken.take())
                .join()
                .expect("join");
            let object: Arc<dyn Object> = mutant.clone();
            assert_eq!(
                wait(std::slice::from_ref(&object), WaitKind::Any, false, None),
                NtStatus::ABANDONED_WAIT_0
            );
            assert_eq!(
                wait(&[object], WaitKind::Any, false, None),
                NtStatus::SUCCESS
            );
            assert_eq!((mutant.release(), mutant.release()), (Ok(2), Ok(1)));
        }
    }

    #[test]
    fn the_kernel_abandons_the_mutant_of_a_killed_process() {
        let mutant = Arc::new(Mutant::new(false));
        let fd = mutant.pack().expect("pack").fds.remove(0);
        // SAFETY: the child only takes the mutant and kills itself; the test process has no locks it needs.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let other = Mutant::unpack(fd).expect("unpack");
            other.core.take();
            // SAFETY: kills the child itself.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
        // SAFETY: waits for the child made above.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        let object: Arc<dyn Object> = mutant;
        assert_eq!(
            wait(&[object], WaitKind::Any, false, None),
            NtStatus::ABANDONED_WAIT_0
        );
    }
}
