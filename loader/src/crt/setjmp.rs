//! Jumps out of functions: `setjmp.h`.
//!
//! Source: mingw-w64 `setjmp.h` `_JUMP_BUFFER`; Microsoft Learn, "longjmp".

use crate::exception::{self, Context};
use crate::export::{Caller, Ptr};
use crate::win_api;

win_api! {
    /// Stores where `longjmp` continues, and returns 0.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll" cdecl fn _setjmp = "_setjmp|_setjmpex|__intrinsic_setjmp|__intrinsic_setjmpex" (buffer: Ptr<u64>, frame: usize, caller: Caller) -> i32 {
        exception::store_jump_buffer(&Context::after_call(&caller.0.get()), frame as u64, buffer);
        0
    }

    /// Continues where a buffer was filled; `_setjmp` seems to return `value` there, or 1 for 0.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll" cdecl fn longjmp(buffer: Ptr<u64>, value: i32, caller: Caller) {
        let value = if value == 0 { 1 } else { value };
        let start = Context::after_call(&caller.0.get());
        exception::jump(&start, buffer, u64::from(value.cast_unsigned()))
    }
}
