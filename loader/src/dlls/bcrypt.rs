//! Algorithms of `bcrypt.h`: random numbers and hashes.
//!
//! Source: Microsoft Learn "CNG Algorithm Identifiers", "CNG Algorithm Pseudo-handles", "Cryptography Primitive Property
//! Identifiers".

use ntlpc_abi::{Handle, NtStatus};

use super::hashes::{self, Function, Hash};
use super::random::fill;
use crate::dlls::win32::units_arg;
use crate::export::Ptr;
use crate::win_api;

/// `BCRYPT_RNG_ALGORITHM` and its forms for FIPS and dual elliptic curves.
const GENERATORS: [&str; 3] = ["RNG", "FIPS186DSARNG", "DUALECRNG"];
/// Names of the hash functions, in the order of [`Function::ALL`].
const NAMES: [&str; 5] = ["MD5", "SHA1", "SHA256", "SHA384", "SHA512"];

/// Handles of opened algorithms: this, [`Function`] in bits 8 to 11 (0: random numbers), flags below.
const OPENED: u64 = 0x4E52_0000;
/// `BCRYPT_ALG_HANDLE_HMAC_FLAG`, `BCRYPT_HASH_REUSABLE_FLAG`.
const HMAC: u32 = 0x8;
const REUSABLE: u32 = 0x20;
/// `BCRYPT_PROV_DISPATCH`, which means nothing outside the kernel.
const DISPATCH: u32 = 0x1;
/// `BCRYPT_USE_SYSTEM_PREFERRED_RNG`: without an algorithm.
const SYSTEM_PREFERRED: u32 = 2;
/// Pseudo handles: hash functions from `BCRYPT_MD5_ALG_HANDLE`, their HMACs from `BCRYPT_HMAC_MD5_ALG_HANDLE`, and
/// `BCRYPT_RNG_ALG_HANDLE`.
const PSEUDO_HASH: u64 = 0x21;
const PSEUDO_RANDOM: u64 = 0x81;
const PSEUDO_HMAC: u64 = 0x91;
/// What `BCRYPT_OBJECT_LENGTH` answers: callers allocate it, nothing is kept there.
const OBJECT_LENGTH: u32 = 256;

/// An algorithm: random numbers without a function.
#[derive(Clone, Copy, Debug)]
struct Algorithm {
    function: Option<Function>,
    flags: u32,
}

fn algorithm(handle: Handle) -> Result<Algorithm, NtStatus> {
    let value = handle.0;
    let nth = |index: u64| Function::ALL.get(index as usize).copied();
    let pseudo = |first: u64| nth(value.checked_sub(first)? / 0x10);
    let flags = (value & 0xFF) as u32;
    let found = match value {
        PSEUDO_RANDOM => (None, 0),
        _ if value & 0xF == 1 && (PSEUDO_HASH..PSEUDO_HASH + 0x50).contains(&value) => {
            (pseudo(PSEUDO_HASH), 0)
        }
        _ if value & 0xF == 1 && (PSEUDO_HMAC..PSEUDO_HMAC + 0x50).contains(&value) => {
            (pseudo(PSEUDO_HMAC), HMAC)
        }
        _ if value & !0xFFF == OPENED => match value >> 8 & 0xF {
            0 => (None, flags),
            index => (Some(nth(index - 1).ok_or(NtStatus::INVALID_HANDLE)?), flags),
        },
        _ => return Err(NtStatus::INVALID_HANDLE),
    };
    Ok(Algorithm {
        function: found.0,
        flags: found.1,
    })
}

fn name_of(function: Option<Function>) -> &'static str {
    function.map_or(GENERATORS[0], |function| NAMES[function as usize - 1])
}

fn start(
    handle: Handle,
    secret: Ptr<u8>,
    secret_length: u32,
    flags: u32,
) -> Result<Hash, NtStatus> {
    let algorithm = algorithm(handle)?;
    let function = algorithm.function.ok_or(NtStatus::NOT_SUPPORTED)?;
    if flags & !(REUSABLE) != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let key = match algorithm.flags & HMAC {
        0 if secret_length != 0 => return Err(NtStatus::INVALID_PARAMETER),
        0 => None,
        _ => Some(secret.read_bytes(secret_length as usize)),
    };
    let mut hash = Hash::new(function, key.as_deref());
    hash.is_reusable = (flags | algorithm.flags) & REUSABLE != 0;
    Ok(hash)
}

/// Adds guest memory to a hash, a piece at a time.
fn add(hash: Handle, from: Ptr<u8>, length: u32) -> Result<(), NtStatus> {
    const PIECE: usize = 0x1_0000;
    let length = length as usize;
    for start in (0..length).step_by(PIECE) {
        let bytes = from.add(start).read_bytes(PIECE.min(length - start));
        let is_open = hashes::with(hash.0, |hash| {
            hash.update(&bytes);
            hash.digest.is_none()
        });
        if !is_open.ok_or(NtStatus::INVALID_HANDLE)? {
            return Err(NtStatus::INVALID_PARAMETER);
        }
    }
    hashes::with(hash.0, |_| ()).ok_or(NtStatus::INVALID_HANDLE)
}

/// Ends a hash; the buffer must have the digest's length.
fn finish(hash: Handle, to: Ptr<u8>, length: u32) -> Result<(), NtStatus> {
    let digest = hashes::with(hash.0, |hash| {
        if length as usize != hash.function.length() || hash.digest.is_some() {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let digest = hash.finish();
        if hash.is_reusable {
            hash.restart();
        } else {
            hash.digest = Some(digest.clone());
        }
        Ok(digest)
    });
    to.write_bytes(&digest.ok_or(NtStatus::INVALID_HANDLE)??);
    Ok(())
}

fn property(object: Handle, name: &str) -> Result<Vec<u8>, NtStatus> {
    let function = match hashes::with(object.0, |hash| hash.function) {
        Some(function) => Some(function),
        None => algorithm(object)?.function,
    };
    let text = |text: &str| -> Vec<u8> {
        let units = text.encode_utf16().chain([0]);
        units.flat_map(u16::to_le_bytes).collect()
    };
    let word = |value: u32| Ok(value.to_le_bytes().to_vec());
    match (name, function) {
        ("AlgorithmName", _) => Ok(text(name_of(function))),
        ("ObjectLength", Some(_)) => word(OBJECT_LENGTH),
        ("HashDigestLength", Some(function)) => word(function.length() as u32),
        ("HashBlockLength", Some(function)) => word(function.block() as u32),
        _ => Err(NtStatus::NOT_SUPPORTED),
    }
}

win_api! {
    /// Opens an algorithm: random numbers, or a hash function.
    "bcrypt.dll" stdcall fn BCryptOpenAlgorithmProvider(algorithm: Ptr<Handle>, name: Ptr<u16>, _implementation: Ptr<u16>, flags: u32) -> Result<(), NtStatus> {
        let (Some(to), Some(name)) = (algorithm.non_null(), units_arg(name)) else {
            return Err(NtStatus::INVALID_PARAMETER);
        };
        let name = String::from_utf16_lossy(&name);
        let index = match NAMES.iter().position(|known| *known == name) {
            Some(index) => index as u64 + 1,
            None if GENERATORS.contains(&name.as_str()) => 0,
            None => {
                log::warn!("BCryptOpenAlgorithmProvider: there is no {name:?}");
                return Err(NtStatus::NOT_FOUND);
            }
        };
        if flags & !(HMAC | REUSABLE | DISPATCH) != 0 {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        to.write(Handle(OPENED | index << 8 | u64::from(flags & (HMAC | REUSABLE))));
        Ok(())
    }

    /// Closes an algorithm.
    "bcrypt.dll" stdcall fn BCryptCloseAlgorithmProvider(opened: Handle, _flags: u32) -> Result<(), NtStatus> {
        algorithm(opened).map(|_| ())
    }

    /// Returns whether only algorithms of FIPS 140 are allowed: no policy here says so.
    "bcrypt.dll" stdcall fn BCryptGetFipsAlgorithmMode(is_enabled: Ptr<u8>) -> Result<(), NtStatus> {
        is_enabled.non_null().ok_or(NtStatus::INVALID_PARAMETER)?.write(0);
        Ok(())
    }

    /// Fills a buffer with random bytes.
    "bcrypt.dll" stdcall fn BCryptGenRandom(opened: Handle, to: Ptr<u8>, length: u32, flags: u32) -> Result<(), NtStatus> {
        let is_preferred = opened.0 == 0 && flags & SYSTEM_PREFERRED != 0;
        if !is_preferred && algorithm(opened)?.function.is_some() {
            return Err(NtStatus::INVALID_HANDLE);
        }
        if to.is_null() {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        fill(to, length as usize);
        Ok(())
    }

    /// Starts a hash, or an HMAC where the algorithm was opened for that.
    "bcrypt.dll" stdcall fn BCryptCreateHash(opened: Handle, hash: Ptr<Handle>, object: Ptr<u8>, object_length: u32, secret: Ptr<u8>, secret_length: u32, flags: u32) -> Result<(), NtStatus> {
        let started = start(opened, secret, secret_length, flags)?;
        if !object.is_null() && object_length < OBJECT_LENGTH {
            return Err(NtStatus::BUFFER_TOO_SMALL);
        }
        let Some(to) = hash.non_null() else { return Err(NtStatus::INVALID_PARAMETER) };
        to.write(Handle(hashes::keep(started).into()));
        Ok(())
    }

    /// Adds to a hash.
    "bcrypt.dll" stdcall fn BCryptHashData(hash: Handle, from: Ptr<u8>, length: u32, _flags: u32) -> Result<(), NtStatus> {
        add(hash, from, length)
    }

    /// Ends a hash and gives its digest.
    "bcrypt.dll" stdcall fn BCryptFinishHash(hash: Handle, to: Ptr<u8>, length: u32, _flags: u32) -> Result<(), NtStatus> {
        finish(hash, to, length)
    }

    /// Copies a hash that is being made.
    "bcrypt.dll" stdcall fn BCryptDuplicateHash(hash: Handle, copy: Ptr<Handle>, object: Ptr<u8>, object_length: u32, _flags: u32) -> Result<(), NtStatus> {
        if !object.is_null() && object_length < OBJECT_LENGTH {
            return Err(NtStatus::BUFFER_TOO_SMALL);
        }
        let Some(to) = copy.non_null() else { return Err(NtStatus::INVALID_PARAMETER) };
        let made = hashes::with(hash.0, |hash| hash.clone()).ok_or(NtStatus::INVALID_HANDLE)?;
        to.write(Handle(hashes::keep(made).into()));
        Ok(())
    }

    /// Forgets a hash.
    "bcrypt.dll" stdcall fn BCryptDestroyHash(hash: Handle) -> Result<(), NtStatus> {
        if hashes::forget(hash.0) { Ok(()) } else { Err(NtStatus::INVALID_HANDLE) }
    }

    /// Hashes a buffer in one call.
    "bcrypt.dll" stdcall fn BCryptHash(opened: Handle, secret: Ptr<u8>, secret_length: u32, from: Ptr<u8>, length: u32, to: Ptr<u8>, to_length: u32) -> Result<(), NtStatus> {
        let number = hashes::keep(start(opened, secret, secret_length, 0)?);
        let hash = Handle(number.into());
        let done = add(hash, from, length).and_then(|()| finish(hash, to, to_length));
        hashes::forget(number.into());
        done
    }

    /// Reads a property of an algorithm or a hash.
    "bcrypt.dll" stdcall fn BCryptGetProperty(object: Handle, name: Ptr<u16>, to: Ptr<u8>, length: u32, needed: Ptr<u32>, _flags: u32) -> Result<(), NtStatus> {
        let (Some(name), Some(needed)) = (units_arg(name), needed.non_null()) else {
            return Err(NtStatus::INVALID_PARAMETER);
        };
        let value = property(object, &String::from_utf16_lossy(&name))?;
        needed.write(value.len() as u32);
        if to.is_null() {
            return Ok(());
        }
        if (length as usize) < value.len() {
            return Err(NtStatus::BUFFER_TOO_SMALL);
        }
        to.write_bytes(&value);
        Ok(())
    }
}
