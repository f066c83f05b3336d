//! Work on a waiting request: impersonation and its data blocks (lpc §2.13, §2.15).

use ntlpc_abi::{NtStatus, Width};
use ntlpc_proto::Bytes;
use ntlpc_proto::frame::MAX_DATA_BYTES;
use ntlpc_proto::port::{
    CheckSender, CheckSenderReply, Impersonate, ImpersonateReply, PortKind, ReadData,
    ReadDataReply, Target, WriteData, WriteDataReply,
};
use ntlpc_proto::sys::{read_process, write_process};
use ntlpc_shm::segment::{Direction, SELF_SOURCE, Segment};
use ntlpc_shm::slot::{CONTINUES, Header, Kind, NO_IMPERSONATE, Slot};
use ntlpc_shm::turn::Phase;
use ntlpc_shm::{SERVER, Tno};

use crate::answer::{Outcome, answer};
use crate::namespace::ObjectId;
use crate::port::{Lingering, Role, Source};
use crate::process::ProcessNo;
use crate::state::State;

/// `ALPC_PORTFLG_ALLOW_IMPERSONATION` of the client's port.
const ALPC_ALLOW_IMPERSONATION: u32 = 0x1_0000;

/// A data block of a waiting client, as its captured message names it.
struct Block {
    base: u64,
    size: u64,
    linux_pid: u32,
}

impl State {
    /// Checks an impersonation and returns the client's token.
    pub fn impersonate(&mut self, caller: ProcessNo, request: Impersonate) -> Outcome<Impersonate> {
        let port = self.held_port(caller, request.port)?;
        let client = self
            .threads
            .by_client_id(request.target.pid, request.target.tid)?;
        // ALPC takes the connection port, too, and has one refusal (alpc#277).
        let is_alpc = port.is_alpc;
        let (connection, mismatch) = if is_alpc {
            let source = request.target.source;
            let connection = self.received_from(caller, request.port, source);
            let denied = NtStatus::ACCESS_DENIED;
            (connection.map_err(|_| denied)?, denied)
        } else {
            let id = port.connection().filter(|_| port.kind == PortKind::Server);
            let id = id.ok_or(NtStatus::INVALID_PORT_HANDLE)?;
            let connection = self.connections.get(&id);
            let connection = connection.ok_or(NtStatus::PORT_DISCONNECTED)?;
            (connection, NtStatus::REPLY_MESSAGE_MISMATCH)
        };
        if connection.client_port.is_none() {
            return Err(NtStatus::PORT_DISCONNECTED);
        }
        if request.target.source != connection.source {
            return Err(mismatch);
        }
        let flags = connection.segment.attributes(Direction::ToClient).flags;
        if is_alpc && connection.is_alpc && flags & ALPC_ALLOW_IMPERSONATION == 0 {
            return Err(NtStatus::ACCESS_DENIED);
        }
        let header = waiting_header(
            &connection.segment,
            Direction::ToServer,
            &request.target,
            client.tno,
            |_| (),
        );
        let (header, ()) = header.ok_or(mismatch)?;
        if header.flags & NO_IMPERSONATE != 0 {
            return Err(NtStatus::ACCESS_DENIED);
        }
        let token = match &connection.static_token {
            Some(token) => token.clone(),
            None => {
                let effective = match &client.token {
                    Some(token) => token,
                    None => &self.process(client.process)?.token,
                };
                // What the thread is at this moment, and never more than that (lpc#181).
                let level = match effective.is_impersonation() {
                    true => connection.level.min(effective.level()),
                    false => connection.level,
                };
                effective.impersonation(level, connection.is_effective_only)?
            }
        };
        answer(ImpersonateReply {
            token: token.to_bytes(),
        })
    }

    /// Reads from a data block of a waiting client.
    pub fn read_data(&self, caller: ProcessNo, request: ReadData) -> Outcome<ReadData> {
        let block = self.block(caller, request.port, &request.target, request.index)?;
        let len = request.len as usize;
        if len > MAX_DATA_BYTES
            || request
                .offset
                .checked_add(len as u64)
                .is_none_or(|end| end > block.size)
        {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let mut bytes = vec![0; len];
        if len != 0 {
            let from = block.base.wrapping_add(request.offset);
            let copied = read_process(block.linux_pid, from, &mut bytes);
            bytes.truncate(copied.map_err(|error| copy_failed(block.linux_pid, &error))?);
        }
        answer(ReadDataReply {
            bytes: Bytes(bytes),
        })
    }

    /// Writes to a data block of a waiting client.
    pub fn write_data(&self, caller: ProcessNo, request: WriteData) -> Outcome<WriteData> {
        let block = self.block(caller, request.port, &request.target, request.index)?;
        let bytes = &request.bytes.0;
        if request
            .offset
            .checked_add(bytes.len() as u64)
            .is_none_or(|end| end > block.size)
        {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let mut written = 0;
        if !bytes.is_empty() {
            let to = block.base.wrapping_add(request.offset);
            let copied = write_process(block.linux_pid, to, bytes);
            written = copied.map_err(|error| copy_failed(block.linux_pid, &error))? as u32;
        }
        answer(WriteDataReply { written })
    }

    /// Finds a data block in the captured message of a waiting request (lpc §2.15 steps 4–7).
    fn block(
        &self,
        caller: ProcessNo,
        port: ObjectId,
        target: &Target,
        index: u32,
    ) -> Result<Block, NtStatus> {
        let port = self.held_port(caller, port)?;
        let client = self.threads.by_client_id(target.pid, target.tid)?;
        let process = self.process(client.process)?;
        let (entry, first) = match process.width {
            Width::X86 => (8, 4),
            Width::X64 => (16, 8),
        };
        let mismatch = NtStatus::REPLY_MESSAGE_MISMATCH;
        let (segment, direction) = match &port.role {
            Role::Receiving(_) => (
                self.source_segment(port.id, target.source)
                    .ok_or(mismatch)?,
                Direction::ToServer,
            ),
            Role::End(id) => {
                let connection = self.connections.get(id).ok_or(mismatch)?;
                if port.kind == PortKind::Client {
                    (connection.segment.clone(), Direction::ToClient)
                } else if target.source == connection.source || target.source == SELF_SOURCE {
                    let segment = self
                        .source_segment(connection.port, target.source)
                        .ok_or(mismatch)?;
                    (segment, Direction::ToServer)
                } else {
                    return Err(mismatch);
                }
            }
        };
        let read = |slot: Slot<'_>| {
            let mut payload = vec![0; slot.capacity()];
            slot.read(0, &mut payload);
            payload
        };
        let (header, payload) =
            waiting_header(&segment, direction, target, client.tno, read).ok_or(mismatch)?;
        let bad = NtStatus::INVALID_PARAMETER;
        let info = usize::from(header.data_info).checked_sub(1).ok_or(bad)?;
        let count = word(&payload, info, 4).ok_or(bad)?;
        if u64::from(index) >= count {
            return Err(bad);
        }
        let at = info + first + index as usize * entry;
        let base = word(&payload, at, entry / 2).ok_or(bad)?;
        let size = word(&payload, at + entry / 2, 4).ok_or(bad)?;
        Ok(Block {
            base,
            size,
            linux_pid: self
                .linux_pid(client.process)
                .ok_or(NtStatus::ACCESS_DENIED)?,
        })
    }

    /// Returns the Linux process id of a process, if it is visible from here.
    pub(crate) fn linux_pid(&self, process: ProcessNo) -> Option<u32> {
        Some(
            self.processes
                .get(&process)?
                .linux_pid?
                .as_raw_nonzero()
                .get()
                .unsigned_abs(),
        )
    }

    fn source_segment(&self, port: ObjectId, source: u32) -> Option<Segment> {
        match self.ports.get(&port)?.receiving()?.sources.get(&source)? {
            Source::Connection(id) => Some(self.connections.get(id)?.segment.clone()),
            Source::Itself(segment)
            | Source::Lingering(Lingering { segment, .. })
            | Source::Exception(_, segment) => Some(segment.clone()),
        }
    }

    /// Checks that the process of a thread holds, or held, the port that sends to `port` through `source`.
    pub fn check_sender(&self, caller: ProcessNo, request: CheckSender) -> Outcome<CheckSender> {
        let sender = self
            .threads
            .entry(request.tno)
            .ok_or(NtStatus::INVALID_CID)?
            .process_no;
        let port = self.held_port(caller, request.port).ok();
        let is_holder = match port.map(|port| &port.role) {
            Some(Role::End(id)) => self
                .connections
                .get(id)
                .is_some_and(|connection| connection.server_holders.contains(&sender)),
            _ => self.is_source_holder(request.port, request.source, sender),
        };
        if is_holder {
            answer(CheckSenderReply {})
        } else {
            Err(NtStatus::INVALID_CID)
        }
    }

    /// A process that only has server communication ports receives from their connection port without holding it.
    fn is_source_holder(&self, port: ObjectId, source: u32, sender: ProcessNo) -> bool {
        let Some(entry) = self.ports.get(&port) else {
            return false;
        };
        match entry
            .receiving()
            .and_then(|receiving| receiving.sources.get(&source))
        {
            Some(Source::Connection(id)) => self
                .connections
                .get(id)
                .is_some_and(|connection| connection.client_holders.contains(&sender)),
            Some(Source::Itself(_)) => entry.past_holders.contains(&sender),
            Some(Source::Exception(process, _)) => *process == sender,
            Some(Source::Lingering(old)) => old.senders.contains(&sender),
            None => false,
        }
    }
}

/// Returns the header of the slot in which `client` waits for an answer to the target's message, and what `read` makes of
/// the slot.
fn waiting_header<T>(
    segment: &Segment,
    direction: Direction,
    target: &Target,
    client: Tno,
    read: impl FnOnce(Slot<'_>) -> T,
) -> Option<(Header, T)> {
    let lane = segment.lane(direction);
    let slot = lane.slot(target.slot)?;
    let (state, turn, header) = (slot.state(), slot.turn(), slot.header());
    let waits = matches!(turn.phase, Phase::Wait | Phase::Armed) && turn.who == target.message_id;
    // Or its message stands for a conversation, and the thread does not wait.
    let continues = header.flags & CONTINUES != 0
        && state.owner == SERVER
        && header.message_id == target.message_id;
    let is_waiting = (waits || continues) && state.kind == Kind::Held && header.sender == client;
    (is_waiting && target.message_id != 0).then(|| (header, read(slot)))
}

fn word(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let mut raw = [0; 8];
    raw[..len].copy_from_slice(bytes.get(at..at.checked_add(len)?)?);
    Some(u64::from_le_bytes(raw))
}

/// Says why the memory of a client could not be copied; it allowed this server to (`PR_SET_PTRACER`).
fn copy_failed(pid: u32, error: &std::io::Error) -> NtStatus {
    if error.raw_os_error() == Some(rustix::io::Errno::FAULT.raw_os_error()) {
        return NtStatus::ACCESS_VIOLATION;
    }
    log::warn!("cannot copy the memory of process {pid}: {error}");
    NtStatus::ACCESS_DENIED
}
