"""What cannot be started says which part failed, why, and what to try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Place

LAYOUT = {
    "bin/plain": "not a program",
    "bin/lost": "#!/no/such/interpreter\n",
    "bin/magic": "#!/proc/self/exe\n",
    "bin/nothing": "x",
}


def bind(target: str, source: str = "/etc", create: str | None = "directory") -> dict[str, Any]:
    return {
        "kind": "bind", "source": source, "target": target,
        "read_only": True, "recursive": True, "create": create,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("program", "kind", "message"),
    [
        ("nope", "not-found", "the program `nope` was not found in PATH"),
        ("/nope", "not-found", "the program `/nope` was not found"),
        ("", "not-found", "the program `` was not found"),
        ("/bin/lost", "not-found", "the program `/bin/lost` was not found"),
        ("lost", "not-found", "the program `/bin/lost` was not found"),
        ("denied", "not-found", "the program `denied` was not found in PATH"),
        (
            "/bin/denied",
            "not-executable",
            "the program `/bin/denied` cannot be executed: permission denied",
        ),
        ("/etc", "not-executable", "the program `/etc` cannot be executed: permission denied"),
        (
            "/bin/busybox/x",
            "not-executable",
            "the program `/bin/busybox/x` cannot be executed: not a directory",
        ),
        (
            "/bin/plain",
            "not-executable",
            "the program `/bin/plain` cannot be executed: exec format error",
        ),
    ],
)
def test_a_program_that_cannot_be_executed(
    place: Place, program: str, kind: str, message: str
) -> None:
    place.layout = {**LAYOUT, "bin/denied": {"text": "#!/bin/sh\n", "mode": 0o644}}
    failure = place(program).failure
    assert failure is not None
    assert (failure["kind"], failure["message"]) == (kind, message)


@pytest.mark.parametrize("program", ["/proc/self/exe", "/bin/magic"])
def test_a_program_of_the_host_is_never_executed_inside(place: Place, program: str) -> None:
    place.layout = LAYOUT
    # What `/proc/self/exe` leads to is a program of ours that does nothing without its orders.
    outcome = place(program, "-c", "print('escaped')")
    assert (outcome.status, outcome.output, outcome.failure) == (126, "", None)


def test_hints_say_what_is_missing(place: Place) -> None:
    place.layout = LAYOUT
    lost, plain = place.each([["/bin/lost"], ["/bin/plain"]])
    assert lost.failure is not None
    assert lost.failure["hint"] == (
        "`/bin/lost` exists, but the interpreter on its first line, or its loader, does not"
    )
    assert plain.failure is not None
    assert "another architecture" in plain.failure["hint"]


@pytest.mark.parametrize(
    ("changes", "op", "message"),
    [
        (
            {"more_mounts": [bind("/x", source="/no/such")]},
            "mount bind",
            "could not mount bind `/no/such`: no such file or directory",
        ),
        (
            {"more_mounts": [bind("/bin/busybox")]},
            "mount bind",
            "could not mount bind `/bin/busybox`: not a directory",
        ),
        (
            {"cwd": "/no/such"},
            "enter the working directory",
            "could not enter the working directory `/no/such`: no such file or directory",
        ),
        (
            {"cwd": "/bin/busybox"},
            "enter the working directory",
            "could not enter the working directory `/bin/busybox`: not a directory",
        ),
        (
            {"sysctls": {"net.ipv4.no_such": "1"}},
            "set sysctl",
            "could not set sysctl `net.ipv4.no_such`: no such file or directory",
        ),
        (
            {"hostname": "x" * 65},
            "set the host name",
            f"could not set the host name `{'x' * 65}`: invalid argument",
        ),
        (
            {"mounts": [], "rootfs": {"mountpoint": "/no/such"}},
            "mount overlay",
            "could not mount overlay `/no/such`: no such file or directory",
        ),
        (
            {"rlimits": [{"name": "nofile", "soft": 9, "hard": 8}]},
            "set the limit",
            "could not set the limit `nofile`: invalid argument",
        ),
    ],
)
def test_a_setup_that_fails_names_the_operation(
    place: Place, changes: dict[str, Any], op: str, message: str
) -> None:
    failure = place("true", **changes).failure
    assert failure is not None
    assert (failure["kind"], failure["op"], failure["message"]) == ("setup-failed", op, message)


def test_the_kernels_own_words_about_an_overlay_are_passed_on(place: Place) -> None:
    failure = place("true", rootfs={"lowers": ["/no/such/layer", "/no/other"]}).failure
    assert failure is not None
    assert failure["message"].startswith("could not mount overlay ")
    assert "no such file or directory" in failure["message"]


def test_a_specification_that_is_wrong_is_refused(place: Place) -> None:
    failure = place("true", apparmor="x").failure
    assert failure is not None
    assert failure["kind"] == "bad-spec"
    assert "unknown field `apparmor`" in failure["message"]
