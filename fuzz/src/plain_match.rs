//! The glob languages once more, written for being obviously right and not for speed.
//!
//! Both work on characters: a byte that is no UTF-8 is one of its own.

/// What a pattern is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// This character.
    Is(u32),
    /// Any character but a slash.
    One,
    /// A character between two of a pair, or between none; never a slash.
    Class(bool, Vec<(u32, u32)>),
    /// Any number of characters but slashes.
    Many,
    /// Nothing, or anything that ends in a slash.
    Directories,
    /// Anything.
    Anything,
}

const SLASH: u32 = '/' as u32;

/// What stands for a byte that is no UTF-8: a number that no character has.
const NOT_UTF_8: u32 = 0x11_0000;

/// The characters of `bytes`.
fn characters(bytes: &[u8]) -> Vec<u32> {
    let mut all = Vec::new();
    for chunk in bytes.utf8_chunks() {
        all.extend(chunk.valid().chars().map(u32::from));
        all.extend(chunk.invalid().iter().map(|_| NOT_UTF_8));
    }
    all
}

/// One segment of a `COPY` source against one name; `None` if it is no pattern.
#[must_use]
pub fn segment(pattern: &str, name: &[u8]) -> Option<bool> {
    let parts = parts(pattern, false)?;
    Some(fits(&parts, &characters(name)))
}

/// One cleaned pattern of an ignore file against one path; `None` if it is no pattern.
#[must_use]
pub fn ignore(pattern: &str, path: &[u8]) -> Option<bool> {
    let parts = parts(pattern, true)?;
    if let Some(rest) = pattern.strip_prefix("**") {
        let is_plain = !rest.contains(['*', '?', '[', ']', '\\']);
        let follows = rest.strip_prefix('/').unwrap_or(rest);
        if is_plain && !follows.is_empty() {
            return Some(
                path.ends_with(rest.as_bytes())
                    || rest
                        .strip_prefix('/')
                        .is_some_and(|rest| path == rest.as_bytes()),
            );
        }
    }
    Some(fits(&parts, &characters(path)))
}

fn parts(pattern: &str, has_directories: bool) -> Option<Vec<Part>> {
    let mut rest = pattern.chars().peekable();
    let mut parts = Vec::new();
    while let Some(character) = rest.next() {
        let part = match character {
            '*' if has_directories && rest.peek() == Some(&'*') => {
                rest.next();
                rest.next_if_eq(&'/');
                match rest.peek() {
                    None => Part::Anything,
                    Some(_) => Part::Directories,
                }
            }
            '*' => Part::Many,
            '?' => Part::One,
            '[' => class(&mut rest)?,
            '\\' => Part::Is(rest.next()?.into()),
            other => Part::Is(other.into()),
        };
        parts.push(part);
    }
    Some(parts)
}

fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Part> {
    let is_negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || rest.peek() != Some(&']') {
        let low = class_character(rest)?;
        let high = match rest.next_if_eq(&'-') {
            Some(_) => class_character(rest)?,
            None => low,
        };
        ranges.push((low, high));
    }
    rest.next();
    Some(Part::Class(is_negated, ranges))
}

fn class_character(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<u32> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next().map(u32::from),
        other => Some(other.into()),
    }
}

/// Fills a table: do these parts match this text from here on?
fn fits(parts: &[Part], text: &[u32]) -> bool {
    let mut below: Vec<bool> = (0..=text.len()).map(|at| at == text.len()).collect();
    for part in parts.iter().rev() {
        below = (0..=text.len())
            .map(|at| fits_at(part, text, at, &below))
            .collect();
    }
    below[0]
}

/// Does `part` match some text at `at` so that the parts behind it match the rest?
fn fits_at(part: &Part, text: &[u32], at: usize, behind: &[bool]) -> bool {
    let next = text.get(at).copied();
    let steps = |is_step: bool| is_step && behind[at + 1];
    match part {
        Part::Is(character) => steps(next == Some(*character)),
        Part::One => steps(next.is_some_and(|next| next != SLASH)),
        Part::Class(is_negated, ranges) => steps(next.is_some_and(|next| {
            // Classes see the replacement character, as in Go.
            let seen = if next == NOT_UTF_8 { 0xFFFD } else { next };
            let is_named = ranges
                .iter()
                .any(|(low, high)| (*low..=*high).contains(&seen));
            next != SLASH && is_named != *is_negated
        })),
        Part::Many => (at..=text.len())
            .take_while(|end| *end == at || text[end - 1] != SLASH)
            .any(|end| behind[end]),
        Part::Directories => {
            behind[at] || (at + 1..=text.len()).any(|end| text[end - 1] == SLASH && behind[end])
        }
        Part::Anything => (at..=text.len()).any(|end| behind[end]),
    }
}
