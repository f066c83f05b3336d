//! What travels beside a message: alpc §2.5.8.

mod common;

use std::os::fd::AsFd;

use common::{Client, Server};
use ntlpc_abi::NtStatus;
use ntlpc_proto::Bytes;
use ntlpc_proto::attachment::{Attach, AttachToken, Detach, Reclaim, RevokeTokens, Take};
use ntlpc_proto::port::{Connect, Qos};
use ntlpc_proto::process::Token;
use ntlpc_proto::wire::{Reader, Wire};
use rustix::fs::{MemfdFlags, fstat, memfd_create};

/// Connects; returns the ports of client and server.
fn connect(owner: &Client, client: &Client) -> (u64, u64) {
    let mut listener = owner.create(r"\p");
    let (reply, segment) = client.connect(r"\p", b"");
    let request = listener.next();
    let accepted = owner.accept(client, request.header.message_id, 0);
    client.connect_result(&reply, &segment);
    (reply.port, accepted.port)
}

#[test]
fn item_reaches_the_other_end_and_nobody_else() {
    let server = Server::start();
    let (owner, client, stranger) = (server.client(), server.client(), server.client());
    let (port, _) = connect(&owner, &client);
    let memory = memfd_create("attached", MemfdFlags::CLOEXEC).expect("a memfd");
    let attach = Attach {
        port,
        source: 0,
        bundle: 0,
        description: Bytes(b"what it is".to_vec()),
    };
    let (attached, _) = client
        .connection
        .call(&attach, &[memory.as_fd()])
        .expect("attached");
    let take = Take {
        bundle: attached.bundle,
        index: attached.index,
        is_last: false,
    };

    assert_eq!(stranger.status(&take), NtStatus::INVALID_HANDLE);
    for _ in 0..2 {
        let (taken, fds) = owner.ok(&take);
        assert_eq!(taken.description.0, b"what it is");
        assert!(!taken.is_token);
        let [fd] = fds.as_slice() else {
            panic!("one descriptor, not {}", fds.len());
        };
        let inode = |fd| fstat(fd).expect("a stat").st_ino;
        assert_eq!(inode(fd), inode(&memory));
    }
    let bundle = attached.bundle;
    assert_eq!(
        stranger.status(&Detach { bundle }),
        NtStatus::INVALID_HANDLE
    );
    let (detached, _) = owner.ok(&Detach { bundle });
    // What the sender keeps for it is the sender's to let go of.
    assert!(detached.left.is_empty());
    assert_eq!(client.ok(&Reclaim {}).0.left.len(), 1);
    assert_eq!(client.status(&Detach { bundle }), NtStatus::INVALID_HANDLE);
    assert_eq!(owner.status(&take), NtStatus::INVALID_HANDLE);
}

#[test]
fn staged_bundle_is_its_makers_until_the_connect_that_names_it() {
    let server = Server::start();
    let (owner, client, thief) = (server.client(), server.client(), server.client());
    let mut listener = owner.create(r"\p");
    let attach = Attach {
        port: 0,
        source: 0,
        bundle: 0,
        description: Bytes(b"staged".to_vec()),
    };
    let (staged, _) = client.ok(&attach);
    let take = Take {
        bundle: staged.bundle,
        index: staged.index,
        is_last: false,
    };
    assert_eq!(owner.status(&take), NtStatus::INVALID_HANDLE);

    // Another process that names it gets nothing by that.
    let stolen = Connect {
        bundles: vec![staged.bundle],
        ..thief.connect_request(r"\p", b"")
    };
    thief.ok(&stolen);
    listener.next();
    assert_eq!(owner.status(&take), NtStatus::INVALID_HANDLE);
    assert_eq!(thief.status(&take), NtStatus::INVALID_HANDLE);

    let request = Connect {
        bundles: vec![staged.bundle],
        ..client.connect_request(r"\p", b"")
    };
    let (connected, _) = client.ok(&request);
    listener.next();
    let (taken, _) = owner.ok(&take);
    assert_eq!(taken.description.0, b"staged");

    // The request ends with its client's port; what nobody took for good goes back to who attached it.
    client.close(connected.port);
    assert_eq!(owner.status(&take), NtStatus::INVALID_HANDLE);
    let (reclaimed, _) = client.ok(&Reclaim {});
    assert_eq!(reclaimed.left.len(), 1);
    let (again, _) = client.ok(&Reclaim {});
    assert!(again.left.is_empty());
}

#[test]
fn staged_items_are_limited() {
    let server = Server::start();
    let client = server.client();
    let attach = |bundle| Attach {
        port: 0,
        source: 0,
        bundle,
        description: Bytes(b"x".to_vec()),
    };
    let mut count = 0;
    let status = loop {
        match client.connection.call(&attach(0), &[]) {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
        assert!(count < 1_000_000, "no limit");
    };
    assert!(count > 0, "{status:?}");
    assert_eq!(client.status(&attach(0)), NtStatus::INSUFFICIENT_RESOURCES);
}

#[test]
fn revoked_tokens_are_nobodys() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let (port, _) = connect(&owner, &client);
    let attach = |context| AttachToken {
        port,
        source: 0,
        bundle: 0,
        token: Bytes::default(),
        qos: Qos {
            level: 2,
            ..Qos::default()
        },
        context,
    };
    let items = [1, 2].map(|context| {
        let (attached, _) = client.ok(&attach(context));
        Take {
            bundle: attached.bundle,
            index: attached.index,
            is_last: false,
        }
    });
    // Of the same number, but another process's.
    owner.ok(&RevokeTokens { context: 1 });
    assert!(items.iter().all(|item| owner.ok(item).0.is_token));
    client.ok(&RevokeTokens { context: 1 });
    let (revoked, _) = owner.ok(&items[0]);
    assert!(!revoked.is_token && revoked.description.0.is_empty());
    assert!(owner.ok(&items[1]).0.is_token);
}

#[test]
fn item_taken_for_good_leaves_its_number() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let (_, port) = connect(&owner, &client);
    let attach = |bundle| Attach {
        port,
        source: 0,
        bundle,
        description: Bytes(b"x".to_vec()),
    };
    let (first, _) = owner.ok(&attach(0));
    let (second, _) = owner.ok(&attach(first.bundle));
    assert_eq!((first.index, second.index), (0, 1));
    let last = Take {
        bundle: first.bundle,
        index: 0,
        is_last: true,
    };
    client.ok(&last);
    assert_eq!(client.status(&last), NtStatus::INVALID_HANDLE);
    client.ok(&Take { index: 1, ..last });
}

#[test]
fn token_is_what_its_sender_may_claim() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let (port, _) = connect(&owner, &client);
    let qos = Qos {
        level: 1,
        ..Qos::default()
    };
    let (attached, _) = client.ok(&AttachToken {
        context: 1,
        port,
        qos,
        ..AttachToken::default()
    });
    let (taken, _) = owner.ok(&Take {
        bundle: attached.bundle,
        ..Take::default()
    });
    assert!(taken.is_token);
    let token = Token::get(&mut Reader::new(&taken.description.0)).expect("a token");
    assert!(token.is_impersonation);
    assert_eq!(token.level, 1);
}

#[test]
fn bundles_end_with_their_connection_and_have_a_bound() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let (client_port, server_port) = connect(&owner, &client);
    let attach = Attach {
        port: client_port,
        source: 0,
        bundle: 0,
        description: Bytes::default(),
    };
    let (attached, _) = client.ok(&attach);
    let more = Attach {
        bundle: attached.bundle,
        ..attach.clone()
    };
    let refused = (0..4096)
        .map(|_| client.status(&more))
        .find(|status| *status != NtStatus::SUCCESS);
    assert_eq!(refused, Some(NtStatus::INSUFFICIENT_RESOURCES));
    client.close(client_port);
    owner.close(server_port);
    let bundle = attached.bundle;
    assert_eq!(client.status(&Detach { bundle }), NtStatus::INVALID_HANDLE);
}
