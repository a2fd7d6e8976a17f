//! What the fuzzers share: limits, mutations of tars, a jail for extraction, plain matchers.
#![forbid(unsafe_code)]

pub mod jail;
pub mod plain_match;
pub mod tar_mutation;

use dissolver_layer::{Index, Kind, Limits};

/// Limits that a fuzzer can reach within its memory.
#[must_use]
pub fn limits() -> Limits {
    Limits {
        entries: 10_000,
        header_bytes: 64 << 10,
        index_bytes: 4 << 20,
        segments: 1 << 10,
        sparse_bytes: 4 << 20,
        expansion_from: 4 << 20,
        ..Limits::default()
    }
}

/// Asserts everything that holds for an index which was made of a tar.
///
/// # Panics
///
/// If something does not.
pub fn assert_sound(index: &Index) {
    index.verify().expect("a new index is whole");
    let mut previous: Option<Vec<u8>> = None;
    for number in 0..index.len() {
        let entry = index.entry(number).expect("a new index is readable");
        let path = entry.path.clone();
        if let Some(previous) = &previous {
            assert!(
                dissolver_layer::entry::compare_paths(previous, &path).is_lt(),
                "paths are sorted, each once"
            );
        }
        assert_plain(&path);
        assert!(
            index.get(&path).expect("readable").as_ref() == Some(&entry),
            "every path is found"
        );
        assert_subtree(index, number, &path, entry.kind);
        if let Some(first) = &entry.hard_link {
            let meant = index
                .get(first)
                .expect("readable")
                .expect("a link leads somewhere");
            assert!(
                meant.hard_link.is_none(),
                "the first name is no link itself"
            );
            assert!(meant.kind == entry.kind && meant.digest == entry.digest);
            assert!(meant.kind != Kind::Directory && meant.kind != Kind::Whiteout);
        }
        assert_eq!(entry.kind == Kind::Symlink, entry.link_target.is_some());
        assert_eq!(entry.kind == Kind::File, entry.digest.is_some());
        assert!(entry.stored_bytes() <= entry.size);
        previous = Some(path);
    }
    assert_eq!(index.path(0).expect("a root"), b"");
}

fn assert_plain(path: &[u8]) {
    assert!(!path.contains(&0) && path.len() <= 4095);
    if path.is_empty() {
        return;
    }
    for name in path.split(|byte| *byte == b'/') {
        assert!(!matches!(name, b"" | b"." | b"..") && name.len() <= 255);
        assert!(!name.starts_with(b".wh."), "instructions are no names");
    }
}

/// Everything up to the end of a subtree lies in it, and its directory comes before it.
fn assert_subtree(index: &Index, number: u32, path: &[u8], kind: Kind) {
    let end = index.subtree_end(number).expect("a subtree ends");
    if kind != Kind::Directory {
        assert_eq!(end, number + 1, "only directories hold something");
    }
    for inside in [number + 1, end.saturating_sub(1)] {
        if inside > number && inside < end {
            let inside = index.path(inside).expect("readable");
            assert!(dissolver_layer::entry::is_beneath(inside, path));
        }
    }
    if end < index.len() {
        let behind = index.path(end).expect("readable");
        assert!(!dissolver_layer::entry::is_beneath(behind, path));
    }
    if !path.is_empty() {
        let above = index
            .get(dissolver_layer::entry::parent(path))
            .expect("readable");
        assert_eq!(above.map(|above| above.kind), Some(Kind::Directory));
    }
}
