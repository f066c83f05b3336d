//! Base relocations.

use super::headers::{ImageError, damaged};
use super::view::View;

/// Moves every address in the image by `delta`. Source: Microsoft Learn, "PE Format", ".reloc Section".
pub fn relocate(view: &View, rva: u32, size: u32, delta: u64) -> Result<(), ImageError> {
    let end = rva.checked_add(size).filter(|&end| end <= view.size);
    let end = end.ok_or_else(|| damaged!("relocations at {rva:#x} lie outside of the image"))?;
    let mut block = rva;
    while end - block >= 8 {
        let outside = || damaged!("relocation block at {block:#x}");
        let page: u32 = view.read(block).ok_or_else(outside)?;
        let len: u32 = view.read(block + 4).ok_or_else(outside)?;
        if len == 0 {
            break;
        }
        if len < 8 || len > end - block {
            return Err(outside());
        }
        for entry in (block + 8..block + (len & !1)).step_by(2) {
            let value: u16 = view.read(entry).ok_or_else(outside)?;
            let target = page
                .checked_add(u32::from(value & 0xfff))
                .ok_or_else(outside)?;
            apply(view, value >> 12, target, delta)
                .ok_or_else(|| damaged!("relocation of type {} at {target:#x}", value >> 12))?;
        }
        block += len;
    }
    Ok(())
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a 32-bit or 16-bit fix-up takes that part of the distance"
)]
fn apply(view: &View, kind: u16, at: u32, delta: u64) -> Option<()> {
    match kind {
        0 => Some(()),
        // IMAGE_REL_BASED_HIGH and LOW.
        1 => view.write(at, view.read::<u16>(at)?.wrapping_add((delta >> 16) as u16)),
        2 => view.write(at, view.read::<u16>(at)?.wrapping_add(delta as u16)),
        // IMAGE_REL_BASED_HIGHLOW and DIR64.
        3 => view.write(at, view.read::<u32>(at)?.wrapping_add(delta as u32)),
        10 => view.write(at, view.read::<u64>(at)?.wrapping_add(delta)),
        _ => None,
    }
}
