//! The process environment block and the process parameters.
//!
//! Source: phnt `ntpebteb.h` `PEB`, `ntrtl.h` `RTL_USER_PROCESS_PARAMETERS`.

pub mod kuser;
pub mod strings;

use std::sync::OnceLock;

use ntlpc_abi::Handle;

use crate::guest::{Field, Guest, Ptr};
use crate::guest_struct;
use crate::image::Headers;
use crate::vm::low;
use strings::{UnicodeString, allocate_unicode, allocate_units};

guest_struct! {
    /// `CURDIR`.
    pub struct CurrentDirectory {
        path: UnicodeString,
        handle: Handle,
    }

    /// `RTL_USER_PROCESS_PARAMETERS`.
    pub struct Parameters {
        maximum_length: u32,
        length: u32,
        flags: u32,
        debug_flags: u32,
        console_handle: Handle,
        console_flags: u32,
        standard_input: Handle,
        standard_output: Handle,
        standard_error: Handle,
        current_directory: CurrentDirectory,
        dll_path: UnicodeString,
        image_path: UnicodeString,
        command_line: UnicodeString,
        environment: Ptr<u16>,
        /// `StartingX` … `CountCharsY`.
        window: [u32; 6],
        fill_attribute: u32,
        window_flags: u32,
        show_window_flags: u32,
        window_title: UnicodeString,
        desktop_info: UnicodeString,
        shell_info: UnicodeString,
        runtime_data: UnicodeString,
        /// `CurrentDirectores`.
        drive_directories: [[u64; 3]; 32],
        environment_size: usize,
        environment_version: usize,
    }
}

const BEING_DEBUGGED: Field = Field(0x2, 0x2);
const IMAGE_BASE: Field = Field(0x8, 0x10);
const LDR: Field = Field(0xc, 0x18);
const PARAMETERS: Field = Field(0x10, 0x20);
const FAST_PEB_LOCK: Field = Field(0x1c, 0x38);
const NUMBER_OF_PROCESSORS: Field = Field(0x64, 0xb8);
const OS_MAJOR_VERSION: Field = Field(0xa4, 0x118);
const OS_MINOR_VERSION: Field = Field(0xa8, 0x11c);
const OS_BUILD_NUMBER: Field = Field(0xac, 0x120);
const OS_PLATFORM_ID: Field = Field(0xb0, 0x124);
const IMAGE_SUBSYSTEM: Field = Field(0xb4, 0x128);
const SUBSYSTEM_MAJOR: Field = Field(0xb8, 0x12c);
const SUBSYSTEM_MINOR: Field = Field(0xbc, 0x130);

/// Bytes of a PEB, rounded up.
const BYTES: usize = 0x1000;

/// The Windows version we claim: Windows 10, version 22H2.
pub const VERSION: (u32, u32, u16) = (10, 0, 19045);

struct Places {
    peb: u64,
    parameters: u64,
}

static PLACES: OnceLock<Places> = OnceLock::new();

fn places() -> &'static Places {
    PLACES.get_or_init(|| Places {
        peb: low::allocate(BYTES, 0x1000),
        parameters: low::allocate(Parameters::size(), 16),
    })
}

/// Returns the address of the PEB.
#[must_use]
pub fn address() -> u64 {
    places().peb
}

/// Returns the process parameters.
#[must_use]
pub fn parameters() -> Ptr<Parameters> {
    Ptr::new(places().parameters)
}

/// Returns a field of the process parameters in guest memory.
#[must_use]
pub fn parameter<T>(field: &str) -> Ptr<T> {
    Ptr::new(places().parameters + Parameters::offset_of(field) as u64)
}

/// What the start of a process decides.
#[derive(Debug)]
pub struct Startup<'a> {
    /// Address of `PEB_LDR_DATA`.
    pub ldr_data: u64,
    /// Windows path of the program.
    pub image_path: &'a str,
    /// Command line.
    pub command_line: &'a str,
    /// Current directory, Windows path.
    pub directory: &'a str,
    /// Environment block.
    pub environment: &'a [u16],
    /// What the creator's C runtime passed; at most 65535 bytes.
    pub runtime_data: &'a [u8],
}

/// `RuntimeData`: bytes in the place of a string.
fn runtime_data(bytes: &[u8]) -> UnicodeString {
    if bytes.is_empty() {
        return UnicodeString::empty();
    }
    let length = bytes.len() as u16;
    UnicodeString {
        length,
        maximum_length: length,
        buffer: strings::allocate_bytes(bytes).cast(),
    }
}

/// Makes an `RTL_CRITICAL_SECTION` nobody holds: all zero but `DebugInfo` and `LockCount`, which are -1.
fn free_critical_section() -> u64 {
    const MOST_BYTES: usize = 40;
    let pointer = crate::width().pointer();
    let at = low::allocate(MOST_BYTES, 8);
    Ptr::<u8>::new(at).write_bytes(&[0xFF; 12][..pointer + 4]);
    Ptr::<u8>::new(at + pointer as u64 + 4)
        .write_bytes(&[0; MOST_BYTES][..MOST_BYTES - pointer - 4]);
    at
}

/// Fills PEB and parameters in.
pub fn fill(base: u64, headers: &Headers, startup: &Startup<'_>) {
    let peb = address();
    IMAGE_BASE.at::<usize>(peb).write(base as usize);
    BEING_DEBUGGED.at::<u8>(peb).write(0);
    LDR.at::<usize>(peb).write(startup.ldr_data as usize);
    PARAMETERS
        .at::<usize>(peb)
        .write(places().parameters as usize);
    FAST_PEB_LOCK
        .at::<usize>(peb)
        .write(free_critical_section() as usize);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    NUMBER_OF_PROCESSORS.at::<u32>(peb).write(processors as u32);
    OS_MAJOR_VERSION.at::<u32>(peb).write(VERSION.0);
    OS_MINOR_VERSION.at::<u32>(peb).write(VERSION.1);
    OS_BUILD_NUMBER.at::<u16>(peb).write(VERSION.2);
    OS_PLATFORM_ID.at::<u32>(peb).write(2);
    IMAGE_SUBSYSTEM
        .at::<u32>(peb)
        .write(headers.subsystem.into());
    SUBSYSTEM_MAJOR
        .at::<u32>(peb)
        .write(headers.subsystem_version.0.into());
    SUBSYSTEM_MINOR
        .at::<u32>(peb)
        .write(headers.subsystem_version.1.into());

    let mut directory = startup.directory.to_owned();
    if !directory.ends_with('\\') {
        directory.push('\\');
    }
    // The current directory is changed in place, so its buffer has room for the longest path.
    let buffer = Ptr::<u16>::new(low::allocate(2 * 0x400, 8));
    let units: Vec<u16> = directory.encode_utf16().take(0x3fe).collect();
    buffer.write_many(&units);
    let path = UnicodeString {
        length: (units.len() * 2) as u16,
        maximum_length: 0x7fe,
        buffer,
    };
    let program_directory = startup
        .image_path
        .rsplit_once('\\')
        .map_or("", |(directory, _)| directory);
    parameters().write(Parameters {
        maximum_length: Parameters::size() as u32,
        length: Parameters::size() as u32,
        // RTL_USER_PROC_PARAMS_NORMALIZED
        flags: 1,
        debug_flags: 0,
        console_handle: Handle::NULL,
        console_flags: 0,
        standard_input: Handle::NULL,
        standard_output: Handle::NULL,
        standard_error: Handle::NULL,
        current_directory: CurrentDirectory {
            path,
            handle: Handle::NULL,
        },
        dll_path: allocate_unicode(program_directory),
        image_path: allocate_unicode(startup.image_path),
        command_line: allocate_unicode(startup.command_line),
        environment: allocate_units(startup.environment),
        window: [0; 6],
        fill_attribute: 0,
        window_flags: 0,
        show_window_flags: 0,
        window_title: allocate_unicode(startup.image_path),
        desktop_info: allocate_unicode("WinSta0\\Default"),
        shell_info: UnicodeString::empty(),
        runtime_data: runtime_data(startup.runtime_data),
        drive_directories: [[0; 3]; 32],
        environment_size: startup.environment.len() * 2,
        environment_version: 0,
    });
}
