//! The loader lock: held while entry points of DLLs run, as on Windows.
//!
//! It is held across guest code that may never return, so it has an owner and no guard; a thread
//! that ends gives it up.

use parking_lot::{Condvar, Mutex};

struct State {
    owner: Option<std::thread::ThreadId>,
    depth: u32,
}

static STATE: Mutex<State> = Mutex::new(State {
    owner: None,
    depth: 0,
});
static FREED: Condvar = Condvar::new();

/// Takes the lock; the owner may take it again.
pub fn loader_lock_enter() {
    let me = std::thread::current().id();
    let mut state = STATE.lock();
    while state.owner.is_some_and(|owner| owner != me) {
        FREED.wait(&mut state);
    }
    state.owner = Some(me);
    state.depth += 1;
}

/// Gives the lock up once.
pub fn loader_lock_leave() {
    release(|depth| depth - 1);
}

/// Gives the lock up altogether if the calling thread holds it.
pub fn loader_lock_release_all() {
    release(|_| 0);
}

/// Takes the lock from whoever has it: its owner has been stopped for good.
pub fn loader_lock_seize() {
    *STATE.lock() = State {
        owner: Some(std::thread::current().id()),
        depth: 1,
    };
}

fn release(next: impl Fn(u32) -> u32) {
    let mut state = STATE.lock();
    if state.owner != Some(std::thread::current().id()) {
        return;
    }
    state.depth = next(state.depth);
    if state.depth == 0 {
        state.owner = None;
        FREED.notify_one();
    }
}
