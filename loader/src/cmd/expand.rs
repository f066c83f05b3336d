//! `%NAME%`, `%NAME:~1,2%`, `%NAME:a=b%` in a line, and `%1`, `%*`, `%~dp0` in a batch file.
//!
//! Source: Microsoft Learn "set", "call", "Using batch parameters".

/// What a line of a batch file sees of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// `%0`: the name it was called by; then `%1` and on, after `shift`.
    pub words: Vec<String>,
    /// `%*`: all of the line behind the name.
    pub all: String,
    /// Full path of the file, for `%~f0`.
    pub file: String,
    /// Current directory with a trailing backslash, which full paths of arguments start at.
    pub directory: String,
}

/// Puts values in the place of variables. On a command line (`arguments` is `None`) a variable that is not set stays
/// as written; in a batch file it vanishes and `%%` is a percent sign.
#[must_use]
pub fn expand(
    line: &str,
    arguments: Option<&Arguments>,
    get: &dyn Fn(&str) -> Option<String>,
) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(arguments) = arguments {
            if let Some(after) = rest.strip_prefix('%') {
                out.push('%');
                rest = after;
                continue;
            }
            if let Some((value, after)) = argument(rest, arguments) {
                out.push_str(&value);
                rest = after;
                continue;
            }
        }
        let Some((reference, after)) = rest.split_once('%') else {
            if arguments.is_none() {
                out.push('%');
            }
            continue;
        };
        match variable(reference, get) {
            Some(value) => {
                out.push_str(&value);
                rest = after;
            }
            None if arguments.is_some() => rest = after,
            // The second percent sign may start another variable.
            None => out.push('%'),
        }
    }
    out + rest
}

/// The value of what stands between percent signs.
fn variable(reference: &str, get: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    if let Some(value) = get(reference) {
        return Some(value);
    }
    let (name, change) = reference.split_once(':')?;
    let value = get(name)?;
    match change.strip_prefix('~') {
        Some(range) => {
            let mut numbers = range.split(',').map(|n| n.trim().parse::<i64>().ok());
            let start = numbers.next().flatten().unwrap_or(0);
            let length = numbers.next().flatten();
            Some(part(&value, start, length))
        }
        None => {
            let (from, to) = change.split_once('=')?;
            Some(replace(&value, from, to))
        }
    }
}

/// Negative numbers count from the end.
fn part(value: &str, start: i64, length: Option<i64>) -> String {
    let all: Vec<char> = value.chars().collect();
    let count = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let place = |number: i64| if number < 0 { count + number } else { number }.clamp(0, count);
    let start = place(start);
    let end = match length {
        None => count,
        Some(length) if length < 0 => place(length),
        Some(length) => place(start.saturating_add(length)),
    };
    let index = |number: i64| usize::try_from(number).unwrap_or(0);
    all[index(start)..index(end.max(start))].iter().collect()
}

/// Replaces without regard to case; `*text` stands for all up to the first `text`.
fn replace(value: &str, from: &str, to: &str) -> String {
    let lower = value.to_ascii_lowercase();
    if let Some(wanted) = from.strip_prefix('*').filter(|wanted| !wanted.is_empty()) {
        return match lower.find(&wanted.to_ascii_lowercase()) {
            Some(at) => format!("{to}{}", &value[at + wanted.len()..]),
            None => value.to_owned(),
        };
    }
    let wanted = from.to_ascii_lowercase();
    if wanted.is_empty() {
        return value.to_owned();
    }
    let mut out = String::new();
    let mut done = 0;
    for (at, _) in lower.match_indices(&wanted) {
        out.push_str(&value[done..at]);
        out.push_str(to);
        done = at + wanted.len();
    }
    out + &value[done..]
}

/// `%N`, `%*` and `%~…N`: the value and what follows it.
fn argument<'a>(rest: &'a str, arguments: &Arguments) -> Option<(String, &'a str)> {
    if let Some(after) = rest.strip_prefix('*') {
        return Some((arguments.all.clone(), after));
    }
    let (modifiers, digit_at) = match rest.strip_prefix('~') {
        Some(tail) => {
            let end = tail.find(|c: char| !c.is_ascii_alphabetic())?;
            (Some(&tail[..end]), end + 1)
        }
        None => (None, 0),
    };
    let digit = rest[digit_at..].chars().next()?.to_digit(10)? as usize;
    let after = &rest[digit_at + 1..];
    let word = arguments.words.get(digit).cloned().unwrap_or_default();
    let value = match modifiers {
        None => word,
        Some(modifiers) => {
            let bare = word.trim_matches('"').to_owned();
            let full = if digit == 0 {
                arguments.file.clone()
            } else if bare.is_empty() {
                String::new()
            } else {
                crate::ob::path::full(&bare, &arguments.directory)
            };
            parts(&bare, &full, modifiers)
        }
    };
    Some((value, after))
}

/// The parts of a full path that the letters ask for: drive, path, name, extension, or all of it.
fn parts(bare: &str, full: &str, modifiers: &str) -> String {
    if modifiers.is_empty() || full.is_empty() {
        return bare.to_owned();
    }
    let has = |letter| modifiers.to_ascii_lowercase().contains(letter);
    if has('f') || !['d', 'p', 'n', 'x'].into_iter().any(has) {
        return full.to_owned();
    }
    let (drive, path) = full.split_at(full.find('\\').unwrap_or(0));
    let (folder, leaf) = path.split_at(path.rfind('\\').map_or(0, |at| at + 1));
    let (name, extension) = leaf.split_at(leaf.rfind('.').unwrap_or(leaf.len()));
    [('d', drive), ('p', folder), ('n', name), ('x', extension)]
        .into_iter()
        .filter(|(letter, _)| has(*letter))
        .map(|(_, text)| text)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(name: &str) -> Option<String> {
        name.eq_ignore_ascii_case("name")
            .then(|| "Value".to_owned())
    }

    #[test]
    fn a_command_line_keeps_what_is_not_set() {
        let of = |line| expand(line, None, &get);
        assert_eq!(of("a %NAME% b"), "a Value b");
        assert_eq!(of("100% %no% %name%"), "100% %no% Value");
        assert_eq!(of("%name:~1,2%|%name:~-2%|%name:~0,-1%"), "al|ue|Valu");
        assert_eq!(of("%name:AL=x%|%name:*l=%"), "Vxue|ue");
    }

    #[test]
    fn a_batch_file_has_arguments() {
        let arguments = Arguments {
            words: vec!["run".into(), "\"a b.txt\"".into()],
            all: "\"a b.txt\" c".into(),
            file: "Z:\\dir\\run.bat".into(),
            directory: "Z:\\work\\".into(),
        };
        let of = |line| expand(line, Some(&arguments), &get);
        assert_eq!(
            of("%0 %1 %~1 %2 %* %%x%% %no%."),
            "run \"a b.txt\" a b.txt  \"a b.txt\" c %x% ."
        );
        assert_eq!(
            of("%~dp0|%~nx1|%~f1"),
            "Z:\\dir\\|a b.txt|Z:\\work\\a b.txt"
        );
    }
}
