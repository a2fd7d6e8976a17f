"""The syntax tree of HCL. Every node knows its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from decimal import Decimal

    from dissolver.bake.hcl.source import Span


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a text without anything to fill in, a boolean, or ``null``."""

    span: Span
    value: str | int | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class Template:
    """A text with parts to fill in.

    One that is a single interpolation and nothing else has that one's value, of any type.
    """

    span: Span
    parts: tuple[TemplatePart, ...]


@dataclass(frozen=True, slots=True)
class TemplateIf:
    """``%{ if condition }…%{ else }…%{ endif }``."""

    span: Span
    condition: Expression
    then: Template
    otherwise: Template


@dataclass(frozen=True, slots=True)
class TemplateFor:
    """``%{ for key, value in collection }…%{ endfor }``."""

    span: Span
    key: str | None
    value: str
    collection: Expression
    body: Template


@dataclass(frozen=True, slots=True)
class Variable:
    """A name."""

    span: Span
    name: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """``of.name``; ``.0`` is one, too."""

    span: Span
    of: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """``of[key]``."""

    span: Span
    of: Expression
    key: Expression


@dataclass(frozen=True, slots=True)
class Splat:
    """``of[*]`` and ``of.*``: ``each`` is evaluated for every element, which is named ``item``."""

    span: Span
    of: Expression
    item: str
    each: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """``name(arguments)``; ``expands`` takes the last one for a list of arguments."""

    span: Span
    name: str
    arguments: tuple[Expression, ...]
    expands: bool = False


@dataclass(frozen=True, slots=True)
class Conditional:
    """``condition ? then : otherwise``."""

    span: Span
    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """``left operator right``."""

    span: Span
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Unary:
    """``-operand`` or ``!operand``."""

    span: Span
    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class ListOf:
    """``[items]``."""

    span: Span
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """``{ key = value }``; a key that is a bare name is a text."""

    span: Span
    items: tuple[tuple[Expression, Expression], ...]


@dataclass(frozen=True, slots=True)
class For:
    """``[for key, value in collection : result if condition]``.

    With ``result_key`` it makes an object, and with ``groups`` one of lists.
    """

    span: Span
    key: str | None
    value: str
    collection: Expression
    result_key: Expression | None
    result: Expression
    condition: Expression | None
    groups: bool = False


Expression: TypeAlias = (
    Literal
    | Template
    | Variable
    | Attribute
    | Index
    | Splat
    | Call
    | Conditional
    | Binary
    | Unary
    | ListOf
    | ObjectOf
    | For
)
TemplatePart: TypeAlias = str | Expression | TemplateIf | TemplateFor


@dataclass(frozen=True, slots=True)
class Assignment:
    """``name = value`` in a body; ``name_span`` is the place of the name."""

    name: str
    name_span: Span
    value: Expression


@dataclass(frozen=True, slots=True)
class Label:
    """A word behind the kind of a block."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Block:
    """``kind "label" { … }``."""

    kind: str
    kind_span: Span
    labels: tuple[Label, ...]
    body: Body


@dataclass(frozen=True, slots=True)
class Body:
    """What is between the braces of a block, or in a whole file."""

    assignments: dict[str, Assignment] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
