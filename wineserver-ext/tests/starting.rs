//! Programs start the server by themselves, all at once, and notice nothing of it.

mod common;

use std::process::{Command, Output, Stdio};

use common::{command, prefix};
use ntlpc_proto::process::Hello;
use ntlpc_proto::{Prefix, connect_existing, connect_or_start};

/// Not a test by itself: a program whose first port call starts the server.
#[test]
#[ignore = "started by the other tests"]
fn program() {
    let prefix = Prefix::from_environment().expect("a prefix");
    let connection = match connect_or_start(&prefix, &[]) {
        Ok(connection) => connection,
        Err(error) => {
            eprintln!("cannot start: {error}");
            std::process::exit(1);
        }
    };
    let (reply, _) = match connection.call(&Hello::default(), &[]) {
        Ok(reply) => reply,
        Err(error) => {
            eprintln!("cannot start: {error}");
            std::process::exit(1);
        }
    };
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    eprintln!("server {} children {:?}", reply.server_pid, children.trim());
}

/// Runs the program; its pipes are read to their ends, which never come if the server holds them.
fn run(dir: &tempfile::TempDir, adjust: impl FnOnce(&mut Command)) -> std::process::Child {
    let mut program = Command::new(std::env::current_exe().expect("a test program"));
    program
        .args(["--ignored", "--exact", "program", "--nocapture"])
        .env("LPC_SERVER", env!("CARGO_BIN_EXE_wineserver-ext"))
        .env("LPC_PREFIX", dir.path().join("prefix"))
        .env("XDG_RUNTIME_DIR", dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    adjust(&mut program);
    program.spawn().expect("the program runs")
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text
        .lines()
        .find(|line| line.starts_with("server ") || line.starts_with("cannot start: "));
    line.unwrap_or_else(|| panic!("nothing said:\n{text}"))
        .to_owned()
}

#[test]
fn programs_that_start_together_share_one_server() {
    let dir = tempfile::tempdir().expect("a directory");
    let programs: Vec<_> = (0..8).map(|_| run(&dir, |_| ())).collect();

    let said: Vec<String> = programs
        .into_iter()
        .map(|program| said(&program.wait_with_output().expect("an end")))
        .collect();

    assert!(
        said[0].ends_with("children \"\""),
        "a zombie or the server itself: {}",
        said[0]
    );
    assert!(said.iter().all(|line| *line == said[0]), "{said:?}");
    assert!(matches!(connect_existing(&prefix(&dir)), Ok(Some(_))));
    command(&dir).arg("-k").status().expect("the program runs");
}

#[test]
fn server_that_cannot_be_run_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    for (server, words) in [
        ("/nonexistent/server", "/nonexistent/server"),
        ("/bin/false", "/bin/false did not start"),
    ] {
        let program = run(&dir, |program| {
            program.env("LPC_SERVER", server);
        });

        let said = said(&program.wait_with_output().expect("an end"));

        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn runtime_directory_of_others_is_explained() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = dir.path().join("ntlpc");
    std::fs::create_dir(&runtime).expect("a directory");
    std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o777)).expect("a mode");

    let said = said(&run(&dir, |_| ()).wait_with_output().expect("an end"));

    assert!(said.contains("chmod 700"), "{said}");
}

#[test]
fn server_of_another_version_is_told_apart() {
    use ntlpc_proto::frame::{VERSION, encode_refusal};
    use ntlpc_proto::transport::{Wait, control_socket, send};
    let dir = tempfile::tempdir().expect("a directory");
    let prefix = prefix(&dir);
    prefix.prepare().expect("a directory for the socket");
    let listener = control_socket(Wait::Blocking).expect("a socket");
    let address = rustix::net::SocketAddrUnix::new(prefix.socket_path()).expect("an address");
    rustix::net::bind(&listener, &address).expect("bound");
    rustix::net::listen(&listener, 1).expect("listening");
    let program = run(&dir, |_| ());
    let socket = rustix::net::accept(&listener).expect("the program connects");
    let mut refusal = encode_refusal(1, ntlpc_abi::NtStatus::REVISION_MISMATCH);
    refusal[4..6].copy_from_slice(&(VERSION + 1).to_le_bytes());
    send(&socket, &refusal, &[], Wait::Blocking).expect("sent");

    let output = program.wait_with_output().expect("an end");

    let text = String::from_utf8_lossy(&output.stderr);
    for words in [
        format!("version {}", VERSION + 1),
        format!("expected {VERSION}"),
        "wineserver-ext -k".to_owned(),
    ] {
        assert!(text.contains(&words), "{words} in {text}");
    }
}

#[test]
fn prefix_of_another_user_is_explained() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can give a directory away");
        return;
    }
    const NOBODY: u32 = 65_534;
    let dir = tempfile::tempdir().expect("a directory");
    let prefix = prefix(&dir);
    prefix.prepare().expect("a directory for the socket");
    let runtime = dir.path().join("ntlpc");
    std::os::unix::fs::chown(&runtime, Some(NOBODY), None).expect("given away");

    let theirs = said(&run(&dir, |_| ()).wait_with_output().expect("an end"));

    assert!(theirs.contains("belongs to user 65534"), "{theirs}");
    std::os::unix::fs::chown(&runtime, Some(0), None).expect("taken back");
    std::fs::write(prefix.socket_path(), b"").expect("a file");
    std::os::unix::fs::chown(prefix.socket_path(), Some(NOBODY), None).expect("given away");

    let theirs = said(&run(&dir, |_| ()).wait_with_output().expect("an end"));

    assert!(theirs.contains("belongs to user 65534"), "{theirs}");
}

#[test]
fn server_is_started_again_after_a_kill() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = said(&run(&dir, |_| ()).wait_with_output().expect("an end"));
    assert!(
        command(&dir)
            .arg("-k9")
            .status()
            .expect("the program runs")
            .success()
    );
    assert!(
        command(&dir)
            .arg("-w")
            .status()
            .expect("the program runs")
            .success()
    );

    let second = said(&run(&dir, |_| ()).wait_with_output().expect("an end"));

    assert_ne!(first, second);
    assert!(second.starts_with("server "), "{second}");
    command(&dir).arg("-k").status().expect("the program runs");
}
