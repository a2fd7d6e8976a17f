"""Fixtures that every part shares: a tiny base system, a store, users, and the CLI.

Privilege is a dimension of the tests. ``who`` runs a test as root and as an
ordinary user with subordinate ids; the user, its home and a copy of the package
that it can read are made here and removed again.
"""

from __future__ import annotations

import compileall
import io
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from forms import BOTH_FORMS, EVERY, FORM
from scene import Account, Cli, kill_processes_of
from servers import Repository, Web, git_server, web_server

# No test asks a registry on another machine, whatever an image is called.
os.environ["DISSOLVER_OFFLINE"] = "1"

ROOT = Path(__file__).parents[1]
PACKAGE = Path(os.environ.get("DISSOLVER_TEST_PACKAGE", ROOT / "python"))
"""The directory that the package is imported from; `make walls` has another one."""
BUSYBOX = next((p for p in map(Path, ("/bin/busybox", "/usr/bin/busybox")) if p.exists()), None)
DEBIAN_MIRROR = ("deb.debian.org", 80)
NPM_REGISTRY = ("registry.npmjs.org", 443)


# What a test may need -----------------------------------------------------------


def _reachable(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=5):
            return True
    except OSError:
        return False


def pytest_sessionstart() -> None:
    """Begin as a person would: with Ctrl-C, and with the package installed."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # A shell starts what it puts in the background so, and every program here would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Its bytecode: the tests start it thousands of times.
    compileall.compile_dir(PACKAGE / "dissolver", quiet=2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("network")]
    if not marked:
        return
    if os.environ.get("DISSOLVER_TEST_OFFLINE"):
        reason = "DISSOLVER_TEST_OFFLINE is set"
    elif not (_reachable(DEBIAN_MIRROR) and _reachable(NPM_REGISTRY)):
        reason = "a Debian mirror and the npm registry cannot be reached"
    else:
        return
    for item in marked:
        item.add_marker(pytest.mark.skip(reason=reason))


# The tiny base system -------------------------------------------------------------


def write_busybox_tar(path: Path) -> None:
    """Write a root file system made of busybox, with users, as one tar."""
    assert BUSYBOX is not None
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    files = {
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nbin:x:1:1:bin:/bin:/bin/false\n"
        "node:x:1000:1000:node:/home/node:/bin/sh\n",
        "etc/group": "root:x:0:\nbin:x:1:\naudio:x:29:node\nnode:x:1000:\n",
    }
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, *, kind: bytes, mode: int, data: bytes = b"", link: str = "") -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.linkname = kind, mode, link
            entry.size, entry.mtime = len(data), 1_700_000_000
            if name.startswith("home/node"):
                entry.uid = entry.gid = 1000
            tar.addfile(entry, io.BytesIO(data))

        for name in ("bin", "dev", "etc", "home", "home/node", "proc", "root", "sys", "usr", "var"):
            add(name, kind=tarfile.DIRTYPE, mode=0o700 if name == "root" else 0o755)
        add("tmp", kind=tarfile.DIRTYPE, mode=0o1777)
        for name, text in files.items():
            add(name, kind=tarfile.REGTYPE, mode=0o644, data=text.encode())
        add("bin/busybox", kind=tarfile.REGTYPE, mode=0o755, data=BUSYBOX.read_bytes())
        for applet in applets.stdout.split():
            if applet != "busybox":
                add(f"bin/{applet}", kind=tarfile.SYMTYPE, mode=0o777, link="busybox")


@pytest.fixture(scope="session")
def busybox_tar() -> Iterator[Path]:
    """The tar of a tiny root file system: busybox, /etc/passwd, and little more."""
    if BUSYBOX is None:
        pytest.skip("busybox-static is not installed (`make setup` installs it)")
    # Not below pytest's own temporary directory, which only its owner may enter.
    with tempfile.TemporaryDirectory(prefix="dissolver-busybox-", dir="/var/tmp") as made:
        directory = Path(made)
        directory.chmod(0o755)
        path = directory / "busybox.tar"
        write_busybox_tar(path)
        path.chmod(0o644)
        yield path


@pytest.fixture
def store_root(tmp_path: Path) -> Path:
    """A directory for a store of this test alone."""
    return tmp_path / "store"


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server without pages."""
    with web_server() as server:
        yield server


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """A git repository without commits, and its server."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    with git_server(tmp_path / "served") as served:
        yield served


# Who runs it -----------------------------------------------------------------------


def _copied_package(base: Path) -> Path:
    """Copy the package and what it needs to where every user can read it."""
    site = Path(sysconfig.get_paths()["purelib"])
    target = base / "site"
    skipped = shutil.ignore_patterns(
        *("pip*", "mypy*", "ruff*", "hypothesis*", "maturin*", "librt*", "*.pth")
    )

    def unneeded(directory: str, names: list[str]) -> set[str]:
        if Path(directory).parts[-2:] == ("botocore", "data"):
            # A directory for each of 400 services; buckets are one of them.
            return {name for name in names if "." not in name and name != "s3"}
        return skipped(directory, names)

    shutil.copytree(site, target, ignore=unneeded, symlinks=True)
    shutil.copytree(PACKAGE / "dissolver", target / "dissolver", dirs_exist_ok=True)
    for beside in PACKAGE.glob("*.py"):
        shutil.copy(beside, target)
    for path in (base, *base.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    return target


def _others_can_execute(program: Path) -> bool:
    resolved = program.resolve()
    return all(p.stat().st_mode & stat.S_IXOTH for p in (resolved, *resolved.parents))


@pytest.fixture(scope="session")
def root_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    if os.geteuid() != 0:
        pytest.skip("the tests do not run as root")
    home = tmp_path_factory.mktemp("root-home")
    (home / "run").mkdir(mode=0o700)
    yield Account("root", 0, 0, home, sys.executable, str(PACKAGE))
    _remove_tree(home)


@pytest.fixture(scope="session")
def user_account() -> Iterator[Account]:
    """An ordinary user with subordinate ids; made by root, or whoever runs the tests."""
    base = Path(tempfile.mkdtemp(prefix="dissolver-user-", dir="/var/tmp"))
    base.chmod(0o755)
    if os.geteuid() != 0:
        me = pwd.getpwuid(os.geteuid())
        home = base / "home"
        (home / "run").mkdir(parents=True, mode=0o700)
        yield Account(me.pw_name, me.pw_uid, me.pw_gid, home, sys.executable, str(PACKAGE))
        shutil.rmtree(base, ignore_errors=True)
        return
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    if not _others_can_execute(python):
        pytest.skip(f"other users cannot execute {python}")
    if shutil.which("newuidmap") is None or shutil.which("useradd") is None:
        pytest.skip("useradd or newuidmap (package uidmap) is missing")
    name = f"dissolver-{uuid.uuid4().hex[:8]}"
    subprocess.run(
        ["useradd", "--create-home", "--home-dir", base / "home", "--shell", "/bin/sh", name],
        check=True,
        capture_output=True,
    )
    user = pwd.getpwnam(name)
    with _user_can_open("/dev/net/tun"):
        try:
            (base / "home" / "run").mkdir(mode=0o700)
            os.chown(base / "home" / "run", user.pw_uid, user.pw_gid)
            site = _copied_package(base)
            yield Account(name, user.pw_uid, user.pw_gid, base / "home", str(python), str(site))
        finally:
            kill_processes_of(user.pw_uid)
            time.sleep(0.2)
            subprocess.run(["userdel", name], check=False, capture_output=True)
            _remove_tree(base)


class _user_can_open:  # noqa: N801  (reads as a sentence where it is used)
    """Give every user access to a device for a while, as udev does on most machines."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.mode: int | None = None

    def __enter__(self) -> None:
        if self.path.exists():
            self.mode = stat.S_IMODE(self.path.stat().st_mode)
            self.path.chmod(0o666)

    def __exit__(self, *_: object) -> None:
        if self.mode is not None:
            self.path.chmod(self.mode)


def _remove_tree(path: Path) -> None:
    subprocess.run(["rm", "-rf", "--one-file-system", str(path)], check=False)


@pytest.fixture(scope="session")
def extracted_account(root_account: Account, tmp_path_factory: pytest.TempPathFactory) -> Account:
    """Root, whose layers are extracted although they could be mounted in place."""
    from dissolver._core.layer import Layers

    reason = Layers(tmp_path_factory.mktemp("probe"), userxattr=False).image_refusal()
    if reason or FORM == "directory":
        pytest.skip(f"layers of root are extracted anyway: {reason or 'DISSOLVER_LAYERS is set'}")
    return replace(root_account, form="directory")


@pytest.fixture(params=BOTH_FORMS if EVERY else ["root", "user"])
def who(request: pytest.FixtureRequest) -> Account:
    """Run the test as root, and again as an ordinary user."""
    account: Account = request.getfixturevalue(f"{request.param}_account")
    return account


def _removed_containers(cli: Cli) -> None:
    listed = cli("ps", "-a", "-q", check=False)
    for name in listed.stdout.split():
        cli("rm", "-f", name, check=False)


@pytest.fixture
def cli(who: Account, tmp_path: Path) -> Iterator[Cli]:
    """The command as root and as a user, each on an empty store of its own."""
    root = who.home / f"store-{uuid.uuid4().hex[:8]}"
    made = Cli(who, root)
    yield made
    if root.exists():
        _removed_containers(made)
        _remove_tree(root)
        _remove_tree(made.run_directory)


@pytest.fixture
def box(cli: Cli, busybox_tar: Path) -> Cli:
    """The command with an image `box` in its store: busybox and /etc/passwd."""
    cli("import", "-c", 'CMD ["sh"]', busybox_tar, "box")
    return cli
