"""What a git repository or its server says runs nothing here, and reads nothing of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from dissolver.build.git_files import Git, _check_out, _resolve
from dissolver.errors import BuildError
from dissolver.plan.git_reference import GitReference
from scene import Cli
from servers import Repository, Web, git_http_server

COMMIT = "a" * 40


class Recorder(Git):
    """A git that only notes what it is asked, and answers for a server."""

    words: ClassVar[list[tuple[str, ...]]] = []
    listing: ClassVar[str] = ""

    def run(self, directory: Path, *words: str, remote: str = "") -> str:
        self.words.append(words)
        return self.listing if words[0] == "ls-remote" else ""


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    monkeypatch.setattr(Recorder, "words", [])
    return Recorder({}, lambda: None, {}, lambda: False)


@pytest.mark.parametrize(
    "line",
    [
        f"{COMMIT}\t--upload-pack=touch /x",
        f"{COMMIT}\trefs/heads/--upload-pack=touch /x",
        f"{COMMIT}\trefs/../--upload-pack=touch /x",
        "--upload-pack=touch /x\trefs/heads/main",
        "--upload-pack=touch /x\tHEAD",
    ],
)
@pytest.mark.parametrize("ref", ["--upload-pack=touch /x", "main", ""])
def test_what_a_server_lists_is_no_option(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, ref: str
) -> None:
    monkeypatch.setattr(Recorder, "listing", line + "\n")
    reference = GitReference("git://host/a", "a", ref)
    with pytest.raises(BuildError, match="has no ref"):
        _resolve(recorder, tmp_path, reference)


def test_names_come_behind_all_options(recorder: Recorder, tmp_path: Path) -> None:
    reference = GitReference("git://host/a", "a", "--upload-pack=x")
    _check_out(recorder, tmp_path / "work", reference, COMMIT, "--upload-pack=x")
    (fetch,) = (words for words in recorder.words if words[0] == "fetch")
    assert fetch[fetch.index("--") :] == ("--", "origin", "--upload-pack=x")


SUBMODULES = {
    "a program": "url = ext::sh -c touch% {marker}",
    "a file": "url = {marker}",
    "a file's URL": "url = file://{marker}",
    "an option": "url = -u./payload",
    "an option for ssh": "url = ssh://-oProxyCommand=touch${{IFS}}{marker}/x",
    "a command": "url = {url}\n\tupdate = !touch {marker}",
}


@pytest.mark.parametrize("submodule", SUBMODULES)
def test_a_submodule_is_no_way_to_this_machine(
    box: Cli, repository: Repository, submodule: str
) -> None:
    place = box.directory("marker", {})
    marker = place / "marker"
    text = SUBMODULES[submodule].format(marker=marker, url=repository.url)
    payload = f"#!/bin/sh\ntouch {marker}\n"
    first = repository.commit({"payload": payload})
    repository.commit({".gitmodules": f'[submodule "sub"]\n\tpath = sub\n\t{text}\n'})
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{first},sub")
    repository.git("commit", "-q", "-m", "sub")
    context = box.directory("git", {"Dockerfile": f"FROM scratch\nADD {repository.url} /x\n"})
    done = box("build", context, check=False)
    assert done.returncode != 0
    assert "`git submodule` failed" in done.stderr
    assert list(place.iterdir()) == []


def test_a_dockerfile_passes_no_option_to_git(box: Cli, repository: Repository) -> None:
    place = box.directory("marker", {})
    repository.commit({"a": "a"})
    ref = f"--upload-pack=touch%20{place}/marker"
    context = box.directory("git", {"Dockerfile": f"FROM scratch\nADD {repository.url}#{ref} /x\n"})
    for words in (("build", context), ("build", f"{repository.url}#{ref}")):
        done = box(*words, check=False)
        assert done.returncode == 1
        assert "is no name of a branch, a tag or a commit" in done.stderr
    assert list(place.iterdir()) == []


def test_a_dockerfile_gets_nothing_with_the_callers_keys(box: Cli) -> None:
    place = box.directory("marker", {})
    keys = {"GIT_SSH_COMMAND": f"touch {place}/marker; false", "SSH_AUTH_SOCK": f"{place}/agent"}
    source = "git@127.0.0.1:private.git"
    context = box.directory("git", {"Dockerfile": f"FROM scratch\nADD {source} /x\n"})
    box("build", context, check=False, environment=keys)
    assert list(place.iterdir()) == []
    # Who names it lends them.
    box("build", source, check=False, environment=keys)
    assert [one.name for one in place.iterdir()] == ["marker"]


@pytest.mark.parametrize(("lends_keys", "agent"), [(False, None), (False, "/given"), (True, "/a")])
def test_git_knows_of_nothing_that_logs_in_and_was_not_lent(
    lends_keys: bool, agent: str | None
) -> None:
    own = {"HOME": "/home/me", "SSH_AUTH_SOCK": "/a"}
    git = Git(own, lambda: agent, {}, lambda: False, lends_keys=lends_keys)
    variables = git._environment("ssh://host/a")
    assert variables.get("SSH_AUTH_SOCK") == agent
    # SSH finds keys by the account, and git a `.netrc` by the variable.
    assert ("-o IdentityFile=none" in variables["GIT_SSH_COMMAND"]) is not lends_keys
    assert variables["HOME"] == ("/home/me" if lends_keys else "/dev/null")


def test_credentials_follow_no_redirect(box: Cli, tmp_path: Path, web: Web) -> None:
    with git_http_server(tmp_path / "served", "Basic dXNlcjpwdw==") as repository:
        repository.commit({"a": "a"})
        asked = "info/refs?service=git-upload-pack"
        web.put("/repo.git/info/refs", "", status=302, location=f"{repository.url}/{asked}")
        source = f"{web.url}/repo.git".replace("://", "://user:pw@")
        context = box.directory("git", {"Dockerfile": f"FROM scratch\nADD {source} /x\n"})
        done = box("build", context, check=False)
    assert done.returncode == 1
    assert "hint: credentials follow no redirect" in done.stderr
