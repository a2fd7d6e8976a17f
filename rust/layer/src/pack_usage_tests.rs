//! Packs that several layers share, and what is left of them when some go.

use std::os::unix::fs::MetadataExt as _;

use super::*;
use crate::copy_scene::{Scene, plan as planned, request};
use crate::{Interrupt, LayerInfo, View};

const FILES: u8 = 8;
const FILE_BYTES: usize = 512 << 10;

fn write(scene: &Scene, number: u8, seed: u8) {
    let bytes: Vec<u8> = (0..FILE_BYTES)
        .map(|at| (at / 7) as u8 ^ seed ^ number)
        .collect();
    fs::write(scene.context().join(format!("f{number}")), bytes).unwrap();
}

fn build(scene: &Scene, predecessor: Option<DiffId>) -> LayerInfo {
    let base = View::new(Vec::new());
    let plan = planned(&base, scene.tree(), &request(&["."], "/app/")).unwrap();
    plan.write(&scene.layers, predecessor, &Interrupt::default())
        .unwrap()
}

/// A layer, and one in which all files but `f0` and `f5` are others.
fn two_generations() -> (Scene, DiffId, DiffId) {
    let scene = Scene::new();
    for number in 0..FILES {
        write(&scene, number, 0);
    }
    let first = build(&scene, None).diff_id;
    for number in (0..FILES).filter(|number| ![0, 5].contains(number)) {
        write(&scene, number, 100);
    }
    let second = build(&scene, Some(first)).diff_id;
    (scene, first, second)
}

fn blocks(layers: &Layers, pack: DiffId) -> u64 {
    fs::metadata(layers.pack_path(pack)).unwrap().blocks() * 512
}

fn verify(layers: &Layers, diff_id: DiffId) {
    layers.verify(diff_id, &Interrupt::default()).unwrap();
}

#[test]
fn packs_say_what_layers_have_in_them() {
    let (scene, first, second) = two_generations();
    let packs = scene.layers.packs().unwrap();
    assert_eq!(packs.len(), 2);
    let old = packs.iter().find(|pack| pack.name == first.hex()).unwrap();
    let new = packs.iter().find(|pack| pack.name != first.hex()).unwrap();
    assert_eq!((old.layers, new.layers), (2, 1));
    let info = scene.layers.layer(first).unwrap().info();
    assert_eq!(old.live_bytes, info.tar_bytes);
    assert!(new.live_bytes < 6 * FILE_BYTES as u64 + (32 << 10));

    let both = scene.layers.disk_bytes_of(&[first, second], &[]).unwrap();
    let one = scene.layers.disk_bytes_of(&[first], &[]).unwrap();
    let beside = scene.layers.disk_bytes_of(&[second], &[first]).unwrap();
    assert_eq!(both, one + beside);
    assert!(beside < 7 * FILE_BYTES as u64, "{beside}");
    let own = scene.layers.disk_bytes_of(&[first], &[second]).unwrap();
    assert!(own < 7 * FILE_BYTES as u64, "{own}");
}

#[test]
fn what_a_removed_layer_alone_had_is_given_back() {
    let (scene, first, second) = two_generations();
    let before = blocks(&scene.layers, first);
    scene.layers.remove(&[first]).unwrap();
    verify(&scene.layers, second);
    let after = blocks(&scene.layers, first);
    assert!(
        after <= 2 * FILE_BYTES as u64 + (64 << 10),
        "{before} {after}"
    );
    // Nothing is left to do, and the layer can come back beside what shares its pack.
    assert_eq!(scene.layers.reclaim().unwrap(), 0);
    for number in 0..FILES {
        write(&scene, number, 0);
    }
    let again = build(&scene, Some(second));
    verify(&scene.layers, again.diff_id);
    verify(&scene.layers, second);
    scene.layers.remove(&[second, again.diff_id]).unwrap();
    assert_eq!(scene.layers.packs().unwrap(), []);
}

#[test]
fn a_layer_that_is_written_whole_again_replaces_what_is_left_of_its_pack() {
    let scene = Scene::new();
    for number in 0..FILES {
        write(&scene, number, 0);
    }
    let first = build(&scene, None);
    let times: Vec<_> = (0..FILES)
        .map(|number| {
            let path = scene.context().join(format!("f{number}"));
            (
                path.clone(),
                fs::metadata(path).unwrap().modified().unwrap(),
            )
        })
        .collect();
    write(&scene, 3, 9);
    let second = build(&scene, Some(first.diff_id));
    scene.layers.remove(&[first.diff_id]).unwrap();
    write(&scene, 3, 0);
    for (path, time) in times {
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
    assert_eq!(build(&scene, None).diff_id, first.diff_id);
    verify(&scene.layers, first.diff_id);
    verify(&scene.layers, second.diff_id);
}

#[test]
fn without_holes_a_pack_is_copied_to_the_same_places() {
    let (scene, first, second) = two_generations();
    let path = scene.layers.pack_path(first);
    let needs = scene.layers.needs(&[second]).unwrap();
    let live = touched(&needs.ranges[&first.0]);
    let size = fs::metadata(&path).unwrap().len();
    scene.layers.copy_live(&path, size, &live).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), size);
    assert!(blocks(&scene.layers, first) <= length(&live) + LEAST_DEAD_BYTES);
    verify(&scene.layers, second);
    let damaged = scene.layers.verify(first, &Interrupt::default());
    assert_eq!(damaged.unwrap_err().kind(), "digest-mismatch");
}

#[test]
fn nothing_goes_while_nobody_knows_what_a_layer_needs() {
    let (scene, first, second) = two_generations();
    fs::write(scene.layers.packs_directory().join("leftover.tar"), "x").unwrap();
    let index = scene.layers.directory(second).join("index");
    let bytes = fs::read(&index).unwrap();
    fs::write(&index, &bytes[..100]).unwrap();
    assert_eq!(scene.layers.reclaim().unwrap(), 0);
    assert_eq!(scene.layers.packs().unwrap_err().kind(), "bad-index");
    fs::write(&index, &bytes).unwrap();
    assert!(scene.layers.reclaim().unwrap() > 0);
    for diff_id in [first, second] {
        verify(&scene.layers, diff_id);
    }
}

#[test]
fn ranges_are_joined_and_taken_away() {
    assert_eq!(
        joined(&[(5, 9), (0, 2), (2, 3), (8, 12)]),
        [(0, 3), (5, 12)]
    );
    for (ranges, others, rest) in [
        (vec![(0, 10)], vec![], vec![(0, 10)]),
        (vec![(0, 10)], vec![(0, 10)], vec![]),
        (vec![(0, 10)], vec![(3, 5), (9, 20)], vec![(0, 3), (5, 9)]),
        (vec![(0, 4), (6, 8)], vec![(2, 7)], vec![(0, 2), (7, 8)]),
        (vec![(4, 6)], vec![(0, 4), (6, 9)], vec![(4, 6)]),
    ] {
        assert_eq!(without(&ranges, &others), rest);
    }
}
