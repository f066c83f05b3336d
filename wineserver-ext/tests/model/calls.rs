//! The calls, as `ntlpc.h` declares them, and messages.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(
    unsafe_code,
    reason = "calls the library's C functions with addresses of locals that outlive the calls"
)]

use ntlpc_abi::NtStatus;

use super::common::Server;

// The C functions are symbols of this crate.
use ntdll_shim as _;

/// Bytes of data a message has room for; the ports' largest message is as long.
pub const DATA: usize = 64;
pub const HEADER: u16 = 40;

/// A `PORT_MESSAGE` of 64-bit programs with its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Message {
    pub data_length: u16,
    pub total_length: u16,
    pub message_type: u16,
    pub data_info_offset: u16,
    pub process: u64,
    pub thread: u64,
    pub id: u32,
    _pad: u32,
    pub view_size: u64,
    pub data: [u8; DATA],
}

impl Message {
    pub fn new(length: u16, fill: u8) -> Message {
        let mut message = Message::empty();
        message.data_length = length;
        message.total_length = HEADER + length;
        message.data[..usize::from(length)].fill(fill);
        message
    }

    pub const fn empty() -> Message {
        Message {
            data_length: 0,
            total_length: 0,
            message_type: 0,
            data_info_offset: 0,
            process: 0,
            thread: 0,
            id: 0,
            _pad: 0,
            view_size: 0,
            data: [0; DATA],
        }
    }

    pub fn body(&self) -> &[u8] {
        &self.data[..usize::from(self.data_length).min(DATA)]
    }
}

#[repr(C)]
struct UnicodeString {
    length: u16,
    maximum: u16,
    buffer: *const u16,
}

#[repr(C)]
struct ObjectAttributes {
    length: u32,
    root: u64,
    name: *const UnicodeString,
    attributes: u32,
    security: u64,
    qos: u64,
}

unsafe extern "C" {
    fn NtCreatePort(
        port: &mut u64,
        attributes: *const ObjectAttributes,
        info: u32,
        message: u32,
        pool: u32,
    ) -> u32;
    fn NtConnectPort(
        port: &mut u64,
        name: *const UnicodeString,
        qos: *const [u32; 3],
        client_view: u64,
        server_view: u64,
        max: u64,
        info: u64,
        info_length: u64,
    ) -> u32;
    fn NtAcceptConnectPort(
        port: &mut u64,
        context: u64,
        request: &Message,
        accept: u8,
        server_view: u64,
        client_view: u64,
    ) -> u32;
    fn NtCompleteConnectPort(port: u64) -> u32;
    fn NtRequestPort(port: u64, request: &Message) -> u32;
    fn NtRequestWaitReplyPort(port: u64, request: *const Message, reply: &mut Message) -> u32;
    fn NtReplyPort(port: u64, reply: &Message) -> u32;
    fn NtReplyWaitReceivePortEx(
        port: u64,
        context: &mut u64,
        reply: u64,
        receive: &mut Message,
        timeout: &i64,
    ) -> u32;
    fn ntlpc_close(handle: u64) -> u32;
}

/// Makes the library use the server of a test.
pub fn use_server(server: &Server) {
    // SAFETY: no other thread of this test program runs yet.
    unsafe {
        std::env::set_var("XDG_RUNTIME_DIR", server.dir.path());
        std::env::set_var("LPC_PREFIX", server.prefix.directory());
        std::env::set_var("LPC_SERVER", env!("CARGO_BIN_EXE_wineserver-ext"));
    }
}

fn with_name<R>(name: &str, run: impl FnOnce(*const UnicodeString) -> R) -> R {
    let text: Vec<u16> = name.encode_utf16().collect();
    let bytes = (2 * text.len()) as u16;
    run(&UnicodeString {
        length: bytes,
        maximum: bytes,
        buffer: text.as_ptr(),
    })
}

pub fn create(name: &str) -> u64 {
    try_create(name).expect("the name is free")
}

pub fn try_create(name: &str) -> Option<u64> {
    let mut port = 0;
    let status = with_name(name, |name| {
        let attributes = ObjectAttributes {
            length: 48,
            root: 0,
            name,
            attributes: 0,
            security: 0,
            qos: 0,
        };
        // SAFETY: all addresses are of locals.
        unsafe {
            NtCreatePort(
                &mut port,
                &attributes,
                0,
                u32::from(HEADER) + DATA as u32,
                0,
            )
        }
    });
    (NtStatus(status) == NtStatus::SUCCESS).then_some(port)
}

pub fn connect(name: &str) -> (NtStatus, u64) {
    let mut port = 0;
    // Length, Impersonation, static and effective only.
    let qos = [12, 2, 0x100];
    // SAFETY: all addresses are of locals.
    let status = with_name(name, |name| unsafe {
        NtConnectPort(&mut port, name, &qos, 0, 0, 0, 0, 0)
    });
    (NtStatus(status), port)
}

pub fn accept(request: &Message, context: u64, is_accepted: bool) -> u64 {
    let mut port = 0;
    // SAFETY: all addresses are of locals.
    let status =
        unsafe { NtAcceptConnectPort(&mut port, context, request, is_accepted.into(), 0, 0) };
    assert_eq!(NtStatus(status), NtStatus::SUCCESS);
    port
}

/// Accepts whatever the outcome; 0 is no port.
pub fn accept_any(request: &Message, context: u64) -> u64 {
    let mut port = 0;
    // SAFETY: all addresses are of locals.
    unsafe { NtAcceptConnectPort(&mut port, context, request, 1, 0, 0) };
    port
}

pub fn complete(port: u64) -> NtStatus {
    // SAFETY: numbers only.
    NtStatus(unsafe { NtCompleteConnectPort(port) })
}

pub fn send(port: u64, message: &Message) -> NtStatus {
    // SAFETY: the address is of the caller's message.
    NtStatus(unsafe { NtRequestPort(port, message) })
}

pub fn ask(port: u64, message: Message) -> (NtStatus, Message) {
    let mut reply = Message::empty();
    // SAFETY: all addresses are of locals.
    let status = unsafe { NtRequestWaitReplyPort(port, &message, &mut reply) };
    (NtStatus(status), reply)
}

pub fn reply(port: u64, message: &Message) -> NtStatus {
    // SAFETY: the address is of the caller's message.
    NtStatus(unsafe { NtReplyPort(port, message) })
}

pub fn receive(port: u64, timeout_ms: i64) -> (NtStatus, u64, Message) {
    let (mut context, mut message) = (0, Message::empty());
    // SAFETY: all addresses are of locals.
    let status = unsafe {
        NtReplyWaitReceivePortEx(port, &mut context, 0, &mut message, &(timeout_ms * -10_000))
    };
    (NtStatus(status), context, message)
}

pub fn close(handle: u64) -> NtStatus {
    // SAFETY: numbers only.
    NtStatus(unsafe { ntlpc_close(handle) })
}
