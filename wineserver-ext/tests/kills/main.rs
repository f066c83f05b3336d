//! Clients and servers killed at random moments under load: nobody hangs, and the server of the prefix keeps nothing.

#[path = "../model/calls.rs"]
mod calls;
#[path = "../common/mod.rs"]
mod common;

use std::hash::{BuildHasher, RandomState};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use calls::Message;
use common::{Server, wait_until};
use ntlpc_abi::NtStatus;

/// Pairs of a server and its clients, killed one after the other; `NTLPC_KILLS` asks for more rounds.
const ROUNDS: usize = 40;
const CLIENTS: usize = 3;
const ROLE: &str = "NTLPC_KILLS_ROLE";
const NAME: &str = r"\RPC Control\kills";

/// Not a test by itself: a server or a client that works until it is killed.
#[test]
#[ignore = "started by the other tests"]
fn worker() {
    if std::env::var(ROLE).is_ok_and(|role| role == "server") {
        serve();
    } else {
        send();
    }
}

fn serve() {
    let port = loop {
        // The name of the server before may be there for another moment.
        if let Some(port) = calls::try_create(NAME) {
            break port;
        }
    };
    loop {
        let (status, _, message) = calls::receive(port, 60_000);
        assert_eq!(status, NtStatus::SUCCESS);
        // Clients die between any two steps, so any status is right here.
        match message.message_type {
            10 => drop(calls::complete(calls::accept_any(&message, 1))),
            1 => drop(calls::reply(port, &message)),
            _ => {}
        }
    }
}

fn send() {
    loop {
        let (status, port) = calls::connect(NAME);
        if status != NtStatus::SUCCESS {
            continue;
        }
        for length in (0..64).cycle() {
            let sent = calls::send(port, &Message::new(length, 1));
            let (asked, _) = calls::ask(port, Message::new(length, 2));
            if asked != NtStatus::SUCCESS && sent != NtStatus::SUCCESS {
                break;
            }
        }
        assert_eq!(calls::close(port), NtStatus::SUCCESS);
    }
}

fn start(server: &Server, role: &str) -> Child {
    Command::new(std::env::current_exe().expect("a test program"))
        .args(["--ignored", "--exact", "worker"])
        .env(ROLE, role)
        .env("LPC_PREFIX", server.prefix.directory())
        .env("XDG_RUNTIME_DIR", server.dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the worker runs")
}

fn kill(mut child: Child) {
    assert!(
        child.try_wait().expect("a status").is_none(),
        "a worker ended by itself"
    );
    child.kill().expect("killed");
    child.wait().expect("dead");
}

#[test]
fn killed_processes_leave_nothing_behind() {
    let server = Server::start();
    // The connection that found the server listening is closed a moment later.
    sleep(Duration::from_millis(300));
    let before = server.descriptors();
    let rounds = std::env::var("NTLPC_KILLS").ok();
    let rounds = rounds
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS);
    let random = RandomState::new();
    let pause = |most_us: u64| {
        sleep(Duration::from_micros(
            random.hash_one(std::time::Instant::now()) % most_us,
        ))
    };

    let mut clients: Vec<Child> = (0..CLIENTS).map(|_| start(&server, "client")).collect();
    for round in 0..rounds {
        let serving = start(&server, "server");
        pause(40_000);
        let victim = round % CLIENTS;
        kill(std::mem::replace(
            &mut clients[victim],
            start(&server, "client"),
        ));
        pause(10_000);
        kill(serving);
    }
    clients.into_iter().for_each(kill);

    wait_until("the server has closed everything", || {
        server.descriptors() <= before
    });
    calls::use_server(&server);
    let (status, _) = calls::connect(NAME);
    assert_eq!(status, NtStatus::OBJECT_NAME_NOT_FOUND);
}
