//! The `printf` engine of both runtimes, for narrow and wide formats.
//!
//! Sources: Microsoft Learn, "Format specification syntax: printf and wprintf functions" and "printf_s
//! positional parameters"; the option bits are those of the SDK's `corecrt_stdio_config.h`.

mod float;
mod output;
mod positional;
mod spec;

use super::decimal::Rounding;
use super::text::{self, CodePage};
use super::unit::Unit;
use output::Field;
use spec::{Length, Spec, Value};

/// `_CRT_INTERNAL_PRINTF_LEGACY_WIDE_SPECIFIERS`: `%s` of a wide function is a wide string.
const LEGACY_WIDE_SPECIFIERS: u64 = 0x04;
/// `_CRT_INTERNAL_PRINTF_LEGACY_MSVCRT_COMPATIBILITY`: infinities and NaNs print as in `msvcrt`.
const LEGACY_MSVCRT_COMPATIBILITY: u64 = 0x08;
/// `_CRT_INTERNAL_PRINTF_LEGACY_THREE_DIGIT_EXPONENTS`.
const LEGACY_THREE_DIGIT_EXPONENTS: u64 = 0x10;
/// `_CRT_INTERNAL_PRINTF_STANDARD_ROUNDING`.
const STANDARD_ROUNDING: u64 = 0x20;

/// What differs between the runtimes.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// How numbers become digits.
    pub rounding: Rounding,
    /// Least number of digits of an exponent.
    pub exponent_digits: usize,
    /// Whether infinity prints as `1.#INF` instead of `inf`.
    pub legacy_special: bool,
    /// Whether `%s` of a wide function means a wide string.
    pub legacy_wide: bool,
    /// Whether `hh`, `j`, `z` and `t` are known, as in C99.
    pub c99: bool,
    /// Code page for conversions between narrow and wide.
    pub code_page: CodePage,
    /// Size of a guest pointer, 4 or 8.
    pub pointer_bytes: usize,
    /// Whether a conversion may name its argument: `%2$d`.
    pub positional: bool,
}

impl Dialect {
    /// Returns the dialect of `msvcrt.dll`.
    pub fn msvcrt(code_page: CodePage, pointer_bytes: usize) -> Self {
        Self {
            rounding: Rounding::Seventeen,
            exponent_digits: 3,
            legacy_special: true,
            legacy_wide: true,
            c99: false,
            code_page,
            pointer_bytes,
            positional: false,
        }
    }

    /// Returns the dialect of the `_p` functions of the same runtime.
    #[must_use]
    pub fn with_positions(self) -> Self {
        Self {
            positional: true,
            ..self
        }
    }

    /// Returns the dialect of `ucrtbase.dll` for the option bits of a `__stdio_common_v*` call.
    pub fn ucrt(options: u64, code_page: CodePage, pointer_bytes: usize) -> Self {
        let has = |bit| options & bit != 0;
        Self {
            rounding: if has(STANDARD_ROUNDING) {
                Rounding::Exact
            } else {
                Rounding::HalfUp
            },
            exponent_digits: if has(LEGACY_THREE_DIGIT_EXPONENTS) {
                3
            } else {
                2
            },
            legacy_special: has(LEGACY_MSVCRT_COMPATIBILITY),
            legacy_wide: has(LEGACY_WIDE_SPECIFIERS),
            c99: true,
            code_page,
            pointer_bytes,
            positional: false,
        }
    }
}

/// The variable arguments of a call and the memory they point to.
pub trait Operands {
    /// Returns the next argument of at most 32 bits.
    fn next_u32(&mut self) -> u32;
    /// Returns the next 64-bit integer argument.
    fn next_u64(&mut self) -> u64;
    /// Returns the next pointer-sized argument.
    fn next_pointer(&mut self) -> u64;
    /// Returns the next floating point argument.
    fn next_f64(&mut self) -> f64;
    /// Reads the string at `address`, up to its NUL or `limit` characters.
    fn narrow(&mut self, address: u64, limit: usize) -> Vec<u8>;
    /// Reads the wide string at `address`, up to its NUL or `limit` characters.
    fn wide(&mut self, address: u64, limit: usize) -> Vec<u16>;
    /// Reads the counted string (`ANSI_STRING`, `UNICODE_STRING`) at `address`: length in bytes and buffer.
    fn counted(&mut self, address: u64) -> (u16, u64);
}

/// Why a format could not be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// The format is malformed or uses the disabled `%n`: EINVAL through the invalid parameter handler.
    Invalid,
    /// A character has no form in the other character set: EILSEQ.
    Encoding,
}

/// Returns the text that `format` makes of `operands`.
pub fn print<U: Unit, O: Operands>(
    dialect: Dialect,
    format: &[U],
    operands: &mut O,
) -> Result<Vec<U>, FormatError> {
    match positional::Order::of(format) {
        Some(order) if dialect.positional => positional::print(dialect, order?, operands),
        _ => in_order(dialect, format, operands),
    }
}

/// Prints with each conversion taking the next operands.
fn in_order<U: Unit, O: Operands>(
    dialect: Dialect,
    format: &[U],
    operands: &mut O,
) -> Result<Vec<U>, FormatError> {
    let mut out = Vec::with_capacity(format.len() + 32);
    let mut rest = format;
    while let Some(percent) = rest.iter().position(|unit| unit.ascii() == b'%') {
        out.extend_from_slice(&rest[..percent]);
        let (spec, used) = Spec::parse(dialect, &rest[percent + 1..], operands)?;
        rest = &rest[percent + 1 + used..];
        convert(dialect, &spec, operands, &mut out)?;
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// Appends the conversion `spec` of the next operand to `out`.
fn convert<U: Unit, O: Operands>(
    dialect: Dialect,
    spec: &Spec,
    operands: &mut O,
    out: &mut Vec<U>,
) -> Result<(), FormatError> {
    match spec.value {
        Value::Literal(code) => {
            out.push(U::from_ascii(code));
            Ok(())
        }
        Value::Signed | Value::Unsigned(_) => {
            let number = integer_operand(dialect, spec, operands);
            output::integer(spec, number, out);
            Ok(())
        }
        Value::Pointer => {
            let address = operands.next_pointer();
            let digits = format!("{address:0width$X}", width = dialect.pointer_bytes * 2);
            Field {
                prefix: "",
                digits: digits.as_bytes(),
                zero_fill: false,
            }
            .write(spec, out);
            Ok(())
        }
        Value::Float(kind) => {
            let number = operands.next_f64();
            float::write(dialect, spec, kind, number, out);
            Ok(())
        }
        Value::Character => {
            let unit = operands.next_u32();
            write_character(dialect, spec, unit, out)
        }
        Value::Text => {
            let address = operands.next_pointer();
            write_string(dialect, spec, address, operands, out)
        }
        Value::Counted => {
            let address = operands.next_pointer();
            write_counted(dialect, spec, address, operands, out)
        }
        Value::StoreCount => Err(FormatError::Invalid),
    }
}

/// Reads an integer operand as sign and magnitude.
fn integer_operand<O: Operands>(dialect: Dialect, spec: &Spec, operands: &mut O) -> (bool, u64) {
    let bits: u32 = match spec.length {
        Length::Byte => 8,
        Length::Short => 16,
        Length::Default | Length::Long | Length::Wide => 32,
        Length::LongLong => 64,
        Length::Pointer if dialect.pointer_bytes == 8 => 64,
        Length::Pointer => 32,
    };
    let raw = if bits == 64 {
        operands.next_u64()
    } else {
        u64::from(operands.next_u32())
    };
    let shift = 64 - bits;
    let zero_extended = (raw << shift) >> shift;
    if spec.value != Value::Signed {
        return (false, zero_extended);
    }
    let signed = (raw << shift).cast_signed() >> shift;
    (signed < 0, signed.unsigned_abs())
}

/// Tells whether a `c` or `s` conversion takes a wide operand.
fn is_wide_operand<U: Unit>(dialect: Dialect, spec: &Spec) -> bool {
    match spec.length {
        Length::Short | Length::Byte => false,
        Length::Long | Length::LongLong | Length::Wide => true,
        Length::Default | Length::Pointer => {
            // `%S` is the opposite of `%s`; in ISO mode `%s` is always narrow and `%S` always wide.
            let plain_is_wide = U::WIDE && dialect.legacy_wide;
            if U::WIDE && !dialect.legacy_wide {
                spec.opposite
            } else {
                plain_is_wide != spec.opposite
            }
        }
    }
}

fn write_character<U: Unit>(
    dialect: Dialect,
    spec: &Spec,
    unit: u32,
    out: &mut Vec<U>,
) -> Result<(), FormatError> {
    let low = unit.to_le_bytes();
    let text: Vec<U> = if is_wide_operand::<U>(dialect, spec) {
        text::from_wide(dialect.code_page, &[u16::from_le_bytes([low[0], low[1]])])
            .ok_or(FormatError::Encoding)?
    } else {
        text::from_narrow(dialect.code_page, &low[..1]).ok_or(FormatError::Encoding)?
    };
    output::text(spec, &text, out);
    Ok(())
}

fn write_string<U: Unit, O: Operands>(
    dialect: Dialect,
    spec: &Spec,
    address: u64,
    operands: &mut O,
    out: &mut Vec<U>,
) -> Result<(), FormatError> {
    let limit = spec.precision.unwrap_or(usize::MAX);
    let mut text: Vec<U> = if address == 0 {
        super::unit::ascii("(null)")
    } else if is_wide_operand::<U>(dialect, spec) {
        text::from_wide(dialect.code_page, &operands.wide(address, limit))
            .ok_or(FormatError::Encoding)?
    } else {
        text::from_narrow(dialect.code_page, &operands.narrow(address, limit))
            .ok_or(FormatError::Encoding)?
    };
    text.truncate(limit);
    output::text(spec, &text, out);
    Ok(())
}

fn write_counted<U: Unit, O: Operands>(
    dialect: Dialect,
    spec: &Spec,
    address: u64,
    operands: &mut O,
    out: &mut Vec<U>,
) -> Result<(), FormatError> {
    let (bytes, buffer) = if address == 0 {
        (0, 0)
    } else {
        operands.counted(address)
    };
    let wide = matches!(spec.length, Length::Wide | Length::Long);
    let limit = usize::from(bytes) / if wide { 2 } else { 1 };
    let text: Vec<U> = if buffer == 0 {
        super::unit::ascii("(null)")
    } else if wide {
        text::from_wide(dialect.code_page, &operands.wide(buffer, limit))
            .ok_or(FormatError::Encoding)?
    } else {
        text::from_narrow(dialect.code_page, &operands.narrow(buffer, limit))
            .ok_or(FormatError::Encoding)?
    };
    output::text(spec, &text, out);
    Ok(())
}

#[cfg(test)]
mod tests;
