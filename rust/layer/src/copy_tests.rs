use std::os::unix::fs::symlink;

use super::*;
use crate::copy_mode::ModeChange;
use crate::copy_scene::{Scene, directory, file, lines, link, plan as planned, request, set_mode};

#[test]
fn a_directory_gives_what_it_holds_and_not_itself() {
    let scene = Scene::new();
    scene.file("src/a", "a");
    scene.file("src/sub/b", "b");
    set_mode(&scene.context().join("src"), 0o700);
    set_mode(&scene.context().join("src/sub"), 0o750);
    let expected = [
        "app directory 755 0:0 made",
        "app/a file 644 0:0 copied",
        "app/sub directory 750 0:0 copied",
        "app/sub/b file 644 0:0 copied",
    ];
    let base = scene.view(&[]);
    for (source, destination) in [
        ("src", "/app"),
        ("src/", "/app/"),
        ("/src", "/app"),
        ("s?c", "/app"),
    ] {
        assert_eq!(
            scene.plan(&base, &[source], destination).unwrap(),
            expected,
            "{source}"
        );
    }
}

#[test]
fn every_name_of_the_top_means_the_whole_context() {
    let scene = Scene::new();
    scene.file("a", "a");
    let base = scene.view(&[]);
    for source in ["", ".", "/", "./", "..", "../..", "x/.."] {
        let expected = ["app directory 755 0:0 made", "app/a file 644 0:0 copied"];
        assert_eq!(
            scene.plan(&base, &[source], "/app").unwrap(),
            expected,
            "{source}"
        );
    }
}

#[test]
fn a_file_goes_into_a_directory_or_becomes_the_destination() {
    let scene = Scene::new();
    scene.file("a", "a");
    let base = scene.view(&[scene.layer(&[directory("etc", 0o711), file("etc/a"), file("f")])]);
    for (destination, expected) in [
        ("/b", vec!["b file 644 0:0 copied"]),
        ("/f", vec!["f file 644 0:0 copied"]),
        ("/", vec!["a file 644 0:0 copied"]),
        (
            "/b/",
            vec!["b directory 755 0:0 made", "b/a file 644 0:0 copied"],
        ),
        (
            "/b/c",
            vec!["b directory 755 0:0 made", "b/c file 644 0:0 copied"],
        ),
        (
            "/etc",
            vec!["etc directory 711 0:0 kept", "etc/a file 644 0:0 copied"],
        ),
        (
            "/etc/",
            vec!["etc directory 711 0:0 kept", "etc/a file 644 0:0 copied"],
        ),
        (
            "/etc/x",
            vec!["etc directory 711 0:0 kept", "etc/x file 644 0:0 copied"],
        ),
    ] {
        assert_eq!(
            scene.plan(&base, &["a"], destination).unwrap(),
            expected,
            "{destination}"
        );
    }
}

#[test]
fn links_in_the_destination_are_followed() {
    let scene = Scene::new();
    scene.file("a", "a");
    let base = scene.view(&[scene.layer(&[
        link("bin", "usr/bin"),
        directory("usr", 0o755),
        directory("usr/bin", 0o755),
        link("usr/bin/tool", "/opt/tool"),
        link("data", "/mnt/data"),
    ])]);
    for (destination, expected) in [
        (
            "/bin/",
            vec![
                "usr directory 755 0:0 kept",
                "usr/bin directory 755 0:0 kept",
                "usr/bin/a file 644 0:0 copied",
            ],
        ),
        (
            "/bin/tool",
            vec!["opt directory 755 0:0 made", "opt/tool file 644 0:0 copied"],
        ),
        (
            "/data/",
            vec![
                "mnt directory 755 0:0 made",
                "mnt/data directory 755 0:0 made",
                "mnt/data/a file 644 0:0 copied",
            ],
        ),
    ] {
        assert_eq!(
            scene.plan(&base, &["a"], destination).unwrap(),
            expected,
            "{destination}"
        );
    }
}

#[test]
fn a_link_that_is_named_is_followed_and_one_in_a_tree_stays() {
    let scene = Scene::new();
    scene.file("real/a", "a");
    symlink("real", scene.context().join("link")).unwrap();
    symlink("/real/a", scene.context().join("deep")).unwrap();
    let base = scene.view(&[]);
    for (source, expected) in [
        (
            "link",
            vec!["x directory 755 0:0 made", "x/a file 644 0:0 copied"],
        ),
        (
            "link/a",
            vec!["x directory 755 0:0 made", "x/a file 644 0:0 copied"],
        ),
        (
            "deep",
            vec!["x directory 755 0:0 made", "x/deep file 644 0:0 copied"],
        ),
        (
            "d*",
            vec!["x directory 755 0:0 made", "x/deep file 644 0:0 copied"],
        ),
    ] {
        assert_eq!(
            scene.plan(&base, &[source], "/x/").unwrap(),
            expected,
            "{source}"
        );
    }
    let whole = scene.plan(&base, &["."], "/x/").unwrap();
    assert!(
        whole.contains(&"x/link symlink 777 0:0 copied".to_owned()),
        "{whole:?}"
    );
}

#[test]
fn wildcards_match_segment_by_segment() {
    let scene = Scene::new();
    for path in ["a.c", "b.c", "b.h", "d/a.c", "d/e/a.c", "we[ird", "st*r"] {
        scene.file(path, path);
    }
    let base = scene.view(&[]);
    for (source, names) in [
        ("*.c", vec!["a.c", "b.c"]),
        ("[b-z].?", vec!["b.c", "b.h"]),
        ("*/a.c", vec!["a.c"]),
        ("**/a.c", vec!["a.c"]),
        ("d/*/*", vec!["a.c"]),
        ("we[[]ird", vec!["we[ird"]),
        ("st\\*r", vec!["st*r"]),
        ("nothing*", vec![]),
        ("nowhere/*", vec![]),
        ("a.c/*", vec![]),
    ] {
        let mut expected: Vec<String> = names
            .iter()
            .map(|name| format!("x/{name} file 644 0:0 copied"))
            .collect();
        if !expected.is_empty() {
            expected.insert(0, "x directory 755 0:0 made".to_owned());
        }
        assert_eq!(
            scene.plan(&base, &[source], "/x/").unwrap(),
            expected,
            "{source}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let scene = Scene::new();
    scene.file("a", "a");
    scene.file("d/sub/x", "x");
    scene.file("g/sub", "a file");
    symlink("nowhere", scene.context().join("dangling")).unwrap();
    symlink("loop", scene.context().join("loop")).unwrap();
    let base = scene.view(&[scene.layer(&[
        directory("etc", 0o755),
        directory("etc/a", 0o755),
        file("etc/passwd"),
        directory("usr", 0o755),
        link("usr/sub", "/etc"),
    ])]);
    for (sources, destination, expected) in [
        (vec!["missing"], "/x", "not-found: `missing` does not exist"),
        (vec!["a/b"], "/x", "not-found: `a/b` does not exist"),
        (vec!["../gone"], "/x", "not-found: `../gone` does not exist"),
        (
            vec!["dangling"],
            "/x",
            "not-found: `dangling` does not exist",
        ),
        (vec!["dang*"], "/x", "not-found: `dangling` does not exist"),
        (
            vec!["loop"],
            "/x",
            "symlink-loop: too many levels of symbolic links in `loop`",
        ),
        (
            vec!["a["],
            "/x",
            "bad-pattern: `a[` is not a valid pattern: `[` is never closed",
        ),
        (
            vec!["a"],
            "/etc/passwd/",
            "not-a-directory: `/etc/passwd` is not a directory",
        ),
        (
            vec!["a"],
            "/etc/passwd/x",
            "not-a-directory: `/etc/passwd` is not a directory",
        ),
        (
            vec!["a"],
            "/etc",
            "is-a-directory: cannot replace the directory `/etc/a` with the file `a`",
        ),
        (
            vec!["d"],
            "/etc/passwd",
            "not-a-directory: cannot replace the file `/etc/passwd` with the directory `d`",
        ),
        (
            vec!["d"],
            "/usr",
            "not-a-directory: cannot replace the symlink `/usr/sub` with the directory `d/sub`",
        ),
        (
            vec!["d", "g"],
            "/x/",
            "is-a-directory: cannot replace the directory `/x/sub` with the file `g/sub`",
        ),
        (
            vec!["g", "d"],
            "/x/",
            "not-a-directory: cannot replace the file `/x/sub` with the directory `d/sub`",
        ),
        (
            vec!["a", "g/sub"],
            "/x",
            "not-a-directory: more than one file for `/x`, which is no directory",
        ),
        (
            vec!["a", "d"],
            "/x",
            "not-a-directory: cannot replace the file `/x` with the directory `d`",
        ),
    ] {
        let error = scene.plan(&base, &sources, destination).unwrap_err();
        assert_eq!(error, expected, "{sources:?} to {destination}");
    }
}

#[test]
fn what_is_missing_comes_with_the_likeliest_remedy() {
    let scene = Scene::new();
    scene.file("src/package.json", "{}");
    scene.file("secret", "s");
    symlink("nowhere", scene.context().join("dangling")).unwrap();
    let base = scene.view(&[]);
    for (source, hint) in [
        ("src/pakage.json", Some("did you mean `src/package.json`?")),
        ("secret", Some("a pattern of `.dockerignore` excludes it")),
        ("dangling", Some("it is a symbolic link that leads nowhere")),
        ("entirely/else", None),
        ("zzz", None),
    ] {
        let origin = scene.tree_without(&["secret"]);
        let error = planned(&base, origin, &request(&[source], "/x")).unwrap_err();
        assert_eq!(error.hint().as_deref(), hint, "{source}");
        assert_eq!(error.path().unwrap(), source.as_bytes());
    }
}

#[test]
fn the_last_of_several_sources_stays_and_merged_directories_take_its_metadata() {
    let scene = Scene::new();
    scene.file("one/sub/x", "1");
    scene.file("two/sub/x", "22");
    scene.file("two/sub/y", "22");
    set_mode(&scene.context().join("two/sub"), 0o711);
    let base = scene.view(&[scene.layer(&[directory("app", 0o700), directory("app/sub", 0o700)])]);
    let plan = planned(&base, scene.tree(), &request(&["one", "two"], "/app")).unwrap();
    let expected = [
        "app directory 700 0:0 kept",
        "app/sub directory 711 0:0 copied",
        "app/sub/x file 644 0:0 copied",
        "app/sub/y file 644 0:0 copied",
    ];
    assert_eq!(lines(&plan), expected);
    assert_eq!((plan.entry_count(), plan.total_bytes()), (4, 4));
}

#[test]
fn owner_and_mode_apply_to_what_is_copied_and_made_and_to_nothing_else() {
    let scene = Scene::new();
    scene.file("d/a", "a");
    symlink("a", scene.context().join("d/l")).unwrap();
    let base = scene.view(&[scene.layer(&[directory("srv", 0o711)])]);
    let mut request = request(&["d"], "/srv/new/d");
    request.owner = Some((1000, 50));
    // What a file may get beyond permissions, a directory on its way does not.
    request.mode = Some(ModeChange::To(0o4640));
    let plan = planned(&base, scene.tree(), &request).unwrap();
    let expected = [
        "srv directory 711 0:0 kept",
        "srv/new directory 640 1000:50 made",
        "srv/new/d directory 640 1000:50 made",
        "srv/new/d/a file 4640 1000:50 copied",
        "srv/new/d/l symlink 777 1000:50 copied",
    ];
    assert_eq!(lines(&plan), expected);
}

#[test]
fn a_work_directory_is_made_with_its_owner_or_left_alone() {
    let scene = Scene::new();
    let base =
        scene.view(&[scene.layer(&[directory("srv", 0o711), link("home", "/srv/app"), file("f")])]);
    let plan = |path: &str| CopyPlan::for_directory(&base, path.as_bytes(), (5, 6), 9);
    for (path, expected) in [
        ("/srv", vec![]),
        ("/", vec![]),
        (
            "/a/b",
            vec!["a directory 755 5:6 made", "a/b directory 755 5:6 made"],
        ),
        (
            "/home",
            vec![
                "srv directory 711 0:0 kept",
                "srv/app directory 755 5:6 made",
            ],
        ),
    ] {
        assert_eq!(lines(&plan(path).unwrap()), expected, "{path}");
    }
    for path in ["/f", "/f/x"] {
        let error = plan(path).unwrap_err();
        assert_eq!(
            (error.kind(), error.path()),
            ("not-a-directory", Some(b"/f".to_vec())),
            "{path}"
        );
    }
    assert_eq!(scene.write(&plan("/srv").unwrap()).entry_count, 0);
}

#[test]
fn what_no_layer_can_hold_is_refused_before_anything_is_written() {
    let scene = Scene::new();
    scene.file("a", "a");
    let base = scene.view(&[]);
    for (destination, refusal) in [
        (
            "/b\0/c",
            "unsafe-path: unsafe path `b\0` in a layer: it contains a NUL",
        ),
        (
            &format!("/{}", "n".repeat(256)),
            "limit: the layer has more than 255 bytes in the name of a file",
        ),
        (
            &format!("/{}/", "n/".repeat(1024)),
            "limit: the layer has more than 1024 directories in a path",
        ),
        (
            &format!("/{}", "name/".repeat(819)),
            "limit: the layer has more than 4095 bytes in a path",
        ),
    ] {
        assert_eq!(scene.plan(&base, &["a"], destination).unwrap_err(), refusal);
    }
    let directory = CopyPlan::for_directory(&base, b"/b\0", (0, 0), 0);
    assert_eq!(directory.unwrap_err().kind(), "unsafe-path");
}
