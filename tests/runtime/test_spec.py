"""The specification that the core reads: Docker's defaults, field for field."""

from __future__ import annotations

import json

import pytest

from dissolver._core import CoreError, sandbox
from dissolver.runtime import defaults, spec
from dissolver.runtime.users import User

ROOTFS = spec.Rootfs(("/l/2", "/l/1"), "/u", "/w", "/m")
NODE = User(1000, 1000, (1000, 29), "/home/node")
ROOT = User(0, 0, (0,), "/root")


def container(**changes: object) -> spec.SandboxSpec:
    values: dict[str, object] = {
        "argv": ["node", "server.js"],
        "env": ["A=b"],
        "cwd": "/app",
        "user": ROOT,
        "mounts": (),
        "network": "new",
        "seccomp": None,
        "hostname": "web",
    }
    return spec.container_spec(ROOTFS, **(values | changes))  # type: ignore[arg-type]


def test_a_container_has_dockers_fourteen_capabilities() -> None:
    assert container().capabilities == defaults.CAPABILITIES
    assert len(defaults.CAPABILITIES) == 14
    assert "CAP_SYS_ADMIN" not in defaults.CAPABILITIES


def test_the_system_mounts_come_first_and_in_order() -> None:
    mounts = container(mounts=(spec.BindMount("/src", "/data"),)).mounts
    assert [mount.target for mount in mounts] == [
        "/proc",
        "/dev",
        "/dev/pts",
        "/sys",
        "/sys/fs/cgroup",
        "/dev/mqueue",
        "/dev/shm",
        "/data",
    ]
    assert mounts[6] == spec.TmpfsMount("/dev/shm", 67108864, 0o1777)


def test_the_json_is_what_the_core_reads() -> None:
    data = spec.encode_spec(container(mounts=(spec.BindMount("/src", "/data", read_only=True),)))
    document = json.loads(data)
    assert document["format"] == 1
    assert document["umask"] == 18
    assert document["mounts"][0] == {"kind": "proc", "target": "/proc"}
    assert document["mounts"][-1] == {
        "kind": "bind",
        "source": "/src",
        "target": "/data",
        "read_only": True,
        "recursive": True,
        "create": None,
    }
    assert sandbox.describe(data)[-1].startswith("execute `/usr/local/sbin/node`")
    assert spec.decode_spec(data) == container(
        mounts=(spec.BindMount("/src", "/data", read_only=True),)
    )


def test_a_field_that_the_core_does_not_know_is_refused() -> None:
    document = json.loads(spec.encode_spec(container()))
    document["privileged"] = False
    with pytest.raises(CoreError, match="privileged"):
        sandbox.describe(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("given", "options", "expected"),
    [
        ([], {"home": "/root"}, [f"PATH={defaults.PATH}", "HOME=/root"]),
        (
            ["PATH=/bin", "HOME=/h"],
            {"home": "/root", "hostname": "web", "terminal": True},
            ["PATH=/bin", "HOSTNAME=web", "TERM=xterm", "HOME=/h"],
        ),
        (
            ["A=1", "B=2", "A=3=4", "TERM=linux"],
            {"home": "/", "terminal": True},
            [f"PATH={defaults.PATH}", "TERM=linux", "A=3=4", "B=2", "HOME=/"],
        ),
        (["A=1", "A", "B"], {"home": "/"}, [f"PATH={defaults.PATH}", "HOME=/"]),
        (["HOME="], {"home": "/home/node"}, [f"PATH={defaults.PATH}", "HOME=/home/node"]),
    ],
)
def test_an_environment_is_completed(
    given: list[str], options: dict[str, object], expected: list[str]
) -> None:
    assert list(spec.environment(given, **options)) == expected  # type: ignore[arg-type]


def test_a_step_has_a_constant_host_name_and_no_hostname_variable() -> None:
    step = spec.step_spec(
        ROOTFS,
        argv=["/bin/sh"],
        env=[],
        cwd="",
        user=NODE,
        mounts=(),
        network="host",
        seccomp=None,
    )
    assert step.hostname == "buildkitsandbox"
    assert step.cwd == "/"
    assert step.env == (f"PATH={defaults.PATH}", "HOME=/home/node")
    assert step.user == spec.UserIds(1000, 1000, (1000, 29))
    assert step.die_with_parent


def test_only_a_network_of_its_own_is_configured() -> None:
    assert container().sysctls == {"net.ipv4.ip_unprivileged_port_start": "0"}
    assert container(network="host").sysctls == {}


def test_one_more_process_keeps_the_surroundings() -> None:
    base = container()
    more = spec.process_spec(
        base,
        argv=["sh"],
        env=["X=1"],
        cwd="/tmp",
        user=NODE,
        terminal=True,
        window=(24, 80),
        dies_with_parent=False,
    )
    assert (more.rootfs, more.mounts, more.capabilities) == (
        base.rootfs,
        base.mounts,
        base.capabilities,
    )
    assert (more.argv, more.cwd, more.user.uid) == (("sh",), "/tmp", 1000)
    assert (more.terminal, more.window, more.die_with_parent) == (True, (24, 80), False)


def test_a_privileged_step_has_every_right_and_nothing_in_its_way() -> None:
    words = {"argv": ["true"], "env": (), "cwd": "/", "user": ROOT, "mounts": ()}
    made = spec.step_spec(
        ROOTFS,
        network="new",
        seccomp="AAAA",
        is_privileged=True,
        **words,  # type: ignore[arg-type]
    )
    assert made.capabilities == defaults.ALL_CAPABILITIES
    assert len(set(made.capabilities)) == 41
    assert set(defaults.CAPABILITIES) < set(made.capabilities)
    assert (made.seccomp, made.masked_paths, made.read_only_paths) == (None, (), ())
    assert spec.SysfsMount(read_only=False) in made.mounts
    assert spec.CgroupMount(read_only=False) in made.mounts
    plan = sandbox.describe(spec.encode_spec(made))
    assert any("sysfs" in line and "read-only" not in line for line in plan)


def test_the_size_of_shared_memory_and_the_limits_are_the_callers() -> None:
    made = container(shm_bytes=4096, rlimits=[spec.Rlimit("core", 0, -1)])
    assert [mount.size for mount in made.mounts if isinstance(mount, spec.TmpfsMount)] == [4096]
    assert made.rlimits == (spec.Rlimit("core", 0, -1),)
    assert container().rlimits == ()
