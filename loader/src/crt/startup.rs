//! What C start-up code calls before `main`: arguments, initialisers, application type, per-process variables.
//!
//! Sources: the import lists of programs built by mingw-w64 and MSVC; Microsoft Learn, "_initterm, _initterm_e",
//! "_set_app_type", "__getmainargs, __wgetmainargs", "_configure_narrow_argv" (corecrt_startup.h of the SDK).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::command_line::{self, Argument};
use super::mem::{self, Char};
use super::text::{self, CodePage};
use super::{environment, errno, os};
use crate::export::{Callback, Guest, Ptr};
use crate::{heap, win_api};

static IS_UCRT: AtomicBool = AtomicBool::new(false);
static APP_TYPE: AtomicI32 = AtomicI32::new(0);

/// Tells whether the program was started by `ucrtbase`, for functions whose behaviour the runtimes differ in.
pub fn is_ucrt() -> bool {
    IS_UCRT.load(Ordering::Relaxed)
}

/// Allocates guest memory that lives as long as the process.
pub fn permanent(size: usize) -> u64 {
    heap::process()
        .allocate(size.max(1), true)
        .unwrap_or_else(|| {
            crate::fatal(format_args!(
                "out of memory for the arguments of the program"
            ))
        })
}

/// Returns a guest copy of `text` with a NUL.
pub fn permanent_string<T: Char>(text: &[T]) -> Ptr<T> {
    let at = Ptr::new(permanent((text.len() + 1) * T::size()));
    mem::write_string(at, text);
    at
}

/// Returns a guest array of strings, ended by NULL.
fn permanent_array<T: Char>(strings: &[Vec<T>]) -> Ptr<Ptr<T>> {
    let array: Ptr<Ptr<T>> = Ptr::new(permanent((strings.len() + 1) * Ptr::<T>::size()));
    for (index, text) in strings.iter().enumerate() {
        array.add(index).write(permanent_string(text));
    }
    array
}

/// Converts to the narrow character set of the program, which is UTF-8; what has no form becomes a question mark.
pub fn narrow_lossy(text: &[u16]) -> Vec<u8> {
    text::narrow(CodePage::Utf8, text).unwrap_or_else(|| {
        String::from_utf16_lossy(text)
            .replace('\u{FFFD}', "?")
            .into_bytes()
    })
}

/// The wide arguments of the program, wildcards expanded if `expand`.
fn arguments(expand: bool) -> Vec<Vec<u16>> {
    let mut result = Vec::new();
    for (index, argument) in command_line::split(&os::command_line())
        .into_iter()
        .enumerate()
    {
        let matches = if expand && index > 0 && command_line::has_wildcard(&argument) {
            expansion(&argument)
        } else {
            Vec::new()
        };
        if matches.is_empty() {
            result.push(argument.text);
        } else {
            result.extend(matches);
        }
    }
    result
}

/// Returns the sorted names a wildcard argument stands for, with its directory in front.
fn expansion(argument: &Argument<u16>) -> Vec<Vec<u16>> {
    let directory_len = argument
        .text
        .iter()
        .rposition(|unit| [b'/', b'\\', b':'].map(u16::from).contains(unit))
        .map_or(0, |i| i + 1);
    let directory = &argument.text[..directory_len];
    let mut names = os::files::matching_names(&argument.text);
    names.sort();
    names
        .into_iter()
        .map(|name| [directory, &name].concat())
        .collect()
}

/// Sets `__argc`, `__argv` and `__wargv` once.
fn set_arguments(expand: bool) {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let wide = arguments(expand);
        let narrow: Vec<Vec<u8>> = wide.iter().map(|text| narrow_lossy(text)).collect();
        __argc
            .ptr()
            .write(i32::try_from(wide.len()).unwrap_or(i32::MAX));
        __argv.ptr().write(permanent_array(&narrow));
        __wargv.ptr().write(permanent_array(&wide));
    });
}

fn program_path() -> Vec<u16> {
    os::program_path()
}

/// Calls every function of a table; with `stop`, ends at the first that fails and returns its result.
fn run_table(begin: Ptr<Callback>, end: Ptr<Callback>, stop: bool) -> i32 {
    let mut next = begin;
    while next.address() < end.address() {
        let function = next.read();
        if !function.is_null() {
            let [a, b, c, d, ..] = function.call(&[]).to_le_bytes();
            let result = i32::from_le_bytes([a, b, c, d]);
            if stop && result != 0 {
                return result;
            }
        }
        next = next.add(1);
    }
    0
}

fn set_application(kind: i32, ucrt: bool) {
    IS_UCRT.store(ucrt, Ordering::Relaxed);
    APP_TYPE.store(kind, Ordering::Relaxed);
}

/// `info` points to `_startupinfo`, whose only member is the new-mode.
fn main_arguments(expand: i32, info: Ptr<i32>) {
    set_arguments(expand != 0);
    environment::initialize();
    if !info.is_null() {
        super::malloc::_set_new_mode(info.read());
    }
}

win_api! {
    /// Number of arguments.
    "msvcrt.dll" data __argc: i32 = 0;
    /// Arguments.
    "msvcrt.dll" data __argv: Ptr<Ptr<u8>> = Ptr::NULL;
    /// Wide arguments.
    "msvcrt.dll" data __wargv: Ptr<Ptr<u16>> = Ptr::NULL;
    /// Command line.
    "msvcrt.dll" data _acmdln: Ptr<u8> = permanent_string(&narrow_lossy(&os::command_line()));
    /// Wide command line.
    "msvcrt.dll" data _wcmdln: Ptr<u16> = permanent_string(&os::command_line());
    /// Path of the program.
    "msvcrt.dll" data _pgmptr: Ptr<u8> = permanent_string(&narrow_lossy(&program_path()));
    /// Wide path of the program.
    "msvcrt.dll" data _wpgmptr: Ptr<u16> = permanent_string(&program_path());
    /// Default translation mode of files: 0 is text.
    "msvcrt.dll" data _fmode: i32 = 0;
    /// Default commit mode of files.
    "msvcrt.dll" data _commode: i32 = 0;
    /// Windows version: major × 256 + minor.
    "msvcrt.dll" data _winver: u32 = 0x0A00;
    /// Windows major version.
    "msvcrt.dll" data _winmajor: u32 = 10;
    /// Windows minor version.
    "msvcrt.dll" data _winminor: u32 = 0;
    /// Windows build.
    "msvcrt.dll" data _osver: u32 = 19045;
    /// Whether the program is a console program: 2 is Windows NT.
    "msvcrt.dll" data _osplatform: u32 = 2;

    /// Address of the command line.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __p__acmdln() -> Ptr<Ptr<u8>> { _acmdln.ptr() }
    /// Address of the wide command line.
    "msvcrt.dll" cdecl fn __p__wcmdln() -> Ptr<Ptr<u16>> { _wcmdln.ptr() }
    /// Address of the number of arguments.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __p___argc() -> Ptr<i32> { __argc.ptr() }
    /// Address of the arguments.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __p___argv() -> Ptr<Ptr<Ptr<u8>>> { __argv.ptr() }
    /// Address of the wide arguments.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __p___wargv() -> Ptr<Ptr<Ptr<u16>>> { __wargv.ptr() }
    /// Address of the program's path.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __p__pgmptr() -> Ptr<Ptr<u8>> { _pgmptr.ptr() }
    /// Address of the program's wide path.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __p__wpgmptr() -> Ptr<Ptr<u16>> { _wpgmptr.ptr() }
    /// Address of the default translation mode.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __p__fmode() -> Ptr<i32> { _fmode.ptr() }
    /// Address of the default commit mode.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __p__commode() -> Ptr<i32> { _commode.ptr() }
    /// Address of the Windows version.
    "msvcrt.dll" cdecl fn __p__winver() -> Ptr<u32> { _winver.ptr() }
    /// Address of the Windows major version.
    "msvcrt.dll" cdecl fn __p__winmajor() -> Ptr<u32> { _winmajor.ptr() }
    /// Address of the Windows minor version.
    "msvcrt.dll" cdecl fn __p__winminor() -> Ptr<u32> { _winminor.ptr() }
    /// Address of the Windows build.
    "msvcrt.dll" cdecl fn __p__osver() -> Ptr<u32> { _osver.ptr() }

    /// Stores the program's path.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _get_pgmptr(value: Ptr<Ptr<u8>>) -> i32 {
        value.write(_pgmptr.ptr().read());
        0
    }

    /// Stores the program's wide path.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _get_wpgmptr(value: Ptr<Ptr<u16>>) -> i32 {
        value.write(_wpgmptr.ptr().read());
        0
    }

    /// Stores the default translation mode.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _get_fmode(value: Ptr<i32>) -> i32 {
        value.write(_fmode.ptr().read());
        0
    }

    /// Sets the default translation mode.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _set_fmode(mode: i32) -> i32 {
        _fmode.ptr().write(mode);
        0
    }

    /// Splits the command line; stores arguments and environment.
    "msvcrt.dll" cdecl fn __getmainargs(argc: Ptr<i32>, argv: Ptr<Ptr<Ptr<u8>>>, env: Ptr<Ptr<Ptr<u8>>>, expand: i32, info: Ptr<i32>) -> i32 {
        main_arguments(expand, info);
        argc.write(__argc.ptr().read());
        argv.write(__argv.ptr().read());
        env.write(environment::narrow_array());
        0
    }

    /// Splits the command line; stores wide arguments and environment.
    "msvcrt.dll" cdecl fn __wgetmainargs(argc: Ptr<i32>, argv: Ptr<Ptr<Ptr<u16>>>, env: Ptr<Ptr<Ptr<u16>>>, expand: i32, info: Ptr<i32>) -> i32 {
        main_arguments(expand, info);
        argc.write(__argc.ptr().read());
        argv.write(__wargv.ptr().read());
        env.write(environment::wide_array());
        0
    }

    /// Splits the command line; mode 2 expands wildcards.
    "ucrtbase.dll" cdecl fn _configure_narrow_argv = "_configure_narrow_argv|_configure_wide_argv" (mode: i32) -> i32 {
        const EXPANDED: i32 = 2;
        IS_UCRT.store(true, Ordering::Relaxed);
        if !(0..=EXPANDED).contains(&mode) {
            return errno::invalid_parameter();
        }
        if mode != 0 {
            set_arguments(mode == EXPANDED);
        }
        0
    }

    /// Returns the command line after the program's name.
    "ucrtbase.dll" cdecl fn _get_narrow_winmain_command_line() -> Ptr<u8> {
        _acmdln.ptr().read().add(after_program(&mem::string(_acmdln.ptr().read())))
    }

    /// Returns the wide command line after the program's name.
    "ucrtbase.dll" cdecl fn _get_wide_winmain_command_line() -> Ptr<u16> {
        _wcmdln.ptr().read().add(after_program(&mem::string(_wcmdln.ptr().read())))
    }

    /// Calls the functions of a table.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _initterm(begin: Ptr<Callback>, end: Ptr<Callback>) {
        run_table(begin, end, false);
    }

    /// Calls the functions of a table until one fails.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _initterm_e(begin: Ptr<Callback>, end: Ptr<Callback>) -> i32 {
        run_table(begin, end, true)
    }

    /// Sets the type of the application: 1 console, 2 windows.
    "msvcrt.dll" cdecl fn __set_app_type(kind: i32) {
        set_application(kind, false);
    }

    /// Sets the type of the application: 1 console, 2 windows.
    "ucrtbase.dll" cdecl fn _set_app_type(kind: i32) {
        set_application(kind, true);
    }

    /// Returns the type of the application.
    "ucrtbase.dll" cdecl fn _query_app_type() -> i32 {
        APP_TYPE.load(Ordering::Relaxed)
    }

    /// Chooses where run-time errors go; only standard error exists here.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _set_error_mode(mode: i32) -> i32 {
        const REPORT_ERROR_MODE: i32 = 3;
        static MODE: AtomicI32 = AtomicI32::new(0);
        match mode {
            0..=2 => MODE.swap(mode, Ordering::Relaxed),
            REPORT_ERROR_MODE => MODE.load(Ordering::Relaxed),
            _ => {
                errno::invalid_parameter();
                -1
            }
        }
    }
}

/// Returns where the arguments start in a command line.
fn after_program<U: super::unit::Unit>(line: &[U]) -> usize {
    let mut inside = false;
    let end = line
        .iter()
        .position(|unit| {
            inside ^= unit.ascii() == b'"';
            !inside && matches!(unit.ascii(), b' ' | b'\t')
        })
        .unwrap_or(line.len());
    end + line[end..]
        .iter()
        .take_while(|unit| matches!(unit.ascii(), b' ' | b'\t'))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_start_after_the_program() {
        assert_eq!(after_program(br#""a b" c"#.as_slice()), 6);
        assert_eq!(after_program(b"a".as_slice()), 1);
    }

    #[test]
    fn names_without_narrow_form_become_question_marks() {
        assert_eq!(narrow_lossy(&[0x41, 0xD800]), b"A?");
        assert_eq!(narrow_lossy(&[0xE9]), "é".as_bytes());
    }
}
