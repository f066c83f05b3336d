//! Options of sockets: Winsock's numbers and values in Linux's.
//!
//! Source: Microsoft Learn, "SOL_SOCKET socket options", "IPPROTO_IP socket options", "IPPROTO_IPV6 socket options",
//! "IPPROTO_TCP socket options", "linger structure"; `ws2ipdef.h` for numbers. Linux: `man 7 socket`, `ip`, `ipv6`, `tcp`.
#![allow(unsafe_code, reason = "socket options of all sizes")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::socket::wsa_error;

/// Levels of Winsock; those of protocols are the protocols' numbers.
const SOCKET: i32 = 0xFFFF;
const IP: i32 = 0;
const TCP: i32 = 6;
const IPV6: i32 = 41;

/// What an option's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// A number or `BOOL`, the same in Linux.
    Number,
    /// A size of a buffer, which Linux doubles.
    Size,
    /// `SO_ERROR`.
    Error,
    /// `linger`: two `u_short`, in Linux two numbers.
    Linger,
    /// The opposite of `SO_LINGER`: a `BOOL`.
    NoLinger,
    /// Milliseconds, in Linux a `timeval`.
    Milliseconds,
    /// Whether packets may be cut up, in Linux a way to find their size.
    DoNotFragment,
    /// An IPv4 address or, from 0.0.0.0 to 0.255.255.255, the number of an interface.
    Interface4,
    /// `ip_mreq`: the group, and the interface as above.
    Group4,
    /// `ip_mreq_source`: group, source and interface; Linux has the interface before the source.
    Source4,
    /// A structure that is the same in Linux.
    Same(usize),
}

/// Linux's level and option of a Winsock one, and their value; `None` for what has no counterpart.
fn option(level: i32, name: i32) -> Option<(i32, i32, Value)> {
    use Value::*;
    let (level, name, value) = match (level, name) {
        (SOCKET, 0x0002) => (libc::SOL_SOCKET, libc::SO_ACCEPTCONN, Number),
        (SOCKET, 0x0004) => (libc::SOL_SOCKET, libc::SO_REUSEADDR, Number),
        (SOCKET, 0x0008) => (libc::SOL_SOCKET, libc::SO_KEEPALIVE, Number),
        (SOCKET, 0x0010) => (libc::SOL_SOCKET, libc::SO_DONTROUTE, Number),
        (SOCKET, 0x0020) => (libc::SOL_SOCKET, libc::SO_BROADCAST, Number),
        (SOCKET, 0x0080) => (libc::SOL_SOCKET, libc::SO_LINGER, Linger),
        (SOCKET, -129) => (libc::SOL_SOCKET, libc::SO_LINGER, NoLinger),
        (SOCKET, 0x0100) => (libc::SOL_SOCKET, libc::SO_OOBINLINE, Number),
        (SOCKET, 0x1001) => (libc::SOL_SOCKET, libc::SO_SNDBUF, Size),
        (SOCKET, 0x1002) => (libc::SOL_SOCKET, libc::SO_RCVBUF, Size),
        (SOCKET, 0x1005) => (libc::SOL_SOCKET, libc::SO_SNDTIMEO, Milliseconds),
        (SOCKET, 0x1006) => (libc::SOL_SOCKET, libc::SO_RCVTIMEO, Milliseconds),
        (SOCKET, 0x1007) => (libc::SOL_SOCKET, libc::SO_ERROR, Error),
        (SOCKET, 0x1008) => (libc::SOL_SOCKET, libc::SO_TYPE, Number),
        (TCP, 1) => (libc::IPPROTO_TCP, libc::TCP_NODELAY, Number),
        (TCP, 3) => (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, Number),
        (TCP, 16) => (libc::IPPROTO_TCP, libc::TCP_KEEPCNT, Number),
        (TCP, 17) => (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, Number),
        (IP, 2) => (libc::IPPROTO_IP, libc::IP_HDRINCL, Number),
        (IP, 3) => (libc::IPPROTO_IP, libc::IP_TOS, Number),
        (IP, 4) => (libc::IPPROTO_IP, libc::IP_TTL, Number),
        (IP, 9) => (libc::IPPROTO_IP, libc::IP_MULTICAST_IF, Interface4),
        (IP, 10) => (libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, Number),
        (IP, 11) => (libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP, Number),
        (IP, 12) => (libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, Group4),
        (IP, 13) => (libc::IPPROTO_IP, libc::IP_DROP_MEMBERSHIP, Group4),
        (IP, 14) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, DoNotFragment),
        (IP, 15) => (libc::IPPROTO_IP, libc::IP_ADD_SOURCE_MEMBERSHIP, Source4),
        (IP, 16) => (libc::IPPROTO_IP, libc::IP_DROP_SOURCE_MEMBERSHIP, Source4),
        (IPV6, 4) => (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, Number),
        (IPV6, 9) => (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, Number),
        (IPV6, 10) => (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, Number),
        (IPV6, 11) => (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP, Number),
        (IPV6, 12) => (libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, Same(20)),
        (IPV6, 13) => (libc::IPPROTO_IPV6, libc::IPV6_DROP_MEMBERSHIP, Same(20)),
        (IPV6, 14) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, DoNotFragment),
        (IPV6, 27) => (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, Number),
        _ => return None,
    };
    Some((level, name, value))
}

/// Options that change nothing here: `SO_UPDATE_ACCEPT_CONTEXT`, `SO_UPDATE_CONNECT_CONTEXT`, whose sockets are complete
/// already, and `SO_EXCLUSIVEADDRUSE`, which is how Linux binds.
fn is_void(level: i32, name: i32) -> bool {
    level == SOCKET && matches!(name, 0x700B | 0x7010 | -5)
}

fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

/// The number at a place of a value; `EFAULT` for a value that is too short. `BOOL`s may have one byte.
fn number(value: &[u8]) -> io::Result<i32> {
    match value {
        [] => Err(error(libc::EFAULT)),
        [a, b, c, d, ..] => Ok(i32::from_le_bytes([*a, *b, *c, *d])),
        [first, ..] => Ok((*first).into()),
    }
}

fn numbers(list: &[i32]) -> Vec<u8> {
    list.iter().flat_map(|n| n.to_ne_bytes()).collect()
}

/// Group (or nothing), address and number of an `ip_mreqn`, for an interface that Winsock names by its address or number.
fn interface(group: [u8; 4], interface: [u8; 4]) -> Vec<u8> {
    let is_number = interface[0] == 0;
    let address = if is_number { [0; 4] } else { interface };
    let index = if is_number {
        u32::from_be_bytes(interface)
    } else {
        0
    };
    [group, address, index.to_ne_bytes()].concat()
}

fn put(fd: BorrowedFd<'_>, level: i32, name: i32, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the bytes outlive the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            bytes.as_ptr().cast(),
            bytes.len() as u32,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn get(fd: BorrowedFd<'_>, level: i32, name: i32, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    let mut length = size as u32;
    // SAFETY: the bytes and their length outlive the call.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    bytes.truncate(length as usize);
    Ok(bytes)
}

/// Sets an option. `ENOPROTOOPT` for options without a counterpart, `EFAULT` for a value that is too short.
pub fn set(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    if is_void(level, name) {
        return Ok(());
    }
    let (level, name, kind) = option(level, name).ok_or_else(|| error(libc::ENOPROTOOPT))?;
    let word = |at: usize| -> io::Result<[u8; 4]> {
        let bytes = value.get(at..at + 4).ok_or_else(|| error(libc::EFAULT))?;
        bytes.try_into().map_err(|_| error(libc::EFAULT))
    };
    let bytes = match kind {
        Value::Number | Value::Size | Value::Error => numbers(&[number(value)?]),
        Value::Linger => {
            let [on, on_high, seconds, seconds_high] = word(0)?;
            let half = |low, high| i32::from(u16::from_le_bytes([low, high]));
            numbers(&[half(on, on_high), half(seconds, seconds_high)])
        }
        Value::NoLinger => numbers(&[i32::from(number(value)? == 0), 0]),
        Value::Milliseconds => {
            let milliseconds = i64::from(u32::from_le_bytes(word(0)?));
            let time = [milliseconds / 1000, milliseconds % 1000 * 1000];
            time.iter().flat_map(|part| part.to_ne_bytes()).collect()
        }
        Value::DoNotFragment => numbers(&[match number(value)? {
            0 => libc::IP_PMTUDISC_DONT,
            _ => libc::IP_PMTUDISC_DO,
        }]),
        Value::Interface4 => interface([0; 4], word(0)?),
        Value::Group4 => interface(word(0)?, word(4)?),
        Value::Source4 => [word(0)?, word(8)?, word(4)?].concat(),
        Value::Same(size) => value
            .get(..size)
            .ok_or_else(|| error(libc::EFAULT))?
            .to_vec(),
    };
    put(fd, level, name, &bytes)
}

/// Reads an option as Winsock lays it out; `SO_ERROR` is a Winsock error.
pub fn read(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<Vec<u8>> {
    let (level, name, kind) = option(level, name).ok_or_else(|| error(libc::ENOPROTOOPT))?;
    let whole = |size| get(fd, level, name, size);
    let one = |bytes: Vec<u8>| number(&bytes);
    let value = match kind {
        Value::Number => one(whole(4)?)?,
        Value::Size => one(whole(4)?)? / 2,
        Value::Error => match one(whole(4)?)? {
            0 => 0,
            code => wsa_error(&error(code)).cast_signed(),
        },
        Value::Linger => {
            let bytes = whole(8)?;
            let (on, seconds) = (number(&bytes)?, number(&bytes[4..])?);
            on & 0xFFFF | seconds << 16
        }
        Value::NoLinger => i32::from(one(whole(8)?)? == 0),
        Value::Milliseconds => {
            let bytes = whole(16)?;
            let part = |at: usize| {
                bytes[at..]
                    .first_chunk()
                    .map_or(0, |b| i64::from_ne_bytes(*b))
            };
            i32::try_from(part(0) * 1000 + part(8) / 1000).unwrap_or(i32::MAX)
        }
        Value::DoNotFragment => i32::from(one(whole(4)?)? == libc::IP_PMTUDISC_DO),
        Value::Interface4 => one(whole(4)?)?,
        Value::Group4 | Value::Source4 | Value::Same(_) => return Err(error(libc::ENOPROTOOPT)),
    };
    Ok(value.to_le_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ob::socket::socket;
    use std::os::fd::AsFd;

    #[test]
    fn values_have_winsocks_form() {
        let stream = socket(2, 1, 6).expect("socket");
        let fd = stream.as_fd();
        set(fd, SOCKET, 0x80, &[1, 0, 7, 0]).expect("SO_LINGER");
        assert_eq!(read(fd, SOCKET, 0x80).expect("SO_LINGER"), [1, 0, 7, 0]);
        assert_eq!(read(fd, SOCKET, -129).expect("SO_DONTLINGER"), [0; 4]);
        set(fd, SOCKET, 0x1006, &1500_u32.to_le_bytes()).expect("SO_RCVTIMEO");
        let time = read(fd, SOCKET, 0x1006).expect("SO_RCVTIMEO");
        assert_eq!(time, 1500_u32.to_le_bytes());
        set(fd, SOCKET, 0x1002, &0x8000_u32.to_le_bytes()).expect("SO_RCVBUF");
        let size = read(fd, SOCKET, 0x1002).expect("SO_RCVBUF");
        assert_eq!(size, 0x8000_u32.to_le_bytes());
        set(fd, SOCKET, 0x7010, &[]).expect("SO_UPDATE_CONNECT_CONTEXT");
        let code = |result: io::Result<()>| result.expect_err("refused").raw_os_error();
        assert_eq!(
            code(set(fd, SOCKET, 0x7777, &[0; 4])),
            Some(libc::ENOPROTOOPT)
        );
        assert_eq!(code(set(fd, SOCKET, 8, &[])), Some(libc::EFAULT));
        assert_eq!(code(set(fd, IP, 12, &[0; 4])), Some(libc::EFAULT));
    }

    #[test]
    fn interfaces_have_numbers_or_addresses() {
        assert_eq!(
            interface([1; 4], [0, 0, 0, 2]),
            [&[1; 4][..], &[0; 4], &2_u32.to_ne_bytes()].concat()
        );
        assert_eq!(
            interface([1; 4], [127, 0, 0, 1]),
            [&[1; 4][..], &[127, 0, 0, 1], &[0; 4]].concat()
        );
    }
}
