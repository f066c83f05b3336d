//! Calls of Wine that must know ports: which, when our service takes part.

use std::sync::atomic::AtomicU32;

use super::code::Test;
use super::handles::{self, PLAIN, PORT};
use super::page::page;
use super::service::Service;
use super::{objects, threads, waits};

/// A hooked call of PE ntdll.
pub struct Hook {
    /// Exported name.
    pub name: &'static str,
    /// Runs if one of the tests asks for it, always without tests.
    pub service: Service,
    /// Decides in machine code whether Wine's own call runs without us.
    pub tests: fn() -> Vec<Test>,
}

/// Every hook.
pub const HOOKS: &[Hook] = &[
    Hook {
        name: "NtClose",
        service: objects::close,
        tests: known_handles,
    },
    Hook {
        name: "NtDuplicateObject",
        service: objects::duplicate_object,
        tests: Vec::new,
    },
    Hook {
        name: "NtQueryObject",
        service: objects::query_object,
        tests: maybe_ports,
    },
    Hook {
        name: "NtWaitForSingleObject",
        service: waits::wait_for_single_object,
        tests: maybe_waitable,
    },
    Hook {
        name: "NtWaitForMultipleObjects",
        service: waits::wait_for_multiple_objects,
        tests: any_waitable,
    },
    Hook {
        name: "NtSignalAndWaitForSingleObject",
        service: waits::signal_and_wait_for_single_object,
        tests: any_waitable,
    },
    Hook {
        name: "NtTerminateThread",
        service: threads::terminate_thread,
        tests: Vec::new,
    },
];

/// The handle is one something is remembered of.
fn known_handles() -> Vec<Test> {
    vec![Test::HandleHas(handles::map(), PORT | PLAIN)]
}

/// There are ports in the prefix and the handle is not known to be something else.
fn maybe_ports() -> Vec<Test> {
    vec![
        Test::OriginalUnless(address(&page().ports)),
        Test::HandleLacks(handles::map(), PLAIN),
    ]
}

/// There are waitable ports in the prefix and the handle is not known to be something else.
fn maybe_waitable() -> Vec<Test> {
    vec![
        Test::OriginalUnless(address(&page().waitable_ports)),
        Test::HandleLacks(handles::map(), PLAIN),
    ]
}

/// There are waitable ports in the prefix.
fn any_waitable() -> Vec<Test> {
    vec![Test::ServiceIf(address(&page().waitable_ports))]
}

fn address(word: &AtomicU32) -> u64 {
    word.as_ptr() as u64
}
