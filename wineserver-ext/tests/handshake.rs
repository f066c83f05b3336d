//! Creating ports and connecting to them: lpc §2.1, §2.3–2.7, §3.3, §3.8.

mod common;

use common::{CONNECTION_REQUEST, Server, pair};
use ntlpc_abi::NtStatus;
use ntlpc_proto::Bytes;
use ntlpc_proto::port::{
    Accept, AcceptFailed, Complete, Connect, ConnectAbort, ConnectResult, CreatePort,
};
use wineserver_ext::security::Sid;

/// A self-relative descriptor whose list has the given entries (kind, mask, SID).
fn descriptor(entries: &[(u8, u32, Sid)]) -> Bytes {
    let mut body = Vec::new();
    for (kind, mask, sid) in entries {
        let sid = sid.to_bytes();
        body.extend_from_slice(&[*kind, 0]);
        body.extend_from_slice(&(8 + sid.len() as u16).to_le_bytes());
        body.extend_from_slice(&mask.to_le_bytes());
        body.extend_from_slice(&sid);
    }
    let mut out = vec![
        1, 0, 4, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0,
    ];
    out.extend_from_slice(&[2, 0]);
    out.extend_from_slice(&(8 + body.len() as u16).to_le_bytes());
    out.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&body);
    Bytes(out)
}

fn own_sid() -> Sid {
    Sid::of_user(rustix::process::geteuid().as_raw())
}

/// lpc#60–67
#[test]
fn connection_request_carries_client_and_data() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut listener = owner.create(r"\RPC Control\p");

    let (reply, _segment) = client.connect(r"\RPC Control\p", b"hello");
    let request = listener.next();

    assert_eq!(request.header.message_type, CONNECTION_REQUEST);
    assert_eq!(request.data, b"hello");
    assert_eq!(request.header.view_size, 0);
    assert_eq!(request.header.context, 0);
    assert_ne!(request.header.message_id, 0);
    assert_eq!(request.header.message_id, reply.message_id);
    let from = owner
        .table
        .get(request.header.sender)
        .expect("a registered thread");
    assert_eq!((from.process, from.thread), (client.pid, client.tid));
    assert_eq!(reply.max_message, 0x100);
    assert_eq!(reply.server_process, owner.process);
}

/// lpc#84, lpc#85
#[test]
fn completed_client_gets_the_servers_data() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut listener = owner.create(r"\p");
    let (reply, segment) = client.connect(r"\p", b"123456");
    let id = listener.next().header.message_id;

    let accept = Accept {
        info: Bytes::from(&b"12345678"[..]),
        ..owner.accept_request(&client, id, true)
    };
    let (accepted, _) = owner.ok(&accept);

    assert!(
        !segment.is_connect_done(),
        "the client is still blocked (lpc#77)"
    );
    assert_eq!(
        client.ok(&ConnectResult { port: reply.port }).0.status,
        NtStatus::PENDING
    );
    owner.ok(&Complete {
        port: accepted.port,
    });
    let result = client.connect_result(&reply, &segment);
    assert_eq!(result.status, NtStatus::SUCCESS);
    assert_eq!(result.info.0, b"123456");
}

/// lpc#73–75, lpc#86, lpc#187
#[test]
fn refused_client_gets_data_and_leaves_no_trace() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut listener = owner.create(r"\p");
    let (reply, segment) = client.connect(r"\p", b"123456");
    let id = listener.next().header.message_id;

    let refusal = Accept {
        info: Bytes::from(&b"no"[..]),
        ..owner.accept_request(&client, id, false)
    };
    let (refused, fds) = owner.ok(&refusal);

    assert_eq!((refused.port, fds.len()), (0, 0));
    let result = client.connect_result(&reply, &segment);
    assert_eq!(result.status, NtStatus::PORT_CONNECTION_REFUSED);
    assert_eq!(result.info.0, b"no");
    assert_eq!(
        client.status(&ConnectResult { port: reply.port }),
        NtStatus::INVALID_HANDLE
    );
    listener.assert_empty();
    client.connect(r"\p", b"");
    assert_eq!(listener.next().header.message_type, CONNECTION_REQUEST);
}

/// lpc#68, lpc#69, lpc#71
#[test]
fn accept_of_anything_but_a_waiting_request_fails() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut listener = owner.create(r"\p");
    let _connecting = client.connect(r"\p", b"");
    let id = listener.next().header.message_id;
    let accept = |pid, tid, message_id| {
        owner.status(&Accept {
            tno: owner.tno,
            pid,
            tid,
            message_id,
            is_accepted: true,
            ..Accept::default()
        })
    };

    assert_eq!(accept(0, 0, 0), NtStatus::INVALID_CID);
    assert_eq!(accept(owner.pid, client.tid, id), NtStatus::INVALID_CID);
    assert_eq!(
        accept(client.pid, client.tid, 0),
        NtStatus::REPLY_MESSAGE_MISMATCH
    );
    assert_eq!(
        accept(client.pid, client.tid, id + 1),
        NtStatus::REPLY_MESSAGE_MISMATCH
    );
    assert_eq!(
        accept(owner.pid, owner.tid, id),
        NtStatus::REPLY_MESSAGE_MISMATCH
    );
    assert_eq!(accept(client.pid, client.tid, id), NtStatus::SUCCESS);
    assert_eq!(
        accept(client.pid, client.tid, id),
        NtStatus::REPLY_MESSAGE_MISMATCH
    );
}

/// lpc#79
#[test]
fn accept_by_another_process_than_the_creator_fails() {
    let server = Server::start();
    let (owner, client, other) = (server.client(), server.client(), server.client());
    let mut listener = owner.create(r"\p");
    let _connecting = client.connect(r"\p", b"");
    let id = listener.next().header.message_id;

    assert_eq!(
        other.status(&other.accept_request(&client, id, true)),
        NtStatus::REPLY_MESSAGE_MISMATCH
    );
    assert_eq!(
        owner.status(&owner.accept_request(&client, id, true)),
        NtStatus::SUCCESS
    );
}

/// lpc#81, lpc#83
#[test]
fn complete_works_once_and_on_server_ports_only() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let pair = pair(&owner, &client, r"\p", 0);

    assert_eq!(
        owner.status(&Complete {
            port: pair.listener.port
        }),
        NtStatus::INVALID_PORT_HANDLE
    );
    assert_eq!(
        client.status(&Complete {
            port: pair.client_port
        }),
        NtStatus::INVALID_PORT_HANDLE
    );
    assert_eq!(
        owner.status(&Complete {
            port: pair.server_port
        }),
        NtStatus::INVALID_PARAMETER
    );
    assert_eq!(
        owner.status(&Complete {
            port: pair.client_port
        }),
        NtStatus::INVALID_HANDLE
    );
    assert_eq!(
        owner.status(&Complete { port: 0 }),
        NtStatus::INVALID_HANDLE
    );
}

/// lpc#87
#[test]
fn pending_clients_are_accepted_in_any_order() {
    let server = Server::start();
    let (owner, first, second) = (server.client(), server.client(), server.client());
    let mut listener = owner.create(r"\p");
    let one = first.connect(r"\p", b"1");
    let two = second.connect(r"\p", b"2");
    let ids = [listener.next(), listener.next()].map(|request| request.header.message_id);
    assert_eq!(ids[1], ids[0] + 1, "lpc#133");

    owner.accept(&second, ids[1], 2);
    owner.ok(&owner.accept_request(&first, ids[0], false));

    assert_eq!(
        second.connect_result(&two.0, &two.1).status,
        NtStatus::SUCCESS
    );
    assert_eq!(
        first.connect_result(&one.0, &one.1).status,
        NtStatus::PORT_CONNECTION_REFUSED
    );
}

/// lpc#89
#[test]
fn closing_the_connection_port_refuses_pending_clients() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut listener = owner.create(r"\p");
    let queued = client.connect(r"\p", b"");
    listener.next();

    owner.close(listener.port);

    assert_eq!(
        client.connect_result(&queued.0, &queued.1).status,
        NtStatus::PORT_CONNECTION_REFUSED
    );
    assert_eq!(
        client.status(&client.connect_request(r"\p", b"")),
        NtStatus::OBJECT_NAME_NOT_FOUND
    );
}

/// lpc §2.4: recommended for SRV closed, or its process dead, between accept and complete
#[test]
fn client_is_refused_when_the_acceptor_gives_up() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut listener = owner.create(r"\p");
    for gives_up in [0, 1] {
        let (reply, segment) = client.connect(r"\p", b"");
        let id = listener.next().header.message_id;
        let port = owner.ok(&owner.accept_request(&client, id, true)).0.port;
        match gives_up {
            0 => owner.close(port),
            _ => drop(owner.ok(&AcceptFailed { port })),
        }

        assert_eq!(
            client.connect_result(&reply, &segment).status,
            NtStatus::PORT_CONNECTION_REFUSED
        );
        listener.assert_empty();
    }
    let (reply, segment) = client.connect(r"\p", b"");
    let id = listener.next().header.message_id;
    owner.ok(&owner.accept_request(&client, id, true));
    drop(owner);

    assert_eq!(
        client.connect_result(&reply, &segment).status,
        NtStatus::PORT_CONNECTION_REFUSED
    );
}

/// lpc#90; §2.7: completing after the client left
#[test]
fn client_that_left_is_not_accepted_and_completing_it_succeeds() {
    let server = Server::start();
    let (owner, client, dying) = (server.client(), server.client(), server.client());
    let mut listener = owner.create(r"\p");
    let (aborted, _) = client.connect(r"\p", b"");
    let id = listener.next().header.message_id;
    client.ok(&ConnectAbort { port: aborted.port });
    assert_eq!(
        owner.status(&owner.accept_request(&client, id, true)),
        NtStatus::REPLY_MESSAGE_MISMATCH
    );

    let _second = client.connect(r"\p", b"");
    let id = listener.next().header.message_id;
    let accepted = owner.ok(&owner.accept_request(&client, id, true)).0;
    let (pid, tid) = (client.pid, client.tid);
    drop(client);
    owner.wait_for_death(pid, tid);
    assert_eq!(
        owner.status(&Complete {
            port: accepted.port
        }),
        NtStatus::SUCCESS
    );

    dying.connect(r"\p", b"");
    let id = listener.next().header.message_id;
    let (pid, tid) = (dying.pid, dying.tid);
    drop(dying);
    owner.wait_for_death(pid, tid);
    let accept = Accept {
        tno: owner.tno,
        pid,
        tid,
        message_id: id,
        is_accepted: true,
        ..Accept::default()
    };
    assert_eq!(owner.status(&accept), NtStatus::INVALID_CID);
    listener.assert_empty();
}

/// lpc#8–12, lpc#26–28
#[test]
fn create_checks_sizes_and_attributes() {
    let server = Server::start();
    let client = server.client();
    let create = |max_message, max_info, attributes| {
        client.status(&CreatePort {
            max_message,
            max_info,
            attributes,
            ..client.create_request("")
        })
    };

    assert_eq!(create(0x288, 0x208, 0), NtStatus::SUCCESS);
    assert_eq!(create(0, 0, 0x40), NtStatus::SUCCESS);
    assert_eq!(create(0x289, 0, 0), NtStatus::INVALID_PARAMETER_4);
    assert_eq!(create(0, 0x209, 0), NtStatus::INVALID_PARAMETER_3);
    assert_eq!(create(0x289, 0x209, 0), NtStatus::INVALID_PARAMETER_4);
    for attributes in [0x2, 0x10, 0x20, 0x80, 0x100, 0x200, 0x400] {
        assert_eq!(
            create(0, 0, attributes),
            NtStatus::INVALID_PARAMETER,
            "{attributes:#x}"
        );
    }
}

/// lpc#29–33, lpc#44, lpc#45, lpc#53
#[test]
fn names_collide_are_freed_and_have_their_statuses() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let pair = pair(&owner, &client, r"\RPC Control\p", 0);
    let create = |name: &str| client.status(&client.create_request(name));
    let connect = |name: &str| client.status(&client.connect_request(name, b""));

    assert_eq!(create(r"\RPC Control\p"), NtStatus::OBJECT_NAME_COLLISION);
    assert_eq!(create(r"\RPC Control"), NtStatus::OBJECT_NAME_COLLISION);
    assert_eq!(create(r"\none\p"), NtStatus::OBJECT_PATH_NOT_FOUND);
    assert_eq!(create("p"), NtStatus::OBJECT_PATH_SYNTAX_BAD);
    assert_eq!(connect(""), NtStatus::OBJECT_NAME_INVALID);
    assert_eq!(connect("p"), NtStatus::OBJECT_PATH_SYNTAX_BAD);
    assert_eq!(connect(r"\none"), NtStatus::OBJECT_NAME_NOT_FOUND);
    assert_eq!(connect(r"\none\p"), NtStatus::OBJECT_PATH_NOT_FOUND);
    assert_eq!(connect(r"\rpc control\p"), NtStatus::OBJECT_PATH_NOT_FOUND);
    assert_eq!(connect(r"\RPC Control\P"), NtStatus::OBJECT_NAME_NOT_FOUND);
    assert_eq!(connect(r"\RPC Control"), NtStatus::OBJECT_TYPE_MISMATCH);

    owner.close(pair.listener.port);
    assert_eq!(
        create(r"\RPC Control\p"),
        NtStatus::SUCCESS,
        "lpc#31: the server port is still open"
    );
}

/// lpc#54
#[test]
fn descriptor_decides_who_connects() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let everyone_but_us = descriptor(&[(1, 1, own_sid()), (0, 1, Sid::everyone())]);
    let nobody = descriptor(&[]);
    let us = descriptor(&[(0, 0x8000_0000, own_sid())]);

    for (name, security, status) in [
        (r"\a", everyone_but_us, NtStatus::ACCESS_DENIED),
        (r"\b", nobody, NtStatus::ACCESS_DENIED),
        (r"\c", us, NtStatus::SUCCESS),
        (r"\d", Bytes::default(), NtStatus::SUCCESS),
    ] {
        owner.create_with(&CreatePort {
            security,
            ..owner.create_request(name)
        });
        assert_eq!(
            client.status(&client.connect_request(name, b"")),
            status,
            "{name}"
        );
    }
    let malformed = CreatePort {
        security: Bytes(vec![1, 0, 4, 0x80]),
        ..owner.create_request(r"\e")
    };
    assert_eq!(owner.status(&malformed), NtStatus::INVALID_SECURITY_DESCR);
}

/// lpc#56, lpc#57, and §2.4 step 6 before step 8
#[test]
fn required_sid_must_be_the_servers_user() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut listener = owner.create(r"\p");
    let connect = |name: &str, required_sid: Vec<u8>| {
        client.status(&Connect {
            required_sid: Bytes(required_sid),
            ..client.connect_request(name, b"")
        })
    };

    assert_eq!(
        connect(r"\p", Sid::local_system().to_bytes()),
        NtStatus::SERVER_SID_MISMATCH
    );
    assert_eq!(connect(r"\none", vec![9, 9, 9]), NtStatus::INVALID_SID);
    listener.assert_empty();
    assert_eq!(connect(r"\p", own_sid().to_bytes()), NtStatus::SUCCESS);
    assert_eq!(
        connect(r"\p", Sid::wine_user().to_bytes()),
        NtStatus::SUCCESS
    );
}

/// lpc#49, §2.3 step 14 after steps 8–13; §2.6: the client is refused
#[test]
fn view_errors_come_after_the_name_and_refuse_the_client() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut listener = owner.create(r"\p");
    let bad_view = |name: &str| Connect {
        view_status: NtStatus::INVALID_HANDLE,
        ..client.connect_request(name, b"")
    };

    assert_eq!(
        client.status(&bad_view(r"\none")),
        NtStatus::OBJECT_NAME_NOT_FOUND
    );
    assert_eq!(client.status(&bad_view(r"\p")), NtStatus::INVALID_HANDLE);
    listener.assert_empty();

    let (reply, segment) = client.connect(r"\p", b"");
    let id = listener.next().header.message_id;
    let accept = Accept {
        view_status: NtStatus::INVALID_HANDLE,
        ..owner.accept_request(&client, id, true)
    };
    assert_eq!(owner.status(&accept), NtStatus::INVALID_HANDLE);
    assert_eq!(
        client.connect_result(&reply, &segment).status,
        NtStatus::PORT_CONNECTION_REFUSED
    );
}

/// lpc#58
#[test]
fn connection_information_is_cut_to_the_maximum() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut listener = owner.create(r"\p");

    client.connect(r"\p", &[7; 0x1000]);

    assert_eq!(listener.next().data, [7; 0x208]);
}

/// lpc#39, lpc#36
#[test]
fn waitable_port_takes_connections() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut listener = owner.create_with(&CreatePort {
        is_waitable: true,
        ..owner.create_request(r"\p")
    });

    client.connect(r"\p", b"");

    assert!(listener.inbox.is_signalled());
    assert_eq!(listener.next().header.message_type, CONNECTION_REQUEST);
}
