"""The last thing a supervisor does for a container that is to be removed at its end.

It replaces the supervisor by a process that runs this, so nothing of the
container is left that could be in the way.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from dissolver.errors import ContainerNotFound


def main(root: str, run: str, mode: str, identity: str) -> None:
    """Remove the container; ``mode`` is ``userxattr`` for a store without privileges."""
    import msgspec

    from dissolver.containers import life as container
    from dissolver.containers import state
    from dissolver.store import Store

    with (
        Store(Path(root), Path(run), userxattr=mode == "userxattr") as store,
        suppress(ContainerNotFound),
    ):
        # This process was the supervisor, and the state file still names it.
        path = store.containers.directory(identity) / state.FILE
        with suppress(OSError, msgspec.MsgspecError):
            last = msgspec.json.decode(path.read_bytes(), type=state.State)
            part = path.with_suffix(".last")
            part.write_bytes(msgspec.json.encode(msgspec.structs.replace(last, supervisor=None)))
            part.replace(path)
        container.remove(store, identity, removes_volumes=True)
