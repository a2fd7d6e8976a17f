//! Any bytes read as an index: answers or `bad-index`, and nothing is written outside.
#![no_main]

use std::cell::OnceCell;
use std::fs;

use dissolver_fuzz::jail::Jail;
use dissolver_layer::{DiffId, Index, LastLink};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

/// Where an index says how many bytes its heap has.
const HEAP_BYTES: std::ops::Range<usize> = 104..112;
const HEADER_BYTES: usize = 128;
const EXTENT_BYTES: usize = 56;
const RECORD_BYTES: usize = 104;
/// Bytes of the pack that lies where the seeds say.
const PACK_BYTES: usize = 16 << 10;

thread_local! {
    static JAIL: OnceCell<Jail> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    if let Ok(index) = Index::from_bytes(data.to_vec()) {
        ask(&index);
        JAIL.with(|jail| mount(jail.get_or_init(Jail::new), data));
    }
});

fuzz_mutator!(
    |data: &mut [u8], size: usize, max_size: usize, _seed: u32| {
        let size = fuzzer_mutate(data, size, max_size);
        repair(&mut data[..size]);
        size
    }
);

/// Makes the length in the header right, as nearly every change breaks it.
fn repair(bytes: &mut [u8]) {
    let number = |at: usize| {
        let field = bytes
            .get(at..at + 4)
            .and_then(|field| field.try_into().ok());
        field.map_or(0, u32::from_le_bytes) as usize
    };
    let fixed = HEADER_BYTES + number(112) * EXTENT_BYTES + number(116) * RECORD_BYTES;
    if bytes.len() >= HEADER_BYTES && bytes.len() >= fixed {
        let heap = (bytes.len() - fixed) as u64;
        bytes[HEAP_BYTES].copy_from_slice(&heap.to_le_bytes());
    }
}

/// Everything that can be asked of an index alone.
fn ask(index: &Index) {
    let _ = (index.extents(), index.verify());
    for number in 0..index.len() {
        if let Ok(entry) = index.entry(number) {
            let _ = index.find(&entry.path);
            let _ = entry.segments.len();
        }
        if let Ok(end) = index.subtree_end(number) {
            assert!(end > number && end <= index.len());
        }
    }
    for path in [&b""[..], b"a", b"a/b", b"zzz", b"\xff"] {
        let _ = index.get(path);
    }
}

/// The index as that of a stored layer: shown, read, extracted, made an image of.
fn mount(jail: &Jail, data: &[u8]) {
    let diff_id = DiffId([7; 32]);
    let out = jail.out();
    let store = out.with_file_name("store");
    let layer = store.join("layers").join(diff_id.hex());
    fs::create_dir(&layer).expect("a layer");
    fs::write(layer.join("index"), data).expect("an index");
    let pack = store.join("packs").join(format!("{}.tar", diff_id.hex()));
    fs::write(&pack, [b'x'; PACK_BYTES]).expect("a pack");
    if let Ok(view) = jail.layers.view(&[diff_id]) {
        let mut count = 0;
        let _ = view.walk(&mut |found| {
            count += 1;
            assert!(count <= 1 << 16, "a walk ends");
            let _ = view.resolve(&found.entry.path, LastLink::Follow);
            let _ = view.read(&found.entry.path, 1 << 16);
            Ok(())
        });
    }
    let _ = jail.layers.extract(&[diff_id], &out, &jail.interrupt());
    let _ = jail.layers.lower_directories(&[diff_id], &jail.interrupt());
    let _ = jail.layers.mountable(&[diff_id], &jail.interrupt());
    let _ = jail.layers.verify(diff_id, &jail.interrupt());
    jail.assert_contained();
    let _ = fs::remove_file(&pack);
    jail.clear(&[diff_id]);
}
