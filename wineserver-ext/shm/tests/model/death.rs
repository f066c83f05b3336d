//! Senders and receivers that die before any of their steps, beside others that live on: after rundown everything sent is
//! received once, every slot is FREE and nobody sleeps over a message.

use std::sync::Arc;

use ntlpc_shm::model::mortal;
use ntlpc_shm::rundown;
use ntlpc_shm::segment::Direction::ToServer;
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use crate::world::{World, source};

const DYING: u32 = 66;

/// What the server does when thread DYING is gone.
fn run_down(world: &World) {
    for at in 0..world.segments.len() {
        let lane = world.segments[at].lane(ToServer);
        rundown::reap(&lane, &world.inbox, source(at), DYING, false);
        rundown::kick_waits(&lane);
    }
    world.inbox.kick(DYING);
}

/// A sender dies beside another on the same connection; one receiver lives.
fn sender_dies(most_steps: u32, ahead: usize) {
    let world = Arc::new(World::new(1));
    // Slots in use move the race into the tree of the ready map.
    let lane = world.segments[0].lane(ToServer);
    let cursor = ntlpc_shm::lane::Cursor::default();
    let held: Vec<u32> = (0..ahead)
        .map(|_| lane.allocate(&cursor, 8, 5).expect("room").index())
        .collect();
    let steps = thread_rng().gen_range(0..most_steps);
    let dying = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let sent = mortal(steps, || world.send(0, DYING, 0, false).index()).is_some();
            run_down(&world);
            sent
        })
    };
    let living = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            world.send(0, 10, 1, false);
            world.send(0, 10, 2, false);
        })
    };
    let mut state = world.receiver();
    let mut taken = Vec::new();
    while taken.iter().filter(|name| **name != 0).count() < 2 {
        taken.extend(world.receive_or_sleep(&mut state, 20));
    }
    living.join().expect("no panic");
    let sent = dying.join().expect("no panic");
    taken.extend(std::iter::from_fn(|| world.receive(&mut state, 20)));
    let of_dying = taken.iter().filter(|name| **name == 0).count();
    assert!(of_dying == 1 || of_dying == 0 && !sent, "{taken:?}");
    taken.retain(|name| *name != 0);
    assert_eq!(taken, [1, 2]);
    assert_eq!(world.slots_in_use(), held.len());
}

#[test]
fn a_sender_dies_at_any_step() {
    shuttle::check_random(|| sender_dies(40, 0), 10_000);
    shuttle::check_pct(|| sender_dies(40, 0), 5_000, 3);
}

#[test]
fn a_sender_dies_at_any_step_in_a_deep_queue() {
    shuttle::check_random(|| sender_dies(140, 41), 3_000);
}

/// A receiver dies, armed or taking; another process of the port receives everything.
fn receiver_dies() {
    let world = Arc::new(World::new(2));
    let steps = thread_rng().gen_range(0..90);
    let dying = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let mut finished = Vec::new();
            mortal(steps, || {
                let mut state = world.receiver();
                for _ in 0..2 {
                    if let Some(taken) = world.take(&mut state, DYING) {
                        world.settle(&taken, DYING);
                        finished.push(taken.header.attributes);
                    }
                    if let Some(record) = world.inbox.arm(DYING) {
                        thread::yield_now();
                        world.inbox.disarm(record);
                    }
                }
                // Its last step: it dies here if not before.
            });
            run_down(&world);
            finished
        })
    };
    let sender = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            world.send(0, 10, 1, false);
            world.send(1, 10, 2, false);
            world.send(0, 10, 3, false);
            world.send(1, 10, 4, false);
        })
    };
    // The living receiver ends with message 4, which the dying one may have received too.
    let living = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let mut state = world.receiver();
            let mut taken = Vec::new();
            while let Some(name) = world.receive_or_sleep(&mut state, 20) {
                taken.push(name);
            }
            taken
        })
    };
    sender.join().expect("no panic");
    let finished = dying.join().expect("no panic");
    // Whatever is left, the living receiver is awake for it; then its port is closed.
    while !world.inbox.sources().is_empty() {
        thread::yield_now();
    }
    world.inbox.close();
    let mut all = living.join().expect("no panic");
    let mut rest = world.receiver();
    all.extend(std::iter::from_fn(|| world.receive(&mut rest, 20)));
    // Taken and freed, then dead before its caller knew: the message was that thread's.
    let lost_with_it = 4 - all.len().min(4);
    assert!(lost_with_it <= 2);
    assert!(finished.len() <= lost_with_it && lost_with_it <= finished.len() + 1);
    assert!(finished.iter().all(|name| !all.contains(name)));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len() + lost_with_it, 4);
    assert_eq!(world.slots_in_use(), 0);
}

#[test]
fn a_receiver_dies_at_any_step() {
    shuttle::check_random(receiver_dies, 10_000);
    shuttle::check_pct(receiver_dies, 5_000, 3);
}
