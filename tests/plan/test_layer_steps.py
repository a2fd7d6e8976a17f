"""RUN, COPY and WORKDIR: what is done, how it is shown, what the history tells."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dissolver.errors import DockerfileError
from dissolver.image.config import RunConfig
from dissolver.image.reference import Reference, parse_reference
from dissolver.plan.steps import CopyStep, MetadataStep, RunStep, Step, WorkdirStep
from plan.planning import EMPTY, lower

SHELL = ("/bin/sh", "-c")


def last(text: str, **options: object) -> Step:
    return lower(text, **options).steps[-1]  # type: ignore[arg-type]


RUNS = [
    ("RUN npm install", (*SHELL, "npm install")),
    ("run npm install", (*SHELL, "npm install")),
    ("RUN a \\\n  && b", (*SHELL, "a   && b")),
    ("RUN echo $HOME '$x'", (*SHELL, "echo $HOME '$x'")),
    ('RUN ["npm", "install"]', ("npm", "install")),
    ('RUN ["echo", "$HOME"]', ("echo", "$HOME")),
    ("RUN ['a']", (*SHELL, "['a']")),
    ("RUN []", ()),
    ("RUN", (*SHELL, "")),
    ('SHELL ["/bin/bash", "-ec"]\nRUN a', ("/bin/bash", "-ec", "a")),
    ('SHELL ["/bin/bash", "-ec"]\nRUN ["a"]', ("a",)),
    ("RUN --network=none a", (*SHELL, "a")),
    ("RUN <<EOF\na\nb\nEOF", (*SHELL, "a\nb\n")),
    ("RUN <<-EOF\n\ta\n\t\tb\n\tEOF", (*SHELL, "a\nb\n")),
    ("RUN <<'EOF'\n$a\nEOF", (*SHELL, "$a\n")),
    ('SHELL ["/b"]\nRUN <<EOF\na\nEOF', ("/b", "a\n")),
    ("RUN cat <<EOF >x\na\nEOF", (*SHELL, "cat <<EOF >x\na\nEOF")),
    ("RUN cat <<-EOF >x\n\ta\nEOF", (*SHELL, "cat <<-EOF >x\n\ta\nEOF")),
    ("RUN python3 <<EOF\n#!/usr/bin/python3\nEOF",
     (*SHELL, "python3 <<EOF\n#!/usr/bin/python3\nEOF")),
    ("RUN cat <<A <<B\n1\nA\n2\nB", (*SHELL, "cat <<A <<B\n1\nA\n2\nB")),
    ("RUN <<A <<B\n1\nA\n2\nB", (*SHELL, "<<A <<B\n1\nA\n2\nB")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "argv"), RUNS)
def test_a_run_starts(text: str, argv: tuple[str, ...]) -> None:
    step = last(text)
    assert isinstance(step, RunStep)
    assert step.argv == argv


SHOWN = [
    ("RUN npm install", "RUN npm install"),
    ("run npm install", "RUN npm install"),
    ("run\tnpm install", "RUN\tnpm install"),
    ("RUN a \\\n  && b", "RUN a   && b"),
    ("ENV A=1\nRUN echo $A ${A} $B ${B:-x}", "RUN echo 1 1 $B ${B:-x}"),
    ("ENV A=1\nRUN echo '$A' \"$A\"", "RUN echo '$A' \"1\""),
    ("RUN echo 'it", "RUN echo 'it"),
    ("RUN a\\ b", "RUN a b"),
    ('RUN ["a", "$B"]', 'RUN ["a", "$B"]'),
    ("RUN --network=none a", "RUN --network=none a"),
    ("RUN <<EOF\na\nEOF", "RUN <<EOF (a)"),
    ("RUN <<EOF\n\na\nb\nEOF", "RUN <<EOF (a...)"),
    ("RUN cat <<EOF >x\na\nEOF", "RUN cat <<EOF >x"),
    ("COPY . /app", "COPY . /app"),
    ("copy . /app", "COPY . /app"),
    ("ENV A=1\nCOPY $A '$A' /$A/$B", "COPY 1 $A /1/"),
    ("COPY --chown=a:b \\\n  x y", "COPY --chown=a:b   x y"),
    ('COPY ["a b", "/c"]', "COPY [a b, /c]"),
    ("WORKDIR /app", "WORKDIR /app"),
    ("ENV A=1\nWORKDIR /$A", "WORKDIR /1"),
    ("WORKDIR app", "WORKDIR app"),
]


@pytest.mark.parametrize(("text", "display"), SHOWN)
def test_a_step_is_shown_as_buildkit_does(text: str, display: str) -> None:
    assert last(text).display == display


TEXTS = [
    ("RUN npm install", "RUN /bin/sh -c npm install # buildkit"),
    ('RUN ["npm", "install"]', "RUN npm install # buildkit"),
    ("ARG a=1\nRUN x", "RUN |1 a=1 /bin/sh -c x # buildkit"),
    ("ARG a=1 b c=3\nRUN x", "RUN |3 a=1 b= c=3 /bin/sh -c x # buildkit"),
    ("ARG a=1\nARG a=2\nRUN x", "RUN |1 a=2 /bin/sh -c x # buildkit"),
    ("ARG a=1\nENV a=2\nRUN x", "RUN |1 a=2 /bin/sh -c x # buildkit"),
    ("ENV a=1\nRUN x", "RUN /bin/sh -c x # buildkit"),
    ("RUN x\nARG a=1", "ARG a=1"),
    ("RUN <<EOF\na\nEOF", "RUN /bin/sh -c a\n # buildkit"),
    ("FROM x AS y\nARG a=1\nFROM y\nRUN x", "RUN |1 a=1 /bin/sh -c x # buildkit"),
    ("COPY package.json /app", "COPY package.json /app # buildkit"),
    ("COPY . .", "COPY . . # buildkit"),
    ("ENV A=1\nCOPY $A /$A/", "COPY 1 /1/ # buildkit"),
    ("COPY --chown=a:b --chmod=0755 a b/", "COPY --chown=a:b --chmod=0755 a b/ # buildkit"),
    ("FROM x AS y\nFROM z\nCOPY --from=y /a /b", "COPY /a /b # buildkit"),
    ('COPY ["a b", "/c"]', "COPY a b /c # buildkit"),
    ("WORKDIR /app", "WORKDIR /app"),
    ("WORKDIR app", "WORKDIR /app"),
    ("WORKDIR /a\nWORKDIR b", "WORKDIR /a/b"),
]


@pytest.mark.parametrize(("text", "created_by"), TEXTS)
def test_the_history_tells(text: str, created_by: str) -> None:
    assert last(text).created_by == created_by


@pytest.mark.parametrize("line", ["RUN x", "COPY a /b", "WORKDIR /a"])
def test_a_step_with_a_layer_says_so_in_the_history(line: str) -> None:
    step = last(line)
    assert step.makes_layer
    assert not step.history(None).empty_layer


def test_a_run_has_an_environment() -> None:
    base = replace(
        EMPTY, config=RunConfig(env=("A=image", "PATH=/bin"), user="u", working_dir="/w")
    )
    text = "ARG B=arg\nENV C=$A-$B\nARG A=late\nARG UNSET\nRUN x\nENV D=1"
    step = lower(text, base=base).steps[4]
    assert isinstance(step, RunStep)
    assert step.env == (("A", "late"), ("PATH", "/bin"), ("B", "arg"), ("C", "image-arg"))
    assert (step.cwd, step.user, step.shell_form) == ("/w", "u", True)
    assert step.config.env == ("A=image", "PATH=/bin", "C=image-arg")


def test_later_variables_do_not_reach_earlier_steps() -> None:
    lowered = lower("ENV A=1\nRUN x\nENV A=2\nRUN y")
    steps = [step for step in lowered.steps if isinstance(step, RunStep)]
    assert [dict(step.env)["A"] for step in steps] == ["1", "2"]


def test_a_stage_inherits_arguments_but_its_images_variables_win() -> None:
    text = "FROM x AS y\nENV A=env\nARG A=arg\nARG B=b\nFROM y\nRUN x"
    step = last(text)
    assert isinstance(step, RunStep)
    assert dict(step.env)["A"] == "env"
    assert dict(step.env)["B"] == "b"


NETWORKS = [
    ("RUN x", "default"),
    ("RUN --network=host x", "host"),
    ("RUN --network=none x", "none"),
]


@pytest.mark.parametrize(("line", "network"), NETWORKS)
def test_a_run_has_a_network(line: str, network: str) -> None:
    step = last(line)
    assert isinstance(step, RunStep)
    assert step.network == network


def test_proxies_reach_the_process_and_nothing_else() -> None:
    step = last("RUN x", build_args={"http_proxy": "http://p", "NO_PROXY": "h", "OTHER": "o"})
    assert isinstance(step, RunStep)
    assert step.proxies == (
        ("HTTP_PROXY", "http://p"),
        ("http_proxy", "http://p"),
        ("NO_PROXY", "h"),
        ("no_proxy", "h"),
    )
    assert not {"HTTP_PROXY", "http_proxy", "OTHER"} & dict(step.env).keys()
    assert step.created_by == "RUN /bin/sh -c x # buildkit"


def test_a_declared_proxy_is_an_argument_like_any_other() -> None:
    step = last("ARG HTTP_PROXY\nRUN x", build_args={"HTTP_PROXY": "http://p"})
    assert isinstance(step, RunStep)
    assert dict(step.env)["HTTP_PROXY"] == "http://p"
    assert step.proxies == (("http_proxy", "http://p"),)
    assert step.created_by == "RUN |1 HTTP_PROXY=http://p /bin/sh -c x # buildkit"


WORKDIRS = [
    ("WORKDIR /app", "/app", "/app"),
    ("WORKDIR app", "/app", "/app"),
    ("WORKDIR /a\nWORKDIR b\nWORKDIR ../c", "/a/c", "/a/c"),
    ("WORKDIR /a\nWORKDIR .", "/a", "/a"),
    ("WORKDIR /a/", "/a/", "/a"),
    ("WORKDIR /a/../b", "/a/../b", "/b"),
    ("WORKDIR /a/\nWORKDIR b/", "/a/b", "/a/b"),
    ("ENV D=/d\nWORKDIR $D/e", "/d/e", "/d/e"),
    ("WORKDIR '/a b'", "/a b", "/a b"),
]


@pytest.mark.parametrize(("text", "configured", "path"), WORKDIRS)
def test_a_directory_is_made_sure_of(text: str, configured: str, path: str) -> None:
    lowered = lower(text)
    step = lowered.steps[-1]
    assert isinstance(step, WorkdirStep)
    assert (step.path, lowered.config.config.working_dir) == (path, configured)


def test_a_directory_belongs_to_the_user_of_that_moment() -> None:
    step = last("USER node\nWORKDIR /app")
    assert isinstance(step, WorkdirStep)
    assert step.user == "node"


@pytest.mark.parametrize("path", ["/", "/.", "//", "/a/.."])
def test_the_root_needs_no_layer(path: str) -> None:
    assert isinstance(last(f"WORKDIR {path}"), MetadataStep)


def test_a_relative_directory_of_the_base_is_taken_from_the_root() -> None:
    base = replace(EMPTY, config=RunConfig(working_dir="srv"))
    assert lower("USER x", base=base).config.config.working_dir == "/srv"


SOURCES = [
    ("COPY a /x", ("/a",)),
    ("COPY a b c /x/", ("/a", "/b", "/c")),
    ("COPY . /x", ("/",)),
    ("COPY ./a/ /x", ("/a",)),
    ("COPY /a /x", ("/a",)),
    ("COPY ../../a /x", ("/a",)),
    ("COPY '' /x", ("/",)),
    ("COPY *.js a?/[bc] /x", ("/*.js", "/a?/[bc]")),
    ("COPY a\\*b /x", ("/a*b",)),
    ("COPY '$A' \"$A\" /x", ("/$A", "/1")),
    ('COPY ["a b", "$A", "/x"]', ("/a b", "/1")),
    ("COPY github.com/a/b.git /x", ("/github.com/a/b.git",)),
]


@pytest.mark.parametrize(("line", "sources"), SOURCES)
def test_a_copy_has_sources(line: str, sources: tuple[str, ...]) -> None:
    step = last(f"ENV A=1\n{line}")
    assert isinstance(step, CopyStep)
    assert step.sources == sources


DESTINATIONS = [
    ("/x", "/x"),
    ("/x/", "/x/"),
    ("x", "/w/x"),
    ("x/", "/w/x/"),
    (".", "/w/"),
    ("./", "/w/"),
    ("''", "/w/"),
    ("..", "/"),
    ("../v", "/v"),
    ("x/.", "/w/x/"),
    ("x/..", "/w/"),
    ("/", "/"),
    ("/x/../y/", "/y/"),
    ("/x//y", "/x/y"),
    ("$A/x", "/w/1/x"),
]


@pytest.mark.parametrize(("written", "destination"), DESTINATIONS)
def test_a_copy_has_a_destination(written: str, destination: str) -> None:
    step = last(f"WORKDIR /w\nENV A=1\nCOPY a {written}")
    assert isinstance(step, CopyStep)
    assert step.destination == destination


ORIGINS = [
    ("COPY a /b", None),
    ("COPY --from=one a /b", 0),
    ("COPY --from=ONE a /b", 0),
    ("COPY --from=0 a /b", 0),
    ("COPY --from=1 a /b", 1),
    ("COPY --from=nginx a /b", parse_reference("nginx")),
    ("COPY --from=ghcr.io/a/b:1 a /b", parse_reference("ghcr.io/a/b:1")),
]


@pytest.mark.parametrize(("line", "origin"), ORIGINS)
def test_a_copy_has_an_origin(line: str, origin: int | Reference | None) -> None:
    step = last(f"FROM a AS one\nFROM b AS two\nFROM c\n{line}")
    assert isinstance(step, CopyStep)
    assert step.from_ == origin


OWNERS = [
    ("", None, None),
    ("--chown=node", "node", None),
    ("--chown=1:2", "1:2", None),
    ("--chown=$U:$U", "app:app", None),
    ("--chown=", None, None),
    ("--chmod=755", None, 0o755),
    ("--chmod=0644", None, 0o644),
    ("--chmod=0", None, 0),
    ("--chmod=07777", None, 0o7777),
    ("--chmod=$M", None, 0o600),
]


@pytest.mark.parametrize(("flag", "chown", "chmod"), OWNERS)
def test_a_copy_has_an_owner_and_a_mode(flag: str, chown: str | None, chmod: int | None) -> None:
    step = last(f"ENV U=app M=600\nCOPY {flag} a /b")
    assert isinstance(step, CopyStep)
    assert (step.chown, step.chmod) == (chown, chmod)


@pytest.mark.parametrize("mode", ["8", "10000", "0o755", "rwx", "u~x", "-1", "\u0667", "7" * 5000])
def test_other_modes_are_refused(mode: str) -> None:
    with pytest.raises(DockerfileError, match="invalid chmod parameter"):
        last(f"COPY --chmod={mode} a /b")


def test_false_flags_are_no_flags() -> None:
    assert isinstance(last("COPY --link=false --parents=False a /b"), CopyStep)


def test_a_step_has_the_lines_of_its_instruction() -> None:
    step = last("FROM a\n\nRUN x \\\n  y\n")
    assert (step.where.line, step.where.end_line) == (3, 4)
    assert step.where.source == ("RUN x \\", "  y")
    assert step.where.column is None


@pytest.mark.parametrize("line", ['RUN ["a\\u0000b"]', 'COPY ["a\\u0000b", "/x"]'])
def test_a_nul_character_in_an_array_is_refused(line: str) -> None:
    with pytest.raises(DockerfileError, match="a text contains a NUL character"):
        last(line)
