//! Messages the server itself puts into an inbox: connection requests, LPC_PORT_CLOSED, LPC_CLIENT_DIED.

use std::io;
use std::sync::Arc;

use ntlpc_shm::SERVER;
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::lane::{Cursor, Full};
use ntlpc_shm::notice;
pub use ntlpc_shm::notice::Notice;
use ntlpc_shm::segment::{Direction, Segment};
use ntlpc_shm::slot::Kind;

use crate::answer::OutFd;

/// LPC_PORT_CLOSED (lpc §1.9).
pub const PORT_CLOSED: u16 = 5;
/// LPC_CLIENT_DIED.
pub const CLIENT_DIED: u16 = 6;
/// LPC_CONNECTION_REQUEST.
pub const CONNECTION_REQUEST: u16 = 10;
/// LPC_CONNECTION_REPLY (alpc §1.1).
pub const CONNECTION_REPLY: u16 = 11;
/// LPC_CANCELED.
pub const CANCELED: u16 = 12;

/// The source of the server's own messages in one inbox.
#[derive(Debug)]
pub struct SystemSource {
    segment: Segment,
    cursor: Cursor,
}

impl SystemSource {
    /// Makes an empty source.
    pub fn new() -> io::Result<SystemSource> {
        Ok(SystemSource {
            segment: Segment::create()?,
            cursor: Cursor::default(),
        })
    }

    /// Returns its segment.
    #[must_use]
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Returns its descriptor to send.
    #[must_use]
    pub fn out_fd(&self) -> OutFd {
        OutFd::Memory(Arc::clone(self.segment.mapping()))
    }

    /// Takes a notice back that nobody has received; returns whether it was there.
    #[must_use]
    pub fn withdraw(&self, message_id: u32) -> bool {
        let lane = self.segment.lane(Direction::ToServer);
        let mut is_withdrawn = false;
        lane.for_each_used(|slot| {
            if slot.state().kind == Kind::Ready && slot.header().message_id == message_id {
                is_withdrawn |= lane.withdraw(&slot, SERVER);
            }
        });
        is_withdrawn
    }

    /// Queues a notice in `inbox`; returns its MessageId.
    ///
    /// Fails if the receiver left too many unread.
    pub fn post(&self, inbox: &Inbox, notice: &Notice<'_>) -> Result<u32, Full> {
        notice::post(&self.segment, &self.cursor, inbox, SERVER, notice)
    }

    /// As [`SystemSource::post`], with an id of the connection port whose inbox is `tickets`.
    pub fn post_numbered(
        &self,
        tickets: &Inbox,
        inbox: &Inbox,
        notice: &Notice<'_>,
    ) -> Result<u32, Full> {
        notice::post_numbered(
            &self.segment,
            &self.cursor,
            (tickets, inbox),
            SERVER,
            notice,
        )
    }
}
