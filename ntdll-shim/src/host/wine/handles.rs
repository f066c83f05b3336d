//! Port handles: Wine handles made of lifetime descriptors, and what this process knows of each.
//!
//! A lifetime descriptor is the write end of a pipe; its inode is the identity of the port behind a handle. Wine's own
//! close, duplicate and inherit work on it. The port object has a copy, so that a call under way outlives the handle. What is remembered for a handle is checked at every use by asking Wine for an
//! access right that port handles lack: its cache answers without a system call. Closing and reuse by another process
//! (DUPLICATE_CLOSE_SOURCE) count in [`Page::remote_duplications`], after which the inode is compared once.
//!
//! [`Page::remote_duplications`]: super::page::Page::remote_duplications

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use ntlpc_abi::{Handle, NtStatus};
use parking_lot::RwLock;

use super::callers::{self, Caller};
use super::code::HandleMap;
use super::page::page;
use super::service::ntdll;
use crate::engine::{Port, adopt_by_lifetime};
use crate::host::PORT_ALL_ACCESS;

/// Bit of a byte of the map: the handle names a port.
pub const PORT: u8 = 1;
/// Bit of a byte of the map: the handle was looked at and names no port.
pub const PLAIN: u8 = 2;

/// What is known of each handle below `4 * MAP.len()`, for the stubs; greater handles always lead to the services.
static MAP: [AtomicU8; 0x1_0000] = [const { AtomicU8::new(0) }; 0x1_0000];

/// Returns the map as the stubs see it.
pub fn map() -> HandleMap {
    HandleMap {
        address: MAP.as_ptr() as u64,
        length: MAP.len() as u32,
    }
}

/// Indexed by handle / 4. Lock order: nothing is locked inside.
static KNOWN: RwLock<Vec<Option<Arc<Known>>>> = RwLock::new(Vec::new());

/// More handles than a Wine process can have.
const MOST: usize = 1 << 24;

/// A port handle of this process.
#[derive(Debug)]
pub struct Known {
    /// The port.
    pub port: Arc<Port>,
    /// Granted access.
    access: u32,
    /// Inode of the lifetime pipe.
    inode: u64,
    /// Value of the page's count when the inode was last seen behind the handle.
    seen: AtomicU32,
}

/// Makes a handle of a port that came with `lifetime`.
pub fn insert(
    port: Arc<Port>,
    lifetime: OwnedFd,
    is_inheritable: bool,
) -> Result<Handle, NtStatus> {
    let inode = inode(&lifetime).ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
    let attributes = if is_inheritable { OBJ_INHERIT } else { 0 };
    let mut handle = 0_u64;
    let ntdll = ntdll();
    // SAFETY: descriptor, access, attributes, pointer to a local that takes a handle.
    let status = unsafe {
        ntdll.call(
            ntdll.wine_server_fd_to_handle,
            [
                lifetime.as_raw_fd() as u64,
                u64::from(PORT_ALL_ACCESS),
                attributes,
                &raw mut handle as u64,
            ],
        )
    };
    NtStatus(status).ok()?;
    *port.lifetime.lock() = Some(lifetime);
    remember(handle, port, PORT_ALL_ACCESS, inode);
    Ok(Handle(handle))
}

/// Returns the port a handle names, if it grants `access`.
pub fn port(handle: Handle, access: u32) -> Result<Arc<Port>, NtStatus> {
    let known = find_for(handle.0, Some(Caller::current()))?;
    if known.access & access == access {
        Ok(known.port.clone())
    } else {
        Err(NtStatus::ACCESS_DENIED)
    }
}

/// Returns what is known of a handle, which is learned first if need be.
pub fn find(handle: u64) -> Result<Arc<Known>, NtStatus> {
    find_for(handle, None)
}

/// As [`find`], for a call on the port by a thread.
fn find_for(handle: u64, caller: Option<Caller>) -> Result<Arc<Known>, NtStatus> {
    forget_what_others_closed();
    if let Some(known) = lookup(handle, caller) {
        if known.is_behind(handle) {
            return Ok(known);
        }
        drop(forget(handle).map(Closed));
    }
    learn(handle)?;
    lookup(handle, caller).ok_or(NtStatus::INVALID_HANDLE)
}

/// As [`find`], for calls on any handle: remembers that a handle names no port.
pub fn find_port(handle: u64) -> Option<Arc<Known>> {
    if (handle as i32) < 0
        || byte(handle).is_some_and(|byte| byte.load(Ordering::Relaxed) & PLAIN != 0)
    {
        return None;
    }
    match find(handle) {
        Ok(known) => Some(known),
        Err(NtStatus::OBJECT_TYPE_MISMATCH) => {
            if let Some(byte) = byte(handle) {
                byte.store(PLAIN, Ordering::Relaxed);
            }
            None
        }
        Err(_) => None,
    }
}

/// Forgets a handle. The process lets go of its port with what is returned, if this was the last one.
pub fn forget(handle: u64) -> Option<Arc<Known>> {
    if let Some(byte) = byte(handle) {
        byte.store(0, Ordering::Relaxed);
    }
    KNOWN.write().get_mut(index(handle)).and_then(Option::take)
}

/// Closes a handle; Wine's answer. The port, if it was one, is closed when this returns.
pub fn close(handle: u64) -> u32 {
    let known = forget(handle);
    let ntdll = ntdll();
    // SAFETY: a handle; a bad one is refused.
    let status = unsafe { ntdll.call(ntdll.NtClose, [handle]) };
    match known {
        Some(known) if status != NtStatus::SUCCESS.0 && known.is_behind(handle) => {
            remember(handle, known.port.clone(), known.access, known.inode);
        }
        known => drop(known.map(Closed)),
    }
    status
}

/// A handle that is closed: tells the port if it was the last one of this process.
#[derive(Debug)]
pub struct Closed(pub Arc<Known>);

impl Drop for Closed {
    fn drop(&mut self) {
        if port_of_inode(self.0.inode).is_none() {
            if self.0.port.ends_with_handles() {
                self.0.port.end();
            } else {
                callers::end(&self.0.port);
            }
        }
    }
}

impl Known {
    /// Returns whether the handle still names this port.
    fn is_behind(&self, handle: u64) -> bool {
        let count = page().remote_duplications.load(Ordering::Acquire);
        if self.seen.load(Ordering::Relaxed) == count {
            match descriptor(handle, FILE_APPEND_DATA) {
                Err(status) => return status == NtStatus::ACCESS_DENIED,
                Ok((fd, _)) => return inode(&fd) == Some(self.inode),
            }
        }
        let is_same = descriptor(handle, 0).is_ok_and(|(fd, _)| inode(&fd) == Some(self.inode));
        if is_same {
            self.seen.store(count, Ordering::Relaxed);
        }
        is_same
    }
}

/// Lets go of ports whose handles other processes closed (DUPLICATE_CLOSE_SOURCE), if any duplicated handles since.
fn forget_what_others_closed() {
    static SEEN: AtomicU32 = AtomicU32::new(0);
    let count = page().remote_duplications.load(Ordering::Acquire);
    if SEEN.load(Ordering::Relaxed) == count {
        return;
    }
    SEEN.store(count, Ordering::Relaxed);
    let handles: Vec<(usize, Arc<Known>)> = {
        let known = KNOWN.read();
        known
            .iter()
            .enumerate()
            .filter_map(|(at, known)| Some((at, known.clone()?)))
            .collect()
    };
    for (at, known) in handles {
        let handle = 4 * at as u64;
        if !known.is_behind(handle) {
            drop(forget(handle).map(Closed));
        }
    }
}

/// Finds out which port a handle names that came by duplication or inheritance.
fn learn(handle: u64) -> Result<(), NtStatus> {
    let (fd, _) = descriptor(handle, 0)?;
    let inode = inode(&fd).ok_or(NtStatus::OBJECT_TYPE_MISMATCH)?;
    let access = granted_access(handle)?;
    let port = match port_of_inode(inode) {
        Some(port) => port,
        None => {
            let port = adopt_by_lifetime(fd.as_fd())?;
            *port.lifetime.lock() = Some(fd);
            port
        }
    };
    remember(handle, port, access, inode);
    Ok(())
}

fn port_of_inode(inode: u64) -> Option<Arc<Port>> {
    let known = KNOWN.read();
    known
        .iter()
        .flatten()
        .find(|known| known.inode == inode)
        .map(|known| known.port.clone())
}

fn remember(handle: u64, port: Arc<Port>, access: u32, inode: u64) {
    let page = page();
    page.ports.store(1, Ordering::Relaxed);
    if port.is_waitable {
        page.waitable_ports.store(1, Ordering::Relaxed);
    }
    let seen = AtomicU32::new(page.remote_duplications.load(Ordering::Acquire));
    let known = Arc::new(Known {
        port,
        access,
        inode,
        seen,
    });
    let at = index(handle);
    let replaced = {
        let mut table = KNOWN.write();
        if at < MOST && table.len() <= at {
            table.resize(at + 1, None);
        }
        table.get_mut(at).and_then(|entry| entry.replace(known))
    };
    drop(replaced);
    if let Some(byte) = byte(handle) {
        byte.store(PORT, Ordering::Relaxed);
    }
}

/// Returns what is remembered of a handle; notes the call, if there is one.
fn lookup(handle: u64, caller: Option<Caller>) -> Option<Arc<Known>> {
    let table = KNOWN.read();
    let known = table.get(index(handle))?.clone()?;
    if let Some(caller) = caller {
        caller.enter(known.port.id);
    }
    Some(known)
}

fn index(handle: u64) -> usize {
    (handle as u32 >> 2) as usize
}

fn byte(handle: u64) -> Option<&'static AtomicU8> {
    MAP.get(index(handle))
}

/// Returns a copy of the descriptor behind a handle, if it grants `access`, and the options the file was opened with.
pub fn descriptor(handle: u64, access: u32) -> Result<(OwnedFd, u32), NtStatus> {
    let (mut fd, mut options) = (-1, 0_u32);
    let ntdll = ntdll();
    // SAFETY: handle, access, pointers to locals that take a descriptor and the options it was opened with.
    let status = unsafe {
        ntdll.call(
            ntdll.wine_server_handle_to_fd,
            [
                handle,
                u64::from(access),
                &raw mut fd as u64,
                &raw mut options as u64,
            ],
        )
    };
    NtStatus(status).ok()?;
    // SAFETY: success gives a descriptor to its caller.
    Ok((unsafe { OwnedFd::from_raw_fd(fd) }, options))
}

/// `GrantedAccess` of a handle.
pub fn granted_access(handle: u64) -> Result<u32, NtStatus> {
    // `OBJECT_BASIC_INFORMATION`: attributes, granted access, …
    let mut basic = [0_u32; 14];
    let ntdll = ntdll();
    // SAFETY: handle, class 0, a local buffer and its size, no length wanted.
    let status = unsafe {
        ntdll.call(
            ntdll.NtQueryObject,
            [
                handle,
                0,
                basic.as_mut_ptr() as u64,
                size_of_val(&basic) as u64,
                0,
            ],
        )
    };
    NtStatus(status).ok()?;
    Ok(basic[1])
}

/// Inode of a pipe; `None` for any other file.
fn inode(fd: &OwnedFd) -> Option<u64> {
    let file = File::from(fd.try_clone().ok()?);
    let metadata = file.metadata().ok()?;
    metadata.file_type().is_fifo().then(|| metadata.ino())
}

const OBJ_INHERIT: u64 = 2;
/// A right no port handle is made with; `PORT_ALL_ACCESS` does not hold it.
const FILE_APPEND_DATA: u32 = 4;
const _: () = assert!(PORT_ALL_ACCESS & FILE_APPEND_DATA == 0);
