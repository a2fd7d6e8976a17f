"""COPY and WORKDIR: what lands where, whose it is, and what cannot be copied."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dissolver.errors import BuildError, ContextError, DissolverError

FILES = {"a.txt": "a", "b.txt": "b", "src/c.py": "c", "src/deep/d.py": "d"}


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("COPY a.txt /x", {"/x": "a"}),
        ("COPY a.txt /x/", {"/x/a.txt": "a"}),
        ("COPY a.txt b.txt /x/", {"/x/a.txt": "a", "/x/b.txt": "b"}),
        ("COPY *.txt /x/", {"/x/a.txt": "a", "/x/b.txt": "b"}),
        ("COPY src /x", {"/x/c.py": "c", "/x/deep/d.py": "d"}),
        ("COPY src/ /x/", {"/x/c.py": "c", "/x/deep/d.py": "d"}),
        ("COPY src/deep /x/y/z", {"/x/y/z/d.py": "d"}),
        ("COPY . /x", {"/x/a.txt": "a", "/x/src/c.py": "c"}),
        ("COPY ./src/../a.txt /x", {"/x": "a"}),
        ("COPY /a.txt /x", {"/x": "a"}),
        ('COPY ["a.txt", "/x y"]', {"/x y": "a"}),
        ("WORKDIR /w\nCOPY a.txt .", {"/w/a.txt": "a"}),
        ("WORKDIR /w\nCOPY a.txt sub/", {"/w/sub/a.txt": "a"}),
        ("COPY a.txt /etc", {"/etc/a.txt": "a"}),
    ],
)
def test_files_land_where_they_are_told(site, instruction: str, expected: dict[str, str]) -> None:
    told = site.write(FILES).build(f"FROM box\n{instruction}\n")
    assert {path: site.read(told.image, path) for path in expected} == expected


def test_a_wildcard_that_matches_nothing_copies_nothing(site) -> None:
    told = site.build("FROM box\nCOPY none* /x/\n")
    assert not site.exists(told.image, "/x/none")


@pytest.mark.parametrize(
    ("chown", "owner"),
    [
        ("1000", (1000, 1000)),
        ("node", (1000, 1000)),
        ("node:audio", (1000, 29)),
        ("5:6", (5, 6)),
        ("root", (0, 0)),
        ("bin:0", (1, 0)),
        ("node:", (1000, 1000)),
        ("5:", (5, 5)),
        (":", (0, 0)),
        (":audio", (0, 29)),
    ],
)
def test_owners_are_looked_up_in_the_image(site, chown: str, owner: tuple[int, int]) -> None:
    told = site.write(FILES).build(f"FROM box\nCOPY --chown={chown} src /new/x\n")
    for path in ("/new", "/new/x", "/new/x/c.py", "/new/x/deep"):
        assert site.stat(told.image, path)[1:] == owner, path


def test_an_owner_made_in_an_earlier_step_is_known(site) -> None:
    told = site.write(FILES).build(
        "FROM box\nRUN echo me:x:1234:1235::/:/bin/sh >> /etc/passwd\nCOPY --chown=me a.txt /\n"
    )
    assert site.stat(told.image, "/a.txt")[1:] == (1234, 1235)


@pytest.mark.parametrize("chown", ["nobody-here", "node:no-group", "nobody-here:0"])
@pytest.mark.parametrize("base", ["box", "scratch"])
def test_an_unknown_owner_is_an_error_with_its_place(site, base: str, chown: str) -> None:
    with pytest.raises(BuildError) as caught:
        site.write(FILES).build(f"FROM {base}\nCOPY --chown={chown} a.txt /\n")
    assert caught.value.where.line == 2
    assert "no" in caught.value.message
    assert caught.value.hint


def test_numbers_and_root_need_no_user_database(site) -> None:
    told = site.write(FILES).build(
        "FROM scratch\nCOPY --chown=7:8 a.txt /a\nCOPY --chown=root:root a.txt /b\n"
    )
    assert site.stat(told.image, "/a")[1:] == (7, 8)
    assert site.stat(told.image, "/b")[1:] == (0, 0)


def test_modes_are_set_on_what_is_copied(site) -> None:
    told = site.write(FILES).build("FROM box\nCOPY --chmod=0700 src /x\n")
    assert site.stat(told.image, "/x/c.py")[0] == 0o700
    assert site.stat(told.image, "/x/deep")[0] == 0o700


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("b.text", "`b.text` is not in the build context", "did you mean `b.txt`?"),
        ("src/x.py", "`src/x.py` is not in the build context", "did you mean `src/c.py`?"),
        ("../secret", "`../secret` leads out of the build context", "below the context"),
        ("/a.tx", "`/a.tx` is not in the build context", "did you mean `a.txt`?"),
        ("/etc/hosts", "`/etc/hosts` is not in the build context", "top of the build context"),
    ],
)
def test_a_missing_source_is_explained(site, source: str, message: str, hint: str) -> None:
    with pytest.raises(ContextError) as caught:
        site.write(FILES).build(f"FROM box\nCOPY {source} /x\n")
    assert caught.value.message == message
    assert hint in caught.value.hint
    where = caught.value.where
    assert (where.line, where.column, where.length) == (2, 5, len(source))


def test_an_ignored_source_is_told_as_ignored(site) -> None:
    site.write({**FILES, ".dockerignore": "*.txt\n"})
    with pytest.raises(ContextError) as caught:
        site.build("FROM box\nCOPY a.txt /x\n")
    assert caught.value.message == "`a.txt` is excluded from the build context"
    assert "`.dockerignore`" in caught.value.hint


def test_a_missing_source_in_a_stage_is_explained(site) -> None:
    with pytest.raises(ContextError) as caught:
        site.build("FROM box AS a\nFROM scratch\nCOPY --from=a /etc/paswd /x\n")
    assert "/etc/paswd" in caught.value.message
    assert caught.value.hint == "did you mean `etc/passwd`?"


@pytest.mark.parametrize(
    ("instruction", "part"),
    [("COPY src /etc/passwd", "/etc/passwd"), ("COPY a.txt /etc/passwd/x", "/etc/passwd")],
)
def test_what_does_not_fit_is_told_with_its_place(site, instruction: str, part: str) -> None:
    with pytest.raises(DissolverError) as caught:
        site.write(FILES).build(f"FROM box\n{instruction}\n")
    assert part in caught.value.message
    assert caught.value.where.line == 2


def test_ignored_files_are_neither_copied_nor_counted(site) -> None:
    site.write({**FILES, ".dockerignore": "src\n!src/c.py\nDockerfile\n"})
    first = site.build("FROM box\nCOPY . /x\n")
    assert site.exists(first.image, "/x/src/c.py")
    assert not site.exists(first.image, "/x/src/deep")
    assert not site.exists(first.image, "/x/Dockerfile")
    site.write({"src/deep/d.py": "changed"})
    assert site.build().result.is_cached


def test_links_stay_links_and_a_named_link_is_followed(site) -> None:
    site.write(FILES)
    (site.directory / "link").symlink_to("a.txt")
    (site.directory / "src" / "inner").symlink_to("/etc/passwd")
    told = site.build("FROM box\nCOPY link /x\nCOPY src /y\n")
    assert site.read(told.image, "/x") == "a"
    assert site.stat(told.image, "/x")[0] == 0o644
    assert "root:x:0" in site.read(told.image, "/y/inner")


def test_a_destination_is_followed_through_the_links_of_the_image(site) -> None:
    told = site.write(FILES).build(
        "FROM box\nRUN mkdir /real && ln -s /real /alias\nCOPY a.txt /alias/\n"
    )
    assert site.read(told.image, "/real/a.txt") == "a"


def test_workdir_belongs_to_the_user_and_leaves_what_exists(site) -> None:
    told = site.build(
        "FROM box\nUSER 7\nWORKDIR /seven\n"
        "USER node\nWORKDIR /home/node/app/deep\nWORKDIR /root\nWORKDIR ../srv/x\n"
    )
    assert site.stat(told.image, "/seven") == (0o755, 7, 7)
    assert site.stat(told.image, "/home/node/app/deep") == (0o755, 1000, 1000)
    assert site.stat(told.image, "/srv/x") == (0o755, 1000, 1000)
    assert site.stat(told.image, "/root") == (0o700, 0, 0)
    assert told.result.image.config.config.working_dir == "/srv/x"


def test_every_step_makes_one_layer_even_when_nothing_changes(site) -> None:
    base = len(site.engine.image("box").config.diff_ids)
    told = site.build("FROM box\nWORKDIR /etc\nRUN true\nCOPY none* /x/\n")
    assert len(told.result.image.config.diff_ids) == base + 3


def test_a_file_saved_since_the_context_was_listed_is_copied_as_it_is_now(site) -> None:
    site.write({"f": "old", "Dockerfile": "FROM box\nRUN echo now; sleep 0.3\nCOPY f /f\n"})

    def saves(event: object) -> None:
        if getattr(event, "data", b"").startswith(b"now"):
            site.write({"f": "new content"})

    result = site.engine.build(site.directory, on_event=saves)
    assert site.read(result.image.id, "/f") == "new content"


def test_names_that_are_not_text_are_copied(site) -> None:
    name = os.fsencode(site.directory) + b"/d/\xff\xfe"
    (site.directory / "d").mkdir()
    Path(os.fsdecode(name)).write_bytes(b"x")
    told = site.build("FROM scratch\nCOPY d /d\n")
    store = site.engine._backend.store
    assert store.layers.view(told.result.image.config.diff_ids).list("/d") == [b"\xff\xfe"]


def test_the_same_copy_makes_the_same_layer_in_another_store(site, tmp_path) -> None:
    from dissolver import Engine
    from dissolver.config import Settings

    first = site.write(FILES).build("FROM scratch\nCOPY src /x/y\nWORKDIR /w\n")
    with Engine(settings=Settings(tmp_path / "other", tmp_path / "run2")) as other:
        second = other.build(site.directory)
        assert second.image.config.diff_ids == first.result.image.config.diff_ids
