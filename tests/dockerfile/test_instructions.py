"""What each instruction demands of its words and flags."""

from __future__ import annotations

import pytest

from dissolver.dockerfile import ast
from dissolver.dockerfile.parse import parse, parse_instructions
from dissolver.errors import DockerfileError


def read(line: str) -> ast.Instruction:
    (instruction,) = parse_instructions(line, name="Dockerfile")
    return instruction


def text(word: ast.Word | None) -> str | None:
    return None if word is None else word.text


FROMS = [
    ("FROM a", "a", None, None),
    ("from a as b", "a", "b", None),
    ("FROM a AS B-1_x.y", "a", "B-1_x.y", None),
    ("FROM --platform=linux/arm64 a AS b", "a", "b", "linux/arm64"),
    ("FROM --platform=$BUILDPLATFORM ${A:-b}", "${A:-b}", None, "$BUILDPLATFORM"),
]


@pytest.mark.parametrize(("line", "image", "alias", "platform"), FROMS)
def test_from_names_a_base(line: str, image: str, alias: str | None, platform: str | None) -> None:
    found = read(line)
    assert isinstance(found, ast.From)
    assert (text(found.image), text(found.alias), text(found.platform)) == (image, alias, platform)


COMMANDS = [
    ("RUN a b", ("a b",), True),
    ('RUN ["a", "b"]', ("a", "b"), False),
    ("RUN", (), True),
    ("RUN []", (), False),
    ("CMD a", ("a",), True),
    ('CMD ["a"]', ("a",), False),
    ("ENTRYPOINT []", (), False),
    ("ENTRYPOINT a | b", ("a | b",), True),
    ("HEALTHCHECK CMD a b", ("a b",), True),
    ('HEALTHCHECK --interval=1s CMD ["a", "b"]', ("a", "b"), False),
]


@pytest.mark.parametrize(("line", "words", "is_shell"), COMMANDS)
def test_commands_have_two_forms(line: str, words: tuple[str, ...], is_shell: bool) -> None:
    command = read(line).command  # type: ignore[attr-defined]
    assert (command.words, command.is_shell) == (words, is_shell)


PAIRS = [
    ("ENV a=1", [("a", "1")], False),
    ("ENV a=1 b='2 3'", [("a", "1"), ("b", "'2 3'")], False),
    ("ENV a 1 2", [("a", "1 2")], True),
    ("ENV a  b=c", [("a", "b=c")], True),
    ("ENV a=", [("a", "")], False),
    ("ENV a=b=c", [("a", "b=c")], False),
    ('LABEL "a b"="c d"', [('"a b"', '"c d"')], False),
    ("LABEL a b", [("a", "b")], True),
]


@pytest.mark.parametrize(("line", "pairs", "is_legacy"), PAIRS)
def test_pairs_have_two_forms(line: str, pairs: list[tuple[str, str]], is_legacy: bool) -> None:
    found = read(line)
    assert isinstance(found, ast.Env | ast.Label)
    assert [(pair.name.text, pair.value.text) for pair in found.pairs] == pairs
    assert found.is_legacy is is_legacy


def test_arguments_may_have_defaults() -> None:
    found = read("ARG a b=1 c= d='x y'")
    assert isinstance(found, ast.Arg)
    assert [(item.name.text, text(item.default)) for item in found.definitions] == [
        ("a", None),
        ("b", "1"),
        ("c", ""),
        ("d", "'x y'"),
    ]


def test_copy_has_sources_a_destination_and_flags() -> None:
    found = read("COPY --from=b --chown=1:2 --chmod=755 --link --parents --exclude=*.o a b /c/")
    assert isinstance(found, ast.Copy)
    assert [word.text for word in found.sources] == ["a", "b"]
    assert (found.destination.text, text(found.origin)) == ("/c/", "b")
    assert (text(found.chown), text(found.chmod)) == ("1:2", "755")
    assert (found.is_linked, found.keeps_parents) == (True, True)
    assert [word.text for word in found.excludes] == ["*.o"]


def test_add_has_flags_of_its_own() -> None:
    found = read("ADD --checksum=sha256:00 --keep-git-dir --unpack=false https://x/y /z")
    assert isinstance(found, ast.Add)
    assert (text(found.checksum), found.keeps_git_directory, found.unpacks) == (
        "sha256:00",
        True,
        False,
    )
    plain = read("ADD a b")
    assert isinstance(plain, ast.Add)
    assert (plain.keeps_git_directory, plain.unpacks) == (None, None)


def test_run_has_mounts_network_and_security() -> None:
    found = read(
        "RUN --mount=type=cache,target=/a --mount=type=ssh --network=none --security=insecure x"
    )
    assert isinstance(found, ast.Run)
    assert [word.text for word in found.mounts] == ["type=cache,target=/a", "type=ssh"]
    assert (text(found.network), text(found.security)) == ("none", "insecure")


def test_a_health_check_has_times_in_nanoseconds() -> None:
    found = read(
        "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=0s "
        "--start-interval=1.5s --retries=3 CMD x"
    )
    assert isinstance(found, ast.Healthcheck)
    assert (found.interval, found.timeout) == (90_000_000_000, 500_000_000)
    assert (found.start_period, found.start_interval, found.retries) == (0, 1_500_000_000, 3)


def test_a_health_check_can_be_taken_away() -> None:
    found = read("HEALTHCHECK none")
    assert isinstance(found, ast.Healthcheck)
    assert found.command is None


def test_a_trigger_is_kept_as_text_and_understood() -> None:
    found = read("onbuild  copy --from=x a \\\n b")
    assert isinstance(found, ast.Onbuild)
    assert found.expression == "copy --from=x a  b"
    assert isinstance(found.trigger, ast.Copy)


SINGLE = [
    ("USER a:b", "user", "a:b"),
    ("USER a b", "user", "a b"),
    ("WORKDIR /a b", "path", "/a b"),
    ("STOPSIGNAL SIGTERM", "signal", "SIGTERM"),
    ("MAINTAINER A B <c@d>", "author", "A B <c@d>"),
]


@pytest.mark.parametrize(("line", "field", "value"), SINGLE)
def test_some_take_the_whole_line(line: str, field: str, value: str) -> None:
    assert getattr(read(line), field).text == value


def test_some_take_several_words() -> None:
    ports = read("EXPOSE 80 443/udp $X")
    assert isinstance(ports, ast.Expose)
    assert [word.text for word in ports.ports] == ["80", "443/udp", "$X"]
    volumes = read('VOLUME ["/a b", "/c"]')
    assert isinstance(volumes, ast.Volume)
    assert [word.text for word in volumes.paths] == ["/a b", "/c"]
    shell = read('SHELL ["/bin/bash", "-c"]')
    assert isinstance(shell, ast.Shell)
    assert shell.words == ("/bin/bash", "-c")


FAULTS = [
    ("FROM", "`FROM` requires either one or three arguments"),
    ("FROM a b", "`FROM` requires either one or three arguments"),
    ("FROM a b c", "`FROM` requires either one or three arguments"),
    ("FROM a AS b c", "`FROM` requires either one or three arguments"),
    ("FROM a AS 1b", "invalid name for build stage `1b`"),
    ("FROM a AS b/c", "invalid name for build stage `b/c`"),
    ("COPY", "`COPY` requires at least two arguments, but none was provided"),
    ("COPY a", "`COPY` requires at least two arguments, but only one was provided"),
    ("ADD []", "`ADD` requires at least two arguments, but none was provided"),
    ("COPY a <<b\nx\nb", "`COPY` cannot accept a heredoc as a destination"),
    ("ENV", "`ENV` requires at least one argument"),
    ("ENV a", "`ENV` must have two arguments"),
    ("ENV =b", "`ENV` names can not be blank"),
    ("ENV a=b c", "can't find = in `c`, it must be of the form name=value"),
    ("LABEL", "`LABEL` requires at least one argument"),
    ("LABEL =x", "`LABEL` names can not be blank"),
    ("ARG", "`ARG` requires at least one argument"),
    ("ARG =x", "`ARG` names can not be blank"),
    ("EXPOSE", "`EXPOSE` requires at least one argument"),
    ("VOLUME", "`VOLUME` requires at least one argument"),
    ("VOLUME []", "`VOLUME` requires at least one argument"),
    ("USER", "`USER` requires exactly one argument"),
    ("WORKDIR", "`WORKDIR` requires exactly one argument"),
    ("STOPSIGNAL", "`STOPSIGNAL` requires exactly one argument"),
    ("MAINTAINER", "`MAINTAINER` requires exactly one argument"),
    ("SHELL /bin/sh -c", "`SHELL` requires the arguments to be in JSON form"),
    ("SHELL", "`SHELL` requires the arguments to be in JSON form"),
    ("SHELL []", "`SHELL` requires at least one argument"),
    ("RUN --network=bridge x", "invalid network mode `bridge`"),
    ("RUN --security=full x", "invalid security mode `full`"),
    ("HEALTHCHECK", "`HEALTHCHECK` requires at least one argument"),
    ("HEALTHCHECK NONE x", "`HEALTHCHECK NONE` takes no arguments"),
    ("HEALTHCHECK TCP 80", "unknown type `TCP` in `HEALTHCHECK`"),
    ("HEALTHCHECK CMD", "missing command after `HEALTHCHECK CMD`"),
    ("HEALTHCHECK CMD []", "missing command after `HEALTHCHECK CMD`"),
    ("HEALTHCHECK --interval=1 CMD x", "`1` is not a duration"),
    ("HEALTHCHECK --interval=500us CMD x", "`--interval` cannot be less than 1ms"),
    ("HEALTHCHECK --timeout=-1s CMD x", "`--timeout` cannot be less than 1ms"),
    ("HEALTHCHECK --retries=-1 CMD x", "`--retries` cannot be negative (-1)"),
    ("HEALTHCHECK --retries=x CMD x", "`--retries` is not a number: `x`"),
    ("HEALTHCHECK --retries=99999999999 CMD x", "`--retries` is not a number: `99999999999`"),
    ("ONBUILD", "`ONBUILD` requires at least one argument"),
    ("ONBUILD ONBUILD RUN x", "chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
    ("ONBUILD FROM x", "`FROM` isn't allowed as an `ONBUILD` trigger"),
    ("ONBUILD maintainer x", "`MAINTAINER` isn't allowed as an `ONBUILD` trigger"),
    ("ONBUILD COPY x", "`COPY` requires at least two arguments, but only one was provided"),
    ("ONBUILD NOPE x", "unknown instruction `NOPE`"),
    ("FOO x", "unknown instruction `FOO`"),
]


@pytest.mark.parametrize(("line", "message"), FAULTS)
def test_mistakes_are_named(line: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        read(line)
    assert caught.value.message == message
    assert caught.value.where is not None


IGNORED = ["ARG --x a", "STOPSIGNAL --x SIGTERM", "HEALTHCHECK --x NONE"]


@pytest.mark.parametrize("line", IGNORED)
def test_flags_that_nobody_looks_at_are_dropped(line: str) -> None:
    assert read(line).statement.flags[0].name == "x"


BEGINNINGS = [
    ("", "`Dockerfile` is empty"),
    ("\n\n# x\n", "`Dockerfile` has no instructions"),
    ("RUN x\nFROM a", "`RUN` stands before the first `FROM`"),
    ("ARG x\nRUN y\nFROM a", "`RUN` stands before the first `FROM`"),
    ("ARG x", "there is no `FROM`"),
]


@pytest.mark.parametrize(("file", "message"), BEGINNINGS)
def test_a_file_begins_with_from(file: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(file)
    assert caught.value.message == message


def test_arguments_may_come_before_from() -> None:
    assert [item.name for item in parse("ARG x\nARG y\nFROM a\nRUN z").instructions] == [
        "ARG",
        "ARG",
        "FROM",
        "RUN",
    ]
