//! The host trait over Wine.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use ntlpc_abi::{ClientId, Handle, NtStatus, Width};
use ntlpc_proto::Bytes;
use ntlpc_proto::process::{GuestWidth, Hello, HostKind};

use super::service::{guest, ntdll};
use super::{apcs, arch, carriers, completion, handles, names, sections, senders, threads, tokens};
use crate::engine::Port;
use crate::host::{
    Alert, CompletionPort, Event, ExportedObject, Host, MappedView, OwnObject, Personality, Root,
    Section,
};

/// Stock Wine, this library preloaded.
#[derive(Debug)]
pub struct Wine;

/// Where the server may place views of a 32-bit program: between the heaps, which grow from below, and the DLLs.
pub const ARENA_32: Range<u64> = 0x5000_0000..0x6000_0000;

impl Host for Wine {
    fn personality(&self) -> Personality {
        // A 32-bit program of 64-bit Windows: the headers of classic ports are wide, all else is narrow.
        Personality {
            port: arch::width_of_windows(),
            guest: if guest().is_narrow {
                Width::X86
            } else {
                Width::X64
            },
        }
    }

    fn hello(&self) -> Hello {
        let arena = if guest().is_narrow {
            ARENA_32
        } else {
            arch::ARENA
        };
        Hello {
            host: HostKind::Wine,
            width: match arch::width_of_windows() {
                Width::X64 => GuestWidth::X64,
                Width::X86 => GuestWidth::X86,
            },
            nt_pid: self.client_id().process,
            create_time: create_time_of_process(),
            wants_lifetime_fds: true,
            arena_base: arena.start,
            arena_size: arena.end - arena.start,
            image: image_name(),
            token: Bytes(tokens::process_token()),
        }
    }

    fn client_id(&self) -> ClientId {
        arch::client_id()
    }

    fn thread_create_time(&self) -> u64 {
        let mut times = [0_u64; 4];
        let ntdll = ntdll();
        // SAFETY: thread, ThreadTimes, a local and its size, no length wanted.
        let status = unsafe {
            ntdll.call(
                ntdll.NtQueryInformationThread,
                [
                    CURRENT_THREAD,
                    THREAD_TIMES,
                    times.as_mut_ptr() as u64,
                    size_of_val(&times) as u64,
                    0,
                ],
            )
        };
        if status == 0 { times[0] } else { 0 }
    }

    /// Wine ends a thread by a signal, wherever it is; none comes back here.
    fn is_thread_terminating(&self) -> bool {
        false
    }

    fn watch_alerts(&self) -> Option<Alert> {
        Some(apcs::watch())
    }

    fn alerted(&self) -> Option<NtStatus> {
        apcs::alerted()
    }

    fn insert_port(
        &self,
        port: Arc<Port>,
        lifetime: Option<OwnedFd>,
        is_inheritable: bool,
    ) -> Result<Handle, NtStatus> {
        let lifetime = lifetime.ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        handles::insert(port, lifetime, is_inheritable)
    }

    fn port(&self, handle: Handle, access: u32) -> Result<Arc<Port>, NtStatus> {
        handles::port(handle, access)
    }

    fn close(&self, handle: Handle) {
        handles::close(handle.0);
    }

    fn directory(&self, handle: Handle) -> Result<Root, NtStatus> {
        names::directory(handle)
    }

    fn own_object(&self, path: &[u16]) -> Option<OwnObject> {
        names::own_object(path)
    }

    fn section(&self, handle: Handle, access: u32) -> Result<Section, NtStatus> {
        sections::section(handle, access)
    }

    fn map_view(
        &self,
        section: &Section,
        offset: u64,
        size: u64,
        at: Option<u64>,
    ) -> Result<MappedView, NtStatus> {
        sections::map_view(section, offset, size, at)
    }

    fn unmap_view(&self, base: u64) {
        sections::unmap_view(base);
    }

    fn protect_view(&self, view: MappedView, is_writable: bool) -> Result<(), NtStatus> {
        sections::protect_view(view, is_writable)
    }

    fn export_object(
        &self,
        handle: Handle,
        access: Option<u32>,
    ) -> Result<ExportedObject, NtStatus> {
        carriers::export(handle, access)
    }

    fn import_object(
        &self,
        sender: u32,
        description: &[u8],
        fds: Vec<OwnedFd>,
        is_last: bool,
    ) -> Result<Handle, NtStatus> {
        carriers::import(sender, description, &fds, is_last)
    }

    fn completion_port(&self, handle: Handle) -> Result<Arc<dyn CompletionPort>, NtStatus> {
        completion::completion_port(handle)
    }

    fn event(&self, handle: Handle) -> Result<Arc<dyn Event>, NtStatus> {
        completion::event(handle)
    }

    fn start_thread(&self, body: Box<dyn FnOnce() + Send>) -> Result<(), NtStatus> {
        threads::start(body)
    }

    fn forget_export(&self, description: &[u8]) {
        carriers::forget(description);
    }

    fn effective_token(&self) -> Vec<u8> {
        tokens::thread_token()
    }

    fn impersonate(&self, token: &[u8]) -> Result<(), NtStatus> {
        tokens::impersonate(token)
    }

    fn thread_id(&self, handle: Handle) -> Result<ClientId, NtStatus> {
        threads::client_id(handle.0)
    }

    fn open_process(
        &self,
        process: u32,
        access: u32,
        is_inheritable: bool,
    ) -> Result<Handle, NtStatus> {
        senders::open_process(process, access, is_inheritable)
    }

    fn open_thread(
        &self,
        thread: ClientId,
        access: u32,
        is_inheritable: bool,
    ) -> Result<Handle, NtStatus> {
        senders::open_thread(thread, access, is_inheritable)
    }

    fn server_places(&self) -> Vec<PathBuf> {
        // The i386 library lies in a directory of its own below the other's.
        let directories = library_directory().into_iter();
        directories
            .flat_map(|directory| [directory.join(".."), directory])
            .rev()
            .collect()
    }
}

fn create_time_of_process() -> u64 {
    let mut times = [0_u64; 4];
    query_process(PROCESS_TIMES, &mut times).map_or(0, |()| times[0])
}

/// File name of the program, from `ProcessImageFileName`: a UNICODE_STRING with its text behind it.
fn image_name() -> String {
    let mut answer = [0_u64; 140];
    if query_process(PROCESS_IMAGE_FILE_NAME, &mut answer).is_none() {
        return String::new();
    }
    let name = String::from_utf16_lossy(&names::string_at_start(&answer));
    name.rsplit('\\').next().unwrap_or_default().to_owned()
}

fn query_process(class: u64, answer: &mut [u64]) -> Option<()> {
    let ntdll = ntdll();
    // SAFETY: process, class, a buffer and its size, no length wanted.
    let status = unsafe {
        ntdll.call(
            ntdll.NtQueryInformationProcess,
            [
                CURRENT_PROCESS,
                class,
                answer.as_mut_ptr() as u64,
                size_of_val(answer) as u64,
                0,
            ],
        )
    };
    (status == 0).then_some(())
}

/// Directory of this library.
fn library_directory() -> Option<PathBuf> {
    let library = super::maps::path_of(library_directory as *const () as usize)?;
    Some(library.parent()?.to_owned())
}

const CURRENT_PROCESS: u64 = u64::MAX;
const CURRENT_THREAD: u64 = u64::MAX - 1;
const THREAD_TIMES: u64 = 1;
const PROCESS_TIMES: u64 = 4;
const PROCESS_IMAGE_FILE_NAME: u64 = 27;
