"""The context is listed beside what a build does first, where a step is sure to want it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from build.conftest import Site
from dissolver._core.tree import Tree
from dissolver.build.context import BuildContext
from dissolver.build.definition import IgnoreFile
from dissolver.errors import CoreFailure


class Watched(BuildContext):
    """A context that lists nothing before it is told to, and remembers which threads did."""

    def watch(self) -> Watched:
        self.gate = threading.Event()
        self.threads: list[int] = []
        return self

    def _scan(self) -> Tree:
        self.threads.append(threading.get_ident())
        assert self.gate.wait(30)
        return super()._scan()


@pytest.fixture
def context(site: Site) -> Watched:
    site.write({"a": "a", "d/b": "b"})
    ignore = IgnoreFile("", 0, None)
    return Watched(site.directory, ignore, (), site.engine._backend.store).watch()


def test_a_listing_that_has_begun_is_waited_for_and_not_made_again(context: Watched) -> None:
    context.begin()
    found: list[Tree] = []
    asking = threading.Thread(target=lambda: found.append(context.tree()))
    asking.start()
    asking.join(0.05)
    assert not found
    context.gate.set()
    asking.join(30)
    assert found == [context.tree()]
    assert found[0].total_bytes >= 2
    assert len(context.threads) == 1


def test_who_asks_for_a_listing_that_failed_hears_why(context: Watched) -> None:
    context.root = Path(context.root) / "gone"
    context.gate.set()
    context.begin()
    with pytest.raises(CoreFailure, match="gone"):
        context.tree()


def test_the_interpreter_ends_after_a_listing_that_nobody_waits_for(site: Site) -> None:
    script = """if True:
        import sys, time
        from dissolver.build.context import BuildContext
        from dissolver.build.definition import IgnoreFile
        from dissolver.store import Store

        class Slow(BuildContext):
            def _scan(self):
                time.sleep(0.3)
                print("listed", flush=True)
                return super()._scan()

        from pathlib import Path
        store = Store(Path(sys.argv[2]), Path(sys.argv[3]))
        Slow(Path(sys.argv[1]), IgnoreFile("", 0, None), (), store).begin()
        """
    layout = site.engine._backend.store.layout
    done = subprocess.run(
        [sys.executable, "-c", script, site.directory, layout.root, layout.run],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "listed\n", "")


@pytest.mark.parametrize(
    ("dockerfile", "target", "begins"),
    [
        ("FROM box\nCOPY . /x\n", None, True),
        ("FROM box AS one\nCOPY a /x\nFROM box\nCOPY --from=one /x /x\n", None, True),
        ("FROM box AS one\nCOPY a /x\nFROM box AS two\n", "two", False),
        ("FROM box AS one\nFROM box\nCOPY --from=one /bin /x\n", None, False),
        ("FROM box\nCOPY <<E /x\ntext\nE\n", None, False),
        ("FROM box\nRUN true\n", None, False),
    ],
)
def test_only_what_a_needed_stage_copies_from_is_listed_ahead(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    dockerfile: str,
    target: str | None,
    begins: bool,
) -> None:
    begun: list[Path] = []
    real = BuildContext.begin

    def begin(context: BuildContext) -> None:
        begun.append(context.root)
        real(context)

    monkeypatch.setattr(BuildContext, "begin", begin)
    site.write({"Dockerfile": dockerfile, "a": "a"})
    site.engine.build(site.directory, target=target)
    assert begun == ([site.directory] if begins else [])


def test_the_plan_of_a_build_lists_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BuildContext, "_scan", lambda _: pytest.fail("it was listed"))
    site.write({"Dockerfile": "FROM box\nCOPY a /x\n", "a": "a"})
    assert "COPY a /x" in site.engine.plan(site.directory)
