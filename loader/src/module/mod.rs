//! Modules of the process: the program, DLLs beside it, and built-in DLLs.

mod apiset;
pub mod builtin;
mod ldr;
mod link;
pub mod load_config;
mod lock;
mod missing;
mod search;
pub mod tls;
mod unload;

use parking_lot::Mutex;

pub use link::{
    LoadError, NotifyReason, link_program, load, load_program, notify_threads, program_directory,
    start_program,
};
pub use lock::{loader_lock_release_all, loader_lock_seize};
pub use missing::list_missing;
pub use search::SearchFlags;
pub use unload::unload;

use crate::image::{Exported, Exports, Headers, ImportName, View};

/// Returns the address of the module lists of the PEB.
#[must_use]
pub fn ldr_data() -> u64 {
    ldr::data()
}

/// One module.
#[derive(Clone, Debug)]
pub struct Module {
    /// Lower-case file name, the key of look-ups.
    pub key: String,
    /// File name as found.
    pub name: String,
    /// Windows path.
    pub path: String,
    /// Where it lies.
    pub view: View,
    /// Headers; `None` for a built-in DLL.
    pub headers: Option<Headers>,
    /// Its export directory.
    pub exports: Option<Exports>,
    /// Address of the entry point, 0 if none.
    pub entry: u64,
    /// Bases of the modules it imports from.
    pub dependencies: Vec<u64>,
    /// How often it was loaded; `None` if it stays for ever.
    pub references: Option<u32>,
    /// Its entry in the PEB's lists.
    pub ldr_entry: u64,
    /// Its place among the modules whose entry points have been told of the process.
    pub started: Option<u32>,
    /// Whether it is only looked into (`LOAD_LIBRARY_AS_DATAFILE`); nobody finds it by name.
    pub is_data: bool,
    /// Whether its entry point wants no news of threads.
    pub has_thread_calls_disabled: bool,
}

/// All modules in the order they were loaded.
static MODULES: Mutex<Vec<Module>> = Mutex::new(Vec::new());

/// Bits of a handle that mark a module loaded as data.
const DATA_MARKS: u64 = 3;

/// Returns a copy of the module with this handle; 0 means the program.
#[must_use]
pub fn at(handle: u64) -> Option<Module> {
    let modules = MODULES.lock();
    if handle == 0 {
        modules.first()
    } else {
        let base = handle & !DATA_MARKS;
        modules.iter().find(|m| m.view.base == base)
    }
    .cloned()
}

/// Returns copies of all modules, the program first, without those loaded as data.
#[must_use]
pub fn all() -> Vec<Module> {
    MODULES
        .lock()
        .iter()
        .filter(|m| !m.is_data)
        .cloned()
        .collect()
}

/// Returns the module that contains `address`.
#[must_use]
pub fn containing(address: u64) -> Option<Module> {
    MODULES
        .lock()
        .iter()
        .find(|m| m.view.rva(address).is_some())
        .cloned()
}

/// Returns `(image, headers of a real image)` of the module that contains `address`, without copying names.
#[must_use]
pub fn image_containing(address: u64) -> Option<(View, Option<(u32, u32)>)> {
    MODULES
        .lock()
        .iter()
        .find(|m| m.view.rva(address).is_some())
        .map(|m| {
            let table = m
                .headers
                .as_ref()
                .and_then(|h| h.directory(crate::image::Directory::Exception));
            (m.view, table)
        })
}

/// Returns the loaded module with this name or path, as `GetModuleHandle` does.
#[must_use]
pub fn find(name: &str) -> Option<Module> {
    let lower = name.to_ascii_lowercase().replace('/', "\\");
    let key = search::key_of(&lower);
    let host = apiset::host_of(&key);
    let modules = MODULES.lock();
    let is_path = lower.contains('\\');
    let candidates = || modules.iter().filter(|m| !m.is_data);
    candidates()
        .find(|m| {
            if is_path {
                m.path.to_ascii_lowercase() == lower
            } else {
                m.key == host
            }
        })
        .or_else(|| candidates().find(|m| m.key == host && (!is_path || m.headers.is_none())))
        .cloned()
}

/// Says that a module's entry point wants no news of threads.
pub fn disable_thread_calls(base: u64) -> bool {
    let mut modules = MODULES.lock();
    let found = modules.iter_mut().find(|m| m.view.base == base);
    found.map(|m| m.has_thread_calls_disabled = true).is_some()
}

/// Keeps a module for ever.
pub fn pin(base: u64) {
    if let Some(module) = MODULES.lock().iter_mut().find(|m| m.view.base == base) {
        module.references = None;
    }
}

/// Counts one more user of a module.
pub fn add_reference(base: u64) {
    if let Some(references) = MODULES
        .lock()
        .iter_mut()
        .find(|m| m.view.base == base)
        .and_then(|m| m.references.as_mut())
    {
        *references += 1;
    }
}

/// Longest chain of forwarders followed.
const MAX_FORWARDS: u32 = 8;

/// Returns the address of an export, loading the modules that forwarders name.
#[must_use]
pub fn proc_address(base: u64, name: &ImportName) -> Option<u64> {
    let (mut base, mut name) = (base, name.clone());
    for _ in 0..MAX_FORWARDS {
        let (exports, public) = {
            let modules = MODULES.lock();
            let module = if base == 0 {
                modules.first()
            } else {
                modules.iter().find(|m| m.view.base == base)
            };
            let module = module?;
            let public = match &name {
                ImportName::Name(name) if module.headers.is_none() => {
                    builtin::public_name(&module.name, name).map(str::to_owned)
                }
                _ => None,
            };
            (module.exports?, public)
        };
        let found = match &name {
            ImportName::Name(name) => exports.by_name(public.as_ref().unwrap_or(name)),
            ImportName::Ordinal(ordinal) => exports.by_ordinal(u32::from(*ordinal)),
        };
        let forwarder = match found? {
            Exported::Address(address) => return Some(address),
            Exported::Forwarder(forwarder) => forwarder,
        };
        let (dll, function) = forwarder.rsplit_once('.')?;
        name = match function.strip_prefix('#') {
            Some(ordinal) => ImportName::Ordinal(ordinal.parse().ok()?),
            None => ImportName::Name(function.to_owned()),
        };
        base = match find(dll) {
            Some(module) => module.view.base,
            None => load(dll, SearchFlags::default()).ok()?,
        };
    }
    None
}

/// Returns `module+0x1234` (and the export it lies in) for an address.
#[must_use]
pub fn describe(address: u64) -> String {
    let Some(module) = containing(address) else {
        return match crate::gate::stubs::at(address) {
            Some(stub) => format!("{}!{}", stub.dll, stub.name),
            None => format!("{address:#x}"),
        };
    };
    let rva = (address - module.view.base) as u32;
    match module.exports.and_then(|exports| exports.nearest(rva)) {
        Some((name, offset)) if module.headers.is_none() => {
            format!("{}!{name}+{offset:#x}", module.name)
        }
        _ => format!("{}+{rva:#x}", module.name),
    }
}
