"""A supervised container for tests, and a client that speaks the attach protocol."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from boxes import Box
from dissolver import _core

LOADER = """
import os, sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
path, directory, report = sys.argv[1:]
os.dup2(int(report), 3)
if int(report) != 3:
    os.close(int(report))
loader = ExtensionFileLoader("dissolver._core", path)
spec = spec_from_file_location("dissolver._core", path, loader=loader)
core = module_from_spec(spec)
loader.exec_module(core)
sys.exit(core.sandbox.supervise(directory))
"""
HELLO, OUTPUT, ERROR, EXIT = range(4)
INPUT, INPUT_END, RESIZE, SIGNAL, STOP, SUBSCRIBE = range(10, 16)


@dataclass
class Said:
    """Everything that a client was told, until its connection ended."""

    hello: dict[str, Any] = field(default_factory=dict)
    output: bytes = b""
    error: bytes = b""
    exit: dict[str, Any] | None = None


class Client:
    """One connection to a supervisor."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self._buffer = b""

    def send(self, kind: int, payload: bytes = b"") -> None:
        self.socket.sendall(struct.pack(">BI", kind, len(payload)) + payload)

    def subscribe(self) -> Self:
        self.send(SUBSCRIBE)
        return self

    def stop(self, seconds: float) -> None:
        self.send(STOP, struct.pack(">d", seconds))

    def resize(self, rows: int, columns: int) -> None:
        self.send(RESIZE, struct.pack(">HH", rows, columns))

    def frame(self) -> tuple[int, bytes] | None:
        """Wait for one frame; ``None`` at the end of the connection."""
        while (whole := self._whole()) is None:
            part = self.socket.recv(1 << 16)
            if not part:
                return None
            self._buffer += part
        return whole

    def _whole(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < 5:
            return None
        kind, length = struct.unpack(">BI", self._buffer[:5])
        if len(self._buffer) < 5 + length:
            return None
        payload, self._buffer = self._buffer[5 : 5 + length], self._buffer[5 + length :]
        return kind, payload

    def until(self, text: bytes) -> bytes:
        """Read output until ``text`` has come."""
        seen = b""
        while text not in seen:
            frame = self.frame()
            assert frame is not None, seen
            seen += frame[1] if frame[0] == OUTPUT else b""
        return seen

    def rest(self) -> Said:
        """Read to the end of the connection, and close it."""
        said = Said()
        while (frame := self.frame()) is not None:
            kind, payload = frame
            if kind == HELLO:
                said.hello = json.loads(payload)
            elif kind == EXIT:
                said.exit = json.loads(payload)
            elif kind == OUTPUT:
                said.output += payload
            else:
                said.error += payload
        self.close()
        return said

    def close(self) -> None:
        self.socket.close()


class Supervised:
    """A container with its supervisor; both are gone when the context ends."""

    def __init__(
        self,
        box: Box,
        argv: list[str],
        *,
        waits: bool = True,
        stdin: bool = False,
        hooks: dict[str, list[dict[str, Any]]] | None = None,
        changes: dict[str, Any] | None = None,
    ) -> None:
        # A short path: addresses of sockets have room for 107 bytes.
        self._directory = tempfile.TemporaryDirectory(prefix="sup-")
        self.directory = Path(self._directory.name)
        spec = box.spec(argv, changes)
        (self.directory / "spec.json").write_bytes(spec)
        orders = {
            "format": 1,
            "id": "0123456789ab",
            "socket": str(self.directory / "socket"),
            "log": str(self.directory / "log.json"),
            "state": str(self.directory / "state.json"),
            "kept_log": {"bytes": 0, "files": 1},
            "waits_for_attach": waits,
            "keeps_stdin": stdin,
            "terminal": json.loads(spec)["terminal"],
            "stop_signal": 15,
            "hooks": hooks or {},
        }
        (self.directory / "supervise.json").write_text(json.dumps(orders))
        self.report = self._start()

    def _start(self) -> dict[str, Any]:
        reading, writing = os.pipe()
        words = [str(_core.__file__), str(self.directory), str(writing)]
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", LOADER, *words],
            pass_fds=(writing,),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(writing)
        with os.fdopen(reading) as pipe:
            report: dict[str, Any] = json.loads(pipe.readline())
        return report

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.directory / "state.json").read_text())
        return state

    @property
    def log(self) -> list[dict[str, str]]:
        lines = (self.directory / "log.json").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def connect(self) -> Client:
        return Client(self.directory / "socket")

    def tell(self, kind: int, payload: bytes) -> None:
        """Say one thing, and leave."""
        client = self.connect()
        client.send(kind, payload)
        client.close()

    def finish(self) -> int:
        """Wait for the supervisor's end."""
        return self.process.wait(timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The container dies with its supervisor.
        self.process.kill()
        self.process.wait()
        self._directory.cleanup()
