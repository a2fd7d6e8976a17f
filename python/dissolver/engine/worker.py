"""The process that does an unprivileged engine's work: ``python -m dissolver.engine.worker FD``.

It enters a user namespace while it has one thread, then answers calls that come
over the socket ``FD``, each in a thread of its own, until the other end is gone.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dissolver.engine.channel import Channel
from dissolver.engine.wire import Decoder, Encoder
from dissolver.errors import DissolverError, EngineFailed

if TYPE_CHECKING:
    from dissolver.engine.session import Session

_OPERATIONS = "dissolver.engine."


class Worker:
    """Answers the calls of one proxy."""

    def __init__(self, channel: Channel, session: Session) -> None:
        self._channel = channel
        self._session = session
        self._lock = threading.Lock()
        self._cancels: dict[int, threading.Event] = {}

    def serve(self) -> None:
        """Answer calls until the other end is gone, then cancel what still runs."""
        while received := self._channel.receive():
            message, descriptors = received
            number = message["call"]
            if message.get("cancel"):
                with self._lock:
                    cancel = self._cancels.get(number)
                if cancel is not None:
                    cancel.set()
                continue
            cancel = threading.Event()
            with self._lock:
                self._cancels[number] = cancel
            threading.Thread(
                target=self._answer, args=(number, message, descriptors, cancel), daemon=True
            ).start()
        with self._lock:
            for cancel in self._cancels.values():
                cancel.set()

    def wait(self, seconds: float) -> None:
        """Give the cancelled calls a while to clean up."""
        deadline = threading.Event()
        for _ in range(int(seconds * 20)):
            with self._lock:
                if not self._cancels:
                    return
            deadline.wait(0.05)

    def _answer(
        self,
        number: int,
        message: dict[str, Any],
        descriptors: tuple[int, ...],
        cancel: threading.Event,
    ) -> None:
        try:
            self._carry_out(number, message, descriptors, cancel)
        except DissolverError as error:
            self._tell(number, error=Encoder().encode(error))
        except BaseException as error:  # noqa: BLE001 - whatever it is, somebody waits
            self._tell(number, error=Encoder().encode(_unexplained(error)))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            with self._lock:
                self._cancels.pop(number, None)

    def _carry_out(
        self,
        number: int,
        message: dict[str, Any],
        descriptors: tuple[int, ...],
        cancel: threading.Event,
    ) -> None:
        def callback(name: str) -> Callable[..., object]:
            def call(*values: object) -> None:
                self._tell(number, callback=name, arguments=Encoder().encode(values))

            return call

        decoder = Decoder(descriptors, callback, cancel)
        operation = _operation(message["operation"])
        result = operation(
            self._session, *decoder.decode(message["arguments"]), **decoder.decode(message["named"])
        )
        if not isinstance(result, Iterator):
            self._tell(number, result=Encoder().encode(result))
            return
        self._tell(number, iterates=True)
        for item in result:
            if cancel.is_set():
                break
            self._tell(number, item=Encoder().encode(item))
        self._tell(number, ends=True)

    def _tell(self, number: int, **content: Any) -> None:
        try:
            self._channel.send({"call": number, **content})
        except OSError:
            # Nobody listens any more; `serve` has noticed or will.
            with self._lock:
                cancel = self._cancels.get(number)
            if cancel is not None:
                cancel.set()


def _operation(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    if not module.startswith(_OPERATIONS) or attribute.startswith("_"):
        raise EngineFailed(f"`{name}` is no operation of the engine")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found


def _unexplained(error: BaseException) -> EngineFailed:
    import traceback

    lines = tuple("".join(traceback.format_exception(error)).splitlines())
    return EngineFailed(f"the engine failed: {error!r}", detail=lines)


def main() -> None:
    """Enter the user namespace, then serve."""
    from dissolver.engine.session import Session
    from dissolver.sandbox import rootless

    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    received = channel.receive()
    if received is None:
        return
    settings = Decoder().decode(received[0]["settings"])
    try:
        rootless.enter()
    except DissolverError as error:
        channel.send({"error": Encoder().encode(error)})
        return
    channel.send({"ready": True})
    worker = Worker(channel, Session(settings))
    worker.serve()
    worker.wait(5.0)


if __name__ == "__main__":
    main()
