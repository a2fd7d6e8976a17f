"""All that a program can touch the moment it starts, in each way in, as root and as a user.

The texts in ``golden`` are the whole list: what is not there, a container does not get. Set
``DISSOLVER_UPDATE_GOLDEN`` to write them anew, and read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forms import in_both_forms
from walls.attack import Arena
from walls.surface import told

GOLDEN = Path(__file__).parent / "golden"
MODES = {
    "run": ("run", ()),
    "run-terminal": ("run", ("-t",)),
    "run-network-host": ("run", ("--network", "host")),
    "run-user": ("run", ("--user", "1000:1000")),
    "run-no-new-privileges": ("run", ("--security-opt", "no-new-privileges")),
    "exec": ("exec", ()),
    "exec-terminal": ("exec", ("-t",)),
    "exec-user": ("exec", ("--user", "1000:1000")),
    "RUN": ("RUN", ()),
}


@pytest.mark.parametrize("mode", MODES)
@in_both_forms
def test_a_program_sees_what_the_list_says_and_no_more(arena: Arena, mode: str) -> None:
    way, options = MODES[mode]
    text = arena.attack(way, ["/attacks/surface"], options=options)  # type: ignore[arg-type]
    found = told(text, arena.cli.root) + "\n"
    whom = "root" if arena.account.is_root else "user"
    expected = GOLDEN / f"{mode}.{whom}.txt"
    # How layers are mounted is no difference that a program may see.
    is_written = arena.account.form == "directory"
    if os.environ.get("DISSOLVER_UPDATE_GOLDEN") and not is_written:
        expected.write_text(found)
    else:
        assert found == expected.read_text()
