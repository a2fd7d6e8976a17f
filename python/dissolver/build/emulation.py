"""Whether this machine can run the programs of a platform: by itself, or with an emulator."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.image.platform import platform_of_machine

if TYPE_CHECKING:
    from dissolver.image.platform import Platform

LOCAL = "local"
"""The machine's own platform, said explicitly."""

REGISTERED = Path("/proc/sys/fs/binfmt_misc")
"""Where the kernel lists which formats it hands to which interpreter."""

_MACHINES = {
    "386": 3, "amd64": 62, "arm": 40, "arm64": 183, "loong64": 258, "mips64": 8, "mips64le": 8,
    "ppc64": 21, "ppc64le": 21, "riscv64": 243, "s390x": 22,
}  # fmt: skip
"""What ELF headers call architectures."""

_BIG_ENDIAN = frozenset(("mips64", "ppc64", "s390x"))
_ALSO_RUNS = {"amd64": ("386",), "arm64": ("arm",)}
_PROGRAM = b"\x7fELF"
_DATA_PLACE, _MACHINE_PLACE = 5, 18


def machine_platform() -> Platform:
    """Tell what this machine is."""
    return platform_of_machine(os.uname().machine)


def wanted_platform(text: str | None) -> Platform:
    """Read what an image is to be for: this machine where nothing, or `local`, is said.

    Raises:
        BadPlatform: the text names no platform.
    """
    from dissolver.image.platform import parse_platform

    machine = machine_platform()
    return machine if text in (None, LOCAL) else parse_platform(text, default=machine)


def why_not(platform: Platform, registered: Path = REGISTERED) -> str | None:
    """Say in words why programs of ``platform`` cannot be run; nothing if they can.

    An emulator counts if the kernel opened it when it was registered (flag ``F``): others
    would have to be in the image.
    """
    machine = machine_platform()
    if platform.os != machine.os:
        return f"this machine runs `{machine.os}`"
    known = (machine.architecture, *_ALSO_RUNS.get(machine.architecture, ()))
    if platform.architecture in known:
        return None
    unopened: str | None = None
    for entry in _entries(registered):
        if not _is_for(entry, platform.architecture):
            continue
        if "F" in entry.get("flags", ""):
            return None
        unopened = entry.get("interpreter")
    if unopened is not None:
        return f"the emulator `{unopened}` is not registered with the flag `F`"
    return f"this machine is `{machine}`, and has no emulator registered"


def _entries(registered: Path) -> list[dict[str, str]]:
    """Read what is registered and enabled, as values by their names."""
    found = []
    try:
        paths = sorted(registered.iterdir())
    except OSError:
        return []
    for path in paths:
        if path.name in ("register", "status"):
            continue
        try:
            text = path.read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        if text.startswith("enabled"):
            found.append(dict(re.findall(r"^(\w+):? (.*)$", text, re.MULTILINE)))
    return found


def _is_for(entry: dict[str, str], architecture: str) -> bool:
    try:
        magic = bytes.fromhex(entry.get("magic", ""))
    except ValueError:
        return False
    wanted = _MACHINES.get(architecture)
    if wanted is None or not magic.startswith(_PROGRAM) or len(magic) < _MACHINE_PLACE + 2:
        return False
    number = magic[_MACHINE_PLACE : _MACHINE_PLACE + 2]
    if architecture in _BIG_ENDIAN:
        return magic[_DATA_PLACE] == 2 and wanted == int.from_bytes(number, "big")
    return magic[_DATA_PLACE] == 1 and wanted == int.from_bytes(number, "little")
