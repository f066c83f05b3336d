//! Building a Windows command line from arguments.

/// Joins arguments so that the Microsoft C runtime splits them again as they were.
///
/// Source: Microsoft Learn, "Parsing C++ command-line arguments". The program's own name follows simpler rules: it
/// may be quoted but knows no escapes.
#[must_use]
pub fn join(program: &str, arguments: &[String]) -> String {
    let mut line = if program.is_empty() || program.contains([' ', '\t']) {
        format!("\"{program}\"")
    } else {
        program.to_owned()
    };
    for argument in arguments {
        line.push(' ');
        append(&mut line, argument);
    }
    line
}

fn append(line: &mut String, argument: &str) {
    if !argument.is_empty() && !argument.contains([' ', '\t', '\n', '\x0b', '"']) {
        line.push_str(argument);
        return;
    }
    line.push('"');
    let mut backslashes = 0;
    for c in argument.chars() {
        match c {
            '\\' => backslashes += 1,
            '"' => {
                // The backslashes before a quote are doubled and the quote escaped.
                line.extend(std::iter::repeat_n('\\', backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        line.push(c);
    }
    line.extend(std::iter::repeat_n('\\', backslashes));
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::join;

    fn joined(arguments: &[&str]) -> String {
        join(
            "a.exe",
            &arguments.iter().map(|&s| s.to_owned()).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn plain_arguments_stay_plain() {
        assert_eq!(joined(&["x", "-y=z", "c:\\d\\"]), "a.exe x -y=z c:\\d\\");
    }

    #[test]
    fn spaces_and_empty_arguments_are_quoted() {
        assert_eq!(joined(&["a b", ""]), "a.exe \"a b\" \"\"");
    }

    #[test]
    fn quotes_and_backslashes_before_them_are_escaped() {
        assert_eq!(joined(&["say \"hi\""]), r#"a.exe "say \"hi\"""#);
        assert_eq!(joined(&[r#"a\"b"#]), r#"a.exe "a\\\"b""#);
        assert_eq!(joined(&[r"dir with space\"]), r#"a.exe "dir with space\\""#);
    }

    #[test]
    fn a_program_name_with_spaces_is_quoted() {
        assert_eq!(join("my prog.exe", &[]), "\"my prog.exe\"");
    }
}
