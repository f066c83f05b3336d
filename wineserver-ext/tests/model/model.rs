//! What the calls must do, in plain data structures.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use ntlpc_abi::NtStatus;
use proptest::prelude::{Arbitrary, BoxedStrategy, Just, Strategy as _, prop_oneof};

use super::calls::{self, HEADER, Message};

const REQUEST: u16 = 1;
const REPLY: u16 = 2;
const DATAGRAM: u16 = 3;
const PORT_CLOSED: u16 = 5;
const CONNECTION_REQUEST: u16 = 10;
/// How long a message that is on its way may take.
const ARRIVAL_MS: i64 = 20_000;
const CONNECTIONS: usize = 8;

/// What is wrong with a message.
#[derive(Clone, Copy, Debug)]
pub enum Flaw {
    Type,
    DataInfo,
    DataBeyondTotal,
    TooLong,
    BadHandle,
}

/// What is wrong with a reply.
#[derive(Clone, Copy, Debug)]
pub enum Wrong {
    ZeroId,
    OtherId,
    DeadClient,
    OtherConnection,
    TooLong,
}

/// One step; numbers of connections that are not there make it do nothing.
#[derive(Clone, Debug)]
pub enum Step {
    Connect { port: usize, accept: bool },
    Datagram { connection: usize, length: u16 },
    Flawed { connection: usize, flaw: Flaw },
    Ask { connection: usize, length: u16 },
    Reply { connection: usize },
    WrongReply { connection: usize, wrong: Wrong },
    Receive { port: usize },
    ToClient { connection: usize, length: u16 },
    ClientReceive { connection: usize },
    CloseClient { connection: usize },
    CloseServer { connection: usize },
}

macro_rules! arbitrary {
    ($($ty:ident: $($variant:ident)*;)*) => {$(
        impl Arbitrary for $ty {
            type Parameters = ();
            type Strategy = BoxedStrategy<$ty>;
            fn arbitrary_with((): ()) -> BoxedStrategy<$ty> {
                prop_oneof![$(Just($ty::$variant)),*].boxed()
            }
        }
    )*};
}

arbitrary! {
    Flaw: Type DataInfo DataBeyondTotal TooLong BadHandle;
    Wrong: ZeroId OtherId DeadClient OtherConnection TooLong;
}

/// A message that is queued.
#[derive(Debug)]
struct Queued {
    message_type: u16,
    context: u64,
    /// Its data; not known for notices.
    data: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Listener {
    name: String,
    handle: u64,
    queue: VecDeque<Queued>,
    last_id: u32,
}

/// A request that waits for its reply.
#[derive(Debug)]
struct Asking {
    thread: JoinHandle<(NtStatus, Message)>,
    request: Message,
}

#[derive(Debug)]
struct Connection {
    port: usize,
    context: u64,
    client: Option<u64>,
    server: Option<u64>,
    to_client: VecDeque<Queued>,
    asking: Option<Asking>,
}

/// The model, and the objects it watches.
#[derive(Debug)]
pub struct Model {
    ports: Vec<Listener>,
    connections: Vec<Connection>,
    fill: u8,
}

impl Model {
    pub fn new() -> Model {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let ports = (0..2).map(|index| {
            let name = format!(r"\RPC Control\model-{number}-{index}");
            Listener {
                handle: calls::create(&name),
                name,
                queue: VecDeque::new(),
                last_id: 0,
            }
        });
        Model {
            ports: ports.collect(),
            connections: Vec::new(),
            fill: 0,
        }
    }

    pub fn run(&mut self, step: Step) {
        match step {
            Step::Connect { port, accept } => self.connect(port, accept),
            Step::Datagram { connection, length } => self.datagram(connection, length),
            Step::Flawed { connection, flaw } => self.flawed(connection, flaw),
            Step::Ask { connection, length } => self.ask(connection, length),
            Step::Reply { connection } => self.reply(connection),
            Step::WrongReply { connection, wrong } => self.wrong_reply(connection, wrong),
            Step::Receive { port } => self.receive_expected(port),
            Step::ToClient { connection, length } => self.tell_client(connection, length),
            Step::ClientReceive { connection } => self.client_receive(connection),
            Step::CloseClient { connection } => self.close_client(connection),
            Step::CloseServer { connection } => self.close_server(connection),
        }
    }

    /// Closes everything; what waits must come back.
    pub fn end(mut self) {
        for index in 0..self.connections.len() {
            self.close_server(index);
            self.close_client(index);
        }
        for port in 0..self.ports.len() {
            while !self.ports[port].queue.is_empty() {
                self.receive_expected(port);
            }
            self.receive_expected(port);
            assert_eq!(calls::close(self.ports[port].handle), NtStatus::SUCCESS);
            let (status, _) = calls::connect(&self.ports[port].name);
            assert_eq!(status, NtStatus::OBJECT_NAME_NOT_FOUND);
        }
    }

    fn next(&mut self, length: u16) -> Message {
        self.fill = self.fill.wrapping_add(1);
        Message::new(length, self.fill)
    }

    /// Takes the next message of a port, which is what the model says, or nothing.
    fn receive_expected(&mut self, port: usize) {
        let (status, context, message) = calls::receive(self.ports[port].handle, 0);
        let Some(queued) = self.ports[port].queue.pop_front() else {
            assert_eq!(status, NtStatus::TIMEOUT, "{message:?}");
            return;
        };
        assert_eq!(status, NtStatus::SUCCESS, "{queued:?}");
        assert_eq!(
            (message.message_type, context),
            (queued.message_type, queued.context)
        );
        check(&message, &queued);
        self.note_id(port, &message);
    }

    /// Message ids of a port grow in the order of delivery.
    fn note_id(&mut self, port: usize, message: &Message) {
        assert!(message.id > self.ports[port].last_id, "{message:?}");
        self.ports[port].last_id = message.id;
    }

    /// Takes all the model knows of a port, and then the message of `message_type` that is on its way.
    fn receive_arriving(&mut self, port: usize, message_type: u16) -> (u64, Message) {
        while !self.ports[port].queue.is_empty() {
            self.receive_expected(port);
        }
        let (status, context, message) = calls::receive(self.ports[port].handle, ARRIVAL_MS);
        assert_eq!(
            (status, message.message_type),
            (NtStatus::SUCCESS, message_type)
        );
        self.note_id(port, &message);
        (context, message)
    }

    fn connect(&mut self, port: usize, is_accepted: bool) {
        if self.connections.len() == CONNECTIONS {
            return;
        }
        let name = self.ports[port].name.clone();
        let client = std::thread::spawn(move || calls::connect(&name));
        let (_, request) = self.receive_arriving(port, CONNECTION_REQUEST);
        let context = 100 + self.connections.len() as u64;
        let server = calls::accept(&request, context, is_accepted);
        if is_accepted {
            assert_eq!(calls::complete(server), NtStatus::SUCCESS);
        }
        let (status, handle) = client.join().expect("the client thread");
        if !is_accepted {
            assert_eq!(status, NtStatus::PORT_CONNECTION_REFUSED);
            return;
        }
        assert_eq!(status, NtStatus::SUCCESS);
        self.connections.push(Connection {
            port,
            context,
            client: Some(handle),
            server: Some(server),
            to_client: VecDeque::new(),
            asking: None,
        });
    }

    fn datagram(&mut self, index: usize, length: u16) {
        let message = self.next(length);
        let Some(connection) = self.connections.get(index) else {
            return;
        };
        let Some(client) = connection.client else {
            return;
        };
        let status = calls::send(client, &message);
        if connection.server.is_none() {
            assert_eq!(status, NtStatus::PORT_DISCONNECTED);
            return;
        }
        assert_eq!(status, NtStatus::SUCCESS);
        self.ports[connection.port].queue.push_back(Queued {
            message_type: DATAGRAM,
            context: connection.context,
            data: Some(message.body().to_vec()),
        });
    }

    fn flawed(&mut self, index: usize, flaw: Flaw) {
        let Some(client) = self
            .connections
            .get(index)
            .and_then(|connection| connection.client)
        else {
            return;
        };
        let mut message = Message::new(8, 0);
        let mut port = client;
        let wanted = match flaw {
            Flaw::Type => {
                message.message_type = REPLY;
                NtStatus::INVALID_PARAMETER
            }
            Flaw::DataInfo => {
                message.data_info_offset = HEADER;
                NtStatus::INVALID_PARAMETER
            }
            Flaw::DataBeyondTotal => {
                message.total_length = HEADER + 4;
                port = 0x7FFC;
                NtStatus::INVALID_PARAMETER
            }
            Flaw::TooLong => {
                message.total_length = HEADER + 0x1000;
                NtStatus::PORT_MESSAGE_TOO_LONG
            }
            Flaw::BadHandle => {
                port = 0x7FFC;
                NtStatus::INVALID_HANDLE
            }
        };
        assert_eq!(calls::send(port, &message), wanted, "{flaw:?}");
    }

    fn ask(&mut self, index: usize, length: u16) {
        let message = self.next(length);
        let Some(connection) = self.connections.get(index) else {
            return;
        };
        let (Some(client), None) = (connection.client, &connection.asking) else {
            return;
        };
        if connection.server.is_none() {
            assert_eq!(calls::ask(client, message).0, NtStatus::PORT_DISCONNECTED);
            return;
        }
        let (port, wanted) = (connection.port, connection.context);
        let thread = std::thread::spawn(move || calls::ask(client, message));
        let (context, request) = self.receive_arriving(port, REQUEST);
        assert_eq!((context, request.body()), (wanted, message.body()));
        assert_eq!(request.process, u64::from(std::process::id()));
        self.connections[index].asking = Some(Asking { thread, request });
    }

    fn reply(&mut self, index: usize) {
        let mut answer = self.next(16);
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        let (Some(server), Some(asking)) = (connection.server, connection.asking.take()) else {
            return;
        };
        address(&mut answer, &asking.request);
        // Replies go on the server port and on the connection port alike (lpc#112, lpc#113).
        let on = if answer.data[0].is_multiple_of(2) {
            server
        } else {
            self.ports[connection.port].handle
        };
        assert_eq!(calls::reply(on, &answer), NtStatus::SUCCESS);
        let (status, reply) = asking.thread.join().expect("the asking thread");
        assert_eq!((status, reply.message_type), (NtStatus::SUCCESS, REPLY));
        assert_eq!((reply.id, reply.body()), (asking.request.id, answer.body()));
        let again = calls::reply(on, &answer);
        assert!(
            matches!(
                again,
                NtStatus::REPLY_MESSAGE_MISMATCH | NtStatus::INVALID_CID
            ),
            "a second reply: {again:?}"
        );
    }

    fn wrong_reply(&mut self, index: usize, wrong: Wrong) {
        let Some((server, request)) = self
            .connections
            .get(index)
            .and_then(|connection| Some((connection.server?, connection.asking.as_ref()?.request)))
        else {
            return;
        };
        let other = self
            .connections
            .iter()
            .enumerate()
            .find_map(|(at, connection)| connection.server.filter(|_| at != index));
        let mut answer = Message::new(8, 0);
        address(&mut answer, &request);
        let mut on = server;
        let wanted = match wrong {
            Wrong::ZeroId => {
                answer.id = 0;
                NtStatus::INVALID_PARAMETER
            }
            Wrong::OtherId => {
                answer.id += 100_000;
                NtStatus::REPLY_MESSAGE_MISMATCH
            }
            Wrong::DeadClient => {
                answer.thread = 3;
                NtStatus::INVALID_CID
            }
            Wrong::OtherConnection => {
                let Some(other) = other else { return };
                on = other;
                NtStatus::REPLY_MESSAGE_MISMATCH
            }
            Wrong::TooLong => {
                answer.total_length = HEADER + 0x1000;
                NtStatus::PORT_MESSAGE_TOO_LONG
            }
        };
        assert_eq!(calls::reply(on, &answer), wanted, "{wrong:?}");
    }

    fn tell_client(&mut self, index: usize, length: u16) {
        let message = self.next(length);
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        let Some(server) = connection.server else {
            return;
        };
        let status = calls::send(server, &message);
        if connection.client.is_none() {
            assert_eq!(status, NtStatus::PORT_DISCONNECTED);
            return;
        }
        assert_eq!(status, NtStatus::SUCCESS);
        connection.to_client.push_back(Queued {
            message_type: DATAGRAM,
            context: 0,
            data: Some(message.body().to_vec()),
        });
    }

    fn client_receive(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        let (Some(client), Some(_)) = (connection.client, connection.server) else {
            return;
        };
        let (status, _, message) = calls::receive(client, 0);
        match connection.to_client.pop_front() {
            None => assert_eq!(status, NtStatus::TIMEOUT),
            Some(queued) => {
                assert_eq!(
                    (status, message.message_type),
                    (NtStatus::SUCCESS, DATAGRAM)
                );
                check(&message, &queued);
            }
        }
    }

    fn close_client(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        // A call under way would keep the port (lpc §3.5).
        let Some(client) = connection.client.filter(|_| connection.asking.is_none()) else {
            return;
        };
        connection.client = None;
        assert_eq!(calls::close(client), NtStatus::SUCCESS);
        assert_eq!(calls::close(client), NtStatus::INVALID_HANDLE);
        if connection.server.is_some() {
            self.ports[connection.port].queue.push_back(Queued {
                message_type: PORT_CLOSED,
                context: connection.context,
                data: None,
            });
        }
    }

    fn close_server(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        let Some(server) = connection.server.take() else {
            return;
        };
        assert_eq!(calls::close(server), NtStatus::SUCCESS);
        if let Some(asking) = connection.asking.take() {
            let (status, _) = asking.thread.join().expect("the asking thread");
            assert_eq!(status, NtStatus::LPC_REPLY_LOST);
        }
    }
}

/// Addresses a reply to a request.
fn address(reply: &mut Message, request: &Message) {
    reply.process = request.process;
    reply.thread = request.thread;
    reply.id = request.id;
}

fn check(message: &Message, queued: &Queued) {
    assert_eq!(message.total_length, HEADER + message.data_length);
    assert_eq!(message.data_info_offset, 0);
    match &queued.data {
        Some(data) => assert_eq!(message.body(), data),
        None => assert_eq!(message.data_length, 8, "a notice carries a creation time"),
    }
}
