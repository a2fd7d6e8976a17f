"""What tests of the runtime stand on: a store with a small system in it, and ways to use it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from dissolver.image.config import Image, ImageConfig, RootFs, RunConfig
from dissolver.image.reference import parse_reference
from dissolver.runtime.step import StepResult, run_step
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
