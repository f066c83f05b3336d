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

/// Text of a version the guest may ask for: the fixed part, an empty service pack, and the extended part.
fn version_info(to: Ptr<OsVersionInfo>, is_wide: bool) -> Bool {
    let size = to.read().size;
    let text = if is_wide { 256 } else { 128 };
    if (size as usize) < 20 + text {
        return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
    }
    let (major, minor, build) = peb::VERSION;
    to.write(OsVersionInfo {
        size,
        major,
        minor,
        build: build.into(),
        platform: 2,
    });
    let mut rest = vec![0_u8; size as usize - 20];
    if rest.len() >= text + 8 {
        // wProductType: VER_NT_WORKSTATION
        rest[text + 6] = 1;
    }
    to.byte_add(20).cast::<u8>().write_bytes(&rest);
    Bool::TRUE
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
        version_info(info, true)
    }

    /// Describes the Windows version.
    "kernel32.dll|kernelbase.dll" stdcall fn GetVersionExA(info: Ptr<OsVersionInfo>) -> Bool {
        version_info(info, false)
    }

    /// Describes the Windows version.
    "ntdll.dll" stdcall fn RtlGetVersion(info: Ptr<OsVersionInfo>) -> ntlpc_abi::NtStatus {
        version_info(info, true);
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
