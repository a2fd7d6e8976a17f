"""The vertices of a build: their names, their order, their errors."""

from __future__ import annotations

import pytest

from dissolver import Warning_
from dissolver.errors import (
    AmbiguousIdentifier,
    BadReference,
    BuildError,
    ContextError,
    DissolverError,
    DockerfileError,
    ImageNotFound,
    StepFailed,
    UnknownStage,
)

NODE = """\
FROM box
WORKDIR /app
COPY package.json /app
RUN true
COPY . /app
"""


def test_a_build_is_shown_line_for_line_as_people_know_it(site) -> None:
    site.write({"package.json": "{}"})
    told = site.build(NODE, tags=["app", "example.org/app:2"])
    base = site.engine.image("box").id
    assert told.names == [
        "[internal] load build definition from Dockerfile",
        "[internal] load .dockerignore",
        "[internal] load metadata for docker.io/library/box:latest",
        f"[1/5] FROM docker.io/library/box@{base}",
        "[internal] load build context",
        "[2/5] WORKDIR /app",
        "[3/5] COPY package.json /app",
        "[4/5] RUN true",
        "[5/5] COPY . /app",
        "exporting to image",
    ]
    assert told.statuses("build definition") == ["transferring dockerfile:"]
    assert told.statuses(".dockerignore") == ["transferring context:"]
    assert told.statuses("build context") == ["transferring context:"]
    assert told.statuses("exporting") == [
        "exporting layers",
        f"writing image {told.image}",
        "naming to docker.io/library/app:latest",
        "naming to example.org/app:2",
    ]
    assert all(vertex.completed for vertex in told.vertices)
    assert not any(vertex.error for vertex in told.vertices)


def test_a_context_that_no_step_copies_from_is_not_listed(site) -> None:
    told = site.build("FROM box\nRUN true\n")
    assert "[internal] load build context" not in told.names


def test_stages_are_named_in_front_of_their_steps(site) -> None:
    told = site.build(
        "FROM box AS builder\nRUN echo a > /a\nFROM scratch\nCOPY --from=builder /a /b\nCMD x\n"
    )
    assert [name for name in told.names if name.startswith("[") and "internal" not in name] == [
        f"[builder 1/2] FROM docker.io/library/box@{site.engine.image('box').id}",
        "[builder 2/2] RUN echo a > /a",
        "[stage-1 1/1] COPY --from=builder /a /b",
    ]


def test_a_dockerfile_of_another_name_is_named(site) -> None:
    site.write({"prod.Dockerfile": "FROM box\n"})
    told = site.build(dockerfile=site.directory / "prod.Dockerfile")
    assert told.names[0] == "[internal] load build definition from prod.Dockerfile"


def failing(site, text: str, kind: type[DissolverError], **options: object):
    with pytest.raises(kind) as caught:
        site.build(text, **options)
    return caught.value


def test_no_dockerfile_is_the_error_of_its_vertex(site) -> None:
    with pytest.raises(BuildError) as caught:
        site.build()
    (vertex,) = caught.value.told.vertices
    assert vertex.error == caught.value.message


def test_a_missing_base_is_the_error_of_its_vertex_and_of_its_line(site) -> None:
    error = failing(site, "FROM nowhere:1\nRUN true\n", ImageNotFound)
    assert error.where.line == 1
    assert "dissolver" in error.hint
    assert error.told.vertices[-1].name.endswith("docker.io/library/nowhere:1")
    assert error.told.vertices[-1].error is not None


@pytest.mark.parametrize(
    "line", ["COPY --from=nowhere:1 / /", "RUN --mount=type=bind,from=nowhere:1,target=/x true"]
)
def test_a_missing_image_is_told_where_it_is_copied_from(site, line: str) -> None:
    error = failing(site, f"FROM box\n{line}\n", ImageNotFound)
    assert (error.where.line, error.where.length) == (2, len("nowhere:1"))


def test_an_unclear_image_is_told_with_its_place(site, monkeypatch) -> None:
    monkeypatch.setattr("dissolver.build.bases.LEAST_DIGITS", 1)
    for number in range(17):
        site.build(f"FROM box\nLABEL number={number}\n")
    digits = [image.image.id.removeprefix("sha256:")[0] for image in site.engine.images()]
    twice = next(digit for digit in digits if digits.count(digit) > 1)
    error = failing(site, f"FROM {twice}\n", AmbiguousIdentifier)
    assert error.where.line == 1


@pytest.mark.parametrize("text", ["FROM {}\n", "FROM box\nCOPY --from={} /etc /etc\n"])
def test_an_image_is_meant_by_as_much_of_its_id_as_is_shown(site, text: str) -> None:
    digits = site.build("FROM box\nLABEL a=b\n").image.removeprefix("sha256:")
    site.build(text.format(digits[:12]))
    failing(site, text.format(digits[:11]), ImageNotFound)


def test_an_image_that_is_a_misspelt_stage_is_told_as_one(site) -> None:
    text = "FROM box AS builder\nRUN true\nFROM box\nCOPY --from=bulider /a /b\n"
    error = failing(site, text, UnknownStage)
    assert error.where.line == 4
    assert error.hint == "did you mean `builder`, defined on line 1?"


@pytest.mark.parametrize(
    ("text", "line"),
    [("", None), ("# nothing\n", None), ("FROM box\nCOPPY a b\n", 2), ("RUN true\n", 1)],
)
def test_a_mistake_in_the_dockerfile_has_its_place(site, text: str, line: int | None) -> None:
    error = failing(site, text, DockerfileError)
    assert line is None or error.where.line == line
    assert error.told.vertices[0].error == error.message


def test_a_bad_tag_is_refused_before_anything_is_told(site) -> None:
    error = failing(site, "FROM box\n", BadReference, tags=["UPPER"])
    assert error.told.events == []


def test_a_missing_context_is_explained(site) -> None:
    with pytest.raises(ContextError, match="does not exist"):
        site.engine.build(site.directory / "nowhere")


def test_a_malformed_ignore_pattern_is_explained(site) -> None:
    site.write({".dockerignore": "ok\n[\n"})
    error = failing(site, "FROM box\nCOPY . /x\n", DissolverError)
    assert ".dockerignore" in error.message or error.where.file == ".dockerignore"


def test_a_failing_run_has_its_output_its_line_and_its_code(site) -> None:
    text = "FROM box\nRUN echo one > /one\nRUN echo going down; \\\n    exit 7\nRUN never\n"
    error = failing(site, text, StepFailed)
    assert error.message == (
        'process "/bin/sh -c echo going down;     exit 7" did not complete successfully: '
        "exit code: 7"
    )
    assert error.status == 7
    assert error.detail == ("going down",)
    assert (error.where.line, error.where.end_line) == (3, 4)
    assert error.told.vertex("going down").error == error.message
    assert error.told.vertex("RUN never").started is None
    # What was done before is kept.
    again = failing(site, text, StepFailed)
    assert again.told.vertex("echo one").cached


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ('["/bin/no-such-program"]', 127),
        ('["/etc/passwd"]', 126),
        ("sh -c 'kill -9 $$'; exit $?", 137),
    ],
)
def test_a_run_that_cannot_start_or_is_killed_has_the_code_people_know(
    site, command: str, status: int
) -> None:
    assert failing(site, f"FROM box\nRUN {command}\n", StepFailed).status == status


def test_a_certificate_failure_gets_the_hint(site) -> None:
    text = "FROM box\nRUN echo 'SSL certificate problem: self-signed'; exit 1\n"
    assert "--host-certificates" in failing(site, text, StepFailed).hint


def test_output_is_told_as_it_comes(site) -> None:
    told = site.build("FROM box\nRUN echo out; echo err >&2\n")
    assert told.output("RUN") == b"out\nerr\n"


def test_what_a_step_says_beyond_two_mebibytes_is_clipped(site) -> None:
    told = site.build("FROM box\nRUN yes | head -c 3000000\n")
    output = told.output("RUN")
    assert output.endswith(b"\n[output clipped, log limit 2MiB reached]\n")
    assert len(output) < 2_200_000


def test_an_unknown_user_is_explained(site) -> None:
    error = failing(site, "FROM box\nUSER nobody-here\nRUN true\n", BuildError)
    assert "nobody-here" in error.message
    assert error.where.line == 3


def test_a_base_is_found_by_the_beginning_of_its_id_and_by_digest(site) -> None:
    identity = site.engine.image("box").id
    short = site.build(f"FROM {identity[7:19]}\nRUN true\n")
    full = site.build(f"FROM box@{identity}\nRUN true\n")
    assert short.image == full.image
    assert full.result.is_cached


def test_a_build_argument_that_nothing_declares_is_warned_of(site) -> None:
    arguments = {"known": "1", "unknown": "2", "HTTP_PROXY": "x", "TARGETARCH": "amd64"}
    told = site.build("FROM box\nARG known\nRUN true\n", build_args=arguments)
    warnings = [event.message for event in told.events if isinstance(event, Warning_)]
    assert warnings == ["one or more build arguments were not consumed: `unknown`"]


def test_a_local_image_of_another_platform_is_refused_where_one_is_named(site) -> None:
    other = "linux/riscv64"
    error = failing(site, f"FROM --platform={other} box\nRUN true\n", ImageNotFound)
    assert f"not for `{other}`" in error.message
    assert (error.where.line, error.where.column) == (1, 16)


def test_a_plan_says_what_would_be_done_and_does_nothing(site) -> None:
    site.write({"Dockerfile": NODE, "package.json": "{}"})
    before = site.engine.images()
    plan = site.engine.plan(site.directory)
    assert "[3/5] COPY package.json /app" in plan
    assert site.engine.images() == before
    assert site.engine.prune_builder().records == 0


@pytest.mark.parametrize(
    ("directive", "argument", "is_told"),
    [
        ("docker/dockerfile:1", None, False),
        ("example.com:5000/mirror/dockerfile:1.7-labs@sha256:" + "0" * 64 + " word", None, False),
        ("example.com/dockerfile/other:1", None, True),
        ("docker/dockerfile:1", "example.com/other", True),
        ("example.com/other", "dockerfile.v0", False),
    ],
)
def test_a_syntax_that_is_another_language_is_told(
    site, directive: str, argument: str | None, is_told: bool
) -> None:
    options = {"build_args": {"BUILDKIT_SYNTAX": argument}} if argument else {}
    told = site.build(f"# syntax={directive}\nFROM box\n", **options)
    warnings = [event.message for event in told.events if isinstance(event, Warning_)]
    named = argument or directive
    text = f"the syntax `{named}` is not fetched: the file is read as a Dockerfile"
    assert warnings == ([text] if is_told else [])
