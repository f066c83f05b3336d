//! NtAlpcSendWaitReceivePort (alpc §2.5): the one call messages go by.
//!
//! | send | receive | SYNC | what happens |
//! |---|---|---|---|
//! | yes | no | no | sends |
//! | no | yes | no | receives the next message |
//! | yes | yes | no | sends, then receives the next message |
//! | yes | yes | yes | sends, and receives the answer to that |

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ntlpc_abi::{Handle, NtStatus, UserPtr};
use ntlpc_proto::port::PortKind;
use ntlpc_shm::segment::{Connecting, Direction};
use ntlpc_shm::sys::Deadline;

use super::frame::{self, Answered, Receiving, Sending};
use super::message::{
    Buffer, LPC_CANCELED, LPC_CONNECTION_REPLY, LPC_DATAGRAM, LPC_REPLY, LPC_REQUEST, Message,
};
use super::port::{ALLOW_LPC_REQUESTS, WAITABLE_PORT};
use super::references::Reference;
use crate::engine::{
    self, Cookie, Data, Found, Incoming, Outstanding, Port, RESERVE_BIT, Received, Waiting, me,
};
use crate::{guest, host};

/// `ALPC_MSGFLG_RELEASE_MESSAGE`: the last word on the message.
const RELEASE_MESSAGE: u32 = 0x1_0000;
/// `ALPC_MSGFLG_SYNC_REQUEST`; of a connect, `ALPC_SYNC_CONNECTION`.
pub(super) const SYNC_REQUEST: u32 = 0x2_0000;
/// `ALPC_MSGFLG_WAIT_ALERTABLE`: user APCs and alerts end the wait; of a connect too (alpc §1.7).
pub(super) const WAIT_ALERTABLE: u32 = 0x20_0000;
/// `ALPC_MSGFLG_TRACK_PORT_REFERENCES`.
const TRACK_PORT_REFERENCES: u32 = 0x4_0000;
/// Not for programs.
const INTERNAL: u32 = 0x100_0000;
/// Older flags, without effect (alpc#112).
const IGNORED: u32 = 0xFFFF;

pub(crate) fn nt_alpc_send_wait_receive_port(
    port_handle: Handle,
    flags: u32,
    send_message: UserPtr,
    send_message_attributes: UserPtr,
    receive_message: UserPtr,
    buffer_length: UserPtr,
    receive_message_attributes: UserPtr,
    timeout: UserPtr,
) -> Result<(), NtStatus> {
    // The order is that of alpc §2.5.1. Steps 1–3.
    let flags = flags & !IGNORED;
    if flags & INTERNAL != 0 {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let is_sync = flags & SYNC_REQUEST != 0;
    if is_sync && (send_message.is_null() || flags & RELEASE_MESSAGE != 0) {
        return Err(NtStatus::INVALID_PARAMETER_2);
    }
    if is_sync && receive_message.is_null() {
        return Err(NtStatus::LPC_RECEIVE_BUFFER_EXPECTED);
    }
    // Step 4.
    let mut message = Message::default();
    let sends = !send_message.is_null();
    if sends {
        message.read(send_message)?;
    }
    let receive = match receive_message.is_null() {
        true => None,
        false => Some(Receive {
            buffer: Buffer::capture(receive_message, buffer_length)?,
            attributes: Receiving::capture(receive_message_attributes)?,
            deadline: guest::timeout(timeout)?,
            is_alertable: flags & WAIT_ALERTABLE != 0,
        }),
    };
    // Steps 5 and 6.
    let port = host::port(port_handle, 0)?;
    let _reference = (flags & TRACK_PORT_REFERENCES != 0).then(|| Reference::new(&port));
    if !sends && receive.is_none() {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    engine::with_buffer(|data| {
        if sends {
            let kind = match flags & (SYNC_REQUEST | RELEASE_MESSAGE) {
                0 => Kind::Open,
                SYNC_REQUEST => Kind::Sync,
                _ => Kind::Last,
            };
            let mut waiting = None;
            let sent = send(
                &port,
                &mut message,
                kind,
                send_message_attributes,
                data,
                &mut waiting,
            )?;
            if let (Some(waiting), Some(receive)) = (&waiting, &receive) {
                return receive.answer(&port, waiting, sent, data);
            }
        }
        match &receive {
            Some(receive) => receive.next(&port, data),
            None => Ok(()),
        }
    })
}

/// What a sender wants of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The last word: a datagram or a final reply.
    Last,
    /// A request answered by a message, or a reply that is not the last word.
    Open,
    /// A request or callback whose answer is waited for.
    Sync,
}

/// What the answer to a message that was sent is given.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    message_context: u64,
    /// Whether something is remembered of it until the wait is over.
    has_cookie: bool,
}

/// Sends a message (steps 7–17); `waiting` becomes the wait for its answer, if there is one.
#[inline(always)]
fn send(
    port: &Arc<Port>,
    message: &mut Message,
    kind: Kind,
    attributes: UserPtr,
    data: &mut Data,
    waiting: &mut Option<Waiting>,
) -> Result<Sent, NtStatus> {
    message.check_lengths()?;
    message.check_fits(port.max_message)?;
    check_connection(port)?;
    let name = message.name();
    message.read_data(data)?;
    let reserve = Reserved::of(port, name.id, message.header.total_length)?;
    let is_reply = reserve.is_none() && name.id != 0;
    if !is_reply {
        check_new(port)?;
    }
    if is_reply && kind == Kind::Last && attributes.is_null() {
        let reply = message.outgoing(LPC_REPLY, data, &[]);
        if let Some(answered) = engine::answer_waiting(port, name, &reply) {
            return answered.map(|()| Sent::default());
        }
    }
    let sought = is_reply.then(|| engine::find(port, name));
    let found = match &sought {
        Some(Ok(found)) => Some(found),
        Some(Err(status)) => return Err(*status),
        None => None,
    };
    let received = found.map(Found::message);
    let beside = received
        .filter(|received| received.has_record)
        .map(Outstanding::record);
    let sending = Sending::capture(port, attributes, || {
        received.map(|received| Answered {
            source: received.connection.source,
            id: name.id,
            peer: received.peer_attributes(),
        })
    })?;
    let cookie = match kind {
        // Remembered until the answer is there, for a cancellation.
        Kind::Open | Kind::Sync => sending.as_deref().and_then(Sending::cookie),
        Kind::Last => None,
    };
    let record = sending.as_deref().map_or(&[][..], Sending::record);
    let outgoing = |message_type| message.outgoing(message_type, data, record);
    let id = match (found, kind) {
        (None, Kind::Last) => {
            let is_released = sending.as_deref().is_some_and(Sending::is_released);
            engine::send(port, &outgoing(LPC_DATAGRAM), is_released)?
        }
        (None, Kind::Open) => engine::ask(port, &outgoing(LPC_REQUEST), cookie)?,
        (None, Kind::Sync) => {
            let request = outgoing(LPC_REQUEST);
            let begun = match cookie {
                Some(cookie) => engine::request_remembered(port, &request, cookie)?,
                None => engine::request(port, &request)?,
            };
            waiting.insert(begun).id
        }
        (Some(found), Kind::Sync) => {
            let callback = outgoing(LPC_REQUEST);
            let begun = engine::call_back_found(port, found, &callback, cookie)?;
            waiting.insert(begun).id
        }
        (Some(found), _) => {
            let continues = kind == Kind::Open;
            let message_type = if continues { LPC_REQUEST } else { LPC_REPLY };
            engine::answer(port, found, &outgoing(message_type), continues, cookie)?;
            name.id
        }
    };
    if let Some(reserve) = reserve {
        reserve.commit(id, kind == Kind::Last);
    }
    let mut message_context = 0;
    if let Some(sending) = sending {
        message_context = sending.message_context;
        sending.commit(id)?;
    }
    if let Some(record) = beside {
        frame::received_over(&record);
    }
    if kind == Kind::Last && !is_reply {
        // Nothing says when a datagram is received.
        frame::datagram_sent(port, id);
    }
    Ok(Sent {
        message_context,
        has_cookie: cookie.is_some(),
    })
}

/// A reserve a message uses, free again if the message is not sent (alpc §2.12).
struct Reserved {
    port: Arc<Port>,
    number: u32,
}

impl Reserved {
    /// Takes the reserve that a message of `total` bytes names by `number` instead of an id; `None` if it names none. An id
    /// that came with a received message is that, whatever its bits.
    #[inline(always)]
    fn of(port: &Arc<Port>, number: u32, total: u16) -> Result<Option<Reserved>, NtStatus> {
        if number & RESERVE_BIT == 0 || engine::is_outstanding(port, number) {
            return Ok(None);
        }
        port.resources.use_reserve(number, total.into())?;
        Ok(Some(Reserved {
            port: Arc::clone(port),
            number,
        }))
    }

    /// The message is sent: the reserve is busy until that is over, which a datagram is at once.
    fn commit(mut self, id: u32, is_over: bool) {
        if !is_over {
            let number = std::mem::take(&mut self.number);
            let held = engine::Sent {
                reserve: number,
                ..engine::Sent::default()
            };
            self.port.resources.message_sent(id, held);
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.number != 0 {
            self.port.resources.free_reserve(self.number);
        }
    }
}

/// Checks that a communication port's connection takes messages (steps 10–12).
#[inline(always)]
fn check_connection(port: &Port) -> Result<(), NtStatus> {
    let Some(connection) = port.existing_connection() else {
        return Ok(());
    };
    let segment = &connection.segment;
    if port.kind == PortKind::Client {
        match segment.connecting() {
            Connecting::Accepted => {}
            Connecting::Refused => return Err(NtStatus::PORT_CONNECTION_REFUSED),
            Connecting::ListenerGone => return Err(NtStatus::PORT_DISCONNECTED),
            Connecting::Pending if segment.is_closed() => return Err(NtStatus::PORT_DISCONNECTED),
            Connecting::Pending => return Err(NtStatus::LPC_REQUESTS_NOT_ALLOWED),
        }
    }
    Ok(())
}

/// Checks that a new message has somewhere to go and is taken there (steps 13, 16).
#[inline(always)]
fn check_new(port: &Port) -> Result<(), NtStatus> {
    match port.kind {
        PortKind::Connection | PortKind::Unconnected => Err(NtStatus::LPC_INVALID_CONNECTION_USAGE),
        PortKind::Client => Ok(()),
        PortKind::Server => {
            let segment = &port.connection()?.segment;
            let peer = segment.attributes(Direction::ToClient);
            if peer.flags & ALLOW_LPC_REQUESTS == 0 && !segment.is_closed() {
                return Err(NtStatus::LPC_REQUESTS_NOT_ALLOWED);
            }
            Ok(())
        }
    }
}

/// Where a received message goes.
struct Receive {
    buffer: Buffer,
    attributes: Receiving,
    deadline: Option<Deadline>,
    is_alertable: bool,
}

impl Receive {
    /// Receives the next message of the port (alpc §2.5.4).
    #[inline(always)]
    fn next(&self, port: &Arc<Port>, data: &mut Data) -> Result<(), NtStatus> {
        let mut incoming = Incoming::default();
        let room = self.buffer.room();
        let received = {
            let _alertable = engine::alertable(self.is_alertable);
            engine::receive_within(port, self.deadline, room, &mut incoming, data)?
        };
        match received {
            Received::Nothing => Err(NtStatus::TIMEOUT),
            Received::CheckRing => Err(NtStatus::ALPC_CHECK_COMPLETION_LIST),
            Received::TooLong(body_len) => self.too_long(body_len),
            Received::Message => self.deliver(port, &incoming, data),
        }
    }

    /// Waits for the answer to a request (alpc §2.5.5).
    #[inline(always)]
    fn answer(
        &self,
        port: &Arc<Port>,
        waiting: &Waiting,
        sent: Sent,
        data: &mut Data,
    ) -> Result<(), NtStatus> {
        let id = waiting.id;
        let forget = || sent.has_cookie.then(|| forget(port, id)).flatten();
        let mut incoming = Incoming::default();
        let answer = {
            let _alertable = engine::alertable(self.is_alertable);
            engine::wait(port, waiting, self.deadline, &mut incoming, data)
        };
        match answer {
            Ok(()) => {
                incoming.context = port.context();
                let remembered = forget();
                if remembered.is_some() || sent.message_context != 0 {
                    incoming.cookie = Some(Cookie {
                        value: sent.message_context,
                        ..remembered.unwrap_or_default()
                    });
                }
                if i64::from(incoming.body_len) > self.buffer.room() {
                    let body_len = incoming.body_len;
                    engine::keep(&port.queue, incoming, std::mem::take(data));
                    return self.too_long(body_len);
                }
                self.deliver(port, &incoming, data)
            }
            Err(status) => {
                forget();
                frame::message_over(port, id);
                match status {
                    NtStatus::LPC_REPLY_LOST => Err(NtStatus::PORT_DISCONNECTED),
                    NtStatus::REQUEST_CANCELED => self.cancelled(port, id, sent.message_context),
                    status => Err(status),
                }
            }
        }
    }

    /// The request was cancelled: a port that takes messages is told by one (alpc#183, alpc#184; open question 1).
    fn cancelled(&self, port: &Arc<Port>, id: u32, context: u64) -> Result<(), NtStatus> {
        engine::remember_cancelled(port, id);
        if port.attributes().flags & (ALLOW_LPC_REQUESTS | WAITABLE_PORT) == 0 {
            self.buffer.clear()?;
            return Err(NtStatus::MESSAGE_LOST);
        }
        let incoming = Incoming {
            message_type: LPC_CANCELED,
            client_id: me()?.id,
            message_id: id,
            context: port.context(),
            cookie: Some(Cookie {
                value: context,
                ..Cookie::default()
            }),
            ..Incoming::default()
        };
        self.deliver(port, &incoming, &[])
    }

    fn too_long(&self, body_len: u16) -> Result<(), NtStatus> {
        self.buffer.write_length(body_len)?;
        Err(NtStatus::BUFFER_TOO_SMALL)
    }

    #[inline(always)]
    fn deliver(&self, port: &Arc<Port>, incoming: &Incoming, data: &[u8]) -> Result<(), NtStatus> {
        port.sequence.fetch_add(1, Relaxed);
        let result = self
            .buffer
            .deliver(incoming, data)
            .and_then(|()| self.attributes.deliver(port, incoming));
        if matches!(
            incoming.message_type,
            LPC_REPLY | LPC_CANCELED | LPC_CONNECTION_REPLY
        ) {
            let sender = incoming
                .cookie
                .as_ref()
                .and_then(|cookie| cookie.port.upgrade());
            frame::message_over(sender.as_ref().unwrap_or(port), incoming.message_id);
        }
        result
    }
}

/// The wait for message `id` is over: what was remembered of it goes.
fn forget(port: &Port, id: u32) -> Option<Cookie> {
    port.queue.state.lock().cookies.remove(&id)
}
