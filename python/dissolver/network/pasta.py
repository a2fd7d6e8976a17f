"""Networks for unprivileged users: pasta, which carries connections as a user program.

pasta opens the namespace after it gave up the capability to look into other
processes, so ``/proc/<pid>/ns/net`` is closed to it. It gets a file instead, on
which the namespace is mounted in a mount namespace that only pasta keeps. It
watches that file: removing it ends pasta, whoever removes it. The file has a
directory of its own, for of several removals at the same time pasta sees one.

Before the container runs, pasta's interface gets a filter against frames that pasta would carry
to this machine's loopback (`dissolver.network.tap`).
"""

from __future__ import annotations

import os
import select
import shutil
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import NetworkError
from dissolver.network import tap
from dissolver.network.programs import Command, find_program, need_program
from dissolver.store import processes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dissolver.network.ports import Port

FILE = "netns"
TUN = "/dev/net/tun"
ROUTES = "/proc/net/route"

_SCRIPT = """
d=${2%/*}; f=$2; n=$1; p=$3; g=$4; shift 4
mkdir -p "$d" && : > "$f" && mount --bind "$n" "$f" && "$@" --pid "$d/pid" --netns "$f" &&
"$p" -IS "$g" "$d/pid" && exit
exec 2>/dev/null; kill "$(cat "$d/pid")"; umount "$f"; rm -rf -- "$d"; exit 1
"""
"""$1 the namespace, $2 the file, $3 and $4 the program for the filter, then pasta and its options.

Without the filter there is no pasta either.
"""


def container_file(run: Path, name: str) -> Path:
    """Name the file that stands for the namespace of a container."""
    return run / f"pasta-{name[:12]}" / FILE


def step_file(run: Path, name: str) -> Path:
    """Name the file for a RUN step, which says by whom it is kept: this process."""
    pid, start_time = processes.this_process()
    return run / f"pasta-{name[:12]}-{pid}-{start_time}" / FILE


def end_left_behind(run: Path) -> None:
    """End what was started for steps of builds that were killed."""
    for directory in run.glob("pasta-*-*-*"):
        pid, start_time = directory.name.split("-")[2:4]
        if not processes.is_alive(int(pid), int(start_time)):
            shutil.rmtree(directory, ignore_errors=True)


def end(file: Path, *, seconds: float = 2.0) -> None:
    """End the pasta that keeps ``file``, if there is one, and wait until its ports are free."""
    if not file.exists():
        return
    with ExitStack() as stack:
        keepers = select.poll()
        count = 0
        for pid in _keepers(os.fsencode(file)):
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                stack.callback(os.close, descriptor)
                keepers.register(descriptor, select.POLLIN)
                count += 1
        shutil.rmtree(file.parent, ignore_errors=True)
        # They are all of a run, or of one that died before; but anybody may call himself so.
        end = time.monotonic() + seconds
        while count and (left := end - time.monotonic()) > 0:
            for descriptor, _event in keepers.poll(left * 1000):
                keepers.unregister(descriptor)
                count -= 1


def _keepers(file: bytes) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = process.read_bytes().split(b"\0")
            if file in words and b"--netns" in words:
                yield int(process.parent.name)


@dataclass(frozen=True, slots=True)
class Commands:
    """What connects a container, and what disconnects it."""

    setup: tuple[Command, ...]
    teardown: tuple[Command, ...]


def commands(ports: Sequence[Port], file: Path, *, gateway: str = "", tun: str = TUN) -> Commands:
    """Plan pasta for one container; ``file`` will stand for its network namespace.

    pasta answers when the network is ready, and goes on in the background. ``gateway`` is an
    address that leads to this machine, its loopback interface included; without one nothing does.

    Raises:
        NetworkError: pasta or a program around it is missing, or tun devices are forbidden.
    """
    pasta = find_program("pasta")
    if pasta is None:
        raise NetworkError(
            "networks of unprivileged users need `pasta`, which is not installed",
            hint="install `passt`, or use `--network host`",
        )
    _check_tun(tun)
    unshare = need_program("unshare", "install util-linux, or use `--network host`")
    options = [
        "--config-net",
        "--netns-only",
        "--quiet",
        *(("--gateway", gateway) if gateway else ("--no-map-gw",)),
        *forwarded("-t", "tcp", ports),
        *forwarded("-u", "udp", ports),
        *("-T", "none", "-U", "none"),
    ]
    shell = (unshare, "--mount", "sh", "-c", _SCRIPT, "sh", "{netns}", str(file))
    setup = Command((*shell, sys.executable, tap.__file__, pasta, *options))
    return Commands((setup,), (Command(("rm", "-rf", "--", str(file.parent))),))


def host_gateway(table: str = ROUTES) -> str:
    """Give the address that pasta lets lead to this machine: that of its default gateway.

    Raises:
        NetworkError: it has none.
    """
    from socket import inet_ntoa

    rows = [line.split() for line in _lines(table)[1:]]
    # (metric, place) decides between several, as it does for the kernel.
    found = sorted(
        (int(row[6]), place, row[2])
        for place, row in enumerate(rows)
        if len(row) > 7 and row[1] == row[7] == "0" * 8 and row[2] != "0" * 8
    )
    if not found:
        raise NetworkError(
            "`host-gateway` has no address: this machine has no default gateway to lend its own",
            hint="use `--network host`",
        )
    # The table has addresses as the processor keeps them.
    return inet_ntoa(int(found[0][2], 16).to_bytes(4, sys.byteorder))


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii").splitlines()
    except OSError:
        return []


def forwarded(option: str, protocol: str, ports: Iterable[Port]) -> list[str]:
    """Write the published ports of one protocol as pasta's option, or ``none``."""
    texts = [
        (f"{port.host_ip}/" if port.host_ip else "") + f"{port.host_port}:{port.container_port}"
        for port in ports
        if port.protocol == protocol
    ]
    if not texts:
        return [option, "none"]
    return [word for text in texts for word in (option, text)]


def _check_tun(tun: str) -> None:
    try:
        os.close(os.open(tun, os.O_RDWR | os.O_CLOEXEC))
    except OSError as problem:
        raise NetworkError(
            f"a network of its own needs `{tun}`, which cannot be opened: {problem.strerror}",
            hint=f"use `--network host`, or let the administrator run `chmod 666 {tun}`",
        ) from None
