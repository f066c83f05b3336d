//! `PORT_VIEW` and `REMOTE_PORT_VIEW` of connect and accept (lpc §1.3, §1.4, §3.7).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ntlpc_abi::layout::{Layout, PortView, RemotePortView, Word};
use ntlpc_abi::{NtStatus, UserPtr};
use ntlpc_proto::port::View;

use super::message::width;
use crate::engine::Port;
use crate::guest;
use crate::host::{self, MappedView, SECTION_MAP_READ_WRITE, Section};

/// Captures the place for the view of the peer's section; `None` for NULL.
pub(super) fn capture_remote(at: UserPtr) -> Result<Option<RemotePortView>, NtStatus> {
    capture(at, |view: &RemotePortView| view.length)
}

fn capture<T: Layout>(at: UserPtr, length: fn(&T) -> u32) -> Result<Option<T>, NtStatus> {
    if at.is_null() {
        return Ok(None);
    }
    let view: T = guest::read(at, width())?;
    guest::probe_write(at, T::size(width()))?;
    if length(&view) as usize != T::size(width()) {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    Ok(Some(view))
}

/// The view a call gives of this process's own section (`PORT_VIEW`), unmapped again unless a port keeps it.
#[derive(Debug)]
pub(super) struct OwnView {
    at: UserPtr,
    captured: Option<PortView>,
    mapped: Option<(Section, MappedView)>,
    status: NtStatus,
    is_kept: bool,
}

impl OwnView {
    /// Captures the view at `at`; NULL is no view. Its length is checked and it is probed for writing.
    pub fn capture(at: UserPtr) -> Result<OwnView, NtStatus> {
        Ok(OwnView {
            at,
            captured: capture(at, |view: &PortView| view.length)?,
            mapped: None,
            status: NtStatus::SUCCESS,
            is_kept: false,
        })
    }

    /// Maps the section it names (lpc §2.3 steps 14, 15). A problem is kept for [`OwnView::status`]: it is reported after
    /// what the server checks first.
    pub fn map(&mut self) {
        let Some(captured) = &self.captured else {
            return;
        };
        let host = host::current();
        let mapped = host
            .section(captured.section, SECTION_MAP_READ_WRITE)
            .and_then(|section| {
                let offset = u64::from(captured.offset);
                let mapped = host.map_view(&section, offset, captured.view_size.0, None)?;
                Ok((section, mapped))
            });
        match mapped {
            Ok(mapped) => self.mapped = Some(mapped),
            Err(status) => self.status = status,
        }
    }

    /// Returns what [`OwnView::map`] came to.
    pub const fn status(&self) -> NtStatus {
        self.status
    }

    /// Returns the view for the server, if there is one.
    pub fn describe(&self) -> Option<View> {
        let offset = u64::from(self.captured.as_ref()?.offset);
        let (_, mapped) = self.mapped.as_ref()?;
        Some(View {
            offset,
            size: mapped.size,
            base: mapped.base,
        })
    }

    /// Returns the descriptor of the section, if there is one.
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let section = self.mapped.iter().map(|(section, _)| section.fd.as_fd());
        section.collect()
    }

    /// Hands the mapping to `port`, which unmaps it when it goes.
    pub fn keep(&mut self, port: &Port) {
        let base = self.mapped.as_ref().map(|(_, mapped)| mapped.base);
        port.views.lock().extend(base);
        self.is_kept = true;
    }

    /// Writes the view back with the address the peer sees it at.
    pub fn write(&self, remote_base: u64) -> Result<(), NtStatus> {
        let (Some(captured), Some((_, mapped))) = (&self.captured, &self.mapped) else {
            return Ok(());
        };
        let view = PortView {
            view_size: Word(mapped.size),
            base: UserPtr(mapped.base),
            remote_base: UserPtr(remote_base),
            ..*captured
        };
        guest::write(self.at, width(), &view)
    }
}

impl Drop for OwnView {
    fn drop(&mut self) {
        if let Some((_, mapped)) = self.mapped.as_ref().filter(|_| !self.is_kept) {
            host::current().unmap_view(mapped.base);
        }
    }
}

/// Maps the view the peer gave, where the server says; `port` unmaps it when it goes.
pub(super) fn map_peer(
    view: Option<&View>,
    section: Option<OwnedFd>,
    port: &Port,
) -> Result<Option<MappedView>, NtStatus> {
    let Some(view) = view else {
        return Ok(None);
    };
    let section = Section {
        fd: section.ok_or(NtStatus::INSUFFICIENT_RESOURCES)?,
        size: view.offset.saturating_add(view.size),
    };
    let at = (view.base != 0).then_some(view.base);
    let mapped = host::current().map_view(&section, view.offset, view.size, at)?;
    port.views.lock().push(mapped.base);
    Ok(Some(mapped))
}

/// Writes what is known of the peer's view; `length` is what the call leaves in the length field.
pub(super) fn write_remote(
    at: UserPtr,
    length: u32,
    mapped: Option<MappedView>,
) -> Result<(), NtStatus> {
    let mapped = mapped.unwrap_or(MappedView { base: 0, size: 0 });
    let view = RemotePortView {
        length,
        view_size: Word(mapped.size),
        base: UserPtr(mapped.base),
    };
    guest::write(at, width(), &view)
}
