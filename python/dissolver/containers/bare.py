"""Processes that outlive this one: a bare interpreter that has loaded the core.

It starts in 10 ms and takes 12 MB less than one that imports this package. It has
a session of its own, no open files but the ones it is given, and forks once, so
that nobody has to wait for it. It is started early and told later what to do:
its start goes on beside whatever has to be prepared.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import msgspec

from dissolver.containers.state import Fault

REPORT, ORDERS = 3, 4
"""File descriptors: where the process reports, and where it reads what to do."""

_PRELUDE = """
import os, sys
if os.fork():
    os._exit(0)
os.chdir("/")
os.closerange(5, os.sysconf("SC_OPEN_MAX"))
from _frozen_importlib import ModuleSpec, _load
from _frozen_importlib_external import ExtensionFileLoader
loader = ExtensionFileLoader("dissolver._core", sys.argv[1])
core = _load(ModuleSpec("dissolver._core", loader, origin=sys.argv[1]))
with open(4, "rb") as orders:
    given = orders.read()
if not given:
    os._exit(0)
"""

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class Report(msgspec.Struct, frozen=True):
    """The one line that the process says: that all is well, or what is not."""

    ok: bool
    kind: str = ""
    message: str = ""
    op: str | None = None
    errno: int | None = None
    hint: str | None = None

    @property
    def fault(self) -> Fault:
        """What is not well."""
        return Fault(self.kind, self.message, self.hint)


class Interpreter:
    """A bare interpreter that will run ``code``, with ``core`` and ``given`` at hand.

    Leaving its context without having given it anything ends it.
    """

    def __init__(self, code: str) -> None:
        library = getattr(sys.modules["dissolver._core"], "__file__", None) or ""
        self._report, report = os.pipe2(os.O_CLOEXEC)
        orders, self._orders = os.pipe2(os.O_CLOEXEC)
        try:
            # Numbers that the copies below would run over are moved out of their way first.
            report, orders = _above(report), _above(orders)
            self._pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", "-c", _PRELUDE + code, library],
                _ENVIRONMENT,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, report, REPORT),
                    (os.POSIX_SPAWN_DUP2, orders, ORDERS),
                ],
                setsid=True,
            )
        finally:
            os.close(report)
            os.close(orders)

    def __enter__(self) -> Interpreter:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_orders()
        os.close(self._report)
        os.waitpid(self._pid, 0)  # The one that forked; it ends at once.

    def run(self, given: bytes) -> Report | None:
        """Give it what it needs, once, and wait for its report; it goes on by itself.

        ``None`` if it ended without a report.
        """
        rest = memoryview(given)
        with suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(self._orders, rest) :]
        self._close_orders()
        return _read_report(self._report)

    def _close_orders(self) -> None:
        if self._orders >= 0:
            os.close(self._orders)
            self._orders = -1


def _above(descriptor: int) -> int:
    import fcntl

    if descriptor > ORDERS:
        return descriptor
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, ORDERS + 1)
    os.close(descriptor)
    return moved


def _read_report(descriptor: int) -> Report | None:
    line = b""
    while b"\n" not in line:
        data = os.read(descriptor, 4096)
        if not data:
            return None
        line += data
    return msgspec.json.decode(line.partition(b"\n")[0], type=Report)
