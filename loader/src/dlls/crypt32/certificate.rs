//! What a context tells of its certificate: properties, uses, validity, extensions.

use ntlpc_abi::UserPtr;

use super::context::{self, Cert, CertExtension, CertInfo};
use super::der;
use super::store::{BAD_ENCODING, INVALID_ARGUMENT, NOT_FOUND};
use crate::dlls::hashes::{Function, Hash};
use crate::dlls::win32::{error, refuse};
use crate::export::{Bool, Guest, Ptr};
use crate::guest_struct;
use crate::ob::time::system_time;
use crate::win_api;

/// `szOID_ENHANCED_KEY_USAGE`.
const EXTENDED_USAGE: &str = "2.5.29.37";
/// `CERT_FIND_PROP_ONLY_ENHKEY_USAGE_FLAG`: without the extension.
const PROPERTY_ONLY: u32 = 4;

guest_struct! {
    /// `CTL_USAGE`.
    pub struct Usage {
        count: u32,
        identifiers: UserPtr,
    }
}

/// Digest of a certificate's encoding.
pub fn digest(cert: &Cert, function: Function) -> Vec<u8> {
    let mut hash = Hash::new(function, None);
    hash.update(&cert.bytes);
    hash.finish()
}

/// `CERT_SHA1_HASH_PROP_ID`, `CERT_MD5_HASH_PROP_ID`, `CERT_SHA256_HASH_PROP_ID`; other properties nobody has set.
fn property(cert: &Cert, which: u32) -> Option<Vec<u8>> {
    let function = match which {
        3 => Function::Sha1,
        4 => Function::Md5,
        107 => Function::Sha256,
        _ => return None,
    };
    Some(digest(cert, function))
}

/// Writes `CTL_USAGE` with its identifiers behind it.
fn put_usage(ids: &[String], to: Ptr<Usage>, size: Ptr<u32>) -> Bool {
    let array = Usage::size();
    let texts = array + ids.len() * UserPtr::size();
    let needed = texts + ids.iter().map(|id| id.len() + 1).sum::<usize>();
    let given = size.read() as usize;
    size.write(needed as u32);
    if to.is_null() {
        return Bool::TRUE;
    }
    if given < needed {
        return refuse(error::MORE_DATA, Bool::FALSE);
    }
    let list = to.byte_add(array as u64);
    let mut text = to.byte_add(texts as u64).cast::<u8>();
    for (i, id) in ids.iter().enumerate() {
        list.cast::<UserPtr>().add(i).write(text.user());
        text.write_bytes(&[id.as_bytes(), &[0]].concat());
        text = text.add(id.len() + 1);
    }
    let identifiers = if ids.is_empty() {
        UserPtr::NULL
    } else {
        list.user()
    };
    to.write(Usage {
        count: ids.len() as u32,
        identifiers,
    });
    Bool::TRUE
}

fn time(halves: [u32; 2]) -> i64 {
    i64::from(halves[0]) | i64::from(halves[1]) << 32
}

win_api! {
    /// Makes a context of an encoded certificate.
    "crypt32.dll" stdcall fn CertCreateCertificateContext(_encoding: u32, from: Ptr<u8>, size: u32) -> UserPtr {
        let Some(cert) = Cert::new(from.read_bytes(size as usize)) else {
            return refuse(BAD_ENCODING, UserPtr::NULL);
        };
        match context::make(&cert, 0) {
            Some(made) => UserPtr(made),
            None => refuse(error::NOT_ENOUGH_MEMORY, UserPtr::NULL),
        }
    }

    /// Adds a reference to a context.
    "crypt32.dll" stdcall fn CertDuplicateCertificateContext(context: UserPtr) -> UserPtr {
        context::hold(context.0);
        context
    }

    /// Gives a reference to a context up.
    "crypt32.dll" stdcall fn CertFreeCertificateContext(context: UserPtr) -> Bool {
        context::release(context.0);
        Bool::TRUE
    }

    /// Reads a property of a context: digests of the certificate.
    "crypt32.dll" stdcall fn CertGetCertificateContextProperty(context: UserPtr, which: u32, to: Ptr<u8>, size: Ptr<u32>) -> Bool {
        let Some(cert) = context::cert(context.0) else {
            return refuse(INVALID_ARGUMENT, Bool::FALSE);
        };
        let Some(value) = property(&cert, which) else {
            return refuse(NOT_FOUND, Bool::FALSE);
        };
        let given = size.read() as usize;
        size.write(value.len() as u32);
        if to.is_null() {
            return Bool::TRUE;
        }
        if given < value.len() {
            return refuse(error::MORE_DATA, Bool::FALSE);
        }
        to.write_bytes(&value);
        Bool::TRUE
    }

    /// Sets a property of a context: there are no keys or names to keep.
    "crypt32.dll" stdcall fn CertSetCertificateContextProperty(_context: UserPtr, which: u32, _flags: u32, _value: UserPtr) -> Bool {
        log::warn!("CertSetCertificateContextProperty: property {which} is not kept");
        refuse(error::NOT_SUPPORTED, Bool::FALSE)
    }

    /// Lists what a certificate may be used for. None with `CRYPT_E_NOT_FOUND`: for everything.
    "crypt32.dll" stdcall fn CertGetEnhancedKeyUsage(context: UserPtr, flags: u32, to: Ptr<Usage>, size: Ptr<u32>) -> Bool {
        let Some(cert) = context::cert(context.0) else {
            return refuse(INVALID_ARGUMENT, Bool::FALSE);
        };
        let mut extensions = cert.parts.extensions.iter();
        let found = extensions.find(|extension| extension.id == EXTENDED_USAGE && flags & PROPERTY_ONLY == 0);
        let ids = match found.map(|extension| der::object_ids(&cert.bytes, extension.value)) {
            Some(Some(ids)) => ids,
            Some(None) => return refuse(BAD_ENCODING, Bool::FALSE),
            None => Vec::new(),
        };
        let done = put_usage(&ids, to, size);
        if done.get() {
            crate::teb::set_last_error(if found.is_none() { NOT_FOUND } else { 0 });
        }
        done
    }

    /// Says whether a time, or now, is before (-1), in (0) or after (1) the life of a certificate.
    "crypt32.dll" stdcall fn CertVerifyTimeValidity(at: Ptr<[u32; 2]>, information: Ptr<CertInfo>) -> i32 {
        let at = at.non_null().map_or_else(system_time, |at| time(at.read()));
        let CertInfo { not_before, not_after, .. } = information.read();
        i32::from(at > time(not_after)) - i32::from(at < time(not_before))
    }

    /// Finds an extension by its identifier.
    "crypt32.dll" stdcall fn CertFindExtension(id: Ptr<u8>, count: u32, list: Ptr<CertExtension>) -> Ptr<CertExtension> {
        let id = id.read_c_string();
        let is_it = |extension: &Ptr<CertExtension>| Ptr::<u8>::new(extension.read().id.0).read_c_string() == id;
        (0..count as usize).map(|i| list.add(i)).find(is_it).unwrap_or(Ptr::NULL)
    }
}
