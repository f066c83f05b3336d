//! Jumps out of functions, `setjmp.h`, and the frames of i386 functions with `__try`.
//!
//! Source: mingw-w64 `setjmp.h` `_JUMP_BUFFER`; Microsoft Learn, "longjmp".

use ntlpc_abi::Width;

use crate::context::Context;
use crate::exception::scope32::{self, Version};
use crate::exception::{self, chain32, jump32};
use crate::export::{Callback, Caller, Ptr, VarArgs};
use crate::{width, win_api};

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
        match width() {
            Width::X64 => exception::jump(&start, buffer, u64::from(value.cast_unsigned())),
            Width::X86 => jump32::jump(&start, buffer.cast(), value.cast_unsigned()),
        }
    }

    /// Stores where `longjmp` continues, with what unwinds the frame, and returns 0; i386 only.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll" cdecl fn _setjmp3(buffer: Ptr<jump32::JumpBuffer>, count: u32, values: VarArgs, caller: Caller) -> i32 {
        jump32::store(&Context::after_call(&caller.0.get()), buffer, count, values);
        0
    }

    /// Handles exceptions of i386 frames with `__try` blocks.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll" cdecl fn _except_handler3 = "_except_handler3|_except_handler2" (record: Ptr<u8>, frame: usize, context: Ptr<u8>, dispatcher: Ptr<u8>, caller: Caller) -> i32 {
        scope32::handle(Version::Three, record.address(), frame as u64, context.address(), caller.0)
    }

    /// Handles exceptions of i386 frames with `__try` blocks and a security cookie.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll" cdecl fn _except_handler4_common(cookie: Ptr<u32>, check: Callback, record: Ptr<u8>, frame: usize, context: Ptr<u8>, dispatcher: Ptr<u8>, caller: Caller) -> i32 {
        let version = Version::Four { cookie: cookie.read(), check };
        scope32::handle(version, record.address(), frame as u64, context.address(), caller.0)
    }

    /// Runs the `__finally` blocks of an i386 frame out to a level.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll" cdecl fn _local_unwind2(frame: usize, level: u32) {
        scope32::unwind_local(Version::Three, frame as u64, level);
    }

    /// Runs the `__finally` blocks of an i386 frame with a security cookie out to a level.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll" cdecl fn _local_unwind4(cookie: Ptr<u32>, frame: usize, level: u32) {
        let version = Version::Four { cookie: cookie.read(), check: Callback(0) };
        scope32::unwind_local(version, frame as u64, level);
    }

    /// Unwinds the i386 frames before `frame`.
    "msvcrt.dll|ucrtbase.dll|vcruntime140.dll" cdecl fn _global_unwind2(frame: usize, caller: Caller) {
        let start = Context::after_call(&caller.0.get());
        let record = crate::context::Record::new(ntlpc_abi::NtStatus::UNWIND.0, 0, start.rip, &[]);
        chain32::unwind(&start, frame as u64, record);
    }
}
