//! What the environment knows: handles, ids, guest memory, sections, tokens. One trait, one implementation per host.
//!
//! | host | where | handles |
//! |---|---|---|
//! | standalone | `loader/src/ob/host.rs` | the loader's handle table |
//! | Wine | [`wine`] | Wine handles made of lifetime descriptors |
//! | native | `native` | a table for programs that link this library |
//!
//! Nothing outside this trait asks which host it runs in.

mod diagnostics;
pub mod exported;
mod native;
pub mod wine;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use ntlpc_abi::{ClientId, Handle, NtStatus, UserPtr, Width};
use ntlpc_proto::process::Hello;
pub use ntlpc_shm::alert::{Alert, AlertWord};

use crate::engine::Port;

/// Access right to connect to a port, `PORT_CONNECT` (lpc §3.8).
pub const PORT_CONNECT: u32 = 1;
/// Every right to a port, `PORT_ALL_ACCESS` (lpc §3.8).
pub const PORT_ALL_ACCESS: u32 = 0x001F_0001;
/// `SECTION_MAP_WRITE | SECTION_MAP_READ`: what a view needs (lpc §1.3).
pub const SECTION_MAP_READ_WRITE: u32 = 6;

/// A section as a port call needs it.
#[derive(Debug)]
pub struct Section {
    /// The memory; readable and writable.
    pub fd: OwnedFd,
    /// Size of the section in bytes.
    pub size: u64,
}

/// An object on its way to another process, as the host there needs it.
#[derive(Debug)]
pub struct ExportedObject {
    /// Code of its type ([`object_type_code`]).
    pub object_type: u32,
    /// Rights a handle to it will have.
    pub access: u32,
    /// The host's own description, its kind first.
    pub description: Vec<u8>,
    /// Descriptors that belong to the description; at most [`MAX_FDS`](ntlpc_proto::frame::MAX_FDS).
    pub fds: Vec<OwnedFd>,
}

/// A packet for an I/O completion port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletionPacket {
    /// Key of what completed.
    pub key: u64,
    /// APC context.
    pub context: u64,
    /// Status of the operation.
    pub status: NtStatus,
    /// `Information` of the operation.
    pub information: u64,
}

/// An event of the guest, kept open.
pub trait Event: Send + Sync + std::fmt::Debug {
    /// Sets the event.
    fn set(&self);
}

/// An I/O completion port of the guest, kept open.
pub trait CompletionPort: Send + Sync + std::fmt::Debug {
    /// Queues a packet.
    ///
    /// # Errors
    /// What the host answers.
    fn post(&self, packet: CompletionPacket) -> Result<(), NtStatus>;
}

/// Returns the code ALPC has for an object type; `None` for one whose handles messages do not carry (alpc §1.3).
#[must_use]
pub fn object_type_code(name: &str) -> Option<u32> {
    Some(match name {
        "File" => 0x1,
        "Thread" => 0x4,
        "Semaphore" => 0x8,
        "Event" => 0x10,
        "Process" => 0x20,
        "Mutant" => 0x40,
        "Section" => 0x80,
        "Key" => 0x100,
        "Token" => 0x200,
        "Job" => 0x800,
        _ => return None,
    })
}

/// A directory that a name is relative to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// The server's number of it.
    Object(u64),
    /// Its path, of a directory the environment made.
    Path(Vec<u16>),
}

/// An object the environment made on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnObject {
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

/// A mapped view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedView {
    /// Address in the guest.
    pub base: u64,
    /// Size in bytes, page rounded.
    pub size: u64,
}

/// Widths of the guest's structures: fixed per process, never guessed from a message (pe32 §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Personality {
    /// Width of port structures: `PORT_MESSAGE`, `PORT_VIEW`, data information.
    pub port: Width,
    /// Width of every other structure and of pointers.
    pub guest: Width,
}

/// The environment of a guest program.
pub trait Host: Send + Sync {
    /// Returns the widths of this process.
    fn personality(&self) -> Personality;

    /// Returns how the process introduces itself to the server. Called once, on the first port call.
    fn hello(&self) -> Hello;

    /// Returns NT process and thread id of the calling thread.
    fn client_id(&self) -> ClientId;

    /// Returns the creation time of the calling thread in 100 ns since 1601; 0 if the server shall take the present.
    fn thread_create_time(&self) -> u64;

    /// Returns whether the calling thread is ending or must end now: waits then return `THREAD_IS_TERMINATING`.
    ///
    /// Asked before a request waits and whenever a signal interrupted a wait.
    fn is_thread_terminating(&self) -> bool;

    /// Runs after every other interruption of a wait by a signal; a host that suspends threads cooperatively does it here.
    fn interrupted(&self) {}

    /// Returns the word that changes when a user APC or an alert comes for the calling thread; `None` if one is there, or if
    /// the host can only be asked ([`Host::alerted`]).
    fn watch_alerts(&self) -> Option<Alert> {
        None
    }

    /// Returns `USER_APC` if the calling thread has APCs, which whoever entered the call runs at its end, or `ALERTED` for an
    /// alert, which is over by that. Asked in alertable waits.
    fn alerted(&self) -> Option<NtStatus> {
        None
    }

    /// Makes a handle with `PORT_ALL_ACCESS` that holds `port`; the last handle of a port in this process drops it.
    /// `lifetime` came with the port if `hello` asked for such descriptors; its last close anywhere is the port's end.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES` when no handle can be made.
    fn insert_port(
        &self,
        port: Arc<Port>,
        lifetime: Option<OwnedFd>,
        is_inheritable: bool,
    ) -> Result<Handle, NtStatus>;

    /// Returns the port a handle names, if it grants `access`.
    ///
    /// # Errors
    /// `INVALID_HANDLE`, `OBJECT_TYPE_MISMATCH`, `ACCESS_DENIED`: in this order (lpc §2.0.3).
    fn port(&self, handle: Handle, access: u32) -> Result<Arc<Port>, NtStatus>;

    /// Closes a handle of this process: undoes [`Host::insert_port`] after a failed write of the result.
    fn close(&self, handle: Handle);

    /// Returns the directory a handle names, for names relative to it.
    ///
    /// # Errors
    /// As [`Host::port`].
    fn directory(&self, handle: Handle) -> Result<Root, NtStatus>;

    /// Returns what the environment has under an absolute path on its own, without the server.
    fn own_object(&self, _path: &[u16]) -> Option<OwnObject> {
        None
    }

    /// Returns the section a handle names, if it grants `access`.
    ///
    /// # Errors
    /// As [`Host::port`].
    fn section(&self, handle: Handle, access: u32) -> Result<Section, NtStatus>;

    /// Maps `size` bytes (0: to the end) of a section from `offset`, readable and writable, at `at` or anywhere.
    ///
    /// # Errors
    /// `MAPPED_ALIGNMENT`, `INVALID_VIEW_SIZE`, `CONFLICTING_ADDRESSES`, `NO_MEMORY` (lpc#105, lpc#106).
    fn map_view(
        &self,
        section: &Section,
        offset: u64,
        size: u64,
        at: Option<u64>,
    ) -> Result<MappedView, NtStatus>;

    /// Unmaps a view.
    fn unmap_view(&self, base: u64);

    /// Makes a view read-only, or writable again.
    ///
    /// # Errors
    /// What the host's memory manager answers.
    fn protect_view(&self, view: MappedView, is_writable: bool) -> Result<(), NtStatus>;

    /// Describes the object behind a handle for another process: with `access`, or with the handle's own rights. What is
    /// exported stays open until it is imported with `is_last`, or the export is forgotten.
    ///
    /// # Errors
    /// `INVALID_HANDLE`, `ACCESS_DENIED` for more rights than the object gives, `OBJECT_TYPE_MISMATCH` for a type without a
    /// code, `NOT_SUPPORTED` for an object that cannot leave its process.
    fn export_object(
        &self,
        handle: Handle,
        access: Option<u32>,
    ) -> Result<ExportedObject, NtStatus>;

    /// Makes a handle to what process `sender` exported. `is_last` forgets the export if that is this process.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for the export of another kind of host, `INVALID_PARAMETER` for a damaged one; what the host answers.
    fn import_object(
        &self,
        sender: u32,
        description: &[u8],
        fds: Vec<OwnedFd>,
        is_last: bool,
    ) -> Result<Handle, NtStatus>;

    /// Returns the completion port a handle names, if it grants `IO_COMPLETION_MODIFY_STATE`.
    ///
    /// # Errors
    /// As [`Host::port`].
    fn completion_port(&self, handle: Handle) -> Result<Arc<dyn CompletionPort>, NtStatus>;

    /// Returns the event a handle names, if it grants `EVENT_MODIFY_STATE`.
    ///
    /// # Errors
    /// As [`Host::port`].
    fn event(&self, handle: Handle) -> Result<Arc<dyn Event>, NtStatus>;

    /// Runs `body` on a thread of its own that may make every call of this trait and never runs guest code.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES` when no thread can be made.
    fn start_thread(&self, body: Box<dyn FnOnce() + Send>) -> Result<(), NtStatus>;

    /// Lets go of what an export of this process keeps open.
    fn forget_export(&self, description: &[u8]);

    /// Returns the calling thread's effective token, encoded as [`ntlpc_proto::process::Token`]; empty for the one the
    /// server makes from the process's credentials.
    fn effective_token(&self) -> Vec<u8>;

    /// Makes the calling thread impersonate an encoded token.
    ///
    /// # Errors
    /// What the security subsystem answers.
    fn impersonate(&self, token: &[u8]) -> Result<(), NtStatus>;

    /// Returns which thread a handle names, if it grants `THREAD_QUERY_LIMITED_INFORMATION`.
    ///
    /// # Errors
    /// As [`Host::port`].
    fn thread_id(&self, handle: Handle) -> Result<ClientId, NtStatus>;

    /// Makes a handle to a process, as NtOpenProcess does.
    ///
    /// # Errors
    /// `INVALID_CID`, `ACCESS_DENIED`.
    fn open_process(
        &self,
        process: u32,
        access: u32,
        is_inheritable: bool,
    ) -> Result<Handle, NtStatus>;

    /// Makes a handle to a thread, as NtOpenThread does.
    ///
    /// # Errors
    /// As [`Host::open_process`].
    fn open_thread(
        &self,
        thread: ClientId,
        access: u32,
        is_inheritable: bool,
    ) -> Result<Handle, NtStatus>;

    /// Returns directories the server program may lie in, for a host whose executable is not ours.
    fn server_places(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The queue of the waitable port numbered `port` got a message or was emptied. For hosts whose waits cannot watch the
    /// inbox's signal word ([`Port::watch_signal`]).
    fn port_signal_changed(&self, _port: u64, _is_signalled: bool) {}
}

impl dyn Host {
    /// Copies from guest memory, which every host reaches in the same way.
    ///
    /// # Errors
    /// `ACCESS_VIOLATION`, with any part of `to` written.
    #[inline]
    pub fn read(&self, from: UserPtr, to: &mut [u8]) -> Result<(), NtStatus> {
        crate::capture::read(from, to)
    }

    /// Copies to guest memory.
    ///
    /// # Errors
    /// `ACCESS_VIOLATION`, with any part written.
    #[inline]
    pub fn write(&self, to: UserPtr, from: &[u8]) -> Result<(), NtStatus> {
        crate::capture::write(to, from)
    }
}

static HOST: OnceLock<Box<dyn Host>> = OnceLock::new();

/// Installs the host of this process; returns whether it is the first.
pub fn install(host: Box<dyn Host>) -> bool {
    HOST.set(host).is_ok()
}

/// Returns the installed host.
///
/// # Panics
/// If none is installed: each entry of the library installs one before it calls anything else.
#[must_use]
pub fn current() -> &'static dyn Host {
    HOST.get()
        .expect("a host is installed before the first call")
        .as_ref()
}

/// Returns the widths of this process. Asked for by a call, so the host knows them.
#[must_use]
#[inline]
pub fn personality() -> Personality {
    static PERSONALITY: OnceLock<Personality> = OnceLock::new();
    *PERSONALITY.get_or_init(|| current().personality())
}

/// Returns the port a handle names, if it grants `access`.
///
/// # Errors
/// As [`Host::port`]; `PORT_DISCONNECTED` for a port of a server that died and was replaced.
pub(crate) fn port(handle: Handle, access: u32) -> Result<Arc<Port>, NtStatus> {
    let port = current().port(handle, access)?;
    if port.is_stale() {
        return Err(NtStatus::PORT_DISCONNECTED);
    }
    Ok(port)
}

/// Returns whether a host is installed.
#[must_use]
pub fn is_installed() -> bool {
    HOST.get().is_some()
}
