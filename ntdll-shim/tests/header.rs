//! `include/ntlpc.h` says what the tables say. `UPDATE_DOCS=1 cargo test -p ntdll-shim --test header` writes it.

use std::fmt::Write as _;
use std::path::Path;

use ntlpc_abi::{ArgKind, CallId, NtStatus, ResultKind};

#[test]
fn c_header_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/ntlpc.h");
    let wanted = header();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).expect("the header can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();

    assert!(
        found == wanted,
        "ntlpc.h is stale: UPDATE_DOCS=1 cargo test -p ntdll-shim --test header"
    );
}

fn header() -> String {
    let mut out = String::from(
        "/*
 * NT's port calls for Linux programs: link libntdll_shim.so, which looks for wineserver-ext beside itself.
 *
 * Made from ntdll-shim/abi/src/calls.rs and status.rs by the test `header`; do not edit. Every Nt call is there as Zw, too.
 * Calls return a status; a bad pointer gives STATUS_ACCESS_VIOLATION. A process must not go on using ports of its parent
 * after fork() without exec().
 */
#ifndef NTLPC_H
#define NTLPC_H

#include \"ntlpc_types.h\"

#ifdef __cplusplus
extern \"C\" {
#endif

/* Closes a handle of a port or a section. */
NTSTATUS ntlpc_close(HANDLE handle);
/* Makes a section of the memory behind a descriptor (memfd_create, shm_open, a file), for PORT_VIEW. */
NTSTATUS ntlpc_section(int fd, HANDLE *section);
/* Ends what NtImpersonateClientOfPort began on the calling thread. */
void ntlpc_revert(void);

",
    );
    for id in CallId::ALL {
        let call = id.call();
        let args: Vec<String> = call
            .args
            .iter()
            .map(|(name, kind)| declaration(name, *kind))
            .collect();
        let args = if args.is_empty() {
            "void".to_owned()
        } else {
            args.join(", ")
        };
        let result = call.helper.map_or("NTSTATUS ", c_result);
        let _ = writeln!(out, "{result}{}({args});", call.name);
    }
    out.push('\n');
    for id in CallId::ALL {
        for alias in id.call().names().skip(1) {
            let _ = writeln!(out, "#define {alias} {}", id.call().name);
        }
    }
    out.push_str("\n#ifdef __cplusplus\n}\n#endif\n\n");
    for (value, name) in NtStatus::known() {
        let _ = writeln!(out, "#define {name} ((NTSTATUS){value:#010x})");
    }
    out.push_str("\n#endif\n");
    out
}

fn declaration(name: &str, kind: ArgKind) -> String {
    let ty = match kind {
        ArgKind::Handle => "HANDLE ",
        ArgKind::OutHandle => "HANDLE *",
        ArgKind::Ptr => "void *",
        ArgKind::Message => "PORT_MESSAGE *",
        ArgKind::String => "const UNICODE_STRING *",
        ArgKind::Attributes => "const OBJECT_ATTRIBUTES *",
        ArgKind::Timeout => "const LARGE_INTEGER *",
        ArgKind::Value => "void *",
        ArgKind::U32 => "ULONG ",
        ArgKind::Bool => "BOOLEAN ",
        ArgKind::Size => "size_t ",
    };
    // A keyword of C++.
    let name = if name == "class" {
        "information_class"
    } else {
        name
    };
    format!("{ty}{name}")
}

const fn c_result(kind: ResultKind) -> &'static str {
    match kind {
        ResultKind::Status => "NTSTATUS ",
        ResultKind::U32 => "ULONG ",
        ResultKind::Bool => "BOOLEAN ",
        ResultKind::Ptr => "void *",
        ResultKind::Void => "void ",
    }
}
