//! What became of a classic connection request, where its client finds it without asking: in the segment.
//!
//! | offset | field |
//! |---:|---|
//! | 0x800 | length of the connection information in bytes |
//! | 0x804 | 1 if the client must ask the server for more |
//! | 0x808 | address of the client's view in the server process |
//! | 0x810 | connection information |
//!
//! Written by the server before it stores the connect word. The acceptor can write there, too: it changes what it said
//! itself, and the reader clamps.

use crate::mem::Ordering::Relaxed;
use crate::segment::Segment;

const LEN: usize = 0x800;
const MORE: usize = 0x804;
const VIEW_BASE: usize = 0x808;
const INFO: usize = 0x810;
/// Most connection information a classic port can have, of either width.
const INFO_BYTES: usize = 0x208;

/// What the client of a decided connection request is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Connection information.
    pub info: Vec<u8>,
    /// Address of the client's view in the server process; 0 without one.
    pub client_view_base: u64,
    /// Whether the server knows more: a view of the server, whose section it has.
    pub has_more: bool,
}

impl Segment {
    /// Server: leaves the outcome for the client, before [`Segment::finish_connect`].
    pub fn set_outcome(&self, outcome: &Outcome) {
        let mem = self.mapping();
        let len = outcome.info.len().min(INFO_BYTES);
        mem.write(INFO, &outcome.info[..len]);
        mem.w32(LEN).store(len as u32, Relaxed);
        mem.w32(MORE).store(u32::from(outcome.has_more), Relaxed);
        mem.w64(VIEW_BASE).store(outcome.client_view_base, Relaxed);
    }

    /// Client: reads the outcome, once [`Segment::is_connect_done`].
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let mem = self.mapping();
        let len = (mem.w32(LEN).load(Relaxed) as usize).min(INFO_BYTES);
        let mut info = vec![0; len];
        mem.read(INFO, &mut info);
        Outcome {
            info,
            client_view_base: mem.w64(VIEW_BASE).load(Relaxed),
            has_more: mem.w32(MORE).load(Relaxed) != 0,
        }
    }
}
