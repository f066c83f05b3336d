//! Texts in the resources of modules: `LoadString` of `winuser.h`.
//!
//! Source: Microsoft Learn, "STRINGTABLE resource", "LoadStringW": tables of sixteen counted texts each.

use ntlpc_abi::UserPtr;

use crate::dlls::kernel32::resources::{data_of, find};
use crate::dlls::win32::refuse;
use crate::export::Ptr;
use crate::resource::Key;
use crate::win_api;

/// `RT_STRING`.
const STRING_TABLE: u16 = 6;
/// Texts of a table.
const IN_TABLE: u32 = 16;

/// Returns where the units of a text are and how many; a Win32 error if there is none.
fn text(module: Ptr<u8>, number: u32) -> Result<(Ptr<u16>, u16), u32> {
    let number = number & 0xffff;
    let table = Key::Id((number / IN_TABLE + 1) as u16);
    let entry = find(module, &Key::Id(STRING_TABLE), &table, 0)?;
    let Some((data, size)) = data_of(module, entry) else {
        return Ok((Ptr::NULL, 0));
    };
    let end = data.address() + u64::from(size);
    let mut at = data.cast::<u16>();
    for _ in 0..number % IN_TABLE {
        if at.address() >= end {
            return Ok((Ptr::NULL, 0));
        }
        at = at.add(1 + usize::from(at.read()));
    }
    if at.address() >= end {
        return Ok((Ptr::NULL, 0));
    }
    Ok((at.add(1), at.read()))
}

win_api! {
    /// Copies a text of a module's resources, or tells where it is if there is no room.
    "user32.dll" stdcall fn LoadStringW(module: Ptr<u8>, number: u32, buffer: Ptr<u16>, room: i32) -> i32 {
        let (at, length) = match text(module, number) {
            Ok(found) => found,
            Err(code) => return refuse(code, 0),
        };
        let Ok(room) = usize::try_from(room) else {
            return 0;
        };
        if room == 0 {
            buffer.cast::<UserPtr>().write(at.user());
            return length.into();
        }
        let units = at.read_many(usize::from(length).min(room - 1));
        buffer.write_many(&units);
        buffer.add(units.len()).write(0);
        units.len() as i32
    }

    /// Copies a text of a module's resources.
    "user32.dll" stdcall fn LoadStringA(module: Ptr<u8>, number: u32, buffer: Ptr<u8>, room: i32) -> i32 {
        let (at, length) = match text(module, number) {
            Ok(found) => found,
            Err(code) => return refuse(code, 0),
        };
        let Some(room) = usize::try_from(room).ok().and_then(|room| room.checked_sub(1)) else {
            return 0;
        };
        let text = String::from_utf16_lossy(&at.read_many(usize::from(length)));
        let bytes = &text.as_bytes()[..text.len().min(room)];
        buffer.write_bytes(bytes);
        buffer.add(bytes.len()).write(0);
        bytes.len() as i32
    }
}
