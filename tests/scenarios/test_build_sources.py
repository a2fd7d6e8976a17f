"""Builds from URLs, repositories and archives, as root and as an ordinary user."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile

import pytest

from forms import in_both_forms
from scene import Cli
from servers import Repository, Web


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


@in_both_forms
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


def send(box: Cli, data: bytes, *words: str) -> str:
    """Run a command with bytes as its standard input, and answer what it displayed."""
    done = subprocess.run(
        box.account.command(*words),
        input=data,
        env=dict(box.environment),
        cwd=box.account.home,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stderr.decode()


def test_a_context_comes_through_standard_input(box: Cli) -> None:
    data = archive(
        {"Dockerfile": "FROM box\nCOPY a /a\n", "a": "sent", "Dev": "FROM box\nADD a /b\n"}
    )
    send(box, data, "build", "-t", "made", "-")
    assert shell(box, "cat /a; stat -c %u:%g /a") == ["sent5:6"]
    assert "CACHED" in send(box, data, "build", "--progress=plain", "-t", "made", "-")
    send(box, data, "build", "-t", "made", "-f", "Dev", "-")
    assert shell(box, "cat /b") == ["sent"]
    send(box, b"FROM box\nRUN echo alone > /c\n", "build", "-t", "made", "-")
    assert shell(box, "cat /c") == ["alone"]


def test_contexts_are_fetched_and_named(box: Cli, web: Web, repository: Repository) -> None:
    repository.commit({"Dockerfile": "FROM box\nCOPY --from=more a /a\nCOPY b /b\n", "b": "git"})
    url = web.put("/more.tgz", archive({"a": "named"}))
    box("build", "-t", "made", "--build-context", f"more={url}", f"{repository.url}#main")
    assert shell(box, "cat /a /b") == ["namedgit"]
    directory = box.directory("more", {"a": "local"})
    box("build", "-t", "made", "--build-context", f"more={directory}", repository.url)
    assert shell(box, "cat /a") == ["local"]


def test_words_that_name_no_context_are_slips(box: Cli) -> None:
    assert (
        "either the context or the Dockerfile" in box("build", "-f", "-", "-", check=False).stderr
    )
    assert box("build", "--build-context", "x", ".", check=False).returncode == 2


def test_what_may_not_be_read_stops_only_those_who_want_it(box: Cli) -> None:
    if os.geteuid() != 0 or box.account.is_root:
        pytest.skip("nothing is closed to this user")
    context = box.directory("closed", {"open/a": "a", "data/deep/b": "b", "data/x": "x"})
    for name in ("data", "data/deep"):
        os.chown(context / name, 0, 0)
    (context / "data").chmod(0o700)

    def build(copy: str, rules: str = "") -> str:
        (context / "Dockerfile").write_text(f"FROM box\n{copy}\n")
        (context / ".dockerignore").write_text(rules)
        return box("build", "-q", "-t", "made", context, check=False).stderr

    refused = "error: cannot open `data`: permission denied\n"
    wanted = ("COPY . /x", "COPY data /x", "COPY data/x /x", "COPY data/* /x", "COPY */x /x")
    for copy in (*wanted, "COPY --parents **/x /x", "ADD data/x /x"):
        assert refused in build(copy), copy
    for copy in ("COPY open /x", "COPY open/a /x", "COPY o* /x", "COPY --exclude=data . /x"):
        assert build(copy) == "", copy
    assert shell(box, "ls /x") == ["Dockerfile", "open"]
    for rules in ("data\n", "data\n!data/x\n"):
        assert build("COPY . /x", rules) == "", rules
    # Names can be read, and nothing else.
    (context / "data").chmod(0o744)
    assert build("COPY open /x") == ""
    assert "error: cannot stat `data/" in build("COPY . /x")
