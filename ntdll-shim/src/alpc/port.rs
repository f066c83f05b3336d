//! `ALPC_PORT_ATTRIBUTES` and what the flags of a port mean (alpc §1.3).

use ntlpc_abi::layout::AlpcPortAttributes;
use ntlpc_abi::{NtStatus, UserPtr, limits};
use ntlpc_proto::port::{AlpcPort, Qos};
use ntlpc_shm::segment::EndAttributes;

use super::message::width;
use crate::engine::SectionLimits;
use crate::guest;

/// `ALPC_PORTFLG_ALLOW_LPC_REQUESTS`: the port accepts new messages of its peer.
pub(super) const ALLOW_LPC_REQUESTS: u32 = 0x2_0000;
/// `ALPC_PORTFLG_WAITABLE_PORT`.
pub(super) const WAITABLE_PORT: u32 = 0x4_0000;
/// `ALPC_PORTFLG_ALLOW_DUP_OBJECT`: only handles of `DupObjectTypes` are accepted.
pub(super) const ALLOW_DUP_OBJECT: u32 = 0x8_0000;
/// `ALPC_PORTFLG_ALLOW_MULTIHANDLE_ATTRIBUTE`: handles are asked for by number.
pub(super) const ALLOW_MULTIHANDLE_ATTRIBUTE: u32 = 0x200_0000;
/// `ALPC_PORTFLG_SYSTEM_PROCESS`: not for programs.
const SYSTEM_PROCESS: u32 = 0x10_0000;

/// `SecurityImpersonation`.
const IMPERSONATION: u32 = 2;

/// Captured port attributes.
#[derive(Clone, Copy, Debug)]
pub(super) struct PortAttributes(AlpcPortAttributes);

impl PortAttributes {
    /// Reads the attributes; NULL stands for the default ones.
    pub fn capture(at: UserPtr) -> Result<PortAttributes, NtStatus> {
        if at.is_null() {
            return Ok(PortAttributes(AlpcPortAttributes {
                level: IMPERSONATION,
                ..AlpcPortAttributes::default()
            }));
        }
        Ok(PortAttributes(guest::read(at, width())?))
    }

    /// Checks what a connection port must not have (alpc §2.1 steps 3, 4).
    pub fn check_new(&self) -> Result<(), NtStatus> {
        let is_too_long = self.0.max_message.0 > limits::ALPC_MAX_TOTAL as u64;
        if self.0.flags & SYSTEM_PROCESS != 0 || is_too_long {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        Ok(())
    }

    /// Returns the largest `TotalLength`: what was asked for, up to the most there is; 0 asks for that.
    pub fn max_message(&self) -> u32 {
        match self.0.max_message.0 {
            0 => limits::ALPC_MAX_TOTAL as u32,
            wanted => wanted.min(limits::ALPC_MAX_TOTAL as u64) as u32,
        }
    }

    /// Returns the flags.
    pub fn flags(&self) -> u32 {
        self.0.flags
    }

    /// Returns the part the other end sees.
    pub fn for_peer(&self) -> EndAttributes {
        EndAttributes {
            flags: self.0.flags,
            object_types: self.0.dup_object_types,
        }
    }

    /// Returns the part the server keeps.
    pub fn for_server(&self) -> AlpcPort {
        AlpcPort {
            flags: self.0.flags,
            object_types: self.0.dup_object_types,
        }
    }

    /// Returns the limits of the port's own sections and views.
    pub fn limits(&self) -> SectionLimits {
        SectionLimits {
            section: self.0.max_section.0,
            view: self.0.max_view.0,
            total: self.0.max_total_section.0,
        }
    }

    /// Returns the quality of service.
    pub fn qos(&self) -> Qos {
        Qos {
            level: self.0.level,
            is_dynamic: self.0.tracking != 0,
            is_effective_only: self.0.effective_only != 0,
        }
    }
}
