//! Descriptors that a C program leaves to the programs it starts.
//!
//! The runtimes pass them in `STARTUPINFO.lpReserved2`: how many there are, a byte of flags for each, a handle for each.
//! Source: Microsoft Learn, "_spawn, _wspawn functions" says that open files are inherited; the form is known from
//! programs that bring their runtime and read it.

use ntlpc_abi::{Handle, Width};

use super::fd::{self, Fd, Mode};
use super::os::{self, FileKind};
use crate::width;

/// Flags of a descriptor.
mod flag {
    pub const OPEN: u8 = 0x01;
    pub const PIPE: u8 = 0x08;
    pub const APPEND: u8 = 0x20;
    pub const DEVICE: u8 = 0x40;
    pub const TEXT: u8 = 0x80;
}

/// Bytes of the count.
const COUNT_BYTES: usize = 4;

/// Returns the block that tells a child the descriptors of this process but those in `without`.
pub fn block(without: &[i32]) -> Vec<u8> {
    let bytes_each = 1 + width().pointer();
    let most = (usize::from(u16::MAX) - COUNT_BYTES) / bytes_each;
    let mut entries: Vec<Option<Fd>> = fd::all().into_iter().take(most).collect();
    for number in without {
        if let Some(entry) = usize::try_from(*number)
            .ok()
            .and_then(|n| entries.get_mut(n))
        {
            *entry = None;
        }
    }
    for entry in &mut entries {
        entry.take_if(|entry| entry.no_inherit);
    }
    let mut block = (entries.len() as u32).to_le_bytes().to_vec();
    block.extend(
        entries
            .iter()
            .map(|entry| entry.as_ref().map_or(0, flags_of)),
    );
    for entry in &entries {
        let handle = entry.map_or(u64::MAX, |entry| entry.handle.0);
        block.extend(&handle.to_le_bytes()[..width().pointer()]);
    }
    block
}

fn flags_of(entry: &Fd) -> u8 {
    let kind = match entry.kind {
        FileKind::Pipe => flag::PIPE,
        FileKind::Character => flag::DEVICE,
        _ => 0,
    };
    let append = if entry.append { flag::APPEND } else { 0 };
    let text = if entry.mode == Mode::Binary {
        0
    } else {
        flag::TEXT
    };
    flag::OPEN | kind | append | text
}

/// Returns the descriptors that the creator of this process left it; the list may have gaps.
pub fn inherited() -> Vec<Option<Fd>> {
    parse(crate::ob::spawn::runtime_data(), width()).map_or_else(Vec::new, |found| {
        found
            .into_iter()
            .map(|found| found.and_then(adopt))
            .collect()
    })
}

/// Reads a block: flags and handles of the descriptors that are open; `None` if it is none.
fn parse(block: &[u8], width: Width) -> Option<Vec<Option<(u8, Handle)>>> {
    let (count, rest) = block.split_first_chunk::<COUNT_BYTES>()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let (flags, handles) = rest.split_at_checked(count)?;
    let size = width.pointer();
    let handle = |bytes: &[u8]| match width {
        Width::X64 => bytes.try_into().map(u64::from_le_bytes),
        // Handles are sign-extended.
        Width::X86 => bytes
            .try_into()
            .map(|bytes| i64::from(i32::from_le_bytes(bytes)).cast_unsigned()),
    };
    let mut found = Vec::with_capacity(count);
    for (index, flags) in flags.iter().enumerate() {
        let value = handle(handles.get(index * size..(index + 1) * size)?).ok()?;
        found.push((flags & flag::OPEN != 0).then_some((*flags, Handle(value))));
    }
    Some(found)
}

/// Makes a descriptor of what was passed, if the handle is one.
fn adopt((flags, handle): (u8, Handle)) -> Option<Fd> {
    os::is_file(handle).then(|| Fd {
        handle,
        kind: os::file_kind(handle),
        mode: if flags & flag::TEXT == 0 {
            Mode::Binary
        } else {
            Mode::Text
        },
        append: flags & flag::APPEND != 0,
        at_end: false,
        no_inherit: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_for_both_widths_and_checked() {
        let wide = [&[2, 0, 0, 0, 0x81, 0][..], &4_u64.to_le_bytes(), &[0xFF; 8]].concat();
        let found = Some(vec![Some((0x81, Handle(4))), None]);
        assert_eq!(parse(&wide, Width::X64), found);
        let narrow = [&[1, 0, 0, 0, 1][..], &8_u32.to_le_bytes()].concat();
        assert_eq!(parse(&narrow, Width::X86), Some(vec![Some((1, Handle(8)))]));
        // Cut off, or of the other width.
        assert_eq!(parse(&wide[..12], Width::X64), None);
        assert_eq!(parse(&narrow, Width::X64), None);
        assert_eq!(parse(&[0xFF; 4], Width::X64), None);
        assert_eq!(parse(&[], Width::X64), None);
    }
}
