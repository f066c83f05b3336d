//! Requests about processes and threads.

use crate::{Bytes, requests, wire_enum, wire_struct};

wire_enum! {
    /// The kind of host a process runs in.
    HostKind {
        /// Our loader.
        Standalone = 0,
        /// Wine, extended.
        Wine = 1,
        /// A native program with the C interface.
        Native = 2,
        /// An inspection tool; owns no ports and does not keep the server alive.
        Tool = 3,
    }
    /// Pointer width of a process's guest structures.
    GuestWidth {
        /// 64-bit structures (also WOW64, lpc §1.8).
        X64 = 0,
        /// 32-bit structures.
        X86 = 1,
    }
}

wire_struct! {
    /// One token as the server keeps it: identity, groups, privileges.
    ///
    /// An empty blob in a request stands for the token the server makes from the peer's credentials.
    Token {
        /// User SID, self-relative.
        user: Bytes,
        /// Groups.
        groups: Vec<TokenGroup>,
        /// Privileges.
        privileges: Vec<TokenPrivilege>,
        /// Default owner SID; empty = user.
        owner: Bytes,
        /// Primary group SID; empty = first group.
        primary_group: Bytes,
        /// Default DACL as an ACL; `None` = everyone of the user and the administrators.
        default_dacl: Option<Bytes>,
        /// `SECURITY_IMPERSONATION_LEVEL`; 2 for primary tokens.
        level: u8,
        /// Whether this is an impersonation token.
        is_impersonation: bool,
        /// Whether disabled groups and privileges were removed (lpc §3.9 EffectiveOnly).
        is_effective_only: bool,
        /// Authentication id of the logon session.
        authentication_id: u64,
    }
    /// A group of a token.
    TokenGroup {
        /// Group SID.
        sid: Bytes,
        /// `SE_GROUP_` attributes.
        attributes: u32,
    }
    /// A privilege of a token.
    TokenPrivilege {
        /// Number of the privilege (low part of its LUID).
        privilege: u32,
        /// `SE_PRIVILEGE_` attributes.
        attributes: u32,
    }
}

requests! {
    /// Requests about processes and threads.
    family Process = 0x00;

    /// Introduces the process; must be the first request of a connection.
    1 Hello {
        /// Kind of host.
        host: HostKind,
        /// Width of the guest's structures.
        width: GuestWidth,
        /// NT process id; 0 = the Linux process id.
        nt_pid: u32,
        /// Creation time in 100 ns since 1601; 0 = now.
        create_time: u64,
        /// Whether each port should come with a lifetime descriptor whose last close closes the port.
        wants_lifetime_fds: bool,
        /// Start of the address range the server may place remote views in; 0 = the host maps them where it likes.
        arena_base: u64,
        /// Size of that range in bytes.
        arena_size: u64,
        /// Image name, for inspection.
        image: String,
        /// Primary token ([`Token`]); empty = made from the peer's credentials.
        token: Bytes,
    } => HelloReply {
        /// Number of the process within this server.
        process: u32,
        /// NT process id in force.
        nt_pid: u32,
        /// Creation time in force.
        create_time: u64,
        /// Linux process id of the server, for `PR_SET_PTRACER`.
        server_pid: u32,
    } with ["thread table"];

    /// Registers a thread of the calling process.
    2 RegisterThread {
        /// Linux thread id.
        linux_tid: u32,
        /// NT thread id; 0 = the Linux thread id.
        nt_tid: u32,
        /// Creation time in 100 ns since 1601; 0 = now.
        create_time: u64,
    } => RegisterThreadReply {
        /// Number of the thread in the thread table.
        tno: u32,
        /// NT thread id in force.
        nt_tid: u32,
        /// Creation time in force.
        create_time: u64,
    };

    /// Ends a registered thread: its CLIENT_DIED notices are queued before the reply is sent (lpc §3.6).
    3 ThreadExit {
        /// Thread number.
        tno: u32,
    } => ThreadExitReply {};

    /// Sets or clears the impersonation token that counts as the thread's effective token.
    4 SetThreadToken {
        /// Thread number.
        tno: u32,
        /// Token ([`Token`]); empty = none.
        token: Bytes,
    } => SetThreadTokenReply {};

    /// Looks up a live thread; `STATUS_INVALID_CID` if there is none of this process and thread id.
    5 CheckThread {
        /// NT process id.
        pid: u32,
        /// NT thread id.
        tid: u32,
    } => CheckThreadReply {
        /// Thread number.
        tno: u32,
        /// Process number.
        process: u32,
    };

    /// Registers a port for a CLIENT_DIED notice when the thread ends (lpc §2.18).
    6 RegisterTerminatePort {
        /// Thread number.
        tno: u32,
        /// Port.
        port: u64,
    } => RegisterTerminatePortReply {};

    /// Sets the exception port of the calling process; `STATUS_PORT_ALREADY_SET` the second time (lpc#211).
    7 SetExceptionPort {
        /// Port.
        port: u64,
    } => SetExceptionPortReply {};

    /// Opens the connection on which the process sends LPC_EXCEPTION requests to its exception port.
    ///
    /// The segment is flagged as an exception segment, the only kind on which message type 7 is accepted. Made on the
    /// first call, the same afterwards. `STATUS_PORT_NOT_SET` without an exception port.
    8 OpenExceptionPort {} => OpenExceptionPortReply {
        /// The port that receives.
        port: u64,
        /// Source number of the segment in the port's inbox.
        source: u32,
        /// Largest TotalLength of the port.
        max_message: u32,
    } with ["segment", "inbox"];
}
