//! The load configuration of MSVC-built images: security cookie and Control Flow Guard.
//!
//! Source: Microsoft Learn, "PE Format", "Load Configuration Structure".

use ntlpc_abi::Width;

use crate::guest::Ptr;
use crate::image::{Directory, Headers, View};

/// Gives the image a random security cookie and lets its guard checks pass.
///
/// Without Control Flow Guard in force, Windows leaves the check pointer at the image's own "do nothing" routine and
/// the dispatch pointer at its own jump; so do we.
pub fn apply(view: &View, headers: &Headers) {
    let Some((rva, _)) = headers.directory(Directory::LoadConfig) else {
        return;
    };
    let size: u32 = view.read(rva).unwrap_or(0);
    let cookie_field = headers.width.pick(60, 88) as u32;
    if size < cookie_field + headers.width.pointer() as u32 {
        return;
    }
    let cookie = rva
        .checked_add(cookie_field)
        .and_then(|at| view.read::<Ptr<u8>>(at))
        .unwrap_or(Ptr::NULL);
    let Some(at) = view.rva(cookie.address()) else {
        return;
    };
    // An image that still has the linker's default gets a random one; the top 16 bits are clear by convention.
    let random = random();
    let stored = match headers.width {
        Width::X64 => match view.read::<u64>(at) {
            Some(0x0000_2b99_2ddf_a232 | 0) => view.write(at, random & 0x0000_ffff_ffff_ffff | 1),
            _ => Some(()),
        },
        Width::X86 => match view.read::<u32>(at) {
            Some(0xbb40_e64e | 0) => view.write(at, random as u32 | 1),
            _ => Some(()),
        },
    };
    if stored.is_none() {
        log::debug!("security cookie outside of the image");
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(8) => u64::from_ne_bytes(bytes),
        _ => std::process::id().into(),
    }
}
