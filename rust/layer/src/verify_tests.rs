//! Layers of which something is not what it was.

use std::fs;
use std::os::fd::AsFd as _;

use super::*;
use crate::checkpoints;
use crate::copy_scene::{Scene, directory, file};

fn scene() -> (Scene, DiffId) {
    let scene = Scene::new();
    let layer = scene.layer(&[directory("d", 0o755), file("d/one"), file("d/two")]);
    (scene, layer)
}

fn verify(layers: &Layers, layer: DiffId) -> Result<(), &'static str> {
    let outcome = layers.verify(layer, &Interrupt::default());
    outcome.map_err(|error| error.kind())
}

#[test]
fn a_changed_byte_is_found_by_whoever_reads_the_tar() {
    let (scene, layer) = scene();
    let pack = scene.layers.pack_path(layer);
    let good = fs::read(&pack).unwrap();
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&pack, bad).unwrap();
        assert_eq!(verify(&scene.layers, layer), Err("digest-mismatch"), "{at}");
    }
    let out = tempfile::tempfile().unwrap();
    let outcome = scene.layers.cat(layer, out.as_fd(), &Interrupt::default());
    assert_eq!(outcome.unwrap_err().kind(), "digest-mismatch");
    fs::write(&pack, &good[..good.len() - 1]).unwrap();
    assert_eq!(verify(&scene.layers, layer), Err("io"));
    fs::write(&pack, good).unwrap();
    assert_eq!(verify(&scene.layers, layer), Ok(()));
}

#[test]
fn an_index_that_says_other_contents_is_found() {
    let (scene, layer) = scene();
    let stored = scene.layers.layer(layer).unwrap();
    let mut entries: Vec<_> = stored.index().entries().map(Result::unwrap).collect();
    entries[3].digest = Some([7; 32]);
    let mut index = crate::index_build::IndexBuilder::default();
    for entry in &entries[1..] {
        index.push(entry);
    }
    let facts = crate::index_build::TarFacts {
        diff_id: layer,
        tar_bytes: stored.info().tar_bytes,
        extents: stored.extents().to_vec(),
    };
    let mut bytes = Vec::new();
    index.finish(&facts, &mut bytes).unwrap();
    drop(stored);
    scene.layers.forget(layer);
    let path = scene.layers.directory(layer).join("index");
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let error = scene
        .layers
        .verify(layer, &Interrupt::default())
        .unwrap_err();
    assert_eq!(error.kind(), "digest-mismatch");
    assert_eq!(error.path().unwrap(), b"d/two");
}

#[test]
fn checkpoints_of_another_tar_are_found() {
    let (scene, layer) = scene();
    let path = scene.layers.directory(layer).join("checkpoints");
    let mut hash = ResumableSha256::default();
    let tar = fs::read(scene.layers.pack_path(layer)).unwrap();
    for block in tar[..1024].chunks_exact(SHA256_BLOCK_BYTES) {
        hash.update(&[block.try_into().unwrap()]);
    }
    let right = Checkpoint::of(&hash);
    checkpoints::write(&path, layer, &[right]).unwrap();
    assert_eq!(verify(&scene.layers, layer), Ok(()));
    let state = [7; 32];
    for wrong in [
        Checkpoint { state, ..right },
        Checkpoint {
            offset: 1 << 20,
            ..right
        },
    ] {
        checkpoints::write(&path, layer, &[wrong]).unwrap();
        assert_eq!(verify(&scene.layers, layer), Err("bad-index"));
    }
}
