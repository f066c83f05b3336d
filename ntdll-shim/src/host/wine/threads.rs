//! The end of a thread.

use super::service::ntdll;
use crate::engine;
use crate::interrupt;

/// `NtTerminateThread(Handle, Status)`: a thread that ends itself tells the server first, so that its CLIENT_DIED notices
/// are queued before the thread object is signalled (lpc §3.6). Of other deaths the server hears from the kernel.
pub unsafe extern "sysv64" fn terminate_thread(arguments: *mut u64) -> u32 {
    interrupt::reset();
    // SAFETY: Wine passes the two arguments of the call.
    let all = unsafe { *arguments.cast::<[u64; 2]>() };
    if matches!(all[0], CURRENT_THREAD | 0) {
        engine::thread_exit();
    }
    let ntdll = ntdll();
    // SAFETY: the caller's own arguments.
    unsafe { ntdll.call(ntdll.NtTerminateThread, all) }
}

const CURRENT_THREAD: u64 = u64::MAX - 1;
