//! `ntdll.dll`.

mod alpcpool;
pub mod files;
mod ldr;
pub mod objects;
mod ports;
pub mod processes;
mod rtlexception;
pub mod sections;
pub mod threadpool;
pub mod timerqueues;
