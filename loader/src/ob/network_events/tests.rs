//! Events on a pair of connected sockets.

use super::*;

fn pair() -> (OwnedFd, OwnedFd) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let client = std::net::TcpStream::connect(address).expect("connect");
    (client.into(), listener.accept().expect("accept").0.into())
}

#[test]
fn events_wait_for_their_functions() {
    let (client, server) = pair();
    let (slot, event) = (Slot::default(), Arc::new(Event::new(true, false)));
    slot.select(server.as_fd(), &event, READ | WRITE | CLOSE)
        .expect("select");
    assert_eq!(slot.take(Some(&event)).events, WRITE);
    socket::send(client.as_fd(), b"abc", 0, None).expect("send");
    while !event.is_set() {
        std::thread::yield_now();
    }
    assert_eq!(slot.take(Some(&event)).events, READ);
    assert!(!event.is_set());
    drop(client);
    socket::receive(server.as_fd(), 1, 0).expect("receive");
    slot.after(Did::Receive);
    assert_eq!(slot.take(Some(&event)).events, READ);
    socket::receive(server.as_fd(), 2, 0).expect("receive");
    slot.after(Did::Receive);
    let record = slot.take(None);
    assert_eq!((record.events, record.codes[5]), (CLOSE, 0));
    slot.after(Did::Receive);
    assert_eq!(slot.take(None).events, 0);
    slot.clear();
    assert!(slot.selected().is_none());
}
