"""Writing to files of the caller's without waiting for whoever reads them."""

from __future__ import annotations

import errno
import os
import select
import stat

WRITABLE = select.POLLOUT | select.POLLERR | select.POLLHUP | select.POLLNVAL
"""What a poll tells when writing will not wait, be it for a failure."""

_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ESPIPE})


class Writer:
    """Takes bytes for a file that others have open, too.

    The file itself stays as it is: one that is made non-blocking is so for everybody.
    Regular files are waited for; they have no reader who could be slow.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._takes_flag = True
        try:
            self._is_file = stat.S_ISREG(os.fstat(number).st_mode)
        except OSError:
            self._is_file = True  # It is closed; writing will say so.

    def write(self, data: memoryview) -> memoryview:
        """Write what can be written now, and return the rest.

        Raises:
            OSError: the file takes nothing any more.
        """
        try:
            while data:
                data = data[self._write(data) :]
        except BlockingIOError:
            pass
        return data

    def has_no_reader(self, problem: OSError) -> bool:
        """Report whether writing failed because nobody wants what is written.

        The reader left, or closed the file beforehand, or its terminal was hung up.
        """
        if problem.errno == errno.EIO:
            return not self._is_file
        return problem.errno in (errno.EPIPE, errno.ECONNRESET, errno.EBADF)

    def _write(self, data: memoryview) -> int:
        if self._is_file:
            return os.write(self.number, data)
        if self._takes_flag:
            try:
                return os.pwritev(self.number, [data], -1, os.RWF_NOWAIT)
            except OSError as problem:
                if problem.errno not in _UNSUPPORTED:
                    raise
                # A terminal, or a pipe before Linux 6.4.
                self._takes_flag = False
        poll = select.poll()
        poll.register(self.number, select.POLLOUT)
        if not poll.poll(0):
            raise BlockingIOError
        # What is ready takes so much without waiting (pipe(7)).
        return os.write(self.number, data[: select.PIPE_BUF])
