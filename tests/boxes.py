"""Sandboxes for tests: a tiny root file system, specifications, and what came of them.

The module doubles as a program that runs requests from standard input inside a
user namespace, so that the same test can be told as root and as an ordinary user.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUSYBOX = "/bin/busybox"
APPLETS = (
    "cat chmod cp dd echo env false grep head hostname id ip kill ls mkdir mount od pwd readlink "
    "rm seq sh sleep sort stat stty sysctl tail test touch true tty ulimit umask wc yes"
)
DIRECTORIES = ("bin", "dev", "etc", "proc", "sys", "tmp", "home")
MOUNTS: list[dict[str, Any]] = [
    {"kind": "proc", "target": "/proc"},
    {"kind": "dev", "target": "/dev"},
    {"kind": "devpts", "target": "/dev/pts"},
    {"kind": "sysfs", "target": "/sys"},
    {"kind": "cgroup", "target": "/sys/fs/cgroup"},
    {"kind": "mqueue", "target": "/dev/mqueue"},
    {"kind": "tmpfs", "target": "/dev/shm", "size": 65536, "mode": 0o1777},
]
CAPABILITIES = [
    f"CAP_{name}" for name in ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "KILL")
]

Spec = dict[str, Any]


class Box:
    """A root file system made of busybox, with a writable layer on top of it."""

    def __init__(self, directory: Path, *, userxattr: bool = False) -> None:
        self.directory = directory
        self.root = directory / "root"
        self.upper = directory / "upper"
        self._userxattr = userxattr
        for name in ("upper", "work", "mountpoint"):
            (directory / name).mkdir(parents=True)
        for name in DIRECTORIES:
            (self.root / name).mkdir(parents=True)
        shutil.copy(BUSYBOX, self.root / "bin" / "busybox")
        for applet in APPLETS.split():
            (self.root / "bin" / applet).symlink_to("busybox")

    def lay_out(self, layout: dict[str, Any]) -> None:
        """Change files: names to programs, ``{"link"}``, ``{"text", "mode"}`` or ``None``."""
        for name, wanted in layout.items():
            path = self.root / name
            if path.is_symlink() or path.is_file():
                path.unlink()
            elif path.is_dir():
                shutil.rmtree(path)
            if wanted is None:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(wanted, dict) and "link" in wanted:
                path.symlink_to(wanted["link"])
            else:
                wanted = wanted if isinstance(wanted, dict) else {"text": wanted, "mode": 0o755}
                path.write_text(wanted["text"])
                path.chmod(wanted["mode"])

    def spec(self, argv: list[str], changes: Spec | None = None) -> bytes:
        """Write a specification; ``changes`` replaces its fields, and those of ``rootfs``."""
        changes = dict(changes or {})
        rootfs = {
            "lowers": [str(self.root)],
            "upper": str(self.upper),
            "work": str(self.directory / "work"),
            "mountpoint": str(self.directory / "mountpoint"),
            "read_only": False,
            "userxattr": self._userxattr,
            **changes.pop("rootfs", {}),
        }
        spec: Spec = {
            "format": 1,
            "rootfs": rootfs,
            "hostname": "box",
            "argv": argv,
            "env": ["PATH=/bin"],
            "cwd": "/",
            "user": {"uid": 0, "gid": 0, "groups": [0]},
            "umask": 0o022,
            "terminal": False,
            "window": None,
            "mounts": MOUNTS,
            "namespaces": {"network": "new"},
            "capabilities": CAPABILITIES,
            "no_new_privileges": False,
            "seccomp": None,
            "masked_paths": [],
            "read_only_paths": [],
            "rlimits": [],
            "sysctls": {},
            "die_with_parent": True,
        }
        spec["mounts"] = spec["mounts"] + changes.pop("more_mounts", [])
        return json.dumps({**spec, **changes}).encode()


@dataclass(frozen=True)
class Outcome:
    """How a process ended, or the failure instead of it."""

    status: int | None
    output: str
    failure: dict[str, Any] | None = None

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    def text(self) -> str:
        """Give the output of a process that succeeded."""
        assert (self.status, self.failure) == (0, None), self
        return self.output.strip()


def read_all(descriptor: int) -> bytes:
    """Read to the end; a terminal's end is an error."""
    parts = []
    try:
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
    except OSError:
        pass
    return b"".join(parts)


def finish(process: Any, reading: int) -> Outcome:
    """Let a process go and wait for its end, reading what it says."""
    with process:
        process.release()
        terminal = process.terminal
        output = read_all(reading if terminal is None else terminal)
        return Outcome(process.wait(), output.decode())


def explained(error: Any) -> Outcome:
    """Keep of a failure what a test may look at."""
    names = ("kind", "message", "hint", "op", "errno")
    failure = {name: getattr(error, name) for name in names}
    failure["path"] = error.path.decode() if error.path else None
    return Outcome(None, "", failure)


def run(box: Box, argv: list[str], changes: Spec | None = None) -> Outcome:
    """Run a program in a sandbox of its own; both streams are the output."""
    from dissolver._core import CoreError, sandbox

    reading, writing = os.pipe()
    try:
        spec = box.spec(argv, changes)
        try:
            process = sandbox.start(spec, stdin=None, stdout=writing, stderr=writing)
        finally:
            os.close(writing)
        return finish(process, reading)
    except CoreError as error:
        return explained(error)
    finally:
        os.close(reading)


def enter(pid: int, spec: bytes) -> Outcome:
    """Run a program in a sandbox that is running."""
    from dissolver._core import CoreError, sandbox

    reading, writing = os.pipe()
    try:
        try:
            process = sandbox.enter(pid, spec, stdin=None, stdout=writing, stderr=writing)
        finally:
            os.close(writing)
        return finish(process, reading)
    except CoreError as error:
        return explained(error)
    finally:
        os.close(reading)


def enter_all(box: Box, argvs: list[list[str]], changes: Spec | None = None) -> list[Outcome]:
    """Run programs, one after the other, in one sandbox that sleeps."""
    from dissolver._core import sandbox

    sleeper = box.spec(["sleep", "1000"])
    with sandbox.start(sleeper, stdin=None, stdout=None, stderr=None) as process:
        process.release()
        return [enter(process.pid, box.spec(argv, changes)) for argv in argvs]


# As an ordinary user -------------------------------------------------------------


def become_root_of_a_namespace(*, is_single: bool) -> None:
    """Enter a user namespace with all ids of this user, or only the own one."""
    from dissolver._core import sandbox

    name = pwd.getpwuid(os.getuid()).pw_name
    maps = []
    for file, own in (("/etc/subuid", os.getuid()), ("/etc/subgid", os.getgid())):
        ranges = [line.split(":") for line in Path(file).read_text().split()]
        first, length = next((int(a), int(b)) for who, a, b in ranges if who == name)
        maps.append([(0, own, 1)] if is_single else [(0, own, 1), (1, first, length)])
    sandbox.enter_user_namespace(*maps, helpers=not is_single)


def answer(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Carry out what a test asked for in another process."""
    box = Box(Path(request["directory"]), userxattr=True)
    box.lay_out(request["layout"])
    argvs, changes = request["argvs"], request["changes"]
    if request["enters"]:
        outcomes = enter_all(box, argvs, changes)
    else:
        outcomes = [run(box, argv, changes) for argv in argvs]
    return [vars(outcome) for outcome in outcomes]


def ask(account: Any, request: dict[str, Any], *, is_single: bool = False) -> list[Outcome]:
    """Have ``account`` carry out a request in a user namespace."""
    program = [account.python, "-c", Path(__file__).read_text(), "single" if is_single else "all"]
    done = subprocess.run(
        [*account.become, *program],
        input=json.dumps(request),
        env=account.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return [Outcome(**outcome) for outcome in json.loads(done.stdout)]


if __name__ == "__main__":
    become_root_of_a_namespace(is_single=sys.argv[1] == "single")
    print(json.dumps(answer(json.load(sys.stdin))))  # noqa: T201 - this is its answer
