"""The ``dissolver`` command.

``--version`` is answered before anything is imported that it does not need.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Carry out the command line and answer the exit code."""
    if sys.argv[1:] == ["--version"]:
        from dissolver import _core

        print(f"dissolver {_core.version}")
        return 0
    from dissolver.cli.app import main as carry_out

    return carry_out()


if __name__ == "__main__":
    sys.exit(main())
