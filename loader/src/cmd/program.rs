//! Programs: finding them by `PATH` and `PATHEXT`, starting them, waiting for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ntlpc_abi::{Handle, NtStatus};

use super::shell::Shell;
use super::streams;
use crate::ob::group::Group;
use crate::ob::object::Object;
use crate::ob::path::{self, Target};
use crate::ob::spawn::{self, NewProcess};
use crate::ob::table::{INHERIT, TABLE};
use crate::ob::wait::{self, WaitKind};
use crate::process::environment;

/// What `PATHEXT` is where it is not set.
const EXTENSIONS: &str = ".COM;.EXE;.BAT;.CMD";

/// Finds a program: as named, then with each extension, in the current directory and along `PATH`.
#[must_use]
pub fn find(shell: &Shell, name: &str) -> Option<PathBuf> {
    let extensions = shell
        .get("PATHEXT")
        .unwrap_or_else(|| EXTENSIONS.to_owned());
    let leaf = name.rsplit(['\\', '/']).next().unwrap_or(name);
    let mut names = Vec::new();
    if leaf.contains('.') {
        names.push(name.to_owned());
    }
    let extensions = extensions.split(';').filter(|text| !text.is_empty());
    names.extend(extensions.map(|extension| format!("{name}{}", extension.to_lowercase())));
    let mut folders = vec![shell.directory.clone()];
    if !name.contains(['\\', '/', ':']) {
        let search = shell.get("PATH").unwrap_or_default();
        let parts = search
            .split(';')
            .map(|part| part.trim_matches('"').to_owned());
        folders.extend(parts.filter(|part| !part.is_empty()));
    }
    folders.iter().find_map(|folder| {
        let start = format!("{}\\", folder.trim_end_matches('\\'));
        names
            .iter()
            .find_map(|name| match path::resolve(name, &start) {
                Ok(Target::File(file))
                    if file.is_file() || crate::ob::shell::is_built_in(&file) =>
                {
                    Some(file)
                }
                _ => None,
            })
    })
}

/// Runs a program with the shell's streams and waits for its end; returns its exit code.
pub fn run(shell: &Shell, image: &Path, command_line: &str) -> Result<u32, NtStatus> {
    let mut handles = spawn::inherited(None);
    let mut standard = [Handle::NULL; 3];
    for (place, stream) in standard.iter_mut().zip(&shell.streams) {
        if let Some(file) = stream {
            *place = streams::handle(file)?;
            let mut entry = TABLE.entry(*place)?;
            entry.attributes |= INHERIT;
            handles.push((*place, entry));
        }
    }
    let Ok(Target::File(directory)) = path::resolve(&shell.directory, &shell.directory) else {
        return Err(NtStatus::OBJECT_PATH_NOT_FOUND);
    };
    let started = spawn::spawn(&NewProcess {
        image: image.to_owned(),
        command_line: command_line.to_owned(),
        environment: environment::to_unix(&shell.environment_block()),
        directory: Some(directory),
        standard,
        runtime_data: Vec::new(),
        handles,
        breaks_away: false,
        is_suspended: false,
        group: Group::Same,
    });
    for handle in standard
        .into_iter()
        .filter(|&handle| handle != Handle::NULL)
    {
        TABLE.close(handle)?;
    }
    let (process, _) = started?;
    let object: Arc<dyn Object> = process.clone();
    wait::wait(&[object], WaitKind::Any, false, None);
    Ok(process.exit_code())
}
