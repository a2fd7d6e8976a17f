"""The system call filter of a container, compiled with the system's libseccomp.

The policy is data (`dissolver.sandbox.seccomp_policy`). The library is reached
through cffi in ABI mode and loaded only when there is something to compile: a
compiled filter is kept in a cache file, so that starting a container does not
pay for it. The result is an array of ``struct sock_filter``, for the kernel.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any

from dissolver.errors import RunError
from dissolver.sandbox import seccomp_policy as policy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LIBRARY = "libseccomp.so.2"

_MAGIC = b"dissolver seccomp filter 1\n"
_DECLARATIONS = """
    typedef void *scmp_filter_ctx;
    struct scmp_arg_cmp { unsigned int arg; int op; uint64_t datum_a; uint64_t datum_b; };
    struct scmp_version { unsigned int major, minor, micro; };
    const struct scmp_version *seccomp_version(void);
    scmp_filter_ctx seccomp_init(uint32_t def_action);
    void seccomp_release(scmp_filter_ctx ctx);
    int seccomp_arch_add(scmp_filter_ctx ctx, uint32_t arch_token);
    int seccomp_attr_set(scmp_filter_ctx ctx, int attr, uint32_t value);
    int seccomp_syscall_resolve_name(const char *name);
    int seccomp_rule_add_array(scmp_filter_ctx ctx, uint32_t action, int syscall,
                               unsigned int arg_cnt, const struct scmp_arg_cmp *arg_array);
    int seccomp_export_bpf(const scmp_filter_ctx ctx, int fd);
"""

# seccomp.h: actions, comparison operators, attributes.
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_LESS, _EQUAL, _MASKED_EQUAL = 2, 4, 7
_OPTIMIZE, _BINARY_TREE = 8, 2
_UNKNOWN_NAME = -1
_EEXIST, _EDOM = 17, 33

# linux/audit.h: what `seccomp_arch_add` calls the older system call tables of a machine.
_SUBARCHITECTURES = {
    "x86_64": (0x40000003, 0x4000003E),
    "aarch64": (0x40000028,),
    "s390x": (0x00000016,),
}

_X32_BIT = 0x40000000

Comparison = tuple[int, int, int, int]


def default_filter(
    capabilities: Sequence[str] = (), *, cache: Path | None = None, machine: str | None = None
) -> bytes:
    """Compile the default filter for a process that may hold ``capabilities``.

    ``cache`` is an existing private directory in which compiled filters are kept, one file
    for each policy, machine and version of libseccomp. A damaged or foreign file is compiled
    anew and replaced atomically.

    Raises:
        RunError: libseccomp is missing or refuses a rule; the container must not start.
    """
    machine = machine or os.uname().machine
    digest = policy_digest(capabilities, machine)
    file = None if cache is None else cache / f"seccomp-{digest[:32]}.bpf"
    if file is not None:
        kept = _load(file)
        if kept is not None:
            return kept
    program, library = _compile(capabilities, machine)
    if file is not None:
        _keep(file, program, library)
    return program


def encoded(program: bytes) -> str:
    """Write a filter as the specification of a sandbox carries it: in base64."""
    import binascii

    return binascii.b2a_base64(program, newline=False).decode()


def policy_digest(capabilities: Sequence[str], machine: str) -> str:
    """Name everything that a filter depends on, apart from the library: 64 hex digits."""
    import hashlib

    relevant = sorted(set(capabilities) & set(policy.BY_CAPABILITY))
    facts = (
        policy.FORMAT,
        machine,
        relevant,
        policy.ALWAYS,
        sorted(policy.BY_MACHINE.items()),
        sorted(policy.BY_CAPABILITY.items()),
        policy.NAMESPACE_FLAGS,
        policy.SOCKET_FAMILIES,
        policy.PERSONALITIES,
        sorted(policy.UNIFIED_NUMBERS.items()),
        policy.FIRST_UNKNOWN_NUMBER,
        policy.CLONE3_ERRNO,
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def allowed_names(capabilities: Sequence[str], machine: str) -> tuple[str, ...]:
    """List the calls that are allowed whatever their arguments, sorted."""
    names = set(policy.ALWAYS) | set(policy.BY_MACHINE.get(machine, ()))
    for capability in capabilities:
        names.update(policy.BY_CAPABILITY.get(capability, ()))
    return tuple(sorted(names))


def conditions(capabilities: Sequence[str], machine: str) -> list[tuple[str, Comparison]]:
    """List the calls that are allowed for some values of one argument.

    A comparison is (argument index, operator, first datum, second datum), as libseccomp
    reads it; several for one call are alternatives.
    """
    # A run from 0 is one comparison; what follows is compared value by value.
    below = 0
    while below in policy.SOCKET_FAMILIES:
        below += 1
    rules: list[tuple[str, Comparison]] = [("socket", (0, _LESS, below, 0))]
    rules += [("socket", (0, _EQUAL, f, 0)) for f in policy.SOCKET_FAMILIES if f > below]
    rules += [("personality", (0, _EQUAL, value, 0)) for value in policy.PERSONALITIES]
    if "CAP_SYS_ADMIN" not in capabilities:
        argument = 1 if machine == "s390x" else 0
        rules.append(("clone", (argument, _MASKED_EQUAL, policy.NAMESPACE_FLAGS, 0)))
    return rules


def prologue(allowed_numbers: Sequence[int]) -> bytes:
    """Build the instructions that run before libseccomp's, for calls it does not know.

    Calls in ``allowed_numbers`` are allowed, calls from ``FIRST_UNKNOWN_NUMBER`` on answer
    ``ENOSYS``, everything else continues behind the prologue. Numbers with the x32 bit
    are left to libseccomp, which knows that table.
    """
    load_number = (0x20, 0, 0, 0)  # A = seccomp_data.nr
    program = [load_number]
    for number in allowed_numbers:
        program += [(0x15, 0, 1, number), (0x06, 0, 0, _ALLOW)]
    program += [
        (0x35, 2, 0, _X32_BIT),
        (0x35, 0, 1, policy.FIRST_UNKNOWN_NUMBER),
        (0x06, 0, 0, _ERRNO | policy.CLONE3_ERRNO),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _compile(capabilities: Sequence[str], machine: str) -> tuple[bytes, str]:
    """Compile the policy; return the program and the path of the library that did it."""
    ffi, library = _load_library()
    context = library.seccomp_init(_ERRNO | 1)
    if not context:
        raise RunError("libseccomp could not start a filter")
    try:
        library.seccomp_attr_set(context, _OPTIMIZE, _BINARY_TREE)
        for token in _SUBARCHITECTURES.get(machine, ()):
            _check(library.seccomp_arch_add(context, token), "seccomp_arch_add")
        unknown: list[int] = []
        for name in allowed_names(capabilities, machine):
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number == _UNKNOWN_NAME:
                if name in policy.UNIFIED_NUMBERS:
                    unknown.append(policy.UNIFIED_NUMBERS[name])
                continue
            _add(ffi, library, context, _ALLOW, number, [])
        for name, comparison in conditions(capabilities, machine):
            number = library.seccomp_syscall_resolve_name(name.encode())
            _add(ffi, library, context, _ALLOW, number, [comparison])
        if "CAP_SYS_ADMIN" not in capabilities:
            number = library.seccomp_syscall_resolve_name(b"clone3")
            action = _ERRNO | policy.CLONE3_ERRNO
            if number != _UNKNOWN_NAME:
                _add(ffi, library, context, action, number, [])
        program = _export(library, context)
    finally:
        library.seccomp_release(context)
    return prologue(sorted(unknown)) + program, _library_path()


def _load_library() -> tuple[Any, Any]:
    """Open libseccomp; cffi has no types, so both values are untyped."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(_DECLARATIONS)
    try:
        return ffi, ffi.dlopen(LIBRARY)
    except OSError as problem:
        raise RunError(
            f"`{LIBRARY}` could not be loaded, and without it there is no system call filter",
            hint="install libseccomp2 (Debian, Ubuntu) or libseccomp (others)",
        ) from problem


def _add(
    ffi: Any, library: Any, context: Any, action: int, number: int, comparisons: list[Comparison]
) -> None:
    array = ffi.new("struct scmp_arg_cmp[]", [list(c) for c in comparisons])
    result = library.seccomp_rule_add_array(context, action, number, len(comparisons), array)
    # EEXIST: the rule is there. EDOM: an older table cannot filter this argument (`socketcall`).
    if result not in (0, -_EEXIST, -_EDOM):
        _check(result, f"seccomp_rule_add_array for system call {number}")


def _check(result: int, what: str) -> None:
    if result not in (0, -_EEXIST):
        raise RunError(f"libseccomp refused `{what}`: {os.strerror(-result)}")


def _export(library: Any, context: Any) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        _check(library.seccomp_export_bpf(context, fd), "seccomp_export_bpf")
        size = os.lseek(fd, 0, os.SEEK_END)
        return os.pread(fd, size, 0)
    finally:
        os.close(fd)


def _library_path() -> str:
    """Find the file that the loaded library was read from, as its version's identity."""
    from pathlib import Path

    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape")
    for line in maps.splitlines():
        path = line.partition("/")[2]
        if path.rpartition("/")[2].startswith("libseccomp.so"):
            return f"/{path}"
    return ""


def _identity(library: str) -> str:
    """Describe one build of the library; another version is another file."""
    from pathlib import Path

    try:
        found = Path(library).stat()
    except OSError:
        return ""
    return f"{library} {found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns}"


def _load(file: Path) -> bytes | None:
    """Read a kept filter, or nothing if the library changed or the file is not whole."""
    import hashlib

    try:
        data = file.read_bytes()
    except OSError:
        return None
    head, found, program = data.removeprefix(_MAGIC).partition(b"\n\n")
    if not data.startswith(_MAGIC) or not found:
        return None
    identity, _, digest = head.decode("utf-8", "surrogateescape").partition("\n")
    library = identity.rsplit(" ", 4)[0]
    if not identity or _identity(library) != identity:
        return None
    return program if hashlib.sha256(program).hexdigest() == digest else None


def _keep(file: Path, program: bytes, library: str) -> None:
    """Write a filter to the cache; a cache that cannot be written costs time and no more."""
    import hashlib

    identity = _identity(library)
    if not identity:
        return
    head = f"{identity}\n{hashlib.sha256(program).hexdigest()}\n\n"
    part = file.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(_MAGIC + head.encode("utf-8", "surrogateescape") + program)
        part.chmod(0o600)
        part.replace(file)
    except OSError:
        part.unlink(missing_ok=True)
