//! A file of changes, appended to by every process of a prefix under one lock and read by each from where it stopped.
//!
//! Header: magic, then a number of the session; a file of another session is as good as empty. Then records: length of
//! the bytes (u32), low half of their FNV-1a (u32), bytes. Little-endian. What a writer that died left behind ends the file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use ntlpc_proto::fnv1a;

use super::change::Record;

const MAGIC: [u8; 8] = *b"NTLPCRG1";
const HEADER_BYTES: u64 = 16;
const RECORD_HEADER_BYTES: usize = 8;
/// From this size on a journal is written anew when it has doubled.
const COMPACT_BYTES: u64 = 1 << 18;

/// One journal as this process knows it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    session: u64,
    file: Option<File>,
    /// Where the records this process knows end; 0 before the header was seen.
    end: u64,
    compact_at: u64,
}

/// What a look at a journal found.
#[derive(Debug)]
pub enum News {
    /// Records after those known.
    More(Vec<Record>),
    /// Another file is in its place: everything has to be read from the start.
    Replaced,
}

fn checksum(bytes: &[u8]) -> u32 {
    fnv1a(bytes) as u32
}

impl Journal {
    /// Describes the journal at a path. The session tells whether what it holds still counts.
    #[must_use]
    pub const fn new(path: PathBuf, session: u64) -> Journal {
        Journal {
            path,
            session,
            file: None,
            end: 0,
            compact_at: COMPACT_BYTES,
        }
    }

    /// Forgets what was read.
    pub fn rewind(&mut self) {
        self.file = None;
        self.end = 0;
    }

    /// Reads the records this process does not know. The caller holds the lock.
    pub fn news(&mut self) -> io::Result<News> {
        let current = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.end == 0 => {
                return Ok(News::More(Vec::new()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(News::Replaced),
            Err(error) => return Err(error),
        };
        if let Some(file) = &self.file {
            let ours = file.metadata()?;
            let is_other = (ours.dev(), ours.ino()) != (current.dev(), current.ino());
            if is_other || current.len() < self.end {
                return Ok(News::Replaced);
            }
        }
        if current.len() <= self.end {
            return Ok(News::More(Vec::new()));
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().read(true).write(true).open(&self.path)?,
        };
        let bytes = read_from(&file, self.end, current.len())?;
        self.file = Some(file);
        let mut rest = bytes.as_slice();
        if self.end == 0 {
            let Some((header, records)) = rest.split_first_chunk::<16>() else {
                return Ok(News::More(Vec::new()));
            };
            if header[..8] != MAGIC {
                return Err(io::Error::other("not a registry journal"));
            }
            if header[8..] != self.session.to_le_bytes() {
                return Ok(News::More(Vec::new()));
            }
            rest = records;
            self.end = HEADER_BYTES;
        }
        let mut records = Vec::new();
        while let Some((record, bytes, after)) = next(rest) {
            self.end += (RECORD_HEADER_BYTES + bytes) as u64;
            records.push(record);
            rest = after;
        }
        Ok(News::More(records))
    }

    /// Appends records. The caller holds the lock alone and has read the news.
    pub fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut bytes = if self.end == 0 {
            self.header()
        } else {
            Vec::new()
        };
        put(&mut bytes, records);
        let file = match &self.file {
            Some(file) => file,
            None => {
                if let Some(folder) = self.path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                self.file.insert(create(&self.path)?)
            }
        };
        file.set_len(self.end)?;
        file.write_all_at(&bytes, self.end)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Returns whether the journal has grown enough to be written anew.
    #[must_use]
    pub const fn wants_compaction(&self) -> bool {
        self.end > self.compact_at
    }

    /// Replaces the journal by one of these records. The caller holds the lock alone.
    pub fn replace(&mut self, records: &[Record]) -> io::Result<()> {
        let mut bytes = self.header();
        put(&mut bytes, records);
        let mut fresh = self.path.clone().into_os_string();
        fresh.push(".new");
        let file = create(PathBuf::from(&fresh).as_path())?;
        file.set_len(0)?;
        file.write_all_at(&bytes, 0)?;
        file.sync_data()?;
        std::fs::rename(&fresh, &self.path)?;
        self.file = Some(file);
        self.end = bytes.len() as u64;
        self.compact_at = COMPACT_BYTES.max(self.end * 2);
        Ok(())
    }

    /// Waits until what was appended is on the disk.
    pub fn flush(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    fn header(&self) -> Vec<u8> {
        [MAGIC, self.session.to_le_bytes()].concat()
    }
}

fn create(path: &std::path::Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).open(path)
}

fn read_from(file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(end - start).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

fn put(bytes: &mut Vec<u8>, records: &[Record]) {
    for record in records {
        let record = record.to_bytes();
        bytes.extend(
            u32::try_from(record.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        bytes.extend(checksum(&record).to_le_bytes());
        bytes.extend(record);
    }
}

/// The first record, how many bytes it takes, and what follows.
fn next(rest: &[u8]) -> Option<(Record, usize, &[u8])> {
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let len = u32::from_le_bytes(*len) as usize;
    let (bytes, rest) = rest.split_at_checked(len)?;
    if checksum(bytes).to_le_bytes() != *sum {
        return None;
    }
    Some((Record::from_bytes(bytes)?, len, rest))
}

#[cfg(test)]
mod tests {
    use super::super::change::Change;
    use super::*;

    fn record(name: &str) -> Record {
        Record {
            path: vec![name.encode_utf16().collect()],
            time_100ns: 1,
            change: Change::DeleteKey,
        }
    }

    fn more(journal: &mut Journal) -> Vec<Record> {
        match journal.news().expect("news") {
            News::More(records) => records,
            News::Replaced => panic!("replaced"),
        }
    }

    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ntlpc-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    #[test]
    fn processes_see_each_others_records_once() {
        let path = path("journal");
        let (mut first, mut second) =
            (Journal::new(path.clone(), 7), Journal::new(path.clone(), 7));
        first.append(&[record("a")]).expect("append");
        assert_eq!(more(&mut second), [record("a")]);
        second.append(&[record("b")]).expect("append");
        assert_eq!(more(&mut first), [record("b")]);
        assert!(more(&mut first).is_empty() && more(&mut second).is_empty());
        first.replace(&[record("c")]).expect("replace");
        assert!(matches!(second.news(), Ok(News::Replaced)));
        second.rewind();
        assert_eq!(more(&mut second), [record("c")]);
        assert!(more(&mut Journal::new(path.clone(), 8)).is_empty());
        std::fs::remove_file(path).expect("remove");
    }

    #[test]
    fn half_a_record_at_the_end_is_written_over() {
        let path = path("torn");
        let mut journal = Journal::new(path.clone(), 0);
        journal
            .append(&[record("a"), record("bc")])
            .expect("append");
        let file = OpenOptions::new().write(true).open(&path).expect("open");
        file.set_len(file.metadata().expect("size").len() - 1)
            .expect("cut");
        let mut journal = Journal::new(path.clone(), 0);
        assert_eq!(more(&mut journal), [record("a")]);
        journal.append(&[record("d")]).expect("append");
        assert_eq!(
            more(&mut Journal::new(path.clone(), 0)),
            [record("a"), record("d")]
        );
        std::fs::remove_file(path).expect("remove");
    }
}
