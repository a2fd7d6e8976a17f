#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

fn root() -> Host {
    Host {
        is_rootless: false,
        makes_devices: true,
        has_terminal_group: true,
        sets_groups: true,
        has_cgroup2: true,
        permitted: CapabilitySet(u64::MAX),
        capability_count: 41,
    }
}

fn rootless() -> Host {
    Host {
        is_rootless: true,
        makes_devices: false,
        ..root()
    }
}

fn spec_with(changes: Value) -> Value {
    let mut spec = json!({
        "format": 1,
        "rootfs": {
            "lowers": ["/l2", "/l1"], "upper": "/u", "work": "/w", "mountpoint": "/m",
            "read_only": false, "userxattr": false
        },
        "hostname": "box", "argv": ["/bin/true"], "env": [], "cwd": "/",
        "user": {"uid": 0, "gid": 0, "groups": []}, "umask": 18, "terminal": false, "window": null,
        "mounts": [], "namespaces": {"network": "new"}, "capabilities": ["CAP_CHOWN"],
        "no_new_privileges": false, "seccomp": null, "masked_paths": [], "read_only_paths": [],
        "rlimits": [], "sysctls": {}, "die_with_parent": false
    });
    for (key, value) in changes.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

fn decode(changes: Value) -> Result<Spec, SandboxError> {
    Spec::decode(spec_with(changes).to_string().as_bytes())
}

fn described(changes: Value, host: &Host) -> Vec<String> {
    plan_start(&decode(changes).unwrap(), host)
        .unwrap()
        .describe()
}

fn refused(changes: Value) -> String {
    let result = decode(changes).and_then(|spec| plan_start(&spec, &root()));
    match result.unwrap_err() {
        SandboxError::BadSpec { reason } => reason,
        other => panic!("{other}"),
    }
}

fn position(plan: &[String], start: &str) -> usize {
    plan.iter()
        .position(|line| line.starts_with(start))
        .unwrap()
}

#[test]
fn the_whole_plan_reads_as_a_story() {
    let changes = json!({
        "mounts": [
            {"kind": "proc", "target": "/proc"},
            {"kind": "bind", "source": "/etc/hosts", "target": "/etc/hosts", "read_only": true,
             "recursive": false, "create": "file"},
            {"kind": "tmpfs", "target": "/tmp", "size": 4096, "mode": 0o1777}
        ],
        "masked_paths": ["/proc/kcore"], "read_only_paths": ["/proc/sys"],
        "user": {"uid": 7, "gid": 8, "groups": [8, 9]}, "argv": ["sh"], "env": ["PATH=/a:b:/c/"],
        "sysctls": {"net.ipv4.ip_forward": "1"}, "rlimits": [{"name": "nofile", "soft": 64, "hard": -1}],
        "die_with_parent": true
    });
    let host = Host {
        capability_count: 3,
        ..root()
    };
    assert_eq!(
        described(changes, &host),
        [
            "tie the container to its parent",
            "start a session",
            "make a keyring",
            "make a namespace of control groups",
            "set the umask to 000",
            "cut mounts off from the host",
            "mount overlay of 2 layers on `/m` (changes in `/u`)",
            "mount proc on `/proc`",
            "mount bind `/etc/hosts` on `/etc/hosts` \
             (read-only, without what is mounted below, made as a file if missing)",
            "mount tmpfs on `/tmp` (4096 bytes, mode 1777)",
            "set sysctl `net.ipv4.ip_forward` to `1`",
            "mask `/proc/kcore`",
            "make `/proc/sys` read-only",
            "set the host name to `box`",
            "bring the loopback interface up",
            "change the root directory",
            "wait for the start",
            "connect the standard streams",
            "enter the working directory `/`",
            "drop from the bounding set: CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH",
            "become user 7:8 with groups 8,9",
            "enter `/` as the user if root was refused",
            "tie the container to its parent",
            "set the umask to 022",
            "limit nofile to 64, at most unlimited",
            "announce the program",
            "set capabilities: none",
            "execute `/a/sh` or `/c/sh`",
        ]
    );
}

#[test]
fn a_filter_is_loaded_while_that_is_still_allowed() {
    let filter = json!({"seccomp": "AAAAAAAAAAA="});
    let plan = described(filter.clone(), &root());
    assert!(
        position(&plan, "load a system call filter of 1 instr")
            < position(&plan, "set capabilities")
    );
    let mut changes = filter;
    changes["no_new_privileges"] = json!(true);
    let plan = described(changes, &root());
    let order = [
        "announce",
        "give up new privileges",
        "set capabilities",
        "load a system call filter",
        "execute",
    ];
    let places: Vec<usize> = order.iter().map(|start| position(&plan, start)).collect();
    assert!(places.is_sorted(), "{plan:#?}");
}

#[test]
fn capabilities_are_no_more_than_this_process_has() {
    let host = Host {
        permitted: CapabilitySet(1 << 1),
        ..root()
    };
    let plan = described(
        json!({"capabilities": ["CAP_CHOWN", "CAP_DAC_OVERRIDE"]}),
        &host,
    );
    assert!(plan.contains(&"set capabilities: CAP_DAC_OVERRIDE".to_owned()));
    assert!(
        plan.iter()
            .any(|line| line.starts_with("drop from the bounding set: CAP_CHOWN "))
    );
}

#[test]
fn device_nodes_are_the_containers_own_or_the_hosts_read_only() {
    let mounts = json!({"mounts": [{"kind": "dev", "target": "/dev"}]});
    let own = described(mounts.clone(), &root());
    // The root covers the place where they are made.
    assert!(position(&own, "make device nodes") < position(&own, "mount overlay"));
    let shown = |plan: &[String]| {
        let at = position(plan, "mount places for devices on `/dev`");
        plan[at + 1..at + 7].to_vec()
    };
    assert_eq!(shown(&own)[0], "mount device `null` on `/dev/null`");
    let hosts = described(mounts, &rootless());
    assert!(
        !hosts
            .iter()
            .any(|line| line.starts_with("make device nodes"))
    );
    assert_eq!(
        shown(&hosts)[5],
        "mount the host's `/dev/tty` on `/dev/tty` (read-only but for its use)"
    );
}

#[test]
fn of_proc_only_files_of_figures_can_be_covered() {
    let on = |target: &str| {
        json!({"mounts": [{"kind": "bind", "source": "/a", "target": target,
        "read_only": false, "recursive": true, "create": null}]})
    };
    for target in [
        "/proc/uptime",
        "/proc//net/./dev",
        "/processes/x",
        "/a/../proc/stat",
    ] {
        assert!(
            plan_start(&decode(on(target)).unwrap(), &root()).is_ok(),
            "{target}"
        );
    }
    for target in [
        "/proc",
        "/proc/",
        "/proc/sys",
        "/x/../proc/self/attr/exec",
        "//proc/./1",
    ] {
        assert_eq!(
            refused(on(target)),
            format!("nothing can be mounted on `{target}`, which the kernel shows itself in")
        );
    }
}

#[test]
fn sysfs_of_a_shared_network_is_the_hosts_where_it_cannot_be_mounted() {
    let mounts = json!([{"kind": "sysfs", "target": "/sys"}]);
    let bound = "mount bind `/sys` on `/sys` (read-only, made as a directory if missing)";
    for (network, host, expected) in [
        ("new", root(), "mount sysfs on `/sys` (read-only)"),
        ("host", root(), "mount sysfs on `/sys` (read-only)"),
        ("new", rootless(), "mount sysfs on `/sys` (read-only)"),
        ("host", rootless(), bound),
    ] {
        let changes = json!({"mounts": mounts, "namespaces": {"network": network}});
        assert!(described(changes, &host).contains(&expected.to_owned()));
    }
}

#[test]
fn control_groups_are_shown_only_as_one_hierarchy() {
    let mounts = json!({"mounts": [{"kind": "cgroup", "target": "/sys/fs/cgroup"}]});
    let expected = "mount cgroup2 on `/sys/fs/cgroup` (read-only)".to_owned();
    assert!(described(mounts.clone(), &root()).contains(&expected));
    let hybrid = Host {
        has_cgroup2: false,
        ..root()
    };
    let expected = "mount tmpfs on `/sys/fs/cgroup` (mode 0555, read-only)".to_owned();
    assert!(described(mounts, &hybrid).contains(&expected));
}

#[test]
fn a_terminal_becomes_the_console_and_the_streams() {
    let mounts =
        json!([{"kind": "dev", "target": "/dev"}, {"kind": "devpts", "target": "/dev/pts"}]);
    let host = Host {
        has_terminal_group: false,
        ..root()
    };
    let plan = described(json!({"mounts": mounts, "terminal": true}), &host);
    let order = [
        "mount devpts on `/dev/pts`",
        "mount the terminal on `/dev/console`",
        "take the terminal",
    ];
    assert!(order.iter().map(|start| position(&plan, start)).is_sorted());
    assert!(
        !plan
            .iter()
            .any(|line| line.starts_with("connect the standard streams"))
    );
    assert!(
        described(json!({"mounts": mounts}), &root())
            .contains(&"mount devpts on `/dev/pts` (group 5)".to_owned())
    );
}

#[test]
fn one_directory_needs_no_overlay() {
    let rootfs = |lowers: Value, upper: Value| {
        json!({"rootfs": {"lowers": lowers, "upper": upper, "work": "/w", "mountpoint": "/m",
            "read_only": false, "userxattr": true, "volatile": true}})
    };
    for (lowers, upper, expected) in [
        (
            json!(["/l"]),
            json!(null),
            "mount `/l` as the root file system on `/m` (read-only)",
        ),
        (
            json!([]),
            json!("/u"),
            "mount `/u` as the root file system on `/m`",
        ),
        (
            json!(["/b", "/a"]),
            json!(null),
            "mount overlay of 2 layers on `/m` (read-only, user attributes, volatile)",
        ),
        (
            json!(["/a"]),
            json!("/u"),
            "mount overlay of 1 layers on `/m` (changes in `/u`, user attributes, volatile)",
        ),
        (
            json!([{"erofs": "/i", "devices": ["/p"]}]),
            json!(null),
            "mount `/i` as the root file system on `/m` (read-only)",
        ),
        (
            json!([{"erofs": "/i", "devices": ["/p"]}, "/a", {"erofs": "/j", "devices": []}]),
            json!("/u"),
            "mount overlay of 3 layers on `/m` (2 mounted in place, changes in `/u`, \
             user attributes, volatile)",
        ),
    ] {
        assert_eq!(described(rootfs(lowers, upper), &root())[5], expected);
    }
}

#[test]
fn a_program_is_searched_only_where_it_can_be_meant() {
    for (argv, env, expected, is_searched) in [
        (json!(["/x"]), json!(["PATH=/a"]), vec!["/x"], false),
        (json!(["./x"]), json!([]), vec!["./x"], false),
        (
            json!(["x"]),
            json!(["PATH=/a", "PATH=/b::.:/"]),
            vec!["/b/x", "/x"],
            true,
        ),
        (json!(["x"]), json!(["PATH="]), vec![], true),
        (json!([""]), json!([]), vec![], false),
    ] {
        let spec = decode(json!({"argv": argv, "env": env})).unwrap();
        let plan = plan_start(&spec, &root()).unwrap();
        assert_eq!(
            (plan.candidates, plan.is_searched),
            (
                expected.into_iter().map(str::to_owned).collect(),
                is_searched
            )
        );
    }
    let spec = decode(json!({"argv": ["x"]})).unwrap();
    assert_eq!(plan_start(&spec, &root()).unwrap().candidates.len(), 6);
}

#[test]
fn entering_does_what_concerns_the_process_and_nothing_else() {
    let spec = decode(
        json!({"masked_paths": ["/proc/kcore"], "mounts": [{"kind": "proc", "target": "/proc"}]}),
    );
    let plan = plan_enter(&spec.unwrap(), &root(), 42, 0).unwrap();
    assert_eq!(plan.namespaces, 0);
    let start = [
        "hide the process",
        "start a session",
        "make a keyring",
        "join the container's namespaces of process 42",
    ];
    assert_eq!(plan.describe()[..4], start);
    assert!(
        !plan
            .describe()
            .iter()
            .any(|line| line.starts_with("mount") || line.starts_with("mask"))
    );
}

#[test]
fn what_cannot_be_meant_is_refused_by_name() {
    let sysctl = |key: &str| json!({"sysctls": {key: "1"}});
    let rootfs = |lowers: Value| {
        json!({"rootfs": {"lowers": lowers, "upper": null, "work": null,
        "mountpoint": "/m", "read_only": false, "userxattr": false}})
    };
    let bind = |target: &str| {
        json!({"mounts": [{"kind": "bind", "source": "/a", "target": target,
        "read_only": false, "recursive": true, "create": null}]})
    };
    for (changes, expected) in [
        (
            json!({"format": 2}),
            "format 2 is not 1, the one that this version knows",
        ),
        (json!({"argv": []}), "`argv` is empty"),
        (json!({"cwd": "tmp"}), "the path `tmp` is not absolute"),
        (
            json!({"umask": 512}),
            "`umask` 0o1000 has bits beyond 0o777",
        ),
        (
            json!({"user": {"uid": 4_294_967_295u32, "gid": 0, "groups": []}}),
            "4294967295 is no user or group ID",
        ),
        (
            json!({"rlimits": [{"name": "x", "soft": 1, "hard": 1}]}),
            "`x` is no resource limit",
        ),
        (
            json!({"seccomp": "AAAA"}),
            "`seccomp` is not a list of 8-byte instructions",
        ),
        (json!({"seccomp": "?"}), "`seccomp` is not base64"),
        (
            sysctl("kernel.panic"),
            "the sysctl `kernel.panic` does not belong to the container alone",
        ),
        (
            sysctl("net.../x"),
            "the sysctl `net.../x` is not a name of words with dots between them",
        ),
        (
            rootfs(json!([])),
            "the root file system has neither lowers nor an upper directory",
        ),
        (
            rootfs(json!([{"erofs": "/i", "devices": ["p"]}])),
            "the path `p` is not absolute",
        ),
        (
            bind("//"),
            "nothing can be mounted on `/` but the root file system",
        ),
        (bind("x"), "the path `x` is not absolute"),
    ] {
        assert_eq!(refused(changes), expected);
    }
    let shared = json!({"sysctls": {"net.core.somaxconn": "1"}, "namespaces": {"network": "host"}});
    assert_eq!(
        refused(shared),
        "the sysctl `net.core.somaxconn` would change the host's network"
    );
}

#[test]
fn an_unknown_field_is_refused_wherever_it_is() {
    for changes in [
        json!({"apparmor": "x"}),
        json!({"user": {"uid": 0, "gid": 0, "groups": [], "home": "/"}}),
        json!({"mounts": [{"kind": "proc", "target": "/proc", "hidepid": 2}]}),
        json!({"mounts": [{"kind": "nfs", "target": "/x"}]}),
    ] {
        assert!(refused(changes).contains("unknown "));
    }
}

#[test]
fn parts_of_layers_and_files_in_memory_are_mounted_aside_first() {
    let changes = json!({"mounts": [
        {"kind": "layers", "source": "/src", "target": "/x", "read_only": true, "create": "directory",
         "rootfs": {"lowers": ["/l"], "upper": null, "work": null, "mountpoint": "/aside",
                    "read_only": false, "userxattr": false}},
        {"kind": "file", "content": "c2VjcmV0", "mountpoint": "/aside", "target": "/run/s",
         "mode": 0o400, "uid": 1, "gid": 2},
    ]});
    let plan = described(changes.clone(), &root());
    let start = position(&plan, "mount `/l` aside");
    assert_eq!(
        plan[start..start + 4],
        [
            "mount `/l` aside on `/aside` (read-only)",
            "mount `/src` of that on `/x` (read-only, made as a directory if missing)",
            "make a file in memory (mode 0400, owner 1:2)",
            "mount `/file` of that on `/run/s` (read-only, made as a file if missing)",
        ]
    );
    assert!(!format!("{:?}", decode(changes).unwrap()).contains("c2Vj"));
}

#[test]
fn what_is_mounted_aside_is_checked_like_the_root() {
    let layers = |rootfs: Value| {
        json!({"mounts": [{"kind": "layers", "source": "/", "target": "/x", "read_only": true,
                           "create": "directory", "rootfs": rootfs}]})
    };
    let rootfs = |lower: &[&str], mountpoint: &str| {
        json!({"lowers": lower, "upper": null, "work": null, "mountpoint": mountpoint,
               "read_only": false, "userxattr": false})
    };
    assert!(refused(layers(rootfs(&[], "/m"))).contains("neither lowers nor"));
    assert!(refused(layers(rootfs(&["l"], "/m"))).contains("`l` is not absolute"));
    assert!(refused(layers(rootfs(&["/l"], "m"))).contains("`m` is not absolute"));
    let file = json!({"mounts": [{"kind": "file", "content": "?", "mountpoint": "/m",
                                  "target": "/x", "mode": 256, "uid": 0, "gid": 0}]});
    assert_eq!(refused(file), "`content` is not base64");
}
