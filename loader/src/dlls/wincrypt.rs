//! Providers of `wincrypt.h`: random numbers and hashes; there are no keys.
//!
//! Source: Microsoft Learn "Cryptographic Provider Types", `CryptCreateHash`, `CryptGetHashParam`, `CryptGetProvParam`,
//! "`ALG_ID`".

use super::hashes::{self, Function, Hash};
use super::random::fill;
use crate::dlls::win32::{error, refuse, units_arg, wide_arg};
use crate::export::{Bool, Ptr};
use crate::win_api;

/// Handles of providers: this, the type below.
const PROVIDER: usize = 0x5250_5300;
/// Flags of `CryptAcquireContext`: without keys; the provider shows no window; keys are the machine's.
const VERIFY_CONTEXT: u32 = 0xF000_0000;
const SILENT: u32 = 0x40;
const MACHINE_KEYSET: u32 = 0x20;
/// Errors of providers: `NTE_BAD_KEYSET`, `NTE_PROV_TYPE_NOT_DEF`, `NTE_BAD_FLAGS`, `NTE_BAD_UID`.
const BAD_KEYSET: u32 = 0x8009_0016;
const TYPE_NOT_DEFINED: u32 = 0x8009_0017;
const BAD_FLAGS: u32 = 0x8009_0009;
const BAD_UID: u32 = 0x8009_0001;
/// Errors of hashes: `NTE_BAD_HASH`, `NTE_BAD_ALGID`, `NTE_BAD_TYPE`, `NTE_BAD_HASH_STATE`.
const BAD_HASH: u32 = 0x8009_0002;
const BAD_ALGORITHM: u32 = 0x8009_0008;
const BAD_TYPE: u32 = 0x8009_000A;
const BAD_HASH_STATE: u32 = 0x8009_000C;
/// Provider types of every Windows: `PROV_RSA_FULL`, `PROV_DSS`, `PROV_RSA_SCHANNEL`, `PROV_RSA_AES` and more.
const TYPES: std::ops::RangeInclusive<u32> = 1..=24;

/// `PROV_RSA_AES`, the type whose providers have SHA-2.
const RSA_AES: u32 = 24;

/// `CALG_MD5`, `CALG_SHA1`, `CALG_SHA_256`, `CALG_SHA_384`, `CALG_SHA_512`, in the order of [`Function::ALL`].
const ALGORITHMS: [u32; 5] = [0x8003, 0x8004, 0x800C, 0x800D, 0x800E];

/// Names of default providers: `MS_STRONG_PROV`, `MS_DEF_RSA_SCHANNEL_PROV`, `MS_ENH_RSA_AES_PROV`.
const PROVIDER_NAMES: [(u32, &str); 3] = [
    (1, "Microsoft Strong Cryptographic Provider"),
    (12, "Microsoft RSA SChannel Cryptographic Provider"),
    (
        RSA_AES,
        "Microsoft Enhanced RSA and AES Cryptographic Provider",
    ),
];

/// Opens a provider; its key container, if one is named, cannot be there.
fn acquire(provider: Ptr<usize>, container: Option<&[u16]>, kind: u32, flags: u32) -> Bool {
    let unknown = flags & !(VERIFY_CONTEXT | SILENT | MACHINE_KEYSET);
    if provider.is_null() {
        return refuse(error::INVALID_PARAMETER, Bool::FALSE);
    }
    if !TYPES.contains(&kind) {
        return refuse(TYPE_NOT_DEFINED, Bool::FALSE);
    }
    if unknown != 0 {
        log::warn!("CryptAcquireContext: flags {unknown:#x} are not supported");
        return refuse(BAD_FLAGS, Bool::FALSE);
    }
    if flags & VERIFY_CONTEXT != VERIFY_CONTEXT {
        log::warn!("CryptAcquireContext: there are no key containers");
        return refuse(BAD_KEYSET, Bool::FALSE);
    }
    if container.is_some_and(|name| !name.is_empty()) {
        return refuse(BAD_FLAGS, Bool::FALSE);
    }
    provider.write(PROVIDER | kind as usize);
    Bool::TRUE
}

/// Returns the type of a provider.
fn type_of(provider: usize) -> Option<u32> {
    let kind = provider.checked_sub(PROVIDER)? as u32;
    TYPES.contains(&kind).then_some(kind)
}

/// Works with a provider, if it is one.
fn with_provider(provider: usize, act: impl FnOnce(u32) -> Result<(), u32>) -> Bool {
    match type_of(provider).ok_or(BAD_UID).and_then(act) {
        Ok(()) => Bool::TRUE,
        Err(code) => refuse(code, Bool::FALSE),
    }
}

/// Starts a hash.
fn create(kind: u32, algorithm: u32, key: usize, flags: u32, to: Ptr<usize>) -> Result<(), u32> {
    let function = ALGORITHMS
        .iter()
        .position(|known| *known == algorithm)
        .map(|index| Function::ALL[index])
        .filter(|function| kind == RSA_AES || matches!(function, Function::Md5 | Function::Sha1));
    let Some(function) = function else {
        log::warn!("CryptCreateHash: algorithm {algorithm:#x} is not there");
        return Err(BAD_ALGORITHM);
    };
    if key != 0 {
        return Err(error::INVALID_PARAMETER);
    }
    if flags != 0 {
        return Err(BAD_FLAGS);
    }
    to.write(hashes::keep(Hash::new(function, None)) as usize);
    Ok(())
}

/// Gives bytes where there is room for them, and their number in any case.
fn put(value: &[u8], to: Ptr<u8>, length: Ptr<u32>) -> Result<(), u32> {
    let given = length.read() as usize;
    length.write(value.len() as u32);
    if to.is_null() {
        return Ok(());
    }
    if given < value.len() {
        return Err(error::MORE_DATA);
    }
    to.write_bytes(value);
    Ok(())
}

fn add(hash: usize, from: Ptr<u8>, length: u32) -> Result<(), u32> {
    const PIECE: usize = 0x1_0000;
    let length = length as usize;
    for start in (0..length).step_by(PIECE) {
        let bytes = from.add(start).read_bytes(PIECE.min(length - start));
        let is_open = hashes::with(hash as u64, |hash| {
            if hash.digest.is_none() {
                hash.update(&bytes);
            }
            hash.digest.is_none()
        });
        if !is_open.ok_or(BAD_HASH)? {
            return Err(BAD_HASH_STATE);
        }
    }
    hashes::with(hash as u64, |_| ()).ok_or(BAD_HASH)
}

/// `HP_ALGID`, `HP_HASHVAL`, `HP_HASHSIZE`. The value ends the hash, unless only its length is asked.
fn hash_parameter(hash: usize, which: u32, ends: bool) -> Result<Vec<u8>, u32> {
    let word = |value: u32| Ok(value.to_le_bytes().to_vec());
    let value = hashes::with(hash as u64, |hash| match which {
        1 => word(ALGORITHMS[hash.function as usize - 1]),
        2 if ends => {
            let digest = hash.digest.take().unwrap_or_else(|| hash.finish());
            hash.digest = Some(digest.clone());
            Ok(digest)
        }
        2 => Ok(vec![0; hash.function.length()]),
        4 => word(hash.function.length() as u32),
        _ => Err(BAD_TYPE),
    });
    value.ok_or(BAD_HASH)?
}

/// `PP_NAME`, `PP_IMPTYPE` (`CRYPT_IMPL_SOFTWARE`), `PP_VERSION` (2.0), `PP_PROVTYPE`.
fn provider_parameter(kind: u32, which: u32) -> Result<Vec<u8>, u32> {
    let word = |value: u32| Ok(value.to_le_bytes().to_vec());
    match which {
        4 => {
            let name = PROVIDER_NAMES.iter().find(|(other, _)| *other == kind);
            name.map(|(_, name)| [name.as_bytes(), &[0]].concat())
                .ok_or(BAD_TYPE)
        }
        3 => word(2),
        5 => word(0x200),
        16 => word(kind),
        _ => {
            log::info!("CryptGetProvParam: {which} is not there");
            Err(BAD_TYPE)
        }
    }
}

fn done(result: Result<(), u32>) -> Bool {
    match result {
        Ok(()) => Bool::TRUE,
        Err(code) => refuse(code, Bool::FALSE),
    }
}

win_api! {
    /// Opens a provider of cryptography, which has no keys.
    "advapi32.dll" stdcall fn CryptAcquireContextW(provider: Ptr<usize>, container: Ptr<u16>, _name: Ptr<u16>, kind: u32, flags: u32) -> Bool {
        acquire(provider, units_arg(container).as_deref(), kind, flags)
    }

    /// Opens a provider of cryptography, which has no keys.
    "advapi32.dll" stdcall fn CryptAcquireContextA(provider: Ptr<usize>, container: Ptr<u8>, _name: Ptr<u8>, kind: u32, flags: u32) -> Bool {
        acquire(provider, wide_arg(container).as_deref(), kind, flags)
    }

    /// Fills a buffer with random bytes.
    "advapi32.dll" stdcall fn CryptGenRandom(provider: usize, length: u32, to: Ptr<u8>) -> Bool {
        with_provider(provider, |_| {
            fill(to, length as usize);
            Ok(())
        })
    }

    /// Closes a provider.
    "advapi32.dll" stdcall fn CryptReleaseContext(provider: usize, _flags: u32) -> Bool {
        with_provider(provider, |_| Ok(()))
    }

    /// Tells name, kind, version or type of a provider.
    "advapi32.dll" stdcall fn CryptGetProvParam(provider: usize, which: u32, to: Ptr<u8>, length: Ptr<u32>, _flags: u32) -> Bool {
        with_provider(provider, |kind| put(&provider_parameter(kind, which)?, to, length))
    }

    /// Starts a hash.
    "advapi32.dll" stdcall fn CryptCreateHash(provider: usize, algorithm: u32, key: usize, flags: u32, hash: Ptr<usize>) -> Bool {
        with_provider(provider, |kind| create(kind, algorithm, key, flags, hash))
    }

    /// Adds to a hash.
    "advapi32.dll" stdcall fn CryptHashData(hash: usize, from: Ptr<u8>, length: u32, _flags: u32) -> Bool {
        done(add(hash, from, length))
    }

    /// Tells algorithm, digest or length of a hash.
    "advapi32.dll" stdcall fn CryptGetHashParam(hash: usize, which: u32, to: Ptr<u8>, length: Ptr<u32>, _flags: u32) -> Bool {
        let given = length.read() as usize;
        let ends = !to.is_null() && hashes::with(hash as u64, |hash| given >= hash.function.length()) == Some(true);
        done(hash_parameter(hash, which, ends).and_then(|value| put(&value, to, length)))
    }

    /// Copies a hash that is being made.
    "advapi32.dll" stdcall fn CryptDuplicateHash(hash: usize, _reserved: Ptr<u32>, _flags: u32, copy: Ptr<usize>) -> Bool {
        match hashes::with(hash as u64, |hash| hash.clone()) {
            Some(made) => {
                copy.write(hashes::keep(made) as usize);
                Bool::TRUE
            }
            None => refuse(BAD_HASH, Bool::FALSE),
        }
    }

    /// Forgets a hash.
    "advapi32.dll" stdcall fn CryptDestroyHash(hash: usize) -> Bool {
        done(hashes::forget(hash as u64).then_some(()).ok_or(BAD_HASH))
    }
}
