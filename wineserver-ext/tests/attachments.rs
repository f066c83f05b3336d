//! What travels beside a message: alpc §2.5.8.

mod common;

use std::os::fd::AsFd;

use common::{Client, Server};
use ntlpc_abi::NtStatus;
use ntlpc_proto::Bytes;
use ntlpc_proto::attachment::{Attach, AttachToken, Detach, Take};
use ntlpc_proto::port::Qos;
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
    assert_eq!(detached.left.len(), 1);
    assert_eq!(client.status(&Detach { bundle }), NtStatus::INVALID_HANDLE);
    assert_eq!(owner.status(&take), NtStatus::INVALID_HANDLE);
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
