//! Puts the calls into PE ntdll: thunks and a longer export directory in a block above the image, hooks in place.

use super::code::{self, JUMP, SYSCALL_THUNK, Target};
use super::exports::{Exports, Headers};
use super::hooks::{self, Stub};
use super::maps::{self, MappedImage};
use super::ntdll::{Abi, Absent, Ntdll};
use super::service;
use super::{names, pool, pool_code};
use log::debug;
use ntlpc_abi::CallId;
use std::fmt;
use std::path::PathBuf;

/// Extends the PE ntdll of this process, or leaves it alone; says so at debug level.
pub fn inject_once() {
    crate::host::diagnostics::init();
    match inject() {
        Ok(done) => debug!("{done}"),
        Err(why) => debug!("Wine is left alone: {why}"),
    }
}

fn inject() -> Result<Done, Refusal> {
    let choice = Choice::from_environment().ok_or(Refusal::UnknownChoice)?;
    if choice == Choice::Native {
        return Err(Refusal::Native);
    }
    let ntdll = Ntdll::find()?;
    let mapped = MappedImage::find("x86_64-windows/ntdll.dll").ok_or(Refusal::NoImage)?;
    let image = Image(&mapped);
    let base = mapped.base;
    let headers = Headers::parse(image.bytes(0, PAGE)?).ok_or(Refusal::Headers)?;
    let directory = image.bytes(headers.export_rva as usize, headers.export_size as usize)?;
    let exports = Exports::parse(directory, headers.export_rva).ok_or(Refusal::Exports)?;
    if exports.dll_name() != Some(b"ntdll.dll") {
        return Err(Refusal::Exports);
    }
    let dispatcher = exports
        .find("__wine_unix_call_dispatcher")
        .ok_or(Refusal::NoDispatcher)?;
    if choice == Choice::Auto
        && CallId::ALL
            .iter()
            .all(|id| exports.find(id.call().name).is_some())
    {
        return Err(Refusal::Complete);
    }

    let target = Target {
        table: service::TABLE.as_ptr() as u64,
        dispatcher_variable: base as u64 + u64::from(dispatcher),
    };
    let mut plan = Plan::new(&image, &exports, target);
    let longer = exports
        .extend(plan.exported.drain(..))
        .ok_or(Refusal::Exports)?;
    let added = longer.added();
    let code_length = plan.code.len().next_multiple_of(PAGE);
    let memory = Memory { ntdll: &ntdll };
    let block = memory.allocate_above(
        base + headers.image_size as usize,
        base,
        code_length + longer.size(),
    )?;
    let block_rva = u32::try_from(block - base).map_err(|_| Refusal::NoMemory(0))?;
    let directory_rva = block_rva + code_length as u32;

    plan.place_pool(block as u64);
    memory.fill(block, plan.code.len(), PAGE_EXECUTE_READ, |code| {
        code.copy_from_slice(&plan.code);
    })?;
    memory.fill(block + code_length, longer.size(), PAGE_READONLY, |bytes| {
        longer.write(bytes, directory_rva, block_rva);
    })?;
    let mut entry = [0; 8];
    entry[..4].copy_from_slice(&directory_rva.to_le_bytes());
    entry[4..].copy_from_slice(&(longer.size() as u32).to_le_bytes());
    let (call_names, degraded) = (plan.call_names, plan.degraded.len());

    names::furnish(&ntdll);
    service::start(ntdll, (block + plan.thread) as u64);
    let hooked = memory.patch(&plan.hooks(base, block));
    if memory.patch(&[(base + headers.directory_entry as usize, entry)]) == 0 {
        return Err(Refusal::NoMemory(0));
    }
    Ok(Done {
        version: version(),
        path: mapped.path,
        abi: ntdll.abi,
        added,
        replaced: call_names - added,
        hooked,
        degraded,
    })
}

/// The code of the block and what it stands for.
struct Plan {
    code: Vec<u8>,
    /// Names of port calls among the exported ones, which come first.
    call_names: usize,
    /// Exported name and offset in the block.
    exported: Vec<(String, usize)>,
    /// RVA of a thunk in the image and offset in the block of the stub that takes its place.
    hooked: Vec<(u32, usize)>,
    /// Offset in the block of the start address of threads of ours.
    thread: usize,
    /// What ports need of Wine's thread pool, if that has it.
    pool: Option<PoolPlace>,
    /// Hooks that only an export leads to, since the thunk does not look as expected.
    degraded: Vec<&'static str>,
}

/// Offsets in the block of the pool's code.
struct PoolPlace {
    code: pool_code::Pool,
    callback: usize,
    poster: usize,
    alloc: usize,
}

impl Plan {
    fn new(image: &Image<'_>, exports: &Exports<'_>, target: Target) -> Plan {
        let mut plan = Plan {
            code: Vec::new(),
            call_names: 0,
            exported: Vec::new(),
            hooked: Vec::new(),
            thread: 0,
            pool: None,
            degraded: Vec::new(),
        };
        for (index, id) in CallId::ALL.iter().enumerate() {
            let call = id.call();
            let at = plan.add(&match call.helper {
                None => code::thunk(target, index as u32),
                Some(_) => code::helper_thunk(target, index as u32),
            });
            plan.exported.extend(call.names().map(|name| (name, at)));
        }
        plan.call_names = plan.exported.len();
        for (hook, index) in hooks::HOOKS.iter().zip(CallId::ALL.len()..) {
            let Some(rva) = exports.find(hook.name) else {
                continue;
            };
            let original = image
                .bytes(rva as usize, SYSCALL_THUNK)
                .ok()
                .and_then(|bytes| bytes.try_into().ok());
            if let Some(original) = original.filter(code::is_syscall_thunk) {
                let index = index as u32;
                let stub = match hook.stub {
                    Stub::Tested(tests) => code::hook(target, index, &tests(), &original),
                    Stub::SecondChance(word) => {
                        let Some(go_on) = exports.find("NtContinue") else {
                            continue;
                        };
                        let go_on = image.0.base as u64 + u64::from(go_on);
                        code::second_chance(target, index, word(), go_on, &original)
                    }
                };
                let at = plan.add(&stub);
                plan.hooked.push((rva, at));
            } else if matches!(hook.stub, Stub::Tested(_)) {
                let at = plan.add(&code::thunk(target, index as u32));
                plan.exported.push((hook.name.to_owned(), at));
                plan.exported.push((hook.name.replacen("Nt", "Zw", 1), at));
                plan.degraded.push(hook.name);
            }
        }
        plan.add_pool(image.0.base as u64, exports, target);
        plan.thread = plan.add(&code::thunk(target, service::THREAD as u32));
        plan
    }

    /// Adds what ports need of Wine's thread pool. Only the block's address makes the code whole: see [`Plan::place_pool`].
    fn add_pool(&mut self, base: u64, exports: &Exports<'_>, target: Target) {
        let Some(code) = pool::code(exports, base, target) else {
            return;
        };
        let callback = self.add(&code.callback());
        let poster = self.add(&code.poster());
        let alloc = self.add(&code.alloc(0));
        for (name, at) in [
            ("TpAllocAlpcCompletion", alloc),
            ("TpAllocAlpcCompletionEx", alloc),
            ("TpReleaseAlpcCompletion", self.add(&code.release())),
            ("TpWaitForAlpcCompletion", self.add(&code.wait())),
        ] {
            self.exported.push((name.to_owned(), at));
        }
        for (name, index) in code.services() {
            let at = self.add(&code::thunk(target, index));
            self.exported.push((name.to_owned(), at));
        }
        self.pool = Some(PoolPlace {
            code,
            callback,
            poster,
            alloc,
        });
    }

    /// Makes the pool's code whole for a block at `block`.
    fn place_pool(&mut self, block: u64) {
        if let Some(place) = &self.pool {
            let whole = place.code.alloc(block + place.callback as u64);
            self.code[place.alloc..place.alloc + whole.len()].copy_from_slice(&whole);
            pool::set_poster(block + place.poster as u64);
        }
    }

    /// Appends code at an aligned offset, which is returned.
    fn add(&mut self, code: &[u8]) -> usize {
        let at = self.code.len().next_multiple_of(16);
        self.code.resize(at, INT3);
        self.code.extend(code);
        at
    }

    /// Jumps that lead from the hooked thunks to the block.
    fn hooks(&self, base: usize, block: usize) -> Vec<(usize, [u8; JUMP])> {
        let jump = |&(rva, at): &(u32, usize)| {
            let from = base + rva as usize;
            Some((from, code::jump(from as u64, (block + at) as u64)?))
        };
        self.hooked.iter().filter_map(jump).collect()
    }
}

/// The mapped PE image.
struct Image<'a>(&'a MappedImage);

impl Image<'_> {
    /// Returns bytes of the image, if all of them are mapped and readable.
    fn bytes(&self, rva: usize, length: usize) -> Result<&[u8], Refusal> {
        let start = self.0.base + rva;
        if !self.0.is_readable(start..start + length) {
            return Err(Refusal::Unreadable);
        }
        // SAFETY: the range was just listed as readable. The process has one thread, and the parts read (headers,
        // exports, code) are written by nobody but this module, which holds no such slice then.
        Ok(unsafe { std::slice::from_raw_parts(start as *const u8, length) })
    }
}

/// Wine's virtual memory calls.
struct Memory<'a> {
    ntdll: &'a Ntdll,
}

impl Memory<'_> {
    /// Allocates writable memory above `from`, in reach of a 32-bit RVA and of a 32-bit jump from `base`.
    fn allocate_above(&self, from: usize, base: usize, length: usize) -> Result<usize, Refusal> {
        let mut last = 0;
        for address in (from.next_multiple_of(GRANULARITY)..base + REACH).step_by(1 << 20) {
            let (mut start, mut size) = (address, length);
            // SAFETY: process, base address, zero bits, size, type, protection; both pointers are to locals.
            last = unsafe {
                self.ntdll.call(
                    self.ntdll.NtAllocateVirtualMemory,
                    [
                        CURRENT_PROCESS,
                        &raw mut start as u64,
                        0,
                        &raw mut size as u64,
                        MEM_COMMIT_RESERVE,
                        u64::from(PAGE_READWRITE),
                    ],
                )
            };
            if last == 0 {
                return Ok(start);
            }
        }
        Err(Refusal::NoMemory(last))
    }

    /// Sets the protection of the pages of a range and returns the one its first page had.
    fn protect(&self, address: usize, length: usize, protection: u32) -> Result<u32, Refusal> {
        let (mut start, mut size, mut previous) = (address, length, 0_u32);
        // SAFETY: process, base address, size, protection, old protection; the pointers are to locals.
        let status = unsafe {
            self.ntdll.call(
                self.ntdll.NtProtectVirtualMemory,
                [
                    CURRENT_PROCESS,
                    &raw mut start as u64,
                    &raw mut size as u64,
                    u64::from(protection),
                    &raw mut previous as u64,
                ],
            )
        };
        if status == 0 {
            Ok(previous)
        } else {
            Err(Refusal::NoMemory(status))
        }
    }

    /// Lets `write` fill fresh memory and gives it its final protection.
    fn fill(
        &self,
        address: usize,
        length: usize,
        protection: u32,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), Refusal> {
        // SAFETY: the caller passes part of a block that `allocate_above` made writable and nobody else knows yet.
        write(unsafe { std::slice::from_raw_parts_mut(address as *mut u8, length) });
        self.protect(address, length, protection).map(drop)
    }

    /// Writes into the image, keeping its protection; returns how many of the patches are there. Those on adjacent pages
    /// share the changes of protection.
    fn patch<const N: usize>(&self, patches: &[(usize, [u8; N])]) -> usize {
        let mut sorted: Vec<_> = patches.iter().collect();
        sorted.sort_unstable_by_key(|(address, _)| *address);
        let page = |address: usize| address / PAGE;
        let runs = sorted.chunk_by(|a, b| page(b.0) - page(a.0 + N - 1) <= 1);
        runs.filter(|run| self.patch_run(run).is_ok())
            .map(<[_]>::len)
            .sum()
    }

    fn patch_run<const N: usize>(&self, run: &[&(usize, [u8; N])]) -> Result<(), Refusal> {
        let (Some((start, _)), Some((last, _))) = (run.first(), run.last()) else {
            return Ok(());
        };
        let length = last + N - start;
        let previous = self.protect(*start, length, PAGE_READWRITE)?;
        for (address, bytes) in run {
            // SAFETY: 1. The pages were just made writable. 2. There is one thread and it runs none of this image's
            // code. 3. No slice of these bytes is alive.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), *address as *mut u8, N) };
        }
        self.protect(*start, length, previous).map(drop)
    }
}

/// Value of `LPC_HOST_CALLS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Auto,
    Ours,
    Native,
}

impl Choice {
    fn from_environment() -> Option<Choice> {
        match std::env::var("LPC_HOST_CALLS").as_deref() {
            Err(_) | Ok("" | "auto") => Some(Choice::Auto),
            Ok("ours") => Some(Choice::Ours),
            Ok("native") => Some(Choice::Native),
            Ok(_) => None,
        }
    }
}

/// What was found and done.
struct Done {
    version: Option<String>,
    path: PathBuf,
    abi: Abi,
    added: usize,
    replaced: usize,
    hooked: usize,
    degraded: usize,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version.as_deref().unwrap_or("Wine of unknown version");
        write!(
            f,
            "{version}, {:?} convention, {}: {} exports added, {} replaced, {} calls hooked, {} by export only",
            self.abi,
            self.path.display(),
            self.added,
            self.replaced,
            self.hooked,
            self.degraded
        )
    }
}

/// Why nothing was done.
#[derive(Debug)]
enum Refusal {
    UnknownChoice,
    Native,
    Complete,
    Absent(Absent),
    NoImage,
    Unreadable,
    Headers,
    Exports,
    NoDispatcher,
    NoMemory(u32),
}

impl From<Absent> for Refusal {
    fn from(absent: Absent) -> Refusal {
        Refusal::Absent(absent)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnknownChoice => f.write_str("LPC_HOST_CALLS is none of auto, ours, native"),
            Refusal::Native => f.write_str("LPC_HOST_CALLS=native"),
            Refusal::Complete => {
                f.write_str("it exports every port call itself (LPC_HOST_CALLS=ours overrides)")
            }
            Refusal::Absent(Absent::NotWine) => f.write_str("ntdll.so is not loaded"),
            Refusal::Absent(Absent::Symbol(name)) => {
                write!(f, "ntdll.so does not export {}", name.to_string_lossy())
            }
            Refusal::Absent(Absent::UnknownConvention) => {
                f.write_str("unknown calling convention of ntdll.so")
            }
            Refusal::NoImage => f.write_str("no mapped x86_64-windows/ntdll.dll"),
            Refusal::Unreadable => f.write_str("a part of the image cannot be read"),
            Refusal::Headers => f.write_str("not an x86-64 image"),
            Refusal::Exports => f.write_str("unexpected export directory"),
            Refusal::NoDispatcher => f.write_str("no __wine_unix_call_dispatcher"),
            Refusal::NoMemory(status) => write!(f, "no memory near the image: status {status:#x}"),
        }
    }
}

/// Finds the version text in `ntdll.so`; read from the file, and only for the diagnostics.
fn version() -> Option<String> {
    if !log::log_enabled!(log::Level::Debug) {
        return None;
    }
    let image = std::fs::read(maps::file_named("ntdll.so")?).ok()?;
    const MARK: &[u8] = b"\0wine-";
    let is_version =
        |window: &[u8]| window.starts_with(MARK) && window[MARK.len()].is_ascii_digit();
    let start = image.windows(MARK.len() + 1).position(is_version)? + 1;
    let text = image[start..].split(|&byte| byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

const PAGE: usize = 0x1000;
const GRANULARITY: usize = 0x1_0000;
const REACH: usize = 0x7000_0000;
const INT3: u8 = 0xcc;
const CURRENT_PROCESS: u64 = u64::MAX;
const MEM_COMMIT_RESERVE: u64 = 0x3000;
const PAGE_READONLY: u32 = 0x02;
const PAGE_READWRITE: u32 = 0x04;
const PAGE_EXECUTE_READ: u32 = 0x20;
