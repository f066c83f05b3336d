//! Names of ports: the server's name space beside objects the environment makes on its own (lpc §3.8).

use std::os::fd::OwnedFd;

use ntlpc_abi::{Handle, NtStatus};
use ntlpc_proto::object::{CloseObject, CreateObject, NamedKind};
use ntlpc_proto::port::{CreatePort, CreatePortReply};
use ntlpc_proto::{Bytes, Name};

use crate::engine::session;
use crate::host::{self, OwnObject, Root};

const SEPARATOR: u16 = b'\\' as u16;
const OBJ_CASE_INSENSITIVE: u32 = 0x40;
const OBJ_OPENIF: u32 = 0x80;

/// Makes a connection port at the server; `root` is the directory its name is relative to, or NULL.
///
/// # Errors
/// Handle errors of `root`, `OBJECT_NAME_COLLISION` also with an object of the environment, what the server answers.
pub(crate) fn create_port(
    mut request: CreatePort,
    root: Handle,
) -> Result<(CreatePortReply, Vec<OwnedFd>), NtStatus> {
    request.root = resolve(root, &mut request.name)?;
    let path = &request.name.0;
    if !path.is_empty() && host::current().own_object(path).is_some() {
        return Err(NtStatus::OBJECT_NAME_COLLISION);
    }
    let session = session()?;
    match session.call(&request, &[]) {
        Err(NtStatus::OBJECT_PATH_NOT_FOUND) => {
            let _held = OwnDirectories::of(path, &request.token.0)?;
            session.call(&request, &[])
        }
        result => result,
    }
}

/// Resolves a name relative to the directory `root`, or NULL: returns the server's number of the directory it is relative to,
/// 0 if it is absolute now.
///
/// # Errors
/// Handle errors, `OBJECT_PATH_SYNTAX_BAD`.
pub(crate) fn resolve(root: Handle, name: &mut Name) -> Result<u64, NtStatus> {
    if root == Handle::NULL {
        return Ok(0);
    }
    match host::current().directory(root)? {
        Root::Object(id) => Ok(id),
        Root::Path(path) => {
            name.0 = below(path, &name.0)?;
            Ok(0)
        }
    }
}

/// Returns the status of a connect to `path` that the server answered by `status`: what the environment has under the
/// name is no port (lpc#52).
pub(crate) fn connect_status(status: NtStatus, path: &[u16]) -> NtStatus {
    let is_missing = matches!(
        status,
        NtStatus::OBJECT_NAME_NOT_FOUND | NtStatus::OBJECT_PATH_NOT_FOUND
    );
    if is_missing && host::current().own_object(path).is_some() {
        NtStatus::OBJECT_TYPE_MISMATCH
    } else {
        status
    }
}

/// Returns the absolute path of a name relative to the directory `path`; empty for the empty name.
fn below(mut path: Vec<u16>, name: &[u16]) -> Result<Vec<u16>, NtStatus> {
    match name.first() {
        None => return Ok(Vec::new()),
        Some(&SEPARATOR) => return Err(NtStatus::OBJECT_PATH_SYNTAX_BAD),
        Some(_) => {}
    }
    if path != [SEPARATOR] {
        path.push(SEPARATOR);
    }
    path.extend_from_slice(name);
    Ok(path)
}

/// Directories of the environment that the server was told of. It keeps them as long as this lives or they have entries.
struct OwnDirectories(Vec<u64>);

impl OwnDirectories {
    /// Makes the directories on the way to `path` at the server, if the environment has the last of them.
    fn of(path: &[u16], token: &[u8]) -> Result<OwnDirectories, NtStatus> {
        let parent = path
            .iter()
            .rposition(|&unit| unit == SEPARATOR)
            .map_or(&[][..], |end| &path[..end]);
        if parent.is_empty() || host::current().own_object(parent) != Some(OwnObject::Directory) {
            return Err(NtStatus::OBJECT_PATH_NOT_FOUND);
        }
        let mut made = OwnDirectories(Vec::new());
        let ends = (1..parent.len()).filter(|&at| parent[at] == SEPARATOR);
        for end in ends.chain([parent.len()]) {
            let request = CreateObject {
                kind: NamedKind::Directory,
                name: Name(parent[..end].to_vec()),
                root: 0,
                attributes: OBJ_CASE_INSENSITIVE | OBJ_OPENIF,
                access: 0,
                token: Bytes(token.to_vec()),
                security: Bytes::default(),
                packed: Bytes::default(),
            };
            made.0.push(session()?.call(&request, &[])?.0.id);
        }
        Ok(made)
    }
}

impl Drop for OwnDirectories {
    fn drop(&mut self) {
        for &id in self.0.iter().rev() {
            // The server gives up holds of a process that is gone anyway.
            let _ = session().and_then(|session| session.call(&CloseObject { id }, &[]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn relative_name_is_put_below_its_directory() {
        let below = |path, name| below(wide(path), &wide(name));
        assert_eq!(below(r"\RPC Control", "x"), Ok(wide(r"\RPC Control\x")));
        assert_eq!(below(r"\", "x"), Ok(wide(r"\x")));
        assert_eq!(below(r"\a", ""), Ok(Vec::new()));
        assert_eq!(below(r"\a", r"\x"), Err(NtStatus::OBJECT_PATH_SYNTAX_BAD));
    }
}
