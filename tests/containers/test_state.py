"""What a container is doing, checked against the living."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dissolver.containers import state
from dissolver.store import processes

PID, START = processes.this_process()
LIVING = {"pid": PID, "start_time": START}
DEAD = {"pid": PID, "start_time": START + 1}


def write(directory: Path, **fields: object) -> Path:
    document = {"format": 1, "status": "running", "pid": 5, **fields}
    (directory / "state.json").write_text(json.dumps(document))
    return directory


def test_without_a_file_it_was_created(tmp_path: Path) -> None:
    assert state.read_state(tmp_path) == state.State(status="created")


def test_a_living_supervisor_is_believed(tmp_path: Path) -> None:
    found = state.read_state(write(tmp_path, supervisor=LIVING, started_at=1))
    assert (found.status, found.pid, found.started_at) == ("running", 5, 1)
    assert found.is_running


def test_a_dead_supervisor_means_that_the_container_was_killed(tmp_path: Path) -> None:
    found = state.read_state(write(tmp_path, supervisor=DEAD, started_at=1))
    assert (found.status, found.pid, found.exit_code) == ("exited", 0, 137)
    assert found.error is not None
    assert found.error.message == "the container's supervisor was killed"
    assert found.finished_at == (tmp_path / "state.json").stat().st_mtime_ns


def test_a_container_that_never_ran_is_only_created(tmp_path: Path) -> None:
    found = state.read_state(write(tmp_path, status="created", supervisor=DEAD))
    assert found.status == "created"


def test_an_exited_container_stays_what_it_was(tmp_path: Path) -> None:
    found = state.read_state(write(tmp_path, status="exited", supervisor=DEAD, exit_code=3))
    assert (found.status, found.exit_code, found.error) == ("exited", 3, None)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"status": "flying"}'])
def test_a_broken_file_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    assert state.read_state(tmp_path).status == "created"


@pytest.mark.parametrize(("pid", "start"), [(0, 0), (-1, 0), (PID, START + 1), (1 << 22, 1)])
def test_a_number_alone_is_no_process(pid: int, start: int) -> None:
    assert not processes.is_alive(pid, start)
