//! Conversions between narrow and wide text in the code page of the current locale.
//!
//! In the "C" locale a byte is the UTF-16 unit of the same number and nothing above 255 has a narrow form
//! (Microsoft Learn, "wctomb", "mbtowc"; UCRT locale "C"). Every other locale of these runtimes is UTF-8.

use super::unit::Unit;

/// The code page of a locale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodePage {
    /// The "C" locale: no code page, `___lc_codepage_func` gives 0.
    C,
    /// Code page 65001.
    Utf8,
}

impl CodePage {
    /// Returns the number `___lc_codepage_func` gives.
    pub fn number(self) -> u32 {
        match self {
            Self::C => 0,
            Self::Utf8 => 65001,
        }
    }

    /// Returns the most bytes a character takes: `MB_CUR_MAX`.
    pub fn max_bytes(self) -> u32 {
        match self {
            Self::C => 1,
            Self::Utf8 => 4,
        }
    }
}

/// Converts wide text to characters of kind `U`; `None` if a character has no form there.
pub fn from_wide<U: Unit>(code_page: CodePage, text: &[u16]) -> Option<Vec<U>> {
    if U::WIDE {
        return Some(
            text.iter()
                .map(|unit| U::from_low(u32::from(*unit)))
                .collect(),
        );
    }
    narrow(code_page, text).map(|bytes| bytes.into_iter().map(U::from_ascii).collect())
}

/// Converts narrow text to characters of kind `U`; `None` if the bytes are no characters.
pub fn from_narrow<U: Unit>(code_page: CodePage, text: &[u8]) -> Option<Vec<U>> {
    if U::WIDE {
        return wide(code_page, text).map(|units| {
            units
                .into_iter()
                .map(|unit| U::from_low(u32::from(unit)))
                .collect()
        });
    }
    Some(text.iter().map(|byte| U::from_ascii(*byte)).collect())
}

/// What the first bytes of a narrow text are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A character and the number of bytes it takes.
    Character(u32, usize),
    /// The beginning of a character.
    Incomplete,
    /// No character: EILSEQ.
    Invalid,
}

/// Decodes the first character of `bytes`, which is not empty.
pub fn decode(code_page: CodePage, bytes: &[u8]) -> Decoded {
    let first = bytes[0];
    let length = match (code_page, first) {
        (CodePage::C, _) | (CodePage::Utf8, 0..=0x7F) => {
            return Decoded::Character(u32::from(first), 1);
        }
        (CodePage::Utf8, 0xC2..=0xDF) => 2,
        (CodePage::Utf8, 0xE0..=0xEF) => 3,
        (CodePage::Utf8, 0xF0..=0xF4) => 4,
        (CodePage::Utf8, _) => return Decoded::Invalid,
    };
    match std::str::from_utf8(&bytes[..length.min(bytes.len())]) {
        Ok(text) => text.chars().next().map_or(Decoded::Invalid, |c| {
            Decoded::Character(u32::from(c), length)
        }),
        Err(error) if error.error_len().is_none() => Decoded::Incomplete,
        Err(_) => Decoded::Invalid,
    }
}

/// Returns the UTF-16 units of a character that [`decode`] gave.
pub fn units(character: u32) -> Vec<u16> {
    char::from_u32(character).map_or_else(Vec::new, |c| c.encode_utf16(&mut [0; 2]).to_vec())
}

/// Converts wide text to bytes; `None` if a character has no narrow form.
///
/// A surrogate without its partner has none.
pub fn narrow(code_page: CodePage, text: &[u16]) -> Option<Vec<u8>> {
    match code_page {
        CodePage::C => text.iter().map(|unit| u8::try_from(*unit).ok()).collect(),
        CodePage::Utf8 => String::from_utf16(text).ok().map(String::into_bytes),
    }
}

/// Converts bytes to wide text; `None` if they are no characters.
pub fn wide(code_page: CodePage, text: &[u8]) -> Option<Vec<u16>> {
    match code_page {
        CodePage::C => Some(text.iter().map(|byte| u16::from(*byte)).collect()),
        CodePage::Utf8 => std::str::from_utf8(text)
            .ok()
            .map(|text| text.encode_utf16().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_locale_maps_bytes_to_the_same_numbers() {
        assert_eq!(wide(CodePage::C, &[0x41, 0xE9]), Some(vec![0x41, 0xE9]));
        assert_eq!(narrow(CodePage::C, &[0xE9]), Some(vec![0xE9]));
        assert_eq!(narrow(CodePage::C, &[0x20AC]), None);
    }

    #[test]
    fn utf8_is_decoded_character_by_character() {
        let euro = "€".as_bytes();
        assert_eq!(decode(CodePage::Utf8, euro), Decoded::Character(0x20AC, 3));
        assert_eq!(decode(CodePage::Utf8, &euro[..2]), Decoded::Incomplete);
        assert_eq!(decode(CodePage::Utf8, &[0xE2, 0x41]), Decoded::Invalid);
        assert_eq!(decode(CodePage::Utf8, &[0x80]), Decoded::Invalid);
        assert_eq!(units(0x1F600), [0xD83D, 0xDE00]);
        assert_eq!(narrow(CodePage::Utf8, &[0xD83D]), None);
    }
}
