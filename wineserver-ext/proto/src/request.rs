//! The one declaration of a request: number, name, fields, descriptors, reply.

use crate::wire::Wire;

/// A request and the reply that belongs to it.
pub trait Request: Wire {
    /// Family in the high byte, position in the family in the low byte.
    const NUMBER: u16;
    /// Name in traces and documents.
    const NAME: &'static str;
    /// Fields of the answer in the case of success.
    type Reply: Wire + core::fmt::Debug;
}

/// A field as declared, for documents.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name of the field.
    pub name: &'static str,
    /// Its type as written.
    pub ty: &'static str,
    /// Its document.
    pub doc: &'static [&'static str],
}

/// A request as declared, for documents and for the printer of unknown frames.
#[derive(Clone, Copy, Debug)]
pub struct RequestInfo {
    /// [`Request::NUMBER`].
    pub number: u16,
    /// [`Request::NAME`].
    pub name: &'static str,
    /// Document of the request.
    pub doc: &'static [&'static str],
    /// Fields of the request in wire order.
    pub fields: &'static [Field],
    /// Descriptors that go with the request.
    pub fds: &'static [&'static str],
    /// Fields of the reply in wire order.
    pub reply_fields: &'static [Field],
    /// Descriptors that come with the reply.
    pub reply_fds: &'static [&'static str],
}

/// Declares a family of requests.
///
/// Generates a structure per request and reply with encoding, decoding and printing, an enumeration that decodes any
/// request of the family, and the table the documents are made from.
#[macro_export]
macro_rules! requests {
    (
        $(#[doc = $family_doc:literal])*
        family $family:ident = $number:literal;
        $(
            $(#[doc = $doc:literal])*
            $low:literal $name:ident
            { $($(#[doc = $field_doc:literal])* $field:ident: $ty:ty),* $(,)? }
            $(with [$($fd:literal),*])?
            => $reply:ident
            { $($(#[doc = $reply_doc:literal])* $reply_field:ident: $reply_ty:ty),* $(,)? }
            $(with [$($reply_fd:literal),*])?;
        )*
    ) => {
        $(
            $crate::wire_struct! {
                $(#[doc = $doc])*
                $name { $($(#[doc = $field_doc])* $field: $ty),* }
                #[doc = concat!("Answer to [`", stringify!($name), "`].")]
                $reply { $($(#[doc = $reply_doc])* $reply_field: $reply_ty),* }
            }

            impl $crate::Request for $name {
                const NUMBER: u16 = ($number << 8) | $low;
                const NAME: &'static str = stringify!($name);
                type Reply = $reply;
            }
        )*

        $(#[doc = $family_doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(clippy::large_enum_variant, reason = "decoded, matched and dropped at once")]
        pub enum $family {
            $(#[doc = concat!("A [`struct@", stringify!($name), "`] request.")] $name($name),)*
        }

        impl $family {
            /// High byte of the numbers of this family.
            pub const FAMILY: u8 = $number;

            /// The declarations of the family.
            pub const TABLE: &'static [$crate::RequestInfo] = &[$(
                $crate::RequestInfo {
                    number: ($number << 8) | $low,
                    name: stringify!($name),
                    doc: &[$($doc),*],
                    fields: &[$($crate::Field { name: stringify!($field), ty: stringify!($ty), doc: &[$($field_doc),*] }),*],
                    fds: &[$($($fd),*)?],
                    reply_fields: &[$($crate::Field {
                        name: stringify!($reply_field), ty: stringify!($reply_ty), doc: &[$($reply_doc),*],
                    }),*],
                    reply_fds: &[$($($reply_fd),*)?],
                },
            )*];

            /// Decodes the body of request `number`.
            pub fn decode(number: u16, body: &[u8]) -> Result<$family, $crate::Malformed> {
                match number {
                    $(<$name as $crate::Request>::NUMBER => $crate::frame::decode_body(body).map($family::$name),)*
                    _ => Err($crate::Malformed::UnknownRequest(number)),
                }
            }
        }
    };
}
