//! Upper directories that are made by hand, without a mount.

use super::*;

/// An upper directory without a mount, for what needs none.
fn upper_of(build: impl FnOnce(&Path)) -> (tempfile::TempDir, Layers, PathBuf) {
    upper_with(LayersOptions::default(), build)
}

fn upper_with(
    options: LayersOptions,
    build: impl FnOnce(&Path),
) -> (tempfile::TempDir, Layers, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let layers = Layers::open(&directory.path().join("store"), options).unwrap();
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

fn with_marks(userxattr: bool) -> LayersOptions {
    LayersOptions {
        userxattr,
        fsync: false,
    }
}

fn mark(path: &Path, key: &str) {
    let file = File::open(path).unwrap();
    Holder::Open(file.as_fd())
        .set(key.as_bytes(), b"y")
        .unwrap();
}

/// What the layer made of an upper directory shows above a base, and whether it was adopted.
fn commit_above_base(
    layers: &Layers,
    upper: &Path,
) -> (LayerInfo, Vec<crate::Change>, Vec<u8>, bool) {
    let mut base = layers.writer(Interrupt::default()).unwrap();
    for (path, kind) in [
        ("bin", Kind::Directory),
        ("bin/sh", Kind::File),
        ("etc", Kind::Directory),
        ("etc/passwd", Kind::File),
    ] {
        let mode = if kind == Kind::File { 0o644 } else { 0o755 };
        let entry = Entry::new(path.as_bytes().to_vec(), kind, mode);
        base.add_entry(&entry).unwrap();
    }
    let base = [base.finish().unwrap().diff_id];
    let interrupt = Interrupt::default();
    let changes = layers.changes(upper, &base, &[], &interrupt).unwrap();
    let exported = tar(|out| layers.export_container(&base, upper, out, &interrupt));
    let info = layers.commit_upper(upper, &base, &[], &interrupt).unwrap();
    let is_adopted = layers.directory(info.diff_id).join("root").exists();
    (info, changes, exported, is_adopted)
}

#[test]
fn what_a_program_set_makes_no_difference_to_the_layer() {
    if !is_root() {
        eprintln!("skipped: only root can set trusted attributes");
        return;
    }
    let build = |upper: &Path| {
        for name in ["", "etc", "new"] {
            fs::create_dir_all(upper.join(name)).unwrap();
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(upper.join(name), mode).unwrap();
        }
        fs::write(upper.join("new/empty"), "").unwrap();
        fs::write(upper.join("etc/hosts"), "x").unwrap();
        for name in ["new/empty", "etc/hosts", "new", "etc"] {
            let file = File::open(upper.join(name)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
    };
    for userxattr in [false, true] {
        let (_plain, layers, upper) = upper_with(with_marks(userxattr), build);
        let plain = commit_above_base(&layers, &upper);
        assert!(plain.3, "what has no such attributes is adopted as it is");
        let (own, other) = if userxattr {
            ("user", "trusted")
        } else {
            ("trusted", "user")
        };
        for name in ["opaque", "whiteout", "redirect", "metacopy", "other"] {
            for key in [
                format!("{other}.overlay.{name}"),
                format!("{own}.overlay.overlay.{name}"),
                format!("{own}.overlay.overlay.overlay.{name}"),
            ] {
                for path in ["", "etc", "new", "new/empty", "etc/hosts"] {
                    let (_marked, layers, upper) = upper_with(with_marks(userxattr), |upper| {
                        build(upper);
                        mark(&upper.join(path), &key);
                    });
                    let (info, changes, exported, is_adopted) = commit_above_base(&layers, &upper);
                    assert_eq!(info, plain.0, "{key} of `{path}`");
                    assert_eq!(changes, plain.1, "{key} of `{path}`");
                    assert_eq!(exported, plain.2, "{key} of `{path}`");
                    assert!(
                        !is_adopted,
                        "{key} of `{path}` would be seen in the next step"
                    );
                }
            }
        }
    }
}

#[test]
fn an_adopted_directory_hides_no_more_than_its_layer() {
    if !is_root() {
        eprintln!("skipped: only root can set trusted attributes");
        return;
    }
    for (userxattr, key) in [
        (false, "trusted.overlay.opaque"),
        (true, "user.overlay.opaque"),
    ] {
        let (_directory, layers, upper) = upper_with(with_marks(userxattr), |upper| {
            for name in ["new", "etc"] {
                fs::create_dir(upper.join(name)).unwrap();
                mark(&upper.join(name), key);
            }
        });
        let (info, _, _, is_adopted) = commit_above_base(&layers, &upper);
        assert!(is_adopted);
        let adopted = layers.directory(info.diff_id).join("root");
        let is_opaque = |name: &str| {
            let directory = File::open(adopted.join(name)).unwrap();
            let xattrs = Holder::Open(directory.as_fd()).read_all().unwrap();
            xattrs.contains(&(key.as_bytes().to_vec(), b"y".to_vec()))
        };
        // The base has `etc`, and has no `new`.
        assert_eq!((is_opaque("etc"), is_opaque("new")), (true, false));
        let entry = |path| layers.layer(info.diff_id).unwrap().index().get(path);
        assert!(entry(b"etc").unwrap().unwrap().is_opaque);
        assert!(!entry(b"new").unwrap().unwrap().is_opaque);
    }
}

#[test]
fn what_layers_cannot_say_is_refused_and_the_upper_stays() {
    if !is_root() {
        eprintln!("skipped: only root can set trusted attributes");
        return;
    }
    type Case<'case> = (&'case str, Option<&'case str>, bool, &'case str);
    let table: [Case<'_>; 4] = [
        (".wh.x", None, false, "bad-tar"),
        (
            "moved",
            Some("trusted.overlay.redirect"),
            false,
            "unsupported-overlay",
        ),
        (
            "hollow",
            Some("trusted.overlay.metacopy"),
            false,
            "unsupported-overlay",
        ),
        (
            "hollow",
            Some("user.overlay.metacopy"),
            true,
            "unsupported-overlay",
        ),
    ];
    for (name, key, userxattr, kind) in table {
        let (_directory, layers, upper) = upper_with(with_marks(userxattr), |upper| {
            fs::write(upper.join(name), "x").unwrap();
            if let Some(key) = key {
                mark(&upper.join(name), key);
            }
        });
        let error = layers
            .commit_upper(&upper, &[], &[], &Interrupt::default())
            .unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(upper.join(name).exists());
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
