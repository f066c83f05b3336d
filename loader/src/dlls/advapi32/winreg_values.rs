//! Values of registry keys: `winreg.h`. Source: Microsoft Learn "Registry Functions".

use ntlpc_abi::{Handle, NtStatus};

use super::winreg::{code, key_at, put_text};
use crate::dlls::kernel32::processenv::expand;
use crate::dlls::win32::{ansi_of, dos_error, error, units_arg, wide_arg, wide_of};
use crate::export::Ptr;
use crate::registry::key::{self, rights};
use crate::registry::kind::{self, is_text};
use crate::registry::tree::Value;
use crate::win_api;

/// `RRF_*`: the flags of `RegGetValue` and their types by `REG_*`.
mod rrf {
    pub const RT_EXPAND_SZ: u32 = 4;
    pub const RT_ANY: u32 = 0xFFFF;
    pub const NOEXPAND: u32 = 0x1000_0000;
    pub const ZERO_ON_FAILURE: u32 = 0x2000_0000;
    pub const WOW64: u32 = 0x3_0000;
}

/// `ERROR_UNSUPPORTED_TYPE`.
const UNSUPPORTED_TYPE: u32 = 1630;

fn units_of(data: &[u8]) -> Vec<u16> {
    let pairs = data.chunks_exact(2);
    pairs
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

fn bytes_of(units: &[u16]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
}

/// Whether a function is the one for ANSI, whose callers see text values in the ANSI code page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Ansi,
    Wide,
}

impl Text {
    fn out_of_store(self, value: Value) -> Value {
        if self == Text::Ansi && is_text(value.kind) {
            let data = ansi_of(&units_of(&value.data));
            return Value { data, ..value };
        }
        value
    }

    fn into_store(self, kind: u32, data: Vec<u8>) -> Vec<u8> {
        if self == Text::Ansi && is_text(kind) {
            return bytes_of(&wide_of(&data));
        }
        data
    }

    fn nul(self) -> usize {
        if self == Text::Ansi { 1 } else { 2 }
    }
}

fn value_of(handle: Handle, path: Option<&[u16]>, name: Option<&[u16]>) -> Result<Value, NtStatus> {
    let key = key_at(handle, path, rights::QUERY_VALUE)?;
    key.look(|node| {
        let value = node.value(name.unwrap_or_default());
        value.cloned().ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)
    })
}

/// Where data go: NULL pointers for what the caller does not want.
#[derive(Clone, Copy)]
struct Output {
    kind: Ptr<u32>,
    data: Ptr<u8>,
    size: Ptr<u32>,
}

impl Output {
    fn put(self, value: &Value) -> u32 {
        self.kind.write_if_some(value.kind);
        if self.size.is_null() {
            return error::SUCCESS;
        }
        let given = self.size.read() as usize;
        self.size
            .write(u32::try_from(value.data.len()).unwrap_or(u32::MAX));
        if self.data.is_null() {
            return error::SUCCESS;
        }
        if given < value.data.len() {
            return error::MORE_DATA;
        }
        self.data.write_bytes(&value.data);
        error::SUCCESS
    }
}

fn query(handle: Handle, name: Option<Vec<u16>>, text: Text, to: Output) -> u32 {
    if !to.data.is_null() && to.size.is_null() {
        return error::INVALID_PARAMETER;
    }
    match value_of(handle, None, name.as_deref()) {
        Ok(value) => to.put(&text.out_of_store(value)),
        Err(status) => dos_error(status),
    }
}

/// The names of one `RegGetValue`.
struct Wanted {
    path: Option<Vec<u16>>,
    name: Option<Vec<u16>>,
}

fn get(handle: Handle, wanted: &Wanted, flags: u32, text: Text, to: Output) -> u32 {
    let types = flags & rrf::RT_ANY;
    let expands = flags & rrf::NOEXPAND == 0;
    let is_bad = types == 0
        || flags & rrf::WOW64 == rrf::WOW64
        || !to.data.is_null() && to.size.is_null()
        || types != rrf::RT_ANY && types & rrf::RT_EXPAND_SZ != 0 && expands;
    let given = if to.data.is_null() || to.size.is_null() {
        0
    } else {
        to.size.read()
    };
    let result = if is_bad {
        error::INVALID_PARAMETER
    } else {
        match value_of(handle, wanted.path.as_deref(), wanted.name.as_deref()) {
            Ok(value) => match presented(value, types, expands, text) {
                Some(value) => to.put(&value),
                None => UNSUPPORTED_TYPE,
            },
            Err(status) => dos_error(status),
        }
    };
    if result != error::SUCCESS && flags & rrf::ZERO_ON_FAILURE != 0 {
        to.data.write_bytes(&vec![0; given as usize]);
    }
    result
}

/// The value as `RegGetValue` gives it: expanded, with its NULs; `None` for a type that was not asked for.
fn presented(mut value: Value, types: u32, expands: bool, text: Text) -> Option<Value> {
    if value.kind == kind::EXPAND_SZ && expands {
        let mut units = units_of(&value.data);
        units.truncate(
            units
                .iter()
                .position(|&unit| unit == 0)
                .unwrap_or(units.len()),
        );
        let expanded = expand(&String::from_utf16_lossy(&units));
        value.kind = kind::SZ;
        value.data = bytes_of(&expanded.encode_utf16().chain([0]).collect::<Vec<_>>());
    }
    if types != rrf::RT_ANY
        && 1_u32
            .checked_shl(value.kind)
            .is_none_or(|bit| types & bit == 0)
    {
        return None;
    }
    let mut value = text.out_of_store(value);
    let ends = match value.kind {
        kind::SZ | kind::EXPAND_SZ => 1,
        kind::MULTI_SZ => 2,
        _ => return Some(value),
    };
    let has = value
        .data
        .rchunks_exact(text.nul())
        .take_while(|unit| unit.iter().all(|&byte| byte == 0))
        .count();
    let missing = text.nul() * usize::saturating_sub(ends, has);
    value.data.resize(value.data.len() + missing, 0);
    Some(value)
}

fn set(
    handle: Handle,
    path: Option<&[u16]>,
    name: Option<Vec<u16>>,
    kind: u32,
    text: Text,
    data: (Ptr<u8>, u32),
) -> u32 {
    let (from, len) = data;
    if from.is_null() && len != 0 {
        return error::INVALID_PARAMETER;
    }
    let data = text.into_store(kind, from.read_bytes(len as usize));
    let name = name.unwrap_or_default();
    let key = key_at(handle, path, rights::SET_VALUE);
    code(key.and_then(|key| key.set_value(Value { name, kind, data })))
}

fn delete(handle: Handle, path: Option<&[u16]>, name: Option<Vec<u16>>) -> u32 {
    let key = key_at(handle, path, rights::SET_VALUE);
    code(key.and_then(|key| key.delete_value(name.unwrap_or_default())))
}

fn nth(handle: Handle, index: u32) -> Result<Value, NtStatus> {
    key::of_handle(handle, rights::QUERY_VALUE)?.look(|node| {
        let value = node.values.get(index as usize);
        value.cloned().ok_or(NtStatus::NO_MORE_ENTRIES)
    })
}

win_api! {
    /// Reads a value.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegQueryValueExW(key: Handle, name: Ptr<u16>, reserved: Ptr<u32>, kind: Ptr<u32>, data: Ptr<u8>, size: Ptr<u32>) -> u32 {
        query(key, units_arg(name), Text::Wide, Output { kind, data, size })
    }

    /// Reads a value.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegQueryValueExA(key: Handle, name: Ptr<u8>, reserved: Ptr<u32>, kind: Ptr<u32>, data: Ptr<u8>, size: Ptr<u32>) -> u32 {
        query(key, wide_arg(name), Text::Ansi, Output { kind, data, size })
    }

    /// Reads a value of certain types, text with its NUL and expanded.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegGetValueW(key: Handle, path: Ptr<u16>, name: Ptr<u16>, flags: u32, kind: Ptr<u32>, data: Ptr<u8>, size: Ptr<u32>) -> u32 {
        let wanted = Wanted { path: units_arg(path), name: units_arg(name) };
        get(key, &wanted, flags, Text::Wide, Output { kind, data, size })
    }

    /// Reads a value of certain types, text with its NUL and expanded.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegGetValueA(key: Handle, path: Ptr<u8>, name: Ptr<u8>, flags: u32, kind: Ptr<u32>, data: Ptr<u8>, size: Ptr<u32>) -> u32 {
        let wanted = Wanted { path: wide_arg(path), name: wide_arg(name) };
        get(key, &wanted, flags, Text::Ansi, Output { kind, data, size })
    }

    /// Writes a value.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegSetValueExW(key: Handle, name: Ptr<u16>, reserved: u32, kind: u32, data: Ptr<u8>, size: u32) -> u32 {
        set(key, None, units_arg(name), kind, Text::Wide, (data, size))
    }

    /// Writes a value.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegSetValueExA(key: Handle, name: Ptr<u8>, reserved: u32, kind: u32, data: Ptr<u8>, size: u32) -> u32 {
        set(key, None, wide_arg(name), kind, Text::Ansi, (data, size))
    }

    /// Writes a value of a subkey that is there.
    "advapi32.dll|kernelbase.dll" stdcall fn RegSetKeyValueW(key: Handle, path: Ptr<u16>, name: Ptr<u16>, kind: u32, data: Ptr<u8>, size: u32) -> u32 {
        set(key, units_arg(path).as_deref(), units_arg(name), kind, Text::Wide, (data, size))
    }

    /// Writes a value of a subkey that is there.
    "advapi32.dll|kernelbase.dll" stdcall fn RegSetKeyValueA(key: Handle, path: Ptr<u8>, name: Ptr<u8>, kind: u32, data: Ptr<u8>, size: u32) -> u32 {
        set(key, wide_arg(path).as_deref(), wide_arg(name), kind, Text::Ansi, (data, size))
    }

    /// Removes a value.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegDeleteValueW(key: Handle, name: Ptr<u16>) -> u32 {
        delete(key, None, units_arg(name))
    }

    /// Removes a value.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegDeleteValueA(key: Handle, name: Ptr<u8>) -> u32 {
        delete(key, None, wide_arg(name))
    }

    /// Removes a value of a subkey.
    "advapi32.dll|kernelbase.dll" stdcall fn RegDeleteKeyValueW(key: Handle, path: Ptr<u16>, name: Ptr<u16>) -> u32 {
        delete(key, units_arg(path).as_deref(), units_arg(name))
    }

    /// Removes a value of a subkey.
    "advapi32.dll|kernelbase.dll" stdcall fn RegDeleteKeyValueA(key: Handle, path: Ptr<u8>, name: Ptr<u8>) -> u32 {
        delete(key, wide_arg(path).as_deref(), wide_arg(name))
    }

    /// Reads a value by its place.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegEnumValueW(key: Handle, index: u32, name: Ptr<u16>, name_size: Ptr<u32>, reserved: Ptr<u32>, kind: Ptr<u32>, data: Ptr<u8>, size: Ptr<u32>) -> u32 {
        match nth(key, index) {
            Ok(value) => match put_text(&value.name, name, name_size) {
                error::SUCCESS => Output { kind, data, size }.put(&value),
                refused => refused,
            },
            Err(status) => dos_error(status),
        }
    }

    /// Reads a value by its place.
    "advapi32.dll|kernelbase.dll|kernel32.dll" stdcall fn RegEnumValueA(key: Handle, index: u32, name: Ptr<u8>, name_size: Ptr<u32>, reserved: Ptr<u32>, kind: Ptr<u32>, data: Ptr<u8>, size: Ptr<u32>) -> u32 {
        match nth(key, index).map(|value| Text::Ansi.out_of_store(value)) {
            Ok(value) => match put_text(&ansi_of(&value.name), name, name_size) {
                error::SUCCESS => Output { kind, data, size }.put(&value),
                refused => refused,
            },
            Err(status) => dos_error(status),
        }
    }
}
