"""The ``dissolver`` command.

``--version`` is answered before anything is imported that it does not need.
"""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130
BROKEN_PIPE = 141


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


if __name__ == "__main__":
    sys.exit(main())
