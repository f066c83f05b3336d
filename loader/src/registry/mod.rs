//! The registry of a prefix: one tree for all its processes.
//!
//! A process holds the whole tree. It starts from a [seed], and every change since then is in one of two [journals](journal):
//! `ntlpc-registry.journal` in the prefix, and for volatile keys one beside the server's socket, which ends with the boot.
//! Before a look at the tree a process reads what others appended. The lock of the volatile journal guards both.

pub mod change;
pub mod journal;
pub mod key;
pub mod predefined;
mod seed;
pub mod tree;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use ntlpc_abi::NtStatus;
use ntlpc_proto::{Prefix, fnv1a};
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};

use change::{Change, Record, apply};
use journal::{Journal, News};
use tree::{Node, folded};

/// `REG_*`: types of values. Source: Microsoft Learn "Registry value types".
pub mod kind {
    /// `REG_SZ`.
    pub const SZ: u32 = 1;
    /// `REG_EXPAND_SZ`.
    pub const EXPAND_SZ: u32 = 2;
    /// `REG_DWORD`.
    pub const DWORD: u32 = 4;
    /// `REG_MULTI_SZ`.
    pub const MULTI_SZ: u32 = 7;

    /// Returns whether values of a type are text, which the functions for ANSI translate.
    #[must_use]
    pub const fn is_text(kind: u32) -> bool {
        matches!(kind, SZ | EXPAND_SZ | MULTI_SZ)
    }
}

struct Store {
    root: Node,
    files: Option<Files>,
}

struct Files {
    lock: File,
    persistent: Journal,
    volatile: Journal,
}

static STORE: Mutex<Option<Store>> = Mutex::new(None);

/// Looks at the tree as it is now. No guest memory may be touched meanwhile.
pub fn look<T>(look: impl FnOnce(&Node) -> Result<T, NtStatus>) -> Result<T, NtStatus> {
    with_store(FlockOperation::LockShared, |store| look(&store.root))
}

/// Changes the tree: `plan` looks at it and says what to change. No guest memory may be touched meanwhile.
pub fn alter<T>(
    plan: impl FnOnce(&Node) -> Result<(Vec<Record>, T), NtStatus>,
) -> Result<T, NtStatus> {
    with_store(FlockOperation::LockExclusive, |store| {
        let (records, value) = plan(&store.root)?;
        store.commit(&records);
        Ok(value)
    })
}

/// Waits until all changes are on the disk.
pub fn flush() -> Result<(), NtStatus> {
    with_store(FlockOperation::LockShared, |store| {
        let files = store.files.as_ref();
        files
            .map_or(Ok(()), |files| files.persistent.flush())
            .map_err(|_| NtStatus::UNSUCCESSFUL)
    })
}

fn with_store<T>(
    lock: FlockOperation,
    act: impl FnOnce(&mut Store) -> Result<T, NtStatus>,
) -> Result<T, NtStatus> {
    let mut guard = STORE.lock();
    let store = guard.get_or_insert_with(Store::open);
    let held = store
        .files
        .as_ref()
        .and_then(|files| Held::take(&files.lock, lock));
    if held.is_some() {
        store.catch_up();
    }
    act(store)
}

/// A lock of a file, given up when dropped.
struct Held(File);

impl Held {
    fn take(file: &File, lock: FlockOperation) -> Option<Held> {
        let file = file.try_clone().ok()?;
        flock(&file, lock).ok().map(|()| Held(file))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl Files {
    fn open() -> io::Result<Files> {
        let prefix = Prefix::from_environment().map_err(io::Error::other)?;
        prefix.prepare().map_err(io::Error::other)?;
        let boot = std::fs::read("/proc/sys/kernel/random/boot_id")?;
        let path = prefix.volatile_registry_path();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let lock = options.mode(0o600).open(&path)?;
        let persistent = prefix.directory().join("ntlpc-registry.journal");
        Ok(Files {
            lock,
            persistent: Journal::new(persistent, 0),
            volatile: Journal::new(path, fnv1a(&boot)),
        })
    }

    fn append(&mut self, lasting: &[Record], volatile: &[Record]) -> io::Result<()> {
        for (journal, records) in [
            (&mut self.persistent, lasting),
            (&mut self.volatile, volatile),
        ] {
            if !records.is_empty() {
                journal.append(records)?;
            }
        }
        Ok(())
    }
}

impl Store {
    fn open() -> Store {
        let files = Files::open()
            .inspect_err(|error| log::warn!("registry: kept in memory only: {error}"))
            .ok();
        Store {
            root: seed::tree(),
            files,
        }
    }

    /// Takes over what other processes changed. The lock is held.
    fn catch_up(&mut self) {
        if let Err(error) = self.read_news() {
            log::warn!("registry: kept in memory only from now on: {error}");
            self.files = None;
        }
    }

    fn read_news(&mut self) -> io::Result<()> {
        let Some(files) = &mut self.files else {
            return Ok(());
        };
        let mut news = vec![files.persistent.news()?, files.volatile.news()?];
        if news.iter().any(|news| matches!(news, News::Replaced)) {
            files.persistent.rewind();
            files.volatile.rewind();
            news = vec![files.persistent.news()?, files.volatile.news()?];
            let old = std::mem::replace(&mut self.root, seed::tree());
            self.apply(news);
            keep_ids(&mut self.root, &old);
            return Ok(());
        }
        self.apply(news);
        Ok(())
    }

    fn apply(&mut self, news: Vec<News>) {
        for news in news {
            if let News::More(records) = news {
                for record in &records {
                    apply(&mut self.root, record);
                }
            }
        }
    }

    /// Makes changes and writes them down. The lock is held alone.
    fn commit(&mut self, records: &[Record]) {
        for record in records {
            let (mut lasting, mut volatile) = (Vec::new(), Vec::new());
            let key = self.root.find(&record.path);
            let is_volatile = match &record.change {
                Change::CreateKey { is_volatile, .. } => *is_volatile,
                _ => key.is_some_and(|key| key.is_volatile),
            };
            if is_volatile {
                volatile.push(record.clone());
            } else {
                lasting.push(record.clone());
            }
            // Journals are read one after the other: volatile keys go in their own.
            if let (Change::DeleteKey, Some(key), false) = (&record.change, key, is_volatile) {
                delete_volatile(&mut volatile, record, key);
            }
            apply(&mut self.root, record);
            if let Some(files) = &mut self.files
                && let Err(error) = files.append(&lasting, &volatile)
            {
                log::warn!("registry: kept in memory only from now on: {error}");
                self.files = None;
            }
        }
        self.compact();
    }

    fn compact(&mut self) {
        let Some(files) = &mut self.files else {
            return;
        };
        if files.persistent.wants_compaction() {
            let mut records = Vec::new();
            differences(
                &mut records,
                &mut Vec::new(),
                Some(&seed::tree()),
                &self.root,
            );
            if let Err(error) = files.persistent.replace(&records) {
                log::warn!("registry: not written anew: {error}");
            }
        }
    }
}

/// Lists the removal of the volatile keys below one that is removed.
fn delete_volatile(records: &mut Vec<Record>, removal: &Record, key: &Node) {
    for child in key.children.values() {
        let mut removal = removal.clone();
        removal.path.push(child.name.clone());
        if child.is_volatile {
            records.push(removal);
        } else {
            delete_volatile(records, &removal, child);
        }
    }
}

/// Gives keys of a tree that was read again the ids that open handles know.
fn keep_ids(new: &mut Node, old: &Node) {
    new.id = old.id;
    for (name, child) in &mut new.children {
        if let Some(old) = old.children.get(name) {
            keep_ids(child, old);
        }
    }
}

/// Lists the changes of keys that stay which make `new` of `old`.
fn differences(records: &mut Vec<Record>, path: &mut tree::Path, old: Option<&Node>, new: &Node) {
    let mut push = |path: &tree::Path, time_100ns, change| {
        records.push(Record {
            path: path.clone(),
            time_100ns,
            change,
        });
    };
    if old.is_none() {
        let class = new.class.clone();
        let is_volatile = false;
        push(
            path,
            new.last_write_100ns,
            Change::CreateKey { class, is_volatile },
        );
    }
    for value in old.iter().flat_map(|old| &old.values) {
        if new.value(&value.name).is_none() {
            push(
                path,
                new.last_write_100ns,
                Change::DeleteValue(value.name.clone()),
            );
        }
    }
    for value in &new.values {
        if old.and_then(|old| old.value(&value.name)) != Some(value) {
            push(path, new.last_write_100ns, Change::SetValue(value.clone()));
        }
    }
    for (name, child) in old.iter().flat_map(|old| &old.children) {
        if !child.is_volatile && !new.children.contains_key(name) {
            path.push(child.name.clone());
            push(path, new.last_write_100ns, Change::DeleteKey);
            path.pop();
        }
    }
    for child in new.children.values().filter(|child| !child.is_volatile) {
        path.push(child.name.clone());
        let old = old.and_then(|old| old.children.get(&folded(&child.name)));
        differences(records, path, old, child);
        path.pop();
    }
}
