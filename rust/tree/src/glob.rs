//! The two glob languages: one path segment of a `COPY` source, and a whole pattern of `.dockerignore`.
//!
//! Both are compiled to the same tokens and matched by the same code. A pattern
//! without wildcards, or with a leading or trailing `**` only, is a comparison of
//! bytes: those are most of the patterns that people write. The rest is matched
//! by carrying the set of positions that each token can end at, which is linear
//! in pattern × path and has no bad cases, unlike backtracking.

use std::fmt;

/// A pattern that is not a pattern, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPattern {
    /// The pattern as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a valid pattern: {}",
            self.pattern, self.reason
        )
    }
}

impl std::error::Error for BadPattern {}

const UNCLOSED_CLASS: &str = "`[` is never closed";
const EMPTY_CLASS: &str = "`[]` names no character";
const BAD_RANGE: &str = "a range in `[…]` has no end";
const TRAILING_ESCAPE: &str = "nothing follows the last `\\`";

/// What one part of a pattern can stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// These bytes.
    Literal(Vec<u8>),
    /// One character other than `/`.
    One,
    /// Any number of characters other than `/`.
    Many,
    /// One character that the class names.
    Class(Class),
    /// Nothing, or anything that ends in `/`.
    Directories,
    /// Anything.
    Anything,
}

/// A bracket expression: ranges of characters, perhaps negated.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Class {
    negated: bool,
    ranges: Vec<(u32, u32)>,
}

impl Class {
    fn contains(&self, character: u32) -> bool {
        let named = self
            .ranges
            .iter()
            .any(|&(low, high)| low <= character && character <= high);
        named != self.negated
    }
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Shape);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Exact(Vec<u8>),
    Prefix(Vec<u8>),
    Suffix(Vec<u8>),
    Tokens(Vec<Token>),
}

impl Glob {
    /// Compiles one segment of a `COPY` source: `*`, `?`, `[…]` and `\`, as Go's `filepath.Match` has them.
    ///
    /// # Errors
    ///
    /// [`BadPattern`] for an unclosed or empty class, or a `\` at the end.
    pub fn segment(pattern: &[u8]) -> Result<Self, BadPattern> {
        let mut parser = Parser::new(pattern);
        while let Some(character) = parser.next() {
            match character {
                b'*' => parser.push_many(),
                other => parser.simple(other)?,
            }
        }
        Ok(Self::of_tokens(parser.tokens))
    }

    /// Compiles one cleaned pattern of `.dockerignore`, without its `!`.
    ///
    /// The readings of `**` are those that Docker's matcher has grown: at the end
    /// it is a prefix test, at the start before plain text a suffix test (`**foo`
    /// matches `xfoo`), and elsewhere any number of whole directories.
    ///
    /// # Errors
    ///
    /// [`BadPattern`] for an unclosed or empty class, or a `\` at the end.
    pub fn ignore(pattern: &[u8]) -> Result<Self, BadPattern> {
        let mut parser = Parser::new(pattern);
        while let Some(character) = parser.next() {
            if character != b'*' {
                parser.simple(character)?;
                continue;
            }
            if parser.peek() != Some(b'*') {
                parser.push_many();
                continue;
            }
            let is_first = parser.position == 1;
            parser.next();
            if parser.peek() == Some(b'/') {
                parser.next();
            }
            match parser.peek() {
                None => parser.tokens.push(Token::Anything),
                Some(_) if is_first && is_plain(&pattern[2..]) => {
                    return Ok(Self(Shape::Suffix(pattern[2..].to_vec())));
                }
                Some(_) => parser.tokens.push(Token::Directories),
            }
        }
        Ok(Self::of_tokens(parser.tokens))
    }

    fn of_tokens(tokens: Vec<Token>) -> Self {
        Self(match tokens.as_slice() {
            [] => Shape::Exact(Vec::new()),
            [Token::Literal(text)] => Shape::Exact(text.clone()),
            [Token::Anything] => Shape::Prefix(Vec::new()),
            [Token::Literal(text), Token::Anything] => Shape::Prefix(text.clone()),
            _ => Shape::Tokens(tokens),
        })
    }

    /// The text that the pattern stands for, if it can match nothing else.
    #[must_use]
    pub fn literal(&self) -> Option<&[u8]> {
        match &self.0 {
            Shape::Exact(text) => Some(text),
            _ => None,
        }
    }

    /// Tells whether the whole of `path` matches.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        match &self.0 {
            Shape::Exact(text) => path == text.as_slice(),
            Shape::Prefix(text) => path.starts_with(text),
            Shape::Suffix(text) => {
                path.ends_with(text) || text.strip_prefix(b"/").is_some_and(|rest| rest == path)
            }
            Shape::Tokens(tokens) => {
                let tail = match tokens.last() {
                    Some(Token::Literal(tail)) => tail.as_slice(),
                    _ => b"",
                };
                if !path.ends_with(tail) {
                    return false;
                }
                let mut ends = vec![0];
                for token in tokens {
                    ends = token.step(path, &ends);
                    if ends.is_empty() {
                        return false;
                    }
                }
                ends.last() == Some(&path.len())
            }
        }
    }

    /// Tells whether some path below `directory` might match; `false` is certain.
    #[must_use]
    pub fn may_match_below(&self, directory: &[u8]) -> bool {
        let mut inside = directory.to_vec();
        inside.push(b'/');
        match &self.0 {
            Shape::Exact(text) => text.starts_with(&inside),
            Shape::Prefix(text) => text.starts_with(&inside) || inside.starts_with(text),
            Shape::Suffix(_) => true,
            Shape::Tokens(tokens) => tokens_may_begin_with(tokens, &inside),
        }
    }
}

/// Tells whether a text that starts with `inside` might match `tokens`.
fn tokens_may_begin_with(tokens: &[Token], inside: &[u8]) -> bool {
    let mut ends = vec![0];
    for token in tokens {
        match token {
            Token::Directories | Token::Anything => return true,
            Token::Literal(text) if ends.iter().any(|&end| text.starts_with(&inside[end..])) => {
                return true;
            }
            _ => ends = token.step(inside, &ends),
        }
        match ends.last() {
            None => return false,
            Some(&end) if end == inside.len() => return true,
            Some(_) => {}
        }
    }
    false
}

impl Token {
    /// Where this token can end in `path` if it starts at one of `starts`; both ascending.
    fn step(&self, path: &[u8], starts: &[usize]) -> Vec<usize> {
        let mut ends = Vec::with_capacity(starts.len());
        match self {
            Token::Literal(text) => {
                ends.extend(
                    starts
                        .iter()
                        .filter(|&&at| path[at..].starts_with(text))
                        .map(|at| at + text.len()),
                );
            }
            Token::One | Token::Class(_) => {
                for &at in starts {
                    let Some((character, length)) = character_at(path, at) else {
                        continue;
                    };
                    let fits = match self {
                        Token::Class(class) => class.contains(character),
                        _ => true,
                    };
                    if fits && character != u32::from(b'/') {
                        ends.push(at + length);
                    }
                }
            }
            Token::Many => {
                let mut covered = None;
                for &start in starts {
                    // An earlier start in the same segment has reached all that this one can.
                    if covered.is_some_and(|end| start <= end) {
                        continue;
                    }
                    let mut at = start;
                    ends.push(at);
                    while let Some((character, length)) = character_at(path, at) {
                        if character == u32::from(b'/') {
                            break;
                        }
                        at += length;
                        ends.push(at);
                    }
                    covered = Some(at);
                }
            }
            Token::Directories => {
                if let Some(&first) = starts.first() {
                    let after_slash = |&at: &usize| at > first && path[at - 1] == b'/';
                    ends.extend(
                        (first..=path.len())
                            .filter(|at| after_slash(at) || starts.binary_search(at).is_ok()),
                    );
                }
            }
            Token::Anything => {
                ends.extend(starts.first().map_or(0..0, |&first| first..path.len() + 1))
            }
        }
        ends
    }
}

/// The character at `at` and its length; a byte that is no UTF-8 is a character of its own, and
/// classes see it as the replacement character, as Go's do.
fn character_at(path: &[u8], at: usize) -> Option<(u32, usize)> {
    let first = *path.get(at)?;
    if first < 0x80 {
        return Some((u32::from(first), 1));
    }
    let end = path.len().min(at + 4);
    let valid = match std::str::from_utf8(&path[at..end]) {
        Ok(text) => text.chars().next(),
        Err(error) => std::str::from_utf8(&path[at..at + error.valid_up_to()])
            .ok()
            .and_then(|text| text.chars().next()),
    };
    Some(
        valid.map_or((u32::from(char::REPLACEMENT_CHARACTER), 1), |character| {
            (u32::from(character), character.len_utf8())
        }),
    )
}

/// Tells whether `text` has no character that means something in a pattern.
fn is_plain(text: &[u8]) -> bool {
    !text.iter().any(|byte| b"*?[]\\".contains(byte))
}

/// Tells whether a `COPY` source segment can match more than one name.
#[must_use]
pub fn has_wildcard(segment: &[u8]) -> bool {
    let mut bytes = segment.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

struct Parser<'a> {
    pattern: &'a [u8],
    position: usize,
    tokens: Vec<Token>,
}

impl<'a> Parser<'a> {
    fn new(pattern: &'a [u8]) -> Self {
        Self {
            pattern,
            position: 0,
            tokens: Vec::new(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.pattern.get(self.position).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.position += 1;
        Some(byte)
    }

    fn bad(&self, reason: &'static str) -> BadPattern {
        BadPattern {
            pattern: String::from_utf8_lossy(self.pattern).into_owned(),
            reason,
        }
    }

    fn push_literal(&mut self, byte: u8) {
        match self.tokens.last_mut() {
            Some(Token::Literal(text)) => text.push(byte),
            _ => self.tokens.push(Token::Literal(vec![byte])),
        }
    }

    fn push_many(&mut self) {
        if self.tokens.last() != Some(&Token::Many) {
            self.tokens.push(Token::Many);
        }
    }

    /// Adds what `character` stands for, where it is no `*`.
    fn simple(&mut self, character: u8) -> Result<(), BadPattern> {
        match character {
            b'?' => self.tokens.push(Token::One),
            b'[' => {
                let class = self.class()?;
                self.tokens.push(Token::Class(class));
            }
            b'\\' => {
                let escaped = self.next().ok_or_else(|| self.bad(TRAILING_ESCAPE))?;
                self.push_literal(escaped);
            }
            other => self.push_literal(other),
        }
        Ok(())
    }

    fn class(&mut self) -> Result<Class, BadPattern> {
        let negated = self.peek() == Some(b'^');
        if negated {
            self.position += 1;
        }
        let mut ranges = Vec::new();
        loop {
            match self.peek() {
                None => return Err(self.bad(UNCLOSED_CLASS)),
                Some(b']') if ranges.is_empty() => return Err(self.bad(EMPTY_CLASS)),
                Some(b']') => break,
                Some(_) => {}
            }
            let low = self.class_character()?;
            let mut high = low;
            if self.peek() == Some(b'-') {
                self.position += 1;
                high = self.class_character()?;
            }
            ranges.push((low, high));
        }
        self.position += 1;
        Ok(Class { negated, ranges })
    }

    fn class_character(&mut self) -> Result<u32, BadPattern> {
        match self.peek() {
            None => return Err(self.bad(UNCLOSED_CLASS)),
            Some(b'-' | b']') => return Err(self.bad(BAD_RANGE)),
            Some(b'\\') => self.position += 1,
            Some(_) => {}
        }
        let (character, length) =
            character_at(self.pattern, self.position).ok_or_else(|| self.bad(UNCLOSED_CLASS))?;
        self.position += length;
        Ok(character)
    }
}

#[cfg(test)]
#[path = "glob_tests.rs"]
mod tests;
