//! Turning Linux's synchronous signals into exceptions.
//!
//! The handler runs on an alternate stack, decides whose fault it is, writes record and context on the guest's stack and
//! continues in [`raise_entry`] there, so that dispatching is an ordinary host call.
#![allow(unsafe_code, reason = "signal handlers and their frames")]

use std::arch::global_asm;
use std::sync::OnceLock;

use ntdll_shim::{capture, interrupt};
use ntlpc_abi::{NtStatus, UserPtr, Width};

use super::context::reg;
use super::{Context, Record, divide, flag, report};
use crate::export::Ptr;
use crate::gate::signals::{self, FAULTS};
use crate::gate::{self, ActivationPtr, gate32, stubs};
use crate::process::{self, kuser};
use crate::teb::{self, host_area};
use crate::vm;
use crate::width;

/// Bytes of a thread's alternate stack.
const ALTERNATE_STACK: usize = 0x1_0000;

/// Installs the handlers of the process.
pub fn install() {
    let _ = HOST_CODE.set(host_code());
    for signal in FAULTS {
        signals::install(signal, handler, libc::SA_NODEFER);
    }
}

/// Gives the calling thread an alternate stack; returns what [`remove_thread`] takes.
pub fn install_thread() -> usize {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let Ok(base) = vm::sys::map(
        None,
        ALTERNATE_STACK,
        prot,
        vm::sys::Backing::Anonymous,
        false,
    ) else {
        crate::fatal(format_args!("no memory for a signal stack"));
    };
    set_alternate_stack(base as *mut libc::c_void, 0);
    base
}

/// Takes the alternate stack of the calling thread away.
pub fn remove_thread(base: usize) {
    set_alternate_stack(std::ptr::null_mut(), libc::SS_DISABLE);
    vm::sys::unmap(base, ALTERNATE_STACK);
}

fn set_alternate_stack(base: *mut libc::c_void, flags: i32) {
    let stack = libc::stack_t {
        ss_sp: base,
        ss_flags: flags,
        ss_size: ALTERNATE_STACK,
    };
    // SAFETY: the stack is mapped until it is taken away again.
    if unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) } != 0 {
        crate::fatal(format_args!(
            "cannot set a signal stack: {}",
            std::io::Error::last_os_error()
        ));
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
    interrupt::reset();
    // SAFETY: `redirect` has stored both there, aligned, and nothing else uses the memory.
    let (record, context) = unsafe { (*(record as *const Record), *(context as *const Context)) };
    super::raise(record, context)
}

extern "C" fn handler(
    signal: i32,
    info: *mut libc::siginfo_t,
    frame: *mut libc::ucontext_t,
    guest_fs: u64,
) {
    // SAFETY: the kernel passes a valid frame that only this handler uses until it returns.
    let frame = unsafe { &mut *frame };
    let mut machine = Machine { frame };
    if signal == libc::SIGSEGV && machine.has_lost_fs(guest_fs) {
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
        if !record.context.is_null() {
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

/// Executable ranges of `lpcrun` and its libraries.
static HOST_CODE: OnceLock<Vec<(u64, u64)>> = OnceLock::new();

/// Returns whether an instruction belongs to the host. Async-signal-safe.
#[must_use]
pub fn is_host_code(rip: u64) -> bool {
    let ranges = HOST_CODE.get().map_or(&[][..], Vec::as_slice);
    ranges
        .iter()
        .any(|&(start, end)| (start..end).contains(&rip))
}

/// Lists the executable segments of `lpcrun` and its libraries. Source: `man 3 dl_iterate_phdr`.
fn host_code() -> Vec<(u64, u64)> {
    unsafe extern "C" fn add(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        out: *mut libc::c_void,
    ) -> i32 {
        // SAFETY: dl_iterate_phdr passes a valid record, and `out` is the vector below.
        let (info, out) = unsafe { (&*info, &mut *out.cast::<Vec<(u64, u64)>>()) };
        for i in 0..usize::from(info.dlpi_phnum) {
            // SAFETY: `dlpi_phdr` has `dlpi_phnum` entries.
            let header = unsafe { &*info.dlpi_phdr.add(i) };
            if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0 {
                let start = info.dlpi_addr + header.p_vaddr;
                out.push((start, start + header.p_memsz));
            }
        }
        0
    }
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    // SAFETY: the callback uses the vector only during the call.
    unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut ranges).cast()) };
    ranges
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
        16 => simple(float_status(context.fx_header[2])),
        17 => simple(NtStatus::DATATYPE_MISALIGNMENT),
        19 => simple(float_status(context.mxcsr as u8)),
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

/// Returns the status of floating-point exception flags, as the x87 status word and MXCSR order them.
fn float_status(flags: u8) -> NtStatus {
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
        process::exit_process_now(record.code);
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

/// The registers in a signal frame.
#[derive(Debug)]
pub struct Machine<'a> {
    frame: &'a mut libc::ucontext_t,
}

/// General registers in the order of `Context::gpr`.
const ORDER: [i32; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

impl<'a> Machine<'a> {
    /// Gives access to the registers of a frame.
    pub fn new(frame: &'a mut libc::ucontext_t) -> Self {
        Machine { frame }
    }

    /// Returns the instruction pointer.
    #[must_use]
    pub fn rip(&self) -> u64 {
        self.get(libc::REG_RIP)
    }

    /// Returns whether the thread was interrupted in code of the program.
    #[must_use]
    pub fn is_in_guest_code(&self) -> bool {
        let rip = self.rip();
        match width() {
            Width::X64 => !gate::gate_contains(rip) && !is_host_code(rip),
            Width::X86 => self.code_selector() != gate32::host_code_selector(),
        }
    }

    /// Returns whether 32-bit code runs with an FS that is not its TEB, because it loaded FS itself.
    fn has_lost_fs(&self, guest_fs: u64) -> bool {
        width() == Width::X86 && self.is_in_guest_code() && guest_fs != self.get(libc::REG_R15)
    }

    fn code_selector(&self) -> u16 {
        self.get(libc::REG_CSGSFS) as u16
    }

    /// Makes the thread continue in code of ours.
    fn go_to_host(&mut self, rip: u64) {
        let segments = self.get(libc::REG_CSGSFS) & !0xffff;
        let selector = gate32::host_code_selector();
        self.set(libc::REG_CSGSFS, segments | u64::from(selector));
        self.set(libc::REG_RIP, rip);
    }

    /// Makes the thread continue with these registers.
    pub fn set_context(&mut self, context: &Context) {
        // r8–r15 are not the program's in 32-bit code.
        let count = width().pick(8, 16);
        for (value, register) in context.gpr.into_iter().zip(ORDER).take(count) {
            self.set(register, value);
        }
        self.set(libc::REG_RIP, context.rip);
        self.set(libc::REG_EFL, u64::from(context.eflags & 0x0dd5 | 0x202));
        let float = self.frame.uc_mcontext.fpregs;
        if !float.is_null() {
            let mut image = *context;
            image.fx_header[24..28].copy_from_slice(&(context.mxcsr & 0xffff).to_le_bytes());
            // SAFETY: as in `context`. The first 464 bytes are registers; the rest says what else the frame holds.
            unsafe {
                let from = (&raw const image.fx_header).cast::<u8>();
                std::ptr::copy_nonoverlapping(from, float.cast::<u8>(), 464);
            }
        }
    }

    /// Makes the thread continue in a function that does not return, on its present stack.
    pub fn call(&mut self, function: u64, argument: u64) {
        self.set(libc::REG_RDI, argument);
        self.go_to_host(function);
    }

    fn get(&self, register: i32) -> u64 {
        self.frame.uc_mcontext.gregs[register as usize].cast_unsigned()
    }

    fn set(&mut self, register: i32, value: u64) {
        self.frame.uc_mcontext.gregs[register as usize] = value.cast_signed();
    }

    /// Returns the whole context that was interrupted.
    #[must_use]
    pub fn context(&self) -> Context {
        let mut context = Context::new();
        let (count, mask) = match width() {
            Width::X64 => (16, u64::MAX),
            Width::X86 => (8, 0xffff_ffff),
        };
        for (to, register) in context.gpr.iter_mut().zip(ORDER).take(count) {
            *to = self.get(register) & mask;
        }
        context.rip = self.get(libc::REG_RIP);
        context.eflags = self.get(libc::REG_EFL) as u32;
        let float = self.frame.uc_mcontext.fpregs;
        if !float.is_null() {
            // SAFETY: the kernel stores a 512-byte FXSAVE image there; the context's has the same layout.
            unsafe {
                let to = (&raw mut context.fx_header).cast::<u8>();
                std::ptr::copy_nonoverlapping(float.cast::<u8>(), to, 512);
                context.mxcsr = (*float).mxcsr;
            }
        }
        context
    }

    /// Gives host code the default rounding and masks.
    fn reset_float_control(&mut self) {
        let float = self.frame.uc_mcontext.fpregs;
        if !float.is_null() {
            // SAFETY: as in `context`.
            unsafe {
                (*float).mxcsr = 0x1f80;
                (*float).cwd = 0x27f;
            }
        }
    }
}
