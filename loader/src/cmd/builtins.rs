//! Commands of the shell itself. Source: Microsoft Learn "Windows commands".

use super::files;
use super::parse::bare;
use super::shell::{Shell, Stop};
use crate::ob::path::{self, Target};

/// Splits at blanks; what stands in quotes stays together, quotes kept.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut is_quoted = false;
    for c in text.chars() {
        is_quoted ^= c == '"';
        if !is_quoted && matches!(c, ' ' | '\t' | ',' | ';' | '=') {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Splits a command into its name and the rest, which may touch it: `cd..`, `echo.`, `dir/b`.
#[must_use]
pub fn name_of(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = match text.strip_prefix('"') {
        Some(rest) => rest.find('"').map(|at| at + 2),
        None => text.find([' ', '\t', ',', ';', '=']),
    };
    text.split_at(end.unwrap_or(text.len()))
}

/// Runs a command of the shell; `None` if it has none of that name.
///
/// The command's code; `None` for success that leaves `errorlevel` alone.
pub fn run(shell: &mut Shell, text: &str) -> Option<Result<Option<i32>, Stop>> {
    let text = text.trim_start();
    let end = text
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let touches = rest.starts_with(['.', '/', '\\', '(', ':', '+', '[', ']', ',', ';', '=']);
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) && !touches {
        return None;
    }
    let name = name.to_ascii_lowercase();
    // `dir\program` is a program.
    if touches
        && rest.starts_with(['\\', '.', ':'])
        && !matches!(name.as_str(), "cd" | "chdir" | "echo")
    {
        return None;
    }
    let code = match name.as_str() {
        "echo" => echo(shell, rest),
        "set" => set(shell, rest),
        "cd" | "chdir" => change_directory(shell, rest),
        "pushd" => push_directory(shell, rest),
        "popd" => pop_directory(shell),
        "exit" => return Some(exit(shell, rest).map(Some)),
        "goto" => return Some(goto(shell, rest).map(Some)),
        "call" => return Some(shell.call(rest.trim()).map(Some)),
        "rem" | "title" | "color" | "cls" => 0,
        "setlocal" => {
            shell.save_variables();
            0
        }
        "endlocal" => {
            shell.restore_variables();
            0
        }
        "shift" => {
            shell.shift();
            0
        }
        "ver" => {
            let (major, minor, build) = crate::peb::VERSION;
            shell.say(&format!(
                "\r\nMicrosoft Windows [Version {major}.{minor}.{build}]\r\n"
            ));
            0
        }
        "md" | "mkdir" => files::make_directories(shell, rest),
        "rd" | "rmdir" => files::remove_directories(shell, rest),
        "del" | "erase" => files::delete(shell, rest),
        "type" => files::show(shell, rest),
        "copy" => files::copy(shell, rest),
        "move" => files::move_files(shell, rest),
        "ren" | "rename" => files::rename(shell, rest),
        _ => return None,
    };
    let keeps_level = matches!(
        name.as_str(),
        "echo" | "set" | "rem" | "title" | "color" | "cls" | "setlocal" | "endlocal" | "shift"
    );
    Some(Ok((code != 0 || !keeps_level).then_some(code)))
}

fn echo(shell: &mut Shell, rest: &str) -> i32 {
    let mut text = rest;
    if let Some(first) = rest.chars().next() {
        text = &rest[first.len_utf8()..];
    }
    let is_bare = rest.is_empty() || rest.starts_with([' ', '\t']);
    match text.trim().to_ascii_lowercase().as_str() {
        "on" if is_bare => shell.echoes = true,
        "off" if is_bare => shell.echoes = false,
        "" if is_bare => {
            let state = if shell.echoes { "on" } else { "off" };
            shell.say(&format!("ECHO is {state}.\r\n"));
        }
        _ => shell.say(&format!("{text}\r\n")),
    }
    0
}

fn set(shell: &mut Shell, rest: &str) -> i32 {
    let text = rest.trim_start();
    if text.get(..2).is_some_and(|option| {
        option.eq_ignore_ascii_case("/a") || option.eq_ignore_ascii_case("/p")
    }) {
        return shell.fail("cmd: set /a and set /p are not there");
    }
    // Quotes around the whole keep blanks at its end out of the value.
    let text = match text.strip_prefix('"') {
        Some(inside) => inside.rfind('"').map_or(inside, |at| &inside[..at]),
        None => text,
    };
    match text.split_once('=') {
        Some(("", _)) => shell.fail("The syntax of the command is incorrect."),
        Some((name, value)) => {
            shell.set(name, (!value.is_empty()).then(|| value.to_owned()));
            0
        }
        None => {
            let prefix = text.trim().to_lowercase();
            let list: String = shell
                .variables()
                .filter(|(name, _)| name.to_lowercase().starts_with(&prefix))
                .map(|(name, value)| format!("{name}={value}\r\n"))
                .collect();
            if list.is_empty() {
                let name = text.trim();
                return shell.fail(&format!("Environment variable {name} not defined"));
            }
            shell.say(&list);
            0
        }
    }
}

fn change_directory(shell: &mut Shell, rest: &str) -> i32 {
    let rest = rest.trim();
    let (changes_drive, name) = match rest.get(..2) {
        Some(option) if option.eq_ignore_ascii_case("/d") => (true, rest[2..].trim()),
        _ => (false, rest),
    };
    let name = bare(name);
    if name.is_empty() {
        shell.say(&format!("{}\r\n", shell.directory_name()));
        return 0;
    }
    let Ok(Target::File(found)) = path::resolve(&name, &shell.directory) else {
        return shell.fail("The system cannot find the path specified.");
    };
    if !found.is_dir() {
        return shell.fail("The system cannot find the path specified.");
    }
    let found = path::to_windows(&found);
    let drive = |path: &str| path.get(..2).unwrap_or_default().to_ascii_uppercase();
    // Without /d only the other drive's own directory changes, which nothing here looks at.
    if changes_drive || drive(&found) == drive(&shell.directory) {
        shell.enter(&found);
    }
    0
}

fn push_directory(shell: &mut Shell, rest: &str) -> i32 {
    let before = shell.directory.clone();
    let code = change_directory(shell, &format!("/d {}", rest.trim()));
    if code == 0 {
        shell.pushed.push(before);
    }
    code
}

fn pop_directory(shell: &mut Shell) -> i32 {
    match shell.pushed.pop() {
        Some(before) => {
            shell.enter(&before);
            0
        }
        None => 1,
    }
}

fn exit(shell: &Shell, rest: &str) -> Result<i32, Stop> {
    let words = words(rest);
    let ends_batch = words
        .first()
        .is_some_and(|word| word.eq_ignore_ascii_case("/b"));
    let number = words.get(usize::from(ends_batch));
    let code = number.map_or(shell.error_level, |word| word.parse().unwrap_or(0));
    let code = code.cast_unsigned();
    Err(if ends_batch && shell.is_in_batch() {
        Stop::EndBatch(code)
    } else {
        Stop::Exit(code)
    })
}

fn goto(shell: &Shell, rest: &str) -> Result<i32, Stop> {
    if !shell.is_in_batch() {
        return Ok(1);
    }
    let label = rest.trim().trim_start_matches(':');
    let label = label.split([' ', '\t', ':']).next().unwrap_or_default();
    if rest.trim().eq_ignore_ascii_case(":eof") {
        return Err(Stop::EndBatch(shell.error_level.cast_unsigned()));
    }
    Err(Stop::Goto(label.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_quoted_text_together() {
        assert_eq!(words(" a \"b c\"d,e "), ["a", "\"b c\"d", "e"]);
        assert_eq!(name_of(" \"a b\" c"), ("\"a b\"", " c"));
        assert_eq!(name_of("prog;x"), ("prog", ";x"));
    }
}
