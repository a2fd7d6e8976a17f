"""What made the difference between two lists of inputs, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dissolver.cache.inputs import Input
from dissolver.store.packed_inputs import without_common_ends

_SINGLE = {
    "command": "the command changed",
    "user": "the user changed",
    "workdir": "the working directory changed",
    "network": "the network mode changed",
    "platform": "the platform changed",
    "shm": "the size of `/dev/shm` changed",
    "security": "the security mode changed",
    "destination": "the destination changed",
    "owner": "the owner (`--chown`) changed",
    "mode": "the mode (`--chmod`) changed",
}


def first_difference(before: Sequence[Input], after: Sequence[Input]) -> str | None:
    """Say what changed first, and how many more changes of its kind there are.

    ``None`` if the inputs are equal.
    """
    differences = list(all_differences(*without_common_ends(before, after)))
    if not differences:
        return None
    first = differences[0]
    files = [one for one in differences if one.startswith("file ")]
    if first.startswith("what is mounted") and files:
        # Which file changed says more than that something in the mount did.
        first = files[0]
    if len(files) > 1 and first is files[0]:
        return f"{first}, and {len(files) - 1} more"
    return first


def all_differences(before: Sequence[Input], after: Sequence[Input]) -> Iterator[str]:
    """Say everything that changed, the first input of the key first."""
    old, new = dict(before), dict(after)
    changed = [name for name in new | old if old.get(name) != new.get(name)]
    has_files = any(name.startswith(("context/", "from/")) for name in changed)
    seen_parent = False
    for name in changed:
        if has_files and name in old and name in new and name.startswith("mount."):
            # The files that are mounted there say more.
            continue
        if name.startswith("parent."):
            # One layer that changed changes those above it too.
            if not seen_parent:
                yield "parent layer changed"
            seen_parent = True
            continue
        yield _say(name, old.get(name), new.get(name))


def _say(name: str, before: str | None, after: str | None) -> str:
    verb = "added" if before is None else "removed" if after is None else "changed"
    if name.startswith("env."):
        return f"variable `{name.removeprefix('env.')}` {verb}"
    if name.startswith("host."):
        return f"the name `{name.removeprefix('host.')}` of `--add-host` was {verb}"
    if name.startswith("ulimit."):
        return f"the limit `{name.removeprefix('ulimit.')}` of `--ulimit` was {verb}"
    if name.startswith("mount."):
        is_there = "changed" if before is not None and after is not None else f"was {verb}"
        return f"what is mounted at `{name.removeprefix('mount.')}` {is_there}"
    if name.startswith("file."):
        return f"the text of `{name.removeprefix('file.')}` {verb}"
    kind, slash, path = name.partition("/")
    if kind == "directory" and slash:
        # One on the way to the destination: it is made, or exists below.
        return f"directory `/{path}` {verb}"
    if slash:
        return f"file `{path or '.'}` {verb}"
    return _SINGLE.get(name, f"{kind} {verb}")
