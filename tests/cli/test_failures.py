"""Every mistake looks the same: what, where with the line, what to try."""

from __future__ import annotations

import pytest

from dissolver.cli.render.failures import failure, hint, warning
from dissolver.errors import DissolverError, DockerfileErrors, StepFailed, UnknownStage, Where


def test_the_error_of_the_style_guide() -> None:
    where = Where("Dockerfile", 7, 7, ("COPY --from=bulider /app /app",), 12, 7)
    error = UnknownStage(
        "unknown stage `bulider`", where=where, hint="did you mean `builder`, defined on line 1?"
    )
    assert failure(error) == (
        "error: unknown stage `bulider`\n"
        "  Dockerfile:7\n"
        "    7 │ COPY --from=bulider /app /app\n"
        "      │             ^^^^^^^\n"
        "hint: did you mean `builder`, defined on line 1?\n"
    )


def test_an_error_without_a_place_is_a_line() -> None:
    assert failure(DissolverError("no such thing")) == "error: no such thing\n"


def test_several_lines_are_all_shown_with_their_numbers() -> None:
    where = Where("Dockerfile", 9, 10, ("RUN echo one && \\", "    exit 7"))
    assert failure(DissolverError("it failed", where=where)) == (
        "error: it failed\n  Dockerfile:9\n     9 │ RUN echo one && \\\n    10 │     exit 7\n"
    )


def test_a_long_instruction_is_cut() -> None:
    lines = tuple(f"line {number}" for number in range(1, 31))
    text = failure(DissolverError("it failed", where=Where("Dockerfile", 1, 30, lines)))
    assert "    12 │ line 12\n       │ … 18 more lines\n" in text
    assert "line 13" not in text


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        (None, "x" * 400 + "…"),
        (20, "x" * 20 + "nope" + "x" * 376 + "…"),
        (5000, "…" + "x" * 100 + "nope" + "x" * 296 + "…"),
        (9_996, "…" + "x" * 100 + "nope"),
    ],
)
def test_a_long_line_is_shown_around_the_mistake(column: int | None, shown: str) -> None:
    line = "x" * 10_000
    if column is not None:
        line = f"{line[:column]}nope{line[column + 4 :]}"
    where = Where("Dockerfile", 1, 1, (line,), column, None if column is None else 4)
    source, *marks = failure(DissolverError("bad", where=where)).splitlines()[2:]
    assert source == f"    1 │ {shown}"
    if column is not None:
        assert marks == ["      │ " + " " * shown.index("nope") + "^^^^"]


def test_the_caret_stands_below_wide_characters_and_tabs() -> None:
    where = Where("Dockerfile", 2, 2, ("\tCOPY 日本 nope /x",), 9, 4)
    assert failure(DissolverError("missing", where=where)).splitlines()[2:] == [
        "    2 │     COPY 日本 nope /x",
        "      │               ^^^^",
    ]


def test_a_place_without_a_length_marks_the_rest_of_the_line() -> None:
    where = Where("Dockerfile", 1, 1, ("FROM a b",), 5, None)
    assert failure(DissolverError("bad", where=where)).splitlines()[-1] == "      │      ^^^"


def test_a_place_without_source_is_named() -> None:
    assert failure(DissolverError("bad", where=Where("config.toml", 3, 3))) == (
        "error: bad\n  config.toml:3\n"
    )


def test_the_output_of_a_step_comes_first_unless_it_was_shown() -> None:
    error = StepFailed(
        'process "/bin/sh -c exit 3" did not complete successfully: exit code: 3',
        status=3,
        detail=("going down",),
    )
    assert failure(error).splitlines()[:3] == ["------", "going down", "------"]
    assert failure(error, with_detail=False).startswith("error: process")


@pytest.mark.parametrize("text", ["\x1b[2J", "\x07", "\udcff"])
def test_nothing_in_an_error_steers_the_terminal(text: str) -> None:
    where = Where(f"f{text}", 1, 1, (f"COPY {text}",), 5, 1)
    error = DissolverError(f"cannot read `{text}`", hint=f"not {text}", where=where)
    assert text not in failure(error)


@pytest.mark.parametrize(
    "text", ["/" + "x/" * 6000 + "end", "{}", "`{}`", "two names, `{}` and `{}`", "a `{} {}` b"]
)
def test_the_middle_of_a_long_name_is_left_out(text: str) -> None:
    name = "/begin" + "/x" * 6000 + "/end"
    shown = failure(DissolverError(text.format(name, name), hint=f"not {name}"))
    assert len(shown) < 1500
    assert "characters left out)…" in shown
    assert shown.count("/end") >= min(2, text.count("{}"))


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    assert failure(DissolverError(f"no `{'a' * 500}{'b' * 500}`")) == (
        f"error: no `{'a' * 99}…(802 characters left out)…{'b' * 99}`\n"
    )


def test_ordinary_names_are_left_alone() -> None:
    message = f"no `/{'directory/' * 25}file`: " + "words and " * 100
    assert failure(DissolverError(message)) == f"error: {message}\n"


def test_a_name_with_a_line_end_is_no_further_message() -> None:
    text = failure(DissolverError("no `a\nerror: b`", hint="c\nd"))
    assert text == "error: no `a\\nerror: b`\nhint: c\\nd\n"


def test_colours_mark_the_words_and_the_place() -> None:
    where = Where("Dockerfile", 1, 1, ("FRM a",), 0, 3)
    text = failure(DissolverError("bad", where=where, hint="try"), colored=True)
    assert text == (
        "\x1b[1;31merror:\x1b[0m bad\n"
        "  \x1b[34mDockerfile:1\x1b[0m\n"
        "    \x1b[34m1\x1b[0m \x1b[34m│\x1b[0m FRM a\n"
        "      \x1b[34m│\x1b[0m \x1b[1;31m^^^\x1b[0m\n"
        "\x1b[1;36mhint:\x1b[0m try\n"
    )


def test_hints_and_warnings_have_their_own_word() -> None:
    assert hint("try this") == "hint: try this\n"
    assert warning("odd") == "warning: odd\n"
    assert warning("odd", Where("Dockerfile", 1, 1, ("run x",), 0, 3)) == (
        "warning: odd\n  Dockerfile:1\n    1 │ run x\n      │ ^^^\n"
    )


def test_several_mistakes_are_shown_one_below_the_other() -> None:
    first = DissolverError("no `a`", where=Where("Dockerfile", 2, 2, ("RUM a",), 0, 3))
    second = DissolverError("no `b`", where=Where("Dockerfile", 4, 4, ("b",)), hint="try `c`")
    text = failure(DockerfileErrors((first, second)))
    assert text == (
        "error: no `a`\n  Dockerfile:2\n    2 │ RUM a\n      │ ^^^\n"
        "error: no `b`\n  Dockerfile:4\n    4 │ b\nhint: try `c`\n"
        "error: there are 2 mistakes in `Dockerfile`\n"
    )


def test_ten_mistakes_are_enough_to_show() -> None:
    mistakes = tuple(
        DissolverError(f"no `{n}`", where=Where("Dockerfile", n, n, ("x",))) for n in range(1, 30)
    )
    text = failure(DockerfileErrors(mistakes))
    assert text.count("Dockerfile:") == 10
    assert text.endswith("error: there are 29 mistakes in `Dockerfile`\n")
