//! When a waiter may spin instead of sleeping.
//!
//! A wake across CPUs costs about 20 µs here, one on the same CPU about 2 µs, and a spin that shares its CPU with the one it
//! waits for is ruinous. So: spin only if the peer last ran on another CPU, only on a machine that runs several, only while
//! nobody else waits for the same peer, for at most as long as a wake costs; after eight misses in a row only every 64th
//! time. `LPC_SPIN_US` sets the budget; 0 turns spinning off.

use std::sync::OnceLock;

use crate::sys::{current_cpu, now_ns, online_cpus};

const DEFAULT_BUDGET_NS: u64 = 20_000;
/// Polls between two looks at who else waits: a look takes a cache line away from the peer.
const POLLS_AT_ONCE: u32 = 64;

/// A waiter's memory of how spinning went.
#[derive(Debug, Default)]
pub struct Spinner {
    misses: u32,
    skipped: u32,
}

/// Returns how many polls fill the budget: the pause between two differs tenfold between CPUs, so it is measured once.
fn budget() -> u32 {
    static BUDGET: OnceLock<u32> = OnceLock::new();
    *BUDGET.get_or_init(|| {
        let polls = budget_ns() * u64::from(POLLS_AT_ONCE) / pause_ns(POLLS_AT_ONCE).max(1);
        u32::try_from(polls).unwrap_or(u32::MAX)
    })
}

fn budget_ns() -> u64 {
    let asked = std::env::var("LPC_SPIN_US")
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    match asked {
        Some(us) => us.saturating_mul(1000),
        None if online_cpus() < 2 => 0,
        None => DEFAULT_BUDGET_NS,
    }
}

/// Returns how long `count` pauses take: the shortest of three tries, since others may run in between.
fn pause_ns(count: u32) -> u64 {
    let try_once = || {
        let start = now_ns(libc::CLOCK_MONOTONIC);
        (0..count).for_each(|_| std::hint::spin_loop());
        now_ns(libc::CLOCK_MONOTONIC).wrapping_sub(start)
    };
    (0..3).map(|_| try_once()).min().unwrap_or(0)
}

impl Spinner {
    /// Spins until `done`, if that is promising. Returns whether it is done.
    ///
    /// `peer_cpu` is where the other side last ran; `crowded` is asked now and then, and ends the spin.
    pub fn spin(
        &mut self,
        peer_cpu: u16,
        done: impl Fn() -> bool,
        crowded: impl Fn() -> bool,
    ) -> bool {
        if done() {
            return true;
        }
        let budget = budget();
        if budget == 0 || peer_cpu == current_cpu() || crowded() {
            return false;
        }
        if self.misses >= 8 {
            self.skipped += 1;
            if !self.skipped.is_multiple_of(64) {
                return false;
            }
        }
        for _ in 0..budget.div_ceil(POLLS_AT_ONCE) {
            for _ in 0..POLLS_AT_ONCE {
                if done() {
                    self.misses = 0;
                    return true;
                }
                std::hint::spin_loop();
            }
            if crowded() {
                break;
            }
        }
        self.misses += 1;
        done()
    }
}
