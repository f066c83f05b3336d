//! Descriptors and descriptions that travel beside messages (alpc §2.5.8).

use std::os::fd::OwnedFd;
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use ntlpc_proto::Bytes;
use ntlpc_proto::attachment::{
    Attach, AttachReply, AttachToken, AttachTokenReply, Detach, DetachReply, Reclaim, ReclaimReply,
    RevokeTokens, RevokeTokensReply, Take, TakeReply,
};

use crate::answer::{OutFd, Outcome, answer, answer_with};
use crate::connection::{Connection, ConnectionId};
use crate::limits::MAX_ATTACHED_ITEMS;
use crate::namespace::ObjectId;
use crate::port::Source;
use crate::process::ProcessNo;
use crate::security::ImpersonationLevel;
use crate::state::State;

/// What was left for the other end of a connection.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// `None` until a connect or accept names it.
    connection: Option<ConnectionId>,
    /// Process that made it, and may end it.
    sender: ProcessNo,
    /// By number; `None` for one that was taken for good.
    items: Vec<Option<Item>>,
}

#[derive(Debug)]
struct Item {
    description: Bytes,
    fds: Vec<Arc<OwnedFd>>,
    is_token: bool,
    /// Its sender's number of a token's context.
    context: u64,
}

impl Bundle {
    /// Returns descriptions of what nobody took for good, tokens left out.
    fn left(self) -> impl Iterator<Item = Bytes> {
        self.items
            .into_iter()
            .flatten()
            .filter(|item| !item.is_token)
            .map(|item| item.description)
            .filter(|description| !description.0.is_empty())
    }
}

impl State {
    /// Adds an item to a bundle.
    pub fn attach(
        &mut self,
        caller: ProcessNo,
        request: Attach,
        fds: Vec<OwnedFd>,
    ) -> Outcome<Attach> {
        let item = Item {
            description: request.description,
            fds: fds.into_iter().map(Arc::new).collect(),
            is_token: false,
            context: 0,
        };
        let (bundle, index) =
            self.add_item(caller, (request.port, request.source), request.bundle, item)?;
        let left = self.take_orphans(caller);
        answer(AttachReply {
            bundle,
            index,
            left,
        })
    }

    /// Adds a token, made from what the caller may claim to be.
    pub fn attach_token(
        &mut self,
        caller: ProcessNo,
        request: AttachToken,
    ) -> Outcome<AttachToken> {
        let level = ImpersonationLevel::from_raw(request.qos.level)?;
        let token = self
            .token_of_process(caller, &request.token.0)?
            .impersonation(level, request.qos.is_effective_only)?;
        let item = Item {
            description: token.to_bytes(),
            fds: Vec::new(),
            is_token: true,
            context: request.context,
        };
        let (bundle, index) =
            self.add_item(caller, (request.port, request.source), request.bundle, item)?;
        answer(AttachTokenReply { bundle, index })
    }

    fn add_item(
        &mut self,
        caller: ProcessNo,
        (port, source): (ObjectId, u32),
        bundle: u64,
        item: Item,
    ) -> Result<(u64, u32), NtStatus> {
        let connection = match port {
            0 => None,
            port => Some(self.sending_connection(caller, port, source)?),
        };
        let count: usize = self
            .bundles
            .values()
            .filter(|bundle| match connection {
                None => bundle.connection.is_none() && bundle.sender == caller,
                connection => bundle.connection == connection,
            })
            .map(|bundle| bundle.items.len())
            .sum();
        if count >= MAX_ATTACHED_ITEMS {
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        let number = match bundle {
            0 => {
                self.next_bundle += 1;
                let fresh = Bundle {
                    connection,
                    sender: caller,
                    items: Vec::new(),
                };
                self.bundles.insert(self.next_bundle, fresh);
                self.next_bundle
            }
            number => number,
        };
        let bundle = self
            .bundles
            .get_mut(&number)
            .filter(|bundle| bundle.sender == caller && bundle.connection == connection)
            .ok_or(NtStatus::INVALID_HANDLE)?;
        bundle.items.push(Some(item));
        Ok((number, bundle.items.len() as u32 - 1))
    }

    /// Returns the connection by which a process sends on a port; on a connection port a source number says which.
    fn sending_connection(
        &self,
        caller: ProcessNo,
        port: ObjectId,
        source: u32,
    ) -> Result<ConnectionId, NtStatus> {
        let port = self.held_port(caller, port)?;
        let of_source = |source| match port.receiving()?.sources.get(source)? {
            Source::Connection(id) => Some(*id),
            _ => None,
        };
        let connection = port.connection().or_else(|| of_source(&source));
        connection.ok_or(NtStatus::PORT_DISCONNECTED)
    }

    /// Gives bundles a process made for a connect or accept to the connection.
    pub(crate) fn bind_bundles(
        &mut self,
        caller: ProcessNo,
        numbers: &[u64],
        connection: ConnectionId,
    ) {
        for number in numbers {
            let bundle = self.bundles.get_mut(number);
            let is_own =
                |bundle: &&mut Bundle| bundle.sender == caller && bundle.connection.is_none();
            if let Some(bundle) = bundle.filter(is_own) {
                bundle.connection = Some(connection);
            }
        }
    }

    /// The tokens of a context are those of nobody from now on.
    pub fn revoke_tokens(
        &mut self,
        caller: ProcessNo,
        request: RevokeTokens,
    ) -> Outcome<RevokeTokens> {
        let own = self
            .bundles
            .values_mut()
            .filter(|bundle| bundle.sender == caller);
        for item in own.flat_map(|bundle| &mut bundle.items).flatten() {
            if item.is_token && item.context == request.context {
                item.is_token = false;
                item.description = Bytes::default();
            }
        }
        answer(RevokeTokensReply {})
    }

    /// Returns what ended bundles of a process left.
    pub fn reclaim(&mut self, caller: ProcessNo) -> Outcome<Reclaim> {
        let left = self.take_orphans(caller);
        answer(ReclaimReply { left })
    }

    fn take_orphans(&mut self, process: ProcessNo) -> Vec<Bytes> {
        self.orphans.remove(&process).unwrap_or_default()
    }

    /// A process is gone: what it had attached to no connection goes, and nobody asks for what it had left.
    pub(crate) fn drop_attachments_of(&mut self, process: ProcessNo) {
        self.orphans.remove(&process);
        self.bundles
            .retain(|_, bundle| bundle.connection.is_some() || bundle.sender != process);
    }

    /// Returns an item.
    pub fn take_attached(&mut self, caller: ProcessNo, request: Take) -> Outcome<Take> {
        self.check_bundle(caller, request.bundle)?;
        let gone = NtStatus::INVALID_HANDLE;
        let bundle = self.bundles.get_mut(&request.bundle).ok_or(gone)?;
        let slot = bundle.items.get_mut(request.index as usize);
        let slot = slot.ok_or(gone)?;
        let item = slot.as_ref().ok_or(gone)?;
        let reply = TakeReply {
            description: item.description.clone(),
            is_token: item.is_token,
        };
        let fds = item.fds.iter().cloned().map(OutFd::Other).collect();
        if request.is_last
            && let Some(item) = slot.take()
            && bundle.sender != caller
            && !item.is_token
            && !item.description.0.is_empty()
        {
            // Its sender is not asked to close what it keeps for it until it asks itself.
            let orphans = self.orphans.entry(bundle.sender).or_default();
            orphans.push(item.description);
        }
        answer_with(reply, fds)
    }

    /// Ends a bundle.
    pub fn detach(&mut self, caller: ProcessNo, request: Detach) -> Outcome<Detach> {
        self.check_bundle(caller, request.bundle)?;
        let bundle = self.bundles.remove(&request.bundle);
        let Some(bundle) = bundle else {
            return answer(DetachReply::default());
        };
        let sender = bundle.sender;
        let left: Vec<Bytes> = bundle.left().collect();
        if sender == caller {
            return answer(DetachReply { left });
        }
        if self.processes.contains_key(&sender) {
            self.orphans.entry(sender).or_default().extend(left);
        }
        answer(DetachReply::default())
    }

    /// Ends the bundles of a connection that is gone. Senders that live may have to let go of what was in them.
    pub(crate) fn drop_bundles(&mut self, connection: ConnectionId) {
        self.drop_bundles_if(|bundle| bundle.connection == Some(connection));
    }

    /// Ends the bundles a client left for its server, which is told that their messages are cancelled (alpc#201).
    pub(crate) fn drop_bundles_of_client(&mut self, connection: ConnectionId, client: ProcessNo) {
        self.drop_bundles_if(|bundle| {
            bundle.connection == Some(connection) && bundle.sender == client
        });
    }

    fn drop_bundles_if(&mut self, is_over: impl Fn(&Bundle) -> bool) {
        let gone: Vec<_> = self
            .bundles
            .extract_if(|_, bundle| is_over(bundle))
            .collect();
        for (_, bundle) in gone {
            let sender = bundle.sender;
            if self.processes.contains_key(&sender) {
                let left = bundle.left();
                self.orphans.entry(sender).or_default().extend(left);
            }
        }
    }

    fn check_bundle(&self, caller: ProcessNo, number: u64) -> Result<(), NtStatus> {
        let bundle = self.bundles.get(&number).ok_or(NtStatus::INVALID_HANDLE)?;
        let is_visible = bundle.sender == caller
            || bundle
                .connection
                .and_then(|connection| self.connections.get(&connection))
                .is_some_and(|connection| self.is_at_an_end(caller, connection));
        is_visible.then_some(()).ok_or(NtStatus::INVALID_HANDLE)
    }

    /// Returns whether a process holds the client's or the server's port, or receives for the latter.
    fn is_at_an_end(&self, process: ProcessNo, connection: &Connection) -> bool {
        connection.client_process == process
            || connection.client_holders.contains(&process)
            || connection.server_holders.contains(&process)
            || self.held_port(process, connection.port).is_ok()
    }
}
