//! Encoding of field values: little-endian scalars, length-prefixed sequences, no alignment.

use core::fmt;

use ntlpc_abi::NtStatus;

/// The bytes of a frame do not form the value they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The frame ends inside a value.
    Short,
    /// Bytes follow the last field.
    Trailing,
    /// A tag or a flag has a value outside its type.
    BadValue,
    /// The frame has another magic or is shorter than a header.
    NotAFrame,
    /// The number names no request.
    UnknownRequest(u16),
    /// The peer speaks another version of the protocol.
    Version(u16),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Short => f.write_str("the frame ends inside a field"),
            Malformed::Trailing => f.write_str("the frame has bytes after its last field"),
            Malformed::BadValue => f.write_str("a field has a value outside its type"),
            Malformed::NotAFrame => f.write_str("not a control frame"),
            Malformed::UnknownRequest(number) => write!(f, "unknown request {number:#06x}"),
            Malformed::Version(version) => write!(
                f,
                "protocol version {version}, expected {}; end the old server with `wineserver-ext -k`",
                crate::frame::VERSION
            ),
        }
    }
}

impl std::error::Error for Malformed {}

/// The unread rest of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts reading at the first byte of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// Takes the next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(head)
    }

    /// Succeeds only when every byte has been read.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed::Trailing)
        }
    }
}

/// A value that can be a field of a request or a reply.
pub trait Wire: Sized {
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads the value; any input is either a value or [`Malformed`].
    fn get(reader: &mut Reader<'_>) -> Result<Self, Malformed>;
}

macro_rules! scalars {
    ($($ty:ty)*) => {$(
        impl Wire for $ty {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn get(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                let bytes = reader.take(size_of::<$ty>())?;
                Ok(<$ty>::from_le_bytes(bytes.try_into().map_err(|_| Malformed::Short)?))
            }
        }
    )*};
}
scalars!(u8 u16 u32 u64);

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn get(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::get(reader)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::BadValue),
        }
    }
}

impl Wire for NtStatus {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn get(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        u32::get(reader).map(NtStatus)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn get(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        if bool::get(reader)? {
            T::get(reader).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_len(self.len(), out);
        for value in self {
            value.put(out);
        }
    }
    fn get(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let len = u32::get(reader)? as usize;
        // Every value takes at least one byte, so a count beyond the rest of the frame is a lie.
        if len > reader.0.len() {
            return Err(Malformed::Short);
        }
        (0..len).map(|_| T::get(reader)).collect()
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_len(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }
    fn get(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let len = u32::get(reader)? as usize;
        let bytes = reader.take(len)?;
        core::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| Malformed::BadValue)
    }
}

/// An uninterpreted run of bytes.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Bytes(pub Vec<u8>);

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        Bytes(bytes.to_vec())
    }
}

impl Wire for Bytes {
    fn put(&self, out: &mut Vec<u8>) {
        put_len(self.0.len(), out);
        out.extend_from_slice(&self.0);
    }
    fn get(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let len = u32::get(reader)? as usize;
        reader.take(len).map(Bytes::from)
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        write!(f, "{}:", self.0.len())?;
        for byte in self.0.iter().take(SHOWN) {
            write!(f, "{byte:02x}")?;
        }
        if self.0.len() > SHOWN {
            f.write_str("…")
        } else {
            Ok(())
        }
    }
}

/// A UTF-16 name, counted, as in `UNICODE_STRING`; may hold any code unit.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Name(pub Vec<u16>);

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name(text.encode_utf16().collect())
    }
}

impl Wire for Name {
    fn put(&self, out: &mut Vec<u8>) {
        put_len(self.0.len(), out);
        for unit in &self.0 {
            unit.put(out);
        }
    }
    fn get(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let units = u32::get(reader)? as usize;
        let bytes = reader.take(units.checked_mul(2).ok_or(Malformed::Short)?)?;
        Ok(Name(
            bytes
                .chunks_exact(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect(),
        ))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf16_lossy(&self.0))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf16_lossy(&self.0))
    }
}

/// Declares structures that are fields of requests, with their encoding.
#[macro_export]
macro_rules! wire_struct {
    ($($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $ty:ty),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty),* }

        impl $crate::wire::Wire for $name {
            fn put(&self, _out: &mut Vec<u8>) {
                $($crate::wire::Wire::put(&self.$field, _out);)*
            }
            fn get(_reader: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::wire::Malformed> {
                Ok($name { $($field: $crate::wire::Wire::get(_reader)?),* })
            }
        }
    )*};
}

/// Declares one-byte enumerations that are fields of requests; the first variant is the default.
#[macro_export]
macro_rules! wire_enum {
    ($($(#[$meta:meta])* $name:ident {
        $(#[$dmeta:meta])* $default:ident = $dvalue:literal, $($(#[$vmeta:meta])* $variant:ident = $value:literal),* $(,)?
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name {
            $(#[$dmeta])* #[default] $default = $dvalue,
            $($(#[$vmeta])* $variant = $value),*
        }

        impl $crate::wire::Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(*self as u8);
            }
            fn get(reader: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::wire::Malformed> {
                match <u8 as $crate::wire::Wire>::get(reader)? {
                    $dvalue => Ok($name::$default),
                    $($value => Ok($name::$variant),)*
                    _ => Err($crate::wire::Malformed::BadValue),
                }
            }
        }
    )*};
}

fn put_len(len: usize, out: &mut Vec<u8>) {
    // A longer sequence does not fit a frame; the saturated count makes the frame malformed, never misread.
    u32::try_from(len).unwrap_or(u32::MAX).put(out);
}
