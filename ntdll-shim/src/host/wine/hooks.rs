//! Calls of Wine that must know ports: which, when our service takes part.

use std::sync::atomic::AtomicU32;

use super::arch::{Service, service};
use super::code::Test;
use super::handles::{self, PLAIN, PORT};
use super::page::page;
use super::{apcs, exceptions, objects, threads, waits};

/// A hooked call of PE ntdll.
pub struct Hook {
    /// Exported name.
    pub name: &'static str,
    /// How many arguments it has.
    pub arguments: usize,
    /// Runs if the stub asks for it.
    pub service: Service,
    /// Machine code in the call's place.
    pub stub: Stub,
}

/// Kinds of stubs.
#[derive(Clone, Copy, Debug)]
pub enum Stub {
    /// The service; with tests, only if one of them asks for it, else Wine's own call.
    Tested(fn() -> Vec<Test>),
    /// [`second_chance`](super::arch::code::second_chance), if the word at the address is not zero.
    SecondChance(fn() -> u64),
}

/// Every hook.
pub const HOOKS: &[Hook] = &[
    Hook {
        name: "NtClose",
        arguments: 1,
        service: service!(objects::close),
        stub: Stub::Tested(known_handles),
    },
    Hook {
        name: "NtDuplicateObject",
        arguments: 7,
        service: service!(objects::duplicate_object),
        stub: Stub::Tested(Vec::new),
    },
    Hook {
        name: "NtQueryObject",
        arguments: 5,
        service: service!(objects::query_object),
        stub: Stub::Tested(maybe_ports),
    },
    Hook {
        name: "NtWaitForSingleObject",
        arguments: 3,
        service: service!(waits::wait_for_single_object),
        stub: Stub::Tested(maybe_waitable),
    },
    Hook {
        name: "NtWaitForMultipleObjects",
        arguments: 5,
        service: service!(waits::wait_for_multiple_objects),
        stub: Stub::Tested(any_waitable),
    },
    Hook {
        name: "NtSignalAndWaitForSingleObject",
        arguments: 4,
        service: service!(waits::signal_and_wait_for_single_object),
        stub: Stub::Tested(any_waitable),
    },
    Hook {
        name: "NtQueueApcThread",
        arguments: 5,
        service: service!(apcs::queue_apc_thread),
        stub: Stub::Tested(threads_that_wait_alertably),
    },
    Hook {
        name: "NtSetInformationProcess",
        arguments: 4,
        service: service!(exceptions::set_information_process),
        stub: Stub::Tested(Vec::new),
    },
    Hook {
        name: "NtRaiseException",
        arguments: 3,
        service: service!(exceptions::raise_exception),
        stub: Stub::SecondChance(exceptions::has_port_address),
    },
    Hook {
        name: "NtTerminateThread",
        arguments: 2,
        service: service!(threads::terminate_thread),
        stub: Stub::Tested(Vec::new),
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

/// Threads waited alertably for ports.
fn threads_that_wait_alertably() -> Vec<Test> {
    vec![Test::ServiceIf(address(&apcs::THREAD_COUNT))]
}

fn address(word: &AtomicU32) -> u64 {
    word.as_ptr() as u64
}
