//! Upper directories that are made by hand, without a mount.

use super::*;

/// An upper directory without a mount, for what needs none.
fn upper_of(build: impl FnOnce(&Path)) -> (tempfile::TempDir, Layers, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let layers = Layers::open(&directory.path().join("store"), LayersOptions::default()).unwrap();
    let upper = directory.path().join("upper");
    fs::create_dir(&upper).unwrap();
    fs::set_permissions(&upper, fs::Permissions::from_mode(0o755)).unwrap();
    build(&upper);
    (directory, layers, upper)
}

fn paths(layers: &Layers, diff_id: DiffId) -> Vec<String> {
    let layer = layers.layer(diff_id).unwrap();
    let entries = layer.index().entries();
    entries
        .map(|entry| String::from_utf8(entry.unwrap().path).unwrap())
        .collect()
}

#[test]
fn stubs_are_left_out_while_they_are_empty_and_new() {
    let (_directory, layers, upper) = upper_of(|upper| {
        for path in ["proc", "dev/shm", "etc", "kept/inner", "run"] {
            fs::create_dir_all(upper.join(path)).unwrap();
        }
        fs::write(upper.join("etc/resolv.conf"), "").unwrap();
        fs::write(upper.join("etc/hosts"), "written").unwrap();
        fs::write(upper.join("kept/inner/file"), "x").unwrap();
    });
    let stubs: Vec<Vec<u8>> = [
        "/proc",
        "/dev",
        "/dev/shm",
        "/etc/resolv.conf",
        "/etc/hosts",
        "kept/",
        "/kept/inner",
    ]
    .iter()
    .map(|path| path.as_bytes().to_vec())
    .collect();
    let info = layers
        .commit_upper(&upper, &[], &stubs, &Interrupt::default())
        .unwrap();
    assert_eq!(
        paths(&layers, info.diff_id),
        [
            "",
            "etc",
            "etc/hosts",
            "kept",
            "kept/inner",
            "kept/inner/file",
            "run"
        ]
    );
    let root = layers.directory(info.diff_id).join("root");
    assert!(!root.join("proc").exists() && !root.join("etc/resolv.conf").exists());
}

#[test]
fn what_layers_cannot_say_is_refused_and_the_upper_stays() {
    if !is_root() {
        eprintln!("skipped: only root can set trusted attributes");
        return;
    }
    let mark = |upper: &Path, name: &[u8], key: &[u8]| {
        let file = File::open(upper.join(OsStr::from_bytes(name))).unwrap();
        Holder::Open(file.as_fd()).set(key, b"y").unwrap();
    };
    type Case<'case> = (&'case [u8], Option<&'case [u8]>, &'case str);
    let table: [Case<'_>; 3] = [
        (b".wh.x", None, "bad-tar"),
        (
            b"moved",
            Some(b"trusted.overlay.redirect"),
            "unsupported-overlay",
        ),
        (
            b"hollow",
            Some(b"user.overlay.metacopy"),
            "unsupported-overlay",
        ),
    ];
    for (name, key, kind) in table {
        let (_directory, layers, upper) = upper_of(|upper| {
            fs::write(upper.join(OsStr::from_bytes(name)), "x").unwrap();
            if let Some(key) = key {
                mark(upper, name, key);
            }
        });
        let error = layers
            .commit_upper(&upper, &[], &[], &Interrupt::default())
            .unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(upper.join(OsStr::from_bytes(name)).exists());
        assert!(layers.list().unwrap().is_empty());
    }
}

#[test]
fn sockets_are_left_out_and_an_interrupt_leaves_nothing() {
    let (directory, layers, upper) = upper_of(|upper| {
        fs::write(upper.join("file"), "x").unwrap();
        std::os::unix::net::UnixListener::bind(upper.join("socket")).unwrap();
    });
    let interrupt = Interrupt::default();
    interrupt.set();
    assert_eq!(
        layers
            .commit_upper(&upper, &[], &[], &interrupt)
            .unwrap_err()
            .kind(),
        "interrupted"
    );
    assert_eq!(
        fs::read_dir(directory.path().join("store/tmp"))
            .unwrap()
            .count(),
        0
    );
    let info = layers
        .commit_upper(&upper, &[], &[], &Interrupt::default())
        .unwrap();
    assert_eq!(paths(&layers, info.diff_id), ["", "file"]);
    assert!(!layers.directory(info.diff_id).join("root/socket").exists());
}

#[test]
fn the_same_changes_twice_are_one_layer() {
    if !is_root() {
        eprintln!("skipped: a root directory that is not root's is a change with a time");
        return;
    }
    let (directory, layers, upper) = upper_of(|upper| fs::write(upper.join("a"), "x").unwrap());
    let facts = fs::metadata(upper.join("a")).unwrap();
    let first = layers
        .commit_upper(&upper, &[], &[], &Interrupt::default())
        .unwrap();
    fs::create_dir(&upper).unwrap();
    fs::set_permissions(&upper, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(upper.join("a"), "x").unwrap();
    File::open(upper.join("a"))
        .unwrap()
        .set_modified(facts.modified().unwrap())
        .unwrap();
    let second = layers
        .commit_upper(&upper, &[], &[], &Interrupt::default())
        .unwrap();
    assert_eq!(first, second);
    assert!(!upper.exists());
    assert_eq!(layers.list().unwrap(), [first.diff_id]);
    assert_eq!(
        fs::read_dir(directory.path().join("store/packs"))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn the_root_is_in_the_layer_only_when_it_changed() {
    if !is_root() {
        eprintln!("skipped: a root directory that is not root's is a change");
        return;
    }
    let (_directory, layers, upper) = upper_of(|upper| fs::write(upper.join("a"), "x").unwrap());
    let first = layers
        .commit_upper(&upper, &[], &[], &Interrupt::default())
        .unwrap();
    assert!(
        layers
            .layer(first.diff_id)
            .unwrap()
            .index()
            .entry(0)
            .unwrap()
            .is_implicit
    );
    fs::create_dir(&upper).unwrap();
    fs::set_permissions(&upper, fs::Permissions::from_mode(0o700)).unwrap();
    let parents = [first.diff_id];
    let second = layers
        .commit_upper(&upper, &parents, &[], &Interrupt::default())
        .unwrap();
    let root = layers
        .layer(second.diff_id)
        .unwrap()
        .index()
        .entry(0)
        .unwrap();
    assert_eq!(
        (second.entry_count, root.mode, root.is_implicit),
        (1, 0o700, false)
    );
}
