//! The port calls against a simple model: random sequences of calls of a native process, their statuses and headers.
//!
//! The process has two connection ports and up to eight connections; calls that block run on threads of their own. The
//! model ([`model`]) is what lpc §2, §3 say in words: a queue per port and who waits for whom.

mod calls;
#[path = "../common/mod.rs"]
mod common;
mod model;

use std::time::Duration;

use common::Server;
use model::{Model, Step};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Sequences tried, and steps in each.
const CASES: u32 = 200;
const STEPS: usize = 60;
/// Longer than all of it takes by far.
const HANG: Duration = Duration::from_secs(300);

fn step() -> impl Strategy<Value = Step> {
    let connection = 0..8_usize;
    let length = prop_oneof![Just(0_u16), 1..64_u16, Just(64)];
    prop_oneof![
        2 => (0..2_usize, any::<bool>()).prop_map(|(port, accept)| Step::Connect { port, accept }),
        6 => (connection.clone(), length.clone()).prop_map(|(connection, length)| Step::Datagram { connection, length }),
        2 => (connection.clone(), any::<model::Flaw>()).prop_map(|(connection, flaw)| Step::Flawed { connection, flaw }),
        4 => (connection.clone(), length.clone()).prop_map(|(connection, length)| Step::Ask { connection, length }),
        4 => connection.clone().prop_map(|connection| Step::Reply { connection }),
        2 => (connection.clone(), any::<model::Wrong>()).prop_map(|(connection, wrong)| Step::WrongReply { connection, wrong }),
        6 => (0..2_usize).prop_map(|port| Step::Receive { port }),
        2 => (connection.clone(), length).prop_map(|(connection, length)| Step::ToClient { connection, length }),
        2 => connection.clone().prop_map(|connection| Step::ClientReceive { connection }),
        1 => connection.clone().prop_map(|connection| Step::CloseClient { connection }),
        1 => connection.prop_map(|connection| Step::CloseServer { connection }),
    ]
}

/// Ends the test program, and says so, if a call never returns.
fn watch() {
    std::thread::spawn(|| {
        std::thread::sleep(HANG);
        eprintln!("a call hangs");
        std::process::abort();
    });
}

#[test]
fn random_calls_do_what_the_model_says_and_leave_nothing_behind() {
    watch();
    let server = Server::start();
    calls::use_server(&server);
    Model::new().end();
    let before = server.descriptors();

    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(step(), STEPS), |steps| {
        let mut model = Model::new();
        for step in steps {
            model.run(step);
        }
        model.end();
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }

    assert_eq!(
        server.descriptors(),
        before,
        "the server keeps no descriptor of a port that is closed"
    );
}
