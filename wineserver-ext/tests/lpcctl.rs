//! `lpcctl` as its users run it.

mod common;

use std::process::{Command, Stdio};

use common::{Server, pair};

fn lpcctl(server: &Server, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lpcctl"))
        .args(arguments)
        .env("LPC_PREFIX", server.prefix.directory())
        .env("XDG_RUNTIME_DIR", server.dir.path())
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn ports_are_listed_with_kind_owner_and_name() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let pair = pair(&owner, &client, r"\RPC Control\p", 0xC0DE);
    client.connect(r"\RPC Control\p", b"pending");

    let (is_ok, out, _) = lpcctl(&server, &["ports"]);

    assert!(is_ok);
    let line = |id: u64| {
        let start = format!("{id:>6} ");
        out.lines()
            .find(|line| line.starts_with(&start))
            .unwrap_or_else(|| panic!("no {id} in\n{out}"))
            .to_owned()
    };
    let listener = line(pair.listener.port);
    assert!(
        listener.contains("CONN 00000001") && listener.ends_with(r"\RPC Control\p"),
        "{listener}"
    );
    assert!(listener.contains(&owner.pid.to_string()), "{listener}");
    assert!(line(pair.server_port).contains("SRV  00000003"));
    assert!(line(pair.client_port).contains("CLI  00000004"));

    let (is_ok, out, _) = lpcctl(&server, &["port", &pair.server_port.to_string()]);
    assert!(is_ok);
    for words in [
        "Server communication port",
        "Client communication port",
        "Server connection port",
        "PortContext: 0xc0de",
        "contains 1 messages",
        "LPC_CONNECTION_REQUEST",
    ] {
        assert!(out.contains(words), "{words:?} in\n{out}");
    }
}

#[test]
fn waits_messages_threads_and_names_are_found() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let _listener = owner.create(r"\p");
    let (reply, _segment) = client.connect(r"\p", b"");
    let from = format!("{}.{}", client.pid, client.tid);

    let (_, waits, _) = lpcctl(&server, &["waits"]);
    assert!(
        waits.contains(&format!(
            "thread {from} waits for connection {:08x}",
            reply.message_id
        )),
        "{waits}"
    );
    let (_, message, _) = lpcctl(&server, &["message", &format!("{:x}", reply.message_id)]);
    assert!(
        message.contains(&from) && message.contains("queued"),
        "{message}"
    );
    let (_, thread, _) = lpcctl(&server, &["thread", &client.tid.to_string()]);
    assert!(
        thread.starts_with(&from) && thread.contains("waits for connection"),
        "{thread}"
    );
    let (_, names, _) = lpcctl(&server, &["names"]);
    assert!(
        names.contains("Directory      RPC Control") && names.contains("Port           p"),
        "{names}"
    );
    let (_, processes, _) = lpcctl(&server, &["processes"]);
    assert_eq!(processes.lines().count(), 3, "{processes}");
}

#[test]
fn errors_are_said_on_stderr() {
    let mut server = Server::start();

    for (arguments, words) in [
        (&["port", "999"][..], "no port 999"),
        (&["frobnicate"], "frobnicate"),
        (&["message", "77"], "00000077"),
    ] {
        let (is_ok, out, error) = lpcctl(&server, arguments);
        assert!(
            !is_ok && out.is_empty() && error.contains(words),
            "{arguments:?}: {out}{error}"
        );
    }
    let dir = std::mem::replace(&mut server.dir, tempfile::tempdir().expect("a directory"));
    let (is_ok, _, error) = lpcctl(&server, &["ports"]);
    assert!(!is_ok && error.contains("no server runs"), "{error}");
    drop(dir);
}
