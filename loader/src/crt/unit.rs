//! The two kinds of characters the C runtime works on: bytes and UTF-16 code units.

/// A character of a narrow (`u8`) or wide (`u16`) string.
pub trait Unit: Copy + Eq + 'static {
    /// Whether this is the wide kind.
    const WIDE: bool;

    /// Returns the character for an ASCII byte.
    fn from_ascii(byte: u8) -> Self;

    /// Returns the character whose value is the low bits of `code`.
    fn from_low(code: u32) -> Self;

    /// Returns the numeric value of the character.
    fn code(self) -> u32;

    /// Returns the character as an ASCII byte, or 0xFF if it is not ASCII.
    fn ascii(self) -> u8 {
        u8::try_from(self.code())
            .ok()
            .filter(u8::is_ascii)
            .unwrap_or(0xFF)
    }

    /// Tells whether the "C" locale counts the character as white space.
    fn is_space(self) -> bool {
        matches!(self.ascii(), b' ' | 0x09..=0x0D)
    }
}

impl Unit for u8 {
    const WIDE: bool = false;

    fn from_ascii(byte: u8) -> Self {
        byte
    }

    fn from_low(code: u32) -> Self {
        code.to_le_bytes()[0]
    }

    fn code(self) -> u32 {
        u32::from(self)
    }
}

impl Unit for u16 {
    const WIDE: bool = true;

    fn from_ascii(byte: u8) -> Self {
        Self::from(byte)
    }

    fn from_low(code: u32) -> Self {
        let [low, high, ..] = code.to_le_bytes();
        Self::from_le_bytes([low, high])
    }

    fn code(self) -> u32 {
        u32::from(self)
    }
}

/// Returns `text`, which is ASCII, as characters of kind `U`.
pub fn ascii<U: Unit>(text: &str) -> Vec<U> {
    text.bytes().map(U::from_ascii).collect()
}
