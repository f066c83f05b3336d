//! `version.dll`: version information of files.

mod block;
mod file;
mod winver;
