"""A store with a tiny base image, contexts, and builds that are easy to ask about."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dissolver import BuildResult, Engine, Event, Vertex, VertexLog, VertexStatus
from dissolver.config import Settings
from forms import FORM


@dataclass
class Told:
    """What a build told, and what it came to."""

    events: list[Event] = field(default_factory=list)
    result: BuildResult | None = None

    @property
    def image(self) -> str:
        assert self.result is not None
        return self.result.image.id

    @property
    def vertices(self) -> list[Vertex]:
        """The last state of each vertex, in order."""
        last = {event.id: event for event in self.events if isinstance(event, Vertex)}
        return [last[number] for number in sorted(last)]

    @property
    def names(self) -> list[str]:
        return [vertex.name for vertex in self.vertices]

    def vertex(self, part: str) -> Vertex:
        (found,) = [vertex for vertex in self.vertices if part in vertex.name]
        return found

    @property
    def cached(self) -> dict[str, bool]:
        """Which steps were cached, by their text without the number."""
        assert self.result is not None
        return {step.name.partition("] ")[2]: step.cached for step in self.result.steps}

    @property
    def reasons(self) -> dict[str, str | None]:
        assert self.result is not None
        return {step.name.partition("] ")[2]: step.reason for step in self.result.steps}

    def statuses(self, part: str) -> list[str]:
        """The lines below a vertex, in their order."""
        number = self.vertex(part).id
        found = [e.id for e in self.events if isinstance(e, VertexStatus) and e.vertex == number]
        return list(dict.fromkeys(found))

    def output(self, part: str) -> bytes:
        number = self.vertex(part).id
        return b"".join(
            e.data for e in self.events if isinstance(e, VertexLog) and e.vertex == number
        )


@dataclass
class Site:
    """A context, and an engine to build it with."""

    engine: Engine
    directory: Path

    def write(self, files: Mapping[str, str | bytes]) -> Site:
        for name, content in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self

    def build(self, text: str | None = None, **options: object) -> Told:
        """Build, and answer what was told even if it fails (as the error's ``told``)."""
        if text is not None:
            self.write({"Dockerfile": text})
        told = Told()
        try:
            told.result = self.engine.build(
                self.directory,
                on_event=told.events.append,
                **options,  # type: ignore[arg-type]
            )
        except BaseException as error:
            error.told = told  # type: ignore[attr-defined]
            raise
        return told

    def run(self, image: str, *command: str) -> str:
        """Answer what a command prints in a container of ``image``."""
        from dissolver import RunOptions

        options = RunOptions(remove=True, network="none")
        done = self.engine.run(image, command, options)
        assert done.exit_code == 0, done
        return done.stdout.decode()

    def stat(self, image: str, path: str) -> tuple[int, int, int]:
        """Answer the mode, owner and group of a path in an image, without running it."""
        store = self.engine._backend.store  # type: ignore[union-attr]
        view = store.layers.view(self.engine.image(image).config.diff_ids)
        entry = view.stat(path, follow=False)
        assert entry is not None, path
        return entry.mode, entry.uid, entry.gid

    def read(self, image: str, path: str) -> str:
        """Answer the content of a file in an image, without running it."""
        store = self.engine._backend.store  # type: ignore[union-attr]
        view = store.layers.view(self.engine.image(image).config.diff_ids)
        return str(view.read(path, limit=1 << 20).decode())

    def exists(self, image: str, path: str) -> bool:
        store = self.engine._backend.store  # type: ignore[union-attr]
        view = store.layers.view(self.engine.image(image).config.diff_ids)
        return view.stat(path, follow=False) is not None


@pytest.fixture
def engine(tmp_path: Path, busybox_tar: Path) -> Iterator[Engine]:
    """An engine on a store of its own with an image `box`."""
    if os.geteuid() != 0:
        pytest.skip("these build in this process; as a user that takes another one")
    with Engine(settings=Settings(tmp_path / "store", tmp_path / "run", layers=FORM)) as made:
        made.import_image(busybox_tar, tags=["box"], changes=['CMD ["sh"]'])
        yield made


@pytest.fixture
def site(engine: Engine, tmp_path: Path) -> Site:
    directory = tmp_path / "context"
    directory.mkdir()
    return Site(engine, directory)


SiteMaker = Callable[[str], Site]


@pytest.fixture
def new_site(engine: Engine, tmp_path: Path) -> SiteMaker:
    """Make further contexts with the same engine."""

    def make(name: str) -> Site:
        directory = tmp_path / name
        directory.mkdir()
        return Site(engine, directory)

    return make
