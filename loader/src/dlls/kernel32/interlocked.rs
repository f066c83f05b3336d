//! Atomic operations: functions for i386 programs, instructions of the compiler for all others.
//!
//! Source: Microsoft Learn, "Interlocked Variable Access".

use std::sync::atomic::Ordering;

use crate::export::Ptr;
use crate::guest::{atomic_u32, atomic_u64};
use crate::win_api;

win_api! {
    /// Adds one and returns the sum; i386 only.
    "kernel32.dll|kernelbase.dll" stdcall fn InterlockedIncrement(target: Ptr<u32>) -> u32 {
        atomic_u32(target.address()).fetch_add(1, Ordering::SeqCst).wrapping_add(1)
    }

    /// Subtracts one and returns the difference; i386 only.
    "kernel32.dll|kernelbase.dll" stdcall fn InterlockedDecrement(target: Ptr<u32>) -> u32 {
        atomic_u32(target.address()).fetch_sub(1, Ordering::SeqCst).wrapping_sub(1)
    }

    /// Stores a value and returns the one before; i386 only.
    "kernel32.dll|kernelbase.dll" stdcall fn InterlockedExchange(target: Ptr<u32>, value: u32) -> u32 {
        atomic_u32(target.address()).swap(value, Ordering::SeqCst)
    }

    /// Adds a value and returns what was there before; i386 only.
    "kernel32.dll|kernelbase.dll" stdcall fn InterlockedExchangeAdd(target: Ptr<u32>, value: u32) -> u32 {
        atomic_u32(target.address()).fetch_add(value, Ordering::SeqCst)
    }

    /// Stores a value if the one there is as expected, and returns that; i386 only.
    "kernel32.dll|kernelbase.dll" stdcall fn InterlockedCompareExchange(target: Ptr<u32>, value: u32, expected: u32) -> u32 {
        let (Ok(before) | Err(before)) =
            atomic_u32(target.address()).compare_exchange(expected, value, Ordering::SeqCst, Ordering::SeqCst);
        before
    }

    /// Stores a value if the one there is as expected, and returns that; i386 only.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn InterlockedCompareExchange64 = "InterlockedCompareExchange64|RtlInterlockedCompareExchange64" (target: Ptr<u64>, value: u64, expected: u64) -> u64 {
        let (Ok(before) | Err(before)) =
            atomic_u64(target.address()).compare_exchange(expected, value, Ordering::SeqCst, Ordering::SeqCst);
        before
    }
}
