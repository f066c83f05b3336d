//! Buffered streams: what is behind a guest's `FILE`.
//!
//! A stream holds raw bytes of the file and translates text as characters pass, so that positions are exact. The guest's
//! `FILE` only names the stream: `_cnt` stays 0, and inlined `getc`/`putc` of old headers come to `_filbuf`/`_flsbuf`.

mod buffer;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::errno::{self, code};
use super::fd;
use super::lock::GuestLock;
use super::os::FileKind;
use crate::dlls::kernel32::critical_section::{self, CriticalSection};
use crate::export::{Guest, Ptr};
use crate::{guest_struct, heap, win_api};

guest_struct! {
    /// `FILE` of `msvcrt.dll` (mingw-w64 `stdio.h`, `struct _iobuf`); 48 bytes, 32 on i386.
    pub struct File {
        next: Ptr<u8>,
        count: i32,
        base: Ptr<u8>,
        flag: i32,
        fd: i32,
        charbuf: i32,
        bufsiz: i32,
        tmpfname: Ptr<u8>,
    }
}

/// Streams of the process that always exist: `_iob`.
pub const IOB_ENTRIES: usize = 20;
/// Bytes of a buffer unless `setvbuf` says otherwise.
const BUFFER: usize = 4096;
/// `_flag` bits the guest may look at with inlined `feof` and `ferror`.
mod flag {
    pub const IN_USE: i32 = 0x0001;
    pub const EOF: i32 = 0x0010;
    pub const ERROR: i32 = 0x0020;
}

/// When written bytes go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffering {
    /// After each call.
    None,
    /// When the buffer is full; Windows treats line buffering the same.
    Full,
}

/// The state of a stream.
#[derive(Debug)]
pub struct Stream {
    /// Descriptor.
    pub fd: i32,
    /// Address of the guest's `FILE`.
    file: Ptr<File>,
    buffering: Buffering,
    capacity: usize,
    /// Raw bytes read and not yet taken, from `read_at` on.
    input: Vec<u8>,
    read_at: usize,
    /// Raw bytes not yet written.
    output: Vec<u8>,
    /// Characters put back, last one first out.
    pushed: Vec<u8>,
    /// Second half of a surrogate pair a wide read has split.
    pub wide_pending: Option<u16>,
    /// Whether the end was met.
    pub is_eof: bool,
    /// Whether an operation failed.
    pub is_error: bool,
    /// Process to wait for when a pipe of `_popen` is closed.
    pub child: Option<ntlpc_abi::Handle>,
    /// Whether it is one of `tmpfile`.
    pub is_temporary: bool,
}

/// A stream and its locks. Lock order: the guest lock, then the state; the descriptor table last.
#[derive(Debug)]
pub struct Shared {
    state: Mutex<Stream>,
    /// What `_lock_file` takes.
    pub guest_lock: GuestLock,
}

impl Shared {
    /// Locks the state. No guest memory but the `FILE` itself is touched under it.
    pub fn lock(&self) -> MutexGuard<'_, Stream> {
        self.state.lock()
    }
}

static STREAMS: OnceLock<RwLock<BTreeMap<u64, Arc<Shared>>>> = OnceLock::new();

fn streams() -> &'static RwLock<BTreeMap<u64, Arc<Shared>>> {
    STREAMS.get_or_init(|| {
        let mut streams = BTreeMap::new();
        for index in 0..3_i32 {
            let file = standard_file(index);
            // A process without standard handles has streams that fail, as on Windows (descriptor -2).
            let number = if fd::get(index).is_ok() { index } else { -2 };
            streams.insert(file.address(), shared(file, number));
        }
        RwLock::new(streams)
    })
}

/// Returns the `FILE` of standard stream `index`.
pub fn standard_file(index: i32) -> Ptr<File> {
    _iob.ptr()
        .cast::<File>()
        .add(usize::try_from(index).unwrap_or(0).min(IOB_ENTRIES - 1))
}

fn shared(file: Ptr<File>, number: i32) -> Arc<Shared> {
    let is_device = fd::get(number).is_ok_and(|fd| fd.kind == FileKind::Character);
    let buffering = if number == 2 || is_device {
        Buffering::None
    } else {
        Buffering::Full
    };
    let stream = Stream {
        fd: number,
        file,
        buffering,
        capacity: BUFFER,
        input: Vec::new(),
        read_at: 0,
        output: Vec::new(),
        pushed: Vec::new(),
        wide_pending: None,
        is_eof: false,
        is_error: false,
        child: None,
        is_temporary: false,
    };
    stream.publish();
    Arc::new(Shared {
        state: Mutex::new(stream),
        guest_lock: GuestLock::new(),
    })
}

/// Returns the stream of a guest's `FILE`; an invalid one is an invalid parameter.
pub fn get(file: Ptr<File>) -> Option<Arc<Shared>> {
    let found = streams().read().get(&file.address()).cloned();
    if found.is_none() {
        errno::invalid_parameter();
    }
    found
}

/// Makes a stream on a descriptor.
///
/// A critical section follows the `FILE`: the `_lock_file` of mingw-w64's static library (`mingw_lock.c`, `_FILEX`)
/// enters it itself for every stream outside of `_iob`.
pub fn create(number: i32) -> Option<Ptr<File>> {
    let at = heap::process().allocate(File::size() + CriticalSection::size(), true)?;
    critical_section::InitializeCriticalSection(Ptr::new(at + File::size() as u64));
    let file = Ptr::new(at);
    streams().write().insert(at, shared(file, number));
    Some(file)
}

/// Puts another descriptor under an existing `FILE`, as `freopen` does.
pub fn replace(file: Ptr<File>, number: i32) {
    streams()
        .write()
        .insert(file.address(), shared(file, number));
}

/// Flushes, closes and forgets a stream.
pub fn close(file: Ptr<File>) -> Result<Option<ntlpc_abi::Handle>, i32> {
    let shared = get(file).ok_or(code::EINVAL)?;
    let mut stream = shared.lock();
    let flushed = stream.flush();
    let child = stream.child.take();
    let closed = fd::close(stream.fd);
    stream.fd = -1;
    drop(stream);
    streams().write().remove(&file.address());
    let iob = standard_file(0).address();
    let is_standard = (iob..iob + (IOB_ENTRIES * File::size()) as u64).contains(&file.address());
    if !is_standard {
        super::malloc::free(file.cast());
    }
    flushed.and(closed).map(|()| child)
}

/// Returns every open stream.
pub fn all() -> Vec<(Ptr<File>, Arc<Shared>)> {
    streams()
        .read()
        .iter()
        .map(|(at, shared)| (Ptr::new(*at), shared.clone()))
        .collect()
}

/// Writes out the buffers of all streams; returns how many there are.
pub fn flush_all() -> i32 {
    let all = all();
    for (_, shared) in &all {
        // A stream another thread is reading stays locked for as long as that takes. Failures are not
        // counted: at exit nobody is told, and `_flushall` counts streams.
        if let Some(mut stream) = shared.state.try_lock() {
            let _ = stream.flush();
        }
    }
    i32::try_from(all.len()).unwrap_or(i32::MAX)
}

/// The first streams as the guest sees them.
#[derive(Clone, Copy, Debug)]
pub struct Iob;

impl Guest for Iob {
    fn size() -> usize {
        IOB_ENTRIES * File::size()
    }

    fn align() -> usize {
        File::align()
    }

    fn load<M: crate::export::Memory>(_: u64) -> Result<Self, M::Fault> {
        Ok(Self)
    }

    fn store<M: crate::export::Memory>(self, _: u64) -> Result<(), M::Fault> {
        Ok(())
    }
}

win_api! {
    /// Standard input, output and error, and seventeen more.
    "msvcrt.dll" data _iob: Iob = Iob;

    /// Returns `_iob`.
    "msvcrt.dll" cdecl fn __iob_func = "__iob_func|__p__iob" () -> Ptr<File> {
        streams();
        standard_file(0)
    }

    /// Returns a standard stream.
    "ucrtbase.dll" cdecl fn __acrt_iob_func(index: u32) -> Ptr<File> {
        streams();
        standard_file(i32::try_from(index).unwrap_or(0))
    }

    /// Locks a stream.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _lock_file(file: Ptr<File>) {
        if let Some(shared) = get(file) {
            shared.guest_lock.lock();
        }
    }

    /// Unlocks a stream.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _unlock_file(file: Ptr<File>) {
        if let Some(shared) = get(file) {
            shared.guest_lock.unlock();
        }
    }
}
