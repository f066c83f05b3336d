//! Lets mingw check every described layout against the C declarations of the test programs, for both widths.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use ntlpc_abi::layout::{ALL, Description};

#[test]
fn layouts_match_what_mingw_compiles_for_x64() {
    check("x86_64-w64-mingw32-gcc", |at| at.1, |field| field.2);
}

#[test]
fn layouts_match_what_mingw_compiles_for_x86() {
    check("i686-w64-mingw32-gcc", |at| at.0, |field| field.1);
}

type FieldRow = (&'static str, usize, usize);

fn check(compiler: &str, size: fn((usize, usize)) -> usize, offset: fn(&FieldRow) -> usize) {
    let mut source = String::from("#include \"alpc.h\"\n");
    for Description {
        name,
        size: sizes,
        fields,
    } in ALL
    {
        writeln!(
            source,
            "_Static_assert(sizeof({name}) == {}, \"{name}\");",
            size(*sizes)
        )
        .expect("a string");
        for field in *fields {
            let at = offset(field);
            let member = field.0;
            writeln!(
                source,
                "_Static_assert(offsetof({name}, {member}) == {at}, \"{name}.{member}\");"
            )
            .expect("a string");
        }
    }
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test-binaries");
    let mut child = Command::new(compiler)
        .args(["-fsyntax-only", "-I", include, "-x", "c", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{compiler}: {error}; apt-get install gcc-mingw-w64"));
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(source.as_bytes())
        .expect("a pipe to the compiler");
    assert!(
        child.wait().expect("a compiler").success(),
        "{compiler} disagrees with the table"
    );
}
