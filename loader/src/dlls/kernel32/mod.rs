//! `kernel32.dll` and `kernelbase.dll`.

mod consoleapi;
mod create_process;
pub mod critical_section;
pub mod errhandlingapi;
mod fibersapi;
pub mod fileapi;
mod fileinfo;
mod filesystem;
mod format_message;
pub mod handleapi;
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
