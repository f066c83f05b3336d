//! The DIRECT and WORK_ON_BEHALF attributes (alpc §1.5).

use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus, UserPtr, attributes};

use super::frame::{Delivery, Sending};
use crate::engine::Sent;
use crate::{guest, host};

/// Takes the event that is set when the message is over (alpc#232).
pub(super) fn capture_direct(at: UserPtr, sending: &mut Sending) -> Result<(), NtStatus> {
    let event = Handle(guest::read_word(at)?);
    let event = host::current().event(event)?;
    let resources = Arc::clone(sending.resources());
    sending.when_sent(move |id| {
        let sent = Sent {
            events: vec![event],
            ..Sent::default()
        };
        resources.message_sent(id, sent);
        Ok(())
    });
    Ok(())
}

/// Takes the ticket of the thread the sender works for.
pub(super) fn capture_work_on_behalf(at: UserPtr, sending: &mut Sending) -> Result<(), NtStatus> {
    let mut ticket = [0; size_of::<u64>()];
    host::current().read(at, &mut ticket)?;
    sending.push(attributes::WORK_ON_BEHALF, &ticket);
    Ok(())
}

pub(super) fn deliver_work_on_behalf(delivery: &Delivery<'_>) -> Result<bool, NtStatus> {
    match delivery.entry {
        Some(ticket) if ticket.len() == size_of::<u64>() => {
            host::current().write(delivery.at, ticket)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}
