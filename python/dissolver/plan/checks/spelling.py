"""How a file is written: casing, empty lines, forms that are out of use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dissolver.dockerfile.ast import (
    Arg,
    Env,
    Expose,
    From,
    Instruction,
    Label,
    Maintainer,
    Statement,
    Word,
)
from dissolver.dockerfile.lines import DIRECTIVES
from dissolver.dockerfile.source import SPACES
from dissolver.plan.checks import rules
from dissolver.plan.checks.findings import Edit, Finding, removing_lines, replacing
from dissolver.plan.checks.subject import Point, Subject

AUTHORS = "org.opencontainers.image.authors"
"""The label that says what MAINTAINER said, in the OCI image specification."""

_QUOTABLE = re.compile(r"[^'\"\\`\n]+")


def stage_names(subject: Subject) -> Iterator[Finding]:
    """Find stage names with capitals, and AS in another case than FROM."""
    for stage in subject.graph.stages:
        head = stage.origin
        if head.alias is None:
            continue
        name = head.alias.text
        if name != name.lower():
            yield Finding(
                rules.STAGE_NAME_CASING,
                f"Stage name '{name}' should be lowercase",
                head.where,
                replacing(head, head.alias, name.lower()),
            )
        yield from _as_casing(head)


def _as_casing(head: From) -> Iterator[Finding]:
    keyword, word = head.statement.keyword, head.statement.words[1]
    is_lower, is_upper = keyword == keyword.lower(), keyword == keyword.upper()
    wanted = word.text.lower() if is_lower else word.text.upper()
    if (is_lower or is_upper) and word.text != wanted:
        yield Finding(
            rules.FROM_AS_CASING,
            f"'{word.text}' and '{keyword}' keywords' casing do not match",
            head.where,
            replacing(head, word, wanted),
        )


def keyword_casing(subject: Subject) -> Iterator[Finding]:
    """Find keywords in another case than most of the file; capitals win a tie."""
    instructions = list(_in_stages(subject.dockerfile.instructions))
    keywords = [item.statement.keyword for item in instructions]
    lower = sum(keyword == keyword.lower() for keyword in keywords)
    upper = sum(keyword == keyword.upper() for keyword in keywords)
    is_lower = lower > upper
    for instruction in instructions:
        keyword = instruction.statement.keyword
        wanted = keyword.lower() if is_lower else keyword.upper()
        if keyword != wanted:
            word = Word(keyword, 0, len(keyword))
            yield Finding(
                rules.CONSISTENT_INSTRUCTION_CASING,
                f"Command '{keyword}' should match the case of the command majority "
                f"({'lowercase' if is_lower else 'uppercase'})",
                instruction.where,
                replacing(instruction, word, wanted),
            )


def _in_stages(instructions: Iterable[Instruction]) -> Iterator[Instruction]:
    """Leave out what stands before the first FROM: BuildKit counts stages only."""
    has_begun = False
    for instruction in instructions:
        has_begun = has_begun or isinstance(instruction, From)
        if has_begun:
            yield instruction


def empty_continuations(subject: Subject) -> Iterator[Finding]:
    """Find blank lines inside continued instructions."""
    for instruction in subject.dockerfile.instructions:
        statement = instruction.statement
        if not statement.has_blank_continuation:
            continue
        blank = _blank_lines(statement)
        yield Finding(
            rules.NO_EMPTY_CONTINUATION,
            "Empty continuation line",
            statement.source.where(blank[0]),
            tuple(removing_lines(line, line) for line in blank),
        )


def _blank_lines(statement: Statement) -> list[int]:
    end = statement.heredocs[0].line - 1 if statement.heredocs else statement.end_line
    lines = statement.source.lines
    return [n for n in range(statement.line, end + 1) if not lines[n - 1].strip(SPACES)]


def legacy_pairs(point: Point) -> Iterator[Finding]:
    """Find ``ENV name value`` and ``LABEL name value``."""
    instruction = point.instruction
    if not isinstance(instruction, Env | Label) or not instruction.is_legacy:
        return
    name = instruction.statement.keyword
    pair = instruction.pairs[0]
    value = pair.value.text
    fix: tuple[Edit, ...] = ()
    if _QUOTABLE.fullmatch(value) and pair.name.text.isidentifier():
        quote = '"' if any(character in SPACES for character in value) else ""
        whole = Word(instruction.statement.rest.text, pair.name.start, pair.value.end)
        fix = replacing(instruction, whole, f"{pair.name.text}={quote}{value}{quote}")
    yield Finding(
        rules.LEGACY_KEY_VALUE_FORMAT,
        f'"{name} key=value" should be used instead of legacy "{name} key value" format',
        instruction.where,
        fix,
    )


def maintainers(point: Point) -> Iterator[Finding]:
    """Find MAINTAINER."""
    instruction = point.instruction
    if not isinstance(instruction, Maintainer):
        return
    statement, author = instruction.statement, instruction.author.text
    fix: tuple[Edit, ...] = ()
    if _QUOTABLE.fullmatch(author) and "$" not in author:
        keyword = "label" if statement.keyword.islower() else "LABEL"
        whole = Word(statement.text, 0, len(statement.text))
        fix = replacing(instruction, whole, f'{keyword} {AUTHORS}="{author}"')
    yield Finding(
        rules.MAINTAINER_DEPRECATED,
        "Maintainer instruction is deprecated in favor of using label",
        instruction.where,
        fix,
    )


def exposed_ports(point: Point) -> Iterator[Finding]:
    """Find protocols in capitals, and addresses and ports of the host."""
    instruction = point.instruction
    if not isinstance(instruction, Expose):
        return
    for word in instruction.ports:
        for port in point.scope.expand_words(instruction, word):
            yield from _port(instruction, word, port)


def _port(instruction: Expose, word: Word, port: str) -> Iterator[Finding]:
    is_plain = word.text == port
    front, _, container = port.rpartition(":")
    number, slash, protocol = container.partition("/")
    if protocol != protocol.lower():
        lowered = f"{port[: len(port) - len(protocol)]}{protocol.lower()}"
        yield Finding(
            rules.EXPOSE_PROTO_CASING,
            f"Defined protocol '{port}' in EXPOSE instruction should be lowercase",
            instruction.where,
            replacing(instruction, word, lowered) if is_plain else (),
        )
    if front:
        reduced = f"{number}{slash}{protocol}"
        yield Finding(
            rules.EXPOSE_INVALID_FORMAT,
            "EXPOSE instruction should not define an IP address or host-port mapping, "
            f"found '{port}'",
            instruction.where,
            replacing(instruction, word, reduced) if is_plain else (),
        )


def descriptions(subject: Subject) -> Iterator[Finding]:
    """Find comments above FROM and ARG that look like descriptions, and are of something else."""
    for instruction in subject.dockerfile.instructions:
        names: tuple[str, ...] = ()
        if isinstance(instruction, From) and instruction.alias is not None:
            names = (instruction.alias.text,)
        elif isinstance(instruction, Arg):
            names = tuple(item.name.text for item in instruction.definitions)
        comments = [text for text in instruction.statement.comments if not _is_option(text)]
        if not names or not comments or comments[-1].split(" ")[0] in names:
            continue
        example = names[0] if len(names) == 1 else "<arg_key>"
        yield Finding(
            rules.INVALID_DEFINITION_DESCRIPTION,
            f"Comment for {instruction.name} should follow the format: `# {example} <description>`",
            instruction.where,
        )


def _is_option(comment: str) -> bool:
    name, equals, _ = comment.partition("=")
    return bool(equals) and name.strip().lower() in DIRECTIVES
