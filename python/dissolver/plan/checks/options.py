"""What ``# check=…`` says: which rules are left out, and whether findings are errors."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from dissolver.dockerfile.ast import Dockerfile
from dissolver.dockerfile.suggest import did_you_mean
from dissolver.errors import DockerfileError
from dissolver.plan.checks.rules import Rule

BUILD_ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
"""The build argument that takes the place of the directive."""

ALL = "all"
MOST_PARTS = 3
_KEYS = ("skip", "error", "experimental")
_TRUTHS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


class CheckOptions(msgspec.Struct, frozen=True):
    """Which rules count. Names that no rule has are allowed: other builders have others."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    fails: bool = False

    def allows(self, rule: Rule) -> bool:
        """Tell whether violations of ``rule`` are told."""
        if ALL in self.skip or rule.name in self.skip:
            return False
        wanted = self.experimental
        return not rule.is_experimental or ALL in wanted or rule.name in wanted

    def with_comments(self, comments: Iterable[str]) -> CheckOptions:
        """Return the options for an instruction with ``comments`` right above it.

        A comment that begins with ``check=`` and makes no sense is a comment.
        """
        options = self
        for comment in comments:
            if not comment.startswith("check="):
                continue
            try:
                own = parse_options(comment.removeprefix("check="))
            except DockerfileError:
                continue
            options = replace(
                options,
                skip=options.skip | own.skip,
                experimental=options.experimental | own.experimental,
            )
        return options


def read_options(dockerfile: Dockerfile, argument: str | None = None) -> CheckOptions:
    """Return what the file's ``check`` directive says, or ``argument`` in its place.

    Raises:
        DockerfileError: it says something else than it can.
    """
    if argument is not None:
        return parse_options(argument)
    for directive in dockerfile.directives:
        if directive.name == "check":
            try:
                return parse_options(directive.value)
            except DockerfileError as error:
                error.where = dockerfile.source.where(directive.line)
                raise
    return CheckOptions()


def parse_options(text: str) -> CheckOptions:
    """Read ``skip=A,B;error=true;experimental=all``.

    Raises:
        DockerfileError: a part is none of these. The error has no place.
    """
    text = text.strip().partition(" ")[0]
    options = CheckOptions()
    if not text:
        return options
    parts = text.split(";", MOST_PARTS - 1)
    for part in parts:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in _KEYS:
            raise DockerfileError(
                f"invalid check option `{part if not equals else key}`",
                hint=did_you_mean(key, _KEYS) or "they are `skip=`, `error=` and `experimental=`",
            )
        if key == "error":
            options = replace(options, fails=_truth(value))
            continue
        names = frozenset(name.strip() for name in value.split(",") if name.strip())
        options = replace(options, **{key: names})
    return options


def _truth(value: str) -> bool:
    truth = _TRUTHS.get(value)
    if truth is None:
        raise DockerfileError(
            f"invalid check option `error={value}`", hint="it is `true` or `false`"
        )
    return truth
