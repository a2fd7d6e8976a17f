"""The display of builds: how it is chosen, and what it is told of the one who builds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dissolver.cli.words import UsageSlip
from dissolver.config import PROGRESS_MODES

if TYPE_CHECKING:
    from dissolver.cli.invocation import Invocation
    from dissolver.cli.render.progress.display import Display


def progress_mode(invocation: Invocation, progress: str | None, *, quiet: bool = False) -> str:
    """Tell which display is meant: what was said, or else what the settings say.

    Raises:
        UsageSlip: there is none of that name.
    """
    if quiet:
        return "quiet"
    mode = invocation.settings.progress if progress is None else progress
    if mode not in PROGRESS_MODES:
        modes = ", ".join(f"`{known}`" for known in PROGRESS_MODES)
        raise UsageSlip(f"unknown progress mode `{progress}`", None, f"use one of {modes}")
    if invocation.debug and mode == "auto":
        # Plans of sandboxes would be drawn over.
        return "plain"
    return mode


def build_display(invocation: Invocation, mode: str) -> Display:
    """Make the display for builds on standard error.

    Raises:
        NotATerminal: mode ``tty`` without one.
    """
    from dissolver.cli.render.progress.display import choose_display

    display = choose_display(
        mode,
        sys.stderr,
        invocation.settings,
        builder=f"dissolver:{'rootless' if invocation.is_rootless else 'root'}",
        debug=invocation.debug,
    )
    invocation.has_shown_output = display.shows_failed_output
    if invocation.debug and mode != "tty":
        from dissolver.cli.sandbox_plans import tell_plans_of_steps

        tell_plans_of_steps()
    return display
