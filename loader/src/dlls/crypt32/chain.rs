//! What needs an engine for chains, decoders, keys or messages: not there, and said so.

use ntlpc_abi::UserPtr;

use crate::dlls::win32::{error, refuse};
use crate::export::{Bool, Ptr};
use crate::win_api;

/// `CRYPT_E_NO_MATCH`.
const NO_MATCH: u32 = 0x8009_2009;

win_api! {
    /// Makes an engine for chains: there is none.
    "crypt32.dll" stdcall fn CertCreateCertificateChainEngine(_configuration: UserPtr, engine: Ptr<UserPtr>) -> Bool {
        engine.write(UserPtr::NULL);
        refuse(error::NOT_SUPPORTED, Bool::FALSE)
    }

    /// Frees an engine, of which there is none.
    "crypt32.dll" stdcall fn CertFreeCertificateChainEngine(_engine: UserPtr) {}

    /// Builds the chain of a certificate: there is no engine.
    "crypt32.dll" stdcall fn CertGetCertificateChain(_engine: UserPtr, _certificate: UserPtr, _time: UserPtr, _store: UserPtr, _parameters: UserPtr, _flags: u32, _reserved: UserPtr, chain: Ptr<UserPtr>) -> Bool {
        log::warn!("CertGetCertificateChain: chains are not built");
        if chain.is_null() {
            return refuse(error::INVALID_PARAMETER, Bool::FALSE);
        }
        chain.write(UserPtr::NULL);
        refuse(error::NOT_SUPPORTED, Bool::FALSE)
    }

    /// Frees a chain, of which there is none.
    "crypt32.dll" stdcall fn CertFreeCertificateChain(_chain: UserPtr) {}

    /// Adds a reference to a chain, of which there is none.
    "crypt32.dll" stdcall fn CertDuplicateCertificateChain(chain: UserPtr) -> UserPtr {
        chain
    }

    /// Judges a chain: there is none to judge, so no policy can be checked.
    "crypt32.dll" stdcall fn CertVerifyCertificateChainPolicy(_policy: UserPtr, _chain: UserPtr, _parameters: UserPtr, _status: UserPtr) -> Bool {
        refuse(error::FILE_NOT_FOUND, Bool::FALSE)
    }

    /// Decodes a structure. `ERROR_FILE_NOT_FOUND`: there is no decoder for it.
    "crypt32.dll" stdcall fn CryptDecodeObjectEx(_encoding: u32, kind: UserPtr, _from: Ptr<u8>, _length: u32, _flags: u32, _parameters: UserPtr, _to: UserPtr, _size: Ptr<u32>) -> Bool {
        log::warn!("CryptDecodeObjectEx: there is no decoder for {:#x}", kind.0);
        refuse(error::FILE_NOT_FOUND, Bool::FALSE)
    }

    /// Decodes a structure. `ERROR_FILE_NOT_FOUND`: there is no decoder for it.
    "crypt32.dll" stdcall fn CryptDecodeObject(_encoding: u32, kind: UserPtr, _from: Ptr<u8>, _length: u32, _flags: u32, _to: UserPtr, _size: Ptr<u32>) -> Bool {
        log::warn!("CryptDecodeObject: there is no decoder for {:#x}", kind.0);
        refuse(error::FILE_NOT_FOUND, Bool::FALSE)
    }

    /// Finds out what a file or memory holds. `CRYPT_E_NO_MATCH`: nothing that is known.
    "crypt32.dll" stdcall fn CryptQueryObject(_kind: u32, _object: UserPtr, _content: u32, _format: u32, _flags: u32, _encoding: UserPtr, _found: UserPtr, _found_format: UserPtr, _store: UserPtr, _message: UserPtr, _context: UserPtr) -> Bool {
        refuse(NO_MATCH, Bool::FALSE)
    }

    /// Returns whether memory holds keys with certificates (PKCS #12): they cannot be read.
    "crypt32.dll" stdcall fn PFXIsPFXBlob(_from: UserPtr) -> Bool {
        Bool::FALSE
    }

    /// Reads keys with certificates (PKCS #12): there are no keys.
    "crypt32.dll" stdcall fn PFXImportCertStore(_from: UserPtr, _password: Ptr<u16>, _flags: u32) -> UserPtr {
        refuse(error::NOT_SUPPORTED, UserPtr::NULL)
    }

    /// Frees a list of trust or revocation, of which there is none.
    "crypt32.dll" stdcall fn CertFreeCTLContext = "CertFreeCTLContext|CertFreeCRLContext" (_context: UserPtr) -> Bool {
        Bool::TRUE
    }
}
