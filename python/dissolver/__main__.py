"""The ``dissolver`` command.

``--version`` is answered before anything is imported that it does not need.
"""

from __future__ import annotations

import gc
import os
import sys

INTERRUPTED = 130
BROKEN_PIPE = 141
# A command lives for a tenth of a second, half of it imports, which leave nothing to collect.
GC_THRESHOLD = 100_000


def run() -> None:
    """Be the program: carry out the command line and end the process."""
    gc.set_threshold(GC_THRESHOLD)
    _end(main())


def main() -> int:
    """Carry out the command line and answer the exit code."""
    try:
        if sys.argv[1:] == ["--version"]:
            return _tell_version()
        from dissolver.cli.app import main as carry_out

        return carry_out()
    except KeyboardInterrupt:
        # Pressed while the command was being imported, or twice.
        return INTERRUPTED


def _tell_version() -> int:
    from dissolver import _core

    try:
        print(f"dissolver {_core.version}", flush=True)
    except BrokenPipeError:
        # The interpreter would flush once more at its end, and complain.
        os._exit(BROKEN_PIPE)
    return 0


def _end(code: int) -> None:
    """End now, where nothing is left to do but to take the interpreter apart piece by piece."""
    if "threading" in sys.modules:
        import threading

        if any(not thread.daemon for thread in threading.enumerate()[1:]):
            sys.exit(code)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        # The interpreter has its own word for streams that broke.
        sys.exit(code)
    os._exit(code)


if __name__ == "__main__":
    run()
