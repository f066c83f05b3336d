//! The `scanf` engine of both runtimes, for narrow and wide input.
//!
//! Sources: Microsoft Learn, "Format specification fields: scanf and wscanf functions" and "scanf width
//! specification" (buffer sizes of the `_s` functions); C11 7.21.6.2.

mod format;
mod numeric;
mod set;

use super::text::{self, CodePage};
use super::unit::Unit;
use format::{Format, Length, Spec};
use set::ScanSet;

/// `_CRT_INTERNAL_SCANF_SECURECRT`: buffer sizes follow the pointers.
const SECURECRT: u64 = 0x01;
/// `_CRT_INTERNAL_SCANF_LEGACY_WIDE_SPECIFIERS`: `%s` of a wide function is a wide string.
const LEGACY_WIDE_SPECIFIERS: u64 = 0x02;

/// What differs between the runtimes and functions.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Whether `c`, `s` and `[` take a buffer size after the pointer.
    pub secure: bool,
    /// Whether `%s` of a wide function means a wide string.
    pub legacy_wide: bool,
    /// Whether the size prefixes and number forms of C99 are known.
    pub c99: bool,
    /// Code page for conversions between narrow and wide.
    pub code_page: CodePage,
    /// Size of a guest pointer, 4 or 8.
    pub pointer_bytes: usize,
}

impl Dialect {
    /// Returns the dialect of `msvcrt.dll`.
    pub fn msvcrt(secure: bool, code_page: CodePage, pointer_bytes: usize) -> Self {
        Self {
            secure,
            legacy_wide: true,
            c99: false,
            code_page,
            pointer_bytes,
        }
    }

    /// Returns the dialect of `ucrtbase.dll` for the option bits of a `__stdio_common_v*scanf` call.
    pub fn ucrt(options: u64, code_page: CodePage, pointer_bytes: usize) -> Self {
        Self {
            secure: options & SECURECRT != 0,
            legacy_wide: options & LEGACY_WIDE_SPECIFIERS != 0,
            c99: true,
            code_page,
            pointer_bytes,
        }
    }
}

/// Where characters come from.
pub trait Input<U> {
    /// Takes the next character.
    fn next(&mut self) -> Option<U>;
    /// Puts the last character taken back.
    fn unget(&mut self, unit: U);
}

/// The arguments of the call: where results go.
pub trait Targets {
    /// Returns the next pointer argument.
    fn next_pointer(&mut self) -> u64;
    /// Returns the next buffer size argument, in characters.
    fn next_size(&mut self) -> u32;
    /// Stores `bytes` at `address`.
    fn store(&mut self, address: u64, bytes: &[u8]);
}

/// Returned when the input ends before the first conversion.
pub const EOF: i32 = -1;

/// Reads `input` by `format` into `targets`; returns the number of results stored, or [`EOF`].
pub fn scan<U: Unit, I: Input<U>, T: Targets>(
    dialect: Dialect,
    format: &[U],
    input: &mut I,
    targets: &mut T,
) -> i32 {
    let mut scan = Scan {
        dialect,
        reader: Reader {
            input,
            taken: 0,
            peeked: None,
        },
        targets,
        stored: 0,
        converted: false,
    };
    let mut format = Format {
        text: format,
        at: 0,
    };
    let end = scan.run(&mut format);
    scan.reader.finish();
    match end {
        Err(Stop::InputEnd) if !scan.converted => EOF,
        _ => scan.stored,
    }
}

/// Why scanning ended before the end of the format.
enum Stop {
    /// The input ended.
    InputEnd,
    /// The input does not match, or the format is malformed.
    Mismatch,
}

/// The input with one character of look-ahead.
struct Reader<'a, U, I> {
    input: &'a mut I,
    taken: usize,
    peeked: Option<U>,
}

impl<U: Unit, I: Input<U>> Reader<'_, U, I> {
    fn peek(&mut self) -> Option<U> {
        if self.peeked.is_none() {
            self.peeked = self.input.next();
        }
        self.peeked
    }

    fn take(&mut self) -> Option<U> {
        let unit = self.peek()?;
        self.peeked = None;
        self.taken += 1;
        Some(unit)
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(Unit::is_space) {
            self.take();
        }
    }

    fn finish(&mut self) {
        if let Some(unit) = self.peeked.take() {
            self.input.unget(unit);
        }
    }
}

struct Scan<'a, U, I, T> {
    dialect: Dialect,
    reader: Reader<'a, U, I>,
    targets: &'a mut T,
    stored: i32,
    converted: bool,
}

impl<U: Unit, I: Input<U>, T: Targets> Scan<'_, U, I, T> {
    fn run(&mut self, format: &mut Format<'_, U>) -> Result<(), Stop> {
        while let Some(&unit) = format.text.get(format.at) {
            format.at += 1;
            if unit.is_space() {
                self.reader.skip_space();
            } else if unit.ascii() == b'%' && format.peek() != b'%' {
                let spec = format.spec(self.dialect);
                self.convert(&spec, format)?;
            } else {
                if unit.ascii() == b'%' {
                    format.at += 1;
                    self.reader.skip_space();
                }
                match self.reader.peek() {
                    None => return Err(Stop::InputEnd),
                    Some(found) if found == unit => self.reader.take(),
                    Some(_) => return Err(Stop::Mismatch),
                };
            }
        }
        Ok(())
    }

    fn convert(&mut self, spec: &Spec, format: &mut Format<'_, U>) -> Result<(), Stop> {
        if !matches!(spec.letter, b'c' | b'C' | b'[' | b'n') {
            self.reader.skip_space();
        }
        if spec.letter != b'n' && self.reader.peek().is_none() {
            return Err(Stop::InputEnd);
        }
        match spec.letter {
            b'd' | b'u' => self.integer(spec, 10),
            b'i' => self.integer(spec, 0),
            b'o' => self.integer(spec, 8),
            b'x' | b'X' | b'p' => self.integer(spec, 16),
            b'a' | b'e' | b'f' | b'g' | b'A' | b'E' | b'F' | b'G' => self.float(spec),
            b'c' | b'C' => self.characters(spec),
            b's' | b'S' => self.text(spec, |unit| !unit.is_space()),
            b'[' => {
                let (set, used) =
                    ScanSet::parse(&format.text[format.at..]).ok_or(Stop::Mismatch)?;
                format.at += used;
                self.text(spec, |unit| set.contains(unit))
            }
            b'n' => {
                let count = u64::try_from(self.reader.taken).unwrap_or(u64::MAX);
                self.store_integer(spec, count);
                Ok(())
            }
            _ => Err(Stop::Mismatch),
        }
    }

    fn store_integer(&mut self, spec: &Spec, value: u64) {
        if spec.suppress {
            return;
        }
        let bytes = match spec.length {
            _ if spec.letter == b'p' => self.dialect.pointer_bytes,
            Length::Byte => 1,
            Length::Short => 2,
            Length::LongLong => 8,
            Length::Pointer => self.dialect.pointer_bytes,
            Length::Default | Length::Long | Length::Wide | Length::LongDouble => 4,
        };
        let address = self.targets.next_pointer();
        self.targets.store(address, &value.to_le_bytes()[..bytes]);
    }

    fn integer(&mut self, spec: &Spec, base: u32) -> Result<(), Stop> {
        let text = numeric::take_integer(&mut self.reader, base, spec.width);
        let number = super::number::integer(&text, base);
        if number.used == 0 {
            return Err(Stop::Mismatch);
        }
        let value = if number.negative {
            number.magnitude.wrapping_neg()
        } else {
            number.magnitude
        };
        self.store_integer(spec, value);
        self.count(spec);
        Ok(())
    }

    fn float(&mut self, spec: &Spec) -> Result<(), Stop> {
        let text = numeric::take_float(&mut self.reader, self.dialect.c99, spec.width);
        let number = super::number::float(&text, self.dialect.c99);
        if number.used == 0 || number.used != text.len() {
            return Err(Stop::Mismatch);
        }
        if !spec.suppress {
            let address = self.targets.next_pointer();
            match spec.length {
                Length::Long | Length::LongLong | Length::LongDouble => {
                    self.targets.store(address, &number.value.to_le_bytes());
                }
                _ => self
                    .targets
                    .store(address, &narrow_float(number.value).to_le_bytes()),
            }
        }
        self.count(spec);
        Ok(())
    }

    fn count(&mut self, spec: &Spec) {
        self.converted = true;
        self.stored += i32::from(!spec.suppress);
    }

    fn characters(&mut self, spec: &Spec) -> Result<(), Stop> {
        let wanted = if spec.width == usize::MAX {
            1
        } else {
            spec.width
        };
        let mut units = Vec::new();
        while units.len() < wanted {
            let Some(unit) = self.reader.take() else {
                break;
            };
            units.push(unit);
        }
        if units.len() < wanted {
            return Err(Stop::InputEnd);
        }
        self.store_text(spec, &units, false)
    }

    fn text(&mut self, spec: &Spec, accept: impl Fn(U) -> bool) -> Result<(), Stop> {
        let mut units = Vec::new();
        while units.len() < spec.width {
            match self.reader.peek() {
                Some(unit) if accept(unit) => {
                    self.reader.take();
                    units.push(unit);
                }
                _ => break,
            }
        }
        if units.is_empty() {
            return Err(Stop::Mismatch);
        }
        self.store_text(spec, &units, true)
    }

    /// Stores text in the target's character set, with a NUL if `terminate`.
    fn store_text(&mut self, spec: &Spec, units: &[U], terminate: bool) -> Result<(), Stop> {
        if spec.suppress {
            self.count(spec);
            return Ok(());
        }
        let address = self.targets.next_pointer();
        let capacity = if self.dialect.secure {
            Some(self.targets.next_size())
        } else {
            None
        };
        let wide = self.is_wide_target(spec);
        let mut bytes = if wide {
            self.wide_bytes(units)
        } else {
            self.narrow_bytes(units)
        }
        .ok_or(Stop::Mismatch)?;
        let unit_bytes = if wide { 2 } else { 1 };
        if terminate {
            bytes.resize(bytes.len() + unit_bytes, 0);
        }
        let room = capacity.map_or(usize::MAX, |c| usize::try_from(c).unwrap_or(usize::MAX));
        if bytes.len() / unit_bytes > room {
            if room > 0 {
                self.targets.store(address, &[0, 0][..unit_bytes]);
            }
            return Err(Stop::Mismatch);
        }
        self.targets.store(address, &bytes);
        self.count(spec);
        Ok(())
    }

    fn is_wide_target(&self, spec: &Spec) -> bool {
        let opposite = matches!(spec.letter, b'C' | b'S');
        match spec.length {
            Length::Short | Length::Byte => false,
            Length::Long | Length::LongLong | Length::Wide => true,
            _ if U::WIDE && !self.dialect.legacy_wide => opposite,
            _ => U::WIDE != opposite,
        }
    }

    fn wide_bytes(&self, units: &[U]) -> Option<Vec<u8>> {
        let wide = if U::WIDE {
            units
                .iter()
                .map(|unit| u16::from_low(unit.code()))
                .collect()
        } else {
            text::wide(self.dialect.code_page, &low_bytes(units))?
        };
        Some(wide.into_iter().flat_map(u16::to_le_bytes).collect())
    }

    fn narrow_bytes(&self, units: &[U]) -> Option<Vec<u8>> {
        if U::WIDE {
            let wide: Vec<u16> = units
                .iter()
                .map(|unit| u16::from_low(unit.code()))
                .collect();
            return text::narrow(self.dialect.code_page, &wide);
        }
        Some(low_bytes(units))
    }
}

fn low_bytes<U: Unit>(units: &[U]) -> Vec<u8> {
    units.iter().map(|unit| u8::from_low(unit.code())).collect()
}

/// Rounds to single precision, as an assignment in C does.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the target is a float; rounding is what C asks for"
)]
fn narrow_float(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests;
