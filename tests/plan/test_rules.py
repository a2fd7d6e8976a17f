"""Each rule that BuildKit has: what violates it, in its words, and what does not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dissolver.image.config import RunConfig
from dissolver.image.platform import Platform
from dissolver.plan.checks.rules import BUILDKIT_RULES, OWN_RULES, RULES
from plan.checking import findings_of, listing, told
from plan.planning import EMPTY

VIOLATIONS: list[tuple[str, str, list[tuple[int, str]]]] = [
    ("StageNameCasing", "FROM a AS Base",
     [(1, "Stage name 'Base' should be lowercase")]),
    ("StageNameCasing", "FROM a AS b\nFROM b AS C-d",
     [(2, "Stage name 'C-d' should be lowercase")]),
    ("FromAsCasing", "FROM a as b", [(1, "'as' and 'FROM' keywords' casing do not match")]),
    ("FromAsCasing", "from a AS b", [(1, "'AS' and 'from' keywords' casing do not match")]),
    ("FromAsCasing", "FROM a As b", [(1, "'As' and 'FROM' keywords' casing do not match")]),
    ("NoEmptyContinuation", "FROM a\nRUN b \\\n\n  c", [(3, "Empty continuation line")]),
    ("NoEmptyContinuation", "FROM a\nEXPOSE \\\n \n# c\n\n80", [(3, "Empty continuation line")]),
    ("NoEmptyContinuation", "FROM a\nRUN cat <<E \\\n\n>x\n\nE", [(3, "Empty continuation line")]),
    ("ConsistentInstructionCasing", "FROM a\nRUN b\nrun c",
     [(3, "Command 'run' should match the case of the command majority (uppercase)")]),
    ("ConsistentInstructionCasing", "from a\nrun b\nRun c",
     [(3, "Command 'Run' should match the case of the command majority (lowercase)")]),
    ("ConsistentInstructionCasing", "FROM a\nrun b",
     [(2, "Command 'run' should match the case of the command majority (uppercase)")]),
    ("DuplicateStageName", "FROM a AS b\nFROM c AS b",
     [(2, 'Duplicate stage name "b", stage names should be unique')]),
    ("DuplicateStageName", "FROM a AS b\nFROM c AS B",
     [(2, 'Duplicate stage name "b", stage names should be unique')]),
    ("ReservedStageName", "FROM a AS scratch",
     [(1, 'Stage name should not use the same name as reserved stage "scratch"')]),
    ("ReservedStageName", "FROM a AS Context",
     [(1, 'Stage name should not use the same name as reserved stage "context"')]),
    ("JSONArgsRecommended", "FROM a\nCMD b c",
     [(2, ("JSON arguments recommended for CMD to prevent unintended behavior related to "
          "OS signals"))]),
    ("JSONArgsRecommended", "FROM a\nENTRYPOINT b",
     [(2, ("JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to "
          "OS signals"))]),
    ("JSONArgsRecommended", "FROM a\nCMD ['b']",
     [(2, ("JSON arguments recommended for CMD to prevent unintended behavior related to "
          "OS signals"))]),
    ("MaintainerDeprecated", "FROM a\nMAINTAINER me",
     [(2, "Maintainer instruction is deprecated in favor of using label")]),
    ("UndefinedArgInFrom", "ARG VERSION=1\nFROM a:${VERSIO}b",
     [(2, "FROM argument 'VERSIO' is not declared (did you mean VERSION?)")]),
    ("UndefinedArgInFrom", "FROM --platform=linux/${ARCH:-amd64} a",
     [(1, "FROM argument 'ARCH' is not declared")]),
    ("UndefinedVar", "FROM a\nENV B=$C",
     [(2, "Usage of undefined variable '$C'")]),
    ("UndefinedVar", "FROM a\nARG VERSION\nENV B=$VERSON",
     [(3, "Usage of undefined variable '$VERSON'")]),
    ("UndefinedVar", "FROM a\nARG VERSION=1\nENV B=$VERSON",
     [(3, "Usage of undefined variable '$VERSON' (did you mean $VERSION?)")]),
    ("UndefinedVar", "FROM a\nENV PATH=/x:$PAHT",
     [(2, "Usage of undefined variable '$PAHT' (did you mean $PATH?)")]),
    ("UndefinedVar", "FROM a\nCOPY $A $A /$B",
     [(2, "Usage of undefined variable '$A'"), (2, "Usage of undefined variable '$B'")]),
    ("UndefinedVar", "FROM a\nENV A=1 B=$A", [(2, "Usage of undefined variable '$A'")]),
    ("UndefinedVar", "FROM a\nENV A=${B:-c}", [(2, "Usage of undefined variable '$B'")]),
    ("UndefinedVar", "FROM a\nCOPY <<E /x\n$A\nE", [(2, "Usage of undefined variable '$A'")]),
    ("UndefinedVar", "FROM a\nRUN --mount=target=/$A b",
     [(2, "Usage of undefined variable '$A'")]),
    ("UndefinedVar", "FROM a\nLABEL x=$A\nEXPOSE $B\nUSER $C\nVOLUME /$D\nWORKDIR /$E\nARG F=$G",
     [(2, "Usage of undefined variable '$A'"), (3, "Usage of undefined variable '$B'"),
      (4, "Usage of undefined variable '$C'"), (5, "Usage of undefined variable '$D'"),
      (6, "Usage of undefined variable '$E'"), (7, "Usage of undefined variable '$G'")]),
    ("UndefinedVar", "ARG A=1\nFROM a\nENV B=$A", [(3, "Usage of undefined variable '$A'")]),
    ("UndefinedVar", "FROM a AS b\nARG A=1\nFROM c\nENV B=$A",
     [(4, "Usage of undefined variable '$A'")]),
    ("WorkdirRelativePath", "FROM a\nWORKDIR b",
     [(2, 'Relative workdir "b" can have unexpected results if the base image changes')]),
    ("WorkdirRelativePath", "FROM a\nWORKDIR b\nWORKDIR c",
     [(2, 'Relative workdir "b" can have unexpected results if the base image changes')]),
    ("WorkdirRelativePath", "FROM a\nENV A=b\nWORKDIR $A",
     [(3, 'Relative workdir "b" can have unexpected results if the base image changes')]),
    ("MultipleInstructionsDisallowed", 'FROM a\nCMD ["a"]\nCMD ["b"]\nCMD ["c"]',
     [(2, ("Multiple CMD instructions should not be used in the same stage because only the last "
          "one will be used")),
      (3, ("Multiple CMD instructions should not be used in the same stage because only the last "
          "one will be used"))]),
    ("MultipleInstructionsDisallowed", "FROM a\nHEALTHCHECK NONE\nRUN b\nHEALTHCHECK CMD c",
     [(2, ("Multiple HEALTHCHECK instructions should not be used in the same stage because only "
          "the last one will be used"))]),
    ("LegacyKeyValueFormat", "FROM a\nENV b c",
     [(2, '"ENV key=value" should be used instead of legacy "ENV key value" format')]),
    ("LegacyKeyValueFormat", "FROM a\nLABEL b c d",
     [(2, '"LABEL key=value" should be used instead of legacy "LABEL key value" format')]),
    ("RedundantTargetPlatform", "FROM --platform=$TARGETPLATFORM a",
     [(1, ("Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the "
          "default behavior"))]),
    ("RedundantTargetPlatform", "FROM --platform=${TARGETPLATFORM} a",
     [(1, ("Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the "
          "default behavior"))]),
    ("FromPlatformFlagConstDisallowed", "FROM --platform=linux/arm64 a",
     [(1, 'FROM --platform flag should not use constant value "linux/arm64"')]),
    ("FromPlatformFlagConstDisallowed", "FROM --platform=linux/arm64 a AS build",
     [(1, 'FROM --platform flag should not use constant value "linux/arm64"')]),
    ("SecretsUsedInArgOrEnv", "FROM a\nARG API_TOKEN",
     [(2, 'Do not use ARG or ENV instructions for sensitive data (ARG "API_TOKEN")')]),
    ("SecretsUsedInArgOrEnv", "FROM a\nENV aws_secret_key=x PASSWORD=y",
     [(2, 'Do not use ARG or ENV instructions for sensitive data (ENV "PASSWORD")'),
      (2, 'Do not use ARG or ENV instructions for sensitive data (ENV "aws_secret_key")')]),
    ("SecretsUsedInArgOrEnv", "FROM a\nENV apikey=x",
     [(2, 'Do not use ARG or ENV instructions for sensitive data (ENV "apikey")')]),
    ("InvalidDefaultArgInFrom", "ARG TAG\nFROM a:$TAG",
     [(2, "Default value for ARG a:$TAG results in empty or invalid base image name")]),
    ("InvalidDefaultArgInFrom", "ARG B\nFROM ${B}",
     [(2, "Default value for ARG ${B} results in empty or invalid base image name")]),
    ("ExposeProtoCasing", "FROM a\nEXPOSE 80/TCP 81/udp 82/Sctp",
     [(2, "Defined protocol '80/TCP' in EXPOSE instruction should be lowercase"),
      (2, "Defined protocol '82/Sctp' in EXPOSE instruction should be lowercase")]),
    ("ExposeInvalidFormat", "FROM a\nEXPOSE 127.0.0.1:80:80 8080:80 90",
     [(2, ("EXPOSE instruction should not define an IP address or host-port mapping, found "
          "'127.0.0.1:80:80'")),
      (2, ("EXPOSE instruction should not define an IP address or host-port mapping, found "
          "'8080:80'"))]),
]  # fmt: skip

ARGUMENTS = {"InvalidDefaultArgInFrom": {"TAG": "1", "B": "b"}}


@pytest.mark.parametrize(("rule", "text", "expected"), VIOLATIONS)
def test_a_rule_is_violated(rule: str, text: str, expected: list[tuple[int, str]]) -> None:
    findings = findings_of(text, build_args=ARGUMENTS.get(rule))
    assert sorted(told(findings, rule)) == sorted(expected)


CLEAN = [
    ("StageNameCasing", "FROM a AS b-c.d_1"),
    ("StageNameCasing", "FROM a"),
    ("FromAsCasing", "FROM a AS b"),
    ("FromAsCasing", "from a as b"),
    ("FromAsCasing", "From a as b"),
    ("NoEmptyContinuation", "FROM a\nRUN b \\\n# c\n  d\n\nRUN e"),
    ("NoEmptyContinuation", "FROM a\nRUN <<E\n\nE"),
    ("ConsistentInstructionCasing", "from a\nrun b"),
    ("ConsistentInstructionCasing", "arg A\nFROM a\nRUN b"),
    ("DuplicateStageName", "FROM a AS b\nFROM a AS c\nFROM a"),
    ("ReservedStageName", "FROM scratch AS scratch2"),
    ("JSONArgsRecommended", 'FROM a\nCMD ["b"]\nENTRYPOINT []'),
    ("JSONArgsRecommended", 'FROM a\nSHELL ["/b", "-c"]\nCMD c'),
    ("JSONArgsRecommended", "FROM a\nRUN b\nHEALTHCHECK CMD c"),
    ("MaintainerDeprecated", "FROM a\nLABEL maintainer=me"),
    ("UndefinedArgInFrom", "ARG A=1\nFROM a:$A"),
    ("UndefinedArgInFrom", "ARG A\nFROM a:${A:-1}"),
    ("UndefinedArgInFrom", "FROM --platform=$BUILDPLATFORM a"),
    ("UndefinedVar", "FROM a\nENV B=$PATH"),
    ("UndefinedVar", "FROM a\nARG B\nENV C=$B"),
    ("UndefinedVar", "FROM a\nRUN $B\nCMD $C\nENTRYPOINT $D"),
    ("UndefinedVar", "FROM a\nENV B='$C' D=\\$E"),
    ("UndefinedVar", "FROM a AS b\nENV A=1\nARG B=2\nFROM b\nENV C=$A$B"),
    ("UndefinedVar", "FROM a\nCOPY <<'E' /x\n$A\nE"),
    ("UndefinedVar", "FROM a\nONBUILD ENV A=$B"),
    ("WorkdirRelativePath", "FROM a\nWORKDIR /b\nWORKDIR c"),
    ("WorkdirRelativePath", "FROM a\nENV A=/b\nWORKDIR $A"),
    ("WorkdirRelativePath", "FROM a AS b\nWORKDIR /c\nFROM b\nWORKDIR d"),
    ("MultipleInstructionsDisallowed", 'FROM a\nCMD ["b"]\nFROM c\nCMD ["d"]'),
    ("MultipleInstructionsDisallowed", 'FROM a\nENTRYPOINT ["b"]\nCMD ["d"]'),
    ("LegacyKeyValueFormat", "FROM a\nENV b=c\nLABEL d=e"),
    ("RedundantTargetPlatform", "FROM --platform=$BUILDPLATFORM a"),
    ("RedundantTargetPlatform", "FROM --platform=$TARGETPLATFORM$A a"),
    ("FromPlatformFlagConstDisallowed", "FROM --platform=linux/arm64 a AS build_arm64"),
    ("FromPlatformFlagConstDisallowed", "FROM --platform=linux/arm64 a AS linux"),
    ("FromPlatformFlagConstDisallowed", "FROM --platform=$BUILDPLATFORM a"),
    ("SecretsUsedInArgOrEnv", "FROM a\nARG TOKENIZER\nENV PUBLIC_KEY=x KEY_FILE=y AUTHOR=z"),
    ("SecretsUsedInArgOrEnv", "FROM a\nENV SECRET_VERSION=1 MONKEY=2 PASSWORDLESS=3"),
    ("SecretsUsedInArgOrEnv", "ARG TOKEN\nFROM a"),
    ("InvalidDefaultArgInFrom", "ARG TAG=1\nFROM a:$TAG"),
    ("InvalidDefaultArgInFrom", "ARG TAG\nFROM a:${TAG:-1}"),
    ("InvalidDefaultArgInFrom", "ARG S=b\nFROM a AS b\nFROM $S\nFROM scratch"),
    ("CopyIgnoredFile", "FROM a\nCOPY b /c"),
    ("InvalidDefinitionDescription", "# not about it\nFROM a AS b"),
    ("ExposeProtoCasing", "FROM a\nEXPOSE 80/tcp 90"),
    ("ExposeInvalidFormat", "FROM a\nEXPOSE 80 90-99/udp"),
]


@pytest.mark.parametrize(("rule", "text"), CLEAN)
def test_a_rule_is_kept(rule: str, text: str) -> None:
    assert told(findings_of(text), rule) == []


DESCRIPTIONS = [
    ("# b builds it\nFROM a AS b", []),
    ("# builds it\nFROM a AS b", [(2, "FROM", "b")]),
    ("# check=skip=all\nFROM a AS b", []),
    ("# b builds it\n\nFROM a AS b", []),
    ("# builds it\n\nFROM a AS b", []),
    ("# builds it\n#\nFROM a AS b", []),
    ("# Syntax = x\nFROM a AS b", []),
    ("# builds it\nFROM a", []),
    ("FROM a\n# A is\nARG A", []),
    ("FROM a\n# what A is\nARG A", [(3, "ARG", "A")]),
    ("FROM a\n# what A is\nARG A B", [(3, "ARG", "<arg_key>")]),
    ("FROM a\n# more\n# B is\nARG A B", []),
]


@pytest.mark.parametrize(("text", "expected"), DESCRIPTIONS)
def test_descriptions_begin_with_a_name(text: str, expected: list[tuple[int, str, str]]) -> None:
    found = findings_of(f"# check=experimental=all\n\n{text}")
    assert told(found, "InvalidDefinitionDescription") == [
        (line + 2, f"Comment for {kind} should follow the format: `# {name} <description>`")
        for line, kind, name in expected
    ]


IGNORED = [
    (["*.log"], "COPY a.log /x", 'Attempting to Copy file "a.log" that is excluded'),
    (["*.log"], "ADD ./a.log /x", 'Attempting to Add file "a.log" that is excluded'),
    (["dir"], "COPY dir/a /x", 'Attempting to Copy file "dir/a" that is excluded'),
    (["dir"], "COPY /dir/a /x", 'Attempting to Copy file "/dir/a" that is excluded'),
    (["*"], "COPY . /x", 'Attempting to Copy file "." that is excluded'),
    (["**"], "COPY / /x", 'Attempting to Copy file "/" that is excluded'),
    (["*.log"], "COPY . /x", None),
    (["*.log"], "COPY a.txt /x", None),
    (["*.log", "!b.log"], "COPY a.log /x", None),
    (["*.log"], "COPY --from=b a.log /x", None),
    (["*.log"], "ADD https://h/a.log /x", None),
    ([], "COPY a.log /x", None),
]


@pytest.mark.parametrize(("patterns", "line", "message"), IGNORED)
def test_ignored_files_cannot_be_copied(
    patterns: list[str], line: str, message: str | None
) -> None:
    found = findings_of(f"FROM a\n{line}", listing=listing(ignore=patterns))
    expected = [] if message is None else [(2, f"{message} by .dockerignore")]
    assert told(found, "CopyIgnoredFile") == expected


def test_a_base_image_for_another_machine_is_told() -> None:
    base = replace(EMPTY, architecture="arm64")
    found = findings_of("FROM node", base=base)
    assert told(found, "InvalidBaseImagePlatform") == [
        (1, ('Base image node was pulled with platform "linux/arm64", expected "linux/amd64" for '
            "current build"))
    ]  # fmt: skip
    asked = findings_of("FROM node", base=base, platform=Platform("linux", "arm64"))
    assert told(asked, "InvalidBaseImagePlatform") == []
    assert told(findings_of("FROM node", base=None), "InvalidBaseImagePlatform") == []


def test_variables_of_the_base_image_are_defined() -> None:
    base = replace(EMPTY, config=RunConfig(env=("NODE_VERSION=1",)))
    text = "FROM node AS b\nENV A=$NODE_VERSION\nFROM b\nENV C=$NODE_VERSION"
    assert told(findings_of(text, base=base), "UndefinedVar") == []


def test_an_image_that_nobody_looked_at_may_define_anything() -> None:
    text = "FROM node AS b\nENV A=$X\nFROM b\nENV C=$Y\nFROM scratch\nENV D=$Z"
    assert told(findings_of(text, base=None), "UndefinedVar") == [
        (6, "Usage of undefined variable '$Z'")
    ]


def test_a_shell_of_the_base_image_counts() -> None:
    base = replace(EMPTY, config=RunConfig(shell=("/bin/bash", "-c")))
    assert told(findings_of("FROM a\nCMD b", base=base), "JSONArgsRecommended") == []


def test_there_are_22_rules_that_people_know_and_six_of_our_own() -> None:
    assert (len(BUILDKIT_RULES), len(OWN_RULES)) == (22, 6)
    assert len({rule.name for rule in RULES}) == 28
    assert [rule.name for rule in RULES if rule.is_experimental] == ["InvalidDefinitionDescription"]
    assert [rule.name for rule in RULES if not rule.url] == ["InvalidBaseImagePlatform"]


def test_every_rule_has_both_kinds_of_examples() -> None:
    elsewhere = {
        "CopyIgnoredFile", "InvalidBaseImagePlatform", "InvalidDefinitionDescription"
    }  # fmt: skip
    names = {rule.name for rule in BUILDKIT_RULES}
    assert {rule for rule, _, _ in VIOLATIONS} | elsewhere == names
    assert {rule for rule, _ in CLEAN} | elsewhere == names
