"""What targets may do on the machine, and what whoever bakes them has to allow first.

A bake file may come from anywhere, and names files to read and to write. Below the current
directory that is as expected; for everything else ``--allow`` has to say so, as it has for
buildx: https://docs.docker.com/reference/cli/docker/buildx/bake/#allow.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.bake.selection import HOST_NETWORK, linked_names
from dissolver.errors import BakeFileError

if TYPE_CHECKING:
    from dissolver.bake.selection import Selection
    from dissolver.bake.target import Target
    from dissolver.errors import Where

FILES_VARIABLE = "BUILDX_BAKE_ENTITLEMENTS_FS"
"""Set to false, it allows all files."""

INSECURE = "security.insecure"
SSH = "ssh"
READ = "fs.read"
WRITE = "fs.write"

_EVERYTHING = "*"
_RIGHTS = (HOST_NETWORK, INSECURE, SSH)
_NO = ("0", "f", "false")


@dataclass(frozen=True, slots=True)
class _Wish:
    """A right that an attribute of a target needs; ``path`` is a file or a directory."""

    right: str
    attribute: str
    path: str | None = None


class Permissions:
    """What the words of ``--allow`` allow, and those of ``--set``: targets that say no more."""

    def __init__(
        self,
        words: Iterable[str],
        environment: Mapping[str, str],
        directory: Path,
        said: Iterable[Target] = (),
    ) -> None:
        self._directory = Path(os.path.realpath(directory))
        self._rights: set[str] = set()
        self._places: dict[str, list[Path]] = {READ: [self._directory], WRITE: [self._directory]}
        self._allows_all = environment.get(FILES_VARIABLE, "").lower() in _NO
        for word in words:
            self._take(word)
        for wish in (wish for target in said for wish in _wishes(target)):
            if wish.path is None:
                self._rights.add(wish.right)
            else:
                self._places[wish.right].append(self._real(wish.path))

    def _take(self, word: str) -> None:
        name, equals, path = word.partition("=")
        if name in ("fs", READ, WRITE) and equals and path:
            kinds = (READ, WRITE) if name == "fs" else (name,)
            for kind in kinds:
                place = Path("/") if path == _EVERYTHING else self._real(path)
                self._places[kind].append(place)
        elif name in _RIGHTS and not equals:
            self._rights.add(name)
        else:
            known = ", ".join(f"`{right}`" for right in _RIGHTS)
            raise BakeFileError(
                f"`--allow {word}` allows nothing that there is",
                hint=f"it is {known}, `fs=PATH`, `fs.read=PATH` or `fs.write=PATH`",
            )

    def _real(self, path: str) -> Path:
        return Path(os.path.realpath(self._directory / path))

    def check(self, target: Target) -> dict[str, str]:
        """Check that all is allowed that a target does.

        What was said on the command line itself needs no further word.

        Returns:
            What the paths that files named lead to, so that they are used for no other place.

        Raises:
            BakeFileError: something is not.
        """
        places: dict[str, str] = {}
        for wish in _wishes(target):
            setting = target.settings.get(wish.attribute)
            if setting is None or setting.where is None:
                continue
            if not self._allows(wish):
                raise _refusal(target, wish, setting.where)
            if wish.path is not None:
                places[wish.path] = os.fspath(self._real(wish.path))
        for path, where in target.reads.items():
            wish = _Wish(READ, "args", path)
            if not self._allows(wish):
                raise _refusal(target, wish, where)
        return places

    def _allows(self, wish: _Wish) -> bool:
        if wish.path is None:
            return wish.right in self._rights
        if self._allows_all:
            return True
        real = self._real(wish.path)
        return any(real == place or place in real.parents for place in self._places[wish.right])


def check_allowed(
    selection: Selection, words: Iterable[str], environment: Mapping[str, str], directory: Path
) -> dict[str, dict[str, str]]:
    """Check that all is allowed that the targets of a selection do.

    Returns:
        By the name of each target, what the paths that files named for it lead to.

    Raises:
        BakeFileError: something is not.
    """
    permissions = Permissions(words, environment, directory, selection.said)
    return {name: permissions.check(target) for name, target in selection.targets.items()}


def _refusal(target: Target, wish: _Wish, where: Where) -> BakeFileError:
    word, what = wish.right, f"asks for `{wish.right}`"
    if wish.path is not None:
        verb = "reads" if wish.right == READ else "writes"
        word, what = f"{word}={wish.path}", f"{verb} `{wish.path}`, outside of this directory"
    message = f"the target `{target.name}` {what}"
    return BakeFileError(message, where=where, hint=f"if you trust the file: `--allow {word}`")


def _wishes(target: Target) -> Iterator[_Wish]:
    if target.text("network") == "host":
        yield _Wish(HOST_NETWORK, "network")
    for right in target.texts("entitlements"):
        yield _Wish(right, "entitlements")
    yield from _files(target)
    for entry in target.entries("secret"):
        if not isinstance(entry.get("env"), str):
            # One that is no variable of the caller either is a file with this name.
            yield _Wish(READ, "secret", str(entry.get("src") or entry.get("id") or ""))
    for entry in target.entries("ssh"):
        paths = entry.get("paths")
        if not isinstance(paths, list):
            yield _Wish(SSH, "ssh")
        else:
            for path in paths:
                yield _Wish(READ, "ssh", str(path))
    for attribute, field, right in (
        ("cache-from", "src", READ),
        ("cache-to", "dest", WRITE),
        ("output", "dest", WRITE),
    ):
        for entry in target.entries(attribute):
            place = entry.get(field)
            is_file = entry["type"] == "local" or attribute == "output"
            if isinstance(place, str) and is_file and place != "-":
                yield _Wish(right, attribute, place)


def _files(target: Target) -> Iterator[_Wish]:
    """List the files and directories that contexts and Dockerfiles are."""
    given = target.text("context") or "."
    context = local_path(given)
    if context is None and _needs_ssh(given):
        yield _Wish(SSH, "context")
    if context is not None:
        yield _Wish(READ, "context", context)
        dockerfile = target.text("dockerfile")
        if dockerfile is not None and target.text("dockerfile-inline") is None:
            yield _Wish(READ, "dockerfile", dockerfile_path(context, dockerfile))
    links = linked_names(target)
    for name, value in target.named("contexts").items():
        path = None if name in links else local_path(value, is_named=True)
        if path is not None:
            yield _Wish(READ, "contexts", path)
        elif name not in links and _needs_ssh(value):
            yield _Wish(SSH, "contexts")


def _needs_ssh(context: str) -> bool:
    """Tell whether a context is a repository that the caller's keys would fetch."""
    from dissolver.build.contexts import git_context
    from dissolver.build.git_files import needs_ssh

    reference = git_context(context)
    return reference is not None and needs_ssh(reference.remote)


CURRENT_DIRECTORY = "cwd://"


def local_path(context: str, *, is_named: bool = False) -> str | None:
    """Give the path of a context; nothing for one that is no directory of this machine.

    What is built reads this path, and not what the file says: a link before a `..` would lead
    from one elsewhere. Only contexts with a name may be images.
    """
    from dissolver.build.contexts import git_context, is_url
    from dissolver.build.preparation import IMAGE_SCHEME, LAYOUT_SCHEME
    from dissolver.intake.layout_image import layout_path

    if is_named and context.startswith(IMAGE_SCHEME):
        return None
    if context.startswith(LAYOUT_SCHEME):
        return layout_path(context.removeprefix(LAYOUT_SCHEME))
    if is_url(context) or git_context(context) is not None:
        return None
    path = os.path.normpath(context.removeprefix(CURRENT_DIRECTORY) or ".")
    # A directory that is called like a repository is none.
    return path if git_context(path) is None else f"./{path}"


def named_context(value: str) -> str:
    """Give a context with a name as a build takes it: what is a directory, as its path."""
    from dissolver.build.preparation import LAYOUT_SCHEME

    path = None if value.startswith(LAYOUT_SCHEME) else local_path(value, is_named=True)
    return value if path is None else path


def dockerfile_path(context: str, dockerfile: str) -> str:
    """Tell where the Dockerfile of a context lies: relative ones are relative to it."""
    if dockerfile.startswith(CURRENT_DIRECTORY):
        return os.path.normpath(dockerfile.removeprefix(CURRENT_DIRECTORY))
    return os.path.normpath(Path(context) / dockerfile)
