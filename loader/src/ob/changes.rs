//! Changes in directories, by inotify: what `ReadDirectoryChangesW` tells.
//!
//! From the first request on a handle its changes are recorded, so that none between two requests is lost. Directories
//! below are watched one by one. Paths are relative to the directory, which is reached by its descriptor: it may be renamed.
//!
//! Source: Microsoft Learn, "ReadDirectoryChangesW function", "FILE_NOTIFY_INFORMATION structure"; `man 7 inotify`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ntlpc_abi::NtStatus;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

use super::file::{File, status_of};

/// `FILE_NOTIFY_CHANGE_*`.
pub mod filter {
    pub const FILE_NAME: u32 = 0x1;
    pub const DIR_NAME: u32 = 0x2;
    pub const ATTRIBUTES: u32 = 0x4;
    pub const SIZE: u32 = 0x8;
    pub const LAST_WRITE: u32 = 0x10;
    pub const LAST_ACCESS: u32 = 0x20;
    pub const CREATION: u32 = 0x40;
    pub const SECURITY: u32 = 0x100;
    /// All of them.
    pub const ALL: u32 = 0x17F;
}
use filter::{ATTRIBUTES, CREATION, DIR_NAME, FILE_NAME, LAST_ACCESS, LAST_WRITE, SECURITY, SIZE};

/// `FILE_ACTION_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Added = 1,
    Removed = 2,
    Modified = 3,
    RenamedOldName = 4,
    RenamedNewName = 5,
}

/// How long the other half of a rename may take, in ns.
const RENAME: i64 = 5_000_000;
/// Bytes of a `FILE_NOTIFY_INFORMATION` before the name.
const RECORD_HEADER: usize = 12;

/// What is watched for a handle.
#[derive(Debug)]
pub struct Changes {
    inotify: OwnedFd,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    filter: u32,
    is_tree: bool,
    /// The directory by its descriptor.
    root: PathBuf,
    /// The directory around it, which tells of its removal: while it is open it does not tell itself.
    parent_watch: i32,
    /// Directories that are watched.
    watches: BTreeMap<i32, PathBuf>,
    records: VecDeque<(Action, PathBuf)>,
    /// A name that went, until it is known whether it came back as another.
    moved: Option<Moved>,
    /// What was found in directories that are new, whose events may yet come.
    announced: BTreeSet<PathBuf>,
    has_overflowed: bool,
    is_gone: bool,
}

#[derive(Debug)]
struct Moved {
    cookie: u32,
    watch: i32,
    path: PathBuf,
    is_directory: bool,
}

/// An event of inotify, copied out of its buffer.
struct Seen {
    watch: i32,
    flags: ReadFlags,
    cookie: u32,
    name: Option<PathBuf>,
}

/// Returns what is recorded for a file, which begins with the first call; its `filter` and `is_tree` count.
///
/// # Errors
/// `INVALID_PARAMETER` for what is no directory; those of inotify's limits.
pub fn of(file: &File, filter: u32, is_tree: bool) -> Result<Arc<Changes>, NtStatus> {
    let mut slot = file.changes.lock();
    if let Some(known) = &*slot {
        return Ok(known.clone());
    }
    if !file.is_directory() {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let status = |error: rustix::io::Errno| status_of(&error.into());
    let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(status)?;
    let mut state = State {
        filter,
        is_tree,
        root: format!("/proc/self/fd/{}", file.fd().as_raw_fd()).into(),
        parent_watch: -1,
        watches: BTreeMap::new(),
        records: VecDeque::new(),
        moved: None,
        announced: BTreeSet::new(),
        has_overflowed: false,
        is_gone: false,
    };
    let root = inotify::add_watch(&inotify, &state.root, state.flags()).map_err(status)?;
    state.watches.insert(root, PathBuf::new());
    let parent = inotify::add_watch(&inotify, state.root.join(".."), WatchFlags::DELETE);
    state.parent_watch = parent.unwrap_or(-1);
    if is_tree {
        state.watch_below(inotify.as_fd(), Path::new(""), false);
    }
    let changes = Arc::new(Changes {
        inotify,
        state: Mutex::new(state),
    });
    *slot = Some(changes.clone());
    Ok(changes)
}

impl Changes {
    /// Returns the descriptor that is ready to be read when there may be something new.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Returns whether there is something that was recorded and not taken.
    #[must_use]
    pub fn has_records(&self) -> bool {
        let state = self.state.lock();
        !state.records.is_empty() || state.has_overflowed || state.is_gone
    }

    /// Takes what fits into `size` bytes, as `FILE_NOTIFY_INFORMATION`; nothing of it, and no bytes, where not even the first
    /// fits or some were lost.
    ///
    /// # Errors
    /// `RETRY`: nothing has changed; `DELETE_PENDING`: the directory is gone.
    pub fn take(&self, size: usize) -> Result<Vec<u8>, NtStatus> {
        let mut state = self.state.lock();
        self.collect(&mut state);
        if std::mem::take(&mut state.has_overflowed) {
            state.records.clear();
            return Ok(vec![]);
        }
        if state.records.is_empty() {
            return Err(if state.is_gone {
                NtStatus::DELETE_PENDING
            } else {
                NtStatus::RETRY
            });
        }
        let mut bytes: Vec<u8> = vec![];
        let mut last = 0;
        while let Some((action, path)) = state.records.front() {
            let name = path.to_string_lossy().replace('/', "\\");
            let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let at = bytes.len().next_multiple_of(4);
            if at + RECORD_HEADER + name.len() > size {
                break;
            }
            bytes.resize(at, 0);
            if at > 0 {
                bytes[last..last + 4].copy_from_slice(&((at - last) as u32).to_le_bytes());
            }
            last = at;
            for word in [0, *action as u32, name.len() as u32] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.extend(name);
            state.records.pop_front();
        }
        if bytes.is_empty() {
            state.records.clear();
        }
        Ok(bytes)
    }

    /// Makes records of all events there are.
    fn collect(&self, state: &mut State) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        loop {
            let seen = match reader.next() {
                Ok(event) => Seen {
                    watch: event.wd(),
                    flags: event.events(),
                    cookie: event.cookie(),
                    name: event
                        .file_name()
                        .map(|name| name.to_string_lossy().into_owned().into()),
                },
                Err(rustix::io::Errno::INTR) => continue,
                // The other half of a rename comes at once, if at all.
                Err(_) if state.moved.is_some() && self.is_ready() => continue,
                Err(_) => break,
            };
            state.note(self.inotify.as_fd(), &seen);
        }
        state.end_move(self.inotify.as_fd());
        state.announced.clear();
    }

    fn is_ready(&self) -> bool {
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: RENAME,
        };
        let mut fds = [PollFd::new(&self.inotify, PollFlags::IN)];
        poll(&mut fds, Some(&wait)).is_ok_and(|count| count > 0)
    }
}

impl State {
    /// What inotify shall tell of each directory.
    fn flags(&self) -> WatchFlags {
        let names =
            WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO;
        let wanted = [
            (FILE_NAME | DIR_NAME, names),
            (SIZE | LAST_WRITE, WatchFlags::MODIFY),
            (
                ATTRIBUTES | SECURITY | LAST_WRITE | CREATION,
                WatchFlags::ATTRIB,
            ),
            (LAST_ACCESS, WatchFlags::ACCESS),
        ];
        let start = WatchFlags::ONLYDIR
            | if self.is_tree {
                names
            } else {
                WatchFlags::empty()
            };
        wanted
            .into_iter()
            .filter(|(filter, _)| self.filter & filter != 0)
            .fold(start, |all, (_, flags)| all | flags)
    }

    /// Watches the directories below one, and tells what is there if it is new.
    fn watch_below(&mut self, inotify: BorrowedFd<'_>, directory: &Path, is_new: bool) {
        let Ok(entries) = std::fs::read_dir(self.root.join(directory)) else {
            return;
        };
        for entry in entries.flatten() {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let path = directory.join(entry.file_name());
            if is_new {
                self.announced.insert(path.clone());
                self.name_changed(Action::Added, &path, is_directory);
            }
            if is_directory {
                self.watch_tree(inotify, &path, is_new);
            }
        }
    }

    /// Watches a directory and those below.
    fn watch_tree(&mut self, inotify: BorrowedFd<'_>, path: &Path, is_new: bool) {
        let flags = self.flags() | WatchFlags::DONT_FOLLOW;
        match inotify::add_watch(inotify, self.root.join(path), flags) {
            Ok(watch) => {
                self.watches.insert(watch, path.to_owned());
                self.watch_below(inotify, path, is_new);
            }
            Err(error) => log::debug!("changes below {} are not seen: {error}", path.display()),
        }
    }

    fn name_changed(&mut self, action: Action, path: &Path, is_directory: bool) {
        let filter = if is_directory { DIR_NAME } else { FILE_NAME };
        if self.filter & filter != 0 {
            self.records.push_back((action, path.to_owned()));
        }
    }

    /// The name that went has not come back: it was removed, with what lies below.
    fn end_move(&mut self, inotify: BorrowedFd<'_>) {
        let Some(moved) = self.moved.take() else {
            return;
        };
        self.name_changed(Action::Removed, &moved.path, moved.is_directory);
        if moved.is_directory {
            self.watches.retain(|&watch, path| {
                let is_below = path.starts_with(&moved.path);
                if is_below {
                    let _ = inotify::remove_watch(inotify, watch);
                }
                !is_below
            });
        }
    }

    fn note(&mut self, inotify: BorrowedFd<'_>, seen: &Seen) {
        if seen.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.has_overflowed = true;
            if self.is_tree {
                self.watch_below(inotify, Path::new(""), false);
            }
            return;
        }
        if seen.flags.contains(ReadFlags::IGNORED) {
            self.watches.remove(&seen.watch);
            return;
        }
        if seen.watch == self.parent_watch {
            self.is_gone |= rustix::fs::stat(&self.root).is_ok_and(|stat| stat.st_nlink == 0);
            return;
        }
        let Some((directory, name)) = self.watches.get(&seen.watch).zip(seen.name.as_ref()) else {
            return;
        };
        let path = directory.join(name);
        let is_directory = seen.flags.contains(ReadFlags::ISDIR);
        let is_pair = |moved: &Moved| moved.cookie == seen.cookie && seen.cookie != 0;
        if !(seen.flags.contains(ReadFlags::MOVED_TO) && self.moved.as_ref().is_some_and(is_pair)) {
            self.end_move(inotify);
        }
        if seen.flags.contains(ReadFlags::MOVED_FROM) {
            self.announced.remove(&path);
            self.moved = Some(Moved {
                cookie: seen.cookie,
                watch: seen.watch,
                path,
                is_directory,
            });
        } else if seen.flags.contains(ReadFlags::MOVED_TO) {
            self.came(inotify, seen.watch, &path, is_directory);
        } else if seen.flags.contains(ReadFlags::CREATE) {
            if !self.announced.remove(&path) {
                self.name_changed(Action::Added, &path, is_directory);
                if is_directory && self.is_tree {
                    self.watch_tree(inotify, &path, true);
                }
            }
        } else if seen.flags.contains(ReadFlags::DELETE) {
            self.announced.remove(&path);
            self.name_changed(Action::Removed, &path, is_directory);
        } else {
            self.modified(seen.flags, path);
        }
    }

    /// A name has come by a rename: from another directory that is watched, from this one, or from elsewhere.
    fn came(&mut self, inotify: BorrowedFd<'_>, watch: i32, path: &Path, is_directory: bool) {
        let Some(moved) = self.moved.take() else {
            self.name_changed(Action::Added, path, is_directory);
            if is_directory && self.is_tree {
                self.watch_tree(inotify, path, false);
            }
            return;
        };
        for below in self.watches.values_mut() {
            if let Ok(rest) = below.strip_prefix(&moved.path)
                && is_directory
            {
                *below = path.components().chain(rest.components()).collect();
            }
        }
        let (old, new) = if moved.watch == watch {
            (Action::RenamedOldName, Action::RenamedNewName)
        } else {
            (Action::Removed, Action::Added)
        };
        self.name_changed(old, &moved.path, is_directory);
        self.name_changed(new, path, is_directory);
    }

    fn modified(&mut self, flags: ReadFlags, path: PathBuf) {
        let filter = if flags.contains(ReadFlags::MODIFY) {
            SIZE | LAST_WRITE
        } else if flags.contains(ReadFlags::ATTRIB) {
            ATTRIBUTES | SECURITY | LAST_WRITE | CREATION
        } else {
            LAST_ACCESS
        };
        let record = (Action::Modified, path);
        if self.filter & filter != 0 && self.records.back() != Some(&record) {
            self.records.push_back(record);
        }
    }
}
