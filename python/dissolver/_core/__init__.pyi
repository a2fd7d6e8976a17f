"""The compiled core: contexts, layers and sandboxes. Everything it raises is a `CoreError`."""

from typing import Final

from dissolver._core import compress as compress
from dissolver._core import copy as copy
from dissolver._core import files as files
from dissolver._core import layer as layer
from dissolver._core import sandbox as sandbox
from dissolver._core import tree as tree

version: Final[str]

class CoreError(Exception):
    """A failure of the core, with its facts as attributes: kind, message, hint, path, op, errno."""

    kind: str
    """A stable word to tell failures apart, such as ``not-found``."""
    message: str
    """One sentence in lower case without a full stop."""
    hint: str | None
    """One thing to try, where there is one."""
    path: bytes | None
    """The path that the failure is about."""
    op: str | None
    """The operation of the system that failed."""
    errno: int | None
    """The kernel's error number for it."""
