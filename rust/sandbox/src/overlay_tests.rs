//! What an overlay makes of layers that try to steer it.

use std::path::Path;

use rustix::fs::{Mode, OFlags, XattrFlags, openat, setxattr};
use rustix::io::Errno;

use super::*;

/// Two layers: the upper one has a directory and a file that want to show others of the lower one.
fn steering(directory: &Path) -> Rootfs {
    for name in ["upper", "work", "root", "above/moved", "below/hidden"] {
        std::fs::create_dir_all(directory.join(name)).unwrap();
    }
    std::fs::write(directory.join("below/hidden/file"), "secret").unwrap();
    let set = |name: &str, key: &str, value: &str| {
        let path = directory.join("above").join(name);
        setxattr(path, key, value.as_bytes(), XattrFlags::empty()).unwrap();
    };
    set("moved", "trusted.overlay.redirect", "/hidden");
    std::fs::write(directory.join("above/hollow"), "").unwrap();
    set("hollow", "trusted.overlay.metacopy", "");
    set("hollow", "trusted.overlay.redirect", "/hidden/file");
    let text = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    Rootfs {
        lowers: vec![
            Lower::Directory(text("above")),
            Lower::Directory(text("below")),
        ],
        upper: Some(text("upper")),
        work: Some(text("work")),
        mountpoint: text("root"),
        read_only: false,
        userxattr: false,
        volatile: false,
    }
}

#[test]
fn no_layer_shows_what_lies_elsewhere_in_another_one() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root mounts overlays here");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let writable = steering(directory.path());
    let read_only = Rootfs {
        upper: None,
        work: None,
        ..writable.clone()
    };
    for rootfs in [writable, read_only] {
        let Some(tree) = detach(&Op::MountRoot(rootfs.clone()), &rootfs, 0).unwrap() else {
            eprintln!("skipped: this kernel takes layers only in one string");
            return;
        };
        let open = |name| openat(&tree, name, OFlags::RDONLY, Mode::empty());
        for name in ["moved", "moved/file", "hollow"] {
            assert_eq!(open(name).unwrap_err(), Errno::PERM, "{name}");
        }
        open("hidden/file").unwrap();
    }
}
