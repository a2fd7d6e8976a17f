//! Sources of a `COPY`: names are matched as a plain matcher does, and plans end.
//!
//! The input is lines: the sources, an empty line, names.
#![no_main]

use std::cell::OnceCell;
use std::sync::Arc;

use dissolver_fuzz::{jail::Jail, plain_match};
use dissolver_layer::{CopyPart, CopyPlan, CopyRequest, CopySource, Entry, Kind, Origin, View};
use dissolver_tree::{Glob, IgnoreRules, has_wildcard};
use libfuzzer_sys::fuzz_target;

struct Scene {
    origin: Arc<View>,
    _jail: Jail,
}

thread_local! {
    static SCENE: OnceCell<Scene> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
    let sources: Vec<Vec<u8>> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let names: Vec<Vec<u8>> = lines.collect();
    for source in &sources {
        for segment in source.split(|byte| *byte == b'/') {
            if let Ok(segment) = std::str::from_utf8(segment) {
                one(segment, &names);
            }
        }
    }
    SCENE.with(|scene| plan(scene.get_or_init(scene_of), sources, names.first()));
});

fn one(segment: &str, names: &[Vec<u8>]) {
    let glob = Glob::segment(segment.as_bytes());
    for name in names {
        let found = glob.as_ref().ok().map(|glob| glob.matches(name));
        assert_eq!(
            found,
            plain_match::segment(segment, name),
            "{segment:?} {name:?}"
        );
        if let (Ok(glob), false) = (&glob, has_wildcard(segment.as_bytes())) {
            let literal = glob.literal().expect("without wildcards it is one text");
            assert_eq!(glob.matches(name), literal == name.as_slice());
        }
    }
}

/// A root file system with directories, links and names that are patterns themselves.
fn scene_of() -> Scene {
    let jail = Jail::new();
    let mut writer = jail.layers.writer(jail.interrupt()).expect("a writer");
    for path in [
        "a", "a/b", "a/b/c", "a/bb", "b", "[x]", "a*", "e", "\u{20ac}",
    ] {
        let kind = if ["a", "a/b", "e"].contains(&path) {
            Kind::Directory
        } else {
            Kind::File
        };
        writer
            .add_entry(&Entry::new(path, kind, 0o755))
            .expect("an entry");
    }
    for (path, target) in [
        ("l", "a/b"),
        ("loop", "loop"),
        ("out", "../../../etc"),
        ("gone", "x"),
    ] {
        let mut entry = Entry::new(path, Kind::Symlink, 0o777);
        entry.link_target = Some(target.into());
        writer.add_entry(&entry).expect("an entry");
    }
    let layer = writer.finish().expect("a layer").diff_id;
    let origin = Arc::new(jail.layers.view(&[layer]).expect("a view"));
    Scene {
        origin,
        _jail: jail,
    }
}

fn plan(scene: &Scene, sources: Vec<Vec<u8>>, destination: Option<&Vec<u8>>) {
    let mut path = vec![b'/'];
    path.extend(destination.into_iter().flatten());
    for pivot in [None, Some(b"/".to_vec()), Some(b"/a".to_vec())] {
        let source = |pattern: &Vec<u8>| CopySource {
            pattern: pattern.clone(),
            pivot: pivot.clone(),
        };
        let request = CopyRequest {
            parts: vec![CopyPart {
                origin: Origin::View(scene.origin.clone()),
                sources: sources.iter().map(source).collect(),
                excludes: IgnoreRules::default(),
                keeps_owner: false,
                is_verbatim: false,
            }],
            destination: path.clone(),
            owner: None,
            mode: None,
            new_directory_mtime_ns: 0,
        };
        match CopyPlan::for_copy(&scene.origin, request) {
            Ok(plan) => assert!(plan.entry_count() < 1000),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
