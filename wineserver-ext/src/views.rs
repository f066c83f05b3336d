//! Sections of a connection and where they are mapped at both ends (lpc §3.7).

use std::os::fd::OwnedFd;
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::{AcceptViews, AcceptViewsReply, View};

use crate::answer::{Outcome, answer};
use crate::connection::{Connection, Phase};
use crate::process::ProcessNo;
use crate::state::State;

/// A section mapped at both ends (lpc §3.7).
#[derive(Debug)]
pub struct SharedView {
    /// The section.
    pub section: Arc<OwnedFd>,
    /// Offset of the view.
    pub offset: u64,
    /// Size of the view.
    pub size: u64,
    /// Address in the process that owns the section.
    pub owner_base: u64,
    /// Address at the other end; 0 = none yet.
    pub remote_base: u64,
}

impl SharedView {
    pub(crate) fn new(
        view: Option<View>,
        fds: Vec<OwnedFd>,
    ) -> Result<Option<SharedView>, NtStatus> {
        let Some(view) = view else {
            return Ok(None);
        };
        let section = fds.into_iter().next().ok_or(NtStatus::INVALID_PARAMETER)?;
        check_view(&view, &section)?;
        Ok(Some(SharedView {
            section: Arc::new(section),
            offset: view.offset,
            size: view.size,
            owner_base: view.base,
            remote_base: 0,
        }))
    }

    pub(crate) fn remote(&self) -> View {
        View {
            offset: self.offset,
            size: self.size,
            base: self.remote_base,
        }
    }
}

impl State {
    /// Sets the addresses a host chose itself.
    pub fn accept_views(
        &mut self,
        caller: ProcessNo,
        request: AcceptViews,
    ) -> Outcome<AcceptViews> {
        let id = self.own_server_connection(caller, request.port)?;
        if let Some(connection) = self.connections.get_mut(&id)
            && connection.phase == Phase::Accepted
        {
            // An address given out here stays: it is taken in an arena, and given back by this number.
            let chosen = [
                (&mut connection.client_view, request.client_view_base),
                (&mut connection.server_view, request.server_view_remote_base),
            ];
            for (view, base) in chosen {
                if let Some(view) = view
                    && view.remote_base == 0
                {
                    view.remote_base = base;
                }
            }
        }
        answer(AcceptViewsReply {})
    }

    /// Takes addresses in the arena of `process`; 0 if its host places views itself.
    pub(crate) fn place_view(&mut self, process: ProcessNo, size: u64) -> Result<u64, NtStatus> {
        let arena = &mut self.process_mut(process)?.arena;
        if arena.is_absent() {
            return Ok(0);
        }
        arena.allocate(size).ok_or(NtStatus::NO_MEMORY)
    }

    /// Gives the addresses of a connection's remote views back.
    pub(crate) fn release_views(&mut self, connection: &Connection) {
        let remote = [
            (connection.server_process, &connection.client_view),
            (Some(connection.client_process), &connection.server_view),
        ];
        for (process, view) in remote {
            if let (Some(process), Some(view)) = (process, view)
                && let Ok(process) = self.process_mut(process)
            {
                process.arena.free(view.remote_base);
            }
        }
    }
}

/// A view beyond its section would raise SIGBUS in the peer that maps it.
fn check_view(view: &View, section: &OwnedFd) -> Result<(), NtStatus> {
    const GRANULARITY: u64 = 0x1_0000;
    const PAGE: u64 = 0x1000;
    if !view.offset.is_multiple_of(GRANULARITY) {
        return Err(NtStatus::MAPPED_ALIGNMENT);
    }
    let stat = rustix::fs::fstat(section).map_err(|_| NtStatus::INVALID_HANDLE)?;
    let len = u64::try_from(stat.st_size)
        .unwrap_or(0)
        .next_multiple_of(PAGE);
    let end = view.offset.checked_add(view.size);
    if view.size == 0 || end.is_none_or(|end| end > len) {
        return Err(NtStatus::INVALID_VIEW_SIZE);
    }
    Ok(())
}
