"""An engine that works through another process behaves like one that does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dissolver.config import Settings
from dissolver.engine import images, tidy
from dissolver.engine.proxy import Proxy
from dissolver.errors import BadReference, EngineFailed, ImageNotFound
from scene import wait_until


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    made = Proxy(Settings(tmp_path / "store", tmp_path / "run"))
    yield made
    made.close()


def workers() -> list[int]:
    """List the worker processes that this process has started."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return [pid for pid, line in lines.items() if b"dissolver.engine.worker" in line]


def test_nothing_starts_before_the_first_call(proxy: Proxy) -> None:
    before = workers()
    assert proxy.settings.root.name == "store"
    assert workers() == before


def test_results_come_back_as_values(proxy: Proxy) -> None:
    assert proxy.call(images.list_all) == []
    usage = proxy.call(tidy.disk_usage)
    assert [row.kind for row in usage] == ["Images", "Containers", "Local Volumes", "Build Cache"]
    assert proxy.call(tidy.info).root == str(proxy.settings.root)


def test_errors_come_back_with_their_type_and_hint(proxy: Proxy) -> None:
    with pytest.raises(ImageNotFound) as caught:
        proxy.call(images.find, "nowhere")
    assert "nowhere" in caught.value.message
    assert caught.value.hint is not None
    with pytest.raises(BadReference):
        proxy.call(images.tag, "a", "UPPER CASE")


def test_many_threads_may_call_at_once(proxy: Proxy) -> None:
    seen: list[object] = []

    def call() -> None:
        seen.append(proxy.call(images.list_all))

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [[]] * 16


def test_close_ends_the_worker_and_the_next_call_starts_another(proxy: Proxy) -> None:
    proxy.call(images.list_all)
    (first,) = workers()
    proxy.close()
    assert workers() == []
    assert proxy.call(images.list_all) == []
    (second,) = workers()
    assert second != first


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_a_worker_of_its_own(proxy: Proxy) -> None:
    assert proxy.call(images.list_all) == []
    with proxy._lock:  # As another thread may hold it at that moment.
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            try:
                answered = proxy.call(images.list_all)
                proxy.close()
                os._exit(0 if answered == [] else 1)
            except BaseException:  # noqa: BLE001
                os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    # The parent's goes on.
    assert proxy.call(images.list_all) == []
    assert len(workers()) == 1


def test_a_killed_worker_is_told_and_replaced(proxy: Proxy) -> None:
    proxy.call(images.list_all)
    (worker,) = workers()
    # Stopped first, so that the call is under way when it is killed.
    os.kill(worker, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, [worker, signal.SIGKILL]).start()
    with pytest.raises(EngineFailed, match="ended unexpectedly"):
        proxy.call(images.list_all)
    assert proxy.call(images.list_all) == []


def test_a_mistake_inside_the_worker_is_told_with_its_trace(proxy: Proxy) -> None:
    with pytest.raises(EngineFailed, match="AttributeError") as caught:
        proxy.call(images.find, 3)  # type: ignore[arg-type]
    assert any("Traceback" in line for line in caught.value.detail)
    assert proxy.call(images.list_all) == []


def test_the_worker_ends_with_the_program_however_that_ends(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from dissolver.config import Settings\n"
        "from dissolver.engine import images\n"
        "from dissolver.engine.proxy import Proxy\n"
        f"proxy = Proxy(Settings(Path({str(tmp_path / 'store')!r}), Path({str(tmp_path)!r})))\n"
        "proxy.call(images.list_all)\n"
        "print(proxy._link._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    wait_until(lambda: not Path(f"/proc/{worker}").exists(), what="the end of the worker")
