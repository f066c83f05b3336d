//! Blocks of memory.

use crate::crt::errno::{self, code};
use crate::crt::{locale, mem};
use crate::export::Ptr;
use crate::win_api;

/// Size limit above which the checked functions call a size a mistake.
const RSIZE_MAX: usize = usize::MAX >> 1;

win_api! {
    /// Copies bytes.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll|ntdll.dll" cdecl fn memcpy = "memcpy|memmove" (to: Ptr<u8>, from: Ptr<u8>, count: usize) -> Ptr<u8> {
        mem::copy(to.address(), from.address(), count);
        to
    }

    /// Fills bytes.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll|ntdll.dll" cdecl fn memset(to: Ptr<u8>, byte: i32, count: usize) -> Ptr<u8> {
        mem::fill(to.address(), byte.to_le_bytes()[0], count);
        to
    }

    /// Compares bytes.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll|ntdll.dll" cdecl fn memcmp(left: Ptr<u8>, right: Ptr<u8>, count: usize) -> i32 {
        mem::compare(left.address(), right.address(), count)
    }

    /// Finds a byte.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll|ntdll.dll" cdecl fn memchr(at: Ptr<u8>, byte: i32, count: usize) -> Ptr<u8> {
        mem::find(at.address(), byte.to_le_bytes()[0], count).map_or(Ptr::NULL, Ptr::new)
    }

    /// Compares bytes without regard to case.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn _memicmp = "_memicmp|_memicmp_l" (left: Ptr<u8>, right: Ptr<u8>, count: usize) -> i32 {
        let lower = |at: Ptr<u8>| locale::to_lower_narrow(u32::from(at.read()));
        (0..count).map(|i| lower(left.add(i)).cmp(&lower(right.add(i)))).find(|o| o.is_ne()).map_or(0, super::sign)
    }

    /// Copies bytes up to and including the first `byte`; returns where the copy ends, or NULL.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn _memccpy(to: Ptr<u8>, from: Ptr<u8>, byte: i32, count: usize) -> Ptr<u8> {
        let stop = byte.to_le_bytes()[0];
        for index in 0..count {
            let value = from.add(index).read();
            to.add(index).write(value);
            if value == stop {
                return to.add(index + 1);
            }
        }
        Ptr::NULL
    }

    /// Copies bytes if they fit.
    "msvcrt.dll|ucrtbase.dll" cdecl fn memcpy_s(to: Ptr<u8>, size: usize, from: Ptr<u8>, count: usize) -> i32 {
        if count == 0 {
            return 0;
        }
        if to.is_null() {
            return errno::invalid_parameter();
        }
        if from.is_null() || count > size {
            mem::fill(to.address(), 0, size);
            return errno::invalid(if from.is_null() { code::EINVAL } else { code::ERANGE });
        }
        mem::copy(to.address(), from.address(), count);
        0
    }

    /// Copies bytes if they fit; the blocks may overlap.
    "msvcrt.dll|ucrtbase.dll" cdecl fn memmove_s(to: Ptr<u8>, size: usize, from: Ptr<u8>, count: usize) -> i32 {
        if count == 0 {
            return 0;
        }
        if to.is_null() || from.is_null() {
            return errno::invalid_parameter();
        }
        if count > size || size > RSIZE_MAX {
            return errno::invalid(code::ERANGE);
        }
        mem::copy(to.address(), from.address(), count);
        0
    }

    /// Exchanges the bytes of each pair.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _swab(from: Ptr<u8>, to: Ptr<u8>, count: i32) {
        for pair in 0..usize::try_from(count).unwrap_or(0) / 2 {
            let (first, second) = (from.add(2 * pair).read(), from.add(2 * pair + 1).read());
            to.add(2 * pair).write(second);
            to.add(2 * pair + 1).write(first);
        }
    }
}
