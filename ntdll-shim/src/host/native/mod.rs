//! Linux programs as a host: they link this library, include `ntlpc.h`, and call ports by their NT names.
//!
//! Handles name ports and sections of this process; structures have the layout of 64-bit Windows. Ids are Linux's. A
//! thread says that it ends by itself, so registered ports hear of it (lpc §3.6). What needs more of NT than that (names
//! relative to a directory, objects in messages, completion ports) is `STATUS_NOT_SUPPORTED`.
//!
//! | file | topic |
//! |---|---|
//! | `exports.rs` | the C functions |
//! | `handles.rs` | handles |
//! | `memory.rs` | views |

mod exports;
mod handles;
mod memory;

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use ntlpc_abi::{ClientId, Handle, NtStatus, Width};
use ntlpc_proto::Bytes;
use ntlpc_proto::process::{GuestWidth, Hello, HostKind};

use super::{
    CompletionPort, ExportedObject, Host, MappedView, PORT_ALL_ACCESS, Personality, Root, Section,
};
use crate::engine::{self, Port};
use handles::{Object, TABLE};

/// The native host.
#[derive(Debug)]
struct Native;

/// Installs the host before the first call. `STATUS_NOT_IMPLEMENTED` in a process of Wine, whose programs have calls of
/// their own.
fn enter() -> Result<(), NtStatus> {
    static IS_OURS: OnceLock<bool> = OnceLock::new();
    let is_ours = IS_OURS.get_or_init(|| {
        if super::wine::is_here() || !super::install(Box::new(Native)) {
            return false;
        }
        crate::capture::install_handler();
        super::diagnostics::init();
        true
    });
    is_ours.then_some(()).ok_or(NtStatus::NOT_IMPLEMENTED)
}

/// What a thread leaves behind.
#[derive(Debug, Default)]
struct ThreadState {
    /// Token it impersonates, encoded.
    token: RefCell<Option<Vec<u8>>>,
}

impl Drop for ThreadState {
    fn drop(&mut self) {
        engine::thread_exit();
    }
}

thread_local! {
    static THREAD: ThreadState = ThreadState::default();
}

/// Ends an impersonation of the calling thread.
fn revert() {
    THREAD.with(|thread| thread.token.replace(None));
}

impl Host for Native {
    fn personality(&self) -> Personality {
        Personality {
            port: Width::X64,
            guest: Width::X64,
        }
    }

    fn hello(&self) -> Hello {
        let (arena_base, arena_size) = memory::reserve_arena();
        let image = std::env::current_exe().unwrap_or_default();
        Hello {
            host: HostKind::Native,
            width: GuestWidth::X64,
            nt_pid: 0,
            create_time: 0,
            wants_lifetime_fds: false,
            arena_base,
            arena_size,
            image: image
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            token: Bytes(Vec::new()),
        }
    }

    fn client_id(&self) -> ClientId {
        // The first look at it makes the thread say good-bye. While it ends there is nothing to be made.
        let _ = THREAD.try_with(|_| ());
        ClientId {
            process: std::process::id(),
            thread: rustix::thread::gettid()
                .as_raw_nonzero()
                .get()
                .cast_unsigned(),
        }
    }

    fn thread_create_time(&self) -> u64 {
        0
    }

    fn is_thread_terminating(&self) -> bool {
        false
    }

    fn insert_port(
        &self,
        port: Arc<Port>,
        _lifetime: Option<OwnedFd>,
        _is_inheritable: bool,
    ) -> Result<Handle, NtStatus> {
        TABLE.insert(Object::Port(port))
    }

    fn port(&self, handle: Handle, access: u32) -> Result<Arc<Port>, NtStatus> {
        match TABLE.get(handle)? {
            Object::Port(port) if access & !PORT_ALL_ACCESS == 0 => Ok(port),
            Object::Port(_) => Err(NtStatus::ACCESS_DENIED),
            Object::Section(_) => Err(NtStatus::OBJECT_TYPE_MISMATCH),
        }
    }

    fn close(&self, handle: Handle) {
        // The handle was made for this call; a program that closed it meanwhile has done our work.
        let _ = TABLE.close(handle);
    }

    fn directory(&self, handle: Handle) -> Result<Root, NtStatus> {
        TABLE.get(handle)?;
        Err(NtStatus::OBJECT_TYPE_MISMATCH)
    }

    fn section(&self, handle: Handle, _access: u32) -> Result<Section, NtStatus> {
        match TABLE.get(handle)? {
            Object::Section(section) => section.duplicate(),
            Object::Port(_) => Err(NtStatus::OBJECT_TYPE_MISMATCH),
        }
    }

    fn map_view(
        &self,
        section: &Section,
        offset: u64,
        size: u64,
        at: Option<u64>,
    ) -> Result<MappedView, NtStatus> {
        memory::map(section, offset, size, at)
    }

    fn unmap_view(&self, base: u64) {
        memory::unmap(base);
    }

    fn protect_view(&self, view: MappedView, is_writable: bool) -> Result<(), NtStatus> {
        memory::protect(view, is_writable)
    }

    fn export_object(
        &self,
        handle: Handle,
        _access: Option<u32>,
    ) -> Result<ExportedObject, NtStatus> {
        TABLE.get(handle)?;
        Err(NtStatus::NOT_SUPPORTED)
    }

    fn import_object(
        &self,
        _sender: u32,
        _description: &[u8],
        _fds: Vec<OwnedFd>,
        _is_last: bool,
    ) -> Result<Handle, NtStatus> {
        Err(NtStatus::NOT_SUPPORTED)
    }

    fn completion_port(&self, handle: Handle) -> Result<Arc<dyn CompletionPort>, NtStatus> {
        TABLE.get(handle)?;
        Err(NtStatus::OBJECT_TYPE_MISMATCH)
    }

    fn event(&self, handle: Handle) -> Result<Arc<dyn super::Event>, NtStatus> {
        TABLE.get(handle)?;
        Err(NtStatus::OBJECT_TYPE_MISMATCH)
    }

    fn start_thread(&self, body: Box<dyn FnOnce() + Send>) -> Result<(), NtStatus> {
        std::thread::Builder::new()
            .name("ports".into())
            .spawn(body)
            .map(drop)
            .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)
    }

    /// The descriptors lie at the server and go with the message.
    fn forget_export(&self, _description: &[u8]) {}

    fn effective_token(&self) -> Vec<u8> {
        THREAD.with(|thread| thread.token.borrow().clone().unwrap_or_default())
    }

    fn impersonate(&self, token: &[u8]) -> Result<(), NtStatus> {
        THREAD.with(|thread| thread.token.replace(Some(token.to_vec())));
        Ok(())
    }

    fn thread_id(&self, handle: Handle) -> Result<ClientId, NtStatus> {
        TABLE.get(handle)?;
        Err(NtStatus::OBJECT_TYPE_MISMATCH)
    }

    fn open_process(
        &self,
        _process: u32,
        _access: u32,
        _is_inheritable: bool,
    ) -> Result<Handle, NtStatus> {
        Err(NtStatus::NOT_SUPPORTED)
    }

    fn open_thread(
        &self,
        _thread: ClientId,
        _access: u32,
        _is_inheritable: bool,
    ) -> Result<Handle, NtStatus> {
        Err(NtStatus::NOT_SUPPORTED)
    }

    fn server_places(&self) -> Vec<std::path::PathBuf> {
        exports::library_directory().into_iter().collect()
    }
}
