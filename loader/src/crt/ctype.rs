//! `ctype.h` and `wctype.h`: classes and case of characters.
//!
//! Bytes above 127 have no class. Wide characters have the classes of Unicode, which the runtimes use in every locale.

use super::locale;
use super::unit::Unit;
use crate::export::{Data, Guest, Ptr};
use crate::win_api;

/// Class bits of `ctype.h`.
pub mod class {
    /// `_UPPER`.
    pub const UPPER: u16 = 0x0001;
    /// `_LOWER`.
    pub const LOWER: u16 = 0x0002;
    /// `_DIGIT`.
    pub const DIGIT: u16 = 0x0004;
    /// `_SPACE`.
    pub const SPACE: u16 = 0x0008;
    /// `_PUNCT`.
    pub const PUNCT: u16 = 0x0010;
    /// `_CONTROL`.
    pub const CONTROL: u16 = 0x0020;
    /// `_BLANK`.
    pub const BLANK: u16 = 0x0040;
    /// `_HEX`.
    pub const HEX: u16 = 0x0080;
    /// The letter bit alone, without its case.
    pub const LETTER: u16 = 0x0100;
    /// `_ALPHA`.
    pub const ALPHA: u16 = LETTER | UPPER | LOWER;
    /// What `isalnum` tests.
    pub const ALNUM: u16 = ALPHA | DIGIT;
    /// What `isgraph` tests.
    pub const GRAPH: u16 = PUNCT | ALPHA | DIGIT;
    /// What `isprint` tests.
    pub const PRINT: u16 = GRAPH | BLANK;
}

use class::{
    ALNUM, ALPHA, BLANK, CONTROL, DIGIT, GRAPH, HEX, LETTER, LOWER, PRINT, PUNCT, SPACE, UPPER,
};

/// Returns the classes of an ASCII character.
pub const fn of_ascii(byte: u8) -> u16 {
    match byte {
        b'\t' => CONTROL | SPACE | BLANK,
        0x0A..=0x0D => CONTROL | SPACE,
        0x00..=0x1F | 0x7F => CONTROL,
        b' ' => SPACE | BLANK,
        b'0'..=b'9' => DIGIT | HEX,
        b'A'..=b'F' => LETTER | UPPER | HEX,
        b'G'..=b'Z' => LETTER | UPPER,
        b'a'..=b'f' => LETTER | LOWER | HEX,
        b'g'..=b'z' => LETTER | LOWER,
        0x80.. => 0,
        _ => PUNCT,
    }
}

/// Returns the classes of a narrow character, EOF included.
fn of_narrow(code: i32) -> u16 {
    u8::try_from(code).map_or(0, of_ascii)
}

/// Returns the classes of a wide character.
pub fn of_wide(code: u32) -> u16 {
    if let Ok(byte @ 0..=0x7F) = u8::try_from(code) {
        return of_ascii(byte);
    }
    let Some(character) = char::from_u32(code) else {
        return 0;
    };
    if character.is_control() {
        return CONTROL | if code == 0x85 { SPACE } else { 0 };
    }
    if character.is_whitespace() {
        return SPACE | BLANK;
    }
    if character.is_alphabetic() {
        let upper = if character.is_uppercase() { UPPER } else { 0 };
        let lower = if character.is_lowercase() { LOWER } else { 0 };
        return LETTER | upper | lower;
    }
    if character.is_numeric() { DIGIT } else { PUNCT }
}

/// The class tables as guests see them: EOF, then the 256 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Table;

impl Guest for Table {
    fn size() -> usize {
        2 * 257
    }

    fn align() -> usize {
        2
    }

    fn load<M: crate::export::Memory>(_: u64) -> Result<Self, M::Fault> {
        Ok(Self)
    }

    fn store<M: crate::export::Memory>(self, at: u64) -> Result<(), M::Fault> {
        for byte in 0..=u8::MAX {
            of_ascii(byte).store::<M>(at + 2 + 2 * u64::from(byte))?;
        }
        Ok(())
    }
}

/// Returns the address of the class of byte 0.
pub fn table() -> Ptr<u16> {
    _ctype.ptr().cast::<u16>().add(1)
}

fn truth(value: u16) -> i32 {
    i32::from(value)
}

/// Declares the narrow and wide test of a class, with and without a locale.
macro_rules! classes {
    ($($narrow:ident $narrow_names:literal $wide:ident $wide_names:literal $class:ident;)*) => {
        win_api! {
            $(
                /// Tells whether a character is of the class the name says.
                "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn $narrow = $narrow_names (code: i32) -> i32 {
                    truth(of_narrow(code) & $class)
                }

                /// Tells whether a wide character is of the class the name says.
                "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn $wide = $wide_names (code: u16) -> i32 {
                    truth(of_wide(u32::from(code)) & $class)
                }
            )*
        }
    };
}

classes! {
    isalpha "isalpha|_isalpha_l" iswalpha "iswalpha|_iswalpha_l" ALPHA;
    isupper "isupper|_isupper_l" iswupper "iswupper|_iswupper_l" UPPER;
    islower "islower|_islower_l" iswlower "iswlower|_iswlower_l" LOWER;
    isdigit "isdigit|_isdigit_l" iswdigit "iswdigit|_iswdigit_l" DIGIT;
    isxdigit "isxdigit|_isxdigit_l" iswxdigit "iswxdigit|_iswxdigit_l" HEX;
    isspace "isspace|_isspace_l" iswspace "iswspace|_iswspace_l" SPACE;
    ispunct "ispunct|_ispunct_l" iswpunct "iswpunct|_iswpunct_l" PUNCT;
    isalnum "isalnum|_isalnum_l" iswalnum "iswalnum|_iswalnum_l" ALNUM;
    isprint "isprint|_isprint_l" iswprint "iswprint|_iswprint_l" PRINT;
    isgraph "isgraph|_isgraph_l" iswgraph "iswgraph|_iswgraph_l" GRAPH;
    iscntrl "iscntrl|_iscntrl_l" iswcntrl "iswcntrl|_iswcntrl_l" CONTROL;
}

win_api! {
    /// Class table: EOF, then the 256 bytes.
    "msvcrt.dll" data _ctype: Table = Table;

    /// Address of the class of byte 0.
    "msvcrt.dll" data _pctype: Ptr<u16> = table();

    /// Address of the class of wide character 0.
    "msvcrt.dll" data _pwctype: Ptr<u16> = table();

    /// Returns the class table.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __pctype_func = "__pctype_func|__pwctype_func" () -> Ptr<u16> {
        table()
    }

    /// Tells whether a character is of any class in `mask`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _isctype = "_isctype|_isctype_l" (code: i32, mask: i32) -> i32 {
        i32::from(of_narrow(code)) & mask
    }

    /// Tells whether a wide character is of any class in `mask`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn iswctype = "iswctype|is_wctype|_iswctype_l" (code: u16, mask: u16) -> i32 {
        truth(of_wide(u32::from(code)) & mask)
    }

    /// Tells whether a character is a space or tab.
    "ucrtbase.dll" cdecl fn isblank = "isblank|_isblank_l" (code: i32) -> i32 {
        truth(of_narrow(code) & BLANK)
    }

    /// Tells whether a wide character is a space or tab.
    "ucrtbase.dll" cdecl fn iswblank = "iswblank|_iswblank_l" (code: u16) -> i32 {
        truth(of_wide(u32::from(code)) & BLANK)
    }

    /// Returns the mask `iswctype` takes for the name of a class; 0 for an unknown one.
    "ucrtbase.dll" cdecl fn wctype(name: Ptr<u8>) -> u16 {
        match super::mem::string(name).as_slice() {
            b"alnum" => ALNUM,
            b"alpha" => ALPHA,
            b"blank" => BLANK,
            b"cntrl" => CONTROL,
            b"digit" => DIGIT,
            b"graph" => GRAPH,
            b"lower" => LOWER,
            b"print" => PRINT,
            b"punct" => PUNCT,
            b"space" => SPACE,
            b"upper" => UPPER,
            b"xdigit" => HEX,
            _ => 0,
        }
    }

    /// Returns the mapping `towctrans` takes for its name; 0 for an unknown one.
    "ucrtbase.dll" cdecl fn wctrans(name: Ptr<u8>) -> u16 {
        match super::mem::string(name).as_slice() {
            b"tolower" => 1,
            b"toupper" => 2,
            _ => 0,
        }
    }

    /// Maps a wide character.
    "ucrtbase.dll" cdecl fn towctrans(code: u16, mapping: u16) -> u16 {
        if mapping == 1 { towlower(code) } else { towupper(code) }
    }

    /// Tells whether a character is ASCII.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __isascii(code: i32) -> i32 {
        i32::from((0..0x80).contains(&code))
    }

    /// Tells whether a wide character is ASCII.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __iswascii = "__iswascii|iswascii" (code: u16) -> i32 {
        i32::from(code < 0x80)
    }

    /// Cuts a character to seven bits.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __toascii(code: i32) -> i32 {
        code & 0x7F
    }

    /// Tells whether a character can be inside a C identifier.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __iscsym(code: i32) -> i32 {
        i32::from(of_narrow(code) & ALNUM != 0 || code == i32::from(b'_'))
    }

    /// Tells whether a character can start a C identifier.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __iscsymf(code: i32) -> i32 {
        i32::from(of_narrow(code) & ALPHA != 0 || code == i32::from(b'_'))
    }

    /// Tells whether a wide character can be inside a C identifier.
    "ucrtbase.dll" cdecl fn __iswcsym = "__iswcsym|_iswcsym_l" (code: u16) -> i32 {
        i32::from(of_wide(u32::from(code)) & ALNUM != 0 || code == u16::from(b'_'))
    }

    /// Tells whether a wide character can start a C identifier.
    "ucrtbase.dll" cdecl fn __iswcsymf = "__iswcsymf|_iswcsymf_l" (code: u16) -> i32 {
        i32::from(of_wide(u32::from(code)) & ALPHA != 0 || code == u16::from(b'_'))
    }

    /// Tells whether a byte begins a character of two; neither code page has any.
    "msvcrt.dll|ucrtbase.dll" cdecl fn isleadbyte = "isleadbyte|_isleadbyte_l" (byte: i32) -> i32 {
        0
    }

    /// Returns the lower case of a character.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn tolower = "tolower|_tolower_l" (code: i32) -> i32 {
        locale::to_lower_narrow(code.cast_unsigned()).cast_signed()
    }

    /// Returns the upper case of a character.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn toupper = "toupper|_toupper_l" (code: i32) -> i32 {
        locale::to_upper_narrow(code.cast_unsigned()).cast_signed()
    }

    /// Returns the lower case of an upper case letter, unchecked.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _tolower(code: i32) -> i32 {
        code - i32::from(b'A') + i32::from(b'a')
    }

    /// Returns the upper case of a lower case letter, unchecked.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _toupper(code: i32) -> i32 {
        code - i32::from(b'a') + i32::from(b'A')
    }

    /// Returns the lower case of a wide character.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn towlower = "towlower|_towlower_l" (code: u16) -> u16 {
        u16::from_low(locale::to_lower_wide(u32::from(code)))
    }

    /// Returns the upper case of a wide character.
    "msvcrt.dll|ucrtbase.dll|ntdll.dll" cdecl fn towupper = "towupper|_towupper_l" (code: u16) -> u16 {
        u16::from_low(locale::to_upper_wide(u32::from(code)))
    }
}

/// Where `__p__pctype` points.
static PCTYPE: Data<Ptr<u16>> = Data::new(table);

win_api! {
    /// Returns the address of a pointer to the class table.
    "msvcrt.dll" cdecl fn __p__pctype = "__p__pctype|__p__pwctype" () -> Ptr<Ptr<u16>> {
        PCTYPE.ptr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_ascii_and_unicode() {
        assert_eq!(of_ascii(b'A'), 0x181);
        assert_eq!(of_ascii(b'z'), 0x102);
        assert_eq!(of_ascii(b'9'), 0x84);
        assert_eq!(of_ascii(0xE4), 0);
        assert_eq!(of_wide(0xE4), LETTER | LOWER);
        assert_eq!(of_wide(0xD800), 0);
        assert_eq!(of_narrow(-1), 0);
    }
}
