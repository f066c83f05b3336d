//! What the delay-load helper of Microsoft's linker raises when it finds no DLL or no function: `delayimp.h`.
//!
//! Source: Microsoft Learn, "Understand the delay load helper function" and "Error handling and notification".

#![allow(
    unsafe_code,
    reason = "linkme gathers the function through a link section"
)]

use ntlpc_abi::UserPtr;

use crate::context::Record;
use crate::exception;
use crate::export::Ptr;
use crate::guest_struct;

guest_struct! {
    /// `DelayLoadInfo`, up to what is wanted of it.
    pub struct DelayLoadInfo {
        size: u32,
        descriptor: UserPtr,
        slot: UserPtr,
        dll: Ptr<u8>,
        is_by_name: u32,
        name_or_ordinal: UserPtr,
    }
}

/// `VcppException` of `ERROR_MOD_NOT_FOUND` and of `ERROR_PROC_NOT_FOUND`.
const NO_DLL: u32 = 0xC06D_007E;
const NO_FUNCTION: u32 = 0xC06D_007F;

/// Names DLL and function.
#[allow(unsafe_code, reason = "linkme places the function in a link section")]
#[linkme::distributed_slice(exception::DESCRIBERS)]
static DESCRIBE: fn(&Record) -> Option<String> = |record| {
    if !matches!(record.code, NO_DLL | NO_FUNCTION) || record.parameters == 0 {
        return None;
    }
    let info = Ptr::<DelayLoadInfo>::new(record.information[0])
        .try_read()
        .ok()?;
    // The record may be the program's own: nothing in it is trusted, and no name is longer than this.
    let text = |at: Ptr<u8>| -> Option<String> {
        let bytes = (0..256).map_while(|i| at.add(i).try_read().ok().filter(|&byte| byte != 0));
        let bytes: Vec<u8> = bytes.collect();
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
    };
    let dll = text(info.dll)?;
    let function = if info.is_by_name == 0 {
        format!("#{}", info.name_or_ordinal.0)
    } else {
        text(Ptr::new(info.name_or_ordinal.0))?
    };
    Some(match record.code {
        NO_DLL => format!("delay-loading {dll}!{function}: there is no such DLL"),
        _ => format!("delay-loading {dll}!{function}: there is no such function"),
    })
};
