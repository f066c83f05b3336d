//! The server is killed while programs are connected: connections go on, nobody hangs, new ports get another server.

#[path = "../model/calls.rs"]
mod calls;
#[path = "../common/mod.rs"]
mod common;

use std::process::{Child, Command, Stdio};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use calls::Message;
use common::{Server, WATCHDOG, command};
use ntlpc_abi::NtStatus;
use rustix::process::{Pid, Signal, kill_process};

const NAME: &str = r"\RPC Control\loss-peer";
/// First data byte of a request that the peer does not answer.
const SILENCE: u8 = 0xEE;

/// Not a test by itself: the process that serves [`NAME`].
#[test]
#[ignore = "started by the other tests"]
fn peer() {
    let port = calls::create(NAME);
    loop {
        let (status, _, mut message) = calls::receive(port, 60_000);
        assert_eq!(status, NtStatus::SUCCESS);
        match message.message_type {
            10 => drop(calls::complete(calls::accept(&message, 1, true))),
            1 if message.data[0] != SILENCE => {
                message.data[0] += 1;
                assert_eq!(calls::reply(port, &message), NtStatus::SUCCESS);
            }
            _ => {}
        }
    }
}

fn start_peer(server: &Server) -> Child {
    Command::new(std::env::current_exe().expect("a test program"))
        .args(["--ignored", "--exact", "peer"])
        .env("LPC_PREFIX", server.prefix.directory())
        .env("XDG_RUNTIME_DIR", server.dir.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("the peer runs")
}

fn connect_when_there(name: &str) -> u64 {
    let end = Instant::now() + WATCHDOG;
    loop {
        match calls::connect(name) {
            (NtStatus::SUCCESS, port) => return port,
            (NtStatus::OBJECT_NAME_NOT_FOUND, _) if Instant::now() < end => {
                sleep(Duration::from_millis(10));
            }
            (status, _) => panic!("connect: {status:?}"),
        }
    }
}

fn ask(port: u64, byte: u8) -> (NtStatus, u8) {
    let (status, reply) = calls::ask(port, Message::new(1, byte));
    (status, reply.data[0])
}

fn result<T>(thread: JoinHandle<T>, what: &str) -> T {
    let end = Instant::now() + WATCHDOG;
    while !thread.is_finished() {
        assert!(Instant::now() < end, "{what} hangs");
        sleep(Duration::from_millis(5));
    }
    thread.join().expect("the thread")
}

#[test]
fn connections_go_on_nobody_hangs_and_new_ports_get_another_server() {
    let server = Server::start();
    calls::use_server(&server);
    let mut other = start_peer(&server);
    let connected = connect_when_there(NAME);
    assert_eq!(ask(connected, 1), (NtStatus::SUCCESS, 2));
    let own_name = r"\RPC Control\loss-own";
    let own = calls::create(own_name);
    let receiver = spawn(move || calls::receive(own, 1_000_000).0);
    // The receiver takes the first request; neither is ever answered.
    let connecting = [(); 2].map(|()| spawn(move || calls::connect(own_name).0));
    assert_eq!(result(receiver, "a receive"), NtStatus::SUCCESS);
    let unanswered = spawn(move || ask(connected, SILENCE).0);
    sleep(Duration::from_millis(100));

    let pid = Pid::from_raw(server.pid().cast_signed()).expect("a process id");
    kill_process(pid, Signal::KILL).expect("killed");

    for connecting in connecting {
        let refused = result(connecting, "a connect");
        assert!(refused.is_error(), "{refused:?}");
    }
    let answered = ask(connected, 7);
    assert_eq!(answered, (NtStatus::SUCCESS, 8), "the connection goes on");
    // Nobody could say who a thread is that the server never heard of.
    let stranger = spawn(move || ask(connected, 7).0);
    assert_eq!(result(stranger, "a new thread"), NtStatus::UNSUCCESSFUL);
    other.kill().expect("killed");
    other.wait().expect("dead");
    assert_eq!(
        result(unanswered, "a request to a dead process"),
        NtStatus::LPC_REPLY_LOST
    );
    assert_eq!(ask(connected, 1).0, NtStatus::PORT_DISCONNECTED);
    let ended = spawn(move || calls::receive(own, 1_000_000).0);
    let ended = result(ended, "a receive on a port nobody finds");
    assert!(ended.is_error(), "{ended:?}");

    let fresh_name = r"\RPC Control\loss-fresh";
    let fresh = calls::create(fresh_name);
    let client = spawn(move || calls::connect(fresh_name));
    let (status, _, request) = calls::receive(fresh, 20_000);
    assert_eq!(status, NtStatus::SUCCESS);
    let accepted = calls::accept(&request, 5, true);
    assert_eq!(calls::complete(accepted), NtStatus::SUCCESS);
    let (status, fresh_client) = result(client, "a connect at the new server");
    assert_eq!(status, NtStatus::SUCCESS);
    let asking = spawn(move || ask(fresh_client, 3));
    let (status, context, mut request) = calls::receive(fresh, 20_000);
    assert_eq!((status, context), (NtStatus::SUCCESS, 5));
    request.data[0] = 9;
    assert_eq!(calls::reply(fresh, &request), NtStatus::SUCCESS);
    assert_eq!(result(asking, "a request"), (NtStatus::SUCCESS, 9));
    assert_eq!(ask(connected, 1).0, NtStatus::PORT_DISCONNECTED);
    for handle in [connected, own, fresh_client, accepted, fresh] {
        assert_eq!(calls::close(handle), NtStatus::SUCCESS);
    }
    let ended = command(&server.dir).arg("-k").status().expect("it runs");
    assert!(ended.success());
}
