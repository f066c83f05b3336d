//! The client end of the control protocol.

use core::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use ntlpc_abi::NtStatus;

use crate::Request;
use crate::frame::{self, Frame, MAX_BYTES};
use crate::transport::{self, Wait};
use crate::wire::Malformed;

/// Why a call has no reply fields.
#[derive(Debug)]
pub enum CallError {
    /// The server answered with a status other than `STATUS_SUCCESS`.
    Refused(NtStatus),
    /// The request could not be sent, or the server went away or answered nonsense.
    Lost(io::Error),
}

impl CallError {
    /// Returns the NT status a guest should see; a lost server is `STATUS_UNSUCCESSFUL`.
    #[must_use]
    pub fn status(&self) -> NtStatus {
        match self {
            CallError::Refused(status) => *status,
            CallError::Lost(_) => NtStatus::UNSUCCESSFUL,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Refused(status) => write!(f, "the server answered {status:?}"),
            CallError::Lost(error) => write!(f, "the connection to the server is lost: {error}"),
        }
    }
}

impl std::error::Error for CallError {}

impl From<io::Error> for CallError {
    fn from(error: io::Error) -> CallError {
        CallError::Lost(error)
    }
}

impl From<Malformed> for CallError {
    fn from(error: Malformed) -> CallError {
        CallError::Lost(io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// A control connection; usable from any thread, one call at a time.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    /// Receive buffer; held from the send of a request to the end of its reply, so that replies cannot be mixed up.
    turn: Mutex<Vec<u8>>,
}

impl Connection {
    /// Wraps a connected control socket.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Connection {
        Connection {
            socket,
            turn: Mutex::new(Vec::new()),
        }
    }

    /// Sends `request` with `fds` and waits for its reply and the descriptors that come with it.
    pub fn call<R: Request>(
        &self,
        request: &R,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(R::Reply, Vec<OwnedFd>), CallError> {
        let bytes = frame::encode_request(request);
        let mut buffer = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.resize(MAX_BYTES, 0);
        // A server that turns a client away answers and closes without reading: its answer may be there all the same.
        let sent = transport::send(&self.socket, &bytes, fds, Wait::Blocking);
        let sent = match sent {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
            sent => sent,
        };
        let received = match transport::receive(&self.socket, &mut buffer, Wait::Blocking) {
            // The kernel reports the unread request first, and once.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                transport::receive(&self.socket, &mut buffer, Wait::Blocking)?
            }
            received => received?,
        };
        if received.len == 0 {
            sent?;
            return Err(CallError::Lost(io::Error::from(
                io::ErrorKind::UnexpectedEof,
            )));
        }
        let reply = Frame::parse(&buffer[..received.len])?;
        if reply.number != R::NUMBER {
            return Err(Malformed::UnknownRequest(reply.number).into());
        }
        if reply.status != NtStatus::SUCCESS {
            return Err(CallError::Refused(reply.status));
        }
        Ok((frame::decode_body(reply.body)?, received.fds))
    }

    /// Sends `request` and waits for nothing. The server handles the requests of one connection in their order.
    pub fn post<R: Request>(&self, request: &R) -> Result<(), CallError> {
        let bytes = frame::encode_posted(request);
        Ok(transport::send(&self.socket, &bytes, &[], Wait::Blocking)?)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
