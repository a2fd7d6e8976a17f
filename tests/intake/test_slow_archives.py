"""Archives that come through a pipe, and take their time."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from dissolver.export.save import save
from dissolver.intake.load import load
from dissolver.store import Store
from shelf import add_image


@pytest.mark.usefixtures("hears_interrupts")
def test_an_interrupt_is_heard_while_a_pipe_is_silent(store: Store) -> None:
    reading, writing = os.pipe()
    threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            load(store, reading)
    finally:
        os.close(writing)
        os.close(reading)
    assert list(store.layout.tmp.iterdir()) == []


def test_a_prune_does_not_wait_for_an_archive_that_is_still_coming(
    store: Store, tmp_path: Path
) -> None:
    add_image(store, "one", "box")
    save(store, ["box"], str(tmp_path / "archive"))
    archive = (tmp_path / "archive").read_bytes()
    reading, writing = os.pipe()
    had_to_wait: list[bool] = []

    def give_up() -> None:
        raise TimeoutError

    def feed() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(archive[:1000])
            pipe.flush()
            while not any(store.layout.tmp.iterdir()):
                time.sleep(0.01)
            try:
                store.prune_images(on_wait=give_up)
            except TimeoutError:
                had_to_wait.append(True)
            pipe.write(archive[1000:])

    thread = threading.Thread(target=feed)
    thread.start()
    assert len(load(store, reading)) == 1
    thread.join()
    os.close(reading)
    assert had_to_wait == []
