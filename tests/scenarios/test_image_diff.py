"""What differs between two images, as text, as JSON and as an exit code."""

from __future__ import annotations

import json

from scene import Cli

BEFORE = """\
FROM scratch
COPY --chmod=644 a b gone /
ENV WORD=one
"""
AFTER = """\
FROM scratch
COPY --chown=7:8 --chmod=600 a /
COPY b /
COPY new dir/ /n/
ENV WORD=two
"""

FILES = {"a": "same", "b": "one\n", "gone": "", "new": "new", "dir/\x1b[1m": "x"}


def two_images(cli: Cli) -> None:
    made = cli.directory("context", FILES)
    cli("build", "-t", "before", "-f", "-", made, stdin=BEFORE)
    (made / "b").write_text("two\n")
    cli("build", "-t", "after", "-f", "-", made, stdin=AFTER)


def test_files_and_fields_that_differ_are_told(cli: Cli) -> None:
    two_images(cli)
    told = cli("image", "diff", "before", "after", check=False)
    assert (told.returncode, told.stderr) == (1, "")
    files, configuration, layers, history = told.stdout.split("\n\n")
    assert files.splitlines() == [
        "files (6)",
        "C /a  mode 0644 -> 0600, uid 0 -> 7, gid 0 -> 8",
        # The digests are BLAKE3 of `one` and `two`, each with its line end.
        files.splitlines()[2],
        "D /gone  file 0644 0:0 0 bytes",
        "A /n  directory 0755 0:0",
        "A /n/\\x1b[1m  file 0644 0:0 1 bytes",
        "A /n/new  file 0644 0:0 3 bytes",
    ]
    assert files.splitlines()[2].startswith("C /b  content blake3:")
    assert configuration.splitlines()[0].startswith("configuration (")
    assert 'config.Env.WORD: "one" -> "two"' in configuration.splitlines()
    assert layers.splitlines()[0] == "layers (3)"
    assert any("history.3" in line for line in history.splitlines())


def test_the_same_images_differ_in_nothing(cli: Cli) -> None:
    two_images(cli)
    told = cli("image", "diff", "before", "before")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    empty = json.loads(cli.out("image", "diff", "--format", "json", "after", "after"))
    assert [empty[part] for part in ("files", "config", "layers", "history")] == [[]] * 4
    assert (
        empty["before"] == empty["after"] == cli.out("image", "inspect", "-f", "{{.Id}}", "after")
    )


def test_json_has_both_sides_of_everything(cli: Cli) -> None:
    two_images(cli)
    found = json.loads(
        cli("image", "diff", "--format", "json", "before", "after", check=False).stdout
    )
    changed = {one["path"]: one for one in found["files"]}
    assert changed["/a"]["facts"] == ["mode", "uid", "gid"]
    assert [changed["/a"][side]["uid"] for side in ("before", "after")] == [0, 7]
    assert changed["/b"]["facts"] == ["digest"]
    assert changed["/gone"]["kind"] == "removed"
    assert changed["/gone"]["after"] is None
    assert changed["/n/\x1b[1m"]["before"] is None
    assert {"field": "config.Env.WORD", "before": "one", "after": "two"} in found["config"]


def test_names_of_fields_cannot_steer_a_terminal(cli: Cli) -> None:
    made = cli.directory("context", {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "a"})
    cli("build", "-t", "plain", made)
    cli("build", "-t", "labelled", "--label", "a\x1b[2J=b", made)
    told = cli("image", "diff", "plain", "labelled", check=False).stdout
    assert 'config.Labels.a\\x1b[2J: - -> "b"' in told.splitlines()
    assert "\x1b" not in told


def test_times_are_compared_where_they_are_asked_for(cli: Cli) -> None:
    made = cli.directory("context", {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "a"})
    output = "type=image,rewrite-timestamp=true"
    for epoch in ("1000000000", "1000000001"):
        environment = {"SOURCE_DATE_EPOCH": epoch}
        cli("build", "-t", f"app:{epoch}", "-o", output, made, environment=environment)
    names = ("app:1000000000", "app:1000000001")
    without = cli("image", "diff", *names, check=False).stdout
    assert "/a" not in without
    assert 'created: "2001-09-09T01:46:40Z" -> "2001-09-09T01:46:41Z"' in without
    lines = cli("image", "diff", "--times", *names, check=False).stdout.splitlines()
    assert "C /a  time 2001-09-09T01:46:40Z -> 2001-09-09T01:46:41Z" in lines


def test_what_cannot_be_compared_is_no_difference(cli: Cli) -> None:
    failed = cli("image", "diff", "none:1", "none:2", check=False)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "there is no local image `none:1`" in failed.stderr
    assert cli("image", "diff", "a", "b", "--format", "xml", check=False).returncode == 2
