#![allow(clippy::unwrap_used)]

use super::*;

/// Carries the program out, as far as it goes: what the kernel would answer.
fn allows(kind: u32, access: u32, major: u32, minor: u32) -> bool {
    let program = program();
    let mut registers = [0u64; 6];
    let context = [access << 16 | kind, major, minor];
    let mut at = 0usize;
    loop {
        let step = program[at];
        let (to, from) = (
            usize::from(step.registers & 15),
            usize::from(step.registers >> 4),
        );
        let value = u64::from(step.immediate as u32);
        let mut jump = false;
        match step.code {
            LOAD_WORD => registers[to] = u64::from(context[step.offset as usize / 4]),
            COPY => registers[to] = registers[from],
            SHIFT_RIGHT => registers[to] >>= value,
            AND => registers[to] &= value,
            SET => registers[to] = value,
            JUMP_IF_EQUAL => jump = registers[to] == value,
            JUMP_UNLESS_EQUAL => jump = registers[to] != value,
            EXIT => return registers[0] == 1,
            other => panic!("{other:#x} is not expected"),
        }
        at += 1 + if jump { step.offset as usize } else { 0 };
    }
}

const BLOCK: u32 = 1;
const CHAR: u32 = 2;
const READ: u32 = 2;
const READ_WRITE: u32 = 6;

#[test]
fn the_few_devices_can_be_used() {
    for (major, minor) in [
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 8),
        (1, 9),
        (5, 0),
        (5, 1),
        (5, 2),
    ] {
        assert!(allows(CHAR, READ_WRITE, major, minor), "{major}:{minor}");
        assert!(
            allows(CHAR, READ_WRITE | 1, major, minor),
            "{major}:{minor}"
        );
    }
    for minor in [0, 7, 1 << 19] {
        assert!(allows(CHAR, READ_WRITE, 136, minor));
    }
}

#[test]
fn others_cannot() {
    // mem, kmem, port, kmsg, fuse, tun, kvm, loop-control; the same numbers among block devices.
    for (major, minor) in [
        (1, 1),
        (1, 2),
        (1, 4),
        (1, 11),
        (10, 229),
        (10, 200),
        (10, 232),
        (10, 237),
    ] {
        assert!(!allows(CHAR, READ, major, minor), "{major}:{minor}");
    }
    for (major, minor) in [(7, 0), (8, 0), (1, 3), (5, 0), (136, 0), (254, 0)] {
        assert!(!allows(BLOCK, READ, major, minor), "{major}:{minor}");
    }
    assert!(!allows(CHAR, READ, 136 + (1 << 16), 0));
}

#[test]
fn files_of_any_device_can_be_made_and_no_more() {
    for kind in [BLOCK, CHAR] {
        assert!(allows(kind, 1, 8, 0));
        assert!(!allows(kind, 1 | READ, 8, 0));
    }
}

#[test]
fn the_own_group_is_found_in_the_lines_of_the_kernel() {
    let lines = "5:devices:/a/b\n4:cpu,cpuacct:/c\n1:name=systemd:/d\n0::/e\n";
    assert_eq!(
        first_version_path(lines),
        Some(PathBuf::from("/sys/fs/cgroup/devices/a/b"))
    );
    assert_eq!(first_version_path("0::/e\n"), None);
    assert_eq!(unified_path("5:devices:/a\n"), None);
}
