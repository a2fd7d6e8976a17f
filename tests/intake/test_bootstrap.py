"""Base images through mmdebstrap; a stand-in for it, and once the real one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dissolver.errors import DissolverError, IntakeError
from dissolver.image.reference import parse_reference
from dissolver.intake import bootstrap as module
from dissolver.intake.bootstrap import bootstrap
from dissolver.store import Store
from shelf import tar_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs a range of user ids: run as root")

StandIn = Callable[..., Path]

STAND_IN = """\
#!/bin/sh
printf '%s\\n' "$@" > {log}
echo "I: running apt-get update..." >&2
echo "Get:1 http://mirror" >&2
{body}
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Put a script in the place of mmdebstrap; answer where it writes its arguments."""
    directory = tmp_path / "bin"
    directory.mkdir()
    tar = tmp_path / "root.tar"
    tar.write_bytes(tar_of({"etc/os-release": b"ID=debian\n"}))
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    def make(body: str = f"cat {tar}") -> Path:
        log = tmp_path / "arguments"
        script = directory / "mmdebstrap"
        script.write_text(STAND_IN.format(log=log, body=body))
        script.chmod(0o755)
        return log

    return make


def test_what_it_writes_becomes_a_named_image(store: Store, stand_in: StandIn) -> None:
    stand_in()
    lines: list[str] = []
    image = bootstrap(
        store,
        "bookworm",
        [parse_reference("debian:bookworm-slim")],
        include=("curl", "git"),
        on_line=lines.append,
    )
    assert store.images.resolve("debian:bookworm-slim") == image
    assert image.size == len(b"ID=debian\n")
    assert image.config.config.cmd == ("bash",)
    assert image.config.config.env == (
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    )
    [entry] = image.config.history
    assert entry.created_by == "dissolver image bootstrap bookworm --include curl,git"
    assert lines == ["running apt-get update..."]
    assert list(store.layout.tmp.iterdir()) == []


def test_the_suite_the_packages_and_the_mirror_are_passed_on(
    store: Store, stand_in: StandIn
) -> None:
    log = stand_in()
    bootstrap(store, "trixie", include=("curl",), mirror="http://mirror.internal/debian")
    arguments = log.read_text().splitlines()
    assert arguments[-3:] == ["trixie", "-", "http://mirror.internal/debian"]
    assert "--include=curl" in arguments
    assert "--dpkgopt=path-include=/usr/share/doc/*/copyright" in arguments


def test_a_failure_is_told_with_its_last_lines(store: Store, stand_in: StandIn) -> None:
    stand_in("head -c 700 /dev/zero; echo 'E: Unable to locate package x' >&2; exit 25")
    with pytest.raises(IntakeError) as caught:
        bootstrap(store, "bookworm", [parse_reference("debian")], include=("x",))
    assert caught.value.message == "`mmdebstrap` could not make `bookworm`: exit code 25"
    assert caught.value.hint == "check the names of the packages"
    assert caught.value.detail == ("E: Unable to locate package x",)
    assert store.images.list() == []


def test_a_failure_after_a_whole_tar_makes_no_image(
    store: Store, stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in(f"cat {tmp_path}/root.tar; exit 1")
    with pytest.raises(IntakeError):
        bootstrap(store, "bookworm")
    assert store.images.list() == []
    store.collect()
    assert store.layers.list() == []


@pytest.mark.usefixtures("hears_interrupts")
def test_an_interrupt_ends_the_program_at_once(store: Store, stand_in: StandIn) -> None:
    stand_in("head -c 4096 /dev/zero; exec sleep 314.15926")

    def interrupt(_: str) -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        bootstrap(store, "bookworm", on_line=interrupt)
    wait_until(lambda: not sleepers())
    assert store.images.list() == []
    assert list(store.layout.tmp.iterdir()) == []


def test_a_failure_without_output_leaves_no_layer(store: Store, stand_in: StandIn) -> None:
    stand_in("printf 'Get:1 10%%\\rGet:1 done\\n' >&2; exit 2")
    with pytest.raises(IntakeError) as caught:
        bootstrap(store, "bookworm")
    assert caught.value.detail == (
        "I: running apt-get update...",
        "Get:1 http://mirror",
        "Get:1 done",
    )
    assert store.layers.list() == []


def test_success_without_output_is_no_image(store: Store, stand_in: StandIn) -> None:
    stand_in("true")
    with pytest.raises(IntakeError, match="wrote no root file system"):
        bootstrap(store, "bookworm")


def test_success_without_a_proper_tar_is_no_image(store: Store, stand_in: StandIn) -> None:
    stand_in("echo nonsense; head -c 4000 /dev/urandom")
    with pytest.raises(DissolverError):
        bootstrap(store, "bookworm")
    assert store.images.list() == []


def test_a_killed_bootstrap_leaves_no_process_and_nothing_to_keep(
    store: Store, stand_in: StandIn
) -> None:
    stand_in("echo half > $TMPDIR/half; exec sleep 314.15926")
    script = (
        "import sys; from pathlib import Path; from dissolver.store import Store;"
        "from dissolver.intake.bootstrap import bootstrap;"
        "bootstrap(Store(Path(sys.argv[1]), Path(sys.argv[2])), 'bookworm',"
        " on_line=lambda line: print(line, flush=True))"
    )
    command = [sys.executable, "-c", script, store.root, store.run]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"running apt-get update...\n"
        process.kill()
    wait_until(lambda: not sleepers())
    assert store.sweep() > 0
    assert list(store.layout.tmp.iterdir()) == []
    store.prune_images()
    assert store.check() == ()


def sleepers() -> list[Path]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"314.15926" in words:
            found.append(path)
    return found


def wait_until(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_missing_mmdebstrap_is_told_with_how_to_install_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(IntakeError) as caught:
        bootstrap(store, "bookworm")
    assert caught.value.message == "`mmdebstrap` is not installed"
    assert caught.value.hint == "install it: `apt-get install mmdebstrap`"


@pytest.mark.parametrize("suite", ["", "-x", "Bookworm", "a b", "../x"])
def test_what_is_no_suite_is_refused(store: Store, suite: str) -> None:
    with pytest.raises(IntakeError, match="is not the name of a suite"):
        bootstrap(store, suite)


@pytest.mark.parametrize("package", ["", "-x", "a b", "x;y", "/etc/passwd"])
def test_what_is_no_package_is_refused(store: Store, package: str) -> None:
    with pytest.raises(IntakeError, match="is not the name of a package"):
        bootstrap(store, "bookworm", include=(package,))


def test_a_single_user_id_is_too_few(tmp_path: Path) -> None:
    (tmp_path / "uid_map").write_text("         0       1000          1\n")
    with pytest.raises(IntakeError) as caught:
        module._check_users(tmp_path / "uid_map")
    assert caught.value.message == "a base system needs more user ids than this process may use"
    (tmp_path / "uid_map").write_text("  0 1000 1\n  1 100000 65535\n")
    module._check_users(tmp_path / "uid_map")


@pytest.mark.network
@pytest.mark.slow
def test_a_real_base_system_is_slim_and_complete(store: Store) -> None:
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap is not installed")
    image = bootstrap(store, "bookworm", [parse_reference("debian:bookworm-slim")])
    view = store.layers.view(image.config.diff_ids)
    assert b"VERSION_CODENAME=bookworm" in view.read("/etc/os-release", limit=1 << 16)
    assert view.list("/dev") == []
    assert view.list("/var/lib/apt/lists") in ([], [b"lock", b"partial"])
    copyright_file = view.stat("/usr/share/doc/bash/copyright")
    assert copyright_file is not None
    assert view.list("/usr/share/man") == []
    assert view.read("/etc/resolv.conf", limit=100) == b""
    policy = view.stat("/usr/sbin/policy-rc.d")
    assert policy is not None
    assert policy.mode == 0o755
    assert b"path-exclude=/usr/share/man/*" in view.read("/etc/dpkg/dpkg.cfg.d/slim", limit=1000)
    assert image.size < 100_000_000
    assert list(store.layout.tmp.iterdir()) == []
