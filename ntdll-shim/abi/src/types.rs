//! Scalars of the guest: pointer width, addresses, handles and client ids.

use core::fmt;

/// Pointer width of a guest's structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// 32-bit pointers (i386 images).
    X86,
    /// 64-bit pointers (x86-64 images).
    X64,
}

impl Width {
    /// Returns the size of a pointer, `HANDLE` or `SIZE_T` in bytes.
    #[must_use]
    pub const fn pointer(self) -> usize {
        match self {
            Width::X86 => 4,
            Width::X64 => 8,
        }
    }

    /// Picks the value that belongs to this width: an offset or a size given for both.
    #[must_use]
    pub const fn pick(self, x86: usize, x64: usize) -> usize {
        match self {
            Width::X86 => x86,
            Width::X64 => x64,
        }
    }
}

/// An address in the guest's memory. Never dereferenced directly: see `ntdll_shim::capture`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct UserPtr(pub u64);

impl UserPtr {
    /// The NULL pointer.
    pub const NULL: UserPtr = UserPtr(0);

    /// Returns whether this is NULL.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// Returns the address `bytes` further on, wrapping like the CPU does.
    #[must_use]
    pub const fn offset(self, bytes: usize) -> UserPtr {
        UserPtr(self.0.wrapping_add(bytes as u64))
    }
}

impl fmt::Debug for UserPtr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A guest handle value. Handles are multiples of four; negative values are pseudo-handles.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct Handle(pub u64);

impl Handle {
    /// The zero handle.
    pub const NULL: Handle = Handle(0);
    /// `NtCurrentProcess()`.
    pub const CURRENT_PROCESS: Handle = Handle(u64::MAX);
    /// `NtCurrentThread()`.
    pub const CURRENT_THREAD: Handle = Handle(u64::MAX - 1);
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// `CLIENT_ID`: process id and thread id as the guest sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ClientId {
    /// `UniqueProcess`.
    pub process: u32,
    /// `UniqueThread`.
    pub thread: u32,
}
