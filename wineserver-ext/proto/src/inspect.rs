//! Requests of the inspection tools. Long lists come in pages: ask again with the last id until `has_more` is false.

use crate::port::PortKind;
use crate::process::{GuestWidth, HostKind};
use crate::{Bytes, Name, requests, wire_enum, wire_struct};

wire_enum! {
    /// What a thread waits for (lpc §4.2).
    WaitKind {
        /// Nothing.
        None = 0,
        /// The outcome of NtConnectPort.
        Connect = 1,
        /// A reply.
        Reply = 2,
        /// A message.
        Receive = 3,
    }
    /// State of a message.
    MessageState {
        /// Queued, not yet received.
        Queued = 0,
        /// Received and not yet answered.
        Received = 1,
    }
}

wire_struct! {
    /// One port, a row of `!lpc port` (lpc §4.1, §4.3).
    PortRow {
        /// Port.
        port: u64,
        /// Kind.
        kind: PortKind,
        /// Flags as `!lpc port` prints them (lpc §1.11).
        flags: u32,
        /// Type name as ObQueryTypeInfo would say.
        type_name: String,
        /// Name; empty for communication ports.
        name: Name,
        /// References held by processes.
        handles: u32,
        /// All references, with calls in progress and terminate-port registrations.
        references: u32,
        /// NT process id of the creator.
        owner_pid: u32,
        /// Image name of the creator.
        owner_image: String,
        /// NT thread id of the creator.
        creator_tid: u32,
        /// MaxMessageLength.
        max_message: u32,
        /// MaxConnectionInfoLength.
        max_info: u32,
        /// Connection port; itself for connection ports.
        connection_port: u64,
        /// Connected peer; 0 = none.
        peer: u64,
        /// PortContext of server ports.
        context: u64,
        /// Queued messages.
        queued: u32,
    }
    /// One queued or unanswered message.
    MessageRow {
        /// Port whose queue holds it, or whose receiver has it.
        port: u64,
        /// Whether it is queued or received.
        state: MessageState,
        /// MessageId.
        message_id: u32,
        /// CallbackId.
        callback_id: u32,
        /// `LPC_` type with flags.
        message_type: u32,
        /// NT process id of the sender.
        pid: u32,
        /// NT thread id of the sender.
        tid: u32,
        /// PortContext.
        context: u64,
        /// DataLength.
        data_length: u32,
        /// TotalLength.
        total_length: u32,
        /// First bytes of the data, at most 24.
        data: Bytes,
    }
    /// One waiting thread.
    WaitRow {
        /// NT process id.
        pid: u32,
        /// NT thread id.
        tid: u32,
        /// What it waits for.
        kind: WaitKind,
        /// Awaited MessageId; 0 for receivers.
        message_id: u32,
        /// Port it waits on.
        port: u64,
        /// NT process id of whoever can end the wait; 0 if unknown.
        holder_pid: u32,
        /// NT thread id of whoever received the message; 0 if nobody did.
        holder_tid: u32,
    }
    /// One view of a section mapped for a connection (lpc §3.7).
    ViewRow {
        /// Whether the client owns the section.
        is_client_section: bool,
        /// Size in bytes.
        size: u64,
        /// Address in the client process.
        client_base: u64,
        /// Address in the server process.
        server_base: u64,
    }
    /// One thread.
    ThreadRow {
        /// Thread number.
        tno: u32,
        /// NT process id.
        pid: u32,
        /// NT thread id.
        tid: u32,
        /// Linux thread id.
        linux_tid: u32,
        /// Ports registered by NtRegisterThreadTerminatePort, newest first.
        terminate_ports: Vec<u64>,
        /// Whether it has an impersonation token.
        is_impersonating: bool,
    }
    /// One process.
    ProcessRow {
        /// Process number.
        process: u32,
        /// NT process id.
        pid: u32,
        /// Linux process id.
        linux_pid: u32,
        /// Linux user id.
        uid: u32,
        /// Kind of host.
        host: HostKind,
        /// Width of the guest's structures.
        width: GuestWidth,
        /// Image name.
        image: String,
        /// Registered threads.
        threads: u32,
        /// Port references.
        ports: u32,
        /// Exception port; 0 = none.
        exception_port: u64,
    }
    /// One name in a directory of the name space.
    NameRow {
        /// Leaf name.
        name: Name,
        /// Type name.
        type_name: String,
    }
}

requests! {
    /// Requests of the inspection tools.
    family Inspect = 0x03;

    /// Lists ports by ascending id.
    1 ListPorts {
        /// Last id seen; 0 = from the start.
        after: u64,
    } => ListPortsReply {
        /// Ports.
        ports: Vec<PortRow>,
        /// Whether more follow.
        has_more: bool,
    };

    /// Describes one port; its peer and connection port are asked for by their ids.
    2 DescribePort {
        /// Port.
        port: u64,
    } => DescribePortReply {
        /// The port.
        row: PortRow,
        /// Its messages, in queue order; the oldest when there are too many for one frame.
        messages: Vec<MessageRow>,
        /// Threads waiting on it.
        waits: Vec<WaitRow>,
        /// Views of its connection.
        views: Vec<ViewRow>,
    };

    /// Lists threads by ascending number.
    3 ListThreads {
        /// Last thread number seen; `u32::MAX` = from the start.
        after: u32,
    } => ListThreadsReply {
        /// Threads.
        threads: Vec<ThreadRow>,
        /// Whether more follow.
        has_more: bool,
    };

    /// Lists processes by ascending number.
    4 ListProcesses {
        /// Last process number seen; 0 = from the start.
        after: u32,
    } => ListProcessesReply {
        /// Processes.
        processes: Vec<ProcessRow>,
        /// Whether more follow.
        has_more: bool,
    };

    /// Lists the names of a directory.
    5 ListNames {
        /// Absolute path of the directory.
        directory: Name,
        /// Last leaf name seen; empty = from the start.
        after: Name,
    } => ListNamesReply {
        /// Names in ascending order of code units.
        names: Vec<NameRow>,
        /// Whether more follow.
        has_more: bool,
    };
}
