//! Thread-local slots: `TlsAlloc` of `processthreadsapi.h`, `FlsAlloc` of `fibersapi.h`.
//!
//! Source: Microsoft Learn; the slots of TLS lie in the TEB (phnt `ntpebteb.h`), where programs read them directly.

use parking_lot::Mutex;

use crate::export::{Bool, Callback, Ptr};
use crate::heap::blocks;
use crate::teb::{self, FLS_DATA, TLS_EXPANSION_SLOTS, TLS_SLOTS};
use crate::thread::{self, fiber};
use crate::width;
use crate::win_api;

/// Slots in the TEB itself.
const DIRECT: usize = 64;
/// Slots in all.
const TLS_COUNT: usize = DIRECT + 1024;
const FLS_COUNT: usize = 4080;
/// `TLS_OUT_OF_INDEXES`, `FLS_OUT_OF_INDEXES`.
const OUT_OF_INDEXES: u32 = u32::MAX;

mod error {
    pub const NO_MORE_ITEMS: u32 = 259;
    pub const INVALID_PARAMETER: u32 = 87;
    pub const SUCCESS: u32 = 0;
}

static TLS_USED: Mutex<Vec<bool>> = Mutex::new(Vec::new());
static FLS_USED: Mutex<Vec<Option<Callback>>> = Mutex::new(Vec::new());

/// Returns where a thread keeps a TLS slot; `None` if it never had that far a slot.
fn tls_slot(teb: u64, index: usize, makes: bool) -> Option<Ptr<usize>> {
    if index < DIRECT {
        return Some(TLS_SLOTS.at::<usize>(teb).add(index));
    }
    expansion(TLS_EXPANSION_SLOTS.at(teb), TLS_COUNT - DIRECT, makes)
        .map(|slots| slots.add(index - DIRECT))
}

fn fls_slot(teb: u64, index: usize, makes: bool) -> Option<Ptr<usize>> {
    expansion(FLS_DATA.at(teb), FLS_COUNT, makes).map(|slots| slots.add(index))
}

fn expansion(place: Ptr<Ptr<usize>>, count: usize, makes: bool) -> Option<Ptr<usize>> {
    let known = place.read();
    if known.is_null() && makes {
        static RELEASE: std::sync::Once = std::sync::Once::new();
        RELEASE.call_once(|| thread::at_exit(release));
        place.write(Ptr::new(blocks::allocate(count * width().pointer())));
    }
    place.read().non_null()
}

/// Runs the callbacks of the calling thread's FLS slots and frees both arrays.
fn release() {
    let teb = teb::this();
    run_fls_callbacks(FLS_DATA.at::<Ptr<usize>>(teb).read());
    for place in [
        FLS_DATA.at::<Ptr<usize>>(teb),
        TLS_EXPANSION_SLOTS.at::<Ptr<usize>>(teb),
    ] {
        let slots = place.read();
        place.write(Ptr::NULL);
        free(slots);
    }
}

/// Runs the callbacks of a fiber's FLS slots and frees them.
pub(super) fn release_fiber(slots: Ptr<usize>) {
    run_fls_callbacks(slots);
    free(slots);
}

fn free(slots: Ptr<usize>) {
    if !slots.is_null() {
        blocks::free(slots.address());
    }
}

fn run_fls_callbacks(slots: Ptr<usize>) {
    if slots.is_null() {
        return;
    }
    let used = FLS_USED.lock().len();
    for index in 0..used {
        let callback = FLS_USED.lock().get(index).copied().flatten();
        let slot = slots.add(index);
        let value = slot.read();
        if let Some(callback) = callback
            && !callback.is_null()
            && value != 0
        {
            slot.write(0);
            callback.call(&[value as u64]);
        }
    }
}

fn claim<T>(
    used: &mut Vec<T>,
    count: usize,
    is_free: impl Fn(&T) -> bool,
    value: T,
    free: impl Fn() -> T,
) -> Option<usize> {
    // Index 0 stays free: programs take it for "none".
    if used.is_empty() {
        used.push(free());
    }
    let at = (1..used.len())
        .find(|&i| is_free(&used[i]))
        .unwrap_or(used.len());
    if at >= count {
        return None;
    }
    if at == used.len() {
        used.push(value);
    } else {
        used[at] = value;
    }
    Some(at)
}

/// Returns all values of an FLS slot: of running threads and of fibers that wait.
fn all_fls(index: usize) -> Vec<Ptr<usize>> {
    let running = teb::all().into_iter();
    let running = running.map(|teb| FLS_DATA.at::<Ptr<usize>>(teb).read());
    let arrays = running.chain(fiber::all_local_slots());
    let present = arrays.filter_map(Ptr::non_null);
    present.map(|slots| slots.add(index)).collect()
}

fn clear_everywhere(slot: impl Fn(u64) -> Option<Ptr<usize>>) {
    for teb in crate::teb::all() {
        if let Some(slot) = slot(teb) {
            slot.write(0);
        }
    }
}

fn check<T>(is_good: bool, good: T, bad: T) -> T {
    if !is_good {
        teb::set_last_error(error::INVALID_PARAMETER);
    }
    if is_good { good } else { bad }
}

win_api! {
    /// Takes a thread-local slot.
    "kernel32.dll|kernelbase.dll" stdcall fn TlsAlloc() -> u32 {
        let claimed = claim(&mut TLS_USED.lock(), TLS_COUNT, |used| !used, true, || false);
        match claimed {
            Some(index) => {
                clear_everywhere(|teb| tls_slot(teb, index, false));
                index as u32
            }
            None => check(false, 0, OUT_OF_INDEXES),
        }
    }

    /// Gives a thread-local slot back.
    "kernel32.dll|kernelbase.dll" stdcall fn TlsFree(index: u32) -> Bool {
        let index = index as usize;
        let was_used = TLS_USED.lock().get_mut(index).is_some_and(std::mem::take);
        check(was_used, Bool::TRUE, Bool::FALSE)
    }

    /// Returns the calling thread's value of a slot.
    "kernel32.dll|kernelbase.dll" stdcall fn TlsGetValue = "TlsGetValue|TlsGetValue2" (index: u32) -> usize {
        let index = index as usize;
        if index < DIRECT {
            teb::set_last_error(error::SUCCESS);
            return teb::read_word(TLS_SLOTS.offset() + index * width().pointer()) as usize;
        }
        if index >= TLS_COUNT {
            return check(false, 0, 0);
        }
        teb::set_last_error(error::SUCCESS);
        tls_slot(teb::this(), index, false).map_or(0, Ptr::read)
    }

    /// Sets the calling thread's value of a slot.
    "kernel32.dll|kernelbase.dll" stdcall fn TlsSetValue(index: u32, value: usize) -> Bool {
        let index = index as usize;
        if index >= TLS_COUNT {
            return check(false, Bool::TRUE, Bool::FALSE);
        }
        if let Some(slot) = tls_slot(teb::this(), index, true) {
            slot.write(value);
        }
        Bool::TRUE
    }

    /// Takes a fiber-local slot with a callback for values left at the end of a thread or fiber.
    "kernel32.dll|kernelbase.dll" stdcall fn FlsAlloc(callback: Callback) -> u32 {
        let claimed = claim(&mut FLS_USED.lock(), FLS_COUNT, Option::is_none, Some(callback), || None);
        match claimed {
            Some(index) => {
                for slot in all_fls(index) {
                    slot.write(0);
                }
                index as u32
            }
            None => {
                teb::set_last_error(error::NO_MORE_ITEMS);
                OUT_OF_INDEXES
            }
        }
    }

    /// Gives a fiber-local slot back, running its callback on every value.
    "kernel32.dll|kernelbase.dll" stdcall fn FlsFree(index: u32) -> Bool {
        let index = index as usize;
        let callback = FLS_USED.lock().get_mut(index).and_then(Option::take);
        let Some(callback) = callback else {
            return check(false, Bool::TRUE, Bool::FALSE);
        };
        for slot in all_fls(index) {
            let value = slot.read();
            slot.write(0);
            if value != 0 && !callback.is_null() {
                callback.call(&[value as u64]);
            }
        }
        Bool::TRUE
    }

    /// Returns the calling fiber's value of a fiber-local slot.
    "kernel32.dll|kernelbase.dll" stdcall fn FlsGetValue = "FlsGetValue|FlsGetValue2" (index: u32) -> usize {
        if index == 0 || index as usize >= FLS_COUNT {
            return check(false, 0, 0);
        }
        teb::set_last_error(error::SUCCESS);
        fls_slot(teb::this(), index as usize, false).map_or(0, Ptr::read)
    }

    /// Sets the calling fiber's value of a fiber-local slot.
    "kernel32.dll|kernelbase.dll" stdcall fn FlsSetValue(index: u32, value: usize) -> Bool {
        if index == 0 || index as usize >= FLS_COUNT {
            return check(false, Bool::TRUE, Bool::FALSE);
        }
        if let Some(slot) = fls_slot(teb::this(), index as usize, true) {
            slot.write(value);
        }
        Bool::TRUE
    }

    /// Returns whether the calling thread runs a fiber.
    "kernel32.dll|kernelbase.dll" stdcall fn IsThreadAFiber() -> Bool {
        fiber::current().is_some().into()
    }
}

#[cfg(test)]
mod tests {
    use super::claim;

    #[test]
    fn slots_start_at_one_and_are_used_again() {
        let mut used = Vec::new();
        let take = |used: &mut Vec<bool>| claim(used, 4, |u| !u, true, || false);
        assert_eq!(take(&mut used), Some(1));
        assert_eq!(take(&mut used), Some(2));
        used[1] = false;
        assert_eq!(take(&mut used), Some(1));
        assert_eq!(take(&mut used), Some(3));
        assert_eq!(take(&mut used), None);
    }
}
