use super::*;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const NEVER: IsCancelled<'static> = &|| false;

fn make(files: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    root
}

fn scan(root: &Path, patterns: &[&str]) -> Tree {
    let options = ScanOptions {
        rules: IgnoreRules::new(patterns).unwrap(),
        stat_cache: None,
    };
    Tree::scan(root, options, NEVER).unwrap()
}

fn scan_cached(root: &TempDir, cache: &Path) -> Tree {
    let options = ScanOptions {
        stat_cache: Some(cache.to_owned()),
        ..ScanOptions::default()
    };
    Tree::scan(root.path(), options, NEVER).unwrap()
}

fn paths(tree: &Tree) -> Vec<String> {
    (0..tree.len())
        .map(|number| String::from_utf8_lossy(tree.path(number)).into_owned())
        .collect()
}

fn hash_all(tree: &Tree) -> Result<u64, TreeError> {
    tree.hash_contents(&(0..tree.len()).collect::<Vec<_>>(), NEVER)
}

/// Makes the file look as if it had been left alone for long, as far as programs can.
fn age(path: &Path) {
    let past = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(past)
        .unwrap();
}

#[test]
fn a_listing_is_in_order_and_every_subtree_is_one_stretch() {
    let root = make(&["b", "a/y", "a/x/deep", "a-b", "a.b", "c/only"]);
    let tree = scan(root.path(), &[]);
    let expected = [
        "", "a", "a/x", "a/x/deep", "a/y", "a-b", "a.b", "b", "c", "c/only",
    ];
    assert_eq!(paths(&tree), expected);
    assert_eq!(tree.total_bytes(), 8 + 3 + 3 + 3 + 1 + 6);
    let a = tree.find(b"a").unwrap();
    assert_eq!(
        tree.children(a)
            .map(|child| tree.path(child))
            .collect::<Vec<_>>(),
        [b"a/x".as_slice(), b"a/y"]
    );
    assert_eq!((tree.subtree_end(a), tree.subtree_end(0)), (5, tree.len()));
    assert_eq!(tree.children(tree.find(b"b").unwrap()).count(), 0);
    assert_eq!(tree.find(b"a/z"), None);
}

#[test]
fn links_are_listed_and_not_followed_and_sockets_are_left_out() {
    let root = make(&["real/file"]);
    symlink("real", root.path().join("link")).unwrap();
    symlink("/nowhere", root.path().join("dangling")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
    let tree = scan(root.path(), &[]);
    assert_eq!(paths(&tree), ["", "dangling", "link", "real", "real/file"]);
    let link = tree.find(b"link").unwrap();
    assert_eq!(
        (tree.stat(link).kind, tree.link_target(link)),
        (Kind::Symlink, b"real".as_slice())
    );
}

#[test]
fn the_root_may_be_reached_through_a_link_and_must_be_a_directory() {
    let root = make(&["dir/file"]);
    symlink("dir", root.path().join("link")).unwrap();
    assert_eq!(paths(&scan(&root.path().join("link"), &[])), ["", "file"]);
    for (name, kind) in [("missing", "not-found"), ("dir/file", "not-a-directory")] {
        let path = root.path().join(name);
        let error = Tree::scan(&path, ScanOptions::default(), NEVER).unwrap_err();
        assert_eq!(
            (error.kind(), error.path().unwrap()),
            (kind, path.as_os_str().as_encoded_bytes())
        );
    }
}

#[test]
fn ignored_paths_do_not_exist_unless_they_are_brought_back() {
    let root = make(&[
        "node_modules/a/x",
        "node_modules/keep/y",
        "dist/x",
        "README.md",
        "src/x.log",
        "src/x",
    ]);
    fs::create_dir(root.path().join("empty")).unwrap();
    for (patterns, expected) in [
        (
            &["node_modules", "dist", "**/*.log", "*.md"][..],
            vec!["", "empty", "src", "src/x"],
        ),
        (
            &["*", "!node_modules/keep", "!src/*.log"],
            vec![
                "",
                "node_modules",
                "node_modules/keep",
                "node_modules/keep/y",
                "src",
                "src/x.log",
            ],
        ),
        (&["**"], vec![""]),
        (&["*", "!empty"], vec!["", "empty"]),
        (
            &["*/**"],
            vec!["", "README.md", "dist", "empty", "node_modules", "src"],
        ),
    ] {
        assert_eq!(
            paths(&scan(root.path(), patterns)),
            expected,
            "{patterns:?}"
        );
    }
}

#[test]
fn an_excluded_directory_is_not_entered() {
    let root = make(&["secret/x", "open/x"]);
    let secret = root.path().join("secret");
    // Root reads everything; a directory that cannot be opened would do for others.
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let tree = scan(root.path(), &["secret"]);
    assert_eq!(paths(&tree), ["", "open", "open/x"]);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_deep_tree_needs_neither_stack_nor_descriptors() {
    let root = tempfile::tempdir().unwrap();
    let deep = vec!["d"; 1500].join("/");
    fs::create_dir_all(root.path().join(&deep)).unwrap();
    assert_eq!(scan(root.path(), &[]).len(), 1501);
}

#[test]
fn a_wide_directory_is_listed_whole() {
    let names: Vec<String> = (0..3000)
        .map(|number| format!("file-{number:05}"))
        .collect();
    let root = make(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let tree = scan(root.path(), &[]);
    assert_eq!(paths(&tree)[1..], names);
}

#[test]
fn listing_and_hashing_stop_when_asked() {
    let root = make(&["a"]);
    let error = Tree::scan(root.path(), ScanOptions::default(), &|| true).unwrap_err();
    assert_eq!(error.kind(), "interrupted");
    let tree = scan(root.path(), &[]);
    assert_eq!(
        tree.hash_contents(&[1], &|| true).unwrap_err().kind(),
        "interrupted"
    );
}

#[test]
fn contents_are_hashed_once_and_kept() {
    let root = make(&["a", "dir/b"]);
    fs::write(root.path().join("large"), vec![7; 1_000_000]).unwrap();
    let tree = scan(root.path(), &[]);
    assert_eq!(
        (hash_all(&tree).unwrap(), hash_all(&tree).unwrap()),
        (1_000_006, 0)
    );
    for (path, content) in [
        ("a", b"a".to_vec()),
        ("dir/b", b"dir/b".to_vec()),
        ("large", vec![7; 1_000_000]),
    ] {
        let number = tree.find(path.as_bytes()).unwrap();
        assert_eq!(
            tree.content(number).unwrap().digest,
            dissolver_digest::blake3_of(&content)
        );
    }
    assert_eq!(tree.content(0), None);
}

#[test]
fn a_file_that_is_not_as_listed_is_an_error_that_names_it() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 7] = [
        ("grown", |path| {
            fs::write(path, "longer than before").unwrap()
        }),
        ("cut", |path| fs::write(path, "").unwrap()),
        ("rewritten", |path| {
            std::thread::sleep(Duration::from_millis(20));
            fs::write(path, "DIR/FILE").unwrap();
        }),
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("made a directory", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("made a link", |path| {
            fs::rename(path, path.with_extension("moved")).unwrap();
            symlink("file.moved", path).unwrap();
        }),
        ("other mode", |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap()
        }),
    ];
    for (what, change) in changes {
        let root = make(&["dir/file"]);
        let tree = scan(root.path(), &[]);
        change(&root.path().join("dir/file"));
        let error = hash_all(&tree).unwrap_err();
        assert_eq!(
            (error.kind(), error.path()),
            ("changed-while-read", Some(b"dir/file".as_slice())),
            "{what}"
        );
        assert_eq!(error.to_string(), "`dir/file` changed while it was read");
    }
}

#[test]
fn another_name_for_a_file_is_no_change() {
    let root = make(&["dir/file"]);
    let tree = scan(root.path(), &[]);
    fs::hard_link(root.path().join("dir/file"), root.path().join("backup")).unwrap();
    assert_eq!(hash_all(&tree).unwrap(), 8);
}

#[test]
fn a_path_that_became_a_link_leads_nowhere_else() {
    let root = make(&["dir/file", "outside/file"]);
    let tree = scan(root.path(), &["outside"]);
    fs::rename(root.path().join("dir"), root.path().join("moved")).unwrap();
    symlink("outside", root.path().join("dir")).unwrap();
    assert_eq!(hash_all(&tree).unwrap_err().kind(), "changed-while-read");
}

#[test]
fn a_settled_file_is_not_read_again() {
    let root = make(&["a", "b"]);
    let cache = root.path().with_extension("cache");
    for name in ["a", "b"] {
        age(&root.path().join(name));
    }
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(hash_all(&scan_cached(&root, &cache)).unwrap(), 2);
    assert_eq!(hash_all(&scan_cached(&root, &cache)).unwrap(), 0);
    fs::write(root.path().join("b"), "c").unwrap();
    let tree = scan_cached(&root, &cache);
    assert_eq!(hash_all(&tree).unwrap(), 1);
    let b = tree.content(tree.find(b"b").unwrap()).unwrap();
    assert_eq!(b.digest, dissolver_digest::blake3_of(b"c"));
    fs::remove_file(cache).unwrap();
}

#[test]
fn a_file_that_changed_a_moment_ago_is_not_believed_later() {
    let root = make(&["a"]);
    let cache = root.path().with_extension("cache");
    // The modification time lies in the past, as after unpacking; the change time does not.
    age(&root.path().join("a"));
    assert_eq!(hash_all(&scan_cached(&root, &cache)).unwrap(), 1);
    assert_eq!(hash_all(&scan_cached(&root, &cache)).unwrap(), 1);
    fs::remove_file(cache).unwrap();
}

#[test]
fn a_change_that_hides_its_modification_time_is_seen() {
    let root = make(&["a"]);
    let cache = root.path().with_extension("cache");
    let path = root.path().join("a");
    age(&path);
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    std::thread::sleep(Duration::from_millis(150));
    hash_all(&scan_cached(&root, &cache)).unwrap();
    fs::write(&path, "b").unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(before)
        .unwrap();
    assert_eq!(hash_all(&scan_cached(&root, &cache)).unwrap(), 1);
    fs::remove_file(cache).unwrap();
}

#[test]
fn a_damaged_cache_counts_as_empty_and_is_replaced() {
    let root = make(&["a", "b"]);
    let cache = root.path().with_extension("cache");
    std::thread::sleep(Duration::from_millis(150));
    hash_all(&scan_cached(&root, &cache)).unwrap();
    let good = fs::read(&cache).unwrap();
    let mut other_version = good.clone();
    other_version[8] = 99;
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for broken in [
        vec![],
        b"DSLVSTAT".to_vec(),
        other_version,
        flipped,
        good[..good.len() - 1].to_vec(),
    ] {
        fs::write(&cache, &broken).unwrap();
        assert_eq!(hash_all(&scan_cached(&root, &cache)).unwrap(), 2);
        assert_eq!(fs::read(&cache).unwrap(), good);
    }
    fs::remove_file(cache).unwrap();
}

#[test]
fn a_cache_says_what_it_is_about_and_that_it_is_used() {
    let root = make(&["a"]);
    let cache = root.path().with_extension("cache");
    std::thread::sleep(Duration::from_millis(150));
    hash_all(&scan_cached(&root, &cache)).unwrap();
    let context = fs::canonicalize(root.path()).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    let file = fs::File::options().write(true).open(&cache).unwrap();
    file.set_modified(long_ago).unwrap();
    assert_eq!(crate::stat_cache_context(&cache), Some(context));
    let modified = || fs::metadata(&cache).unwrap().modified().unwrap();
    assert_eq!(modified(), long_ago, "asking is no use");
    assert_eq!(hash_all(&scan_cached(&root, &cache)).unwrap(), 0);
    assert!(modified() > long_ago);
    fs::write(&cache, "nothing").unwrap();
    assert_eq!(crate::stat_cache_context(&cache), None);
    fs::remove_file(cache).unwrap();
}

#[test]
fn a_cache_that_cannot_be_written_is_no_failure() {
    let root = make(&["a"]);
    let tree = scan_cached(&root, Path::new("/proc/nowhere/cache"));
    assert_eq!(hash_all(&tree).unwrap(), 1);
}

#[test]
fn hashing_a_part_keeps_what_is_known_of_the_rest() {
    let root = make(&["a", "b"]);
    let cache = root.path().with_extension("cache");
    std::thread::sleep(Duration::from_millis(150));
    hash_all(&scan_cached(&root, &cache)).unwrap();
    fs::write(root.path().join("b"), "changed").unwrap();
    let tree = scan_cached(&root, &cache);
    tree.hash_contents(&[tree.find(b"b").unwrap()], NEVER)
        .unwrap();
    let again = scan_cached(&root, &cache);
    assert!(again.content(again.find(b"a").unwrap()).is_some());
    fs::remove_file(cache).unwrap();
}

#[test]
fn attributes_that_mean_something_are_kept() {
    let root = make(&["dir/file"]);
    let cache = root.path().with_extension("cache");
    for name in ["user.note", "user.overlay.opaque"] {
        for path in ["dir", "dir/file"] {
            let path = root.path().join(path);
            let flags = rustix::fs::XattrFlags::empty();
            if rustix::fs::setxattr(&path, name, b"value", flags)
                == Err(rustix::io::Errno::OPNOTSUPP)
            {
                return;
            }
        }
    }
    std::thread::sleep(Duration::from_millis(150));
    let expected = [(b"user.note".to_vec(), b"value".to_vec())];
    for bytes in [8, 0] {
        let tree = scan_cached(&root, &cache);
        assert_eq!(hash_all(&tree).unwrap(), bytes);
        for path in [b"dir".as_slice(), b"dir/file"] {
            assert_eq!(tree.xattrs(tree.find(path).unwrap()), expected);
        }
    }
    fs::remove_file(cache).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_listing_is_what_the_rules_leave(
        files in prop::collection::btree_set("[abc](/[abc]){0,3}", 1..12),
        patterns in prop::collection::vec("!?(\\*\\*/)?[abc*](/[abc*]){0,2}", 0..4),
    ) {
        // A path that is a directory of another one cannot be a file as well.
        let files: Vec<&String> = files
            .iter()
            .filter(|file| !files.iter().any(|other| other.starts_with(&format!("{file}/"))))
            .collect();
        let root = make(&files.iter().map(|file| file.as_str()).collect::<Vec<_>>());
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let rules = IgnoreRules::new(&patterns).unwrap();
        let tree = scan(root.path(), &patterns);
        let listed: Vec<&[u8]> = (0..tree.len())
            .filter(|&number| tree.stat(number).kind == Kind::File)
            .map(|number| tree.path(number))
            .collect();
        let mut expected: Vec<&[u8]> =
            files.iter().map(|file| file.as_bytes()).filter(|file| !rules.excludes(file)).collect();
        expected.sort_by(|left, right| compare_paths(left, right));
        prop_assert_eq!(listed, expected);
    }
}

#[test]
fn a_failing_system_call_is_told_in_words() {
    let error = TreeError::io("open", b"src")(rustix::io::Errno::ACCESS);
    assert_eq!(error.to_string(), "cannot open `src`: permission denied");
    assert_eq!(
        error.hint(),
        Some("make it readable for you, or exclude it in `.dockerignore`")
    );
}
