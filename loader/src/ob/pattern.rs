//! Patterns of file names.
//!
//! Source: Microsoft Learn, "FsRtlIsNameInExpression". What `FindFirstFile` makes of `*`, `?` and `.` is as DOS had it: `?` may stand
//! for nothing before a period and at the end, `*.` and `*.*` are no more than they were with names of eight and three letters.

/// One piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// This character.
    Is(char),
    /// `*`: any characters.
    Any,
    /// `*` before a period: any characters but the last period of the name.
    Stem,
    /// `?`: one character, or none before a period and at the end.
    One,
    /// A period before a wildcard: a period, or the end.
    Period,
}

/// A pattern of `FindFirstFile`.
#[derive(Clone, Debug)]
pub struct Pattern(Vec<Piece>);

impl Pattern {
    /// Reads a pattern.
    #[must_use]
    pub fn new(text: &str) -> Pattern {
        let chars: Vec<char> = match text {
            "*.*" => vec!['*'],
            text => text.to_lowercase().chars().collect(),
        };
        let is_at = |i: usize, wanted: &[char]| chars.get(i).is_some_and(|c| wanted.contains(c));
        let pieces = chars.iter().enumerate().filter_map(|(i, &c)| match c {
            '*' if is_at(i + 1, &['.']) => Some(Piece::Stem),
            '*' => Some(Piece::Any),
            '?' => Some(Piece::One),
            '.' if is_at(i + 1, &['*', '?']) => Some(Piece::Period),
            // A period at the end counts no more than one of a name.
            '.' if i + 1 == chars.len() => None,
            c => Some(Piece::Is(c)),
        });
        Pattern(pieces.collect())
    }

    /// Tells whether a name is meant, whatever the case of its letters.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = match name {
            // The directory itself and its parent have a name without letters.
            "." | ".." => Vec::new(),
            name => name.to_lowercase().chars().collect(),
        };
        fits(&self.0, &name)
    }
}

fn fits(pattern: &[Piece], name: &[char]) -> bool {
    let Some((piece, rest)) = pattern.split_first() else {
        return name.is_empty();
    };
    let next = name.split_first();
    let skips = |but_last_period: bool| {
        next.is_some_and(|(&c, left)| {
            !(but_last_period && c == '.' && !left.contains(&'.')) && fits(pattern, left)
        })
    };
    match piece {
        Piece::Any => fits(rest, name) || skips(false),
        Piece::Stem => fits(rest, name) || skips(true),
        Piece::One => match next {
            None | Some(('.', _)) => fits(rest, name),
            Some((_, left)) => fits(rest, left),
        },
        Piece::Period => match next {
            None => fits(rest, name),
            Some((c, left)) => *c == '.' && fits(rest, left),
        },
        Piece::Is(wanted) => next.is_some_and(|(c, left)| c == wanted && fits(rest, left)),
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_mean_what_they_meant_in_dos() {
        let names = [
            "a.txt", "b.TXT", "c.text", "d.e.txt", "noext", "x", ".", "..",
        ];
        let found = |pattern: &str| {
            let pattern = Pattern::new(pattern);
            let found: Vec<&str> = names.into_iter().filter(|n| pattern.matches(n)).collect();
            found.join(" ")
        };
        assert_eq!(found("*"), names.join(" "));
        assert_eq!(found("*.*"), names.join(" "));
        assert_eq!(found("*.txt"), "a.txt b.TXT d.e.txt");
        assert_eq!(found("?.txt"), "a.txt b.TXT");
        assert_eq!(found("a??.txt"), "a.txt");
        assert_eq!(found("*."), "noext x . ..");
        assert_eq!(found("??"), "x . ..");
        assert_eq!(found("n*.*"), "noext");
        assert_eq!(found("*t"), "a.txt b.TXT c.text d.e.txt noext");
        assert_eq!(found("d.*.txt"), "d.e.txt");
        assert_eq!(found("*.t?"), "");
        assert_eq!(found("*.*t"), "a.txt b.TXT c.text d.e.txt");
        assert_eq!(found("A.TXT"), "a.txt");
    }
}
