//! Requests that want no reply: handled in order, before their sender's death, and not at the cost of others.

mod common;

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use common::{PORT_CLOSED, Server, WATCHDOG, wait_until};
use ntlpc_abi::NtStatus;
use ntlpc_proto::FAMILIES;
use ntlpc_proto::frame::{POSTED, encode_refusal};
use ntlpc_proto::port::{ClosePort, Complete, QueryPort, SetContext};
use ntlpc_proto::process::CheckThread;
use ntlpc_proto::transport::{Wait, send};
use ntlpc_shm::segment::Connecting;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[test]
fn next_call_finds_the_posted_requests_done() {
    let server = Server::start();
    let client = server.client();
    for _ in 0..100 {
        let (kept, closed) = (client.create("").port, client.create("").port);
        let tno = client.tno;
        let post = |port| client.connection.post(&ClosePort { port, tno });
        post(closed).expect("sent");
        // Wrong ones are not answered either.
        post(closed).expect("sent");
        post(0).expect("sent");

        assert_eq!(
            client.status(&QueryPort { port: closed }),
            NtStatus::INVALID_HANDLE
        );
        assert_eq!(client.status(&QueryPort { port: kept }), NtStatus::SUCCESS);
        client.close(kept);
    }
}

#[test]
fn posted_requests_of_a_dead_process_are_done_before_its_death() {
    let server = Server::start();
    let client = server.client();
    for _ in 0..20 {
        let owner = server.client();
        let mut listener = owner.create(r"\p");
        let (reply, segment) = client.connect(r"\p", b"");
        let id = listener.next().header.message_id;
        let (accepted, _fds) = owner.ok(&owner.accept_request(&client, id, true));
        let port = accepted.port;
        for context in 1..10 {
            let request = SetContext { port, context };
            owner.connection.post(&request).expect("sent");
        }
        owner.connection.post(&Complete { port }).expect("sent");
        drop(owner);

        wait_until("the connection is decided", || segment.is_connect_done());
        assert_eq!(segment.connecting(), Connecting::Accepted);
        wait_until("its server's death ends it", || segment.is_closed());
        client.close(reply.port);
    }
}

#[test]
fn context_set_before_the_completion_comes_with_the_notice() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut listener = owner.create(r"\p");
    let (reply, segment) = client.connect(r"\p", b"");
    let id = listener.next().header.message_id;
    let (accepted, _fds) = owner.ok(&owner.accept_request(&client, id, true));
    let port = accepted.port;
    let request = SetContext { port, context: 7 };
    owner.connection.post(&request).expect("sent");
    owner.connection.post(&Complete { port }).expect("sent");

    wait_until("the connection is decided", || segment.is_connect_done());
    client.close(reply.port);

    let notice = listener.next();
    assert_eq!(notice.header.message_type, PORT_CLOSED);
    assert_eq!(notice.header.context, 7);
}

#[test]
fn flood_of_posted_requests_does_not_keep_others_waiting() {
    let server = Server::start();
    let (attacker, honest) = (server.client(), server.client());
    let end = Instant::now() + WATCHDOG;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                let request = QueryPort { port: u64::MAX };
                attacker.connection.post(&request).expect("sent");
            }
        });
        for _ in 0..200 {
            let (pid, tid) = (honest.pid, honest.tid);
            assert_eq!(honest.status(&CheckThread { pid, tid }), NtStatus::SUCCESS);
            assert!(Instant::now() < end, "others wait for the flood");
        }
        is_over.store(true, Relaxed);
    });
}

#[test]
fn any_posted_bytes_and_descriptors_do_no_harm() {
    let server = Server::start();
    let honest = server.client();
    let numbers: Vec<u16> = FAMILIES
        .iter()
        .flat_map(|(_, _, table)| table.iter().map(|info| info.number))
        .collect();
    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    });
    let requests = (
        proptest::sample::select(numbers),
        proptest::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..120),
        0..8_usize,
        any::<bool>(),
    );
    let before = {
        wait_until("strangers are gone", || server.descriptors() < 20);
        server.descriptors()
    };

    runner
        .run(&requests, |(number, body, descriptors, is_posted)| {
            let attacker = server.client();
            let status = if is_posted { POSTED } else { NtStatus::SUCCESS };
            let mut bytes = encode_refusal(number, status);
            bytes.extend_from_slice(&body);
            // A pipe, a directory, the socket itself: whatever the request takes a descriptor for, it is none of these.
            let directory = std::fs::File::open("/").expect("a directory");
            let (pipe, _other_end) = std::io::pipe().expect("a pipe");
            let hostile = [directory.as_fd(), pipe.as_fd(), attacker.connection.as_fd()];
            let fds: Vec<_> = hostile.into_iter().cycle().take(descriptors).collect();
            send(&attacker.connection, &bytes, &fds, Wait::Blocking).expect("a send");
            Ok(())
        })
        .expect("sent");

    let (pid, tid) = (honest.pid, honest.tid);
    assert_eq!(honest.status(&CheckThread { pid, tid }), NtStatus::SUCCESS);
    wait_until("the descriptors are closed", || {
        server.descriptors() <= before
    });
}
