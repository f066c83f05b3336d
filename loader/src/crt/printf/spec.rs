//! One conversion specification: `%[flags][width][.precision][size]type`.

use super::{Dialect, FormatError, Operands};
use crate::crt::unit::Unit;

/// Largest field the engine prints; Windows fails beyond `INT_MAX`, memory ends earlier.
const MAX_FIELD: usize = 64 << 20;

/// The size prefix of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// No prefix.
    Default,
    /// `hh`.
    Byte,
    /// `h`.
    Short,
    /// `l`, `I32`; 32 bits on Windows, and wide text.
    Long,
    /// `ll`, `I64`, `j`.
    LongLong,
    /// `I`, `z`, `t`.
    Pointer,
    /// `w`: wide text.
    Wide,
}

/// What a conversion prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A character printed as it is: `%%`, or an unknown type.
    Literal(u8),
    /// `d`, `i`.
    Signed,
    /// `o`, `u`, `x`, `X`, with that letter.
    Unsigned(u8),
    /// `p`.
    Pointer,
    /// `a`, `e`, `f`, `g` and their capitals, with that letter.
    Float(u8),
    /// `c`, `C`.
    Character,
    /// `s`, `S`.
    Text,
    /// `Z`.
    Counted,
    /// `n`.
    StoreCount,
}

/// A parsed conversion with `*` resolved.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// `-`.
    pub left: bool,
    /// `+`.
    pub plus: bool,
    /// Space.
    pub space: bool,
    /// `#`.
    pub alternate: bool,
    /// `0`.
    pub zero: bool,
    /// Least number of characters.
    pub width: usize,
    /// Precision, if one was given and not negative.
    pub precision: Option<usize>,
    /// Size prefix.
    pub length: Length,
    /// Type.
    pub value: Value,
    /// `C` or `S` instead of `c` or `s`.
    pub opposite: bool,
}

impl Spec {
    /// Parses what follows a `%`; returns the specification and the number of characters used.
    pub fn parse<U: Unit, O: Operands>(
        dialect: Dialect,
        text: &[U],
        operands: &mut O,
    ) -> Result<(Self, usize), FormatError> {
        let mut spec = Self {
            left: false,
            plus: false,
            space: false,
            alternate: false,
            zero: false,
            width: 0,
            precision: None,
            length: Length::Default,
            value: Value::Literal(b'%'),
            opposite: false,
        };
        let mut cursor = Cursor { text, at: 0 };
        while spec.take_flag(cursor.peek()) {
            cursor.at += 1;
        }
        if cursor.take(b'*') {
            let width = operands.next_u32().cast_signed();
            spec.left |= width < 0;
            spec.width = bounded(width.unsigned_abs())?;
        } else {
            spec.width = cursor.number()?;
        }
        if cursor.take(b'.') {
            spec.precision = if cursor.take(b'*') {
                match u32::try_from(operands.next_u32().cast_signed()) {
                    Ok(precision) => Some(bounded(precision)?),
                    Err(_) => None,
                }
            } else {
                Some(cursor.number()?)
            };
        }
        spec.length = cursor.length(dialect);
        spec.take_type(cursor.peek())?;
        if cursor.at < text.len() {
            cursor.at += 1;
        }
        Ok((spec, cursor.at))
    }

    fn take_flag(&mut self, byte: u8) -> bool {
        let flag = match byte {
            b'-' => &mut self.left,
            b'+' => &mut self.plus,
            b' ' => &mut self.space,
            b'#' => &mut self.alternate,
            b'0' => &mut self.zero,
            _ => return false,
        };
        *flag = true;
        true
    }

    fn take_type(&mut self, letter: u8) -> Result<(), FormatError> {
        self.value = match letter {
            b'd' | b'i' => Value::Signed,
            b'o' | b'u' | b'x' | b'X' => Value::Unsigned(letter),
            b'p' => Value::Pointer,
            b'a' | b'e' | b'f' | b'g' | b'A' | b'E' | b'F' | b'G' => Value::Float(letter),
            b'c' | b'C' => Value::Character,
            b's' | b'S' => Value::Text,
            b'Z' => Value::Counted,
            b'n' => Value::StoreCount,
            // The end of the format, or a character that is no type and not ASCII.
            0 | 0xFF => return Err(FormatError::Invalid),
            other => Value::Literal(other),
        };
        self.opposite = matches!(letter, b'C' | b'S');
        Ok(())
    }
}

fn bounded(field: u32) -> Result<usize, FormatError> {
    usize::try_from(field)
        .ok()
        .filter(|n| *n <= MAX_FIELD)
        .ok_or(FormatError::Invalid)
}

/// A position in a format.
struct Cursor<'a, U> {
    text: &'a [U],
    at: usize,
}

impl<U: Unit> Cursor<'_, U> {
    /// Returns the next character as ASCII; 0 at the end.
    fn peek(&self) -> u8 {
        self.text.get(self.at).map_or(0, |unit| unit.ascii())
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    fn take_str(&mut self, text: &str) -> bool {
        let found = text
            .bytes()
            .enumerate()
            .all(|(i, b)| self.text.get(self.at + i).is_some_and(|u| u.ascii() == b));
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn number(&mut self) -> Result<usize, FormatError> {
        let mut number = 0_u32;
        while self.peek().is_ascii_digit() {
            let digit = u32::from(self.peek() - b'0');
            number = number
                .checked_mul(10)
                .and_then(|n| n.checked_add(digit))
                .ok_or(FormatError::Invalid)?;
            self.at += 1;
        }
        bounded(number)
    }

    /// Takes the size prefixes; the last one counts.
    fn length(&mut self, dialect: Dialect) -> Length {
        let mut length = Length::Default;
        loop {
            length = if self.take_str("I64") {
                Length::LongLong
            } else if self.take_str("I32") {
                Length::Long
            } else if self.take_str("I") {
                Length::Pointer
            } else if self.take_str("ll") {
                Length::LongLong
            } else if self.take_str("l") {
                Length::Long
            } else if dialect.c99 && self.take_str("hh") {
                Length::Byte
            } else if self.take_str("h") {
                Length::Short
            } else if self.take_str("w") {
                Length::Wide
            } else if dialect.c99 && self.take_str("j") {
                Length::LongLong
            } else if dialect.c99 && (self.take_str("z") || self.take_str("t")) {
                Length::Pointer
            } else if self.take_str("L") {
                // long double has the format of double on Windows.
                length
            } else {
                return length;
            };
        }
    }
}
