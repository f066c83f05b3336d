//! The mapper against damaged files: whatever the bytes, it answers with an image or one line of text.

use std::fs::File;
use std::io::Write as _;

use proptest::prelude::*;

use super::sample::{BASE, HEADERS, PE, SECTIONS, directory, directory_at, sample};
use super::{Directory, Exports, ImageError, Imports, Mapped, map, protect_sections, unmap};
use crate::module::load_config;
use crate::module::tls;
use crate::resource;

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

/// Returns the sample with more bytes of data behind what it has, from 0x2400 on.
fn sample_with(extra: &[u8]) -> Vec<u8> {
    let mut image = sample();
    image.truncate(0x800);
    image.extend(extra);
    let size = (0x400 + extra.len()) as u32;
    let row = SECTIONS + 40;
    image[row + 8..row + 12].copy_from_slice(&size.to_le_bytes());
    image[row + 16..row + 20].copy_from_slice(&size.to_le_bytes());
    let end = (0x2000 + size).next_multiple_of(0x1000);
    let at = super::sample::OPTIONAL + 56;
    image[at..at + 4].copy_from_slice(&end.to_le_bytes());
    image
}

/// Points a directory of an image elsewhere.
fn set_directory(image: &mut [u8], which: usize, rva: u32, size: u32) {
    let at = directory_at(which);
    image[at..at + 4].copy_from_slice(&rva.to_le_bytes());
    image[at + 4..at + 8].copy_from_slice(&size.to_le_bytes());
}

fn words(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

#[test]
fn imports_multiply_only_up_to_a_limit() {
    // A thousand descriptors that share one table of a thousand names.
    let mut extra = Vec::new();
    for _ in 0..1000 {
        extra.extend(words(&[0x2400 + 20_020, 0, 0, 0x20e0, 0x20d0]));
    }
    extra.extend([0; 20]);
    for _ in 0..1000 {
        extra.extend(words(&[0x20f0, 0]));
    }
    extra.extend([0; 8]);
    let mut image = sample_with(&extra);
    set_directory(&mut image, directory::IMPORT, 0x2400, 20_020);
    assert_eq!(refusal(&image), "damaged headers: more than 65536 imports");

    let mut extra = Vec::new();
    for _ in 0..5000 {
        extra.extend(words(&[0x20c8, 0, 0, 0x20e0, 0x20d0]));
    }
    let mut image = sample_with(&extra);
    set_directory(&mut image, directory::IMPORT, 0x2400, 40);
    assert_eq!(
        refusal(&image),
        "damaged headers: imports from more than 4096 DLLs"
    );
}

#[test]
fn delayed_imports_are_limited_as_others() {
    let mut extra = Vec::new();
    for _ in 0..5000 {
        extra.extend(words(&[1, 0x20e0, 0x23e0, 0x20d0, 0x20c8, 0, 0, 0]));
    }
    let mut image = sample_with(&extra);
    set_directory(&mut image, directory::DELAY_IMPORT, 0x2400, 32);
    assert_eq!(
        refusal(&image),
        "damaged headers: imports from more than 4096 DLLs"
    );
    let mut image = sample_with(&words(&[1, 0x20e0, 0x23e0, 0x20d0, 0xffff_fff8, 0, 0, 0]));
    set_directory(&mut image, directory::DELAY_IMPORT, 0x2400, 32);
    assert_eq!(
        refusal(&image),
        "damaged headers: imports of kernel32.dll at 0xfffffff8"
    );
}

#[test]
fn relocations_stay_in_the_image() {
    let holder = map(&open(&sample())).expect("the preferred base");
    for (block, reason) in [
        ([0x2000, 4, 0], "relocation block at 0x2400"),
        ([0x2000, 0x8000_0000, 0], "relocation block at 0x2400"),
        (
            [0xffff_f000, 12, 0xafff_afff],
            "relocation of type 10 at 0xffffffff",
        ),
        ([0x2000, 12, 0x9000], "relocation of type 9 at 0x2000"),
        ([0x3000, 12, 0xa000], "relocation of type 10 at 0x3000"),
    ] {
        let mut image = sample_with(&words(&block));
        set_directory(&mut image, directory::BASE_RELOCATION, 0x2400, 12);
        assert_eq!(refusal(&image), format!("damaged headers: {reason}"));
    }
    let mut image = sample();
    set_directory(&mut image, directory::BASE_RELOCATION, 0x2180, u32::MAX);
    assert_eq!(
        refusal(&image),
        "damaged headers: relocations at 0x2180 lie outside of the image"
    );
    unmap(&holder.view);
}

#[test]
fn thread_data_is_limited() {
    let at = 0x21a0 - 0x2000 + 0x400;
    let mut image = sample();
    image[at + 32..at + 36].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(
        refusal(&image),
        "damaged headers: TLS block of 0x100000007 bytes"
    );
    let mut image = sample();
    image[at + 8..at + 16].copy_from_slice(&0_u64.to_le_bytes());
    assert!(refusal(&image).starts_with("damaged headers: TLS block of 0x"));
    let mut image = sample();
    image[at + 16..at + 24].copy_from_slice(&1_u64.to_le_bytes());
    assert_eq!(
        refusal(&image),
        "damaged headers: TLS index outside of the image"
    );
}

#[test]
fn export_tables_that_lie_find_nothing() {
    let exports = |change: &dyn Fn(&mut [u8])| {
        let mut image = sample();
        change(&mut image[0x400..0x480]);
        let mapped = map(&open(&image)).expect("exports are not looked at before");
        let exports = Exports::new(mapped.view, (0x2000, 0x80)).expect("the directory");
        let found = (
            exports.by_name("exported"),
            exports.by_ordinal(1),
            exports.nearest(0x1004),
        );
        unmap(&mapped.view);
        found
    };
    assert!(exports(&|_| ()).0.is_some());
    // As many functions and names as a word can say, and tables elsewhere.
    let (name, ordinal, nearest) = exports(&|table| table[20..28].fill(0xff));
    assert!(name.is_none() && ordinal.is_some() && nearest.is_none());
    let (name, ordinal, nearest) = exports(&|table| table[28..40].fill(0xff));
    assert!(name.is_none() && ordinal.is_none() && nearest.is_none());
    // An ordinal that is no function.
    let (name, _, nearest) = exports(&|table| table[0x48..0x4a].fill(0xff));
    assert!(name.is_none() && nearest.is_none());
}

/// How many cases: more by `LPC_FUZZ_CASES`.
fn cases() -> u32 {
    let asked = std::env::var("LPC_FUZZ_CASES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(1500)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

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
