"""Variables in words: ``$name``, ``${name}`` with every modifier, quotes and escapes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import msgspec

from dissolver.dockerfile.glob import BadGlob, Glob
from dissolver.dockerfile.source import SPACES
from dissolver.errors import DockerfileError

DEPTH_LIMIT = 64
"""How deep substitutions may nest; nobody writes more than a few."""

ROOM = 1 << 20
"""Characters that the variables of one text may become: a program gets no variable longer than
128 KiB, and one that doubles itself fifty times must not take all memory."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEREDOC_OPERATOR = re.compile(rf"<<-?[{SPACES}]*")
_SPECIAL = "@*#?-$!0"
"""Names of the shell's special parameters, which are never set here."""


class Expansion(msgspec.Struct, frozen=True):
    """What a text became: as one word, cut into words, and the names that had no value."""

    text: str
    words: tuple[str, ...]
    unset: frozenset[str]


def expand(word: str, env: Mapping[str, str], escape: str = "\\") -> str:
    """Replace the variables of ``word`` and take off quotes and escapes.

    An unset variable is empty. Nothing is split, whatever the values contain.

    Raises:
        DockerfileError: a quote or brace is not closed, a modifier is unknown, or
            ``${name:?text}`` found no value. The error has no place; the caller knows it.
    """
    if not _needs_work(word, escape):
        return word
    return _Lexer(word, env, escape).read_all()


def expand_words(text: str, env: Mapping[str, str], escape: str = "\\") -> Expansion:
    """Replace the variables of ``text``, then cut it at white space that was not quoted.

    Values of variables are cut too, as a shell does.

    Raises:
        DockerfileError: as ``expand``.
    """
    lexer = _Lexer(text, env, escape)
    words = _Words()
    whole = lexer.read_all(words)
    return Expansion(whole, words.finish(), frozenset(lexer.unset))


def expand_document(text: str, env: Mapping[str, str]) -> str:
    r"""Replace the variables in the body of a heredoc.

    Quotes are ordinary characters, and the escape character is always the
    backslash: it is dropped, and what follows it is kept as it is.

    Raises:
        DockerfileError: as ``expand``.
    """
    if "$" not in text and "\\" not in text:
        return text
    return _Lexer(text, env, "\\", quotes_matter=False).read_all()


def unset_in_document(text: str, env: Mapping[str, str]) -> frozenset[str]:
    """Return the names in the body of a heredoc that have no value; of faulty text, none."""
    lexer = _Lexer(text, env, "\\", quotes_matter=False)
    try:
        lexer.read_all()
    except DockerfileError:
        return frozenset()
    return frozenset(lexer.unset)


def expand_for_display(
    text: str, env: Mapping[str, str], escape: str = "\\", *, keeps_quotes: bool
) -> str:
    """Replace the variables of an instruction for people to read; faulty text stays as it is.

    ``keeps_quotes`` leaves quotes in place and unset variables as they are written.
    """
    if not _needs_work(text, escape):
        return text
    lexer = _Lexer(text, env, escape, keeps_quotes=keeps_quotes, keeps_unset=keeps_quotes)
    try:
        return lexer.read_all()
    except DockerfileError:
        return text


def split_raw(text: str) -> tuple[str, ...]:
    """Cut ``text`` at white space outside quotes and leave everything in it as it is.

    White space behind ``<<`` does not cut, so that a heredoc stays one word.

    Raises:
        DockerfileError: as ``expand``.
    """
    words = _Words()
    lexer = _Lexer(text, {}, "\\", keeps_quotes=True, keeps_escapes=True, keeps_unset=True)
    lexer.joins_heredocs = True
    lexer.read_all(words)
    return words.finish()


def _needs_work(text: str, escape: str) -> bool:
    return "$" in text or "'" in text or '"' in text or escape in text


@cache
def _plain_run(escape: str, stop: str, quotes_matter: bool) -> re.Pattern[str]:
    special = "$" + escape + stop + ("'\"" if quotes_matter else "") + "<"
    return re.compile(f"[^{re.escape(special)}]+")


@cache
def _plain_quoted_run(escape: str) -> re.Pattern[str]:
    return re.compile(f'[^"${re.escape(escape)}]+')


class _Words:
    """Collects words from characters that are cut at white space and others that are not."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._word: list[str] = []

    def add(self, text: str) -> None:
        for character in text:
            if character not in SPACES:
                self._word.append(character)
            elif self._word:
                self._flush()

    def add_raw(self, text: str) -> None:
        if text:
            self._word.append(text)

    def finish(self) -> tuple[str, ...]:
        self._flush()
        return tuple(self._done)

    def _flush(self) -> None:
        if self._word:
            self._done.append("".join(self._word))
            self._word.clear()


class _Lexer:
    """Reads one text from left to right."""

    def __init__(
        self,
        text: str,
        env: Mapping[str, str],
        escape: str,
        *,
        keeps_quotes: bool = False,
        keeps_escapes: bool = False,
        keeps_unset: bool = False,
        quotes_matter: bool = True,
    ) -> None:
        self.text = text
        self.position = 0
        self.env = env
        self.escape = escape
        self.keeps_quotes = keeps_quotes
        self.keeps_escapes = keeps_escapes
        self.keeps_unset = keeps_unset
        self.quotes_matter = quotes_matter
        self.joins_heredocs = False
        self.unset: set[str] = set()
        self._depth = 0
        self._room = ROOM

    def read_all(self, words: _Words | None = None) -> str:
        return self._read_until("", self.keeps_escapes, words)

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _next(self) -> str:
        character = self.text[self.position : self.position + 1]
        self.position += 1
        return character

    def _read_until(self, stop: str, keeps_escapes: bool, words: _Words | None = None) -> str:
        """Read up to ``stop``, or to the end if there is none."""
        outer, self.keeps_escapes = self.keeps_escapes, keeps_escapes
        plain = _plain_run(self.escape, stop, self.quotes_matter)
        parts: list[str] = []
        while self.position < len(self.text):
            run = plain.match(self.text, self.position)
            if run is not None:
                self.position = run.end()
                parts.append(run.group())
                if words is not None:
                    words.add(run.group())
                continue
            character = self._peek()
            if stop and character == stop:
                self.position += 1
                self.keeps_escapes = outer
                return "".join(parts)
            piece, is_raw = self._read_special(character)
            parts.append(piece)
            if words is not None:
                (words.add_raw if is_raw else words.add)(piece)
        if stop:
            raise DockerfileError(f"`{stop}` is missing in a substitution")
        self.keeps_escapes = outer
        return "".join(parts)

    def _read_special(self, character: str) -> tuple[str, bool]:
        """Read one thing that is not plain text; tell whether its white space is protected."""
        if character == "$":
            return self._read_dollar(), False
        if character == self.escape:
            self.position += 1
            escaped = self._next()
            return (character if self.keeps_escapes else "") + escaped, True
        if character == "'" and self.quotes_matter:
            return self._read_single_quoted(), True
        if character == '"' and self.quotes_matter:
            return self._read_double_quoted(), True
        if character == "<" and self.joins_heredocs:
            return self._read_heredoc_operator(), True
        self.position += 1
        return character, False

    def _read_heredoc_operator(self) -> str:
        found = _HEREDOC_OPERATOR.match(self.text, self.position)
        operator = found.group() if found is not None else "<"
        self.position += len(operator)
        return operator

    def _read_single_quoted(self) -> str:
        end = self.text.find("'", self.position + 1)
        if end < 0:
            raise DockerfileError("a single quote is not closed")
        quoted = self.text[self.position : end + 1]
        self.position = end + 1
        return quoted if self.keeps_quotes else quoted[1:-1]

    def _read_double_quoted(self) -> str:
        self.position += 1
        parts = ['"'] if self.keeps_quotes else []
        plain = _plain_quoted_run(self.escape)
        while self.position < len(self.text):
            run = plain.match(self.text, self.position)
            if run is not None:
                self.position = run.end()
                parts.append(run.group())
                continue
            character = self._peek()
            if character == '"':
                self.position += 1
                if self.keeps_quotes:
                    parts.append('"')
                return "".join(parts)
            if character == "$":
                parts.append(self._read_dollar())
                continue
            self.position += 1
            parts.append(self._read_escape_in_quotes())
        raise DockerfileError("a double quote is not closed")

    def _read_escape_in_quotes(self) -> str:
        """Read behind an escape character: only quotes, dollars and itself can be escaped."""
        kept = self.escape if self.keeps_escapes else ""
        following = self._peek()
        if not following:
            return kept
        if following in ('"', "$", self.escape):
            self.position += 1
            return kept + following
        return kept + self.escape

    def _read_dollar(self) -> str:
        piece = self._read_substitution()
        self._room -= len(piece)
        if self._room < 0:
            raise _too_long()
        return piece

    def _read_substitution(self) -> str:
        self.position += 1
        if self._peek() != "{":
            name = self._read_name()
            if not name:
                return "$"
            value = self._value(name)
            if value is None:
                return f"${name}" if self.keeps_unset else ""
            return value
        self.position += 1
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise DockerfileError("substitutions are nested too deep")
        try:
            return self._read_braced()
        finally:
            self._depth -= 1

    def _read_braced(self) -> str:
        first = self._peek()
        if not first:
            raise DockerfileError("`}` is missing in a substitution")
        if first in "{}:":
            raise DockerfileError("a substitution has no name", hint="write `${NAME}`")
        name = self._read_name()
        operator = self._next()
        if operator == "}":
            value = self._value(name)
            if value is None:
                return f"${{{name}}}" if self.keeps_unset else ""
            return value
        if operator == "/":
            return self._read_replacement(name)
        empty_is_unset = operator == ":"
        if empty_is_unset:
            operator = self._next()
        if not operator:
            raise DockerfileError("`}` is missing in a substitution")
        shown = ":" + operator if empty_is_unset else operator
        if operator not in ("-+?" if empty_is_unset else "-+?#%"):
            raise DockerfileError(
                f"the modifier `{shown}` is not supported in a substitution",
                hint="the modifiers are `:-` `-` `:+` `+` `:?` `?` `#` `##` `%` `%%` `/` `//`",
            )
        word = self._read_until("}", keeps_escapes=operator in "#%")
        value = self._value(name)
        if value is None and self.keeps_unset:
            return f"${{{name}{shown}{word}}}"
        if operator in "#%":
            return _strip(value or "", word, operator)
        is_set = value is not None and not (empty_is_unset and not value)
        if operator == "-":
            return (value or "") if is_set else word
        if operator == "+":
            return word if is_set else ""
        if not is_set:
            reason = "unset" if value is None else "empty"
            raise DockerfileError(f"`{name}`: {word or f'is not allowed to be {reason}'}")
        return value or ""

    def _read_replacement(self, name: str) -> str:
        replaces_all = self._peek() == "/"
        if replaces_all:
            self.position += 1
        pattern = self._read_until("/", keeps_escapes=True)
        replacement = self._read_until("}", keeps_escapes=True)
        value = self._value(name)
        if value is None:
            if self.keeps_unset:
                slash = "//" if replaces_all else "/"
                return f"${{{name}{slash}{pattern}/{replacement}}}"
            return ""
        with _explained(pattern):
            replaced = Glob(pattern).replace(
                value, replacement, replaces_all=replaces_all, room=self._room
            )
        if replaced is None:
            raise _too_long()
        return replaced

    def _read_name(self) -> str:
        found = _NAME.match(self.text, self.position)
        start = self.position
        if found is not None:
            self.position = found.end()
        elif self._peek().isdecimal():
            while self._peek().isdecimal():
                self.position += 1
            return self.text[start : self.position]
        elif self._peek() and self._peek() in _SPECIAL:
            return self._next()
        # Names may have letters of any script, which the expression above leaves out.
        while (character := self._peek()) and (
            character == "_" or character.isalpha() or character.isdecimal()
        ):
            self.position += 1
        return self.text[start : self.position]

    def _value(self, name: str) -> str | None:
        value = self.env.get(name)
        if value is None:
            self.unset.add(name)
        return value


def _too_long() -> DockerfileError:
    return DockerfileError(
        f"substitutions give more than {ROOM >> 20} MiB of text",
        hint="copy a long text from a file",
    )


def _strip(value: str, word: str, operator: str) -> str:
    is_greedy = word.startswith(operator)
    with _explained(pattern := word[1:] if is_greedy else word):
        glob = Glob(pattern)
        if operator == "#":
            return glob.strip_prefix(value, is_greedy=is_greedy)
        return glob.strip_suffix(value, is_greedy=is_greedy)


@contextmanager
def _explained(pattern: str) -> Iterator[None]:
    try:
        yield
    except BadGlob as error:
        raise DockerfileError(
            f"the pattern `{pattern}` in a substitution is not valid: {error}"
        ) from None
