use std::os::fd::OwnedFd;
use std::path::Path;

use dissolver_layer::{Layers, LayersOptions};
use rustix::fs::{FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::read;

use super::*;

/// A stack of one image above one directory, with a writable layer; `None` if not root.
fn scene(directory: &Path) -> Option<Rootfs> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root mounts layers in place");
        return None;
    }
    let layers = Layers::open(&directory.join("store"), LayersOptions::default()).unwrap();
    let sample = layers.sample(false).unwrap();
    for name in ["upper", "work", "root", "below"] {
        std::fs::create_dir(directory.join(name)).unwrap();
    }
    std::fs::write(directory.join("below/other"), "below").unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    Some(Rootfs {
        lowers: vec![
            Lower::Erofs {
                erofs: text(&sample.image),
                devices: vec![text(&sample.device)],
            },
            Lower::Directory(text(&directory.join("below"))),
        ],
        upper: Some(text(&directory.join("upper"))),
        work: Some(text(&directory.join("work"))),
        mountpoint: text(&directory.join("root")),
        read_only: false,
        userxattr: false,
        volatile: false,
    })
}

fn content(tree: &OwnedFd, name: &str) -> Vec<u8> {
    let file = openat(tree, name, OFlags::RDONLY, Mode::empty()).unwrap();
    let mut buffer = vec![0; 100];
    let count = read(&file, &mut buffer).unwrap();
    buffer.truncate(count);
    buffer
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

#[test]
fn images_are_stacked_with_and_without_a_place_to_attach_them() {
    for makes in [stack_detached, stack_attached] {
        let directory = tempfile::tempdir().unwrap();
        let Some(rootfs) = scene(directory.path()) else {
            return;
        };
        let op = Op::MountRoot(rootfs.clone());
        let trees = detach_all(&rootfs.lowers).unwrap().unwrap();
        let overlay = makes(&op, &rootfs, &trees, 0).unwrap().unwrap();
        drop(trees);
        assert_eq!(content(&overlay, "sample"), b"mounted in place\n");
        assert_eq!(content(&overlay, "other"), b"below");
        let place = directory.path().to_str().unwrap();
        assert!(!mounts().contains(place), "the host sees no mount");
        let devices = ["sample", "other", "."].map(|name| {
            let facts = statat(&overlay, name, rustix::fs::AtFlags::empty()).unwrap();
            facts.st_dev
        });
        assert_eq!(
            devices, [devices[0]; 3],
            "files of one root have one device"
        );
    }
}

#[test]
fn an_image_alone_needs_no_overlay() {
    let directory = tempfile::tempdir().unwrap();
    let Some(rootfs) = scene(directory.path()) else {
        return;
    };
    let Lower::Erofs { erofs, devices } = &rootfs.lowers[0] else {
        unreachable!()
    };
    let tree = detach_image(erofs, devices, 0).unwrap();
    assert_eq!(content(&tree, "sample"), b"mounted in place\n");
    let kind = FileType::from_raw_mode(fstat(&tree).unwrap().st_mode);
    assert_eq!(kind, FileType::Directory);
    let refused = openat(&tree, "new", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR);
    assert_eq!(refused.unwrap_err(), Errno::ROFS);
}

#[test]
fn an_image_that_cannot_be_mounted_is_named() {
    let directory = tempfile::tempdir().unwrap();
    if scene(directory.path()).is_none() {
        return;
    }
    let path = directory.path().join("no image");
    std::fs::write(&path, [0; 4096]).unwrap();
    let error = detach_image(path.to_str().unwrap(), &[], 0).unwrap_err();
    assert!(error.to_string().contains("no image"), "{error}");
    let error = detach_image("/no/such", &[], 0).unwrap_err();
    assert!(error.to_string().contains("/no/such"), "{error}");
}

#[test]
fn long_paths_are_mounted_too() {
    let directory = tempfile::tempdir().unwrap();
    let long = directory.path().join("x".repeat(200)).join("y".repeat(200));
    std::fs::create_dir_all(&long).unwrap();
    let Some(rootfs) = scene(&long) else {
        return;
    };
    let op = Op::MountRoot(rootfs.clone());
    let trees = detach_all(&rootfs.lowers).unwrap().unwrap();
    let overlay = stacked(&op, &rootfs, &trees, 0).unwrap().unwrap();
    assert_eq!(content(&overlay, "sample"), b"mounted in place\n");
}
