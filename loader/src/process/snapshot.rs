//! Snapshots of Toolhelp: lists that are read one entry at a time.

use parking_lot::Mutex;

use crate::module;
use crate::ob::object::{Header, Object, ObjectType};
use crate::ob::{process, thread};

/// Windows shows snapshots as sections.
static SNAPSHOT_TYPE: ObjectType = ObjectType {
    name: "Section",
    generic: [0x2_0005, 0x2_0002, 0x2_0008, 0xF_001F],
};

/// A module as it was.
#[derive(Clone, Debug)]
pub struct ModuleEntry {
    /// File name.
    pub name: String,
    /// Windows path.
    pub path: String,
    /// Where it lies.
    pub base: u64,
    /// Bytes.
    pub size: u32,
}

/// A process as it was.
#[derive(Clone, Debug)]
pub struct ProcessEntry {
    /// Id.
    pub pid: u32,
    /// Id of the parent.
    pub parent: u32,
    /// Number of threads.
    pub threads: u32,
    /// File name of the program.
    pub name: String,
}

/// A list and how far it was read.
#[derive(Debug)]
struct Cursor<T> {
    entries: Vec<T>,
    next: usize,
}

impl<T: Clone> Cursor<T> {
    fn read(&mut self, restarts: bool) -> Option<T> {
        if restarts {
            self.next = 0;
        }
        let entry = self.entries.get(self.next).cloned()?;
        self.next += 1;
        Some(entry)
    }
}

/// A snapshot.
#[derive(Debug)]
pub struct Snapshot {
    header: Header,
    modules: Mutex<Cursor<ModuleEntry>>,
    processes: Mutex<Cursor<ProcessEntry>>,
    threads: Mutex<Cursor<u32>>,
}

/// What a snapshot shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts {
    /// Modules of this process.
    pub modules: bool,
    /// This process and those it has started or opened.
    pub processes: bool,
    /// Threads of this process.
    pub threads: bool,
}

fn describe(pid: u32) -> Option<ProcessEntry> {
    // `man 5 proc_pid_stat`: the fourth field is the parent, the twentieth the number of threads; the name in
    // parentheses may hold anything.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let program = super::image::argument(pid)?;
    let name = program.rsplit(['\\', '/']).next()?.to_owned();
    Some(ProcessEntry {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
        name,
    })
}

fn own_entry() -> ProcessEntry {
    let path = module::at(0).map_or_else(String::new, |module| module.path);
    let name = path.rsplit('\\').next().unwrap_or_default().to_owned();
    ProcessEntry {
        pid: std::process::id(),
        parent: std::os::unix::process::parent_id(),
        threads: u32::try_from(thread::all().len()).unwrap_or(1),
        name,
    }
}

impl Snapshot {
    /// Takes a snapshot.
    #[must_use]
    pub fn take(parts: Parts) -> Self {
        let list = |is_wanted: bool| if is_wanted { module::all() } else { Vec::new() };
        let modules = list(parts.modules).into_iter().map(|module| ModuleEntry {
            name: module.name,
            path: module.path,
            base: module.view.base,
            size: module.view.size,
        });
        let mut processes = Vec::new();
        if parts.processes {
            processes.push(own_entry());
            processes.extend(process::watched_ids().into_iter().filter_map(describe));
        }
        let threads = if parts.threads {
            thread::all()
        } else {
            Vec::new()
        };
        let ids = threads
            .iter()
            .map(|thread| thread.tid.load(std::sync::atomic::Ordering::Acquire));
        Snapshot {
            header: Header::default(),
            modules: cursor(modules.collect()),
            processes: cursor(processes),
            threads: cursor(ids.filter(|tid| *tid != 0).collect()),
        }
    }

    /// Reads the first or next module.
    pub fn module(&self, restarts: bool) -> Option<ModuleEntry> {
        self.modules.lock().read(restarts)
    }

    /// Reads the first or next process.
    pub fn process(&self, restarts: bool) -> Option<ProcessEntry> {
        self.processes.lock().read(restarts)
    }

    /// Reads the id of the first or next thread.
    pub fn thread(&self, restarts: bool) -> Option<u32> {
        self.threads.lock().read(restarts)
    }
}

fn cursor<T>(entries: Vec<T>) -> Mutex<Cursor<T>> {
    Mutex::new(Cursor { entries, next: 0 })
}

impl Object for Snapshot {
    fn object_type(&self) -> &'static ObjectType {
        &SNAPSHOT_TYPE
    }
    fn header(&self) -> &Header {
        &self.header
    }
}
