//! `ntdll.dll`.

mod activation;
mod afd;
mod alerts;
mod alpcpool;
pub mod devicecontrol;
pub mod directoryinformation;
pub mod fileinformation;
pub mod files;
pub mod iocompletion;
mod ldr;
pub mod objects;
mod ports;
pub mod processes;
mod registry;
mod routines32;
mod rtlexception;
mod rtlstring;
pub mod sections;
mod synchronization;
mod system;
pub mod threadpool;
pub mod timerqueues;
