"""Fixes: they touch nothing else, they are complete, and they keep what a file means."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dissolver.errors import DissolverError, Where
from dissolver.image.config import RunConfig
from dissolver.plan.checks import rules
from dissolver.plan.checks.findings import Edit, Finding
from dissolver.plan.checks.fix import apply_fixes, fix_text, unified_diff
from plan.checking import findings_of
from plan.planning import graph_of, lower_all
from plan.test_rules import VIOLATIONS

PLACE = Where("Dockerfile", 1, 1)


def finding(*edits: Edit) -> Finding:
    return Finding(rules.FROM_AS_CASING, "x", PLACE, edits)


EDITS = [
    ("ab\ncd\n", [Edit(1, 0, 1, 1, "x")], "xb\ncd\n"),
    ("ab\ncd\n", [Edit(1, 1, 2, 1, "-")], "a-d\n"),
    ("ab\ncd\n", [Edit(1, 2, 1, 2, "!\n?")], "ab!\n?\ncd\n"),
    ("ab\ncd\nef\n", [Edit(2, 0, 3, 0, "")], "ab\nef\n"),
    ("ab\ncd\n", [Edit(2, 0, 3, 0, "")], "ab\n"),
    ("ab\ncd", [Edit(2, 0, 3, 0, "")], "ab"),
    ("ab", [Edit(1, 0, 2, 0, "")], ""),
    ("ab\r\ncd\r\n", [Edit(1, 1, 1, 2, "x")], "ax\r\ncd\r\n"),
    ("\ufeffab\n", [Edit(1, 0, 1, 1, "x")], "\ufeffxb\n"),
    ("ab\ncd\n", [Edit(1, 0, 1, 1, "x"), Edit(2, 1, 2, 2, "y")], "xb\ncy\n"),
    ("abc", [Edit(1, 0, 1, 1, "x"), Edit(1, 1, 1, 2, "y")], "xyc"),
]


@pytest.mark.parametrize(("text", "edits", "expected"), EDITS)
def test_an_edit_changes_what_it_says(text: str, edits: list[Edit], expected: str) -> None:
    assert apply_fixes(text, [finding(edit) for edit in edits]).text == expected


def test_of_two_that_touch_each_other_the_first_is_applied() -> None:
    first, second = finding(Edit(1, 0, 1, 2, "x")), finding(Edit(1, 1, 1, 3, "y"))
    fixed = apply_fixes("abcd", [first, second])
    assert (fixed.text, fixed.fixed) == ("xcd", (first,))


def test_edits_of_a_fix_belong_together() -> None:
    first = finding(Edit(1, 0, 1, 1, "x"))
    second = finding(Edit(1, 2, 1, 3, "y"), Edit(1, 0, 1, 1, "z"))
    assert apply_fixes("abcd", [first, second]).text == "xbcd"


def test_a_fix_that_changes_nothing_ends() -> None:
    same = finding(Edit(1, 0, 1, 1, "a"))
    assert fix_text("abc", lambda _: (same,)).text == "abc"


def test_a_diff_is_one_that_patch_reads() -> None:
    assert unified_diff("a\nb\n", "a\nc\n", "Dockerfile") == (
        "--- Dockerfile\n+++ Dockerfile\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    )
    assert unified_diff("a", "b", "x").endswith(
        "-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"
    )
    assert unified_diff("a", "a", "x") == ""


CHANGES_CONFIG = {"MaintainerDeprecated", "JSONArgsRecommended"}
"""Rules whose fixes say another thing in the configuration, which is what they are for."""


def configs(text: str) -> dict[int, RunConfig]:
    return {index: stage.config.config for index, stage in lower_all(graph_of(text)).items()}


@pytest.mark.parametrize(("rule", "text", "_"), VIOLATIONS)
def test_a_fixed_file_means_the_same(rule: str, text: str, _: object) -> None:
    try:
        before = configs(text)
    except DissolverError:
        return
    fixed = fix_text(
        text,
        lambda text: tuple(f for f in findings_of(text) if f.rule.name not in CHANGES_CONFIG),
    )
    assert configs(fixed.text) == before


@pytest.mark.parametrize(("rule", "text", "_"), VIOLATIONS)
def test_a_fixed_file_has_nothing_left_to_fix(rule: str, text: str, _: object) -> None:
    try:
        fixed = fix_text(text, findings_of)
        left = [f.rule.name for f in findings_of(fixed.text) if f.fix]
    except DissolverError:
        return
    assert left == []


PARTS = st.sampled_from(
    [
        "FROM a as Build\n", "from b\n", "FROM --platform=$TARGETPLATFORM c\n", "ENV a b\n",
        "env a  b c\n", "LABEL a 'b c'\n", "RUN x \\\n\n  y\n", "RUN apt-get update\n",
        "RUN apt-get install -y z\n", "MAINTAINER me <a@b>\n", "CMD node x.js\n", "Cmd y\n",
        "ENTRYPOINT z\n", "EXPOSE 80/TCP\n", "EXPOSE 1:80 \\\n 2:81/UDP\n", "WORKDIR w\n",
        "HEALTHCHECK CMD x\n", "# c\n", "\n", "EXPOSE 80/Tcp 1.2.3.4:5:6/UDP 7\n",
    ]
)  # fmt: skip


@given(st.lists(PARTS, max_size=12), st.booleans())
@settings(max_examples=200, deadline=None)
def test_fixes_end_and_keep_the_file_readable(parts: list[str], has_returns: bool) -> None:
    text = "FROM base\n" + "".join(parts)
    if has_returns:
        text = text.replace("\n", "\r\n")
    fixed = fix_text(text, findings_of)
    assert [f.rule.name for f in findings_of(fixed.text) if f.fix] == []
    before, after = configs(text), configs(fixed.text)
    for index, run in before.items():
        # What the two rules change on purpose is left out of the comparison.
        plain = {"cmd": (), "entrypoint": (), "labels": {}}
        assert replace(after[index], **plain) == replace(run, **plain)
