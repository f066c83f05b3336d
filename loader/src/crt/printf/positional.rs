//! Conversions that name their arguments: `%2$d`, `%1$*3$s`.
//!
//! Source: Microsoft Learn, "printf_p positional parameters": all conversions of a format do or none does, arguments are
//! used without gaps and each as one type, and there are at most `_ARGMAX` of them.
//!
//! The format is printed twice: first to learn the type of each argument, then, with all of them read, for good.

use super::{Dialect, FormatError, Operands, in_order};
use crate::crt::unit::Unit;

/// `_ARGMAX`.
const MOST: usize = 100;

/// A format without its positions, and the argument that each read of an operand is about.
#[derive(Debug, PartialEq, Eq)]
pub struct Order<U> {
    plain: Vec<U>,
    arguments: Vec<usize>,
}

impl<U: Unit> Order<U> {
    /// Takes the positions out of a format; `None` if its first conversion has none.
    pub fn of(format: &[U]) -> Option<Result<Self, FormatError>> {
        let mut at = 0;
        while at + 1 < format.len() {
            match (format[at].ascii(), format[at + 1].ascii()) {
                (b'%', b'%') => at += 2,
                (b'%', _) => {
                    position(&format[at + 1..])?;
                    return Some(Self::parse(format).ok_or(FormatError::Invalid));
                }
                _ => at += 1,
            }
        }
        None
    }

    fn parse(format: &[U]) -> Option<Self> {
        let mut order = Self {
            plain: Vec::with_capacity(format.len()),
            arguments: Vec::new(),
        };
        let mut rest = format;
        while let Some((unit, behind)) = rest.split_first() {
            order.plain.push(*unit);
            rest = behind;
            if unit.ascii() != b'%' {
                continue;
            }
            if rest.first()?.ascii() == b'%' {
                order.plain.push(rest[0]);
                rest = &rest[1..];
                continue;
            }
            let (own, digits) = position(rest)?;
            rest = order.conversion(&rest[digits..])?;
            order.arguments.push(own);
        }
        Some(order)
    }

    /// Copies a conversion up to its type, and notes the arguments of its width and precision.
    fn conversion<'a>(&mut self, text: &'a [U]) -> Option<&'a [U]> {
        let mut rest = text;
        loop {
            let (unit, behind) = rest.split_first()?;
            self.plain.push(*unit);
            rest = behind;
            match unit.ascii() {
                b'*' => {
                    let (argument, digits) = position(rest)?;
                    self.arguments.push(argument);
                    rest = &rest[digits..];
                }
                b'-' | b'+' | b' ' | b'#' | b'.' | b'0'..=b'9' => {}
                b'h' | b'l' | b'L' | b'w' | b'j' | b'z' | b't' | b'I' => {}
                _ => return Some(rest),
            }
        }
    }
}

/// Reads `n$` at the start of a text: the argument, counted from 0, and the characters read.
fn position<U: Unit>(text: &[U]) -> Option<(usize, usize)> {
    let digits = text
        .iter()
        .take_while(|unit| unit.ascii().is_ascii_digit())
        .count();
    let number = text[..digits].iter().fold(0, |sum: usize, unit| {
        sum.saturating_mul(10) + usize::from(unit.ascii() - b'0')
    });
    let is_position = text.get(digits)?.ascii() == b'$' && (1..=MOST).contains(&number);
    is_position.then(|| (number - 1, digits + 1))
}

/// How an argument is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Narrow,
    Wide,
    Pointer,
    Float,
}

/// Notes what a format reads.
#[derive(Default)]
struct Recorder(Vec<Kind>);

impl Recorder {
    fn note(&mut self, kind: Kind) -> u64 {
        self.0.push(kind);
        0
    }
}

impl Operands for Recorder {
    fn next_u32(&mut self) -> u32 {
        self.note(Kind::Narrow);
        0
    }
    fn next_u64(&mut self) -> u64 {
        self.note(Kind::Wide)
    }
    fn next_pointer(&mut self) -> u64 {
        self.note(Kind::Pointer)
    }
    fn next_f64(&mut self) -> f64 {
        self.note(Kind::Float);
        0.0
    }
    fn narrow(&mut self, _address: u64, _limit: usize) -> Vec<u8> {
        Vec::new()
    }
    fn wide(&mut self, _address: u64, _limit: usize) -> Vec<u16> {
        Vec::new()
    }
    fn counted(&mut self, _address: u64) -> (u16, u64) {
        (0, 0)
    }
}

/// Gives the arguments, as bits, in the order of the format.
struct Chosen<'a, O> {
    values: Vec<u64>,
    order: std::vec::IntoIter<usize>,
    memory: &'a mut O,
}

impl<O> Chosen<'_, O> {
    fn next(&mut self) -> u64 {
        // The first run read as many operands as this one.
        self.order
            .next()
            .map_or(0, |argument| self.values[argument])
    }
}

impl<O: Operands> Operands for Chosen<'_, O> {
    fn next_u32(&mut self) -> u32 {
        self.next() as u32
    }
    fn next_u64(&mut self) -> u64 {
        self.next()
    }
    fn next_pointer(&mut self) -> u64 {
        self.next()
    }
    fn next_f64(&mut self) -> f64 {
        f64::from_bits(self.next())
    }
    fn narrow(&mut self, address: u64, limit: usize) -> Vec<u8> {
        self.memory.narrow(address, limit)
    }
    fn wide(&mut self, address: u64, limit: usize) -> Vec<u16> {
        self.memory.wide(address, limit)
    }
    fn counted(&mut self, address: u64) -> (u16, u64) {
        self.memory.counted(address)
    }
}

/// Prints a format whose conversions name their arguments.
pub fn print<U: Unit, O: Operands>(
    dialect: Dialect,
    order: Order<U>,
    operands: &mut O,
) -> Result<Vec<U>, FormatError> {
    let mut recorder = Recorder::default();
    in_order(dialect, &order.plain, &mut recorder)?;
    let mut kinds = [None; MOST];
    if recorder.0.len() != order.arguments.len() {
        return Err(FormatError::Invalid);
    }
    for (kind, argument) in recorder.0.into_iter().zip(&order.arguments) {
        if kinds[*argument].is_some_and(|known| known != kind) {
            return Err(FormatError::Invalid);
        }
        kinds[*argument] = Some(kind);
    }
    let count = order.arguments.iter().max().map_or(0, |last| last + 1);
    let mut values = Vec::with_capacity(count);
    for kind in &kinds[..count] {
        values.push(match kind.ok_or(FormatError::Invalid)? {
            Kind::Narrow => operands.next_u32().into(),
            Kind::Wide => operands.next_u64(),
            Kind::Pointer => operands.next_pointer(),
            Kind::Float => operands.next_f64().to_bits(),
        });
    }
    let mut chosen = Chosen {
        values,
        order: order.arguments.into_iter(),
        memory: operands,
    };
    in_order(dialect, &order.plain, &mut chosen)
}
