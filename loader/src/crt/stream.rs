//! Buffered streams: what is behind a guest's `FILE`.
//!
//! A stream holds raw bytes of the file and translates text as characters pass, so that positions are exact. The guest's
//! `FILE` only names the stream: `_cnt` stays 0, and inlined `getc`/`putc` of old headers come to `_filbuf`/`_flsbuf`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::errno::{self, code};
use super::fd::{self, Mode};
use super::lock::GuestLock;
use super::os::{FileKind, Whence};
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

impl Stream {
    /// Shows descriptor and conditions in the guest's `FILE`.
    fn publish(&self) {
        let eof = if self.is_eof { flag::EOF } else { 0 };
        let error = if self.is_error { flag::ERROR } else { 0 };
        self.file.write(File {
            next: Ptr::NULL,
            count: 0,
            base: Ptr::NULL,
            flag: flag::IN_USE | eof | error,
            fd: self.fd,
            charbuf: 0,
            bufsiz: 0,
            tmpfname: Ptr::NULL,
        });
    }

    /// Notes a failure.
    fn failed(&mut self, number: i32) -> i32 {
        errno::set_errno(number);
        self.is_error = true;
        self.publish();
        number
    }

    /// Clears end and error.
    pub fn clear(&mut self) {
        self.is_eof = false;
        self.is_error = false;
        self.publish();
    }

    /// Sets buffering and capacity.
    pub fn set_buffering(&mut self, buffering: Buffering, capacity: usize) {
        // A failed flush shows at the next write.
        let _ = self.flush();
        self.buffering = buffering;
        self.capacity = capacity.max(2);
    }

    /// Returns the translation of the descriptor.
    pub fn mode(&self) -> Mode {
        fd::get(self.fd).map_or(Mode::Binary, |fd| fd.mode)
    }

    /// Writes the buffer out.
    pub fn flush(&mut self) -> Result<(), i32> {
        if self.output.is_empty() {
            return Ok(());
        }
        let output = std::mem::take(&mut self.output);
        fd::write_raw(self.fd, &output).map_err(|number| self.failed(number))
    }

    /// Writes bytes, translated if the stream is text.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), i32> {
        if self.mode() == Mode::Binary {
            self.write_raw(bytes)
        } else {
            self.write_raw(&fd::to_text(bytes))
        }
    }

    /// Writes bytes as they are.
    pub fn write_raw(&mut self, bytes: &[u8]) -> Result<(), i32> {
        self.drop_input()?;
        if fd::get(self.fd).is_err() {
            return Err(self.failed(code::EBADF));
        }
        if self.output.len() + bytes.len() > self.capacity {
            self.flush()?;
        }
        if bytes.len() >= self.capacity {
            return fd::write_raw(self.fd, bytes).map_err(|number| self.failed(number));
        }
        self.output.extend_from_slice(bytes);
        if self.buffering == Buffering::None {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Forgets bytes read ahead: the file pointer goes back to where the guest is.
    fn drop_input(&mut self) -> Result<(), i32> {
        let ahead = self.input.len() - self.read_at;
        self.pushed.clear();
        self.input.clear();
        self.read_at = 0;
        if ahead > 0 {
            let back = -i64::try_from(ahead).unwrap_or(0);
            // A pipe has no place to go back to.
            match fd::seek(self.fd, back, Whence::Current) {
                Ok(_) | Err(code::ESPIPE) => {}
                Err(number) => return Err(self.failed(number)),
            }
        }
        Ok(())
    }

    /// Fills the input buffer; false at the end or after a failure.
    fn fill(&mut self) -> bool {
        if self.flush().is_err() {
            return false;
        }
        let mut buffer = vec![
            0;
            if self.buffering == Buffering::None {
                BUFFER
            } else {
                self.capacity
            }
        ];
        match fd::read_raw(self.fd, &mut buffer) {
            Ok(0) => {
                self.is_eof = true;
                self.publish();
                false
            }
            Ok(done) => {
                buffer.truncate(done);
                self.input = buffer;
                self.read_at = 0;
                true
            }
            Err(number) => {
                self.failed(number);
                false
            }
        }
    }

    fn peek_raw(&mut self) -> Option<u8> {
        if self.read_at == self.input.len() && !self.fill() {
            return None;
        }
        self.input.get(self.read_at).copied()
    }

    /// Takes a byte; text is translated.
    pub fn get(&mut self) -> Option<u8> {
        const CTRL_Z: u8 = 0x1A;
        if let Some(byte) = self.pushed.pop() {
            return Some(byte);
        }
        let is_text = self.mode() != Mode::Binary;
        let byte = self.peek_raw()?;
        if is_text && byte == CTRL_Z {
            self.is_eof = true;
            self.publish();
            return None;
        }
        self.read_at += 1;
        if is_text && byte == b'\r' && self.peek_raw() == Some(b'\n') {
            self.read_at += 1;
            return Some(b'\n');
        }
        Some(byte)
    }

    /// Takes up to `count` bytes.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count.min(1 << 20));
        let is_binary = self.mode() == Mode::Binary;
        while bytes.len() < count {
            let ready = self.input.len() - self.read_at;
            if is_binary && self.pushed.is_empty() && ready > 0 {
                let taken = ready.min(count - bytes.len());
                bytes.extend_from_slice(&self.input[self.read_at..self.read_at + taken]);
                self.read_at += taken;
                continue;
            }
            let Some(byte) = self.get() else { break };
            bytes.push(byte);
        }
        bytes
    }

    /// Puts a byte back; the end is forgotten.
    pub fn unget(&mut self, byte: u8) {
        self.pushed.push(byte);
        if self.is_eof {
            self.is_eof = false;
            self.publish();
        }
    }

    /// Returns the position the guest is at.
    pub fn tell(&mut self) -> Result<i64, i32> {
        let position = fd::seek(self.fd, 0, Whence::Current)?;
        let ahead = i64::try_from(self.input.len() - self.read_at + self.pushed.len()).unwrap_or(0);
        let behind = i64::try_from(self.output.len()).unwrap_or(0);
        Ok(position - ahead + behind)
    }

    /// Moves to a position.
    pub fn seek(&mut self, offset: i64, whence: Whence) -> Result<(), i32> {
        self.flush()?;
        let target = if whence == Whence::Current {
            self.tell()?.saturating_add(offset)
        } else {
            offset
        };
        let whence = if whence == Whence::Current {
            Whence::Start
        } else {
            whence
        };
        self.input.clear();
        self.read_at = 0;
        self.pushed.clear();
        fd::seek(self.fd, target, whence)?;
        if self.is_eof {
            self.is_eof = false;
            self.publish();
        }
        Ok(())
    }
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
