//! The port engine's view of this process: [`ntdll_shim::host::Host`] over the object manager.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ntdll_shim::engine::Port;
use ntdll_shim::host::{
    Alert, CompletionPacket, CompletionPort, ExportedObject, Host, MappedView, PORT_ALL_ACCESS,
    Personality, Root, Section as PortSection,
    exported::{self, Described},
    object_type_code,
};
use ntlpc_abi::{ClientId, Handle, NtStatus, Width};
use ntlpc_proto::process::{GuestWidth, Hello, HostKind};

use super::completion::{Completion, Packet};
use super::name::Directory;
use super::object::{Header, Object, ObjectType};
use super::packed::{Packed, PackedKind};
use super::section::{Section, map_fd, placement};
use super::sync::{Event, MODIFY_STATE};
use super::table::{self, INHERIT, TABLE, lookup};
use super::token::{self, Token};
use super::waitable::{Taken, Waitable, Watch, Word, WordRef};
use super::{apc, process, pseudo_entry, thread};
use super::{impersonation, packed};
use crate::guest;
use crate::vm::{SPACE, page};

/// Generic mapping of ports: lpc §3.8.
const GENERIC: [u32; 4] = [0x2_0001, 0x1_0001, 0, PORT_ALL_ACCESS];
static PORT_TYPE: ObjectType = ObjectType {
    name: "Port",
    generic: GENERIC,
};
static WAITABLE_PORT_TYPE: ObjectType = ObjectType {
    name: "WaitablePort",
    generic: GENERIC,
};
static ALPC_PORT_TYPE: ObjectType = ObjectType {
    name: "ALPC Port",
    generic: GENERIC,
};

/// A port in the handle table.
#[derive(Debug)]
pub struct PortObject {
    header: Header,
    port: Arc<Port>,
}

impl PortObject {
    /// Builds the port another process packed.
    pub fn unpack(lifetime: OwnedFd) -> Result<Self, NtStatus> {
        let port = ntdll_shim::engine::adopt_by_lifetime(lifetime.as_fd())?;
        *port.lifetime.lock() = Some(lifetime);
        Ok(PortObject {
            header: Header::default(),
            port,
        })
    }
}

/// Signal word of a waitable port, kept mapped by the port.
#[derive(Debug)]
struct PortSignal {
    port: Arc<Port>,
    address: u64,
}

impl Word for PortSignal {
    fn word(&self) -> &AtomicU32 {
        let _alive = &self.port;
        guest::atomic_u32(self.address)
    }
    fn is_shared(&self) -> bool {
        true
    }
}

impl Waitable for PortObject {
    fn is_signaled(&self) -> bool {
        self.port.is_signalled()
    }
    fn take(&self) -> Option<Taken> {
        self.is_signaled().then_some(Taken::Signaled)
    }
    fn give_back(&self, _taken: Taken) {}
    fn watch(&self) -> Option<Watch> {
        let (address, expected) = self.port.watch_signal()?;
        if self.port.is_signalled() {
            return None;
        }
        let word = PortSignal {
            port: self.port.clone(),
            address: address as u64,
        };
        Some(Watch {
            word: WordRef::Other(Arc::new(word)),
            expected,
            deadline_ns: None,
        })
    }
}

impl Object for PortObject {
    fn object_type(&self) -> &'static ObjectType {
        match self.port.type_name() {
            "WaitablePort" => &WAITABLE_PORT_TYPE,
            "ALPC Port" => &ALPC_PORT_TYPE,
            _ => &PORT_TYPE,
        }
    }
    fn header(&self) -> &Header {
        &self.header
    }
    fn waitable(&self) -> Option<&dyn Waitable> {
        Some(self)
    }
    fn pack(&self) -> Result<Packed, NtStatus> {
        // Possession of a lifetime descriptor is how a port crosses to another process.
        let lifetime = self.port.share()?;
        Ok(Packed {
            kind: PackedKind::Port,
            bytes: Vec::new(),
            fds: vec![lifetime],
        })
    }
    fn path(&self) -> Vec<u16> {
        self.port.name()
    }
    fn last_handle_closed(&self) {
        // Threads end outside calls here: nothing they held is lost.
        self.port.handles_closed();
    }
}

impl CompletionPort for Completion {
    fn post(&self, packet: CompletionPacket) -> Result<(), NtStatus> {
        Completion::post(
            self,
            Packet {
                key: packet.key,
                value: packet.context,
                status: packet.status.0,
                information: packet.information,
            },
        );
        Ok(())
    }
}

impl ntdll_shim::host::Event for Event {
    fn set(&self) {
        Event::set(self);
    }
}

const _: () = assert!(
    PackedKind::Section as u8 == exported::SECTION && PackedKind::File as u8 == exported::FILE
);

/// Address space kept for views whose addresses the server chooses.
fn arena_bytes() -> usize {
    crate::width().pick(0x1000_0000, 0x10_0000_0000)
}

/// The standalone host.
#[derive(Debug)]
pub struct Standalone;

/// Makes the port engine use this process's object manager. Called once, before guest code runs.
pub fn install() {
    ntdll_shim::host::install(Box::new(Standalone));
}

impl Host for Standalone {
    fn personality(&self) -> Personality {
        let guest = crate::width();
        let port = if crate::is_wow64() { Width::X64 } else { guest };
        Personality { port, guest }
    }

    fn hello(&self) -> Hello {
        let process = process::current();
        let arena_base = SPACE
            .lock()
            .reserve_arena(arena_bytes(), placement(None).below);
        let arena_base = arena_base.unwrap_or_else(|status| {
            log::warn!("no room for views of other processes' sections: {status}");
            0
        });
        let image = std::env::args_os().nth(1).unwrap_or_default();
        let image = std::path::Path::new(&image).file_name().unwrap_or_default();
        Hello {
            host: HostKind::Standalone,
            width: match self.personality().port {
                Width::X64 => GuestWidth::X64,
                Width::X86 => GuestWidth::X86,
            },
            nt_pid: process.pid,
            create_time: process.create_time.unsigned_abs(),
            wants_lifetime_fds: false,
            arena_base: arena_base as u64,
            arena_size: if arena_base == 0 {
                0
            } else {
                arena_bytes() as u64
            },
            image: image.to_string_lossy().into_owned(),
            token: ntlpc_proto::Bytes(token::primary().to_bytes()),
        }
    }

    fn client_id(&self) -> ClientId {
        ClientId {
            process: std::process::id(),
            thread: crate::linux::thread_id(),
        }
    }

    fn thread_create_time(&self) -> u64 {
        thread::with_current(|thread| thread.create_time.unsigned_abs())
    }

    fn is_thread_terminating(&self) -> bool {
        thread::with_current(|thread| thread.control.is_terminating.load(Ordering::Acquire))
    }

    fn watch_alerts(&self) -> Option<Alert> {
        apc::watch_alerts()
    }

    fn alerted(&self) -> Option<NtStatus> {
        apc::alerted()
    }

    fn interrupted(&self) {
        super::suspend::pause_wait();
    }

    fn insert_port(
        &self,
        port: Arc<Port>,
        lifetime: Option<OwnedFd>,
        is_inheritable: bool,
    ) -> Result<Handle, NtStatus> {
        *port.lifetime.lock() = lifetime;
        let object = Arc::new(PortObject {
            header: Header::default(),
            port,
        });
        TABLE.insert(
            object,
            PORT_ALL_ACCESS,
            if is_inheritable { INHERIT } else { 0 },
        )
    }

    fn port(&self, handle: Handle, access: u32) -> Result<Arc<Port>, NtStatus> {
        table::read(handle, access, |object: &PortObject| object.port.clone())
    }

    fn close(&self, handle: Handle) {
        // The handle was made for this call; a guest that closed it meanwhile has done our work.
        let _ = TABLE.close(handle);
    }

    fn directory(&self, handle: Handle) -> Result<Root, NtStatus> {
        lookup::<Directory>(handle, 0)
            .and_then(|directory| directory.server_id())
            .map(Root::Object)
    }

    fn section(&self, handle: Handle, access: u32) -> Result<PortSection, NtStatus> {
        let section = lookup::<Section>(handle, access)?;
        Ok(PortSection {
            fd: section.duplicate_fd()?,
            size: section.size,
        })
    }

    fn map_view(
        &self,
        section: &PortSection,
        offset: u64,
        size: u64,
        at: Option<u64>,
    ) -> Result<MappedView, NtStatus> {
        let at = at
            .map(usize::try_from)
            .transpose()
            .map_err(|_| NtStatus::CONFLICTING_ADDRESSES)?;
        let place = placement(at);
        let (base, size) = map_fd(
            &section.fd,
            section.size,
            place,
            offset,
            size,
            page::READWRITE,
        )?;
        Ok(MappedView {
            base: base as u64,
            size: size as u64,
        })
    }

    fn unmap_view(&self, base: u64) {
        // The guest may have unmapped the view itself.
        let _ = SPACE.lock().unmap_view(usize::try_from(base).unwrap_or(0));
    }

    fn protect_view(&self, view: MappedView, is_writable: bool) -> Result<(), NtStatus> {
        let protection = if is_writable {
            page::READWRITE
        } else {
            page::READONLY
        };
        let (Ok(base), Ok(size)) = (usize::try_from(view.base), usize::try_from(view.size)) else {
            return Err(NtStatus::INVALID_PARAMETER);
        };
        SPACE.lock().protect(base, size, protection).map(|_| ())
    }

    fn export_object(
        &self,
        handle: Handle,
        access: Option<u32>,
    ) -> Result<ExportedObject, NtStatus> {
        let entry = pseudo_entry(handle)?;
        let object_type = entry.object.object_type();
        let code = object_type_code(object_type.name).ok_or(NtStatus::OBJECT_TYPE_MISMATCH)?;
        let access = match access {
            Some(access) => object_type.grant(access)?,
            None => entry.access,
        };
        let packed = entry.object.pack()?;
        let described = Described {
            access,
            object: packed.kind as u8,
            rest: &packed.bytes,
        };
        Ok(ExportedObject {
            object_type: code,
            access,
            description: described.to_bytes(packed.fds.len() as u8),
            fds: packed.fds,
        })
    }

    fn import_object(
        &self,
        _sender: u32,
        description: &[u8],
        fds: Vec<OwnedFd>,
        _is_last: bool,
    ) -> Result<Handle, NtStatus> {
        let described = Described::parse(description)?;
        let kind = PackedKind::from_u8(described.object).ok_or(NtStatus::INVALID_PARAMETER)?;
        let packed = Packed {
            kind,
            bytes: described.rest.to_vec(),
            fds,
        };
        let object = packed::build(packed)?;
        let access = object.object_type().grant(described.access)?;
        TABLE.insert(object, access, 0)
    }

    fn completion_port(&self, handle: Handle) -> Result<Arc<dyn CompletionPort>, NtStatus> {
        let completion: Arc<Completion> = lookup(handle, MODIFY_STATE)?;
        Ok(completion)
    }

    fn event(&self, handle: Handle) -> Result<Arc<dyn ntdll_shim::host::Event>, NtStatus> {
        let event: Arc<Event> = lookup(handle, MODIFY_STATE)?;
        Ok(event)
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
        impersonation::effective().to_bytes()
    }

    fn thread_id(&self, handle: Handle) -> Result<ClientId, NtStatus> {
        /// `THREAD_QUERY_LIMITED_INFORMATION`; the full right includes it.
        const QUERY_LIMITED: u32 = 0x800;
        const QUERY: u32 = 0x40;
        let thread = lookup::<thread::Thread>(handle, QUERY_LIMITED)
            .or_else(|_| lookup::<thread::Thread>(handle, QUERY))?;
        Ok(ClientId {
            process: thread.pid,
            thread: thread.tid.load(Ordering::Acquire),
        })
    }

    fn open_process(
        &self,
        process: u32,
        access: u32,
        is_inheritable: bool,
    ) -> Result<Handle, NtStatus> {
        insert_opened(super::agent::open_process(process)?, access, is_inheritable)
    }

    fn open_thread(
        &self,
        thread: ClientId,
        access: u32,
        is_inheritable: bool,
    ) -> Result<Handle, NtStatus> {
        let object = if thread.process == std::process::id() {
            super::agent::open_thread(thread.thread)?
        } else {
            super::agent::thread_of(thread.process, thread.thread)?
        };
        insert_opened(object, access, is_inheritable)
    }

    fn impersonate(&self, token: &[u8]) -> Result<(), NtStatus> {
        let token = Arc::new(Token::from_bytes(token)?);
        // The server made the token, so it need not be told of it as the thread's own.
        thread::with_current(|thread| *thread.token.lock() = Some(token));
        Ok(())
    }
}

/// Makes a handle with the rights asked for.
fn insert_opened(
    object: Arc<dyn Object>,
    access: u32,
    is_inheritable: bool,
) -> Result<Handle, NtStatus> {
    let granted = object.object_type().grant(access)?;
    TABLE.insert(object, granted, if is_inheritable { INHERIT } else { 0 })
}
