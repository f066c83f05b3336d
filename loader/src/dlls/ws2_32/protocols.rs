//! Descriptions of protocols: `WSAEnumProtocols`, `SO_PROTOCOL_INFO`.
//!
//! Source: Microsoft Learn, "WSAPROTOCOL_INFOW structure (winsock2.h)", "WSAEnumProtocolsW function (winsock2.h)". The providers'
//! GUIDs are those of Windows' own ones, which programs compare (libuv, `winsock.c`).

use super::winsock2::{INVALID, SOCKET_ERROR, refuse};
use crate::export::Ptr;
use crate::win_api;

/// `WSAENOBUFS`.
const NO_BUFFERS: u32 = 10055;
/// Characters of a name (`WSAPROTOCOL_LEN` and one), and bytes before it.
const NAME_UNITS: usize = 256;
const NAME_AT: usize = 116;

/// Services (`XP1_…`): handles of the file system; for streams delivery, order, graceful close and urgent data; for datagrams no
/// connection, messages, broadcasts and groups.
const STREAM: u32 = 0x2_0066;
const DATAGRAM: u32 = 0x2_0609;

/// A protocol of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Protocol {
    family: i32,
    kind: i32,
    number: i32,
    name: &'static str,
}

const fn protocol(family: i32, kind: i32, number: i32, name: &'static str) -> Protocol {
    Protocol {
        family,
        kind,
        number,
        name,
    }
}

/// Both families (2 and 23), streams and datagrams (1 and 2), TCP and UDP (6 and 17).
const PROTOCOLS: [Protocol; 4] = [
    protocol(2, 1, 6, "MSAFD Tcpip [TCP/IP]"),
    protocol(2, 2, 17, "MSAFD Tcpip [UDP/IP]"),
    protocol(23, 1, 6, "MSAFD Tcpip [TCP/IPv6]"),
    protocol(23, 2, 17, "MSAFD Tcpip [UDP/IPv6]"),
];

impl Protocol {
    fn provider(self) -> [u8; 16] {
        let (first, second, third, rest): (u32, u16, u16, [u8; 8]) = if self.family == 2 {
            let rest = [0x8C, 0xA3, 0x00, 0x80, 0x5F, 0x48, 0xA1, 0x92];
            (0xE70F_1AA0, 0xAB8B, 0x11CF, rest)
        } else {
            let rest = [0xBB, 0xBF, 0x00, 0xAA, 0x00, 0x6C, 0x34, 0xE4];
            (0xF9EA_B0C0, 0x26D4, 0x11D0, rest)
        };
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&first.to_le_bytes());
        bytes[4..6].copy_from_slice(&second.to_le_bytes());
        bytes[6..8].copy_from_slice(&third.to_le_bytes());
        bytes[8..].copy_from_slice(&rest);
        bytes
    }

    /// The `WSAPROTOCOL_INFO`, with its name in wide characters or not.
    fn describe(self, is_wide: bool) -> Vec<u8> {
        const MATCHES_PROTOCOL_ZERO: u32 = 8;
        const CATALOG: u32 = 1001;
        let at = PROTOCOLS.iter().position(|other| *other == self);
        let number = CATALOG + u32::try_from(at.unwrap_or(0)).unwrap_or(0);
        let is_stream = self.kind == 1;
        let services = if is_stream { STREAM } else { DATAGRAM };
        let address_bytes = if self.family == 2 { 16 } else { 28 };
        let mut words = vec![services, 0, 0, 0, MATCHES_PROTOCOL_ZERO];
        let provider = self.provider();
        let parts = provider.chunks_exact(4);
        words.extend(parts.map(|p| u32::from_le_bytes([p[0], p[1], p[2], p[3]])));
        // A chain of one.
        words.extend([number, 1, 0, 0, 0, 0, 0, 0, 0]);
        // Version, family, longest and shortest address, type, protocol and how far it goes, byte order, security, longest message.
        words.extend([2, self.family.cast_unsigned(), address_bytes, address_bytes]);
        words.extend([self.kind, self.number].map(i32::cast_unsigned));
        words.extend([0, 0, 0, if is_stream { 0 } else { 65507 }, 0]);
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        debug_assert_eq!(bytes.len(), NAME_AT);
        if is_wide {
            bytes.extend(self.name.encode_utf16().flat_map(u16::to_le_bytes));
            bytes.resize(NAME_AT + 2 * NAME_UNITS, 0);
        } else {
            bytes.extend(self.name.bytes());
            bytes.resize(NAME_AT + NAME_UNITS, 0);
        }
        bytes
    }
}

/// Describes the protocol of a socket by its family and type; `None` for other protocols.
pub(super) fn of_socket(family: i32, kind: i32, is_wide: bool) -> Option<Vec<u8>> {
    let is_it = |protocol: &&Protocol| protocol.family == family && protocol.kind == kind;
    Some(PROTOCOLS.iter().find(is_it)?.describe(is_wide))
}

fn enumerate(wanted: Ptr<i32>, to: Ptr<u8>, length: Ptr<u32>, is_wide: bool) -> i32 {
    if length.is_null() {
        return refuse(INVALID, SOCKET_ERROR);
    }
    let numbers: Option<Vec<i32>> = wanted.non_null().map(|at| {
        let numbers = (0..).map(|i| at.add(i).read());
        numbers.take_while(|number| *number != 0).collect()
    });
    let is_wanted = |protocol: &&Protocol| {
        numbers
            .as_ref()
            .is_none_or(|list| list.contains(&protocol.number))
    };
    let found: Vec<Vec<u8>> = PROTOCOLS
        .iter()
        .filter(is_wanted)
        .map(|protocol| protocol.describe(is_wide))
        .collect();
    let bytes = found.concat();
    let given = length.read() as usize;
    if to.is_null() || given < bytes.len() {
        length.write(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        return refuse(NO_BUFFERS, SOCKET_ERROR);
    }
    to.write_bytes(&bytes);
    i32::try_from(found.len()).unwrap_or(0)
}

win_api! {
    /// Lists protocols.
    "ws2_32.dll" stdcall fn WSAEnumProtocolsW(wanted: Ptr<i32>, to: Ptr<u8>, length: Ptr<u32>) -> i32 {
        enumerate(wanted, to, length, true)
    }

    /// Lists protocols.
    "ws2_32.dll" stdcall fn WSAEnumProtocolsA(wanted: Ptr<i32>, to: Ptr<u8>, length: Ptr<u32>) -> i32 {
        enumerate(wanted, to, length, false)
    }
}
