//! Sockets: Linux calls with addresses and errors of Winsock.
//!
//! Addresses have the same layout but for the number of the IPv6 family (23 on Windows, 10 here). Source: Microsoft Learn
//! "Windows Sockets Error Codes", `winsock2.h`.
#![allow(
    unsafe_code,
    reason = "socket calls with guest addresses copied to host buffers"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `AF_INET6` of Winsock.
pub(super) const WINSOCK_INET6: u16 = 23;
/// Room for any address.
const ADDRESS_BYTES: usize = 128;

/// The Winsock error of a Linux error.
#[must_use]
pub fn wsa_error(error: &io::Error) -> u32 {
    match error.raw_os_error().unwrap_or(0) {
        libc::EINTR => 10004,
        libc::EBADF => 10009,
        libc::EACCES | libc::EPERM => 10013,
        libc::EFAULT => 10014,
        libc::EINVAL => 10022,
        libc::EMFILE | libc::ENFILE => 10024,
        libc::EAGAIN => 10035,
        libc::EINPROGRESS => 10035,
        libc::EALREADY => 10037,
        libc::ENOTSOCK => 10038,
        libc::EDESTADDRREQ => 10039,
        libc::EMSGSIZE => 10040,
        libc::EPROTOTYPE => 10041,
        libc::ENOPROTOOPT => 10042,
        libc::EPROTONOSUPPORT => 10043,
        libc::ESOCKTNOSUPPORT => 10044,
        libc::EOPNOTSUPP => 10045,
        libc::EAFNOSUPPORT => 10047,
        libc::EADDRINUSE => 10048,
        libc::EADDRNOTAVAIL => 10049,
        libc::ENETDOWN => 10050,
        libc::ENETUNREACH => 10051,
        libc::ECONNABORTED => 10053,
        libc::ECONNRESET | libc::EPIPE => 10054,
        libc::ENOBUFS | libc::ENOMEM => 10055,
        libc::EISCONN => 10056,
        libc::ENOTCONN => 10057,
        libc::ESHUTDOWN => 10058,
        libc::ETIMEDOUT => 10060,
        libc::ECONNREFUSED => 10061,
        libc::EHOSTUNREACH => 10065,
        _ => 10107,
    }
}

fn check(result: i64) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Turns the family of an address from Winsock's number to Linux's (`true`) or back.
pub(super) fn translate(address: &mut [u8], to_linux: bool) {
    let (from, to) = if to_linux {
        (WINSOCK_INET6, libc::AF_INET6 as u16)
    } else {
        (libc::AF_INET6 as u16, WINSOCK_INET6)
    };
    if let Some(family) = address.first_chunk_mut::<2>()
        && u16::from_le_bytes(*family) == from
    {
        *family = to.to_le_bytes();
    }
}

/// Makes a socket of a Winsock family, type and protocol.
pub fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    let family = if family == i32::from(WINSOCK_INET6) {
        libc::AF_INET6
    } else {
        family
    };
    // SAFETY: no memory is passed.
    let fd = check(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) }.into())?;
    // SAFETY: a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// `bind` and `connect`.
pub fn with_address(fd: BorrowedFd<'_>, mut address: Vec<u8>, is_connect: bool) -> io::Result<()> {
    translate(&mut address, true);
    let (at, length) = (
        address.as_ptr().cast::<libc::sockaddr>(),
        address.len() as u32,
    );
    // SAFETY: the address and its length describe the vector, which outlives the call.
    let result = unsafe {
        if is_connect {
            libc::connect(fd.as_raw_fd(), at, length)
        } else {
            libc::bind(fd.as_raw_fd(), at, length)
        }
    };
    check(result.into()).map(|_| ())
}

/// Returns whether calls on a socket wait.
pub fn is_blocking(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(!rustix::fs::fcntl_getfl(fd)?.contains(rustix::fs::OFlags::NONBLOCK))
}

/// Starts to connect without waiting; returns whether the socket blocked, which it does not until [`finish_connect`].
pub fn start_connect(fd: BorrowedFd<'_>, address: Vec<u8>) -> io::Result<bool> {
    let was_blocking = is_blocking(fd)?;
    rustix::io::ioctl_fionbio(fd, true)?;
    match with_address(fd, address, true) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => {
            rustix::io::ioctl_fionbio(fd, !was_blocking)?;
            Err(error)
        }
        _ => Ok(was_blocking),
    }
}

/// Ends what [`start_connect`] began, once the socket can be written to or has failed.
pub fn finish_connect(fd: BorrowedFd<'_>, was_blocking: bool) -> io::Result<()> {
    let error = rustix::net::sockopt::socket_error(fd)?;
    rustix::io::ioctl_fionbio(fd, !was_blocking)?;
    error.map_err(Into::into)
}

/// How far a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Of a stream, without a connection.
    Idle,
    /// Takes connections.
    Listening,
    /// Tries to connect.
    Connecting,
    /// Connected.
    Connected,
    /// Without connections.
    Datagram,
}

/// Returns how far a socket is.
pub fn phase(fd: BorrowedFd<'_>) -> io::Result<Phase> {
    // States of Linux's <netinet/tcp.h>.
    const SYN_SENT: u8 = 2;
    const SYN_RECEIVED: u8 = 3;
    if rustix::net::sockopt::socket_type(fd)? != rustix::net::SocketType::STREAM {
        return Ok(Phase::Datagram);
    }
    if rustix::net::sockopt::socket_acceptconn(fd)? {
        return Ok(Phase::Listening);
    }
    // The first byte of tcp_info is the state; other streams have none.
    let (mut state, mut length) = (0_u8, 1_u32);
    // SAFETY: value and length outlive the call.
    unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut state).cast(),
            &raw mut length,
        )
    };
    Ok(match state {
        SYN_SENT | SYN_RECEIVED => Phase::Connecting,
        _ if name(fd, true).is_ok() => Phase::Connected,
        _ => Phase::Idle,
    })
}

/// Returns whether a byte can be received now, which stays: 0 at the end, `WouldBlock` if there is none yet.
pub fn peek(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut byte = 0_u8;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: the byte outlives the call.
    check(unsafe { libc::recv(fd.as_raw_fd(), (&raw mut byte).cast(), 1, flags) } as i64)
}

/// `listen`.
pub fn listen(fd: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: no memory is passed. SOMAXCONN of Winsock is 0x7FFFFFFF; the kernel cuts it.
    check(unsafe { libc::listen(fd.as_raw_fd(), backlog) }.into()).map(|_| ())
}

/// Runs a call that fills in an address; returns its result and the address for the guest.
fn filling(
    call: impl FnOnce(*mut libc::sockaddr, *mut u32) -> i64,
) -> io::Result<(usize, Vec<u8>)> {
    let mut address = vec![0; ADDRESS_BYTES];
    let mut length = ADDRESS_BYTES as u32;
    let result = check(call(address.as_mut_ptr().cast(), &raw mut length))?;
    address.truncate((length as usize).min(ADDRESS_BYTES));
    translate(&mut address, false);
    Ok((result, address))
}

/// `accept`: the connection and the address of the peer.
pub fn accept(fd: BorrowedFd<'_>) -> io::Result<(OwnedFd, Vec<u8>)> {
    let (new, address) = filling(|at, length| {
        // SAFETY: `filling` passes a buffer and its length.
        unsafe { libc::accept4(fd.as_raw_fd(), at, length, libc::SOCK_CLOEXEC) }.into()
    })?;
    // SAFETY: a fresh descriptor that nothing else owns.
    Ok((unsafe { OwnedFd::from_raw_fd(new as i32) }, address))
}

/// `getsockname` or `getpeername`.
pub fn name(fd: BorrowedFd<'_>, is_peer: bool) -> io::Result<Vec<u8>> {
    filling(|at, length| {
        // SAFETY: `filling` passes a buffer and its length.
        i64::from(unsafe {
            if is_peer {
                libc::getpeername(fd.as_raw_fd(), at, length)
            } else {
                libc::getsockname(fd.as_raw_fd(), at, length)
            }
        })
    })
    .map(|(_, address)| address)
}

/// Flag of [`send`] and [`receive`] beside Winsock's: do not wait, whatever the socket does.
pub const AT_ONCE: i32 = 1 << 30;

fn at_once(flags: i32) -> i32 {
    if flags & AT_ONCE != 0 {
        libc::MSG_DONTWAIT
    } else {
        0
    }
}

/// `send` or `sendto`; flags MSG_OOB 1, MSG_DONTROUTE 4 are the same.
pub fn send(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    flags: i32,
    to: Option<Vec<u8>>,
) -> io::Result<usize> {
    let mut to = to.unwrap_or_default();
    translate(&mut to, true);
    let at = if to.is_empty() {
        std::ptr::null()
    } else {
        to.as_ptr().cast()
    };
    let flags = flags & (libc::MSG_OOB | libc::MSG_DONTROUTE) | libc::MSG_NOSIGNAL | at_once(flags);
    // SAFETY: both buffers outlive the call.
    check(unsafe {
        libc::sendto(
            fd.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            flags,
            at,
            to.len() as u32,
        )
    } as i64)
}

/// `recv` or `recvfrom`: the bytes and the sender; flags MSG_OOB 1, MSG_PEEK 2 are the same, MSG_WAITALL is 8.
pub fn receive(fd: BorrowedFd<'_>, length: usize, flags: i32) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut bytes = vec![0; length];
    let wait_all = if flags & 8 != 0 { libc::MSG_WAITALL } else { 0 };
    let flags = flags & (libc::MSG_OOB | libc::MSG_PEEK) | wait_all | at_once(flags);
    let (done, address) = filling(|at, size| {
        // SAFETY: both buffers outlive the call.
        unsafe {
            libc::recvfrom(
                fd.as_raw_fd(),
                bytes.as_mut_ptr().cast(),
                length,
                flags,
                at,
                size,
            ) as i64
        }
    })?;
    bytes.truncate(done);
    Ok((bytes, address))
}

/// Returns Winsock's family of a socket, and its type.
pub fn kind(fd: BorrowedFd<'_>) -> io::Result<(i32, i32)> {
    let kind = rustix::net::sockopt::socket_type(fd)?.as_raw();
    let family = match i32::from(rustix::net::sockopt::socket_domain(fd)?.as_raw()) {
        libc::AF_INET6 => i32::from(WINSOCK_INET6),
        family => family,
    };
    Ok((family, kind.cast_signed()))
}

/// `shutdown`: 0 receive, 1 send, 2 both, as on Linux.
pub fn shutdown(fd: BorrowedFd<'_>, how: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::shutdown(fd.as_raw_fd(), how) }.into()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn bytes_cross_a_loopback_connection() {
        let server = socket(2, 1, 6).expect("socket");
        let any = [2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0].to_vec();
        with_address(server.as_fd(), any, false).expect("bind");
        listen(server.as_fd(), 5).expect("listen");
        let address = name(server.as_fd(), false).expect("name");
        let client = socket(2, 1, 6).expect("socket");
        with_address(client.as_fd(), address, true).expect("connect");
        let (peer, from) = accept(server.as_fd()).expect("accept");
        assert_eq!(from, name(client.as_fd(), false).expect("name"));
        assert_eq!(send(client.as_fd(), b"abc", 0, None).expect("send"), 3);
        assert_eq!(receive(peer.as_fd(), 10, 0).expect("receive").0, b"abc");
    }
}
