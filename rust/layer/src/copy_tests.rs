use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use dissolver_tree::{IgnoreRules, ScanOptions, Tree};

use super::*;
use crate::layers::{Layers, LayersOptions};
use crate::{DiffId, LayerInfo};

/// A store, a context directory beside it, and layers to copy onto.
struct Scene {
    directory: tempfile::TempDir,
    layers: Layers,
}

impl Scene {
    fn new() -> Scene {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("context")).unwrap();
        let layers =
            Layers::open(&directory.path().join("store"), LayersOptions::default()).unwrap();
        Scene { directory, layers }
    }

    fn context(&self) -> std::path::PathBuf {
        self.directory.path().join("context")
    }

    fn file(&self, path: &str, content: &str) {
        let path = self.context().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        set_mode(&path, 0o644);
    }

    fn tree(&self) -> Origin {
        self.tree_without(&[])
    }

    fn tree_without(&self, patterns: &[&str]) -> Origin {
        let rules = IgnoreRules::new(patterns).unwrap();
        let options = ScanOptions {
            rules,
            stat_cache: Some(self.directory.path().join("stat")),
        };
        Origin::Tree(Arc::new(
            Tree::scan(&self.context(), options, &|| false).unwrap(),
        ))
    }

    /// A layer of these entries; files hold their own path.
    fn layer(&self, entries: &[Entry]) -> DiffId {
        let mut writer = self.layers.writer(Interrupt::default()).unwrap();
        for entry in entries {
            if entry.kind == Kind::File && entry.hard_link.is_none() {
                let mut entry = entry.clone();
                entry.size = entry.path.len() as u64;
                writer.add_file(&entry, &mut entry.path.as_slice()).unwrap();
            } else {
                writer.add_entry(entry).unwrap();
            }
        }
        writer.finish().unwrap().diff_id
    }

    fn view(&self, layers: &[DiffId]) -> View {
        self.layers.view(layers).unwrap()
    }

    /// The plan as one line for each entry: path, kind, mode, owner, and what it is.
    fn plan(
        &self,
        base: &View,
        sources: &[&str],
        destination: &str,
    ) -> Result<Vec<String>, String> {
        let plan = CopyPlan::for_copy(base, self.tree(), &request(sources, destination));
        plan.map(|plan| lines(&plan))
            .map_err(|error| format!("{}: {error}", error.kind()))
    }

    fn write(&self, plan: &CopyPlan) -> LayerInfo {
        plan.write(&self.layers, &Interrupt::default()).unwrap()
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn request(sources: &[&str], destination: &str) -> CopyRequest {
    CopyRequest {
        sources: sources
            .iter()
            .map(|source| source.as_bytes().to_vec())
            .collect(),
        destination: destination.as_bytes().to_vec(),
        owner: None,
        keeps_owner: false,
        mode: None,
        new_directory_mtime_ns: 7,
    }
}

fn directory(path: &str, mode: u32) -> Entry {
    Entry::new(path, Kind::Directory, mode)
}

fn file(path: &str) -> Entry {
    Entry::new(path, Kind::File, 0o644)
}

fn link(path: &str, target: &str) -> Entry {
    let mut entry = Entry::new(path, Kind::Symlink, 0o777);
    entry.link_target = Some(target.as_bytes().to_vec());
    entry
}

fn lines(plan: &CopyPlan) -> Vec<String> {
    let describe = |planned: &Planned| {
        let facts = plan.facts(planned);
        let what = match planned.what {
            What::Made => "made",
            What::Kept(_) => "kept",
            What::Copied(_) => "copied",
        };
        let link = facts.hard_link.map_or(String::new(), |link| {
            format!(" = {}", String::from_utf8_lossy(link))
        });
        let path = String::from_utf8_lossy(facts.path).into_owned();
        let (uid, gid) = facts.owner;
        format!(
            "{path} {} {:o} {uid}:{gid} {what}{link}",
            facts.kind.name(),
            facts.mode
        )
    };
    plan.entries.iter().map(describe).collect()
}

fn digest(plan: &CopyPlan) -> [u8; 32] {
    plan.digest(&Interrupt::default()).unwrap()
}

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
        let error = CopyPlan::for_copy(&base, origin, &request(&[source], "/x")).unwrap_err();
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
    let plan = CopyPlan::for_copy(&base, scene.tree(), &request(&["one", "two"], "/app")).unwrap();
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
    request.mode = Some(0o640);
    let plan = CopyPlan::for_copy(&base, scene.tree(), &request).unwrap();
    let expected = [
        "srv directory 711 0:0 kept",
        "srv/new directory 640 1000:50 made",
        "srv/new/d directory 640 1000:50 made",
        "srv/new/d/a file 640 1000:50 copied",
        "srv/new/d/l symlink 777 1000:50 copied",
    ];
    assert_eq!(lines(&plan), expected);
}

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
    let plan = CopyPlan::for_copy(&base, scene.tree(), &request(&["d"], "/x/")).unwrap();
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
        let plan = CopyPlan::for_copy(&base, origin, &request(&[source], "/y/")).unwrap();
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
        let plan = CopyPlan::for_copy(&scene.view(&[]), origin, &request).unwrap();
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
    let plan = |destination: &str| {
        CopyPlan::for_copy(&base, scene.tree(), &request(&["d"], destination)).unwrap()
    };
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
    let other = CopyPlan::for_copy(&base, scene.tree(), &request(&["e"], "/x")).unwrap();
    assert_eq!(digest(&other), before, "the same from another directory");
}

#[test]
fn a_base_matters_only_along_the_destination() {
    let scene = Scene::new();
    scene.file("a", "a");
    let on = |entries: &[Entry]| {
        let base = scene.view(&[scene.layer(entries)]);
        digest(&CopyPlan::for_copy(&base, scene.tree(), &request(&["a"], "/srv/x/")).unwrap())
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
        let plan = CopyPlan::for_copy(&base, scene.tree(), &request(&["d"], "/srv/x")).unwrap();
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
}

#[test]
fn a_file_that_changed_after_it_was_hashed_is_an_error_that_names_it() {
    let scene = Scene::new();
    scene.file("d/a", "before");
    let base = scene.view(&[]);
    for content in ["after, and longer", "", "BEFORE"] {
        scene.file("d/a", "before");
        let plan = CopyPlan::for_copy(&base, scene.tree(), &request(&["d"], "/x")).unwrap();
        digest(&plan);
        fs::write(scene.context().join("d/a"), content).unwrap();
        let error = plan
            .write(&scene.layers, &Interrupt::default())
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
        let plan = CopyPlan::for_copy(&base, scene.tree(), &request(&["."], "/x")).unwrap();
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

#[test]
fn a_work_directory_is_made_with_its_owner_or_left_alone() {
    let scene = Scene::new();
    let base =
        scene.view(&[scene.layer(&[directory("srv", 0o711), link("work", "/srv/app"), file("f")])]);
    let plan = |path: &str| CopyPlan::for_directory(&base, path.as_bytes(), (5, 6), 9);
    for (path, expected) in [
        ("/srv", vec![]),
        ("/", vec![]),
        (
            "/a/b",
            vec!["a directory 755 5:6 made", "a/b directory 755 5:6 made"],
        ),
        (
            "/work",
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
