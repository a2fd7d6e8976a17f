"""A build context that somebody else made: no link in it shows what lies elsewhere."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from scene import Cli
from servers import Repository

SECRET = "root:$6$nobody-may-see-this"
NAMES = ["Dockerfile", ".dockerignore", "Dockerfile.dockerignore"]


@pytest.fixture
def secret(cli: Cli) -> Path:
    """A file outside of every context, which is no Dockerfile and no list of patterns."""
    return cli.directory("secret", {"file": f"{SECRET}\n[\n"}) / "file"


def hostile(cli: Cli, name: str, secret: Path) -> Path:
    files = {} if name == "Dockerfile" else {"Dockerfile": "FROM scratch\nCOPY . /\n"}
    context = cli.directory("context", {"file": "file", **files})
    (context / name).symlink_to(secret)
    return cli.account.own(context)


def refused(cli: Cli, *words: str | Path, **options: object) -> str:
    done = cli(*words, check=False, **options)  # type: ignore[arg-type]
    assert done.returncode == 1, done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done.stderr


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("words", [["build"], ["build", "--check"]])
def test_no_link_of_a_context_leads_out(
    cli: Cli, secret: Path, name: str, words: list[str]
) -> None:
    context = hostile(cli, name, secret)
    told = refused(cli, *words, context)
    assert f"error: `{context / name}` is a symbolic link that leads out of `{context}`" in told


def test_neither_does_a_named_context(cli: Cli, secret: Path) -> None:
    context = cli.directory("context", {"Dockerfile": "FROM scratch\nCOPY --from=more file /\n"})
    more = hostile(cli, ".dockerignore", secret)
    told = refused(cli, "build", "--build-context", f"more={more}", context)
    assert f"`{more}/.dockerignore` is a symbolic link that leads out of `{more}`" in told


@pytest.mark.parametrize("dockerfile", ["", 'dockerfile = "docker/prod"\n'])
@pytest.mark.parametrize("name", NAMES)
def test_bake_files_reach_no_further(cli: Cli, secret: Path, name: str, dockerfile: str) -> None:
    recipe = f'target "default" {{\n{dockerfile}}}\n'
    place = cli.directory("bake", {"docker-bake.hcl": recipe, "docker/x": ""})
    if dockerfile:
        name = name.replace("Dockerfile", "docker/prod")
        if name != "docker/prod":
            (place / "docker/prod").write_text("FROM scratch\nCOPY . /\n")
    elif name != "Dockerfile":
        (place / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (place / name).symlink_to(secret)
    cli.account.own(place)
    assert name in refused(cli, "bake", cwd=place)
    # What is allowed to be read is not for a link that nobody sees.
    assert name in refused(cli, "bake", "--allow", f"fs.read={secret.parent}", cwd=place)


@pytest.mark.parametrize("name", NAMES)
def test_an_archive_is_a_world_of_its_own(cli: Cli, secret: Path, name: str) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        tar.addfile(link)
    done = cli("build", "-", stdin=stream.getvalue(), check=False)
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_so_is_a_repository(cli: Cli, secret: Path, repository: Repository, name: str) -> None:
    files = {"a": "a"} if name == "Dockerfile" else {"Dockerfile": "FROM scratch\nCOPY . /\n"}
    (repository.path / name).symlink_to(secret)
    repository.commit(files)
    done = cli("build", repository.url, check=False)
    assert SECRET not in done.stdout + done.stderr


def test_a_pattern_is_not_tried_for_hours(cli: Cli) -> None:
    recipe = f"FROM scratch\nARG A={'a' * 9000}\nLABEL b=${{A//{'a*' * 12}b/x}}\n"
    context = cli.directory("context", {"Dockerfile": recipe})
    done = cli("build", "--check", context, check=False, timeout=60)
    assert done.returncode == 1
    assert "it takes too long on 9000 characters" in done.stderr


def test_a_file_of_a_gigabyte_is_not_read(cli: Cli) -> None:
    context = cli.directory("context", {"Dockerfile": ""})
    with (context / "Dockerfile").open("wb") as file:
        file.truncate(1 << 30)
    assert "is larger than 8 MiB" in refused(cli, "build", context)
