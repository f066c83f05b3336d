//! Requests about what travels beside a message: the memory of a view, objects behind handles (alpc §2.5.8).
//!
//! Descriptors cannot lie in shared memory, so a sender leaves them here, in a bundle, and names the bundle in its message.
//! The server looks into no description. A bundle ends with its connection, at the latest.

use crate::port::Qos;
use crate::{Bytes, requests};

requests! {
    /// Requests about what travels beside a message.
    family Attachment = 0x04;

    /// Adds an item to a bundle for the other end of a connection.
    ///
    /// `STATUS_INVALID_HANDLE` for a bundle of somebody else, `STATUS_INSUFFICIENT_RESOURCES` when a connection has too many
    /// items.
    1 Attach {
        /// The sender's communication port, or its connection port; 0 for a bundle that a connect or accept will name.
        port: u64,
        /// With a connection port, the source number of the connection.
        source: u32,
        /// The bundle; 0 = a new one.
        bundle: u64,
        /// Description of the item, for the receiving host only.
        description: Bytes,
    } with ["descriptor?"] => AttachReply {
        /// The bundle.
        bundle: u64,
        /// Number of the item in it.
        index: u32,
        /// As of [`Reclaim`].
        left: Vec<Bytes>,
    };

    /// Returns an item.
    ///
    /// `STATUS_INVALID_HANDLE` for a bundle that is gone or that the calling process is not to see, and for an item it does
    /// not have.
    2 Take {
        /// The bundle.
        bundle: u64,
        /// Number of the item.
        index: u32,
        /// Whether the item leaves its bundle; its number stays taken.
        is_last: bool,
    } => TakeReply {
        /// Its description; a token the server made for [`AttachToken`].
        description: Bytes,
        /// Whether it is such a token.
        is_token: bool,
    } with ["descriptor?"];

    /// Ends a bundle, at either end. `STATUS_INVALID_HANDLE` if it has ended.
    3 Detach {
        /// The bundle.
        bundle: u64,
    } => DetachReply {
        /// To who attached it: descriptions of what nobody took for good, tokens left out. The host may have to let go of
        /// something.
        left: Vec<Bytes>,
    };

    /// Adds the token of a security context (alpc §2.13): who has the message may become it.
    ///
    /// As [`Attach`]; `STATUS_BAD_IMPERSONATION_LEVEL` for a higher level than the token has.
    4 AttachToken {
        /// The sender's communication port, or its connection port.
        port: u64,
        /// With a connection port, the source number of the connection.
        source: u32,
        /// The bundle; 0 = a new one.
        bundle: u64,
        /// The token ([`Token`](crate::process::Token)); empty = the process's.
        token: Bytes,
        /// What the receiver may become.
        qos: Qos,
        /// The process's number of the context, for [`RevokeTokens`].
        context: u64,
    } => AttachTokenReply {
        /// The bundle.
        bundle: u64,
        /// Number of the item in it.
        index: u32,
    };

    /// Makes the tokens of a context that are on their way tokens of nobody (alpc §2.13).
    5 RevokeTokens {
        /// The process's number of the context.
        context: u64,
    } => RevokeTokensReply {};

    /// Returns what the calling process attached and others took for good or ended: the host may have to let go of something.
    6 Reclaim {} => ReclaimReply {
        /// Descriptions of what nobody took for good, tokens left out.
        left: Vec<Bytes>,
    };
}
