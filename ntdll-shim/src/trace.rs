//! One line per port call: `pid:tid NtReplyPort(port_handle=0x10, reply={…}) = STATUS_SUCCESS (12 µs)`.
//!
//! `LPC_TRACE` is a comma list of patterns over call names: `*` matches anything, a leading `-` excludes, a leading `^`
//! prints the call when it is made too. The last pattern that matches decides. Lines go to [`set_sink`]'s place, by
//! default standard error.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::Instant;

use ntlpc_abi::layout::{PortMessage, UnicodeString};
use ntlpc_abi::{ArgKind, CallId, NtStatus, ResultKind, UserPtr};

use crate::dispatch::{Fault, Slots};
use crate::{guest, host};

/// What happens to a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wanted {
    #[default]
    No,
    AtReturn,
    AtEntry,
}

static FILTER: OnceLock<Vec<Wanted>> = OnceLock::new();
static SINK: OnceLock<fn(&str)> = OnceLock::new();

/// Names the function that prints a line. The first one stays.
pub fn set_sink(sink: fn(&str)) {
    let _ = SINK.set(sink);
}

/// Sets the filter before the first call; else `LPC_TRACE` counts.
pub fn set_filter(patterns: &str) {
    let _ = FILTER.set(parse(patterns));
}

fn wanted(id: CallId) -> Wanted {
    let filter = FILTER.get_or_init(|| parse(&std::env::var("LPC_TRACE").unwrap_or_default()));
    filter.get(id as usize).copied().unwrap_or_default()
}

fn parse(patterns: &str) -> Vec<Wanted> {
    if patterns.is_empty() {
        return Vec::new();
    }
    let judge = |name: &str| {
        let mut verdict = Wanted::No;
        for pattern in patterns.split(',').map(str::trim) {
            let (pattern, outcome) = match pattern.as_bytes().first() {
                Some(b'-') => (&pattern[1..], Wanted::No),
                Some(b'^') => (&pattern[1..], Wanted::AtEntry),
                _ => (pattern, Wanted::AtReturn),
            };
            // The loader's patterns may name the DLL: `ntdll/NtReplyPort`.
            let pattern = pattern.strip_prefix("ntdll/").unwrap_or(pattern);
            if matches(pattern.as_bytes(), name.as_bytes()) {
                verdict = outcome;
            }
        }
        verdict
    };
    CallId::ALL.iter().map(|id| judge(id.call().name)).collect()
}

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skip| matches(rest, &name[skip..])),
        Some((head, rest)) => name
            .split_first()
            .is_some_and(|(first, tail)| first == head && matches(rest, tail)),
    }
}

/// A call being traced.
#[derive(Debug)]
pub struct Traced {
    line: String,
    start: Instant,
}

/// Starts tracing a call, if the filter wants it.
#[inline]
pub(crate) fn begin(id: CallId, slots: Slots<'_>) -> Option<Traced> {
    match wanted(id) {
        Wanted::No => None,
        wanted => Some(start(id, slots, wanted)),
    }
}

#[cold]
fn start(id: CallId, slots: Slots<'_>, wanted: Wanted) -> Traced {
    let who = host::current().client_id();
    let call = id.call();
    let mut line = format!("{}:{} {}(", who.process, who.thread, call.name);
    for (at, (name, kind)) in call.args.iter().enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        let slot = slots.0.get(at).copied().unwrap_or(0);
        // Formatting into a string cannot fail.
        let _ = write!(line, "{separator}{name}={}", show(*kind, slot));
    }
    line.push(')');
    if wanted == Wanted::AtEntry {
        emit(&format!("{line} …"));
    }
    Traced {
        line,
        start: Instant::now(),
    }
}

fn show(kind: ArgKind, slot: u64) -> String {
    match kind {
        ArgKind::U32 => format!("{:#x}", slot as u32),
        ArgKind::Bool => (slot as u8 != 0).to_string(),
        ArgKind::Message if slot != 0 => {
            show_message(UserPtr(slot)).unwrap_or_else(|_| format!("{slot:#x}?"))
        }
        ArgKind::String if slot != 0 => {
            show_string(UserPtr(slot)).unwrap_or_else(|_| format!("{slot:#x}?"))
        }
        ArgKind::Timeout if slot != 0 => guest::timeout(UserPtr(slot))
            .map_or_else(|_| format!("{slot:#x}?"), |at| format!("{at:?}")),
        _ if slot == 0 => "NULL".to_owned(),
        _ => format!("{slot:#x}"),
    }
}

fn show_message(at: UserPtr) -> Result<String, NtStatus> {
    let message: PortMessage = guest::read(at, host::personality().port)?;
    let id = message.client_id;
    Ok(format!(
        "{:#x}{{type={:#x} data={} total={} from={}:{} id={}}}",
        at.0,
        message.message_type,
        message.data_length,
        message.total_length,
        id.process,
        id.thread,
        message.message_id
    ))
}

fn show_string(at: UserPtr) -> Result<String, NtStatus> {
    let _: UnicodeString = guest::read(at, host::personality().guest)?;
    Ok(format!(
        "{:?}",
        String::from_utf16_lossy(&guest::string(at)?)
    ))
}

fn show_result(kind: Option<ResultKind>, bits: u64) -> String {
    match kind {
        None | Some(ResultKind::Status) => NtStatus(bits as u32).to_string(),
        Some(ResultKind::Bool) => (bits != 0).to_string(),
        Some(ResultKind::Void) => "void".to_owned(),
        Some(ResultKind::U32 | ResultKind::Ptr) => format!("{bits:#x}"),
    }
}

impl Traced {
    #[cold]
    pub(crate) fn end(mut self, id: CallId, outcome: Result<u64, Fault>) {
        let result = match outcome {
            Ok(bits) => show_result(id.call().helper, bits),
            Err(Fault(address)) => format!("access violation at {address:?}"),
        };
        let _ = write!(
            self.line,
            " = {result} ({} µs)",
            self.start.elapsed().as_micros()
        );
        emit(&self.line);
    }
}

fn emit(line: &str) {
    match SINK.get() {
        Some(sink) => sink(line),
        None => eprintln!("{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_matching_pattern_decides() {
        let filter = parse("*,-NtReply*,^NtReplyPort");
        assert_eq!(filter[CallId::NtCreatePort as usize], Wanted::AtReturn);
        assert_eq!(filter[CallId::NtReplyWaitReceivePort as usize], Wanted::No);
        assert_eq!(filter[CallId::NtReplyPort as usize], Wanted::AtEntry);
    }
}
