//! The program itself: options, starting in the background, idle exit, one server a prefix.

mod common;

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Server, command, prefix, wait_until};
use ntlpc_proto::connect_existing;

fn run(dir: &tempfile::TempDir, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = command(dir)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn is_served(dir: &tempfile::TempDir) -> bool {
    matches!(connect_existing(&prefix(dir)), Ok(Some(_)))
}

#[test]
fn help_and_version_say_something_and_start_nothing() {
    let dir = tempfile::tempdir().expect("a directory");

    let (code, help, _) = run(&dir, &["--help"]);
    assert_eq!(code, Some(0));
    assert!(help.contains("--persistent"), "{help}");
    let (code, version, _) = run(&dir, &["-v"]);
    assert_eq!(code, Some(0));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    assert!(!is_served(&dir));
}

#[test]
fn meaningless_option_is_named() {
    let dir = tempfile::tempdir().expect("a directory");

    let (code, out, error) = run(&dir, &["--frobnicate"]);

    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(error.contains("--frobnicate"), "{error}");
}

#[test]
fn background_server_listens_when_its_starter_returns_and_ends_on_request() {
    let dir = tempfile::tempdir().expect("a directory");

    let (code, out, error) = run(&dir, &["-p"]);
    assert_eq!((code, out.as_str(), error.as_str()), (Some(0), "", ""));
    assert!(is_served(&dir));
    assert_eq!(run(&dir, &["-p"]).0, Some(2), "one server a prefix");
    assert_eq!(run(&dir, &["-k"]).0, Some(0));
    assert!(!is_served(&dir));
    assert_eq!(run(&dir, &["-k"]).0, Some(2), "there is none to end");
    assert_eq!(run(&dir, &["-w"]).0, Some(0));
}

#[test]
fn idle_server_ends_and_a_client_keeps_it() {
    let mut server = Server::start_with(&["-p1"]);
    let client = server.client();
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(is_served(&server.dir));
    drop(client);

    assert_eq!(server.wait_for_end(), Some(0));
    assert!(start.elapsed() >= Duration::from_millis(2500));
    assert!(!prefix(&server.dir).socket_path().exists());
}

#[test]
fn killed_servers_socket_is_replaced() {
    let dir = {
        let mut server = Server::start();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(server.pid() as i32).expect("a pid"),
            rustix::process::Signal::KILL,
        )
        .expect("a kill");
        server.wait_for_end();
        assert!(server.prefix.socket_path().exists());
        std::mem::replace(&mut server.dir, tempfile::tempdir().expect("a directory"))
    };

    assert_eq!(run(&dir, &["-p"]).0, Some(0));
    assert!(is_served(&dir));
    run(&dir, &["-k"]);
}

#[test]
fn waiters_return_when_the_server_ends() {
    let server = Server::start();
    let mut waiter = command(&server.dir)
        .arg("-w")
        .spawn()
        .expect("the program runs");
    std::thread::sleep(Duration::from_millis(50));
    assert!(waiter.try_wait().expect("a status").is_none());

    assert_eq!(run(&server.dir, &["-k"]).0, Some(0));

    let mut status = None;
    wait_until("the waiter returns", || {
        status = waiter.try_wait().expect("a status");
        status.is_some()
    });
    assert_eq!(status.map(ExitStatusExt::into_raw), Some(0));
}

#[test]
fn many_starters_make_one_server() {
    let dir = tempfile::tempdir().expect("a directory");
    let starters: Vec<_> = (0..8)
        .map(|_| {
            command(&dir)
                .arg("-p")
                .stdin(Stdio::null())
                .spawn()
                .expect("the program runs")
        })
        .collect();

    let codes: Vec<_> = starters
        .into_iter()
        .map(|mut starter| starter.wait().expect("an end").code())
        .collect();

    assert_eq!(
        codes.iter().filter(|code| **code == Some(0)).count(),
        1,
        "{codes:?}"
    );
    assert!(
        codes.iter().all(|code| matches!(code, Some(0 | 2))),
        "{codes:?}"
    );
    assert!(is_served(&dir));
    run(&dir, &["-k"]);
}

#[test]
fn unusable_runtime_directory_is_explained() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("ntlpc"), b"").expect("a file in the way");

    let (code, _, error) = run(&dir, &["-f"]);

    assert_eq!(code, Some(1));
    assert!(error.contains("ntlpc"), "{error}");
}

#[test]
fn ending_the_server_ends_its_connections() {
    let mut server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let pair = common::pair(&owner, &client, r"\p", 0);

    assert_eq!(run(&server.dir, &["-k"]).0, Some(0));
    server.wait_for_end();

    assert!(
        pair.segment.is_closed(),
        "nobody waits for an answer that cannot come"
    );
}
