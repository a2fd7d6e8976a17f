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
    "security": "the security mode changed",
    "destination": "the destination changed",
    "owner": "the owner (`--chown`) changed",
    "mode": "the mode (`--chmod`) changed",
}


_FILES = ("context/", "from/")


def first_difference(before: Sequence[Input], after: Sequence[Input]) -> str | None:
    """Say what changed first, and how many more changes of its kind there are.

    ``None`` if the inputs are equal.
    """
    found = list(_differences(*without_common_ends(before, after)))
    if not found:
        return None
    name, first = found[0]
    files = [said for name, said in found if name.startswith(_FILES)]
    if name.startswith("mount.") and files:
        # Which file changed says more than that something in the mount did.
        first = files[0]
    if not files or first is not files[0]:
        return first
    # Two are told in full: a file that has another name now is one added and one removed.
    rest = {1: "", 2: f", {files[-1]}"}
    return first + rest.get(len(files), f", and {len(files) - 1} more")


def all_differences(before: Sequence[Input], after: Sequence[Input]) -> Iterator[str]:
    """Say everything that changed, the first input of the key first."""
    return (said for _, said in _differences(before, after))


def _differences(before: Sequence[Input], after: Sequence[Input]) -> Iterator[tuple[str, str]]:
    """Yield the name of each input that changed, and what to say of it."""
    old, new = dict(before), dict(after)
    changed = [name for name in new | old if old.get(name) != new.get(name)]
    has_files = any(name.startswith(_FILES) for name in changed)
    seen_parent = False
    for name in changed:
        if has_files and name in old and name in new and name.startswith("mount."):
            # The files that are mounted there say more.
            continue
        if name.startswith("parent."):
            # One layer that changed changes those above it too.
            if not seen_parent:
                yield name, "parent layer changed"
            seen_parent = True
            continue
        yield name, _say(name, old.get(name), new.get(name))


def _say(name: str, before: str | None, after: str | None) -> str:
    verb = "added" if before is None else "removed" if after is None else "changed"
    if name.startswith("env."):
        return f"variable `{name.removeprefix('env.')}` {verb}"
    if name.startswith("host."):
        return f"the name `{name.removeprefix('host.')}` of `--add-host` was {verb}"
    if name.startswith("mount."):
        is_there = "changed" if before is not None and after is not None else f"was {verb}"
        return f"what is mounted at `{name.removeprefix('mount.')}` {is_there}"
    if name.startswith("source."):
        return f"source {name.removeprefix('source.')} {verb}"
    if name.startswith("file."):
        return f"the text of `{name.removeprefix('file.')}` {verb}"
    kind, slash, path = name.partition("/")
    if slash and before is not None and after is not None and _differ_in_mode(before, after):
        return f"the mode of `{'/' if kind == 'directory' else ''}{path or '.'}` changed"
    if kind == "directory" and slash:
        # One on the way to the destination: it is made, or exists below.
        return f"directory `/{path}` {verb}"
    if slash:
        return f"file `{path or '.'}` {verb}"
    if name in _SINGLE:
        return _SINGLE[name]
    from dissolver.sandbox.confining_options import explain_input

    return explain_input(name, verb) or f"{kind} {verb}"


def _differ_in_mode(before: str, after: str) -> bool:
    """Tell whether the mode, which comes before the digest of the rest, is all that differs."""
    rest = before.partition(" ")[2]
    return bool(rest) and rest == after.partition(" ")[2]
