//! Tests of comparisons, on layers written to a store.

use super::*;
use crate::diff_id::DiffId;
use crate::layers::{Layers, LayersOptions};

struct Fixture {
    layers: Layers,
    _directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let layers = Layers::open(directory.path(), LayersOptions::default()).unwrap();
        Fixture {
            layers,
            _directory: directory,
        }
    }

    fn layer(&self, entries: &[Entry]) -> DiffId {
        let mut writer = self.layers.writer(Interrupt::default()).unwrap();
        for entry in entries {
            if entry.kind == Kind::File {
                let content = vec![b'x'; entry.size as usize];
                writer.add_file(entry, &mut &content[..]).unwrap();
            } else {
                writer.add_entry(entry).unwrap();
            }
        }
        writer.finish().unwrap().diff_id
    }

    /// The differences as lines: what is there on the left, on the right, and the path.
    fn compare(&self, left: &[DiffId], right: &[DiffId], with_times: bool) -> Vec<String> {
        let (left, right) = (
            self.layers.view(left).unwrap(),
            self.layers.view(right).unwrap(),
        );
        let found = left.compare(&right, with_times, &Interrupt::default());
        let kind = |entry: &Option<Entry>| entry.as_ref().map_or("-", |entry| entry.kind.name());
        let lines = found.unwrap().into_iter().map(|one| {
            let entry = one.left.as_ref().or(one.right.as_ref()).unwrap();
            let path = String::from_utf8_lossy(&entry.path).into_owned();
            format!("{} {} {path}", kind(&one.left), kind(&one.right))
        });
        lines.collect()
    }
}

fn file(path: &str, size: u64) -> Entry {
    Entry {
        size,
        ..Entry::new(path, Kind::File, 0o644)
    }
}

fn directory(path: &str) -> Entry {
    Entry::new(path, Kind::Directory, 0o755)
}

#[test]
fn the_same_file_system_from_other_layers_does_not_differ() {
    let fixture = Fixture::new();
    let whole = fixture.layer(&[directory("a"), file("a/b", 1), file("c", 2)]);
    let lower = fixture.layer(&[directory("a"), file("a/b", 1), file("c", 9), file("d", 1)]);
    let hidden = Entry::new("d", Kind::Whiteout, 0);
    let upper = fixture.layer(&[file("c", 2), hidden]);
    let none: [&str; 0] = [];
    assert_eq!(fixture.compare(&[whole], &[lower, upper], false), none);
    assert_eq!(fixture.compare(&[whole], &[whole], true), none);
    assert_eq!(fixture.compare(&[], &[], true), none);
}

#[test]
fn what_is_added_removed_and_changed_is_listed_in_order() {
    let fixture = Fixture::new();
    let base = fixture.layer(&[
        directory("a"),
        file("a/old", 1),
        file("a-b", 1),
        file("z", 1),
    ]);
    let gone = Entry::new("a", Kind::Whiteout, 0);
    let link = Entry {
        link_target: Some(b"z".into()),
        ..Entry::new("a-b", Kind::Symlink, 0o777)
    };
    let upper = fixture.layer(&[gone, link, directory("n"), file("n/m", 1)]);
    let expected = [
        "directory - a",
        "file - a/old",
        "file symlink a-b",
        "- directory n",
        "- file n/m",
    ];
    assert_eq!(fixture.compare(&[base], &[base, upper], false), expected);
}

#[test]
fn an_opaque_directory_hides_what_is_beneath_it() {
    let fixture = Fixture::new();
    let base = fixture.layer(&[directory("a"), directory("a/b"), file("a/b/c", 1)]);
    let mut opaque = directory("a");
    opaque.is_opaque = true;
    let upper = fixture.layer(&[opaque]);
    assert_eq!(
        fixture.compare(&[base, upper], &[base], false),
        ["- directory a/b", "- file a/b/c"]
    );
}

#[test]
fn every_fact_of_an_entry_counts_and_times_where_asked_for() {
    let fixture = Fixture::new();
    let plain = fixture.layer(&[file("a", 3)]);
    let with = |change: &dyn Fn(&mut Entry)| {
        let mut entry = file("a", 3);
        change(&mut entry);
        fixture.layer(&[entry])
    };
    let changed = [
        with(&|entry| entry.mode = 0o600),
        with(&|entry| entry.uid = 1),
        with(&|entry| entry.gid = 1),
        with(&|entry| entry.size = 4),
        with(&|entry| entry.xattrs = vec![(b"user.a".into(), b"b".into())]),
    ];
    for other in changed {
        assert_eq!(fixture.compare(&[plain], &[other], false), ["file file a"]);
    }
    let later = with(&|entry| entry.mtime_ns = 1);
    assert!(fixture.compare(&[plain], &[later], false).is_empty());
    assert_eq!(fixture.compare(&[plain], &[later], true), ["file file a"]);
}
