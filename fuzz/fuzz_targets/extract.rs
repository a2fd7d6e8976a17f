//! Any tar on top of a base: refused, or extracted as its view shows it and nowhere else.
#![no_main]

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Cursor;
use std::os::fd::AsFd as _;

use dissolver_fuzz::jail::{Jail, paths_in};
use dissolver_fuzz::{assert_sound, limits, tar_mutation};
use dissolver_layer::{DiffId, Entry, Kind, LayerError, View};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

thread_local! {
    static JAIL: OnceCell<Jail> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    JAIL.with(|jail| round(jail.get_or_init(Jail::new), data));
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    tar_mutation::mutate(&mut data[..max_size], size, seed, |data, size| {
        let room = data.len();
        fuzzer_mutate(data, size, room)
    })
});

fn round(jail: &Jail, data: &[u8]) {
    let base = base(jail);
    let mut made = vec![base];
    let source = Box::new(Cursor::new(data.to_vec()));
    match jail
        .layers
        .ingest(source, None, &limits(), &jail.interrupt())
    {
        Ok(info) => {
            let layer = jail.layers.layer(info.diff_id).expect("it was stored");
            assert_sound(layer.index());
            drop(layer);
            made.push(info.diff_id);
            explore(jail, &made);
        }
        Err(error) => assert!(
            matches!(error.kind(), "bad-tar" | "unsafe-path" | "limit"),
            "{error}"
        ),
    }
    jail.assert_contained();
    made.dedup();
    jail.clear(&made);
}

/// A layer below, with links that lead out wherever the one above might write.
fn base(jail: &Jail) -> DiffId {
    let mut writer = jail.layers.writer(jail.interrupt()).expect("a writer");
    let mut link = |path: &str, target: &[u8]| {
        let mut entry = Entry::new(path, Kind::Symlink, 0o777);
        entry.link_target = Some(target.to_vec());
        writer.add_entry(&entry).expect("an entry");
    };
    use std::os::unix::ffi::OsStrExt as _;
    link("a", jail.canary().as_os_str().as_bytes());
    link("b", b"../canary");
    link("link", b"../../canary");
    link("up", b"..");
    writer.finish().expect("a layer").diff_id
}

fn explore(jail: &Jail, stack: &[DiffId]) {
    let view = jail.layers.view(stack).expect("a view");
    let shown = shown(&view);
    match jail.layers.extract(stack, &jail.out(), &jail.interrupt()) {
        Ok(()) => assert_eq!(paths_in(&jail.out()), shown, "extracted as it is shown"),
        Err(error) => assert_excused(&error),
    }
    jail.assert_contained();
    match jail.layers.lower_directories(stack, &jail.interrupt()) {
        Ok(lowers) => {
            let layer = jail.layers.layer(stack[1]).expect("it is there");
            let paths = layer
                .index()
                .entries()
                .map(|entry| entry.expect("readable").path);
            assert_eq!(paths_in(&lowers[1]), paths.collect::<BTreeSet<_>>());
        }
        Err(error) => assert_excused(&error),
    }
    match jail.layers.mountable(stack, &jail.interrupt()) {
        Ok(lowers) => assert!(lowers.len() >= stack.len()),
        Err(error) => assert_excused(&error),
    }
    for diff_id in stack {
        let verified = jail.layers.verify(*diff_id, &jail.interrupt());
        assert!(verified.is_ok(), "{verified:?}");
    }
    round_trip(jail, stack, &shown);
}

/// The whole root file system as one tar shows the same names.
fn round_trip(jail: &Jail, stack: &[DiffId], shown: &BTreeSet<Vec<u8>>) {
    let path = jail
        .out()
        .with_file_name("store")
        .join("tmp")
        .join("export.tar");
    let file = File::create(&path).expect("a file");
    jail.layers
        .export_tar(stack, file.as_fd(), None, &jail.interrupt())
        .expect("an export");
    let bytes = fs::read(&path).expect("the export");
    fs::remove_file(&path).expect("the export");
    let index = dissolver_layer::tar_read::index_of(&bytes, &limits()).expect("our own tar");
    let paths = index.entries().map(|entry| entry.expect("readable").path);
    assert_eq!(&paths.collect::<BTreeSet<_>>(), shown);
}

fn shown(view: &View) -> BTreeSet<Vec<u8>> {
    let mut paths = BTreeSet::new();
    view.walk(&mut |found| {
        let again = view.lookup(&found.entry.path)?;
        assert_eq!(
            again.as_ref(),
            Some(&found),
            "a look-up agrees with the walk"
        );
        paths.insert(found.entry.path);
        Ok(())
    })
    .expect("a walk");
    paths
}

/// The kernel refuses values of some attributes that an archive may hold; nothing else may fail.
fn assert_excused(error: &LayerError) {
    let call = error.system_call().map(|(op, _)| op);
    assert_eq!(call, Some("setxattr"), "{error}");
}
