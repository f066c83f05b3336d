//! Counted strings: the `Rtl` calls. Prototypes: phnt `ntrtl.h`; Microsoft Learn.

use ntlpc_abi::NtStatus;

use crate::export::Ptr;
use crate::ob::attributes::{AnsiString, UnicodeString};
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
}
