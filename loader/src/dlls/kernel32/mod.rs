//! `kernel32.dll` and `kernelbase.dll`.

mod errhandlingapi;
