//! Where the server of a prefix is found.

use core::fmt;
use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// One name space with one server: the directory that names it and the files its processes meet at.
///
/// The directory is `$LPC_PREFIX`, else `$WINEPREFIX`, else `~/.wine`; it need not exist. The files lie in
/// `$XDG_RUNTIME_DIR/ntlpc`, else `/tmp/ntlpc-<uid>`, and are named by a hash of the directory's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    directory: PathBuf,
    runtime: PathBuf,
    stem: String,
}

impl Prefix {
    /// Takes the prefix from the environment of this process.
    pub fn from_environment() -> Result<Prefix, PrefixError> {
        let directory = ["LPC_PREFIX", "WINEPREFIX"]
            .iter()
            .find_map(|name| set(name))
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".wine")))
            .ok_or(PrefixError::NoPrefix)?;
        let runtime = match set("XDG_RUNTIME_DIR") {
            Some(base) => Path::new(&base).join("ntlpc"),
            None => PathBuf::from(format!(
                "/tmp/ntlpc-{}",
                rustix::process::geteuid().as_raw()
            )),
        };
        Prefix::new(&directory, runtime)
    }

    /// Describes the prefix `directory` whose files lie in `runtime`.
    pub fn new(directory: &Path, runtime: PathBuf) -> Result<Prefix, PrefixError> {
        let directory = std::path::absolute(directory)
            .map_err(|error| PrefixError::Unusable(directory.to_path_buf(), error))?;
        let directory = resolve(&directory);
        let stem = format!("{:016x}", fnv1a(directory.as_os_str().as_bytes()));
        Ok(Prefix {
            directory,
            runtime,
            stem,
        })
    }

    /// Returns the directory that names the prefix.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the path of the server's socket.
    #[must_use]
    pub fn socket_path(&self) -> PathBuf {
        self.file("sock")
    }

    /// Returns the path of the file whose lock its server holds while it starts and runs.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        self.file("lock")
    }

    /// Returns the path of the file that serialises starting a server.
    #[must_use]
    pub fn start_lock_path(&self) -> PathBuf {
        self.file("start")
    }

    /// Returns the path of the journal of volatile registry keys, whose lock guards the registry of the prefix.
    #[must_use]
    pub fn volatile_registry_path(&self) -> PathBuf {
        self.file("reg")
    }

    /// Returns the path of the log of a server in the background.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.file("log")
    }

    /// Makes the directory of the files, or checks that it is this user's and nobody else's.
    pub fn prepare(&self) -> Result<(), PrefixError> {
        let path = &self.runtime;
        let made = DirBuilder::new().mode(0o700).create(path);
        if let Err(error) = made
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(PrefixError::Unusable(path.clone(), error));
        }
        let metadata = fs::symlink_metadata(path)
            .map_err(|error| PrefixError::Unusable(path.clone(), error))?;
        check_owner(path, &metadata)?;
        if !metadata.is_dir() {
            return Err(PrefixError::Unusable(
                path.clone(),
                io::Error::from(io::ErrorKind::NotADirectory),
            ));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(PrefixError::TooOpen(path.clone(), metadata.mode() & 0o777));
        }
        Ok(())
    }

    /// Checks that the socket, if it exists, is a socket of this user.
    pub fn check_socket(&self) -> Result<(), PrefixError> {
        let path = self.socket_path();
        match fs::symlink_metadata(&path) {
            Ok(metadata) => {
                check_owner(&path, &metadata)?;
                if metadata.file_type().is_socket() {
                    Ok(())
                } else {
                    Err(PrefixError::NotASocket(path))
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(PrefixError::Unusable(path, error)),
        }
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.runtime.join(format!("{}.{extension}", self.stem))
    }
}

/// Why the files of a prefix cannot be used.
#[derive(Debug)]
pub enum PrefixError {
    /// No variable names a prefix.
    NoPrefix,
    /// A file or directory cannot be made or looked at.
    Unusable(PathBuf, io::Error),
    /// A file or directory belongs to another user.
    OtherOwner(PathBuf, u32),
    /// The directory can be entered by others.
    TooOpen(PathBuf, u32),
    /// Something else lies where the socket should be.
    NotASocket(PathBuf),
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrefixError::NoPrefix => {
                f.write_str("no prefix: set LPC_PREFIX, WINEPREFIX or HOME to a directory")
            }
            PrefixError::Unusable(path, error) => write!(
                f,
                "cannot use {}: {error}; make it usable, or set XDG_RUNTIME_DIR to a writable directory",
                path.display()
            ),
            PrefixError::OtherOwner(path, uid) => write!(
                f,
                "{} belongs to user {uid}; remove it as that user, or set XDG_RUNTIME_DIR to a directory of your own",
                path.display()
            ),
            PrefixError::TooOpen(path, mode) => write!(
                f,
                "{} is open to other users (mode {mode:03o}); run: chmod 700 '{}'",
                path.display(),
                path.display()
            ),
            PrefixError::NotASocket(path) => {
                write!(
                    f,
                    "{} is in the way and not a socket; remove it",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for PrefixError {}

fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), PrefixError> {
    if metadata.uid() == rustix::process::geteuid().as_raw() {
        Ok(())
    } else {
        Err(PrefixError::OtherOwner(path.to_path_buf(), metadata.uid()))
    }
}

/// Resolves the links of the part of `path` that exists, so that one directory has one name before and after it is made.
fn resolve(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(real) = fs::canonicalize(ancestor) {
            let rest = path.strip_prefix(ancestor).unwrap_or(Path::new(""));
            return if rest.as_os_str().is_empty() {
                real
            } else {
                real.join(rest)
            };
        }
    }
    path.to_path_buf()
}

/// FNV-1a, 64 bit: stable across builds, unlike the standard library's hasher.
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn prefix_behind_a_link_is_the_directory_it_points_to() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let link = dir.path().join("link");
        symlink(dir.path(), &link).expect("a link");

        let direct = Prefix::new(&dir.path().join("a/b"), dir.path().into()).expect("a prefix");
        let through = Prefix::new(&link.join("a/b"), dir.path().into()).expect("a prefix");

        assert_eq!(direct.socket_path(), through.socket_path());
    }

    #[test]
    fn prefix_keeps_its_socket_when_its_directory_is_made() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("later");
        let before = Prefix::new(&path, dir.path().into()).expect("a prefix");
        fs::create_dir(&path).expect("a directory");

        assert_eq!(
            before,
            Prefix::new(&path, dir.path().into()).expect("a prefix")
        );
    }

    #[test]
    fn directory_open_to_others_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");

        let prefix = Prefix::new(dir.path(), dir.path().into()).expect("a prefix");

        assert!(matches!(
            prefix.prepare(),
            Err(PrefixError::TooOpen(_, 0o755))
        ));
    }

    #[test]
    fn file_in_place_of_the_socket_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let prefix = Prefix::new(dir.path(), dir.path().into()).expect("a prefix");
        fs::write(prefix.socket_path(), b"").expect("a file");

        assert!(matches!(
            prefix.check_socket(),
            Err(PrefixError::NotASocket(_))
        ));
    }

    #[test]
    fn unwritable_parent_is_named() {
        let prefix =
            Prefix::new(Path::new("/"), PathBuf::from("/proc/none/ntlpc")).expect("a prefix");

        let error = prefix
            .prepare()
            .expect_err("nobody can make a directory in /proc");

        assert!(error.to_string().contains("/proc/none/ntlpc"), "{error}");
    }
}
