//! Takes the longest beginning of the input that can be a number.

use super::{Input, Reader};
use crate::crt::unit::Unit;

/// A number being taken, at most `room` more characters.
struct Taken<'a, 'b, U, I> {
    reader: &'a mut Reader<'b, U, I>,
    text: Vec<u8>,
    room: usize,
}

impl<U: Unit, I: Input<U>> Taken<'_, '_, U, I> {
    fn peek(&mut self) -> u8 {
        if self.room == 0 {
            0
        } else {
            self.reader.peek().map_or(0, Unit::ascii)
        }
    }

    fn take_if(&mut self, accept: impl Fn(u8) -> bool) -> bool {
        let byte = self.peek();
        let accepted = byte != 0 && accept(byte);
        if accepted {
            self.reader.take();
            self.text.push(byte);
            self.room -= 1;
        }
        accepted
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool + Copy) -> usize {
        let start = self.text.len();
        while self.take_if(accept) {}
        self.text.len() - start
    }

    fn take_word(&mut self, word: &str) -> bool {
        word.bytes()
            .all(|letter| self.take_if(|byte| byte.eq_ignore_ascii_case(&letter)))
    }
}

/// Takes an integer of `base`, or of the base its prefix tells if that is 0.
pub fn take_integer<U: Unit, I: Input<U>>(
    reader: &mut Reader<'_, U, I>,
    base: u32,
    width: usize,
) -> Vec<u8> {
    let mut taken = Taken {
        reader,
        text: Vec::new(),
        room: width,
    };
    taken.take_if(|byte| matches!(byte, b'+' | b'-'));
    let mut base = base;
    if taken.take_if(|byte| byte == b'0') {
        if matches!(base, 0 | 16) && taken.take_if(|byte| matches!(byte, b'x' | b'X')) {
            base = 16;
        } else if base == 0 {
            base = 8;
        }
    }
    let base = if base == 0 { 10 } else { base };
    taken.take_while(|byte| char::from(byte).is_digit(base));
    taken.text
}

/// Takes a floating point number.
pub fn take_float<U: Unit, I: Input<U>>(
    reader: &mut Reader<'_, U, I>,
    c99: bool,
    width: usize,
) -> Vec<u8> {
    let mut taken = Taken {
        reader,
        text: Vec::new(),
        room: width,
    };
    taken.take_if(|byte| matches!(byte, b'+' | b'-'));
    if c99 && matches!(taken.peek(), b'i' | b'I') {
        if taken.take_word("inf") && matches!(taken.peek(), b'i' | b'I') {
            taken.take_word("inity");
        }
        return taken.text;
    }
    if c99 && matches!(taken.peek(), b'n' | b'N') {
        if taken.take_word("nan") && taken.take_if(|byte| byte == b'(') {
            taken.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            taken.take_if(|byte| byte == b')');
        }
        return taken.text;
    }
    let leading_zero = taken.take_if(|byte| byte == b'0');
    let hex = c99 && leading_zero && taken.take_if(|byte| matches!(byte, b'x' | b'X'));
    let radix = if hex { 16 } else { 10 };
    let is_digit = |byte: u8| char::from(byte).is_digit(radix);
    let mut digits = usize::from(leading_zero && !hex) + taken.take_while(is_digit);
    if taken.take_if(|byte| byte == b'.') {
        digits += taken.take_while(is_digit);
    }
    let exponent: &[u8] = if hex { b"pP" } else { b"eE" };
    if digits > 0 && taken.take_if(|byte| exponent.contains(&byte)) {
        taken.take_if(|byte| matches!(byte, b'+' | b'-'));
        taken.take_while(|byte| byte.is_ascii_digit());
    }
    taken.text
}
