//! Names, links, spellings and places (lpc §3.8).

use super::*;
use crate::security::Credentials;

const USER: Credentials = Credentials {
    uid: 1000,
    gid: 100,
    owner_uid: 1000,
};
const STRANGER: Credentials = Credentials {
    uid: 1001,
    gid: 101,
    owner_uid: 1000,
};

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

fn create(space: &mut NameSpace, path: &str, attributes: u32) -> Result<ObjectId, NtStatus> {
    let token = Token::of_credentials(USER);
    let place = space.reserve(&wide(path), None, attributes, ObjectKind::Port, &token)?;
    let id = space.allocate_id();
    space.insert(place, id, ObjectKind::Port, SecurityDescriptor::default());
    Ok(id)
}

#[test]
fn taken_name_collides_whatever_the_type() {
    let mut space = NameSpace::new(RootPolicy::Everyone);
    create(&mut space, r"\p", 0).expect("free");

    assert_eq!(
        create(&mut space, r"\p", 0),
        Err(NtStatus::OBJECT_NAME_COLLISION)
    );
    assert_eq!(
        create(&mut space, r"\RPC Control", 0),
        Err(NtStatus::OBJECT_NAME_COLLISION)
    );
}

#[test]
fn removed_name_can_be_used_again() {
    let mut space = NameSpace::new(RootPolicy::Everyone);
    let id = create(&mut space, r"\RPC Control\p", 0).expect("free");

    space.remove(id).expect("a port has no entries");

    assert_eq!(
        space.open(&wide(r"\RPC Control\p"), None, 0),
        Err(NtStatus::OBJECT_NAME_NOT_FOUND)
    );
    assert!(create(&mut space, r"\RPC Control\p", 0).is_ok());
}

#[test]
fn bad_paths_have_their_own_statuses() {
    let mut space = NameSpace::new(RootPolicy::Everyone);
    create(&mut space, r"\p", 0).expect("free");
    for (path, status) in [
        ("", NtStatus::OBJECT_NAME_INVALID),
        ("p", NtStatus::OBJECT_PATH_SYNTAX_BAD),
        (r"\a\\b", NtStatus::OBJECT_PATH_NOT_FOUND),
        (r"\\p", NtStatus::OBJECT_PATH_SYNTAX_BAD),
        (r"\Windows\", NtStatus::OBJECT_PATH_SYNTAX_BAD),
        (r"\none\p", NtStatus::OBJECT_PATH_NOT_FOUND),
        (r"\none", NtStatus::OBJECT_NAME_NOT_FOUND),
        (r"\p\q", NtStatus::OBJECT_TYPE_MISMATCH),
    ] {
        assert_eq!(space.open(&wide(path), None, 0), Err(status), "{path:?}");
    }
}

#[test]
fn lookup_is_case_sensitive_unless_asked_otherwise() {
    let mut space = NameSpace::new(RootPolicy::Everyone);
    let id = create(&mut space, r"\RPC Control\ABC", 0).expect("free");

    assert_eq!(
        space.open(&wide(r"\RPC Control\abc"), None, 0),
        Err(NtStatus::OBJECT_NAME_NOT_FOUND)
    );
    assert_eq!(
        space
            .open(&wide(r"\rpc control\abc"), None, CASE_INSENSITIVE)
            .map(|found| found.id),
        Ok(id)
    );
}

#[test]
fn insensitive_creation_collides_with_another_spelling() {
    let mut space = NameSpace::new(RootPolicy::Everyone);
    create(&mut space, r"\RPC Control\ABC", 0).expect("free");

    assert_eq!(
        create(&mut space, r"\RPC Control\abc", CASE_INSENSITIVE),
        Err(NtStatus::OBJECT_NAME_COLLISION)
    );
    assert!(create(&mut space, r"\RPC Control\abc", 0).is_ok());
}

#[test]
fn links_are_followed_and_circles_end() {
    let mut space = NameSpace::new(RootPolicy::Everyone);
    let id = create(&mut space, r"\Sessions\1\BaseNamedObjects\Global\p", 0).expect("free");
    let token = Token::of_credentials(USER);
    let place = space
        .reserve(&wide(r"\loop"), None, 0, ObjectKind::SymbolicLink, &token)
        .expect("free");
    let link = space.allocate_id();
    space.insert_link(place, link, wide(r"\loop"), SecurityDescriptor::default());

    assert_eq!(space.path(id), Some(wide(r"\BaseNamedObjects\p")));
    assert_eq!(
        space.open(&wide(r"\loop"), None, 0),
        Err(NtStatus::OBJECT_NAME_INVALID)
    );
    assert_eq!(
        space
            .open_link(&wide(r"\loop"), None, 0)
            .map(|found| found.id),
        Ok(link)
    );
}

#[test]
fn relative_names_start_at_their_directory() {
    let mut space = NameSpace::new(RootPolicy::Everyone);
    let id = create(&mut space, r"\RPC Control\p", 0).expect("free");
    let directory = space
        .open(&wide(r"\RPC Control"), None, 0)
        .expect("always there")
        .id;

    assert_eq!(
        space
            .open(&wide("p"), Some(directory), 0)
            .map(|found| found.id),
        Ok(id)
    );
    assert_eq!(
        space.open(&wide(r"\p"), Some(directory), 0),
        Err(NtStatus::OBJECT_PATH_SYNTAX_BAD)
    );
}

#[test]
fn root_can_be_closed_to_ordinary_users() {
    let space = NameSpace::new(RootPolicy::Administrators);
    let reserve = |path: &str, who| {
        let token = Token::of_credentials(who);
        space
            .reserve(&wide(path), None, 0, ObjectKind::Port, &token)
            .map(|_| ())
    };

    assert_eq!(reserve(r"\p", STRANGER), Err(NtStatus::ACCESS_DENIED));
    assert_eq!(reserve(r"\RPC Control\p", STRANGER), Ok(()));
    assert_eq!(reserve(r"\p", USER), Ok(()));
}

#[test]
fn directory_with_entries_keeps_its_name() {
    let mut space = NameSpace::new(RootPolicy::Everyone);
    let directory = space
        .open(&wide(r"\RPC Control"), None, 0)
        .expect("always there")
        .id;
    create(&mut space, r"\RPC Control\p", 0).expect("free");

    assert_eq!(space.remove(directory), Err(NtStatus::DIRECTORY_NOT_EMPTY));
}
