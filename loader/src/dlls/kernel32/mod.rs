//! `kernel32.dll` and `kernelbase.dll`.

mod critical_section;
mod errhandlingapi;
mod handleapi;
pub mod heapapi;
mod memoryapi;
pub mod processthreadsapi;
mod srw;
mod stringapiset;
pub mod synchapi;
mod sysinfoapi;
