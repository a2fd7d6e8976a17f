"""What a sandbox's root file system is made of, and that nothing leads out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import boxes

if TYPE_CHECKING:
    from boxes import Box
    from conftest import Place

MASKED = ["/proc/keys", "/proc/timer_list", "/sys/firmware", "/no/such", "/bin/busybox/x"]
READ_ONLY = ["/proc/sys", "/proc/irq", "/no/such"]


def bind(source: str, target: str, **changes: Any) -> dict[str, Any]:
    values = {"read_only": False, "recursive": True, "create": None, **changes}
    return {"kind": "bind", "source": source, "target": target, **values}


def test_devices_are_the_usual_ones(place: Place) -> None:
    script = "cd /dev; stat -c '%n %F %a %t:%T' full null random tty urandom zero"
    assert place("sh", "-c", script).lines == [
        "full character special file 666 1:7",
        "null character special file 666 1:3",
        "random character special file 666 1:8",
        "tty character special file 666 5:0",
        "urandom character special file 666 1:9",
        "zero character special file 666 1:5",
    ]


def test_devices_work(place: Place) -> None:
    script = "echo x >/dev/null; dd if=/dev/zero bs=4 count=1 2>/dev/null | od -An -tx1"
    assert place("sh", "-c", script).text() == "00 00 00 00"


def test_names_in_dev_lead_where_programs_expect(place: Place) -> None:
    script = (
        "cd /dev; for name in fd stdin stdout stderr ptmx core; do readlink $name; done; ls /dev"
    )
    lines = place("sh", "-c", script).lines
    assert lines[:6] == [
        "/proc/self/fd",
        "/proc/self/fd/0",
        "/proc/self/fd/1",
        "/proc/self/fd/2",
        "pts/ptmx",
        "/proc/kcore",
    ]
    assert lines[6:] == [
        "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm",
        "stderr", "stdin", "stdout", "tty", "urandom", "zero",
    ]  # fmt: skip


def test_system_file_systems_are_mounted_with_care(place: Place) -> None:
    lines = [line.split() for line in place("cat", "/proc/mounts").lines]
    options = {line[1]: (line[2], set(line[3].split(","))) for line in lines}
    careful = {"nosuid", "nodev", "noexec"}
    for target, kind, expected in [
        ("/proc", "proc", careful | {"rw"}),
        ("/sys", "sysfs", careful | {"ro"}),
        ("/dev", "tmpfs", {"nosuid", "mode=755", "rw"}),
        ("/dev/pts", "devpts", {"nosuid", "noexec", "mode=620", "ptmxmode=666"}),
        ("/dev/shm", "tmpfs", careful | {"size=64k"}),
        ("/dev/mqueue", "mqueue", careful),
    ]:
        assert options[target][0] == kind
        assert expected <= options[target][1]
    assert not [target for target in options if str(place.account.home) in target]


def test_a_network_of_its_own_has_a_loopback_and_nothing_else(place: Place) -> None:
    text = place("ip", "-o", "addr").text()
    assert "inet 127.0.0.1/8 scope host lo" in text
    assert {line.split()[1].rstrip(":") for line in text.splitlines()} == {"lo"}


def test_the_hosts_network_can_be_shared(place: Place) -> None:
    inside = place("readlink", "/proc/self/ns/net", namespaces={"network": "host"})
    assert inside.text() == str(Path("/proc/self/ns/net").readlink())
    listed = place("ls", "/sys", namespaces={"network": "host"}).text().split()
    assert "class" in listed


def test_every_other_namespace_is_new(place: Place) -> None:
    names = ["cgroup", "ipc", "mnt", "net", "pid", "uts"]
    lines = place("readlink", *(f"/proc/self/ns/{name}" for name in names)).lines
    own = [str(Path(f"/proc/self/ns/{name}").readlink()) for name in names]
    assert not set(lines) & set(own)


def test_masked_paths_are_empty_and_missing_ones_are_no_trouble(place: Place) -> None:
    script = "cat /proc/keys /proc/timer_list | wc -c; ls /sys/firmware | wc -l"
    assert place("sh", "-c", script, masked_paths=MASKED).lines == ["0", "0"]


def test_read_only_paths_cannot_be_written(place: Place) -> None:
    script = "echo 1 > /proc/sys/kernel/shm_rmid_forced"
    assert place("sh", "-c", script, read_only_paths=READ_ONLY).lines == [
        "sh: can't create /proc/sys/kernel/shm_rmid_forced: Read-only file system"
    ]


def test_sysctls_of_the_container_are_set(place: Place) -> None:
    sysctls = {"net.ipv4.ip_unprivileged_port_start": "0", "kernel.shm_rmid_forced": "1"}
    paths = ["/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/kernel/shm_rmid_forced"]
    assert place("cat", *paths, sysctls=sysctls).lines == ["0", "1"]


def test_changes_go_to_the_upper_directory_alone(root_box: Box) -> None:
    assert boxes.run(root_box, ["sh", "-c", "echo new >/etc/x; rm /bin/yes"]).text() == ""
    assert (root_box.upper / "etc" / "x").read_text() == "new\n"
    assert (root_box.root / "bin" / "yes").is_symlink()
    assert not (root_box.root / "etc" / "x").exists()


@pytest.mark.parametrize("upper", [None, "kept"])
def test_a_read_only_root_refuses_changes_but_not_in_other_mounts(
    place: Place, upper: str | None
) -> None:
    rootfs: dict[str, Any] = {"read_only": True}
    if upper is None:
        rootfs |= {"upper": None, "work": None}
    script = "touch /x; touch /dev/shm/y && echo written"
    assert place("sh", "-c", script, rootfs=rootfs).lines == [
        "touch: /x: Read-only file system",
        "written",
    ]


def test_a_mount_on_a_missing_target_makes_it(place: Place) -> None:
    directory = place.account.own(_filled(place))
    mounts = [
        bind(f"{directory}/file", "/a/b/file"),
        bind(str(directory), "/c/d"),
        {"kind": "tmpfs", "target": "/e/f", "size": None, "mode": 0o750},
    ]
    script = "cat /a/b/file /c/d/file; stat -c '%F %a' /a/b/file /e/f"
    assert place("sh", "-c", script, more_mounts=mounts).lines == [
        "content", "content", "regular file 644", "directory 750",
    ]  # fmt: skip


def _filled(place: Place) -> Path:
    directory = place.account.home / "filled"
    directory.mkdir(exist_ok=True)
    (directory / "file").write_text("content\n")
    return directory


def test_binds_are_writable_unless_they_are_read_only(place: Place) -> None:
    directory = place.account.own(_filled(place))
    mounts = [bind(str(directory), "/w"), bind(str(directory), "/r", read_only=True)]
    script = "echo more >>/w/file; echo no >>/r/file; cat /r/file"
    assert place("sh", "-c", script, more_mounts=mounts).lines == [
        "sh: can't create /r/file: Read-only file system",
        "content",
        "more",
    ]
    assert (directory / "file").read_text() == "content\nmore\n"


def test_a_tmpfs_is_limited_and_holds_no_programs_unless_told(place: Place) -> None:
    def tmpfs(**changes: Any) -> list[dict[str, Any]]:
        return [{"kind": "tmpfs", "target": "/t", "size": 8192, "mode": 0o1777, **changes}]

    script = "cp /bin/sleep /t/x; echo '#!/bin/sh' >/t/y; chmod +x /t/y; /t/y; echo $?"
    refused = place("sh", "-c", script, more_mounts=tmpfs()).lines
    assert refused[0].endswith("No space left on device")
    assert refused[-1] == "126"
    allowed = place("sh", "-c", script, more_mounts=tmpfs(executable=True, size=1 << 24)).lines
    assert allowed == ["0"]


# Root file systems with evil intent ------------------------------------------------


@pytest.mark.parametrize("target", ["/", "/host-secret", "../../../../../..", "/etc"])
@pytest.mark.parametrize(
    ("name", "op"), [("proc", "mount proc"), ("dev", "mount devices"), ("sys", "mount sysfs")]
)
def test_a_symlink_in_place_of_a_system_directory_is_refused(
    place: Place, name: str, op: str, target: str
) -> None:
    place.layout = {name: {"link": target}, "host-secret/x": "inside"}
    failure = place("true").failure
    assert failure is not None
    assert failure["message"] == (
        f"could not {op} `/{name}`: too many levels of symbolic links (a symbolic link is "
        "there, and nothing of the system's is mounted on those)"
    )


def test_a_bind_through_a_symlink_lands_inside(place: Place) -> None:
    directory = place.account.own(_filled(place))
    outside = place.account.home / "outside"
    place.layout = {"data": {"link": str(outside)}, "rel": {"link": "../../../../tmp/deep"}}
    mounts = [bind(f"{directory}/file", "/data/file"), bind(f"{directory}/file", "/rel/file")]
    script = f"cat {outside}/file /tmp/deep/file"
    assert place("sh", "-c", script, more_mounts=mounts).lines == ["content", "content"]
    assert not outside.exists()


def test_a_dangling_symlink_is_completed_inside(place: Place) -> None:
    directory = place.account.own(_filled(place))
    place.layout = {"etc/resolv.conf": {"link": "../run/systemd/resolve/stub-resolv.conf"}}
    mounts = [bind(f"{directory}/file", "/etc/resolv.conf", create="file")]
    assert place("cat", "/etc/resolv.conf", more_mounts=mounts).text() == "content"


def test_a_target_behind_a_magic_link_is_refused(place: Place) -> None:
    directory = place.account.own(_filled(place))
    place.layout = {"escape": {"link": "/proc/self/root/tmp"}}
    failure = place("true", more_mounts=[bind(str(directory), "/escape/x")]).failure
    assert failure is not None
    assert failure["errno"] == 40


def test_a_working_directory_behind_a_magic_link_is_refused(place: Place) -> None:
    for number in range(3, 12):
        failure = place("true", cwd=f"/proc/self/fd/{number}").failure
        assert failure is not None
        assert failure["op"] == "enter the working directory"


@pytest.mark.parametrize("field", ["masked_paths", "read_only_paths"])
def test_nothing_is_masked_or_made_read_only_through_a_symlink(place: Place, field: str) -> None:
    place.layout = {"alias": {"link": "/etc/secret"}, "etc/secret": "hidden"}
    failure = place("cat", "/etc/secret", **{field: ["/alias"]}).failure
    assert failure is not None
    assert failure["path"] == "/alias"


def test_a_mask_hides_a_file_and_cannot_be_changed(place: Place) -> None:
    place.layout = {"etc/secret": "hidden"}
    script = "cat /etc/secret; echo more > /etc/secret; cat /etc/secret; chmod 600 /etc/secret"
    outcome = place("sh", "-c", script, masked_paths=["/etc/secret"])
    assert "hidden" not in outcome.output
    assert "more" not in outcome.output
    assert "Read-only file system" in outcome.output
    assert outcome.status == 1


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/", "it leads to the root itself"),
        ("../..", "it leads to the root itself"),
        ("/proc", "a symbolic link leads to where the kernel shows itself"),
        ("/sys/kernel", "a symbolic link leads to where the kernel shows itself"),
        ("/proc/self/cwd", None),
        ("/proc/1/root", None),
    ],
)
def test_a_target_does_not_lead_to_the_root_or_into_the_kernel(
    place: Place, target: str, reason: str | None
) -> None:
    place.layout = {"data": {"link": target}}
    directory = place.account.own(_filled(place))
    failure = place("true", more_mounts=[bind(str(directory), "/data")]).failure
    assert failure is not None
    assert failure["op"] == "mount bind"
    assert reason is None or reason in failure["message"]


# Many layers ----------------------------------------------------------------------


def layers(box: Box, count: int, width: int = 1) -> list[str]:
    made = []
    for number in range(count):
        layer = box.directory / f"{number:0{width}}"
        layer.mkdir()
        (layer / f"file-{number}").write_text(str(number))
        (layer / "top").write_text(str(number))
        made.append(str(layer))
    return [*reversed(made), str(box.root)]


@pytest.mark.parametrize("width", [3, 200], ids=["short names", "long names"])
def test_hundreds_of_layers_are_stacked(root_box: Box, width: int) -> None:
    rootfs = {"lowers": layers(root_box, 300, width)}
    outcome = boxes.run(root_box, ["cat", "/top", "/file-0", "/file-299"], {"rootfs": rootfs})
    assert outcome.text() == "2990299"


def test_layers_without_a_writable_one_are_read_only(root_box: Box) -> None:
    rootfs = {"lowers": layers(root_box, 3), "upper": None, "work": None}
    outcome = boxes.run(root_box, ["sh", "-c", "cat /top; touch /x"], {"rootfs": rootfs})
    assert outcome.output == "2touch: /x: Read-only file system\n"


def test_a_writable_directory_alone_is_the_root(root_box: Box) -> None:
    rootfs = {"lowers": [], "upper": str(root_box.root), "work": None}
    assert boxes.run(root_box, ["touch", "/made"], {"rootfs": rootfs}).text() == ""
    assert (root_box.root / "made").exists()


def test_names_with_separators_of_options_are_no_trouble(root_box: Box) -> None:
    awkward = root_box.directory / "a:b,c\\d e"
    root_box.root.rename(awkward)
    rootfs = {"lowers": [str(awkward)]}
    assert boxes.run(root_box, ["echo", "fine"], {"rootfs": rootfs}).text() == "fine"


def test_a_volatile_layer_is_told_to_the_kernel(root_box: Box) -> None:
    outcome = boxes.run(root_box, ["cat", "/proc/mounts"], {"rootfs": {"volatile": True}})
    # Newer kernels say `fsync=volatile`.
    assert outcome.lines[0].split()[3].endswith("volatile")
