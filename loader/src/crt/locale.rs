//! `locale.h`: the locale of the process, character case, code pages.
//!
//! There are two locales: "C" and UTF-8 (which `""` and names ending in `.UTF8` select). Numbers, money, collation and
//! dates are those of "C" in both.

use std::sync::atomic::{AtomicBool, Ordering};

use super::errno;
use super::mem;
use super::text::CodePage;
use super::unit::{self};
use crate::export::Ptr;
use crate::vm::low;
use crate::{guest_struct, win_api};
use ntlpc_abi::UserPtr;

static IS_UTF8: AtomicBool = AtomicBool::new(false);

/// Categories of `setlocale`; `LC_ALL` is 0.
const LC_CTYPE: i32 = 2;
const LC_MAX: i32 = 5;

/// Returns the code page of the current locale.
pub fn code_page() -> CodePage {
    if IS_UTF8.load(Ordering::Relaxed) {
        CodePage::Utf8
    } else {
        CodePage::C
    }
}

/// Returns the lower case of a byte.
pub fn to_lower_narrow(code: u32) -> u32 {
    if (0x41..=0x5A).contains(&code) {
        code + 0x20
    } else {
        code
    }
}

/// Returns the upper case of a byte.
pub fn to_upper_narrow(code: u32) -> u32 {
    if (0x61..=0x7A).contains(&code) {
        code - 0x20
    } else {
        code
    }
}

/// Returns the lower case of a UTF-16 unit; in the "C" locale only ASCII has one.
pub fn to_lower_wide(code: u32) -> u32 {
    if code < 0x80 || code_page() == CodePage::C {
        to_lower_narrow(code)
    } else {
        single(code, char::to_lowercase)
    }
}

/// Returns the upper case of a UTF-16 unit; in the "C" locale only ASCII has one.
pub fn to_upper_wide(code: u32) -> u32 {
    if code < 0x80 || code_page() == CodePage::C {
        to_upper_narrow(code)
    } else {
        single(code, char::to_uppercase)
    }
}

/// Maps a character to one character, or to itself if its case is more than one UTF-16 unit.
pub fn single<I: Iterator<Item = char>>(code: u32, map: impl Fn(char) -> I) -> u32 {
    let Some(character) = char::from_u32(code) else {
        return code;
    };
    let mut mapped = map(character).map(u32::from);
    match (mapped.next(), mapped.next()) {
        (Some(one), None) if one <= 0xFFFF => one,
        _ => code,
    }
}

/// Returns the code page of the locale of this name; `None` if there is none.
pub fn named_code_page(name: &str) -> Option<CodePage> {
    match name {
        "C" | "POSIX" => Some(CodePage::C),
        "" => Some(CodePage::Utf8),
        _ => {
            let page = name
                .rsplit_once('.')
                .map(|(_, page)| page.to_ascii_lowercase());
            match page.as_deref() {
                Some("utf8" | "utf-8" | "65001" | "acp" | "ocp") => Some(CodePage::Utf8),
                // A language without a code page has its default one, which is UTF-8 here.
                None if name
                    .chars()
                    .all(|c| c.is_ascii_alphabetic() || matches!(c, '-' | '_' | ' ')) =>
                {
                    Some(CodePage::Utf8)
                }
                _ => None,
            }
        }
    }
}

/// Sets or asks for the locale; returns its name, or `None` if there is no such locale.
fn set_locale(category: i32, name: Option<&str>) -> Option<&'static str> {
    if !(0..=LC_MAX).contains(&category) {
        errno::invalid_parameter();
        return None;
    }
    let sets_ctype = category == 0 || category == LC_CTYPE;
    if let Some(name) = name {
        let page = named_code_page(name)?;
        if sets_ctype {
            IS_UTF8.store(page == CodePage::Utf8, Ordering::Relaxed);
        } else {
            // Other categories are the same in both locales.
            return Some(if page == CodePage::C { "C" } else { UTF8_NAME });
        }
    }
    Some(if sets_ctype && code_page() == CodePage::Utf8 {
        UTF8_NAME
    } else {
        "C"
    })
}

const UTF8_NAME: &str = "English_United States.utf8";

/// Returns a permanent guest copy of a locale name.
fn permanent<T: mem::Char>(name: &'static str) -> Ptr<T> {
    use std::collections::BTreeMap;
    static COPIES: parking_lot::Mutex<BTreeMap<(&str, usize), u64>> =
        parking_lot::Mutex::new(BTreeMap::new());
    let mut copies = COPIES.lock();
    let at = *copies.entry((name, T::size())).or_insert_with(|| {
        let at = low::allocate((name.len() + 1) * T::size(), T::align());
        mem::write_string(Ptr::new(at), &unit::ascii::<T>(name));
        at
    });
    Ptr::new(at)
}

guest_struct! {
    /// `struct lconv` of `locale.h`, with the wide members of newer runtimes.
    pub struct Lconv {
        decimal_point: UserPtr,
        thousands_sep: UserPtr,
        grouping: UserPtr,
        int_curr_symbol: UserPtr,
        currency_symbol: UserPtr,
        mon_decimal_point: UserPtr,
        mon_thousands_sep: UserPtr,
        mon_grouping: UserPtr,
        positive_sign: UserPtr,
        negative_sign: UserPtr,
        int_frac_digits: u8,
        frac_digits: u8,
        p_cs_precedes: u8,
        p_sep_by_space: u8,
        n_cs_precedes: u8,
        n_sep_by_space: u8,
        p_sign_posn: u8,
        n_sign_posn: u8,
        wide_decimal_point: UserPtr,
        wide_thousands_sep: UserPtr,
        wide_int_curr_symbol: UserPtr,
        wide_currency_symbol: UserPtr,
        wide_mon_decimal_point: UserPtr,
        wide_mon_thousands_sep: UserPtr,
        wide_positive_sign: UserPtr,
        wide_negative_sign: UserPtr,
    }
}

/// `CHAR_MAX`: not available in this locale.
const UNAVAILABLE: u8 = 127;

fn c_lconv() -> Lconv {
    let point = permanent::<u8>(".").user();
    let empty = permanent::<u8>("").user();
    let wide_point = permanent::<u16>(".").user();
    let wide_empty = permanent::<u16>("").user();
    Lconv {
        decimal_point: point,
        thousands_sep: empty,
        grouping: empty,
        int_curr_symbol: empty,
        currency_symbol: empty,
        mon_decimal_point: empty,
        mon_thousands_sep: empty,
        mon_grouping: empty,
        positive_sign: empty,
        negative_sign: empty,
        int_frac_digits: UNAVAILABLE,
        frac_digits: UNAVAILABLE,
        p_cs_precedes: UNAVAILABLE,
        p_sep_by_space: UNAVAILABLE,
        n_cs_precedes: UNAVAILABLE,
        n_sep_by_space: UNAVAILABLE,
        p_sign_posn: UNAVAILABLE,
        n_sign_posn: UNAVAILABLE,
        wide_decimal_point: wide_point,
        wide_thousands_sep: wide_empty,
        wide_int_curr_symbol: wide_empty,
        wide_currency_symbol: wide_empty,
        wide_mon_decimal_point: wide_empty,
        wide_mon_thousands_sep: wide_empty,
        wide_positive_sign: wide_empty,
        wide_negative_sign: wide_empty,
    }
}

/// The `struct lconv` that `localeconv` returns.
static LCONV: crate::export::Data<Lconv> = crate::export::Data::new(c_lconv);

/// What `___lc_locale_name_func` returns: only the characters are ever those of another locale than "C".
static LOCALE_NAMES: crate::export::Data<[Ptr<u16>; 6]> =
    crate::export::Data::new(|| [Ptr::NULL; 6]);

win_api! {
    /// Sets or returns the locale.
    "msvcrt.dll|ucrtbase.dll" cdecl fn setlocale(category: i32, name: Ptr<u8>) -> Ptr<u8> {
        let wanted = name.non_null().map(|name| String::from_utf8_lossy(&mem::string(name)).into_owned());
        set_locale(category, wanted.as_deref()).map_or(Ptr::NULL, permanent)
    }

    /// Sets or returns the locale.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _wsetlocale(category: i32, name: Ptr<u16>) -> Ptr<u16> {
        let wanted = name.non_null().map(|name| String::from_utf16_lossy(&mem::string(name)));
        set_locale(category, wanted.as_deref()).map_or(Ptr::NULL, permanent)
    }

    /// Returns the number formats of the locale.
    "msvcrt.dll|ucrtbase.dll" cdecl fn localeconv() -> Ptr<Lconv> {
        LCONV.ptr()
    }

    /// Returns the code page of the locale; 0 for "C".
    "msvcrt.dll|ucrtbase.dll" cdecl fn ___lc_codepage_func() -> u32 {
        code_page().number()
    }

    /// Returns the names of the locales by category, `LC_ALL` first; NULL stands for "C".
    "msvcrt.dll|ucrtbase.dll" cdecl fn ___lc_locale_name_func() -> Ptr<[Ptr<u16>; 6]> {
        let name = match code_page() {
            CodePage::C => Ptr::NULL,
            CodePage::Utf8 => permanent("en-US"),
        };
        let names = LOCALE_NAMES.ptr();
        names.cast::<Ptr<u16>>().add(LC_CTYPE as usize).write(name);
        names
    }

    /// Address of the table of lead and trail bytes, of which neither code page has any.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __p__mbctype() -> Ptr<[u8; 257]> {
        _mbctype.ptr()
    }

    /// Address of the table of the other case of bytes that are letters beyond ASCII, of which there are none.
    "msvcrt.dll|ucrtbase.dll" cdecl fn __p__mbcasemap() -> Ptr<[u8; 257]> {
        _mbcasemap.ptr()
    }

    /// Kinds of bytes: EOF, then the 256 bytes.
    "msvcrt.dll" data _mbctype: [u8; 257] = [0; 257];

    /// The other case of bytes.
    "msvcrt.dll" data _mbcasemap: [u8; 257] = [0; 257];

    /// Returns `MB_CUR_MAX`.
    "msvcrt.dll|ucrtbase.dll" cdecl fn ___mb_cur_max_func = "___mb_cur_max_func|___mb_cur_max_l_func" () -> i32 {
        code_page().max_bytes().cast_signed()
    }

    /// Address of `MB_CUR_MAX`.
    "msvcrt.dll" cdecl fn __p___mb_cur_max() -> Ptr<i32> {
        __mb_cur_max.ptr()
    }

    /// `MB_CUR_MAX` of the "C" locale.
    "msvcrt.dll" data __mb_cur_max: i32 = 1;

    /// Returns the collation code page of the locale; 0 for "C".
    "msvcrt.dll|ucrtbase.dll" cdecl fn ___lc_collate_cp_func() -> u32 {
        code_page().number()
    }

    /// Chooses whether threads have locales of their own; all threads share one here.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _configthreadlocale(choice: i32) -> i32 {
        const ENABLE: i32 = 1;
        const DISABLE: i32 = 2;
        match choice {
            ENABLE => {
                log::warn!("_configthreadlocale: per-thread locales are not supported");
                -1
            }
            0 | DISABLE => DISABLE,
            _ => {
                errno::invalid_parameter();
                -1
            }
        }
    }

    /// Locks the locale; it changes atomically here.
    "ucrtbase.dll" cdecl fn _lock_locales() {}

    /// Unlocks the locale.
    "ucrtbase.dll" cdecl fn _unlock_locales() {}

    /// Returns the code page of multibyte functions.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _getmbcp() -> i32 {
        code_page().number().cast_signed()
    }

    /// Sets the code page of multibyte functions: the locale's, UTF-8 or none.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _setmbcp(page: i32) -> i32 {
        const LOCALE: i32 = -4;
        match page {
            LOCALE..=0 | 65001 => 0,
            _ => {
                errno::invalid_parameter();
                -1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locale_names_select_c_or_utf8() {
        assert_eq!(named_code_page("C"), Some(CodePage::C));
        assert_eq!(named_code_page(""), Some(CodePage::Utf8));
        assert_eq!(named_code_page(".UTF-8"), Some(CodePage::Utf8));
        assert_eq!(named_code_page("de_DE.utf8"), Some(CodePage::Utf8));
        assert_eq!(
            named_code_page("English_United States"),
            Some(CodePage::Utf8)
        );
        assert_eq!(named_code_page("de_DE.1252"), None);
        assert_eq!(named_code_page("!"), None);
    }

    #[test]
    fn case_maps_only_single_units() {
        assert_eq!(single(u32::from('ß'), char::to_uppercase), u32::from('ß'));
        assert_eq!(single(u32::from('ä'), char::to_uppercase), u32::from('Ä'));
        assert_eq!(to_lower_narrow(0x41), 0x61);
    }
}
