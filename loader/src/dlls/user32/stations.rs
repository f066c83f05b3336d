//! The window station and the desktop of the process: names without windows.

use std::sync::{Arc, OnceLock};

use ntlpc_abi::{Handle, NtStatus};

use crate::dlls::win32::{error, failed, or_else, refuse};
use crate::export::{Bool, Ptr};
use crate::ob::object::{Header, Object, ObjectType};
use crate::ob::table::{PROTECT, TABLE, lookup_any};
use crate::ob::thread;
use crate::win_api;

/// Types and rights: Microsoft Learn "Window Station Security and Access Rights", "Desktop Security and Access Rights".
static STATION_TYPE: ObjectType = ObjectType {
    name: "WindowStation",
    generic: [0x2_0303, 0x2_001C, 0x2_0060, 0xF_037F],
};
static DESKTOP_TYPE: ObjectType = ObjectType {
    name: "Desktop",
    generic: [0x2_0041, 0x2_00BE, 0x2_0100, 0xF_01FF],
};

/// `UOI_FLAGS`, `UOI_NAME`, `UOI_TYPE`.
const FLAGS: u32 = 1;
const NAME: u32 = 2;
const TYPE: u32 = 3;

#[derive(Debug)]
struct Place {
    header: Header,
    object_type: &'static ObjectType,
    name: &'static str,
    /// `WSF_VISIBLE` of the interactive station.
    flags: u32,
}

impl Object for Place {
    fn object_type(&self) -> &'static ObjectType {
        self.object_type
    }
    fn header(&self) -> &Header {
        &self.header
    }
}

/// Returns the one handle of a place; closing it fails, as the documentation asks that nobody does.
fn handle(
    made: &OnceLock<Handle>,
    object_type: &'static ObjectType,
    name: &'static str,
    flags: u32,
) -> Handle {
    *made.get_or_init(|| {
        let place = Place {
            header: Header::default(),
            object_type,
            name,
            flags,
        };
        let made = TABLE.insert(Arc::new(place), object_type.generic[3], PROTECT);
        or_else(made, Handle::NULL)
    })
}

fn information(object: Handle, which: u32) -> Result<Vec<u8>, NtStatus> {
    let object: Arc<dyn std::any::Any + Send + Sync> = lookup_any(object, 0)?;
    let place = object
        .downcast::<Place>()
        .map_err(|_| NtStatus::INVALID_HANDLE)?;
    let text = |text: &str| -> Vec<u8> {
        let units = text.encode_utf16().chain([0]);
        units.flat_map(u16::to_le_bytes).collect()
    };
    Ok(match which {
        // USEROBJECTFLAGS: inherit, reserved, flags
        FLAGS => [0, 0, place.flags]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect(),
        NAME => text(place.name),
        TYPE => text(place.object_type.name),
        _ => return Err(NtStatus::INVALID_PARAMETER),
    })
}

win_api! {
    /// Returns the window station of the process.
    "user32.dll" stdcall fn GetProcessWindowStation() -> Handle {
        static STATION: OnceLock<Handle> = OnceLock::new();
        handle(&STATION, &STATION_TYPE, "WinSta0", 1)
    }

    /// Returns the desktop of a thread of this process.
    "user32.dll" stdcall fn GetThreadDesktop(tid: u32) -> Handle {
        static DESKTOP: OnceLock<Handle> = OnceLock::new();
        if thread::find(tid).is_err() {
            return refuse(error::INVALID_PARAMETER, Handle::NULL);
        }
        handle(&DESKTOP, &DESKTOP_TYPE, "Default", 0)
    }

    /// Returns the window the user works with: none.
    "user32.dll" stdcall fn GetForegroundWindow = "GetForegroundWindow|GetActiveWindow|GetFocus" () -> usize {
        0
    }

    /// Returns the thread and process of a window; there is no window.
    "user32.dll" stdcall fn GetWindowThreadProcessId(_window: usize, _process: Ptr<u32>) -> u32 {
        refuse(error::INVALID_WINDOW_HANDLE, 0)
    }

    /// Tells flags, name or type of a window station or desktop.
    "user32.dll" stdcall fn GetUserObjectInformationW(object: Handle, which: u32, to: Ptr<u8>, length: u32, needed: Ptr<u32>) -> Bool {
        match information(object, which) {
            Ok(bytes) => {
                needed.write_if_some(bytes.len() as u32);
                if (length as usize) < bytes.len() {
                    return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
                }
                to.write_bytes(&bytes);
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }
}
