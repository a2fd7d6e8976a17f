"""Inputs as they are kept: what goes in comes out, and differences are found in what is packed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dissolver._core.copy import CopyPlan
from dissolver._core.layer import Layers
from dissolver._core.tree import Tree
from dissolver.cache.why import all_differences, first_difference
from dissolver.store.packed_inputs import PackedInputs, pack_inputs, without_common_ends

NAMES = st.text(alphabet="ab/", max_size=3)
INPUTS = st.dictionaries(NAMES, st.text(alphabet="xy", max_size=2), max_size=12)


@given(INPUTS)
def test_what_is_packed_is_unpacked(inputs: dict[str, str]) -> None:
    pairs = tuple(inputs.items())
    packed = PackedInputs(pack_inputs(pairs))
    assert packed == pairs
    assert packed.first == (pairs[0] if pairs else None)
    assert pack_inputs(packed) == packed.packed


@given(INPUTS, INPUTS, INPUTS, INPUTS)
def test_common_ends_make_no_difference(
    start: dict[str, str], one: dict[str, str], other: dict[str, str], end: dict[str, str]
) -> None:
    before, after = ({**start, **middle, **end}.items() for middle in (one, other))
    packed = [PackedInputs(pack_inputs(tuple(inputs))) for inputs in (before, after)]
    short = without_common_ends(*packed)
    assert set(all_differences(*short)) == set(all_differences(tuple(before), tuple(after)))


def test_of_many_inputs_only_those_around_a_difference_are_unpacked() -> None:
    many = [(f"context/file{number:06}", f"{number * 7919 % 1000}") for number in range(50_000)]
    before = PackedInputs(pack_inputs(many))
    many[30_000] = ("context/file030000", "changed")
    del many[30_002]
    after = PackedInputs(lambda: pack_inputs(many))
    said = "file `file030000` changed, file `file030002` removed"
    assert first_difference(before, after) == said
    left = without_common_ends(before, after)
    assert [len(inputs) for inputs in left] == [3, 2]
    assert first_difference(before, before) is None


def test_the_core_packs_the_inputs_of_a_copy_as_python_does(tmp_path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    for number in range(3_000):
        (context / f"file{number}").write_text(f"{number}")
    (context / b"odd\xff\n".decode("utf-8", "surrogateescape")).write_text("odd")
    layers = Layers(tmp_path / "store", userxattr=False)
    plan = CopyPlan.for_copy(
        layers.view([]),
        Tree.scan(context),
        ["/."],
        "/app/",
        owner=None,
        keeps_owner=False,
        mode=None,
        new_directory_mtime=0,
    )
    plan.digest()
    packed = PackedInputs(plan.packed_inputs)
    assert packed == tuple(plan.inputs())
    assert packed.first == ("destination", "/app")
