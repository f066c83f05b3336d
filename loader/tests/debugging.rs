//! What docs/loader.md promises for debugging: gdb finds the functions of a guest, and the report of a crash names them.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Builds the program for a test.
fn program(prefix: &str, test: &str) -> Option<PathBuf> {
    common::build(prefix, "debugging/crash.c", test, &["-g", "-O0"])
}

fn text(output: &Output) -> (String, String) {
    let decode = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (decode(&output.stdout), decode(&output.stderr))
}

/// Returns the functions of a report's frames, and what addr2line says of them.
fn functions_of(prefix: &str, program: &Path, errors: &str) -> (Vec<String>, String) {
    // Frames are `  #0  0xADDRESS module+offset`.
    let frames: Vec<&str> = errors
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix('#'))
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    let lines = Command::new(format!("{prefix}-w64-mingw32-addr2line"))
        .arg("-fe")
        .arg(program)
        .args(&frames)
        .output()
        .expect("addr2line comes with the compiler");
    let (lines, _) = text(&lines);
    let functions = lines.lines().step_by(2).map(str::to_owned).collect();
    (functions, lines)
}

/// Runs the program and checks that the report of a call that went astray names who called.
fn report_names_the_caller(prefix: &str) {
    let Some(program) = program(prefix, "caller") else {
        return;
    };
    let run = Command::new(env!("CARGO_BIN_EXE_lpcrun"))
        .arg(&program)
        .arg("astray")
        .output()
        .expect("lpcrun starts");
    let (_, errors) = text(&run);
    assert!(errors.contains("at 0x0 (0x0), executing 0x0"), "{errors}");
    let (functions, _) = functions_of(prefix, &program, &errors);
    assert_eq!(
        functions.get(1..3),
        Some(&["my_call".to_owned(), "main".to_owned()][..]),
        "{errors}"
    );
}

/// Runs the program and checks that the report leads to the line of the fault and its caller.
fn report_names_the_line(prefix: &str) {
    let Some(program) = program(prefix, "line") else {
        return;
    };
    let run = Command::new(env!("CARGO_BIN_EXE_lpcrun"))
        .arg(&program)
        .output()
        .expect("lpcrun starts");
    let (output, errors) = text(&run);
    assert_eq!(output.trim_end(), "42");
    let name = format!("crash-{prefix}.exe+0x");
    assert!(
        errors.contains("lpcrun: unhandled exception STATUS_ACCESS_VIOLATION at 0x")
            && errors.contains(&name)
            && errors.contains("writing 0x0"),
        "{errors}"
    );
    let (functions, lines) = functions_of(prefix, &program, &errors);
    assert_eq!(
        functions.get(..2),
        Some(&["my_fault".to_owned(), "main".to_owned()][..]),
        "{errors}"
    );
    assert!(
        lines
            .lines()
            .nth(1)
            .is_some_and(|line| line.contains("crash.c:11")),
        "{lines}"
    );
}

#[test]
fn reports_of_crashes_name_module_and_offset() {
    report_names_the_line("x86_64");
}

#[test]
fn reports_of_i386_crashes_name_module_and_offset() {
    report_names_the_line("i686");
}

#[test]
fn reports_of_calls_astray_name_the_caller() {
    report_names_the_caller("x86_64");
    report_names_the_caller("i686");
}

#[test]
fn gdb_stops_in_functions_of_the_guest() {
    let Some(program) = program("x86_64", "gdb") else {
        return;
    };
    let symbols = format!("add-symbol-file {}", program.display());
    let commands = [
        "handle SIGSEGV nostop noprint pass",
        &symbols,
        "starti",
        "hbreak my_function",
        "continue",
        "bt",
        "kill",
    ];
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch"]);
    for command in commands {
        gdb.args(["-ex", command]);
    }
    let run = gdb
        .args(["--args", env!("CARGO_BIN_EXE_lpcrun")])
        .arg(&program)
        .output();
    let (output, errors) = match run {
        Ok(run) => text(&run),
        Err(error) => {
            eprintln!("skipped: no gdb: {error}");
            return;
        }
    };
    if errors.contains("ptrace: Operation not permitted") {
        eprintln!("skipped: gdb may not trace here");
        return;
    }
    assert!(
        output.contains("#0  my_function (")
            && output.contains(" in main (")
            && output.contains("crash.c:"),
        "{output}\n{errors}"
    );
}
