//! Binary data as text: `CryptStringToBinary`, `CryptBinaryToString`, and the certificates of a PEM file.
//!
//! Source: RFC 4648 §4 (Base64), RFC 7468 (headers); Microsoft Learn "`CryptStringToBinaryA` function".

use crate::dlls::win32::{error, refuse, units_arg, wide_arg};
use crate::export::{Bool, Guest, Ptr};
use crate::win_api;

/// `CRYPT_STRING_BASE64HEADER`, `_BASE64`, `_BINARY`, `_HEX`, `_BASE64_ANY`, `_ANY`, `_HEX_ANY`, `_HEXRAW`.
const BASE64_HEADER: u32 = 0;
const BASE64: u32 = 1;
const BINARY: u32 = 2;
const HEX: u32 = 4;
const BASE64_ANY: u32 = 6;
const ANY: u32 = 7;
const HEX_ANY: u32 = 8;
const HEX_RAW: u32 = 12;
/// `CRYPT_STRING_NOCRLF`, `CRYPT_STRING_NOCR`.
const NO_CRLF: u32 = 0x4000_0000;
const NO_CR: u32 = 0x8000_0000;
/// Characters of a line of Base64.
const LINE: usize = 64;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Reads Base64; blanks between digits do not count.
#[must_use]
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let clean: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let digits = clean
        .iter()
        .position(|&byte| byte == b'=')
        .unwrap_or(clean.len());
    let padding = &clean[digits..];
    if !clean.len().is_multiple_of(4)
        || padding.len() > 2
        || padding.iter().any(|&byte| byte != b'=')
    {
        return None;
    }
    let mut out = Vec::with_capacity(clean.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for &byte in &clean[..digits] {
        let value = DIGITS.iter().position(|&digit| digit == byte)?;
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

/// Writes Base64 in one line.
fn to_base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { digit.into() } else { '=' });
        }
    }
    out
}

/// The contents of every block `-----BEGIN …-----`, and where the first begins.
fn blocks(text: &str) -> (usize, Vec<&str>) {
    let mut found = Vec::new();
    let first = text.find("-----BEGIN ");
    let mut rest = &text[first.unwrap_or(text.len())..];
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let inside = after
            .split_once("-----")
            .and_then(|(_, body)| body.split_once("-----END "));
        let Some((body, after)) = inside else { break };
        found.push(body);
        rest = after;
    }
    (first.unwrap_or(0), found)
}

/// Certificates of a PEM file, in DER.
#[must_use]
pub fn pem(text: &str) -> Vec<Vec<u8>> {
    blocks(text).1.into_iter().filter_map(from_base64).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let clean: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    if !clean.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    clean
        .chunks(2)
        .map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
        .collect()
}

/// Reads text as `format` says: the bytes, characters skipped before them, and the format found.
fn decode(text: &str, format: u32) -> Option<(Vec<u8>, usize, u32)> {
    let with_header = || {
        let (skipped, blocks) = blocks(text);
        let bytes = from_base64(blocks.first()?)?;
        Some((bytes, skipped, BASE64_HEADER))
    };
    let base64 = || from_base64(text).map(|bytes| (bytes, 0, BASE64));
    let hex = |kind| from_hex(text).map(|bytes| (bytes, 0, kind));
    match format {
        BASE64_HEADER => with_header(),
        BASE64 => base64(),
        BINARY => Some((text.as_bytes().to_vec(), 0, BINARY)),
        BASE64_ANY => with_header().or_else(base64),
        ANY => with_header()
            .or_else(base64)
            .or_else(|| decode(text, BINARY)),
        HEX => hex(HEX),
        HEX_RAW => hex(HEX_RAW),
        HEX_ANY => hex(HEX),
        _ => {
            log::warn!("CryptStringToBinary: format {format:#x} is not supported");
            None
        }
    }
}

fn to_binary(
    text: Option<Vec<u16>>,
    count: u32,
    format: u32,
    to: Ptr<u8>,
    length: Ptr<u32>,
    skipped: Ptr<u32>,
    found: Ptr<u32>,
) -> Bool {
    let Some(mut text) = text else {
        return refuse(error::INVALID_PARAMETER, Bool::FALSE);
    };
    if count != 0 {
        text.truncate(count as usize);
    }
    let Some((bytes, skip, kind)) = decode(&String::from_utf16_lossy(&text), format) else {
        return refuse(error::INVALID_DATA, Bool::FALSE);
    };
    let given = length.read() as usize;
    length.write(bytes.len() as u32);
    if !to.is_null() {
        if given < bytes.len() {
            return refuse(error::MORE_DATA, Bool::FALSE);
        }
        to.write_bytes(&bytes);
    }
    skipped.write_if_some(skip as u32);
    found.write_if_some(kind);
    Bool::TRUE
}

/// Writes bytes as text, with lines ended as the format says.
fn encode(bytes: &[u8], format: u32) -> Option<String> {
    let end = match format {
        _ if format & NO_CRLF != 0 => "",
        _ if format & NO_CR != 0 => "\n",
        _ => "\r\n",
    };
    let lines = |text: &str| {
        let mut out = String::new();
        let width = if end.is_empty() {
            text.len().max(1)
        } else {
            LINE
        };
        for line in text.as_bytes().chunks(width) {
            out.push_str(&String::from_utf8_lossy(line));
            out.push_str(end);
        }
        out
    };
    match format & !(NO_CRLF | NO_CR) {
        BASE64 => Some(lines(&to_base64(bytes))),
        BASE64_HEADER => {
            let body = lines(&to_base64(bytes));
            Some(format!(
                "-----BEGIN CERTIFICATE-----{end}{body}-----END CERTIFICATE-----{end}"
            ))
        }
        HEX_RAW => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(digits + end)
        }
        _ => {
            log::warn!("CryptBinaryToString: format {format:#x} is not supported");
            None
        }
    }
}

fn to_text<T: Guest + Default>(
    from: Ptr<u8>,
    count: u32,
    format: u32,
    to: Ptr<T>,
    length: Ptr<u32>,
    units: impl Fn(&str) -> Vec<T>,
) -> Bool {
    let Some(text) = encode(&from.read_bytes(count as usize), format) else {
        return refuse(error::INVALID_PARAMETER, Bool::FALSE);
    };
    let text = units(&text);
    let given = length.read() as usize;
    if to.is_null() {
        length.write(text.len() as u32 + 1);
        return Bool::TRUE;
    }
    if given <= text.len() {
        length.write(text.len() as u32 + 1);
        return refuse(error::MORE_DATA, Bool::FALSE);
    }
    to.write_many(&text);
    to.add(text.len()).write(T::default());
    length.write(text.len() as u32);
    Bool::TRUE
}

/// Text of a number of characters, or up to its NUL.
fn wide_text(text: Ptr<u16>, count: u32) -> Option<Vec<u16>> {
    match count {
        0 => units_arg(text),
        count => text.non_null().map(|text| text.read_many(count as usize)),
    }
}

fn ansi_text(text: Ptr<u8>, count: u32) -> Option<Vec<u16>> {
    match count {
        0 => wide_arg(text),
        count => text
            .non_null()
            .map(|text| crate::dlls::win32::wide_of(&text.read_bytes(count as usize))),
    }
}

win_api! {
    /// Reads text as bytes.
    "crypt32.dll" stdcall fn CryptStringToBinaryW(text: Ptr<u16>, count: u32, format: u32, to: Ptr<u8>, length: Ptr<u32>, skipped: Ptr<u32>, found: Ptr<u32>) -> Bool {
        to_binary(wide_text(text, count), count, format, to, length, skipped, found)
    }

    /// Reads text as bytes.
    "crypt32.dll" stdcall fn CryptStringToBinaryA(text: Ptr<u8>, count: u32, format: u32, to: Ptr<u8>, length: Ptr<u32>, skipped: Ptr<u32>, found: Ptr<u32>) -> Bool {
        to_binary(ansi_text(text, count), 0, format, to, length, skipped, found)
    }

    /// Writes bytes as text.
    "crypt32.dll" stdcall fn CryptBinaryToStringW(from: Ptr<u8>, count: u32, format: u32, to: Ptr<u16>, length: Ptr<u32>) -> Bool {
        to_text(from, count, format, to, length, |text| text.encode_utf16().collect())
    }

    /// Writes bytes as text.
    "crypt32.dll" stdcall fn CryptBinaryToStringA(from: Ptr<u8>, count: u32, format: u32, to: Ptr<u8>, length: Ptr<u32>) -> Bool {
        to_text(from, count, format, to, length, |text| text.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(to_base64(bytes.as_bytes()), text);
            assert_eq!(from_base64(text).as_deref(), Some(bytes.as_bytes()));
        }
        for bad in ["Z", "Zg=", "Zg==Zg==", "Z*==", "===="] {
            assert_eq!(from_base64(bad), None, "{bad}");
        }
        let text = "x\n-----BEGIN A-----\nZm9v\n-----END A-----\n-----BEGIN B-----\nZg==\n-----END B-----\n";
        assert_eq!(pem(text), [b"foo".to_vec(), b"f".to_vec()]);
        assert_eq!(
            decode(text, BASE64_ANY),
            Some((b"foo".to_vec(), 2, BASE64_HEADER))
        );
    }
}
