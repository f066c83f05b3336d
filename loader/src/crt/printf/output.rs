//! Padding: sign, prefix, digits and fill of a converted field.

use super::spec::{Spec, Value};
use crate::crt::unit::Unit;

/// A converted number, ASCII, before padding.
pub struct Field<'a> {
    /// Sign or base prefix, before any zero fill.
    pub prefix: &'a str,
    /// Everything after the prefix.
    pub digits: &'a [u8],
    /// Whether the `0` flag may fill between prefix and digits.
    pub zero_fill: bool,
}

impl Field<'_> {
    /// Appends the field, padded to the width of `spec`.
    pub fn write<U: Unit>(&self, spec: &Spec, out: &mut Vec<U>) {
        let fill = spec
            .width
            .saturating_sub(self.prefix.len() + self.digits.len());
        let zeros = self.zero_fill && spec.zero && !spec.left;
        if !spec.left && !zeros {
            repeat(out, b' ', fill);
        }
        out.extend(self.prefix.bytes().map(U::from_ascii));
        if zeros {
            repeat(out, b'0', fill);
        }
        out.extend(self.digits.iter().map(|byte| U::from_ascii(*byte)));
        if spec.left {
            repeat(out, b' ', fill);
        }
    }
}

/// Appends an integer given as sign and magnitude.
pub fn integer<U: Unit>(spec: &Spec, (negative, magnitude): (bool, u64), out: &mut Vec<U>) {
    let mut digits = match spec.value {
        Value::Unsigned(b'o') => format!("{magnitude:o}"),
        Value::Unsigned(b'x') => format!("{magnitude:x}"),
        Value::Unsigned(b'X') => format!("{magnitude:X}"),
        _ => magnitude.to_string(),
    };
    if let Some(precision) = spec.precision {
        if precision == 0 && magnitude == 0 {
            digits.clear();
        }
        if digits.len() < precision {
            digits.insert_str(0, &"0".repeat(precision - digits.len()));
        }
    }
    let prefix = match spec.value {
        Value::Signed => sign(spec, negative),
        Value::Unsigned(b'x') if spec.alternate && magnitude != 0 => "0x",
        Value::Unsigned(b'X') if spec.alternate && magnitude != 0 => "0X",
        _ => "",
    };
    if spec.value == Value::Unsigned(b'o') && spec.alternate && !digits.starts_with('0') {
        digits.insert(0, '0');
    }
    Field {
        prefix,
        digits: digits.as_bytes(),
        zero_fill: spec.precision.is_none(),
    }
    .write(spec, out);
}

/// Appends text, padded; the `0` flag pads text with zeros on Windows.
pub fn text<U: Unit>(spec: &Spec, text: &[U], out: &mut Vec<U>) {
    let fill = spec.width.saturating_sub(text.len());
    if !spec.left {
        repeat(out, if spec.zero { b'0' } else { b' ' }, fill);
    }
    out.extend_from_slice(text);
    if spec.left {
        repeat(out, b' ', fill);
    }
}

/// Returns the sign to print before a number.
pub fn sign(spec: &Spec, negative: bool) -> &'static str {
    match (negative, spec.plus, spec.space) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        _ => "",
    }
}

fn repeat<U: Unit>(out: &mut Vec<U>, byte: u8, count: usize) {
    out.resize(out.len() + count, U::from_ascii(byte));
}
