//! Layouts of the guest's structures, generic over [`Width`]: each field and its two offsets are written once.
//!
//! `layout!` makes a plain structure, its size, a decoder, an encoder and a row of [`ALL`]. `tests/layouts.rs` lets
//! mingw check that table against the C declarations for both widths.
//!
//! Source: lpc §1.1–1.6, alpc §1.1–1.6 (phnt `ntlpcapi.h`, offsets compiled with i686 and x86_64 mingw).

use crate::{ClientId, Handle, UserPtr, Width};

/// Longest structure described here, in bytes.
pub const MAX_LEN: usize = 0x48;

/// A structure encoded for one width.
#[derive(Clone, Copy, Debug)]
pub struct Encoded {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl core::ops::Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A structure with a layout for each width.
pub trait Layout: Sized {
    /// Returns its size in bytes.
    fn size(width: Width) -> usize;
    /// Decodes it from at least [`Layout::size`] bytes.
    fn decode(width: Width, bytes: &[u8]) -> Self;
    /// Encodes it. Values that do not fit the width lose their upper half, as a 32-bit store does.
    fn encode(&self, width: Width) -> Encoded;
}

/// A structure as described, for checks against C.
#[derive(Debug)]
pub struct Description {
    /// Name of the C type.
    pub name: &'static str,
    /// Size for i386 and x86-64.
    pub size: (usize, usize),
    /// C member and its offset for i386 and x86-64.
    pub fields: &'static [(&'static str, usize, usize)],
}

/// A scalar field: how it is stored for each width. Inlined with a constant width, it is one load or store.
trait Field: Copy {
    fn load(width: Width, bytes: &[u8], at: usize) -> Self;
    fn store(self, width: Width, bytes: &mut [u8], at: usize);
}

macro_rules! plain_field {
    ($($ty:ty),*) => {$(
        impl Field for $ty {
            #[inline(always)]
            fn load(_: Width, bytes: &[u8], at: usize) -> Self {
                let mut raw = [0; size_of::<$ty>()];
                raw.copy_from_slice(&bytes[at..at + size_of::<$ty>()]);
                <$ty>::from_le_bytes(raw)
            }

            #[inline(always)]
            fn store(self, _: Width, bytes: &mut [u8], at: usize) {
                bytes[at..at + size_of::<$ty>()].copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

plain_field!(u8, u16, u32, u64);

/// A pointer-sized number that is zero-extended: `SIZE_T`, `ULONG_PTR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Word(pub u64);

impl Field for Word {
    #[inline(always)]
    fn load(width: Width, bytes: &[u8], at: usize) -> Self {
        Word(match width {
            Width::X86 => u64::from(u32::load(width, bytes, at)),
            Width::X64 => u64::load(width, bytes, at),
        })
    }

    #[inline(always)]
    fn store(self, width: Width, bytes: &mut [u8], at: usize) {
        match width {
            Width::X86 => (self.0 as u32).store(width, bytes, at),
            Width::X64 => self.0.store(width, bytes, at),
        }
    }
}

impl Field for UserPtr {
    #[inline(always)]
    fn load(width: Width, bytes: &[u8], at: usize) -> Self {
        UserPtr(Word::load(width, bytes, at).0)
    }

    #[inline(always)]
    fn store(self, width: Width, bytes: &mut [u8], at: usize) {
        Word(self.0).store(width, bytes, at);
    }
}

impl Field for Handle {
    #[inline(always)]
    fn load(width: Width, bytes: &[u8], at: usize) -> Self {
        let word = Word::load(width, bytes, at).0;
        Handle(if width == Width::X86 {
            word as u32 as i32 as i64 as u64
        } else {
            word
        })
    }

    #[inline(always)]
    fn store(self, width: Width, bytes: &mut [u8], at: usize) {
        Word(self.0).store(width, bytes, at);
    }
}

impl Field for ClientId {
    #[inline(always)]
    fn load(width: Width, bytes: &[u8], at: usize) -> Self {
        ClientId {
            process: Word::load(width, bytes, at).0 as u32,
            thread: Word::load(width, bytes, at + width.pointer()).0 as u32,
        }
    }

    #[inline(always)]
    fn store(self, width: Width, bytes: &mut [u8], at: usize) {
        Word(u64::from(self.process)).store(width, bytes, at);
        Word(u64::from(self.thread)).store(width, bytes, at + width.pointer());
    }
}

/// Declares structures: C name, Rust name, sizes, and per field the C member, name, type and both offsets.
macro_rules! layout {
    ($(
        $(#[$doc:meta])*
        $c_name:literal $name:ident ($size86:literal, $size64:literal) {
            $($(#[$field_doc:meta])* $member:literal $field:ident: $ty:ty = ($at86:literal, $at64:literal),)*
        }
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $ty,)*
            }

            impl Layout for $name {
                #[inline]
                fn size(width: Width) -> usize {
                    width.pick($size86, $size64)
                }

                #[inline]
                fn decode(width: Width, bytes: &[u8]) -> Self {
                    match width {
                        Width::X86 => {
                            let bytes = &bytes[..$size86];
                            $name { $($field: Field::load(Width::X86, bytes, $at86),)* }
                        }
                        Width::X64 => {
                            let bytes = &bytes[..$size64];
                            $name { $($field: Field::load(Width::X64, bytes, $at64),)* }
                        }
                    }
                }

                #[inline]
                fn encode(&self, width: Width) -> Encoded {
                    let mut encoded = Encoded { bytes: [0; MAX_LEN], len: Self::size(width) };
                    match width {
                        Width::X86 => {
                            $(self.$field.store(Width::X86, &mut encoded.bytes, $at86);)*
                        }
                        Width::X64 => {
                            $(self.$field.store(Width::X64, &mut encoded.bytes, $at64);)*
                        }
                    }
                    encoded
                }
            }

            const _: () = assert!($size86 <= MAX_LEN && $size64 <= MAX_LEN);
        )*

        /// Every structure described here.
        pub const ALL: &[Description] = &[$(Description {
            name: $c_name,
            size: ($size86, $size64),
            fields: &[$(($member, $at86, $at64),)*],
        },)*];
    };
}

layout! {
    /// `PORT_MESSAGE` (lpc §1.1): the header of every message.
    "PORT_MESSAGE" PortMessage (0x18, 0x28) {
        /// Bytes of data after the header.
        "DataLength" data_length: u16 = (0x00, 0x00),
        /// Header and data; may be more.
        "TotalLength" total_length: u16 = (0x02, 0x02),
        /// Base type and flags (lpc §1.9).
        "Type" message_type: u16 = (0x04, 0x04),
        /// Offset of the data-information block from the start of the header; 0 for none.
        "DataInfoOffset" data_info_offset: u16 = (0x06, 0x06),
        /// Sender.
        "ClientId" client_id: ClientId = (0x08, 0x08),
        /// Message id.
        "MessageId" message_id: u32 = (0x10, 0x18),
        /// View size of a connection request, else callback id.
        "ClientViewSize" view_size: Word = (0x14, 0x20),
    }
    /// `UNICODE_STRING` (lpc §1.2).
    "UNICODE_STRING" UnicodeString (0x08, 0x10) {
        /// Length in bytes.
        "Length" length: u16 = (0x00, 0x00),
        /// Size of the buffer in bytes; ignored on input.
        "MaximumLength" maximum_length: u16 = (0x02, 0x02),
        /// UTF-16 text.
        "Buffer" buffer: UserPtr = (0x04, 0x08),
    }
    /// `OBJECT_ATTRIBUTES` (lpc §1.2).
    "OBJECT_ATTRIBUTES" ObjectAttributes (0x18, 0x30) {
        /// Must be the structure's size.
        "Length" length: u32 = (0x00, 0x00),
        /// Directory the name is relative to.
        "RootDirectory" root_directory: Handle = (0x04, 0x08),
        /// `PUNICODE_STRING`; NULL for an unnamed object.
        "ObjectName" object_name: UserPtr = (0x08, 0x10),
        /// `OBJ_` flags.
        "Attributes" attributes: u32 = (0x0C, 0x18),
        /// Security descriptor; NULL for the default.
        "SecurityDescriptor" security_descriptor: UserPtr = (0x10, 0x20),
        /// Quality of service.
        "SecurityQualityOfService" security_qos: UserPtr = (0x14, 0x28),
    }
    /// `SECURITY_QUALITY_OF_SERVICE` (lpc §1.2).
    "SECURITY_QUALITY_OF_SERVICE" SecurityQos (0x0C, 0x0C) {
        /// Ignored by ports (lpc#50).
        "Length" length: u32 = (0x00, 0x00),
        /// `SECURITY_IMPERSONATION_LEVEL`.
        "ImpersonationLevel" level: u32 = (0x04, 0x04),
        /// 0 static, 1 dynamic.
        "ContextTrackingMode" tracking: u8 = (0x08, 0x08),
        /// Whether disabled groups and privileges stay so.
        "EffectiveOnly" effective_only: u8 = (0x09, 0x09),
    }
    /// `PORT_VIEW` (lpc §1.3).
    "PORT_VIEW" PortView (0x18, 0x30) {
        /// Must be the structure's size.
        "Length" length: u32 = (0x00, 0x00),
        /// Section to map.
        "SectionHandle" section: Handle = (0x04, 0x08),
        /// Offset in the section, a multiple of 64 KiB.
        "SectionOffset" offset: u32 = (0x08, 0x10),
        /// Wanted size, 0 for all; mapped size on return.
        "ViewSize" view_size: Word = (0x0C, 0x18),
        /// Address in the owner's process.
        "ViewBase" base: UserPtr = (0x10, 0x20),
        /// Address in the peer's process.
        "ViewRemoteBase" remote_base: UserPtr = (0x14, 0x28),
    }
    /// `REMOTE_PORT_VIEW` (lpc §1.4).
    "REMOTE_PORT_VIEW" RemotePortView (0x0C, 0x18) {
        /// Must be the structure's size.
        "Length" length: u32 = (0x00, 0x00),
        /// Size of the peer's view.
        "ViewSize" view_size: Word = (0x04, 0x08),
        /// Address of the peer's section in this process.
        "ViewBase" base: UserPtr = (0x08, 0x10),
    }
    /// `PORT_DATA_ENTRY` (lpc §1.5).
    "PORT_DATA_ENTRY" PortDataEntry (0x08, 0x10) {
        /// Address in the sender's process.
        "Base" base: UserPtr = (0x00, 0x00),
        /// Bytes there.
        "Size" size: u32 = (0x04, 0x08),
    }
    /// `PORT_DATA_INFORMATION` with one entry (lpc §1.5).
    "PORT_DATA_INFORMATION" PortDataInformation (0x0C, 0x18) {
        /// Number of entries.
        "CountDataEntries" count: u32 = (0x00, 0x00),
        /// The first entry's address.
        "DataEntries[0].Base" base: UserPtr = (0x04, 0x08),
        /// The first entry's size.
        "DataEntries[0].Size" size: u32 = (0x08, 0x10),
    }
    /// `ALPC_PORT_ATTRIBUTES` (alpc §1.3).
    "ALPC_PORT_ATTRIBUTES" AlpcPortAttributes (0x2C, 0x48) {
        /// `ALPC_PORTFLG_` bits.
        "Flags" flags: u32 = (0x00, 0x00),
        /// `SECURITY_IMPERSONATION_LEVEL` of the quality of service.
        "SecurityQos.ImpersonationLevel" level: u32 = (0x08, 0x08),
        /// 0 static, 1 dynamic.
        "SecurityQos.ContextTrackingMode" tracking: u8 = (0x0C, 0x0C),
        /// Whether disabled groups and privileges stay so.
        "SecurityQos.EffectiveOnly" effective_only: u8 = (0x0D, 0x0D),
        /// Largest `TotalLength` the port takes.
        "MaxMessageLength" max_message: Word = (0x10, 0x10),
        /// Stored only.
        "MemoryBandwidth" memory_bandwidth: Word = (0x14, 0x18),
        /// Stored only.
        "MaxPoolUsage" max_pool_usage: Word = (0x18, 0x20),
        /// Largest port section in bytes; 0 for no limit.
        "MaxSectionSize" max_section: Word = (0x1C, 0x28),
        /// Largest view in bytes; 0 for no limit.
        "MaxViewSize" max_view: Word = (0x20, 0x30),
        /// Most bytes in port sections; 0 for no limit.
        "MaxTotalSectionSize" max_total_section: Word = (0x24, 0x38),
        /// Object types accepted in handle attributes.
        "DupObjectTypes" dup_object_types: u32 = (0x28, 0x40),
    }
    /// `ALPC_MESSAGE_ATTRIBUTES` (alpc §1.4), the header of an attribute buffer.
    "ALPC_MESSAGE_ATTRIBUTES" AlpcMessageAttributes (0x08, 0x08) {
        /// Attributes the buffer has room for.
        "AllocatedAttributes" allocated: u32 = (0x00, 0x00),
        /// Attributes that say something.
        "ValidAttributes" valid: u32 = (0x04, 0x04),
    }
    /// `ALPC_SECURITY_ATTR` (alpc §1.5).
    "ALPC_SECURITY_ATTR" AlpcSecurityAttr (0x0C, 0x18) {
        /// `ALPC_SECFLG_` bits.
        "Flags" flags: u32 = (0x00, 0x00),
        /// `PSECURITY_QUALITY_OF_SERVICE`.
        "QoS" qos: UserPtr = (0x04, 0x08),
        /// Security context of the port.
        "ContextHandle" context: Handle = (0x08, 0x10),
    }
    /// `ALPC_DATA_VIEW_ATTR` (alpc §1.5).
    "ALPC_DATA_VIEW_ATTR" AlpcDataViewAttr (0x10, 0x20) {
        /// `ALPC_VIEWFLG_` bits.
        "Flags" flags: u32 = (0x00, 0x00),
        /// Section of the port.
        "SectionHandle" section: Handle = (0x04, 0x08),
        /// Address of the view.
        "ViewBase" base: UserPtr = (0x08, 0x10),
        /// Its size in bytes.
        "ViewSize" size: Word = (0x0C, 0x18),
    }
    /// `ALPC_CONTEXT_ATTR` (alpc §1.5).
    "ALPC_CONTEXT_ATTR" AlpcContextAttr (0x14, 0x20) {
        /// Cookie given to accept.
        "PortContext" port_context: Word = (0x00, 0x00),
        /// This side's cookie of the message.
        "MessageContext" message_context: Word = (0x04, 0x08),
        /// Number of the message on the receiving port.
        "Sequence" sequence: u32 = (0x08, 0x10),
        /// As in the header.
        "MessageId" message_id: u32 = (0x0C, 0x14),
        /// As in the header.
        "CallbackId" callback_id: u32 = (0x10, 0x18),
    }
    /// `ALPC_HANDLE_ATTR` (alpc §1.5).
    "ALPC_HANDLE_ATTR" AlpcHandleAttr (0x10, 0x18) {
        /// `ALPC_HANDLEFLG_` bits.
        "Flags" flags: u32 = (0x00, 0x00),
        /// The handle; with INDIRECT the address of an array of [`AlpcHandleAttr32`].
        "Handle" handle: Handle = (0x04, 0x08),
        /// Type code; with INDIRECT the length of that array.
        "ObjectType" object_type: u32 = (0x08, 0x10),
        /// Wanted, on receipt granted access.
        "DesiredAccess" access: u32 = (0x0C, 0x14),
    }
    /// `ALPC_HANDLE_ATTR32` (alpc §1.5): an element of an indirect array, the same for both widths.
    "ALPC_HANDLE_ATTR32" AlpcHandleAttr32 (0x10, 0x10) {
        /// `ALPC_HANDLEFLG_` bits.
        "Flags" flags: u32 = (0x00, 0x00),
        /// The handle.
        "Handle" handle: u32 = (0x04, 0x04),
        /// Type code.
        "ObjectType" object_type: u32 = (0x08, 0x08),
        /// Wanted access.
        "DesiredAccess" access: u32 = (0x0C, 0x0C),
    }
    /// `ALPC_TOKEN_ATTR` (alpc §1.5).
    "ALPC_TOKEN_ATTR" AlpcTokenAttr (0x18, 0x18) {
        /// LUID of the sender's token.
        "TokenId" token: u64 = (0x00, 0x00),
        /// LUID of its logon session.
        "AuthenticationId" authentication: u64 = (0x08, 0x08),
        /// LUID that changes with the token.
        "ModifiedId" modified: u64 = (0x10, 0x10),
    }
    /// `ALPC_MESSAGE_HANDLE_INFORMATION` (alpc §1.5).
    "ALPC_MESSAGE_HANDLE_INFORMATION" AlpcMessageHandleInformation (0x14, 0x14) {
        /// Which handle of the message; input.
        "Index" index: u32 = (0x00, 0x00),
        /// `ALPC_HANDLEFLG_` bits.
        "Flags" flags: u32 = (0x04, 0x04),
        /// New handle.
        "Handle" handle: u32 = (0x08, 0x08),
        /// Type code.
        "ObjectType" object_type: u32 = (0x0C, 0x0C),
        /// Access of the new handle.
        "GrantedAccess" access: u32 = (0x10, 0x10),
    }
    /// `ALPC_BASIC_INFORMATION` (alpc §1.6, class 0).
    "ALPC_BASIC_INFORMATION" AlpcBasicInformation (0x0C, 0x10) {
        /// Flags of the port.
        "Flags" flags: u32 = (0x00, 0x00),
        /// Messages received.
        "SequenceNo" sequence: u32 = (0x04, 0x04),
        /// Cookie given to accept.
        "PortContext" context: Word = (0x08, 0x08),
    }
    /// `ALPC_PORT_ASSOCIATE_COMPLETION_PORT` (alpc §1.6, class 2).
    "ALPC_PORT_ASSOCIATE_COMPLETION_PORT" AlpcAssociateCompletionPort (0x08, 0x10) {
        /// Key of the packets.
        "CompletionKey" key: Word = (0x00, 0x00),
        /// The completion port.
        "CompletionPort" port: Handle = (0x04, 0x08),
    }
    /// `ALPC_SERVER_INFORMATION` (alpc §1.6, class 4), what comes back.
    "ALPC_SERVER_INFORMATION" AlpcServerInformation (0x10, 0x20) {
        /// Whether the thread is blocked in a request.
        "ThreadBlocked" blocked: u8 = (0x00, 0x00),
        /// Process id of the server.
        "ConnectedProcessId" process: Word = (0x04, 0x08),
        /// Bytes of the name of its connection port.
        "ConnectionPortName.Length" name_length: u16 = (0x08, 0x10),
        /// As the length, with a terminator.
        "ConnectionPortName.MaximumLength" name_maximum: u16 = (0x0A, 0x12),
        /// The name, behind this structure.
        "ConnectionPortName.Buffer" name: UserPtr = (0x0C, 0x18),
    }
    /// `ALPC_SERVER_SESSION_INFORMATION` (alpc §1.6, class 12).
    "ALPC_SERVER_SESSION_INFORMATION" AlpcServerSessionInformation (0x08, 0x08) {
        /// Session of the server.
        "SessionId" session: u32 = (0x00, 0x00),
        /// Its process id.
        "ProcessId" process: u32 = (0x04, 0x04),
    }
    /// `ALPC_PORT_MESSAGE_ZONE_INFORMATION` (alpc §1.6, class 5).
    "ALPC_PORT_MESSAGE_ZONE_INFORMATION" AlpcMessageZone (0x08, 0x10) {
        /// Start.
        "Buffer" buffer: UserPtr = (0x00, 0x00),
        /// Bytes.
        "Size" size: u32 = (0x04, 0x08),
    }
    /// `ALPC_PORT_COMPLETION_LIST_INFORMATION` (alpc §1.6, class 6).
    "ALPC_PORT_COMPLETION_LIST_INFORMATION" AlpcCompletionListInformation (0x10, 0x18) {
        /// The list.
        "Buffer" buffer: UserPtr = (0x00, 0x00),
        /// Bytes.
        "Size" size: u32 = (0x04, 0x08),
        /// Threads to run at a time.
        "ConcurrencyCount" concurrency: u32 = (0x08, 0x0C),
        /// Attributes delivered with each message.
        "AttributeFlags" attributes: u32 = (0x0C, 0x10),
    }
}

impl PortMessage {
    /// Bits of `Type` that are the base type.
    pub const TYPE_MASK: u16 = 0x00FF;
    /// `LPC_KERNELMODE_MESSAGE`.
    pub const KERNEL_MODE: u16 = 0x8000;
    /// `LPC_NO_IMPERSONATE`.
    pub const NO_IMPERSONATE: u16 = 0x4000;
    /// `LPC_CONTINUATION_REQUIRED` (alpc §1.1): the receiver owes an answer or a release.
    pub const CONTINUATION_REQUIRED: u16 = 0x2000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_reverses_encode_in_both_widths() {
        let message = PortMessage {
            data_length: 1,
            total_length: 0x29,
            message_type: 10,
            data_info_offset: 0,
            client_id: ClientId {
                process: 0x1234_5678,
                thread: 9,
            },
            message_id: 77,
            view_size: Word(0x1000),
        };
        for width in [Width::X86, Width::X64] {
            let encoded = message.encode(width);
            assert_eq!(encoded.len(), PortMessage::size(width));
            assert_eq!(PortMessage::decode(width, &encoded), message);
        }
    }

    #[test]
    fn pseudo_handles_are_sign_extended_from_32_bits() {
        let view = PortView {
            section: Handle::CURRENT_PROCESS,
            ..PortView::default()
        };
        assert_eq!(
            PortView::decode(Width::X86, &view.encode(Width::X86)).section,
            Handle::CURRENT_PROCESS
        );
    }
}
