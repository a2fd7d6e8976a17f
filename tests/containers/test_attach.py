"""The client's side of a container's streams, against a supervisor that the test plays."""

from __future__ import annotations

import os
import signal
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dissolver.containers.streams import attach, frames
from dissolver.containers.streams.frames import Frame
from dissolver.errors import ContainerNotRunning

EXIT_3 = frames.frame(frames.EXIT, b'{"exit_code": 3, "error": null}')


class Supervisor:
    """The other end of the link: what the client sent, and how to answer."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.received: list[Frame] = []
        self._parser = frames.Parser()

    def expect(self, kind: int) -> bytes:
        """Wait for a frame of this kind and return its payload."""
        while True:
            for number, frame in enumerate(self.received):
                if frame.kind == kind:
                    return self.received.pop(number).payload
            data = self.link.recv(65536)
            assert data, f"the client went away without a frame {kind}"
            self.received += self._parser.feed(data)


def attached(play: Callable[[Supervisor], None], **options: object) -> attach.Outcome:
    """Attach to a supervisor that does what ``play`` says."""
    ours, theirs = socket.socketpair()
    failures: list[Exception] = []

    def run() -> None:
        try:
            with theirs:
                supervisor = Supervisor(theirs)
                supervisor.expect(frames.SUBSCRIBE)
                play(supervisor)
        except (AssertionError, OSError) as problem:
            failures.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    values = {"stdin": None, "stdout": None, "stderr": None, "has_terminal": False} | options
    try:
        return attach.attach(ours, **values)  # type: ignore[arg-type]
    finally:
        thread.join(10)
        assert not failures, failures


@pytest.fixture
def pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        with suppress(OSError):
            os.close(descriptor)


@pytest.mark.parametrize(
    "cuts", [[1000], [1], [4, 1, 3, 100], [5, 5, 5]], ids=["whole", "bytes", "odd", "headers"]
)
def test_frames_survive_any_cut(cuts: list[int]) -> None:
    data = frames.frame(1, b"hello") + frames.frame(11) + frames.resize(24, 80)
    parser = frames.Parser()
    found: list[Frame] = []
    position = index = 0
    while position < len(data):
        size = cuts[index % len(cuts)]
        found += parser.feed(data[position : position + size])
        position, index = position + size, index + 1
    assert found == [Frame(1, b"hello"), Frame(11, b""), Frame(12, b"\0\x18\0\x50")]


def test_a_frame_of_impossible_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a frame of 4294967295 bytes"):
        list(frames.Parser().feed(struct.pack(">BI", 1, 0xFFFFFFFF)))


def test_output_goes_where_it_belongs(tmp_path: Path) -> None:
    def play(supervisor: Supervisor) -> None:
        supervisor.link.sendall(
            frames.frame(frames.HELLO, b"{}")
            + frames.frame(frames.STDOUT, b"out\n")
            + frames.frame(frames.STDERR, b"err\n")
            + frames.frame(frames.STDOUT, b"more\n")
            + EXIT_3
        )

    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        outcome = attached(play, stdout=out.fileno(), stderr=err.fileno())
    assert outcome == attach.Outcome(attach.Exit(3, None))
    assert (tmp_path / "out").read_bytes() == b"out\nmore\n"
    assert (tmp_path / "err").read_bytes() == b"err\n"


def test_input_is_passed_on_with_its_end(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 200_000)

    def play(supervisor: Supervisor) -> None:
        total = 0
        while total < 200_000:
            total += len(supervisor.expect(frames.STDIN))
        supervisor.expect(frames.STDIN_END)
        supervisor.link.sendall(EXIT_3)

    with (tmp_path / "in").open("rb") as file:
        assert attached(play, stdin=file.fileno()).exit == attach.Exit(3, None)


def test_a_slow_reader_of_input_does_not_stop_output(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 4_000_000)
    (tmp_path / "out").touch()

    def play(supervisor: Supervisor) -> None:
        time.sleep(0.2)  # The link is full of input by now.
        supervisor.link.sendall(frames.frame(frames.STDOUT, b"y" * 300_000))
        total = 0
        while total < 4_000_000:
            total += len(supervisor.expect(frames.STDIN))
        supervisor.link.sendall(EXIT_3)

    with (tmp_path / "in").open("rb") as file, (tmp_path / "out").open("wb") as out:
        attached(play, stdin=file.fileno(), stdout=out.fileno())
    assert (tmp_path / "out").stat().st_size == 300_000


def test_losing_the_supervisor_is_no_exit() -> None:
    assert attached(lambda supervisor: None) == attach.Outcome(None)


def test_a_reader_that_went_away_ends_the_attachment(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])

    def play(supervisor: Supervisor) -> None:
        supervisor.link.sendall(frames.frame(frames.STDOUT, b"x"))

    with pytest.raises(BrokenPipeError):
        attached(play, stdout=pipe[1])


@pytest.mark.parametrize("stream", [frames.STDOUT, frames.STDERR])
def test_a_program_that_waited_hears_that_its_reader_went_away(
    pipe: tuple[int, int], stream: int
) -> None:
    os.close(pipe[0])

    def play(supervisor: Supervisor) -> None:
        supervisor.link.sendall(frames.frame(frames.HELLO, b'{"status": "created"}'))
        supervisor.link.sendall(frames.frame(stream, b"x"))
        assert supervisor.expect(frames.OUTPUT_END) == bytes((stream,))
        supervisor.link.sendall(frames.frame(stream, b"more"))
        supervisor.link.sendall(EXIT_3)

    outcome = attached(play, stdout=pipe[1], stderr=pipe[1])
    assert outcome.exit == attach.Exit(3)


def test_a_reader_of_a_terminal_that_went_away_ends_the_attachment(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])

    def play(supervisor: Supervisor) -> None:
        supervisor.link.sendall(frames.frame(frames.HELLO, b'{"status": "created"}'))
        supervisor.link.sendall(frames.frame(frames.STDOUT, b"x"))

    with pytest.raises(BrokenPipeError):
        attached(play, stdout=pipe[1], has_terminal=True)


def test_a_failure_to_start_is_told() -> None:
    def play(supervisor: Supervisor) -> None:
        error = b'{"kind": "not-found", "message": "the program `x` was not found", "hint": null}'
        supervisor.link.sendall(
            frames.frame(frames.EXIT, b'{"exit_code": 127, "error": ' + error + b"}")
        )

    found = attached(play).exit
    assert found is not None
    assert found.exit_code == 127
    assert found.error is not None
    assert found.error.kind == "not-found"


def test_signals_are_passed_on() -> None:
    def play(supervisor: Supervisor) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        assert supervisor.expect(frames.SIGNAL) == bytes([signal.SIGTERM])
        supervisor.link.sendall(EXIT_3)

    assert attached(play).exit == attach.Exit(3, None)


def test_a_terminal_tells_its_size_and_follows_it() -> None:
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (30, 90))

    def play(supervisor: Supervisor) -> None:
        assert supervisor.expect(frames.RESIZE) == struct.pack(">HH", 30, 90)
        termios.tcsetwinsize(slave, (40, 100))
        os.kill(os.getpid(), signal.SIGWINCH)
        assert supervisor.expect(frames.RESIZE) == struct.pack(">HH", 40, 100)
        supervisor.link.sendall(EXIT_3)

    try:
        attached(play, stdin=slave, stdout=slave, has_terminal=True)
    finally:
        os.close(master)
        os.close(slave)


def test_keys_of_a_terminal_are_the_containers() -> None:
    master, slave = os.openpty()
    before = termios.tcgetattr(slave)

    def play(supervisor: Supervisor) -> None:
        os.write(master, b"ls\r\x03")
        typed = b""
        while len(typed) < 4:
            typed += supervisor.expect(frames.STDIN)
        assert typed == b"ls\r\x03"
        supervisor.link.sendall(EXIT_3)

    try:
        attached(play, stdin=slave, stdout=slave, has_terminal=True)
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)


def test_two_keys_leave_the_container_alone() -> None:
    master, slave = os.openpty()

    def play(supervisor: Supervisor) -> None:
        os.write(master, b"\x10\x11")
        while supervisor.link.recv(100):
            pass

    try:
        outcome = attached(play, stdin=slave, has_terminal=True)
        assert outcome == attach.Outcome(None, is_detached=True)
    finally:
        os.close(master)
        os.close(slave)


def test_nobody_listening_means_not_running(tmp_path: Path) -> None:
    with pytest.raises(ContainerNotRunning):
        attach.connect(tmp_path / "attach.sock")


def test_waiting_for_the_end_needs_no_output() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(frames.frame(frames.HELLO, b"{}") + EXIT_3)
        assert attach.wait_for_exit(ours) == attach.Exit(3, None)
