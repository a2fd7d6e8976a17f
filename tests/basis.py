"""What tests of the runtime stand on: a store with a small system in it, and ways to use it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dissolver.containers import life as containers
from dissolver.containers import state
from dissolver.containers.life import RunOptions
from dissolver.image.config import Image, ImageConfig, RootFs, RunConfig
from dissolver.image.reference import parse_reference
from dissolver.sandbox.run import StepResult, run_step
from dissolver.store import Store

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make these namespaces")


@dataclass
class Base:
    """A store, the layer of a busybox system in it, and a way to run steps on that."""

    store: Store
    layer: str
    output: list[bytes] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What the last step wrote."""
        return b"".join(self.output).decode()

    def step(
        self,
        command: str | list[str],
        *,
        is_cancelled: Callable[[], bool] = lambda: False,
        network: str = "none",
        cwd: str = "/",
        user: str = "",
        env: tuple[tuple[str, str], ...] = (),
        extra_mounts: tuple[object, ...] = (),
        parents: list[str] | None = None,
    ) -> StepResult:
        """Run a step on top of the system, or of ``parents``."""
        self.output.clear()
        return run_step(
            self.store,
            parents=parents or [self.layer],
            argv=["/bin/sh", "-c", command] if isinstance(command, str) else command,
            env=env,
            cwd=cwd,
            user=user,
            network=network,
            extra_mounts=extra_mounts,  # type: ignore[arg-type]
            on_output=self.output.append,
            is_cancelled=is_cancelled,
        )

    def commit(self, result: StepResult, parents: list[str] | None = None) -> str:
        """Store what a step left as a layer."""
        assert result.upper is not None
        layers = self.store.layers
        info = layers.commit_upper(result.upper, parents or [self.layer], ignore_stubs=result.stubs)
        return info.diff_id

    def paths(self, layer: str) -> list[str]:
        """List the files that a layer holds, directories left out."""
        view = self.store.layers.view([layer])
        found: list[str] = []
        pending = ["/"]
        while pending:
            place = pending.pop()
            for name in view.list(place):
                path = f"{place.rstrip('/')}/{os.fsdecode(name)}"
                entry = view.stat(path, follow=False)
                assert entry is not None
                found.append(path)
                if entry.kind == "directory":
                    pending.append(path)
        return sorted(found)

    def image(self, **config: object) -> Image:
        """Make an image of the system with this configuration."""
        run = RunConfig(**({"cmd": ("/bin/sh",)} | config))  # type: ignore[arg-type]
        document = ImageConfig("amd64", "linux", config=run, rootfs=RootFs("layers", (self.layer,)))
        return self.store.images.put(document, tags=[parse_reference("box")])


class Box:
    """Containers of one small image."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.store = base.store
        self._image = base.image()

    def create(self, *command: str, **options: object) -> str:
        chosen = RunOptions(**({"network": "none"} | options))  # type: ignore[arg-type]
        return containers.create(self.store, self._image, command, chosen, image_name="box")

    def start(self, *command: str, **options: object) -> str:
        """Start a container that goes on by itself."""
        identity = self.create(*command, **options)
        containers.start(self.store, identity)
        return identity

    def run(self, *command: str, stdin: bytes | None = None, **options: object) -> tuple[int, str]:
        """Run a container to its end; return its exit code and all it wrote."""
        identity = self.create(*command, **({"interactive": stdin is not None} | options))
        containers.start(self.store, identity, waits_for_attach=True)
        return self.attach(identity, stdin)

    def attach(self, identity: str, stdin: bytes | None = None) -> tuple[int, str]:
        reading, writing = os.pipe()
        with collected() as (output, text):
            try:
                feeder = threading.Thread(target=_feed, args=(writing, stdin or b""))
                feeder.start()
                code = containers.attach(
                    self.store,
                    identity,
                    stdin=reading if stdin is not None else None,
                    stdout=output,
                    stderr=output,
                )
                feeder.join()
            finally:
                os.close(reading)
            return code, text()

    def directory(self, identity: str) -> Path:
        return self.store.containers.directory(identity)

    def state(self, identity: str) -> state.State:
        return state.read_state(self.directory(identity))

    def summary(self, identity: str) -> containers.ContainerSummary:
        return containers.describe(self.store, self.store.containers.get(identity))


def _feed(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(data)


@contextmanager
def collected() -> Iterator[tuple[int, Callable[[], str]]]:
    """Give a descriptor to write to, and what was written in the end."""
    descriptor = os.memfd_create("output")
    try:
        yield descriptor, lambda: os.pread(descriptor, 10_000_000, 0).decode()
    finally:
        os.close(descriptor)


def eventually(condition: Callable[[], object], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def drive(master: int, steps: list[tuple[bytes, bytes]]) -> bytes:
    """Type each answer once the expected text has come; return everything that came."""
    seen = b""
    position = 0
    for expected, answer in steps:
        deadline = time.monotonic() + 5
        while expected not in seen[position:]:
            assert time.monotonic() < deadline, seen
            seen += os.read(master, 4096)
        position = seen.index(expected, position) + len(expected)
        os.write(master, answer)
    return seen
