//! Many connections, threads and ports at once: design.md §8 asks for 10,000 connections on one port.

mod common;

use std::time::Instant;

use common::{PORT_CLOSED, Server};
use ntlpc_abi::NtStatus;
use ntlpc_proto::port::{Complete, ConnectResult};
use ntlpc_proto::process::ThreadExit;

/// Connects `count` times and returns the ports of both ends. The client maps no segment: that is what is counted.
fn connect_many(
    owner: &common::Client,
    client: &common::Client,
    listener: &mut common::Listener,
    count: usize,
) -> Vec<(u64, u64)> {
    let request = client.connect_request(r"\p", b"");
    (0..count)
        .map(|_| {
            let (reply, _fds) = client.ok(&request);
            let id = listener.next().header.message_id;
            let (accepted, _fds) = owner.ok(&owner.accept_request(client, id, true));
            owner.ok(&Complete {
                port: accepted.port,
            });
            assert_eq!(
                client.ok(&ConnectResult { port: reply.port }).0.status,
                NtStatus::SUCCESS
            );
            (reply.port, accepted.port)
        })
        .collect()
}

#[test]
fn ten_thousand_connections_cost_the_same_each() {
    const COUNT: usize = 10_000;
    const BATCH: usize = 500;
    let server = Server::start();
    let (owner, client) = (server.client(), server.client());
    let mut listener = owner.create(r"\p");
    // Each connection takes a descriptor; where fewer are allowed, fewer connections are all there can be.
    let count = COUNT.min(server.descriptor_limit() - 100) / BATCH * BATCH;
    eprintln!("{count} connections");

    let mut ports = Vec::new();
    let mut times = Vec::new();
    while ports.len() < count {
        let start = Instant::now();
        ports.extend(connect_many(&owner, &client, &mut listener, BATCH));
        times.push(start.elapsed());
    }
    eprintln!(
        "first {BATCH}: {:?}, last {BATCH}: {:?}",
        times[0],
        times[times.len() - 1]
    );
    let start = Instant::now();
    let extra = owner.thread(0x7000);
    owner.ok(&ThreadExit { tno: extra });
    eprintln!("a thread's end: {:?}", start.elapsed());

    let start = Instant::now();
    drop(client);
    for _ in 0..count {
        assert_eq!(listener.next().header.message_type, PORT_CLOSED);
    }
    eprintln!("{count} ports of a dead process: {:?}", start.elapsed());
    for (_, port) in ports {
        owner.close(port);
    }
    common::wait_until("the descriptors are closed", || server.descriptors() < 100);
}
