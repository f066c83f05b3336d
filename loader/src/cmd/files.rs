//! Commands about files: `copy`, `del`, `md`, `rd`, `move`, `ren`, `type`.
//!
//! Source: Microsoft Learn "Windows commands".

use std::io;
use std::path::{Path, PathBuf};

use super::builtins::words;
use super::parse::bare;
use super::shell::Shell;
use super::streams;
use crate::ob::path::{self, Target};
use crate::ob::pattern::Pattern;

/// What the shell says of a command without what it needs.
const SYNTAX: &str = "The syntax of the command is incorrect.";
const NOT_FOUND: &str = "The system cannot find the file specified.";

/// Returns the files of a name or a pattern, sorted.
#[must_use]
pub fn named(shell: &Shell, name: &str) -> Vec<PathBuf> {
    let name = bare(name).replace('/', "\\");
    let (folder, leaf) = match name.rsplit_once('\\') {
        Some((folder, leaf)) => (format!("{folder}\\"), leaf),
        None => (shell.directory.clone(), name.as_str()),
    };
    if !leaf.contains(['*', '?']) {
        return match path::resolve(&name, &shell.directory) {
            Ok(Target::File(file)) if file.symlink_metadata().is_ok() => vec![file],
            // Devices are there in every directory.
            Ok(Target::Null) => vec!["/dev/null".into()],
            _ => Vec::new(),
        };
    }
    let Ok(Target::File(folder)) = path::resolve(&folder, &shell.directory) else {
        return Vec::new();
    };
    let pattern = Pattern::new(leaf);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| pattern.matches(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Returns where a file that may not exist lies.
fn place(shell: &Shell, name: &str) -> Option<PathBuf> {
    match path::resolve(&bare(name), &shell.directory) {
        Ok(Target::File(file)) => Some(file),
        Ok(Target::Null) => Some("/dev/null".into()),
        _ => None,
    }
}

/// Splits the words of a command into options, in lower case without their slash, and names.
fn options(text: &str) -> (Vec<String>, Vec<String>) {
    let (options, names): (Vec<String>, Vec<String>) = words(text)
        .into_iter()
        .partition(|word| word.starts_with('/'));
    let letters = options.iter().flat_map(|option| option.split('/'));
    let letters = letters.filter(|letter| !letter.is_empty());
    (letters.map(str::to_lowercase).collect(), names)
}

fn describe(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        io::ErrorKind::AlreadyExists => "A subdirectory or file already exists.",
        io::ErrorKind::DirectoryNotEmpty => "The directory is not empty.",
        io::ErrorKind::NotADirectory => "The directory name is invalid.",
        _ => "Access is denied.",
    }
}

/// `md`: makes directories with those above them.
pub fn make_directories(shell: &Shell, text: &str) -> i32 {
    let (_, names) = options(text);
    if names.is_empty() {
        return shell.fail(SYNTAX);
    }
    let mut code = 0;
    for name in names {
        let Some(place) = place(shell, &name) else {
            code = shell.fail("The system cannot find the path specified.");
            continue;
        };
        if place.symlink_metadata().is_ok() {
            let name = bare(&name);
            code = shell.fail(&format!("A subdirectory or file {name} already exists."));
        } else if let Err(error) = std::fs::create_dir_all(&place) {
            code = shell.fail(describe(&error));
        }
    }
    code
}

/// `rd`: removes directories, with `/s` and all in them.
pub fn remove_directories(shell: &Shell, text: &str) -> i32 {
    let (options, names) = options(text);
    if names.is_empty() {
        return shell.fail(SYNTAX);
    }
    let mut code = 0;
    for name in names {
        let removed = match place(shell, &name) {
            Some(place) if options.iter().any(|option| option == "s") => {
                std::fs::remove_dir_all(place)
            }
            Some(place) => std::fs::remove_dir(place),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        if let Err(error) = removed {
            code = shell.fail(describe(&error));
        }
    }
    code
}

/// `del`: removes files. Names without a file are reported, yet the command succeeds.
pub fn delete(shell: &Shell, text: &str) -> i32 {
    let (options, names) = options(text);
    if names.is_empty() {
        return shell.fail(SYNTAX);
    }
    let mut code = 0;
    for name in names {
        let mut found = named(shell, &name);
        // A directory stands for the files in it.
        if let [only] = found.as_slice()
            && only.is_dir()
        {
            found = named(shell, &format!("{}\\*", bare(&name)));
        }
        found.retain(|file| !file.is_dir());
        if found.is_empty() && !options.iter().any(|option| option == "q") {
            let full = path::full(&bare(&name), &shell.directory);
            shell.complain(&format!("Could Not Find {full}"));
        }
        for file in found {
            if let Err(error) = std::fs::remove_file(&file) {
                shell.complain(&path::to_windows(&file));
                code = shell.fail(describe(&error));
            }
        }
    }
    code
}

/// `type`: writes files to the output; with several names each has a title on the error output.
pub fn show(shell: &Shell, text: &str) -> i32 {
    let (_, names) = options(text);
    if names.is_empty() {
        return shell.fail(SYNTAX);
    }
    let mut code = 0;
    let is_titled = names.len() > 1 || names[0].contains(['*', '?']);
    for name in names {
        let found = named(shell, &name);
        if found.is_empty() {
            code = shell.fail(NOT_FOUND);
        }
        for file in found {
            if is_titled {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                shell.complain(&format!("\r\n{name}\r\n\r\n"));
            }
            match std::fs::read(&file) {
                Ok(bytes) => streams::write(shell.streams[1].as_ref(), &bytes),
                Err(error) => code = shell.fail(describe(&error)),
            }
        }
    }
    code
}

/// Where a source goes: into a directory under its own name, else to the file of that name.
fn destination(source: &Path, target: &Path) -> PathBuf {
    if target.is_dir() {
        target.join(source.file_name().unwrap_or_default())
    } else {
        target.to_owned()
    }
}

/// `copy`: copies files, or joins those with `+` between them.
pub fn copy(shell: &Shell, text: &str) -> i32 {
    let spaced = text.replace('+', " + ");
    let (_, mut names) = options(&spaced);
    let is_joined = names.iter().any(|name| name == "+");
    names.retain(|name| name != "+");
    if names.is_empty() || is_joined && names.len() < 2 {
        return shell.fail(SYNTAX);
    }
    let target = if names.len() > 1 {
        names.pop().unwrap_or_default()
    } else {
        ".".to_owned()
    };
    let Some(target) = place(shell, &target) else {
        return shell.fail("The system cannot find the path specified.");
    };
    let mut sources = Vec::new();
    for name in &names {
        let mut found = named(shell, name);
        if let [only] = found.as_slice()
            && only.is_dir()
        {
            found = named(shell, &format!("{}\\*", bare(name)));
        }
        found.retain(|file| !file.is_dir());
        if found.is_empty() {
            shell.say("        0 file(s) copied.\r\n");
            return shell.fail(NOT_FOUND);
        }
        sources.extend(found);
    }
    let done = if is_joined {
        let all: io::Result<Vec<Vec<u8>>> = sources.iter().map(std::fs::read).collect();
        all.and_then(|all| std::fs::write(&target, all.concat()))
            .map(|()| 1)
    } else {
        copy_all(&sources, &target)
    };
    match done {
        Ok(count) => {
            shell.say(&format!("        {count} file(s) copied.\r\n"));
            0
        }
        Err(error) => shell.fail(describe(&error)),
    }
}

fn copy_all(sources: &[PathBuf], target: &Path) -> io::Result<usize> {
    for source in sources {
        let to = destination(source, target);
        // A null device as source gives an empty file; copying its mode would give a device's.
        if source.is_file() {
            std::fs::copy(source, to)?;
        } else {
            std::fs::write(to, std::fs::read(source)?)?;
        }
    }
    Ok(sources.len())
}

/// `move`: renames files or directories, or moves them into a directory.
pub fn move_files(shell: &Shell, text: &str) -> i32 {
    let (_, names) = options(text);
    let [from, to] = names.as_slice() else {
        return shell.fail(SYNTAX);
    };
    let sources = named(shell, from);
    let Some(target) = place(shell, to) else {
        return shell.fail("The system cannot find the path specified.");
    };
    if sources.is_empty() {
        return shell.fail(NOT_FOUND);
    }
    for source in &sources {
        let to = destination(source, &target);
        let moved = match std::fs::rename(source, &to) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                std::fs::copy(source, &to).and_then(|_| std::fs::remove_file(source))
            }
            moved => moved,
        };
        if let Err(error) = moved {
            return shell.fail(describe(&error));
        }
    }
    let (count, what) = match sources.as_slice() {
        [only] if target.join(only.file_name().unwrap_or_default()).is_dir() => (1, "dir"),
        all => (all.len(), "file"),
    };
    shell.say(&format!("        {count} {what}(s) moved.\r\n"));
    0
}

/// `ren`: gives a file another name in its directory.
pub fn rename(shell: &Shell, text: &str) -> i32 {
    let (_, names) = options(text);
    let [from, to] = names.as_slice() else {
        return shell.fail(SYNTAX);
    };
    if bare(to).contains(['\\', '/', ':', '*', '?']) {
        return shell.fail(SYNTAX);
    }
    let sources = named(shell, from);
    let [source] = sources.as_slice() else {
        return shell.fail(NOT_FOUND);
    };
    let target = source.with_file_name(bare(to));
    if target.symlink_metadata().is_ok() {
        return shell.fail("A duplicate file name exists, or the file\r\ncannot be found.");
    }
    match std::fs::rename(source, target) {
        Ok(()) => 0,
        Err(error) => shell.fail(describe(&error)),
    }
}
