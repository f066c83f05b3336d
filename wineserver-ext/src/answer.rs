//! What a handler gives back: reply fields and descriptors, or an NT status.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use ntlpc_proto::{Request, frame};
use ntlpc_shm::mem::Mapping;

/// Outcome of a request of type `R`.
pub type Outcome<R> = Result<Answer<<R as Request>::Reply>, NtStatus>;

/// Reply fields and the descriptors that go with them, in declared order.
#[derive(Debug)]
pub struct Answer<T> {
    /// The fields.
    pub reply: T,
    /// The descriptors.
    pub fds: Vec<OutFd>,
}

/// A descriptor to send.
#[derive(Clone, Debug)]
pub enum OutFd {
    /// A shared mapping's memfd.
    Memory(Arc<Mapping>),
    /// Any other descriptor.
    Other(Arc<OwnedFd>),
}

impl AsFd for OutFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            OutFd::Memory(mapping) => mapping.fd(),
            OutFd::Other(fd) => fd.as_fd(),
        }
    }
}

/// Answers with fields alone.
pub fn answer<T>(reply: T) -> Result<Answer<T>, NtStatus> {
    Ok(Answer {
        reply,
        fds: Vec::new(),
    })
}

/// Answers with fields and descriptors.
pub fn answer_with<T>(reply: T, fds: Vec<OutFd>) -> Result<Answer<T>, NtStatus> {
    Ok(Answer { reply, fds })
}

/// Encodes an outcome as a reply frame and its descriptors.
#[must_use]
pub fn encode<R: Request>(outcome: Outcome<R>) -> (Vec<u8>, Vec<OutFd>) {
    match outcome {
        Ok(Answer { reply, fds }) => {
            let bytes = frame::encode_reply::<R>(Ok(&reply));
            if bytes.len() > frame::MAX_BYTES {
                log::warn!("the reply to {} does not fit a frame", R::NAME);
                return (
                    frame::encode_refusal(R::NUMBER, NtStatus::INSUFFICIENT_RESOURCES),
                    Vec::new(),
                );
            }
            (bytes, fds)
        }
        Err(status) => (frame::encode_reply::<R>(Err(status)), Vec::new()),
    }
}

/// Says which status a failed system call is to a guest: there is no room.
#[must_use]
pub fn no_room(what: &str, error: &io::Error) -> NtStatus {
    log::warn!("{what}: {error}");
    NtStatus::INSUFFICIENT_RESOURCES
}
