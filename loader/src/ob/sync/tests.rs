use super::*;
use crate::ob::wait::deadline;
use crate::ob::wait::{WaitKind, wait};

fn now() -> Option<u64> {
    deadline(Some(0))
}

#[test]
fn auto_reset_events_satisfy_one_wait() {
    let event: Arc<dyn Object> = Arc::new(Event::new(false, true));
    assert_eq!(
        wait(std::slice::from_ref(&event), WaitKind::Any, false, now()),
        NtStatus::SUCCESS
    );
    assert_eq!(
        wait(&[event], WaitKind::Any, false, now()),
        NtStatus::TIMEOUT
    );
}

#[test]
fn semaphore_release_beyond_the_limit_changes_nothing() {
    let semaphore = Semaphore::new(1, 2).expect("valid");
    assert_eq!(
        semaphore.release(2),
        Err(NtStatus::SEMAPHORE_LIMIT_EXCEEDED)
    );
    assert_eq!(semaphore.release(1), Ok(1));
    assert_eq!(semaphore.count(), 2);
    assert!(Semaphore::new(3, 2).is_err() && Semaphore::new(0, 0).is_err());
}

#[test]
fn wait_all_takes_nothing_until_all_are_signaled() {
    let first = Arc::new(Event::new(false, true));
    let second = Arc::new(Event::new(false, false));
    let both: [Arc<dyn Object>; 2] = [first.clone(), second.clone()];
    assert_eq!(wait(&both, WaitKind::All, false, now()), NtStatus::TIMEOUT);
    assert!(first.is_set());
    let helper = std::thread::spawn(move || second.set());
    assert_eq!(wait(&both, WaitKind::All, false, None), NtStatus::SUCCESS);
    assert!(!first.is_set());
    helper.join().expect("join");
}

#[test]
fn a_sleeper_survives_the_move_to_a_shared_page() {
    let event = Arc::new(Event::new(false, false));
    let object: Arc<dyn Object> = event.clone();
    let sleeper = std::thread::spawn(move || wait(&[object], WaitKind::Any, false, None));
    std::thread::sleep(std::time::Duration::from_millis(20));
    let packed = event.pack().expect("pack");
    let other = Event::unpack(packed.fds.into_iter().next().expect("fd")).expect("unpack");
    other.set();
    assert_eq!(sleeper.join().expect("join"), NtStatus::SUCCESS);
}

#[test]
fn timers_fire_by_the_waiters_clock_and_repeat() {
    let timer = Arc::new(Timer::new(false));
    let object: Arc<dyn Object> = timer.clone();
    let start = now_ns();
    timer.set(start + 3_000_000, 2_000_000);
    assert_eq!(
        wait(std::slice::from_ref(&object), WaitKind::Any, false, None),
        NtStatus::SUCCESS
    );
    assert!(now_ns() >= start + 3_000_000);
    assert_eq!(
        wait(std::slice::from_ref(&object), WaitKind::Any, false, None),
        NtStatus::SUCCESS
    );
    assert!(now_ns() >= start + 5_000_000);
    timer.cancel();
    assert_eq!(
        wait(&[object], WaitKind::Any, false, now()),
        NtStatus::TIMEOUT
    );
}
