"""Errors into text on standard error and an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TYPE_CHECKING

from dissolver.errors import DissolverError, NotATerminal, RunError

if TYPE_CHECKING:
    import click

    from dissolver.cli.catalog import Entry
    from dissolver.cli.invocation import Invocation

USAGE = 2
RUN_FAILED = 125
INTERRUPTED = 130
BROKEN_PIPE = 141
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
ROOM_HINT = "free some space, for example with `dissolver system prune`"
DEBUG_HINT = "run it again with `--debug` to see where it happened"


def report(error: BaseException, invocation: Invocation) -> int:
    """Tell the user about ``error`` and answer the exit code."""
    import click

    if isinstance(error, (click.exceptions.Exit, SystemExit)):
        return _asked_for(error)
    if isinstance(error, BrokenPipeError) or getattr(error, "errno", None) == errno.EPIPE:
        return _broken_pipe()
    if isinstance(error, KeyboardInterrupt):
        signal_number = getattr(error, "signal_number", None)
        return INTERRUPTED if signal_number is None else 128 + int(signal_number)
    if invocation.debug:
        _traceback(error)
    if isinstance(error, click.UsageError):
        return _usage(error, invocation)
    explained = explanation(error)
    _write(explained, invocation)
    return exit_code(explained, invocation.entry)


def _asked_for(error: BaseException) -> int:
    code = getattr(error, "exit_code", getattr(error, "code", 0))
    return code if isinstance(code, int) else 1


def _broken_pipe() -> int:
    """End as a program does that writes to a pipe nobody reads, without a word."""
    # The interpreter flushes standard output once more when it ends.
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    return BROKEN_PIPE


def _traceback(error: BaseException) -> None:
    import traceback

    traceback.print_exception(error, file=sys.stderr)


def _usage(error: click.UsageError, invocation: Invocation) -> int:
    from dissolver.cli.words import explain_slip

    message, hint = explain_slip(error, invocation.command_path)
    _write(DissolverError(message, hint=hint), invocation)
    entry = invocation.entry
    return RUN_FAILED if entry is not None and entry.runs_programs else USAGE


def _write(error: DissolverError, invocation: Invocation) -> None:
    from dissolver.cli.render.failures import failure

    text = failure(
        error,
        colored=invocation.colors_errors,
        with_detail=not invocation.has_shown_output,
    )
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


def explanation(error: BaseException) -> DissolverError:
    """Turn any exception into one that can be told in a line."""
    explained = _explained(error)
    if explained.hint is None and getattr(explained, "errno", None) in NO_ROOM:
        explained.hint = ROOM_HINT
    return explained


def _explained(error: BaseException) -> DissolverError:
    if isinstance(error, DissolverError):
        return error
    if type(error).__name__ == "CoreError":
        from dissolver._core import CoreError
        from dissolver.errors import from_core

        if isinstance(error, CoreError):
            return from_core(error)
    if isinstance(error, OSError) and error.errno is not None:
        place = f"`{os.fsdecode(error.filename)}`: " if error.filename is not None else ""
        reason = os.strerror(error.errno)
        hint = ROOM_HINT if error.errno in NO_ROOM else DEBUG_HINT
        return DissolverError(f"{place}{reason[:1].lower()}{reason[1:]}", hint=hint)
    if isinstance(error, MemoryError):
        return DissolverError("out of memory")
    text = " ".join(str(error).split())
    name = type(error).__name__
    return DissolverError(
        f"unexpected {name}: {text}" if text else f"unexpected {name}", hint=DEBUG_HINT
    )


def exit_code(error: DissolverError, entry: Entry | None) -> int:
    """Choose the exit code of a failure of the command ``entry``.

    Where the code may be a program's own, failures of the engine are kept apart
    from it with 125 and up, but for the missing terminal.
    """
    if isinstance(error, NotATerminal) or entry is None:
        return 1
    if isinstance(error, RunError):
        return error.exit_code if entry.runs_programs else 1
    return entry.failure_code if error.exit_code == 1 else error.exit_code
