//! Real processes that are killed, stopped and lied to at random moments; the parent plays the server.
//!
//! `LPC_STRESS_ROUNDS` says how often (1; a round takes about 15 s), `LPC_STRESS_SEED` where the choice of moments begins. Each
//! part ends with an audit: every message whose send returned was received once, one that was cut off by a kill at most once, every slot is
//! FREE, nobody slept over a message.

mod ledger;
mod random;
mod roles;

use std::os::fd::AsRawFd;
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::rundown;
use ntlpc_shm::segment::{
    Direction::{ToClient, ToServer},
    FIRST_CONNECTION, SELF_SOURCE, Segment,
};
use ntlpc_shm::slot::Kind;
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use ledger::{BATCH, Ledger, RECEIVERS};
use random::Random;
use roles::Place;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, parent, ledger, inbox, segments, me, at, extra] = &arguments[..] {
        child(role, parent, [ledger, inbox, segments, me, at, extra]);
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let wanted = arguments.get(1).map(String::as_str).unwrap_or_default();
    let seed = variable("LPC_STRESS_SEED").unwrap_or(1996);
    let rounds = variable("LPC_STRESS_ROUNDS").unwrap_or(1);
    for seed in seed..seed.wrapping_add(rounds) {
        for (name, part) in PARTS {
            if wanted.starts_with('-') || name.contains(wanted) {
                run_part(name, *part, seed);
            }
        }
    }
    ExitCode::SUCCESS
}

type Part = fn(&mut Run);

const PARTS: &[(&str, Part)] = &[
    ("senders and requesters are killed", senders_are_killed),
    ("receivers are killed", receivers_are_killed),
    ("everybody is stopped now and then", everybody_is_stopped),
    ("a client writes garbage", a_client_writes_garbage),
    (
        "a process writes garbage into the inbox",
        garbage_in_the_inbox,
    ),
];

fn run_part(name: &str, part: Part, seed: u64) {
    let mut run = Run::new(seed);
    part(&mut run);
    let answered = run.ledger.answered().load(SeqCst);
    let received = run.ledger.progress().load(SeqCst) - answered;
    eprintln!(
        "stress {name}: ok, seed {seed}, {received} received, {answered} answered, {} killed",
        run.killed
    );
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn child(role: &str, parent: &str, [ledger, inbox, segments, me, at, extra]: [&str; 6]) {
    set_parent_process_death_signal(Some(Signal::KILL)).expect("a valid signal");
    let me = me.parse().expect("a number");
    let at: usize = at.parse().expect("a number");
    let place = Place {
        inbox: Inbox::map(roles::descriptor(parent, inbox)).expect("an inbox"),
        segments: segments
            .split(',')
            .map(|number| Segment::map(roles::descriptor(parent, number)).expect("a segment"))
            .collect(),
        ledger: Ledger::open(roles::descriptor(parent, ledger)).expect("a ledger"),
        me,
        random: Random(u64::from(me) << 32 | u64::from(std::process::id())),
    };
    match role {
        "send" => place.send_datagrams(at),
        "request" => place.request(at),
        "receive" => place.receive(at, extra.parse().expect("a number")),
        "garbage" => place.write_garbage(at, extra),
        other => panic!("no role {other}"),
    }
}

const PART: Duration = Duration::from_secs(3);

/// One part: the port, its connections, the processes.
struct Run {
    inbox: Inbox,
    segments: Vec<Segment>,
    ledger: Ledger,
    random: Random,
    next_tno: u32,
    killed: u32,
    until: Instant,
    last_progress: (u64, Instant),
}

struct Process {
    child: Child,
    tno: u32,
    role: &'static str,
    at: usize,
}

impl Run {
    fn new(seed: u64) -> Run {
        Run {
            inbox: Inbox::create(false).expect("a memfd"),
            segments: (0..2)
                .map(|_| Segment::create().expect("a memfd"))
                .collect(),
            ledger: Ledger::create().expect("a memfd"),
            random: Random(seed),
            next_tno: 1000,
            killed: 0,
            until: Instant::now() + PART,
            last_progress: (0, Instant::now()),
        }
    }

    fn start(&mut self, role: &'static str, at: usize, extra: &str) -> Process {
        let tno = self.next_tno;
        self.next_tno += 1;
        let segments: Vec<String> = self
            .segments
            .iter()
            .map(|segment| segment.mapping().fd().as_raw_fd().to_string())
            .collect();
        let child = Command::new(std::env::current_exe().expect("this program"))
            .arg(role)
            .arg(std::process::id().to_string())
            .arg(self.ledger.mapping().fd().as_raw_fd().to_string())
            .arg(self.inbox.mapping().fd().as_raw_fd().to_string())
            .arg(segments.join(","))
            .arg(tno.to_string())
            .arg(at.to_string())
            .arg(extra)
            .spawn()
            .expect("a process");
        Process {
            child,
            tno,
            role,
            at,
        }
    }

    fn pause(&mut self, most_us: u64) {
        std::thread::sleep(Duration::from_micros(self.random.below(most_us)));
    }

    fn runs(&mut self) -> bool {
        let now = self.ledger.progress().load(SeqCst);
        if now != self.last_progress.0 {
            self.last_progress = (now, Instant::now());
        }
        assert!(
            self.last_progress.1.elapsed() < Duration::from_secs(20),
            "nothing was received for 20 s; {}",
            self.describe()
        );
        Instant::now() < self.until
    }

    /// Kills a process and cleans up after it as the server does.
    fn kill(&mut self, mut process: Process) {
        process.child.kill().expect("a child of this process");
        process.child.wait().expect("a child of this process");
        self.killed += 1;
        self.settle_current(&process);
        self.run_down(process.tno);
    }

    /// A message whose slot a dead receiver had freed, but which it had not counted yet, died with it.
    fn settle_current(&self, process: &Process) {
        if process.role != "receive" {
            return;
        }
        let current = self.ledger.current(process.at);
        let Some(name) = current.swap(0, SeqCst).checked_sub(1) else {
            return;
        };
        let mut is_taken = false;
        for segment in &self.segments {
            segment.lane(ToServer).for_each_used(|slot| {
                let state = slot.state();
                is_taken |= state.kind == Kind::Taken && state.owner == process.tno;
            });
        }
        let count = self.ledger.count(name as u32);
        if !is_taken && count.load(SeqCst) == 0 {
            count.store(1, SeqCst);
        }
    }

    fn run_down(&self, tno: u32) {
        for (at, segment) in self.segments.iter().enumerate() {
            let lane = segment.lane(ToServer);
            rundown::reap(&lane, &self.inbox, FIRST_CONNECTION + at as u32, tno, false);
            rundown::kick_waits(&lane);
            let (lane, inbox) = (segment.lane(ToClient), segment.client_inbox());
            rundown::reap(&lane, &inbox, SELF_SOURCE, tno, false);
            rundown::kick_waits(&lane);
            inbox.kick(tno);
        }
        self.inbox.kick(tno);
    }

    /// Lets the senders end, waits until everything was received, lets the receivers end, audits.
    fn finish(&mut self, senders: Vec<Process>, receivers: Vec<Process>) {
        self.ledger.stop().store(1, SeqCst);
        for process in senders {
            self.wait(process);
        }
        self.ledger.stop().store(2, SeqCst);
        for process in receivers {
            self.wait(process);
        }
        self.drain();
        self.audit();
    }

    fn wait(&mut self, mut process: Process) {
        let since = Instant::now();
        loop {
            self.inbox.wake_all();
            if let Some(status) = process.child.try_wait().expect("a child of this process") {
                assert!(
                    status.success(),
                    "{} {}: {status}",
                    process.role,
                    process.at
                );
                break;
            }
            assert!(
                since.elapsed() < Duration::from_secs(20),
                "{} hangs; {}",
                process.role,
                self.describe()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        self.run_down(process.tno);
    }

    /// Receives what is left, in this process.
    fn drain(&mut self) {
        let mut receiver = ntlpc_shm::receive::Receiver::default();
        for (at, segment) in self.segments.iter().enumerate() {
            receiver.insert(FIRST_CONNECTION + at as u32, segment.clone(), ToServer, ());
        }
        while let ntlpc_shm::receive::Found::Message(taken) = receiver.take(&self.inbox, 1) {
            let source = receiver.source(taken.source).expect("a known source");
            let lane = source.segment.lane(ToServer);
            let slot = lane.slot(taken.slot).expect("a taken slot");
            if taken.header.flags & ntlpc_shm::slot::WANTS_REPLY != 0 {
                lane.hold(&slot, 1, taken.header.sender);
            } else {
                lane.free(&slot, Kind::Taken, 1, None);
                self.ledger
                    .count(taken.header.attributes)
                    .fetch_add(1, SeqCst);
            }
        }
    }

    fn audit(&self) {
        assert_eq!(self.ledger.wrong().load(SeqCst), 0, "see above");
        assert_eq!(
            self.ledger.overslept().load(SeqCst),
            0,
            "somebody slept over a message"
        );
        for batch in 0..self.ledger.next_batch().load(SeqCst).min(ledger::BATCHES) {
            let started = self.ledger.started(batch).load(SeqCst);
            let finished = self.ledger.finished(batch).load(SeqCst);
            for number in 0..started {
                let count = self.ledger.count(batch * BATCH + number).load(SeqCst);
                let is_right = count == 1 || count == 0 && number >= finished;
                assert!(
                    is_right,
                    "message {number} of {started} in batch {batch} was received {count} times"
                );
            }
        }
        assert!(self.inbox.sources().is_empty(), "{}", self.describe());
        assert!(!self.inbox.has_sleepers());
        for segment in &self.segments {
            for direction in [ToServer, ToClient] {
                segment.lane(direction).for_each_used(|slot| {
                    assert_eq!(
                        slot.state().kind,
                        Kind::Free,
                        "slot {}: {:?}",
                        slot.index(),
                        slot.turn()
                    );
                });
            }
        }
    }

    fn describe(&self) -> String {
        let mut text = format!(
            "sources {:#x}, sleepers {}",
            self.inbox.sources().root(),
            self.inbox.has_sleepers()
        );
        for (at, segment) in self.segments.iter().enumerate() {
            segment.lane(ToServer).for_each_used(|slot| {
                let state = slot.state();
                if state.kind != Kind::Free && text.len() < 2000 {
                    text += &format!("\n{at}/{}: {state:?} {:?}", slot.index(), slot.turn());
                }
            });
        }
        text
    }
}

fn senders_are_killed(run: &mut Run) {
    let receivers = vec![run.start("receive", 0, "2")];
    let bystander = run.start("request", 0, "");
    let mut victims: Vec<Process> = (0..2).map(|at| run.start("send", at, "")).collect();
    while run.runs() {
        run.pause(4_000);
        let at = run.random.below(2) as usize;
        let role = if run.random.below(2) == 0 {
            "send"
        } else {
            "request"
        };
        let next = run.start(role, at, "");
        let victim = std::mem::replace(&mut victims[at], next);
        run.kill(victim);
    }
    let answered = run.ledger.answered().load(SeqCst);
    victims.push(bystander);
    run.finish(victims, receivers);
    assert!(answered > 0, "the bystander made no request");
}

fn receivers_are_killed(run: &mut Run) {
    let senders: Vec<Process> = (0..2).map(|at| run.start("send", at, "")).collect();
    let mut receivers: Vec<Process> = (0..2).map(|at| run.start("receive", at, "2")).collect();
    while run.runs() {
        run.pause(6_000);
        let at = run.random.below(2) as usize;
        // A place in the ledger per life: the old one is settled after the new one started.
        let place = (receivers[at].at + 2) % RECEIVERS;
        let next = run.start("receive", place, "2");
        let victim = std::mem::replace(&mut receivers[at], next);
        run.kill(victim);
    }
    run.finish(senders, receivers);
}

fn everybody_is_stopped(run: &mut Run) {
    let receivers: Vec<Process> = (0..2).map(|at| run.start("receive", at, "2")).collect();
    let mut senders: Vec<Process> = (0..2).map(|at| run.start("send", at, "")).collect();
    senders.push(run.start("request", 0, ""));
    while run.runs() {
        let all: Vec<&Process> = receivers.iter().chain(&senders).collect();
        let victim = all[run.random.below(all.len() as u64) as usize];
        let pid = Pid::from_child(&victim.child);
        kill_process(pid, Signal::STOP).expect("a child of this process");
        run.pause(5_000);
        kill_process(pid, Signal::CONT).expect("a child of this process");
        run.pause(1_000);
    }
    run.finish(senders, receivers);
}

/// Connection 1 is hostile, connection 0 honest.
fn a_client_writes_garbage(run: &mut Run) {
    let receivers = vec![run.start("receive", 0, "1")];
    let honest = vec![run.start("request", 0, ""), run.start("send", 0, "")];
    let classes = [
        "states",
        "headers",
        "turns",
        "maps",
        "marks",
        "client inbox",
        "any",
    ];
    let part = run.until.saturating_duration_since(Instant::now()) / classes.len() as u32;
    for class in classes {
        let hostile = run.start("garbage", 1, class);
        let before = run.ledger.answered().load(SeqCst);
        let until = Instant::now() + part;
        while Instant::now() < until || run.ledger.answered().load(SeqCst) == before {
            run.runs();
            run.pause(5_000);
        }
        let tno = hostile.tno;
        run.kill(hostile);
        // The server does this to the connection of a client that died.
        run.segments[1].close();
        rundown::lose_waits(&run.segments[1].lane(ToServer));
        rundown::purge(&run.segments[1].lane(ToServer), 1);
        run.run_down(tno);
    }
    // Nothing is expected of the hostile connection.
    run.segments.truncate(1);
    run.inbox.silence(FIRST_CONNECTION + 1);
    run.finish(honest, receivers);
}

/// Peers of one user share the inbox page: they can make each other wait, but not crash.
fn garbage_in_the_inbox(run: &mut Run) {
    let processes = vec![
        run.start("receive", 0, "1"),
        run.start("request", 0, ""),
        run.start("garbage", 1, "inbox"),
    ];
    while Instant::now() < run.until {
        run.pause(20_000);
        run.inbox.kick(7);
        run.inbox.pass_baton();
    }
    run.ledger.stop().store(2, SeqCst);
    for process in processes {
        // The honest ones may be asleep for good: the inbox says nothing any more.
        let mut child = process.child;
        let since = Instant::now();
        while child.try_wait().expect("a child of this process").is_none() {
            run.inbox.wake_all();
            if since.elapsed() > Duration::from_secs(6) {
                child.kill().expect("a child of this process");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let status = child.wait().expect("a child of this process");
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert!(
            status.success() || signal == Some(9),
            "{}: {status}",
            process.role
        );
    }
}
