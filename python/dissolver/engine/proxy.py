"""An unprivileged program's engine: calls go to a worker in a user namespace.

A process can enter a user namespace only while it has a single thread, and would
be another user afterwards. Neither can be asked of a program that imports a
library, so the work is done by a child process.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from socket import socketpair
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from dissolver.config import caller_environment
from dissolver.engine.channel import Channel
from dissolver.engine.wire import Decoder, Encoder
from dissolver.errors import EngineFailed

if TYPE_CHECKING:
    from dissolver.config import Settings
    from dissolver.engine.session import Session

P = ParamSpec("P")
R = TypeVar("R")

_POLL_SECONDS = 0.05
_END_SECONDS = 10.0


class Proxy:
    """The backend of an engine that works through a worker process.

    The worker starts with the first call and ends with ``close``, or when this
    process does. Calls of several threads run at the same time in it. A forked child has a
    worker of its own.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._link: _Link | None = None

    def call(
        self,
        operation: Callable[Concatenate[Session, P], R],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> R:
        """Have the worker carry out ``operation``; callbacks run in the calling thread.

        Raises:
            EngineFailed: the worker ended, or failed in a way that it cannot explain.
        """
        encoder = Encoder()
        message = {
            "operation": f"{operation.__module__}:{operation.__qualname__}",
            "arguments": [
                encoder.encode(value, f"argument{index}") for index, value in enumerate(arguments)
            ],
            "named": {key: encoder.encode(value, key) for key, value in named.items()},
        }
        answer: R = _Call(self._connected(), encoder).result(message)
        return answer

    def close(self) -> None:
        """End the worker, and whatever it still does."""
        self._leave_to_parent()
        with self._lock:
            link, self._link = self._link, None
        if link is not None:
            link.close()

    def _leave_to_parent(self) -> None:
        """Let go of what this process was forked with.

        Answers go to the parent's thread, and the lock may be held by one that is not here.
        """
        if self._owner != os.getpid():
            link, self._link = self._link, None
            self._lock, self._owner = threading.Lock(), os.getpid()
            if link is not None:
                link.abandon()

    def _connected(self) -> _Link:
        self._leave_to_parent()
        with self._lock:
            if self._link is not None and not self._link.is_alive:
                self._link.close()
                self._link = None
            if self._link is None:
                self._link = _Link(self.settings)
            return self._link


class _Link:
    """A running worker, and who waits for which of its answers."""

    def __init__(self, settings: Settings) -> None:
        ours, theirs = socketpair()
        self._waiting: dict[int, queue.SimpleQueue[dict[str, Any] | None]] = {}
        self._next = 1
        self._lock = threading.Lock()
        self.is_alive = True
        environment = caller_environment()
        paths = [str(Path(__file__).parents[2]), environment.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            # -P: no module is taken from the current directory, whatever lies in it.
            [sys.executable, "-P", "-m", "dissolver.engine.worker", str(theirs.fileno())],
            env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            # Ctrl-C is for the program; the worker is told through the channel.
            start_new_session=True,
        )
        theirs.close()
        self.channel = Channel(ours)
        try:
            self.channel.send({"settings": Encoder().encode(settings)})
            self._greet()
        except BaseException:
            self.close()
            raise
        threading.Thread(target=self._receive, name="dissolver-engine", daemon=True).start()

    def _greet(self) -> None:
        """Wait until the worker can take calls, or says why it cannot."""
        received = self.channel.receive()
        if received is None:
            raise _ended()
        if "error" in received[0]:
            raise Decoder().decode(received[0]["error"])

    def register(self) -> tuple[int, queue.SimpleQueue[dict[str, Any] | None]]:
        """Begin to wait for the answers of one call."""
        answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._waiting[number] = answers
            if not self.is_alive:
                answers.put(None)
        return number, answers

    def forget(self, number: int) -> None:
        """Wait no longer; what still comes is dropped."""
        with self._lock:
            self._waiting.pop(number, None)

    def close(self) -> None:
        """Let the worker end, and make sure that it does."""
        self.channel.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def abandon(self) -> None:
        """Leave the worker alone: it is another process's child, which goes on using it."""
        self.channel.abandon()
        # Nothing to wait for here, and nothing to warn of.
        self._process.returncode = 0

    def _receive(self) -> None:
        while received := self.channel.receive():
            message, _ = received
            with self._lock:
                answers = self._waiting.get(message["call"])
            if answers is not None:
                answers.put(message)
        with self._lock:
            self.is_alive = False
            for answers in self._waiting.values():
                answers.put(None)


class _Call:
    """One call, from its message to its result."""

    def __init__(self, link: _Link, encoder: Encoder) -> None:
        self._link = link
        self._encoder = encoder
        self._number, self._answers = link.register()
        self._is_cancelled = False

    def result(self, message: dict[str, Any]) -> Any:
        """Send the call and serve it until its result; an iterator goes on from there."""
        try:
            self._link.channel.send({"call": self._number, **message}, self._encoder.descriptors)
            answer = self._served()
        except BaseException:
            self._give_up()
            raise
        if answer.get("iterates"):
            return self._items()
        self._link.forget(self._number)
        return Decoder().decode(answer["result"])

    def _served(self) -> dict[str, Any]:
        """Run callbacks until something else comes."""
        while True:
            answer = self._next()
            if "error" in answer:
                raise Decoder().decode(answer["error"])
            if "callback" not in answer:
                return answer
            values = Decoder().decode(answer["arguments"])
            self._encoder.callbacks[answer["callback"]](*values)

    def _next(self) -> dict[str, Any]:
        cancel = self._encoder.cancel
        while True:
            if cancel is not None and cancel.is_set():
                self._cancel()
            try:
                answer = self._answers.get(timeout=None if cancel is None else _POLL_SECONDS)
            except queue.Empty:
                continue
            if answer is None:
                raise _ended()
            return answer

    def _items(self) -> Iterator[Any]:
        try:
            while not (answer := self._served()).get("ends"):
                yield Decoder().decode(answer["item"])
        finally:
            self._give_up()

    def _cancel(self) -> None:
        if not self._is_cancelled:
            self._is_cancelled = True
            with suppress(OSError):  # Then it has ended already.
                self._link.channel.send({"call": self._number, "cancel": True})

    def _give_up(self) -> None:
        self._cancel()
        self._link.forget(self._number)


def _ended() -> EngineFailed:
    return EngineFailed(
        "the engine's own process ended unexpectedly",
        hint="what it was doing can be tried again: the store is consistent",
    )
