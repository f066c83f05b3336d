//! `PORT_VIEW` and `REMOTE_PORT_VIEW` of connect and accept (lpc §1.3, §1.4, §3.7).

use ntlpc_abi::layout::{Layout, PortView, RemotePortView, Word};
use ntlpc_abi::{NtStatus, UserPtr};
use ntlpc_proto::port::View;

use super::message::width;
use crate::guest;
use crate::host::{self, MappedView, SECTION_MAP_READ_WRITE, Section};

/// Captures a view of this process's own section; `None` for NULL. Its length is checked and it is probed for writing.
pub(super) fn capture_own(at: UserPtr) -> Result<Option<PortView>, NtStatus> {
    capture(at, |view: &PortView| view.length)
}

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

/// A view of this process's own section, mapped.
#[derive(Debug)]
pub(super) struct OwnView {
    pub section: Section,
    pub mapped: MappedView,
    offset: u64,
}

impl OwnView {
    /// Maps the section a captured view names (lpc §2.3 steps 14, 15).
    pub fn map(view: &PortView) -> Result<OwnView, NtStatus> {
        let host = host::current();
        let section = host.section(view.section, SECTION_MAP_READ_WRITE)?;
        let offset = u64::from(view.offset);
        let mapped = host.map_view(&section, offset, view.view_size.0, None)?;
        Ok(OwnView {
            section,
            mapped,
            offset,
        })
    }

    /// Returns the view for the server.
    pub fn describe(&self) -> View {
        View {
            offset: self.offset,
            size: self.mapped.size,
            base: self.mapped.base,
        }
    }

    /// Writes the view back with the address the peer sees it at.
    pub fn write(
        &self,
        at: UserPtr,
        captured: &PortView,
        remote_base: u64,
    ) -> Result<(), NtStatus> {
        let view = PortView {
            view_size: Word(self.mapped.size),
            base: UserPtr(self.mapped.base),
            remote_base: UserPtr(remote_base),
            ..*captured
        };
        guest::write(at, width(), &view)
    }
}

/// Maps the view the peer gave, where the server says.
pub(super) fn map_peer(
    view: &View,
    section: Option<std::os::fd::OwnedFd>,
) -> Result<MappedView, NtStatus> {
    let fd = section.ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
    let section = Section {
        fd,
        size: view.offset.saturating_add(view.size),
    };
    let at = (view.base != 0).then_some(view.base);
    host::current().map_view(&section, view.offset, view.size, at)
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
