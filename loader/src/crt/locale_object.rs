//! Locales as objects.
//!
//! Numbers, dates and the classes of characters are the same in every locale, so most functions that are given a locale do
//! not look at it; those that convert characters do. The objects have the parts that macros of the C headers read.
//!
//! Source: Microsoft Learn, "_create_locale, _wcreate_locale", "_free_locale", "_get_current_locale"; the structures
//! are `__crt_locale_data_public` of the SDK and `threadlocaleinfostruct` of mingw-w64's `corecrt.h`.

use ntlpc_abi::UserPtr;

use super::locale::{self, named_code_page};
use super::malloc;
use super::mem::{self, Char};
use super::text::CodePage;
use super::twins::twins;
use super::{ctype, startup};
use crate::export::{Guest, Ptr};
use crate::{guest_struct, win_api};

guest_struct! {
    /// `_locale_tstruct`.
    pub struct LocaleObject {
        data: Ptr<u8>,
        multibyte: UserPtr,
    }
    /// What `ucrtbase` shows of a locale.
    struct NewData {
        classes: Ptr<u16>,
        most_bytes: i32,
        code_page: u32,
    }
    /// What `msvcrt` shows of a locale; counts of references and names stay zero.
    struct OldData {
        references: i32,
        code_page: u32,
        collation_code_page: u32,
        handles: [u32; 6],
        ids: [u16; 18],
        categories: [usize; 24],
        is_c: i32,
        most_bytes: i32,
        conversion_references: [usize; 3],
        conversion: UserPtr,
        class_references: usize,
        own_classes: UserPtr,
        classes: Ptr<u16>,
        case_tables: [UserPtr; 2],
        times: UserPtr,
    }
}

/// Makes an object: one block, its data behind it.
fn make(page: CodePage) -> Ptr<LocaleObject> {
    let bytes = LocaleObject::size() + OldData::size().max(NewData::size());
    let object = malloc::calloc(1, bytes).cast::<LocaleObject>();
    if object.is_null() {
        return object;
    }
    let data = object.byte_add(LocaleObject::size() as u64).cast::<u8>();
    object.write(LocaleObject {
        data,
        multibyte: UserPtr(0),
    });
    let (classes, most_bytes) = (ctype::table(), page.max_bytes().cast_signed());
    if startup::is_ucrt() {
        data.cast::<NewData>().write(NewData {
            classes,
            most_bytes,
            code_page: page.number(),
        });
    } else {
        let field = |name| OldData::offset_of(name) as u64;
        data.byte_add(field("code_page"))
            .cast()
            .write(page.number());
        data.byte_add(field("is_c"))
            .cast()
            .write(i32::from(page == CodePage::C));
        data.byte_add(field("most_bytes")).cast().write(most_bytes);
        data.byte_add(field("classes")).cast().write(classes);
    }
    object
}

/// Returns the code page of a locale; that of the process for NULL.
pub fn page_of(object: Ptr<u8>) -> CodePage {
    let Some(object) = object.non_null() else {
        return locale::code_page();
    };
    let data = object.cast::<LocaleObject>().read().data;
    let field = if startup::is_ucrt() {
        NewData::offset_of("code_page")
    } else {
        OldData::offset_of("code_page")
    };
    match data.byte_add(field as u64).cast::<u32>().read() {
        0 => CodePage::C,
        _ => CodePage::Utf8,
    }
}

fn create<T: Char>(name: Ptr<T>) -> Ptr<LocaleObject> {
    if name.is_null() {
        return Ptr::NULL;
    }
    let name: String = mem::string(name)
        .iter()
        .map(|unit| char::from(unit.ascii()))
        .collect();
    named_code_page(&name).map_or(Ptr::NULL, make)
}

twins! {
    /// Makes a locale by its name; NULL if there is none.
    "msvcrt.dll|ucrtbase.dll" fn _create_locale / _wcreate_locale(category: i32, name: Ptr<Char>) -> Ptr<LocaleObject> {
        create(name)
    }
}

win_api! {
    /// Makes an object of the current locale.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _get_current_locale() -> Ptr<LocaleObject> {
        make(locale::code_page())
    }

    /// Frees a locale.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _free_locale(locale: Ptr<u8>) {
        malloc::free(locale);
    }
}
