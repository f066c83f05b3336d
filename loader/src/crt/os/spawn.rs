//! Starting processes.

use ntlpc_abi::{Handle, UserPtr};

use super::{address, result};
use crate::crt::malloc;
use crate::dlls::kernel32::create_process::CreateProcessW;
use crate::dlls::kernel32::namedpipeapi::CreatePipe;
use crate::dlls::kernel32::processenv::{StartupInfo, USE_STANDARD_HANDLES};
use crate::dlls::kernel32::processthreadsapi::{GetExitCodeProcess, ProcessInformation};
use crate::dlls::kernel32::synchapi::{SecurityAttributes, WaitForSingleObject};
use crate::export::{Bool, Guest, Ptr};

/// What a new process gets.
#[derive(Debug)]
pub struct Process<'a> {
    /// Path of the image.
    pub image: &'a [u16],
    /// Command line.
    pub command_line: &'a [u16],
    /// Variables, each with its NUL; without, those of this process.
    pub environment: Option<&'a [u16]>,
    /// Standard input, output and error.
    pub standard: [Handle; 3],
    /// What the child's runtime reads ([`inherit`](crate::crt::inherit)).
    pub runtime_data: &'a [u8],
    /// `CREATE_*` and `DETACHED_PROCESS`.
    pub flags: u32,
}

/// Starts a process; returns its handle.
pub fn start(process: &Process<'_>) -> Result<Handle, u32> {
    const UNICODE_ENVIRONMENT: u32 = 0x400;
    let terminated = |text: &[u16]| [text, &[0]].concat();
    let image = terminated(process.image);
    let command_line = terminated(process.command_line);
    let environment = process.environment.map(terminated);
    let [standard_input, standard_output, standard_error] = process.standard;
    // The structure holds its address, so on i386 it must lie low.
    let runtime_data = malloc::malloc(process.runtime_data.len());
    if !runtime_data.is_null() {
        runtime_data.write_bytes(process.runtime_data);
    }
    let mut startup_place = [0_u64; 16];
    let startup = Ptr::<StartupInfo>::new(address(&mut startup_place));
    startup.write(StartupInfo {
        size: StartupInfo::size() as u32,
        flags: USE_STANDARD_HANDLES,
        standard_input,
        standard_output,
        standard_error,
        reserved2_size: if runtime_data.is_null() {
            0
        } else {
            process.runtime_data.len() as u16
        },
        reserved2: runtime_data.user(),
        ..startup.read()
    });
    let mut information_place = [0_u64; 3];
    let information = Ptr::<ProcessInformation>::new(address(&mut information_place));
    let environment_at = environment
        .as_ref()
        .map_or(0, |block| block.as_ptr() as u64);
    let done = result(CreateProcessW(
        Ptr::new(image.as_ptr() as u64),
        Ptr::new(command_line.as_ptr() as u64),
        Ptr::NULL,
        Ptr::NULL,
        Bool::TRUE,
        process.flags | UNICODE_ENVIRONMENT,
        UserPtr(environment_at),
        Ptr::NULL,
        startup,
        information,
    ));
    malloc::free(runtime_data);
    done?;
    let made = information.read();
    super::close(made.thread)?;
    Ok(made.process)
}

/// Waits for a process to end and returns its exit code.
pub fn wait(process: Handle) -> Result<u32, u32> {
    const INFINITE: u32 = u32::MAX;
    const FAILED: u32 = u32::MAX;
    if WaitForSingleObject(process, INFINITE) == FAILED {
        return Err(crate::dlls::kernel32::errhandlingapi::GetLastError());
    }
    let mut code = 0_u32;
    result(GetExitCodeProcess(process, Ptr::new(address(&mut code))))?;
    Ok(code)
}

/// Makes a pipe; returns the ends for reading and writing.
pub fn pipe(inherit: bool) -> Result<[Handle; 2], u32> {
    let mut attributes_place = [0_u64; 3];
    let attributes = Ptr::<SecurityAttributes>::new(address(&mut attributes_place));
    attributes.write(SecurityAttributes {
        length: SecurityAttributes::size() as u32,
        security_descriptor: UserPtr::NULL,
        inherit_handle: i32::from(inherit),
    });
    let mut ends = [0_u64; 2];
    let [read, write] = [0, 1].map(|index| Ptr::new(&raw mut ends[index] as u64));
    result(CreatePipe(read, write, attributes, 0))?;
    Ok([read, write].map(Ptr::read))
}
