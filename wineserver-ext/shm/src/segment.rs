//! The memfd of one connection: two lanes, the inbox of the client's own port, connection state.
//!
//! | offset | field |
//! |---:|---|
//! | 0x000 | magic, version: fixed by the server, checked at mapping |
//! | 0x010 | state: OPEN, CLOSED, or closed by the server's end; written by the server, read at every send |
//! | 0x014 | connect word: PENDING, PENDING and sleeping, or what became of the request |
//! | 0x018, 0x020 | flags of the port and object types it accepts, of the server's end; the same of the client's |
//! | 0x028 | receivers that look at the lane to the server alone: their sleep word |
//! | 0x040 | ready root of the lane to the server |
//! | 0x080 | ready root of the lane to the client |
//! | 0x0C0, 0x100 | high-water marks and full bits of the two lanes |
//! | 0x200 | inbox of the client communication port |
//! | 0x800 | outcome of the connection request (`outcome.rs`) |
//! | 0x1000, 0x2080 | trees of the two ready maps |
//! | 0x3100 | tree of the client's inbox |
//! | 0x5000 | slots of the lane to the server, then those of the lane to the client |
//!
//! An idle connection has one page; its first message adds one. The numbers are virtual sizes: the file is sparse.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::inbox::{INBOX_LEN, Inbox};
use crate::lane::{self, Lane, SLOTS_LEN};
use crate::map::{self, TREE_LEN};
use crate::mem::{
    Mapping,
    Ordering::{Relaxed, SeqCst},
};
use crate::sys::{Deadline, Woken};

/// "ntlpcseg". Bump the version when any layout of this crate changes.
const MAGIC: u64 = 0x6765_7363_706C_746E;
const VERSION: u64 = 3;

const STATE: usize = 0x10;
const CONNECT: usize = 0x14;
const SERVER_END: usize = 0x18;
const CLIENT_END: usize = 0x20;
const LANE_BELL: usize = 0x28;
const CLIENT_INBOX: usize = 0x200;
const CLIENT_TREE: usize = 0x3100;
const SLOTS: usize = 0x5000;
const SEGMENT_LEN: usize = (SLOTS + 2 * SLOTS_LEN).next_multiple_of(0x1000);

const _: () = assert!(CLIENT_INBOX + INBOX_LEN <= 0x800);
const _: () = assert!(
    0x1000 + TREE_LEN <= 0x2080
        && 0x2080 + TREE_LEN <= CLIENT_TREE
        && CLIENT_TREE + TREE_LEN <= SLOTS
);

static TO_SERVER: lane::Layout = lane::Layout {
    map: map::Layout {
        root: 0x40,
        tree: 0x1000,
    },
    marks: 0xC0,
    slots: SLOTS,
    opposite: &TO_CLIENT,
};
static TO_CLIENT: lane::Layout = lane::Layout {
    map: map::Layout {
        root: 0x80,
        tree: 0x2080,
    },
    marks: 0x100,
    slots: SLOTS + SLOTS_LEN,
    opposite: &TO_SERVER,
};

const OPEN: u32 = 0;
const CLOSED: u32 = 1;
const CLOSED_BY_SERVER: u32 = 2;

const PENDING: u32 = 0;
const PENDING_ASLEEP: u32 = 1;
const ACCEPTED: u32 = 2;
const REFUSED: u32 = 3;
const LISTENER_GONE: u32 = 4;

/// What became of a connection request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connecting {
    /// Nothing yet.
    Pending,
    /// It was accepted and completed.
    Accepted,
    /// It was refused.
    Refused,
    /// The connection port was closed before.
    ListenerGone,
}

/// What an end of a connection says of its port: ALPC's port attributes that matter to the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndAttributes {
    /// Flags of the port.
    pub flags: u32,
    /// Object types it accepts.
    pub object_types: u32,
}

/// Direction of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client communication port to the connection port.
    ToServer,
    /// From the server communication port to the client communication port.
    ToClient,
}

impl Direction {
    /// Returns the other direction.
    #[must_use]
    pub fn opposite(self) -> Direction {
        match self {
            Direction::ToServer => Direction::ToClient,
            Direction::ToClient => Direction::ToServer,
        }
    }
}

/// Source number of the server's own messages in every inbox.
pub const SYSTEM_SOURCE: u32 = 0;
/// Source number of requests a port sends to itself, and of the other end in a client's inbox.
pub const SELF_SOURCE: u32 = 1;
/// First source number of connections in the inbox of a connection port.
pub const FIRST_CONNECTION: u32 = 2;

/// The shared memory of one connection.
#[derive(Clone, Debug)]
pub struct Segment {
    mem: Arc<Mapping>,
}

impl Segment {
    /// Creates an open segment.
    ///
    /// # Errors
    /// No descriptor or no memory.
    pub fn create() -> io::Result<Segment> {
        let mem = Mapping::create("ntlpc-segment", SEGMENT_LEN)?;
        mem.w64(0).store(MAGIC, Relaxed);
        mem.w64(8).store(VERSION, SeqCst);
        Ok(Segment { mem: Arc::new(mem) })
    }

    /// Maps a segment that the server handed out.
    ///
    /// # Errors
    /// `InvalidData` if it is not one of this version; else no address space.
    pub fn map(fd: OwnedFd) -> io::Result<Segment> {
        let mem = Mapping::open(fd, SEGMENT_LEN, true)?;
        if mem.w64(0).load(SeqCst) != MAGIC || mem.w64(8).load(SeqCst) != VERSION {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "segment of another version",
            ));
        }
        Ok(Segment { mem: Arc::new(mem) })
    }

    /// Returns the mapping, whose memfd can be handed on.
    #[must_use]
    pub fn mapping(&self) -> &Arc<Mapping> {
        &self.mem
    }

    /// Returns the lane of a direction.
    #[must_use]
    #[inline]
    pub fn lane(&self, direction: Direction) -> Lane<'_> {
        let at = match direction {
            Direction::ToServer => &TO_SERVER,
            Direction::ToClient => &TO_CLIENT,
        };
        Lane::new(&self.mem, at)
    }

    /// Returns the inbox of the client communication port. Its only sources are [`SYSTEM_SOURCE`] and [`SELF_SOURCE`].
    #[must_use]
    pub fn client_inbox(&self) -> Inbox {
        Inbox::of(Arc::clone(&self.mem), CLIENT_INBOX, CLIENT_TREE)
    }

    /// Returns whether the connection is closed. A sender asks *after* it published.
    #[must_use]
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.mem.w32(STATE).load(SeqCst) != OPEN
    }

    /// Server: closes the connection. It then sweeps the waits: see [`crate::rundown::lose_waits`].
    pub fn close(&self) {
        self.mem.w32(STATE).store(CLOSED, SeqCst);
        self.ring_lane();
    }

    /// Server: closes the connection as far as the server's end is concerned: it answers nothing more, datagrams to it are
    /// still taken.
    pub fn close_server_end(&self) {
        self.mem.w32(STATE).store(CLOSED_BY_SERVER, SeqCst);
        self.ring_lane();
    }

    /// Returns whether datagrams to the server are taken although the connection is closed.
    #[must_use]
    pub fn takes_datagrams(&self) -> bool {
        self.mem.w32(STATE).load(SeqCst) == CLOSED_BY_SERVER
    }

    /// Client: waits until the server decided about the connection request, a signal arrives or the deadline passes.
    #[must_use]
    pub fn wait_connect(&self, deadline: Option<Deadline>) -> Woken {
        let word = self.mem.w32(CONNECT);
        match word.compare_exchange(PENDING, PENDING_ASLEEP, SeqCst, SeqCst) {
            Ok(_) | Err(PENDING_ASLEEP) => {}
            Err(_) => return Woken::Look,
        }
        self.mem.futex_wait(CONNECT, PENDING_ASLEEP, deadline)
    }

    /// Returns what became of the connection request.
    #[must_use]
    #[inline(always)]
    pub fn connecting(&self) -> Connecting {
        match self.mem.w32(CONNECT).load(SeqCst) {
            ACCEPTED => Connecting::Accepted,
            REFUSED => Connecting::Refused,
            LISTENER_GONE => Connecting::ListenerGone,
            _ => Connecting::Pending,
        }
    }

    /// Returns whether the server decided about the connection request.
    #[must_use]
    pub fn is_connect_done(&self) -> bool {
        self.connecting() != Connecting::Pending
    }

    /// Server: the connection request is decided.
    pub fn finish_connect(&self, outcome: Connecting) {
        let word = match outcome {
            Connecting::Pending => return,
            Connecting::Accepted => ACCEPTED,
            Connecting::Refused => REFUSED,
            Connecting::ListenerGone => LISTENER_GONE,
        };
        if self.mem.w32(CONNECT).swap(word, SeqCst) == PENDING_ASLEEP {
            self.mem.futex_wake(CONNECT, i32::MAX);
        }
    }

    /// Returns what the end that receives in `direction` says of its port.
    #[must_use]
    pub fn attributes(&self, direction: Direction) -> EndAttributes {
        let at = Self::end(direction);
        EndAttributes {
            flags: self.mem.w32(at).load(Relaxed),
            object_types: self.mem.w32(at + 4).load(Relaxed),
        }
    }

    /// Sets what the end that receives in `direction` says of its port.
    pub fn set_attributes(&self, direction: Direction, attributes: EndAttributes) {
        let at = Self::end(direction);
        self.mem.w32(at).store(attributes.flags, Relaxed);
        self.mem.w32(at + 4).store(attributes.object_types, Relaxed);
    }

    fn end(direction: Direction) -> usize {
        match direction {
            Direction::ToServer => SERVER_END,
            Direction::ToClient => CLIENT_END,
        }
    }

    /// Receiver of the lane to the server alone: says that it will sleep. It then looks at the lane and calls
    /// [`Segment::wait_lane`].
    pub fn arm_lane(&self) {
        self.mem.w32(LANE_BELL).store(1, SeqCst);
    }

    /// Sleeps until the lane to the server is rung after [`Segment::arm_lane`], a signal arrives or the deadline passes.
    #[must_use]
    pub fn wait_lane(&self, deadline: Option<Deadline>) -> Woken {
        self.mem.futex_wait(LANE_BELL, 1, deadline)
    }

    /// Returns the address of the word that is 1 from [`Segment::arm_lane`] until the lane to the server is rung.
    #[must_use]
    pub fn lane_bell_address(&self) -> usize {
        self.mem.futex_address(LANE_BELL)
    }

    /// Wakes those that sleep on the lane to the server alone. A sender rings after it published.
    #[inline]
    pub fn ring_lane(&self) {
        let word = self.mem.w32(LANE_BELL);
        if word.load(SeqCst) != 0 && word.swap(0, SeqCst) != 0 {
            self.mem.futex_wake(LANE_BELL, i32::MAX);
        }
    }
}
