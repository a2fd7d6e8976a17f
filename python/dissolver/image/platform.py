"""Platforms: what kind of machine an image is for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dissolver.errors import BadPlatform

_PART = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)

_ARCHITECTURES: dict[str, tuple[str, str]] = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv8l": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armv5l": ("arm", "v5"),
    "armv5tel": ("arm", "v5"),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "loongarch64": ("loong64", ""),
}
"""Names that kernels and distributions use, and what the OCI specification calls them."""

_KNOWN = frozenset(
    ("386", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "ppc64", "ppc64le")
) | {"riscv64", "s390x", "wasm"}
_SYSTEMS = frozenset(("linux", "windows", "darwin", "freebsd", "wasip1"))


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system, an architecture and its variant, in the OCI specification's words."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def platform_of_machine(machine: str) -> Platform:
    """Derive the Linux platform of a machine from what ``uname -m`` calls it."""
    return _normalized("linux", machine.lower(), "")


def parse_platform(text: str, *, default: Platform) -> Platform:
    """Read ``os``, ``architecture``, ``os/architecture`` or ``os/architecture/variant``.

    What the text leaves out comes from ``default``.

    Raises:
        BadPlatform: a part is empty or has characters that no platform has.
    """
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(_PART.fullmatch(part) for part in parts):
        raise BadPlatform(
            f"`{text}` is not a platform", hint="a platform reads `linux/amd64` or `linux/arm/v7`"
        )
    if len(parts) > 1:
        return _normalized(parts[0], parts[1], parts[2] if len(parts) > 2 else "")
    if parts[0] in _SYSTEMS:
        return Platform(parts[0], default.architecture, default.variant)
    if parts[0] in _KNOWN or parts[0] in _ARCHITECTURES:
        return _normalized(default.os, parts[0], "")
    raise BadPlatform(
        f"`{text}` is neither an operating system nor an architecture",
        hint="a platform reads `linux/amd64` or `linux/arm/v7`",
    )


def _normalized(system: str, architecture: str, variant: str) -> Platform:
    architecture, implied = _ARCHITECTURES.get(architecture, (architecture, ""))
    variant = variant or implied
    if variant.isdecimal():
        variant = "v" + variant
    # What an architecture is without a variant is not repeated as one.
    if (architecture, variant) in (("arm64", "v8"), ("amd64", "v1")):
        variant = ""
    if architecture == "arm" and not variant:
        variant = "v7"
    return Platform("darwin" if system == "macos" else system, architecture, variant)
