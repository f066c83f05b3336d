//! Names of days and months as the C++ library asks for them: `_Getdays`, `_Getmonths`, `_Gettnames`.
//!
//! Source: the use that `msvcp140.dll` makes of them; Microsoft's STL, `xloctime` (`_Getdays` gives
//! `:Sun:Sunday:Mon:Monday…`).

use super::calendar::{DAYS, MONTHS};
use crate::crt::malloc;
use crate::crt::mem::{self, Char};
use crate::crt::twins::twins;
use crate::crt::unit;
use crate::export::Ptr;
use crate::win_api;

/// Returns a block of the heap with the short and the long form of each name, each behind a colon.
fn list<T: Char>(names: &[&str]) -> Ptr<T> {
    let text: String = names
        .iter()
        .map(|name| format!(":{}:{name}", &name[..3]))
        .collect();
    let block = malloc::malloc((text.len() + 1) * T::size()).cast::<T>();
    if !block.is_null() {
        mem::write_string(block, &unit::ascii::<T>(&text));
    }
    block
}

twins! {
    /// Returns the names of the days; the caller frees them.
    "msvcrt.dll|ucrtbase.dll" fn _Getdays / _W_Getdays() -> Ptr<Char> {
        list(&DAYS)
    }

    /// Returns the names of the months; the caller frees them.
    "msvcrt.dll|ucrtbase.dll" fn _Getmonths / _W_Getmonths() -> Ptr<Char> {
        list(&MONTHS)
    }
}

win_api! {
    /// Returns what `_Strftime` takes for the names of a locale, which are those of "C"; the caller frees it.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _Gettnames = "_Gettnames|_W_Gettnames" () -> Ptr<u8> {
        malloc::calloc(1, 16)
    }
}
