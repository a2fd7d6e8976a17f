"""COPY: sources, destination, owner and mode."""

from __future__ import annotations

import re

from dissolver.dockerfile.ast import Copy, Word
from dissolver.dockerfile.ignore import clean_path
from dissolver.errors import DockerfileError, NotSupportedYet
from dissolver.image.reference import Reference
from dissolver.plan import history
from dissolver.plan.scope import Scope, joined_path, refuse_nul
from dissolver.plan.steps import CopyStep

HIGHEST_MODE = 0o7777
"""All bits of a mode: permissions, and set-user-id, set-group-id and sticky."""

_SYMBOLIC = re.compile(
    r"[ugoa]*(?:[+=-](?:[rwxXst]*|[ugo]))+(?:,[ugoa]*(?:[+=-](?:[rwxXst]*|[ugo]))+)*", re.ASCII
)
_GIT = re.compile(r"(?:git|ssh)://|git@|https?://[^?#]*\.git(?:[?#]|$)")


def lower_copy(copy: Copy, scope: Scope, origin: int | Reference | None) -> CopyStep:
    """Turn a COPY into its step.

    Raises:
        DockerfileError: a word cannot be expanded, a source is a URL, or the mode is wrong.
    """
    sources = [scope.expand(copy, word) for word in copy.sources]
    for word, source in zip(copy.sources, sources, strict=True):
        _check_local(copy, word, source)
    destination = scope.expand(copy, copy.destination)
    refuse_nul(copy, (*sources, destination))
    chown = scope.expand(copy, copy.chown) if copy.chown is not None else ""
    chmod = scope.expand(copy, copy.chmod) if copy.chmod is not None else ""
    return CopyStep(
        where=copy.where,
        display=scope.display(copy.statement.text),
        created_by=history.copy_text(sources, destination, chown=chown, chmod=chmod),
        config=scope.run,
        sources=tuple(clean_path(f"/{source}") for source in sources),
        destination=_destination(scope.directory, destination),
        from_=origin,
        chown=chown or None,
        chmod=_mode(copy, copy.chmod, chmod) if chmod else None,
    )


def _destination(directory: str, written: str) -> str:
    """Return the absolute destination; what can only be a directory ends with a slash."""
    path = clean_path(joined_path(directory, written))
    names_directory = written in ("", ".", "..") or written.endswith(("/", "/.", "/.."))
    return f"{path}/" if names_directory and path != "/" else path


def _check_local(copy: Copy, word: Word, source: str) -> None:
    if _GIT.match(source):
        what = "git ref"
    elif source.startswith(("http://", "https://")):
        what = "URL"
    else:
        return
    raise DockerfileError(
        f"source can't be a {what} for `COPY`",
        where=copy.where_of(word),
        hint="`ADD` takes URLs and git repositories",
    )


def _mode(copy: Copy, word: Word | None, text: str) -> int:
    if text.isascii() and text.isdecimal():
        # More digits than a mode can have are no number worth reading.
        is_octal = not set(text) & {"8", "9"} and len(text.lstrip("0")) <= 4
        if is_octal and int(text, 8) <= HIGHEST_MODE:
            return int(text, 8)
    elif _SYMBOLIC.fullmatch(text):
        raise NotSupportedYet(
            f"the symbolic `--chmod={text}` is not supported yet",
            where=copy.where_of(word),
            hint="write the mode as an octal number, such as `0755`",
        )
    raise DockerfileError(
        f"invalid chmod parameter `{text}`",
        where=copy.where_of(word),
        hint="it should be an octal number between 0 and 07777",
    )
