"""The system call filter: what it allows, and that it is compiled once."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from dissolver.errors import RunError
from dissolver.sandbox import seccomp, seccomp_policy
from dissolver.sandbox.confinement import CAPABILITIES

ALLOW = 0x7FFF0000
EPERM = 0x00050000 | errno.EPERM
ENOSYS = 0x00050000 | errno.ENOSYS
X86_64, I386 = 0xC000003E, 0x40000003
MACHINE = os.uname().machine

needs_x86_64 = pytest.mark.skipif(MACHINE != "x86_64", reason="uses numbers of x86_64")


def evaluate(program: bytes, number: int, *arguments: int, architecture: int = X86_64) -> int:
    """Run a filter as the kernel does and return its verdict."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator = position = 0
    while True:
        operation, yes, no, value = code[position]
        position += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif operation == 0x06:
            return value
        elif operation == 0x05:
            position += value
        elif operation == 0x54:
            accumulator &= value
        else:
            tests = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }
            position += yes if tests[operation] else no


@pytest.fixture(scope="module")
def program() -> bytes:
    return seccomp.default_filter(CAPABILITIES)


@needs_x86_64
@pytest.mark.parametrize(
    ("name", "number", "arguments", "verdict"),
    [
        ("read", 0, (), ALLOW),
        ("execve", 59, (), ALLOW),
        ("arch_prctl", 158, (), ALLOW),
        ("chroot", 161, (), ALLOW),
        ("statx", 332, (), ALLOW),
        ("ptrace", 101, (), ALLOW),
        ("mount", 165, (), EPERM),
        ("umount2", 166, (), EPERM),
        ("unshare", 272, (), EPERM),
        ("setns", 308, (), EPERM),
        ("bpf", 321, (), EPERM),
        ("keyctl", 250, (), EPERM),
        ("io_uring_setup", 425, (), EPERM),
        ("reboot", 169, (), EPERM),
        ("init_module", 175, (), EPERM),
        ("clone3", 435, (), ENOSYS),
        ("clone: a thread", 56, (0x3D0F00,), ALLOW),
        ("clone: a process", 56, (17,), ALLOW),
        ("clone: a user namespace", 56, (0x10000000 | 17,), EPERM),
        ("clone: a mount namespace", 56, (0x00020000 | 17,), EPERM),
        ("personality: Linux", 135, (0,), ALLOW),
        ("personality: the query", 135, (0xFFFFFFFF,), ALLOW),
        ("personality: no randomization", 135, (0x0040000,), EPERM),
        ("socket: unix", 41, (1,), ALLOW),
        ("socket: internet", 41, (2,), ALLOW),
        ("socket: packets", 41, (17,), ALLOW),
        ("socket: DECnet", 41, (12,), EPERM),
        ("socket: DECnet in disguise", 41, (1 << 32 | 12,), EPERM),
        ("socket: Econet", 41, (19,), EPERM),
        ("socket: classical IP over ATM", 41, (20,), EPERM),
        ("socket: infrared", 41, (23,), EPERM),
        ("socket: WANPIPE", 41, (25,), EPERM),
        ("socket: Bluetooth", 41, (31,), ALLOW),
        ("socket: ISDN", 41, (34,), EPERM),
        ("socket: CAIF", 41, (37,), EPERM),
        ("socket: kernel crypto", 41, (38,), EPERM),
        ("socket: kernel crypto in disguise", 41, (1 << 32 | 38,), EPERM),
        ("socket: vsock", 41, (40,), EPERM),
        ("socket: vsock in disguise", 41, (1 << 32 | 40,), EPERM),
        ("socket: xdp", 41, (44,), ALLOW),
        ("socket: unknown", 41, (46,), EPERM),
        ("fchmodat2, newer than the library", 452, (), ALLOW),
        ("mseal, newer than the library", 462, (), ALLOW),
        ("newer than the policy", 467, (), ENOSYS),
        ("far newer than the policy", 5000, (), ENOSYS),
        ("lsm_set_self_attr, newer and forbidden", 460, (), EPERM),
        ("x32: read", 0x40000000, (), ALLOW),
        ("x32: mount", 0x40000000 | 165, (), EPERM),
    ],
)
def test_the_filter_judges_as_docker_does(
    program: bytes, name: str, number: int, arguments: tuple[int, ...], verdict: int
) -> None:
    assert evaluate(program, number, *arguments) == verdict


@needs_x86_64
@pytest.mark.parametrize(
    ("name", "number", "verdict"),
    [
        ("read", 3, ALLOW),
        ("mount", 21, EPERM),
        ("vm86", 166, EPERM),
        ("keyctl", 288, EPERM),
        ("socketcall", 102, ALLOW),
        ("unshare", 310, EPERM),
        ("io_uring_setup", 425, EPERM),
        ("clone3", 435, ENOSYS),
    ],
)
def test_the_older_system_calls_of_the_machine_are_judged_too(
    program: bytes, name: str, number: int, verdict: int
) -> None:
    assert evaluate(program, number, architecture=I386) == verdict


@needs_x86_64
def test_a_capability_brings_its_calls() -> None:
    program = seccomp.default_filter([*CAPABILITIES, "CAP_SYS_ADMIN"])
    assert evaluate(program, 165) == ALLOW
    assert evaluate(program, 56, 0x10000000) == ALLOW
    assert evaluate(program, 435) == ALLOW
    assert evaluate(program, 169) == EPERM


def test_no_call_is_named_twice() -> None:
    assert len(set(seccomp_policy.ALWAYS)) == len(seccomp_policy.ALWAYS)


def test_newer_numbers_end_right_before_the_first_unknown_one() -> None:
    numbers = sorted(seccomp_policy.UNIFIED_NUMBERS.values())
    assert numbers == list(range(451, seccomp_policy.FIRST_UNKNOWN_NUMBER))


def test_a_compiled_filter_is_kept_and_loaded(tmp_path: Path, monkeypatch) -> None:
    first = seccomp.default_filter(CAPABILITIES, cache=tmp_path)
    monkeypatch.setattr(seccomp, "_compile", None)
    assert seccomp.default_filter(CAPABILITIES, cache=tmp_path) == first


def test_other_capabilities_are_another_file(tmp_path: Path) -> None:
    seccomp.default_filter(CAPABILITIES, cache=tmp_path)
    seccomp.default_filter([], cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-8],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"something else\n\n" + data,
        lambda data: data.replace(b"libseccomp", b"libsecxxxx"),
    ],
    ids=["empty", "cut off", "one bit", "another file", "another library"],
)
def test_a_damaged_filter_is_compiled_anew(tmp_path: Path, damage) -> None:
    whole = seccomp.default_filter(CAPABILITIES, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    kept = file.read_bytes()
    file.write_bytes(damage(kept))
    assert seccomp.default_filter(CAPABILITIES, cache=tmp_path) == whole
    assert file.read_bytes() == kept


def test_without_the_library_nothing_starts(monkeypatch) -> None:
    monkeypatch.setattr(seccomp, "LIBRARY", "libseccomp-is-not-here.so.2")
    with pytest.raises(RunError) as raised:
        seccomp.default_filter(CAPABILITIES)
    assert raised.value.exit_code == 125
    assert "libseccomp" in (raised.value.hint or "")


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    assert seccomp.default_filter(CAPABILITIES, cache=tmp_path / "missing")
