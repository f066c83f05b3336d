//! Changes of interfaces: `NotifyIpInterfaceChange` of `netioapi.h`.
//!
//! Linux tells of them on a netlink socket (`man 7 rtnetlink`), which one host thread reads; each registration has a guest thread
//! that runs the callback, one call at a time. Source: Microsoft Learn, "NotifyIpInterfaceChange function (netioapi.h)",
//! "CancelMibChangeNotify2 function (netioapi.h)", "MIB_NOTIFICATION_TYPE enumeration (netioapi.h)".

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ntlpc_abi::{Handle, UserPtr};
use parking_lot::Mutex;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netlink};

use super::adapters::luid;
use crate::dlls::win32::error;
use crate::export::{Boolean, Callback, Ptr};
use crate::ob::interface::interfaces;
use crate::ob::object::Object;
use crate::ob::sync::Event;
use crate::ob::wait::{WaitKind, wait};
use crate::win_api;

/// Families of Winsock.
const INET: u16 = 2;
const INET6: u16 = 23;

/// `MIB_NOTIFICATION_TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Parameter = 0,
    Add = 1,
    Delete = 2,
    Initial = 3,
}

/// One change of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    kind: Kind,
    family: u16,
    index: u32,
}

/// Bytes of a `MIB_IPINTERFACE_ROW`, and of what is told of one: family, LUID and number.
const ROW_BYTES: usize = 168;

#[derive(Debug)]
struct Registration {
    id: u64,
    family: u16,
    callback: Callback,
    context: u64,
    changes: Mutex<VecDeque<Change>>,
    has_changes: Arc<Event>,
    is_cancelled: Arc<Event>,
    has_ended: Arc<Event>,
}

static REGISTRATIONS: Mutex<Vec<Arc<Registration>>> = Mutex::new(Vec::new());

impl Registration {
    fn push(&self, change: Change) {
        if self.family == 0 || change.kind == Kind::Initial || self.family == change.family {
            self.changes.lock().push_back(change);
            self.has_changes.set();
        }
    }

    /// Runs in a thread of the guest until the registration is cancelled.
    fn run(&self, row: Ptr<u8>) {
        let objects: [Arc<dyn Object>; 2] = [self.is_cancelled.clone(), self.has_changes.clone()];
        while wait(&objects, WaitKind::Any, false, None).0 == 1 {
            loop {
                let change = self.changes.lock().pop_front();
                let Some(change) = change.filter(|_| !self.is_cancelled.is_set()) else {
                    break;
                };
                let at = if change.kind == Kind::Initial {
                    0
                } else {
                    row.write_bytes(&row_of(change));
                    row.address()
                };
                self.callback.call(&[self.context, at, change.kind as u64]);
            }
        }
        self.has_ended.set();
    }
}

fn row_of(change: Change) -> Vec<u8> {
    let found = interfaces().into_iter().find(|i| i.index == change.index);
    let mut row = vec![0; ROW_BYTES];
    row[..2].copy_from_slice(&change.family.to_le_bytes());
    row[8..16].copy_from_slice(&found.as_ref().map_or(0, luid).to_le_bytes());
    row[16..20].copy_from_slice(&change.index.to_le_bytes());
    row
}

/// Reads the messages of one datagram: a header of length, type, flags, number and sender, then the family in the first byte
/// and the number of the interface in the second four.
fn changes(mut bytes: &[u8]) -> Vec<Change> {
    const HEADER: usize = 16;
    let mut found = Vec::new();
    while let Some(head) = bytes.first_chunk::<24>() {
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if length < 24 {
            break;
        }
        let family = i32::from(head[HEADER]);
        let index = u32::from_ne_bytes([head[20], head[21], head[22], head[23]]);
        let (kind, families): (Kind, &[u16]) = match u16::from_ne_bytes([head[4], head[5]]) {
            libc::RTM_NEWLINK => (Kind::Parameter, &[INET, INET6]),
            libc::RTM_DELLINK => (Kind::Delete, &[INET, INET6]),
            libc::RTM_NEWADDR | libc::RTM_DELADDR if family == libc::AF_INET => {
                (Kind::Parameter, &[INET])
            }
            libc::RTM_NEWADDR | libc::RTM_DELADDR => (Kind::Parameter, &[INET6]),
            _ => (Kind::Parameter, &[]),
        };
        found.extend(families.iter().map(|&family| Change {
            kind,
            family,
            index,
        }));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn open() -> io::Result<OwnedFd> {
    // RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
    const GROUPS: u32 = 1 | 0x10 | 0x100;
    let fd = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&fd, &netlink::SocketAddrNetlink::new(0, GROUPS))?;
    Ok(fd)
}

fn watch(fd: &OwnedFd) {
    let mut known: Vec<u32> = interfaces().iter().map(|i| i.index).collect();
    let mut buffer = vec![0_u8; 0x1_0000];
    loop {
        let length = match rustix::net::recv(fd, &mut buffer[..], RecvFlags::empty()) {
            Ok((length, _)) => length,
            // What was lost is not known; the next change is told.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::NOBUFS) => continue,
            Err(error) => {
                log::warn!("changes of interfaces are not told any more: {error}");
                return;
            }
        };
        let mut list = changes(&buffer[..length]);
        for change in &mut list {
            if change.kind == Kind::Parameter && !known.contains(&change.index) {
                change.kind = Kind::Add;
            }
        }
        for change in list {
            match change.kind {
                Kind::Delete => known.retain(|index| *index != change.index),
                _ if !known.contains(&change.index) => known.push(change.index),
                _ => {}
            }
            let registrations = REGISTRATIONS.lock().clone();
            registrations.iter().for_each(|r| r.push(change));
        }
    }
}

/// Starts the host thread with the first registration.
fn start_watching() -> io::Result<()> {
    static IS_WATCHING: Mutex<bool> = Mutex::new(false);
    let mut is_watching = IS_WATCHING.lock();
    if !*is_watching {
        let fd = open()?;
        std::thread::Builder::new()
            .name("interfaces".into())
            .stack_size(0x4_0000)
            .spawn(move || watch(&fd))?;
        *is_watching = true;
    }
    Ok(())
}

fn register(family: u16, callback: Callback, context: u64, tells_now: bool) -> Result<Handle, u32> {
    static IDS: AtomicU64 = AtomicU64::new(1);
    start_watching().map_err(|error| {
        log::warn!("changes of interfaces cannot be told: {error}");
        error::NOT_SUPPORTED
    })?;
    let row = crate::heap::process().allocate(ROW_BYTES, true);
    let row = Ptr::<u8>::new(row.ok_or(error::NOT_ENOUGH_MEMORY)?);
    let event = |is_manual| Arc::new(Event::new(is_manual, false));
    let registration = Arc::new(Registration {
        // Like a handle, a multiple of four.
        id: IDS.fetch_add(1, Ordering::Relaxed) << 2,
        family,
        callback,
        context,
        changes: Mutex::default(),
        has_changes: event(false),
        is_cancelled: event(true),
        has_ended: event(true),
    });
    let initial = Change {
        kind: Kind::Initial,
        family,
        index: 0,
    };
    if tells_now {
        registration.push(initial);
    }
    let own = registration.clone();
    crate::pool::start(move || {
        own.run(row);
        let _ = crate::heap::process().free(row.address());
    })
    .map_err(|_| error::NOT_ENOUGH_MEMORY)?;
    let handle = Handle(registration.id);
    REGISTRATIONS.lock().push(registration);
    Ok(handle)
}

win_api! {
    /// Calls a function when interfaces change.
    "iphlpapi.dll" stdcall fn NotifyIpInterfaceChange(family: u32, callback: Callback, context: UserPtr, tells_now: Boolean, to: Ptr<Handle>) -> u32 {
        let family = family as u16;
        if !matches!(family, 0 | INET | INET6) || callback.is_null() || to.is_null() {
            return error::INVALID_PARAMETER;
        }
        match register(family, callback, context.0, tells_now.get()) {
            Ok(handle) => {
                to.write(handle);
                0
            }
            Err(code) => {
                to.write(Handle::NULL);
                code
            }
        }
    }

    /// Ends the calls, and waits for one that runs.
    "iphlpapi.dll" stdcall fn CancelMibChangeNotify2(handle: Handle) -> u32 {
        let registration = {
            let mut registrations = REGISTRATIONS.lock();
            let at = registrations.iter().position(|registration| registration.id == handle.0);
            at.map(|at| registrations.remove(at))
        };
        let Some(registration) = registration else {
            return error::INVALID_PARAMETER;
        };
        registration.is_cancelled.set();
        let ended: [Arc<dyn Object>; 1] = [registration.has_ended.clone()];
        wait(&ended, WaitKind::Any, false, None);
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, family: u8, index: u32) -> Vec<u8> {
        let mut bytes = 32_u32.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(16, 0);
        bytes.extend([family, 0, 0, 0]);
        bytes.extend(index.to_ne_bytes());
        bytes.resize(32, 0);
        bytes
    }

    #[test]
    fn messages_of_netlink() {
        let mut bytes = message(libc::RTM_NEWADDR, libc::AF_INET as u8, 7);
        bytes.extend(message(libc::RTM_DELLINK, 0, 9));
        let told: Vec<_> = changes(&bytes)
            .iter()
            .map(|c| (c.kind, c.family, c.index))
            .collect();
        let wanted = [
            (Kind::Parameter, INET, 7),
            (Kind::Delete, INET, 9),
            (Kind::Delete, INET6, 9),
        ];
        assert_eq!(told, wanted);
        assert_eq!(changes(&[0; 40]), []);
    }
}
