"""docs/checks.md: a paragraph for every rule, where the rules point to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dissolver.plan.checks.findings import Finding
from dissolver.plan.checks.rules import BUILDKIT_RULES, OWN_RULES, RULES, Rule
from plan.checking import findings_of, listing
from plan.test_rules import VIOLATIONS

PAGE = (Path(__file__).parents[2] / "docs" / "checks.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^### (\w+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
PARAGRAPHS = dict(SECTION.findall(PAGE))


def test_the_page_has_the_rules_in_their_order() -> None:
    assert sorted(PARAGRAPHS) == sorted(rule.name for rule in RULES)
    ours = PAGE.index("## Rules of our own")
    assert all(PAGE.index(f"### {rule.name}\n") < ours for rule in BUILDKIT_RULES)
    assert all(PAGE.index(f"### {rule.name}\n") > ours for rule in OWN_RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_has_one_paragraph(rule: Rule) -> None:
    text = PARAGRAPHS[rule.name].strip()
    assert len(text) > 40
    assert "\n\n" not in text


@pytest.mark.parametrize("rule", OWN_RULES, ids=lambda rule: rule.name)
def test_own_rules_point_to_their_paragraphs(rule: Rule) -> None:
    assert rule.url == f"docs/checks.md#{rule.name.lower()}"


def test_the_page_says_which_rules_can_be_fixed() -> None:
    context = listing("package.json", ".env", ".git/", "node_modules/")
    texts = [text for _, text, _ in VIOLATIONS]
    texts += [
        "FROM a\nRUN apt-get update\nRUN apt-get install -y x",
        "FROM a\nCOPY . .\nRUN npm ci",
    ]
    found: list[Finding] = []
    for text in texts:
        found += findings_of(text, listing=context, build_args={"TAG": "1", "B": "b"})
    fixable = {finding.rule.name for finding in found if finding.fix}
    told = {name for name, text in PARAGRAPHS.items() if "`--fix`" in text}
    assert fixable == told
