//! Searching stores. Source: Microsoft Learn "`CertFindCertificateInStore` function".

use ntlpc_abi::UserPtr;

use super::certificate::digest;
use super::context::{self, Blob, CertInfo};
use super::names::searchable;
use super::store::{INVALID_ARGUMENT, NOT_FOUND, next};
use crate::dlls::hashes::Function;
use crate::dlls::win32::{refuse, units_arg, wide_arg};
use crate::export::Ptr;
use crate::win_api;

/// `CERT_FIND_*`.
mod kind {
    pub const ANY: u32 = 0;
    pub const SHA1_HASH: u32 = 0x1_0000;
    pub const MD5_HASH: u32 = 0x4_0000;
    pub const SUBJECT_NAME: u32 = 0x2_0007;
    pub const ISSUER_NAME: u32 = 0x2_0004;
    pub const SUBJECT_STR_A: u32 = 0x7_0007;
    pub const ISSUER_STR_A: u32 = 0x7_0004;
    pub const SUBJECT_STR_W: u32 = 0x8_0007;
    pub const ISSUER_STR_W: u32 = 0x8_0004;
    pub const SUBJECT_CERT: u32 = 0xB_0000;
    pub const ISSUER_OF: u32 = 0xC_0000;
    pub const EXISTING: u32 = 0xD_0000;
    pub const HAS_PRIVATE_KEY: u32 = 0x15_0000;
}

fn blob(at: UserPtr) -> Vec<u8> {
    let Blob { size, data } = Ptr::<Blob>::new(at.0).read();
    Ptr::<u8>::new(data.0).read_bytes(size as usize)
}

fn bytes_of(blob: Blob) -> Vec<u8> {
    Ptr::<u8>::new(blob.data.0).read_bytes(blob.size as usize)
}

/// Finds the next certificate of a kind; what is looked for is copied out of the guest first.
fn find(store: u64, which: u32, wanted: UserPtr, previous: u64) -> u64 {
    match which {
        kind::ANY => next(store, previous, |_| true),
        kind::SHA1_HASH | kind::MD5_HASH => {
            let wanted = blob(wanted);
            let function = if which == kind::MD5_HASH {
                Function::Md5
            } else {
                Function::Sha1
            };
            next(store, previous, |cert| digest(cert, function) == wanted)
        }
        kind::SUBJECT_NAME => {
            let wanted = blob(wanted);
            next(store, previous, |cert| {
                cert.parts.subject.of(&cert.bytes) == wanted
            })
        }
        kind::ISSUER_NAME => {
            let wanted = blob(wanted);
            next(store, previous, |cert| {
                cert.parts.issuer.of(&cert.bytes) == wanted
            })
        }
        kind::SUBJECT_STR_A | kind::ISSUER_STR_A | kind::SUBJECT_STR_W | kind::ISSUER_STR_W => {
            let is_wide = matches!(which, kind::SUBJECT_STR_W | kind::ISSUER_STR_W);
            let text = if is_wide {
                units_arg(Ptr::new(wanted.0))
            } else {
                wide_arg(Ptr::new(wanted.0))
            };
            let text = String::from_utf16_lossy(&text.unwrap_or_default()).to_lowercase();
            let of_issuer = matches!(which, kind::ISSUER_STR_A | kind::ISSUER_STR_W);
            next(store, previous, |cert| {
                searchable(cert, of_issuer).contains(&text)
            })
        }
        kind::SUBJECT_CERT => {
            let wanted: CertInfo = Ptr::new(wanted.0).read();
            let (issuer, mut serial) = (bytes_of(wanted.issuer), bytes_of(wanted.serial));
            serial.reverse();
            next(store, previous, |cert| {
                cert.parts.issuer.of(&cert.bytes) == issuer
                    && cert.parts.serial.of(&cert.bytes) == serial
            })
        }
        kind::ISSUER_OF | kind::EXISTING => {
            let Some(of) = context::cert(wanted.0) else {
                return refuse(INVALID_ARGUMENT, 0);
            };
            next(store, previous, |cert| match which {
                kind::EXISTING => cert.bytes == of.bytes,
                _ => cert.parts.subject.of(&cert.bytes) == of.parts.issuer.of(&of.bytes),
            })
        }
        kind::HAS_PRIVATE_KEY => next(store, previous, |_| false),
        _ => {
            log::warn!("CertFindCertificateInStore: kind {which:#x} is not supported");
            if previous != 0 {
                context::release(previous);
            }
            refuse(INVALID_ARGUMENT, 0)
        }
    }
}

win_api! {
    /// Finds the next certificate of a store that fits.
    "crypt32.dll" stdcall fn CertFindCertificateInStore(store: UserPtr, _encoding: u32, _flags: u32, which: u32, wanted: UserPtr, previous: UserPtr) -> UserPtr {
        UserPtr(find(store.0, which, wanted, previous.0))
    }

    /// Finds the certificate whose issuer and serial number are given.
    "crypt32.dll" stdcall fn CertGetSubjectCertificateFromStore(store: UserPtr, _encoding: u32, wanted: UserPtr) -> UserPtr {
        if wanted.is_null() {
            return refuse(NOT_FOUND, UserPtr::NULL);
        }
        UserPtr(find(store.0, kind::SUBJECT_CERT, wanted, 0))
    }
}
