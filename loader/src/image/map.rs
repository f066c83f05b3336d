//! Placing an image in memory.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use ntlpc_abi::Width;

use super::headers::{Directory, Headers, ImageError, Section};
use super::relocate::relocate;
use super::view::View;
use crate::guest::Ptr;
use crate::vm::{self, Kind, page, sys};

/// A mapped image whose sections are still writable.
#[derive(Debug)]
pub struct Mapped {
    /// Where it lies.
    pub view: View,
    /// What its headers say.
    pub headers: Headers,
}

/// Maps `file` at its preferred address, or elsewhere if that is taken and the image can be moved.
///
/// Every page stays writable until [`protect_sections`].
pub fn map(file: &File) -> Result<Mapped, ImageError> {
    let headers = Headers::read(file)?;
    let view = place(&headers)?;
    let mapped = Mapped { view, headers };
    if let Err(error) = fill(file, &mapped) {
        unmap(&mapped.view);
        return Err(error);
    }
    let mut space = vm::SPACE.lock();
    space.register(
        view.base as usize,
        view.size as usize,
        Kind::Image,
        page::EXECUTE_WRITECOPY,
        page::WRITECOPY,
    );
    Ok(mapped)
}

/// Gives every section the protection its header asks for.
pub fn protect_sections(mapped: &Mapped) -> Result<(), ImageError> {
    let headers = &mapped.headers;
    let mut at = 0;
    set_protection(mapped, &mut at, headers.size, page::READONLY)?;
    for section in &headers.sections {
        let mut at = section.rva;
        let end = section.rva + section.size.next_multiple_of(vm::PAGE as u32);
        set_protection(
            mapped,
            &mut at,
            end.min(headers.size),
            section_protection(section),
        )?;
    }
    Ok(())
}

/// Removes an image from memory.
pub fn unmap(view: &View) {
    vm::SPACE.lock().unregister(view.base as usize);
    sys::unmap(view.base as usize, view.size as usize);
}

fn set_protection(mapped: &Mapped, at: &mut u32, end: u32, protect: u32) -> Result<(), ImageError> {
    if *at >= end {
        return Ok(());
    }
    let (base, len) = (
        mapped.view.base as usize + *at as usize,
        (end - *at) as usize,
    );
    let host = vm::prot(protect).unwrap_or(libc::PROT_NONE);
    sys::protect(base, len, host)?;
    vm::SPACE.lock().note_protection(base, len, protect);
    *at = end;
    Ok(())
}

/// The `PAGE_*` value of a section, as the NT loader chooses it.
fn section_protection(section: &Section) -> u32 {
    let has = |bit| section.characteristics & bit != 0;
    match (
        has(Section::EXECUTE),
        has(Section::WRITE),
        has(Section::READ),
    ) {
        (true, true, _) => page::EXECUTE_WRITECOPY,
        (true, false, _) => page::EXECUTE_READ,
        (false, true, _) => page::WRITECOPY,
        (false, false, true) => page::READONLY,
        (false, false, false) => page::NOACCESS,
    }
}

/// Finds room and maps zero pages there.
fn place(headers: &Headers) -> Result<View, ImageError> {
    let (size, prot) = (headers.size as usize, libc::PROT_READ | libc::PROT_WRITE);
    let limit = match headers.width {
        Width::X64 => vm::HIGHEST_X64 as u64,
        Width::X86 => 0x7fff_0000,
    };
    let view = |base: usize| View {
        base: base as u64,
        size: headers.size,
    };
    let fits = headers.image_base >= vm::LOWEST as u64
        && headers
            .image_base
            .checked_add(size as u64)
            .is_some_and(|end| end <= limit);
    if fits {
        match sys::map(
            Some(headers.image_base as usize),
            size,
            prot,
            sys::Backing::Anonymous,
            false,
        ) {
            Ok(base) => return Ok(view(base)),
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {
                return Err(ImageError::NoRoom(format!("{size:#x} bytes: {error}")));
            }
            Err(error) => log::debug!("base {:#x}: {error}", headers.image_base),
        }
    }
    if !headers.has_relocations {
        return Err(ImageError::NoRoom(format!(
            "its base {:#x} is taken and it has no relocations",
            headers.image_base
        )));
    }
    vm::SPACE
        .lock()
        .reserve_image(size, prot, limit as usize)
        .map(view)
        .map_err(|status| ImageError::NoRoom(format!("{size:#x} bytes: {status}")))
}

/// Copies headers and sections in and applies relocations.
fn fill(file: &File, mapped: &Mapped) -> Result<(), ImageError> {
    let (view, headers) = (&mapped.view, &mapped.headers);
    copy(file, view, 0, 0, headers.headers_size)?;
    for section in &headers.sections {
        copy(
            file,
            view,
            section.file_offset,
            section.rva,
            section.file_size,
        )?;
    }
    if view.base != headers.image_base {
        let (rva, size) = headers
            .directory(Directory::BaseRelocation)
            .unwrap_or((0, 0));
        relocate(view, rva, size, view.base.wrapping_sub(headers.image_base))?;
    }
    Ok(())
}

/// Bytes from which a page-aligned section is mapped rather than read.
const MAP_FROM: u32 = 0x4_0000;

fn copy(file: &File, view: &View, file_offset: u32, rva: u32, len: u32) -> Result<(), ImageError> {
    let Some(at) = view.at(rva, len as usize) else {
        return Err(ImageError::Damaged(format!(
            "part at {rva:#x} does not fit"
        )));
    };
    let mut done = 0;
    if len >= MAP_FROM && file_offset.is_multiple_of(vm::PAGE as u32) {
        let whole = len & !(vm::PAGE as u32 - 1);
        let backing = sys::Backing::Private(file.as_fd(), u64::from(file_offset));
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        sys::map(Some(at as usize), whole as usize, prot, backing, true)?;
        done = whole;
    }
    while done < len {
        let buffer = Ptr::<u8>::new(at + u64::from(done));
        match buffer.fill_from(file, u64::from(file_offset + done), (len - done) as usize) {
            Ok(0) => {
                let end = u64::from(file_offset) + u64::from(len);
                return Err(ImageError::Truncated(
                    "a section".into(),
                    end,
                    u64::from(file_offset + done),
                ));
            }
            Ok(n) => done += n as u32,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
