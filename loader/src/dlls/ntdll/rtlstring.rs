//! Counted strings and paths in them: the `Rtl` calls. Prototypes: phnt `ntrtl.h`; Microsoft Learn.

use ntlpc_abi::{NtStatus, UserPtr};

use crate::dlls::kernel32::fileapi::GetFullPathNameW;
use crate::dlls::kernel32::processenv::{GetCurrentDirectoryW, change_directory};
use crate::export::{Boolean, Ptr};
use crate::ob::attributes::{AnsiString, UnicodeString};
use crate::ob::name::upcase;
use crate::win_api;

win_api! {
    /// Describes a NUL-terminated string; NULL gives an empty one.
    "ntdll.dll" stdcall fn RtlInitUnicodeString(string: Ptr<UnicodeString>, source: Ptr<u16>) {
        // Longer strings are cut to what the lengths can say, as Windows does.
        let bytes = source.non_null().map_or(0, |s| (s.read_wide_string().len() * 2).min(0xFFFC));
        let length = u16::try_from(bytes).unwrap_or(0xFFFC);
        let maximum_length = if source.is_null() { 0 } else { length + 2 };
        string.write(UnicodeString { length, maximum_length, buffer: source });
    }

    /// Describes a NUL-terminated string, or refuses one that is too long.
    "ntdll.dll" stdcall fn RtlInitUnicodeStringEx(string: Ptr<UnicodeString>, source: Ptr<u16>) -> NtStatus {
        let bytes = source.non_null().map_or(0, |s| s.read_wide_string().len() * 2);
        let Some(length) = u16::try_from(bytes).ok().filter(|&l| l < 0xFFFE) else { return NtStatus::NAME_TOO_LONG };
        let maximum_length = if source.is_null() { 0 } else { length + 2 };
        string.write(UnicodeString { length, maximum_length, buffer: source });
        NtStatus::SUCCESS
    }

    /// Describes a NUL-terminated string; NULL gives an empty one.
    "ntdll.dll" stdcall fn RtlInitAnsiString = "RtlInitAnsiString|RtlInitString" (string: Ptr<AnsiString>, source: Ptr<u8>) {
        let bytes = source.non_null().map_or(0, |s| s.read_c_string().len().min(0xFFFE));
        let length = u16::try_from(bytes).unwrap_or(0xFFFE);
        let maximum_length = if source.is_null() { 0 } else { length.saturating_add(1) };
        string.write(AnsiString { length, maximum_length, buffer: source });
    }

    /// Returns whether two strings are equal, of any case if so wanted.
    "ntdll.dll" stdcall fn RtlEqualUnicodeString(one: Ptr<UnicodeString>, other: Ptr<UnicodeString>, ignores_case: Boolean) -> Boolean {
        let fold = |string: Ptr<UnicodeString>| -> Vec<u16> {
            let units = units(&string.read());
            if ignores_case.get() { units.into_iter().map(upcase).collect() } else { units }
        };
        (fold(one) == fold(other)).into()
    }

    /// Returns the upper case of a unit.
    "ntdll.dll" stdcall fn RtlUpcaseUnicodeChar(unit: u16) -> u16 {
        upcase(unit)
    }

    /// Makes a path absolute; sizes are bytes. Returns the length, or the size needed with the NUL.
    "ntdll.dll" stdcall fn RtlGetFullPathName_U(name: Ptr<u16>, size: u32, buffer: Ptr<u16>, leaf: Ptr<UserPtr>) -> u32 {
        2 * GetFullPathNameW(name, size / 2, buffer, leaf)
    }

    /// Returns the current directory; sizes are bytes. Returns the length, or the size needed with the NUL.
    "ntdll.dll" stdcall fn RtlGetCurrentDirectory_U(size: u32, buffer: Ptr<u16>) -> u32 {
        2 * GetCurrentDirectoryW(size / 2, buffer)
    }

    /// Changes the current directory.
    "ntdll.dll" stdcall fn RtlSetCurrentDirectory_U(name: Ptr<UnicodeString>) -> Result<(), NtStatus> {
        change_directory(&units(&name.read()))
    }
}

fn units(string: &UnicodeString) -> Vec<u16> {
    string.buffer.read_many(usize::from(string.length) / 2)
}
