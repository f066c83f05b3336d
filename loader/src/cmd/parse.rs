//! From a line to commands: operators, parentheses, `if`, redirections.
//!
//! Operators bind, tightest first: `|`, `&&`, `||`, `&`. A caret takes the meaning off the next character; between
//! quotes only the closing quote has one.

/// Where a stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `<`, `>` or `>>` and a file.
    File {
        /// Name without quotes.
        name: String,
        /// `>>`.
        appends: bool,
    },
    /// `>&` and the number of a stream.
    Stream(usize),
}

/// A redirection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// 0 input, 1 output, 2 error output.
    pub stream: usize,
    /// Where it goes.
    pub target: Target,
}

/// A condition of `if`, before its words mean anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `not`.
    pub is_negated: bool,
    /// `/i`.
    pub ignores_case: bool,
    /// What is asked.
    pub test: Test,
}

/// What `if` asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// `exist NAME`.
    Exists(String),
    /// `defined NAME`.
    Defined(String),
    /// `errorlevel NUMBER`: at least that.
    ErrorLevel(String),
    /// `A==B`, `A equ B` and the like.
    Compare(String, String, String),
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A command of words, as written but for carets.
    Simple(String, Vec<Redirection>),
    /// Commands in parentheses.
    Group(Box<Node>, Vec<Redirection>),
    /// `a & b`, or two lines.
    Then(Box<Node>, Box<Node>),
    /// `a && b`.
    And(Box<Node>, Box<Node>),
    /// `a || b`.
    Or(Box<Node>, Box<Node>),
    /// `a | b`.
    Pipe(Box<Node>, Box<Node>),
    /// `if`.
    If(Condition, Box<Node>, Option<Box<Node>>),
}

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A parenthesis is still open: more lines belong to the command.
    Open,
    /// This text was not expected here.
    Unexpected(String),
}

/// Parses a line; `None` for an empty one.
pub fn parse(line: &str) -> Result<Option<Node>, Trouble> {
    let mut parser = Parser {
        text: line.chars().collect(),
        at: 0,
        depth: 0,
    };
    let node = parser.sequence()?;
    match parser.peek() {
        None => Ok(node),
        Some(c) => Err(Trouble::Unexpected(c.to_string())),
    }
}

struct Parser {
    text: Vec<char>,
    at: usize,
    /// Open parentheses.
    depth: usize,
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | ',' | ';' | '=')
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, skips: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&skips) {
            self.at += 1;
        }
    }

    fn eat(&mut self, operator: &str) -> bool {
        let is_here = operator
            .chars()
            .enumerate()
            .all(|(i, c)| self.text.get(self.at + i) == Some(&c));
        if is_here {
            self.at += operator.len();
        }
        is_here
    }

    fn need(&self, node: Option<Node>) -> Result<Box<Node>, Trouble> {
        let here = || self.peek().map_or(String::new(), String::from);
        node.map(Box::new).ok_or_else(|| match self.peek() {
            None if self.depth > 0 => Trouble::Open,
            _ => Trouble::Unexpected(here()),
        })
    }

    fn sequence(&mut self) -> Result<Option<Node>, Trouble> {
        let mut left = self.either()?;
        loop {
            self.skip(is_blank);
            if !self.eat("&") && !self.eat("\n") {
                return Ok(left);
            }
            let right = self.either()?;
            left = match (left, right) {
                (Some(left), Some(right)) => Some(Node::Then(Box::new(left), Box::new(right))),
                (left, right) => left.or(right),
            };
        }
    }

    fn either(&mut self) -> Result<Option<Node>, Trouble> {
        let mut left = self.both()?;
        while self.eat("||") {
            let (first, second) = (self.need(left)?, self.both()?);
            left = Some(Node::Or(first, self.need(second)?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Option<Node>, Trouble> {
        let mut left = self.pipe()?;
        while self.eat("&&") {
            let (first, second) = (self.need(left)?, self.pipe()?);
            left = Some(Node::And(first, self.need(second)?));
        }
        Ok(left)
    }

    fn pipe(&mut self) -> Result<Option<Node>, Trouble> {
        let left = self.command()?;
        let is_pipe = self.peek() == Some('|') && self.text.get(self.at + 1) != Some(&'|');
        if !is_pipe {
            return Ok(left);
        }
        self.at += 1;
        let (first, second) = (self.need(left)?, self.pipe()?);
        Ok(Some(Node::Pipe(first, self.need(second)?)))
    }

    fn command(&mut self) -> Result<Option<Node>, Trouble> {
        self.skip(|c| is_blank(c) || c == '@');
        if self.eat("(") {
            self.depth += 1;
            let inside = self.sequence()?;
            if !self.eat(")") {
                return Err(match self.peek() {
                    None => Trouble::Open,
                    Some(c) => Trouble::Unexpected(c.to_string()),
                });
            }
            let inside = self.need(inside)?;
            self.depth -= 1;
            let mut redirections = Vec::new();
            self.skip(is_blank);
            while let Some(redirection) = self.redirection()? {
                redirections.push(redirection);
                self.skip(is_blank);
            }
            return Ok(Some(Node::Group(inside, redirections)));
        }
        if self.keyword("if") {
            return self.condition().map(Some);
        }
        self.simple()
    }

    /// Takes a word if it is here and ends here.
    fn keyword(&mut self, word: &str) -> bool {
        let end = self.at + word.len();
        let here: String = self.text[self.at..end.min(self.text.len())]
            .iter()
            .collect();
        let ends = self
            .text
            .get(end)
            .is_none_or(|&c| is_blank(c) || c == '(' || c == '\n');
        let is_here = ends && here.eq_ignore_ascii_case(word);
        if is_here {
            self.at = end;
            self.skip(is_blank);
        }
        is_here
    }

    fn condition(&mut self) -> Result<Node, Trouble> {
        let ignores_case = self.keyword("/i");
        let is_negated = self.keyword("not");
        let test = if self.keyword("exist") {
            Test::Exists(bare(&self.word(is_blank)))
        } else if self.keyword("defined") {
            Test::Defined(self.word(is_blank))
        } else if self.keyword("errorlevel") {
            Test::ErrorLevel(self.word(is_blank))
        } else {
            let left = self.word(is_blank);
            self.skip(|c| c == ' ' || c == '\t');
            let operator = if self.eat("==") {
                "==".to_owned()
            } else {
                self.word(is_blank)
            };
            self.skip(is_blank);
            Test::Compare(left, operator.to_lowercase(), self.word(is_blank))
        };
        let condition = Condition {
            is_negated,
            ignores_case,
            test,
        };
        self.skip(is_blank);
        if self.peek() != Some('(') {
            // All that is left of the line belongs to it.
            let line = self.either()?;
            let mut then = *self.need(line)?;
            while self.depth == 0 && self.eat("&") {
                let next = self.either()?;
                then = Node::Then(Box::new(then), self.need(next)?);
            }
            return Ok(Node::If(condition, Box::new(then), None));
        }
        let then = self.command()?;
        let then = self.need(then)?;
        self.skip(is_blank);
        if !self.keyword("else") {
            return Ok(Node::If(condition, then, None));
        }
        let otherwise = self.command()?;
        let otherwise = self.need(otherwise)?;
        Ok(Node::If(condition, then, Some(otherwise)))
    }

    /// Reads up to an unquoted character that `ends` it or an operator.
    fn word(&mut self, ends: impl Fn(char) -> bool) -> String {
        let mut word = String::new();
        let mut is_quoted = false;
        while let Some(c) = self.peek() {
            if !is_quoted && (ends(c) || matches!(c, '&' | '|' | '<' | '>' | '(' | ')' | '\n')) {
                break;
            }
            self.at += 1;
            match c {
                '"' => {
                    is_quoted = !is_quoted;
                    word.push(c);
                }
                '^' if !is_quoted => {
                    word.extend(self.peek());
                    self.at += 1;
                }
                _ => word.push(c),
            }
        }
        word
    }

    fn simple(&mut self) -> Result<Option<Node>, Trouble> {
        let is_remark = {
            let before = self.at;
            let found = self.keyword("rem");
            self.at = before;
            found
        };
        let mut text = String::new();
        let mut redirections = Vec::new();
        let mut is_quoted = false;
        while let Some(c) = self.peek() {
            let is_end = match c {
                '\n' => true,
                _ if is_quoted || is_remark => false,
                '&' | '|' => true,
                ')' => self.depth > 0,
                _ => false,
            };
            if is_end {
                break;
            }
            let starts_word = text.is_empty() || text.ends_with(is_blank);
            if !is_quoted
                && !is_remark
                && (matches!(c, '<' | '>') || starts_word)
                && let Some(redirection) = self.redirection()?
            {
                redirections.push(redirection);
                continue;
            }
            self.at += 1;
            match c {
                '"' => {
                    is_quoted = !is_quoted;
                    text.push(c);
                }
                '^' if !is_quoted => {
                    text.extend(self.peek());
                    self.at += 1;
                }
                _ => text.push(c),
            }
        }
        if text.trim().is_empty() && redirections.is_empty() {
            return Ok(None);
        }
        Ok(Some(Node::Simple(text, redirections)))
    }

    /// Takes a redirection: `[digit](<|>|>>)(&digit|file)`.
    fn redirection(&mut self) -> Result<Option<Redirection>, Trouble> {
        let digit = self.peek().and_then(|c| c.to_digit(10));
        let at = self.at + usize::from(digit.is_some());
        let direction = match self.text.get(at) {
            Some(&c) if c == '<' || c == '>' => c,
            _ => return Ok(None),
        };
        self.at = at + 1;
        let appends = direction == '>' && self.eat(">");
        let stream = digit.map_or(usize::from(direction == '>'), |digit| digit as usize);
        if stream > 2 {
            return Err(Trouble::Unexpected(direction.to_string()));
        }
        if self.eat("&") {
            let number = self.peek().and_then(|c| c.to_digit(10));
            let number = number.filter(|&number| number < 3);
            let number = number.ok_or_else(|| Trouble::Unexpected("&".into()))?;
            self.at += 1;
            let target = Target::Stream(number as usize);
            return Ok(Some(Redirection { stream, target }));
        }
        self.skip(is_blank);
        let name = bare(&self.word(is_blank));
        if name.is_empty() {
            let here = self.peek().map_or(String::new(), String::from);
            return Err(Trouble::Unexpected(here));
        }
        let target = Target::File { name, appends };
        Ok(Some(Redirection { stream, target }))
    }
}

/// Returns the text without its quotes.
#[must_use]
pub fn bare(text: &str) -> String {
    text.replace('"', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(node: &Node) -> String {
        match node {
            Node::Simple(text, redirections) => {
                format!("{}{}", text.trim_end(), "<>".repeat(redirections.len()))
            }
            Node::Group(inside, redirections) => {
                format!("({}){}", shape(inside), "<>".repeat(redirections.len()))
            }
            Node::Then(a, b) => format!("[{} & {}]", shape(a), shape(b)),
            Node::And(a, b) => format!("[{} && {}]", shape(a), shape(b)),
            Node::Or(a, b) => format!("[{} || {}]", shape(a), shape(b)),
            Node::Pipe(a, b) => format!("[{} | {}]", shape(a), shape(b)),
            Node::If(_, a, None) => format!("if {}", shape(a)),
            Node::If(_, a, Some(b)) => format!("if {} else {}", shape(a), shape(b)),
        }
    }

    fn parsed(line: &str) -> String {
        let node = parse(line).expect("a command");
        shape(&node.expect("not empty"))
    }

    #[test]
    fn operators_bind_as_documented() {
        assert_eq!(parsed("a & b || c && d | e"), "[a & [b || [c && [d | e]]]]");
        assert_eq!(parsed("(a & b) > x 2>&1 && c"), "[([a & b])<><> && c]");
        assert_eq!(parsed("@a\nb"), "[a & b]");
    }

    #[test]
    fn quotes_and_carets_take_meanings_off() {
        assert_eq!(parsed("echo \"a & b\" ^& c ^^"), "echo \"a & b\" & c ^");
        assert_eq!(parsed("rem a & b > c"), "rem a & b > c");
        assert_eq!(parsed("echo )"), "echo )");
    }

    #[test]
    fn redirections_are_taken_out_of_the_text() {
        let Ok(Some(Node::Simple(text, redirections))) = parse("prog a2>\"x y\" 2>>e <in b") else {
            panic!("not simple");
        };
        assert_eq!(text, "prog a2   b");
        let file = |name: &str, appends| Target::File {
            name: name.into(),
            appends,
        };
        let wanted = [
            (1, file("x y", false)),
            (2, file("e", true)),
            (0, file("in", false)),
        ];
        let wanted = wanted.map(|(stream, target)| Redirection { stream, target });
        assert_eq!(redirections, wanted);
    }

    #[test]
    fn if_has_the_rest_of_the_line_or_a_group() {
        assert_eq!(parsed("if exist a b & c"), "if [b & c]");
        assert_eq!(parsed("if a==b (c) else d"), "if (c) else d");
        assert_eq!(parsed("if a==b (c) & d"), "[if (c) & d]");
        assert_eq!(parsed("if /i not \"A\" equ \"a\" c"), "if c");
    }

    #[test]
    fn open_and_stray_parentheses_are_told_apart() {
        assert_eq!(parse("(a"), Err(Trouble::Open));
        assert_eq!(parse("if exist a (\nb\n"), Err(Trouble::Open));
        assert_eq!(parse("a && "), Err(Trouble::Unexpected(String::new())));
        assert_eq!(parse("  "), Ok(None));
    }
}
