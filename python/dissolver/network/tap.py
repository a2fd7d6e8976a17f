"""A program that puts a filter on pasta's interface, which nobody inside can remove.

pasta opens a connection of this machine for whatever frame leaves the container, also for one
to 127.0.0.1, to 0.0.0.0 or to ::ffff:127.0.0.1, which a container may send past its own routes.
Older versions do not look (that of Debian 12 does not). The filter is the interface's own,
``TUNATTACHFILTER`` of tun(4): frames meet it last of all, so it holds for packet sockets that
avoid every other hook, and for who may change the rules of the namespace. It belongs to the open
file that pasta has, which is fetched with pidfd_getfd(2) while the container still waits.

It runs alone, with an interpreter that has loaded nothing, and imports little.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import sys
from pathlib import Path

TUN = "/dev/net/tun"
_ATTACH_FILTER = 0x401054D5
_PIDFD_GETFD = 438  # Alike on all processors.

_HALF, _BYTE, _WORD = 0x28, 0x30, 0x20  # Loads from an offset in the frame.
_IS, _RETURN = 0x15, 0x06
_PASS, _DROP = 0xFFFFFFFF, 0
_IPV4, _IPV6 = 0x0800, 0x86DD

# (code, how far to jump if so, and if not, value): linux/filter.h
FILTER = (
    (_HALF, 0, 0, 12),
    (_IS, 0, 6, _IPV4),
    (_BYTE, 0, 0, 26),  # From 127.0.0.0/8, or to there or to 0.0.0.0/8.
    (_IS, 11, 0, 127),
    (_BYTE, 0, 0, 30),
    (_IS, 9, 0, 127),
    (_IS, 8, 0, 0),
    (_RETURN, 0, 0, _PASS),
    (_IS, 0, 5, _IPV6),
    (_WORD, 0, 0, 38),  # To ::/64: to no address, to the loopback's, to IPv4 in another form.
    (_IS, 0, 3, 0),
    (_WORD, 0, 0, 42),
    (_IS, 0, 1, 0),
    (_RETURN, 0, 0, _DROP),
    (_RETURN, 0, 0, _PASS),
    (_RETURN, 0, 0, _DROP),
)
"""Which frames pasta gets: all but those that would come out on the machine's loopback."""


def guard(pid: int) -> None:
    """Filter what the process ``pid`` reads from its tun device.

    Raises:
        OSError: its files may not be fetched, it has no such device, or that takes no filter.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in FILTER))
    request = struct.pack("HP", len(FILTER), ctypes.addressof(program))
    process = os.pidfd_open(pid)
    guarded = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if str(link.readlink()) == TUN:
            tap = _fetched(process, int(link.name))
            fcntl.ioctl(tap, _ATTACH_FILTER, request)
            os.close(tap)
            guarded += 1
    os.close(process)
    if not guarded:
        raise OSError(f"pasta has not opened {TUN}")


def _fetched(process: int, number: int) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = int(library.syscall(_PIDFD_GETFD, process, number, 0))
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return descriptor


def main() -> None:
    """Guard the process whose number is in the file that was named; say in one line why not."""
    try:
        guard(int(Path(sys.argv[1]).read_text(encoding="ascii")))
    except (OSError, ValueError) as problem:
        sys.exit(f"containers cannot be kept from this machine's loopback interface: {problem}")


if __name__ == "__main__":
    main()
