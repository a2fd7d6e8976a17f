"""What a container wrote, read back."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from dissolver.containers.streams.logs import LogLine, parse_time, read_log

FIRST = '{"log":"one\\n","stream":"stdout","time":"2024-01-02T03:04:05.000000006Z"}\n'
SECOND = '{"log":"tw\\u00f6\\n","stream":"stderr","time":"2024-01-02T03:04:06Z"}\n'
AT = 1704164645_000000006


def test_lines_come_with_their_stream_and_time(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(FIRST + SECOND)
    assert list(read_log(path)) == [
        LogLine("stdout", b"one\n", "2024-01-02T03:04:05.000000006Z", AT),
        LogLine("stderr", "twö\n".encode(), "2024-01-02T03:04:06Z", 1704164646_000000000),
    ]


def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert list(read_log(tmp_path / "log.json")) == []


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(FIRST + SECOND[:20])
    assert [line.data for line in read_log(path)] == [b"one\n"]


def test_a_damaged_line_does_not_hide_the_others(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(FIRST + "damage\n" + SECOND)
    assert len(list(read_log(path))) == 2


def test_following_goes_on_until_the_container_ends(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(FIRST)
    running = threading.Event()
    running.set()

    def write() -> None:
        time.sleep(0.1)
        with path.open("a") as file:
            file.write(SECOND[:10])
            file.flush()
            time.sleep(0.1)
            file.write(SECOND[10:] + FIRST)
        running.clear()

    thread = threading.Thread(target=write)
    thread.start()
    lines = [line.data for line in read_log(path, follow=True, is_running=running.is_set)]
    thread.join()
    assert lines == [b"one\n", "twö\n".encode(), b"one\n"]


@pytest.mark.parametrize(("tail", "lines"), [(0, []), (1, [2]), (2, [1, 2]), (9, [0, 1, 2])])
@pytest.mark.parametrize("follow", [False, True])
def test_the_last_lines_may_be_enough(
    tmp_path: Path, tail: int, lines: list[int], follow: bool
) -> None:
    path = tmp_path / "log.json"
    path.write_text("".join(FIRST.replace("one", str(number)) for number in range(3)))
    found = [int(line.data) for line in read_log(path, follow=follow, tail=tail)]
    assert found == lines


def test_the_last_lines_come_before_more_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(FIRST + SECOND)
    lines = read_log(path, follow=True, tail=1, is_running=lambda: True)
    assert next(lines).data == "twö\n".encode()
    with path.open("a") as file:
        file.write(FIRST)
    assert next(lines).data == b"one\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T01:00:00.000000001+01:00", 1),
        ("2024-01-02T03:04:05.000000006Z", AT),
        ("nonsense", 0),
        ("", 0),
    ],
)
def test_times_keep_their_nanoseconds(text: str, expected: int) -> None:
    assert parse_time(text) == expected


def rotate(path: Path, files: int) -> None:
    """Rename the files of a log as its writer does."""
    for number in reversed(range(files)):
        old = path if number == 0 else path.with_name(f"{path.name}.{number}")
        if old.exists() and number + 1 < files:
            old.rename(path.with_name(f"{path.name}.{number + 1}"))
        elif old.exists():
            old.unlink()
    path.touch()


def numbered(number: int) -> str:
    return FIRST.replace("one", str(number))


def test_older_files_come_first(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    for number in range(4):
        path.write_text(numbered(2 * number) + numbered(2 * number + 1))
        if number < 3:
            rotate(path, 3)
    assert [int(line.data) for line in read_log(path)] == [2, 3, 4, 5, 6, 7]
    assert [int(line.data) for line in read_log(path, tail=3)] == [5, 6, 7]


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_following_goes_on_in_the_next_file(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "log.json"
    path.write_text(numbered(0))
    lines = read_log(path, follow=True, is_running=lambda: True)
    assert int(next(lines).data) == 0
    with path.open("a") as file:
        file.write(numbered(1))
    for number in range(steps):
        rotate(path, 3)
        path.write_text(numbered(number + 2))
    expected = list(range(1, steps + 2))
    if steps == 4:
        # The first file, which is still read to its end, has a successor that is gone.
        expected.remove(2)
    assert [int(next(lines).data) for _ in expected] == expected


def test_a_file_without_a_successor_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.with_name("log.json.1").write_text(FIRST)
    assert [line.data for line in read_log(path)] == [b"one\n"]


def test_lines_that_come_while_it_is_read_are_left_to_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(FIRST)
    lines = read_log(path)
    assert next(lines).data == b"one\n"
    with path.open("a") as file:
        file.write(SECOND)
    assert list(lines) == []
