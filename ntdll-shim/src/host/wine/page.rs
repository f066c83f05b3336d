//! One page shared by the Wine processes of a prefix: whether a process that never made a port call need look at all.
//!
//! A handle may reach a process by inheritance or duplication. Its waits, closes and queries cost nothing until one of
//! these words says that some process of the prefix made a port.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;

use ntlpc_proto::Prefix;

/// The words. They only grow; another process of the same user may write anything, which costs time and nothing else.
#[derive(Debug)]
#[repr(C)]
pub struct Page {
    /// Not zero once a Wine process of the prefix made or connected a port.
    pub ports: AtomicU32,
    /// Not zero once one of them made a waitable port.
    pub waitable_ports: AtomicU32,
    /// Number of handle duplications into or out of another process.
    pub remote_duplications: AtomicU32,
}

const LENGTH: usize = 0x1000;
const _: () = assert!(size_of::<Page>() <= LENGTH);

/// Returns the page. A process that cannot map it has one of its own, and misses handles that others pass to it.
pub fn page() -> &'static Page {
    static PRIVATE: Page = Page {
        ports: AtomicU32::new(0),
        waitable_ports: AtomicU32::new(0),
        remote_duplications: AtomicU32::new(0),
    };
    static PAGE: OnceLock<&Page> = OnceLock::new();
    PAGE.get_or_init(|| {
        map().unwrap_or_else(|error| {
            log::debug!("no page for the Wine processes of the prefix: {error}");
            &PRIVATE
        })
    })
}

fn map() -> io::Result<&'static Page> {
    let prefix = Prefix::from_environment().map_err(io::Error::other)?;
    prefix.prepare().map_err(io::Error::other)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(prefix.socket_path().with_extension("wine"))?;
    if file.metadata()?.len() < LENGTH as u64 {
        file.set_len(LENGTH as u64)?;
    }
    map_file(&file)
}

fn map_file(file: &File) -> io::Result<&'static Page> {
    // SAFETY: a fresh shared mapping at an address of the kernel's choice replaces nothing.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            LENGTH,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is page aligned, long enough, never unmapped, and holds atomics, for which any bytes are valid.
    Ok(unsafe { &*address.cast::<Page>() })
}
