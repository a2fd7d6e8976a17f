"""Builds from URLs, repositories and archives, as root and as an ordinary user."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scene import Cli
from servers import Repository, Web, git_server, web_server


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as server:
        yield server


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    with git_server(tmp_path / "served") as served:
        yield served


def archive(files: dict[str, str]) -> bytes:
    """Make a compressed tar of files that belong to user 5."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.uid, entry.gid, entry.size = 5, 6, len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()


def shell(box: Cli, script: str) -> list[str]:
    """Run a script in a container of `made`, and answer its lines."""
    return box.out("run", "--rm", "--network=none", "made", "sh", "-c", script).split("\n")


def test_add_takes_archives_urls_and_repositories(
    box: Cli, web: Web, repository: Repository
) -> None:
    url = web.put("/tool", "from the web", etag='"1"')
    repository.commit({"README": "from git"})
    dockerfile = (
        "FROM box\nADD layer.tgz /archive/\n"
        f"ADD --chmod=755 {url} /web\nADD {repository.url}#main /git/\n"
    )
    files = {"Dockerfile": dockerfile, "layer.tgz": archive({"a": "packed"})}
    context = box.directory("context", files)
    box("build", "-t", "made", context)
    script = "cat /archive/a /web /git/README; echo; stat -c '%u:%g %a' /archive/a /web /git/README"
    assert shell(box, script) == ["packedfrom the webfrom git", "5:6 644", "0:0 755", "0:0 644"]
    again = box("build", "--progress=plain", "-t", "made", context).stderr
    assert again.count("CACHED") == 3
    kinds = box.out("builder", "du", "--format=json")
    assert '"source.http"' in kinds
    assert '"source.git.checkout"' in kinds
