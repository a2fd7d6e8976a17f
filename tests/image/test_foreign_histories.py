"""Images of tools that write no history, or half of one."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dissolver.errors import BadImageConfig
from dissolver.image.config import HistoryEntry, ImageConfig, RootFs
from dissolver.image.mutate import with_history, with_layer
from dissolver.image.validate import check_config

DIFF_IDS = tuple(f"sha256:{digit * 64}" for digit in "abc")
PLAIN = ImageConfig("amd64", "linux", created=5, rootfs=RootFs(diff_ids=DIFF_IDS[:2]))


def test_a_layer_on_top_of_an_untold_one_is_told_with_it() -> None:
    grown = with_layer(PLAIN, DIFF_IDS[2], HistoryEntry(created=7, created_by="RUN x"))
    assert [(one.created, one.created_by) for one in grown.history] == [
        (5, ""),
        (5, ""),
        (7, "RUN x"),
    ]
    assert check_config(grown) == grown


def test_metadata_on_top_of_untold_layers_comes_after_them() -> None:
    grown = with_history(PLAIN, HistoryEntry(created_by="CMD x"))
    assert [one.empty_layer for one in grown.history] == [False, False, True]


@pytest.mark.parametrize("told", [0, 1, 2])
def test_less_history_than_layers_is_read(told: int) -> None:
    history = tuple(HistoryEntry() for _ in range(told))
    assert check_config(replace(PLAIN, history=history)).diff_ids == DIFF_IDS[:2]


def test_more_history_than_layers_is_refused() -> None:
    history = tuple(HistoryEntry() for _ in range(3))
    with pytest.raises(BadImageConfig) as caught:
        check_config(replace(PLAIN, history=history))
    assert caught.value.message == "the history tells of 3 layers, and there are 2"
