"""The specification that the core reads: Docker's defaults, field for field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dissolver._core import CoreError, sandbox
from dissolver.sandbox import confinement, defaults, spec
from dissolver.sandbox.assemble import Process, World, assemble, environment, joining
from dissolver.sandbox.confinement import USUAL, Confinement, Limit
from dissolver.sandbox.users import User

ROOTFS = spec.Rootfs(("/l/2", "/l/1"), "/u", "/w", "/m")
NODE = User(1000, 1000, (1000, 29), "/home/node")
ROOT = User(0, 0, (0,), "/root")


@pytest.fixture(scope="module")
def filters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compiled filters are kept."""
    return tmp_path_factory.mktemp("filters")


@pytest.fixture
def container(filters: Path) -> Callable[..., spec.SandboxSpec]:
    def make(confined: Confinement = USUAL, **changes: Any) -> spec.SandboxSpec:
        what = {"argv": ["node", "server.js"], "env": ["A=b"], "cwd": "/app", "user": ROOT}
        where = {"network": "new", "hostname": "web", "rootfs": ROOTFS}
        what.update({key: changes.pop(key) for key in list(changes) if key in what})
        return assemble(Process(**what), World(**where | changes), confined, filters=filters)

    return make


Maker = Callable[..., spec.SandboxSpec]


def test_a_container_has_dockers_fourteen_capabilities(container: Maker) -> None:
    assert container().capabilities == confinement.CAPABILITIES
    assert len(confinement.CAPABILITIES) == 14
    assert "CAP_SYS_ADMIN" not in confinement.CAPABILITIES


def test_the_system_mounts_come_first_and_in_order(container: Maker) -> None:
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


def test_the_json_is_what_the_core_reads(container: Maker) -> None:
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


def test_a_field_that_the_core_does_not_know_is_refused(container: Maker) -> None:
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
    assert list(environment(given, **options)) == expected  # type: ignore[arg-type]


def test_a_step_has_no_hostname_variable(container: Maker) -> None:
    step = container(
        env=[], cwd="", user=NODE, network="host", hostname="buildkitsandbox", names_itself=False
    )
    assert step.hostname == "buildkitsandbox"
    assert step.cwd == "/"
    assert step.env == (f"PATH={defaults.PATH}", "HOME=/home/node")
    assert step.user == spec.User(1000, 1000, (1000, 29))
    assert step.die_with_parent


def test_only_a_network_of_its_own_is_configured(container: Maker) -> None:
    assert container().sysctls == {"net.ipv4.ip_unprivileged_port_start": "0"}
    assert container(network="host").sysctls == {}


def test_one_more_process_keeps_the_surroundings(container: Maker) -> None:
    base = container()
    process = Process(
        argv=["sh"], env=["X=1"], cwd="/tmp", user=NODE, terminal=True, window=(24, 80)
    )
    more = joining(base, process, dies_with_parent=False)
    kept = ("rootfs", "mounts", "capabilities", "seccomp", "rlimits", "masked_paths", "devices")
    assert [getattr(more, name) for name in kept] == [getattr(base, name) for name in kept]
    assert (more.argv, more.cwd, more.user.uid) == (("sh",), "/tmp", 1000)
    assert (more.terminal, more.window, more.die_with_parent) == (True, (24, 80), False)


def test_a_privileged_step_has_every_right_and_nothing_in_its_way(container: Maker) -> None:
    made = container(Confinement(is_privileged=True))
    assert made.capabilities == confinement.ALL_CAPABILITIES
    assert len(set(made.capabilities)) == 41
    assert set(confinement.CAPABILITIES) < set(made.capabilities)
    assert (made.seccomp, made.masked_paths, made.read_only_paths) == (None, (), ())
    assert made.devices == "all"
    assert spec.SysfsMount(read_only=False) in made.mounts
    assert spec.CgroupMount(read_only=False) in made.mounts
    plan = sandbox.describe(spec.encode_spec(made))
    assert any("sysfs" in line and "read-only" not in line for line in plan)


def test_the_usual_process_is_filtered_and_has_its_own_devices(container: Maker) -> None:
    made = container()
    assert made.seccomp is not None
    assert made.devices == "own"
    assert container(Confinement(seccomp="unconfined")).seccomp is None


def test_the_size_of_shared_memory_and_the_limits_are_the_callers(container: Maker) -> None:
    made = container(Confinement(shm_bytes=4096, limits=(Limit("core", 0, -1),)))
    assert [mount.size for mount in made.mounts if isinstance(mount, spec.TmpfsMount)] == [4096]
    assert made.rlimits[1:] == (Limit("core", 0, -1),)


@pytest.mark.parametrize(
    ("hard", "expected"),
    [(-1, (1024, 524_288)), (1 << 20, (1024, 524_288)), (4096, (1024, 4096)), (512, (512, 512))],
)
def test_open_files_do_not_depend_on_the_caller_but_where_they_must(
    hard: int, expected: tuple[int, int]
) -> None:
    assert USUAL.all_limits(hard) == (Limit("nofile", *expected),)
    chosen = Confinement(limits=(Limit("nofile", 7, 8),))
    assert chosen.all_limits(hard) == (Limit("nofile", 7, 8),)
