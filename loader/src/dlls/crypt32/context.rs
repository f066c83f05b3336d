//! Certificate contexts: what a program gets of a certificate, counted.
//!
//! Source: Microsoft Learn "`CERT_CONTEXT` structure", "`CERT_INFO` structure".

use std::collections::BTreeMap;
use std::sync::Arc;

use ntlpc_abi::UserPtr;
use parking_lot::Mutex;

use super::der::{self, Algorithm, Certificate, Span};
use crate::export::{Guest, Ptr};
use crate::guest_struct;

/// `X509_ASN_ENCODING`.
const X509: u32 = 1;

guest_struct! {
    /// `CRYPT_DATA_BLOB` under its many names.
    pub struct Blob {
        size: u32,
        data: UserPtr,
    }
    /// `CRYPT_BIT_BLOB`.
    pub struct BitBlob {
        size: u32,
        data: UserPtr,
        unused_bits: u32,
    }
    /// `CRYPT_ALGORITHM_IDENTIFIER`.
    pub struct AlgorithmIdentifier {
        id: UserPtr,
        parameters: Blob,
    }
    /// `CERT_EXTENSION`.
    pub struct CertExtension {
        id: UserPtr,
        is_critical: i32,
        value: Blob,
    }
    /// `CERT_INFO`; times as the halves of a `FILETIME`.
    pub struct CertInfo {
        version: u32,
        serial: Blob,
        signature: AlgorithmIdentifier,
        issuer: Blob,
        not_before: [u32; 2],
        not_after: [u32; 2],
        subject: Blob,
        key: AlgorithmIdentifier,
        public_key: BitBlob,
        issuer_id: BitBlob,
        subject_id: BitBlob,
        extension_count: u32,
        extensions: UserPtr,
    }
    /// `CERT_CONTEXT`.
    pub struct CertContext {
        encoding: u32,
        encoded: UserPtr,
        size: u32,
        info: UserPtr,
        store: UserPtr,
    }
}

/// A certificate.
#[derive(Debug)]
pub struct Cert {
    /// Its encoding.
    pub bytes: Vec<u8>,
    /// Its parts.
    pub parts: Certificate,
}

impl Cert {
    /// Reads a certificate; `None` for anything else.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Arc<Self>> {
        let parts = der::certificate(&bytes)?;
        Some(Arc::new(Cert { bytes, parts }))
    }
}

#[derive(Debug)]
struct Held {
    cert: Arc<Cert>,
    references: u32,
}

/// Contexts by address.
static CONTEXTS: Mutex<BTreeMap<u64, Held>> = Mutex::new(BTreeMap::new());

/// Puts parts of a block one behind the other.
struct Layout {
    base: u64,
    next: u64,
}

impl Layout {
    fn place(&mut self, bytes: usize) -> u64 {
        let at = self.next;
        self.next += (bytes as u64).next_multiple_of(8);
        self.base + at
    }

    fn put(&mut self, bytes: &[u8]) -> UserPtr {
        let at = self.place(bytes.len());
        Ptr::<u8>::new(at).write_bytes(bytes);
        UserPtr(at)
    }

    fn text(&mut self, text: &str) -> UserPtr {
        self.put(&[text.as_bytes(), &[0]].concat())
    }
}

/// Bytes of a block for a certificate: structures, encoding, serial number, texts of identifiers.
fn room(cert: &Cert) -> usize {
    let extensions = &cert.parts.extensions;
    let ids = extensions.iter().map(|extension| extension.id.len() + 9);
    let fixed = CertContext::size() + CertInfo::size() + 8 * 8;
    fixed
        + 2 * cert.bytes.len()
        + cert.parts.signature.id.len()
        + cert.parts.key.id.len()
        + extensions.len() * CertExtension::size()
        + ids.sum::<usize>()
}

/// Makes a context with one reference; `None` without memory. `store` is what it says it is from.
pub fn make(cert: &Arc<Cert>, store: u64) -> Option<u64> {
    let base = crate::heap::process().allocate(room(cert), true)?;
    let mut layout = Layout { base, next: 0 };
    let context = layout.place(CertContext::size());
    let info = layout.place(CertInfo::size());
    let encoded = layout.put(&cert.bytes);
    let blob = |span: Span| Blob {
        size: span.length as u32,
        data: UserPtr(encoded.0 + span.start as u64),
    };
    let parts = &cert.parts;
    // Numbers are kept with their least significant byte first.
    let serial: Vec<u8> = parts.serial.of(&cert.bytes).iter().rev().copied().collect();
    let serial = Blob {
        size: serial.len() as u32,
        data: layout.put(&serial),
    };
    let mut identifier = |algorithm: &Algorithm| AlgorithmIdentifier {
        id: layout.text(&algorithm.id),
        parameters: blob(algorithm.parameters),
    };
    let (signature, key) = (identifier(&parts.signature), identifier(&parts.key));
    let list =
        Ptr::<CertExtension>::new(layout.place(parts.extensions.len() * CertExtension::size()));
    for (i, extension) in parts.extensions.iter().enumerate() {
        list.add(i).write(CertExtension {
            id: layout.text(&extension.id),
            is_critical: extension.is_critical.into(),
            value: blob(extension.value),
        });
    }
    let halves = |time: i64| [time as u32, (time >> 32) as u32];
    let none = BitBlob {
        size: 0,
        data: UserPtr::NULL,
        unused_bits: 0,
    };
    let public_key = blob(parts.public_key);
    Ptr::<CertInfo>::new(info).write(CertInfo {
        version: parts.version,
        serial,
        signature,
        issuer: blob(parts.issuer),
        not_before: halves(parts.validity[0]),
        not_after: halves(parts.validity[1]),
        subject: blob(parts.subject),
        key,
        public_key: BitBlob {
            size: public_key.size,
            data: public_key.data,
            unused_bits: 0,
        },
        issuer_id: none,
        subject_id: none,
        extension_count: parts.extensions.len() as u32,
        extensions: list.user(),
    });
    Ptr::<CertContext>::new(context).write(CertContext {
        encoding: X509,
        encoded,
        size: cert.bytes.len() as u32,
        info: UserPtr(info),
        store: UserPtr(store),
    });
    let held = Held {
        cert: cert.clone(),
        references: 1,
    };
    CONTEXTS.lock().insert(context, held);
    Some(context)
}

/// Returns the certificate of a context.
pub fn cert(context: u64) -> Option<Arc<Cert>> {
    CONTEXTS.lock().get(&context).map(|held| held.cert.clone())
}

/// Adds a reference; returns whether there is such a context.
pub fn hold(context: u64) -> bool {
    let mut contexts = CONTEXTS.lock();
    let held = contexts.get_mut(&context);
    held.map(|held| held.references += 1).is_some()
}

/// Gives a reference up, and with the last the context.
pub fn release(context: u64) {
    let is_last = {
        let mut contexts = CONTEXTS.lock();
        let Some(held) = contexts.get_mut(&context) else {
            return;
        };
        held.references -= 1;
        let is_last = held.references == 0;
        if is_last {
            contexts.remove(&context);
        }
        is_last
    };
    if is_last {
        let _ = crate::heap::process().free(context);
    }
}
