//! The local descriptor table of the process: which entries threads have.
//!
//! Source: man 2 modify_ldt; Linux `arch/x86/include/uapi/asm/ldt.h`.
#![allow(unsafe_code, reason = "writes descriptors")]

use std::io;

use parking_lot::Mutex;

/// `LDT_ENTRIES`.
const ENTRIES: usize = 8192;

/// Which entries are taken, a bit each. The lowest free one is taken first: the kernel copies the whole table, up to
/// the highest entry ever used, whenever one is written.
#[derive(Debug)]
struct Taken([u64; ENTRIES / 64]);

static TAKEN: Mutex<Taken> = Mutex::new(Taken([0; ENTRIES / 64]));

impl Taken {
    fn take(&mut self) -> Option<u16> {
        let word = self.0.iter().position(|&word| word != u64::MAX)?;
        let bit = self.0[word].trailing_ones() as usize;
        self.0[word] |= 1 << bit;
        Some((word * 64 + bit) as u16)
    }

    fn give_back(&mut self, index: u16) {
        self.0[usize::from(index) / 64] &= !(1 << (index % 64));
    }
}

/// `struct user_desc`.
#[repr(C)]
struct UserDesc {
    entry_number: u32,
    base_addr: u32,
    limit: u32,
    flags: u32,
}

/// `seg_32bit`, `limit_in_pages`, `useable`: data that may be written.
const DATA_OF_4_GIB: u32 = 1 | 1 << 4 | 1 << 6;
/// `read_exec_only`, `seg_not_present`: with base and limit 0, no descriptor.
const EMPTY: u32 = 1 << 3 | 1 << 5;

/// Makes a descriptor of data from `base` on and returns its index.
///
/// # Errors
/// All entries are taken, or the kernel refuses.
pub fn allocate(base: u32) -> io::Result<u16> {
    let index = TAKEN.lock().take();
    let index = index.ok_or_else(|| io::Error::other("no descriptor left"))?;
    let descriptor = UserDesc {
        entry_number: index.into(),
        base_addr: base,
        limit: 0xf_ffff,
        flags: DATA_OF_4_GIB,
    };
    write(&descriptor).inspect_err(|_| TAKEN.lock().give_back(index))?;
    Ok(index)
}

/// Takes a descriptor out of the table. The thread it was made for has loaded other selectors.
pub fn free(index: u16) {
    let empty = UserDesc {
        entry_number: index.into(),
        base_addr: 0,
        limit: 0,
        flags: EMPTY,
    };
    // One that cannot be emptied is not used again.
    if write(&empty).is_ok() {
        TAKEN.lock().give_back(index);
    }
}

/// Returns the selector of a descriptor, for code of user level.
pub fn selector(index: u16) -> u16 {
    index << 3 | 7
}

fn write(descriptor: &UserDesc) -> io::Result<()> {
    /// Write an entry, in the present format.
    const WRITE: i32 = 0x11;
    let (address, size) = (std::ptr::from_ref(descriptor), size_of::<UserDesc>());
    // SAFETY: the kernel reads one structure. No selector of this entry is loaded but by host threads that inherited GS,
    // which they never use; the base is a TEB's, for the thread that will load it.
    let status = unsafe { libc::syscall(libc::SYS_modify_ldt, WRITE, address, size) };
    match status {
        0 => Ok(()),
        -1 => Err(io::Error::last_os_error()),
        // The error comes as 32 bits, which libc takes for a result (pe32.md §1.1).
        error => Err(io::Error::from_raw_os_error((error as i32).wrapping_neg())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_taken_once_and_the_lowest_first() {
        let mut taken = Taken([0; ENTRIES / 64]);
        for index in 0..ENTRIES {
            assert_eq!(taken.take().map(usize::from), Some(index));
        }
        assert_eq!(taken.take(), None);
        taken.give_back(8191);
        taken.give_back(5);
        assert_eq!((taken.take(), taken.take()), (Some(5), Some(8191)));
        assert_eq!(taken.take(), None);
    }

    #[test]
    fn a_refusal_has_its_error_number() {
        let beyond = UserDesc {
            entry_number: ENTRIES as u32,
            base_addr: 0,
            limit: 0,
            flags: EMPTY,
        };
        let error = write(&beyond).expect_err("entries end at 8191");
        let number = error.raw_os_error();
        assert!(
            [Some(libc::EINVAL), Some(libc::ENOSYS), Some(libc::EPERM)].contains(&number),
            "{error}"
        );
    }
}
