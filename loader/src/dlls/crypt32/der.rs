//! What the functions of certificates need of their encoding: X.509 in DER.
//!
//! Source: RFC 5280 §4.1 (certificate), ITU-T X.690 (DER).

/// Tags of ASN.1.
const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BOOLEAN: u8 = 0x01;
const BMP_STRING: u8 = 0x1E;
const OCTET_STRING: u8 = 0x04;

/// Part of an encoding: where it lies in the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Number of bytes.
    pub length: usize,
}

impl Span {
    /// Returns the bytes.
    #[must_use]
    pub fn of(self, whole: &[u8]) -> &[u8] {
        &whole[self.start..self.start + self.length]
    }
}

/// An element: its tag, the whole of it, its contents.
#[derive(Clone, Copy, Debug)]
pub struct Element {
    /// Tag.
    pub tag: u8,
    /// With tag and length.
    pub whole: Span,
    /// Without.
    pub contents: Span,
}

/// Reads elements one after another.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// Reads the elements of a part.
    #[must_use]
    pub fn new(bytes: &'a [u8], span: Span) -> Self {
        let (at, end) = (span.start, (span.start + span.length).min(bytes.len()));
        Reader { bytes, at, end }
    }

    /// Returns the tag of the next element.
    #[must_use]
    pub fn tag(&self) -> Option<u8> {
        (self.at < self.end).then(|| self.bytes[self.at])
    }

    /// Reads the next element.
    pub fn element(&mut self) -> Option<Element> {
        let start = self.at;
        let tag = self.tag()?;
        let first = *self.bytes.get(start + 1)?;
        let (length, header) = match first {
            0..=0x7F => (usize::from(first), 2),
            0x81..=0x84 => {
                let count = usize::from(first & 0x7F);
                let digits = self.bytes.get(start + 2..start + 2 + count)?;
                let length = digits
                    .iter()
                    .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
                (length, 2 + count)
            }
            _ => return None,
        };
        let contents = Span {
            start: start + header,
            length,
        };
        let end = contents.start.checked_add(length)?;
        if end > self.end {
            return None;
        }
        self.at = end;
        let whole = Span {
            start,
            length: end - start,
        };
        Some(Element {
            tag,
            whole,
            contents,
        })
    }

    fn expect(&mut self, tag: u8) -> Option<Element> {
        self.element().filter(|element| element.tag == tag)
    }

    fn inside(&mut self, tag: u8) -> Option<Reader<'a>> {
        let element = self.expect(tag)?;
        Some(Reader::new(self.bytes, element.contents))
    }
}

/// An algorithm: object identifier as text, encoded parameters.
#[derive(Clone, Debug, Default)]
pub struct Algorithm {
    /// `1.2.840.…`.
    pub id: String,
    /// Parameters.
    pub parameters: Span,
}

/// An extension.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Object identifier as text.
    pub id: String,
    /// Whether who does not know it must refuse the certificate.
    pub is_critical: bool,
    /// Its value.
    pub value: Span,
}

/// The parts of a certificate.
#[derive(Clone, Debug, Default)]
pub struct Certificate {
    /// 0 for version 1, 2 for version 3.
    pub version: u32,
    /// Serial number, most significant byte first.
    pub serial: Span,
    /// How it is signed.
    pub signature: Algorithm,
    /// Who signed it.
    pub issuer: Span,
    /// First and last second of its life, in 100 ns since 1601.
    pub validity: [i64; 2],
    /// Whose it is.
    pub subject: Span,
    /// Kind of its key.
    pub key: Algorithm,
    /// Its key.
    pub public_key: Span,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// Writes an object identifier as text.
#[must_use]
pub fn object_id(bytes: &[u8]) -> String {
    let mut parts: Vec<u64> = Vec::new();
    let mut value = 0_u64;
    for byte in bytes {
        value = value << 7 | u64::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            if parts.is_empty() {
                let first = (value / 40).min(2);
                parts.extend([first, value - 40 * first]);
            } else {
                parts.push(value);
            }
            value = 0;
        }
    }
    let parts: Vec<String> = parts.iter().map(u64::to_string).collect();
    parts.join(".")
}

/// Days from 1601-01-01 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 584_694
}

/// Reads `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(element: Element, bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(element.contents.of(bytes)).ok()?;
    let (year, rest) = match element.tag {
        UTC_TIME => {
            let year: i64 = text.get(..2)?.parse().ok()?;
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                text.get(2..)?,
            )
        }
        GENERALIZED_TIME => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let pair = |index: usize| rest.get(2 * index..2 * index + 2)?.parse::<i64>().ok();
    let (month, day) = (pair(0)?, pair(1)?);
    let seconds = pair(2)? * 3600 + pair(3)? * 60 + pair(4).unwrap_or(0);
    ((1..=12).contains(&month)).then(|| (days(year, month, day) * 86_400 + seconds) * 10_000_000)
}

fn algorithm(reader: &mut Reader<'_>, bytes: &[u8]) -> Option<Algorithm> {
    let mut inside = reader.inside(SEQUENCE)?;
    let id = object_id(inside.expect(OBJECT_ID)?.contents.of(bytes));
    let parameters = inside
        .element()
        .map_or(Span::default(), |element| element.whole);
    Some(Algorithm { id, parameters })
}

fn extensions(mut list: Reader<'_>, bytes: &[u8]) -> Option<Vec<Extension>> {
    let mut all = Vec::new();
    while list.tag().is_some() {
        let mut one = list.inside(SEQUENCE)?;
        let id = object_id(one.expect(OBJECT_ID)?.contents.of(bytes));
        let mut value = one.element()?;
        let is_critical = value.tag == BOOLEAN;
        if is_critical {
            value = one.element()?;
        }
        if value.tag != OCTET_STRING {
            return None;
        }
        all.push(Extension {
            id,
            is_critical,
            value: value.contents,
        });
    }
    Some(all)
}

/// Reads a certificate; `None` for anything else.
#[must_use]
pub fn certificate(bytes: &[u8]) -> Option<Certificate> {
    let whole = Span {
        start: 0,
        length: bytes.len(),
    };
    let mut outer = Reader::new(bytes, whole).inside(SEQUENCE)?;
    let mut body = outer.inside(SEQUENCE)?;
    let mut version = 0;
    if body.tag() == Some(0xA0) {
        let number = body.inside(0xA0)?.expect(INTEGER)?;
        version = u32::from(*number.contents.of(bytes).last()?);
    }
    let serial = body.expect(INTEGER)?.contents;
    let signature = algorithm(&mut body, bytes)?;
    let issuer = body.expect(SEQUENCE)?.whole;
    let mut validity = body.inside(SEQUENCE)?;
    let validity = [
        time(validity.element()?, bytes)?,
        time(validity.element()?, bytes)?,
    ];
    let subject = body.expect(SEQUENCE)?.whole;
    let mut information = body.inside(SEQUENCE)?;
    let key = algorithm(&mut information, bytes)?;
    let bits = information.expect(BIT_STRING)?.contents;
    // The first byte tells how many bits at the end are unused.
    let public_key = Span {
        start: bits.start + 1,
        length: bits.length.checked_sub(1)?,
    };
    let mut found = Vec::new();
    while let Some(tag) = body.tag() {
        let element = body.element()?;
        if tag == 0xA3 {
            let list = Reader::new(bytes, element.contents).inside(SEQUENCE)?;
            found = extensions(list, bytes)?;
        }
    }
    Some(Certificate {
        version,
        serial,
        signature,
        issuer,
        validity,
        subject,
        key,
        public_key,
        extensions: found,
    })
}

/// Attributes of a name: object identifiers and texts, in order.
#[must_use]
pub fn attributes(bytes: &[u8], name: Span) -> Vec<(String, String)> {
    let read = || {
        let mut all = Vec::new();
        let mut sets = Reader::new(bytes, name).inside(SEQUENCE)?;
        while sets.tag().is_some() {
            let mut set = sets.inside(SET)?;
            while set.tag().is_some() {
                let mut pair = set.inside(SEQUENCE)?;
                let id = object_id(pair.expect(OBJECT_ID)?.contents.of(bytes));
                let value = pair.element()?;
                let raw = value.contents.of(bytes);
                let text = if value.tag == BMP_STRING {
                    let units: Vec<u16> = raw
                        .chunks_exact(2)
                        .map(|unit| u16::from_be_bytes([unit[0], unit[1]]))
                        .collect();
                    String::from_utf16_lossy(&units)
                } else {
                    String::from_utf8_lossy(raw).into_owned()
                };
                all.push((id, text));
            }
        }
        Some(all)
    };
    read().unwrap_or_default()
}

/// Object identifiers of a sequence of them, as in the extended key usage.
#[must_use]
pub fn object_ids(bytes: &[u8], sequence: Span) -> Option<Vec<String>> {
    let mut ids = Vec::new();
    let mut reader = Reader::new(bytes, sequence).inside(SEQUENCE)?;
    while reader.tag().is_some() {
        ids.push(object_id(reader.expect(OBJECT_ID)?.contents.of(bytes)));
    }
    Some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_and_times_are_read() {
        assert_eq!(
            object_id(&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D]),
            "1.2.840.113549"
        );
        assert_eq!(object_id(&[0x55, 0x1D, 0x25]), "2.5.29.37");
        assert_eq!(days(1601, 1, 1), 0);
        assert_eq!(days(1970, 1, 1), 134_774);
        assert_eq!(days(2000, 2, 29) + 1, days(2000, 3, 1));
        assert!(certificate(&[0x30, 0x80]).is_none());
        assert!(certificate(&[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]).is_none());
        assert!(certificate(&[]).is_none());
    }
}
