"""How often something is tried again, how long is waited before, and when waiting ends."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from time import monotonic, time

from dissolver.errors import Cancelled, DissolverError

ATTEMPTS = 5
FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
LONGEST_REQUEST_SECONDS = 60.0
"""The longest wait that a server may ask for; who wants more is not waited for."""

_POLL_SECONDS = 0.1

REPEATED = frozenset((408, 429, 500, 502, 503, 504))
"""What is answered for reasons that pass: too many requests, and faults of servers."""


class Patience:
    """Waits between attempts, until somebody asks to end: ``outer``, or ``cancel``.

    ``scale`` shortens every wait, for tests. Waits double from half a second and vary by a
    quarter, so that many clients do not come back at once.
    """

    def __init__(
        self,
        outer: Callable[[], bool] = lambda: False,
        *,
        attempts: int = ATTEMPTS,
        scale: float = 1.0,
    ) -> None:
        self._outer = outer
        self._own = threading.Event()
        self._attempts = attempts
        self._scale = scale

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked to end."""
        return self._own.is_set() or self._outer()

    def cancel(self) -> None:
        """Ask to end."""
        self._own.set()

    def resume(self) -> None:
        """Take back what ``cancel`` asked for."""
        self._own.clear()

    def check(self) -> None:
        """Raise ``Cancelled`` once somebody asked to end."""
        if self.is_cancelled:
            raise Cancelled("the transfer was cancelled")

    def wait(self, seconds: float) -> None:
        """Wait; end early, with ``Cancelled``, when somebody asks."""
        ends = monotonic() + seconds * self._scale
        while (left := ends - monotonic()) > 0:
            self._own.wait(min(left, _POLL_SECONDS))
            self.check()

    def pause(self, failures: int) -> None:
        """Wait as long as after so many failures in a row."""
        self.wait(_seconds(failures))

    def attempts(self, on_wait: Callable[[str], None] | None = None) -> Iterator[Attempt]:
        """Yield one attempt after another; the last one lets its failure out."""
        for number in range(self._attempts):
            yield Attempt(self, number, is_last=number == self._attempts - 1, on_wait=on_wait)


class Attempt:
    """One of several attempts."""

    def __init__(
        self,
        patience: Patience,
        number: int,
        *,
        is_last: bool,
        on_wait: Callable[[str], None] | None,
    ) -> None:
        self._patience = patience
        self._seconds = _seconds(number)
        self._is_last = is_last
        self._on_wait = on_wait

    def should_repeat(self, status: int, retry_after: str | None) -> bool:
        """Tell whether an answer is an excuse that passes; ``rest`` comes next then."""
        if status not in REPEATED or self._is_last:
            return False
        asked = wanted_seconds(retry_after)
        if asked is not None:
            if asked > LONGEST_REQUEST_SECONDS:
                return False
            self._seconds = max(asked, 0.0)
        return True

    def failed(self, error: DissolverError) -> None:
        """Wait after a failure that may pass; raise it if this was the last attempt."""
        if self._is_last or self._patience.is_cancelled:
            self._patience.check()
            raise error
        self.rest(error.message)

    def rest(self, reason: str = "") -> None:
        """Wait before the next attempt."""
        if self._on_wait is not None:
            self._on_wait(reason)
        self._patience.wait(self._seconds)


def _seconds(number: int) -> float:
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * float(2**number))
    return longest * random.uniform(0.75, 1.25)  # noqa: S311 - no secret


def wanted_seconds(retry_after: str | None) -> float | None:
    """Read a ``Retry-After``: seconds, or a date (RFC 9110, section 10.2.3)."""
    if not retry_after:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time())
    except ValueError:
        return None
