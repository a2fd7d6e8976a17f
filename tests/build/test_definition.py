"""Finding and reading the Dockerfile and the ignore file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dissolver.build.definition import (
    DOCKERFILE_BYTES,
    check_context,
    read_definition,
    read_ignore_file,
)
from dissolver.build.request import BuildRequest
from dissolver.errors import BuildError, ContextError


def write(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


@pytest.mark.parametrize(
    ("files", "name", "text"),
    [
        ({"Dockerfile": "big", "dockerfile": "small"}, "Dockerfile", "big"),
        ({"dockerfile": "small"}, "dockerfile", "small"),
    ],
)
def test_the_default_is_dockerfile_then_its_small_letters(
    tmp_path: Path, files: dict[str, str], name: str, text: str
) -> None:
    found = read_definition(BuildRequest(str(tmp_path)), write(tmp_path, files))
    assert (found.name, found.text, found.size) == (name, text, len(text))
    assert found.path == tmp_path / name


def test_a_named_one_is_relative_to_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"here/other.Dockerfile": "FROM a", "context/Dockerfile": "FROM b"})
    monkeypatch.chdir(tmp_path / "here")
    request = BuildRequest("../context", dockerfile="other.Dockerfile")
    found = read_definition(request, tmp_path / "context")
    assert found.text == "FROM a"
    assert found.name == str(tmp_path / "here" / "other.Dockerfile")


def test_a_text_takes_the_place_of_a_file(tmp_path: Path) -> None:
    found = read_definition(BuildRequest(".", dockerfile_text="FROM é"), tmp_path)
    assert (found.text, found.size, found.path) == ("FROM é", 7, None)


def test_none_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        read_definition(BuildRequest("."), tmp_path)
    assert caught.value.message == f"there is no Dockerfile in `{tmp_path}`"
    assert caught.value.hint is not None


def test_a_named_one_that_lies_in_the_context_is_pointed_at(tmp_path: Path) -> None:
    context = write(tmp_path / "app", {"prod.Dockerfile": "FROM a"})
    with pytest.raises(BuildError) as caught:
        read_definition(BuildRequest("app", dockerfile="prod.Dockerfile"), context)
    assert caught.value.hint == f"it lies in the context: use `-f {context}/prod.Dockerfile`"


def test_one_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "Dockerfile").open("wb") as file:
        file.truncate(DOCKERFILE_BYTES + 1)
    with pytest.raises(BuildError, match="is larger than 8 MiB"):
        read_definition(BuildRequest("."), tmp_path)


def test_a_pipe_without_a_writer_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "Dockerfile")
    with pytest.raises(BuildError, match="is not a regular file"):
        read_definition(BuildRequest("."), tmp_path)


def test_a_dangling_link_is_told_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").symlink_to("gone")
    with pytest.raises(BuildError, match=r"cannot read .*Dockerfile`: no such file"):
        read_definition(BuildRequest("."), tmp_path)


def test_the_ignore_file_named_after_the_dockerfile_wins(tmp_path: Path) -> None:
    context = write(
        tmp_path / "app",
        {
            ".dockerignore": "a",
            "Dockerfile": "FROM x",
            "prod": "FROM x",
            "prod.dockerignore": "b",
        },
    )
    usual = read_definition(BuildRequest(str(context)), context)
    assert read_ignore_file(usual, context).text == "a"
    named = read_definition(BuildRequest(str(context), dockerfile=str(context / "prod")), context)
    found = read_ignore_file(named, context)
    assert (found.text, found.name) == ("b", "prod.dockerignore")


def test_no_ignore_file_is_an_empty_one(tmp_path: Path) -> None:
    context = write(tmp_path, {"Dockerfile": "FROM x"})
    found = read_ignore_file(read_definition(BuildRequest("."), context), context)
    assert (found.text, found.size, found.path) == ("", 0, None)


def test_a_context_has_to_be_a_directory_that_exists(tmp_path: Path) -> None:
    write(tmp_path, {"file": ""})
    with pytest.raises(ContextError, match="does not exist"):
        check_context(str(tmp_path / "nowhere"))
    with pytest.raises(ContextError, match="is not a directory"):
        check_context(str(tmp_path / "file"))


def test_a_context_is_known_by_its_own_path_not_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert check_context(str(tmp_path / "link")) == tmp_path


@pytest.mark.parametrize("what", ["directory", "dangling", "loop", "pipe"])
def test_an_ignore_file_that_is_none_is_not_passed_over(tmp_path: Path, what: str) -> None:
    context = write(tmp_path, {"Dockerfile": "FROM scratch"})
    place = context / ".dockerignore"
    if what == "directory":
        place.mkdir()
    elif what == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("nowhere" if what == "dangling" else place.name)
    with pytest.raises(BuildError) as caught:
        read_ignore_file(read_definition(BuildRequest("."), context), context)
    assert caught.value.message == f"the ignore file `{place}` is not a file"


# Links that lead out of the context -------------------------------------------------------

NAMES = ["Dockerfile", "dockerfile", ".dockerignore", "Dockerfile.dockerignore"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", ["../secret", "{base}/secret", "out/secret"])
def test_nothing_outside_of_the_context_is_read(tmp_path: Path, name: str, target: str) -> None:
    (tmp_path / "secret").write_text("root:$6$secret")
    files = {} if name.lower() == "dockerfile" else {"Dockerfile": "FROM x"}
    context = tmp_path / "context"
    context.mkdir()
    write(context, files)
    (context / "out").symlink_to("..")
    (context / name).symlink_to(target.format(base=tmp_path))
    with pytest.raises(BuildError) as caught:
        read_ignore_file(read_definition(BuildRequest("."), context), context)
    link = context / ("out" if target.startswith("out") else name)
    assert caught.value.message == (f"`{link}` is a symbolic link that leads out of `{context}`")
    assert "secret" not in f"{caught.value.hint}{caught.value.detail}"


@pytest.mark.parametrize("named", ["context/prod", "context/sub/../prod", "link/prod"])
def test_a_named_one_in_the_context_leads_out_no_more_than_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    context = tmp_path / "context"
    write(tmp_path, {"secret": "secret", "context/sub/x": ""})
    (context / "prod").symlink_to("../secret")
    (tmp_path / "link").symlink_to("context")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BuildError, match="is a symbolic link that leads out of"):
        read_definition(BuildRequest("context", dockerfile=named), context)


def test_a_directory_in_the_context_that_leads_out_does_not_either(tmp_path: Path) -> None:
    write(tmp_path, {"other/prod": "FROM secret"})
    context = tmp_path / "context"
    context.mkdir()
    (context / "docker").symlink_to("../other")
    with pytest.raises(BuildError) as caught:
        read_definition(BuildRequest(".", dockerfile=str(context / "docker/prod")), context)
    assert caught.value.message.startswith(f"`{context}/docker` is a symbolic link")


def test_what_the_caller_names_elsewhere_is_theirs(tmp_path: Path) -> None:
    write(tmp_path, {"other/prod": "FROM a", "secret": "secret"})
    context = tmp_path / "context"
    context.mkdir()
    (tmp_path / "link").symlink_to("other/prod")
    request = BuildRequest("context", dockerfile=str(tmp_path / "link"))
    definition = read_definition(request, context)
    assert definition.text == "FROM a"
    # The ignore file beside it was not named by anybody.
    (tmp_path / "link.dockerignore").symlink_to("/etc/passwd")
    with pytest.raises(BuildError, match="is a symbolic link that leads out of"):
        read_ignore_file(definition, context)


def test_links_within_the_context_are_followed(tmp_path: Path) -> None:
    context = write(tmp_path, {"docker/prod": "FROM a", "docker/ignored": "b"})
    (context / "Dockerfile").symlink_to("docker/prod")
    (context / ".dockerignore").symlink_to("docker/ignored")
    definition = read_definition(BuildRequest("."), context)
    assert (definition.text, definition.path) == ("FROM a", context / "Dockerfile")
    assert read_ignore_file(definition, context).text == "b"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.mknod(path, 0o60644, 0)])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    try:
        make(tmp_path / "Dockerfile")
    except PermissionError:
        pytest.skip("only root may make devices")
    for request in (BuildRequest("."), BuildRequest(".", dockerfile=str(tmp_path / "Dockerfile"))):
        with pytest.raises(BuildError, match=r"is not a regular file|cannot read"):
            read_definition(request, tmp_path)
