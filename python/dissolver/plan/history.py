"""The texts of an image's history: what each step is called in ``created_by``.

Tools compare and parse these texts, so they are BuildKit's to the letter; that
includes Go's way to print lists and quote texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dissolver.dockerfile.durations import format_duration
from dissolver.image.config import Healthcheck

MARK = " # buildkit"
"""What ends the text of RUN, COPY and ADD."""

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}


def quoted(text: str) -> str:
    r"""Quote ``text`` as Go does: printable characters as they are, others as ``\x07``."""
    return '"' + "".join(_ESCAPES.get(c) or _printable(c) for c in text) + '"'


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def quoted_list(words: Iterable[str]) -> str:
    """Print quoted texts between brackets: ``["node" "server.js"]``."""
    return f"[{' '.join(quoted(word) for word in words)}]"


def plain_list(words: Iterable[str]) -> str:
    """Print texts between brackets: ``[80/tcp 443/tcp]``."""
    return f"[{' '.join(words)}]"


def run_text(argv: Sequence[str], arguments: Mapping[str, str]) -> str:
    """Return the text of RUN: build arguments in scope, then the command."""
    front = [f"|{len(arguments)}"] if arguments else []
    pairs = [f"{name}={value}" for name, value in arguments.items()]
    return "RUN " + " ".join((*front, *pairs, *argv)) + MARK


def transfer_text(
    keyword: str,
    sources: Sequence[str],
    destination: str,
    *,
    chown: str,
    chmod: str,
    parents: bool = False,
) -> str:
    """Return the text of COPY or ADD; of its flags, only three are told."""
    flags = ["--parents"] if parents else []
    flags += [f"--chown={chown}"] if chown else []
    flags += [f"--chmod={chmod}"] if chmod else []
    return " ".join((keyword, *flags, *sources, destination)) + MARK


def pairs_text(keyword: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return the text of ENV or LABEL."""
    return " ".join((keyword, *(f"{name}={value}" for name, value in pairs)))


def healthcheck_text(check: Healthcheck) -> str:
    """Return the text of HEALTHCHECK: a Go struct with its field names."""
    return (
        f"HEALTHCHECK {{Test:{plain_list(check.test)}"
        f" Interval:{format_duration(check.interval)}"
        f" Timeout:{format_duration(check.timeout)}"
        f" StartPeriod:{format_duration(check.start_period)}"
        f" StartInterval:{format_duration(check.start_interval)}"
        f" Retries:{check.retries}}}"
    )
