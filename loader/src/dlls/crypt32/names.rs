//! Names of subjects and issuers as text: `CertGetNameString`.

use ntlpc_abi::UserPtr;

use super::context::{self, Cert};
use super::der;
use crate::export::{Guest, Ptr};
use crate::win_api;

/// `CERT_NAME_EMAIL_TYPE`, `CERT_NAME_ATTR_TYPE`, `CERT_NAME_SIMPLE_DISPLAY_TYPE`, `CERT_NAME_FRIENDLY_DISPLAY_TYPE`.
const EMAIL: u32 = 1;
const ATTRIBUTE: u32 = 3;
const SIMPLE: u32 = 4;
const FRIENDLY: u32 = 5;
/// `CERT_NAME_ISSUER_FLAG`.
const ISSUER: u32 = 1;
/// `szOID_RSA_emailAddr`.
const EMAIL_ID: &str = "1.2.840.113549.1.9.1";
/// What a name is shown by, the first that is there: common name, organizational unit, organization, e-mail address.
const SHOWN: [&str; 4] = ["2.5.4.3", "2.5.4.11", "2.5.4.10", EMAIL_ID];

/// The subject's or issuer's name; empty where it has none of the kind.
fn name(cert: &Cert, kind: u32, flags: u32, parameter: UserPtr) -> String {
    let span = if flags & ISSUER != 0 {
        cert.parts.issuer
    } else {
        cert.parts.subject
    };
    let attributes = der::attributes(&cert.bytes, span);
    let of = |id: &str| {
        attributes
            .iter()
            .rev()
            .find(|(other, _)| other == id)
            .map(|(_, text)| text.clone())
    };
    let found = match kind {
        EMAIL => of(EMAIL_ID),
        ATTRIBUTE => {
            let id = Ptr::<u8>::new(parameter.0).read_c_string();
            of(&String::from_utf8_lossy(&id))
        }
        SIMPLE | FRIENDLY => {
            let shown = SHOWN.iter().find_map(|id| of(id));
            shown.or_else(|| attributes.first().map(|(_, text)| text.clone()))
        }
        _ => {
            log::warn!("CertGetNameString: kind {kind} is not supported");
            None
        }
    };
    found.unwrap_or_default()
}

/// Texts of all attributes for searching.
pub fn searchable(cert: &Cert, of_issuer: bool) -> String {
    let span = if of_issuer {
        cert.parts.issuer
    } else {
        cert.parts.subject
    };
    let attributes = der::attributes(&cert.bytes, span);
    let texts: Vec<String> = attributes
        .into_iter()
        .map(|(_, text)| text.to_lowercase())
        .collect();
    texts.join(", ")
}

/// Gives as much of a text as there is room for; returns its length with the NUL.
fn put<T: Guest + Default>(text: &[T], to: Ptr<T>, room: u32) -> u32 {
    if to.is_null() || room == 0 {
        return text.len() as u32 + 1;
    }
    let shown = &text[..text.len().min(room as usize - 1)];
    to.write_many(shown);
    to.add(shown.len()).write(T::default());
    shown.len() as u32 + 1
}

win_api! {
    /// Writes the name of a certificate's subject or issuer.
    "crypt32.dll" stdcall fn CertGetNameStringW(context: UserPtr, kind: u32, flags: u32, parameter: UserPtr, to: Ptr<u16>, room: u32) -> u32 {
        let text = context::cert(context.0).map_or_else(String::new, |cert| name(&cert, kind, flags, parameter));
        put(&text.encode_utf16().collect::<Vec<u16>>(), to, room)
    }

    /// Writes the name of a certificate's subject or issuer.
    "crypt32.dll" stdcall fn CertGetNameStringA(context: UserPtr, kind: u32, flags: u32, parameter: UserPtr, to: Ptr<u8>, room: u32) -> u32 {
        let text = context::cert(context.0).map_or_else(String::new, |cert| name(&cert, kind, flags, parameter));
        put(text.as_bytes(), to, room)
    }
}
