"""Titles of commits say what was done; one that was never finished does not enter the history."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Two older commits have such titles, and history is left alone: the rule begins behind this one.
RULE_BEGINS = "32a34ac3a95cc05eea89b82d67d640a398a404db"

# What `git commit --fixup`, `--squash` and `git stash` write, and what people do in a hurry.
PLACEHOLDER = re.compile(
    r"(fixup|squash|amend)!"
    r"|.*\b(w\.?i\.?p|work[ _-]in[ _-]progress)\b"
    r"|\W*(tmp|temp|temporary|checkpoint|save|todo|fixup|squash|amend)?\W*$",
    re.IGNORECASE,
)
QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"|“[^”]*”")


def is_placeholder(title: str) -> bool:
    """Report whether a commit's title stands where one should be that says what was done.

    Words in quotation marks are what the commit is about, unless nothing is said beside them.
    """
    return PLACEHOLDER.match(QUOTED.sub("", title).strip()) is not None


def titles_since(root: Path, commit: str) -> list[str] | None:
    """List the commits of the repository at ``root`` behind ``commit``, each with its title.

    Return None where they cannot be known: without git, outside of a repository, and in one
    that does not have ``commit``, such as a shallow clone.
    """
    command = ["git", "log", "-z", "--no-show-signature", "--format=%h %s", f"{commit}..HEAD"]
    try:
        listing = subprocess.run(command, cwd=root, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return [line for line in listing.stdout.decode(errors="replace").split("\0") if line]


def placeholders_since(root: Path, commit: str) -> list[str]:
    """List the commits behind ``commit`` whose titles say nothing; skip where none are known."""
    titles = titles_since(root, commit)
    if titles is None:
        pytest.skip(f"git does not know the commits since {commit[:7]} here")
    return [line for line in titles if is_placeholder(line.partition(" ")[2])]


def git(root: Path, *words: str) -> str:
    """Run git with a name to commit under and without anybody's settings."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        **{f"GIT_{who}_NAME": "test" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "test@test" for who in ("AUTHOR", "COMMITTER")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
    }
    ran = subprocess.run(
        ["git", *words], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


def commit(root: Path, title: str) -> str:
    """Make an empty commit and return its name."""
    git(root, "commit", "-q", "--allow-empty", "--allow-empty-message", "-m", title)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # A hook that runs this has them set, to the repository that it is of.
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    made = tmp_path / "repository"
    made.mkdir()
    git(made, "init", "-q")
    return made


def test_every_commit_says_what_was_done() -> None:
    assert placeholders_since(ROOT, RULE_BEGINS) == []


@pytest.mark.parametrize(
    "title",
    [
        "wip",
        "WIP",
        "wip tests",
        "WIP: read layouts",
        "[WIP] Read layouts",
        "Read layouts (wip)",
        "Read layouts, WIP",
        "w.i.p.",
        "WIP on main: 32a34ac Read layouts",
        "work in progress",
        "Work-in-progress on layouts",
        "Layouts: Work In Progress",
        "fixup! Read layouts",
        "fixup! fixup! Read layouts",
        "squash! Read layouts",
        "Squash! Read layouts",
        "amend! Read layouts",
        "fixup",
        "tmp",
        "Checkpoint",
        "`wip`",
        "...",
        "",
    ],
)
def test_a_title_that_stands_for_one_is_refused(title: str) -> None:
    assert is_placeholder(title)


@pytest.mark.parametrize(
    "title",
    [
        "Wipe what a cancelled build left behind",
        "Refuse commits that are titled `wip` or “work in progress”",
        'Revert "wip"',
        "Squash layers of one stage",
        "Show work that is in progress",
        "Save images as archives",
        "Checkpoint containers",
        "Merge branch 'walls'",
    ],
)
def test_a_title_that_says_what_was_done_is_taken(title: str) -> None:
    assert not is_placeholder(title)


def test_commits_behind_the_first_are_looked_at_and_older_ones_left_alone(
    repository: Path,
) -> None:
    commit(repository, "wip")
    first = commit(repository, "Begin")
    assert placeholders_since(repository, first) == []
    bad = [commit(repository, title) for title in ("fixup! Begin", "Go on", "wip")]
    found = placeholders_since(repository, first)
    assert [line.partition(" ")[2] for line in found] == ["wip", "fixup! Begin"]
    assert bad[2].startswith(found[0].partition(" ")[0])


def test_what_came_by_a_merge_is_looked_at_too(repository: Path) -> None:
    first = commit(repository, "Begin")
    git(repository, "checkout", "-q", "-b", "side")
    commit(repository, "squash! Begin")
    git(repository, "checkout", "-q", "-")
    commit(repository, "Go on")
    git(repository, "merge", "-q", "--no-ff", "-m", "Merge branch 'side'", "side")
    (found,) = placeholders_since(repository, first)
    assert found.endswith(" squash! Begin")


def test_without_the_history_there_is_nothing_to_refuse(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = commit(repository, "Begin")
    commit(repository, "wip")
    commit(repository, "Go on")
    git(tmp_path, "clone", "-q", "--depth=1", repository.as_uri(), "shallow")
    assert titles_since(repository, first) is not None
    assert titles_since(tmp_path / "shallow", first) is None
    # A source archive is in no repository, or in somebody else's.
    archive = tmp_path / "archive"
    archive.mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert titles_since(archive, first) is None
    git(tmp_path, "init", "-q")
    commit(tmp_path, "wip")
    monkeypatch.delenv("GIT_CEILING_DIRECTORIES")
    assert titles_since(archive, first) is None
    monkeypatch.setenv("PATH", str(archive))
    assert titles_since(repository, first) is None
