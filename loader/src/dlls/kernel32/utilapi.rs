//! Small things: pointers, lists, versions: `utilapiset.h`, `interlockedapi.h`, `werapi.h`, `winbase.h`.

use std::sync::atomic::{AtomicU32, Ordering};

use ntlpc_abi::{UserPtr, Width};

use crate::dlls::win32::{error, refuse};
use crate::export::{Bool, Ptr};
use crate::guest::atomic_u64;
use crate::guest_struct;
use crate::peb;
use crate::{width, win_api};

guest_struct! {
    /// The fixed part of `OSVERSIONINFOEXW`, `OSVERSIONINFOEXA`.
    pub struct OsVersionInfo {
        size: u32,
        major: u32,
        minor: u32,
        build: u32,
        platform: u32,
    }
}

static WER_FLAGS: AtomicU32 = AtomicU32::new(0);

/// The list header: pointer in the low word, then depth and sequence (x64: 16 bytes, x86: 8).
///
/// A lock in the low bit of the first word keeps pushes and pops apart; entries are at least 8-aligned.
fn with_list<T>(head: u64, act: impl FnOnce(u64) -> (u64, T)) -> T {
    let word = atomic_u64(head);
    loop {
        let seen = word.load(Ordering::Acquire);
        if seen & 1 == 0
            && word
                .compare_exchange(seen, seen | 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        {
            let (new, value) = act(seen);
            word.store(new, Ordering::Release);
            return value;
        }
        std::hint::spin_loop();
    }
}

/// Packs first entry, depth and sequence into the header word.
const fn list_word(first: u64, depth: u64) -> u64 {
    // Addresses have 47 bits, entries are 8-aligned: 48 bits of address, 15 of depth above, bit 0 is the lock.
    first | depth << 48
}

fn first_of(word: u64) -> u64 {
    word & 0xFFFF_FFFF_FFFE
}

/// Describes the version: the fixed part, an empty service pack of `text` bytes and, where the structure has exactly
/// that size, the extended part. Returns whether the size is one of the two.
fn version_info(to: Ptr<OsVersionInfo>, text: usize) -> bool {
    let (plain, extended) = (FIXED + text, FIXED + text + EXTENDED);
    let size = to.read().size as usize;
    if size != plain && size != extended {
        return false;
    }
    write_version(to, size - FIXED);
    if size == extended {
        // wProductType: VER_NT_WORKSTATION
        to.byte_add((plain + 6) as u64).cast::<u8>().write(1);
    }
    true
}

/// `GetVersionEx` with `text` bytes of text.
fn asked_version(to: Ptr<OsVersionInfo>, text: usize) -> Bool {
    if version_info(to, text) {
        Bool::TRUE
    } else {
        refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE)
    }
}

/// Bytes of the fixed part, of `szCSDVersion`, and of what `OSVERSIONINFOEXW` has behind it.
const FIXED: usize = 20;
const WIDE: usize = 256;
const NARROW: usize = 128;
const EXTENDED: usize = 8;

/// Writes the fixed part, and zeros to the `rest` bytes behind it.
fn write_version(to: Ptr<OsVersionInfo>, rest: usize) {
    let (major, minor, build) = peb::VERSION;
    to.write(OsVersionInfo {
        size: to.read().size,
        major,
        minor,
        build: build.into(),
        platform: 2,
    });
    to.byte_add(FIXED as u64)
        .cast::<u8>()
        .write_bytes(&vec![0; rest]);
}

/// `VER_MINORVERSION`, `VER_MAJORVERSION`, `VER_BUILDNUMBER`, `VER_PLATFORMID`, `VER_SERVICEPACK*`, `VER_PRODUCT_TYPE`.
fn verify(info: OsVersionInfo, mask: u32, conditions: u64) -> bool {
    let (major, minor, build) = peb::VERSION;
    // Three bits of condition for each bit of the mask, in its order.
    let condition = |bit: u32| (conditions >> (3 * bit)) & 7;
    let holds = |ours: u32, theirs: u32, condition: u64| match condition {
        1 => ours == theirs,
        2 => ours > theirs,
        3 => ours >= theirs,
        4 => ours < theirs,
        5 => ours <= theirs,
        _ => false,
    };
    let checks_major = mask & 2 != 0;
    if checks_major && major != info.major {
        // The minor version only decides between equal major ones.
        return holds(major, info.major, condition(1));
    }
    (mask & 1 == 0 || holds(minor, info.minor, condition(0)))
        && (!checks_major || holds(major, info.major, condition(1)))
        && (mask & 4 == 0 || holds(build.into(), info.build, condition(2)))
        && (mask & 8 == 0 || holds(2, info.platform, condition(3)))
}

fn verified(info: Ptr<OsVersionInfo>, mask: u32, conditions: u64) -> Bool {
    // ERROR_OLD_WIN_VERSION
    if verify(info.read(), mask, conditions) {
        Bool::TRUE
    } else {
        refuse(1150, Bool::FALSE)
    }
}

win_api! {
    /// Hides a pointer; nothing here is hidden from the guest anyway.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn EncodePointer = "EncodePointer|DecodePointer|EncodeSystemPointer|DecodeSystemPointer|RtlEncodePointer|RtlDecodePointer" (pointer: UserPtr) -> UserPtr {
        pointer
    }

    /// Empties a list.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn InitializeSListHead = "InitializeSListHead|RtlInitializeSListHead" (head: Ptr<u64>) {
        head.write(0);
        if width() == Width::X64 {
            head.add(1).write(0);
        }
    }

    /// Puts an entry in front; returns the one that was there.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn InterlockedPushEntrySList = "InterlockedPushEntrySList|RtlInterlockedPushEntrySList" (head: Ptr<u64>, entry: Ptr<UserPtr>) -> UserPtr {
        with_list(head.address(), |word| {
            let first = UserPtr(first_of(word));
            entry.write(first);
            (list_word(entry.address(), (word >> 48) + 1), first)
        })
    }

    /// Takes the first entry.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn InterlockedPopEntrySList = "InterlockedPopEntrySList|RtlInterlockedPopEntrySList" (head: Ptr<u64>) -> UserPtr {
        with_list(head.address(), |word| match first_of(word) {
            0 => (word, UserPtr::NULL),
            first => {
                let next = Ptr::<UserPtr>::new(first).read();
                (list_word(next.0, (word >> 48) - 1), UserPtr(first))
            }
        })
    }

    /// Takes all entries.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn InterlockedFlushSList = "InterlockedFlushSList|RtlInterlockedFlushSList" (head: Ptr<u64>) -> UserPtr {
        with_list(head.address(), |word| (0, UserPtr(first_of(word))))
    }

    /// Returns the number of entries.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn QueryDepthSList = "QueryDepthSList|RtlQueryDepthSList" (head: Ptr<u64>) -> u16 {
        (head.read() >> 48) as u16
    }

    /// Sets the flags of error reporting, which there is none of.
    "kernel32.dll|kernelbase.dll" stdcall fn WerSetFlags(flags: u32) -> u32 {
        WER_FLAGS.store(flags, Ordering::Relaxed);
        0
    }

    /// Reads the flags of error reporting.
    "kernel32.dll|kernelbase.dll" stdcall fn WerGetFlags(_process: ntlpc_abi::Handle, flags: Ptr<u32>) -> u32 {
        flags.write(WER_FLAGS.load(Ordering::Relaxed));
        0
    }

    /// Describes the Windows version.
    "kernel32.dll|kernelbase.dll" stdcall fn GetVersionExW(info: Ptr<OsVersionInfo>) -> Bool {
        asked_version(info, WIDE)
    }

    /// Describes the Windows version.
    "kernel32.dll|kernelbase.dll" stdcall fn GetVersionExA(info: Ptr<OsVersionInfo>) -> Bool {
        asked_version(info, NARROW)
    }

    /// Describes the Windows version. Never fails; programs leave the size uninitialised (libuv before 1.52, libuv#5107).
    "ntdll.dll" stdcall fn RtlGetVersion(info: Ptr<OsVersionInfo>) -> ntlpc_abi::NtStatus {
        if !version_info(info, WIDE) {
            write_version(info, WIDE);
        }
        ntlpc_abi::NtStatus::SUCCESS
    }

    /// Returns the Windows version: major, minor, build with the mark of a free build.
    "ntdll.dll" stdcall fn RtlGetNtVersionNumbers(major: Ptr<u32>, minor: Ptr<u32>, build: Ptr<u32>) {
        let version = peb::VERSION;
        major.write_if_some(version.0);
        minor.write_if_some(version.1);
        build.write_if_some(u32::from(version.2) | 0xF000_0000);
    }

    /// Returns the Windows version: major, minor, build.
    "kernel32.dll|kernelbase.dll" stdcall fn GetVersion() -> u32 {
        let (major, minor, build) = peb::VERSION;
        major | minor << 8 | u32::from(build) << 16
    }

    /// Adds a comparison to a mask for `VerifyVersionInfo`.
    "kernel32.dll|kernelbase.dll|ntdll.dll" stdcall fn VerSetConditionMask(conditions: u64, kinds: u32, condition: u8) -> u64 {
        (0..8).filter(|bit| kinds >> bit & 1 != 0).fold(conditions, |mask, bit| mask | u64::from(condition & 7) << (3 * bit))
    }

    /// Compares the Windows version.
    "kernel32.dll|kernelbase.dll" stdcall fn VerifyVersionInfoW = "VerifyVersionInfoW|VerifyVersionInfoA" (info: Ptr<OsVersionInfo>, mask: u32, conditions: u64) -> Bool {
        verified(info, mask, conditions)
    }

    /// Returns whether a debugger is attached: never.
    "kernel32.dll|kernelbase.dll" stdcall fn CheckRemoteDebuggerPresent(_process: ntlpc_abi::Handle, answer: Ptr<i32>) -> Bool {
        answer.write(0);
        Bool::TRUE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_last_in_first_out() {
        let head = Box::leak(Box::new([0_u64; 2])).as_ptr().addr() as u64;
        let entries: Vec<u64> = (0..3)
            .map(|_| Box::leak(Box::new([0_u64; 2])).as_ptr().addr() as u64)
            .collect();
        for &entry in &entries {
            InterlockedPushEntrySList(Ptr::new(head), Ptr::new(entry));
        }
        assert_eq!(QueryDepthSList(Ptr::new(head)), 3);
        assert_eq!(
            InterlockedPopEntrySList(Ptr::new(head)),
            UserPtr(entries[2])
        );
        assert_eq!(InterlockedFlushSList(Ptr::new(head)), UserPtr(entries[1]));
        assert_eq!(InterlockedPopEntrySList(Ptr::new(head)), UserPtr::NULL);
    }

    #[test]
    fn versions_compare_major_first() {
        let info = |major, minor| OsVersionInfo {
            size: 0,
            major,
            minor,
            build: 0,
            platform: 2,
        };
        let conditions = VerSetConditionMask(VerSetConditionMask(0, 2, 3), 1, 3);
        assert!(verify(info(6, 3), 3, conditions) && verify(info(10, 0), 3, conditions));
        assert!(!verify(info(10, 1), 3, conditions) && !verify(info(11, 0), 3, conditions));
    }
}
