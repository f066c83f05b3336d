//! NtAlpcCancelMessage (alpc §2.7).

use ntlpc_abi::layout::AlpcContextAttr;
use ntlpc_abi::{Handle, NtStatus, UserPtr, Width};

use super::frame;
use super::message::width;
use crate::engine::{self, Place};
use crate::host::PORT_ALL_ACCESS;
use crate::{guest, host};

/// Leave a message alone that was received.
const TRY_CANCEL: u32 = 1;
/// The context has the 32-bit layout.
const CONTEXT_32: u32 = 4;
/// Compare the cookie: both test suites saw it act so, whatever its name says (alpc §1.7).
const CHECK_CONTEXT: u32 = 8;
const KNOWN: u32 = 0xF;

pub(crate) fn nt_alpc_cancel_message(
    port_handle: Handle,
    flags: u32,
    message_context: UserPtr,
) -> Result<(), NtStatus> {
    if flags & !KNOWN != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let layout = if flags & CONTEXT_32 != 0 {
        Width::X86
    } else {
        width()
    };
    let context: AlpcContextAttr = guest::read(message_context, layout)?;
    let id = context.message_id;
    if id == 0 {
        return Err(NtStatus::MESSAGE_NOT_FOUND);
    }
    let port = host::port(port_handle, PORT_ALL_ACCESS)?;
    if flags & CHECK_CONTEXT != 0 && context.message_context.0 != engine::cookie_value(&port, id) {
        return Err(NtStatus::CONTEXT_MISMATCH);
    }
    let is_try = flags & TRY_CANCEL != 0;
    match engine::cancel(&port, id, is_try)? {
        Place::Queue => {
            frame::message_over(&port, id);
            Ok(())
        }
        // Without its number the message is taken for one on its way (alpc#181; open question 2).
        Place::Receiver if !is_try && context.sequence == 0 => Err(NtStatus::PENDING),
        Place::Receiver => Err(NtStatus::MESSAGE_RETRIEVED),
    }
}
