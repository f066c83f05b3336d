//! Puts the calls into PE ntdll: thunks and a longer export directory in a block above the image, hooks in place.

use super::arch::code::{self as machine, SYSCALL_THUNK};
use super::arch::{self, Abi};
use super::code::{self, JUMP, Target};
use super::exports::{Exports, Machine};
use super::hooks::{self, Stub};
use super::maps::{self, Images};
use super::memory::{Block, Image, Memory};
use super::ntdll::{Absent, Ntdll};
use super::service::{self, Guest};
use super::{names, pool, pool_code};
use log::debug;
use ntlpc_abi::CallId;
use std::fmt;
use std::path::PathBuf;

/// The variable that leads to Wine's dispatcher of unix calls, exported by the PE ntdll of either width.
pub const DISPATCHER: &str = "__wine_unix_call_dispatcher";

/// What was put beside the ntdll of 32-bit code in a 64-bit process.
#[derive(Debug)]
pub struct Extension {
    /// Where; not yet published.
    pub block: Block,
    /// Start address of threads of ours.
    pub thread_thunk: u64,
}

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
    let (native, wow64) = arch::IMAGES;
    let images = Images::find(native, wow64);
    let mapped = images.native.as_ref().ok_or(Refusal::NoImage)?;
    let image = Image(mapped);
    let base = mapped.base;
    let (headers, exports) = image.exports(arch::MACHINE)?;
    let dispatcher = exports.find(DISPATCHER).ok_or(Refusal::NoDispatcher)?;
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
    let memory = Memory { ntdll: &ntdll };
    let names = plan.exported.len();
    let exported = plan.exported.drain(..);
    let block = Block::new(
        &memory,
        base,
        (&headers, &exports),
        plan.code.len(),
        exported,
    )?;
    plan.place_pool(block.address as u64);
    block.fill(&memory, &plan.code)?;
    // A 32-bit program gets its calls in the ntdll it uses; that of 64-bit code has the hooks, which both lead through.
    let wow64 = arch::extend_32_bit(&memory, &images)?;

    names::furnish(&ntdll);
    let guest = match &wow64 {
        Some(extension) => Guest {
            is_narrow: true,
            thread_thunk: extension.thread_thunk,
        },
        None => Guest {
            is_narrow: arch::MACHINE != Machine::X64,
            thread_thunk: (block.address + plan.thread) as u64,
        },
    };
    service::start(ntdll, guest);
    let hooked = memory.patch(&plan.hooks(base, block.address));
    block.publish(&memory)?;
    if let Some(extension) = &wow64 {
        extension.block.publish(&memory)?;
    }
    Ok(Done {
        version: version(),
        path: mapped.path.clone(),
        abi: ntdll.abi,
        added: block.added,
        replaced: names - block.added,
        hooked,
        degraded: plan.degraded.len(),
        added32: wow64.map(|extension| extension.block.added),
    })
}

/// The code of the block and what it stands for.
struct Plan {
    code: Vec<u8>,
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
            exported: Vec::new(),
            hooked: Vec::new(),
            thread: 0,
            pool: None,
            degraded: Vec::new(),
        };
        for (index, id) in CallId::ALL.iter().enumerate() {
            let call = id.call();
            let words = call.args.len();
            let at = plan.add(&match call.helper {
                None => machine::thunk(target, index as u32, words),
                Some(_) => machine::helper_thunk(target, index as u32, words),
            });
            plan.exported.extend(call.names().map(|name| (name, at)));
        }
        for (hook, index) in hooks::HOOKS.iter().zip(CallId::ALL.len()..) {
            let Some(rva) = exports.find(hook.name) else {
                continue;
            };
            let original = image
                .bytes(rva as usize, SYSCALL_THUNK)
                .ok()
                .and_then(|bytes| bytes.try_into().ok());
            let words = hook.arguments;
            let original = original.filter(|original| machine::is_syscall_thunk(original, words));
            if let Some(original) = original {
                let index = index as u32;
                let stub = match hook.stub {
                    Stub::Tested(tests) => code::hook(target, index, words, &tests(), &original),
                    Stub::SecondChance(word) => {
                        let Some(go_on) = exports.find("NtContinue") else {
                            continue;
                        };
                        let go_on = image.0.base as u64 + u64::from(go_on);
                        machine::second_chance(target, index, word(), go_on, &original)
                    }
                };
                let at = plan.add(&stub);
                plan.hooked.push((rva, at));
            } else if matches!(hook.stub, Stub::Tested(_)) {
                let at = plan.add(&machine::thunk(target, index as u32, words));
                plan.exported.push((hook.name.to_owned(), at));
                plan.exported.push((hook.name.replacen("Nt", "Zw", 1), at));
                plan.degraded.push(hook.name);
            }
        }
        plan.add_pool(image.0.base as u64, exports, target);
        plan.thread = plan.add(&machine::thunk(target, service::THREAD as u32, 1));
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
        for (name, index, words) in code.services() {
            let at = self.add(&machine::thunk(target, index, words));
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
    /// Of the ntdll of 32-bit code, in a process that runs such.
    added32: Option<usize>,
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
        )?;
        match self.added32 {
            Some(added) => write!(f, "; for its 32-bit code {added} exports added"),
            None => Ok(()),
        }
    }
}

/// Why nothing was done.
#[derive(Debug)]
pub enum Refusal {
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
            Refusal::NoImage => write!(f, "no mapped {}", arch::IMAGES.0),
            Refusal::Unreadable => f.write_str("a part of the image cannot be read"),
            Refusal::Headers => f.write_str("not an image of this machine"),
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

const INT3: u8 = 0xcc;
