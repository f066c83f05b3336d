//! Message attributes on their way (alpc §1.4, §2.5.8): what a send takes out of its buffer, what a receive writes into its.
//!
//! Each attribute is a row of [`KINDS`] with a function for either direction. What must reach the receiver is an entry of the
//! message's *record*: `bit: u32 | length: u32 | bytes`, one after the other. The record is a peer's word: each deliver
//! function checks its entry.

use std::sync::Arc;

use ntlpc_abi::layout::{AlpcContextAttr, AlpcMessageAttributes, AlpcTokenAttr, Word};
use ntlpc_abi::{NtStatus, UserPtr, attributes};
use ntlpc_shm::segment::EndAttributes;
use ntlpc_shm::slot::HAS_ATTRIBUTES;

use super::attachment::{self, Item};
use super::message::{LPC_CONNECTION_REQUEST, width};
use super::other_attributes::{capture_direct, capture_work_on_behalf, deliver_work_on_behalf};
use super::{handle_attribute, handshake, message_information, security, view_attribute};
use crate::engine::{Incoming, Port, Resources};
use crate::guest;

/// What is to be done with the id of a message that was sent.
type WhenSent = Box<dyn FnOnce(u32) -> Result<(), NtStatus>>;

/// What is captured from a send's attributes.
#[derive(Default)]
pub(super) struct Sending {
    /// The sender's cookie for the conversation; 0 for none.
    pub message_context: u64,
    /// Bundles at the server that go with the message.
    pub bundles: Vec<u64>,
    /// Whether it is the answer to a connection request.
    pub is_accept: bool,
    port: Option<Arc<Port>>,
    resources: Arc<Resources>,
    answered: Option<Answered>,
    needs_release: bool,
    record: Vec<u8>,
    undo: Vec<Box<dyn FnOnce()>>,
    sent: Vec<WhenSent>,
    is_remembered: bool,
}

/// The received message that a message being sent answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// Source number of its connection.
    pub source: u32,
    /// Its id.
    pub id: u32,
    /// What the end the answer goes to says of itself.
    pub peer: EndAttributes,
}

impl Sending {
    /// Captures the attributes at `at` for a message sent on `port`; what it answers is asked for only if there are any.
    /// `None` for a message without attributes. Nothing is left behind by a failure.
    #[inline(always)]
    pub fn capture(
        port: &Arc<Port>,
        at: UserPtr,
        answered: impl FnOnce() -> Option<Answered>,
    ) -> Result<Option<Box<Sending>>, NtStatus> {
        if at.is_null() {
            return Ok(None);
        }
        Sending::capture_at(port, answered(), at).map(Some)
    }

    fn capture_at(
        port: &Arc<Port>,
        answered: Option<Answered>,
        at: UserPtr,
    ) -> Result<Box<Sending>, NtStatus> {
        let mut sending = Box::<Sending>::default();
        sending.answered = answered;
        sending.port = Some(Arc::clone(port));
        sending.resources = Arc::clone(&port.resources);
        sending.capture_kinds(at)?;
        Ok(sending)
    }

    /// Captures the attributes at `at` for a connection request or its answer, whose port, which is to have `resources`, is
    /// not there yet.
    pub fn capture_handshake(
        resources: &Arc<Resources>,
        is_accept: bool,
        at: UserPtr,
    ) -> Result<Sending, NtStatus> {
        let mut sending = Sending::default();
        sending.is_accept = is_accept;
        sending.resources = Arc::clone(resources);
        if !at.is_null() {
            sending.capture_kinds(at)?;
        }
        Ok(sending)
    }

    fn capture_kinds(&mut self, at: UserPtr) -> Result<(), NtStatus> {
        let header: AlpcMessageAttributes = guest::read(at, width())?;
        if header.valid & !header.allocated != 0 {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        for kind in KINDS.iter().filter(|kind| header.valid & kind.bit != 0) {
            if let Some(offset) = attributes::offset(width(), header.allocated, kind.bit) {
                (kind.capture)(at.offset(offset), self)?;
            }
        }
        Ok(())
    }

    /// Returns the message this one answers.
    pub fn answered(&self) -> Option<Answered> {
        self.answered
    }

    /// Returns the server's number of the port it is sent on; 0 for one that is not there yet.
    pub fn port(&self) -> u64 {
        self.port.as_ref().map_or(0, |port| port.id)
    }

    /// Returns the port it is sent on, if that is there.
    pub fn sender(&self) -> Option<&Arc<Port>> {
        self.port.as_ref()
    }

    /// Returns what the sending port owns.
    pub fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    /// Returns the source number of the connection the message goes by, for who sends on a connection port; else 0.
    pub fn source(&self) -> u32 {
        self.answered.map_or(0, |answered| answered.source)
    }

    /// Returns what the receiving end says of itself.
    pub fn peer_attributes(&self) -> EndAttributes {
        let of_port = || {
            let connection = self.port.as_ref()?.existing_connection()?;
            Some(connection.segment.attributes(connection.outgoing))
        };
        match self.answered {
            Some(answered) => answered.peer,
            None => of_port().unwrap_or_default(),
        }
    }

    /// The receiver takes things out of the message later: it stays until it is released, even a datagram (alpc#139).
    pub fn needs_release(&mut self) {
        self.needs_release = true;
    }

    /// Returns whether the receiver releases the message.
    pub fn is_released(&self) -> bool {
        self.needs_release
    }

    /// Adds an entry to the record.
    pub fn push(&mut self, bit: u32, bytes: &[u8]) {
        self.record.extend_from_slice(&bit.to_le_bytes());
        self.record
            .extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.record.extend_from_slice(bytes);
    }

    /// Says what takes an effect of the capture back if the message is not sent.
    pub fn undo_with(&mut self, undo: impl FnOnce() + 'static) {
        self.undo.push(Box::new(undo));
    }

    /// Says what is to be done once the message is sent, given its id: writing an attribute back, remembering what is to be
    /// done in [`message_over`].
    pub fn when_sent(&mut self, then: impl FnOnce(u32) -> Result<(), NtStatus> + 'static) {
        self.is_remembered = true;
        self.sent.push(Box::new(then));
    }

    /// Returns the cookie to remember until the message is over; `None` if nobody will ask for it.
    pub fn cookie(&self) -> Option<u64> {
        (self.is_remembered || self.message_context != 0).then_some(self.message_context)
    }

    /// Returns the record for the engine.
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// The message is sent under `id`: its attributes are the receiver's.
    pub fn commit(mut self, id: u32) -> Result<(), NtStatus> {
        self.undo.clear();
        std::mem::take(&mut self.sent)
            .into_iter()
            .try_for_each(|then| then(id))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        while let Some(undo) = self.undo.pop() {
            undo();
        }
    }
}

/// A receive's attribute buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receiving {
    at: UserPtr,
    allocated: u32,
}

impl Receiving {
    /// Captures which attributes the buffer at `at` has room for, and says that none is valid yet.
    #[inline(always)]
    pub fn capture(at: UserPtr) -> Result<Receiving, NtStatus> {
        let allocated = match at.is_null() {
            true => 0,
            false => Receiving::clear(at)?,
        };
        Ok(Receiving { at, allocated })
    }

    fn clear(at: UserPtr) -> Result<u32, NtStatus> {
        let header: AlpcMessageAttributes = guest::read(at, width())?;
        let allocated = header.allocated;
        Receiving { at, allocated }.write_valid(0)?;
        Ok(allocated)
    }

    /// Writes what came with a message: the allocated attributes it has.
    #[inline(always)]
    pub fn deliver(&self, port: &Arc<Port>, incoming: &Incoming) -> Result<(), NtStatus> {
        // Of a handshake the server has the attributes, of others the record.
        if self.at.is_null() && incoming.record.is_empty() && incoming.flags & HAS_ATTRIBUTES == 0 {
            return Ok(());
        }
        self.deliver_attributes(port, incoming)
    }

    fn deliver_attributes(&self, port: &Arc<Port>, incoming: &Incoming) -> Result<(), NtStatus> {
        let handshake = handshake::record(port, incoming).map(|record| Incoming {
            record,
            ..incoming.clone()
        });
        let incoming = handshake.as_ref().unwrap_or(incoming);
        let delivered = self.deliver_kinds(port, incoming);
        // What comes with a connection request stays until that is answered.
        let is_kept = incoming.wants_answer() || incoming.message_type == LPC_CONNECTION_REQUEST;
        if !is_kept && !incoming.record.is_empty() {
            received_over(&incoming.record);
        }
        delivered
    }

    fn deliver_kinds(&self, port: &Arc<Port>, incoming: &Incoming) -> Result<(), NtStatus> {
        if self.at.is_null() {
            return Ok(());
        }
        let mut valid = 0;
        for kind in KINDS {
            let entry = entry(&incoming.record, kind.bit);
            let place = (self.allocated & kind.bit != 0)
                .then(|| attributes::offset(width(), self.allocated, kind.bit))
                .flatten();
            if let Some(offset) = place {
                let delivery = Delivery {
                    port,
                    incoming,
                    entry,
                    at: self.at.offset(offset),
                };
                if (kind.deliver)(&delivery)? {
                    valid |= kind.bit;
                }
            }
        }
        self.write_valid(valid)
    }

    fn write_valid(&self, valid: u32) -> Result<(), NtStatus> {
        guest::write_u32(self.at.offset(attributes::VALID), valid)
    }
}

/// Message `id` that `port` sent is over: answered for good, timed out, cancelled or lost. What it held goes.
#[inline(always)]
pub(super) fn message_over(port: &Port, id: u32) {
    let Some(held) = port.resources.message_over(id) else {
        return;
    };
    for bundle in held.bundles {
        attachment::end(bundle);
    }
}

/// Datagram `id` that `port` sent is on its way: what its sender has of it goes. Nothing says when it is received, so what
/// travels beside it is ended by its receiver.
#[inline(always)]
pub(super) fn datagram_sent(port: &Port, id: u32) {
    let _bundles = port.resources.message_over(id);
}

/// A message that was received is over: what came beside it and was not taken goes.
pub(super) fn received_over(record: &[u8]) {
    for bit in BUNDLED {
        if let Some((item, _)) = entry(record, bit).and_then(Item::decode) {
            attachment::end(item.bundle);
        }
    }
}

/// Returns the entry of an attribute in a record.
pub(super) fn entry(record: &[u8], bit: u32) -> Option<&[u8]> {
    let mut rest = record;
    while let Some((head, tail)) = rest.split_first_chunk::<8>() {
        let [b0, b1, b2, b3, l0, l1, l2, l3] = *head;
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let (bytes, next) = tail.split_at_checked(len)?;
        if u32::from_le_bytes([b0, b1, b2, b3]) == bit {
            return Some(bytes);
        }
        rest = next;
    }
    None
}

/// An allocated attribute of a received message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery<'a> {
    /// The receiving port.
    pub port: &'a Arc<Port>,
    /// The message.
    pub incoming: &'a Incoming,
    /// The attribute's entry of the record, unchecked.
    pub entry: Option<&'a [u8]>,
    /// Where the attribute is to be written.
    pub at: UserPtr,
}

impl Delivery<'_> {
    /// Returns what the receiving end says of itself.
    pub fn receiver(&self) -> EndAttributes {
        self.port.attributes_for(self.incoming.source)
    }
}

/// Attributes whose entries begin with an item of a bundle.
const BUNDLED: [u32; 3] = [attributes::SECURITY, attributes::VIEW, attributes::HANDLE];

/// One attribute.
struct Kind {
    bit: u32,
    /// Takes a valid attribute out of a send's buffer.
    capture: fn(UserPtr, &mut Sending) -> Result<(), NtStatus>,
    /// Writes an allocated attribute of a received message; returns whether it has one.
    deliver: fn(&Delivery<'_>) -> Result<bool, NtStatus>,
}

/// Every attribute, in the order of the buffer.
const KINDS: &[Kind] = &[
    Kind {
        bit: attributes::SECURITY,
        capture: security::capture,
        deliver: security::deliver,
    },
    Kind {
        bit: attributes::VIEW,
        capture: view_attribute::capture,
        deliver: view_attribute::deliver,
    },
    Kind {
        bit: attributes::CONTEXT,
        capture: capture_context,
        deliver: deliver_context,
    },
    Kind {
        bit: attributes::HANDLE,
        capture: handle_attribute::capture,
        deliver: handle_attribute::deliver,
    },
    Kind {
        bit: attributes::TOKEN,
        capture: ignore,
        deliver: deliver_token,
    },
    Kind {
        bit: attributes::DIRECT,
        capture: capture_direct,
        deliver: never,
    },
    Kind {
        bit: attributes::WORK_ON_BEHALF,
        capture: capture_work_on_behalf,
        deliver: deliver_work_on_behalf,
    },
];

fn ignore(_: UserPtr, _: &mut Sending) -> Result<(), NtStatus> {
    Ok(())
}

fn never(_: &Delivery<'_>) -> Result<bool, NtStatus> {
    Ok(false)
}

/// Writes which token the sender has now (alpc#211–213). The server is asked: a receiver that allocates this pays for it.
fn deliver_token(delivery: &Delivery<'_>) -> Result<bool, NtStatus> {
    let incoming = delivery.incoming;
    let Ok(sender) = message_information::query(delivery.port, incoming.about, incoming.sender)
    else {
        // The sender is gone, or it is the kernel.
        return Ok(false);
    };
    let token = AlpcTokenAttr {
        token: sender.token_id,
        authentication: sender.authentication_id,
        modified: sender.token_id,
    };
    guest::write(delivery.at, width(), &token)?;
    Ok(true)
}

/// Takes the sender's cookie; the kernel knows the rest (alpc §2.5.8).
fn capture_context(at: UserPtr, sending: &mut Sending) -> Result<(), NtStatus> {
    let context: AlpcContextAttr = guest::read(at, width())?;
    sending.message_context = context.message_context.0;
    Ok(())
}

/// Writes the cookies, the number and the ids of a message; a connection request has none (alpc#102).
fn deliver_context(delivery: &Delivery<'_>) -> Result<bool, NtStatus> {
    let incoming = delivery.incoming;
    if incoming.message_type == LPC_CONNECTION_REQUEST {
        return Ok(false);
    }
    let context = AlpcContextAttr {
        port_context: Word(incoming.context),
        message_context: Word(incoming.cookie.as_ref().map_or(0, |cookie| cookie.value)),
        sequence: delivery
            .port
            .sequence
            .load(std::sync::atomic::Ordering::Relaxed),
        message_id: incoming.message_id,
        callback_id: incoming.callback_id,
    };
    guest::write(delivery.at, width(), &context)?;
    Ok(true)
}
