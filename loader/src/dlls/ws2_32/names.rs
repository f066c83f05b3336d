//! Names of machines, protocols and services in the old style of `winsock2.h`.
//!
//! What these functions return lies in one block per thread, which the next of them overwrites. Source: Microsoft Learn, the
//! functions' pages and "hostent structure", "protoent structure", "servent structure".

use ntlpc_abi::{UserPtr, Width};

use super::database::{self, Entry, Key};
use super::winsock2::{FAMILY_NOT_SUPPORTED, FAULT, SOCKET_ERROR, refuse};
use crate::export::{Guest, Ptr};
use crate::ob::resolver::{self, Hints, NO_DATA, NO_RECOVERY};
use crate::vm::thread_block::{ThreadBlock, Unused};
use crate::{guest_struct, width, win_api};

guest_struct! {
    /// `hostent`.
    pub struct HostEntry {
        name: UserPtr,
        aliases: UserPtr,
        family: i16,
        length: i16,
        addresses: UserPtr,
    }
    /// `protoent`.
    pub struct ProtocolEntry {
        name: UserPtr,
        aliases: UserPtr,
        number: i16,
    }
    /// `servent` of i386 programs.
    pub struct ServiceEntry32 {
        name: UserPtr,
        aliases: UserPtr,
        port: u16,
        protocol: UserPtr,
    }
    /// `servent` of x64 programs.
    pub struct ServiceEntry64 {
        name: UserPtr,
        aliases: UserPtr,
        protocol: UserPtr,
        port: u16,
    }
}

/// `AF_INET` of Winsock.
const INET: i32 = 2;
/// `AF_INET6` of Winsock.
const INET6: i32 = 23;
/// Bytes of a thread's block, and of its head, where the structure is.
const BLOCK_BYTES: usize = 4096;
const HEAD_BYTES: usize = 64;
/// Most aliases and addresses told, so that they fit in the block.
const MOST: usize = 32;

/// Returns the block of the calling thread.
fn thread_block() -> u64 {
    static UNUSED: Unused = Unused::new();

    thread_local! {
        static OWN: ThreadBlock = const { ThreadBlock::of(&UNUSED) };
    }

    OWN.with(|own| own.get(BLOCK_BYTES, 16, |_| ()))
}

/// Fills the calling thread's block.
struct Block {
    at: u64,
    used: usize,
}

impl Block {
    fn new() -> Self {
        Block {
            at: thread_block(),
            used: HEAD_BYTES,
        }
    }

    /// Takes room behind what is there; the error is Winsock's.
    fn room(&mut self, bytes: usize) -> Result<Ptr<u8>, u32> {
        let at = self.used.next_multiple_of(8);
        if bytes > BLOCK_BYTES - at {
            return Err(NO_RECOVERY);
        }
        self.used = at + bytes;
        Ok(Ptr::new(self.at + at as u64))
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<UserPtr, u32> {
        let to = self.room(bytes.len())?;
        to.write_bytes(bytes);
        Ok(UserPtr(to.address()))
    }

    fn text(&mut self, text: &str) -> Result<UserPtr, u32> {
        self.bytes(&[text.as_bytes(), &[0]].concat())
    }

    /// Puts what pointers that end with NULL point to, then these.
    fn list(&mut self, items: &[Vec<u8>]) -> Result<UserPtr, u32> {
        let items = &items[..items.len().min(MOST)];
        let mut pointers = Vec::with_capacity(items.len() + 1);
        for item in items {
            pointers.push(self.bytes(item)?);
        }
        pointers.push(UserPtr::NULL);
        let to = self.room(pointers.len() * UserPtr::size())?;
        to.cast::<UserPtr>().write_many(&pointers);
        Ok(UserPtr(to.address()))
    }

    fn names(&mut self, names: &[String]) -> Result<UserPtr, u32> {
        let names: Vec<Vec<u8>> = names
            .iter()
            .map(|name| [name.as_bytes(), &[0]].concat())
            .collect();
        self.list(&names)
    }

    /// Puts the structure in front of all.
    fn finish<T: Guest>(self, head: T) -> Ptr<u8> {
        Ptr::<T>::new(self.at).write(head);
        Ptr::new(self.at)
    }
}

fn put_host(name: &str, family: i32, addresses: &[Vec<u8>]) -> Result<Ptr<u8>, u32> {
    let mut block = Block::new();
    let head = HostEntry {
        name: block.text(name)?,
        aliases: block.list(&[])?,
        family: family as i16,
        length: addresses.first().map_or(0, Vec::len) as i16,
        addresses: block.list(addresses)?,
    };
    Ok(block.finish(head))
}

fn put_protocol(entry: &Entry) -> Result<Ptr<u8>, u32> {
    let mut block = Block::new();
    let head = ProtocolEntry {
        name: block.text(&entry.name)?,
        aliases: block.names(&entry.aliases)?,
        number: entry.number.cast_signed(),
    };
    Ok(block.finish(head))
}

fn put_service(entry: &Entry) -> Result<Ptr<u8>, u32> {
    let mut block = Block::new();
    let name = block.text(&entry.name)?;
    let aliases = block.names(&entry.aliases)?;
    let protocol = block.text(&entry.protocol)?;
    let port = entry.number.to_be();
    Ok(match width() {
        Width::X64 => block.finish(ServiceEntry64 {
            name,
            aliases,
            protocol,
            port,
        }),
        Width::X86 => block.finish(ServiceEntry32 {
            name,
            aliases,
            port,
            protocol,
        }),
    })
}

fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The IPv4 addresses of a name; without a name, those of this machine.
fn by_name(name: Option<String>) -> Result<Ptr<u8>, u32> {
    let own = host_name();
    let name = name.filter(|name| !name.is_empty());
    let hints = Hints {
        // AI_CANONNAME
        flags: 2,
        family: INET,
        // SOCK_STREAM: each address once.
        kind: 1,
        protocol: 0,
    };
    let found = resolver::resolve(Some(name.as_deref().unwrap_or(&own)), None, hints)?;
    let addresses: Vec<Vec<u8>> = found
        .iter()
        .filter_map(|entry| Some(entry.address.get(4..8)?.to_vec()))
        .collect();
    let canonical = found.iter().find_map(|entry| entry.canonical_name.clone());
    let name = match name {
        Some(name) => canonical.unwrap_or(name),
        None => own,
    };
    put_host(&name, INET, &addresses)
}

fn by_address(at: Ptr<u8>, length: i32, family: i32) -> Result<Ptr<u8>, u32> {
    // Where the address lies in a sockaddr_in and a sockaddr_in6, and the lengths of both.
    let (offset, bytes, size) = match family {
        INET => (4, 4, 16),
        INET6 => (8, 16, 28),
        _ => return Err(FAMILY_NOT_SUPPORTED),
    };
    if at.is_null() || usize::try_from(length).unwrap_or(0) < bytes {
        return Err(FAULT);
    }
    let address = at.read_bytes(bytes);
    let mut socket_address = vec![0; size];
    socket_address[0] = family as u8;
    socket_address[offset..offset + bytes].copy_from_slice(&address);
    let name = resolver::name_of(socket_address, false)?;
    put_host(&name, family, &[address])
}

fn found(entry: Result<Ptr<u8>, u32>) -> Ptr<u8> {
    entry.unwrap_or_else(|code| refuse(code, Ptr::NULL))
}

fn text(at: Ptr<u8>) -> String {
    String::from_utf8_lossy(&at.read_c_string()).into_owned()
}

fn protocol(key: &Key) -> Ptr<u8> {
    found(
        database::protocol(key)
            .ok_or(NO_DATA)
            .and_then(|entry| put_protocol(&entry)),
    )
}

fn service(key: &Key, protocol: Ptr<u8>) -> Ptr<u8> {
    let protocol = protocol.non_null().map(text);
    found(
        database::service(key, protocol.as_deref())
            .ok_or(NO_DATA)
            .and_then(|entry| put_service(&entry)),
    )
}

/// Reads an IPv4 address of one to four decimal, octal or hexadecimal parts, in host order; the last part has what is left of
/// the 32 bits. Source: Microsoft Learn, "inet_addr function", which also takes a space at the end and says what a space alone gives.
pub(super) fn parse_address(text: &str) -> Option<u32> {
    if text == " " {
        return Some(0);
    }
    let text = text.split(' ').next()?;
    if !text.bytes().all(|b| b == b'.' || b.is_ascii_alphanumeric()) {
        return None;
    }
    let parts: Option<Vec<u32>> = text
        .split('.')
        .map(|part| match part.strip_prefix('0') {
            None => part.parse().ok(),
            Some("") => Some(0),
            Some(rest) => match rest.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok(),
                None => u32::from_str_radix(rest, 8).ok(),
            },
        })
        .collect();
    let parts = parts?;
    let (last, heads) = parts.split_last()?;
    let left_bits = 32_u32.checked_sub(8 * u32::try_from(heads.len()).ok()?)?;
    if left_bits == 0 || heads.iter().any(|part| *part > 255) || u64::from(*last) >> left_bits != 0
    {
        return None;
    }
    let head = heads
        .iter()
        .fold(0_u64, |value, part| value << 8 | u64::from(*part));
    u32::try_from(head << left_bits | u64::from(*last)).ok()
}

win_api! {
    /// Finds the IPv4 addresses of a machine.
    "ws2_32.dll|wsock32.dll" stdcall fn gethostbyname @ 52 (name: Ptr<u8>) -> Ptr<u8> {
        found(by_name(name.non_null().map(text)))
    }

    /// Finds the name of an address.
    "ws2_32.dll|wsock32.dll" stdcall fn gethostbyaddr @ 51 (address: Ptr<u8>, length: i32, family: i32) -> Ptr<u8> {
        found(by_address(address, length, family))
    }

    /// Finds a protocol by its name.
    "ws2_32.dll|wsock32.dll" stdcall fn getprotobyname @ 53 (name: Ptr<u8>) -> Ptr<u8> {
        protocol(&Key::Name(text(name)))
    }

    /// Finds a protocol by its number.
    "ws2_32.dll|wsock32.dll" stdcall fn getprotobynumber @ 54 (number: i32) -> Ptr<u8> {
        match u16::try_from(number) {
            Ok(number) => protocol(&Key::Number(number)),
            Err(_) => refuse(NO_DATA, Ptr::NULL),
        }
    }

    /// Finds a service by its name.
    "ws2_32.dll|wsock32.dll" stdcall fn getservbyname @ 55 (name: Ptr<u8>, protocol: Ptr<u8>) -> Ptr<u8> {
        service(&Key::Name(text(name)), protocol)
    }

    /// Finds a service by its port, which is in network order.
    "ws2_32.dll|wsock32.dll" stdcall fn getservbyport @ 56 (port: i32, protocol: Ptr<u8>) -> Ptr<u8> {
        service(&Key::Number(u16::from_be(port as u16)), protocol)
    }

    /// Returns the name of the machine.
    "ws2_32.dll|wsock32.dll" stdcall fn gethostname @ 57 (buffer: Ptr<u8>, size: i32) -> i32 {
        let mut name = host_name().into_bytes();
        name.push(0);
        if usize::try_from(size).unwrap_or(0) < name.len() {
            return refuse(FAULT, SOCKET_ERROR);
        }
        buffer.write_bytes(&name);
        0
    }

    /// Returns the name of the machine.
    "ws2_32.dll" stdcall fn GetHostNameW(buffer: Ptr<u16>, size: i32) -> i32 {
        let name: Vec<u16> = host_name().encode_utf16().chain([0]).collect();
        if usize::try_from(size).unwrap_or(0) < name.len() {
            return refuse(FAULT, SOCKET_ERROR);
        }
        buffer.write_many(&name);
        0
    }

    /// Reads an IPv4 address in text; INADDR_NONE for text that is none.
    "ws2_32.dll" stdcall fn inet_addr @ 11 (text: Ptr<u8>) -> u32 {
        let text = text.non_null().map(self::text);
        text.and_then(|text| parse_address(&text)).map_or(u32::MAX, u32::to_be)
    }

    /// Writes an IPv4 address as text.
    "ws2_32.dll" stdcall fn inet_ntoa @ 12 (address: u32) -> Ptr<u8> {
        let at = Ptr::<u8>::new(thread_block());
        let [a, b, c, d] = address.to_le_bytes();
        at.write_bytes(format!("{a}.{b}.{c}.{d}\0").as_bytes());
        at
    }
}

#[cfg(test)]
mod tests {
    use super::parse_address;

    #[test]
    fn addresses_have_one_to_four_parts() {
        assert_eq!(parse_address("127.0.0.1"), Some(0x7F00_0001));
        assert_eq!(parse_address("127.1"), Some(0x7F00_0001));
        assert_eq!(parse_address("0x7f.0.0.010"), Some(0x7F00_0008));
        assert_eq!(parse_address("10.1.65535"), Some(0x0A01_FFFF));
        assert_eq!(parse_address("4294967295 "), Some(u32::MAX));
        for bad in [
            "",
            ".",
            "1.2.3.4.5",
            "256.1",
            "1.2.3.256",
            "a",
            "+1",
            "1.2.65536",
        ] {
            assert_eq!(parse_address(bad), None, "{bad}");
        }
    }
}
