//! Copies of a context that changes, each built on what the one before left.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::copy_scene::{Scene, plan as planned, request};
use crate::layers::LayersOptions;
use crate::splice::MOST_PACKS;
use crate::{Extent, View};

/// One change of a context. Numbers choose among the files that there are.
#[derive(Debug, Clone)]
enum Edit {
    Write { name: u8, size: u32, seed: u8 },
    Append(u8),
    Remove(u8),
    Rename(u8, u8),
    Mode(u8, u32),
    Touch(u8, u32),
    Link(u8, u8),
    Symlink(u8),
    RemoveAll(u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    let size = prop_oneof![Just(0_u32), 1..2000_u32, 10_000..300_000_u32];
    prop_oneof![
        4 => (any::<u8>(), size, any::<u8>())
            .prop_map(|(name, size, seed)| Edit::Write { name, size, seed }),
        2 => any::<u8>().prop_map(Edit::Append),
        2 => any::<u8>().prop_map(Edit::Remove),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Edit::Rename(from, to)),
        1 => (any::<u8>(), 0..0o1000_u32).prop_map(|(name, mode)| Edit::Mode(name, mode | 0o400)),
        1 => (any::<u8>(), any::<u32>()).prop_map(|(name, time)| Edit::Touch(name, time)),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Edit::Link(from, to)),
        1 => any::<u8>().prop_map(Edit::Symlink),
        1 => any::<u8>().prop_map(Edit::RemoveAll),
    ]
}

/// Bytes that are the same for the same arguments, and shared by no two seeds.
fn content(size: u32, seed: u8) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[seed]);
    let mut bytes = vec![0; size as usize];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else if entry.file_type().unwrap().is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// Takes a failure of one kind for none.
fn unless(kind: io::ErrorKind, outcome: io::Result<()>) {
    if let Err(error) = outcome {
        assert_eq!(error.kind(), kind, "{error}");
    }
}

fn apply(context: &Path, edit: &Edit) {
    let files = files(context);
    let existing = |number: u8| files.get(usize::from(number) % files.len().max(1)).cloned();
    let fresh = |number: u8| {
        let directory = context.join(format!("d{}/e{}", number % 5, number % 3));
        fs::create_dir_all(&directory).unwrap();
        directory.join(format!("f{}", number % 17))
    };
    let unless_taken = |number: u8| Some(fresh(number)).filter(|path| !path.exists());
    match edit {
        Edit::Write { name, size, seed } => {
            let path = fresh(*name);
            // Not through a link that has other names, nor one that leads elsewhere.
            unless(io::ErrorKind::NotFound, fs::remove_file(&path));
            fs::write(path, content(*size, *seed)).unwrap();
        }
        Edit::Append(number) => {
            if let Some(path) = existing(*number) {
                let longer = [fs::read(&path).unwrap(), b"more".to_vec()].concat();
                fs::write(path, longer).unwrap();
            }
        }
        Edit::Remove(number) => {
            if let Some(path) = existing(*number) {
                fs::remove_file(path).unwrap();
            }
        }
        Edit::Rename(from, to) => {
            if let (Some(from), Some(to)) = (existing(*from), unless_taken(*to)) {
                fs::rename(from, to).unwrap();
            }
        }
        Edit::Mode(number, mode) => {
            if let Some(path) = existing(*number) {
                fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
            }
        }
        Edit::Touch(number, seconds) => {
            if let Some(path) = existing(*number) {
                let file = fs::File::open(path).unwrap();
                let since = std::time::Duration::new(u64::from(*seconds), seconds % 3);
                file.set_modified(std::time::UNIX_EPOCH + since).unwrap();
            }
        }
        Edit::Link(from, to) => {
            if let (Some(from), Some(to)) = (existing(*from), unless_taken(*to)) {
                fs::hard_link(from, to).unwrap();
            }
        }
        Edit::Symlink(number) => {
            if let Some(path) = unless_taken(*number) {
                // Another link may lead nowhere there.
                let made = symlink(format!("to/{number}"), path);
                unless(io::ErrorKind::AlreadyExists, made);
            }
        }
        Edit::RemoveAll(number) => {
            let directory = context.join(format!("d{}", number % 5));
            unless(io::ErrorKind::NotFound, fs::remove_dir_all(directory));
        }
    }
}

/// A scene whose context has a few megabytes, so that sharing begins.
fn large_scene() -> Scene {
    let scene = Scene::new();
    for number in 0..24_u8 {
        let edit = Edit::Write {
            name: number.wrapping_mul(11),
            size: u32::from(number) * 9_000,
            seed: number,
        };
        apply(&scene.context(), &edit);
    }
    scene
}

fn build(scene: &Scene, layers: &Layers, predecessor: Option<DiffId>) -> LayerInfo {
    let base = View::new(Vec::new());
    let plan = planned(&base, scene.tree(), &request(&["."], "/app/")).unwrap();
    plan.write(layers, predecessor, &Interrupt::default())
        .unwrap()
}

fn tar_of(layers: &Layers, diff_id: DiffId) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    layers
        .cat(diff_id, file.as_fd(), &Interrupt::default())
        .unwrap();
    let mut bytes = Vec::new();
    std::io::Seek::rewind(&mut file).unwrap();
    std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
    bytes
}

fn packs_of(layers: &Layers, diff_id: DiffId) -> Vec<[u8; 32]> {
    layers.layer(diff_id).unwrap().pack_names()
}

fn extents(layers: &Layers, diff_id: DiffId) -> Vec<Extent> {
    layers.layer(diff_id).unwrap().extents().to_vec()
}

/// Another store, for a build that knows nothing of the first one.
fn elsewhere(scene: &Scene, name: &str) -> Layers {
    Layers::open(&scene.directory.path().join(name), LayersOptions::default()).unwrap()
}

/// Compares a layer with one that was built from nothing.
fn check(scene: &Scene, info: LayerInfo, name: &str) {
    let scratch = elsewhere(scene, name);
    let expected = build(scene, &scratch, None);
    assert_eq!(info, expected);
    let (found, wanted) = (
        tar_of(&scene.layers, info.diff_id),
        tar_of(&scratch, expected.diff_id),
    );
    assert_eq!(found.len(), wanted.len());
    assert!(found == wanted, "the tars differ");
    scene
        .layers
        .verify(info.diff_id, &Interrupt::default())
        .unwrap();
    let indexes = [&scene.layers, &scratch].map(|layers| {
        let layer = layers.layer(info.diff_id).unwrap();
        let entries: Vec<_> = layer.index().entries().map(Result::unwrap).collect();
        entries
    });
    assert_eq!(indexes[0], indexes[1]);
    fs::remove_dir_all(scene.directory.path().join(name)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn any_edits_give_the_tar_of_a_build_from_nothing(
        generations in proptest::collection::vec(proptest::collection::vec(edit(), 0..5), 1..6),
    ) {
        let scene = large_scene();
        let mut last = build(&scene, &scene.layers, None);
        for edits in &generations {
            for edit in edits {
                apply(&scene.context(), edit);
            }
            last = build(&scene, &scene.layers, Some(last.diff_id));
            check(&scene, last, "scratch");
        }
    }
}

#[test]
fn a_small_change_costs_a_small_pack() {
    let scene = large_scene();
    let first = build(&scene, &scene.layers, None);
    let changed = &files(&scene.context())[3];
    fs::write(changed, "changed").unwrap();
    let second = build(&scene, &scene.layers, Some(first.diff_id));
    check(&scene, second, "scratch");
    let packs = packs_of(&scene.layers, second.diff_id);
    assert_eq!(packs.len(), 2);
    assert_eq!(packs[0], first.diff_id.0);
    let size = fs::metadata(scene.layers.pack_path(DiffId(packs[1])))
        .unwrap()
        .len();
    assert_eq!(
        size,
        512 + 1024 + 512,
        "a header with a pax header, and a block"
    );
    // A small file now: it left a gap among the large ones and stands behind them.
    assert_eq!(extents(&scene.layers, second.diff_id).len(), 4);
}

#[test]
fn a_removed_file_needs_no_pack() {
    let scene = large_scene();
    let first = build(&scene, &scene.layers, None);
    let removed = &files(&scene.context())[3];
    let parent = removed.parent().unwrap();
    let time = fs::metadata(parent).unwrap().modified().unwrap();
    fs::remove_file(removed).unwrap();
    fs::File::open(parent).unwrap().set_modified(time).unwrap();
    let second = build(&scene, &scene.layers, Some(first.diff_id));
    check(&scene, second, "scratch");
    assert_eq!(packs_of(&scene.layers, second.diff_id), [first.diff_id.0]);
}

#[test]
fn a_renamed_directory_shares_its_large_contents() {
    let scene = large_scene();
    let first = build(&scene, &scene.layers, None);
    fs::rename(scene.context().join("d1"), scene.context().join("moved")).unwrap();
    let second = build(&scene, &scene.layers, Some(first.diff_id));
    check(&scene, second, "scratch");
    let packs = packs_of(&scene.layers, second.diff_id);
    let size = fs::metadata(scene.layers.pack_path(DiffId(packs[1])))
        .unwrap()
        .len();
    assert!(size < 64 << 10, "{size}");
}

#[test]
fn what_did_not_change_is_the_same_layer() {
    let scene = large_scene();
    let first = build(&scene, &scene.layers, None);
    assert_eq!(build(&scene, &scene.layers, Some(first.diff_id)), first);
    assert_eq!(
        fs::read_dir(scene.layers.packs_directory())
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn many_generations_keep_few_packs() {
    let scene = large_scene();
    let mut last = build(&scene, &scene.layers, None);
    let base = last.diff_id.0;
    for generation in 0..20_u8 {
        let edit = Edit::Write {
            name: generation,
            size: 700,
            seed: generation,
        };
        apply(&scene.context(), &edit);
        last = build(&scene, &scene.layers, Some(last.diff_id));
        let packs = packs_of(&scene.layers, last.diff_id);
        assert!(
            packs.len() <= MOST_PACKS + 1,
            "{generation}: {}",
            packs.len()
        );
        assert!(packs.contains(&base), "the bulk stays where it is");
    }
    check(&scene, last, "scratch");
}

#[test]
fn another_context_is_written_whole() {
    let scene = large_scene();
    let first = build(&scene, &scene.layers, None);
    fs::remove_dir_all(scene.context()).unwrap();
    fs::create_dir(scene.context()).unwrap();
    for number in 0..9 {
        let bytes = content(300_000, 100 + number);
        fs::write(scene.context().join(format!("{number}")), bytes).unwrap();
    }
    let second = build(&scene, &scene.layers, Some(first.diff_id));
    check(&scene, second, "scratch");
    assert_eq!(packs_of(&scene.layers, second.diff_id), [second.diff_id.0]);
}

#[test]
fn a_predecessor_that_is_gone_or_damaged_is_none() {
    let scene = large_scene();
    let first = build(&scene, &scene.layers, None);
    fs::write(&files(&scene.context())[5], "changed").unwrap();
    let unknown = DiffId([3; 32]);
    let whole = build(&scene, &scene.layers, Some(unknown));
    assert_eq!(packs_of(&scene.layers, whole.diff_id), [whole.diff_id.0]);

    fs::write(&files(&scene.context())[5], "again").unwrap();
    let checkpoints = scene.layers.directory(first.diff_id).join("checkpoints");
    let mut bytes = fs::read(&checkpoints).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&checkpoints, bytes).unwrap();
    let whole = build(&scene, &scene.layers, Some(first.diff_id));
    assert_eq!(packs_of(&scene.layers, whole.diff_id), [whole.diff_id.0]);
}

#[test]
fn what_is_written_ahead_is_the_layer() {
    let scene = large_scene();
    // Longer than what is handed over at once, and than all that may wait.
    fs::write(scene.context().join("large"), content(9 << 20, 1)).unwrap();
    for number in 0..20 {
        let bytes = content((1 << 20) - number * 4096, 50 + number as u8);
        fs::write(scene.context().join(format!("medium{number}")), bytes).unwrap();
    }
    fs::hard_link(scene.context().join("large"), scene.context().join("twin")).unwrap();
    // Only what is older than a tick of the clock is remembered.
    std::thread::sleep(std::time::Duration::from_millis(150));
    let base = View::new(Vec::new());
    let plan = || planned(&base, scene.tree(), &request(&["."], "/app/")).unwrap();
    let plain = plan();
    let digest = plain.digest(&Interrupt::default()).unwrap();
    fs::remove_file(scene.directory.path().join("stat")).unwrap();

    let ahead = plan();
    ahead.prepare(&scene.layers, None);
    assert_eq!(ahead.digest(&Interrupt::default()).unwrap(), digest);
    assert_eq!(ahead.bytes_hashed(), plain.bytes_hashed());
    assert_eq!(
        fs::read_dir(scene.layers.packs_directory())
            .unwrap()
            .count(),
        0
    );
    // Nothing is read again: the context may be gone by now.
    let away = scene.directory.path().join("away");
    fs::rename(scene.context(), &away).unwrap();
    let info = ahead
        .write(&scene.layers, None, &Interrupt::default())
        .unwrap();
    fs::rename(&away, scene.context()).unwrap();
    check(&scene, info, "scratch");

    // It was remembered what was read, and what nobody wants goes.
    let known = plan();
    known.digest(&Interrupt::default()).unwrap();
    assert_eq!(known.bytes_hashed(), 0);
    fs::remove_file(scene.directory.path().join("stat")).unwrap();
    let dropped = plan();
    dropped.prepare(&scene.layers, None);
    dropped.digest(&Interrupt::default()).unwrap();
    let tmp = scene.directory.path().join("store/tmp");
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 1);
    drop(dropped);
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
}
