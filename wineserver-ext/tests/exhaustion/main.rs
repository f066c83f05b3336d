//! Too few descriptors, too little address space, full queues, at the server and at a program: an NT status, no hang, and when
//! the pressure ends all works again.

#[path = "../model/calls.rs"]
mod calls;
#[path = "../common/mod.rs"]
mod common;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use common::{Server, WATCHDOG, wait_until};
use ntlpc_abi::NtStatus;
use ntlpc_proto::CallError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const NAME: &str = r"\RPC Control\exhaustion";
const RESOURCE: &str = "NTLPC_EXHAUSTION";
/// More connections than any of the limits below allows.
const MANY: usize = 2_000;

/// Not a test by itself: a program that runs out of what the environment says.
#[test]
#[ignore = "started by the other tests"]
fn program() {
    let (listener, is_over) = (calls::create(NAME), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut ends = std::collections::HashMap::new();
            while !is_over.load(Relaxed) {
                let (status, context, message) = calls::receive(listener, 20);
                match message.message_type {
                    _ if status != NtStatus::SUCCESS => {}
                    10 => {
                        let context = u64::from(message.id);
                        let port = calls::accept_any(&message, context);
                        // Without room there is no port, and the client is refused.
                        if port != 0 {
                            assert_eq!(calls::complete(port), NtStatus::SUCCESS);
                            ends.insert(context, port);
                        }
                    }
                    5 => drop(ends.remove(&context).map(calls::close)),
                    _ => {}
                }
            }
        });
        let (status, port) = calls::connect(NAME);
        assert_eq!(status, NtStatus::SUCCESS, "without pressure");
        calls::close(port);

        let resource = match std::env::var(RESOURCE).as_deref() {
            Ok("descriptors") => Resource::Nofile,
            _ => Resource::As,
        };
        let unlimited = getrlimit(resource);
        let current = match resource {
            Resource::Nofile => 64,
            _ => address_space() + (1 << 30),
        };
        setrlimit(
            resource,
            Rlimit {
                current: Some(current),
                maximum: unlimited.maximum,
            },
        )
        .expect("a lower limit");
        let mut ports = Vec::new();
        let status = loop {
            match calls::connect(NAME) {
                (NtStatus::SUCCESS, port) => ports.push(port),
                (status, _) => break status,
            }
            assert!(ports.len() < MANY, "no end of {resource:?}");
        };
        assert!(!ports.is_empty(), "not one connection within the limit");
        assert!(
            [
                NtStatus::INSUFFICIENT_RESOURCES,
                NtStatus::PORT_CONNECTION_REFUSED,
                NtStatus::NO_MEMORY,
            ]
            .contains(&status),
            "{status:?}"
        );
        // What there is works on.
        let message = calls::Message::new(4, 1);
        assert_eq!(calls::send(ports[0], &message), NtStatus::SUCCESS);

        for port in ports {
            assert_eq!(calls::close(port), NtStatus::SUCCESS);
        }
        setrlimit(resource, unlimited).expect("the old limit");
        let (status, _) = calls::connect(NAME);
        assert_eq!(status, NtStatus::SUCCESS, "after the pressure");
        is_over.store(true, Relaxed);
    });
}

/// Returns the address space this process uses in bytes.
fn address_space() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("the process's memory");
    let pages = statm.split_whitespace().next().expect("its size");
    pages.parse::<u64>().expect("a number") * 4096
}

/// Runs the program above on `server`; it must end well, and soon.
fn run(server: &Server, resource: &str) {
    let mut program = Command::new(std::env::current_exe().expect("a test program"))
        .args(["--ignored", "--exact", "program"])
        .env(RESOURCE, resource)
        .env("LPC_PREFIX", server.prefix.directory())
        .env("XDG_RUNTIME_DIR", server.dir.path())
        .stdin(Stdio::null())
        .spawn()
        .expect("the program runs");
    let end = std::time::Instant::now() + 2 * WATCHDOG;
    let status = loop {
        if let Some(status) = program.try_wait().expect("a status") {
            break status;
        }
        if std::time::Instant::now() > end {
            program.kill().expect("killed");
            panic!("the program hangs");
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    assert!(status.success(), "{status}");
}

#[test]
fn program_without_descriptors_gets_a_status_and_recovers() {
    run(&Server::start(), "descriptors");
}

#[test]
fn program_without_address_space_gets_a_status_and_recovers() {
    run(&Server::start(), "memory");
}

#[test]
fn server_without_address_space_answers_a_status_and_recovers() {
    let server = Server::start_limited("ulimit -v 1000000");
    let client = server.client();
    let mut ports = Vec::new();

    let status = loop {
        match client.connection.call(&client.create_request(""), &[]) {
            Ok((reply, _fds)) => ports.push(reply.port),
            Err(CallError::Refused(status)) => break status,
            Err(error) => panic!("{error}"),
        }
        assert!(ports.len() < MANY);
    };

    assert_eq!(status, NtStatus::INSUFFICIENT_RESOURCES);
    assert!(!ports.is_empty());
    ports.into_iter().for_each(|port| client.close(port));
    assert_eq!(client.status(&client.create_request("")), NtStatus::SUCCESS);
}

#[test]
fn full_queue_of_connection_requests_is_a_status_and_drains() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut listener = owner.create(r"\p");
    let request = client.connect_request(r"\p", &[7; 0x104]);
    let mut ports = Vec::new();
    let limit = server.descriptor_limit() - 200;

    let status = loop {
        match client.connection.call(&request, &[]) {
            Ok((reply, _fds)) => ports.push(reply.port),
            Err(CallError::Refused(status)) => break status,
            Err(error) => panic!("{error}"),
        }
        if ports.len() >= limit {
            eprintln!("descriptors end before the queue: {limit}");
            break NtStatus::NO_MEMORY;
        }
    };

    assert_eq!(
        status,
        NtStatus::NO_MEMORY,
        "after {} requests",
        ports.len()
    );
    let id = listener.next().header.message_id;
    let (accepted, _fds) = owner.ok(&owner.accept_request(&client, id, true));
    ports.into_iter().for_each(|port| client.close(port));
    owner.close(accepted.port);
    while listener.poll().is_some() {}
    wait_until("another request has room", || {
        client.status(&request) == NtStatus::SUCCESS
    });
}
