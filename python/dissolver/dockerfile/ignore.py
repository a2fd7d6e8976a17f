"""Reading ``.dockerignore`` files into patterns; what they match is the core's business."""

from __future__ import annotations

from dissolver.dockerfile.source import SPACES
from dissolver.errors import DockerfileError, Where


def read_ignore(text: str, *, name: str = ".dockerignore") -> list[str]:
    """Read the patterns of an ignore file, in order.

    Comments (``#`` in the first column) and blank lines are left out, white space
    around patterns is trimmed, paths are cleaned, and one slash at the beginning
    is taken off. ``!`` stays in front of what it inverts.

    Raises:
        DockerfileError: a line holds nothing but ``!``.
    """
    patterns: list[str] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.startswith("#"):
            continue
        pattern = line.strip(SPACES)
        if not pattern:
            continue
        is_exception = pattern.startswith("!")
        if is_exception:
            pattern = pattern[1:].strip(SPACES)
            if not pattern:
                raise DockerfileError(
                    'illegal exclusion pattern: "!"',
                    where=Where(name, number, number, (line.rstrip("\r"),)),
                    hint="write what to keep behind the `!`",
                )
        cleaned = clean_path(pattern)
        if len(cleaned) > 1:
            cleaned = cleaned.removeprefix("/")
        patterns.append(f"!{cleaned}" if is_exception else cleaned)
    return patterns


def clean_path(path: str) -> str:
    """Shorten a path without looking at files: ``a//b/./c/..`` is ``a/b``, nothing is ``.``."""
    is_rooted = path.startswith("/")
    parts: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part != ".." or not is_rooted:
            parts.append(part)
    return ("/" if is_rooted else "") + "/".join(parts) or "."
