//! Unloading of modules that nobody needs any more.

use std::cmp::Reverse;

use super::link::{NotifyReason, call_entry};
use super::{DATA_MARKS, MODULES, Module, ldr, lock, tls};
use crate::image;

/// Gives one reference to a module up, and unloads what nobody needs then.
///
/// Runs guest code: hold no lock.
pub fn unload(handle: u64) -> bool {
    lock::loader_lock_enter();
    let is_known = {
        let mut modules = MODULES.lock();
        let base = handle & !DATA_MARKS;
        let found = modules.iter_mut().find(|m| m.view.base == base);
        if let Some(references) = found.as_ref().and_then(|m| m.references) {
            let left = references.saturating_sub(1);
            found.map(|m| m.references = Some(left)).is_some()
        } else {
            found.is_some()
        }
    };
    sweep();
    lock::loader_lock_leave();
    is_known
}

/// Removes modules of a load that failed, and what only they needed.
///
/// Runs guest code: hold no lock.
pub(super) fn discard(bases: &[u64]) {
    let leaving = |m: &&Module| bases.contains(&m.view.base);
    let leaving = MODULES.lock().iter().filter(leaving).cloned().collect();
    remove(leaving);
    sweep();
}

/// Unloads all modules that no one needs but others like them.
fn sweep() {
    loop {
        let modules = MODULES.lock().clone();
        let needed = needed(&modules);
        let unneeded = |m: &Module| !needed.contains(&m.view.base);
        let leaving: Vec<_> = modules.into_iter().filter(unneeded).collect();
        if leaving.is_empty() {
            return;
        }
        remove(leaving);
    }
}

/// Returns the bases of the modules that someone loaded, and of those they need.
fn needed(modules: &[Module]) -> Vec<u64> {
    let uses = |base| {
        let of = |m: &Module| m.dependencies.iter().filter(|d| **d == base).count();
        modules.iter().map(of).sum::<usize>()
    };
    let mut needed: Vec<u64> = modules
        .iter()
        .filter(|m| m.references.is_none_or(|n| n as usize > uses(m.view.base)))
        .map(|m| m.view.base)
        .collect();
    let mut next = 0;
    while let Some(&user) = needed.get(next) {
        next += 1;
        let found = modules.iter().find(|m| m.view.base == user);
        for &dependency in found.map_or(&[][..], |m| &m.dependencies) {
            if !needed.contains(&dependency) {
                needed.push(dependency);
            }
        }
    }
    needed
}

/// Removes modules: tells those that were started, the last one first, and gives up what they need.
fn remove(mut leaving: Vec<Module>) {
    let bases: Vec<u64> = leaving.iter().map(|m| m.view.base).collect();
    for module in MODULES.lock().iter_mut() {
        if bases.contains(&module.view.base) {
            // Whatever entry points unload: these are on their way already.
            module.references = None;
            module.started = None;
        }
    }
    leaving.sort_unstable_by_key(|m| Reverse(m.started));
    for module in leaving.iter().filter(|m| m.started.is_some()) {
        if let Some(headers) = &module.headers {
            tls::run_callbacks(&module.view, headers, NotifyReason::ProcessDetach as u64);
        }
        call_entry(module, NotifyReason::ProcessDetach, 0);
    }
    for module in &leaving {
        forget(module.view.base);
    }
    for base in leaving.iter().flat_map(|m| &m.dependencies) {
        let mut modules = MODULES.lock();
        let found = modules.iter_mut().find(|m| m.view.base == *base);
        if let Some(references) = found.and_then(|m| m.references.as_mut()) {
            *references = references.saturating_sub(1);
        }
    }
}

/// Removes a module without telling it.
fn forget(base: u64) {
    let removed = {
        let mut modules = MODULES.lock();
        let at = modules
            .iter()
            .position(|m| m.view.base == base && m.headers.is_some());
        at.map(|at| modules.remove(at))
    };
    if let Some(module) = removed {
        if module.ldr_entry != 0 {
            ldr::remove(module.ldr_entry);
        }
        tls::remove_module(base);
        image::unmap(&module.view);
    }
}
