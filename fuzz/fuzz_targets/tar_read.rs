//! Any bytes read as a tar: an index that is sound, or an error of a known kind.
#![no_main]

use dissolver_fuzz::{assert_sound, limits, tar_mutation};
use dissolver_layer::tar_read::index_of;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| {
    match index_of(data, &limits()) {
        Ok(index) => assert_sound(&index),
        Err(error) => assert!(
            matches!(error.kind(), "bad-tar" | "unsafe-path" | "limit"),
            "{error}"
        ),
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    tar_mutation::mutate(&mut data[..max_size], size, seed, |data, size| {
        let room = data.len();
        fuzzer_mutate(data, size, room)
    })
});
