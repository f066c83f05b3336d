//! Requests about named objects other than ports: events, mutants, semaphores, timers, sections, directories.
//!
//! The server keeps what the creator packed (a description and descriptors) and hands it to whoever opens the name; it
//! looks into neither.

use crate::{Bytes, Name, requests, wire_enum, wire_struct};

wire_enum! {
    /// Type of a named object.
    NamedKind {
        /// Event.
        Event = 1,
        /// Mutant.
        Mutant = 2,
        /// Semaphore.
        Semaphore = 3,
        /// Timer.
        Timer = 4,
        /// Section.
        Section = 5,
        /// Object directory; has no description and no descriptors.
        Directory = 11,
    }
}

wire_struct! {
    /// One entry of a directory.
    DirectoryEntry {
        /// Leaf name.
        name: Name,
        /// Type name.
        type_name: String,
    }
}

requests! {
    /// Requests about named objects other than ports.
    family Object = 0x02;

    /// Creates a named object, or opens the existing one of the same type if `attributes` has OBJ_OPENIF.
    ///
    /// `STATUS_OBJECT_NAME_COLLISION` without OBJ_OPENIF, `STATUS_OBJECT_TYPE_MISMATCH`, and the statuses of the name
    /// space (lpc §3.8).
    1 CreateObject {
        /// Type.
        kind: NamedKind,
        /// Name.
        name: Name,
        /// Directory the name is relative to; 0 = none.
        root: u64,
        /// `OBJ_` attributes.
        attributes: u32,
        /// Wanted access, generic rights mapped by the host.
        access: u32,
        /// Effective token of the caller ([`Token`](crate::process::Token)); empty = the process's.
        token: Bytes,
        /// Self-relative security descriptor; empty = owner and default DACL of the token.
        security: Bytes,
        /// Description of the object, for its type only.
        packed: Bytes,
    } with ["object?"] => CreateObjectReply {
        /// The object.
        id: u64,
        /// Whether it was there before.
        existed: bool,
        /// Access granted.
        granted: u32,
        /// Description, if it was there before.
        packed: Bytes,
    } with ["object?"];

    /// Opens a named object.
    2 OpenObject {
        /// Type.
        kind: NamedKind,
        /// Name.
        name: Name,
        /// Directory the name is relative to; 0 = none.
        root: u64,
        /// `OBJ_` attributes.
        attributes: u32,
        /// Wanted access, generic rights mapped by the host.
        access: u32,
        /// Effective token of the caller ([`Token`](crate::process::Token)); empty = the process's.
        token: Bytes,
    } => OpenObjectReply {
        /// The object.
        id: u64,
        /// Access granted.
        granted: u32,
        /// Description.
        packed: Bytes,
    } with ["object?"];

    /// Gives up one create or open of the calling process. The name goes with the last of all processes.
    3 CloseObject {
        /// The object.
        id: u64,
    } => CloseObjectReply {};

    /// Lists a directory from the entry numbered `start`, in the order of NtQueryDirectoryObject.
    4 ListDirectory {
        /// The directory.
        id: u64,
        /// First entry wanted.
        start: u32,
    } => ListDirectoryReply {
        /// Entries.
        entries: Vec<DirectoryEntry>,
        /// Whether more follow.
        has_more: bool,
    };
}
