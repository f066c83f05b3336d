//! Opening and creating files: what `NtCreateFile` does, in Linux terms.
//!
//! Source: Microsoft Learn `NtCreateFile`, `CreateFile`. Sharing modes are not enforced: Linux programs, which share the
//! files, know none.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use ntlpc_abi::NtStatus;
use rustix::fs::{Mode, OFlags, open};

use super::file::{File, rights, status_of};
use super::path::Target;
use super::volume;

/// `FILE_*` dispositions of `NtCreateFile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Replace or create.
    Supersede = 0,
    /// Open only.
    Open = 1,
    /// Create only.
    Create = 2,
    /// Open or create.
    OpenIf = 3,
    /// Open and empty.
    Overwrite = 4,
    /// Open and empty, or create.
    OverwriteIf = 5,
}

impl Disposition {
    /// Reads the number of a disposition.
    pub fn from_raw(value: u32) -> Result<Self, NtStatus> {
        use Disposition::*;
        [Supersede, Open, Create, OpenIf, Overwrite, OverwriteIf]
            .into_iter()
            .find(|d| *d as u32 == value)
            .ok_or(NtStatus::INVALID_PARAMETER)
    }
}

/// `FILE_*` options of `NtCreateFile`.
pub mod option {
    /// `FILE_DIRECTORY_FILE`.
    pub const DIRECTORY: u32 = 0x1;
    /// `FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT`.
    pub const SYNCHRONOUS: u32 = 0x30;
    /// `FILE_NON_DIRECTORY_FILE`.
    pub const NON_DIRECTORY: u32 = 0x40;
    /// `FILE_DELETE_ON_CLOSE`.
    pub const DELETE_ON_CLOSE: u32 = 0x1000;
    /// `FILE_OPEN_REPARSE_POINT`.
    pub const OPEN_REPARSE_POINT: u32 = 0x20_0000;
}

/// What happened to the file, `IO_STATUS_BLOCK.Information`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `FILE_OPENED`.
    Opened = 1,
    /// `FILE_CREATED`.
    Created = 2,
    /// `FILE_OVERWRITTEN`.
    Overwritten = 3,
}

/// How to open.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Rights, generic ones mapped.
    pub access: u32,
    /// What to do if it exists or not.
    pub disposition: Disposition,
    /// `FILE_*` options.
    pub options: u32,
    /// `FILE_ATTRIBUTE_*` for a new file.
    pub attributes: u32,
}

fn flags_of(access: u32) -> OFlags {
    let writes = access & (rights::WRITE_DATA | rights::APPEND_DATA) != 0;
    // FILE_EXECUTE lets a program be mapped, which needs reading.
    let reads = access & (rights::READ_DATA | 0x20) != 0;
    let appends = access & (rights::WRITE_DATA | rights::APPEND_DATA) == rights::APPEND_DATA;
    let mode = match (reads, writes) {
        (_, false) => OFlags::RDONLY,
        (false, true) => OFlags::WRONLY,
        (true, true) => OFlags::RDWR,
    };
    mode | if appends {
        OFlags::APPEND
    } else {
        OFlags::empty()
    }
}

/// Opens or creates what a path names.
pub fn open_target(target: &Target, how: How) -> Result<(File, Outcome), NtStatus> {
    let is_overlapped = how.options & option::SYNCHRONOUS == 0;
    let device = |path: &str, name: &str| {
        let flags = flags_of(how.access) & !OFlags::APPEND | OFlags::CLOEXEC;
        let fd = open(path, flags, Mode::empty()).map_err(|error| status_of(&error.into()))?;
        let file = File::new(fd, PathBuf::from(name), is_overlapped);
        Ok((file, Outcome::Opened))
    };
    match target {
        Target::Null => device("/dev/null", ""),
        Target::Console => device("/dev/tty", ""),
        Target::MountManager => device("/dev/null", volume::MOUNT_MANAGER),
        Target::Pipe(_) => Err(NtStatus::OBJECT_NAME_NOT_FOUND),
        Target::File(path) => open_file(path, how, is_overlapped),
    }
}

fn open_file(path: &Path, how: How, is_overlapped: bool) -> Result<(File, Outcome), NtStatus> {
    let metadata = if how.options & option::OPEN_REPARSE_POINT != 0 {
        path.symlink_metadata()
    } else {
        path.metadata()
    };
    let existing = match &metadata {
        Ok(found) => Some(found),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(status_of(error)),
    };
    if existing.is_none() && !path.parent().is_none_or(Path::is_dir) {
        return Err(NtStatus::OBJECT_PATH_NOT_FOUND);
    }
    let is_directory = existing.map_or(
        how.options & option::DIRECTORY != 0,
        std::fs::Metadata::is_dir,
    );
    let outcome = match (how.disposition, existing.is_some()) {
        (Disposition::Create, true) => return Err(NtStatus::OBJECT_NAME_COLLISION),
        (Disposition::Open | Disposition::Overwrite, false) => {
            return Err(NtStatus::OBJECT_NAME_NOT_FOUND);
        }
        (Disposition::Open | Disposition::OpenIf, true) => Outcome::Opened,
        (_, true) => Outcome::Overwritten,
        (_, false) => Outcome::Created,
    };
    if is_directory && how.options & option::NON_DIRECTORY != 0 {
        return Err(NtStatus::FILE_IS_A_DIRECTORY);
    }
    if !is_directory && existing.is_some() && how.options & option::DIRECTORY != 0 {
        return Err(NtStatus::NOT_A_DIRECTORY);
    }
    let is_link = outcome == Outcome::Opened && existing.is_some_and(std::fs::Metadata::is_symlink);
    let fd = if is_link {
        // The link itself: nothing can be read or written through it.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        open(path, flags, Mode::empty()).map_err(|error| status_of(&error.into()))?
    } else if is_directory {
        open_directory(path, outcome)?
    } else {
        let creates = match outcome {
            Outcome::Created => OFlags::CREATE | OFlags::EXCL,
            Outcome::Overwritten => OFlags::TRUNC,
            Outcome::Opened => OFlags::empty(),
        };
        // Emptying needs a descriptor that writes, whatever rights the handle has.
        let mut flags = flags_of(how.access) | creates | OFlags::CLOEXEC | OFlags::NOCTTY;
        if outcome == Outcome::Overwritten && flags & OFlags::RWMODE == OFlags::RDONLY {
            flags |= OFlags::RDWR;
        }
        // FILE_ATTRIBUTE_READONLY
        let mode = if how.attributes & 1 != 0 {
            0o444
        } else {
            0o666
        };
        open(path, flags, Mode::from_raw_mode(mode)).map_err(|error| status_of(&error.into()))?
    };
    let file = File::new(fd, path.to_owned(), is_overlapped);
    file.is_delete_on_close.store(
        how.options & option::DELETE_ON_CLOSE != 0,
        Ordering::Release,
    );
    Ok((file, outcome))
}

fn open_directory(path: &Path, outcome: Outcome) -> Result<OwnedFd, NtStatus> {
    if outcome == Outcome::Created {
        std::fs::create_dir(path).map_err(|error| status_of(&error))?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).map_err(|error| status_of(&error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(disposition: Disposition, options: u32) -> How {
        How {
            access: rights::READ_DATA | rights::WRITE_DATA,
            disposition,
            options,
            attributes: 0,
        }
    }

    #[test]
    fn dispositions_decide() {
        let path = std::env::temp_dir().join(format!("ntlpc-open-{}", std::process::id()));
        let target = Target::File(path.clone());
        let run = |disposition, options| {
            open_target(&target, how(disposition, options)).map(|(_, outcome)| outcome)
        };
        assert_eq!(
            run(Disposition::Open, 0),
            Err(NtStatus::OBJECT_NAME_NOT_FOUND)
        );
        assert_eq!(run(Disposition::OpenIf, 0), Ok(Outcome::Created));
        assert_eq!(
            run(Disposition::Create, 0),
            Err(NtStatus::OBJECT_NAME_COLLISION)
        );
        assert_eq!(run(Disposition::OverwriteIf, 0), Ok(Outcome::Overwritten));
        assert_eq!(
            run(Disposition::Open, option::DIRECTORY),
            Err(NtStatus::NOT_A_DIRECTORY)
        );
        let (file, _) =
            open_target(&target, how(Disposition::Open, option::DELETE_ON_CLOSE)).expect("open");
        crate::ob::object::Object::last_handle_closed(&file);
        assert!(!path.exists());
    }

    #[test]
    fn a_missing_directory_is_a_missing_path() {
        let target = Target::File("/nonexistent-ntlpc/x".into());
        let result = open_target(&target, how(Disposition::Open, 0)).map(|(_, outcome)| outcome);
        assert_eq!(result, Err(NtStatus::OBJECT_PATH_NOT_FOUND));
    }
}
