//! The set of a `%[…]` conversion.

use crate::crt::unit::Unit;

/// The characters a `[` conversion takes.
pub struct ScanSet {
    negated: bool,
    ranges: Vec<(u32, u32)>,
}

impl ScanSet {
    /// Parses what follows `%[` up to the closing bracket; returns the set and the characters used.
    pub fn parse<U: Unit>(text: &[U]) -> Option<(Self, usize)> {
        let byte = |at: usize| text.get(at).map_or(0, |unit| unit.ascii());
        let negated = byte(0) == b'^';
        let start = usize::from(negated);
        let mut at = start;
        let mut ranges = Vec::new();
        while at == start || byte(at) != b']' {
            let first = text.get(at)?.code();
            // A hyphen between two characters makes a range; elsewhere it stands for itself.
            if byte(at + 1) == b'-' && text.get(at + 2).is_some() && byte(at + 2) != b']' {
                let last = text[at + 2].code();
                ranges.push((first.min(last), first.max(last)));
                at += 3;
            } else {
                ranges.push((first, first));
                at += 1;
            }
        }
        Some((Self { negated, ranges }, at + 1))
    }

    /// Tells whether the set has `unit`.
    pub fn contains<U: Unit>(&self, unit: U) -> bool {
        let code = unit.code();
        self.ranges
            .iter()
            .any(|(low, high)| (*low..=*high).contains(&code))
            != self.negated
    }
}
