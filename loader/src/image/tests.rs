//! The mapper against damaged files: whatever the bytes, it answers with an image or one line of text.

use std::fs::File;
use std::io::Write as _;

use proptest::prelude::*;

use super::{Directory, Exports, ImageError, Imports, Mapped, map, protect_sections, unmap};
use crate::module::load_config;
use crate::module::tls;
use crate::resource;

/// Offsets in the sample that carry meaning: headers, section table and the starts of the directories.
const HEADERS: std::ops::Range<usize> = 0..0x200;
const PE: usize = 0x40;
const OPTIONAL: usize = PE + 24;
const SECTIONS: usize = OPTIONAL + 240;
const BASE: u64 = 0x6_4000_0000;

/// Returns a small x64 image with a code and a data section; the latter holds every directory the loader reads.
fn sample() -> Vec<u8> {
    let mut file = vec![0_u8; 0x800];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &(PE as u32).to_le_bytes());
    put(PE, b"PE\0\0");
    put(PE + 4, &0x8664_u16.to_le_bytes());
    put(PE + 6, &2_u16.to_le_bytes());
    put(PE + 20, &240_u16.to_le_bytes());
    put(PE + 22, &0x22_u16.to_le_bytes());
    put(OPTIONAL, &0x20b_u16.to_le_bytes());
    put(OPTIONAL + 16, &0x1000_u32.to_le_bytes());
    put(OPTIONAL + 24, &BASE.to_le_bytes());
    put(OPTIONAL + 32, &0x1000_u32.to_le_bytes());
    put(OPTIONAL + 36, &0x200_u32.to_le_bytes());
    put(OPTIONAL + 56, &0x3000_u32.to_le_bytes());
    put(OPTIONAL + 60, &0x200_u32.to_le_bytes());
    put(OPTIONAL + 68, &3_u16.to_le_bytes());
    put(OPTIONAL + 72, &0x10_0000_u64.to_le_bytes());
    put(OPTIONAL + 108, &16_u32.to_le_bytes());
    let mut directory = |which: usize, rva: u32, size: u32| {
        put(OPTIONAL + 112 + which * 8, &rva.to_le_bytes());
        put(OPTIONAL + 116 + which * 8, &size.to_le_bytes());
    };
    directory(Directory::Export as usize, 0x2000, 0x80);
    directory(Directory::Import as usize, 0x2080, 40);
    directory(Directory::Resource as usize, 0x2100, 0x60);
    directory(Directory::BaseRelocation as usize, 0x2180, 12);
    directory(Directory::Tls as usize, 0x21a0, 40);
    directory(Directory::LoadConfig as usize, 0x2200, 0x70);
    for (i, (name, rva, at, flags)) in [
        (".text", 0x1000_u32, 0x200_u32, 0x6000_0020_u32),
        (".data", 0x2000, 0x400, 0xc000_0040),
    ]
    .into_iter()
    .enumerate()
    {
        let row = SECTIONS + i * 40;
        put(row, name.as_bytes());
        put(row + 8, &0x400_u32.to_le_bytes());
        put(row + 12, &rva.to_le_bytes());
        put(
            row + 16,
            &0x400_u32.min(0x200 * (i as u32 + 1)).to_le_bytes(),
        );
        put(row + 20, &at.to_le_bytes());
        put(row + 36, &flags.to_le_bytes());
    }
    let data = |rva: usize| rva - 0x2000 + 0x400;
    let mut words = |rva: usize, values: &[u32]| {
        for (i, value) in values.iter().enumerate() {
            put(data(rva) + i * 4, &value.to_le_bytes());
        }
    };
    // Export directory: one function, one name.
    words(0x2000 + 16, &[1, 1, 1, 0x2040, 0x2044, 0x2048]);
    words(0x2040, &[0x1000, 0x2050, 0]);
    // Import descriptor: lookup table 0x20c0, name 0x20e0, slots 0x20d0.
    words(0x2080, &[0x20c0, 0, 0, 0x20e0, 0x20d0]);
    words(0x20c0, &[0x20f0, 0, 0, 0, 0x20f0, 0]);
    // One resource: type 1, name 1, language 0.
    words(0x2100 + 12, &[1 << 16, 1, 0x8000_0018]);
    words(0x2118 + 12, &[1 << 16, 1, 0x8000_0030]);
    words(0x2130 + 12, &[1 << 16, 0, 0x48, 0x1000, 4]);
    // A relocation of the slot at 0x21c0 and one of no effect.
    words(0x2180, &[0x2000, 12, 0xa1c0]);
    put(data(0x2050), b"exported\0");
    put(data(0x20e0), b"kernel32.dll\0");
    put(data(0x20f2), b"Sleep\0");
    for (i, address) in [0x21c8, 0x21d0, 0x21d8, 0_u64].into_iter().enumerate() {
        let address = if address == 0 { 0 } else { BASE + address };
        put(data(0x21a0 + i * 8), &address.to_le_bytes());
    }
    put(data(0x2200), &0x70_u32.to_le_bytes());
    put(data(0x2258), &(BASE + 0x23f0).to_le_bytes());
    put(data(0x23f0), &0x0000_2b99_2ddf_a232_u64.to_le_bytes());
    file
}

fn open(bytes: &[u8]) -> File {
    let fd = rustix::fs::memfd_create("image", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd");
    let mut file = File::from(fd);
    file.write_all(bytes).expect("room for the image");
    file
}

/// Does with an image all that loading does short of running it.
fn look(mapped: &Mapped) -> Result<usize, ImageError> {
    let (view, headers) = (&mapped.view, &mapped.headers);
    let imports = Imports::read(view, headers)?;
    if let Some(exports) = headers
        .directory(Directory::Export)
        .and_then(|d| Exports::new(*view, d))
    {
        let _ = (
            exports.by_name("exported"),
            exports.by_ordinal(1),
            exports.nearest(0x1004),
        );
    }
    if let Some((root, _)) = headers.directory(Directory::Resource) {
        let _ = resource::find(view, root, &resource::Key::Id(1), &resource::Key::Id(1), 0);
    }
    load_config::apply(view, headers);
    let with_tls = tls::add_module(view, headers);
    tls::remove_module(view.base);
    with_tls?;
    protect_sections(mapped)?;
    Ok(imports.iter().map(|i| i.functions.len()).sum())
}

fn try_load(bytes: &[u8]) -> Result<usize, ImageError> {
    let mapped = map(&open(bytes))?;
    let result = look(&mapped);
    unmap(&mapped.view);
    result
}

fn refusal(bytes: &[u8]) -> String {
    try_load(bytes)
        .expect_err("a damaged image is refused")
        .to_string()
}

#[test]
fn the_sample_itself_loads() {
    assert_eq!(try_load(&sample()).expect("an intact image"), 1);
}

#[test]
fn a_moved_image_is_relocated() {
    let holder = map(&open(&sample())).expect("the preferred base");
    let mapped = map(&open(&sample())).expect("another base");
    assert_ne!(mapped.view.base, BASE);
    assert_eq!(
        mapped.view.read::<u64>(0x21c0),
        Some(mapped.view.base.wrapping_sub(BASE))
    );
    unmap(&mapped.view);
    unmap(&holder.view);
}

#[test]
fn refusals_name_the_reason() {
    assert_eq!(refusal(b"#!/bin/sh\n"), "not a PE file (no MZ signature)");
    assert_eq!(refusal(b""), "not a PE file (no MZ signature)");
    let mut image = sample();
    image[PE + 4..PE + 6].copy_from_slice(&0xaa64_u16.to_le_bytes());
    assert_eq!(
        refusal(&image),
        "built for ARM64; only x86-64 and i386 programs run here"
    );
    let image = sample();
    assert!(refusal(&image[..0x300]).starts_with("truncated: section .text ends at 0x400"));
    let mut image = sample();
    image[SECTIONS + 40 + 12..SECTIONS + 40 + 16].copy_from_slice(&0x1000_u32.to_le_bytes());
    assert_eq!(
        refusal(&image),
        "damaged headers: section .data at 0x1000 overlaps the one before it"
    );
    let mut image = sample();
    image[PE + 22] |= 1;
    let holder = map(&open(&sample())).expect("the preferred base");
    assert_eq!(
        refusal(&image),
        "cannot be mapped: its base 0x640000000 is taken and it has no relocations"
    );
    unmap(&holder.view);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// Bytes of headers and directories replaced at random, with values that tend to hurt, and cut short.
    #[test]
    fn damaged_images_never_break_the_mapper(
        changes in prop::collection::vec((0_usize..0x800, prop_oneof![
            any::<u32>(), Just(0), Just(u32::MAX), Just(0x8000_0000), Just(0x7fff_ffff), 0_u32..0x4000,
        ], 1_usize..5), 1..8),
        in_headers in any::<bool>(),
        cut in prop_oneof![3 => Just(0x800_usize), 1 => 0_usize..0x800],
    ) {
        let mut image = sample();
        for (at, value, len) in changes {
            let at = if in_headers { HEADERS.start + at % HEADERS.len() } else { at };
            let end = (at + len).min(image.len());
            image[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
        }
        image.truncate(cut);
        if let Err(error) = try_load(&image) {
            let text = error.to_string();
            prop_assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
        }
    }

    /// Files that are no images at all behind a plausible start.
    #[test]
    fn noise_never_breaks_the_mapper(noise in prop::collection::vec(any::<u8>(), 0..2048)) {
        let mut image = sample();
        image.truncate(PE + 24);
        image.extend(noise);
        let _ = try_load(&image);
    }
}
