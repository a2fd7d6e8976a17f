"""Names and values: what ENV, LABEL and ARG are made of."""

from __future__ import annotations

import re

from dissolver.dockerfile.ast import ArgDefinition, Pair, Statement, Word
from dissolver.dockerfile.words import BLANKS
from dissolver.errors import DockerfileError

_GAP = re.compile(f"[{BLANKS}]+")


def read_pairs(statement: Statement) -> tuple[tuple[Pair, ...], bool]:
    """Read ``name=value …``, or the older ``name rest of the line``.

    Returns:
        The pairs, and whether it was the older form.

    Raises:
        DockerfileError: there is nothing, a word has no ``=``, or a name is empty.
    """
    keyword = statement.name
    if not statement.words:
        raise DockerfileError(f"`{keyword}` requires at least one argument", where=statement.where)
    if "=" not in statement.words[0].text:
        return (_legacy_pair(statement),), True
    pairs: list[Pair] = []
    for word in statement.words:
        name, equals, _ = word.text.partition("=")
        if not equals:
            raise DockerfileError(
                f"can't find = in `{word.text}`, it must be of the form name=value",
                where=statement.where_of(word),
                hint="quote values that contain spaces",
            )
        pairs.append(_split(word, len(name)))
        _check_name(statement, pairs[-1].name, word)
    return tuple(pairs), False


def read_definitions(statement: Statement) -> tuple[ArgDefinition, ...]:
    """Read ``name`` and ``name=default`` words.

    Raises:
        DockerfileError: there is nothing, or a name is empty.
    """
    if not statement.words:
        raise DockerfileError("`ARG` requires at least one argument", where=statement.where)
    definitions: list[ArgDefinition] = []
    for word in statement.words:
        name, equals, _ = word.text.partition("=")
        if equals:
            pair = _split(word, len(name))
            definitions.append(ArgDefinition(pair.name, pair.value))
        else:
            definitions.append(ArgDefinition(word, None))
        _check_name(statement, definitions[-1].name, word)
    return tuple(definitions)


def _split(word: Word, at: int) -> Pair:
    middle = word.start + at
    return Pair(
        Word(word.text[:at], word.start, middle), Word(word.text[at + 1 :], middle + 1, word.end)
    )


def _legacy_pair(statement: Statement) -> Pair:
    rest = statement.rest
    gap = _GAP.search(rest.text)
    if gap is None:
        raise DockerfileError(
            f"`{statement.name}` must have two arguments",
            where=statement.where_of(rest),
            hint=f"write `{statement.name} {rest.text}=…`",
        )
    return Pair(
        Word(rest.text[: gap.start()], rest.start, rest.start + gap.start()),
        Word(rest.text[gap.end() :], rest.start + gap.end(), rest.end),
    )


def _check_name(statement: Statement, name: Word, word: Word) -> None:
    if not name.text:
        raise DockerfileError(
            f"`{statement.name}` names can not be blank", where=statement.where_of(word)
        )
