//! Text in code pages: `stringapiset.h` and the code-page part of `winnls.h`.
//!
//! The ANSI, OEM and console code page is 65001 (UTF-8): that is what Linux files, terminals and arguments hold. Other
//! pages: 1252 and 437 are accepted as names of the same text as far as it is ASCII or Latin-1, 20127 and 28591 are what
//! they say.

use crate::dlls::win32::{error, refuse};
use crate::export::{Bool, Ptr};
use crate::guest_struct;
use crate::win_api;

guest_struct! {
    /// `CPINFO`.
    pub struct CpInfo {
        max_char_size: u32,
        default_char: [u8; 2],
        lead_byte: [u8; 12],
    }
}

guest_struct! {
    /// `CPINFOEXA`.
    pub struct CpInfoExA {
        max_char_size: u32,
        default_char: [u8; 2],
        lead_byte: [u8; 12],
        unicode_default_char: u16,
        code_page: u32,
        name: [u8; 260],
    }
    /// `CPINFOEXW`.
    pub struct CpInfoExW {
        max_char_size: u32,
        default_char: [u8; 2],
        lead_byte: [u8; 12],
        unicode_default_char: u16,
        code_page: u32,
        name: [u16; 260],
    }
}

/// UTF-8.
pub const CP_UTF8: u32 = 65001;

/// How a code page encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Latin1,
    Windows1252,
    Ascii,
}

/// CP_ACP, CP_OEMCP, CP_MACCP, CP_THREAD_ACP all are UTF-8.
fn encoding(page: u32) -> Option<Encoding> {
    match page {
        0..=3 | CP_UTF8 => Some(Encoding::Utf8),
        28591 => Some(Encoding::Latin1),
        1252 => Some(Encoding::Windows1252),
        20127 | 437 | 850 => Some(Encoding::Ascii),
        _ => None,
    }
}

fn described(encoding: Encoding) -> CpInfo {
    CpInfo {
        max_char_size: if encoding == Encoding::Utf8 { 4 } else { 1 },
        default_char: [b'?', 0],
        lead_byte: [0; 12],
    }
}

/// Returns what stands for bytes that mean nothing.
fn unicode_default(encoding: Encoding) -> u16 {
    match encoding {
        Encoding::Utf8 => 0xFFFD,
        _ => u16::from(b'?'),
    }
}

/// Returns a page's number and name; `None` for flags too: none are defined.
fn named(page: u32, flags: u32) -> Option<(Encoding, u32, &'static str)> {
    let encoding = encoding(page).filter(|_| flags == 0)?;
    let (number, name) = match page {
        1252 => (page, "1252  (ANSI - Latin I)"),
        28591 => (page, "28591 (ISO 8859-1 Latin I)"),
        20127 => (page, "20127 (US-ASCII)"),
        437 => (page, "437   (OEM - United States)"),
        850 => (page, "850   (OEM - Multilingual Latin I)"),
        _ => (CP_UTF8, "65001 (UTF-8)"),
    };
    Some((encoding, number, name))
}

/// Code points of bytes 0x80–0x9F in Windows-1252 (Unicode's `CP1252.TXT`); undefined bytes map to C1 controls.
const C1252: [u16; 32] = [
    0x20AC, 0x81, 0x201A, 0x192, 0x201E, 0x2026, 0x2020, 0x2021, 0x2C6, 0x2030, 0x160, 0x2039,
    0x152, 0x8D, 0x17D, 0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x2DC,
    0x2122, 0x161, 0x203A, 0x153, 0x9D, 0x17E, 0x178,
];

/// Decodes; `None` for bytes the page does not have when `is_strict`.
fn decode(encoding: Encoding, bytes: &[u8], is_strict: bool) -> Option<Vec<u16>> {
    match encoding {
        Encoding::Utf8 => match std::str::from_utf8(bytes) {
            Ok(text) => Some(text.encode_utf16().collect()),
            Err(_) if is_strict => None,
            Err(_) => Some(String::from_utf8_lossy(bytes).encode_utf16().collect()),
        },
        Encoding::Latin1 => Some(bytes.iter().map(|&b| u16::from(b)).collect()),
        Encoding::Windows1252 => Some(
            bytes
                .iter()
                .map(|&b| {
                    if (0x80..0xA0).contains(&b) {
                        C1252[usize::from(b - 0x80)]
                    } else {
                        u16::from(b)
                    }
                })
                .collect(),
        ),
        Encoding::Ascii if is_strict && !bytes.is_ascii() => None,
        Encoding::Ascii => Some(
            bytes
                .iter()
                .map(|&b| if b < 0x80 { u16::from(b) } else { 0xFFFD })
                .collect(),
        ),
    }
}

/// Encodes; `Err` for text the page does not have when `is_strict`. Says whether a default character was used.
fn encode(
    encoding: Encoding,
    units: &[u16],
    default: u8,
    is_strict: bool,
) -> Option<(Vec<u8>, bool)> {
    let mut used = false;
    let mut out = Vec::with_capacity(units.len());
    for c in char::decode_utf16(units.iter().copied()) {
        let c = match c {
            Ok(c) => c,
            Err(_) if is_strict => return None,
            Err(_) => char::REPLACEMENT_CHARACTER,
        };
        let code = u32::from(c);
        let single = match encoding {
            Encoding::Utf8 => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            Encoding::Ascii => u8::try_from(code).ok().filter(|b| *b < 0x80),
            Encoding::Latin1 => u8::try_from(code).ok(),
            Encoding::Windows1252 => match C1252.iter().position(|&u| u32::from(u) == code) {
                Some(i) => u8::try_from(0x80 + i).ok(),
                None => u8::try_from(code)
                    .ok()
                    .filter(|b| !(0x80..0xA0).contains(b)),
            },
        };
        used |= single.is_none();
        out.push(single.unwrap_or(default));
    }
    Some((out, used))
}

/// `MB_ERR_INVALID_CHARS`.
const MB_STRICT: u32 = 8;
/// `WC_ERR_INVALID_CHARS`.
const WC_STRICT: u32 = 0x80;

/// Number of elements of an argument: all with the NUL for -1.
fn length_of(length: i32, nul_at: impl FnOnce() -> usize) -> Option<usize> {
    match length {
        0 => None,
        -1 => Some(nul_at() + 1),
        n => usize::try_from(n).ok(),
    }
}

win_api! {
    /// Decodes text of a code page.
    "kernel32.dll|kernelbase.dll" stdcall fn MultiByteToWideChar(page: u32, flags: u32, from: Ptr<u8>, length: i32, to: Ptr<u16>, size: i32) -> i32 {
        let Some(encoding) = encoding(page) else { return refuse(error::INVALID_PARAMETER, 0) };
        if from.is_null() || size < 0 {
            return refuse(error::INVALID_PARAMETER, 0);
        }
        let Some(length) = length_of(length, || from.read_c_string().len()) else { return refuse(error::INVALID_PARAMETER, 0) };
        let Some(units) = decode(encoding, &from.read_bytes(length), flags & MB_STRICT != 0) else {
            return refuse(error::NO_UNICODE_TRANSLATION, 0);
        };
        let count = i32::try_from(units.len()).unwrap_or(i32::MAX);
        if size == 0 {
            return count;
        }
        if count > size {
            return refuse(error::INSUFFICIENT_BUFFER, 0);
        }
        to.write_many(&units);
        count
    }

    /// Encodes text in a code page.
    "kernel32.dll|kernelbase.dll" stdcall fn WideCharToMultiByte(page: u32, flags: u32, from: Ptr<u16>, length: i32, to: Ptr<u8>, size: i32, default: Ptr<u8>, used: Ptr<i32>) -> i32 {
        let Some(encoding) = encoding(page) else { return refuse(error::INVALID_PARAMETER, 0) };
        if from.is_null() || size < 0 {
            return refuse(error::INVALID_PARAMETER, 0);
        }
        let Some(length) = length_of(length, || from.read_wide_string().len()) else { return refuse(error::INVALID_PARAMETER, 0) };
        let default = default.non_null().map_or(b'?', Ptr::read);
        let units = from.read_many(length);
        let Some((bytes, was_used)) = encode(encoding, &units, default, flags & WC_STRICT != 0) else {
            return refuse(error::NO_UNICODE_TRANSLATION, 0);
        };
        used.write_if_some(i32::from(was_used));
        let count = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        if size == 0 {
            return count;
        }
        if count > size {
            return refuse(error::INSUFFICIENT_BUFFER, 0);
        }
        to.write_bytes(&bytes);
        count
    }

    /// Returns the ANSI code page: UTF-8.
    "kernel32.dll|kernelbase.dll" stdcall fn GetACP = "GetACP|GetOEMCP" () -> u32 {
        CP_UTF8
    }

    /// Returns whether a code page is known.
    "kernel32.dll|kernelbase.dll" stdcall fn IsValidCodePage(page: u32) -> Bool {
        (page > 3 && encoding(page).is_some()).into()
    }

    /// Returns whether a byte starts a double-byte character; no code page here has them.
    "kernel32.dll|kernelbase.dll" stdcall fn IsDBCSLeadByte(_byte: u8) -> Bool {
        Bool::FALSE
    }

    /// Returns whether a byte starts a double-byte character of a code page.
    "kernel32.dll|kernelbase.dll" stdcall fn IsDBCSLeadByteEx(_page: u32, _byte: u8) -> Bool {
        Bool::FALSE
    }

    /// Describes a code page.
    "kernel32.dll|kernelbase.dll" stdcall fn GetCPInfo(page: u32, info: Ptr<CpInfo>) -> Bool {
        let Some(encoding) = encoding(page) else { return refuse(error::INVALID_PARAMETER, Bool::FALSE) };
        info.write(described(encoding));
        Bool::TRUE
    }

    /// Describes a code page, with its number and name.
    "kernel32.dll|kernelbase.dll" stdcall fn GetCPInfoExW(page: u32, flags: u32, info: Ptr<CpInfoExW>) -> Bool {
        let Some((encoding, number, text)) = named(page, flags) else { return refuse(error::INVALID_PARAMETER, Bool::FALSE) };
        let mut name = [0; 260];
        let CpInfo { max_char_size, default_char, lead_byte } = described(encoding);
        name.iter_mut().zip(text.encode_utf16()).for_each(|(to, unit)| *to = unit);
        info.write(CpInfoExW { max_char_size, default_char, lead_byte, unicode_default_char: unicode_default(encoding), code_page: number, name });
        Bool::TRUE
    }

    /// Describes a code page, with its number and name.
    "kernel32.dll|kernelbase.dll" stdcall fn GetCPInfoExA(page: u32, flags: u32, info: Ptr<CpInfoExA>) -> Bool {
        let Some((encoding, number, text)) = named(page, flags) else { return refuse(error::INVALID_PARAMETER, Bool::FALSE) };
        let mut name = [0; 260];
        let CpInfo { max_char_size, default_char, lead_byte } = described(encoding);
        name[..text.len()].copy_from_slice(text.as_bytes());
        info.write(CpInfoExA { max_char_size, default_char, lead_byte, unicode_default_char: unicode_default(encoding), code_page: number, name });
        Bool::TRUE
    }

    /// Returns the length of a string.
    "kernel32.dll|kernelbase.dll" stdcall fn lstrlenW(text: Ptr<u16>) -> i32 {
        text.non_null().map_or(0, |t| i32::try_from(t.read_wide_string().len()).unwrap_or(i32::MAX))
    }

    /// Returns the length of a string.
    "kernel32.dll|kernelbase.dll" stdcall fn lstrlenA(text: Ptr<u8>) -> i32 {
        text.non_null().map_or(0, |t| i32::try_from(t.read_c_string().len()).unwrap_or(i32::MAX))
    }

    /// Compares strings unit by unit, without regard to case if asked. 1 less, 2 equal, 3 greater.
    "kernel32.dll|kernelbase.dll" stdcall fn CompareStringOrdinal(first: Ptr<u16>, first_length: i32, second: Ptr<u16>, second_length: i32, ignore_case: Bool) -> i32 {
        let read = |at: Ptr<u16>, length: i32| match usize::try_from(length) {
            Ok(length) => at.read_many(length),
            Err(_) => at.read_wide_string(),
        };
        if first.is_null() || second.is_null() {
            return refuse(error::INVALID_PARAMETER, 0);
        }
        let fold = |units: Vec<u16>| -> Vec<u16> {
            if ignore_case.get() { units.into_iter().map(crate::ob::name::upcase).collect() } else { units }
        };
        match fold(read(first, first_length)).cmp(&fold(read(second, second_length))) {
            std::cmp::Ordering::Less => 1,
            std::cmp::Ordering::Equal => 2,
            std::cmp::Ordering::Greater => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_decoding_refuses_bad_utf8() {
        assert_eq!(decode(Encoding::Utf8, b"a\xFF", true), None);
        assert_eq!(
            decode(Encoding::Utf8, b"a\xFF", false),
            Some(vec![0x61, 0xFFFD])
        );
        assert_eq!(
            encode(Encoding::Windows1252, &[0x20AC, 0x263A], b'?', false),
            Some((vec![0x80, b'?'], true))
        );
    }
}
