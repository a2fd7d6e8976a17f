//! Tests of the index, whole and damaged.

use proptest::prelude::*;

use super::*;
use crate::entry::{Kind, Segment};
use crate::index_build::{IndexBuilder, TarFacts};

fn facts() -> TarFacts {
    let extent = |tar_offset, pack| Extent {
        tar_offset,
        length: 1024,
        pack_offset: 512,
        pack: [pack; 32],
    };
    TarFacts {
        diff_id: DiffId([9; 32]),
        tar_bytes: 2048,
        extents: vec![extent(0, 1), extent(1024, 2)],
    }
}

fn bytes_of(entries: &[Entry]) -> Vec<u8> {
    let mut builder = IndexBuilder::default();
    for entry in entries {
        builder.push(entry);
    }
    let mut out = Vec::new();
    builder.finish(&facts(), &mut out).unwrap();
    out
}

fn example() -> Vec<u8> {
    let mut link = Entry::new("usr/lib/libx.so", Kind::Symlink, 0o777);
    link.link_target = Some(b"libx.so.1".to_vec());
    let mut sparse = Entry::new("var/log/lastlog", Kind::File, 0o640);
    sparse.size = 1 << 20;
    sparse.segments = vec![Segment {
        offset: 4096,
        length: 512,
    }];
    sparse.xattrs = vec![(b"user.a".to_vec(), b"1".to_vec())];
    sparse.digest = Some([3; 32]);
    bytes_of(&[
        link,
        sparse,
        Entry::new("etc", Kind::Directory, 0o755),
        Entry::new("srv", Kind::Whiteout, 0),
    ])
}

/// Asks everything that can be asked, and returns the first failure.
fn explore(bytes: Vec<u8>) -> Result<usize, LayerError> {
    let index = Index::from_bytes(bytes)?;
    index.extents()?;
    index.verify()?;
    let mut count = 0;
    for number in 0..index.len().min(10_000) {
        let entry = index.entry(number)?;
        index.subtree_end(number)?;
        index.find(&entry.path)?;
        count += 1;
    }
    for path in [&b""[..], b"usr", b"usr/lib/libx.so", b"zzz", b"a/b/c"] {
        index.get(path)?;
    }
    Ok(count)
}

#[test]
fn what_was_pushed_is_found() {
    let index = Index::from_bytes(example()).unwrap();
    let paths: Vec<String> = index
        .entries()
        .map(|entry| String::from_utf8(entry.unwrap().path).unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "",
            "etc",
            "srv",
            "usr",
            "usr/lib",
            "usr/lib/libx.so",
            "var",
            "var/log",
            "var/log/lastlog"
        ]
    );
    let sparse = index.get(b"var/log/lastlog").unwrap().unwrap();
    assert_eq!((sparse.stored_bytes(), sparse.digest), (512, Some([3; 32])));
    assert_eq!(index.find(b"usr/local").unwrap(), Position::Absent(6));
    let ends: Vec<u32> = (0..index.len())
        .map(|number| index.subtree_end(number).unwrap())
        .collect();
    assert_eq!(ends, [9, 2, 3, 6, 6, 6, 9, 9, 9]);
    assert_eq!(index.extents().unwrap().len(), 2);
    index.verify().unwrap();
    assert_eq!(
        (
            index.diff_id(),
            index.tar_bytes(),
            index.content_bytes(),
            index.entry_count()
        ),
        (DiffId([9; 32]), 2048, 1 << 20, 4)
    );
}

#[test]
fn an_index_of_another_version_is_refused_by_name() {
    let mut bytes = example();
    bytes[8] = 2;
    let error = Index::from_bytes(bytes).unwrap_err();
    assert_eq!(error.kind(), "unknown-version");
    assert_eq!(
        error.to_string(),
        "the index `index` has format 2, this version reads 1"
    );
}

#[test]
fn an_index_that_is_cut_short_or_too_long_is_damaged() {
    let bytes = example();
    for length in 0..bytes.len() {
        let error = Index::from_bytes(bytes[..length].to_vec()).unwrap_err();
        assert_eq!(error.kind(), "bad-index", "{length}");
    }
    assert_eq!(
        explore([&bytes[..], b"x"].concat()).unwrap_err().kind(),
        "bad-index"
    );
}

#[test]
fn extents_must_make_up_the_tar() {
    let mut bytes = example();
    bytes[128 + 8] ^= 1;
    let index = Index::from_bytes(bytes).unwrap();
    assert_eq!(index.extents().unwrap_err().kind(), "bad-index");
}

#[test]
fn numbers_that_no_file_has_are_damage() {
    let record = |number: usize| 128 + 2 * 56 + number * 104;
    // Owners and size of a record; the last one is a sparse file, and its one stretch ends the heap.
    let end = example().len();
    let table = [
        (0, record(0) + 28, 4),
        (0, record(0) + 32, 4),
        (8, record(8) + 48, 8),
        (8, end - 16, 8),
        (8, end - 8, 8),
    ];
    for (number, at, bytes) in table {
        let mut damaged = example();
        damaged[at..at + bytes].fill(0xff);
        let index = Index::from_bytes(damaged).unwrap();
        assert_eq!(
            index.entry(number).unwrap_err().kind(),
            "bad-index",
            "record {number} at {at}"
        );
        assert_eq!(index.entry(1).unwrap().path, b"etc");
    }
}

proptest! {
    #[test]
    fn a_changed_index_is_found_out_and_never_read_outside(
        at in 0_usize..2000,
        value in any::<u8>(),
        also in proptest::option::of((0_usize..2000, any::<u8>())),
    ) {
        let original = example();
        let mut bytes = original.clone();
        let length = bytes.len();
        bytes[at % length] = value;
        if let Some((at, value)) = also {
            bytes[at % length] = value;
        }
        let is_changed = bytes != original;
        match explore(bytes) {
            Ok(count) => prop_assert!(count == 9 || is_changed),
            Err(error) => prop_assert!(["bad-index", "unknown-version"].contains(&error.kind())),
        }
    }

    #[test]
    fn any_bytes_behind_the_magic_are_survived(tail in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut bytes = b"DSLVIDX\0\x01\0\0\0".to_vec();
        bytes.extend_from_slice(&tail);
        let _ = explore(bytes);
    }
}
