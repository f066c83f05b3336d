//! Wine's memory as the injection sees it: the images of ntdll, and the block of code and exports beside each.

use super::exports::{Exports, Headers, Machine};
use super::inject::Refusal;
use super::maps::MappedImage;
use super::ntdll::Ntdll;

/// The mapped PE image.
pub struct Image<'a>(pub &'a MappedImage);

impl Image<'_> {
    /// Reads what the headers say and the export directory.
    pub fn exports(&self, machine: Machine) -> Result<(Headers, Exports<'_>), Refusal> {
        let headers = Headers::parse(self.bytes(0, PAGE)?, machine).ok_or(Refusal::Headers)?;
        let directory = self.bytes(headers.export_rva as usize, headers.export_size as usize)?;
        let exports = Exports::parse(directory, headers.export_rva).ok_or(Refusal::Exports)?;
        if exports.dll_name() != Some(b"ntdll.dll") {
            return Err(Refusal::Exports);
        }
        Ok((headers, exports))
    }

    /// Returns bytes of the image, if all of them are mapped and readable.
    pub fn bytes(&self, rva: usize, length: usize) -> Result<&[u8], Refusal> {
        let start = self.0.base + rva;
        if !self.0.is_readable(start..start + length) {
            return Err(Refusal::Unreadable);
        }
        // SAFETY: the range was just listed as readable. The process has one thread, and the parts read (headers,
        // exports, code) are written by nobody but this module, which holds no such slice then.
        Ok(unsafe { std::slice::from_raw_parts(start as *const u8, length) })
    }
}

/// Memory above an image: room for code, and behind it the longer export directory.
#[derive(Debug)]
pub struct Block {
    /// Its address.
    pub address: usize,
    /// How many exports are new.
    pub added: usize,
    /// Address of the header field that tells where the directory is.
    entry: usize,
    /// What it shall tell: RVA and size.
    directory: [u8; 8],
}

impl Block {
    /// Makes a block for `code_length` bytes of code, with exports at offsets in it.
    pub fn new(
        memory: &Memory<'_>,
        base: usize,
        (headers, exports): (&Headers, &Exports<'_>),
        code_length: usize,
        exported: impl Iterator<Item = (String, usize)>,
    ) -> Result<Block, Refusal> {
        let longer = exports.extend(exported).ok_or(Refusal::Exports)?;
        let code_length = code_length.next_multiple_of(PAGE);
        let size = longer.size();
        // In reach of an RVA and of a 32-bit jump from the image, and of the image's pointers.
        let end = (base as u64 + REACH).min(headers.machine.end_of_memory()) as usize;
        let from = base + headers.image_size as usize;
        let address = memory.allocate(from, end, code_length + size)?;
        let rva = (address - base) as u32;
        let directory_rva = rva + code_length as u32;
        memory.fill(address + code_length, size, PAGE_READONLY, |bytes| {
            longer.write(bytes, directory_rva, rva);
        })?;
        let mut directory = [0; 8];
        directory[..4].copy_from_slice(&directory_rva.to_le_bytes());
        directory[4..].copy_from_slice(&(size as u32).to_le_bytes());
        Ok(Block {
            address,
            added: longer.added(),
            entry: base + headers.directory_entry as usize,
            directory,
        })
    }

    /// Writes the code.
    pub fn fill(&self, memory: &Memory<'_>, code: &[u8]) -> Result<(), Refusal> {
        memory.fill(self.address, code.len(), PAGE_EXECUTE_READ, |bytes| {
            bytes.copy_from_slice(code);
        })
    }

    /// Lets the image's header lead to the longer directory.
    pub fn publish(&self, memory: &Memory<'_>) -> Result<(), Refusal> {
        match memory.patch(&[(self.entry, self.directory)]) {
            0 => Err(Refusal::NoMemory(0)),
            _ => Ok(()),
        }
    }
}

/// Wine's virtual memory calls.
pub struct Memory<'a> {
    /// Its functions.
    pub ntdll: &'a Ntdll,
}

impl Memory<'_> {
    /// Allocates writable memory between `from` and `end`.
    pub fn allocate(&self, from: usize, end: usize, length: usize) -> Result<usize, Refusal> {
        let mut last = 0;
        let end = end.saturating_sub(length);
        for address in (from.next_multiple_of(GRANULARITY)..end).step_by(1 << 20) {
            let (mut start, mut size) = (address, length);
            // SAFETY: process, base address, zero bits, size, type, protection; both pointers are to locals.
            last = unsafe {
                self.ntdll.call(
                    self.ntdll.NtAllocateVirtualMemory,
                    [
                        CURRENT_PROCESS,
                        &raw mut start as u64,
                        0,
                        &raw mut size as u64,
                        MEM_COMMIT_RESERVE,
                        u64::from(PAGE_READWRITE),
                    ],
                )
            };
            if last == 0 {
                return Ok(start);
            }
        }
        Err(Refusal::NoMemory(last))
    }

    /// Sets the protection of the pages of a range and returns the one its first page had.
    fn protect(&self, address: usize, length: usize, protection: u32) -> Result<u32, Refusal> {
        let (mut start, mut size, mut previous) = (address, length, 0_u32);
        // SAFETY: process, base address, size, protection, old protection; the pointers are to locals.
        let status = unsafe {
            self.ntdll.call(
                self.ntdll.NtProtectVirtualMemory,
                [
                    CURRENT_PROCESS,
                    &raw mut start as u64,
                    &raw mut size as u64,
                    u64::from(protection),
                    &raw mut previous as u64,
                ],
            )
        };
        if status == 0 {
            Ok(previous)
        } else {
            Err(Refusal::NoMemory(status))
        }
    }

    /// Lets `write` fill fresh memory and gives it its final protection.
    pub fn fill(
        &self,
        address: usize,
        length: usize,
        protection: u32,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), Refusal> {
        // SAFETY: the caller passes part of a block that `allocate_above` made writable and nobody else knows yet.
        write(unsafe { std::slice::from_raw_parts_mut(address as *mut u8, length) });
        self.protect(address, length, protection).map(drop)
    }

    /// Writes into the image, keeping its protection; returns how many of the patches are there. Those on adjacent pages
    /// share the changes of protection.
    pub fn patch<const N: usize>(&self, patches: &[(usize, [u8; N])]) -> usize {
        let mut sorted: Vec<_> = patches.iter().collect();
        sorted.sort_unstable_by_key(|(address, _)| *address);
        let page = |address: usize| address / PAGE;
        let runs = sorted.chunk_by(|a, b| page(b.0) - page(a.0 + N - 1) <= 1);
        runs.filter(|run| self.patch_run(run).is_ok())
            .map(<[_]>::len)
            .sum()
    }

    fn patch_run<const N: usize>(&self, run: &[&(usize, [u8; N])]) -> Result<(), Refusal> {
        let (Some((start, _)), Some((last, _))) = (run.first(), run.last()) else {
            return Ok(());
        };
        let length = last + N - start;
        let previous = self.protect(*start, length, PAGE_READWRITE)?;
        for (address, bytes) in run {
            // SAFETY: 1. The pages were just made writable. 2. There is one thread and it runs none of this image's
            // code. 3. No slice of these bytes is alive.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), *address as *mut u8, N) };
        }
        self.protect(*start, length, previous).map(drop)
    }
}

const PAGE: usize = 0x1000;
const GRANULARITY: usize = 0x1_0000;
const REACH: u64 = 0x7000_0000;
const CURRENT_PROCESS: u64 = u64::MAX;
const MEM_COMMIT_RESERVE: u64 = 0x3000;
const PAGE_READONLY: u32 = 0x02;
const PAGE_READWRITE: u32 = 0x04;
const PAGE_EXECUTE_READ: u32 = 0x20;
