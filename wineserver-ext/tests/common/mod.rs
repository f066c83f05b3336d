//! A server of its own for each test, and clients that speak the protocol.
//!
//! A client here is one control connection. It introduces itself as a Wine process, which numbers itself, so that one test
//! process can be several NT processes; closing its connection is its death.
#![allow(dead_code, reason = "each test program uses its part")]

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ntlpc_abi::NtStatus;
use ntlpc_proto::port::{
    Accept, AcceptReply, ClosePort, Complete, Connect, ConnectReply, ConnectResult,
    ConnectResultReply, CreatePort, OpenSource, Qos,
};
use ntlpc_proto::process::{CheckThread, Hello, HostKind, RegisterThread};
use ntlpc_proto::{Bytes, CallError, Connection, Prefix, Request, connect_existing};
use ntlpc_shm::Tno;
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::receive::{Found, Receiver};
use ntlpc_shm::segment::{Direction, SYSTEM_SOURCE, Segment};
use ntlpc_shm::slot::{Header, Kind};
use ntlpc_shm::threads::ThreadTable;
use tempfile::TempDir;

/// How long a test waits for what must happen before it counts as a hang.
pub const WATCHDOG: Duration = Duration::from_secs(20);

/// LPC_PORT_CLOSED.
pub const PORT_CLOSED: u16 = 5;
/// LPC_CLIENT_DIED.
pub const CLIENT_DIED: u16 = 6;
/// LPC_CONNECTION_REQUEST.
pub const CONNECTION_REQUEST: u16 = 10;

/// The server of a fresh prefix, killed at the end of the test.
pub struct Server {
    child: Child,
    pub prefix: Prefix,
    pub dir: TempDir,
}

impl Server {
    pub fn start() -> Server {
        Server::start_with(&["-p"])
    }

    pub fn start_with(arguments: &[&str]) -> Server {
        Server::spawn(|dir| {
            let mut command = command(dir);
            command.arg("-f").args(arguments);
            command
        })
    }

    /// Starts a server that may have at most `descriptors` open.
    pub fn start_with_descriptors(descriptors: u32) -> Server {
        Server::start_limited(&format!("ulimit -n {descriptors}"))
    }

    /// Starts a server after a command of the shell, which limits it.
    pub fn start_limited(limit: &str) -> Server {
        Server::spawn(|dir| {
            let mut shell = command(dir);
            let program = PathBuf::from(shell.get_program());
            let mut limited = Command::new("sh");
            limited
                .args(["-c", &format!("{limit}; exec \"$0\" -f -p")])
                .arg(program);
            limited.envs(
                shell
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
            shell = limited;
            shell
        })
    }

    fn spawn(make: impl FnOnce(&TempDir) -> Command) -> Server {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let prefix = prefix(&dir);
        let child = make(&dir)
            .stdin(Stdio::null())
            .spawn()
            .expect("the server runs");
        let mut server = Server { child, prefix, dir };
        wait_until("the server listens", || {
            assert!(
                server.child.try_wait().expect("a status").is_none(),
                "the server ended"
            );
            matches!(connect_existing(&server.prefix), Ok(Some(_)))
        });
        server
    }

    /// Returns the Linux process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns how many descriptors the server has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .expect("the server lives")
            .count()
    }

    /// Returns how many descriptors the server may have open.
    pub fn descriptor_limit(&self) -> usize {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.pid()))
            .expect("the server lives");
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .expect("a limit");
        line.split_whitespace()
            .nth(3)
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(usize::MAX)
    }

    /// Waits for the server's end and returns its exit code.
    pub fn wait_for_end(&mut self) -> Option<i32> {
        let mut status = None;
        wait_until("the server ends", || {
            status = self.child.try_wait().expect("a status");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// Connects without saying Hello.
    pub fn stranger(&self) -> Connection {
        connect_existing(&self.prefix)
            .expect("the prefix is usable")
            .expect("the server listens")
    }

    /// Connects a process of one thread.
    pub fn client(&self) -> Client {
        self.client_with(Hello::default())
    }

    /// As [`Server::client`], with more said in its Hello.
    pub fn client_with(&self, hello: Hello) -> Client {
        static NEXT_PID: AtomicU32 = AtomicU32::new(0x100);
        let nt_pid = NEXT_PID.fetch_add(4, Ordering::Relaxed);
        let connection = self.stranger();
        let hello = Hello {
            host: HostKind::Wine,
            nt_pid,
            image: format!("{nt_pid:#x}.exe"),
            ..hello
        };
        let (reply, mut fds) = connection
            .call(&hello, &[])
            .expect("the server knows nobody of that id");
        let table =
            ThreadTable::map(fds.pop().expect("a thread table")).expect("the thread table maps");
        let mut client = Client {
            connection,
            process: reply.process,
            pid: nt_pid,
            create_time: reply.create_time,
            table,
            tno: 0,
            tid: nt_pid + 1,
        };
        client.tno = client.thread(client.tid);
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes the command that runs the server for the prefix in `dir`.
pub fn command(dir: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wineserver-ext"));
    command
        .env("LPC_PREFIX", dir.path().join("prefix"))
        .env("XDG_RUNTIME_DIR", dir.path())
        .env("RUST_LOG", "error");
    command
}

/// Returns the prefix that [`command`] serves.
pub fn prefix(dir: &TempDir) -> Prefix {
    Prefix::new(&dir.path().join("prefix"), dir.path().join("ntlpc")).expect("a prefix")
}

/// Waits for a condition; panics when it does not come true.
pub fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let end = Instant::now() + WATCHDOG;
    while !is_true() {
        assert!(Instant::now() < end, "still waiting: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A process with one registered thread.
pub struct Client {
    pub connection: Connection,
    pub process: u32,
    pub pid: u32,
    pub tid: u32,
    pub tno: Tno,
    pub create_time: u64,
    pub table: ThreadTable,
}

/// A receiving port.
pub struct Listener {
    pub port: u64,
    pub inbox: Inbox,
    receiver: Receiver<()>,
    tno: Tno,
}

/// A message the server made.
#[derive(Debug)]
pub struct Notice {
    pub header: Header,
    pub data: Vec<u8>,
}

impl Client {
    /// Makes a call that must succeed.
    pub fn ok<R: Request + core::fmt::Debug>(&self, request: &R) -> (R::Reply, Vec<OwnedFd>) {
        match self.connection.call(request, &[]) {
            Ok(reply) => reply,
            Err(error) => panic!("{request:?}: {error}"),
        }
    }

    /// Makes a call and returns its status.
    pub fn status<R: Request>(&self, request: &R) -> NtStatus {
        match self.connection.call(request, &[]) {
            Ok(_) => NtStatus::SUCCESS,
            Err(CallError::Refused(status)) => status,
            Err(CallError::Lost(error)) => panic!("{}: {error}", R::NAME),
        }
    }

    /// Registers another thread.
    pub fn thread(&self, nt_tid: u32) -> Tno {
        // No thread of this id exists, so nothing but the connection's end is its death.
        const NO_SUCH_THREAD: u32 = 0x7FFF_FFFF;
        self.ok(&RegisterThread {
            linux_tid: NO_SUCH_THREAD,
            nt_tid,
            create_time: u64::from(nt_tid) * 100,
        })
        .0
        .tno
    }

    /// Creates a connection port, or an unnamed one.
    pub fn create(&self, name: &str) -> Listener {
        self.create_with(&self.create_request(name))
    }

    /// Returns an ordinary request to create a port.
    pub fn create_request(&self, name: &str) -> CreatePort {
        CreatePort {
            tno: self.tno,
            max_message: 0x100,
            name: name.into(),
            ..CreatePort::default()
        }
    }

    /// Creates a port that must come into being.
    pub fn create_with(&self, request: &CreatePort) -> Listener {
        let (reply, fds) = self.ok(request);
        let [inbox, system] = <[OwnedFd; 2]>::try_from(fds).expect("an inbox and a system segment");
        let inbox = Inbox::map(inbox).expect("the inbox maps");
        let system = Segment::map(system).expect("the system segment maps");
        let mut receiver = Receiver::default();
        receiver.insert(SYSTEM_SOURCE, system, Direction::ToServer, ());
        Listener {
            port: reply.port,
            inbox,
            receiver,
            tno: self.tno,
        }
    }

    /// Returns an ordinary request to connect.
    pub fn connect_request(&self, name: &str, info: &[u8]) -> Connect {
        let qos = Qos {
            level: 2,
            ..Qos::default()
        };
        Connect {
            tno: self.tno,
            name: name.into(),
            qos,
            info: Bytes::from(info),
            ..Connect::default()
        }
    }

    /// Starts a connection that must be queued.
    pub fn connect(&self, name: &str, info: &[u8]) -> (ConnectReply, Segment) {
        let (reply, fds) = self.ok(&self.connect_request(name, info));
        let segment = fds.into_iter().next().expect("a segment");
        (reply, Segment::map(segment).expect("the segment maps"))
    }

    /// Waits for the outcome of a connection.
    pub fn connect_result(&self, reply: &ConnectReply, segment: &Segment) -> ConnectResultReply {
        wait_until("the connection is decided", || segment.is_connect_done());
        self.ok(&ConnectResult { port: reply.port }).0
    }

    /// Returns the request that accepts or refuses a connection of `client`.
    pub fn accept_request(&self, client: &Client, message_id: u32, is_accepted: bool) -> Accept {
        Accept {
            tno: self.tno,
            pid: client.pid,
            tid: client.tid,
            message_id,
            is_accepted,
            ..Accept::default()
        }
    }

    /// Accepts and completes a connection with a PortContext.
    pub fn accept(&self, client: &Client, message_id: u32, context: u64) -> AcceptReply {
        let request = Accept {
            context,
            ..self.accept_request(client, message_id, true)
        };
        let (reply, _) = self.ok(&request);
        self.ok(&Complete { port: reply.port });
        reply
    }

    /// Waits until a ClientId names nobody.
    pub fn wait_for_death(&self, pid: u32, tid: u32) {
        wait_until("the thread is gone", || {
            self.status(&CheckThread { pid, tid }) == NtStatus::INVALID_CID
        });
    }

    /// Closes a port.
    pub fn close(&self, port: u64) {
        self.ok(&ClosePort {
            port,
            tno: self.tno,
        });
    }
}

impl Listener {
    /// Adds a source that rang before it was known.
    pub fn open_source(&mut self, owner: &Client, source: u32) {
        let (_, fds) = owner.ok(&OpenSource {
            port: self.port,
            source,
        });
        let segment = fds.into_iter().next().expect("a segment");
        let segment = Segment::map(segment).expect("the segment maps");
        self.receiver
            .insert(source, segment, Direction::ToServer, ());
    }

    /// Returns the source that rang without being known.
    pub fn unknown_source(&mut self) -> Option<u32> {
        match self.receiver.take(&self.inbox, self.tno) {
            Found::Unknown(source) => Some(source),
            _ => None,
        }
    }

    /// Returns the next notice, if one is queued.
    pub fn poll(&mut self) -> Option<Notice> {
        match self.receiver.take(&self.inbox, self.tno) {
            Found::Nothing => None,
            Found::Unknown(source) => panic!("unexpected source {source}"),
            Found::Message(taken) => {
                let segment = &self
                    .receiver
                    .source(taken.source)
                    .expect("the source it was taken from")
                    .segment;
                let lane = segment.lane(Direction::ToServer);
                let slot = lane.slot(taken.slot).expect("a slot of the lane");
                let mut data = vec![0; usize::from(taken.header.data_len)];
                slot.read(0, &mut data);
                lane.free(&slot, Kind::Taken, self.tno, None);
                Some(Notice {
                    header: taken.header,
                    data,
                })
            }
        }
    }

    /// Waits for the next notice.
    pub fn next(&mut self) -> Notice {
        let mut notice = None;
        wait_until("a notice arrives", || {
            notice = self.poll();
            notice.is_some()
        });
        notice.expect("just seen")
    }

    /// Asserts that the queue is empty.
    pub fn assert_empty(&mut self) {
        if let Some(notice) = self.poll() {
            panic!("unexpected {notice:?}");
        }
    }
}

/// A connected pair: a listener, the client's port, the server's port, their segment.
pub struct Pair {
    pub listener: Listener,
    pub client_port: u64,
    pub server_port: u64,
    pub source: u32,
    pub segment: Segment,
}

/// Connects `client` to a new port of `server`.
pub fn pair(server: &Client, client: &Client, name: &str, context: u64) -> Pair {
    let mut listener = server.create(name);
    let (reply, segment) = client.connect(name, b"");
    let request = listener.next();
    assert_eq!(request.header.message_type, CONNECTION_REQUEST);
    let accepted = server.accept(client, request.header.message_id, context);
    assert_eq!(
        client.connect_result(&reply, &segment).status,
        NtStatus::SUCCESS
    );
    Pair {
        listener,
        client_port: reply.port,
        server_port: accepted.port,
        source: accepted.source,
        segment,
    }
}
