"""Several mistakes of one file, told together."""

from __future__ import annotations

from types import TracebackType

from dissolver.errors import DissolverError, DockerfileErrors


class Faults:
    """Collects mistakes that do not depend on each other, until it is time to raise them.

    As a context manager it keeps an error that has a place and lets the work behind
    the block go on; an error without a place is no mistake in a file, and passes through.
    """

    def __init__(self) -> None:
        self.errors: list[DissolverError] = []

    def __bool__(self) -> bool:
        return bool(self.errors)

    def add(self, error: DissolverError) -> None:
        """Keep a mistake; those of a group are kept one by one."""
        self.errors.extend(error.errors if isinstance(error, DockerfileErrors) else (error,))

    def raise_any(self) -> None:
        """Raise what was collected, if anything was.

        Raises:
            DissolverError: the only mistake.
            DockerfileErrors: there are several.
        """
        if not self.errors:
            return
        if len(self.errors) == 1:
            raise self.errors[0]
        raise DockerfileErrors(tuple(sorted(self.errors, key=_line)))

    def __enter__(self) -> Faults:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, DissolverError) and error.where is not None:
            self.add(error)
            return True
        return False


def _line(error: DissolverError) -> int:
    return error.where.line if error.where is not None else 0
