//! What is printed about an exception nobody handled.

use std::fmt::Write as _;

use ntlpc_abi::{NtStatus, Width};

use super::unwind::{self, Origins};
use crate::context::{Context, Record, reg};
use crate::export::Ptr;
use crate::{module, width};

/// Frames printed.
const MAX_FRAMES: usize = 32;

/// Exception codes that are no statuses.
const NAMES: &[(u32, &str)] = &[
    (0xe06d_7363, "C++ exception"),
    (0x2047_4343, "C++ exception"),
    (0x4000_0015, "STATUS_FATAL_APP_EXIT"),
    (0x406d_1388, "MS_VC_EXCEPTION"),
    (0xc06d_007e, "delay-load failure"),
    (0xc06d_007f, "delay-load failure"),
];

/// What language runtimes have to say of an exception of theirs that nobody caught; tables it names may be damaged.
#[allow(
    unsafe_code,
    reason = "linkme gathers the functions through a link section"
)]
#[linkme::distributed_slice]
pub static DESCRIBERS: [fn(&Record) -> Option<String>];

/// Returns the name of an exception code.
#[must_use]
pub fn name_of(code: u32) -> String {
    let known = NAMES.iter().find(|(known, _)| *known == code);
    known.map_or_else(
        || NtStatus(code).to_string(),
        |(_, name)| format!("{name} ({code:#010x})"),
    )
}

/// Prints exception, place, registers and stack of an unhandled exception on stderr.
pub fn unhandled(record: &Record, context: &Context) {
    let mut text = format!(
        "lpcrun: unhandled exception {} at {:#x} ({})",
        name_of(record.code),
        record.address,
        module::describe(record.address)
    );
    if record.code == NtStatus::ACCESS_VIOLATION.0 && record.parameters >= 2 {
        let verb = match record.information[0] {
            0 => "reading",
            1 => "writing",
            _ => "executing",
        };
        let _ = write!(text, ", {verb} {:#x}", record.information[1]);
    }
    for more in DESCRIBERS.iter().filter_map(|describe| describe(record)) {
        let _ = write!(text, ", {more}");
    }
    let names32 = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
    let names64 = [
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15",
    ];
    let (names, digits) = match width() {
        Width::X64 => (&names64[..], 16),
        Width::X86 => (&names32[..], 8),
    };
    for (i, (name, value)) in names.iter().zip(context.gpr).enumerate() {
        let _ = write!(
            text,
            "{}{name}={value:0digits$x}",
            if i % 4 == 0 { "\n  " } else { " " }
        );
    }
    for (i, pc) in stack_trace(context).into_iter().enumerate() {
        let _ = write!(text, "\n  #{i:<2} {pc:#018x} {}", module::describe(pc));
    }
    crate::diagnostics::diagnostic(&text);
}

/// Returns the return addresses of a thread's guest frames, innermost first.
#[must_use]
pub fn stack_trace(context: &Context) -> Vec<u64> {
    match width() {
        Width::X64 => stack_trace64(context),
        Width::X86 => stack_trace32(context),
    }
}

/// Follows the chain of frame pointers, as far as the program keeps one.
fn stack_trace32(context: &Context) -> Vec<u64> {
    let mut trace = vec![context.rip];
    // A call that went astray pushed nothing but its return address.
    if module::containing(context.rip).is_none()
        && let Ok(caller) = Ptr::<u32>::new(context.rsp()).try_read()
        && module::containing(caller.into()).is_some()
    {
        trace.push(caller.into());
    }
    let mut frame = context.gpr[reg::RBP];
    while trace.len() < MAX_FRAMES {
        let Ok([next, pc]) = Ptr::<[u32; 2]>::new(frame).try_read() else {
            break;
        };
        if pc == 0 || u64::from(next) <= frame {
            break;
        }
        trace.push(pc.into());
        frame = next.into();
    }
    trace
}

fn stack_trace64(context: &Context) -> Vec<u64> {
    let mut walk = *context;
    let mut trace = Vec::new();
    for _ in 0..MAX_FRAMES * 2 {
        match unwind::cross(&walk) {
            Some(Some(crossing)) => {
                walk = crossing.context;
                continue;
            }
            Some(None) => break,
            None => {}
        }
        if (walk.rip == 0 && !trace.is_empty()) || trace.len() == MAX_FRAMES {
            break;
        }
        trace.push(walk.rip);
        let before = walk.rsp();
        let step = match unwind::lookup(walk.rip) {
            Some(entry) => {
                let pc = walk.rip;
                unwind::virtual_unwind(0, pc, &entry, &mut walk, &mut Origins::default())
                    .map(|_| ())
            }
            None => unwind::unwind_leaf(&mut walk),
        };
        if step.is_err() || walk.gpr[reg::RSP] <= before {
            break;
        }
    }
    trace
}
