//! Stores: the system's, which cannot be changed, and those in memory.
//!
//! Source: Microsoft Learn "`CertOpenStore` function", "System Store Locations". The root store is the bundle of Linux.

use std::collections::BTreeMap;

use ntlpc_abi::UserPtr;
use parking_lot::Mutex;

use super::context::{self, Cert, CertContext};
use super::text::pem;
use crate::dlls::win32::{error, refuse, units_arg, wide_arg};
use crate::export::{Bool, Ptr};
use crate::win_api;

/// `CRYPT_E_NOT_FOUND`, `CRYPT_E_EXISTS`, `E_INVALIDARG`, `E_ACCESSDENIED`.
pub const NOT_FOUND: u32 = 0x8009_2004;
const EXISTS: u32 = 0x8009_2005;
pub const INVALID_ARGUMENT: u32 = 0x8007_0057;
const ACCESS_DENIED: u32 = 0x8007_0005;
/// `CRYPT_E_ASN1_BADTAG`: what is no certificate.
pub const BAD_ENCODING: u32 = 0x8009_310B;

/// Bundles of certificate authorities of the distributions: Debian, Fedora, Alpine and others.
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];
/// System stores every Windows has.
const SYSTEM_STORES: [&str; 9] = [
    "root",
    "ca",
    "my",
    "authroot",
    "disallowed",
    "trust",
    "trustedpeople",
    "trustedpublisher",
    "addressbook",
];
/// Handles are multiples of 16 from here.
const FIRST: u64 = 0x5354_0000;

/// Where a store of the system is (`CERT_SYSTEM_STORE_LOCATION_MASK`): `CERT_SYSTEM_STORE_CURRENT_USER` comes first, then this.
const LOCATION: u32 = 0xFF_0000;
const LOCAL_MACHINE: u32 = 0x2_0000;
/// `CERT_STORE_OPEN_EXISTING_FLAG`.
const OPEN_EXISTING: u32 = 0x4000;
/// `CERT_STORE_ADD_NEW`, `_USE_EXISTING`, `_REPLACE_EXISTING`; up to 7 there are more ways to add.
const ADD_NEW: u32 = 1;
const USE_EXISTING: u32 = 2;
const REPLACE_EXISTING: u32 = 3;

#[derive(Debug)]
struct Store {
    /// Contexts in order, one reference each.
    contexts: Vec<u64>,
    is_system: bool,
    references: u32,
}

#[derive(Debug)]
struct Stores {
    by_handle: BTreeMap<u64, Store>,
    next: u64,
}

static STORES: Mutex<Stores> = Mutex::new(Stores {
    by_handle: BTreeMap::new(),
    next: FIRST,
});

fn open(certs: Vec<Vec<u8>>, is_system: bool) -> u64 {
    let handle = {
        let mut stores = STORES.lock();
        stores.next += 16;
        stores.next
    };
    let certs = certs.into_iter().filter_map(Cert::new);
    let contexts = certs
        .filter_map(|cert| context::make(&cert, handle))
        .collect();
    let store = Store {
        contexts,
        is_system,
        references: 1,
    };
    STORES.lock().by_handle.insert(handle, store);
    handle
}

/// Opens a store of the system.
fn open_system(name: Option<Vec<u16>>, flags: u32) -> u64 {
    let Some(name) = name else {
        return refuse(INVALID_ARGUMENT, 0);
    };
    let name = String::from_utf16_lossy(&name).to_lowercase();
    let is_known = SYSTEM_STORES.contains(&name.as_str());
    if !is_known && flags & OPEN_EXISTING != 0 {
        return refuse(error::FILE_NOT_FOUND, 0);
    }
    let bundle = || {
        BUNDLES
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok())
    };
    // Group policies and the enterprise add nothing to the roots of the user and the machine.
    let has_roots = flags & LOCATION <= LOCAL_MACHINE;
    let certs = match name.as_str() {
        "root" if has_roots => bundle().map_or_else(Vec::new, |text| pem(&text)),
        _ => Vec::new(),
    };
    open(certs, true)
}

/// Opens a store by its provider: a number or a name.
fn open_provider(provider: Ptr<u8>, flags: u32, parameter: UserPtr) -> u64 {
    let name = match provider.address() {
        number @ 0..0x1_0000 => number.to_string(),
        _ => String::from_utf8_lossy(&provider.read_c_string()).to_lowercase(),
    };
    match name.as_str() {
        // CERT_STORE_PROV_MEMORY, sz_CERT_STORE_PROV_MEMORY
        "2" | "memory" => open(Vec::new(), false),
        // CERT_STORE_PROV_SYSTEM_W, SYSTEM_REGISTRY_W
        "10" | "13" | "system" | "systemregistry" => {
            open_system(units_arg(Ptr::new(parameter.0)), flags)
        }
        // CERT_STORE_PROV_SYSTEM_A, SYSTEM_REGISTRY_A
        "9" | "12" => open_system(wide_arg(Ptr::new(parameter.0)), flags),
        _ => {
            log::warn!("CertOpenStore: there is no provider {name:?}");
            refuse(error::FILE_NOT_FOUND, 0)
        }
    }
}

/// Returns the contexts of a store, or `None` with an error.
pub fn contexts(store: u64) -> Option<Vec<u64>> {
    let stores = STORES.lock();
    let found = stores
        .by_handle
        .get(&store)
        .map(|store| store.contexts.clone());
    found.or_else(|| refuse(INVALID_ARGUMENT, None))
}

/// Returns the first context after `previous` that is wanted, with a reference, and gives `previous` up.
pub fn next(store: u64, previous: u64, is_wanted: impl Fn(&Cert) -> bool) -> u64 {
    let Some(all) = contexts(store) else { return 0 };
    let start = match previous {
        0 => 0,
        _ => all
            .iter()
            .position(|context| *context == previous)
            .map_or(all.len(), |at| at + 1),
    };
    let found = all[start..]
        .iter()
        .copied()
        .find(|&context| context::cert(context).is_some_and(|cert| is_wanted(&cert)))
        .filter(|&context| context::hold(context));
    if previous != 0 {
        context::release(previous);
    }
    found.unwrap_or_else(|| refuse(NOT_FOUND, 0))
}

/// Adds a certificate to a store; gives its context there if wanted.
fn add(store: u64, bytes: Vec<u8>, disposition: u32, to: Ptr<UserPtr>) -> Bool {
    let Some(cert) = Cert::new(bytes) else {
        return refuse(BAD_ENCODING, Bool::FALSE);
    };
    // Without a store the certificate is only copied.
    let there = if store == 0 {
        Some(Vec::new())
    } else {
        contexts(store)
    };
    let Some(all) = there else { return Bool::FALSE };
    let is_same =
        |&&context: &&u64| context::cert(context).is_some_and(|other| other.bytes == cert.bytes);
    let old = all.iter().find(is_same).copied();
    let is_system = STORES
        .lock()
        .by_handle
        .get(&store)
        .is_some_and(|store| store.is_system);
    if is_system {
        log::warn!("certificates cannot be added to the system's stores");
        return refuse(ACCESS_DENIED, Bool::FALSE);
    }
    let made = match (disposition, old) {
        (ADD_NEW, Some(_)) => return refuse(EXISTS, Bool::FALSE),
        (USE_EXISTING | REPLACE_EXISTING, Some(old)) => old,
        (ADD_NEW..=7, _) => {
            let Some(made) = context::make(&cert, store) else {
                return refuse(error::NOT_ENOUGH_MEMORY, Bool::FALSE);
            };
            let is_kept = {
                let mut stores = STORES.lock();
                let store = stores.by_handle.get_mut(&store);
                store.map(|store| store.contexts.push(made)).is_some()
            };
            if !is_kept {
                // The one reference is the caller's.
                if to.is_null() {
                    context::release(made);
                } else {
                    to.write(UserPtr(made));
                }
                return Bool::TRUE;
            }
            made
        }
        _ => return refuse(INVALID_ARGUMENT, Bool::FALSE),
    };
    if !to.is_null() && context::hold(made) {
        to.write(UserPtr(made));
    }
    Bool::TRUE
}

win_api! {
    /// Opens a store by its provider.
    "crypt32.dll" stdcall fn CertOpenStore(provider: Ptr<u8>, _encoding: u32, _crypt: usize, flags: u32, parameter: UserPtr) -> UserPtr {
        UserPtr(open_provider(provider, flags, parameter))
    }

    /// Opens a store of the system.
    "crypt32.dll" stdcall fn CertOpenSystemStoreW(_crypt: usize, name: Ptr<u16>) -> UserPtr {
        UserPtr(open_system(units_arg(name), 0))
    }

    /// Opens a store of the system.
    "crypt32.dll" stdcall fn CertOpenSystemStoreA(_crypt: usize, name: Ptr<u8>) -> UserPtr {
        UserPtr(open_system(wide_arg(name), 0))
    }

    /// Adds a reference to a store.
    "crypt32.dll" stdcall fn CertDuplicateStore(store: UserPtr) -> UserPtr {
        if let Some(held) = STORES.lock().by_handle.get_mut(&store.0) {
            held.references += 1;
        }
        store
    }

    /// Closes a store; contexts a program holds stay.
    "crypt32.dll" stdcall fn CertCloseStore(store: UserPtr, _flags: u32) -> Bool {
        if store.is_null() {
            return Bool::TRUE;
        }
        let closed = {
            let mut stores = STORES.lock();
            let Some(held) = stores.by_handle.get_mut(&store.0) else {
                return refuse(INVALID_ARGUMENT, Bool::FALSE);
            };
            held.references -= 1;
            let is_last = held.references == 0;
            if is_last { stores.by_handle.remove(&store.0) } else { None }
        };
        if let Some(closed) = closed {
            closed.contexts.into_iter().for_each(context::release);
        }
        Bool::TRUE
    }

    /// Returns the next certificate of a store.
    "crypt32.dll" stdcall fn CertEnumCertificatesInStore(store: UserPtr, previous: UserPtr) -> UserPtr {
        UserPtr(next(store.0, previous.0, |_| true))
    }

    /// Adds a certificate to a store in memory.
    "crypt32.dll" stdcall fn CertAddCertificateContextToStore(store: UserPtr, from: UserPtr, disposition: u32, to: Ptr<UserPtr>) -> Bool {
        match context::cert(from.0) {
            Some(cert) => add(store.0, cert.bytes.clone(), disposition, to),
            None => refuse(INVALID_ARGUMENT, Bool::FALSE),
        }
    }

    /// Adds a certificate to a store in memory.
    "crypt32.dll" stdcall fn CertAddEncodedCertificateToStore(store: UserPtr, _encoding: u32, from: Ptr<u8>, size: u32, disposition: u32, to: Ptr<UserPtr>) -> Bool {
        add(store.0, from.read_bytes(size as usize), disposition, to)
    }

    /// Takes a certificate out of its store in memory, and gives the context up.
    "crypt32.dll" stdcall fn CertDeleteCertificateFromStore(from: Ptr<CertContext>) -> Bool {
        let (context, store) = (from.address(), from.read().store.0);
        let removed = STORES.lock().by_handle.get_mut(&store).filter(|store| !store.is_system).map(|store| {
            let before = store.contexts.len();
            store.contexts.retain(|other| *other != context);
            store.contexts.len() != before
        });
        if removed == Some(true) {
            context::release(context);
        }
        context::release(context);
        match removed {
            Some(_) => Bool::TRUE,
            None => refuse(ACCESS_DENIED, Bool::FALSE),
        }
    }
}
