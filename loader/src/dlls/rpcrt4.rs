//! UUIDs: `rpcdce.h`.

use crate::dlls::random;
use crate::dlls::win32::{ansi_of, units_arg, wide_arg};
use crate::export::{Guest, Ptr};
use crate::win_api;

/// `RPC_S_OK`, `RPC_S_OUT_OF_MEMORY`, `RPC_S_INVALID_STRING_UUID`.
const OK: u32 = 0;
const OUT_OF_MEMORY: u32 = 14;
const INVALID_STRING_UUID: u32 = 1705;

/// `RPC_S_UUID_LOCAL_ONLY`.
const LOCAL_ONLY: u32 = 1824;
/// 100 ns from 1582-10-15, the first day of UUIDs, to 1601-01-01.
const TO_1582: u64 = 6653 * 864_000_000_000;

/// Lengths of the groups of a UUID's text, in bytes.
const GROUPS: [usize; 5] = [4, 2, 2, 2, 6];

/// Exchanges text and memory order: the first three groups are numbers in memory.
fn swapped(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

/// Writes a UUID of memory as text.
fn to_text(uuid: [u8; 16]) -> String {
    let ordered = swapped(uuid);
    let mut rest = ordered.as_slice();
    let groups = GROUPS.map(|length| {
        let (group, after) = rest.split_at(length);
        rest = after;
        group
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    });
    groups.join("-")
}

/// Reads a UUID from text.
fn from_text(text: &str) -> Option<[u8; 16]> {
    let groups: Vec<&str> = text.split('-').collect();
    let fits = groups.len() == GROUPS.len()
        && groups
            .iter()
            .zip(GROUPS)
            .all(|(group, length)| group.len() == 2 * length);
    let digits = text.replace('-', "");
    if !fits || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 16];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(swapped(bytes))
}

fn give<T: Guest>(text: &[T], to: Ptr<Ptr<T>>) -> u32 {
    let Some(block) = crate::heap::process().allocate(text.len() * T::size(), false) else {
        return OUT_OF_MEMORY;
    };
    Ptr::new(block).write_many(text);
    to.write(Ptr::new(block));
    OK
}

fn free<T: Guest>(text: Ptr<Ptr<T>>) -> u32 {
    let block = text.read();
    if !block.is_null() && crate::heap::process().free(block.address()).is_err() {
        log::warn!("RpcStringFree of what is no string");
    }
    text.write(Ptr::NULL);
    OK
}

/// Reads a UUID from text; without text it is nil.
fn parse(text: Option<Vec<u16>>, to: Ptr<u8>) -> u32 {
    let uuid = text.map_or(Some([0; 16]), |text| {
        from_text(&String::from_utf16_lossy(&text))
    });
    match uuid {
        Some(uuid) => {
            to.write_bytes(&uuid);
            OK
        }
        None => INVALID_STRING_UUID,
    }
}

fn read(uuid: Ptr<u8>) -> [u8; 16] {
    // NULL is nil.
    uuid.non_null()
        .map_or([0; 16], |at| at.cast::<[u8; 16]>().read())
}

win_api! {
    /// Makes a random UUID (version 4).
    "rpcrt4.dll" stdcall fn UuidCreate(to: Ptr<u8>) -> u32 {
        random::fill(to, 16);
        let (version, variant) = (to.byte_add(7), to.byte_add(8));
        version.write(version.read() & 0x0F | 0x40);
        variant.write(variant.read() & 0x3F | 0x80);
        OK
    }

    /// Makes a random UUID.
    "combase.dll|ole32.dll" stdcall fn CoCreateGuid(to: Ptr<u8>) -> u32 {
        UuidCreate(to)
    }

    /// Makes a UUID of the time (version 1) with a random node, so one that is unique on this machine.
    "rpcrt4.dll" stdcall fn UuidCreateSequential(to: Ptr<u8>) -> u32 {
        random::fill(to.byte_add(8), 8);
        let (variant, node) = (to.byte_add(8), to.byte_add(10));
        variant.write(variant.read() & 0x3F | 0x80);
        // RFC 9562 §6.10: a node that is no network address is marked by the lowest bit.
        node.write(node.read() | 1);
        let time = crate::ob::time::system_time().cast_unsigned() + TO_1582;
        to.cast::<u64>().write(time & 0x0FFF_FFFF_FFFF_FFFF | 0x1 << 60);
        LOCAL_ONLY
    }

    /// Makes the UUID that is none.
    "rpcrt4.dll" stdcall fn UuidCreateNil(to: Ptr<u8>) -> u32 {
        to.write_bytes(&[0; 16]);
        OK
    }

    /// Writes a UUID as text for `RpcStringFree`.
    "rpcrt4.dll" stdcall fn UuidToStringW(uuid: Ptr<u8>, text: Ptr<Ptr<u16>>) -> u32 {
        let units: Vec<u16> = to_text(read(uuid)).encode_utf16().chain([0]).collect();
        give(&units, text)
    }

    /// Writes a UUID as text for `RpcStringFree`.
    "rpcrt4.dll" stdcall fn UuidToStringA(uuid: Ptr<u8>, text: Ptr<Ptr<u8>>) -> u32 {
        let units: Vec<u16> = to_text(read(uuid)).encode_utf16().chain([0]).collect();
        give(&ansi_of(&units), text)
    }

    /// Reads a UUID from text.
    "rpcrt4.dll" stdcall fn UuidFromStringW(text: Ptr<u16>, to: Ptr<u8>) -> u32 {
        parse(units_arg(text), to)
    }

    /// Reads a UUID from text.
    "rpcrt4.dll" stdcall fn UuidFromStringA(text: Ptr<u8>, to: Ptr<u8>) -> u32 {
        parse(wide_arg(text), to)
    }

    /// Returns whether two UUIDs are the same.
    "rpcrt4.dll" stdcall fn UuidEqual(first: Ptr<u8>, second: Ptr<u8>, status: Ptr<u32>) -> i32 {
        status.write(OK);
        i32::from(read(first) == read(second))
    }

    /// Returns whether a UUID is none.
    "rpcrt4.dll" stdcall fn UuidIsNil(uuid: Ptr<u8>, status: Ptr<u32>) -> i32 {
        status.write(OK);
        i32::from(read(uuid) == [0; 16])
    }

    /// Frees text of this library.
    "rpcrt4.dll" stdcall fn RpcStringFreeW(text: Ptr<Ptr<u16>>) -> u32 {
        free(text)
    }

    /// Frees text of this library.
    "rpcrt4.dll" stdcall fn RpcStringFreeA(text: Ptr<Ptr<u8>>) -> u32 {
        free(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_in_the_order_of_numbers() {
        let text = "00112233-4455-6677-8899-aabbccddeeff";
        let uuid = from_text(text).expect("uuid");
        assert_eq!(uuid[..8], [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66]);
        assert_eq!(to_text(uuid), text);
        for bad in [
            "",
            "0011223344556677-8899-aabbccddeeff",
            "g0112233-4455-6677-8899-aabbccddeeff",
        ] {
            assert_eq!(from_text(bad), None, "{bad}");
        }
    }
}
