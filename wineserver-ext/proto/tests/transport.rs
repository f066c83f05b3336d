//! Frames and descriptors over real sockets.

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};

use ntlpc_abi::NtStatus;
use ntlpc_proto::frame::{self, Frame, MAX_BYTES, MAX_FDS};
use ntlpc_proto::process::{CheckThread, CheckThreadReply};
use ntlpc_proto::transport::{Wait, receive, send};
use ntlpc_proto::{CallError, Connection, Request};
use rustix::fs::{MemfdFlags, fstat, memfd_create};
use rustix::io::{FdFlags, fcntl_getfd};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    socketpair,
};

fn pair() -> (OwnedFd, OwnedFd) {
    socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .expect("a socket pair")
}

fn memory() -> OwnedFd {
    memfd_create("test", MemfdFlags::CLOEXEC).expect("a memfd")
}

#[test]
fn descriptors_arrive_in_order_and_close_on_exec() {
    let (client, server) = pair();
    let sent = [memory(), memory()];
    send(
        &client,
        b"x",
        &[sent[0].as_fd(), sent[1].as_fd()],
        Wait::Blocking,
    )
    .expect("a send");

    let mut buffer = vec![0; MAX_BYTES];
    let received = receive(&server, &mut buffer, Wait::Blocking).expect("a frame");

    assert_eq!((received.len, received.fds.len()), (1, 2));
    for (sent, received) in sent.iter().zip(&received.fds) {
        assert_eq!(
            fstat(sent).expect("a stat").st_ino,
            fstat(received).expect("a stat").st_ino
        );
        assert!(
            fcntl_getfd(received)
                .expect("flags")
                .contains(FdFlags::CLOEXEC)
        );
    }
}

#[test]
fn excess_descriptors_do_not_leak() {
    let (client, server) = pair();
    let many: Vec<OwnedFd> = (0..MAX_FDS * 3)
        .map(|_| memfd_create("excess", MemfdFlags::CLOEXEC).expect("a memfd"))
        .collect();
    let borrowed: Vec<_> = many.iter().map(AsFd::as_fd).collect();
    let mut space = vec![std::mem::MaybeUninit::uninit(); 4096];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)));
    rustix::net::sendmsg(
        &client,
        &[std::io::IoSlice::new(b"x")],
        &mut ancillary,
        SendFlags::empty(),
    )
    .expect("a send");
    let open = || {
        let entries = std::fs::read_dir("/proc/self/fd").expect("a directory");
        let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        links
            .filter(|link| link.to_string_lossy().contains("memfd:excess"))
            .count()
    };

    let mut buffer = vec![0; MAX_BYTES];
    let received = receive(&server, &mut buffer, Wait::Blocking).expect("a frame");

    assert_eq!(received.fds.len(), MAX_FDS);
    assert_eq!(open(), many.len() + MAX_FDS);
    drop(received);
    assert_eq!(open(), many.len());
}

#[test]
fn frames_and_descriptors_beyond_the_bounds_are_not_sent() {
    let (client, server) = pair();
    let many: Vec<OwnedFd> = (0..=MAX_FDS).map(|_| memory()).collect();
    let borrowed: Vec<_> = many.iter().map(AsFd::as_fd).collect();

    for result in [
        send(&client, &vec![0; MAX_BYTES + 1], &[], Wait::Blocking),
        send(&client, b"x", &borrowed, Wait::Blocking),
    ] {
        assert_eq!(
            result.map_err(|error| error.kind()),
            Err(ErrorKind::InvalidInput)
        );
    }
    let mut buffer = vec![0; MAX_BYTES];
    assert_eq!(
        receive(&server, &mut buffer, Wait::NonBlocking)
            .map_err(|error| error.kind())
            .map(|_| ()),
        Err(ErrorKind::WouldBlock)
    );
}

#[test]
fn longer_frame_than_the_buffer_is_an_error() {
    let (client, server) = pair();
    send(&client, &[0; 100], &[], Wait::Blocking).expect("a send");

    let result = receive(&server, &mut [0; 50], Wait::Blocking);

    assert_eq!(
        result.map_err(|error| error.kind()).map(|_| ()),
        Err(ErrorKind::InvalidData)
    );
}

#[test]
fn sending_to_a_peer_that_does_not_read_would_block() {
    let (client, _server) = pair();

    let error = (0..10_000)
        .find_map(|_| send(&client, &[0; 1024], &[], Wait::NonBlocking).err())
        .expect("the socket has a bound");

    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn call_returns_the_reply_or_the_status() {
    let (client, server) = pair();
    let peer = std::thread::spawn(move || {
        let mut buffer = vec![0; MAX_BYTES];
        for outcome in [
            Ok(CheckThreadReply { tno: 7, process: 3 }),
            Err(NtStatus::INVALID_CID),
        ] {
            let received = receive(&server, &mut buffer, Wait::Blocking).expect("a request");
            let request = Frame::parse(&buffer[..received.len]).expect("a frame");
            assert_eq!(request.number, CheckThread::NUMBER);
            let reply =
                frame::encode_reply::<CheckThread>(outcome.as_ref().map_err(|status| *status));
            send(&server, &reply, &[], Wait::Blocking).expect("a reply");
        }
    });
    let connection = Connection::new(client);
    let request = CheckThread { pid: 8, tid: 12 };

    assert_eq!(
        connection.call(&request, &[]).expect("a reply").0,
        CheckThreadReply { tno: 7, process: 3 }
    );
    assert!(matches!(
        connection.call(&request, &[]),
        Err(CallError::Refused(NtStatus::INVALID_CID))
    ));
    peer.join().expect("the peer asserts nothing false");
    // The peer has closed: whichever half of the call notices, the connection is lost, not the process (SIGPIPE).
    assert!(matches!(
        connection.call(&request, &[]),
        Err(CallError::Lost(_))
    ));
}

#[test]
fn reply_to_another_request_is_not_taken() {
    let (client, server) = pair();
    let bytes = frame::encode_refusal(0x7777, NtStatus::SUCCESS);
    send(&server, &bytes, &[], Wait::Blocking).expect("a send");

    let result = Connection::new(client).call(&CheckThread::default(), &[]);

    assert!(
        matches!(result, Err(CallError::Lost(error)) if error.kind() == ErrorKind::InvalidData)
    );
}
