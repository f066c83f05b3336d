//! M4, M5: exactly one of reply, loss, departure and death ends a wait; a reply-and-wait is one step.

use std::sync::Arc;

use ntlpc_shm::Tno;
use ntlpc_shm::lane::Cursor;
use ntlpc_shm::model::mortal;
use ntlpc_shm::rundown;
use ntlpc_shm::segment::Direction::{ToClient, ToServer};
use ntlpc_shm::slot::{Answer, Header, Kind, Slot, WANTS_REPLY};
use ntlpc_shm::turn::Phase;
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use crate::world::{World, source};

const REQUESTER: Tno = 10;
const SERVER_THREAD: Tno = 20;

/// A request that was delivered: its slot is HELD and its requester waits for the message id returned.
fn delivered(world: &World) -> (u32, u32) {
    let index = world.send(0, REQUESTER, 1, true).index();
    let mut state = world.receiver();
    let taken = world.take(&mut state, SERVER_THREAD).expect("the request");
    world.settle(&taken, SERVER_THREAD);
    (index, taken.header.message_id)
}

fn slot(world: &World, index: u32) -> Slot<'_> {
    world.segments[0]
        .lane(ToServer)
        .slot(index)
        .expect("a slot")
}

/// Sleeps until the wait is over; returns why and who answered.
fn wait_for_end(slot: &Slot<'_>) -> (Phase, Tno) {
    loop {
        let turn = slot.turn();
        match turn.phase {
            Phase::Wait | Phase::Filling | Phase::Armed => {
                let _ = slot.sleep(None);
            }
            Phase::Msg => return (Phase::Msg, slot.answer().sender),
            phase => return (phase, 0),
        }
    }
}

/// Answers as a replier does, with a side slot if `beside`. Returns whether the answer was delivered.
fn answer(world: &World, index: u32, id: u32, me: Tno, beside: bool) -> bool {
    let Ok(filling) = slot(world, index).claim_answer(id, me, |_, _| false) else {
        return false;
    };
    let other = world.segments[0].lane(ToClient);
    let side = beside.then(|| {
        let side = other
            .allocate(&Cursor::default(), 8, me)
            .expect("the pool is not full");
        side.write(0, &me.to_le_bytes());
        side
    });
    let answer = Answer {
        sender: me,
        ..Answer::default()
    };
    filling.deliver(&answer, side.as_ref()).is_ok()
}

/// Consumes an answer and frees what it lay in.
fn consume(world: &World, index: u32) {
    let slot = slot(world, index);
    if let Some(side) = slot.answer().slot.checked_sub(1) {
        let other = world.segments[0].lane(ToClient);
        let side = other.slot(side).expect("a side slot");
        let state = side.state();
        assert_eq!((state.kind, state.owner), (Kind::Held, REQUESTER));
        let mut name = [0; 4];
        side.read(0, &mut name);
        assert_eq!(Tno::from_le_bytes(name), slot.answer().sender);
        other.free(&side, Kind::Held, REQUESTER, None);
    }
    slot.reset_turn();
    let lane = world.segments[0].lane(ToServer);
    lane.free(&slot, Kind::Held, REQUESTER, None);
}

/// Two repliers and the server's sweep against a sleeping requester.
fn one_end(beside: bool) {
    let world = Arc::new(World::new(1));
    let (index, id) = delivered(&world);
    let repliers: Vec<_> = (0..2)
        .map(|at| {
            let world = Arc::clone(&world);
            thread::spawn(move || answer(&world, index, id, 30 + at, beside))
        })
        .collect();
    let sweeper = {
        let world = Arc::clone(&world);
        thread::spawn(move || rundown::lose_waits(&world.segments[0].lane(ToServer)))
    };
    let (phase, sender) = wait_for_end(&slot(&world, index));
    let won: Vec<bool> = repliers
        .into_iter()
        .map(|replier| replier.join().expect("no panic"))
        .collect();
    sweeper.join().expect("no panic");
    match phase {
        Phase::Msg => assert_eq!(won, [sender == 30, sender == 31]),
        Phase::Lost => assert_eq!(won, [false, false]),
        other => panic!("the wait ended as {other:?}"),
    }
    if phase == Phase::Msg {
        consume(&world, index);
    } else {
        slot(&world, index).leave();
    }
    assert_eq!(world.slots_in_use(), 0);
}

#[test]
fn exactly_one_of_two_replies_and_a_loss_ends_a_wait() {
    shuttle::check_random(|| one_end(false), 5_000);
    shuttle::check_pct(|| one_end(true), 3_000, 4);
}

/// The requester gives up while a replier may be writing, and the receiver may not have let go of the slot yet.
fn departure_against_reply() {
    let world = Arc::new(World::new(1));
    let index = world.send(0, REQUESTER, 1, true).index();
    let mut state = world.receiver();
    let taken = world.take(&mut state, SERVER_THREAD).expect("the request");
    let id = taken.header.message_id;
    let replier = {
        let world = Arc::clone(&world);
        thread::spawn(move || answer(&world, index, id, 30, true))
    };
    let receiver = {
        let world = Arc::clone(&world);
        thread::spawn(move || world.settle(&taken, SERVER_THREAD))
    };
    let request = slot(&world, index);
    let lane = world.segments[0].lane(ToServer);
    let mut consumed = false;
    match request.end_wait() {
        Ok(()) => {
            if !lane.withdraw(&request, REQUESTER) {
                request.leave();
            }
        }
        Err(turn) if turn.phase == Phase::Filling && request.abandon() => {}
        Err(_) => consumed = true,
    }
    let delivered = replier.join().expect("no panic");
    receiver.join().expect("no panic");
    if consumed {
        assert_eq!(wait_for_end(&request), (Phase::Msg, 30));
        consume(&world, index);
    }
    assert_eq!(delivered, consumed);
    assert_eq!(world.slots_in_use(), 0);
}

#[test]
fn a_requester_that_gives_up_frees_its_slot_once() {
    shuttle::check_random(departure_against_reply, 10_000);
    shuttle::check_pct(departure_against_reply, 5_000, 4);
}

/// A replier dies at any step; the server reaps it; the requester goes on waiting, or has its answer.
fn replier_dies(closed: bool) {
    let world = Arc::new(World::new(1));
    let (index, id) = delivered(&world);
    let steps = thread_rng().gen_range(0..60);
    let dying = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            mortal(steps, || answer(&world, index, id, 30, true));
            for (direction, from) in [(ToServer, source(0)), (ToClient, 1)] {
                let lane = world.segments[0].lane(direction);
                rundown::reap(&lane, &world.inbox, from, 30, closed);
                rundown::kick_waits(&lane);
            }
            // Another replier tries when the first is gone.
            answer(&world, index, id, 31, false);
            if closed {
                rundown::lose_waits(&world.segments[0].lane(ToServer));
            }
        })
    };
    let (phase, _) = wait_for_end(&slot(&world, index));
    dying.join().expect("no panic");
    match phase {
        Phase::Msg => consume(&world, index),
        Phase::Lost if closed => slot(&world, index).leave(),
        other => panic!("the wait ended as {other:?}"),
    }
    assert_eq!(world.slots_in_use(), 0);
}

#[test]
fn a_wait_survives_the_death_of_its_replier() {
    shuttle::check_random(|| replier_dies(false), 10_000);
    shuttle::check_random(|| replier_dies(true), 5_000);
}

/// Requester and replier die at any step, and are reaped in either order.
fn both_die() {
    let world = Arc::new(World::new(1));
    let (index, id) = delivered(&world);
    let (replier, requester) = (thread_rng().gen_range(0..60), thread_rng().gen_range(0..20));
    let first = thread_rng().gen_bool(0.5);
    let reap = |world: &World, dead: Tno| {
        for (direction, from) in [(ToServer, source(0)), (ToClient, 1)] {
            rundown::reap(
                &world.segments[0].lane(direction),
                &world.inbox,
                from,
                dead,
                false,
            );
        }
    };
    let answering = {
        let world = Arc::clone(&world);
        thread::spawn(move || mortal(replier, || answer(&world, index, id, 30, true)).is_none())
    };
    let asking = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            mortal(requester, || {
                let slot = slot(&world, index);
                if slot.end_wait().is_ok() {
                    slot.leave();
                }
            });
        })
    };
    if first {
        asking.join().expect("no panic");
        reap(&world, REQUESTER);
        if answering.join().expect("no panic") {
            reap(&world, 30);
        }
    } else {
        if answering.join().expect("no panic") {
            reap(&world, 30);
        }
        asking.join().expect("no panic");
        reap(&world, REQUESTER);
    }
    assert_eq!(world.slots_in_use(), 0);
}

#[test]
fn nothing_leaks_when_requester_and_replier_die() {
    shuttle::check_random(both_die, 20_000);
}

/// A server thread called back and waits in `callback`; the client answers and waits again in its request's slot, in one step:
/// when the server thread has the answer, it can answer the request at once.
fn reply_and_wait_is_one_step() {
    let world = Arc::new(World::new(1));
    let (index, id) = delivered(&world);
    let other = world.segments[0].lane(ToClient);
    let callback = other
        .allocate(&Cursor::default(), 0, SERVER_THREAD)
        .expect("the pool is not full");
    callback.set_header(&Header {
        sender: SERVER_THREAD,
        flags: WANTS_REPLY,
        ..Header::default()
    });
    callback.set_message_id(id);
    callback.advance(callback.state(), Kind::Held, SERVER_THREAD);
    callback.begin_wait(id);
    let called = slot(&world, index)
        .claim_answer(id, SERVER_THREAD, |_, _| false)
        .expect("the requester waits");
    let waiter = callback.index() + 1;
    called
        .deliver(
            &Answer {
                sender: SERVER_THREAD,
                waiter,
                ..Answer::default()
            },
            None,
        )
        .expect("the requester waits");
    let callback = callback.index();

    // The client: consumes the callback, answers it and waits again.
    let client = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let request = slot(&world, index);
            request.reset_turn();
            let target = world.segments[0]
                .lane(ToClient)
                .slot(callback)
                .expect("a slot");
            request.begin_armed(id, callback, target.turn().sequence);
            let filling = target
                .claim_answer(id, REQUESTER, |_, _| false)
                .expect("the server thread waits");
            let answer = Answer {
                sender: REQUESTER,
                waiter: index + 1,
                ..Answer::default()
            };
            filling
                .deliver(&answer, None)
                .expect("the server thread waits");
            request.disarm();
            assert_eq!(wait_for_end(&request), (Phase::Msg, SERVER_THREAD));
            consume(&world, index);
        })
    };
    // A third party that answers the request before the callback was answered finds nobody waiting; never a lost answer.
    let third = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let lane = world.segments[0].lane(ToClient);
            let resolve = |peer, sequence| {
                lane.slot(peer)
                    .is_some_and(|peer: Slot<'_>| peer.is_answered_by(index, sequence))
            };
            let request = slot(&world, index);
            if let Ok(filling) = request.claim_answer(id, 40, resolve) {
                let peer = lane.slot(callback).expect("a slot").turn();
                assert!(matches!(peer.phase, Phase::Msg | Phase::Idle), "{peer:?}");
                filling.give_back();
            }
        })
    };
    // The server thread: has its answer, helps, and answers.
    let own = other.slot(callback).expect("a slot");
    assert_eq!(wait_for_end(&own), (Phase::Msg, REQUESTER));
    slot(&world, own.answer().waiter - 1).disarm();
    own.reset_turn();
    third.join().expect("no panic");
    slot(&world, index)
        .claim_answer(id, SERVER_THREAD, |_, _| false)
        .expect("the answered client waits again")
        .deliver(
            &Answer {
                sender: SERVER_THREAD,
                ..Answer::default()
            },
            None,
        )
        .expect("the answered client waits again");
    client.join().expect("no panic");
    other.free(&own, Kind::Held, SERVER_THREAD, None);
    assert_eq!(world.slots_in_use(), 0);
}

#[test]
fn an_answerer_that_waits_again_can_be_answered_at_once() {
    shuttle::check_random(reply_and_wait_is_one_step, 5_000);
    shuttle::check_pct(reply_and_wait_is_one_step, 5_000, 4);
}
