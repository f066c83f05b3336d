//! Reading and judging the headers of an image file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use goblin::pe::header::CoffHeader;
use goblin::pe::optional_header::OptionalHeader;
use ntlpc_abi::Width;
use scroll::Pread;
use thiserror::Error;

/// Why a file cannot be run; the text is what the user sees.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The file could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No `MZ` or no `PE\0\0`.
    #[error("not a PE file ({0})")]
    NotPe(&'static str),
    /// A machine this host does not run.
    #[error("built for {0}; only x86-64 and i386 programs run here")]
    Machine(String),
    /// Not a program for users: .NET, driver, boot code.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The file ends before a part its headers name.
    #[error("truncated: {0} ends at {1:#x}, the file at {2:#x}")]
    Truncated(String, u64, u64),
    /// A header field that cannot be true.
    #[error("damaged headers: {0}")]
    Damaged(String),
    /// The image cannot lie where it must.
    #[error("cannot be mapped: {0}")]
    NoRoom(String),
}

/// Returns a [`ImageError::Damaged`] with formatted text.
macro_rules! damaged {
    ($($format:tt)*) => { $crate::image::ImageError::Damaged(format!($($format)*)) };
}
pub(super) use damaged;

/// Indexes of the data directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in the PE specification")]
pub enum Directory {
    Export = 0,
    Import = 1,
    Resource = 2,
    Exception = 3,
    BaseRelocation = 5,
    Tls = 9,
    LoadConfig = 10,
    DelayImport = 13,
    Clr = 14,
}

/// One section.
#[derive(Clone, Debug)]
pub struct Section {
    /// First byte in the image.
    pub rva: u32,
    /// Bytes in memory.
    pub size: u32,
    /// First byte in the file.
    pub file_offset: u32,
    /// Bytes in the file that are loaded.
    pub file_size: u32,
    /// `IMAGE_SCN_*`.
    pub characteristics: u32,
}

impl Section {
    /// `IMAGE_SCN_MEM_EXECUTE`.
    pub const EXECUTE: u32 = 0x2000_0000;
    /// `IMAGE_SCN_MEM_READ`.
    pub const READ: u32 = 0x4000_0000;
    /// `IMAGE_SCN_MEM_WRITE`.
    pub const WRITE: u32 = 0x8000_0000;
}

/// Everything the loader needs from the headers, checked.
#[derive(Clone, Debug)]
pub struct Headers {
    /// Pointer width of the code.
    pub width: Width,
    /// Address the image was linked for.
    pub image_base: u64,
    /// Bytes in memory, a multiple of the page size.
    pub size: u32,
    /// Bytes of headers mapped at the start.
    pub headers_size: u32,
    /// Entry point, 0 if none.
    pub entry: u32,
    /// Whether this is a DLL.
    pub is_dll: bool,
    /// Whether the image may be moved.
    pub has_relocations: bool,
    /// Whether addresses above 2 GiB are acceptable to the program.
    #[allow(
        dead_code,
        reason = "decides how high a 32-bit program may be given memory"
    )]
    pub is_large_address_aware: bool,
    /// `IMAGE_SUBSYSTEM_*`.
    pub subsystem: u16,
    /// Required version of the subsystem.
    pub subsystem_version: (u16, u16),
    /// Bytes of address space of a thread's stack.
    pub stack_reserve: u64,
    /// Link time.
    pub time_stamp: u32,
    /// Sections in order of address.
    pub sections: Vec<Section>,
    directories: [(u32, u32); 16],
}

/// Bytes read at first; headers of real images are smaller.
const FIRST_READ: usize = 0x2000;
/// Largest acceptable `SizeOfHeaders` and `e_lfanew`.
const MAX_HEADERS: u32 = 0x10_0000;
/// `SizeOfImage` up to which an image is believed.
const MAX_IMAGE: u32 = 0x7fff_0000;
/// The NT loader accepts no more sections. Source: Microsoft Learn, "PE Format", "COFF File Header".
const MAX_SECTIONS: u16 = 96;
const PAGE: u32 = 0x1000;

impl Headers {
    /// Reads and checks the headers of an open file.
    pub fn read(file: &File) -> Result<Headers, ImageError> {
        let file_len = file.metadata()?.len();
        let mut bytes = read_prefix(file, FIRST_READ)?;
        if bytes.get(..2) != Some(b"MZ") {
            return Err(ImageError::NotPe("no MZ signature"));
        }
        let at: u32 = field(&bytes, 0x3c)?;
        if at > MAX_HEADERS {
            return Err(ImageError::NotPe("the PE header lies beyond 1 MiB"));
        }
        // Room for the largest optional header and section table the checks below allow.
        let needed = at as usize + 24 + 0x10000 + usize::from(MAX_SECTIONS) * 40;
        if needed > bytes.len() && (bytes.len() as u64) < file_len {
            bytes = read_prefix(file, needed)?;
        }
        Self::parse(&bytes, at as usize, file_len)
    }

    fn parse(bytes: &[u8], at: usize, file_len: u64) -> Result<Headers, ImageError> {
        if bytes.get(at..at + 4) != Some(b"PE\0\0") {
            return Err(ImageError::NotPe("no PE signature"));
        }
        let mut offset = at + 4;
        let coff = CoffHeader::parse(bytes, &mut offset)
            .map_err(|error| damaged!("file header: {error}"))?;
        check_machine(coff.machine)?;
        if coff.characteristics & goblin::pe::characteristic::IMAGE_FILE_EXECUTABLE_IMAGE == 0 {
            return Err(ImageError::Unsupported(
                "not an executable image (an object file or a failed link)",
            ));
        }
        let optional: OptionalHeader = bytes
            .pread(offset)
            .map_err(|error| damaged!("optional header: {error}"))?;
        let is_x64 = optional.standard_fields.magic == goblin::pe::optional_header::MAGIC_64;
        let width = if is_x64 { Width::X64 } else { Width::X86 };
        if is_x64 != (coff.machine == goblin::pe::header::COFF_MACHINE_X86_64) {
            return Err(damaged!(
                "machine {:#x} with optional header {:#x}",
                coff.machine,
                optional.standard_fields.magic
            ));
        }
        let win = &optional.windows_fields;
        if win.subsystem == 1 {
            return Err(ImageError::Unsupported(
                "a native program (driver or boot program), not a console program",
            ));
        }
        if win.section_alignment < PAGE || !win.section_alignment.is_power_of_two() {
            return Err(damaged!("section alignment {:#x}", win.section_alignment));
        }
        if !win.image_base.is_multiple_of(0x1_0000) {
            return Err(damaged!(
                "image base {:#x} is not a multiple of 64 KiB",
                win.image_base
            ));
        }
        if win.size_of_image == 0 || win.size_of_image > MAX_IMAGE {
            return Err(damaged!("image size {:#x}", win.size_of_image));
        }
        let size = win.size_of_image.next_multiple_of(PAGE);
        if win.size_of_headers > MAX_HEADERS || win.size_of_headers > size {
            return Err(damaged!("header size {:#x}", win.size_of_headers));
        }
        if u64::from(win.size_of_headers) > file_len {
            return Err(ImageError::Truncated(
                "the header".into(),
                win.size_of_headers.into(),
                file_len,
            ));
        }
        let entry = optional.standard_fields.address_of_entry_point;
        if entry >= size {
            return Err(damaged!("entry point {entry:#x} lies outside of the image"));
        }
        let mut directories = [(0, 0); 16];
        for (slot, found) in directories
            .iter_mut()
            .zip(optional.data_directories.data_directories)
        {
            if let Some((_, directory)) = found {
                *slot = (directory.virtual_address, directory.size);
            }
        }
        if directories[Directory::Clr as usize].0 != 0 && entry == 0 {
            return Err(ImageError::Unsupported(
                "a .NET program; it needs a .NET runtime",
            ));
        }
        let table = offset + usize::from(coff.size_of_optional_header);
        let sections = read_sections(bytes, table, coff.number_of_sections, size, file_len)?;
        let stripped =
            coff.characteristics & goblin::pe::characteristic::IMAGE_FILE_RELOCS_STRIPPED != 0;
        let is_dll = coff.characteristics & goblin::pe::characteristic::IMAGE_FILE_DLL != 0;
        Ok(Headers {
            width,
            image_base: win.image_base,
            size,
            headers_size: win.size_of_headers,
            entry,
            is_dll,
            // A DLL without the directory has nothing to change.
            has_relocations: !stripped
                && (is_dll || directories[Directory::BaseRelocation as usize].1 != 0),
            is_large_address_aware: coff.characteristics
                & goblin::pe::characteristic::IMAGE_FILE_LARGE_ADDRESS_AWARE
                != 0,
            subsystem: win.subsystem,
            subsystem_version: (win.major_subsystem_version, win.minor_subsystem_version),
            stack_reserve: win.size_of_stack_reserve,
            time_stamp: coff.time_date_stamp,
            sections,
            directories,
        })
    }

    /// Returns `(rva, size)` of a data directory, if the image has it.
    #[must_use]
    pub fn directory(&self, which: Directory) -> Option<(u32, u32)> {
        let (rva, size) = self.directories[which as usize];
        (rva != 0).then_some((rva, size))
    }
}

fn read_prefix(file: &File, len: usize) -> Result<Vec<u8>, ImageError> {
    let mut bytes = vec![0; len];
    let mut done = 0;
    while done < len {
        match file.read_at(&mut bytes[done..], done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

fn field(bytes: &[u8], at: usize) -> Result<u32, ImageError> {
    bytes
        .pread_with(at, scroll::LE)
        .map_err(|_| ImageError::NotPe("the file is too short for its headers"))
}

fn check_machine(machine: u16) -> Result<(), ImageError> {
    let name = match machine {
        goblin::pe::header::COFF_MACHINE_X86_64 | goblin::pe::header::COFF_MACHINE_X86 => {
            return Ok(());
        }
        goblin::pe::header::COFF_MACHINE_ARM64 => "ARM64",
        goblin::pe::header::COFF_MACHINE_ARM => "ARM",
        goblin::pe::header::COFF_MACHINE_ARMNT => "ARM (Thumb-2)",
        goblin::pe::header::COFF_MACHINE_IA64 => "Itanium",
        goblin::pe::header::COFF_MACHINE_RISCV64 => "RISC-V (64-bit)",
        _ => return Err(ImageError::Machine(format!("machine {machine:#06x}"))),
    };
    Err(ImageError::Machine(name.into()))
}

/// Reads the section table; sections must ascend, not overlap, and lie in the image and the file.
fn read_sections(
    bytes: &[u8],
    table: usize,
    count: u16,
    image_size: u32,
    file_len: u64,
) -> Result<Vec<Section>, ImageError> {
    if count > MAX_SECTIONS {
        return Err(damaged!("{count} sections"));
    }
    let mut sections: Vec<Section> = Vec::with_capacity(count.into());
    for i in 0..usize::from(count) {
        let at = table + i * 40;
        let raw = bytes.get(at..at + 40).ok_or_else(|| {
            ImageError::Truncated("the section table".into(), at as u64 + 40, file_len)
        })?;
        let name: Vec<u8> = raw[..8].iter().copied().take_while(|&b| b != 0).collect();
        let name = String::from_utf8_lossy(&name).escape_debug().to_string();
        let word = |offset: usize| field(raw, offset);
        let (virtual_size, rva, raw_size, file_offset) =
            (word(8)?, word(12)?, word(16)?, word(20)?);
        let size = if virtual_size == 0 {
            raw_size
        } else {
            virtual_size
        };
        if rva % PAGE != 0 {
            return Err(damaged!("section {name} starts at {rva:#x}"));
        }
        if rva.checked_add(size).is_none_or(|end| end > image_size) {
            return Err(damaged!(
                "section {name} at {rva:#x} is larger than the image"
            ));
        }
        let before = sections.last().map_or(0, |last| last.rva + last.size);
        if rva < before {
            return Err(damaged!(
                "section {name} at {rva:#x} overlaps the one before it"
            ));
        }
        let file_size = if file_offset == 0 {
            0
        } else {
            raw_size.min(size)
        };
        let file_end = u64::from(file_offset) + u64::from(file_size);
        if file_end > file_len {
            return Err(ImageError::Truncated(
                format!("section {name}"),
                file_end,
                file_len,
            ));
        }
        sections.push(Section {
            rva,
            size,
            file_offset,
            file_size,
            characteristics: word(36)?,
        });
    }
    Ok(sections)
}
