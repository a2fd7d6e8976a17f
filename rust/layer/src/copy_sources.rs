//! What the sources of a `COPY` select: names, patterns, and symbolic links that are followed.

use dissolver_tree::{Glob, has_wildcard};

use crate::copy_error::CopyError;
use crate::copy_origin::{Origin, Source};
use crate::entry::{Kind, file_name, join, parent};

/// A name or pattern, rooted at an origin.
#[derive(Debug, Clone)]
pub struct CopySource {
    /// The whole of it.
    pub pattern: Vec<u8>,
    /// With directories kept: the first part, which is left out of the destination.
    pub pivot: Option<Vec<u8>>,
}

/// One thing that a source selected.
#[derive(Debug)]
pub(crate) struct Selected {
    /// The name that it gets in a directory: that of the link, where one was followed.
    pub name: Vec<u8>,
    /// What is copied; never a symbolic link.
    pub source: Source,
    /// Which part of a directory is meant, where it is not all; paths are relative to it.
    pub only: Option<Glob>,
}

/// Finds what `source` selects, in byte order of the paths; a pattern may select nothing.
///
/// With a pivot it is the directory there that is selected, and only what matches the rest.
///
/// # Errors
///
/// As [`select_pattern`].
pub(crate) fn select(origin: &Origin, source: &CopySource) -> Result<Vec<Selected>, CopyError> {
    let Some(pivot) = &source.pivot else {
        return select_pattern(origin, &source.pattern);
    };
    let whole = rooted_segments(&source.pattern);
    let rest = whole.get(rooted_segments(pivot).len()..).unwrap_or(&[]);
    if !whole.iter().any(|segment| has_wildcard(segment)) {
        named(origin, &source.pattern, &whole)?;
    }
    let mut selected = select_pattern(origin, pivot)?;
    selected.retain(|one| origin.kind(&one.source) == Kind::Directory);
    if !rest.is_empty() {
        let only = Glob::ignore(&rest.join(&b'/'))?;
        for one in &mut selected {
            one.only = Some(only.clone());
        }
    }
    Ok(selected)
}

/// Finds what a pattern selects.
///
/// Sources are rooted at the origin: a leading `/` and `..` that would climb out
/// mean the top. What is named, or matched by the last segment of a pattern, is
/// followed if it is a symbolic link.
///
/// # Errors
///
/// [`CopyError::NotFound`] for a source without wildcards that is not there, or
/// a selected link that leads nowhere; [`CopyError::BadPattern`].
pub(crate) fn select_pattern(origin: &Origin, source: &[u8]) -> Result<Vec<Selected>, CopyError> {
    let segments = rooted_segments(source);
    let literal_count = segments
        .iter()
        .position(|segment| has_wildcard(segment))
        .unwrap_or(segments.len());
    let (literal, patterns) = segments.split_at(literal_count);
    if patterns.is_empty() {
        return named(origin, source, literal).map(|selected| vec![selected]);
    }
    let globs = patterns
        .iter()
        .map(|pattern| Glob::segment(pattern))
        .collect::<Result<Vec<_>, _>>()?;
    let start = match find_literal(origin, literal)? {
        Some((_, start)) if origin.kind(&start) == Kind::Directory => start,
        _ => return Ok(Vec::new()),
    };
    let mut matched = Vec::new();
    expand(origin, &start, &globs, &mut matched)?;
    matched
        .iter()
        .map(|found| followed(origin, source, found))
        .collect()
}

fn named(origin: &Origin, source: &[u8], segments: &[&[u8]]) -> Result<Selected, CopyError> {
    let found = find_literal(origin, segments)?;
    let (path, source) = found.ok_or_else(|| missing(origin, source, &segments.join(&b'/')))?;
    Ok(Selected {
        name: file_name(&path).to_vec(),
        source,
        only: None,
    })
}

/// Resolves segments without wildcards: as they are written or, if nothing is there, without their backslashes.
fn find_literal(
    origin: &Origin,
    segments: &[&[u8]],
) -> Result<Option<(Vec<u8>, Source)>, CopyError> {
    let written = segments.join(&b'/');
    if let Some(source) = origin.resolve(&written)? {
        return Ok(Some((written, source)));
    }
    if !written.contains(&b'\\') {
        return Ok(None);
    }
    let mut meant = Vec::new();
    for segment in segments {
        let glob = Glob::segment(segment)?;
        meant = join(&meant, glob.literal().unwrap_or(segment));
    }
    Ok(origin.resolve(&meant)?.map(|source| (meant, source)))
}

/// Collects what matches `globs`, one for each level; links on the way are not entered.
fn expand(
    origin: &Origin,
    directory: &Source,
    globs: &[Glob],
    matched: &mut Vec<Source>,
) -> Result<(), CopyError> {
    let Some((glob, deeper)) = globs.split_first() else {
        return Ok(());
    };
    origin.check_open(directory)?;
    for child in origin.children(directory)? {
        if !glob.matches(file_name(origin.path(&child))) {
            continue;
        }
        if deeper.is_empty() {
            matched.push(child);
        } else if origin.kind(&child) == Kind::Directory {
            expand(origin, &child, deeper, matched)?;
        }
    }
    Ok(())
}

fn followed(origin: &Origin, source: &[u8], found: &Source) -> Result<Selected, CopyError> {
    let path = origin.path(found);
    let name = file_name(path).to_vec();
    if origin.kind(found) != Kind::Symlink {
        return Ok(Selected {
            name,
            source: found.clone(),
            only: None,
        });
    }
    match origin.resolve(path)? {
        Some(source) => Ok(Selected {
            name,
            source,
            only: None,
        }),
        None => Err(CopyError::NotFound {
            source_path: path.to_vec(),
            hint: Some(format!(
                "`{}` selects a symbolic link that leads nowhere",
                String::from_utf8_lossy(source)
            )),
        }),
    }
}

/// The segments of a source; what would climb out of the origin stays at its top.
fn rooted_segments(source: &[u8]) -> Vec<&[u8]> {
    let mut segments = Vec::new();
    for segment in source.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    segments
}

fn missing(origin: &Origin, source: &[u8], path: &[u8]) -> CopyError {
    let hint = why_missing(origin, path);
    CopyError::NotFound {
        source_path: source.to_vec(),
        hint,
    }
}

/// The first reason that applies: excluded, a link that leads nowhere, a name much like it.
fn why_missing(origin: &Origin, path: &[u8]) -> Option<String> {
    if let Origin::Tree(tree) = origin {
        if tree.rules().excludes(path) {
            return Some("a pattern of `.dockerignore` excludes it".to_owned());
        }
    }
    if matches!(origin.lookup(path), Ok(Some(_))) {
        return Some("it is a symbolic link that leads nowhere".to_owned());
    }
    let directory = origin.resolve(parent(path)).ok()??;
    let wanted = String::from_utf8_lossy(file_name(path)).into_owned();
    let near = origin
        .children(&directory)
        .ok()?
        .iter()
        .map(|child| String::from_utf8_lossy(file_name(origin.path(child))).into_owned())
        .map(|name| (distance(&wanted, &name), name))
        // A third of the name may be wrong; beyond that it is another name.
        .filter(|(distance, name)| distance * 3 <= name.chars().count().max(3))
        .min()?;
    let beside = join(parent(path), near.1.as_bytes());
    Some(format!(
        "did you mean `{}`?",
        String::from_utf8_lossy(&beside)
    ))
}

/// How many characters must be added, removed or replaced to make one name of the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_cannot_climb_out() {
        for (source, expected) in [
            ("", vec![]),
            (".", vec![]),
            ("/", vec![]),
            ("..", vec![]),
            ("../x", vec!["x"]),
            ("/x/", vec!["x"]),
            ("a/../../b//./c", vec!["b", "c"]),
        ] {
            let expected: Vec<&[u8]> = expected.into_iter().map(str::as_bytes).collect();
            assert_eq!(rooted_segments(source.as_bytes()), expected, "{source}");
        }
    }

    #[test]
    fn distances_count_edits() {
        for (left, right, expected) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "acb", 2),
            ("pacage", "package", 1),
            ("", "ab", 2),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }
}
