"""The machine's own apt sources, and what of them belongs to one suite.

Machines behind a wall reach the mirror that their administrator set up, and no
other. So a base image is made from those sources, and keeps them: what a RUN step
installs comes from there too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

_SUFFIXES = ("", "-updates", "-security", "/updates")
"""What belongs to a suite besides itself; backports and proposals do not."""

_UBUNTU = frozenset(
    (
        *("trusty", "xenial", "bionic", "focal", "jammy", "noble"),
        *("oracular", "plucky", "questing", "resolute"),
    )
)
"""Suites of Ubuntu, which no mirror of Debian has, and the other way round."""

_OPTION = re.compile(r"(?P<name>[a-z-]+)\s*=\s*(?P<value>[^\s\]]+)", re.ASCII)
_OPTION_FIELDS = {
    "arch": "Architectures",
    "signed-by": "Signed-By",
    "trusted": "Trusted",
    "check-valid-until": "Check-Valid-Until",
}


@dataclass(frozen=True, slots=True)
class AptSource:
    """One archive: where it is, which suites and components of it, and further fields."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def keyring(self) -> Path | None:
        """The file that signs the archive, if the source names one."""
        value = dict(self.fields).get("Signed-By", "").strip()
        return Path(value) if value.startswith("/") and "\n" not in value else None

    def stanza(self) -> str:
        """Write the source as apt reads it from a `.sources` file."""
        lines = [
            "Types: deb",
            f"URIs: {' '.join(self.uris)}",
            f"Suites: {' '.join(self.suites)}",
            f"Components: {' '.join(self.components)}",
            *(f"{name}: {value}" for name, value in self.fields),
        ]
        return "\n".join(lines) + "\n"


def read_sources(directory: Path) -> list[AptSource]:
    """Read every enabled binary source below ``directory`` (``/etc/apt``), in apt's order.

    A file that cannot be read or makes no sense is left out, as it may not matter here.
    """
    found: list[AptSource] = []
    parts = directory / "sources.list.d"
    files = [directory / "sources.list"]
    if parts.is_dir():
        files += sorted(parts.iterdir())
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if file.suffix == ".sources":
            found += parse_stanzas(text)
        elif file.suffix == ".list":
            found += parse_lines(text)
    return found


def parse_stanzas(text: str) -> Iterator[AptSource]:
    """Read the deb822 form: paragraphs of fields."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = {name.lower(): (name, value) for name, value in _fields(paragraph)}
        words = {name: tuple(value.split()) for name, (_, value) in fields.items()}
        if "deb" not in words.get("types", ()) or words.get("enabled", ("yes",)) == ("no",):
            continue
        uris, suites = words.get("uris", ()), words.get("suites", ())
        if uris and suites:
            known = ("types", "uris", "suites", "components", "enabled")
            further = tuple(pair for name, pair in fields.items() if name not in known)
            yield AptSource(uris, suites, words.get("components", ()), further)


def _fields(paragraph: str) -> Iterator[tuple[str, str]]:
    name, value = "", ""
    for line in paragraph.splitlines():
        if line[:1] in (" ", "\t") and name:
            value += "\n" + line
            continue
        if name:
            yield name, value
        name, _, value = line.partition(":")
        name, value = name.strip(), value.strip()
    if name:
        yield name, value


def parse_lines(text: str) -> Iterator[AptSource]:
    """Read the one-line form: ``deb [options] URI SUITE COMPONENT…``."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<rest>[^#]*)", line)
        words = match["rest"].split() if match else []
        if match is None or len(words) < 2:
            continue
        options = _OPTION.finditer(match["options"] or "")
        fields = tuple(
            (_OPTION_FIELDS[option["name"]], option["value"].replace(",", " "))
            for option in options
            if option["name"] in _OPTION_FIELDS
        )
        yield AptSource((words[0],), (words[1],), tuple(words[2:]), fields)


def sources_for(
    suite: str, sources: Iterable[AptSource], *, own_suite: str | None
) -> list[AptSource]:
    """Choose what belongs to ``suite``: itself, its updates and its security fixes.

    Archives without a ``main`` component are somebody's additions, and stay out.
    Where no source has the suite, those of ``own_suite`` (what the machine itself
    runs) are asked for it: a mirror of a distribution has its other suites too.
    """
    usable = [source for source in sources if "main" in source.components]
    chosen = _of_suite(suite, usable)
    is_related = own_suite is not None and (suite in _UBUNTU) == (own_suite in _UBUNTU)
    if not chosen and own_suite is not None and is_related:
        chosen = [
            replace(
                source,
                suites=tuple(suite + name.removeprefix(own_suite) for name in source.suites),
            )
            for source in _of_suite(own_suite, usable)
        ]
        if suite in ("sid", "unstable"):
            # It has neither updates nor security fixes of its own.
            chosen = _of_suite(suite, chosen, suffixes=("",))
    return chosen


def _of_suite(
    suite: str, sources: Iterable[AptSource], *, suffixes: tuple[str, ...] = _SUFFIXES
) -> list[AptSource]:
    wanted = {suite + suffix for suffix in suffixes}
    chosen = []
    for source in sources:
        suites = tuple(name for name in source.suites if name in wanted)
        if suites:
            chosen.append(replace(source, suites=suites))
    return chosen


def own_suite(os_release: Path) -> str | None:
    """Tell the suite that the machine runs, by its ``os-release`` file."""
    try:
        text = os_release.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    match = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', text, re.MULTILINE)
    return match[1] if match else None
