//! Keys, codes and characters of the United States layout.
//!
//! Source: Microsoft Learn "Virtual-Key Codes", "Keyboard Input Overview" (scan codes), `MapVirtualKeyW`, `ToUnicodeEx`.

use crate::export::Ptr;
use crate::win_api;

/// Keys in rows of the keyboard: scan code of the first, virtual keys one after another (0: none).
const ROWS: [(u32, &[u8]); 6] = [
    (0x01, b"\x1B1234567890\xBD\xBB\x08\x09QWERTYUIOP\xDB\xDD\x0D\x11ASDFGHJKL\xBA\xDE\xC0\x10\xDCZXCVBNM\xBC\xBE\xBF"),
    // right Shift, keypad *, Alt, space, caps lock, F1 to F10, num lock, scroll lock
    (0x36, b"\xA1\x6A\x12\x20\x14\x70\x71\x72\x73\x74\x75\x76\x77\x78\x79\x90\x91"),
    // keypad: home, up, page up, -, left, clear, right, +, end, down, page down, insert, delete
    (0x47, b"\x24\x26\x21\x6D\x25\x0C\x27\x6B\x23\x28\x22\x2D\x2E"),
    (0x56, b"\xE2\x7A\x7B"),
    (0x64, b"\x7C\x7D\x7E\x7F\x80\x81\x82\x83\x84\x85\x86"),
    (0x76, b"\x87"),
];

/// Keys whose scan code has the prefix E0: keypad Enter excepted, which is VK_RETURN like the other.
const EXTENDED: [(u32, u8); 8] = [
    (0x1D, 0xA3),
    (0x35, 0x6F),
    (0x37, 0x2C),
    (0x38, 0xA5),
    (0x5B, 0x5B),
    (0x5C, 0x5C),
    (0x5D, 0x5D),
    (0x5F, 0x5F),
];

/// Keys with a left and a right half: general key, left, right.
const HALVES: [(u8, u8, u8); 3] = [(0x10, 0xA0, 0xA1), (0x11, 0xA2, 0xA3), (0x12, 0xA4, 0xA5)];

/// Characters of keys that are no letters or digits.
const CHARACTERS: [(u8, u8); 20] = [
    (0x08, 8),
    (0x09, 9),
    (0x0D, 13),
    (0x1B, 27),
    (0x20, b' '),
    (0x6A, b'*'),
    (0x6B, b'+'),
    (0x6D, b'-'),
    (0x6E, b'.'),
    (0x6F, b'/'),
    (0xBA, b';'),
    (0xBB, b'='),
    (0xBC, b','),
    (0xBD, b'-'),
    (0xBE, b'.'),
    (0xBF, b'/'),
    (0xC0, b'`'),
    (0xDB, b'['),
    (0xDC, b'\\'),
    (0xDD, b']'),
];

/// Characters with Shift: of the digits, of the other keys.
const SHIFTED_DIGITS: &[u8; 10] = b")!@#$%^&*(";
const SHIFTED: [(u8, u8); 11] = [
    (b';', b':'),
    (b'=', b'+'),
    (b',', b'<'),
    (b'-', b'_'),
    (b'.', b'>'),
    (b'/', b'?'),
    (b'`', b'~'),
    (b'[', b'{'),
    (b'\\', b'|'),
    (b']', b'}'),
    (b'\'', b'"'),
];
/// `VK_SHIFT`, `VK_CONTROL`, `VK_MENU`, `VK_CAPITAL` in the states of keys.
const SHIFT: usize = 0x10;
const CONTROL: usize = 0x11;
const ALT: usize = 0x12;
const CAPITAL: usize = 0x14;
/// Language of the layout, twice: `MAKELANGID(LANG_ENGLISH, SUBLANG_ENGLISH_US)`.
const LAYOUT: usize = 0x0409_0409;

/// Keypad digits 0 to 9 lie on the keys insert, end, down, …
const KEYPAD: [u32; 10] = [0x52, 0x4F, 0x50, 0x51, 0x4B, 0x4C, 0x4D, 0x47, 0x48, 0x49];

/// Scan code of a key; `None` for a key that is not there.
fn scan_code(key: u8) -> Option<u32> {
    let key = HALVES
        .iter()
        .find(|(_, left, _)| *left == key)
        .map_or(key, |(general, ..)| *general);
    if (0x60..=0x69).contains(&key) {
        return Some(KEYPAD[usize::from(key - 0x60)]);
    }
    if key == 0x6E {
        return Some(0x53);
    }
    let in_rows = ROWS.iter().find_map(|(first, keys)| {
        let at = keys.iter().position(|other| *other == key)?;
        Some(first + at as u32)
    });
    in_rows.or_else(|| {
        EXTENDED
            .iter()
            .find(|(_, other)| *other == key)
            .map(|(code, _)| *code)
    })
}

fn is_extended(key: u8) -> bool {
    EXTENDED.iter().any(|(_, other)| *other == key)
}

/// Key of a scan code without its prefix.
fn key_of(code: u32) -> Option<u8> {
    ROWS.iter()
        .find_map(|(first, keys)| keys.get(code.checked_sub(*first)? as usize).copied())
}

fn character(key: u8) -> u32 {
    match key {
        b'0'..=b'9' | b'A'..=b'Z' => key.into(),
        0x60..=0x69 => u32::from(key - 0x60 + b'0'),
        0xDE => u32::from(b'\''),
        0xE2 => u32::from(b'\\'),
        _ => CHARACTERS
            .iter()
            .find(|(other, _)| *other == key)
            .map_or(0, |(_, character)| (*character).into()),
    }
}

/// The character a key gives with the states of all keys; `None` for none.
fn typed(key: u32, states: &[u8]) -> Option<u16> {
    let is_down = |key: usize| states[key] & 0x80 != 0;
    let key = u8::try_from(key).ok()?;
    let plain = u8::try_from(character(key))
        .ok()
        .filter(|plain| *plain != 0)?;
    let is_keypad = (0x60..=0x6F).contains(&key);
    if is_down(CONTROL) {
        let is_letter = plain.is_ascii_uppercase() && !is_down(ALT);
        return is_letter.then(|| u16::from(plain - b'A' + 1));
    }
    Some(u16::from(match plain {
        b'A'..=b'Z' if is_down(SHIFT) != (states[CAPITAL] & 1 != 0) => plain,
        b'A'..=b'Z' => plain.to_ascii_lowercase(),
        _ if is_keypad || !is_down(SHIFT) => plain,
        b'0'..=b'9' => SHIFTED_DIGITS[usize::from(plain - b'0')],
        _ => {
            let shifted = SHIFTED.iter().find(|(other, _)| *other == plain);
            shifted.map_or(plain, |(_, shifted)| *shifted)
        }
    }))
}

fn map(code: u32, kind: u32) -> u32 {
    let as_key = u8::try_from(code).ok();
    let half = |key: u8, is_right: bool| {
        let found = HALVES.iter().find(|(general, ..)| *general == key);
        found.map_or(
            key,
            |(_, left, right)| if is_right { *right } else { *left },
        )
    };
    let mapped = match kind {
        // MAPVK_VK_TO_VSC
        0 => as_key.and_then(scan_code),
        // MAPVK_VSC_TO_VK: left and right are the same
        1 => key_of(code).map(|key| if key == 0xA1 { 0x10 } else { key.into() }),
        // MAPVK_VK_TO_CHAR
        2 => as_key.map(character),
        // MAPVK_VSC_TO_VK_EX
        3 => match code >> 8 {
            0 => key_of(code).map(|key| half(key, false).into()),
            0xE0 => {
                let extended = EXTENDED.iter().find(|(other, _)| *other == code & 0xFF);
                let key = extended.map(|(_, key)| *key);
                key.or_else(|| key_of(code & 0xFF))
                    .map(|key| half(key, true).into())
            }
            _ => None,
        },
        // MAPVK_VK_TO_VSC_EX
        4 => as_key.and_then(|key| {
            let prefix = if is_extended(key) { 0xE000 } else { 0 };
            scan_code(key).map(|code| prefix | code)
        }),
        _ => None,
    };
    mapped.unwrap_or(0)
}

win_api! {
    /// Translates virtual keys, scan codes and characters; 0 where there is no translation.
    "user32.dll" stdcall fn MapVirtualKeyW = "MapVirtualKeyW|MapVirtualKeyA" (code: u32, kind: u32) -> u32 {
        map(code, kind)
    }

    /// Returns the layout of a thread's keyboard.
    "user32.dll" stdcall fn GetKeyboardLayout(_thread: u32) -> usize {
        LAYOUT
    }

    /// Translates a key with the states of all keys to text; returns its length.
    "user32.dll" stdcall fn ToUnicodeEx(key: u32, _scan_code: u32, states: Ptr<u8>, to: Ptr<u16>, room: i32, _flags: u32, _layout: usize) -> i32 {
        match typed(key, &states.read_bytes(256)) {
            Some(unit) if room > 0 => {
                to.write(unit);
                1
            }
            _ => 0,
        }
    }

    /// Translates a key with the states of all keys to text; returns its length.
    "user32.dll" stdcall fn ToUnicode(key: u32, scan_code: u32, states: Ptr<u8>, to: Ptr<u16>, room: i32, flags: u32) -> i32 {
        ToUnicodeEx(key, scan_code, states, to, room, flags, LAYOUT)
    }

    /// Translates as `MapVirtualKeyW`; there is one layout.
    "user32.dll" stdcall fn MapVirtualKeyExW = "MapVirtualKeyExW|MapVirtualKeyExA" (code: u32, kind: u32, _layout: usize) -> u32 {
        map(code, kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_codes_of_the_documentation() {
        for (key, code) in [
            (0x1B, 0x01),
            (b'1', 0x02),
            (0x08, 0x0E),
            (b'Q', 0x10),
            (0x0D, 0x1C),
            (b'A', 0x1E),
            (0x10, 0x2A),
            (b'Z', 0x2C),
            (0xBF, 0x35),
            (0x20, 0x39),
            (0x70, 0x3B),
            (0x79, 0x44),
            (0x90, 0x45),
            (0x24, 0x47),
            (0x2E, 0x53),
            (0x7A, 0x57),
            (0x7B, 0x58),
            (0x60, 0x52),
        ] {
            assert_eq!(map(key.into(), 0), code, "{key:#x}");
        }
        assert_eq!(map(0xA3, 4), 0xE01D);
        assert_eq!(map(0x2A, 3), 0xA0);
        assert_eq!(map(0xE038, 3), 0xA5);
        assert_eq!(map(0x1E, 1), u32::from(b'A'));
        assert_eq!(map(0xBF, 2), u32::from(b'/'));
        assert_eq!(map(0x300, 2), 0);
        let mut states = [0; 256];
        assert_eq!(typed(b'A'.into(), &states), Some(u16::from(b'a')));
        states[SHIFT] = 0x80;
        assert_eq!(typed(b'A'.into(), &states), Some(u16::from(b'A')));
        assert_eq!(typed(b'1'.into(), &states), Some(u16::from(b'!')));
        assert_eq!(typed(0xDC, &states), Some(u16::from(b'|')));
        assert_eq!(typed(0x61, &states), Some(u16::from(b'1')));
        states[CONTROL] = 0x80;
        assert_eq!(typed(b'C'.into(), &states), Some(3));
        assert_eq!(typed(0x70, &states), None);
    }
}
