//! The receiver against a reference queue, and queues at their limits.
#![cfg(not(feature = "model"))]

use std::collections::BTreeMap;
use std::time::Instant;

use ntlpc_shm::Tno;
use ntlpc_shm::inbox::Inbox;
use ntlpc_shm::lane::{Cursor, MAX_PAYLOAD, SLOT_COUNT};
use ntlpc_shm::receive::{Found, Receiver, Taken};
use ntlpc_shm::rundown;
use ntlpc_shm::segment::{Direction::ToServer, FIRST_CONNECTION, Segment};
use ntlpc_shm::slot::{Header, Kind, Slot, WANTS_REPLY};
use proptest::prelude::*;

const ME: Tno = 20;
const SENDER: Tno = 10;
/// A thread whose messages and claims are cleaned up after.
const DEAD: Tno = 66;

struct Port {
    inbox: Inbox,
    segments: Vec<Segment>,
    cursors: Vec<Cursor>,
    receiver: Receiver<()>,
}

impl Port {
    /// A port with a connection for each source number.
    fn new(sources: &[u32]) -> Port {
        let mut port = Port {
            inbox: Inbox::create(false).expect("a memfd"),
            segments: Vec::new(),
            cursors: Vec::new(),
            receiver: Receiver::default(),
        };
        for number in sources {
            let segment = Segment::create().expect("a memfd");
            port.receiver.insert(*number, segment.clone(), ToServer, ());
            port.segments.push(segment);
            port.cursors.push(Cursor::default());
        }
        port
    }

    fn write(&self, at: usize, name: u32, len: usize, me: Tno, flags: u16) -> Option<Slot<'_>> {
        let lane = self.segments[at].lane(ToServer);
        let slot = lane.allocate(&self.cursors[at], len, me).ok()?;
        slot.set_header(&Header {
            attributes: name,
            sender: me,
            flags,
            ..Header::default()
        });
        Some(slot)
    }

    fn publish(&self, at: usize, number: u32, slot: &Slot<'_>, me: Tno, wait: bool) -> u32 {
        let lane = self.segments[at].lane(ToServer);
        lane.publish(slot, &self.inbox, &self.inbox, number, me, wait)
    }

    fn take(&mut self, me: Tno) -> Option<Taken> {
        match self.receiver.take(&self.inbox, me) {
            Found::Message(taken) => Some(taken),
            Found::Nothing => None,
            Found::Unknown(source) => panic!("source {source} is not known"),
        }
    }

    fn free(&self, taken: &Taken, me: Tno) {
        let source = self.receiver.source(taken.source).expect("a source");
        let lane = source.segment.lane(ToServer);
        let slot = lane.slot(taken.slot).expect("a slot");
        lane.free(&slot, Kind::Taken, me, None);
    }

    fn slots_in_use(&self) -> usize {
        let mut used = 0;
        for segment in &self.segments {
            segment.lane(ToServer).for_each_used(|slot| {
                used += usize::from(slot.state().kind != Kind::Free);
            });
        }
        used
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Connection, bytes, whether the sender is the one that will be reaped, whether it waits.
    Send(usize, usize, bool, bool),
    /// Withdraws the n-th message still queued.
    Withdraw(usize),
    /// Takes; frees, or holds a request.
    Take,
    /// Takes, and dies with it.
    TakeAndDie,
    /// Writes a message, and dies before it is published.
    WriteAndDie(usize, usize),
    Reap,
    Close(usize),
}

fn steps(sources: usize, most: usize) -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![6 => 0..384usize, 2 => 385..1900usize, 1 => 2000..=MAX_PAYLOAD];
    let send = (
        0..sources,
        len.clone(),
        prop::bool::weighted(0.2),
        any::<bool>(),
    );
    let step = prop_oneof![
        12 => send.prop_map(|(at, len, dies, waits)| Step::Send(at, len, dies, waits)),
        2 => any::<usize>().prop_map(Step::Withdraw),
        8 => Just(Step::Take),
        1 => Just(Step::TakeAndDie),
        1 => (0..sources, len).prop_map(|(at, len)| Step::WriteAndDie(at, len)),
        1 => Just(Step::Reap),
        1 => (0..sources).prop_map(Step::Close),
    ];
    prop::collection::vec(step, most / 2..most)
}

/// A message in the reference queue.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: usize,
    slot: u32,
    name: u32,
    waits: bool,
    sender: Tno,
}

fn run(numbers: &[u32], steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut port = Port::new(numbers);
    // By message id, which is the ticket.
    let mut queue: BTreeMap<u32, Sent> = BTreeMap::new();
    let mut died_with = Vec::new();
    let mut held = 0;
    let mut unfinished = 0;
    for (name, step) in steps.into_iter().enumerate() {
        let name = name as u32;
        match step {
            Step::Send(at, len, dies, waits) => {
                let me = if dies { DEAD } else { SENDER };
                let flags = if waits { WANTS_REPLY } else { 0 };
                let Some(slot) = port.write(at, name, len, me, flags) else {
                    continue;
                };
                let id = port.publish(at, numbers[at], &slot, me, waits);
                let sent = Sent {
                    at,
                    slot: slot.index(),
                    name,
                    waits,
                    sender: me,
                };
                prop_assert!(queue.last_key_value().is_none_or(|(last, _)| *last < id));
                if port.segments[at].is_closed() {
                    let lane = port.segments[at].lane(ToServer);
                    prop_assert!(lane.withdraw(&slot, me));
                } else {
                    queue.insert(id, sent);
                }
            }
            Step::Withdraw(which) => {
                let nth = queue.keys().nth(which % queue.len().max(1)).copied();
                let Some(sent) = nth.and_then(|id| queue.remove(&id)) else {
                    continue;
                };
                let lane = port.segments[sent.at].lane(ToServer);
                let slot = lane.slot(sent.slot).expect("a slot");
                prop_assert!(!lane.withdraw(&slot, 99));
                prop_assert!(lane.withdraw(&slot, sent.sender));
            }
            Step::Take => {
                let taken = port.take(ME);
                let expected = queue.pop_first();
                prop_assert_eq!(
                    taken.map(|taken| (taken.header.message_id, taken.header.attributes)),
                    expected.map(|(id, sent)| (id, sent.name))
                );
                let (Some(taken), Some((_, sent))) = (taken, expected) else {
                    continue;
                };
                if sent.waits {
                    let lane = port.segments[sent.at].lane(ToServer);
                    let slot = lane.slot(taken.slot).expect("a slot");
                    lane.hold(&slot, ME, taken.header.sender);
                    held += usize::from(slot.state().kind == Kind::Held);
                } else {
                    port.free(&taken, ME);
                }
            }
            Step::TakeAndDie => {
                let taken = port.take(DEAD);
                let expected = queue.pop_first();
                prop_assert_eq!(
                    taken.map(|taken| taken.header.message_id),
                    expected.as_ref().map(|(id, _)| *id)
                );
                died_with.extend(expected);
            }
            Step::WriteAndDie(at, len) => {
                unfinished += usize::from(port.write(at, name, len, DEAD, 0).is_some());
            }
            Step::Reap => {
                for (at, segment) in port.segments.iter().enumerate() {
                    let lane = segment.lane(ToServer);
                    rundown::reap(&lane, &port.inbox, numbers[at], DEAD, false);
                }
                port.inbox.kick(DEAD);
                queue.extend(died_with.drain(..));
                // What comes back is taken in its old place by who looks anew.
                port.receiver = Receiver::default();
                for (segment, number) in port.segments.iter().zip(numbers) {
                    port.receiver.insert(*number, segment.clone(), ToServer, ());
                }
                unfinished = 0;
                held = 0;
                for segment in &port.segments {
                    segment.lane(ToServer).for_each_used(|slot| {
                        held += usize::from(slot.state().kind == Kind::Held);
                        assert!(slot.state().kind != Kind::Held || slot.state().owner != DEAD);
                    });
                }
            }
            Step::Close(at) => port.segments[at].close(),
        }
        prop_assert_eq!(
            port.slots_in_use(),
            queue.len() + held + unfinished + died_with.len()
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(48)
    })]

    /// Deep enough for the leaves of the lane's ready map.
    #[test]
    fn a_deep_queue_of_one_source_is_received_in_ticket_order(steps in steps(1, 1200)) {
        run(&[FIRST_CONNECTION], steps)?;
    }

    #[test]
    fn a_queue_of_three_sources_is_received_in_ticket_order(steps in steps(3, 300)) {
        run(&[FIRST_CONNECTION, 55, 56], steps)?;
    }

    #[test]
    fn a_queue_of_seventy_sources_is_received_in_ticket_order(steps in steps(70, 300)) {
        let numbers: Vec<u32> = (0..70).map(|at| FIRST_CONNECTION + at * 67).collect();
        run(&numbers, steps)?;
    }
}

#[test]
fn ten_thousand_datagrams_without_a_receiver_are_drained_in_order() {
    let mut port = Port::new(&[FIRST_CONNECTION]);
    for name in 0..10_000 {
        let slot = port.write(0, name, 64, SENDER, 0).expect("room");
        port.publish(0, FIRST_CONNECTION, &slot, SENDER, false);
    }
    for name in 0..10_000 {
        let taken = port.take(ME).expect("a message");
        assert_eq!(taken.header.attributes, name);
        port.free(&taken, ME);
    }
    assert!(port.take(ME).is_none());
    assert!(port.inbox.sources().is_empty());
    assert_eq!(port.slots_in_use(), 0);
}

#[test]
fn a_full_pool_says_so_quickly_and_serves_again_after_one_free() {
    let mut port = Port::new(&[FIRST_CONNECTION]);
    let mut sent = 0;
    while let Some(slot) = port.write(0, sent, 64, SENDER, 0) {
        port.publish(0, FIRST_CONNECTION, &slot, SENDER, false);
        sent += 1;
    }
    assert_eq!(sent, SLOT_COUNT);
    // Compared with itself, not with a clock: one search of the whole pool costs more than a thousand refusals do.
    let whole = Instant::now();
    port.segments[0].lane(ToServer).for_each_used(|_| ());
    let mut states = 0u64;
    port.segments[0].lane(ToServer).for_each_used(|slot| {
        states += u64::from(slot.state().generation);
    });
    let whole = whole.elapsed();
    let refused = Instant::now();
    for _ in 0..1000 {
        assert!(port.write(0, 0, 64, SENDER, 0).is_none());
    }
    let refused = refused.elapsed();
    eprintln!("a look at {SLOT_COUNT} slots takes {whole:?}, 1000 refusals {refused:?} ({states})");
    assert!(refused < 20 * whole, "{refused:?} for 1000 refusals");
    for expected in 0..sent {
        let taken = port.take(ME).expect("a message");
        assert_eq!(taken.header.attributes, expected);
        port.free(&taken, ME);
        if expected % 1000 == 0 {
            let slot = port.write(0, sent, 64, SENDER, 0).expect("room again");
            let lane = port.segments[0].lane(ToServer);
            lane.free(&slot, Kind::Writing, SENDER, None);
        }
    }
    assert!(port.take(ME).is_none());
}

#[test]
fn ten_thousand_sources_are_received_from_in_order() {
    const SOURCES: u32 = 10_000;
    let segment = Segment::create().expect("a memfd");
    let inbox = Inbox::create(false).expect("a memfd");
    let mut receiver = Receiver::default();
    // One segment per source would need 10,000 descriptors: here its lanes stand for all of them, one at a time.
    for number in 0..SOURCES {
        receiver.insert(FIRST_CONNECTION + number, segment.clone(), ToServer, number);
    }
    let lane = segment.lane(ToServer);
    let cursor = Cursor::default();
    for number in (0..SOURCES).rev() {
        let slot = lane.allocate(&cursor, 8, SENDER).expect("room");
        slot.set_header(&Header {
            attributes: number,
            ..Header::default()
        });
        lane.publish(
            &slot,
            &inbox,
            &inbox,
            FIRST_CONNECTION + number,
            SENDER,
            false,
        );
        let Found::Message(taken) = receiver.take(&inbox, ME) else {
            panic!("nothing from source {number}");
        };
        assert_eq!(
            (taken.source, taken.header.attributes),
            (FIRST_CONNECTION + number, number)
        );
        lane.free(
            &lane.slot(taken.slot).expect("a slot"),
            Kind::Taken,
            ME,
            Some(&cursor),
        );
        assert!(inbox.sources().is_empty());
    }
}

#[test]
fn message_ids_skip_zero_when_the_ticket_passes_2_to_the_32() {
    let mut port = Port::new(&[FIRST_CONNECTION, FIRST_CONNECTION + 1]);
    port.inbox
        .mapping()
        .w64(0x40)
        .store(u64::from(u32::MAX) - 1, std::sync::atomic::Ordering::SeqCst);
    let ids: Vec<u32> = (0..4)
        .map(|name| {
            let at = name as usize % 2;
            let slot = port.write(at, name, 8, SENDER, 0).expect("room");
            port.publish(at, FIRST_CONNECTION + at as u32, &slot, SENDER, false)
        })
        .collect();
    assert_eq!(ids, [u32::MAX - 1, u32::MAX, 1, 2]);
    for name in 0..4 {
        assert_eq!(port.take(ME).expect("a message").header.attributes, name);
    }
}

#[test]
fn generations_and_sequences_wrap() {
    let mut port = Port::new(&[FIRST_CONNECTION]);
    const LAST: u64 = 0x0FFF_FFFF;
    let first_slot = 0x5000;
    let word = |offset: usize| port.segments[0].mapping().w64(offset);
    word(first_slot).store(LAST << 32, std::sync::atomic::Ordering::SeqCst);
    word(first_slot + 64).store(LAST << 4, std::sync::atomic::Ordering::SeqCst);
    for round in 0..3 {
        let slot = port.write(0, round, 8, SENDER, WANTS_REPLY).expect("room");
        assert_eq!(slot.index(), 0);
        let id = port.publish(0, FIRST_CONNECTION, &slot, SENDER, true);
        let sequence = slot.turn().sequence;
        assert_eq!(u64::from(sequence), (LAST + 1 + u64::from(round)) & LAST);
        assert_eq!(slot.end_wait(), Ok(()));
        assert!(slot.claim_answer(id, ME, |_, _| false).is_err());
        let generation = slot.state().generation;
        assert_eq!(u64::from(generation), (LAST + u64::from(round)) & LAST);
        let index = slot.index();
        let taken = port.take(ME).expect("a message");
        assert_eq!((taken.slot, taken.header.attributes), (index, round));
        let lane = port.segments[0].lane(ToServer);
        lane.free(
            &lane.slot(index).expect("a slot"),
            Kind::Taken,
            ME,
            Some(&port.cursors[0]),
        );
    }
}

#[test]
fn a_client_that_renews_its_message_all_the_time_stops_nobody() {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    let mut port = Port::new(&[FIRST_CONNECTION, FIRST_CONNECTION + 1]);
    let hostile = port.segments[1].clone();
    let inbox = port.inbox.clone();
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let state = hostile.mapping().w64(0x5000);
            hostile.mapping().w32(0xC0).store(1, SeqCst);
            let mut generation = 0u64;
            while !ends.load(SeqCst) {
                // READY, under the oldest ticket there is, for as long as it takes to see it.
                state.store(2 << 60 | (generation & 0xFFF_FFFF) << 32 | 66, SeqCst);
                generation += 1;
                hostile.lane(ToServer).map().set(0);
                inbox.sources().set(FIRST_CONNECTION + 1);
            }
        });
        for name in 1..=200 {
            let slot = port.write(0, name, 64, SENDER, 0).expect("room");
            port.publish(0, FIRST_CONNECTION, &slot, SENDER, false);
            loop {
                let Some(taken) = port.take(ME) else { continue };
                port.free(&taken, ME);
                if taken.header.attributes == name {
                    break;
                }
            }
        }
        ends.store(true, SeqCst);
    });
}
