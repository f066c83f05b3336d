//! Starting and ending the program.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ntlpc_abi::Width;

use super::{command_line, environment};
use crate::entry::MissingImport;
use crate::export::Callback;
use crate::gate::{probe32, stubs};
use crate::image::ImageError;
use crate::module::{self, NotifyReason};
use crate::ob::{path, process};
use crate::peb::{self, kuser};
use crate::{exception, thread};

/// Exit code for a program that is not there.
pub const EXIT_NOT_FOUND: i32 = 127;
/// Exit code for a program that cannot be run.
pub const EXIT_NOT_RUNNABLE: i32 = 126;

/// What to run.
#[derive(Debug)]
pub struct Program {
    /// File of the program.
    pub path: PathBuf,
    /// Name as given, for the command line.
    pub name: String,
    /// Arguments.
    pub arguments: Vec<String>,
    /// Exact command line instead of the arguments.
    pub command_line: Option<String>,
}

/// Runs a program to its end and leaves with its exit code.
pub fn run(program: &Program) -> ! {
    stubs::set_missing_target(&MissingImport);
    let mapped = match module::load_program(&program.path) {
        Ok(mapped) => mapped,
        Err(error) => refuse(&program.path, &error),
    };
    if mapped.headers.is_dll {
        refuse(
            &program.path,
            &ImageError::Unsupported("a DLL, not a program"),
        );
    }
    crate::set_width(mapped.headers.width);
    if mapped.headers.width == Width::X86
        && let Err(reason) = probe32::choose()
    {
        eprintln!("lpcrun: {}: {reason}", program.path.display());
        std::process::exit(EXIT_NOT_RUNNABLE)
    }
    if let Err(error) = kuser::map() {
        log::warn!("no KUSER_SHARED_DATA: {error}");
    }
    let image_path = path::to_windows(
        &std::fs::canonicalize(&program.path).unwrap_or_else(|_| program.path.clone()),
    );
    let joined = command_line::join(&program.name, &program.arguments);
    let directory = std::env::current_dir().unwrap_or_else(|_| "/".into());
    peb::fill(
        mapped.view.base,
        &mapped.headers,
        &peb::Startup {
            ldr_data: module::ldr_data(),
            image_path: &image_path,
            command_line: program.command_line.as_deref().unwrap_or(&joined),
            directory: &path::to_windows(&directory),
            environment: &environment::block(std::env::vars_os()),
            runtime_data: crate::ob::spawn::runtime_data(),
        },
    );
    let (entry, stack_reserve) = (
        mapped.view.base + u64::from(mapped.headers.entry),
        mapped.headers.stack_reserve,
    );
    let has_entry = mapped.headers.entry != 0;
    let order = match module::link_program(mapped, &program.path) {
        Ok(order) => order,
        Err(error) => {
            eprintln!("lpcrun: {error}");
            std::process::exit(EXIT_NOT_RUNNABLE)
        }
    };
    if !has_entry {
        refuse(
            &program.path,
            &ImageError::Unsupported("without an entry point"),
        );
    }
    exception::install();
    crate::ob::poke::install();
    crate::ob::unpack::install();
    crate::ob::host::install();
    crate::ob::spawn::adopt_startup();
    crate::ob::stdio::install();
    crate::ob::directory::open();
    crate::ob::agent::start();
    thread::set_default_stack(stack_reserve);
    thread::run_main(move || {
        crate::ob::spawn::wait_for_resume();
        if let Err(error) = module::start_program(order) {
            eprintln!("lpcrun: {error}");
            exit(error.status().0);
        }
        Callback(entry).call(&[peb::address()]) as u32
    })
}

fn refuse(path: &Path, error: &ImageError) -> ! {
    eprintln!("lpcrun: {}: {error}", path.display());
    let is_missing = matches!(error, ImageError::Io(e) if e.kind() == io::ErrorKind::NotFound);
    std::process::exit(if is_missing {
        EXIT_NOT_FOUND
    } else {
        EXIT_NOT_RUNNABLE
    })
}

/// Ends the process as `RtlExitUserProcess` does: tells entry points, then leaves with `code`.
///
/// Runs guest code: hold no lock.
pub fn exit(code: u32) -> ! {
    static ENDER: AtomicU32 = AtomicU32::new(0);
    let me = crate::linux::thread_id();
    let ender = ENDER.compare_exchange(0, me, Ordering::AcqRel, Ordering::Acquire);
    if ender.is_err_and(|ender| ender != me) {
        // Another thread is ending the process and must be left to tell the DLLs.
        loop {
            std::thread::park();
        }
    }
    if ender.is_ok() {
        crate::ob::suspend::stop_others();
        process::others_have_ended(code);
        module::loader_lock_seize();
        module::notify_threads(NotifyReason::ProcessDetach);
    }
    process::exit_now(code)
}
