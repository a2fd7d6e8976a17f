//! Tests of the view, on layers written to a store.

use super::*;
use crate::diff_id::DiffId;
use crate::interrupt::Interrupt;
use crate::layers::{Layers, LayersOptions};

/// A store that lives as long as the test.
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

    /// Writes a layer from lines such as `d etc`, `f etc/passwd text`, `l a target`, `w gone`, `o dir`, `h b a`.
    fn layer(&self, lines: &[&str]) -> DiffId {
        let mut writer = self.layers.writer(Interrupt::default()).unwrap();
        for line in lines {
            let mut words = line.splitn(3, ' ');
            let kind = words.next().unwrap();
            let path = words.next().unwrap().trim_start_matches('/');
            let rest = words.next().unwrap_or_default();
            match kind {
                "f" => {
                    let mut entry = Entry::new(path, Kind::File, 0o644);
                    entry.size = rest.len() as u64;
                    writer.add_file(&entry, &mut rest.as_bytes()).unwrap();
                }
                "h" => {
                    let mut entry = Entry::new(path, Kind::File, 0o644);
                    entry.hard_link = Some(rest.into());
                    writer.add_entry(&entry).unwrap();
                }
                "l" => {
                    let mut entry = Entry::new(path, Kind::Symlink, 0o777);
                    entry.link_target = Some(rest.into());
                    writer.add_entry(&entry).unwrap();
                }
                "w" => writer
                    .add_entry(&Entry::new(path, Kind::Whiteout, 0))
                    .unwrap(),
                "d" | "o" => {
                    let mode = if rest.is_empty() {
                        0o755
                    } else {
                        u32::from_str_radix(rest, 8).unwrap()
                    };
                    let mut entry = Entry::new(path, Kind::Directory, mode);
                    entry.is_opaque = kind == "o";
                    writer.add_entry(&entry).unwrap();
                }
                other => panic!("{other}"),
            }
        }
        writer.finish().unwrap().diff_id
    }

    fn view(&self, layers: &[&[&str]]) -> View {
        let ids: Vec<DiffId> = layers.iter().map(|lines| self.layer(lines)).collect();
        self.layers.view(&ids).unwrap()
    }
}

fn names(view: &View, directory: &str) -> Vec<String> {
    let children = view.children(directory.as_bytes()).unwrap();
    children
        .iter()
        .map(|found| String::from_utf8_lossy(found.entry.name()).into_owned())
        .collect()
}

fn content(view: &View, path: &str) -> String {
    String::from_utf8(view.read(path.as_bytes(), 1000).unwrap()).unwrap()
}

#[test]
fn no_layers_are_an_empty_root() {
    let view = View::new(Vec::new());
    let root = view.lookup(b"").unwrap().unwrap();
    assert_eq!(
        (root.entry.kind, root.entry.mode, root.layer),
        (Kind::Directory, 0o755, None)
    );
    assert!(view.children(b"").unwrap().is_empty());
    assert!(view.lookup(b"etc").unwrap().is_none());
}

#[test]
fn upper_layers_win_and_directories_merge() {
    let fixture = Fixture::new();
    let view = fixture.view(&[
        &["d etc", "f etc/passwd old", "f etc/group group", "d usr"],
        &["d etc", "f etc/passwd new", "f etc/shadow shadow"],
    ]);
    assert_eq!(names(&view, ""), ["etc", "usr"]);
    assert_eq!(names(&view, "etc"), ["group", "passwd", "shadow"]);
    assert_eq!(content(&view, "/etc/passwd"), "new");
    assert_eq!(content(&view, "etc/group"), "group");
    assert_eq!(view.lookup(b"etc/passwd").unwrap().unwrap().layer, Some(1));
    assert!(view.lookup(b"etc/passwd/x").unwrap().is_none());
}

#[test]
fn whiteouts_and_opaque_directories_hide_what_is_below() {
    let fixture = Fixture::new();
    let view = fixture.view(&[
        &[
            "d a",
            "f a/x 1",
            "f a/y 2",
            "d a/deep",
            "f a/deep/z 3",
            "d b",
            "f b/x 4",
            "d c",
            "f c/x 5",
        ],
        &["d a", "w a/x", "o b", "f b/new 6", "w c"],
    ]);
    assert_eq!(names(&view, ""), ["a", "b"]);
    assert_eq!(names(&view, "a"), ["deep", "y"]);
    assert_eq!(names(&view, "b"), ["new"]);
    assert!(view.lookup(b"a/x").unwrap().is_none());
    assert!(view.lookup(b"b/x").unwrap().is_none());
    assert!(view.lookup(b"c/x").unwrap().is_none());
    assert_eq!(content(&view, "a/deep/z"), "3");
}

#[test]
fn a_directory_that_replaces_a_file_shows_nothing_of_it() {
    let fixture = Fixture::new();
    let view = fixture.view(&[&["d a", "f a/x 1"], &["f a file"], &["d a", "f a/y 2"]]);
    assert_eq!(names(&view, "a"), ["y"]);
    assert!(view.lookup(b"a/x").unwrap().is_none());
}

#[test]
fn an_implied_directory_keeps_the_metadata_below_it() {
    let fixture = Fixture::new();
    let view = fixture.view(&[&["d tmp 1777", "f tmp/a 1"], &["f tmp/b 2"], &["f tmp/c 3"]]);
    let tmp = view.lookup(b"tmp").unwrap().unwrap();
    assert_eq!((tmp.entry.mode, tmp.entry.is_implicit), (0o1777, false));
    assert_eq!(view.children(b"").unwrap()[0].entry.mode, 0o1777);
    assert_eq!(names(&view, "tmp"), ["a", "b", "c"]);
}

#[test]
fn an_implied_directory_over_a_file_stands_on_its_own() {
    let fixture = Fixture::new();
    let view = fixture.view(&[&["d x 700", "f x/old 0"], &["f x 1"], &["f x/y 2"]]);
    assert_eq!(view.lookup(b"x").unwrap().unwrap().entry.mode, 0o755);
    let children = view.children(b"").unwrap();
    assert_eq!((children.len(), children[0].entry.mode), (1, 0o755));
    assert_eq!(names(&view, "x"), ["y"]);
}

#[test]
fn symbolic_links_stay_inside_the_root() {
    let fixture = Fixture::new();
    let view = fixture.view(&[&[
        "d usr",
        "d usr/bin",
        "f usr/bin/sh shell",
        "l bin usr/bin",
        "l out ../../../usr",
        "l abs /usr/bin",
        "l loop loop",
        "l dangling /missing/file",
    ]]);
    let table = [
        ("/bin/sh", "usr/bin/sh"),
        ("out/bin/sh", "usr/bin/sh"),
        ("abs/sh", "usr/bin/sh"),
        ("abs/../../../etc", "etc"),
        ("dangling", "missing/file"),
        ("no/such/../thing", "no/thing"),
        ("bin/", "usr/bin"),
        ("/", ""),
        ("../..", ""),
    ];
    for (path, expected) in table {
        let resolved = view.resolve(path.as_bytes(), LastLink::Follow).unwrap();
        assert_eq!(String::from_utf8_lossy(&resolved.path), expected, "{path}");
        assert_eq!(
            resolved.found,
            view.lookup(expected.as_bytes()).unwrap(),
            "{path}"
        );
    }
    assert_eq!(view.resolve(b"bin", LastLink::Keep).unwrap().path, b"bin");
    assert_eq!(
        view.resolve(b"bin/", LastLink::Keep).unwrap().path,
        b"usr/bin"
    );
    assert_eq!(
        view.resolve(b"loop", LastLink::Follow).unwrap_err().kind(),
        "symlink-loop"
    );
}

#[test]
fn a_hard_link_reads_as_the_file_that_it_names() {
    let fixture = Fixture::new();
    let view = fixture.view(&[&["d a", "f a/one content", "h two a/one"], &["w a/one"]]);
    let two = view.lookup(b"two").unwrap().unwrap().entry;
    assert_eq!(
        (two.kind, two.size, two.hard_link.as_deref()),
        (Kind::File, 7, Some(&b"a/one"[..]))
    );
    assert_eq!(content(&view, "two"), "content");
}

#[test]
fn reading_says_what_is_wrong() {
    let fixture = Fixture::new();
    let view = fixture.view(&[&["d a", "f a/big 0123456789"]]);
    assert_eq!(view.read(b"a", 10).unwrap_err().kind(), "not-a-file");
    assert_eq!(view.read(b"b", 10).unwrap_err().kind(), "not-found");
    assert_eq!(view.read(b"a/big", 9).unwrap_err().kind(), "too-large");
}

#[test]
fn a_walk_visits_everything_once_and_parents_first() {
    let fixture = Fixture::new();
    let view = fixture.view(&[
        &["d a", "f a/x 1", "f a-b 2", "d z"],
        &["d a", "f a/y 3", "w z"],
    ]);
    let mut seen = Vec::new();
    view.walk(&mut |found| {
        seen.push(String::from_utf8(found.entry.path).unwrap());
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, ["", "a", "a/x", "a/y", "a-b"]);
}

#[test]
fn an_entry_that_claims_to_hold_its_own_directory_is_damage() {
    let fixture = Fixture::new();
    let layer = fixture.layer(&["d a", "d a/b", "f a/b/c x"]);
    let path = fixture.layers.directory(layer).join("index");
    let original = std::fs::read(&path).unwrap();
    // Record 2 is `a/b`; it becomes the root once more, then `a` once more.
    for length in [0_u8, 1] {
        let mut damaged = original.clone();
        let record = 128 + 56 + 2 * 104;
        damaged[record + 16] = length;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, damaged).unwrap();
        let view = fixture.layers.view(&[layer]).unwrap();
        let error = view.walk(&mut |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), "bad-index", "{length}");
        assert!(
            error
                .to_string()
                .ends_with("an entry lies outside its directory")
        );
    }
}
