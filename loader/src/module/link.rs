//! Loading, linking, starting and unloading modules.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use thiserror::Error;

use super::load_config;
use super::unload::discard;
use super::{MODULES, Module, SearchFlags, apiset, builtin, ldr, lock, proc_address, search, tls};
use crate::export::Callback;
use crate::gate::stubs;
use crate::image::{self, Directory, Exports, ImageError, Imports, Mapped};
use crate::ob::path;
use ntlpc_abi::{NtStatus, Width};

/// Why a module cannot be had.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Neither a file nor a built-in DLL has this name.
    #[error("{0}: not found")]
    NotFound(String),
    /// The file is no usable image.
    #[error("{0}: {1}")]
    Image(String, ImageError),
    /// Its entry point refused.
    #[error("{0}: its entry point failed")]
    InitFailed(String),
}

impl LoadError {
    /// Returns the status `LdrLoadDll` gives.
    #[must_use]
    pub fn status(&self) -> NtStatus {
        match self {
            LoadError::NotFound(_) => NtStatus::DLL_NOT_FOUND,
            LoadError::Image(_, ImageError::NoRoom(_)) => NtStatus::NO_MEMORY,
            LoadError::Image(_, ImageError::Io(_)) => NtStatus::ACCESS_DENIED,
            LoadError::Image(..) => NtStatus::INVALID_IMAGE_FORMAT,
            LoadError::InitFailed(_) => NtStatus::DLL_INIT_FAILED,
        }
    }
}

/// What entry points and TLS callbacks are told. Source: Microsoft Learn, "DllMain entry point".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyReason {
    /// `DLL_PROCESS_DETACH`.
    ProcessDetach = 0,
    /// `DLL_PROCESS_ATTACH`.
    ProcessAttach = 1,
    /// `DLL_THREAD_ATTACH`.
    ThreadAttach = 2,
    /// `DLL_THREAD_DETACH`.
    ThreadDetach = 3,
}

/// The last argument of an entry point of a DLL that comes or goes with the process: anything but 0.
const WITH_THE_PROCESS: u64 = 1;

static PROGRAM_DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

/// Maps the program itself; nothing of it runs and nothing is linked yet.
pub fn load_program(path: &Path) -> Result<Mapped, ImageError> {
    let mapped = image::map(&File::open(path)?)?;
    let full = std::fs::canonicalize(path)?;
    let _ = PROGRAM_DIRECTORY.set(full.parent().unwrap_or(Path::new("/")).to_owned());
    Ok(mapped)
}

/// Links the program, and the DLLs every process has, without running anything of them.
///
/// Returns the bases of the modules to start, in order.
pub fn link_program(mapped: Mapped, path: &Path) -> Result<Vec<u64>, LoadError> {
    let full = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut order = Vec::new();
    let base = insert_image(&mapped, &full, false);
    // Programs that walk the module list expect these two right after themselves.
    for dll in ["ntdll.dll", "kernel32.dll"] {
        if builtin::exists(dll) {
            load_into(dll, SearchFlags::default(), &mut order)?;
        }
    }
    link(&mapped, &full, base, &mut order)?;
    // What the program needs stays, whatever FreeLibrary is told.
    for module in MODULES.lock().iter_mut() {
        module.references = None;
    }
    Ok(order)
}

/// Starts the modules the program needs: TLS callbacks and entry points, then the program's own callbacks.
///
/// Runs guest code.
pub fn start_program(order: Vec<u64>) -> Result<(), LoadError> {
    lock::loader_lock_enter();
    let result = start(&order, WITH_THE_PROCESS);
    if let Some(program) = super::at(0)
        && let Some(headers) = &program.headers
        && result.is_ok()
    {
        tls::run_callbacks(&program.view, headers, NotifyReason::ProcessAttach as u64);
    }
    lock::loader_lock_leave();
    result
}

/// Loads a DLL and everything it needs, runs their entry points, and returns its base.
///
/// Runs guest code: hold no lock.
pub fn load(name: &str, flags: SearchFlags) -> Result<u64, LoadError> {
    lock::loader_lock_enter();
    let mut order = Vec::new();
    let result =
        load_into(name, flags, &mut order).and_then(|base| start(&order, 0).map(|()| base));
    if let Err(error) = &result {
        log::debug!("{error}");
        discard(&order);
    }
    lock::loader_lock_leave();
    result
}

/// Tells the entry points of all modules about the process or the calling thread.
///
/// Runs guest code: hold no lock.
pub fn notify_threads(reason: NotifyReason) {
    lock::loader_lock_enter();
    // In the order they were started; the program's own callbacks are last.
    let mut modules: Vec<(u32, u64)> = MODULES
        .lock()
        .iter()
        .filter(|m| m.headers.is_some())
        .filter_map(|m| Some((m.started?, m.view.base)))
        .collect();
    modules.sort_unstable();
    if matches!(
        reason,
        NotifyReason::ThreadDetach | NotifyReason::ProcessDetach
    ) {
        modules.reverse();
    }
    let program = super::at(0).map(|module| (0, module.view.base));
    for (_, base) in modules.into_iter().chain(program) {
        let Some(module) = super::at(base) else {
            continue;
        };
        let Some(headers) = &module.headers else {
            continue;
        };
        tls::run_callbacks(&module.view, headers, reason as u64);
        let quiet = module.has_thread_calls_disabled && reason != NotifyReason::ProcessDetach;
        if headers.is_dll && !quiet {
            let reserved = match reason {
                NotifyReason::ProcessDetach => WITH_THE_PROCESS,
                _ => 0,
            };
            call_entry(&module, reason, reserved);
        }
    }
    lock::loader_lock_leave();
}

/// Loads a DLL without running it; modules that must be started are appended to `order`.
fn load_into(name: &str, flags: SearchFlags, order: &mut Vec<u64>) -> Result<u64, LoadError> {
    let lower = name.to_ascii_lowercase();
    if let Some(module) = super::find(&lower) {
        super::add_reference(module.view.base);
        return Ok(module.view.base);
    }
    let key = search::key_of(&lower);
    let host = apiset::host_of(&key).to_owned();
    let is_system_path = lower.contains(['\\', '/']) && !search::is_foreign_path(&lower);
    let prefers_builtin = !search::is_foreign_path(&lower)
        && builtin::exists(&host)
        && (builtin::is_known_dll(&host) || flags.is_system_only || is_system_path);
    if !prefers_builtin && !flags.is_system_only {
        let directory = PROGRAM_DIRECTORY
            .get()
            .map_or(Path::new("/"), PathBuf::as_path);
        if let Some(file) = search::find_file(name, directory) {
            return load_file(&file, flags, order);
        }
    }
    if builtin::exists(&host) {
        return load_builtin(&host).ok_or(LoadError::NotFound(host));
    }
    Err(LoadError::NotFound(name.to_owned()))
}

fn load_builtin(dll: &str) -> Option<u64> {
    let built = builtin::build(dll)?;
    let module = Module {
        key: dll.to_owned(),
        name: dll.to_owned(),
        path: format!("C:\\windows\\system32\\{dll}"),
        view: built.view,
        headers: None,
        exports: Exports::of_built_in(built.view, built.exports),
        entry: 0,
        dependencies: Vec::new(),
        references: None,
        ldr_entry: 0,
        started: Some(0),
        is_data: false,
        has_thread_calls_disabled: true,
    };
    let base = insert(module);
    if let Some(module) = super::at(base) {
        ldr::add_initialized(ldr::data(), module.ldr_entry);
    }
    Some(base)
}

fn load_file(file: &Path, flags: SearchFlags, order: &mut Vec<u64>) -> Result<u64, LoadError> {
    let name = file.display().to_string();
    let bad = |error| LoadError::Image(name.clone(), error);
    let mapped = File::open(file)
        .map_err(ImageError::from)
        .and_then(|f| image::map(&f))
        .map_err(bad)?;
    if mapped.headers.width != crate::width() && !flags.is_data {
        image::unmap(&mapped.view);
        return Err(bad(ImageError::Machine(
            "another pointer width than the program".into(),
        )));
    }
    let base = insert_image(&mapped, file, flags.is_data);
    if flags.is_data || flags.is_bare {
        image::protect_sections(&mapped).map_err(bad)?;
        return Ok(base);
    }
    if let Err(error) = link(&mapped, file, base, order) {
        discard(&[base]);
        return Err(error);
    }
    order.push(base);
    Ok(base)
}

fn insert_image(mapped: &Mapped, file: &Path, is_data: bool) -> u64 {
    let name = file
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let exports = mapped
        .headers
        .directory(Directory::Export)
        .and_then(|d| Exports::new(mapped.view, d));
    let entry = match mapped.headers.entry {
        0 => 0,
        rva => mapped.view.base + u64::from(rva),
    };
    insert(Module {
        key: name.to_ascii_lowercase(),
        name,
        path: path::to_windows(file),
        view: mapped.view,
        references: (mapped.headers.is_dll || is_data).then_some(1),
        headers: Some(mapped.headers.clone()),
        exports,
        entry,
        dependencies: Vec::new(),
        ldr_entry: 0,
        started: None,
        is_data,
        has_thread_calls_disabled: false,
    })
}

fn insert(mut module: Module) -> u64 {
    if !module.is_data {
        module.ldr_entry = ldr::add(ldr::data(), &module);
    }
    let base = module.view.base;
    MODULES.lock().push(module);
    base
}

/// Resolves the imports of a mapped image, then protects it.
fn link(mapped: &Mapped, file: &Path, base: u64, order: &mut Vec<u64>) -> Result<(), LoadError> {
    let bad = |error| LoadError::Image(file.display().to_string(), error);
    tls::add_module(&mapped.view, &mapped.headers).map_err(bad)?;
    let all = Imports::read(&mapped.view, &mapped.headers).map_err(bad)?;
    for imports in all.iter().filter(|i| !i.is_delayed) {
        let dll = match load_into(&imports.dll, SearchFlags::default(), order) {
            Ok(dll) => Some(dll),
            Err(LoadError::NotFound(name)) => {
                log::info!("{name} is not there; its functions are reported when called");
                None
            }
            Err(error) => return Err(error),
        };
        if let Some(module) = MODULES.lock().iter_mut().find(|m| m.view.base == base) {
            module.dependencies.extend(dll);
        }
        for import in &imports.functions {
            let address = dll
                .and_then(|dll| proc_address(dll, &import.name))
                .unwrap_or_else(|| {
                    stubs::missing(&imports.dll.to_ascii_lowercase(), import.name.to_string())
                });
            let stored = match mapped.headers.width {
                Width::X64 => mapped.view.write(import.slot, address),
                Width::X86 => mapped.view.write(import.slot, address as u32),
            };
            stored.ok_or_else(|| {
                bad(ImageError::Damaged(format!(
                    "import slot {:#x}",
                    import.slot
                )))
            })?;
        }
    }
    load_config::apply(&mapped.view, &mapped.headers);
    image::protect_sections(mapped).map_err(bad)
}

/// How many modules have been started.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// Runs TLS callbacks and entry points of freshly loaded DLLs.
fn start(order: &[u64], reserved: u64) -> Result<(), LoadError> {
    for &base in order {
        let Some(module) = super::at(base) else {
            continue;
        };
        let Some(headers) = &module.headers else {
            continue;
        };
        if let Some(stored) = MODULES.lock().iter_mut().find(|m| m.view.base == base) {
            stored.started = Some(STARTED.fetch_add(1, Ordering::Relaxed));
        }
        ldr::add_initialized(ldr::data(), module.ldr_entry);
        tls::run_callbacks(&module.view, headers, NotifyReason::ProcessAttach as u64);
        if !call_entry(&module, NotifyReason::ProcessAttach, reserved) {
            return Err(LoadError::InitFailed(module.name));
        }
    }
    Ok(())
}

pub(super) fn call_entry(module: &Module, reason: NotifyReason, reserved: u64) -> bool {
    if module.entry == 0 {
        return true;
    }
    log::debug!("{} entry point, {reason:?}", module.name);
    let result = Callback(module.entry).call(&[module.view.base, reason as u64, reserved]);
    reason != NotifyReason::ProcessAttach || result as u32 != 0
}

/// Returns where the program lies in the file system.
#[must_use]
pub fn program_directory() -> &'static Path {
    PROGRAM_DIRECTORY
        .get()
        .map_or(Path::new("/"), PathBuf::as_path)
}
