use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::Origin;
use crate::copy_scene::{
    Scene, digest, directory, file, lines, plan as planned, request, set_mode,
};
use crate::{Entry, Kind, View};

#[test]
fn names_of_one_inode_stay_names_of_one_inode() {
    let scene = Scene::new();
    scene.file("d/first", "same");
    fs::hard_link(
        scene.context().join("d/first"),
        scene.context().join("d/second"),
    )
    .unwrap();
    let base = scene.view(&[]);
    let plan = planned(&base, scene.tree(), &request(&["d"], "/x/")).unwrap();
    assert_eq!(
        lines(&plan)[1..],
        [
            "x/first file 644 0:0 copied",
            "x/second file 644 0:0 copied = x/first"
        ]
    );
    assert_eq!(plan.total_bytes(), 4);

    let stage = scene.view(&[scene.write(&plan).diff_id]);
    assert_eq!(stage.read(b"x/second", 100).unwrap(), b"same");
    for (source, expected) in [
        (
            "x",
            vec![
                "y/first file 644 0:0 copied",
                "y/second file 644 0:0 copied = y/first",
            ],
        ),
        ("x/second", vec!["y/second file 644 0:0 copied"]),
    ] {
        let origin = Origin::View(Arc::new(stage.clone()));
        let plan = planned(&base, origin, &request(&[source], "/y/")).unwrap();
        assert_eq!(lines(&plan)[1..], expected, "{source}");
        let copied = scene.view(&[scene.write(&plan).diff_id]);
        assert_eq!(copied.read(b"y/second", 100).unwrap(), b"same", "{source}");
    }
}

#[test]
fn a_copy_from_layers_reads_them_where_they_lie_and_may_keep_owners() {
    let scene = Scene::new();
    let mut owned = file("opt/owned");
    (owned.uid, owned.gid, owned.mtime_ns) = (33, 44, 5);
    owned.xattrs = vec![(b"user.note".to_vec(), b"kept".to_vec())];
    let stage = scene.view(&[
        scene.layer(&[directory("opt", 0o755), file("opt/hidden"), owned]),
        scene.layer(&[
            Entry::new("opt/hidden", Kind::Whiteout, 0),
            file("opt/shown"),
        ]),
    ]);
    for (keeps_owner, owner) in [(true, "33:44"), (false, "0:0")] {
        let mut request = request(&["/opt"], "/y");
        request.keeps_owner = keeps_owner;
        let origin = Origin::View(Arc::new(stage.clone()));
        let plan = planned(&scene.view(&[]), origin, &request).unwrap();
        let expected = [
            "y directory 755 0:0 made".to_owned(),
            format!("y/owned file 644 {owner} copied"),
            "y/shown file 644 0:0 copied".to_owned(),
        ];
        assert_eq!(lines(&plan), expected);
        let copied = scene.view(&[scene.write(&plan).diff_id]);
        assert_eq!(copied.read(b"y/owned", 100).unwrap(), b"opt/owned");
        let entry = copied.lookup(b"y/owned").unwrap().unwrap().entry;
        assert_eq!(entry.xattrs, [(b"user.note".to_vec(), b"kept".to_vec())]);
        assert_eq!(entry.mtime_ns, 5);
        assert_eq!(plan.bytes_hashed(), 0);
    }
}

#[test]
fn the_digest_forgets_times_and_where_files_came_from_and_nothing_else() {
    let scene = Scene::new();
    scene.file("d/a", "content");
    let base = scene.view(&[]);
    let plan =
        |destination: &str| planned(&base, scene.tree(), &request(&["d"], destination)).unwrap();
    let path = scene.context().join("d/a");
    let before = digest(&plan("/x"));
    assert_eq!(digest(&plan("/x/")), before);
    assert_ne!(digest(&plan("/y")), before);

    fs::write(&path, "content").unwrap();
    assert_eq!(digest(&plan("/x")), before, "rewritten with the same bytes");
    set_mode(&path, 0o600);
    assert_ne!(digest(&plan("/x")), before, "another mode");
    set_mode(&path, 0o644);
    assert_eq!(digest(&plan("/x")), before);
    fs::write(&path, "Content").unwrap();
    assert_ne!(digest(&plan("/x")), before, "another byte");
    fs::write(&path, "content").unwrap();
    fs::rename(&path, scene.context().join("d/b")).unwrap();
    assert_ne!(digest(&plan("/x")), before, "another name");
    scene.file("e/a", "content");
    let other = planned(&base, scene.tree(), &request(&["e"], "/x")).unwrap();
    assert_eq!(digest(&other), before, "the same from another directory");
}

#[test]
fn a_base_matters_only_along_the_destination() {
    let scene = Scene::new();
    scene.file("a", "a");
    let on = |entries: &[Entry]| {
        let base = scene.view(&[scene.layer(entries)]);
        digest(&planned(&base, scene.tree(), &request(&["a"], "/srv/x/")).unwrap())
    };
    let before = on(&[directory("srv", 0o755)]);
    assert_eq!(
        on(&[
            directory("etc", 0o700),
            file("etc/other"),
            directory("srv", 0o755)
        ]),
        before
    );
    assert_ne!(on(&[directory("srv", 0o711)]), before);
    assert_ne!(
        on(&[directory("srv", 0o755), directory("srv/x", 0o700)]),
        before
    );
}

#[test]
fn inputs_name_everything_that_the_digest_covers() {
    let scene = Scene::new();
    scene.file("d/a", "a");
    let base = scene.view(&[scene.layer(&[directory("srv", 0o711)])]);
    let inputs = |scene: &Scene| {
        let plan = planned(&base, scene.tree(), &request(&["d"], "/srv/x")).unwrap();
        digest(&plan);
        plan.inputs()
    };
    let before = inputs(&scene);
    let names: Vec<&str> = before.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "destination",
            "directory/srv",
            "directory/srv/x",
            "context/d/a"
        ]
    );
    assert_eq!(before[0].1, "/srv/x");
    assert!(before[3].1.starts_with("644 "), "{before:?}");
    scene.file("d/a", "b");
    let after = inputs(&scene);
    assert_eq!(before[..3], after[..3]);
    assert_ne!(before[3], after[3]);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(scene.context().join("d/a"), executable).unwrap();
    assert_eq!(
        inputs(&scene)[3].1,
        after[3].1.replacen("644", "755", 1),
        "a mode is told apart from all else"
    );
}

#[test]
fn a_file_that_changed_after_it_was_hashed_is_an_error_that_names_it() {
    let scene = Scene::new();
    scene.file("d/a", "before");
    let base = scene.view(&[]);
    for content in ["after, and longer", "", "BEFORE"] {
        scene.file("d/a", "before");
        let plan = planned(&base, scene.tree(), &request(&["d"], "/x")).unwrap();
        digest(&plan);
        fs::write(scene.context().join("d/a"), content).unwrap();
        let error = plan
            .write(&scene.layers, None, &Interrupt::default())
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.path()),
            ("changed-while-read", Some(b"d/a".to_vec()))
        );
        assert_eq!(scene.layers.list().unwrap(), []);
    }
}

#[test]
fn a_second_plan_reads_nothing_that_the_stat_cache_knows() {
    let scene = Scene::new();
    scene.file("a", "12345");
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
    let set_time = |path: &Path| fs::File::open(path).unwrap().set_modified(past).unwrap();
    set_time(&scene.context().join("a"));
    let base = scene.view(&[]);
    let hashed = || {
        let plan = planned(&base, scene.tree(), &request(&["."], "/x")).unwrap();
        digest(&plan);
        plan.bytes_hashed()
    };
    // The change time is too recent for the first answer to be believed later.
    assert_eq!((hashed(), hashed()), (5, 5));
    std::thread::sleep(std::time::Duration::from_millis(150));
    assert_eq!((hashed(), hashed()), (5, 0));
    fs::write(scene.context().join("a"), "54321").unwrap();
    set_time(&scene.context().join("a"));
    assert_eq!(
        hashed(),
        5,
        "the change time tells, though size and modification time do not"
    );
}

/// Every path of a view with what it is and holds.
fn contents(view: &View) -> Vec<(String, Vec<u8>)> {
    let mut seen = Vec::new();
    view.walk(&mut |found| {
        let mut content = found.entry.kind.name().as_bytes().to_vec();
        if found.entry.kind == Kind::File {
            content = view.read(&found.entry.path, u64::MAX)?;
        }
        seen.push((
            String::from_utf8_lossy(&found.entry.path).into_owned(),
            content,
        ));
        Ok(())
    })
    .unwrap();
    seen
}

#[test]
fn a_layer_has_the_same_name_whenever_it_is_written() {
    let scene = Scene::new();
    scene.file("d/a", "a");
    scene.file("d/large", &"0123456789".repeat(300_000));
    let base = scene.view(&[]);
    let write = || {
        let plan = planned(&base, scene.tree(), &request(&["d"], "/x")).unwrap();
        scene.write(&plan)
    };
    let first = write();
    assert_eq!(write(), first);
    assert_eq!(first.content_bytes, 3_000_001);
    let view = scene.view(&[first.diff_id]);
    let entry = view.lookup(b"x/large").unwrap().unwrap().entry;
    assert_eq!(
        entry.digest,
        Some(*blake3::hash(&"0123456789".repeat(300_000).into_bytes()).as_bytes())
    );
    assert_eq!(entry.data_offset % 512, 0);
}

#[test]
fn an_interrupted_copy_leaves_nothing() {
    let scene = Scene::new();
    scene.file("a", "a");
    let plan = planned(&scene.view(&[]), scene.tree(), &request(&["."], "/x")).unwrap();
    digest(&plan);
    let interrupt = Interrupt::default();
    interrupt.set();
    assert_eq!(
        plan.write(&scene.layers, None, &interrupt)
            .unwrap_err()
            .kind(),
        "interrupted"
    );
    assert_eq!(scene.layers.list().unwrap(), []);
    let left = fs::read_dir(scene.directory.path().join("store/tmp"))
        .unwrap()
        .count();
    assert_eq!(left, 0);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]

    #[test]
    fn what_was_copied_is_what_is_there(
        files in proptest::collection::btree_map("[ab-](/[ab.]){0,3}", "[xyz]{0,5}", 1..8),
    ) {
        let scene = Scene::new();
        // A path that is a directory of another one cannot be a file as well.
        let is_file = |path: &str| !files.keys().any(|other| other.starts_with(&format!("{path}/")));
        let files = files.iter().filter(|(path, _)| is_file(path) && !path.split('/').any(|it| it == "."));
        let mut expected = std::collections::BTreeMap::new();
        for (path, content) in files {
            scene.file(path, content);
            expected.insert(path.clone(), content.clone().into_bytes());
        }
        let plan = planned(&scene.view(&[]), scene.tree(), &request(&["."], "/")).unwrap();
        let view = scene.view(&[scene.write(&plan).diff_id]);
        let files = |view: &View| -> std::collections::BTreeMap<String, Vec<u8>> {
            contents(view).into_iter().filter(|(_, content)| content != b"directory").collect()
        };
        proptest::prop_assert_eq!(&files(&view), &expected);

        let origin = Origin::View(Arc::new(view.clone()));
        let plan = planned(&scene.view(&[]), origin, &request(&["/"], "/")).unwrap();
        let again = scene.view(&[scene.write(&plan).diff_id]);
        proptest::prop_assert_eq!(contents(&again), contents(&view));
    }
}
