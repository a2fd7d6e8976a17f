//! Patterns of an ignore file and paths: the verdicts are those of a plain matcher.
//!
//! The input is lines: patterns, an empty line, paths.
#![no_main]

use dissolver_fuzz::plain_match;
use dissolver_tree::{Glob, IgnoreRules};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (patterns, paths) = sections(data);
    for pattern in patterns
        .iter()
        .filter_map(|line| std::str::from_utf8(line).ok())
    {
        one(pattern, &paths);
    }
    // A second exclamation mark would belong to the name.
    if patterns
        .iter()
        .any(|pattern| sign(pattern).1.starts_with(b"!"))
    {
        return;
    }
    if let Ok(rules) = IgnoreRules::new(&patterns) {
        for path in &paths {
            assert_eq!(
                rules.excludes(path),
                expected(&patterns, path),
                "{patterns:?} {path:?}"
            );
        }
    }
});

fn sections(data: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut lines = data.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
    let patterns: Vec<Vec<u8>> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    // What a listing gives: relative, no empty names.
    let paths = lines.filter(|path| {
        path.split(|byte| *byte == b'/')
            .all(|name| !name.is_empty())
    });
    (patterns, paths.collect())
}

/// One pattern as it stands, without cleaning.
fn one(pattern: &str, paths: &[Vec<u8>]) {
    let glob = Glob::ignore(pattern.as_bytes());
    for path in paths {
        let expected = plain_match::ignore(pattern, path);
        let found = glob.as_ref().ok().map(|glob| glob.matches(path));
        assert_eq!(found, expected, "{pattern:?} {path:?}");
        let Ok(glob) = &glob else { continue };
        for (slash, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            if glob.matches(path) {
                assert!(glob.may_match_below(&path[..slash]), "{pattern:?} {path:?}");
            }
        }
    }
}

/// The last rule that matches the path or a directory above it decides.
fn expected(patterns: &[Vec<u8>], path: &[u8]) -> bool {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let ends = slashes.map(|(end, _)| end).chain([path.len()]);
    let prefixes: Vec<&[u8]> = ends.map(|end| &path[..end]).collect();
    let mut is_excluded = false;
    for pattern in patterns {
        let (is_exception, body) = sign(pattern);
        let alone = IgnoreRules::new([body]).expect("it is one of several that are");
        if prefixes.iter().any(|prefix| alone.excludes(prefix)) {
            is_excluded = !is_exception;
        }
    }
    is_excluded
}

fn sign(pattern: &[u8]) -> (bool, &[u8]) {
    let text = pattern.trim_ascii();
    match text.strip_prefix(b"!") {
        Some(rest) => (true, rest.trim_ascii()),
        None => (false, text),
    }
}
