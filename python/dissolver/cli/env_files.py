"""Files of variables, as ``--env-file`` names them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import DissolverError, Where

if TYPE_CHECKING:
    from collections.abc import Mapping


def file_variables(file: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Read a line ``NAME=value`` each, without quoting or escapes; ``#`` begins a comment line.

    A name alone takes its value from ``environment``, if there is one.

    Raises:
        DissolverError: the file cannot be read, or a line says no variable.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise DissolverError(f"cannot read the variables in `{file}`: {why}") from error
    except UnicodeDecodeError as error:
        raise DissolverError(f"the variables in `{file}` are not UTF-8") from error
    values: dict[str, str] = {}
    for number, whole in enumerate(text.split("\n"), start=1):
        line = whole.rstrip("\r").lstrip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not name or "\0" in line or any(letter.isspace() for letter in name):
            raise DissolverError(
                "this line says no variable",
                # Without its text, which may hold a secret.
                where=Where(file, number, number),
                hint="write `NAME=value`, with no blanks in the name",
            )
        if equals:
            values[name] = value
        elif name in environment:
            values[name] = environment[name]
    return values
