"""COPY with its flags, and of files that the Dockerfile itself holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dissolver.errors import BuildError, ContextError

FILES = {
    "a/one.txt": "1",
    "a/two.md": "2",
    "a/deep/three.txt": "3",
    "b/c/four.txt": "4",
    "top.txt": "5",
    ".dockerignore": "Dockerfile\n.dockerignore\n",
}


def tree(site, image: str, top: str = "/x") -> dict[str, str]:
    """Read all files below a directory of an image, by their paths from there."""
    store = site.engine._backend.store
    view = store.layers.view(site.engine.image(image).config.diff_ids)
    found: dict[str, str] = {}
    pending = [top]
    while pending:
        place = pending.pop()
        for name in view.list(place):
            path = f"{place}/{os.fsdecode(name)}"
            if view.stat(path, follow=False).kind == "directory":
                pending.append(path)
            else:
                found[path.removeprefix(f"{top}/")] = site.read(image, path)
    return found


# Documents ---------------------------------------------------------------------------


def test_a_document_becomes_a_file(site) -> None:
    told = site.build('FROM box\nCOPY <<EOF /x/\nhello\n  "world"\nEOF\n')
    assert tree(site, told.image) == {"EOF": 'hello\n  "world"\n'}
    assert site.stat(told.image, "/x/EOF") == (0o644, 0, 0)


def test_documents_have_their_own_names_and_come_after_sources(site) -> None:
    text = "FROM box\nCOPY top.txt <<one <<two /x/\n1\none\n2\ntwo\n"
    told = site.write(FILES).build(text)
    assert tree(site, told.image) == {"top.txt": "5", "one": "1\n", "two": "2\n"}


def test_variables_in_a_document_are_replaced_unless_its_name_is_quoted(site) -> None:
    text = "FROM box\nARG V=1\nCOPY <<a /x/\n$V\na\nCOPY <<'b' /x/\n$V\nb\n"
    assert tree(site, site.build(text).image) == {"a": "1\n", "b": "$V\n"}


def test_a_document_gets_the_owner_and_mode_that_are_asked_for(site) -> None:
    told = site.build(
        "FROM box\nCOPY --chown=node:audio --chmod=755 <<run.sh /x\n#!/bin/sh\nrun.sh\n"
    )
    assert site.stat(told.image, "/x") == (0o755, 1000, 29)


def test_a_document_is_cached_by_its_text(site) -> None:
    text = "FROM box\nCOPY <<EOF /x\nhello\nEOF\n"
    first = site.build(text)
    again = site.build("FROM box\n# moved down\n\nCOPY <<EOF /x\nhello\nEOF\n")
    assert again.result.is_cached
    assert again.image == first.image
    assert not site.build(text.replace("hello", "other")).result.is_cached


def test_a_document_may_be_called_like_a_pattern(site) -> None:
    told = site.build("FROM box\nCOPY <<a*[b] /x/\nhello\na*[b]\n")
    assert tree(site, told.image) == {"a*[b]": "hello\n"}


# Directories ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("COPY --parents a/one.txt /x/", {"a/one.txt": "1"}),
        ("COPY --parents ./a/one.txt ./b /x/", {"a/one.txt": "1", "b/c/four.txt": "4"}),
        ("COPY --parents a/*.txt /x/", {"a/one.txt": "1"}),
        (
            "COPY --parents **/*.txt /x/",
            {"a/one.txt": "1", "a/deep/three.txt": "3", "b/c/four.txt": "4", "top.txt": "5"},
        ),
        ("COPY --parents ./b/./c/*.txt /x/", {"c/four.txt": "4"}),
        (
            "COPY --parents ./ /x/",
            {name: text for name, text in FILES.items() if name[0] != "."},
        ),
        ("COPY --parents --exclude=**/*.md a /x/", {"a/one.txt": "1", "a/deep/three.txt": "3"}),
        ("COPY --exclude=*.md a /x/", {"one.txt": "1", "deep/three.txt": "3"}),
        ("COPY --exclude=deep --exclude=*.md a /x/", {"one.txt": "1"}),
        ("COPY --exclude=** --exclude=!deep/three.txt a /x/", {"deep/three.txt": "3"}),
        ("COPY --exclude=a --exclude=*.txt . /x/", {"b/c/four.txt": "4"}),
    ],
)
def test_directories_are_kept_and_files_left_out(site, instruction: str, expected) -> None:
    told = site.write(FILES).build(f"FROM box\n{instruction}\n")
    assert tree(site, told.image) == expected


def test_flags_hold_for_stages_as_well(site) -> None:
    told = site.write(FILES).build(
        "FROM scratch AS s\nCOPY --chown=7 . /src/\n"
        "FROM box\nCOPY --parents --exclude=**/*.md --from=s /src/./a /x/\n"
    )
    assert tree(site, told.image) == {"a/one.txt": "1", "a/deep/three.txt": "3"}
    assert site.stat(told.image, "/x/a/one.txt") == (0o644, 7, 7)


def test_a_source_with_its_directories_has_to_exist(site) -> None:
    with pytest.raises(ContextError) as caught:
        site.write(FILES).build("FROM box\nCOPY --parents a/ones.txt /x/\n")
    assert caught.value.message == "`a/ones.txt` is not in the build context"
    assert caught.value.hint == "did you mean `a/one.txt`?"


def test_a_pattern_that_is_none_is_told_with_its_line(site) -> None:
    with pytest.raises(BuildError) as caught:
        site.write(FILES).build("FROM box\nCOPY --exclude=[ a /x/\n")
    assert "`[` is not a valid pattern" in caught.value.message
    assert caught.value.where.line == 2


def test_what_is_left_out_makes_no_difference(site) -> None:
    text = "FROM box\nCOPY --exclude=*.md a /x/\nCOPY --parents a/*.txt /y/\n"
    site.write(FILES).build(text)
    assert site.write({"a/two.md": "changed"}).build().result.is_cached
    assert not site.write({"a/one.txt": "changed"}).build().result.is_cached


# Modes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "run", "directory", "plain"),
    [
        ("u=rwX,go=rX", 0o755, 0o755, 0o644),
        ("go-rwx", 0o700, 0o700, 0o600),
        ("+x", 0o755, 0o755, 0o755),
        ("a+w,o=", 0o770, 0o770, 0o660),
        ("u+s", 0o4755, 0o4755, 0o4644),
        ("0711", 0o711, 0o711, 0o711),
    ],
)
def test_modes_are_set_or_changed(site, mode: str, run: int, directory: int, plain: int) -> None:
    site.write({"src/run": "x", "src/sub/plain": "x"})
    (site.directory / "src/run").chmod(0o755)
    told = site.build(f"FROM box\nCOPY --chmod={mode} src /x\n")
    modes = [site.stat(told.image, path)[0] for path in ("/x/run", "/x/sub", "/x/sub/plain")]
    assert modes == [run, directory, plain]


def test_a_changed_mode_is_another_copy(site) -> None:
    site.write(FILES).build("FROM box\nCOPY --chmod=u+x top.txt /x\n")
    assert site.build("FROM box\nCOPY --chmod=0744 top.txt /x\n").result.is_cached
    assert not site.build("FROM box\nCOPY --chmod=g+x top.txt /x\n").result.is_cached


# Links ----------------------------------------------------------------------------------


def test_a_linked_copy_does_not_look_at_what_is_there(site) -> None:
    base = "FROM box\nRUN mkdir -m 700 /real /d && chown node /d && ln -s /real /link\n"
    told = site.write(FILES).build(
        f"{base}COPY --link top.txt /link/\nCOPY --link top.txt /d/\nCOPY top.txt /real/two\n"
    )
    assert site.stat(told.image, "/link")[0] == 0o755
    assert tree(site, told.image, "/link") == {"top.txt": "5"}
    assert tree(site, told.image, "/real") == {"two": "5"}
    assert site.stat(told.image, "/d") == (0o755, 0, 0)


def test_a_linked_copy_survives_any_other_base(site) -> None:
    text = "FROM box\nRUN mkdir -p -m {} /d\nCOPY --link top.txt /d/\n"
    site.write(FILES).build(text.format(700))
    told = site.build(text.format(711))
    assert told.cached == {"RUN mkdir -p -m 711 /d": False, "COPY --link top.txt /d/": True}


def test_a_name_means_nothing_without_a_look_at_the_image(site) -> None:
    with pytest.raises(BuildError) as caught:
        site.write(FILES).build("FROM box\nCOPY --link --chown=node top.txt /d/\n")
    assert "unable to find user `node`" in caught.value.message
    told = site.build("FROM box\nCOPY --link --chown=1000:29 top.txt /d/\n")
    assert site.stat(told.image, "/d/top.txt")[1:] == (1000, 29)


def test_a_linked_copy_that_changes_modes_is_an_ordinary_one(site) -> None:
    told = site.write(FILES).build(
        "FROM box\nRUN mkdir /real && ln -s /real /link\nCOPY --link --chmod=600 top.txt /link/\n"
    )
    assert tree(site, told.image, "/real") == {"top.txt": "5"}


def test_what_was_written_for_documents_is_gone(site, tmp_path: Path) -> None:
    site.build("FROM box\nCOPY <<EOF /x\nhello\nEOF\n")
    assert list((tmp_path / "store" / "tmp").iterdir()) == []
