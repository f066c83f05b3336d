//! `kernel32.dll` and `kernelbase.dll`.

mod consoleapi;
mod create_process;
mod critical_section;
mod errhandlingapi;
mod fibersapi;
pub mod fileapi;
mod fileinfo;
mod filesystem;
mod format_message;
mod handleapi;
pub mod heapapi;
mod ioapi;
mod jobapi;
pub(crate) mod libloaderapi;
mod lstr;
mod memoryapi;
mod namedpipeapi;
pub mod processenv;
pub mod processthreadsapi;
mod srw;
mod stringapiset;
pub mod synchapi;
mod sysinfoapi;
mod threadcontext;
mod utilapi;
mod volume;
mod winnls;
