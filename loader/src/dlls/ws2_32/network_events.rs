//! Event objects and network events: `WSAEventSelect` and the `WSA…Event` functions of `winsock2.h`.
//!
//! Source: Microsoft Learn, the functions' pages. An event object of Winsock is an event like every other.

use ntlpc_abi::Handle;

use super::winsock2::{FAULT, INVALID, SOCKET_ERROR, file, outcome, refuse};
use crate::dlls::kernel32::{handleapi, synchapi};
use crate::export::{Bool, Ptr};
use crate::guest_struct;
use crate::ob::network_events::ALL;
use crate::ob::socket;
use crate::ob::sync::Event;
use crate::ob::table::lookup;
use crate::win_api;

/// `WSA_INVALID_HANDLE`.
const INVALID_HANDLE: u32 = 6;

guest_struct! {
    /// `WSANETWORKEVENTS`.
    pub struct NetworkEvents {
        events: u32,
        codes: [u32; 10],
    }
}

fn select(handle: Handle, event: Handle, wanted: u32) -> Result<(), u32> {
    let file = file(handle)?;
    if wanted & !ALL != 0 {
        return Err(INVALID);
    }
    if wanted == 0 {
        file.network_events.clear();
        return Ok(());
    }
    let event = lookup::<Event>(event, 0).map_err(|_| INVALID)?;
    file.network_events
        .select(file.fd(), &event, wanted)
        .map_err(|error| socket::wsa_error(&error))
}

fn enumerate(handle: Handle, event: Handle, to: Ptr<NetworkEvents>) -> Result<(), u32> {
    let file = file(handle)?;
    let event = match event {
        Handle::NULL => None,
        event => Some(lookup::<Event>(event, 0).map_err(|_| INVALID)?),
    };
    // Nothing is taken that could not be told.
    let mut told = to.try_read().map_err(|_| FAULT)?;
    to.try_write(told).map_err(|_| FAULT)?;
    let record = file.network_events.take(event.as_deref());
    told.events = record.events;
    for (number, code) in record.codes.into_iter().enumerate() {
        if record.events & 1 << number != 0 {
            told.codes[number] = code;
        }
    }
    to.try_write(told).map_err(|_| FAULT)
}

win_api! {
    /// Makes an event that is reset by hand.
    "ws2_32.dll" stdcall fn WSACreateEvent() -> Handle {
        synchapi::CreateEventW(Ptr::NULL, Bool::TRUE, Bool::FALSE, Ptr::NULL)
    }

    /// Closes an event.
    "ws2_32.dll" stdcall fn WSACloseEvent(event: Handle) -> Bool {
        if lookup::<Event>(event, 0).is_err() {
            return refuse(INVALID_HANDLE, Bool::FALSE);
        }
        handleapi::CloseHandle(event)
    }

    /// Sets an event.
    "ws2_32.dll" stdcall fn WSASetEvent(event: Handle) -> Bool {
        synchapi::SetEvent(event)
    }

    /// Resets an event.
    "ws2_32.dll" stdcall fn WSAResetEvent(event: Handle) -> Bool {
        synchapi::ResetEvent(event)
    }

    /// Waits for one of several events or for all.
    "ws2_32.dll" stdcall fn WSAWaitForMultipleEvents(count: u32, events: Ptr<Handle>, all: Bool, timeout: u32, alertable: Bool) -> u32 {
        synchapi::WaitForMultipleObjectsEx(count, events, all, timeout, alertable)
    }

    /// Has network events of a socket recorded and an event set for them; the socket does not block from then on.
    "ws2_32.dll" stdcall fn WSAEventSelect(handle: Handle, event: Handle, wanted: u32) -> i32 {
        outcome(select(handle, event, wanted).map(|()| 0))
    }

    /// Takes the network events recorded for a socket and resets an event.
    "ws2_32.dll" stdcall fn WSAEnumNetworkEvents(handle: Handle, event: Handle, to: Ptr<NetworkEvents>) -> i32 {
        match enumerate(handle, event, to) {
            Ok(()) => 0,
            Err(code) => refuse(code, SOCKET_ERROR),
        }
    }
}
