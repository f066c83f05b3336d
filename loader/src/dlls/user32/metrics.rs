//! Measures of the system, and text of code pages.

use crate::export::Ptr;
use crate::win_api;

/// `SM_NETWORK`: its lowest bit says that there is a network.
const NETWORK: i32 = 63;
/// `SM_CLEANBOOT`, `SM_DEBUG`, `SM_DBCSENABLED`, `SM_REMOTESESSION`, `SM_SHUTTINGDOWN`: 0 means the usual.
const USUAL: [i32; 5] = [67, 22, 42, 0x1000, 0x2000];

win_api! {
    /// Returns a measure of the system; what windows and screens measure is 0.
    "user32.dll" stdcall fn GetSystemMetrics(index: i32) -> i32 {
        if index == NETWORK {
            return 3;
        }
        if !USUAL.contains(&index) {
            log::info!("GetSystemMetrics: {index} is not there");
        }
        0
    }

    /// Returns the character before one in a string of a code page; all code pages here are UTF-8.
    "user32.dll" stdcall fn CharPrevExA(_code_page: u16, start: Ptr<u8>, current: Ptr<u8>, _flags: u32) -> Ptr<u8> {
        let mut at = current.address();
        while at > start.address() {
            at -= 1;
            if Ptr::<u8>::new(at).read() & 0xC0 != 0x80 {
                break;
            }
        }
        Ptr::new(at.max(start.address()))
    }
}
