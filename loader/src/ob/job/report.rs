//! Messages of a job to a completion port.
//!
//! Source: Microsoft Learn "`JOBOBJECT_ASSOCIATE_COMPLETION_PORT`": the message is the number of bytes, the process id the
//! `OVERLAPPED`; processes in the job when the port is set are reported too.

use std::os::fd::AsFd;
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use rustix::event::{PollFd, PollFlags, poll};

use super::Job;
use super::shared::{Live, Shared, has_ended};
use crate::ob::completion::{Completion, Packet};

/// `JOB_OBJECT_MSG_ACTIVE_PROCESS_ZERO`.
const ACTIVE_PROCESS_ZERO: u64 = 4;
/// `JOB_OBJECT_MSG_NEW_PROCESS`.
const NEW_PROCESS: u64 = 6;
/// `JOB_OBJECT_MSG_EXIT_PROCESS`.
const EXIT_PROCESS: u64 = 7;
/// `JOB_OBJECT_MSG_ABNORMAL_EXIT_PROCESS`.
const ABNORMAL_EXIT_PROCESS: u64 = 8;

/// The exit codes that are abnormal: access violation, array bounds, breakpoint, Ctrl-C, misalignment, floating point (denormal,
/// division, inexact, invalid, overflow, stack, underflow), guard page, illegal instruction, in-page error, integer (division,
/// overflow), invalid disposition, noncontinuable, privileged instruction, single step, stack overflow.
const ABNORMAL: [u32; 21] = [
    0xC000_0005,
    0xC000_008C,
    0x8000_0003,
    0xC000_013A,
    0x8000_0002,
    0xC000_008D,
    0xC000_008E,
    0xC000_008F,
    0xC000_0090,
    0xC000_0091,
    0xC000_0092,
    0xC000_0093,
    0x8000_0001,
    0xC000_001D,
    0xC000_0006,
    0xC000_0094,
    0xC000_0095,
    0xC000_0026,
    0xC000_0025,
    0xC000_0096,
    0x8000_0004,
];

struct Reporter {
    job: Arc<Job>,
    port: Arc<Completion>,
    key: u64,
    known: Vec<Live>,
}

impl Job {
    /// Sends messages to a port from now on.
    ///
    /// Returns `INVALID_PARAMETER` if the job has a port.
    pub fn report_to(self: &Arc<Self>, port: Arc<Completion>, key: u64) -> Result<(), NtStatus> {
        self.shared().set_reporter(std::process::id())?;
        let mut reporter = Reporter {
            job: self.clone(),
            port,
            key,
            known: Vec::new(),
        };
        reporter.look();
        std::thread::Builder::new()
            .name("job-port".into())
            .stack_size(0x4_0000)
            .spawn(move || reporter.run())
            .map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
        Ok(())
    }
}

impl Reporter {
    fn post(&self, message: u64, pid: u32) {
        self.port.post(Packet {
            key: self.key,
            value: u64::from(pid),
            status: 0,
            information: message,
        });
    }

    /// Reports that the process of a place has ended, and gives the place up.
    fn gone(&self, place: usize, pid: u32) {
        let code = self.job.shared().exit_code(place);
        self.job.shared().free(place);
        let is_abnormal = ABNORMAL.contains(&code);
        self.post(
            if is_abnormal {
                ABNORMAL_EXIT_PROCESS
            } else {
                EXIT_PROCESS
            },
            pid,
        );
    }

    /// Reports what has changed.
    fn look(&mut self) {
        let mut has_left = false;
        for (place, id) in self.job.shared().taken() {
            let pid = id as u32;
            if self.known.iter().any(|l| (l.place, l.pid) == (place, pid)) {
                continue;
            }
            self.post(NEW_PROCESS, pid);
            match Shared::open(place, id) {
                Some(live) => self.known.push(live),
                None => {
                    self.gone(place, pid);
                    has_left = true;
                }
            }
        }
        let is_over = |live: &mut Live| has_ended(live.pidfd.as_fd());
        let ended: Vec<Live> = self.known.extract_if(.., is_over).collect();
        for live in &ended {
            self.gone(live.place, live.pid);
        }
        has_left |= !ended.is_empty();
        if has_left && self.known.is_empty() && self.job.shared().taken().is_empty() {
            self.post(ACTIVE_PROCESS_ZERO, 0);
        }
    }

    fn run(mut self) {
        let mut has_handles = true;
        while has_handles || !self.known.is_empty() {
            let mut fds = vec![PollFd::new(&self.job.news, PollFlags::IN)];
            fds.extend(
                self.known
                    .iter()
                    .map(|l| PollFd::new(&l.pidfd, PollFlags::IN)),
            );
            if has_handles {
                fds.push(PollFd::new(&self.job.handles, PollFlags::IN));
            }
            if poll(&mut fds, None).is_err() {
                continue;
            }
            if has_handles && fds.last().is_some_and(|fd| !fd.revents().is_empty()) {
                has_handles = false;
            }
            let _ = rustix::io::read(&self.job.news, &mut [0; 8]);
            self.look();
        }
    }
}
