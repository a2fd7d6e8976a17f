"""Pulls and pushes as they are shown: in lines, and in place on a terminal."""

from __future__ import annotations

import io

import pytest

from cli.screen import Screen
from dissolver.cli.render.transfers import TransferLines, TransferPicture, transfer_display
from dissolver.registry.events import (
    LayerProgress,
    LayerState,
    TransferDone,
    TransferEvent,
    TransferStarted,
)

A, B = "sha256:" + 64 * "a", "sha256:" + 64 * "b"
SHORT_A, SHORT_B = 12 * "a", 12 * "b"
MB = 1_000_000
PULL_ENDS = TransferDone(
    "pull", "latest", "docker.io/library/node:latest", "node:latest", A, 400, True
)


def moving(
    state: LayerState, current: int = 0, total: int = 0, rate: float = 0.0, layer: str = A
) -> LayerProgress:
    return LayerProgress(layer, state, current, total, rate)


def test_lines_leave_out_what_only_moves() -> None:
    out = io.StringIO()
    show = TransferLines(out.write).on_event
    for event in (
        TransferStarted("pull", "latest", "library/node"),
        moving("Pulling fs layer"),
        LayerProgress(B, "Already exists"),
        moving("Downloading", 5, 10),
        moving("Verifying Checksum"),
        moving("Extracting"),
        moving("Pull complete"),
        PULL_ENDS,
    ):
        show(event)
    assert out.getvalue().splitlines() == [
        "latest: Pulling from library/node",
        f"{SHORT_A}: Pulling fs layer",
        f"{SHORT_B}: Already exists",
        f"{SHORT_A}: Verifying Checksum",
        f"{SHORT_A}: Pull complete",
        f"Digest: {A}",
        "Status: Downloaded newer image for node:latest",
    ]


def test_a_push_ends_with_its_digest() -> None:
    out = io.StringIO()
    show = TransferLines(out.write).on_event
    show(TransferStarted("push", "v1", "docker.io/team/app"))
    show(LayerProgress(A, "Mounted", detail="team/base"))
    show(TransferDone("push", "v1", "docker.io/team/app:v1", "team/app:v1", A, 528, False))
    assert out.getvalue().splitlines() == [
        "The push refers to repository [docker.io/team/app]",
        f"{SHORT_A}: Mounted from team/base",
        f"v1: digest: {A} size: 528",
    ]


def test_a_stream_that_is_no_terminal_gets_lines() -> None:
    out = io.StringIO()
    transfer_display(out, is_dumb=False)(moving("Pulling fs layer"))
    assert out.getvalue() == f"{SHORT_A}: Pulling fs layer\n"


class Watch:
    """A picture on a screen, and a clock that stands still."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.screen = Screen(columns)
        self.now = 0.0
        self.writes = 0
        self.picture = TransferPicture(self._write, lambda: (columns, rows), lambda: self.now)

    def _write(self, text: str) -> None:
        self.writes += 1
        self.screen.write(text)

    def show(self, *events: TransferEvent) -> list[str]:
        for event in events:
            self.picture.on_event(event)
            self.now += 1
        return [line.rstrip() for line in self.screen.text.splitlines() if line.strip()]


def test_a_terminal_shows_how_far_layers_are_and_how_fast() -> None:
    lines = Watch().show(
        TransferStarted("pull", "latest", "library/node"),
        moving("Downloading", 5 * MB, 20 * MB, 2.5 * MB),
        LayerProgress(B, "Waiting"),
    )
    assert lines == [
        "latest: Pulling from library/node",
        f"{SHORT_A}: Downloading [======>                        ]  5MB/20MB  2.5MB/s",
        f"{SHORT_B}: Waiting",
    ]


def test_lines_stay_in_their_place_until_all_is_told() -> None:
    watch = Watch()
    lines = watch.show(
        moving("Downloading", 1 * MB, 2 * MB),
        LayerProgress(B, "Pulling fs layer"),
        moving("Pull complete"),
        LayerProgress(B, "Pull complete"),
        PULL_ENDS,
    )
    assert lines == [
        f"{SHORT_A}: Pull complete",
        f"{SHORT_B}: Pull complete",
        f"Digest: {A}",
        "Status: Downloaded newer image for node:latest",
    ]


def test_a_narrow_terminal_has_no_bar_and_no_line_wraps() -> None:
    lines = Watch(columns=40).show(moving("Downloading", 5 * MB, 20 * MB, 2.5 * MB))
    assert len(lines) == 1
    assert lines[0].startswith(f"{SHORT_A}: Downloading  5MB/20MB")
    assert len(lines[0]) < 40


def test_a_low_terminal_shows_what_is_not_done() -> None:
    digests = [f"sha256:{number:064x}" for number in range(10, 20)]
    watch = Watch(rows=6)
    watch.show(*(LayerProgress(one, "Pull complete") for one in digests[:7]))
    lines = watch.show(*(LayerProgress(one, "Waiting") for one in digests[7:]))
    assert [line.split(": ")[1] for line in lines[-5:]] == [
        "Pull complete",
        "Pull complete",
        "Waiting",
        "Waiting",
        "Waiting",
    ]


@pytest.mark.parametrize(("seconds", "writes"), [(0.0, 1), (0.05, 1), (0.2, 2)])
def test_what_only_moves_is_drawn_ten_times_a_second(seconds: float, writes: int) -> None:
    watch = Watch()
    watch.picture.on_event(moving("Downloading", 1, 10))
    watch.now += seconds
    watch.picture.on_event(moving("Downloading", 2, 10))
    assert watch.writes == writes
