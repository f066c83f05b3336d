//! The old string functions of `winbase.h`.

use crate::export::Ptr;
use crate::win_api;

fn compare<T: Ord>(first: Vec<T>, second: Vec<T>) -> i32 {
    first.cmp(&second) as i32
}

fn folded(units: Vec<u16>) -> Vec<u16> {
    units.into_iter().map(crate::ob::name::upcase).collect()
}

win_api! {
    /// Copies a string.
    "kernel32.dll|kernelbase.dll" stdcall fn lstrcpyA(to: Ptr<u8>, from: Ptr<u8>) -> Ptr<u8> {
        let mut bytes = from.read_c_string();
        bytes.push(0);
        to.write_bytes(&bytes);
        to
    }

    /// Copies a string.
    "kernel32.dll|kernelbase.dll" stdcall fn lstrcpyW(to: Ptr<u16>, from: Ptr<u16>) -> Ptr<u16> {
        let mut units = from.read_wide_string();
        units.push(0);
        to.write_many(&units);
        to
    }

    /// Copies at most `count - 1` elements of a string.
    "kernel32.dll|kernelbase.dll" stdcall fn lstrcpynA(to: Ptr<u8>, from: Ptr<u8>, count: i32) -> Ptr<u8> {
        let mut bytes = from.read_c_string();
        bytes.truncate(usize::try_from(count - 1).unwrap_or(0));
        bytes.push(0);
        to.write_bytes(&bytes);
        to
    }

    /// Copies at most `count - 1` elements of a string.
    "kernel32.dll|kernelbase.dll" stdcall fn lstrcpynW(to: Ptr<u16>, from: Ptr<u16>, count: i32) -> Ptr<u16> {
        let mut units = from.read_wide_string();
        units.truncate(usize::try_from(count - 1).unwrap_or(0));
        units.push(0);
        to.write_many(&units);
        to
    }

    /// Appends a string.
    "kernel32.dll|kernelbase.dll" stdcall fn lstrcatA(to: Ptr<u8>, from: Ptr<u8>) -> Ptr<u8> {
        lstrcpyA(to.add(to.read_c_string().len()), from);
        to
    }

    /// Appends a string.
    "kernel32.dll|kernelbase.dll" stdcall fn lstrcatW(to: Ptr<u16>, from: Ptr<u16>) -> Ptr<u16> {
        lstrcpyW(to.add(to.read_wide_string().len()), from);
        to
    }

    /// Compares strings.
    "kernel32.dll|kernelbase.dll" stdcall fn lstrcmpA(first: Ptr<u8>, second: Ptr<u8>) -> i32 {
        compare(first.read_c_string(), second.read_c_string())
    }

    /// Compares strings.
    "kernel32.dll|kernelbase.dll" stdcall fn lstrcmpW(first: Ptr<u16>, second: Ptr<u16>) -> i32 {
        compare(first.read_wide_string(), second.read_wide_string())
    }

    /// Compares strings without regard to case.
    "kernel32.dll|kernelbase.dll" stdcall fn lstrcmpiA(first: Ptr<u8>, second: Ptr<u8>) -> i32 {
        compare(first.read_c_string().to_ascii_uppercase(), second.read_c_string().to_ascii_uppercase())
    }

    /// Compares strings without regard to case.
    "kernel32.dll|kernelbase.dll" stdcall fn lstrcmpiW(first: Ptr<u16>, second: Ptr<u16>) -> i32 {
        compare(folded(first.read_wide_string()), folded(second.read_wide_string()))
    }
}
