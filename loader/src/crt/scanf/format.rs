//! The format of `scanf`: `%[*][width][size]type`.

use super::Dialect;
use crate::crt::unit::Unit;

/// Size prefix of a conversion.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// None.
    Default,
    /// `hh`.
    Byte,
    /// `h`.
    Short,
    /// `l`, `I32`.
    Long,
    /// `ll`, `I64`, `j`.
    LongLong,
    /// `I`, `z`, `t`.
    Pointer,
    /// `w`.
    Wide,
    /// `L`.
    LongDouble,
}

/// One conversion specification.
pub struct Spec {
    /// `*`: nothing is stored.
    pub suppress: bool,
    /// Most characters taken.
    pub width: usize,
    /// Size prefix.
    pub length: Length,
    /// Type.
    pub letter: u8,
}

/// A position in the format.
pub struct Format<'a, U> {
    /// The whole format.
    pub text: &'a [U],
    /// Characters read.
    pub at: usize,
}

impl<U: Unit> Format<'_, U> {
    /// Returns the next character as ASCII; 0 at the end.
    pub fn peek(&self) -> u8 {
        self.text.get(self.at).map_or(0, |unit| unit.ascii())
    }

    /// Takes a text if it is next.
    pub fn take_str(&mut self, text: &str) -> bool {
        let found = text
            .bytes()
            .enumerate()
            .all(|(i, b)| self.text.get(self.at + i).is_some_and(|u| u.ascii() == b));
        self.at += if found { text.len() } else { 0 };
        found
    }

    /// Parses what follows a `%`.
    pub fn spec(&mut self, dialect: Dialect) -> Spec {
        let suppress = self.take_str("*");
        let mut width = 0_usize;
        while self.peek().is_ascii_digit() {
            width = width
                .saturating_mul(10)
                .saturating_add(usize::from(self.peek() - b'0'));
            self.at += 1;
        }
        let length = self.length(dialect);
        let letter = self.peek();
        self.at += 1;
        Spec {
            suppress,
            width: if width == 0 { usize::MAX } else { width },
            length,
            letter,
        }
    }

    fn length(&mut self, dialect: Dialect) -> Length {
        const PREFIXES: [(&str, bool, Length); 11] = [
            ("I64", false, Length::LongLong),
            ("I32", false, Length::Long),
            ("I", false, Length::Pointer),
            ("ll", false, Length::LongLong),
            ("l", false, Length::Long),
            ("hh", true, Length::Byte),
            ("h", false, Length::Short),
            ("w", false, Length::Wide),
            ("L", false, Length::LongDouble),
            ("j", true, Length::LongLong),
            ("z", true, Length::Pointer),
        ];
        if dialect.c99 && self.take_str("t") {
            return Length::Pointer;
        }
        PREFIXES
            .iter()
            .find(|(text, c99, _)| (dialect.c99 || !c99) && self.take_str(text))
            .map_or(Length::Default, |(_, _, length)| *length)
    }
}
