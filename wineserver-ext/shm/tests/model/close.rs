//! M10, M11: a request that races with the end of its connection is refused, answered or lost; withdraw against take; hold
//! against a requester that dies.

use std::sync::Arc;

use ntlpc_shm::Tno;
use ntlpc_shm::rundown;
use ntlpc_shm::segment::Direction::ToServer;
use ntlpc_shm::slot::Answer;
use ntlpc_shm::turn::Phase;
use shuttle::thread;

use crate::world::{World, source};

const REQUESTER: Tno = 10;
const RECEIVER: Tno = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Refused,
    Answered,
    Lost,
}

/// As the engine's request: publish, then look whether the connection is closed, then wait.
fn request(world: &World) -> End {
    let lane = world.segments[0].lane(ToServer);
    if world.segments[0].is_closed() {
        return End::Refused;
    }
    let slot = world.send(0, REQUESTER, 1, true);
    if world.segments[0].is_closed() && slot.end_wait().is_ok() && lane.withdraw(&slot, REQUESTER) {
        return End::Refused;
    }
    loop {
        match slot.turn().phase {
            Phase::Wait | Phase::Filling | Phase::Armed => {
                let _ = slot.sleep(None);
            }
            Phase::Msg => {
                slot.reset_turn();
                lane.free(&slot, ntlpc_shm::slot::Kind::Held, REQUESTER, None);
                return End::Answered;
            }
            _ => {
                slot.leave();
                return End::Lost;
            }
        }
    }
}

/// The request, a receiver that looks once and answers, and the server that closes.
fn request_against_close() {
    let world = Arc::new(World::new(1));
    let requester = {
        let world = Arc::clone(&world);
        thread::spawn(move || request(&world))
    };
    let receiver = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let mut state = world.receiver();
            let taken = world.take(&mut state, RECEIVER)?;
            world.settle(&taken, RECEIVER);
            let slot = world.slot(&taken);
            let filling = slot.claim_answer(taken.header.message_id, RECEIVER, |_, _| false);
            Some(filling.is_ok_and(|filling| filling.deliver(&Answer::default(), None).is_ok()))
        })
    };
    world.segments[0].close();
    rundown::lose_waits(&world.segments[0].lane(ToServer));
    let end = requester.join().expect("no panic");
    let received = receiver.join().expect("no panic");
    match end {
        End::Refused => assert_eq!(received, None),
        End::Answered => assert_eq!(received, Some(true)),
        End::Lost => assert_ne!(received, Some(true)),
    }
    // A lost request that nobody took stays deliverable; then its slot is free.
    let mut rest = world.receiver();
    let left = world.receive(&mut rest, RECEIVER).is_some();
    assert_eq!(left, end == End::Lost && received.is_none());
    assert_eq!(world.slots_in_use(), 0);
}

#[test]
fn a_request_against_the_end_is_refused_answered_or_lost() {
    shuttle::check_random(request_against_close, 20_000);
    shuttle::check_pct(request_against_close, 10_000, 4);
}

/// A datagram is withdrawn or taken, never both, never neither.
fn withdraw_against_take() {
    let world = Arc::new(World::new(1));
    let index = world.send(0, REQUESTER, 1, false).index();
    let receiver = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let mut state = world.receiver();
            let first = world.receive(&mut state, RECEIVER);
            let second = world.receive(&mut state, RECEIVER);
            (first, second)
        })
    };
    let lane = world.segments[0].lane(ToServer);
    let slot = lane.slot(index).expect("a slot");
    let withdrawn = lane.withdraw(&slot, REQUESTER);
    // Its slot may be used again at once.
    world.send(0, REQUESTER, 2, false);
    let (first, second) = receiver.join().expect("no panic");
    let mut rest = world.receiver();
    let third = world.receive(&mut rest, RECEIVER);
    let taken: Vec<u32> = [first, second, third].into_iter().flatten().collect();
    assert_eq!(taken, if withdrawn { vec![2] } else { vec![1, 2] });
    assert_eq!(world.slots_in_use(), 0);
}

#[test]
fn a_message_is_withdrawn_or_taken() {
    shuttle::check_random(withdraw_against_take, 10_000);
    shuttle::check_pct(withdraw_against_take, 5_000, 3);
}

/// The receiver lets go of a request while the server reaps its requester: one of them frees the slot.
fn hold_against_reap() {
    let world = Arc::new(World::new(1));
    world.send(0, REQUESTER, 1, true);
    let receiver = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let mut state = world.receiver();
            assert_eq!(world.receive(&mut state, RECEIVER), Some(1));
            // The slot is used again at once.
            world.send(0, 11, 2, true);
        })
    };
    let lane = world.segments[0].lane(ToServer);
    rundown::reap(&lane, &world.inbox, source(0), REQUESTER, false);
    receiver.join().expect("no panic");
    assert_eq!(world.slots_in_use(), 1);
    let mut rest = world.receiver();
    let taken = world.take(&mut rest, RECEIVER).expect("the second request");
    assert_eq!(taken.header.attributes, 2);
    assert_eq!(world.slot(&taken).turn().phase, Phase::Wait);
}

#[test]
fn a_request_whose_requester_died_is_freed_once() {
    shuttle::check_random(hold_against_reap, 20_000);
    shuttle::check_pct(hold_against_reap, 10_000, 3);
}
