#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::sync::Arc;

use dissolver_tree::IgnoreRules;

use super::*;
use crate::copy_mode::{ModeChange, ModeClause};
use crate::copy_scene::set_mode;
use crate::copy_scene::{Request, Scene, digest, directory, file, lines, link, plan, request};

/// Sources whose directories are kept, as pairs of a pivot and a whole pattern.
fn with_parents(sources: &[(&str, &str)], destination: &str) -> Request {
    let mut request = request(&[], destination);
    request.sources = sources
        .iter()
        .map(|(pivot, pattern)| CopySource {
            pattern: pattern.as_bytes().to_vec(),
            pivot: Some(pivot.as_bytes().to_vec()),
        })
        .collect();
    request
}

fn without(patterns: &[&str], sources: &[&str], destination: &str) -> Request {
    let mut request = request(sources, destination);
    request.excludes = IgnoreRules::new(patterns).unwrap();
    request
}

fn paths(scene: &Scene, request: &Request) -> Vec<String> {
    let plan = plan(&scene.view(&[]), scene.tree(), request).unwrap();
    let paths = lines(&plan).into_iter();
    paths
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

fn scene() -> Scene {
    let scene = Scene::new();
    for path in [
        "a/one.txt",
        "a/two.md",
        "a/deep/three.txt",
        "b/c/four.txt",
        "top.txt",
    ] {
        scene.file(path, path);
    }
    scene
}

#[test]
fn directories_of_sources_are_kept() {
    let scene = scene();
    for (sources, expected) in [
        (&[("/", "/a/one.txt")][..], "x x/a x/a/one.txt"),
        (&[("/", "/a/*.txt")], "x x/a x/a/one.txt"),
        (&[("/", "/a/deep")], "x x/a x/a/deep x/a/deep/three.txt"),
        (
            &[("/", "/**/*.txt")],
            "x x/a x/a/deep x/a/deep/three.txt x/a/one.txt x/b x/b/c x/b/c/four.txt x/top.txt",
        ),
        (&[("/", "/*/c")], "x x/b x/b/c x/b/c/four.txt"),
        (
            &[("/", "/a/two.md"), ("/", "/b")],
            "x x/a x/a/two.md x/b x/b/c x/b/c/four.txt",
        ),
        (&[("/b", "/b/c/four.txt")], "x x/c x/c/four.txt"),
        (&[("/*", "/*/c")], "x x/c x/c/four.txt"),
        (&[("/", "/nothing*")], "x"),
    ] {
        let found = paths(&scene, &with_parents(sources, "/x/"));
        assert_eq!(found.join(" "), expected, "{sources:?}");
    }
    let whole = paths(&scene, &with_parents(&[("/", "/")], "/x/"));
    assert_eq!(whole.len(), 10);
}

#[test]
fn kept_directories_look_as_in_the_origin() {
    let scene = scene();
    set_mode(&scene.context().join("a"), 0o700);
    let base = scene.view(&[scene.layer(&[directory("x", 0o711), directory("x/a", 0o777)])]);
    let request = with_parents(&[("/", "/a/one.txt")], "/x/");
    let expected = [
        "x directory 711 0:0 kept",
        "x/a directory 700 0:0 copied",
        "x/a/one.txt file 644 0:0 copied",
    ];
    assert_eq!(
        lines(&plan(&base, scene.tree(), &request).unwrap()),
        expected
    );
}

#[test]
fn a_source_without_wildcards_has_to_exist() {
    let scene = scene();
    for (pivot, pattern) in [("/", "/a/none"), ("/b", "/b/none"), ("/none", "/none/a")] {
        let request = with_parents(&[(pivot, pattern)], "/x/");
        let error = plan(&scene.view(&[]), scene.tree(), &request).unwrap_err();
        assert_eq!(error.kind(), "not-found", "{pattern}");
    }
}

#[test]
fn what_is_excluded_is_left_out_of_directories() {
    let scene = scene();
    for (patterns, sources, expected) in [
        (
            &["*.md"][..],
            &["/a"][..],
            "x x/deep x/deep/three.txt x/one.txt",
        ),
        (&["deep"], &["/a"], "x x/one.txt x/two.md"),
        (&["**/*.txt"], &["/a"], "x x/deep x/two.md"),
        (
            &["*", "!deep/three.txt"],
            &["/a"],
            "x x/deep x/deep/three.txt",
        ),
        (
            &["a"],
            &["/a"],
            "x x/deep x/deep/three.txt x/one.txt x/two.md",
        ),
        (
            &["c"],
            &["/a", "/b"],
            "x x/deep x/deep/three.txt x/one.txt x/two.md",
        ),
        // What is a source itself stays.
        (&["*.txt"], &["/top.txt"], "x x/top.txt"),
        (&["*.txt"], &["/*.txt"], "x x/top.txt"),
    ] {
        let found = paths(&scene, &without(patterns, sources, "/x/"));
        assert_eq!(found.join(" "), expected, "{patterns:?} {sources:?}");
    }
}

#[test]
fn exclusions_and_kept_directories_go_together() {
    let scene = scene();
    let mut request = with_parents(&[("/", "/**/*.txt")], "/x/");
    request.excludes = IgnoreRules::new(["a/deep", "top.txt"]).unwrap();
    assert_eq!(
        paths(&scene, &request).join(" "),
        "x x/a x/a/one.txt x/b x/b/c x/b/c/four.txt"
    );
}

#[test]
fn a_mode_can_be_a_change() {
    let scene = Scene::new();
    scene.file("d/run", "a");
    scene.file("d/sub/b", "b");
    set_mode(&scene.context().join("d/run"), 0o700);
    set_mode(&scene.context().join("d/sub"), 0o700);
    symlink("run", scene.context().join("d/l")).unwrap();
    let clause = |who: &str, operator, bits: &str| ModeClause {
        who: who.to_owned(),
        operator,
        bits: bits.to_owned(),
    };
    let mut request = request(&["d"], "/x/");
    request.mode = Some(ModeChange::By(vec![
        clause("u", '=', "rwX"),
        clause("go", '=', "rX"),
    ]));
    let expected = [
        "x directory 755 0:0 made",
        "x/l symlink 777 0:0 copied",
        "x/run file 755 0:0 copied",
        "x/sub directory 755 0:0 copied",
        "x/sub/b file 644 0:0 copied",
    ];
    let plan = plan(&scene.view(&[]), scene.tree(), &request).unwrap();
    assert_eq!(lines(&plan), expected);
}

#[test]
fn parts_of_several_origins_make_one_layer_in_their_order() {
    let (scene, other) = (Scene::new(), Scene::new());
    scene.file("same", "one");
    scene.file("a", "a");
    other.file("same", "other");
    let layer = scene.layer(&[directory("d", 0o700), file("d/from-layer")]);
    let view = Origin::View(Arc::new(scene.view(&[layer])));
    let (mut owned, plain) = (request(&["/d"], "/x/"), request(&["/."], "/x/"));
    owned.keeps_owner = true;
    let parts = vec![
        plain.part(scene.tree()),
        owned.part(view),
        plain.part(other.tree()),
    ];
    let plan = CopyPlan::for_copy(&scene.view(&[]), plain.with(parts)).unwrap();
    let before = digest(&plan);
    let info = scene.write(&plan);
    let made = scene.view(&[info.diff_id]);
    let read = |path: &str| made.read(path.as_bytes(), 100).unwrap();
    assert_eq!(read("/x/same"), b"other");
    assert_eq!(read("/x/a"), b"a");
    assert_eq!(read("/x/from-layer"), b"d/from-layer");
    assert_eq!(digest(&plan), before);
    let names: Vec<String> = plan.inputs().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "destination",
            "directory/x",
            "context/a",
            "from/d/from-layer",
            "context/same"
        ]
    );
}

#[test]
fn names_that_are_copied_apart_are_two_files() {
    let scene = Scene::new();
    scene.file("a", "a");
    fs::hard_link(scene.context().join("a"), scene.context().join("b")).unwrap();
    for sources in [vec!["a", "b"], vec!["[ab]"]] {
        let plan = plan(&scene.view(&[]), scene.tree(), &request(&sources, "/x/")).unwrap();
        let expected = [
            "x directory 755 0:0 made",
            "x/a file 644 0:0 copied",
            "x/b file 644 0:0 copied",
        ];
        assert_eq!(lines(&plan), expected);
        let made = scene.view(&[scene.write(&plan).diff_id]);
        assert_eq!(made.read(b"x/b", 100).unwrap(), b"a");
    }
}

#[test]
fn files_of_two_origins_are_never_names_of_one() {
    let (scene, other) = (Scene::new(), Scene::new());
    scene.file("a", "a");
    fs::hard_link(scene.context().join("a"), scene.context().join("b")).unwrap();
    let inode = fs::metadata(scene.context().join("a")).unwrap().ino();
    assert_eq!(
        fs::metadata(scene.context().join("b")).unwrap().ino(),
        inode
    );
    other.file("c", "c");
    let request = request(&["/."], "/x/");
    let parts = vec![request.part(scene.tree()), request.part(other.tree())];
    let plan = CopyPlan::for_copy(&scene.view(&[]), request.with(parts)).unwrap();
    let expected = [
        "x directory 755 0:0 made",
        "x/a file 644 0:0 copied",
        "x/b file 644 0:0 copied = x/a",
        "x/c file 644 0:0 copied",
    ];
    assert_eq!(lines(&plan), expected);
    scene.write(&plan);
}

#[test]
fn what_is_unpacked_keeps_its_mode_and_takes_the_place_of_what_is_there() {
    let scene = Scene::new();
    let mut inside = file("lib/file");
    (inside.uid, inside.gid, inside.mode) = (5, 6, 0o4711);
    let archive = scene.layer(&[directory("lib", 0o700), inside, file("etc")]);
    let base = scene.view(&[scene.layer(&[
        link("lib", "usr/lib"),
        directory("usr", 0o755),
        directory("usr/lib", 0o755),
        directory("etc", 0o755),
    ])]);
    let mut request = request(&["/."], "/");
    request.owner = Some((1, 1));
    request.mode = Some(ModeChange::To(0o600));
    let origin = Origin::View(Arc::new(scene.view(&[archive])));
    let error = plan(&base, origin.clone(), &request).unwrap_err();
    assert_eq!(error.kind(), "is-a-directory");
    request.is_verbatim = true;
    let expected = [
        "etc file 644 1:1 copied",
        "lib directory 700 1:1 copied",
        "lib/file file 4711 1:1 copied",
    ];
    assert_eq!(
        lines(&plan(&base, origin.clone(), &request).unwrap()),
        expected
    );
    (request.owner, request.keeps_owner) = (None, true);
    request.destination = "/new".into();
    let expected = [
        "new directory 755 0:0 made",
        "new/etc file 644 0:0 copied",
        "new/lib directory 700 0:0 copied",
        "new/lib/file file 4711 5:6 copied",
    ];
    assert_eq!(lines(&plan(&base, origin, &request).unwrap()), expected);
}

#[test]
fn what_an_archive_does_not_describe_stays_as_it_is() {
    let scene = Scene::new();
    let archive = scene.layer(&[file("tmp/a"), directory("new", 0o700), file("new/in/b")]);
    let base = scene.view(&[scene.layer(&[directory("tmp", 0o1777)])]);
    let mut request = request(&["/."], "/");
    request.is_verbatim = true;
    let plan = plan(
        &base,
        Origin::View(Arc::new(scene.view(&[archive]))),
        &request,
    )
    .unwrap();
    let expected = [
        "new directory 700 0:0 copied",
        "new/in/b file 644 0:0 copied",
        "tmp/a file 644 0:0 copied",
    ];
    assert_eq!(lines(&plan), expected);
}

#[test]
fn a_part_can_say_what_it_selects() {
    let scene = scene();
    let part = request(&["/a", "/*.txt", "/none*"], "/x/").part(scene.tree());
    let found = part.selected().unwrap();
    assert_eq!(
        found,
        [
            (b"a".to_vec(), Kind::Directory),
            (b"top.txt".to_vec(), Kind::File)
        ]
    );
}
