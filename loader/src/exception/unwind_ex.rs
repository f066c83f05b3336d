//! Unwinding to a target frame: `RtlUnwindEx`.
//!
//! Source: Microsoft Learn, `RtlUnwindEx`, "x64 exception handling", "Language-specific handler".

use ntlpc_abi::NtStatus;

use super::dispatch::{DispatcherContext, call_handler, is_on_stack};
use super::unwind::{self, FLAG_UNWIND, Origins};
use crate::context::reg;
use crate::context::{Context, Record, flag};
use crate::export::{Callback, Ptr};
use crate::gate::with_activation;

/// `STATUS_UNWIND_CONSOLIDATE`: the record names a function that runs before the target continues.
const UNWIND_CONSOLIDATE: u32 = 0x8000_0029;
/// `STATUS_LONGJUMP`: the record names a `jmp_buf`.
const LONGJUMP: u32 = 0x8000_0026;

const MAX_FRAMES: u32 = 100_000;

/// Runs the unwind handlers of all frames from `start` to the one whose establisher is `target` (0: all), then continues
/// at `target_ip` in that frame with `rax` = `value`.
///
/// Runs guest code: hold no lock.
pub fn unwind(start: &Context, target: u64, target_ip: u64, mut record: Record, value: u64) -> ! {
    let frame = unwind_frames(start, target, target_ip, &mut record, value);
    land(&frame, target_ip, record, value)
}

/// Runs the unwind handlers of all frames from `start` to the target as [`unwind()`] does; returns the target's context.
///
/// Runs guest code: hold no lock.
pub fn unwind_frames(
    start: &Context,
    target: u64,
    target_ip: u64,
    record: &mut Record,
    value: u64,
) -> Context {
    let mut walk = *start;
    let mut scope_index = 0;
    record.flags |= flag::UNWINDING;
    // A longjmp knows its target best by the stack pointer in its buffer: compilers disagree about the frame.
    let jump_rsp = (record.code == LONGJUMP && record.parameters >= 1)
        .then(|| Ptr::<u64>::new(record.information[0]).add(2).read());
    let target = if jump_rsp.is_some() { 0 } else { target };
    if target == 0 && jump_rsp.is_none() {
        record.flags |= flag::EXIT_UNWIND;
    }
    for _ in 0..MAX_FRAMES {
        match unwind::cross(&walk) {
            Some(Some(crossing)) => {
                walk = crossing.context;
                scope_index = crossing.scope_index;
                continue;
            }
            Some(None) => break,
            None => {}
        }
        if jump_rsp.is_some_and(|rsp| walk.rsp() >= rsp) {
            return walk;
        }
        let pc = walk.rip;
        let mut caller = walk;
        let Some(entry) = unwind::lookup(pc) else {
            if pc == 0 || unwind::unwind_leaf(&mut caller).is_err() || !is_on_stack(caller.rsp()) {
                break;
            }
            // A leaf can be the target: its frame is its stack pointer.
            if target != 0 && walk.rsp() == target {
                return walk;
            }
            walk = caller;
            continue;
        };
        let Ok(frame) = unwind::virtual_unwind(
            FLAG_UNWIND,
            pc,
            &entry,
            &mut caller,
            &mut Origins::default(),
        ) else {
            break;
        };
        if target != 0 && frame.establisher > target {
            raise_bad(NtStatus::INVALID_UNWIND_TARGET, *record, walk);
        }
        let is_target = target != 0 && frame.establisher == target;
        if is_target {
            record.flags |= flag::TARGET_UNWIND;
        }
        // Handlers may change registers the target continues with: libgcc passes its selector in rdx.
        let mut at_frame = walk;
        at_frame.gpr[reg::RAX] = value;
        if frame.handler != 0 {
            let dispatcher = DispatcherContext {
                control_pc: pc,
                image_base: entry.base,
                function_entry: entry.address,
                establisher_frame: frame.establisher,
                target_ip,
                context_record: std::ptr::from_mut(&mut at_frame) as u64,
                language_handler: frame.handler,
                handler_data: frame.data,
                history_table: 0,
                scope_index,
                fill: 0,
            };
            let collided_at = walk;
            let mut activation = collided_at.activation(scope_index);
            let mut original = walk;
            with_activation(&mut activation, || {
                call_handler(record, frame.establisher, &mut original, dispatcher)
            });
        }
        scope_index = 0;
        record.flags &= !(flag::TARGET_UNWIND | flag::COLLIDED_UNWIND);
        if is_target {
            return at_frame;
        }
        if caller.rip == 0 || caller.rip == walk.rip && caller.rsp() <= walk.rsp() {
            break;
        }
        walk = caller;
    }
    if target == 0 && jump_rsp.is_none() {
        // An exit unwind ends the thread.
        crate::thread::exit(record.code);
    }
    raise_bad(NtStatus::BAD_STACK, *record, walk)
}

/// Stores the registers of `context` in a `_JUMP_BUFFER`, with the frame the compiler names.
pub fn store_jump_buffer(context: &Context, frame: u64, at: Ptr<u64>) {
    let gpr = &context.gpr;
    let words = [
        frame,
        gpr[reg::RBX],
        gpr[reg::RSP],
        gpr[reg::RBP],
        gpr[reg::RSI],
        gpr[reg::RDI],
    ];
    at.write_many(&words);
    at.add(6).write_many(&gpr[reg::R12..]);
    at.add(10).write(context.rip);
    let control = u64::from(u16::from_le_bytes([
        context.fx_header[0],
        context.fx_header[1],
    ]));
    at.add(11).write(u64::from(context.mxcsr) | control << 32);
    for (i, xmm) in context.xmm[6..].iter().enumerate() {
        at.add(12 + 2 * i).write(*xmm as u64);
        at.add(13 + 2 * i).write((*xmm >> 64) as u64);
    }
}

/// Continues where `buffer` was filled, with `value`; the unwind handlers of all frames left are run if it names a frame.
///
/// Runs guest code: hold no lock.
pub fn jump(caller: &Context, buffer: Ptr<u64>, value: u64) -> ! {
    if buffer.read() != 0 {
        let record = Record::new(LONGJUMP, 0, caller.rip, &[buffer.address()]);
        unwind(caller, buffer.read(), buffer.add(10).read(), record, value);
    }
    let mut context = *caller;
    load_jump_buffer(&mut context, buffer.address());
    context.gpr[reg::RAX] = value;
    context.resume()
}

/// Continues at a context as `RtlRestoreContext` does when it is given a record.
pub fn continue_unwound(context: &Context, record: &Record, caller: &Context) -> ! {
    let mut target = *context;
    if record.code == LONGJUMP && record.parameters >= 1 {
        load_jump_buffer(&mut target, record.information[0]);
    } else if record.code == UNWIND_CONSOLIDATE && record.parameters >= 1 {
        let mut place = *record;
        let mut activation = caller.activation(0);
        target.rip = with_activation(&mut activation, || {
            Callback(record.information[0]).call(&[std::ptr::from_mut(&mut place) as u64])
        });
    }
    target.resume()
}

/// Continues in the target frame.
fn land(frame: &Context, target_ip: u64, record: Record, value: u64) -> ! {
    let mut context = *frame;
    context.rip = target_ip;
    context.gpr[reg::RAX] = value;
    if record.code == UNWIND_CONSOLIDATE && record.parameters >= 1 {
        // The function runs while the frames below the target still exist; what it throws unwinds to the target.
        let mut place = record;
        let at_frame = *frame;
        let mut activation = at_frame.activation(0);
        context.rip = with_activation(&mut activation, || {
            Callback(record.information[0]).call(&[std::ptr::from_mut(&mut place) as u64])
        });
    } else if record.code == LONGJUMP && record.parameters >= 1 {
        load_jump_buffer(&mut context, record.information[0]);
    }
    context.resume()
}

/// Loads the registers of `_JUMP_BUFFER`. Source: mingw-w64 `setjmp.h`.
fn load_jump_buffer(context: &mut Context, at: u64) {
    let words = Ptr::<u64>::new(at);
    context.gpr[reg::RBX] = words.add(1).read();
    context.gpr[reg::RSP] = words.add(2).read();
    context.gpr[reg::RBP] = words.add(3).read();
    context.gpr[reg::RSI] = words.add(4).read();
    context.gpr[reg::RDI] = words.add(5).read();
    for i in 0..4 {
        context.gpr[reg::R12 + i] = words.add(6 + i).read();
    }
    context.rip = words.add(10).read();
    for i in 0..10 {
        let (low, high) = (words.add(12 + 2 * i).read(), words.add(13 + 2 * i).read());
        context.xmm[6 + i] = u128::from(low) | u128::from(high) << 64;
    }
}

fn raise_bad(status: NtStatus, cause: Record, context: Context) -> ! {
    log::debug!("unwind of {:#010x} failed: {status}", cause.code);
    super::raise(
        Record::new(status.0, flag::NONCONTINUABLE, context.rip, &[]),
        context,
    )
}
