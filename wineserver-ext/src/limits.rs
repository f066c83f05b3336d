//! Bounds on what clients can make the server keep. Exceeding one is an NT status, never a hang.

/// Processes with a control connection.
pub const MAX_PROCESSES: usize = 65_536;
/// Control connections that have not said Hello; the oldest one is dropped for a new one.
pub const MAX_STRANGERS: usize = 64;
/// Live threads of one process.
pub const MAX_THREADS_PER_PROCESS: usize = 16_384;
/// Dead thread numbers kept before the oldest may be given out again.
pub const KEPT_THREAD_NUMBERS: usize = 65_536;
/// Ports of all kinds in the server.
pub const MAX_PORTS: usize = 1 << 20;
/// Sources in one inbox; the ready map holds 32,824 (`ntlpc_shm::map`).
pub const MAX_SOURCES: u32 = 32_768;
/// Registrations of NtRegisterThreadTerminatePort by one thread.
pub const MAX_TERMINATE_PORTS: usize = 4_096;
/// Longest object name in UTF-16 units: a UNICODE_STRING holds no more.
pub const MAX_NAME_UNITS: usize = 32_767;
/// How long a process that hung up may take to die before its objects are run down under it.
pub const HANG_UP_GRACE_MS: u64 = 200;
/// How long a port whose descriptor was closed unannounced waits for the death of its process to be reported.
pub const LIFETIME_GRACE_MS: u64 = 30;
/// Items attached to messages of one connection that were not settled: one message with 512 handles and a view, and others.
pub const MAX_ATTACHED_ITEMS: usize = 2_048;
/// Named objects besides ports.
pub const MAX_OBJECTS: usize = 1 << 18;
