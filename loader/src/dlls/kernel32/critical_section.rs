//! Critical sections: `RTL_CRITICAL_SECTION` in the guest's own layout.
//!
//! `LockCount` is -1 when free and counts owner and waiters down from there as NT 4 to XP did: 0 for an owner alone. The
//! guest may look at the fields, so they are kept as documented; sleeping happens on `LockSemaphore`, used as a futex
//! counter of wake-ups. Source: Microsoft Learn "Critical Section Objects", MSDN Magazine December 2003 (layout).

use std::sync::atomic::Ordering;

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use crate::export::{Bool, Boolean, Ptr};
use crate::guest::atomic_u32;
use crate::linux;
use crate::ob::futex::{self, Sleep};
use crate::ob::process;
use crate::{guest_struct, width, win_api};

guest_struct! {
    /// `RTL_CRITICAL_SECTION`.
    pub struct CriticalSection {
        debug_info: UserPtr,
        lock_count: i32,
        recursion_count: i32,
        owning_thread: Handle,
        lock_semaphore: Handle,
        spin_count: usize,
    }
}

/// Field offsets that the hot path needs.
struct Fields {
    lock_count: u64,
    recursion: u64,
    owner: u64,
    semaphore: u64,
    spin: u64,
}

fn fields(at: u64) -> Fields {
    let pointer = width().pointer() as u64;
    Fields {
        lock_count: at + pointer,
        recursion: at + pointer + 4,
        owner: at + pointer + 8,
        semaphore: at + 2 * pointer + 8,
        spin: at + 3 * pointer + 8,
    }
}

/// `LockCount` of a free section.
const FREE: u32 = u32::MAX;
/// `SpinCount` bits that are a count; the upper ones are flags.
const SPIN_MASK: u32 = 0x00FF_FFFF;

fn initialize(at: Ptr<CriticalSection>, spin: u32) {
    at.write(CriticalSection {
        // -1: no debug information (RTL_CRITICAL_SECTION_FLAG_NO_DEBUG_INFO).
        debug_info: UserPtr(width().pick(0xFFFF_FFFF, usize::MAX) as u64),
        lock_count: -1,
        recursion_count: 0,
        owning_thread: Handle::NULL,
        lock_semaphore: Handle::NULL,
        spin_count: (spin & SPIN_MASK) as usize,
    });
}

fn own(fields: &Fields, me: u32) {
    atomic_u32(fields.owner).store(me, Ordering::Relaxed);
    atomic_u32(fields.recursion).store(1, Ordering::Relaxed);
}

fn try_enter(at: u64) -> bool {
    let fields = fields(at);
    let me = linux::thread_id();
    let lock = atomic_u32(fields.lock_count);
    if lock
        .compare_exchange(FREE, 0, Ordering::Acquire, Ordering::Relaxed)
        .is_ok()
    {
        own(&fields, me);
        return true;
    }
    if atomic_u32(fields.owner).load(Ordering::Relaxed) != me {
        return false;
    }
    lock.fetch_add(1, Ordering::Relaxed);
    atomic_u32(fields.recursion).fetch_add(1, Ordering::Relaxed);
    true
}

fn enter(at: u64) {
    let fields = fields(at);
    let mut spin = atomic_u32(fields.spin).load(Ordering::Relaxed) & SPIN_MASK;
    loop {
        if try_enter(at) {
            return;
        }
        if spin == 0 {
            break;
        }
        spin -= 1;
        std::hint::spin_loop();
    }
    // Count ourselves in; the last step of whoever leaves then hands one wake-up to a waiter.
    if atomic_u32(fields.lock_count).fetch_add(1, Ordering::Acquire) == FREE {
        own(&fields, linux::thread_id());
        return;
    }
    let wakes = atomic_u32(fields.semaphore);
    loop {
        let available = wakes.load(Ordering::Acquire);
        if available == 0 {
            process::end_if_others_have();
            futex::sleep_or_leave(
                &[Sleep {
                    word: wakes,
                    expected: 0,
                    is_shared: false,
                }],
                None,
            );
        } else if wakes
            .compare_exchange(
                available,
                available - 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .is_ok()
        {
            break;
        }
    }
    own(&fields, linux::thread_id());
}

fn leave(at: u64) {
    let fields = fields(at);
    let lock = atomic_u32(fields.lock_count);
    let recursion = atomic_u32(fields.recursion);
    let left = recursion.load(Ordering::Relaxed).wrapping_sub(1);
    recursion.store(left, Ordering::Relaxed);
    if left.cast_signed() > 0 {
        lock.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    atomic_u32(fields.owner).store(0, Ordering::Relaxed);
    // Release pairs with the Acquire of the next owner.
    if lock.fetch_sub(1, Ordering::Release) != 0 {
        let wakes = atomic_u32(fields.semaphore);
        wakes.fetch_add(1, Ordering::Release);
        futex::wake(wakes, false, 1);
    }
}

win_api! {
    /// Makes a critical section.
    "kernel32.dll|kernelbase.dll" stdcall fn InitializeCriticalSection(section: Ptr<CriticalSection>) {
        initialize(section, 0);
    }

    /// Makes a critical section.
    "kernel32.dll|kernelbase.dll" stdcall fn InitializeCriticalSectionAndSpinCount(section: Ptr<CriticalSection>, spin: u32) -> Bool {
        initialize(section, spin);
        Bool::TRUE
    }

    /// Makes a critical section.
    "kernel32.dll|kernelbase.dll" stdcall fn InitializeCriticalSectionEx(section: Ptr<CriticalSection>, spin: u32, _flags: u32) -> Bool {
        initialize(section, spin);
        Bool::TRUE
    }

    /// Makes a critical section.
    "ntdll.dll" stdcall fn RtlInitializeCriticalSection(section: Ptr<CriticalSection>) -> NtStatus {
        initialize(section, 0);
        NtStatus::SUCCESS
    }

    /// Makes a critical section.
    "ntdll.dll" stdcall fn RtlInitializeCriticalSectionAndSpinCount(section: Ptr<CriticalSection>, spin: u32) -> NtStatus {
        initialize(section, spin);
        NtStatus::SUCCESS
    }

    /// Makes a critical section.
    "ntdll.dll" stdcall fn RtlInitializeCriticalSectionEx(section: Ptr<CriticalSection>, spin: u32, _flags: u32) -> NtStatus {
        initialize(section, spin);
        NtStatus::SUCCESS
    }

    /// Unmakes a critical section.
    "kernel32.dll|kernelbase.dll" stdcall fn DeleteCriticalSection(section: Ptr<CriticalSection>) {
        initialize(section, 0);
    }

    /// Unmakes a critical section.
    "ntdll.dll" stdcall fn RtlDeleteCriticalSection(section: Ptr<CriticalSection>) -> NtStatus {
        initialize(section, 0);
        NtStatus::SUCCESS
    }

    /// Enters a critical section.
    "kernel32.dll|kernelbase.dll" stdcall fn EnterCriticalSection(section: Ptr<CriticalSection>) {
        enter(section.address());
    }

    /// Enters a critical section.
    "ntdll.dll" stdcall fn RtlEnterCriticalSection(section: Ptr<CriticalSection>) -> NtStatus {
        enter(section.address());
        NtStatus::SUCCESS
    }

    /// Enters a critical section unless another thread is in it.
    "kernel32.dll|kernelbase.dll" stdcall fn TryEnterCriticalSection(section: Ptr<CriticalSection>) -> Bool {
        try_enter(section.address()).into()
    }

    /// Enters a critical section unless another thread is in it.
    "ntdll.dll" stdcall fn RtlTryEnterCriticalSection(section: Ptr<CriticalSection>) -> Boolean {
        try_enter(section.address()).into()
    }

    /// Leaves a critical section.
    "kernel32.dll|kernelbase.dll" stdcall fn LeaveCriticalSection(section: Ptr<CriticalSection>) {
        leave(section.address());
    }

    /// Leaves a critical section.
    "ntdll.dll" stdcall fn RtlLeaveCriticalSection(section: Ptr<CriticalSection>) -> NtStatus {
        leave(section.address());
        NtStatus::SUCCESS
    }

    /// Sets the spin count of a critical section; returns the old one.
    "kernel32.dll|kernelbase.dll" stdcall fn SetCriticalSectionSpinCount(section: Ptr<CriticalSection>, spin: u32) -> u32 {
        atomic_u32(fields(section.address()).spin).swap(spin & SPIN_MASK, Ordering::Relaxed) & SPIN_MASK
    }
}

/// Releases a critical section for a condition variable and takes it again; returns how deep it was held.
pub fn release_all(section: u64) -> u32 {
    let depth = atomic_u32(fields(section).recursion)
        .load(Ordering::Relaxed)
        .max(1);
    (0..depth).for_each(|_| leave(section));
    depth
}

/// Enters a critical section `depth` times.
pub fn enter_times(section: u64, depth: u32) {
    (0..depth).for_each(|_| enter(section));
}
