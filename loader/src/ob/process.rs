//! Processes as objects.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use ntlpc_abi::NtStatus;

use super::object::{Header, Object, ObjectType, Packed, PackedKind};
use super::sync::Signal;
use super::wait::Waitable;

/// `PROCESS_ALL_ACCESS` and the generic mapping of processes.
pub static PROCESS_TYPE: ObjectType = ObjectType {
    name: "Process",
    generic: [0x2_0410, 0x2_0BEB, 0x12_1000, 0x1F_FFFF],
};

/// Access rights of processes. Source: Microsoft Learn "Process Security and Access Rights".
pub mod rights {
    /// `PROCESS_TERMINATE`.
    pub const TERMINATE: u32 = 0x1;
    /// `PROCESS_VM_OPERATION`.
    pub const VM_OPERATION: u32 = 0x8;
    /// `PROCESS_VM_READ`.
    pub const VM_READ: u32 = 0x10;
    /// `PROCESS_VM_WRITE`.
    pub const VM_WRITE: u32 = 0x20;
    /// `PROCESS_DUP_HANDLE`.
    pub const DUP_HANDLE: u32 = 0x40;
    /// `PROCESS_SET_INFORMATION`.
    pub const SET_INFORMATION: u32 = 0x200;
    /// `PROCESS_QUERY_INFORMATION`.
    pub const QUERY_INFORMATION: u32 = 0x400;
    /// `PROCESS_QUERY_LIMITED_INFORMATION`.
    pub const QUERY_LIMITED_INFORMATION: u32 = 0x1000;
}

/// A process of the prefix.
#[derive(Debug)]
pub struct Process {
    header: Header,
    /// NT process id, which is Linux's.
    pub pid: u32,
    /// Creation time.
    pub create_time: i64,
    /// Set when it has ended.
    pub signal: Signal,
    /// Exit code, `STILL_ACTIVE` before.
    pub exit_code: AtomicU32,
}

static CURRENT: OnceLock<Arc<Process>> = OnceLock::new();

/// Returns the object of this process.
#[must_use]
pub fn current() -> Arc<Process> {
    let make = || {
        Arc::new(Process {
            header: Header::default(),
            pid: std::process::id(),
            create_time: super::time::system_time(),
            signal: Signal::new(false),
            exit_code: AtomicU32::new(super::thread::STILL_ACTIVE),
        })
    };
    CURRENT.get_or_init(make).clone()
}

impl Process {
    /// Returns whether this is the calling process.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.pid == std::process::id()
    }
}

impl Object for Process {
    fn object_type(&self) -> &'static ObjectType {
        &PROCESS_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn waitable(&self) -> Option<&dyn Waitable> {
        Some(&self.signal)
    }
    fn pack(&self) -> Result<Packed, NtStatus> {
        let mut bytes = self.pid.to_le_bytes().to_vec();
        bytes.extend(self.create_time.to_le_bytes());
        bytes.extend(self.exit_code.load(Ordering::Acquire).to_le_bytes());
        Ok(Packed {
            kind: PackedKind::Process,
            bytes,
            fds: vec![self.signal.share()?],
        })
    }
}
