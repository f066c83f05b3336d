//! Turning Linux's synchronous signals into exceptions.
//!
//! The handler runs on an alternate stack, decides whose fault it is, writes record and context on the guest's stack and
//! continues in [`raise_entry`] there, so that dispatching is an ordinary host call.
#![allow(unsafe_code, reason = "signal handlers and their frames")]

use std::arch::global_asm;

use ntdll_shim::{capture, interrupt};
use ntlpc_abi::{NtStatus, UserPtr};

use super::{divide, report};
use crate::context::{Context, Machine, Record, flag, reg};
use crate::export::Ptr;
use crate::gate::signals::{self, FAULTS};
use crate::gate::{self, ActivationPtr, host_code, stubs};
use crate::ob::process;
use crate::peb::kuser;
use crate::teb::{self, host_area};
use crate::vm;

/// Installs the handlers of the process.
pub fn install() {
    host_code::note();
    for signal in FAULTS {
        signals::install(signal, handler, libc::SA_NODEFER);
    }
}

global_asm!(
    ".globl lpcrun_raise",
    "lpcrun_raise:",
    "cld",
    "xor ebp, ebp",
    "call {entry}",
    "ud2",
    entry = sym raise_entry,
);

unsafe extern "C" {
    fn lpcrun_raise();
}

/// Continues an exception on the guest's stack.
extern "C" fn raise_entry(record: u64, context: u64) -> ! {
    // SAFETY: `redirect` has stored both there, aligned, and nothing else uses the memory.
    let (record, context) = unsafe { (*(record as *const Record), *(context as *const Context)) };
    super::raise(record, context)
}

extern "C" fn handler(
    signal: i32,
    info: *mut libc::siginfo_t,
    frame: *mut libc::ucontext_t,
    has_lost_fs: bool,
) {
    // SAFETY: the kernel passes a valid frame that only this handler uses until it returns.
    let frame = unsafe { &mut *frame };
    let mut machine = Machine::new(frame);
    if signal == libc::SIGSEGV && has_lost_fs {
        // The signal entry puts FS back; the instruction runs again.
        return;
    }
    let rip = machine.get(libc::REG_RIP);
    if let Some(fixup) = capture::fixup(rip) {
        machine.set(libc::REG_RIP, fixup);
        return;
    }
    let address = machine.get(libc::REG_CR2);
    if signal == libc::SIGSEGV && kuser::touched(address) {
        return;
    }
    let teb = teb::current();
    if teb == 0 || interrupt::depth() > 0 {
        host_fault(signal, rip, "outside of the program");
        return;
    }
    // SAFETY: `info` is as valid as the frame.
    let is_sent = unsafe { (*info).si_code } <= 0;
    let Some((context, stack, address)) = guest_state(&machine) else {
        host_fault(signal, rip, "in lpcrun itself");
        return;
    };
    let mut context = context;
    let record = if is_sent {
        // kill(2) and its like: what the C runtime's raise would have done.
        Record::new(NtStatus::ACCESS_VIOLATION.0, 0, address, &[0, 0])
    } else {
        classify(signal, &machine, &mut context, address, teb)
    };
    redirect(&mut machine, record, &context, stack);
}

/// Returns `(context of the guest, first byte below what must be kept, address of the exception)`; `None` if the fault
/// is ours.
fn guest_state(machine: &Machine<'_>) -> Option<(Context, u64, u64)> {
    let rip = machine.get(libc::REG_RIP);
    if let Some(activation) =
        ActivationPtr::from_address(host_area::read(host_area::TOP_ACTIVATION))
    {
        let record = activation.get();
        if record.context != 0 {
            return None;
        }
        let context = Context::of_call(&record);
        return Some((context, activation.address(), context.rip));
    }
    let mut context = machine.context();
    if gate::gate_contains(rip) {
        // The stack ran out while the gate built its record; the guest stands at its call.
        let stub = stubs::stub(machine.get(libc::REG_RAX) & 0xffff_ffff)?;
        if machine.get(libc::REG_RSP) < machine.get(libc::REG_R11) {
            context.gpr[reg::RSP] = machine.get(libc::REG_R11);
        }
        context.rip = stub.address;
    } else if !machine.is_in_guest_code() {
        return None;
    }
    Some((context, context.rsp(), context.rip))
}

/// Says which exception a fault is.
fn classify(
    signal: i32,
    machine: &Machine<'_>,
    context: &mut Context,
    address: u64,
    teb: u64,
) -> Record {
    let simple = |status: NtStatus| Record::new(status.0, 0, address, &[]);
    match machine.get(libc::REG_TRAPNO) {
        0 => simple(divide::status(context)),
        1 => simple(NtStatus::SINGLE_STEP),
        3 => {
            // The CPU stands behind the int3, Windows on it.
            context.rip = context.rip.wrapping_sub(1);
            Record::new(NtStatus::BREAKPOINT.0, 0, context.rip, &[0])
        }
        6 => simple(NtStatus::ILLEGAL_INSTRUCTION),
        13 => protection_fault(machine, context, address),
        16 => simple(x87_status(&context.fx_header)),
        17 => simple(NtStatus::DATATYPE_MISALIGNMENT),
        // The masks lie seven bits above the flags.
        19 => simple(float_status(context.mxcsr & !(context.mxcsr >> 7))),
        _ => page_fault(signal, machine, address, teb),
    }
}

fn page_fault(signal: i32, machine: &Machine<'_>, address: u64, teb: u64) -> Record {
    let (error, target) = (machine.get(libc::REG_ERR), machine.get(libc::REG_CR2));
    let kind = match (error & 2 != 0, error & 16 != 0) {
        (_, true) => 8,
        (true, _) => 1,
        _ => 0,
    };
    let status = if crate::thread::open_guard(teb, target) {
        return Record::new(NtStatus::STACK_OVERFLOW.0, 0, address, &[kind, target]);
    } else if vm::SPACE.lock().fault(target as usize) == vm::Fault::Guard {
        NtStatus::GUARD_PAGE_VIOLATION
    } else if signal == libc::SIGBUS {
        return Record::new(
            NtStatus::IN_PAGE_ERROR.0,
            0,
            address,
            &[kind, target, NtStatus::END_OF_FILE.0.into()],
        );
    } else {
        NtStatus::ACCESS_VIOLATION
    };
    Record::new(status.0, 0, address, &[kind, target])
}

/// #GP: software interrupts, privileged instructions, non-canonical addresses.
fn protection_fault(machine: &Machine<'_>, context: &mut Context, address: u64) -> Record {
    /// `STATUS_STACK_BUFFER_OVERRUN`, the code of `__fastfail`.
    const FAST_FAIL: u32 = 0xc000_0409;
    let error = machine.get(libc::REG_ERR);
    // Bit 1: the rest is a vector of the interrupt table times eight.
    if error & 2 != 0 {
        match error >> 3 {
            0x29 => {
                let code = machine.get(libc::REG_RCX);
                return Record::new(FAST_FAIL, flag::NONCONTINUABLE, address, &[code]);
            }
            0x2d => {
                context.rip += 3;
                return Record::new(
                    NtStatus::BREAKPOINT.0,
                    0,
                    address,
                    &[machine.get(libc::REG_RAX)],
                );
            }
            _ => {}
        }
    }
    // hlt, cli, sti, in, out, and the system instructions of 0f 00/01/06/08/09/20–23/30/32.
    let code = Ptr::<[u8; 2]>::new(address).try_read().unwrap_or_default();
    let is_privileged = matches!(code[0], 0xf4 | 0xfa | 0xfb | 0xe4..=0xe7 | 0xec..=0xef)
        || code[0] == 0x0f && matches!(code[1], 0 | 1 | 6 | 8 | 9 | 0x20..=0x23 | 0x30 | 0x32);
    if is_privileged {
        Record::new(NtStatus::PRIVILEGED_INSTRUCTION.0, 0, address, &[])
    } else {
        Record::new(NtStatus::ACCESS_VIOLATION.0, 0, address, &[0, u64::MAX])
    }
}

/// Returns the status of an exception of the x87: what its control word does not mask.
fn x87_status(header: &[u8; 32]) -> NtStatus {
    /// The status word's bit for a register stack that over- or underflowed.
    const STACK_FAULT: u8 = 0x40;
    let flags = header[2] & !header[0];
    if flags & 1 != 0 && header[2] & STACK_FAULT != 0 {
        return NtStatus::FLOAT_STACK_CHECK;
    }
    float_status(flags.into())
}

/// Returns the status of unmasked floating-point exception flags, as the x87 status word and MXCSR order them.
fn float_status(flags: u32) -> NtStatus {
    match flags & 0x3f {
        f if f & 0x01 != 0 => NtStatus::FLOAT_INVALID_OPERATION,
        f if f & 0x04 != 0 => NtStatus::FLOAT_DIVIDE_BY_ZERO,
        f if f & 0x08 != 0 => NtStatus::FLOAT_OVERFLOW,
        f if f & 0x10 != 0 => NtStatus::FLOAT_UNDERFLOW,
        f if f & 0x02 != 0 => NtStatus::FLOAT_DENORMAL_OPERAND,
        f if f & 0x20 != 0 => NtStatus::FLOAT_INEXACT_RESULT,
        _ => NtStatus::FLOAT_INVALID_OPERATION,
    }
}

/// Makes the interrupted thread continue in [`raise_entry`] with copies of record and context below `stack`.
fn redirect(machine: &mut Machine<'_>, record: Record, context: &Context, stack: u64) {
    /// Bytes below the guest's stack pointer that stay as they are, for debuggers.
    const GAP: u64 = 128;
    let context_at = (stack.wrapping_sub(GAP) - size_of::<Context>() as u64) & !15;
    let record_at = context_at - 0xa0;
    let is_written = capture::write(UserPtr(context_at), context.as_bytes()).is_ok()
        && capture::write(UserPtr(record_at), record.as_bytes()).is_ok();
    let is_fast_fail = record.code == 0xc000_0409;
    if !is_written || is_fast_fail {
        report::unhandled(&record, context);
        process::exit_now(record.code);
    }
    machine.set(libc::REG_RDI, record_at);
    machine.set(libc::REG_RSI, context_at);
    machine.set(libc::REG_RSP, record_at - 0x40);
    machine.go_to_host(lpcrun_raise as *const () as u64);
    // Clear DF and TF.
    machine.set(libc::REG_EFL, machine.get(libc::REG_EFL) & !0x500);
    machine.reset_float_control();
}

/// Prints a fault of ours and lets it happen again without a handler.
fn host_fault(signal: i32, rip: u64, place: &str) {
    crate::diagnostics::diagnostic(&format!(
        "lpcrun: internal fault: signal {signal} at {rip:#x}, {place}"
    ));
    // SAFETY: SIG_DFL is a valid disposition.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}
