//! Command lines into arguments, as the C start-up code splits them.
//!
//! Source: Microsoft Learn, "Parsing C command-line arguments" (2n and 2n+1 backslashes, `""` inside quotes).

use super::unit::Unit;

/// One argument and whether any of it was quoted, which stops wildcard expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument<U> {
    /// The argument without its quotes.
    pub text: Vec<U>,
    /// Whether part of it was in quotes.
    pub is_quoted: bool,
}

/// Splits a command line; the program's name comes first and knows no backslash rules.
pub fn split<U: Unit>(line: &[U]) -> Vec<Argument<U>> {
    let (program, mut at) = program_name(line);
    let mut arguments = vec![program];
    loop {
        while line
            .get(at)
            .is_some_and(|unit| matches!(unit.ascii(), b' ' | b'\t'))
        {
            at += 1;
        }
        if at >= line.len() {
            return arguments;
        }
        let (argument, end) = argument(line, at);
        arguments.push(argument);
        at = end;
    }
}

fn program_name<U: Unit>(line: &[U]) -> (Argument<U>, usize) {
    let mut name = Argument {
        text: Vec::new(),
        is_quoted: false,
    };
    let mut inside = false;
    for (index, unit) in line.iter().enumerate() {
        match unit.ascii() {
            b'"' => {
                inside = !inside;
                name.is_quoted = true;
            }
            b' ' | b'\t' if !inside => return (name, index),
            _ => name.text.push(*unit),
        }
    }
    (name, line.len())
}

fn argument<U: Unit>(line: &[U], start: usize) -> (Argument<U>, usize) {
    let byte = |at: usize| line.get(at).map_or(0, |unit| unit.ascii());
    let mut argument = Argument {
        text: Vec::new(),
        is_quoted: false,
    };
    let mut inside = false;
    let mut at = start;
    while at < line.len() {
        let backslashes = line[at..]
            .iter()
            .take_while(|unit| unit.ascii() == b'\\')
            .count();
        if backslashes > 0 {
            let before_quote = byte(at + backslashes) == b'"';
            let kept = if before_quote {
                backslashes / 2
            } else {
                backslashes
            };
            argument
                .text
                .extend(std::iter::repeat_n(U::from_ascii(b'\\'), kept));
            at += backslashes;
            if before_quote && backslashes % 2 == 1 {
                argument.text.push(U::from_ascii(b'"'));
                at += 1;
            }
            continue;
        }
        match byte(at) {
            b'"' => {
                argument.is_quoted = true;
                if inside && byte(at + 1) == b'"' {
                    // Two quotes inside quotes are one, and the quotes go on.
                    argument.text.push(line[at]);
                    at += 1;
                } else {
                    inside = !inside;
                }
            }
            b' ' | b'\t' if !inside => break,
            _ => argument.text.push(line[at]),
        }
        at += 1;
    }
    (argument, at)
}

/// Tells whether an argument asks for wildcard expansion.
pub fn has_wildcard<U: Unit>(argument: &Argument<U>) -> bool {
    !argument.is_quoted
        && argument
            .text
            .iter()
            .any(|unit| matches!(unit.ascii(), b'*' | b'?'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<String> {
        split(line.as_bytes())
            .into_iter()
            .map(|a| String::from_utf8(a.text).expect("ASCII"))
            .collect()
    }

    #[test]
    fn documented_examples_split_as_documented() {
        assert_eq!(args(r#"p "a b c" d e"#), ["p", "a b c", "d", "e"]);
        assert_eq!(args(r#"p "ab\"c" "\\" d"#), ["p", r#"ab"c"#, r"\", "d"]);
        assert_eq!(args(r#"p a\\\b d"e f"g h"#), ["p", r"a\\\b", "de fg", "h"]);
        assert_eq!(args(r#"p a\\\"b c d"#), ["p", r#"a\"b"#, "c", "d"]);
        assert_eq!(args(r#"p a\\\\"b c" d e"#), ["p", r"a\\b c", "d", "e"]);
        assert_eq!(args(r#"p a"b"" c d"#), ["p", r#"ab" c d"#]);
    }

    #[test]
    fn the_program_name_keeps_its_backslashes() {
        assert_eq!(args(r#""c:\my dir\p.exe" x"#), [r"c:\my dir\p.exe", "x"]);
        assert_eq!(args(r#"c:\p\"#), [r"c:\p\"]);
        assert_eq!(args(""), [""]);
        assert_eq!(args(r#"p """#), ["p", ""]);
    }

    #[test]
    fn quoted_wildcards_are_not_expanded() {
        let all = split(br#"p *.c "*.h""#.as_slice());
        assert_eq!(
            [has_wildcard(&all[1]), has_wildcard(&all[2])],
            [true, false]
        );
    }
}
