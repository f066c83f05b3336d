//! `KUSER_SHARED_DATA`, the page every Windows process finds at 0x7ffe0000.
//!
//! Source: Microsoft Learn, `ntddk.h` `KUSER_SHARED_DATA`.
#![allow(
    unsafe_code,
    reason = "maps a page at a fixed address and writes it through a second mapping"
)]

use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use ntlpc_abi::Width;

use super::VERSION;
use crate::vm::{self, Kind, PAGE, page};
use crate::width;

/// Where every guest finds it.
pub const ADDRESS: u64 = 0x7ffe_0000;

/// Our writable view of the page.
static WRITABLE: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

/// How often the clocks in the page move once a program has looked at it.
const TICK: Duration = Duration::from_millis(1);

/// Maps the page. Until a program touches it nothing keeps its clocks going: see [`touched`].
pub fn map() -> std::io::Result<()> {
    let memory = rustix::fs::memfd_create("kuser", rustix::fs::MemfdFlags::CLOEXEC)?;
    rustix::fs::ftruncate(&memory, PAGE as u64)?;
    let backing = || vm::sys::Backing::Shared(std::os::fd::AsFd::as_fd(&memory), 0);
    let ours = vm::sys::map(
        None,
        PAGE,
        libc::PROT_READ | libc::PROT_WRITE,
        backing(),
        false,
    )?;
    vm::sys::map(
        Some(ADDRESS as usize),
        PAGE,
        libc::PROT_NONE,
        backing(),
        false,
    )?;
    WRITABLE.store(ours as *mut u8, Ordering::Release);
    vm::SPACE.lock().register(
        ADDRESS as usize,
        PAGE,
        Kind::Private,
        page::READONLY,
        page::READONLY,
    );
    fill();
    update_clocks();
    Ok(())
}

/// Handles the first access: makes the page readable and starts its clocks. Returns whether `address` is in the page.
///
/// Async-signal-safe apart from starting a thread, which happens once, in code that holds none of our locks.
pub fn touched(address: u64) -> bool {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    if !(ADDRESS..ADDRESS + PAGE as u64).contains(&address)
        || WRITABLE.load(Ordering::Acquire).is_null()
    {
        return false;
    }
    if STARTED.fetch_add(1, Ordering::AcqRel) > 0 {
        // A second fault is a write or comes from a thread that raced with the first: let it try again a few times.
        return STARTED.load(Ordering::Acquire) < 64;
    }
    update_clocks();
    let is_readable = vm::sys::protect(ADDRESS as usize, PAGE, libc::PROT_READ).is_ok();
    let ticker = std::thread::Builder::new()
        .name("kuser".into())
        .stack_size(0x1_0000);
    let spawned = ticker.spawn(|| {
        loop {
            std::thread::sleep(TICK);
            update_clocks();
        }
    });
    is_readable && spawned.is_ok()
}

fn word(offset: usize) -> &'static AtomicU32 {
    // SAFETY: `WRITABLE` is a mapped page for ever, and offsets are below its size and 4-aligned.
    unsafe {
        &*WRITABLE
            .load(Ordering::Acquire)
            .add(offset)
            .cast::<AtomicU32>()
    }
}

fn long(offset: usize) -> &'static AtomicU64 {
    // SAFETY: as for `word`, 8-aligned.
    unsafe {
        &*WRITABLE
            .load(Ordering::Acquire)
            .add(offset)
            .cast::<AtomicU64>()
    }
}

fn fill() {
    word(0x4).store(0x0fa0_0000, Ordering::Relaxed); // TickCountMultiplier: one tick is 15.625 ms
    let machine = match width() {
        Width::X64 => 0x8664,
        Width::X86 => 0x14c,
    };
    word(0x2c).store(machine | machine << 16, Ordering::Relaxed); // ImageNumberLow, High
    let root: Vec<u16> = "C:\\windows".encode_utf16().chain([0, 0]).collect();
    for (i, pair) in root.chunks_exact(2).enumerate() {
        word(0x30 + i * 4).store(
            u32::from(pair[0]) | u32::from(pair[1]) << 16,
            Ordering::Relaxed,
        );
    }
    word(0x260).store(VERSION.2.into(), Ordering::Relaxed); // NtBuildNumber
    word(0x264).store(1, Ordering::Relaxed); // NtProductType: workstation
    word(0x268).store(1, Ordering::Relaxed); // ProductTypeIsValid
    word(0x26c).store(VERSION.0, Ordering::Relaxed); // NtMajorVersion
    word(0x270).store(VERSION.1, Ordering::Relaxed); // NtMinorVersion
    let features = processor_features();
    for (i, four) in features.chunks_exact(4).enumerate() {
        let value = four
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u32::from(byte));
        word(0x274 + i * 4).store(value, Ordering::Relaxed);
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    word(0x3c0).store(processors as u32, Ordering::Relaxed); // ActiveProcessorCount
    word(0x2e8).store(0x8_0000, Ordering::Relaxed); // NumberOfPhysicalPages, lower bound
}

/// Returns `ProcessorFeatures`, indexed by `PF_*`. Source: Microsoft Learn, `IsProcessorFeaturePresent`.
#[must_use]
pub fn processor_features() -> [u8; 64] {
    let mut features = [0; 64];
    let mut set = |index: usize, is_present: bool| features[index] = u8::from(is_present);
    set(2, true); // COMPARE_EXCHANGE_DOUBLE
    set(3, true); // MMX
    set(6, true); // XMMI
    set(8, true); // RDTSC
    set(9, true); // PAE
    set(10, true); // XMMI64
    set(12, true); // NX
    set(13, is_x86_feature_detected!("sse3"));
    set(14, is_x86_feature_detected!("cmpxchg16b"));
    set(17, is_x86_feature_detected!("xsave"));
    set(23, true); // FASTFAIL
    set(28, is_x86_feature_detected!("rdrand"));
    set(36, is_x86_feature_detected!("ssse3"));
    set(37, is_x86_feature_detected!("sse4.1"));
    set(38, is_x86_feature_detected!("sse4.2"));
    set(39, is_x86_feature_detected!("avx"));
    set(40, is_x86_feature_detected!("avx2"));
    set(41, is_x86_feature_detected!("avx512f"));
    features
}

/// 100 ns units between 1601 and 1970.
const EPOCH: u64 = 116_444_736_000_000_000;

fn update_clocks() {
    let clock = |id| {
        let time = rustix::time::clock_gettime(id);
        time.tv_sec.cast_unsigned() * 10_000_000 + time.tv_nsec.cast_unsigned() / 100
    };
    store_time(0x14, clock(rustix::time::ClockId::Realtime) + EPOCH);
    let since_start = clock(rustix::time::ClockId::Boottime);
    store_time(0x8, since_start);
    let ticks = since_start / 156_250;
    word(0x0).store(ticks as u32, Ordering::Relaxed);
    long(0x320).store(ticks, Ordering::Relaxed);
    word(0x328).store((ticks >> 32) as u32, Ordering::Relaxed);
}

/// Writes a KSYSTEM_TIME so that readers who compare High1Time with High2Time never see halves of two values.
fn store_time(offset: usize, value: u64) {
    word(offset + 8).store((value >> 32) as u32, Ordering::Release);
    word(offset).store(value as u32, Ordering::Release);
    word(offset + 4).store((value >> 32) as u32, Ordering::Release);
}
