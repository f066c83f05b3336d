//! Random numbers under the names of their many interfaces: `bcrypt.h`, `wincrypt.h`, `ntsecapi.h`.
//!
//! All of them are the kernel's generator. Of the providers of `bcrypt.h` and `wincrypt.h` there is the one that gives
//! random numbers and holds no keys.

use ntlpc_abi::{Handle, NtStatus};

use crate::dlls::win32::{error, refuse, units_arg, wide_arg};
use crate::export::{Bool, Boolean, Ptr};
use crate::win_api;

/// Most bytes asked of the kernel at once: what it gives without interruption (`man 2 getrandom`).
const CHUNK: usize = 256;

/// Fills guest memory with random bytes.
pub fn fill(to: Ptr<u8>, length: usize) {
    let mut bytes = [0; CHUNK];
    for start in (0..length).step_by(CHUNK) {
        let chunk = &mut bytes[..CHUNK.min(length - start)];
        getrandom(chunk);
        to.add(start).write_bytes(chunk);
    }
}

fn getrandom(bytes: &mut [u8]) {
    let mut done = 0;
    while done < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[done..], rustix::rand::GetRandomFlags::empty()) {
            Ok(more) => done += more,
            Err(rustix::io::Errno::INTR) => {}
            // Random numbers that are none would be worse than an end.
            Err(error) => crate::fatal(format_args!("getrandom: {error}")),
        }
    }
}

/// `BCRYPT_RNG_ALGORITHM` and its forms for FIPS and dual elliptic curves.
const GENERATORS: [&str; 3] = ["RNG", "FIPS186DSARNG", "DUALECRNG"];
/// What an opened generator is known by; the pseudo handle `BCRYPT_RNG_ALG_HANDLE` is another.
const GENERATOR: Handle = Handle(0x4e52_4742);
const RNG_ALG_HANDLE: Handle = Handle(0x81);
/// `BCRYPT_USE_SYSTEM_PREFERRED_RNG`: without an algorithm.
const SYSTEM_PREFERRED: u32 = 2;

/// What a provider of `wincrypt.h` is known by.
const PROVIDER: usize = 0x5250_5359;
/// Flags of `CryptAcquireContext`: without keys; the provider shows no window; keys are the machine's.
const VERIFY_CONTEXT: u32 = 0xF000_0000;
const SILENT: u32 = 0x40;
const MACHINE_KEYSET: u32 = 0x20;
/// Errors of providers: `NTE_BAD_KEYSET`, `NTE_PROV_TYPE_NOT_DEF`, `NTE_BAD_FLAGS`, `NTE_BAD_UID`.
const BAD_KEYSET: u32 = 0x8009_0016;
const TYPE_NOT_DEFINED: u32 = 0x8009_0017;
const BAD_FLAGS: u32 = 0x8009_0009;
const BAD_UID: u32 = 0x8009_0001;
/// Provider types of every Windows: `PROV_RSA_FULL`, `PROV_DSS`, `PROV_RSA_SCHANNEL`, `PROV_RSA_AES` and more.
const TYPES: std::ops::RangeInclusive<u32> = 1..=24;

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
    provider.write(PROVIDER);
    Bool::TRUE
}

fn is_provider(provider: usize) -> bool {
    provider == PROVIDER || refuse(BAD_UID, false)
}

win_api! {
    /// Fills a buffer with random bytes.
    "bcryptprimitives.dll" stdcall fn ProcessPrng(to: Ptr<u8>, length: usize) -> Bool {
        fill(to, length);
        Bool::TRUE
    }

    /// Fills a buffer with random bytes.
    "advapi32.dll|cryptbase.dll" stdcall fn SystemFunction036(to: Ptr<u8>, length: u32) -> Boolean {
        fill(to, length as usize);
        true.into()
    }

    /// Opens an algorithm: the generator of random numbers, under each of its names.
    "bcrypt.dll" stdcall fn BCryptOpenAlgorithmProvider(algorithm: Ptr<Handle>, name: Ptr<u16>, _implementation: Ptr<u16>, _flags: u32) -> Result<(), NtStatus> {
        let (Some(to), Some(name)) = (algorithm.non_null(), units_arg(name)) else {
            return Err(NtStatus::INVALID_PARAMETER);
        };
        let name = String::from_utf16_lossy(&name);
        if !GENERATORS.contains(&name.as_str()) {
            log::warn!("BCryptOpenAlgorithmProvider: there is no {name:?}");
            return Err(NtStatus::NOT_FOUND);
        }
        to.write(GENERATOR);
        Ok(())
    }

    /// Closes an algorithm.
    "bcrypt.dll" stdcall fn BCryptCloseAlgorithmProvider(algorithm: Handle, _flags: u32) -> Result<(), NtStatus> {
        if algorithm == GENERATOR { Ok(()) } else { Err(NtStatus::INVALID_HANDLE) }
    }

    /// Fills a buffer with random bytes.
    "bcrypt.dll" stdcall fn BCryptGenRandom(algorithm: Handle, to: Ptr<u8>, length: u32, flags: u32) -> Result<(), NtStatus> {
        let is_preferred = algorithm.0 == 0 && flags & SYSTEM_PREFERRED != 0;
        if !is_preferred && algorithm != GENERATOR && algorithm != RNG_ALG_HANDLE {
            return Err(NtStatus::INVALID_HANDLE);
        }
        if to.is_null() {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        fill(to, length as usize);
        Ok(())
    }

    /// Opens a provider of cryptography: one that gives random numbers.
    "advapi32.dll" stdcall fn CryptAcquireContextW(provider: Ptr<usize>, container: Ptr<u16>, _name: Ptr<u16>, kind: u32, flags: u32) -> Bool {
        acquire(provider, units_arg(container).as_deref(), kind, flags)
    }

    /// Opens a provider of cryptography: one that gives random numbers.
    "advapi32.dll" stdcall fn CryptAcquireContextA(provider: Ptr<usize>, container: Ptr<u8>, _name: Ptr<u8>, kind: u32, flags: u32) -> Bool {
        acquire(provider, wide_arg(container).as_deref(), kind, flags)
    }

    /// Fills a buffer with random bytes.
    "advapi32.dll" stdcall fn CryptGenRandom(provider: usize, length: u32, to: Ptr<u8>) -> Bool {
        if !is_provider(provider) {
            return Bool::FALSE;
        }
        fill(to, length as usize);
        Bool::TRUE
    }

    /// Closes a provider.
    "advapi32.dll" stdcall fn CryptReleaseContext(provider: usize, _flags: u32) -> Bool {
        is_provider(provider).into()
    }
}
