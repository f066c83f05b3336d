//! What a terminal sends for keys, as input records of a console.
//!
//! Source: Microsoft Learn, "KEY_EVENT_RECORD structure", "Virtual-Key Codes"; scan codes of set 1 (Microsoft, "Keyboard
//! Scan Code Specification"); the sequences: xterm, "XTerm Control Sequences", "PC-Style Function Keys".

/// `INPUT_RECORD`.
pub type InputRecord = [u32; 5];

/// `KEY_EVENT`.
const KEY_EVENT: u32 = 1;
/// `WINDOW_BUFFER_SIZE_EVENT`.
const SIZE_EVENT: u32 = 4;

/// `LEFT_ALT_PRESSED`.
const ALT: u32 = 0x2;
/// `LEFT_CTRL_PRESSED`.
const CTRL: u32 = 0x8;
/// `SHIFT_PRESSED`.
const SHIFT: u32 = 0x10;
/// `ENHANCED_KEY`.
const ENHANCED: u32 = 0x100;

/// Rows of the keyboard of the United States: first scan code, characters, those with Shift.
const ROWS: [(u16, &str, &str); 5] = [
    (0x02, "1234567890-=", "!@#$%^&*()_+"),
    (0x10, "qwertyuiop[]", "QWERTYUIOP{}"),
    (0x1E, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
    (0x2B, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (0x39, " ", " "),
];
/// Virtual keys of characters that are neither letters nor digits.
const SIGNS: [(char, u16); 12] = [
    (';', 0xBA),
    ('=', 0xBB),
    (',', 0xBC),
    ('-', 0xBD),
    ('.', 0xBE),
    ('/', 0xBF),
    ('`', 0xC0),
    ('[', 0xDB),
    ('\\', 0xDC),
    (']', 0xDD),
    ('\'', 0xDE),
    (' ', 0x20),
];

/// A key: virtual key, scan code, UTF-16 unit, control key state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    virtual_key: u16,
    scan_code: u16,
    unit: u16,
    state: u32,
}

impl Key {
    const fn new(virtual_key: u16, scan_code: u16, unit: u16, state: u32) -> Key {
        Key {
            virtual_key,
            scan_code,
            unit,
            state,
        }
    }

    /// A unit that no key of the keyboard makes.
    const fn of_unit(unit: u16) -> Key {
        Key::new(0, 0, unit, 0)
    }

    /// Returns the records of pressing and releasing it.
    #[must_use]
    pub fn records(self) -> [InputRecord; 2] {
        let record = |is_down: u32| {
            [
                KEY_EVENT,
                is_down,
                1 | u32::from(self.virtual_key) << 16,
                u32::from(self.scan_code) | u32::from(self.unit) << 16,
                self.state,
            ]
        };
        [record(1), record(0)]
    }
}

/// Returns the record of a new size of the screen.
#[must_use]
pub fn size_record(columns: u16, rows: u16) -> InputRecord {
    [
        SIZE_EVENT,
        u32::from(columns) | u32::from(rows) << 16,
        0,
        0,
        0,
    ]
}

/// Returns the key of a character.
fn of_char(c: char) -> Option<Key> {
    for (first, plain, shifted) in ROWS {
        let at = |row: &str| row.chars().position(|known| known == c);
        let (at, state) = match (at(plain), at(shifted)) {
            (Some(at), _) => (at, 0),
            (None, Some(at)) => (at, SHIFT),
            _ => continue,
        };
        let key = plain.chars().nth(at)?;
        let sign = SIGNS.iter().find(|(sign, _)| *sign == key);
        let virtual_key = sign.map_or(key.to_ascii_uppercase() as u16, |(_, code)| *code);
        return Some(Key::new(virtual_key, first + at as u16, c as u16, state));
    }
    None
}

/// Returns the key of a byte below 0x20, or of 0x7F.
fn of_control(byte: u8) -> Key {
    match byte {
        b'\r' | b'\n' => Key::new(0x0D, 0x1C, 0x0D, 0),
        b'\t' => Key::new(0x09, 0x0F, 0x09, 0),
        0x7F => Key::new(0x08, 0x0E, 0x08, 0),
        0x08 => Key::new(0x08, 0x0E, 0x7F, CTRL),
        0x1B => Key::new(0x1B, 0x01, 0x1B, 0),
        0 => Key::new(0x20, 0x39, 0, CTRL),
        _ => of_char(char::from(byte + 0x60)).map_or(Key::of_unit(byte.into()), |key| Key {
            unit: byte.into(),
            state: CTRL,
            ..key
        }),
    }
}

/// Returns a key without a character by the end of its sequence: a letter, or a number before `~`.
fn of_sequence(number: u16, last: u8) -> Option<Key> {
    let function = |n: u16| Key::new(0x6F + n, if n <= 10 { 0x3A + n } else { 0x4C + n }, 0, 0);
    let (virtual_key, scan_code) = match (last, number) {
        (b'A', _) => (0x26, 0x48),
        (b'B', _) => (0x28, 0x50),
        (b'C', _) => (0x27, 0x4D),
        (b'D', _) => (0x25, 0x4B),
        (b'H', _) | (b'~', 1 | 7) => (0x24, 0x47),
        (b'F', _) | (b'~', 4 | 8) => (0x23, 0x4F),
        (b'~', 2) => (0x2D, 0x52),
        (b'~', 3) => (0x2E, 0x53),
        (b'~', 5) => (0x21, 0x49),
        (b'~', 6) => (0x22, 0x51),
        (b'P'..=b'S', _) => return Some(function(u16::from(last - b'P') + 1)),
        (b'~', 11..=15) => return Some(function(number - 10)),
        (b'~', 17..=21) => return Some(function(number - 11)),
        (b'~', 23..=24) => return Some(function(number - 12)),
        (b'Z', _) => return Some(Key::new(0x09, 0x0F, 0x09, SHIFT)),
        _ => return None,
    };
    Some(Key::new(virtual_key, scan_code, 0, ENHANCED))
}

/// Takes the keys off the front of `bytes` and returns how many bytes they were. What is cut off in the middle stays, unless
/// nothing more `is_coming`.
#[must_use]
pub fn take(bytes: &[u8], is_coming: bool) -> (Vec<Key>, usize) {
    let mut keys = vec![];
    let mut at = 0;
    while at < bytes.len() {
        let Some(used) = take_one(&bytes[at..], is_coming, &mut keys) else {
            break;
        };
        at += used;
    }
    (keys, at)
}

fn take_one(bytes: &[u8], is_coming: bool, keys: &mut Vec<Key>) -> Option<usize> {
    match bytes {
        [0x1B] if is_coming => None,
        [0x1B, b'[' | b'O', rest @ ..] => {
            let end = rest
                .iter()
                .position(|byte| !matches!(byte, b'0'..=b'9' | b';'));
            let Some(end) = end else {
                if is_coming {
                    return None;
                }
                keys.push(of_control(0x1B));
                return Some(1);
            };
            let text = std::str::from_utf8(&rest[..end]).unwrap_or_default();
            let mut numbers = text.split(';').map(|text| text.parse::<u16>().unwrap_or(0));
            let number = numbers.next().unwrap_or(0);
            let bits = u32::from(numbers.next().unwrap_or(1).saturating_sub(1));
            if let Some(mut key) = of_sequence(number, rest[end]) {
                for (bit, state) in [(1, SHIFT), (2, ALT), (4, CTRL)] {
                    key.state |= if bits & bit != 0 { state } else { 0 };
                }
                keys.push(key);
            }
            Some(2 + end + 1)
        }
        [0x1B, next, ..] if *next != 0x1B => {
            let from = keys.len();
            let used = take_one(&bytes[1..], is_coming, keys)?;
            keys[from..].iter_mut().for_each(|key| key.state |= ALT);
            Some(1 + used)
        }
        [byte @ (..0x20 | 0x7F), ..] => {
            keys.push(of_control(*byte));
            Some(1)
        }
        _ => {
            let length = match bytes[0] {
                0xF0.. => 4,
                0xE0.. => 3,
                0xC0.. => 2,
                _ => 1,
            };
            if bytes.len() < length && is_coming {
                return None;
            }
            let length = length.min(bytes.len());
            let text = String::from_utf8_lossy(&bytes[..length]);
            for c in text.chars() {
                match of_char(c) {
                    Some(key) => keys.push(key),
                    None => {
                        keys.extend(c.encode_utf16(&mut [0; 2]).iter().map(|&u| Key::of_unit(u)))
                    }
                }
            }
            Some(length)
        }
    }
}

/// Returns bytes as the keys of a program that asked for the terminal's own sequences.
#[must_use]
pub fn verbatim(text: &str) -> Vec<Key> {
    text.encode_utf16().map(Key::of_unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bytes: &[u8]) -> Key {
        let (keys, used) = take(bytes, false);
        assert_eq!((keys.len(), used), (1, bytes.len()), "{bytes:?}");
        keys[0]
    }

    #[test]
    fn keys_are_those_of_the_keyboard() {
        assert_eq!(one(b"a"), Key::new(0x41, 0x1E, 0x61, 0));
        assert_eq!(one(b"A"), Key::new(0x41, 0x1E, 0x41, SHIFT));
        assert_eq!(one(b"?"), Key::new(0xBF, 0x35, 0x3F, SHIFT));
        assert_eq!(one(b"m"), Key::new(0x4D, 0x32, 0x6D, 0));
        assert_eq!(one(b"\r"), Key::new(0x0D, 0x1C, 0x0D, 0));
        assert_eq!(one(b"\x03"), Key::new(0x43, 0x2E, 3, CTRL));
        assert_eq!(one(b"\x1b"), Key::new(0x1B, 0x01, 0x1B, 0));
        assert_eq!(one(b"\x1b[A"), Key::new(0x26, 0x48, 0, ENHANCED));
        assert_eq!(one(b"\x1b[1;5C"), Key::new(0x27, 0x4D, 0, ENHANCED | CTRL));
        assert_eq!(one(b"\x1bOP"), Key::new(0x70, 0x3B, 0, 0));
        assert_eq!(one(b"\x1b[24~"), Key::new(0x7B, 0x58, 0, 0));
        assert_eq!(one(b"\x1bx"), Key::new(0x58, 0x2D, 0x78, ALT));
        assert_eq!(one("é".as_bytes()), Key::of_unit(0xE9));
    }

    #[test]
    fn what_is_cut_off_waits() {
        assert_eq!(take(b"a\x1b[1;", true).1, 1);
        assert_eq!(take(&"é".as_bytes()[..1], true).1, 0);
        assert_eq!(take(b"\x1b", true).1, 0);
        let (keys, used) = take("😀".as_bytes(), true);
        assert_eq!((keys.len(), used), (2, 4));
    }
}
