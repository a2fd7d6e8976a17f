"""Texts with parts to fill in: quoted ones, and those between ``<<EOT`` and ``EOT``.

See https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md#template-expressions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dissolver.bake.hcl import ast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tree_sitter import Node

    from dissolver.bake.hcl.source import Span
    from dissolver.bake.hcl.syntax import SyntaxTree

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.?)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_LITERALS = "template_literal"
_LARGEST_CHARACTER = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
"""Halves of characters of UTF-16: no text in UTF-8 has them."""


class TemplateReader:
    """Reads the templates of one file; ``expression`` reads what is to be filled in."""

    def __init__(self, tree: SyntaxTree, expression: Callable[[Node], ast.Expression]) -> None:
        self._tree = tree
        self._expression = expression
        # How many blanks the lines of the text that is being read lose.
        self._indent = 0

    def quoted(self, node: Node) -> ast.Template | ast.Literal:
        """Read ``"…"``."""
        opening, *_ = node.children
        closing = node.children[-1]
        before, self._indent = self._indent, 0
        parts = self._parts(node.children[1:-1], opening.end_byte, closing.start_byte)
        self._indent = before
        span = self._tree.span(node)
        if any(isinstance(part, str) and "\n" in part for part in parts):
            raise span.fault(
                "a text in quotes has to end on its line",
                hint="write `<<EOT` and the lines of the text, and `EOT` on a line of its own",
            )
        return _made(span, [self._unescaped(part, node) for part in parts])

    def heredoc(self, node: Node, *, is_exact: bool = False) -> ast.Template | ast.Literal:
        """Read ``<<EOT``; ``is_exact`` leaves out the line end before the terminator."""
        names = [child for child in node.children if child.type == "heredoc_identifier"]
        text = self._tree.text(node)
        first_line_end = node.start_byte + len(text[: text.index("\n") + 1].encode())
        start = names[0].end_byte
        last = names[-1]
        inner = [
            child
            for child in node.children
            if child.start_byte >= start and child.end_byte <= last.start_byte and child != last
        ]
        end = self._line_start(last)
        start = min(first_line_end, end)
        before, self._indent = self._indent, 0
        if self._tree.text(node.children[0]) == "<<-":
            self._indent = _least_indent(self._tree.between(start, end))
        parts = self._parts(inner, start, end)
        self._indent = before
        if is_exact and parts and isinstance(parts[-1], str):
            parts[-1] = parts[-1].removesuffix("\n")
            parts = [part for part in parts if part != ""]
        span = self._tree.span(node)
        return _made(span, [_without_doubling(p) if isinstance(p, str) else p for p in parts])

    def _line_start(self, node: Node) -> int:
        return node.start_byte - node.start_point.column

    def _parts(self, nodes: Sequence[Node], start: int, end: int) -> list[ast.TemplatePart]:
        """Read what is between two places; what no node covers is text as it stands."""
        parts: list[ast.TemplatePart] = []
        strips_next = False

        def add(text: str) -> None:
            shown = text.lstrip() if strips_next else text
            if shown:
                parts.append(shown)

        for node in nodes:
            if node.type == _LITERALS:
                continue
            add(self._text(start, node.start_byte))
            strips_before, strips_after = _strips(node)
            if strips_before and parts and isinstance(parts[-1], str):
                parts[-1] = parts[-1].rstrip()
            strips_next = strips_after
            parts.append(self._part(node))
            start = node.end_byte
        add(self._text(start, end))
        return parts

    def _text(self, start: int, end: int) -> str:
        """Give the text between two places, its lines without the blanks that they lose."""
        text = self._tree.between(start, end)
        if not self._indent:
            return text
        begins_line = self._tree.between(max(start - 1, 0), start) == "\n"
        shown = re.sub(rf"\n[ \t]{{1,{self._indent}}}", "\n", ("\n" if begins_line else "") + text)
        return shown.removeprefix("\n") if begins_line else shown

    def _part(self, node: Node) -> ast.TemplatePart:
        span = self._tree.span(node)
        if node.type == "template_interpolation":
            found = [child for child in node.children if child.type == "expression"]
            if not found:
                raise span.fault("there is nothing between the braces")
            return self._expression(found[0])
        if node.type == "template_directive":
            (directive,) = node.children
            if directive.type == "template_if":
                return self._if(directive)
            if directive.type == "template_for":
                return self._for(directive)
        raise span.fault("this cannot be in a text")

    def _section(self, nodes: Sequence[Node], before: Node, after: Node) -> ast.Template:
        parts = self._parts(nodes, before.end_byte, after.start_byte)
        if _strips(before)[1] and parts and isinstance(parts[0], str):
            parts[0] = parts[0].lstrip()
        if _strips(after)[0] and parts and isinstance(parts[-1], str):
            parts[-1] = parts[-1].rstrip()
        shown = [self._unescaped(part, before) for part in parts]
        # A text, even if it has one part alone.
        return ast.Template(self._tree.span(before), ("", *shown))

    def _if(self, node: Node) -> ast.TemplateIf:
        children = list(node.children)
        opening, closing = children[0], children[-1]
        middle = next((c for c in children if c.type == "template_else_intro"), None)
        span = self._tree.span(opening)
        (condition,) = [self._expression(c) for c in opening.children if c.type == "expression"]
        if middle is None:
            then = self._section(children[1:-1], opening, closing)
            return ast.TemplateIf(span, condition, then, ast.Template(span, ("",)))
        place = children.index(middle)
        then = self._section(children[1:place], opening, middle)
        otherwise = self._section(children[place + 1 : -1], middle, closing)
        return ast.TemplateIf(span, condition, then, otherwise)

    def _for(self, node: Node) -> ast.TemplateFor:
        children = list(node.children)
        opening, closing = children[0], children[-1]
        names = [self._tree.text(c) for c in opening.children if c.type == "identifier"]
        (collection,) = [self._expression(c) for c in opening.children if c.type == "expression"]
        body = self._section(children[1:-1], opening, closing)
        key = names[0] if len(names) > 1 else None
        return ast.TemplateFor(self._tree.span(opening), key, names[-1], collection, body)

    def _unescaped(self, part: ast.TemplatePart, within: Node) -> ast.TemplatePart:
        if not isinstance(part, str):
            return part
        if _is_in_heredoc(within):
            return _without_doubling(part)

        def character(match: re.Match[str]) -> str:
            code = match[1]
            if code[:1] in ("u", "U") and len(code) > 1:
                number = int(code[1:], 16)
                if number <= _LARGEST_CHARACTER and number not in _SURROGATES:
                    return chr(number)
            elif code in _ESCAPES:
                return _ESCAPES[code]
            fault = f"`\\{code}` stands for no character"
            raise self._tree.span(within).fault(fault, hint=r"a backslash itself is `\\`")

        return _without_doubling(_ESCAPE.sub(character, part))


def _is_in_heredoc(node: Node) -> bool:
    at: Node | None = node
    while at is not None:
        if at.type == "heredoc_template":
            return True
        if at.type in ("quoted_template", "string_lit"):
            return False
        at = at.parent
    return False


def _strips(node: Node) -> tuple[bool, bool]:
    """Tell whether the blanks before and behind a node go, as ``~`` says."""
    if node.type == "template_directive":
        (inner,) = node.children
        return _strips(inner.children[0])[0], _strips(inner.children[-1])[1]
    kinds = [child.type for child in node.children]
    return len(kinds) > 1 and kinds[1] == "strip_marker", (
        len(kinds) > 1 and kinds[-2] == "strip_marker"
    )


def _without_doubling(text: str) -> str:
    return text.replace("$${", "${").replace("%%{", "%{")


def _least_indent(text: str) -> int:
    """Count the blanks that all lines begin with, those with nothing else left out."""
    lines = [line for line in text.split("\n") if line.strip()]
    return min((len(line) - len(line.lstrip(" \t")) for line in lines), default=0)


def _made(span: Span, parts: Sequence[ast.TemplatePart]) -> ast.Template | ast.Literal:
    if all(isinstance(part, str) for part in parts):
        return ast.Literal(span, "".join(part for part in parts if isinstance(part, str)))
    return ast.Template(span, tuple(parts))
