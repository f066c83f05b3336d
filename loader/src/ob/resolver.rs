//! Names of machines: what the C library's resolver knows, with addresses and errors of Winsock.
//!
//! Errors: Microsoft Learn "getaddrinfo function", "gethostbyaddr function", "Windows Sockets Error Codes".
#![allow(unsafe_code, reason = "the resolver of the C library")]

use super::socket::{WINSOCK_INET6, translate};

/// `WSAHOST_NOT_FOUND`.
pub const HOST_NOT_FOUND: u32 = 11001;
/// `WSANO_RECOVERY`.
pub const NO_RECOVERY: u32 = 11003;
/// `WSANO_DATA`.
pub const NO_DATA: u32 = 11004;

/// The Winsock error of a result of `getaddrinfo` or `getnameinfo`.
fn error_of(code: i32) -> Result<(), u32> {
    Err(match code {
        0 => return Ok(()),
        libc::EAI_NONAME => HOST_NOT_FOUND,
        libc::EAI_NODATA => NO_DATA,
        libc::EAI_AGAIN => 11002,
        libc::EAI_SERVICE => 10109,
        libc::EAI_FAMILY => 10047,
        libc::EAI_SOCKTYPE => 10044,
        libc::EAI_BADFLAGS => 10022,
        libc::EAI_MEMORY => 8,
        _ => NO_RECOVERY,
    })
}

/// One address a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Family, Winsock's number.
    pub family: i32,
    /// Socket type.
    pub kind: i32,
    /// Protocol.
    pub protocol: i32,
    /// Address as Winsock lays it out.
    pub address: Vec<u8>,
    /// Canonical name, with the first address if it was asked for.
    pub canonical_name: Option<String>,
}

/// What to look for: `AI_*` flags, family, type and protocol of Winsock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints {
    /// `AI_PASSIVE` 1, `AI_CANONNAME` 2, `AI_NUMERICHOST` 4, `AI_NUMERICSERV` 8; others are not needed here.
    pub flags: i32,
    /// Family.
    pub family: i32,
    /// Socket type.
    pub kind: i32,
    /// Protocol.
    pub protocol: i32,
}

/// `getaddrinfo`. The error is Winsock's.
pub fn resolve(
    node: Option<&str>,
    service: Option<&str>,
    hints: Hints,
) -> Result<Vec<Resolved>, u32> {
    let text = |text: Option<&str>| {
        text.map(std::ffi::CString::new)
            .transpose()
            .map_err(|_| HOST_NOT_FOUND)
    };
    let (node, service) = (text(node)?, text(service)?);
    let pointer =
        |text: &Option<std::ffi::CString>| text.as_ref().map_or(std::ptr::null(), |t| t.as_ptr());
    let family = if hints.family == i32::from(WINSOCK_INET6) {
        libc::AF_INET6
    } else {
        hints.family
    };
    let flags = hints.flags & 7
        | if hints.flags & 8 != 0 {
            libc::AI_NUMERICSERV
        } else {
            0
        };
    // SAFETY: all zero is a valid addrinfo.
    let mut wanted: libc::addrinfo = unsafe { std::mem::zeroed() };
    (wanted.ai_flags, wanted.ai_family) = (flags, family);
    (wanted.ai_socktype, wanted.ai_protocol) = (hints.kind, hints.protocol);
    let mut list = std::ptr::null_mut();
    // SAFETY: the strings and the hints outlive the call.
    let code = unsafe {
        libc::getaddrinfo(
            pointer(&node),
            pointer(&service),
            &raw const wanted,
            &raw mut list,
        )
    };
    error_of(code)?;
    let mut found = Vec::new();
    let mut at = list;
    while !at.is_null() {
        // SAFETY: an entry of the list getaddrinfo made, which is freed below; its address has `ai_addrlen` bytes.
        let (entry, mut address) = unsafe {
            let entry = *at;
            let address = entry.ai_addr.cast::<u8>();
            (
                entry,
                std::slice::from_raw_parts(address, entry.ai_addrlen as usize).to_vec(),
            )
        };
        translate(&mut address, false);
        let canonical_name = (!entry.ai_canonname.is_null()).then(|| {
            // SAFETY: a NUL-terminated string of the list.
            unsafe { std::ffi::CStr::from_ptr(entry.ai_canonname) }
                .to_string_lossy()
                .into_owned()
        });
        found.push(Resolved {
            family: i32::from(u16::from_le_bytes([address[0], address[1]])),
            kind: entry.ai_socktype,
            protocol: entry.ai_protocol,
            address,
            canonical_name,
        });
        at = entry.ai_next;
    }
    // SAFETY: the list came from getaddrinfo and is not used any more.
    unsafe { libc::freeaddrinfo(list) };
    Ok(found)
}

/// Returns the name of the machine with an address, which is laid out as Winsock does; `is_short` leaves out the own
/// domain. The error is Winsock's.
pub fn name_of(mut address: Vec<u8>, is_short: bool) -> Result<String, u32> {
    /// `NI_MAXHOST`.
    const NAME_BYTES: usize = 1025;
    translate(&mut address, true);
    let mut name = vec![0_u8; NAME_BYTES];
    // SAFETY: address and name are vectors of the lengths given, and outlive the call.
    let code = unsafe {
        libc::getnameinfo(
            address.as_ptr().cast(),
            address.len() as u32,
            name.as_mut_ptr().cast(),
            NAME_BYTES as u32,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD | if is_short { libc::NI_NOFQDN } else { 0 },
        )
    };
    error_of(code)?;
    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(0));
    Ok(String::from_utf8_lossy(&name).into_owned())
}
