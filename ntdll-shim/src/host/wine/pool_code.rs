//! Code for ports in Wine's thread pool, the part of [`super::pool`] that only PE code can do: what it is made of. The machine
//! code is in [`super::arch`].

use super::code::Target;

/// Wine's functions, by address.
#[derive(Clone, Copy, Debug)]
pub struct Functions {
    /// `TpAllocWork(out, callback, context, environ)`.
    pub alloc_work: u64,
    /// `TpReleaseWork(work)`.
    pub release_work: u64,
    /// `TpWaitForWork(work, cancel)`.
    pub wait_for_work: u64,
    /// `TpPostWork(work)`.
    pub post_work: u64,
}

/// Order of the services, which may change their arguments.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Service {
    /// `(out, port, callback, context)`
    New,
    /// `(out, given, status)`
    Finish,
    /// `(work)`
    Release,
    /// `(given)`
    Enter,
    /// `(given)`
    Leave,
    /// `(place for a work)`
    Next,
    /// An export.
    RegisterList,
    /// An export.
    UnregisterList,
    /// An export.
    SendOnCompletion,
    /// An export.
    SendPending,
}

/// The code: position-independent, but for `callback`'s address in `alloc`.
#[derive(Debug)]
pub struct Pool {
    /// Where thunks lead.
    pub target: Target,
    /// Wine's functions.
    pub functions: Functions,
    first: u32,
}

impl Pool {
    /// Services the code calls.
    pub const SERVICES: usize = Service::SendPending as usize + 1;

    /// Makes code for services numbered from `first`.
    pub fn new(target: Target, first: u32, functions: Functions) -> Pool {
        Pool {
            target,
            first,
            functions,
        }
    }

    /// Exports that are services alone: names, numbers, and how many arguments they have.
    pub fn services(&self) -> [(&'static str, u32, usize); 4] {
        [
            ("TpAlpcRegisterCompletionList", Service::RegisterList, 1),
            ("TpAlpcUnregisterCompletionList", Service::UnregisterList, 1),
            (
                "TpCallbackSendAlpcMessageOnCompletion",
                Service::SendOnCompletion,
                4,
            ),
            ("TpCallbackSendPendingAlpcMessage", Service::SendPending, 1),
        ]
        .map(|(name, service, words)| (name, self.number(service), words))
    }

    /// Returns the number of a service in the table.
    pub fn number(&self, service: Service) -> u32 {
        self.first + service as u32
    }
}
