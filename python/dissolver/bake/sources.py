"""The files: found where nobody names them, read, and told apart."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dissolver.bake.compose import is_compose, read_compose
from dissolver.bake.evaluation import BLOCKS, Evaluation
from dissolver.bake.hcl import ast
from dissolver.bake.hcl.json_text import parse_json
from dissolver.bake.hcl.parse import parse
from dissolver.bake.hcl.source import Source
from dissolver.bake.hcl.values import ValueFault
from dissolver.bake.interpolation import read_environment_file
from dissolver.bake.permissions import CURRENT_DIRECTORY
from dissolver.bake.target import Definition
from dissolver.bake.variables import NO_ENVIRONMENT
from dissolver.errors import BakeFileError

DEFAULT_FILES = (
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
)
"""What is read where no file is named: all that are there, later ones on top of earlier ones."""

FILES_VARIABLE = "BUILDX_BAKE_FILE"
SEPARATOR_VARIABLE = "BUILDX_BAKE_FILE_SEPARATOR"
RELATIVE_VARIABLE = "BUILDX_BAKE_FILE_RELATIVE_PATHS"
"""Set to true, it makes buildx take paths as relative to their file; here it is refused."""

STDIN = "-"

_LARGEST_BYTES = 8 << 20


def find_files(named: Sequence[str], environment: Mapping[str, str], directory: Path) -> list[str]:
    """Tell which files are meant: those named, those of the environment, or those found.

    Raises:
        BakeFileError: none is named and none is there, or one is a link that leads elsewhere.
    """
    if environment.get(RELATIVE_VARIABLE, "").lower() in ("1", "t", "true"):
        raise BakeFileError(
            f"paths are relative to the current directory, and {RELATIVE_VARIABLE} is set",
            hint="unset it, and bake in the directory of the file",
        )
    if named:
        return list(named)
    from_environment = environment.get(FILES_VARIABLE, "")
    if from_environment:
        separator = environment.get(SEPARATOR_VARIABLE) or os.pathsep
        return [name for name in from_environment.split(separator) if name]
    found = [name for name in DEFAULT_FILES if (directory / name).exists()]
    if not found:
        raise BakeFileError(
            "there is no bake file here",
            hint="write a `docker-bake.hcl` or a `compose.yaml`, or name one with `-f`",
        )
    for name in found:
        # Nobody has named it, and its lines are shown in messages.
        if _leads_out(directory, name):
            raise BakeFileError(
                f"`{name}` leads out of the current directory",
                hint=f"if you trust the link, name the file: `-f {name}`",
            )
    return found


def read_sources(names: Sequence[str], directory: Path, stdin: str | None) -> list[Source]:
    """Read files by their names; ``-`` is ``stdin``.

    Raises:
        BakeFileError: one cannot be read.
    """
    sources: list[Source] = []
    for name in names:
        if name == STDIN:
            if stdin is None:
                raise BakeFileError("there is no standard input to read a bake file from")
            sources.append(Source(STDIN, _text(STDIN, stdin)))
            continue
        if "://" in name.removeprefix(CURRENT_DIRECTORY) or name.startswith("git@"):
            raise BakeFileError(
                f"`{name}` is no file of this machine",
                hint="check the repository out, and bake there",
            )
        path = name.removeprefix(CURRENT_DIRECTORY)
        try:
            with (directory / path).open("rb") as file:
                data = file.read(_LARGEST_BYTES + 1)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise BakeFileError(f"cannot read the bake file `{path}`: {why}") from error
        sources.append(Source(path, _decoded(path, data)))
    return sources


def _decoded(name: str, data: bytes) -> str:
    if len(data) > _LARGEST_BYTES:
        raise BakeFileError(f"`{name}` is larger than {_LARGEST_BYTES >> 20} MiB")
    try:
        return _text(name, data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BakeFileError(f"`{name}` is no text in UTF-8") from None


def _text(name: str, text: str) -> str:
    if "\0" in text:
        raise BakeFileError(f"`{name}` is no text")
    return text


def define(
    sources: Sequence[Source],
    *,
    environment: Mapping[str, str],
    given: Mapping[str, str],
    platform: str,
    directory: Path,
) -> Definition:
    """Make sense of files: of the compose files first, and of the others on top of them.

    ``given`` has variables that were said explicitly; they count before ``environment``.

    Raises:
        BakeFileError: a file has a mistake.
    """
    composed: list[Source] = []
    bodies: list[ast.Body] = []
    for source in sources:
        name = source.name.lower()
        if name.endswith((".yml", ".yaml")):
            composed.append(source)
        elif name.endswith(".json"):
            bodies.append(parse_json(source, BLOCKS))
        elif name.endswith(".hcl"):
            bodies.append(parse(source))
        elif source.text.lstrip().startswith("{"):
            bodies.append(parse_json(source, BLOCKS))
        elif is_compose(source):
            composed.append(source)
        else:
            bodies.append(parse(source))
    definition = Definition()
    if composed:
        variables = {**_compose_environment(environment, directory), **given}
        definition = read_compose(composed, variables, _reader(directory))
    if bodies:
        # Variables that only compose files use are none of the others' business.
        evaluation = Evaluation(
            bodies,
            environment=environment,
            given=given,
            platform=platform,
            allows_others=bool(composed),
        )
        definition = evaluation.definition(definition)
    return definition


def _compose_environment(environment: Mapping[str, str], directory: Path) -> dict[str, str]:
    is_off = environment.get(NO_ENVIRONMENT, "").lower() in ("1", "t", "true")
    known = {} if is_off else dict(environment)
    # Read without being named: a checkout must not lend other files of this machine so.
    if _leads_out(directory, ".env"):
        raise BakeFileError(
            "`.env` leads out of the current directory",
            hint="put a copy of the file there, or its variables into the environment",
        )
    text = _reader(directory)(".env")
    if text is None:
        return known
    try:
        return {**read_environment_file(text, known), **known}
    except ValueFault as fault:
        raise BakeFileError(f"`.env`: {fault}") from None


def _leads_out(directory: Path, name: str) -> bool:
    top = Path(os.path.realpath(directory))
    return top not in Path(os.path.realpath(directory / name)).parents


def _reader(directory: Path) -> Callable[[str], str | None]:
    """Make what reads files that others name, relative to a directory."""

    def read(name: str) -> str | None:
        if not (directory / name).is_file():
            return None
        (source,) = read_sources([name], directory, None)
        return source.text

    return read
