//! A port server and client in Rust, and a round through Rust's own runtime: see `peers.c`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};
use std::{env, fs, panic, process, ptr, thread};

const CLIENTS: u32 = 4;
const REQUESTS: u32 = 250;
const LPC_REQUEST: u16 = 1;
const LPC_REPLY: u16 = 2;
const LPC_PORT_CLOSED: u16 = 5;
const LPC_CONNECTION_REQUEST: u16 = 10;
const OBJECT_NAME_NOT_FOUND: u32 = 0xC000_0034;

type Handle = usize;

/// `PORT_MESSAGE` of `ntlpcapi.h` with room for 16 bytes of data.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Message {
    data_length: u16,
    total_length: u16,
    kind: u16,
    data_info_offset: u16,
    process: usize,
    thread: usize,
    message_id: u32,
    view_size: usize,
    data: [u32; 4],
}

#[repr(C)]
struct UnicodeString {
    length: u16,
    maximum: u16,
    buffer: *const u16,
}

#[repr(C)]
struct ObjectAttributes {
    length: u32,
    root: Handle,
    name: *const UnicodeString,
    flags: u32,
    security: usize,
    quality: usize,
}

#[repr(C)]
struct QualityOfService {
    length: u32,
    level: u32,
    tracking: u8,
    effective: u8,
}

#[link(name = "ntdll")]
unsafe extern "system" {
    fn NtCreatePort(port: *mut Handle, attributes: *const ObjectAttributes, info: u32, message: u32, pool: u32) -> u32;
    fn NtConnectPort(
        port: *mut Handle,
        name: *const UnicodeString,
        quality: *const QualityOfService,
        own_view: *mut c_void,
        other_view: *mut c_void,
        message: *mut u32,
        info: *mut c_void,
        length: *mut u32,
    ) -> u32;
    fn NtReplyWaitReceivePort(port: Handle, context: *mut usize, reply: *mut Message, message: *mut Message) -> u32;
    fn NtAcceptConnectPort(
        port: *mut Handle,
        context: usize,
        request: *mut Message,
        accept: u8,
        own_view: *mut c_void,
        other_view: *mut c_void,
    ) -> u32;
    fn NtCompleteConnectPort(port: Handle) -> u32;
    fn NtRequestWaitReplyPort(port: Handle, request: *mut Message, reply: *mut Message) -> u32;
    fn NtClose(handle: Handle) -> u32;
}

fn check(status: u32, what: &str) {
    assert_eq!(status, 0, "{what}: {status:#x}");
}

fn with_name<T>(name: &str, act: impl FnOnce(&UnicodeString) -> T) -> T {
    let units: Vec<u16> = name.encode_utf16().collect();
    let length = u16::try_from(2 * units.len()).expect("a short name");
    act(&UnicodeString { length, maximum: length, buffer: units.as_ptr() })
}

fn serve(name: &str) {
    let mut port = 0;
    with_name(name, |name| {
        let attributes = ObjectAttributes {
            length: size_of::<ObjectAttributes>() as u32,
            root: 0,
            name,
            flags: 0x40,
            security: 0,
            quality: 0,
        };
        // SAFETY: all pointers are to locals that outlive the call.
        check(unsafe { NtCreatePort(&mut port, &attributes, 64, size_of::<Message>() as u32, 0) }, "NtCreatePort");
    });
    let (mut reply, mut closed) = (None::<Message>, 0);
    while closed < CLIENTS {
        let mut message = Message::default();
        let answer = reply.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        // SAFETY: as above; the reply is NULL or a local.
        let status = unsafe { NtReplyWaitReceivePort(port, ptr::null_mut(), answer, &mut message) };
        check(status, "NtReplyWaitReceivePort");
        reply = None;
        match message.kind & 0xFF {
            LPC_CONNECTION_REQUEST => {
                let mut channel = 0;
                // SAFETY: as above.
                let status = unsafe {
                    NtAcceptConnectPort(&mut channel, 0, &mut message, 1, ptr::null_mut(), ptr::null_mut())
                };
                check(status, "NtAcceptConnectPort");
                // SAFETY: no pointers.
                check(unsafe { NtCompleteConnectPort(channel) }, "NtCompleteConnectPort");
            }
            LPC_REQUEST => {
                message.data[0] ^= 0xFFFF;
                message.data[1] += 1;
                reply = Some(message);
            }
            LPC_PORT_CLOSED => closed += 1,
            _ => {}
        }
    }
}

fn connect(name: &str) -> Handle {
    let quality = QualityOfService { length: 12, level: 2, tracking: 1, effective: 1 };
    let null = ptr::null_mut::<c_void>();
    for _ in 0..200 {
        let mut port = 0;
        let status = with_name(name, |name| {
            // SAFETY: the pointers are NULL or to locals that outlive the call.
            unsafe { NtConnectPort(&mut port, name, &quality, null, null, ptr::null_mut(), null, ptr::null_mut()) }
        });
        if status != OBJECT_NAME_NOT_FOUND {
            check(status, "NtConnectPort");
            return port;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("no server came");
}

fn ask(name: &str, client: u32) {
    let port = connect(name);
    for i in 0..REQUESTS {
        let total = size_of::<Message>() as u16;
        let mut message = Message { data_length: 16, total_length: total, ..Message::default() };
        message.data = [client, i, client * i, 0];
        let at = ptr::from_mut(&mut message);
        // SAFETY: request and reply may be the same message.
        check(unsafe { NtRequestWaitReplyPort(port, at, at) }, "NtRequestWaitReplyPort");
        assert_eq!(message.kind & 0xFF, LPC_REPLY);
        assert_eq!(message.data, [client ^ 0xFFFF, i + 1, client * i, 0]);
    }
    // SAFETY: no pointers.
    check(unsafe { NtClose(port) }, "NtClose");
}

thread_local! {
    static LOCAL: RefCell<Option<Dropped>> = const { RefCell::new(None) };
}

static DROPS: AtomicU32 = AtomicU32::new(0);

struct Dropped;

impl Drop for Dropped {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::SeqCst);
    }
}

/// Threads, thread-local destructors, locks, panics, files, processes, sockets.
fn selftest() {
    let barrier = Arc::new(Barrier::new(8));
    let shared = Arc::new((Mutex::new(HashMap::new()), Condvar::new()));
    let threads: Vec<_> = (0..8_u32)
        .map(|i| {
            let (barrier, shared) = (barrier.clone(), shared.clone());
            thread::Builder::new()
                .name(format!("worker {i}"))
                .spawn(move || {
                    LOCAL.set(Some(Dropped));
                    barrier.wait();
                    shared.0.lock().expect("lock").insert(i, i * i);
                    shared.1.notify_all();
                })
                .expect("spawn")
        })
        .collect();
    let map = shared.0.lock().expect("lock");
    let map = shared.1.wait_while(map, |map| map.len() < 8).expect("wait");
    assert_eq!(map.values().sum::<u32>(), 140);
    drop(map);
    threads.into_iter().for_each(|thread| thread.join().expect("join"));
    assert_eq!(DROPS.load(Ordering::SeqCst), 8);

    panic::set_hook(Box::new(|_| {}));
    let caught = panic::catch_unwind(|| {
        let _dropped = Dropped;
        panic!("number {}", std::hint::black_box(42));
    });
    let _ = panic::take_hook();
    assert_eq!(caught.expect_err("a panic").downcast_ref::<String>().map(String::as_str), Some("number 42"));
    assert_eq!(DROPS.load(Ordering::SeqCst), 9);

    let (send, receive) = mpsc::channel();
    let begin = Instant::now();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(30));
        let _ = send.send(7);
    });
    assert_eq!(receive.recv_timeout(Duration::from_millis(1)), Err(mpsc::RecvTimeoutError::Timeout));
    assert_eq!(receive.recv(), Ok(7));
    assert!(begin.elapsed() >= Duration::from_millis(30));

    let directory = env::temp_dir().join(format!("ntlpc-rust-{}", process::id()));
    fs::create_dir_all(directory.join("a").join("b")).expect("directories");
    let file = directory.join("a").join("Größe.txt");
    fs::write(&file, "text").expect("write");
    assert_eq!(fs::read_to_string(&file).expect("read"), "text");
    assert_eq!(fs::metadata(&file).expect("metadata").len(), 4);
    fs::rename(&file, directory.join("moved.txt")).expect("rename");
    fs::copy(directory.join("moved.txt"), directory.join("copied.txt")).expect("copy");
    let mut names: Vec<_> = fs::read_dir(&directory)
        .expect("list")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    assert_eq!(names, ["a", "copied.txt", "moved.txt"]);
    assert!(fs::canonicalize(&directory).expect("canonical").is_dir());
    fs::remove_dir_all(&directory).expect("remove");

    let mut child = Command::new(env::current_exe().expect("own path"))
        .args(["echo", "two words", "quote \" and \\"])
        .env("NTLPC_PEER", "ä")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    child.stdin.take().expect("a pipe").write_all(b"input").expect("write");
    let output = child.wait_with_output().expect("wait");
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "two words|quote \" and \\|ä|input");

    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("address");
    let echo = thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("accept");
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes).expect("read");
        connection.write_all(&bytes).expect("write");
    });
    let mut connection = TcpStream::connect(address).expect("connect");
    connection.write_all(&[5; 100_000]).expect("write");
    connection.shutdown(Shutdown::Write).expect("shutdown");
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes).expect("read");
    assert_eq!(bytes, [5; 100_000]);
    echo.join().expect("join");
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match (arguments[0].as_str(), arguments.get(1)) {
        ("server", Some(name)) => serve(name),
        ("client", Some(name)) => thread::scope(|scope| {
            (0..CLIENTS).for_each(|client| drop(scope.spawn(move || ask(name, client))));
        }),
        ("echo", _) => {
            let mut input = String::new();
            std::io::stdin().read_to_string(&mut input).expect("input");
            let variable = env::var("NTLPC_PEER").expect("a variable");
            let [_, first, second] = arguments.as_slice() else { process::exit(1) };
            print!("{first}|{second}|{variable}|{input}");
            process::exit(7);
        }
        _ => selftest(),
    }
}
