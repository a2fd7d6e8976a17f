"""HCL text to a syntax tree.

The grammar tells what belongs together; the texts of templates are taken from between
its nodes, because it leaves blanks out.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from dissolver.bake.hcl import ast
from dissolver.bake.hcl.source import Source
from dissolver.bake.hcl.syntax import SyntaxTree, refuse_errors
from dissolver.bake.hcl.template import TemplateReader
from dissolver.bake.hcl.values import ValueFault, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tree_sitter import Node

    from dissolver.bake.hcl.source import Span

_POSTFIXES = frozenset(("get_attr", "index", "splat"))
_IGNORED = frozenset(("comment", "(", ")", ","))
_SPLAT_ITEM = "each element"
"""What the elements of a splat are called: nothing that a file can name."""


def parse(source: Source) -> ast.Body:
    """Read a whole file.

    Raises:
        BakeFileError: it is no HCL.
    """
    tree = SyntaxTree(source)
    refuse_errors(tree)
    reader = _Reader(tree)
    try:
        body = next((node for node in tree.root.children if node.type == "body"), None)
        return ast.Body() if body is None else reader.body(body)
    except RecursionError:
        raise source.at_offset(0).fault("expressions are nested too deeply") from None


def parse_template(text: str, span: Span) -> ast.Template | ast.Literal:
    """Read a text that stands at ``span`` of a file as a template.

    Raises:
        BakeFileError: what it has to fill in is no HCL.
    """
    if "${" not in text and "%{" not in text:
        return ast.Literal(span, text)
    tree = SyntaxTree.of_template(text, span)
    refuse_errors(tree)
    reader = _Reader(tree)
    (heredoc,) = _found(tree.root, "heredoc_template")
    try:
        return reader.templates.heredoc(heredoc, is_exact=True)
    except RecursionError:
        raise span.fault("expressions are nested too deeply") from None


def parse_expression(text: str, span: Span) -> ast.Expression:
    """Read a text that stands at ``span`` of a file as an expression.

    Raises:
        BakeFileError: it is none.
    """
    body = parse(Source(span.source.name, f"x = {text}\n"))
    if set(body.assignments) != {"x"} or body.blocks:
        raise span.fault("this is no expression")
    return body.assignments["x"].value


def _found(node: Node, kind: str) -> Iterator[Node]:
    for child in node.children:
        if child.type == kind:
            yield child
            return
        yield from _found(child, kind)


class _Reader:
    """Turns nodes of the grammar into those of the syntax tree."""

    def __init__(self, tree: SyntaxTree) -> None:
        self._tree = tree
        self.templates = TemplateReader(tree, self.expression)

    # Bodies ------------------------------------------------------------------

    def body(self, node: Node) -> ast.Body:
        """Read assignments and blocks."""
        body = ast.Body()
        last_row = -1
        for child in node.children:
            if child.type == "comment":
                continue
            if child.start_point.row == last_row:
                raise self._tree.span(child).fault("this has to begin on a line of its own")
            last_row = child.end_point.row
            if child.type == "attribute":
                self._assignment(child, body)
            else:
                body.blocks.append(self._block(child))
        return body

    def _assignment(self, node: Node, body: ast.Body) -> None:
        name, _, value = (child for child in node.children if child.type != "comment")
        text, span = self._tree.text(name), self._tree.span(name)
        if text in body.assignments:
            first = body.assignments[text].name_span.row + 1
            raise span.fault(f"`{text}` was set already, on line {first}")
        body.assignments[text] = ast.Assignment(text, span, self.expression(value))

    def _block(self, node: Node) -> ast.Block:
        labels: list[ast.Label] = []
        kind, *others = node.children
        body = ast.Body()
        for child in others:
            if child.type == "body":
                body = self.body(child)
            elif child.type == "identifier":
                labels.append(ast.Label(self._tree.text(child), self._tree.span(child)))
            elif child.type == "string_lit":
                text = self.templates.quoted(child)
                if not isinstance(text, ast.Literal):
                    raise text.span.fault("a label cannot have parts to fill in")
                labels.append(ast.Label(str(text.value), text.span))
        return ast.Block(self._tree.text(kind), self._tree.span(kind), tuple(labels), body)

    # Expressions ---------------------------------------------------------------

    def expression(self, node: Node) -> ast.Expression:
        """Read one expression."""
        return self._operand([child for child in node.children if child.type not in _IGNORED])

    def _operand(self, nodes: Sequence[Node]) -> ast.Expression:
        """Read a term and what is applied to it: attributes, indexes, splats."""
        first, *others = nodes
        value = self._term(first)
        for node in others:
            if node.type not in _POSTFIXES:
                raise self._tree.span(node).fault("this cannot follow here")
            value = self._postfix(value, node)
        return value

    def _term(self, node: Node) -> ast.Expression:
        span = self._tree.span(node)
        match node.type:
            case "expression":
                return self.expression(node)
            case "literal_value":
                return self._literal(node.children[0])
            case "template_expr":
                (inner,) = node.children
                if inner.type == "heredoc_template":
                    return self.templates.heredoc(inner)
                return self.templates.quoted(inner)
            case "collection_value":
                return self._collection(node.children[0])
            case "variable_expr":
                return ast.Variable(span, self._tree.text(node))
            case "function_call":
                return self._call(node)
            case "for_expr":
                return self._for(node.children[0])
            case "operation":
                return self._operation(node.children[0])
            case "conditional":
                condition, then, otherwise = self._expressions(node)
                return ast.Conditional(span, condition, then, otherwise)
        raise span.fault("this is no expression")

    def _expressions(self, node: Node) -> list[ast.Expression]:
        return [self.expression(child) for child in node.children if child.type == "expression"]

    def _literal(self, node: Node) -> ast.Expression:
        span, text = self._tree.span(node), self._tree.text(node)
        match node.type:
            case "string_lit":
                return self.templates.quoted(node)
            case "bool_lit":
                return ast.Literal(span, text == "true")
            case "null_lit":
                return ast.Literal(span, None)
        try:
            return ast.Literal(span, number(Decimal(text)))
        except InvalidOperation:
            raise span.fault(f"`{text}` is no number") from None
        except ValueFault as fault:
            raise span.fault(str(fault)) from None

    def _collection(self, node: Node) -> ast.Expression:
        span = self._tree.span(node)
        if node.type == "tuple":
            return ast.ListOf(span, tuple(self._expressions(node)))
        items: list[tuple[ast.Expression, ast.Expression]] = []
        last: Node | None = None
        for child in node.children:
            if child.type == "object_elem":
                if last is not None and last.end_point.row == child.start_point.row:
                    fault = "a comma or a new line has to be before this"
                    raise self._tree.span(child).fault(fault)
                key, value = self._expressions(child)
                items.append((_as_key(child, key), value))
                last = child
            elif child.type == ",":
                last = None
        return ast.ObjectOf(span, tuple(items))

    def _call(self, node: Node) -> ast.Expression:
        arguments: list[ast.Expression] = []
        expands = False
        for child in node.children:
            if child.type == "function_arguments":
                arguments = self._expressions(child)
                expands = any(part.type == "ellipsis" for part in child.children)
        name = self._tree.text(node.children[0])
        return ast.Call(self._tree.span(node), name, tuple(arguments), expands)

    def _for(self, node: Node) -> ast.Expression:
        intro = next(child for child in node.children if child.type == "for_intro")
        names = [self._tree.text(child) for child in intro.children if child.type == "identifier"]
        (collection,) = self._expressions(intro)
        results = self._expressions(node)
        condition: ast.Expression | None = None
        for child in node.children:
            if child.type == "for_cond":
                (condition,) = self._expressions(child)
        return ast.For(
            span=self._tree.span(node),
            key=names[0] if len(names) > 1 else None,
            value=names[-1],
            collection=collection,
            result_key=results[0] if node.type == "for_object_expr" else None,
            result=results[-1],
            condition=condition,
            groups=any(child.type == "ellipsis" for child in node.children),
        )

    def _operation(self, node: Node) -> ast.Expression:
        span = self._tree.span(node)
        children = [child for child in node.children if child.type != "comment"]
        if node.type == "unary_operation":
            operator, *operand = children
            return ast.Unary(span, operator.type, self._operand(_unwrapped(operand)))
        place = next(i for i, child in enumerate(children) if _is_operator(child))
        left = self._operand(_unwrapped(children[:place]))
        right = self._operand(_unwrapped(children[place + 1 :]))
        return ast.Binary(span, children[place].type, left, right)

    def _postfix(self, value: ast.Expression, node: Node) -> ast.Expression:
        span = self._tree.span(node)
        if node.type == "get_attr":
            return ast.Attribute(span, value, self._tree.text(node.children[-1]))
        if node.type == "index":
            (index,) = node.children
            if index.type == "legacy_index":
                return ast.Attribute(span, value, self._tree.text(index).lstrip(". "))
            (key,) = self._expressions(index)
            return ast.Index(span, value, key)
        (splat,) = node.children
        inner = [child for child in splat.children if child.type in _POSTFIXES]
        each: ast.Expression = ast.Variable(span, _SPLAT_ITEM)
        # Behind `.*`, an index in brackets is one of the list, not of each element.
        while inner and not (splat.type == "attr_splat" and _is_in_brackets(inner[0])):
            each = self._postfix(each, inner.pop(0))
        result: ast.Expression = ast.Splat(span, value, _SPLAT_ITEM, each)
        for child in inner:
            result = self._postfix(result, child)
        return result


def _unwrapped(nodes: Sequence[Node]) -> list[Node]:
    """Leave out the parentheses around an operand, whose expression remains."""
    return [node for node in nodes if node.type not in ("(", ")")]


def _is_in_brackets(node: Node) -> bool:
    return node.type == "index" and node.children[0].type != "legacy_index"


def _is_operator(node: Node) -> bool:
    return not node.is_named and node.type not in ("(", ")")


def _as_key(node: Node, key: ast.Expression) -> ast.Expression:
    """Take a bare name for a text; in parentheses it is a variable."""
    if isinstance(key, ast.Variable) and node.children[0].children[0].type != "(":
        return ast.Literal(key.span, key.name)
    return key
