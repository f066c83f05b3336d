//! Security packages: `sspi.h`, `secext.h`. There are none, so nothing that needs one succeeds.

use ntlpc_abi::UserPtr;

use crate::dlls::advapi32::accounts::{domain, user_name};
use crate::dlls::win32::{ansi_of, error, refuse};
use crate::export::{Boolean, Guest, Ptr};
use crate::guest_struct;
use crate::image::ImportName;
use crate::module;
use crate::win_api;

/// `SEC_E_OK`, `SEC_E_UNSUPPORTED_FUNCTION`, `SEC_E_SECPKG_NOT_FOUND`.
const OK: u32 = 0;
const UNSUPPORTED: u32 = 0x8009_0302;
const PACKAGE_NOT_FOUND: u32 = 0x8009_0305;
/// `SECURITY_SUPPORT_PROVIDER_INTERFACE_VERSION`.
const VERSION: u32 = 1;
/// `NameSamCompatible` of `EXTENDED_NAME_FORMAT`.
const SAM_COMPATIBLE: u32 = 2;

/// Functions of the table of version 1, "W" standing for the width of characters; empty places are reserved.
const TABLE: [&str; 26] = [
    "EnumerateSecurityPackagesW",
    "QueryCredentialsAttributesW",
    "AcquireCredentialsHandleW",
    "FreeCredentialsHandle",
    "",
    "InitializeSecurityContextW",
    "AcceptSecurityContext",
    "CompleteAuthToken",
    "DeleteSecurityContext",
    "ApplyControlToken",
    "QueryContextAttributesW",
    "ImpersonateSecurityContext",
    "RevertSecurityContext",
    "MakeSignature",
    "VerifySignature",
    "FreeContextBuffer",
    "QuerySecurityPackageInfoW",
    "",
    "",
    "ExportSecurityContext",
    "ImportSecurityContextW",
    "AddCredentialsW",
    "",
    "QuerySecurityContextToken",
    "EncryptMessage",
    "DecryptMessage",
];

guest_struct! {
    /// `SecurityFunctionTableW`, `SecurityFunctionTableA`.
    pub struct FunctionTable {
        version: u32,
        functions: [UserPtr; 26],
    }
}

/// Builds the table of functions. It is never freed, as callers do not.
fn table(suffix: char) -> Ptr<FunctionTable> {
    let Some(module) = module::find("secur32.dll").or_else(|| module::find("sspicli.dll")) else {
        return Ptr::NULL;
    };
    let functions = TABLE.map(|name| {
        let name = match name.strip_suffix('W') {
            Some(stem) => format!("{stem}{suffix}"),
            None => name.to_owned(),
        };
        let found = module::proc_address(module.view.base, &ImportName::Name(name));
        UserPtr(found.unwrap_or(0))
    });
    let Some(block) = crate::heap::process().allocate(FunctionTable::size(), true) else {
        return refuse(error::NOT_ENOUGH_MEMORY, Ptr::NULL);
    };
    let table = Ptr::<FunctionTable>::new(block);
    table.write(FunctionTable {
        version: VERSION,
        functions,
    });
    table
}

/// `DOMAIN\name`, the one form of name there is.
fn put_name<T: Guest + Default>(name: &[T], to: Ptr<T>, size: Ptr<u32>) -> Boolean {
    let given = size.read() as usize;
    if to.is_null() || given <= name.len() {
        size.write(name.len() as u32 + 1);
        return refuse(error::MORE_DATA, false).into();
    }
    to.write_many(name);
    to.add(name.len()).write(T::default());
    size.write(name.len() as u32);
    true.into()
}

fn sam_name(format: u32) -> Option<Vec<u16>> {
    let name = format!("{}\\{}", domain(), user_name());
    (format == SAM_COMPATIBLE).then(|| name.encode_utf16().collect())
}

win_api! {
    /// Returns the table of functions.
    "secur32.dll|sspicli.dll" stdcall fn InitSecurityInterfaceW() -> Ptr<FunctionTable> {
        table('W')
    }

    /// Returns the table of functions.
    "secur32.dll|sspicli.dll" stdcall fn InitSecurityInterfaceA() -> Ptr<FunctionTable> {
        table('A')
    }

    /// Lists the packages: none.
    "secur32.dll|sspicli.dll" stdcall fn EnumerateSecurityPackagesW = "EnumerateSecurityPackagesW|EnumerateSecurityPackagesA" (count: Ptr<u32>, packages: Ptr<UserPtr>) -> u32 {
        count.write(0);
        packages.write(UserPtr::NULL);
        OK
    }

    /// Describes a package: none is there.
    "secur32.dll|sspicli.dll" stdcall fn QuerySecurityPackageInfoW = "QuerySecurityPackageInfoW|QuerySecurityPackageInfoA" (_name: UserPtr, _information: UserPtr) -> u32 {
        PACKAGE_NOT_FOUND
    }

    /// Gets credentials of a package: none is there.
    "secur32.dll|sspicli.dll" stdcall fn AcquireCredentialsHandleW = "AcquireCredentialsHandleW|AcquireCredentialsHandleA" (_principal: UserPtr, _package: UserPtr, _use: u32, _logon: UserPtr, _data: UserPtr, _function: UserPtr, _argument: UserPtr, _credential: UserPtr, _expiry: UserPtr) -> u32 {
        PACKAGE_NOT_FOUND
    }

    /// Frees memory of a package; nothing was given.
    "secur32.dll|sspicli.dll" stdcall fn FreeContextBuffer(_buffer: UserPtr) -> u32 {
        OK
    }

    /// Needs a package.
    "secur32.dll|sspicli.dll" stdcall fn FreeCredentialsHandle = "FreeCredentialsHandle|DeleteSecurityContext|ImpersonateSecurityContext|RevertSecurityContext" (_handle: UserPtr) -> u32 {
        UNSUPPORTED
    }

    /// Needs a package.
    "secur32.dll|sspicli.dll" stdcall fn CompleteAuthToken = "CompleteAuthToken|ApplyControlToken|QuerySecurityContextToken" (_context: UserPtr, _token: UserPtr) -> u32 {
        UNSUPPORTED
    }

    /// Needs a package.
    "secur32.dll|sspicli.dll" stdcall fn QueryContextAttributesW = "QueryContextAttributesW|QueryContextAttributesA|QueryCredentialsAttributesW|QueryCredentialsAttributesA" (_context: UserPtr, _attribute: u32, _buffer: UserPtr) -> u32 {
        UNSUPPORTED
    }

    /// Needs a package.
    "secur32.dll|sspicli.dll" stdcall fn InitializeSecurityContextW = "InitializeSecurityContextW|InitializeSecurityContextA" (_credential: UserPtr, _context: UserPtr, _target: UserPtr, _wanted: u32, _reserved: u32, _representation: u32, _input: UserPtr, _reserved2: u32, _new: UserPtr, _output: UserPtr, _attributes: UserPtr, _expiry: UserPtr) -> u32 {
        UNSUPPORTED
    }

    /// Needs a package.
    "secur32.dll|sspicli.dll" stdcall fn AcceptSecurityContext(_credential: UserPtr, _context: UserPtr, _input: UserPtr, _wanted: u32, _representation: u32, _new: UserPtr, _output: UserPtr, _attributes: UserPtr, _expiry: UserPtr) -> u32 {
        UNSUPPORTED
    }

    /// Needs a package.
    "secur32.dll|sspicli.dll" stdcall fn MakeSignature = "MakeSignature|EncryptMessage" (_context: UserPtr, _quality: u32, _message: UserPtr, _number: u32) -> u32 {
        UNSUPPORTED
    }

    /// Needs a package.
    "secur32.dll|sspicli.dll" stdcall fn VerifySignature = "VerifySignature|DecryptMessage" (_context: UserPtr, _message: UserPtr, _number: u32, _quality: UserPtr) -> u32 {
        UNSUPPORTED
    }

    /// Needs a package.
    "secur32.dll|sspicli.dll" stdcall fn ExportSecurityContext(_context: UserPtr, _flags: u32, _packed: UserPtr, _token: UserPtr) -> u32 {
        UNSUPPORTED
    }

    /// Needs a package.
    "secur32.dll|sspicli.dll" stdcall fn ImportSecurityContextW = "ImportSecurityContextW|ImportSecurityContextA" (_package: UserPtr, _packed: UserPtr, _token: UserPtr, _context: UserPtr) -> u32 {
        UNSUPPORTED
    }

    /// Needs a package.
    "secur32.dll|sspicli.dll" stdcall fn AddCredentialsW = "AddCredentialsW|AddCredentialsA" (_credentials: UserPtr, _principal: UserPtr, _package: UserPtr, _use: u32, _data: UserPtr, _function: UserPtr, _argument: UserPtr, _expiry: UserPtr) -> u32 {
        UNSUPPORTED
    }

    /// Returns the name of the user as `DOMAIN\name`; there are no other forms.
    "secur32.dll|sspicli.dll" stdcall fn GetUserNameExW(format: u32, to: Ptr<u16>, size: Ptr<u32>) -> Boolean {
        match sam_name(format) {
            Some(name) => put_name(&name, to, size),
            None => refuse(error::NONE_MAPPED, false).into(),
        }
    }

    /// Returns the name of the user as `DOMAIN\name`; there are no other forms.
    "secur32.dll|sspicli.dll" stdcall fn GetUserNameExA(format: u32, to: Ptr<u8>, size: Ptr<u32>) -> Boolean {
        match sam_name(format) {
            Some(name) => put_name(&ansi_of(&name), to, size),
            None => refuse(error::NONE_MAPPED, false).into(),
        }
    }
}
