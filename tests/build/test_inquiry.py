"""Checks, fixes, outlines and triggers with a store and a context at hand."""

from __future__ import annotations

import pytest

from build.conftest import Site
from dissolver.build.events import Warning_
from dissolver.errors import DockerfileError, DockerfileErrors


def names(site: Site, text: str, **words: str) -> list[tuple[int, str]]:
    report = site.engine.check_dockerfile(site.directory, dockerfile_text=text, **words)  # type: ignore[arg-type]
    return [(finding.where.line, finding.rule.name) for finding in report.findings]


def test_a_base_image_of_the_store_is_looked_at(site: Site) -> None:
    assert names(site, "FROM box\nENV A=$PATH B=$NOPE") == [(2, "UndefinedVar")]
    assert names(site, "FROM unknown\nENV A=$PATH B=$NOPE") == []


def test_the_context_is_looked_at(site: Site) -> None:
    site.write({"package.json": "{}", ".git/HEAD": "x", "sub/.env": "x", ".env": "x"})
    text = "FROM box\nCOPY . .\nRUN npm ci"
    assert names(site, text) == [
        (2, "CopyBeforeInstall"),
        (2, "SecretCopied"),
        (2, "GitDirectoryInContext"),
    ]
    site.write({".dockerignore": ".git\n.env\n"})
    assert names(site, text) == [(2, "CopyBeforeInstall")]
    assert names(site, "FROM box\nCOPY .env /x") == [(2, "CopyIgnoredFile"), (2, "SecretCopied")]


def test_all_stages_are_checked_unless_a_target_is_named(site: Site) -> None:
    text = "FROM box AS one\nEXPOSE 1/TCP\nFROM box AS two\nEXPOSE 2/TCP"
    assert names(site, text) == [(2, "ExposeProtoCasing"), (4, "ExposeProtoCasing")]
    assert names(site, text, target="one") == [(2, "ExposeProtoCasing")]


def test_a_mistake_is_a_part_of_the_answer(site: Site) -> None:
    report = site.engine.check_dockerfile(
        site.directory, dockerfile_text="FROM box as b\nEXPOSE x\nSTOPSIGNAL y"
    )
    assert [finding.rule.name for finding in report.findings] == ["FromAsCasing"]
    assert isinstance(report.error, DockerfileErrors)
    broken = site.engine.check_dockerfile(site.directory, dockerfile_text="RUM x")
    assert (broken.findings, type(broken.error).__name__) == ((), "UnknownInstruction")


def test_a_fix_changes_no_file(site: Site) -> None:
    site.write({"Dockerfile": "FROM box as b\nCMD x\nCOPY . .\n"})
    report = site.engine.fix_dockerfile(site.directory)
    assert report.after == 'FROM box AS b\nCMD ["x"]\nCOPY . .\n'
    assert [finding.rule.name for finding in report.fixed] == [
        "FromAsCasing",
        "JSONArgsRecommended",
    ]
    assert report.left.path == str(site.directory / "Dockerfile")
    assert report.diff.startswith("--- Dockerfile\n")
    assert (site.directory / "Dockerfile").read_text().startswith("FROM box as b")


def test_outlines_and_targets_need_no_images(site: Site) -> None:
    text = "ARG V=1\nFROM unknown:$V AS a\nFROM a AS b\nARG X=y"
    outline = site.engine.outline(site.directory, dockerfile_text=text)
    assert [(argument.name, argument.value) for argument in outline.arguments] == [
        ("V", "1"),
        ("X", "y"),
    ]
    targets = site.engine.targets(site.directory, dockerfile_text=text)
    assert [target.name for target in targets] == ["a", "b"]


def test_a_build_tells_what_it_finds(site: Site) -> None:
    told = site.build("FROM box as b\nEXPOSE 80/TCP\n")
    warnings = [event for event in told.events if isinstance(event, Warning_)]
    assert [(w.message, w.where.line if w.where else 0) for w in warnings] == [
        ("FromAsCasing: 'as' and 'FROM' keywords' casing do not match", 1),
        ("ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
         2),
    ]  # fmt: skip


def test_a_build_fails_if_its_file_says_so(site: Site) -> None:
    with pytest.raises(DockerfileError, match="lint violation found for rules: FromAsCasing"):
        site.build("# check=error=true\nFROM box as b\n")
    site.build("# check=error=true;skip=FromAsCasing\nFROM box as b\n")


def test_triggers_of_a_base_image_are_carried_out(site: Site) -> None:
    site.write({"a": "1"})
    base = (
        "FROM box\nONBUILD COPY a /a\nONBUILD COPY --from=tools /b /b\nONBUILD RUN cat /a /b >/c\n"
    )
    told = site.build(base, tags=["with-triggers"])
    assert told.names[-1] == "exporting to image"
    child = 'FROM box AS tools\nRUN echo 2 >/b\nFROM with-triggers\nRUN test "$(cat /c)" = 12\n'
    found = site.build(child)
    assert [name for name in found.names if "ONBUILD" in name] == [
        "[stage-1 2/5] ONBUILD COPY a /a",
        "[stage-1 3/5] ONBUILD COPY --from=tools /b /b",
        "[stage-1 4/5] ONBUILD RUN cat /a /b >/c",
    ]
    assert site.engine.image(found.image).config.config.on_build == ()


def test_named_contexts_take_the_place_of_images_in_questions_as_well(site: Site) -> None:
    text = "FROM ext\nENV A=$PATH B=$NOPE\nCOPY --from=files f /f\n"
    contexts = {"ext": "docker-image://box", "files": str(site.directory)}
    report = site.engine.check_dockerfile(site.directory, dockerfile_text=text, contexts=contexts)
    assert [(finding.where.line, finding.rule.name) for finding in report.findings] == [
        (2, "UndefinedVar")
    ]
    told = site.engine.plan(site.directory, dockerfile_text=text, contexts=contexts)
    assert "FROM docker.io/library/box:latest" in told
    assert "context files" in told
    layout = site.engine.check_dockerfile(
        site.directory, dockerfile_text=text, contexts={"ext": "oci-layout:///nowhere"}
    )
    assert (layout.findings, layout.error) == ((), None)


def test_a_question_may_be_about_another_platform(site: Site) -> None:
    text = "ARG TARGETARCH\nFROM --platform=$TARGETPLATFORM box-$TARGETARCH AS b\n"
    told = site.engine.outline(site.directory, dockerfile_text=text, platform="linux/arm64")
    assert [(one.name, one.value) for one in told.arguments] == [("TARGETARCH", "arm64")]
