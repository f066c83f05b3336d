//! M3: no message waits while every receiver sleeps. A model that hangs is reported by shuttle as a deadlock.

use std::sync::Arc;

use ntlpc_shm::model::mortal;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;

use crate::world::World;

/// Counts what was received, and lets the main thread wait for it.
#[derive(Default)]
struct Count {
    now: Mutex<u32>,
    changed: Condvar,
}

impl Count {
    fn add(&self) {
        *self.now.lock().expect("no panic") += 1;
        self.changed.notify_all();
    }

    fn wait_for(&self, wanted: u32) {
        let mut now = self.now.lock().expect("no panic");
        while *now < wanted {
            now = self.changed.wait(now).expect("no panic");
        }
    }
}

fn nobody_sleeps_over_a_message(senders: u32, receivers: u32, messages: u32) {
    let world = Arc::new(World::new(2));
    let count = Arc::new(Count::default());
    let mut threads = Vec::new();
    for receiver in 0..receivers {
        let (world, count) = (Arc::clone(&world), Arc::clone(&count));
        threads.push(thread::spawn(move || {
            let mut state = world.receiver();
            while world.receive_or_sleep(&mut state, 20 + receiver).is_some() {
                count.add();
            }
        }));
    }
    for sender in 0..senders {
        let world = Arc::clone(&world);
        threads.push(thread::spawn(move || {
            for message in 0..messages {
                world.send(sender as usize % 2, 10 + sender, message, false);
            }
        }));
    }
    count.wait_for(senders * messages);
    world.inbox.close();
    for thread in threads {
        thread.join().expect("no panic");
    }
}

#[test]
fn one_receiver_wakes_for_every_message() {
    shuttle::check_random(|| nobody_sleeps_over_a_message(1, 1, 2), 5_000);
    shuttle::check_pct(|| nobody_sleeps_over_a_message(1, 1, 2), 3_000, 3);
}

#[test]
fn a_waker_late_by_a_whole_sleep_hides_no_sleeper() {
    shuttle::check_random(|| nobody_sleeps_over_a_message(2, 1, 2), 3_000);
    shuttle::check_pct(|| nobody_sleeps_over_a_message(2, 1, 2), 3_000, 4);
}

#[test]
fn two_receiving_processes_leave_no_message_asleep() {
    shuttle::check_random(|| nobody_sleeps_over_a_message(2, 2, 1), 3_000);
    shuttle::check_pct(|| nobody_sleeps_over_a_message(2, 2, 1), 3_000, 4);
}

#[test]
fn a_receiver_without_a_record_gets_the_next_one() {
    shuttle::check_random(|| nobody_sleeps_over_a_message(1, 3, 3), 3_000);
    shuttle::check_pct(|| nobody_sleeps_over_a_message(1, 3, 3), 3_000, 4);
}

/// One receiver gives up at once, whether a waker chose it or not; the other must get the message.
fn who_leaves_passes_the_baton() {
    let world = Arc::new(World::new(1));
    let count = Arc::new(Count::default());
    let (stays, counted) = (Arc::clone(&world), Arc::clone(&count));
    let staying = thread::spawn(move || {
        let mut state = stays.receiver();
        while stays.receive_or_sleep(&mut state, 20).is_some() {
            counted.add();
        }
    });
    let leaves = Arc::clone(&world);
    let leaving = thread::spawn(move || {
        let record = leaves.inbox.arm(21).expect("a record is free");
        for _ in 0..thread_rng().gen_range(0..4) {
            thread::yield_now();
        }
        if leaves.inbox.disarm(record) {
            leaves.inbox.pass_baton();
        }
    });
    world.send(0, 10, 0, false);
    count.wait_for(1);
    leaving.join().expect("no panic");
    world.inbox.close();
    staying.join().expect("no panic");
}

#[test]
fn a_chosen_receiver_that_leaves_wakes_another() {
    shuttle::check_random(who_leaves_passes_the_baton, 5_000);
    shuttle::check_pct(who_leaves_passes_the_baton, 3_000, 3);
}

/// One receiver takes a message and is busy with it for ever; what else comes is the other's.
fn a_busy_receiver_hides_nothing() {
    let world = Arc::new(World::new(1));
    let count = Arc::new(Count::default());
    let (busy, counted) = (Arc::clone(&world), Arc::clone(&count));
    let busy_one = thread::spawn(move || {
        let mut state = busy.receiver();
        if busy.receive_or_sleep(&mut state, 21).is_some() {
            if state.is_crowded() {
                busy.inbox.wake_one();
            }
            counted.add();
        }
    });
    let (stays, counted) = (Arc::clone(&world), Arc::clone(&count));
    let staying = thread::spawn(move || {
        let mut state = stays.receiver();
        while stays.receive_or_sleep(&mut state, 20).is_some() {
            counted.add();
        }
    });
    for message in 0..3 {
        world.send(0, 10, message, false);
    }
    count.wait_for(3);
    world.inbox.close();
    busy_one.join().expect("no panic");
    staying.join().expect("no panic");
}

#[test]
fn a_message_does_not_wait_behind_another_threads_handler() {
    shuttle::check_random(a_busy_receiver_hides_nothing, 10_000);
    shuttle::check_pct(a_busy_receiver_hides_nothing, 20_000, 3);
}

/// A sender stops for ever at any of its steps, and nobody notices: the next send that returns wakes the receiver.
fn a_stopped_sender_stops_nobody() {
    let world = Arc::new(World::new(1));
    let steps = thread_rng().gen_range(0..40);
    let stopping = Arc::clone(&world);
    let stopped = thread::spawn(move || {
        mortal(steps, || {
            stopping.send(0, 66, 0, false);
        });
    });
    let sender = Arc::clone(&world);
    let sending = thread::spawn(move || {
        sender.send(0, 10, 1, false);
    });
    let mut state = world.receiver();
    while world.receive_or_sleep(&mut state, 20) != Some(1) {}
    stopped.join().expect("no panic");
    sending.join().expect("no panic");
}

#[test]
fn a_stopped_waker_is_replaced_by_the_next() {
    shuttle::check_random(a_stopped_sender_stops_nobody, 10_000);
    shuttle::check_pct(a_stopped_sender_stops_nobody, 20_000, 3);
}

/// The signal of a waitable port: 0 only while the queue is empty.
fn signal_follows_the_queue() {
    let world = Arc::new(World::new(1));
    let sender = Arc::clone(&world);
    let sending = thread::spawn(move || {
        sender.send(0, 10, 0, false);
        sender.send(0, 10, 1, false);
    });
    let mut state = world.receiver();
    if world.receive(&mut state, 20).is_none() {
        world.inbox.clear_signal();
    }
    world.inbox.clear_signal();
    sending.join().expect("no panic");
    assert!(world.inbox.is_signalled());
    while world.receive(&mut state, 20).is_some() {}
    world.inbox.clear_signal();
    assert!(!world.inbox.is_signalled());
}

#[test]
fn a_waitable_port_with_a_message_is_signalled() {
    shuttle::check_random(signal_follows_the_queue, 5_000);
}
