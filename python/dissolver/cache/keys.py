"""Cache keys: the digest of everything that a step can observe, and of nothing else.

Two builds that arrive at the same key share a layer. Stage names, line numbers,
times, the order of variables, the machine's certificates and undeclared proxies
stay out. docs/cache-keys.md describes the layout; change both together, and raise
``KEY_VERSION``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from dissolver.cache.inputs import CacheKey, Input, digest_inputs, short_digest
from dissolver.store.packed_inputs import PackedInputs, pack_inputs

if TYPE_CHECKING:
    from dissolver.plan.steps import InlineFile, RunStep, TransferStep, WorkdirStep

KEY_VERSION = 1
"""Part of every key: raising it forgets every result of older versions."""


def run_key(
    step: RunStep,
    parents: Sequence[str],
    *,
    network: str | None = None,
    platform: str = "",
    unusual: Sequence[Input] = (),
    mounts: Sequence[Input] = (),
    listed: Callable[[], Iterable[Input]] | None = None,
) -> CacheKey:
    """Derive the key of ``step``, run on top of the layers ``parents`` (bottom first).

    ``network`` is the mode in effect, where the build's default decides; the step's
    own otherwise. ``user`` counts as text: what it means is in the layers below.
    ``platform`` is empty for the machine's own. ``unusual`` names what the step sees of the
    machine that is not the default. ``mounts`` say what is mounted where,
    with digests of the files; ``listed`` names these one by one, where somebody asks
    what the difference was.
    """
    inputs = (
        ("command", json.dumps(list(step.argv), ensure_ascii=False)),
        *_files(step.files),
        # Variables that are only ordered otherwise make the same environment.
        *sorted((f"env.{name}", value) for name, value in step.env),
        ("user", step.user),
        ("workdir", step.cwd),
        ("network", network or step.network),
        *((("platform", platform),) if platform else ()),
        *unusual,
        *mounts,
        *((f"parent.{index}", diff_id) for index, diff_id in enumerate(parents)),
    )
    key = _key("run", inputs)
    if listed is None:
        return key
    return CacheKey(key.digest, PackedInputs(lambda: pack_inputs((*inputs, *listed()))))


Listing = Callable[[], bytes]
"""Packs inputs as `pack_inputs` does, once somebody wants to know them."""


def copy_key(step: TransferStep, plan_digest: str, plan_inputs: Listing) -> CacheKey:
    """Derive the key of a COPY, or of an ADD that unpacks nothing, from its listing's digest.

    The listing covers the files, where they go and which directories are made; the
    layers below are no part of it, so a COPY survives a change of its base.
    ``plan_inputs`` is asked when the key's inputs are first looked at.
    """
    del step  # Everything that it asks for is in the listing.
    return _planned("copy", plan_digest, plan_inputs)


def add_key(
    plan_digest: str, unpacked: int, sources: Sequence[str], plan_inputs: Listing
) -> CacheKey:
    """Derive the key of an ADD that unpacks archives.

    The listing covers the archives as files, and where their contents go; ``unpacked`` says how
    many there are. What is in them follows from their bytes. ``sources`` describes each
    source by itself, in their order, where there are several.
    """
    each = tuple((f"source.{number}", source) for number, source in enumerate(sources, start=1))
    inputs = (("listing", plan_digest), ("unpacked", str(unpacked)), *each)
    digest = digest_inputs("add", KEY_VERSION, inputs)
    if not each:
        return CacheKey(digest, PackedInputs(plan_inputs))
    return CacheKey(digest, PackedInputs(lambda: pack_inputs((*PackedInputs(plan_inputs), *each))))


def bind_key(plan_digest: str, plan_inputs: Listing) -> CacheKey:
    """Derive the key of the layer that holds files of a context while a step has them mounted."""
    return _planned("bind", plan_digest, plan_inputs)


def workdir_key(step: WorkdirStep, plan_digest: str, plan_inputs: Listing) -> CacheKey:
    """Derive the key of a WORKDIR from the digest of its listing."""
    del step
    return _planned("workdir", plan_digest, plan_inputs)


def times_key(diff_id: str, latest_ns: int) -> CacheKey:
    """Derive the key of the layer ``diff_id`` with no time later than ``latest_ns``."""
    return _key("times", (("layer", diff_id), ("latest", str(latest_ns))))


def shortcut_key(kind: str, inputs: Iterable[Input], parents: Sequence[str]) -> str:
    """Derive a shortcut: a second, stricter key that is known without a look into layers.

    ``inputs`` say everything that the step says of itself, and what it reads besides layers;
    ``parents`` are the diff IDs of the layers that it reads. Equal shortcuts have equal keys.
    """
    below = ((f"parent.{number}", diff_id) for number, diff_id in enumerate(parents))
    return digest_inputs("shortcut", KEY_VERSION, (("kind", kind), *inputs, *below))


def _planned(kind: str, plan_digest: str, plan_inputs: Listing) -> CacheKey:
    digest = digest_inputs(kind, KEY_VERSION, (("listing", plan_digest),))
    return CacheKey(digest, PackedInputs(plan_inputs))


def _key(kind: str, inputs: tuple[Input, ...]) -> CacheKey:
    return CacheKey(digest_inputs(kind, KEY_VERSION, inputs), inputs)


def _files(files: Iterable[InlineFile]) -> Iterator[Input]:
    for file in files:
        yield f"file.{file.path}", f"{file.mode:o} {short_digest(file.content)}"
