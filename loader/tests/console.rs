//! Console functions on a terminal, which `script` of util-linux makes.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

fn keys_and_drawing(prefix: &str) {
    let Some(program) = common::build(prefix, "console/keys.c", "console", &["-O2"]) else {
        return;
    };
    let command = format!(
        "stty rows 24 cols 80; exec '{}' '{}'",
        env!("CARGO_BIN_EXE_lpcrun"),
        program.display()
    );
    let started = Command::new("script")
        .args(["-qefc", &command, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut script = match started {
        Ok(script) => script,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "no script: {error}");
            eprintln!("skipped: no script: {error}");
            return;
        }
    };
    let mut keyboard = script.stdin.take().expect("piped");
    let screen = BufReader::new(script.stdout.take().expect("piped"));
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in screen.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if send.send(line).is_err() {
                return;
            }
        }
    });
    let mut seen = vec![];
    let mut until = |wanted: &str| {
        let mut got = vec![];
        loop {
            match lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => {
                    seen.push(line.clone());
                    got.push(line.clone());
                    if line.contains(wanted) {
                        return got;
                    }
                }
                Err(error) => panic!("no {wanted:?}: {error}; seen {seen:#?}"),
            }
        }
    };
    let start = until("written");
    assert_eq!(start, ["mode 7", "events 0", "written 1"]);
    until("key 57 0 77 0");
    keyboard.write_all(b"aB\x1b[1;5Cq").expect("written");
    until("key 41 1e 61 0");
    until("key 42 30 42 10");
    until("key 27 4d 0 108");
    until("raw mode 1");
    // No Enter: the terminal gives it at once.
    keyboard.write_all(b"z").expect("written");
    until("letter z");
    until("verbatim");
    keyboard.write_all(b"\x03\x1b[Aq").expect("written");
    for unit in ["3", "1b", "5b", "41"] {
        until(&format!("key 0 0 {unit} 0"));
    }
    let end = until("drawn").join("\n");
    assert!(
        end.contains("\x1b7\x1b[2;4H\x1b[0mX\x1b[0;97;41mY\x1b8"),
        "{end:?}"
    );
    assert!(
        end.contains("\x1b[2;6r\x1b[2;1H\x1b[1M\x1b[r\x1b[6;1H"),
        "{end:?}"
    );
    assert!(
        end.contains("drawn 1 3,4 scrolled 1 refused 0 50"),
        "{end:?}"
    );
    drop(keyboard);
    let status = script.wait().expect("it was started");
    assert!(status.success(), "{status}");
}

#[test]
fn x64() {
    keys_and_drawing("x86_64");
}

#[test]
fn i386() {
    keys_and_drawing("i686");
}
