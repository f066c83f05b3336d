use super::*;

const ANYWHERE: Placement = Placement {
    at: None,
    below: HIGHEST_X64,
};

#[test]
fn commit_inside_a_reservation_splits_the_runs() {
    let mut space = Space::default();
    let (base, len) = space
        .allocate(ANYWHERE, 0x10_0000, mem::RESERVE, page::READWRITE)
        .expect("reserve");
    assert_eq!((base % GRANULARITY, len), (0, 0x10_0000));
    let at = Placement {
        at: Some(base + 0x2000),
        ..ANYWHERE
    };
    space
        .allocate(at, 0x1001, mem::COMMIT, page::READONLY)
        .expect("commit");
    let info = space.query(base + 0x2000, HIGHEST_X64).expect("query");
    assert_eq!(
        (info.size, info.state, info.protect),
        (0x2000, mem::COMMIT, page::READONLY)
    );
    let before = space.query(base, HIGHEST_X64).expect("query");
    assert_eq!(
        (before.size, before.state, before.allocation_base),
        (0x2000, mem::RESERVE, base)
    );
    space.free(base, 0, mem::RELEASE).expect("release");
    assert_eq!(
        space.query(base, HIGHEST_X64).map(|i| i.state),
        Some(mem::FREE)
    );
}

#[test]
fn protect_merges_equal_neighbours_and_returns_the_old_value() {
    let mut space = Space::default();
    let (base, _) = space
        .allocate(
            ANYWHERE,
            0x4000,
            mem::RESERVE | mem::COMMIT,
            page::READWRITE,
        )
        .expect("allocate");
    assert_eq!(
        space.protect(base + 0x1000, 1, page::READONLY),
        Ok((base + 0x1000, PAGE, page::READWRITE))
    );
    assert_eq!(space.query(base, HIGHEST_X64).map(|i| i.size), Some(0x1000));
    assert_eq!(
        space.protect(base + 0x1000, 1, page::READWRITE),
        Ok((base + 0x1000, PAGE, page::READONLY))
    );
    assert_eq!(space.query(base, HIGHEST_X64).map(|i| i.size), Some(0x4000));
    assert_eq!(
        space.protect(base, 0x5000, page::READONLY).err(),
        Some(NtStatus::CONFLICTING_ADDRESSES)
    );
    space.free(base, 0, mem::RELEASE).expect("release");
}

#[test]
fn guard_mark_is_one_shot() {
    let mut space = Space::default();
    let (base, _) = space
        .allocate(
            ANYWHERE,
            PAGE,
            mem::RESERVE | mem::COMMIT,
            page::READWRITE | page::GUARD,
        )
        .expect("allocate");
    assert_eq!(space.fault(base + 8), Fault::Guard);
    assert_eq!(space.fault(base + 8), Fault::Violation);
    assert_eq!(
        space.query(base, HIGHEST_X64).map(|i| i.protect),
        Some(page::READWRITE)
    );
    space.free(base, 0, mem::RELEASE).expect("release");
}

#[test]
fn free_wants_the_allocation_base() {
    let mut space = Space::default();
    let (base, _) = space
        .allocate(ANYWHERE, 0x2000, mem::RESERVE, page::NOACCESS)
        .expect("allocate");
    assert_eq!(
        space.free(base + 0x1000, 0, mem::RELEASE).err(),
        Some(NtStatus::FREE_VM_NOT_AT_BASE)
    );
    space.free(base, 0, mem::RELEASE).expect("release");
    assert_eq!(
        space.free(base, 0, mem::RELEASE).err(),
        Some(NtStatus::MEMORY_NOT_ALLOCATED)
    );
}

#[test]
fn low_placement_stays_below_the_limit() {
    let mut space = Space::default();
    let low = Placement {
        at: None,
        below: 0x8000_0000,
    };
    let (base, len) = space
        .allocate(low, 0x2_0000, mem::RESERVE | mem::COMMIT, page::READWRITE)
        .expect("allocate");
    assert!(base + len <= 0x8000_0000);
    space.free(base, 0, mem::RELEASE).expect("release");
}
