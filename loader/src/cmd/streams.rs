//! The three streams of a command: open files, and what `>`, `<`, `2>&1` make of them.

use std::os::fd::AsFd;
use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};

use super::parse::{Redirection, Target};
use crate::ob::file::{FILE_TYPE, File, status_of};
use crate::ob::path;
use crate::ob::spawn::startup_handles;
use crate::ob::table::{TABLE, lookup};

/// Input, output and error output; `None` is a stream that was not given.
pub type Streams = [Option<Arc<File>>; 3];

/// Returns the streams this process was started with.
#[must_use]
pub fn standard() -> Streams {
    if let Some(handles) = startup_handles() {
        return handles.map(|handle| lookup::<File>(handle, 0).ok());
    }
    let own = |fd: std::io::Result<std::os::fd::OwnedFd>| {
        fd.ok()
            .map(|fd| Arc::new(File::new(fd, std::path::PathBuf::new(), false)))
    };
    [
        own(std::io::stdin().as_fd().try_clone_to_owned()),
        own(std::io::stdout().as_fd().try_clone_to_owned()),
        own(std::io::stderr().as_fd().try_clone_to_owned()),
    ]
}

/// Opens what the redirections name, in their order.
///
/// Returns the name with the status of one that cannot be opened.
pub fn redirect(
    streams: &Streams,
    redirections: &[Redirection],
    directory: &str,
) -> Result<Streams, (String, NtStatus)> {
    let mut streams = streams.clone();
    for redirection in redirections {
        streams[redirection.stream] = match &redirection.target {
            Target::Stream(number) => streams[*number].clone(),
            Target::File { name, appends } => {
                let file = open(name, directory, redirection.stream == 0, *appends);
                Some(Arc::new(file.map_err(|status| (name.clone(), status))?))
            }
        };
    }
    Ok(streams)
}

fn open(name: &str, directory: &str, is_input: bool, appends: bool) -> Result<File, NtStatus> {
    let place = match path::resolve(name, directory)? {
        path::Target::File(place) => place,
        path::Target::Null => "/dev/null".into(),
        path::Target::Console => "/dev/tty".into(),
        path::Target::Pipe(_) | path::Target::MountManager => return Err(NtStatus::NOT_SUPPORTED),
    };
    let mut options = std::fs::OpenOptions::new();
    if is_input {
        options.read(true);
    } else {
        options.create(true).append(appends).write(true);
        options.truncate(!appends);
    }
    let opened = options.open(&place).map_err(|error| status_of(&error))?;
    Ok(File::new(opened.into(), place, false))
}

/// Writes all of the bytes; what cannot be written is lost, as with a closed pipe on Windows.
pub fn write(stream: Option<&Arc<File>>, mut bytes: &[u8]) {
    let Some(file) = stream else { return };
    while !bytes.is_empty() {
        match rustix::io::write(file.fd(), bytes) {
            Ok(done) => bytes = &bytes[done..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                log::debug!("cmd: write: {error}");
                return;
            }
        }
    }
}

/// Puts a stream into the handle table, for one child: others must not get it, so it is not inheritable.
pub fn handle(file: &Arc<File>) -> Result<Handle, NtStatus> {
    TABLE.insert(file.clone(), FILE_TYPE.generic[3], 0)
}
