"""Listing a context: what it costs, what it leaves out, and how it fails."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from dissolver._core import CoreError
from dissolver._core.copy import CopyPart
from dissolver._core.tree import IgnoreRules, Tree


@pytest.fixture
def context(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    for name in ("package.json", "src/server.js", "node_modules/express/index.js"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (root / "link").symlink_to("src")
    return root


def test_a_tree_counts_what_the_rules_leave(context: Path) -> None:
    tree = Tree.scan(context)
    assert (tree.entry_count, tree.total_bytes) == (7, 12 + 13 + 29)
    tree = Tree.scan(context, ignore=IgnoreRules(["node_modules"]))
    assert (tree.entry_count, tree.total_bytes) == (4, 12 + 13)
    assert tree.root == os.fspath(context)


def test_every_form_of_path_is_taken(context: Path) -> None:
    for root in (context, str(context), os.fsencode(context)):
        assert Tree.scan(root).entry_count == 7


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("gone", "not-found", "does not exist"),
        ("package.json", "not-a-directory", "is not a directory"),
    ],
)
def test_a_root_that_is_none_is_named(context: Path, name: str, kind: str, text: str) -> None:
    with pytest.raises(CoreError) as caught:
        Tree.scan(context / name)
    assert caught.value.kind == kind
    assert caught.value.message == f"`{context / name}` {text}"
    assert caught.value.path == os.fsencode(context / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every directory")
def test_a_closed_directory_is_an_error_for_those_who_want_what_is_in_it(context: Path) -> None:
    closed = context / "src"
    closed.chmod(0)
    try:
        part = CopyPart(Tree.scan(context), ["/src/anything"], keeps_owner=False)
        with pytest.raises(CoreError) as caught:
            part.selected()
        assert Tree.scan(context, ignore=IgnoreRules(["src"])).entry_count == 5
    finally:
        closed.chmod(0o755)
    assert (caught.value.kind, caught.value.path) == ("io", b"src")
    assert caught.value.message == "cannot open `src`: permission denied"
    assert caught.value.hint == "make it readable for you, or exclude it in `.dockerignore`"


def test_trees_can_be_made_in_many_threads(context: Path) -> None:
    counts: list[int] = []

    def scan() -> None:
        counts.extend(Tree.scan(context).entry_count for _ in range(20))

    threads = [threading.Thread(target=scan) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [7] * 160
