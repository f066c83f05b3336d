//! Sections of a connection: lpc §3.7, with addresses given out by the server.

mod common;

use std::os::fd::{AsFd, OwnedFd};

use common::Server;
use ntlpc_abi::NtStatus;
use ntlpc_proto::port::{Accept, Complete, Connect, ConnectResult, View};
use ntlpc_proto::process::Hello;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, ftruncate, memfd_create};

const CLIENT_ARENA: u64 = 0x10_0000_0000;
const SERVER_ARENA: u64 = 0x20_0000_0000;

fn section(len: u64) -> OwnedFd {
    let fd =
        memfd_create("section", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("a memfd");
    ftruncate(&fd, len).expect("a size");
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW).expect("seals");
    fd
}

fn arena(base: u64) -> Hello {
    Hello {
        arena_base: base,
        arena_size: 0x100_0000,
        ..Hello::default()
    }
}

fn is_same(one: &OwnedFd, other: &OwnedFd) -> bool {
    fstat(one).expect("a stat").st_ino == fstat(other).expect("a stat").st_ino
}

/// lpc#66, lpc#91–97
#[test]
fn views_go_both_ways_at_addresses_both_sides_know() {
    let server = Server::start();
    let (owner, client) = (
        server.client_with(arena(SERVER_ARENA)),
        server.client_with(arena(CLIENT_ARENA)),
    );
    let mut listener = owner.create(r"\p");
    let (ours, theirs) = (section(0x2_0000), section(0x1000));
    let view = View {
        offset: 0x1_0000,
        size: 0x1000,
        base: 0x7000_0000,
    };
    let connect = Connect {
        view: Some(view),
        ..client.connect_request(r"\p", b"")
    };
    let (reply, fds) = client
        .connection
        .call(&connect, &[ours.as_fd()])
        .expect("queued");
    let segment =
        ntlpc_shm::segment::Segment::map(fds.into_iter().next().expect("a segment")).expect("maps");
    let request = listener.next();
    assert_eq!(request.header.view_size, 0x1000);

    let server_view = View {
        offset: 0,
        size: 0x1000,
        base: 0x6000_0000,
    };
    let accept = Accept {
        server_view: Some(server_view),
        ..owner.accept_request(&client, request.header.message_id, true)
    };
    let (accepted, fds) = owner
        .connection
        .call(&accept, &[theirs.as_fd()])
        .expect("accepted");
    let there = accepted.client_view.expect("the client brought a view");
    owner.ok(&Complete {
        port: accepted.port,
    });

    assert!(is_same(&fds[1], &ours));
    assert_eq!((there.offset, there.size), (0x1_0000, 0x1000));
    assert!((SERVER_ARENA..SERVER_ARENA + 0x100_0000).contains(&there.base));
    assert!((CLIENT_ARENA..CLIENT_ARENA + 0x100_0000).contains(&accepted.server_view_remote_base));
    common::wait_until("the connection is decided", || segment.is_connect_done());
    let (result, fds) = client.ok(&ConnectResult { port: reply.port });
    assert_eq!(result.status, NtStatus::SUCCESS);
    assert_eq!(result.client_view_remote_base, there.base, "lpc#97");
    let here = result.server_view.expect("the server brought a view");
    assert_eq!(here.base, accepted.server_view_remote_base, "lpc#98");
    assert_eq!(here.size, 0x1000);
    assert!(is_same(&fds[0], &theirs));
}

/// lpc#104: addresses are given out again when the port is gone
#[test]
fn addresses_return_with_the_port() {
    let server = Server::start();
    let (owner, client) = (server.client_with(arena(SERVER_ARENA)), server.client());
    let mut listener = owner.create(r"\p");
    let mut bases = Vec::new();
    for _ in 0..3 {
        let memory = section(0x1000);
        let connect = Connect {
            view: Some(View {
                offset: 0,
                size: 0x1000,
                base: 0x7000_0000,
            }),
            ..client.connect_request(r"\p", b"")
        };
        let (reply, _fds) = client
            .connection
            .call(&connect, &[memory.as_fd()])
            .expect("queued");
        let id = listener.next().header.message_id;
        let accepted = owner.ok(&owner.accept_request(&client, id, true)).0;
        bases.push(accepted.client_view.expect("a view").base);
        owner.ok(&Complete {
            port: accepted.port,
        });
        client.ok(&ConnectResult { port: reply.port });
        client.close(reply.port);
        listener.next();
        owner.close(accepted.port);
    }

    assert_eq!(bases, [bases[0]; 3]);
}

#[test]
fn view_without_a_section_is_no_view() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    owner.create(r"\p");
    let connect = Connect {
        view: Some(View {
            offset: 0,
            size: 0x1000,
            base: 0x7000_0000,
        }),
        ..client.connect_request(r"\p", b"")
    };

    assert!(client.status(&connect).is_error());
}

#[test]
fn section_smaller_than_its_view_is_refused() {
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut listener = owner.create(r"\p");
    for view in [
        View {
            offset: 0,
            size: 0x2000,
            base: 0,
        },
        View {
            offset: 0x1_0000,
            size: 0x1000,
            base: 0,
        },
        View {
            offset: u64::MAX - 0xFFFF,
            size: 0x2_0000,
            base: 0,
        },
    ] {
        let memory = section(0x1000);
        let connect = Connect {
            view: Some(view.clone()),
            ..client.connect_request(r"\p", b"")
        };

        assert!(
            client.connection.call(&connect, &[memory.as_fd()]).is_err(),
            "{view:?}"
        );
    }
    listener.assert_empty();
}
