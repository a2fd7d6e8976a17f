"""The concrete tree that the grammar makes of a text, and what is wrong with the text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dissolver.bake.hcl.source import Source

if TYPE_CHECKING:
    from tree_sitter import Node

    from dissolver.bake.hcl.source import Span

_SHOWN_CHARACTERS = 40
_HEREDOC = re.compile(r"<<-?([A-Za-z_][\w-]*)\s*\Z")
_OF_HEREDOC = ("<<", "heredoc_identifier")
"""What the grammar expects wherever it is at a loss."""


class SyntaxTree:
    """A text as the grammar sees it; nodes are measured in bytes, places in characters."""

    def __init__(self, source: Source, *, inside: Span | None = None) -> None:
        import tree_sitter
        import tree_sitter_hcl

        parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_hcl.language()))
        self.source = source
        self._data = source.text.encode("utf-8", "surrogatepass")
        self._inside = inside
        self._is_ascii = source.text.isascii()
        self._tree = parser.parse(self._data)

    @classmethod
    def of_template(cls, text: str, span: Span) -> SyntaxTree:
        """Take a text that stands at ``span`` for a template; that is the place of all of it."""
        marker = "END"
        while marker in text:
            marker += "X"
        return cls(Source(span.source.name, f"x=<<{marker}\n{text}\n{marker}\n"), inside=span)

    @property
    def root(self) -> Node:
        """The whole text."""
        return self._tree.root_node

    def text(self, node: Node) -> str:
        """Give the text of a node."""
        return self.between(node.start_byte, node.end_byte)

    def between(self, start: int, end: int) -> str:
        """Give the text between two places, in bytes."""
        return self._data[start:end].decode("utf-8", "surrogatepass")

    def span(self, node: Node) -> Span:
        """Give the place of a node."""
        if self._inside is not None:
            return self._inside
        start, end = node.start_point, node.end_point
        return self.source.span(
            (start.row, self._column(start.row, start.column)),
            (end.row, self._column(end.row, end.column)),
        )

    def rest_of_line(self, node: Node) -> tuple[Span, str]:
        """Give what begins where a node does and goes on to the end of the line, and its place."""
        start = node.start_point
        column = self._column(start.row, start.column)
        text = self.source.lines[start.row][column:].rstrip()
        span = self.source.span((start.row, column), (start.row, column + len(text)))
        return (span if self._inside is None else self._inside), text

    def before(self, node: Node) -> Span:
        """Give the place of the last character before a node that is no blank."""
        if self._inside is not None:
            return self._inside
        text = self.between(0, node.start_byte).rstrip()
        return self.source.at_offset(max(len(text) - 1, 0))

    def _column(self, row: int, count: int) -> int:
        if self._is_ascii:
            return count
        line = self.source.lines[row].encode("utf-8", "surrogatepass")
        return len(line[:count].decode("utf-8", "replace"))


def refuse_errors(tree: SyntaxTree) -> None:
    """Raise what is wrong with a text, if anything is.

    Raises:
        BakeFileError: it is no HCL.
    """
    if not tree.root.has_error:
        return
    node = _first_error(tree.root)
    span = tree.span(node)
    unclosed = _unclosed_text(tree, node)
    if unclosed is not None:
        raise unclosed.fault("a text has no closing quote on its line")
    _refuse_endless(tree, node)
    if node.is_missing and node.type not in _OF_HEREDOC:
        raise tree.before(node).fault(f"{_word(node.type)} is missing behind this")
    text = tree.text(node)
    if node.is_missing or text == "\\":
        # What stands there is no part of the tree.
        span, text = tree.rest_of_line(node)
    if text.startswith("\\"):
        shown = f"`{text[:2]}` stands for no character"
        raise span.fault(shown, hint=r"a backslash itself is `\\`")
    shown = text.split("\n", 1)[0].strip()[:_SHOWN_CHARACTERS]
    if not shown:
        raise span.fault("something is missing here")
    hint = "texts stand in double quotes" if "'" in shown and '"' not in shown else None
    raise span.fault(f"`{shown}` makes no sense here", hint=hint)


def _refuse_endless(tree: SyntaxTree, node: Node) -> None:
    """Refuse a text of several lines that begins before an error and never ends."""
    for row, line in enumerate(tree.source.lines[: node.end_point.row + 1]):
        opening = _HEREDOC.search(line)
        if opening is None or line.lstrip().startswith(("#", "//")):
            continue
        following = (line.strip() for line in tree.source.lines[row + 1 :])
        if opening[1] not in following:
            span = tree.source.span((row, opening.start()), (row, opening.end()))
            raise span.fault(f"`{opening[1]}` is missing, on a line of its own, behind this text")


def _word(kind: str) -> str:
    words = {"identifier": "something"}
    return words.get(kind, f"`{kind}`")


def _first_error(node: Node) -> Node:
    """Find the first node that is wrong, the most exact one of those within each other."""
    inner: Node | None = node
    while inner is not None:
        node = inner
        wrong = (child for child in node.children if child.is_missing or child.has_error)
        inner = next(wrong, None)
    return node


def _unclosed_text(tree: SyntaxTree, node: Node) -> Span | None:
    """Find a line of an error whose quotes do not match."""
    first = node.start_point.row
    if node.type == "quoted_template_end" and node.is_missing:
        first = max(0, first - 1)
    for row in range(first, min(node.end_point.row + 1, len(tree.source.lines))):
        line = tree.source.lines[row]
        bare = re.sub(r"\\.|#.*$|//.*$", "", line)
        if bare.count('"') % 2:
            column = line.rindex('"')
            return tree.source.span((row, column), (row, len(line)))
    return None
