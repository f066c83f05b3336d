//! Modules as ntdll offers them: phnt `ntldr.h`.

use ntlpc_abi::NtStatus;

use crate::export::{Callback, Ptr};
use crate::image::ImportName;
use crate::module::{self, SearchFlags};
use crate::peb::strings::UnicodeString;
use crate::win_api;

win_api! {
    /// Loads a DLL.
    "ntdll.dll" stdcall fn LdrLoadDll(path: Ptr<u16>, flags: Ptr<u32>, name: Ptr<UnicodeString>, base: Ptr<Ptr<u8>>) -> NtStatus {
        match module::load(&name.read().text(), SearchFlags::default()) {
            Ok(found) => {
                base.write(Ptr::new(found));
                NtStatus::SUCCESS
            }
            Err(error) => error.status(),
        }
    }

    /// Gives one reference to a DLL up.
    "ntdll.dll" stdcall fn LdrUnloadDll(base: Ptr<u8>) -> NtStatus {
        if module::unload(base.address()) { NtStatus::SUCCESS } else { NtStatus::DLL_NOT_FOUND }
    }

    /// Returns the base of a loaded module.
    "ntdll.dll" stdcall fn LdrGetDllHandle(path: Ptr<u16>, flags: Ptr<u32>, name: Ptr<UnicodeString>, base: Ptr<Ptr<u8>>) -> NtStatus {
        match module::find(&name.read().text()) {
            Some(module) => {
                base.write(Ptr::new(module.view.base));
                NtStatus::SUCCESS
            }
            None => NtStatus::DLL_NOT_FOUND,
        }
    }

    /// Returns the address of an export by name (an `ANSI_STRING`) or ordinal.
    "ntdll.dll" stdcall fn LdrGetProcedureAddress(base: Ptr<u8>, name: Ptr<UnicodeString>, ordinal: u32, address: Ptr<Callback>) -> NtStatus {
        let wanted = match name.non_null() {
            Some(name) => {
                // ANSI_STRING has the layout of UNICODE_STRING.
                let text = name.read();
                let bytes = text.buffer.cast::<u8>().read_bytes(text.length.into());
                ImportName::Name(String::from_utf8_lossy(&bytes).into_owned())
            }
            None => ImportName::Ordinal(ordinal as u16),
        };
        match module::proc_address(base.address(), &wanted) {
            Some(found) => {
                address.write(Callback(found));
                NtStatus::SUCCESS
            }
            None => NtStatus::ENTRYPOINT_NOT_FOUND,
        }
    }

    /// Says that a DLL wants no news of threads.
    "ntdll.dll" stdcall fn LdrDisableThreadCalloutsForDll(base: Ptr<u8>) -> NtStatus {
        if module::disable_thread_calls(base.address()) { NtStatus::SUCCESS } else { NtStatus::DLL_NOT_FOUND }
    }

    /// Returns the address of an image's NT headers.
    "ntdll.dll" stdcall fn RtlImageNtHeader(base: Ptr<u8>) -> Ptr<u8> {
        if base.cast::<u16>().read() != 0x5a4d {
            return Ptr::NULL;
        }
        base.byte_add(u64::from(base.byte_add(0x3c).cast::<u32>().read()))
    }
}
