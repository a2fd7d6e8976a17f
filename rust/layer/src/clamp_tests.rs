//! Tests of layers whose times are set back.

use super::*;
use crate::layers::LayersOptions;

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

    /// A layer with everything that layers can have; nothing in it is older than `mtime_ns`.
    fn layer(&self, mtime_ns: i64) -> DiffId {
        let mut writer = self.layers.writer(Interrupt::default()).unwrap();
        let timed = |path: &str, kind, mode| Entry {
            mtime_ns,
            ..Entry::new(path, kind, mode)
        };
        let mut file = |path: &str, content: &[u8], mtime_ns: i64| {
            let entry = Entry {
                size: content.len() as u64,
                mtime_ns,
                uid: 7,
                ..Entry::new(path, Kind::File, 0o4755)
            };
            writer.add_file(&entry, &mut &content[..]).unwrap();
        };
        file("a", &[b'x'; 40_000], mtime_ns + 1);
        file("b", b"small", mtime_ns);
        let link = Entry {
            hard_link: Some(b"a".into()),
            ..timed("c", Kind::File, 0o4755)
        };
        writer.add_entry(&link).unwrap();
        let mut opaque = timed("d", Kind::Directory, 0o700);
        opaque.is_opaque = true;
        writer.add_entry(&opaque).unwrap();
        let symlink = Entry {
            link_target: Some(b"a".into()),
            ..timed("d/l", Kind::Symlink, 0o777)
        };
        writer.add_entry(&symlink).unwrap();
        writer
            .add_entry(&Entry::new("gone", Kind::Whiteout, 0))
            .unwrap();
        let mut attributed = timed("x", Kind::File, 0o644);
        attributed.xattrs = vec![(b"user.k".into(), b"v".into())];
        writer.add_entry(&attributed).unwrap();
        writer.finish().unwrap().diff_id
    }

    fn entries(&self, diff_id: DiffId) -> Vec<Entry> {
        let layer = self.layers.layer(diff_id).unwrap();
        let entries = layer.index().entries();
        entries
            .map(|entry| Entry {
                data_offset: 0,
                ..entry.unwrap()
            })
            .collect()
    }

    fn clamp(&self, diff_id: DiffId, latest_ns: i64) -> DiffId {
        let info = self
            .layers
            .clamp_times(diff_id, latest_ns, &Interrupt::default())
            .unwrap();
        info.diff_id
    }
}

#[test]
fn nothing_but_later_times_changes() {
    let fixture = Fixture::new();
    let old = fixture.layer(5_000_000_000);
    let new = fixture.clamp(old, 2_000_000_000);
    assert_ne!(new, old);
    let expected: Vec<Entry> = fixture
        .entries(old)
        .into_iter()
        .map(|entry| Entry {
            mtime_ns: entry.mtime_ns.min(2_000_000_000),
            ..entry
        })
        .collect();
    assert_eq!(fixture.entries(new), expected);
    fixture.layers.verify(new, &Interrupt::default()).unwrap();
}

#[test]
fn layers_that_differ_in_later_times_become_one() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.layer(5_000_000_000), fixture.layer(9_123_456_789));
    assert_ne!(one, other);
    assert_eq!(
        fixture.clamp(one, 2_000_000_000),
        fixture.clamp(other, 2_000_000_000)
    );
}

#[test]
fn the_tar_is_the_one_that_a_writer_makes() {
    let fixture = Fixture::new();
    // All times of this one are 2 seconds but that of `a`, which is a nanosecond later.
    let late = fixture.layer(2_000_000_000);
    let clamped = fixture.clamp(late, 2_000_000_000);
    let elsewhere = Fixture::new();
    let later = elsewhere.layer(3_000_000_000);
    assert_eq!(elsewhere.clamp(later, 2_000_000_000), clamped);
}

#[test]
fn a_layer_without_later_times_stays_itself() {
    let fixture = Fixture::new();
    let layer = fixture.layer(5_000_000_000);
    assert_eq!(fixture.clamp(layer, 5_000_000_001), layer);
    assert_ne!(fixture.clamp(layer, 5_000_000_000), layer);
}

#[test]
fn large_contents_are_shared_on_disk() {
    let fixture = Fixture::new();
    let old = fixture.layer(5_000_000_000);
    let new = fixture.layers.layer(fixture.clamp(old, 0)).unwrap();
    let shared: u64 = new
        .extents()
        .iter()
        .filter(|extent| extent.pack == old.0)
        .map(|extent| extent.length)
        .sum();
    assert_eq!(shared, padded(40_000));
    let mut content = Vec::new();
    let entry = new.index().get(b"a").unwrap().unwrap();
    std::io::Read::read_to_end(&mut new.content(&entry), &mut content).unwrap();
    assert_eq!(content, vec![b'x'; 40_000]);
}

#[test]
fn a_damaged_content_is_refused() {
    let fixture = Fixture::new();
    let old = fixture.layer(5_000_000_000);
    let entry = fixture.layers.layer(old).unwrap();
    let offset = entry.index().get(b"a").unwrap().unwrap().data_offset;
    let pack = std::fs::File::options()
        .write(true)
        .open(fixture.layers.pack_path(old))
        .unwrap();
    std::os::unix::fs::FileExt::write_all_at(&pack, b"!", offset).unwrap();
    let refused = fixture
        .layers
        .clamp_times(old, 0, &Interrupt::default())
        .unwrap_err();
    assert_eq!(refused.kind(), "digest-mismatch");
    assert_eq!(fixture.layers.list().unwrap(), [old]);
}

#[test]
fn a_link_that_comes_before_its_first_name_follows_it_in_the_tar() {
    let fixture = Fixture::new();
    let mut writer = fixture.layers.writer(Interrupt::default()).unwrap();
    let first = Entry {
        size: 4,
        mtime_ns: 9,
        ..Entry::new("z", Kind::File, 0o644)
    };
    writer.add_file(&first, &mut &b"text"[..]).unwrap();
    let link = Entry {
        hard_link: Some(b"z".into()),
        ..Entry::new("a", Kind::File, 0o644)
    };
    writer.add_entry(&link).unwrap();
    let old = writer.finish().unwrap().diff_id;
    let new = fixture.clamp(old, 8);
    fixture.layers.verify(new, &Interrupt::default()).unwrap();
    let entries = fixture.entries(new);
    let named = entries.iter().find(|entry| entry.path == b"a").unwrap();
    assert_eq!(named.hard_link.as_deref(), Some(&b"z"[..]));
    assert_eq!(named.mtime_ns, 8);
}
