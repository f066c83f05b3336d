//! `dbghelp.dll`: symbols and stacks of this process.

mod coff;
mod modules;
mod symbols;
mod walk;
