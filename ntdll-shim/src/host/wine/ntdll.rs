//! Wine's unix-side `ntdll.so`: finding it, telling its calling convention, calling it.
//!
//! The functions Wine exports from it follow the Microsoft x64 convention in 8.x and the System V one later, so the
//! convention is probed, not guessed from a version. `dlsym(RTLD_DEFAULT)` does not see them: Wine loads the library
//! with RTLD_LOCAL.

use std::ffi::{CStr, c_void};

use super::arch::{self, Abi, probe};
use crate::interrupt;

/// An exported function. All its parameters are integers or pointers.
#[derive(Clone, Copy, Debug)]
pub struct Entry(pub usize);

/// More arguments than any function called here takes.
pub const MOST_ARGUMENTS: usize = 11;

macro_rules! functions {
    ($($symbol:ident),* $(,)?) => {
        /// The loaded library and the functions of it that are used.
        #[derive(Clone, Copy, Debug)]
        #[allow(non_snake_case, missing_docs, reason = "fields are named like the exported functions")]
        pub struct Ntdll {
            pub abi: Abi,
            $(pub $symbol: Entry,)*
        }

        impl Ntdll {
            /// Finds the library in this process; `None` outside Wine, or if a function is missing.
            pub fn find() -> Result<Ntdll, Absent> {
                let library = Library::loaded().ok_or(Absent::NotWine)?;
                let abi = probe(library.symbol(c"RtlNtStatusToDosError")?).ok_or(Absent::UnknownConvention)?;
                Ok(Ntdll { abi, $($symbol: library.symbol(symbol_name(concat!(stringify!($symbol), "\0")))?,)* })
            }
        }
    };
}

functions! {
    NtAllocateVirtualMemory,
    NtClose,
    NtCreateDirectoryObject,
    NtCreateEvent,
    NtCreateSection,
    NtCreateThreadEx,
    NtDelayExecution,
    NtDuplicateObject,
    NtDuplicateToken,
    NtMapViewOfSection,
    NtOpenDirectoryObject,
    NtOpenEvent,
    NtOpenProcess,
    NtOpenProcessToken,
    NtOpenThread,
    NtOpenThreadToken,
    NtProtectVirtualMemory,
    NtQueryInformationProcess,
    NtQueryInformationThread,
    NtQueryInformationToken,
    NtQueryObject,
    NtQuerySection,
    NtQueueApcThread,
    NtResetEvent,
    NtSetEvent,
    NtSetIoCompletion,
    NtSetInformationProcess,
    NtSetInformationThread,
    NtSignalAndWaitForSingleObject,
    NtTerminateProcess,
    NtTerminateThread,
    NtUnmapViewOfSection,
    NtWaitForMultipleObjects,
    NtWaitForSingleObject,
    wine_server_fd_to_handle,
    wine_server_handle_to_fd,
}

/// Why there is nothing to call.
#[derive(Debug, PartialEq, Eq)]
pub enum Absent {
    /// `ntdll.so` is not loaded: no Wine process, or none that runs Windows code.
    NotWine,
    /// An expected function is not exported.
    Symbol(&'static CStr),
    /// The convention is neither of the two.
    UnknownConvention,
}

impl Ntdll {
    /// Calls `entry` and returns its status.
    ///
    /// # Safety
    /// The arguments must be what the function of that name takes, in number and meaning.
    pub unsafe fn call<const N: usize>(&self, entry: Entry, arguments: [u64; N]) -> u32 {
        const { assert!(N <= MOST_ARGUMENTS) };
        // SAFETY: the caller's promise, and the convention that was probed.
        unsafe { arch::call(self.abi, entry, arguments) }
    }

    /// Makes the guest's own call. It may wait, and a fault on the guest's memory may discard the caller's frames.
    ///
    /// # Safety
    /// As [`Ntdll::call`]; the caller holds no lock.
    pub unsafe fn pass<const N: usize>(&self, entry: Entry, arguments: [u64; N]) -> u32 {
        let _open = interrupt::open();
        // SAFETY: the caller's promise.
        unsafe { self.call(entry, arguments) }
    }
}

/// Returns whether `ntdll.so` is loaded in this process.
pub fn is_loaded() -> bool {
    Library::loaded().is_some()
}

struct Library(*mut c_void);

impl Library {
    /// Returns the library if Wine has loaded it; never loads it.
    fn loaded() -> Option<Library> {
        // SAFETY: the name is a C string; RTLD_NOLOAD runs no constructor.
        let handle =
            unsafe { libc::dlopen(c"ntdll.so".as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY) };
        (!handle.is_null()).then_some(Library(handle))
    }

    fn symbol(&self, name: &'static CStr) -> Result<Entry, Absent> {
        // SAFETY: the handle comes from dlopen and the name is a C string.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        if address.is_null() {
            Err(Absent::Symbol(name))
        } else {
            Ok(Entry(address as usize))
        }
    }
}

fn symbol_name(with_nul: &'static str) -> &'static CStr {
    CStr::from_bytes_with_nul(with_nul.as_bytes()).unwrap_or(c"")
}
