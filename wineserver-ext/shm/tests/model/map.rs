//! M1: a thing that was made ready is a member of the map, whoever clears at the same time.

use std::sync::Arc;

use ntlpc_shm::map::{DIRECT, Known, Layout, ReadyMap};
use ntlpc_shm::mem::Mapping;
use shuttle::sync::atomic::{AtomicBool, Ordering::SeqCst};
use shuttle::thread;

struct Things {
    mem: Mapping,
    ready: Vec<(u32, AtomicBool)>,
}

impl Things {
    fn new(indices: &[u32]) -> Arc<Things> {
        Arc::new(Things {
            mem: Mapping::create("map", 0x2000).expect("a memfd"),
            ready: indices
                .iter()
                .map(|index| (*index, AtomicBool::new(false)))
                .collect(),
        })
    }

    fn map(&self) -> ReadyMap<'_> {
        ReadyMap::new(
            &self.mem,
            Layout {
                root: 0,
                tree: 0x40,
            },
        )
    }

    fn make_ready(&self, at: usize) {
        self.ready[at].1.store(true, SeqCst);
        self.map().set(self.ready[at].0);
    }

    /// Takes a thing, clears its bit, looks once more.
    fn consume(&self, at: usize) {
        let (index, ready) = &self.ready[at];
        ready.store(false, SeqCst);
        self.map().clear(*index);
        if ready.load(SeqCst) {
            self.map().set(*index);
        }
    }

    fn check(&self) {
        let mut members = Vec::new();
        self.map()
            .scan(&Known::default(), |index| members.push(index));
        for (index, ready) in &self.ready {
            assert!(
                !ready.load(SeqCst) || members.contains(index),
                "{index} is ready and not a member"
            );
        }
    }
}

/// Every thing has a thread that makes it ready twice and one that consumes it once, at the same time.
fn race(indices: &[u32]) {
    let things = Things::new(indices);
    let mut threads = Vec::new();
    for at in 0..indices.len() {
        let setter = Arc::clone(&things);
        threads.push(thread::spawn(move || {
            setter.make_ready(at);
            setter.make_ready(at);
        }));
        let clearer = Arc::clone(&things);
        threads.push(thread::spawn(move || clearer.consume(at)));
    }
    for thread in threads {
        thread.join().expect("no panic");
    }
    things.check();
}

#[test]
fn a_ready_index_of_the_root_word_is_a_member() {
    shuttle::check_dfs(|| race(&[3]), None);
}

#[test]
fn a_ready_index_of_a_leaf_is_a_member() {
    shuttle::check_random(|| race(&[DIRECT + 5]), 20_000);
}

#[test]
fn two_leaves_under_one_summary_do_not_hide_each_other() {
    shuttle::check_random(|| race(&[DIRECT + 1, DIRECT + 64]), 40_000);
    shuttle::check_pct(|| race(&[DIRECT + 1, DIRECT + 64]), 20_000, 3);
}

/// A leaf is emptied of its only member and gets another, while the other leaf under the same summary is emptied for good.
fn refill_beside_emptying() {
    let things = Things::new(&[DIRECT + 1, DIRECT + 64, DIRECT + 2]);
    things.make_ready(0);
    things.make_ready(1);
    let threads: Vec<_> = [
        (|things| things.consume(0)) as fn(&Things),
        |things| things.consume(1),
        |things| things.make_ready(2),
    ]
    .into_iter()
    .map(|step| {
        let things = Arc::clone(&things);
        thread::spawn(move || step(&things))
    })
    .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    things.check();
}

#[test]
fn a_refilled_leaf_is_seen_beside_one_that_was_emptied() {
    shuttle::check_pct(refill_beside_emptying, 30_000, 4);
    shuttle::check_random(refill_beside_emptying, 30_000);
}

#[test]
fn a_look_that_tidies_summaries_hides_nothing() {
    shuttle::check_random(
        || {
            let things = Things::new(&[DIRECT + 70]);
            let looker = Arc::clone(&things);
            let consumer = Arc::clone(&things);
            let threads = [
                thread::spawn(move || {
                    looker.map().scan(&Known::default(), |_| ());
                    looker.map().scan(&Known::default(), |_| ());
                }),
                thread::spawn(move || consumer.consume(0)),
            ];
            things.make_ready(0);
            for thread in threads {
                thread.join().expect("no panic");
            }
            things.check();
        },
        20_000,
    );
}
