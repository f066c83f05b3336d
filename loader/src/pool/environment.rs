//! Callback environments: which pool and clean-up group an item belongs to.

use std::sync::Arc;

use ntlpc_abi::{NtStatus, UserPtr};

use super::group::{GROUPS, Group};
use super::{DEFAULT, POOLS, Pool, Priority};
use crate::export::{Callback, Ptr};
use crate::guest_struct;

guest_struct! {
    /// `TP_CALLBACK_ENVIRON_V3` of `winnt.h`; version 1 ends after `flags`.
    pub struct CallbackEnviron {
        version: u32,
        pool: UserPtr,
        cleanup_group: UserPtr,
        cleanup_group_cancel: Callback,
        race_dll: UserPtr,
        activation_context: UserPtr,
        finalization: Callback,
        flags: u32,
    }
}

/// What an item's callbacks need.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Pool that runs them.
    pub pool: Arc<Pool>,
    /// Clean-up group the item belongs to.
    pub group: Option<Arc<Group>>,
    /// Function told of an item that its group cancels.
    pub cancel: Callback,
    /// Queue of the pool.
    pub priority: Priority,
    /// Whether callbacks run in the thread that watches (`WT_EXECUTEINWAITTHREAD`, `WT_EXECUTEINTIMERTHREAD`).
    pub is_in_watcher: bool,
}

impl Default for Environment {
    fn default() -> Self {
        Environment::of_pool(DEFAULT.clone())
    }
}

impl Environment {
    /// Describes an item of `pool` with nothing special.
    #[must_use]
    pub fn of_pool(pool: Arc<Pool>) -> Self {
        Environment {
            pool,
            group: None,
            cancel: Callback(0),
            priority: Priority::Normal,
            is_in_watcher: false,
        }
    }

    /// Reads the guest's `TP_CALLBACK_ENVIRON`; NULL is the default one.
    ///
    /// Returns `NOT_SUPPORTED` for a finalization callback. The DLL of `SetThreadpoolCallbackLibrary` and activation
    /// contexts change nothing: built-in functions need neither, and a DLL is unloaded only by its owner.
    pub fn read(at: Ptr<CallbackEnviron>) -> Result<Self, NtStatus> {
        let Some(at) = at.non_null() else {
            return Ok(Environment::default());
        };
        let environ = at.read();
        if !matches!(environ.version, 1 | 3) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        if !environ.finalization.is_null() {
            log::warn!("thread pool: finalization callbacks are not supported");
            return Err(NtStatus::NOT_SUPPORTED);
        }
        let pool = match environ.pool.0 {
            0 => DEFAULT.clone(),
            id => POOLS.get(id).ok_or(NtStatus::INVALID_PARAMETER)?,
        };
        let group = match environ.cleanup_group.0 {
            0 => None,
            id => Some(GROUPS.get(id).ok_or(NtStatus::INVALID_PARAMETER)?),
        };
        let priority = if environ.version < 3 {
            1
        } else {
            let after = CallbackEnviron::offset_of("flags") + 4;
            at.cast::<u32>().byte_add(after as u64).read()
        };
        Ok(Environment {
            pool,
            group,
            cancel: environ.cleanup_group_cancel,
            priority: match priority {
                0 => Priority::High,
                1 => Priority::Normal,
                2 => Priority::Low,
                _ => return Err(NtStatus::INVALID_PARAMETER),
            },
            is_in_watcher: false,
        })
    }
}
