//! Clients that lie, stall, flood or vanish: the server and everybody else go on.

mod common;

use std::os::fd::AsFd;

use common::{Server, wait_until};
use ntlpc_abi::NtStatus;
use ntlpc_proto::frame::{self, MAX_BYTES};
use ntlpc_proto::inspect::{DescribePort, ListNames, ListPorts, ListProcesses, ListThreads};
use ntlpc_proto::port::{Accept, ClosePort, Connect, CreatePort, QueryPort};
use ntlpc_proto::process::{CheckThread, Hello, HostKind, RegisterThread, ThreadExit};
use ntlpc_proto::transport::{Wait, receive, send};
use ntlpc_proto::{CallError, FAMILIES, Request};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Whether the server has closed the connection: everything queued is read first.
fn is_dropped(socket: impl AsFd) -> bool {
    let mut buffer = vec![0; MAX_BYTES];
    loop {
        match receive(&socket, &mut buffer, Wait::Blocking) {
            Ok(received) if received.len == 0 => return true,
            Ok(_) => {}
            Err(_) => return true,
        }
    }
}

#[test]
fn garbage_ends_the_connection_that_sent_it() {
    let server = Server::start();
    let honest = server.client();
    let valid = frame::encode_request(&CheckThread::default());
    let mut other_magic = valid.clone();
    other_magic[0] ^= 1;
    let mut other_version = valid.clone();
    other_version[4] ^= 1;
    let mut unknown = valid.clone();
    unknown[6..8].copy_from_slice(&[0xFE, 0xFE]);
    let mut longer = valid.clone();
    longer.push(0);
    for bytes in [
        b"x".as_slice(),
        &[0; 4096],
        &other_magic,
        &other_version,
        &unknown,
        &longer,
        &valid[..valid.len() - 1],
    ] {
        let client = server.client();
        send(&client.connection, bytes, &[], Wait::Blocking).expect("a send");

        assert!(is_dropped(&client.connection), "{bytes:?}");
    }

    assert_eq!(
        honest.status(&CheckThread {
            pid: honest.pid,
            tid: honest.tid
        }),
        NtStatus::SUCCESS
    );
}

#[test]
fn nothing_works_before_hello() {
    let server = Server::start();
    let stranger = server.stranger();
    send(
        &stranger,
        &frame::encode_request(&CreatePort::default()),
        &[],
        Wait::Blocking,
    )
    .expect("a send");

    assert!(is_dropped(&stranger));
}

#[test]
fn another_version_is_answered_with_the_servers() {
    let server = Server::start();
    let stranger = server.stranger();
    let mut hello = frame::encode_request(&Hello::default());
    hello[4..6].copy_from_slice(&(frame::VERSION + 1).to_le_bytes());
    send(&stranger, &hello, &[], Wait::Blocking).expect("a send");

    let mut buffer = vec![0; MAX_BYTES];
    let received = receive(&stranger, &mut buffer, Wait::Blocking)
        .expect("an answer, so that the client can name the version");

    let reply = frame::Frame::parse(&buffer[..received.len]).expect("of the server's version");
    assert_eq!(
        (reply.number, reply.status),
        (Hello::NUMBER, NtStatus::REVISION_MISMATCH)
    );
}

#[test]
fn process_ids_of_others_cannot_be_claimed() {
    let server = Server::start();
    let first = server.client();
    let claim = |host, nt_pid| {
        server
            .stranger()
            .call(
                &Hello {
                    host,
                    nt_pid,
                    ..Hello::default()
                },
                &[],
            )
            .map(|_| ())
    };

    for (host, nt_pid) in [
        (HostKind::Wine, first.pid),
        (HostKind::Standalone, first.pid),
        (HostKind::Standalone, 1),
    ] {
        assert!(claim(host, nt_pid).is_err(), "{host:?} {nt_pid}");
    }
    assert_eq!(
        first.status(&CheckThread {
            pid: first.pid,
            tid: first.tid
        }),
        NtStatus::SUCCESS
    );
}

#[test]
fn threads_of_others_cannot_be_used() {
    let server = Server::start();
    let (owner, thief) = (server.client(), server.client());
    let created = CreatePort {
        tno: owner.tno,
        ..thief.create_request(r"\p")
    };

    assert_eq!(thief.status(&created), NtStatus::INVALID_CID);
    assert_eq!(
        thief.status(&ThreadExit { tno: owner.tno }),
        NtStatus::INVALID_CID
    );
    assert_eq!(
        thief.status(&RegisterThread {
            linux_tid: 1,
            nt_tid: thief.tid,
            create_time: 0
        }),
        NtStatus::INVALID_CID,
        "a ClientId is of one thread"
    );
}

#[test]
fn client_that_does_not_read_is_dropped() {
    let server = Server::start();
    let (stuck, honest) = (server.client(), server.client());
    let request = frame::encode_request(&CheckThread {
        pid: stuck.pid,
        tid: stuck.tid,
    });

    // Two socket buffers fill up; then the server gives up on this client instead of waiting for it.
    wait_until("the client is dropped", || {
        for _ in 0..1000 {
            match send(&stuck.connection, &request, &[], Wait::NonBlocking) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => return true,
            }
        }
        false
    });

    assert_eq!(
        honest.status(&CheckThread {
            pid: honest.pid,
            tid: honest.tid
        }),
        NtStatus::SUCCESS
    );
    honest.wait_for_death(stuck.pid, stuck.tid);
}

#[test]
fn any_fields_get_a_status_and_no_harm() {
    let server = Server::start();
    let (attacker, honest) = (server.client(), server.client());
    let mut runner = TestRunner::new(Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    });
    let requests = (
        any::<(u64, u64, u32, u32, u32, bool)>(),
        proptest::collection::vec(any::<u8>(), 0..120),
        proptest::collection::vec(any::<u16>(), 0..20),
    );

    runner
        .run(
            &requests,
            |((port, base, pid, tid, id, flag), bytes, name)| {
                let tno = if flag { attacker.tno } else { tid };
                let name = ntlpc_proto::Name(std::iter::once(b'\\'.into()).chain(name).collect());
                let bytes = ntlpc_proto::Bytes(bytes);
                let security = bytes.clone();
                attacker.status(&CreatePort {
                    tno,
                    name: name.clone(),
                    max_message: id,
                    security,
                    ..CreatePort::default()
                });
                attacker.status(&CreatePort {
                    tno,
                    token: bytes.clone(),
                    ..CreatePort::default()
                });
                let qos = ntlpc_proto::port::Qos {
                    level: id,
                    is_dynamic: flag,
                    is_effective_only: flag,
                };
                attacker.status(&Connect {
                    tno,
                    name,
                    qos,
                    info: bytes.clone(),
                    required_sid: bytes.clone(),
                    ..Connect::default()
                });
                let view = ntlpc_proto::port::View {
                    offset: port,
                    size: base,
                    base,
                };
                attacker.status(&Accept {
                    tno,
                    pid,
                    tid,
                    message_id: id,
                    is_accepted: flag,
                    server_view: Some(view),
                    info: bytes,
                    ..Accept::default()
                });
                attacker.status(&QueryPort { port });
                attacker.status(&ClosePort { port, tno });
                Ok(())
            },
        )
        .expect("every answer is a status");

    assert_eq!(
        honest.status(&CheckThread {
            pid: honest.pid,
            tid: honest.tid
        }),
        NtStatus::SUCCESS
    );
}

#[test]
fn any_bytes_after_a_valid_header_do_no_harm() {
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
    let frames = (
        proptest::sample::select(numbers),
        proptest::collection::vec(any::<u8>(), 0..200),
    );

    runner
        .run(&frames, |(number, body)| {
            let attacker = server.client();
            let mut bytes = frame::encode_refusal(number, NtStatus::SUCCESS);
            bytes.extend_from_slice(&body);
            send(&attacker.connection, &bytes, &[], Wait::Blocking).expect("a send");
            // Either a reply or the end of the connection: never silence.
            let mut buffer = vec![0; MAX_BYTES];
            let _ = receive(&attacker.connection, &mut buffer, Wait::Blocking);
            Ok(())
        })
        .expect("the server answers or hangs up");

    assert_eq!(
        honest.status(&CheckThread {
            pid: honest.pid,
            tid: honest.tid
        }),
        NtStatus::SUCCESS
    );
}

#[test]
fn no_room_is_a_status_and_passes() {
    let server = Server::start_with_descriptors(64);
    let client = server.client();
    let mut ports = Vec::new();

    let status = loop {
        match client.connection.call(&client.create_request(""), &[]) {
            Ok((reply, _fds)) => ports.push(reply.port),
            Err(CallError::Refused(status)) => break status,
            Err(error) => panic!("{error}"),
        }
        assert!(ports.len() < 64);
    };

    assert_eq!(status, NtStatus::INSUFFICIENT_RESOURCES);
    assert_eq!(
        client.status(&client.create_request("")),
        NtStatus::INSUFFICIENT_RESOURCES
    );
    // A descriptor too few for a port may still do for a client, which then fills the room.
    let _last = server.stranger();
    let _last_but_one = server.stranger();
    let turned_away = server.stranger().call(&Hello::default(), &[]).err();
    assert!(
        matches!(
            turned_away,
            Some(CallError::Refused(NtStatus::INSUFFICIENT_RESOURCES))
        ),
        "{turned_away:?}"
    );
    ports.into_iter().for_each(|port| client.close(port));
    server.client();
    assert_eq!(client.status(&client.create_request("")), NtStatus::SUCCESS);
}

#[test]
fn inspection_survives_the_last_id_and_long_names() {
    let server = Server::start();
    let client = server.client();
    let ports: Vec<_> = (0..70)
        .map(|number| client.create(&format!(r"\{number}{}", "x".repeat(20_000))))
        .collect();

    assert_eq!(
        client.status(&ListPorts { after: u64::MAX }),
        NtStatus::SUCCESS
    );
    assert_eq!(
        client.status(&ListProcesses { after: u32::MAX }),
        NtStatus::SUCCESS
    );
    assert_eq!(
        client.status(&ListThreads { after: u32::MAX }),
        NtStatus::SUCCESS
    );
    let (first, _) = client.ok(&ListPorts { after: 0 });
    assert!(first.has_more);
    let after = first.ports.last().expect("a full page").port;
    let (second, _) = client.ok(&ListPorts { after });
    assert_eq!(first.ports.len() + second.ports.len(), ports.len());
    assert_eq!(
        client.status(&DescribePort { port: after }),
        NtStatus::SUCCESS
    );
    assert_eq!(
        client.status(&ListNames {
            directory: r"\".into(),
            ..ListNames::default()
        }),
        NtStatus::SUCCESS
    );
}
