//! Answers by message id, as ALPC gives them (alpc §2.5.2, §2.5.3): the last word, a word that continues the conversation, or
//! a callback.
//!
//! A requester that waits gets its answer in its turn word, as the classic calls do. One that does not wait gets a message in
//! the conversation's id. The slot of its request is kept meanwhile, and whoever claims it is the only one to answer, so a
//! second answer finds nothing, whichever process it comes from.

use std::sync::Arc;

use ntlpc_abi::{ClientId, NtStatus};
use ntlpc_shm::slot::Kind;

use super::answer::{
    Extra, To, call_back_at, deliver, deliver_to, may_answer, next_callback_id, search,
};
use super::message::Outgoing;
use super::port::Port;
use super::queue::{Cookie, Outstanding};
use super::send::{Expects, Waiting, post};
use super::session::{Me, me};

/// A received message, as its receiver names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// Message id.
    pub id: u32,
    /// Callback id; 0 for none.
    pub callback_id: u32,
    /// Who the message says sent it: chooses among several of one id, which only a damaged peer can bring about.
    pub client_id: ClientId,
}

/// What is owed to a [`Name`] on a port.
#[derive(Debug)]
pub struct Found {
    to: To,
    target: Outstanding,
}

impl Found {
    /// Returns the message.
    #[must_use]
    pub fn message(&self) -> &Outstanding {
        &self.target
    }
}

/// Answers a received message. `cookie` is remembered for the answer to a word that continues.
///
/// # Errors
/// `REQUEST_CANCELED` if its sender does not wait any more, `PORT_DISCONNECTED`, `NO_MEMORY`.
pub fn answer(
    port: &Arc<Port>,
    Found { to, target }: &Found,
    message: &Outgoing<'_>,
    continues: bool,
    cookie: Option<u64>,
) -> Result<(), NtStatus> {
    let me = me()?;
    if target.is_datagram() {
        return release_datagram(port, *to, target);
    }
    let cookie = cookie.filter(|_| continues);
    remember_cookie(port, *to, target, cookie);
    let result = if target.conversation.is_some() {
        let expects = if continues {
            Expects::Message
        } else {
            Expects::Nothing
        };
        answer_conversation(port, *to, target, message, expects).map(drop)
    } else {
        let extra = Extra {
            continues,
            ..Extra::default()
        };
        deliver(port, *to, me, target, message, &extra).map_err(|status| gone(port, *to, status))
    };
    if result.is_err() && cookie.is_some() {
        port.queue.state.lock().cookies.remove(&to.message_id);
    }
    result
}

/// Gives the last word on a received message, if its sender waits and nothing came with it that the receiver still holds:
/// most answers, which take what is owed once. `None` if it is no such message; [`find`] tells what it is.
pub fn answer_waiting(
    port: &Port,
    name: Name,
    message: &Outgoing<'_>,
) -> Option<Result<(), NtStatus>> {
    let is_plain = |target: &Outstanding| {
        target.conversation.is_none()
            && !target.has_record
            && target.callback_id == name.callback_id
            && may_answer(port, target)
    };
    let Ok(Me { tno, .. }) = me() else {
        return None;
    };
    let (client_id, target, is_crowded) = {
        let mut state = port.queue.state.lock();
        let (client_id, target) = state.outstanding.remove_only(name.id, is_plain)?;
        (client_id, target, state.is_crowded())
    };
    let to = To {
        client_id,
        message_id: name.id,
    };
    let answered = deliver_to(to, &target, message, tno, &Extra::default(), || is_crowded);
    Some(answered.map_err(|status| {
        let status = gone(port, to, status);
        if status != NtStatus::REQUEST_CANCELED {
            // It can be answered again.
            let mut state = port.queue.state.lock();
            state.remember(name.id, client_id, target);
        }
        status
    }))
}

/// Calls the sender of a received message back and begins to wait for its answer. The message is answered by this. The
/// caller forgets `cookie` when the wait is over.
///
/// # Errors
/// As [`answer`]; `INVALID_MESSAGE` for a datagram.
pub fn call_back_found(
    port: &Arc<Port>,
    Found { to, target }: &Found,
    message: &Outgoing<'_>,
    cookie: Option<u64>,
) -> Result<Waiting, NtStatus> {
    let me = me()?;
    if target.is_datagram() {
        return Err(NtStatus::INVALID_MESSAGE);
    }
    remember_cookie(port, *to, target, cookie);
    let begun = if target.conversation.is_none() {
        call_back_at(port, *to, me, target, message).map_err(|status| gone(port, *to, status))
    } else {
        let message = Outgoing {
            callback_id: next_callback_id(),
            ..*message
        };
        answer_conversation(port, *to, target, &message, Expects::Answer)
    };
    if begun.is_err() && cookie.is_some() {
        port.queue.state.lock().cookies.remove(&to.message_id);
    }
    begun
}

fn remember_cookie(port: &Arc<Port>, to: To, target: &Outstanding, cookie: Option<u64>) {
    if let Some(value) = cookie {
        let cookie = Cookie::new(port, &target.connection, value);
        port.queue
            .state
            .lock()
            .cookies
            .insert(to.message_id, cookie);
    }
}

/// Returns a message that was received on `port` and is not answered.
///
/// # Errors
/// `MESSAGE_NOT_FOUND`.
pub fn received(port: &Port, name: Name) -> Result<Outstanding, NtStatus> {
    find(port, name)
        .map(|found| found.target)
        .ok()
        .filter(|outstanding| outstanding.is_awaited(name.id))
        .ok_or(NtStatus::MESSAGE_NOT_FOUND)
}

/// Answers a datagram that was to be released, which is that: nothing goes back (alpc#139).
fn release_datagram(port: &Port, to: To, target: &Outstanding) -> Result<(), NtStatus> {
    let Me { tno, .. } = me()?;
    let slot = target.slot();
    let mut state = port.queue.state.lock();
    state.outstanding.remove(to.message_id, to.client_id);
    if !slot.claim_conversation(target.conversation.unwrap_or_default(), tno) {
        state.remember_cancelled(to.message_id);
        return Err(NtStatus::REQUEST_CANCELED);
    }
    let lane = target.connection.segment.lane(target.direction);
    lane.free(&slot, Kind::Writing, tno, None);
    Ok(())
}

/// Answers a message whose sender does not wait, by a message.
pub(super) fn answer_conversation(
    port: &Port,
    to: To,
    target: &Outstanding,
    message: &Outgoing<'_>,
    expects: Expects,
) -> Result<Waiting, NtStatus> {
    let Me { tno, .. } = me()?;
    let slot = target.slot();
    let generation = target.conversation.unwrap_or_default();
    let forget = || {
        let mut state = port.queue.state.lock();
        state.outstanding.remove(to.message_id, to.client_id);
        state
    };
    if !slot.claim_conversation(generation, tno) {
        forget().remember_cancelled(to.message_id);
        return Err(NtStatus::REQUEST_CANCELED);
    }
    let direction = target.direction.opposite();
    let path = (&target.connection, direction);
    match post(port, path, Some(to.message_id), message, expects) {
        Ok(posted) => {
            let lane = target.connection.segment.lane(target.direction);
            lane.free(&slot, Kind::Writing, tno, None);
            drop(forget());
            Ok(posted.waiting(path))
        }
        Err(status) => {
            slot.resume_conversation(tno);
            Err(status)
        }
    }
}

/// Finds what is owed to a name on `port`.
///
/// # Errors
/// `INVALID_MESSAGE`, `REQUEST_CANCELED`.
pub fn find(port: &Port, name: Name) -> Result<Found, NtStatus> {
    let (client_id, target) = match known(port, name)? {
        Some(known) => known,
        None => {
            let to = To {
                client_id: name.client_id,
                message_id: name.id,
            };
            let found = search(port, to).filter(|found| may_answer(port, found));
            (name.client_id, found.ok_or(NtStatus::INVALID_MESSAGE)?)
        }
    };
    if target.callback_id != name.callback_id {
        return Err(NtStatus::INVALID_MESSAGE);
    }
    let to = To {
        client_id,
        message_id: name.id,
    };
    Ok(Found { to, target })
}

/// Finds it among what this process received. Of several the one counts that the message says sent it.
fn known(port: &Port, name: Name) -> Result<Option<(ClientId, Outstanding)>, NtStatus> {
    let state = port.queue.state.lock();
    let mut candidates = state
        .outstanding
        .of(name.id)
        .filter(|(_, outstanding)| may_answer(port, outstanding));
    let Some(first) = candidates.next() else {
        return match state.is_cancelled(name.id) {
            true => Err(NtStatus::REQUEST_CANCELED),
            false => Ok(None),
        };
    };
    let is_alone = candidates.clone().next().is_none();
    let chosen = if is_alone {
        Some(first)
    } else {
        std::iter::once(first)
            .chain(candidates)
            .find(|(client, _)| *client == name.client_id)
    };
    Ok(chosen.map(|(client, outstanding)| (client, outstanding.clone())))
}

/// The sender of a message this process has received does not wait any more.
fn gone(port: &Port, to: To, status: NtStatus) -> NtStatus {
    match status {
        NtStatus::NO_MEMORY | NtStatus::PORT_DISCONNECTED => status,
        _ => {
            let mut state = port.queue.state.lock();
            state.remember_cancelled(to.message_id);
            NtStatus::REQUEST_CANCELED
        }
    }
}
