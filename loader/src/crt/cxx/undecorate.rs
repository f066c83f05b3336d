//! Names of types and functions as programs show them: `type_info::name`, `__unDName`.
//!
//! The `msvc-demangler` crate reads decorated names; what Microsoft's runtime writes otherwise than it is added here.
//! Source: Microsoft Learn, "UnDecorateSymbolName" (flags), "type_info class"; the tests show what `vcruntime140.dll`
//! 14.51 answers.

use msvc_demangler::{DemangleFlags, demangle};
use ntlpc_abi::Width;

use crate::crt::mem;
use crate::export::{Callback, Ptr};
use crate::{width, win_api};

/// `UNDNAME_NO_MS_KEYWORDS`: neither calling conventions nor `__ptr64`.
const NO_MS_KEYWORDS: u32 = 0x2;
/// `UNDNAME_NO_ARGUMENTS`, which also says that the name is that of a type.
const TYPE_ONLY: u32 = 0x2000;

/// Stands for a variable whose type is shown.
const VARIABLE: &str = "\u{1}";

/// Returns what `type_info::name` says of the decorated name of a type descriptor, or that name if it is none.
pub fn type_name(decorated: &str) -> String {
    decorated
        .strip_prefix('.')
        .and_then(|name| shown_type(name, 0))
        .unwrap_or_else(|| decorated.to_owned())
}

/// Returns a type (`?AVname@@`, `PEAH`) as text: that of a variable, without the variable.
fn shown_type(name: &str, flags: u32) -> Option<String> {
    let kind = name.strip_prefix("?A").unwrap_or(name);
    let shown = demangled(&format!("?{VARIABLE}@@3{kind}A"), flags)?;
    let (before, after) = shown.split_once(VARIABLE)?;
    Some(format!("{}{after}", before.trim_end()))
}

fn demangled(name: &str, flags: u32) -> Option<String> {
    let mut wanted =
        DemangleFlags::from_bits_truncate(flags & 0x1FFF) | DemangleFlags::MS_TYPENAMES;
    let has_pointers = width() == Width::X64 && flags & NO_MS_KEYWORDS == 0;
    wanted.set(DemangleFlags::WITH_PTR64, has_pointers);
    let mut text = demangle(name, wanted).ok()?.replace(") const", ")const");
    for convention in ["__cdecl", "__stdcall", "__fastcall", "__vectorcall"] {
        text = text.replace(&format!("{convention} *"), &format!("{convention}*"));
    }
    Some(if has_pointers {
        // The crate marks `this`; pointers to functions have no mark.
        text.replace(" *", " * __ptr64").replace(" &", " & __ptr64")
    } else if text.ends_with(")const") {
        text + " "
    } else {
        text
    })
}

/// Returns a decorated name as text, or as it is if it is none.
fn shown(name: &str, flags: u32) -> String {
    let text = if flags & TYPE_ONLY == 0 {
        demangled(name, flags)
    } else {
        shown_type(name.strip_prefix('.').unwrap_or(name), flags)
    };
    text.unwrap_or_else(|| name.to_owned())
}

win_api! {
    /// Writes a decorated name as text, to a buffer or to a block of `allocate`; NULL if there is no room.
    "vcruntime140.dll|msvcrt.dll|ucrtbase.dll" cdecl fn __unDName = "__unDName|__unDNameEx" (to: Ptr<u8>, name: Ptr<u8>, size: i32, allocate: Callback, _free: Callback, flags: u16) -> Ptr<u8> {
        let decorated = mem::string(name);
        let text = shown(&String::from_utf8_lossy(&decorated), flags.into()).into_bytes();
        let (at, room) = if to.is_null() {
            (Ptr::new(allocate.call(&[text.len() as u64 + 1])), text.len())
        } else {
            (to, usize::try_from(size - 1).unwrap_or(0))
        };
        if !at.is_null() && room > 0 {
            mem::write_string(at, &text[..text.len().min(room)]);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::{shown, type_name};

    #[test]
    fn types_are_shown_as_the_runtime_does() {
        for (decorated, text) in [
            (".H", "int"),
            ("._K", "unsigned __int64"),
            (".PEBD", "char const * __ptr64"),
            (".P6AHH@Z", "int (__cdecl*)(int)"),
            (".PEBVBase@ns@@", "class ns::Base const * __ptr64"),
            (".?AW4color@@", "enum color"),
            (
                ".?AVinner@?A0x12345678@@",
                "class `anonymous namespace'::inner",
            ),
            (
                ".?AV?$vector@HV?$allocator@H@std@@@std@@",
                "class std::vector<int,class std::allocator<int> >",
            ),
            (
                ".?AV<lambda_1>@?1??main@@YAHHQEAPEAD@Z@",
                "class `int __cdecl main(int,char * __ptr64 * __ptr64 const)'::`2'::<lambda_1>",
            ),
            (".no such type", ".no such type"),
        ] {
            assert_eq!(type_name(decorated), text, "{decorated}");
        }
    }

    #[test]
    fn functions_are_shown_with_what_the_flags_leave() {
        let what = "?what@exception@std@@UEBAPEBDXZ";
        assert_eq!(
            shown(what, 0),
            "public: virtual char const * __ptr64 __cdecl std::exception::what(void)const __ptr64"
        );
        assert_eq!(
            shown(what, 2),
            "public: virtual char const * std::exception::what(void)const "
        );
        assert_eq!(shown(what, 0x1000), "std::exception::what");
        assert_eq!(
            shown("??1exception@std@@UEAA@XZ", 0),
            "public: virtual __cdecl std::exception::~exception(void) __ptr64"
        );
        assert_eq!(shown("main", 0), "main");
    }
}
