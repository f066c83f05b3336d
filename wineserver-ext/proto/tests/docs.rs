//! `docs/protocol.md` says what the declarations say. `UPDATE_DOCS=1 cargo test -p ntlpc-proto --test docs` writes it.

use std::fmt::Write as _;
use std::path::Path;

use ntlpc_proto::frame::{HEADER_BYTES, MAX_BYTES, MAX_FDS, VERSION};
use ntlpc_proto::{FAMILIES, Field, RequestInfo};

#[test]
fn protocol_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    let wanted = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("docs has a parent")).expect("a directory");
        std::fs::write(&path, &wanted).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();

    assert!(
        found == wanted,
        "docs/protocol.md is stale: UPDATE_DOCS=1 cargo test -p ntlpc-proto --test docs"
    );
}

fn page() -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        "# Control protocol

<!-- Made from the declarations in wineserver-ext/proto/src by its test `docs`; do not edit. -->

Version {VERSION}. A host keeps one `SOCK_SEQPACKET` connection to `wineserver-ext`; each frame is one request or the one reply to
it. All numbers are little-endian and unaligned.

## Frame

| offset | size | field |
|---|---|---|
| 0 | 4 | magic `NTLC` |
| 4 | 2 | version |
| 6 | 2 | request number: family in the high byte |
| 8 | 4 | in a request 0, or 1 if no reply is wanted; NT status in a reply |
| {HEADER_BYTES} | – | fields; none in a reply whose status is not `STATUS_SUCCESS` |

A frame has at most {MAX_BYTES} bytes and {MAX_FDS} descriptors (`SCM_RIGHTS`). A frame of another version, one that ends inside a
field, has bytes after the last one, a flag or tag outside its type, or an unknown number ends the connection.

## Field types

| type | encoding |
|---|---|
| `u8` `u16` `u32` `u64` `NtStatus` | little-endian |
| `bool`, enumerations | one byte |
| `Bytes`, `String` | length in bytes (u32), bytes; a `String` is UTF-8 |
| `Name` | length in code units (u32), UTF-16 |
| `Option<T>` | `bool`, then `T` if true |
| `Vec<T>` | count (u32), then that many `T` |
| structures | their fields in order |

A descriptor whose name ends in `?` is sent only if the request asks for it.
"
    );
    for (name, number, table) in FAMILIES {
        let _ = write!(out, "\n## Family {name} ({number:#04x})\n");
        table.iter().for_each(|info| request(&mut out, info));
    }
    out
}

fn request(out: &mut String, info: &RequestInfo) {
    let _ = write!(out, "\n### {} ({:#06x})\n\n", info.name, info.number);
    info.doc.iter().for_each(|line| {
        let _ = writeln!(out, "{}", plain(line));
    });
    fields(out, "request", info.fields, info.fds);
    fields(out, "reply", info.reply_fields, info.reply_fds);
}

fn fields(out: &mut String, what: &str, fields: &[Field], fds: &[&str]) {
    if fields.is_empty() && fds.is_empty() {
        return;
    }
    let _ = write!(out, "\n| {what} | type | |\n|---|---|---|\n");
    for field in fields {
        let doc: Vec<String> = field.doc.iter().map(|line| plain(line)).collect();
        let _ = writeln!(
            out,
            "| `{}` | `{}` | {} |",
            field.name,
            field.ty,
            doc.join(" ")
        );
    }
    for fd in fds {
        let _ = writeln!(out, "| descriptor | | {fd} |");
    }
}

/// Turns a line of a doc comment into one for a page: links to items become their names.
fn plain(line: &str) -> String {
    let mut text = line.trim().replace('|', "\\|");
    while let Some(start) = text.find("](") {
        let Some(end) = text[start..].find(')') else {
            break;
        };
        text.replace_range(start..=start + end, "]");
    }
    text.replace("[`", "`").replace("`]", "`")
}
