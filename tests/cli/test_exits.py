"""However a command ends, there is one clear error, the right code, and no traceback."""

from __future__ import annotations

import errno
import signal
from typing import Any

import pytest

from dissolver.cli.app import Terminated
from dissolver.errors import (
    BadReference,
    Cancelled,
    ContainerNotFound,
    ContainerNotRunning,
    CoreFailure,
    DissolverError,
    ImageNotFound,
    NameInUse,
    NotExecutable,
    ProgramNotFound,
    RunError,
    StepFailed,
    Where,
)


@pytest.mark.parametrize(
    ("error", "run", "execute", "other"),
    [
        (ImageNotFound("no image"), 125, 1, 1),
        (NameInUse("taken"), 125, 1, 1),
        (ContainerNotFound("no container"), 125, 1, 1),
        (ContainerNotRunning("it does not run"), 125, 1, 1),
        (RunError("no network"), 125, 125, 1),
        (NotExecutable("not executable"), 126, 126, 1),
        (ProgramNotFound("not found"), 127, 127, 1),
        (Cancelled("interrupted"), 130, 130, 130),
        (KeyboardInterrupt(), 130, 130, 130),
        (Terminated(signal.SIGTERM), 143, 143, 143),
        (BrokenPipeError(), 141, 141, 141),
        (CoreFailure("write: broken pipe", kind="io", errno=errno.EPIPE), 141, 141, 141),
        (OSError(errno.ENOSPC, "No space left on device"), 125, 1, 1),
        (RuntimeError("a mistake"), 125, 1, 1),
        (MemoryError(), 125, 1, 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_exit_codes_are_those_people_know(
    line: Any, error: BaseException, run: int, execute: int, other: int
) -> None:
    line.engine.answers |= {"create": error, "exec": error, "history": error}
    assert line("run", "box").code == run
    assert line("container", "run", "box").code == run
    assert line("exec", "web", "sh").code == execute
    assert line("history", "box").code == other


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ImageNotFound("no image `x`", hint="build it"), "error: no image `x`\nhint: build it\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/var/lib/x"),
            (
                "error: `/var/lib/x`: no space left on device\n"
                "hint: free some space, for example with `dissolver system prune`\n"
            ),
        ),
        (
            CoreFailure("copy `bin/sh`: no room", kind="io", errno=errno.ENOSPC),
            (
                "error: copy `bin/sh`: no room\n"
                "hint: free some space, for example with `dissolver system prune`\n"
            ),
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/secret"),
            (
                "error: `/secret`: permission denied\n"
                "hint: run it again with `--debug` to see where it happened\n"
            ),
        ),
        (
            RuntimeError("several\n  lines"),
            (
                "error: unexpected RuntimeError: several lines\n"
                "hint: run it again with `--debug` to see where it happened\n"
            ),
        ),
        (
            AssertionError(),
            (
                "error: unexpected AssertionError\n"
                "hint: run it again with `--debug` to see where it happened\n"
            ),
        ),
        (MemoryError(), "error: out of memory\n"),
        (BrokenPipeError(), ""),
        (KeyboardInterrupt(), ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_failure_is_told_in_one_line_and_a_hint(
    line: Any, error: BaseException, text: str
) -> None:
    line.engine.answers["history"] = error
    done = line("history", "box")
    assert (done.out, done.err) == ("", text)


def test_an_error_of_the_core_is_told_with_its_words(line: Any) -> None:
    from dissolver._core import CoreError, tree

    with pytest.raises(CoreError) as caught:
        tree.Tree.scan("/no/such/directory")
    line.engine.answers["history"] = caught.value
    done = line("history", "box")
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert "/no/such/directory" in done.err
    assert "unexpected" not in done.err


def test_debug_shows_where_it_happened(line: Any) -> None:
    line.engine.answers["history"] = RuntimeError("a mistake")
    done = line("--debug", "history", "box")
    assert "Traceback (most recent call last)" in done.err
    assert "in history" in done.err
    assert done.err.endswith(
        "error: unexpected RuntimeError: a mistake\n"
        "hint: run it again with `--debug` to see where it happened\n"
    )


def test_a_failed_step_shows_output_place_and_code(line: Any) -> None:
    where = Where("Dockerfile", 3, 4, ("RUN echo going down; \\", "    exit 3"))
    message = 'process "/bin/sh -c echo going down;     exit 3" did not complete successfully'
    line.engine.answers["build"] = StepFailed(
        f"{message}: exit code: 3", status=3, where=where, detail=("going down",), hint="look"
    )
    frame = (
        f"error: {message}: exit code: 3\n  Dockerfile:3\n"
        "    3 │ RUN echo going down; \\\n    4 │     exit 3\nhint: look\n"
    )
    assert line("build", "-q", ".").err == f"------\ngoing down\n------\n{frame}"
    # Otherwise the display has repeated the output already.
    assert line("build", ".").err == frame
    assert line("build", ".").code == 1


def test_the_engine_is_closed_whatever_happens(line: Any) -> None:
    line.engine.answers["history"] = RuntimeError("a mistake")
    line("history", "box")
    assert line.engine.is_closed


def test_a_mistake_in_the_settings_is_told_like_any_other(
    line: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISSOLVER_NETWORK", "marsnet")
    done = line("images")
    assert done.code == 1
    assert done.err == (
        "error: `network` in the environment cannot be `marsnet`\n"
        "hint: use one of `bridge`, `host`, `none`\n"
    )


def test_a_bad_name_in_a_list_does_not_stop_the_others(line: Any) -> None:
    def remove(name: str, **_: object) -> Any:
        if name == ":":
            raise BadReference("`:` is not a valid reference")
        raise DissolverError(f"no image `{name}`")

    line.engine.answers["remove_image"] = remove
    done = line("rmi", ":", "x")
    assert done.code == 1
    assert done.err == "error: `:` is not a valid reference\nerror: no image `x`\n"
