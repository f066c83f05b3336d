//! `stdio.h`: formatted and unformatted input and output on streams and strings.

mod character;
mod file;
pub mod print;
mod print_locale;
pub mod scan;
mod scan_locale;

pub use super::stream::flush_all;

use super::fd::Mode;
use super::locale;
use super::mem::Char;
use super::stream::Stream;
use super::text::{self, CodePage, Decoded};
use super::unit::Unit;

/// `EOF`.
pub const EOF: i32 = -1;
/// `WEOF`.
pub const WEOF: u16 = 0xFFFF;

/// Tells whether wide functions move UTF-16 units as they are on this stream.
fn is_raw_wide(mode: Mode) -> bool {
    matches!(mode, Mode::Binary | Mode::Utf16)
}

fn page_of(mode: Mode) -> CodePage {
    if mode == Mode::Utf8 {
        CodePage::Utf8
    } else {
        locale::code_page()
    }
}

/// Writes text of either kind to a stream; wide text is converted as the stream asks.
pub fn write_text<T: Char>(stream: &mut Stream, text: &[T]) -> Result<(), i32> {
    if !T::WIDE {
        let bytes: Vec<u8> = text.iter().map(|unit| u8::from_low(unit.code())).collect();
        return stream.write(&bytes);
    }
    let units: Vec<u16> = text.iter().map(|unit| u16::from_low(unit.code())).collect();
    let mode = stream.mode();
    if !is_raw_wide(mode) {
        let bytes = text::narrow(page_of(mode), &units).ok_or(super::errno::code::EILSEQ)?;
        return stream.write(&bytes);
    }
    let carriage_return = [u16::from(b'\r'), u16::from(b'\n')];
    let bytes: Vec<u8> = units
        .iter()
        .flat_map(|unit| {
            let is_line_end = mode == Mode::Utf16 && *unit == carriage_return[1];
            if is_line_end {
                carriage_return.to_vec()
            } else {
                vec![*unit]
            }
        })
        .flat_map(u16::to_le_bytes)
        .collect();
    stream.write_raw(&bytes)
}

/// Takes a character of either kind from a stream.
pub fn read_character<T: Char>(stream: &mut Stream) -> Option<T> {
    if !T::WIDE {
        return stream.get().map(|byte| T::from_low(u32::from(byte)));
    }
    read_wide(stream).map(|unit| T::from_low(u32::from(unit)))
}

fn read_wide(stream: &mut Stream) -> Option<u16> {
    if let Some(second) = stream.wide_pending.take() {
        return Some(second);
    }
    let mode = stream.mode();
    if is_raw_wide(mode) {
        let bytes = stream.read(2);
        return Some(u16::from_le_bytes([*bytes.first()?, *bytes.get(1)?]));
    }
    let mut bytes = Vec::new();
    loop {
        bytes.push(stream.get()?);
        match text::decode(page_of(mode), &bytes) {
            Decoded::Incomplete => {}
            Decoded::Invalid => {
                super::errno::set_errno(super::errno::code::EILSEQ);
                return None;
            }
            Decoded::Character(character, _) => {
                let units = text::units(character);
                if let [first, second] = units[..] {
                    stream.wide_pending = Some(second);
                    return Some(first);
                }
                return units.first().copied();
            }
        }
    }
}

/// Puts a character of either kind back.
pub fn unread_character<T: Char>(stream: &mut Stream, unit: T) {
    if !T::WIDE {
        stream.unget(u8::from_low(unit.code()));
        return;
    }
    let unit = u16::from_low(unit.code());
    let mode = stream.mode();
    let bytes = if is_raw_wide(mode) {
        unit.to_le_bytes().to_vec()
    } else {
        text::narrow(page_of(mode), &[unit]).unwrap_or_default()
    };
    for byte in bytes.into_iter().rev() {
        stream.unget(byte);
    }
}
