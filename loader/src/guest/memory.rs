//! Typed access to guest memory.
//!
//! The guest shares our address space and can write anywhere itself, so these functions are safe
//! to call with any address: an unmapped one becomes a guest exception at the guest's call
//! ([`Raw`]) or an `NTSTATUS` ([`Guarded`]). `Raw` access may therefore never return: hold no lock
//! and own nothing that must be dropped across it.
#![allow(unsafe_code, reason = "reads and writes guest memory")]

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;

use ntlpc_abi::{Handle, NtStatus, UserPtr, Width};

use crate::width;

/// A way to touch guest memory.
pub trait Memory {
    /// What a bad address gives.
    type Fault;
    /// Reads `N` bytes.
    fn read<const N: usize>(at: u64) -> Result<[u8; N], Self::Fault>;
    /// Writes `N` bytes.
    fn write<const N: usize>(at: u64, bytes: [u8; N]) -> Result<(), Self::Fault>;
}

/// Plain access; a bad address raises `STATUS_ACCESS_VIOLATION` in the guest at its call.
#[derive(Debug)]
pub enum Raw {}

impl Memory for Raw {
    type Fault = Infallible;

    #[inline]
    fn read<const N: usize>(at: u64) -> Result<[u8; N], Infallible> {
        // SAFETY: any address may be given. A mapped one is guest memory by the rule of this
        // module; an unmapped one traps and the fault handler abandons this frame, which owns nothing.
        Ok(unsafe { (at as *const [u8; N]).read_unaligned() })
    }

    #[inline]
    fn write<const N: usize>(at: u64, bytes: [u8; N]) -> Result<(), Infallible> {
        // SAFETY: as for `read`; the guest could store to the same address itself.
        unsafe { (at as *mut [u8; N]).write_unaligned(bytes) };
        Ok(())
    }
}

/// Checked access; a bad address gives `STATUS_ACCESS_VIOLATION`.
#[derive(Debug)]
pub enum Guarded {}

impl Memory for Guarded {
    type Fault = NtStatus;

    #[inline]
    fn read<const N: usize>(at: u64) -> Result<[u8; N], NtStatus> {
        let mut bytes = [0; N];
        read_guarded(at, &mut bytes)?;
        Ok(bytes)
    }

    #[inline]
    fn write<const N: usize>(at: u64, bytes: [u8; N]) -> Result<(), NtStatus> {
        write_guarded(at, &bytes)
    }
}

/// Copies guest bytes into `bytes`, or returns `STATUS_ACCESS_VIOLATION`.
pub fn read_guarded(at: u64, bytes: &mut [u8]) -> Result<(), NtStatus> {
    let local = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let remote = libc::iovec {
        iov_base: at as *mut libc::c_void,
        iov_len: bytes.len(),
    };
    // SAFETY: `local` describes `bytes`, borrowed for the call; the kernel checks `remote`.
    let done = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
    if usize::try_from(done) == Ok(bytes.len()) {
        Ok(())
    } else {
        Err(NtStatus::ACCESS_VIOLATION)
    }
}

/// Copies `bytes` to the guest, or returns `STATUS_ACCESS_VIOLATION`.
pub fn write_guarded(at: u64, bytes: &[u8]) -> Result<(), NtStatus> {
    let local = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let remote = libc::iovec {
        iov_base: at as *mut libc::c_void,
        iov_len: bytes.len(),
    };
    // SAFETY: `local` is only read, and describes `bytes`; the kernel checks `remote`.
    let done = unsafe { libc::process_vm_writev(libc::getpid(), &local, 1, &remote, 1, 0) };
    if usize::try_from(done) == Ok(bytes.len()) {
        Ok(())
    } else {
        Err(NtStatus::ACCESS_VIOLATION)
    }
}

/// A value as the guest lays it out, for the width of this process.
pub trait Guest: Copy {
    /// Size in bytes.
    fn size() -> usize;
    /// Alignment in bytes.
    fn align() -> usize;
    /// Reads it at `at`, whatever the alignment.
    fn load<M: Memory>(at: u64) -> Result<Self, M::Fault>;
    /// Writes it at `at`, whatever the alignment.
    fn store<M: Memory>(self, at: u64) -> Result<(), M::Fault>;
}

macro_rules! plain {
    ($($ty:ident)*) => {$(
        impl Guest for $ty {
            #[inline]
            fn size() -> usize { size_of::<$ty>() }
            #[inline]
            fn align() -> usize { size_of::<$ty>() }
            #[inline]
            fn load<M: Memory>(at: u64) -> Result<Self, M::Fault> { Ok($ty::from_le_bytes(M::read(at)?)) }
            #[inline]
            fn store<M: Memory>(self, at: u64) -> Result<(), M::Fault> { M::write(at, self.to_le_bytes()) }
        }
    )*};
}
plain!(u8 u16 u32 u64 i8 i16 i32 i64 f32 f64);

/// Types of pointer size: 4 bytes in i386 structures, 8 in x64 ones. `$widen` is applied to 32-bit values.
macro_rules! pointer_sized {
    ($($ty:ty, $from:expr, $to:expr, $widen:expr;)*) => {$(
        impl Guest for $ty {
            #[inline]
            fn size() -> usize { width().pointer() }
            #[inline]
            fn align() -> usize { width().pointer() }
            #[inline]
            fn load<M: Memory>(at: u64) -> Result<Self, M::Fault> {
                Ok($from(match width() {
                    Width::X64 => u64::from_le_bytes(M::read(at)?),
                    Width::X86 => $widen(u32::from_le_bytes(M::read(at)?)),
                }))
            }
            #[inline]
            fn store<M: Memory>(self, at: u64) -> Result<(), M::Fault> {
                let value: u64 = $to(self);
                match width() {
                    Width::X64 => M::write(at, value.to_le_bytes()),
                    Width::X86 => M::write(at, (value as u32).to_le_bytes()),
                }
            }
        }
    )*};
}
pointer_sized! {
    usize, |v| v as usize, |v| v as u64, u64::from;
    isize, |v| v as isize, |v| v as u64, |v: u32| i64::from(v.cast_signed()).cast_unsigned();
    Handle, Handle, |h: Handle| h.0, |v: u32| i64::from(v.cast_signed()).cast_unsigned();
    UserPtr, UserPtr, |p: UserPtr| p.0, u64::from;
}

impl Guest for NtStatus {
    fn size() -> usize {
        4
    }
    fn align() -> usize {
        4
    }
    fn load<M: Memory>(at: u64) -> Result<Self, M::Fault> {
        Ok(NtStatus(u32::load::<M>(at)?))
    }
    fn store<M: Memory>(self, at: u64) -> Result<(), M::Fault> {
        self.0.store::<M>(at)
    }
}

impl<T> Guest for Ptr<T> {
    #[inline]
    fn size() -> usize {
        width().pointer()
    }
    #[inline]
    fn align() -> usize {
        width().pointer()
    }
    #[inline]
    fn load<M: Memory>(at: u64) -> Result<Self, M::Fault> {
        Ok(Ptr::new(UserPtr::load::<M>(at)?.0))
    }
    #[inline]
    fn store<M: Memory>(self, at: u64) -> Result<(), M::Fault> {
        UserPtr(self.address).store::<M>(at)
    }
}

impl<T: Guest, const N: usize> Guest for [T; N] {
    fn size() -> usize {
        N * T::size()
    }
    fn align() -> usize {
        T::align()
    }
    fn load<M: Memory>(at: u64) -> Result<Self, M::Fault> {
        // The first element is read once more than needed: there is no try_from_fn on stable.
        let mut all = [T::load::<M>(at)?; N];
        for (i, one) in all.iter_mut().enumerate() {
            *one = T::load::<M>(at.wrapping_add((i * T::size()) as u64))?;
        }
        Ok(all)
    }
    fn store<M: Memory>(self, at: u64) -> Result<(), M::Fault> {
        for (i, one) in self.into_iter().enumerate() {
            one.store::<M>(at.wrapping_add((i * T::size()) as u64))?;
        }
        Ok(())
    }
}

/// A guest pointer to `T`; 64-bit inside whatever the guest's width.
#[repr(transparent)]
pub struct Ptr<T> {
    address: u64,
    target: PhantomData<fn() -> T>,
}

impl<T> Clone for Ptr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ptr<T> {}

impl<T> fmt::Debug for Ptr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.address)
    }
}

impl<T> PartialEq for Ptr<T> {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl<T> Eq for Ptr<T> {}

impl<T> Ptr<T> {
    /// The NULL pointer.
    pub const NULL: Ptr<T> = Ptr::new(0);

    /// Makes a pointer of an address.
    #[must_use]
    pub const fn new(address: u64) -> Self {
        Ptr {
            address,
            target: PhantomData,
        }
    }

    /// Returns the address.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.address
    }

    /// Returns whether this is NULL.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.address == 0
    }

    /// Returns this pointer unless it is NULL.
    #[must_use]
    pub fn non_null(self) -> Option<Self> {
        (self.address != 0).then_some(self)
    }

    /// Returns the same address as a pointer to `U`.
    #[must_use]
    pub const fn cast<U>(self) -> Ptr<U> {
        Ptr::new(self.address)
    }

    /// Returns the address as the engine names it.
    #[must_use]
    pub const fn user(self) -> UserPtr {
        UserPtr(self.address)
    }

    /// Returns the pointer `bytes` further on.
    #[must_use]
    pub const fn byte_add(self, bytes: u64) -> Self {
        Ptr::new(self.address.wrapping_add(bytes))
    }
}

impl<T: Guest> Ptr<T> {
    /// Returns the pointer `count` elements further on.
    #[must_use]
    pub fn add(self, count: usize) -> Self {
        self.byte_add((count * T::size()) as u64)
    }

    /// Reads the value; a bad address raises an exception in the guest.
    #[inline]
    pub fn read(self) -> T {
        let Ok(value) = T::load::<Raw>(self.address);
        value
    }

    /// Writes the value; a bad address raises an exception in the guest.
    #[inline]
    pub fn write(self, value: T) {
        let Ok(()) = value.store::<Raw>(self.address);
    }

    /// Writes the value unless the pointer is NULL; a bad address raises an exception in the guest.
    #[inline]
    pub fn write_if_some(self, value: T) {
        if self.address != 0 {
            self.write(value);
        }
    }

    /// Reads the value, or returns `STATUS_ACCESS_VIOLATION`.
    pub fn try_read(self) -> Result<T, NtStatus> {
        T::load::<Guarded>(self.address)
    }

    /// Writes the value, or returns `STATUS_ACCESS_VIOLATION`.
    pub fn try_write(self, value: T) -> Result<(), NtStatus> {
        value.store::<Guarded>(self.address)
    }

    /// Reads `count` values; a bad address raises an exception in the guest.
    pub fn read_many(self, count: usize) -> Vec<T> {
        (0..count).map(|i| self.add(i).read()).collect()
    }

    /// Writes all values; a bad address raises an exception in the guest.
    pub fn write_many(self, values: &[T]) {
        for (i, &value) in values.iter().enumerate() {
            self.add(i).write(value);
        }
    }
}

impl Ptr<u8> {
    /// Returns the bytes before the terminating NUL; a bad address raises an exception in the guest.
    pub fn read_c_string(self) -> Vec<u8> {
        // SAFETY: as for `Raw::read`: a missing NUL runs into unmapped memory and traps.
        let len = unsafe { libc::strlen(self.address as *const libc::c_char) };
        self.read_bytes(len)
    }

    /// Copies `len` bytes out of the guest; a bad address raises an exception in the guest.
    pub fn read_bytes(self, len: usize) -> Vec<u8> {
        if len == 0 {
            return Vec::new();
        }
        // SAFETY: as for `Raw::read`; probing before the allocation keeps huge hostile lengths
        // from being allocated first only in part, an allocation lost to a trap is only leaked.
        unsafe { std::slice::from_raw_parts(self.address as *const u8, len) }.to_vec()
    }

    /// Reads at most `len` bytes of `file` at `offset` into the guest and returns how many came.
    pub fn fill_from(
        self,
        file: &std::fs::File,
        offset: u64,
        len: usize,
    ) -> std::io::Result<usize> {
        use std::os::fd::AsRawFd;
        let offset = libc::off_t::try_from(offset).map_err(|_| std::io::ErrorKind::InvalidInput)?;
        // SAFETY: the kernel checks the range; a bad one gives EFAULT.
        let n = unsafe {
            libc::pread(
                file.as_raw_fd(),
                self.address as *mut libc::c_void,
                len,
                offset,
            )
        };
        usize::try_from(n).map_err(|_| std::io::Error::last_os_error())
    }

    /// Copies `bytes` into the guest; a bad address raises an exception in the guest.
    pub fn write_bytes(self, bytes: &[u8]) {
        // SAFETY: as for `Raw::write`; source and target may overlap only if the guest named our memory.
        unsafe { std::ptr::copy(bytes.as_ptr(), self.address as *mut u8, bytes.len()) };
    }
}

impl Ptr<u16> {
    /// Returns the UTF-16 units before the terminating NUL; a bad address raises an exception in the guest.
    pub fn read_wide_string(self) -> Vec<u16> {
        let mut units = Vec::new();
        loop {
            match self.add(units.len()).read() {
                0 => return units,
                unit => units.push(unit),
            }
        }
    }
}
