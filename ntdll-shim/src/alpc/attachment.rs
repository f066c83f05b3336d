//! Bundles at the server: descriptors and descriptions that travel beside a message (alpc §2.5.8).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use ntlpc_proto::Bytes;
use ntlpc_proto::attachment::{Attach, AttachToken, Detach, Reclaim, RevokeTokens, Take};

use super::frame::Sending;
use crate::engine::{Resources, SecurityContext, Sent, session};
use crate::host;

/// An item of a bundle, as a record names it: bundle and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// The bundle.
    pub bundle: u64,
    /// The item's number in it.
    pub index: u32,
}

impl Item {
    /// Bytes of an encoded item.
    pub const LEN: usize = 12;

    /// Encodes the item for a record.
    pub fn encode(self) -> [u8; Item::LEN] {
        let mut bytes = [0; Item::LEN];
        bytes[..8].copy_from_slice(&self.bundle.to_le_bytes());
        bytes[8..].copy_from_slice(&self.index.to_le_bytes());
        bytes
    }

    /// Decodes what a record has; `None` if it is damaged.
    pub fn decode(bytes: &[u8]) -> Option<(Item, &[u8])> {
        let (bundle, rest) = bytes.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let item = Item {
            bundle: u64::from_le_bytes(*bundle),
            index: u32::from_le_bytes(*index),
        };
        Some((item, rest))
    }

    /// Fetches the item: its description, whether the server made it a token, its descriptors. With `is_last` it is gone for
    /// others.
    pub fn take(self, is_last: bool) -> Result<(Vec<u8>, bool, Vec<OwnedFd>), NtStatus> {
        let request = Take {
            bundle: self.bundle,
            index: self.index,
            is_last,
        };
        let (reply, fds) = session()?.call(&request, &[])?;
        Ok((reply.description.0, reply.is_token, fds))
    }
}

/// A bundle being filled for a message; it ends with this value unless the message is sent.
#[derive(Debug)]
pub(super) struct Bundle {
    port: u64,
    source: u32,
    resources: Arc<Resources>,
    number: u64,
}

impl Bundle {
    /// Begins a bundle for the other end of the connection the message goes by.
    pub fn new(sending: &Sending) -> Bundle {
        Bundle {
            port: sending.port(),
            source: sending.source(),
            resources: Arc::clone(sending.resources()),
            number: 0,
        }
    }

    /// Adds a description and its descriptors.
    pub fn add(&mut self, description: Vec<u8>, fds: &[OwnedFd]) -> Result<Item, NtStatus> {
        let request = Attach {
            port: self.port,
            source: self.source,
            bundle: self.number,
            description: Bytes(description),
        };
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        let (reply, _) = session()?.call(&request, &fds)?;
        forget_left(reply.left);
        self.number = reply.bundle;
        Ok(Item {
            bundle: reply.bundle,
            index: reply.index,
        })
    }

    /// Adds the token of a security context.
    pub fn add_token(&mut self, context: &SecurityContext) -> Result<Item, NtStatus> {
        let request = AttachToken {
            port: self.port,
            source: self.source,
            bundle: self.number,
            token: Bytes(context.token.to_vec()),
            qos: context.qos.clone(),
            context: context.serial,
        };
        let (reply, _) = session()?.call(&request, &[])?;
        self.number = reply.bundle;
        Ok(Item {
            bundle: reply.bundle,
            index: reply.index,
        })
    }

    /// Leaves the bundle to the message once that is sent; until then it ends with `sending`.
    pub fn give_to(mut self, sending: &mut Sending) {
        let number = std::mem::take(&mut self.number);
        if number == 0 {
            return;
        }
        sending.undo_with(move || end(number));
        sending.bundles.push(number);
        let resources = Arc::clone(&self.resources);
        sending.when_sent(move |id| {
            let sent = Sent {
                bundles: vec![number],
                ..Sent::default()
            };
            resources.message_sent(id, sent);
            Ok(())
        });
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if self.number != 0 {
            end(self.number);
        }
    }
}

/// Lets go of what this process attached to messages that ended without it (a port that had attachments goes away).
pub(crate) fn reclaim() {
    if let Ok((reply, _)) = session().and_then(|session| session.call(&Reclaim {}, &[])) {
        forget_left(reply.left);
    }
}

fn forget_left(left: Vec<Bytes>) {
    for description in left {
        host::current().forget_export(&description.0);
    }
}

/// Makes the tokens of a context that are on their way tokens of nobody.
pub(super) fn revoke(context: &SecurityContext) {
    let request = RevokeTokens {
        context: context.serial,
    };
    if let Err(status) = session().and_then(|session| session.call(&request, &[])) {
        log::debug!("tokens on their way are not revoked: {status}");
    }
}

/// Ends a bundle, if it has not ended. Its sender lets go of what it exported in it.
pub(super) fn end(bundle: u64) {
    let ended = session().and_then(|session| session.call(&Detach { bundle }, &[]));
    match ended {
        Ok((reply, _)) => forget_left(reply.left),
        // The other end was faster.
        Err(_) => reclaim(),
    }
}
