#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::path::Path;

use rustix::pipe::{PipeFlags, pipe_with};

use super::*;
use crate::overlay::prepare_old;
use crate::prepare::text;
use crate::spec::{Lower, Rootfs};

const BUSYBOX: &str = "/bin/busybox";
const LAYERS: usize = 60;

fn can_make_sandboxes() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root || !Path::new(BUSYBOX).exists() {
        println!("skipped: it takes root and {BUSYBOX}");
        return false;
    }
    true
}

/// Layers with names of all kinds; the last one holds busybox.
fn rootfs_in(directory: &Path) -> Rootfs {
    let make = |name: &str| {
        let path = directory.join(name);
        std::fs::create_dir(&path).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut lowers = Vec::new();
    for number in 0..LAYERS {
        let layer = make(&format!("layer:{number},{}", "x".repeat(100)));
        std::fs::write(format!("{layer}/top"), number.to_string()).unwrap();
        lowers.push(Lower::Directory(layer));
    }
    let base = make("base");
    std::fs::copy(BUSYBOX, format!("{base}/busybox")).unwrap();
    lowers.push(Lower::Directory(base));
    Rootfs {
        lowers,
        upper: Some(make("upper")),
        work: Some(make("work")),
        mountpoint: make("mountpoint"),
        read_only: false,
        userxattr: false,
        volatile: false,
    }
}

#[test]
fn kernels_without_single_layers_get_them_by_number() {
    if !can_make_sandboxes() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let rootfs = rootfs_in(directory.path());
    let mount = Op::MountRoot(rootfs.clone());
    let old = prepare_old(&rootfs, text(&rootfs.mountpoint).unwrap(), 0).unwrap();
    let argv = [
        "/busybox",
        "sh",
        "-c",
        "echo $(/busybox cat /top) >/made; /busybox cat /made",
    ];
    let plan = Plan {
        ops: vec![
            Op::CutPropagation,
            mount,
            Op::PivotRoot,
            Op::Gate,
            Op::Streams,
            Op::Announce,
        ],
        namespaces: clone::NEW_MOUNTS | clone::NEW_PIDS,
        candidates: vec![argv[0].to_owned()],
        is_searched: false,
    };
    let (mut reading, writing) = pipe_with(PipeFlags::CLOEXEC)
        .map(|(r, w)| (std::fs::File::from(r), w))
        .unwrap();
    let mut workshop = Workshop::of_host([None, Some(writing), None]).unwrap();
    let steps = plan.ops.iter().enumerate().map(|(index, op)| match index {
        1 => None,
        _ => Some(workshop.prepare(op).unwrap()),
    });
    let mut old = Some(old);
    let steps = steps
        .map(|step| step.or_else(|| old.take()).unwrap())
        .collect();
    let command = Command {
        argv: argv.map(str::to_owned).to_vec(),
        env: Vec::new(),
    };
    let birthplace = Birthplace::New(plan.namespaces);
    let process = launch_steps(plan, steps, command, workshop, birthplace).unwrap();
    process.open_gate();
    while process.advance(None).unwrap() != Stage::Running {}
    let mut said = String::new();
    reading.read_to_string(&mut said).unwrap();
    assert_eq!(
        (said.as_str(), process.wait(None).unwrap()),
        ("0\n", Some(0))
    );
    let made = directory.path().join("upper/made");
    assert_eq!(std::fs::read_to_string(made).unwrap(), "0\n");
}
