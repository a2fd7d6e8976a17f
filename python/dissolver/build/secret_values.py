"""The contents of secrets, from files and from variables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dissolver.errors import BuildError

SECRET_BYTES = 500 * 1024
"""The largest secret: BuildKit's limit."""


def secret_of_variable(identity: str, variable: str, environment: Mapping[str, str]) -> bytes:
    """Give the value of a variable.

    Raises:
        BuildError: it is not set, or too large.
    """
    if variable not in environment:
        raise BuildError(f"the variable `{variable}` of the secret `{identity}` is not set")
    return _limited(identity, environment[variable].encode("utf-8", "surrogateescape"))


def secret_of_file(identity: str, path: str) -> bytes:
    """Give the content of a file.

    Raises:
        BuildError: it cannot be read, or is too large.
    """
    try:
        with Path(path).open("rb") as file:
            return _limited(identity, file.read(SECRET_BYTES + 1))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise BuildError(
            f"cannot read the secret `{identity}` from `{path}`: {why}",
            hint="`src=` is relative to the current directory",
        ) from error


def _limited(identity: str, value: bytes) -> bytes:
    if len(value) > SECRET_BYTES:
        raise BuildError(
            f"the secret `{identity}` is larger than {SECRET_BYTES // 1024} KiB",
            hint="mount large files from a named context: `--build-context NAME=DIRECTORY`",
        )
    return value
