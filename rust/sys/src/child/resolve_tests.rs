#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::symlink;

fn in_root(
    layout: impl Fn(&std::path::Path),
    path: &str,
    create: Option<Create>,
) -> (tempfile::TempDir, Result<(), Refusal>) {
    let directory = tempfile::tempdir().unwrap();
    layout(directory.path());
    let root = std::fs::File::open(directory.path()).unwrap();
    let target = Target {
        path: CString::new(path).unwrap(),
        create,
    };
    let result = open_target(root.as_fd(), &target).map(drop);
    (directory, result)
}

#[test]
fn missing_parents_are_made_and_the_last_name_is_what_was_asked_for() {
    let (root, result) = in_root(|_| {}, "/a//b/c", Some(Create::File));
    assert_eq!(result, Ok(()));
    assert!(root.path().join("a/b").is_dir());
    assert!(root.path().join("a/b/c").is_file());
}

#[test]
fn nothing_is_made_unasked() {
    let (root, result) = in_root(|_| {}, "/a", None);
    assert_eq!(result, Err(Errno::NOENT.into()));
    assert!(!root.path().join("a").exists());
}

#[test]
fn a_dangling_symlink_leads_to_what_is_made() {
    let layout = |root: &std::path::Path| {
        std::fs::create_dir(root.join("etc")).unwrap();
        symlink("../run/systemd/stub", root.join("etc/resolv.conf")).unwrap();
    };
    let (root, result) = in_root(layout, "/etc/resolv.conf", Some(Create::File));
    assert_eq!(result, Ok(()));
    assert!(root.path().join("run/systemd/stub").is_file());
}

#[test]
fn an_absolute_symlink_stays_inside_the_root() {
    let (root, result) = in_root(
        |root| symlink("/etc", root.join("x")).unwrap(),
        "/x/made-here",
        Some(Create::Directory),
    );
    assert_eq!(result, Ok(()));
    assert!(root.path().join("etc/made-here").is_dir());
    assert!(!std::path::Path::new("/etc/made-here").exists());
}

#[test]
fn dots_cannot_climb_out() {
    let (root, result) = in_root(|_| {}, "/a/../../../made-here", Some(Create::Directory));
    assert_eq!(result, Ok(()));
    assert!(root.path().join("made-here").is_dir());
}

#[test]
fn a_loop_of_symlinks_is_refused() {
    let layout = |root: &std::path::Path| {
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
    };
    let (_root, result) = in_root(layout, "/a/x", Some(Create::Directory));
    assert_eq!(result, Err(Errno::LOOP.into()));
}

#[test]
fn a_path_beyond_the_kernels_limit_is_refused() {
    let (_root, result) = in_root(|_| {}, &"/aaaaaaaaa".repeat(500), Some(Create::Directory));
    assert_eq!(result, Err(Errno::NAMETOOLONG.into()));
}

/// One entry of a hostile tree: where it is, and what it points at if it is a symlink.
type Entry = (Vec<&'static str>, Option<String>);

fn name() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b"), Just("c")]
}

/// Paths that climb, start over, and go round in circles.
fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![4 => name(), 2 => Just(".."), 1 => Just("."), 1 => Just("")];
    let parts = proptest::collection::vec(part, 1..6);
    (any::<bool>(), parts).prop_map(|(is_absolute, parts)| {
        format!("{}{}", if is_absolute { "/" } else { "" }, parts.join("/"))
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    (
        proptest::collection::vec(name(), 1..4),
        proptest::option::weighted(0.7, path()),
    )
}

/// Makes as much of the tree as fits together.
fn make_tree(root: &std::path::Path, entries: &[Entry]) {
    for (place, link) in entries {
        let place = place
            .iter()
            .fold(root.to_path_buf(), |path, name| path.join(name));
        let parent = place.parent().unwrap();
        // A parent behind a symlink is not made: the test itself must stay inside.
        if std::fs::canonicalize(parent).is_ok_and(|real| real == parent) {
            let _ = match link {
                Some(target) if !target.is_empty() => symlink(target, &place),
                _ => std::fs::create_dir(&place),
            };
        }
    }
}

fn listing(directory: &std::path::Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    names
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_outside_is_reached_or_made(entries in proptest::collection::vec(entry(), 0..8), wanted in path()) {
        let outer = tempfile::tempdir().unwrap();
        let outer = std::fs::canonicalize(outer.path()).unwrap();
        let root = outer.join("x/root");
        std::fs::create_dir_all(&root).unwrap();
        make_tree(&root, &entries);
        let directory = std::fs::File::open(&root).unwrap();
        let target = Target { path: CString::new(wanted).unwrap(), create: Some(Create::Directory) };
        if let Ok(found) = open_target(directory.as_fd(), &target) {
            let place = std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).unwrap();
            prop_assert!(place.starts_with(&root), "{place:?}");
        }
        prop_assert_eq!(listing(&outer), ["x"]);
        prop_assert_eq!(listing(&outer.join("x")), ["root"]);
        prop_assert!(!["/a", "/b", "/c"].iter().any(|path| std::path::Path::new(path).exists()));
        std::fs::remove_dir_all(&outer).unwrap();
    }
}
