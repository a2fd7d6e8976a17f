"""Mistakes that do not follow from each other are told together, in the order of lines."""

from __future__ import annotations

import pytest

from dissolver.dockerfile.parse import parse
from dissolver.errors import DissolverError, DockerfileErrors
from plan.planning import failure_of, graph_of, lower_all


def mistakes(text: str) -> list[tuple[int, str]]:
    error = failure_of(lambda: lower_all(graph_of(text)))
    if error is None:
        return []
    errors = error.errors if isinstance(error, DockerfileErrors) else (error,)
    return [(each.where.line if each.where is not None else 0, each.message) for each in errors]


CASES = [
    # Each instruction has its own.
    ("FROM a\nRUM x\nCOPY y\nENV z",
     [(2, "unknown instruction `RUM`"),
      (3, "`COPY` requires at least two arguments, but only one was provided"),
      (4, "`ENV` must have two arguments")]),
    # A line that cannot be cut, and one that makes no sense.
    ('FROM a\nRUN [1]\nCOPY --nope a b',
     [(2, "an array in JSON form must hold nothing but strings"),
      (3, "unknown flag `--nope` of `COPY`")]),
    # FROM lines of different stages.
    ("FROM $A\nFROM b:/c\nFROM --platform=linux/$x d",
     [(1, "base name `$A` should not be blank"),
      (2, "the registry `b:` of `b:/c` is not a host name"),
      (3, "`linux/` is not a platform")]),
    # Origins.
    ("FROM a\nCOPY --from=9 a b\nCOPY --from=$X a b\nRUN --mount=from=1,target=/x y",
     [(2, "invalid stage index `9`"),
      (3, "variables are not expanded in `--from`"),
      (4, "`--mount` takes no stage index, such as `1`")]),
    # Values.
    ("FROM a\nEXPOSE x\nSTOPSIGNAL y\nCOPY --chmod=9 a b",
     [(2, "invalid containerPort `x`"),
      (3, "invalid signal `y`"),
      (4, "invalid chmod parameter `9`")]),
    # Stages that are built on each other, and others.
    ("FROM a AS one\nEXPOSE x\nFROM one AS two\nEXPOSE y\nFROM b\nCOPY --from=two a b\nEXPOSE z",
     [(2, "invalid containerPort `x`"), (7, "invalid containerPort `z`")]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_mistakes_are_told_together(text: str, expected: list[tuple[int, str]]) -> None:
    assert mistakes(text) == expected


def test_one_mistake_is_told_as_itself() -> None:
    error = failure_of(lambda: parse("FROM a\nRUM x"))
    assert isinstance(error, DissolverError)
    assert not isinstance(error, DockerfileErrors)


def test_a_group_counts_and_names_the_file() -> None:
    error = failure_of(lambda: parse("FROM a\nRUM x\nCOPY", name="app.Dockerfile"))
    assert isinstance(error, DockerfileErrors)
    assert error.message == "there are 2 mistakes in `app.Dockerfile`"
    assert error.where == error.errors[0].where


def test_a_forgotten_continuation_is_one_mistake() -> None:
    text = "FROM a\nRUN apt-get install \\\n  git\n  curl\n  make\nCOPY x"
    assert mistakes(text) == [
        (4, "unknown instruction `curl`"),
        (6, "`COPY` requires at least two arguments, but only one was provided"),
    ]
    error = failure_of(lambda: parse("FROM a\nRUN apt-get install\n  git\n  curl"))
    assert error is not None
    assert error.hint == "to continue `RUN`, end line 2 with `\\`"


@pytest.mark.parametrize(
    "text",
    ["FROM a\nINSTALL b", "FROM a\nRUN b\n\nINSTALL c", "FROM a\nRUN <<E\nE\nINSTALL c"],
)
def test_lines_that_continue_nothing_get_no_such_hint(text: str) -> None:
    error = failure_of(lambda: parse(text))
    assert error is not None
    assert error.hint is None


def test_an_open_document_ends_the_search() -> None:
    assert mistakes("FROM a\nRUM x\nRUN <<EOF\nnot an instruction\n") == [
        (2, "unknown instruction `RUM`"),
        (3, "unterminated heredoc `EOF`"),
    ]


def test_what_follows_from_a_variable_that_failed_is_not_told() -> None:
    assert mistakes("FROM a\nARG A=${B:?gone}\nCOPY ${A:?no A} /x\nEXPOSE y") == [(2, "`B`: gone")]


def test_a_missing_from_is_not_told_on_top_of_other_mistakes() -> None:
    assert mistakes("RUN a\nRUM b") == [(2, "unknown instruction `RUM`")]
