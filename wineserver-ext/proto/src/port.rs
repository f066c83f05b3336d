//! Requests about ports, connections and the handles to them.

use ntlpc_abi::NtStatus;

use crate::{Bytes, Name, requests, wire_enum, wire_struct};

wire_enum! {
    /// Kind of a port object (lpc §2.0.1).
    PortKind {
        /// Named connection port.
        Connection = 0,
        /// Unnamed port made by NtCreatePort.
        Unconnected = 1,
        /// Server communication port.
        Server = 2,
        /// Client communication port.
        Client = 3,
    }
}

wire_struct! {
    /// What an ALPC call says of the port it makes (alpc §1.3); all zero from classic calls.
    AlpcPort {
        /// `ALPC_PORTFLG_` flags.
        flags: u32,
        /// Object types it accepts.
        object_types: u32,
    }
    /// The message of an ALPC connect or accept (alpc §2.3).
    AlpcMessage {
        /// `TotalLength` less the header.
        body_len: u32,
        /// Attribute record; empty = none.
        attributes: Bytes,
    }
    /// Quality of service of a connection (lpc §1.2).
    Qos {
        /// `SECURITY_IMPERSONATION_LEVEL`, 0 to 3.
        level: u32,
        /// Whether tracking is dynamic.
        is_dynamic: bool,
        /// Whether only what is enabled is seen.
        is_effective_only: bool,
    }
    /// A mapped view of a section.
    View {
        /// Offset in the section in bytes, a multiple of 64 KiB.
        offset: u64,
        /// Size in bytes, page rounded.
        size: u64,
        /// Address in the process the text names.
        base: u64,
    }
    /// The waiting request a server thread works on, named as in its message (lpc §2.0.5).
    Target {
        /// ClientId.UniqueProcess of the message.
        pid: u32,
        /// ClientId.UniqueThread of the message.
        tid: u32,
        /// MessageId of the message.
        message_id: u32,
        /// Source the message came from.
        source: u32,
        /// Slot in that source's lane.
        slot: u32,
    }
}

requests! {
    /// Requests about ports, connections and the handles to them.
    family Port = 0x01;

    /// Creates a connection port, or an unnamed port if the name is empty (lpc §2.1 steps 3–7).
    1 CreatePort {
        /// Creating thread.
        tno: u32,
        /// Whether the object type is WaitablePort.
        is_waitable: bool,
        /// Whether the port was made by an ALPC call.
        is_alpc: bool,
        /// Attributes of an ALPC port.
        alpc: AlpcPort,
        /// MaxMessageLength as given.
        max_message: u32,
        /// MaxConnectionInfoLength as given.
        max_info: u32,
        /// Directory object the name is relative to; 0 = absolute.
        root: u64,
        /// Name; empty = unnamed.
        name: Name,
        /// `OBJ_` attributes.
        attributes: u32,
        /// Self-relative security descriptor; empty = from the token's default DACL.
        security: Bytes,
        /// Effective token; empty = the thread's or process's token.
        token: Bytes,
    } => CreatePortReply {
        /// The new port.
        port: u64,
    } with ["inbox", "system segment", "lifetime?"];

    /// Starts a connection: creates the client communication port and queues the LPC_CONNECTION_REQUEST
    /// (lpc §2.3 steps 8–18). The caller then waits on the segment's connect word.
    2 Connect {
        /// Connecting thread.
        tno: u32,
        /// Directory object the name is relative to; 0 = absolute.
        root: u64,
        /// Name of the connection port.
        name: Name,
        /// `OBJ_CASE_INSENSITIVE` or 0.
        attributes: u32,
        /// Whether the caller is an ALPC call.
        is_alpc: bool,
        /// Whether the caller waits for the outcome; if not, the answer is queued at its port (alpc §2.3).
        waits: bool,
        /// Attributes of an ALPC port.
        alpc: AlpcPort,
        /// The message of an ALPC connect.
        message: AlpcMessage,
        /// Quality of service.
        qos: Qos,
        /// Effective token; empty = the thread's or process's token.
        token: Bytes,
        /// SID the server's user must have; empty = any.
        required_sid: Bytes,
        /// Self-relative security descriptor that must grant the server PORT_CONNECT (alpc §2.4); empty = none.
        server_security: Bytes,
        /// Client view, mapped by the caller at `base`; its section is the request's descriptor.
        view: Option<View>,
        /// What the host found wrong with the view, or with the message of an ALPC connect; answered at step 14, after
        /// everything that is checked earlier.
        view_status: NtStatus,
        /// Connection information.
        info: Bytes,
        /// Bundles made for this request.
        bundles: Vec<u64>,
        /// Connection port whose inbox the caller has mapped already; 0 = none.
        known_port: u64,
    } with ["section?"] => ConnectReply {
        /// The client communication port.
        port: u64,
        /// Source number of the connection in the connection port's inbox.
        source: u32,
        /// MessageId of the connection request.
        message_id: u32,
        /// MaxMessageLength of the connection port.
        max_message: u32,
        /// Process number of the port's creator.
        server_process: u32,
        /// Linux process id of the port's creator; 0 = not visible.
        server_pid: u32,
        /// The connection port.
        connection_port: u64,
    } with ["segment", "inbox of the connection port, unless it is `known_port`", "lifetime?"];

    /// Fetches the outcome once the connect word says there is one. Any status but success drops the port. A classic client
    /// needs it only for what does not fit the segment (`ntlpc_shm::outcome`): the section of a server view.
    3 ConnectResult {
        /// The client communication port.
        port: u64,
    } => ConnectResultReply {
        /// `STATUS_SUCCESS` or `STATUS_PORT_CONNECTION_REFUSED`; `STATUS_PENDING` if it is too early.
        status: NtStatus,
        /// The server's connection information, at most as long as the client's maximum.
        info: Bytes,
        /// Address of the client view in the server process; 0 without a view.
        client_view_remote_base: u64,
        /// The server's view; `base` is its address in the calling process.
        server_view: Option<View>,
        /// The message of an ALPC accept.
        message: AlpcMessage,
        /// ClientId.UniqueProcess of the acceptor.
        pid: u32,
        /// ClientId.UniqueThread of the acceptor.
        tid: u32,
    } with ["server section?"];

    /// Gives up a connection whose caller cannot wait any longer.
    4 ConnectAbort {
        /// The client communication port.
        port: u64,
    } => ConnectAbortReply {};

    /// Accepts or refuses a queued connection request (lpc §2.6 steps 4–6 and after).
    5 Accept {
        /// Accepting thread.
        tno: u32,
        /// ClientId.UniqueProcess of the request.
        pid: u32,
        /// ClientId.UniqueThread of the request.
        tid: u32,
        /// MessageId of the request.
        message_id: u32,
        /// Whether the connection is accepted.
        is_accepted: bool,
        /// PortContext.
        context: u64,
        /// Connection information for the client.
        info: Bytes,
        /// Server view, mapped by the caller at `base`; its section is the request's descriptor.
        server_view: Option<View>,
        /// What the host found wrong with the view; answered after step 6, and the client is refused.
        view_status: NtStatus,
        /// The connection port an ALPC call names; 0 from classic calls. Its connection is complete at once, and
        /// `STATUS_INVALID_MESSAGE` and `STATUS_REQUEST_CANCELED` are its refusals (alpc §2.4b).
        port: u64,
        /// Attributes of an ALPC port.
        alpc: AlpcPort,
        /// The message of an ALPC accept.
        message: AlpcMessage,
        /// Bundles made for the answer.
        bundles: Vec<u64>,
    } with ["section?"] => AcceptReply {
        /// The server communication port; 0 if refused.
        port: u64,
        /// The connection port it belongs to.
        connection_port: u64,
        /// Source number of the connection in the connection port's inbox.
        source: u32,
        /// MaxMessageLength of the connection port.
        max_message: u32,
        /// Process number of the client.
        client_process: u32,
        /// Linux process id of the client; 0 = not visible.
        client_pid: u32,
        /// The client's view; `base` is the address the caller must map it at (0 = anywhere, then AcceptViews).
        client_view: Option<View>,
        /// Address of the server view in the client process; 0 without a view or if the client chooses.
        server_view_remote_base: u64,
    } with ["segment, if accepted", "client section?", "lifetime?"];

    /// Reports that the acceptor could not finish (view not mapped, no handle): the client is refused.
    6 AcceptFailed {
        /// The server communication port.
        port: u64,
    } => AcceptFailedReply {};

    /// Sets view addresses of a host that maps into its peer itself; before Complete.
    7 AcceptViews {
        /// The server communication port.
        port: u64,
        /// Address of the client view in the server process.
        client_view_base: u64,
        /// Address of the server view in the client process.
        server_view_remote_base: u64,
    } => AcceptViewsReply {};

    /// Completes an accepted connection and wakes the client (lpc §2.7).
    8 Complete {
        /// The server communication port.
        port: u64,
    } => CompleteReply {};

    /// Drops the calling process's reference; everything lpc §3.5 says about the last one is done before the reply.
    ///
    /// A reference that came with a lifetime descriptor stays until the last copy of the descriptor is closed, since
    /// another process may have one; the server then acts as if `tno` had closed the port at that moment.
    9 ClosePort {
        /// The port.
        port: u64,
        /// Closing thread, the ClientId of an LPC_PORT_CLOSED.
        tno: u32,
    } => ClosePortReply {};

    /// Adds a reference in the name of another process, which takes it over with AdoptPort.
    10 GrantPort {
        /// The port.
        port: u64,
        /// Process number.
        process: u32,
    } => GrantPortReply {};

    /// Takes over a reference granted to the calling process, or shares the reference whose lifetime descriptor comes
    /// along: the handle was duplicated or inherited and possession of the descriptor is the grant. A shared reference
    /// ends with that descriptor, and the reply brings none. `STATUS_OBJECT_TYPE_MISMATCH` if it is no port's.
    11 AdoptPort {
        /// The port; 0 = the one of the descriptor.
        port: u64,
    } with ["lifetime, if `port` is 0"] => AdoptPortReply {
        /// The port.
        port: u64,
        /// Kind of the port.
        kind: PortKind,
        /// Whether the object type is WaitablePort.
        is_waitable: bool,
        /// Whether the port was made by an ALPC call.
        is_alpc: bool,
        /// Largest TotalLength.
        max_message: u32,
        /// Its connection port; itself for Connection and Unconnected.
        connection_port: u64,
        /// Source of the connection in the connection port's inbox; 0 for Connection and Unconnected.
        source: u32,
        /// PortContext of a server port.
        context: u64,
        /// Attributes of an ALPC connection port.
        alpc: AlpcPort,
    } with ["inbox", "segment: the connection's, or the system segment", "lifetime?"];

    /// Opens the segment of the requests a port sends to itself, source 1 of its inbox.
    12 OpenSelf {
        /// A connection or unconnected port.
        port: u64,
    } => OpenSelfReply {
        /// Source number.
        source: u32,
    } with ["segment"];

    /// Opens the segment of a source the calling process has not seen yet (port handle duplicated, exception source).
    13 OpenSource {
        /// The port that receives.
        port: u64,
        /// Source number.
        source: u32,
    } => OpenSourceReply {
        /// The server communication port of that source; 0 if it has none.
        server_port: u64,
        /// Whether it is the kernel's (an exception source): any message type is accepted from it.
        is_kernel: bool,
        /// PortContext.
        context: u64,
    } with ["segment"];

    /// Sets the PortContext of a server port (NULL given to accept: the handle value, known only afterwards).
    14 SetContext {
        /// The server communication port.
        port: u64,
        /// PortContext.
        context: u64,
    } => SetContextReply {};

    /// Answers what the server knows of a port.
    15 QueryPort {
        /// The port.
        port: u64,
    } => QueryPortReply {
        /// Kind of the port.
        kind: PortKind,
        /// Whether the object type is WaitablePort.
        is_waitable: bool,
        /// Name; empty = none or deleted.
        name: Name,
        /// References held by processes.
        references: u32,
        /// Process number of the creator.
        creator: u32,
        /// Process number of the peer; 0 = none.
        peer_process: u32,
    };

    /// Checks an impersonation and returns the token to use (lpc §2.13 steps 3–8).
    16 Impersonate {
        /// Impersonating thread.
        tno: u32,
        /// Port handle used.
        port: u64,
        /// The waiting request.
        target: Target,
    } => ImpersonateReply {
        /// The client's token ([`Token`](crate::process::Token)).
        token: Bytes,
    };

    /// Reads from a data block of a waiting client (lpc §2.15 steps 4–9).
    17 ReadData {
        /// Port handle used.
        port: u64,
        /// The waiting request.
        target: Target,
        /// Number of the block.
        index: u32,
        /// Offset in the block in bytes.
        offset: u64,
        /// Bytes to read, at most [`MAX_DATA_BYTES`](crate::frame::MAX_DATA_BYTES).
        len: u32,
    } => ReadDataReply {
        /// The bytes; fewer than asked for only if memory ended (`STATUS_PARTIAL_COPY`).
        bytes: Bytes,
    };

    /// Writes to a data block of a waiting client (lpc §2.15 steps 4–9).
    18 WriteData {
        /// Port handle used.
        port: u64,
        /// The waiting request.
        target: Target,
        /// Number of the block.
        index: u32,
        /// Offset in the block in bytes.
        offset: u64,
        /// The bytes, at most [`MAX_DATA_BYTES`](crate::frame::MAX_DATA_BYTES).
        bytes: Bytes,
    } => WriteDataReply {
        /// Bytes written.
        written: u32,
    };

    /// Checks that the process of thread `tno` holds the port that sends to `port` through `source`: asked once for each
    /// process a receiver has not seen on that connection. `STATUS_INVALID_CID` if it does not.
    19 CheckSender {
        /// The port that receives.
        port: u64,
        /// Source number.
        source: u32,
        /// Thread the message claims to be from.
        tno: u32,
    } => CheckSenderReply {};

    /// Ends the connection of a communication port that stays open (alpc §2.6). `STATUS_PORT_DISCONNECTED` if it has ended.
    20 Disconnect {
        /// The communication port.
        port: u64,
        /// Disconnecting thread, the ClientId of an LPC_PORT_CLOSED.
        tno: u32,
    } => DisconnectReply {};

    /// Queues an LPC_CANCELED at the end of a connection that sent message `id` (alpc §2.7).
    21 PostCanceled {
        /// The connection's port at the end that cancels, or the connection port.
        port: u64,
        /// Source number of the connection.
        source: u32,
        /// The message.
        id: u32,
        /// Whether the client sent it.
        is_clients: bool,
        /// Sender of the message, the ClientId of the notice.
        tno: u32,
    } => PostCanceledReply {};

    /// Answers who sent a message that was received on an ALPC port (alpc §2.9).
    22 QuerySender {
        /// The port that received it.
        port: u64,
        /// Source number of the connection.
        source: u32,
        /// Thread that sent it.
        tno: u32,
    } => QuerySenderReply {
        /// User SID.
        user: Bytes,
        /// Number of the token, another one for each token a thread takes on.
        token_id: u64,
        /// Authentication id of the logon session.
        authentication_id: u64,
    };

    /// Answers what a thread that waits for an answer waits for (alpc §2.8 ServerInformation).
    23 QueryBlocked {
        /// NT process id.
        pid: u32,
        /// NT thread id.
        tid: u32,
    } => QueryBlockedReply {
        /// Whether it waits for an answer on a port.
        is_blocked: bool,
        /// NT process id of the other end.
        server_pid: u32,
        /// Name of the connection port.
        name: Name,
    };

    /// Answers who the server of a client's connection is (alpc §2.8 ConnectedSID, ServerSessionInformation).
    24 QueryServer {
        /// The client communication port.
        port: u64,
    } => QueryServerReply {
        /// User SID of the server's process.
        user: Bytes,
        /// Its NT process id.
        pid: u32,
    };

    /// Returns the attributes of a connection request that is not answered, or those of its answer, and who sent it.
    ///
    /// `STATUS_MESSAGE_NOT_FOUND`.
    25 QueryHandshake {
        /// The connection port, or the client communication port.
        port: u64,
        /// Id of the request.
        message_id: u32,
    } => QueryHandshakeReply {
        /// The record.
        attributes: Bytes,
        /// Source number of the connection.
        source: u32,
        /// Thread that sent it.
        tno: u32,
        /// Whether that thread waits.
        waits: bool,
    };

    /// Makes a lifetime descriptor for a port the calling process holds without one: the hold ends with the last copy of
    /// it, in whatever process, from now on.
    26 OpenLifetime {
        /// The port.
        port: u64,
    } => OpenLifetimeReply {} with ["lifetime"];
}
