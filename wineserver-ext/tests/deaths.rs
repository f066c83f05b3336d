//! Closing, dying, and what the others hear of it: lpc §3.5, §3.6.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{CLIENT_DIED, PORT_CLOSED, Server, pair, wait_until};
use ntlpc_abi::NtStatus;
use ntlpc_proto::port::{AdoptPort, CheckSender, GrantPort, QueryPort};
use ntlpc_proto::process::{RegisterTerminatePort, SetExceptionPort, ThreadExit};
use ntlpc_proto::{Prefix, connect_existing};
use ntlpc_shm::lane::Cursor;
use ntlpc_shm::segment::Direction;
use ntlpc_shm::slot::Header;

/// lpc#183–186
#[test]
fn closing_the_client_port_queues_port_closed() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut pair = pair(&owner, &client, r"\p", 0xC0DE);

    client.close(pair.client_port);

    let notice = pair.listener.next();
    assert_eq!(notice.header.message_type, PORT_CLOSED);
    assert_eq!(notice.header.context, 0xC0DE);
    assert_ne!(notice.header.message_id, 0);
    assert_eq!((notice.header.callback_id, notice.header.data_info), (0, 0));
    assert_eq!(notice.data, client.create_time.to_le_bytes());
    let from = owner
        .table
        .get(notice.header.sender)
        .expect("a registered thread");
    assert_eq!((from.process, from.thread), (client.pid, client.tid));
    assert!(pair.segment.is_closed());
    pair.listener.assert_empty();
}

/// lpc#188, lpc#201
#[test]
fn closing_the_server_port_first_tells_nobody() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut pair = pair(&owner, &client, r"\p", 0);

    owner.close(pair.server_port);
    assert!(pair.segment.is_closed());
    client.close(pair.client_port);

    pair.listener.assert_empty();
}

/// lpc#189
#[test]
fn duplicated_client_port_closes_with_its_last_handle() {
    let server = Server::start();
    let (owner, client, third) = (server.client(), server.client(), server.client());
    let mut pair = pair(&owner, &client, r"\p", 7);
    client.ok(&GrantPort {
        port: pair.client_port,
        process: third.process,
    });

    client.close(pair.client_port);
    pair.listener.assert_empty();
    let (adopted, fds) = third.ok(&AdoptPort {
        port: pair.client_port,
    });
    assert_eq!((adopted.source, fds.len()), (pair.source, 2));
    assert_eq!(
        third.status(&AdoptPort {
            port: pair.client_port
        }),
        NtStatus::INVALID_HANDLE,
        "granted once"
    );
    third.close(pair.client_port);

    let notice = pair.listener.next();
    assert_eq!(notice.header.message_type, PORT_CLOSED);
    assert_eq!(notice.data, third.create_time.to_le_bytes());
}

#[test]
fn grant_dies_with_its_process() {
    let server = Server::start();
    let (owner, client, third) = (server.client(), server.client(), server.client());
    let mut pair = pair(&owner, &client, r"\p", 7);
    client.ok(&GrantPort {
        port: pair.client_port,
        process: third.process,
    });
    client.close(pair.client_port);

    drop(third);

    assert_eq!(pair.listener.next().header.message_type, PORT_CLOSED);
}

/// lpc#190, lpc#199; lpc §3.6: newest first, before PORT_CLOSED
#[test]
fn dead_process_sends_client_died_then_port_closed() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut pair = pair(&owner, &client, r"\p", 0xC0DE);
    let tid = client.tid;
    for _ in 0..2 {
        client.ok(&RegisterTerminatePort {
            tno: client.tno,
            port: pair.client_port,
        });
    }

    drop(client);

    let types = [
        pair.listener.next(),
        pair.listener.next(),
        pair.listener.next(),
    ]
    .map(|notice| {
        assert_eq!(notice.header.context, 0xC0DE, "{notice:?}");
        if notice.header.message_type == CLIENT_DIED {
            assert_eq!(
                notice.data,
                (u64::from(tid) * 100).to_le_bytes(),
                "lpc#196: the thread's creation time"
            );
        }
        notice.header.message_type
    });
    assert_eq!(types, [CLIENT_DIED, CLIENT_DIED, PORT_CLOSED]);
    pair.listener.assert_empty();
}

/// lpc#194–198, and §3.6: the registration keeps the connection
#[test]
fn registered_port_lives_until_its_thread_ends() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut pair = pair(&owner, &client, r"\p", 5);
    let worker = client.thread(0x7000);
    client.ok(&RegisterTerminatePort {
        tno: worker,
        port: pair.client_port,
    });

    client.close(pair.client_port);
    pair.listener.assert_empty();
    client.ok(&ThreadExit { tno: worker });

    let died = pair.listener.next();
    assert_eq!(
        (died.header.message_type, died.header.context),
        (CLIENT_DIED, 5)
    );
    assert_eq!(
        owner
            .table
            .get(died.header.sender)
            .map(|thread| (thread.thread, thread.alive)),
        Some((0x7000, false))
    );
    assert_eq!(pair.listener.next().header.message_type, PORT_CLOSED);
    assert_eq!(
        client.status(&ThreadExit { tno: worker }),
        NtStatus::INVALID_CID
    );
}

/// lpc#193, lpc#200
#[test]
fn threads_registered_on_the_connection_port_are_told_of_on_it() {
    let server = Server::start();
    let owner = server.client();
    let mut listener = owner.create(r"\p");
    let threads = [owner.thread(0x7000), owner.thread(0x7004)];
    for tno in threads {
        owner.ok(&RegisterTerminatePort {
            tno,
            port: listener.port,
        });
    }

    for tno in threads {
        owner.ok(&ThreadExit { tno });
        let died = listener.next();
        assert_eq!(
            (
                died.header.message_type,
                died.header.sender,
                died.header.context
            ),
            (CLIENT_DIED, tno, 0)
        );
    }
    listener.assert_empty();
}

/// lpc §3.6: a thread without a registered port, in a process with an exception port; lpc#211
#[test]
fn exception_port_hears_of_threads_without_a_port() {
    let server = Server::start();
    let owner = server.client();
    let mut listener = owner.create("");
    let tno = owner.thread(0x7000);
    owner.ok(&SetExceptionPort {
        port: listener.port,
    });

    assert_eq!(
        owner.status(&SetExceptionPort {
            port: listener.port
        }),
        NtStatus::PORT_ALREADY_SET
    );
    owner.ok(&ThreadExit { tno });

    let died = listener.next();
    assert_eq!(
        (died.header.message_type, died.header.sender),
        (CLIENT_DIED, tno)
    );
}

/// lpc#203, lpc#205
#[test]
fn dead_server_takes_its_name_and_connections_along() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let pair = pair(&owner, &client, r"\p", 0);
    let (pid, tid) = (owner.pid, owner.tid);

    drop(owner);
    client.wait_for_death(pid, tid);

    assert!(pair.segment.is_closed());
    assert_eq!(
        client.status(&client.connect_request(r"\p", b"")),
        NtStatus::OBJECT_NAME_NOT_FOUND
    );
    client.close(pair.client_port);
}

/// lpc#205: established pairs outlive the connection port
#[test]
fn connections_outlive_the_connection_ports_handle() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut pair = pair(&owner, &client, r"\p", 3);

    owner.close(pair.listener.port);

    assert!(!pair.segment.is_closed());
    assert!(
        !pair.listener.inbox.is_closed(),
        "the server port still receives"
    );
    client.close(pair.client_port);
    assert_eq!(pair.listener.next().header.message_type, PORT_CLOSED);
    owner.close(pair.server_port);
    assert!(pair.listener.inbox.is_closed(), "nothing can come any more");
}

#[test]
fn ports_of_others_are_no_handles() {
    let server = Server::start();
    let (owner, client, third) = (server.client(), server.client(), server.client());
    let pair = pair(&owner, &client, r"\p", 0);

    for port in [
        pair.listener.port,
        pair.client_port,
        pair.server_port,
        0,
        u64::MAX,
    ] {
        assert_eq!(third.status(&QueryPort { port }), NtStatus::INVALID_HANDLE);
        assert_eq!(
            third.status(&ntlpc_proto::port::ClosePort {
                port,
                tno: third.tno
            }),
            NtStatus::INVALID_HANDLE
        );
        assert_eq!(third.status(&AdoptPort { port }), NtStatus::INVALID_HANDLE);
        assert_eq!(
            third.status(&RegisterTerminatePort {
                tno: third.tno,
                port
            }),
            NtStatus::INVALID_HANDLE
        );
    }
}

/// Not a test by itself: the process that the next test kills.
#[test]
#[ignore = "started by killed_process_is_noticed"]
fn victim() {
    let (Some(dir), Some(runtime)) = (
        std::env::var_os("VICTIM_PREFIX"),
        std::env::var_os("VICTIM_RUNTIME"),
    ) else {
        panic!("not started by killed_process_is_noticed");
    };
    let prefix = Prefix::new(dir.as_ref(), runtime.into()).expect("a prefix");
    let connection = connect_existing(&prefix)
        .expect("usable")
        .expect("a server");
    let hello = ntlpc_proto::process::Hello::default();
    connection.call(&hello, &[]).expect("introduced");
    let linux_tid = rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs();
    let register = ntlpc_proto::process::RegisterThread {
        linux_tid,
        nt_tid: 0,
        create_time: 1,
    };
    let (thread, _) = connection.call(&register, &[]).expect("registered");
    let connect = ntlpc_proto::port::Connect {
        tno: thread.tno,
        name: r"\p".into(),
        ..Default::default()
    };
    let _held = connection.call(&connect, &[]).expect("queued");
    // stderr, since the test harness keeps stdout to itself.
    eprintln!("connecting {}", thread.nt_tid);
    loop {
        std::thread::park();
    }
}

#[test]
fn killed_process_is_noticed() {
    let server = Server::start();
    let owner = server.client();
    let mut listener = owner.create(r"\p");
    let mut victim = Command::new(std::env::current_exe().expect("a test program"))
        .args(["--ignored", "--exact", "victim", "--nocapture"])
        .env("VICTIM_PREFIX", server.prefix.directory())
        .env("VICTIM_RUNTIME", server.dir.path().join("ntlpc"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the victim runs");
    let stderr = BufReader::new(victim.stderr.take().expect("piped"));
    let tid: u32 = stderr
        .lines()
        .map_while(Result::ok)
        .find_map(|line| {
            line.strip_prefix("connecting ")
                .and_then(|tid| tid.trim().parse().ok())
        })
        .expect("the victim connects");
    let request = listener.next();
    let thread = owner
        .table
        .get(request.header.sender)
        .expect("a registered thread");
    assert_eq!((thread.process, thread.thread), (victim.id(), tid));

    victim.kill().expect("a kill");
    victim.wait().expect("an end");

    wait_until("the victim's thread is gone", || {
        let accept = ntlpc_proto::port::Accept {
            tno: owner.tno,
            pid: victim.id(),
            tid,
            message_id: 0,
            ..Default::default()
        };
        owner.status(&accept) == NtStatus::INVALID_CID
    });
    assert_eq!(
        owner
            .table
            .get(request.header.sender)
            .map(|thread| thread.alive),
        Some(false)
    );
}

#[test]
fn nothing_is_left_of_many_connections() {
    let server = Server::start();
    let owner = server.client();
    let mut listener = owner.create(r"\p");
    let before = server.descriptors();
    for _ in 0..50 {
        let client = server.client();
        for _ in 0..4 {
            let (reply, segment) = client.connect(r"\p", b"");
            let port = owner
                .accept(&client, listener.next().header.message_id, 1)
                .port;
            assert_eq!(
                client.connect_result(&reply, &segment).status,
                NtStatus::SUCCESS
            );
            client.close(reply.port);
            assert_eq!(listener.next().header.message_type, PORT_CLOSED);
            owner.close(port);
        }
        drop(client);
    }

    wait_until("the descriptors are closed", || {
        server.descriptors() <= before
    });
}

/// lpc §3.5: requests already queued from a client are still delivered when both ends are gone
#[test]
fn queued_message_outlives_its_connection() {
    let server = Server::start();
    let (owner, client, stranger) = (server.client(), server.client(), server.client());
    let mut pair = pair(&owner, &client, r"\p", 0xC0DE);
    let lane = pair.segment.lane(Direction::ToServer);
    let slot = lane
        .allocate(&Cursor::default(), 3, client.tno)
        .expect("an empty lane");
    slot.set_header(&Header {
        data_len: 3,
        message_type: 3,
        sender: client.tno,
        ..Header::default()
    });
    slot.write(0, b"abc");
    let inbox = &pair.listener.inbox;
    lane.publish(&slot, inbox, inbox, pair.source, client.tno, false);

    owner.close(pair.server_port);
    client.close(pair.client_port);

    assert_eq!(pair.listener.unknown_source(), Some(pair.source));
    pair.listener.open_source(&owner, pair.source);
    let sender = |tno| {
        owner.status(&CheckSender {
            port: pair.listener.port,
            source: pair.source,
            tno,
        })
    };
    assert_eq!(sender(client.tno), NtStatus::SUCCESS);
    assert_eq!(sender(stranger.tno), NtStatus::INVALID_CID);
    let message = pair.listener.next();
    assert_eq!(
        (message.header.message_type, message.data.as_slice()),
        (3, b"abc".as_slice())
    );
}
