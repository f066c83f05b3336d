//! Messages the server makes: connection requests, PORT_CLOSED, CLIENT_DIED, kernel-originated requests.
//!
//! They lie in the lane to the server of a *system segment*, source [`SYSTEM_SOURCE`] of an
//! inbox, which only receivers and the server map. So a client can neither forge nor damage one.

use crate::Tno;
use crate::inbox::Inbox;
use crate::lane::{Cursor, Full};
use crate::segment::{Direction, SYSTEM_SOURCE, Segment};
use crate::slot::{HAS_ATTRIBUTES, Header};
use crate::sys;

/// One message made by the server.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// Message type.
    pub message_type: u16,
    /// Thread the message is about: its ids become the ClientId. It may be dead by the time of delivery.
    pub subject: Tno,
    /// Port context to deliver.
    pub context: u64,
    /// Source number of the connection concerned; 0 for none.
    pub source: u32,
    /// View size of a connection request; else 0.
    pub view_size: u64,
    /// The data.
    pub data: &'a [u8],
    /// Message id, if the notice belongs to an earlier message.
    pub id: Option<u32>,
    /// `TotalLength` less the header, if it is more than the data.
    pub body_len: u16,
    /// Whether attributes go with it, which the server is asked for.
    pub has_attributes: bool,
}

/// Queues `notice` and rings; returns its message id. Receivers find `source` in [`Header::attributes`].
///
/// # Errors
/// [`Full`] if the segment has no free slot.
pub fn post(
    segment: &Segment,
    cursor: &Cursor,
    inbox: &Inbox,
    server: Tno,
    notice: &Notice<'_>,
) -> Result<u32, Full> {
    post_numbered(segment, cursor, (inbox, inbox), server, notice)
}

/// As [`post`], to an inbox that is not the one that numbers messages: `(tickets, inbox)`.
///
/// # Errors
/// [`Full`] if the segment has no free slot.
pub fn post_numbered(
    segment: &Segment,
    cursor: &Cursor,
    (tickets, inbox): (&Inbox, &Inbox),
    server: Tno,
    notice: &Notice<'_>,
) -> Result<u32, Full> {
    let lane = segment.lane(Direction::ToServer);
    let len = notice.data.len();
    let data_len = u16::try_from(len).map_err(|_| Full)?;
    let slot = lane.allocate(cursor, len, server)?;
    slot.set_header(&Header {
        data_len,
        body_len: data_len.max(notice.body_len),
        message_type: notice.message_type,
        cpu: sys::current_cpu(),
        attributes: notice.source,
        view_size: notice.view_size,
        sender: notice.subject,
        context: notice.context,
        flags: if notice.has_attributes {
            HAS_ATTRIBUTES
        } else {
            0
        },
        ..Header::default()
    });
    slot.write(0, notice.data);
    let inboxes = (tickets, inbox);
    Ok(lane.publish_as(&slot, notice.id, inboxes, SYSTEM_SOURCE, server, false))
}
