"""Tidying up while others work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dissolver import Engine
from dissolver.config import Settings
from dissolver.engine.results import Pruned
from dissolver.store import Store

Prune = Callable[..., Pruned]


@pytest.mark.parametrize(
    "prune",
    [Engine.prune_system, Engine.prune_images, Engine.prune_builder, Engine.prune_volumes],
    ids=lambda method: method.__name__,
)
def test_whoever_has_to_wait_is_told_once(tmp_path: Path, prune: Prune) -> None:
    told: list[bool] = []
    held, is_told = threading.Event(), threading.Event()
    settings = Settings(tmp_path / "store", tmp_path / "run")
    with Engine(settings=settings) as engine, Store(settings.root, settings.run) as store:

        def build() -> None:
            with store.lock_shared():
                held.set()
                assert is_told.wait(20)

        def on_wait() -> None:
            told.append(True)
            is_told.set()

        thread = threading.Thread(target=build)
        thread.start()
        assert held.wait(20)
        assert prune(engine, on_wait=on_wait).reclaimed_bytes == 0
        thread.join()
        assert told == [True]
        prune(engine, on_wait=on_wait)
        assert told == [True]
