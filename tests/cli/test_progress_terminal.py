"""The picture of a build on a terminal, line for line, at moments that a fake clock gives."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cli.builds import START, Script, story
from cli.screen import Screen
from dissolver.build.events import Warning_
from dissolver.cli.render.palette import ProgressColors
from dissolver.cli.render.progress.display import LiveDisplay
from dissolver.cli.render.progress.terminal import TerminalDisplay, TerminalPicture
from dissolver.errors import Where

STORY = """\
[+] Building 0.9s (10/10) FINISHED                                           docker:default
 => [internal] load build definition from Dockerfile                                   0.0s
 => => transferring dockerfile: 152B                                                   0.0s
 => [internal] load .dockerignore                                                      0.0s
 => => transferring context: 2B                                                        0.0s
 => [internal] load metadata for docker.io/library/node:latest                         0.8s
 => [1/5] FROM docker.io/library/node@sha256:bf718fc580177cd927173c8617cf7f527a1b7f62  0.0s
 => [internal] load build context                                                      0.0s
 => => transferring context: 1.14kB                                                    0.0s
 => CACHED [2/5] WORKDIR /app                                                          0.0s
 => CACHED [3/5] COPY package.json /app                                                0.0s
 => CACHED [4/5] RUN npm install                                                       0.0s
 => [5/5] COPY . /app                                                                  0.0s
 => exporting to image                                                                 0.0s
 => => exporting layers                                                                0.0s
 => => writing image sha256:f1bbbd303ca2a880f6fd9bd4dc4cc0db21b2d15879a9fb9b290a93397  0.0s"""


class Shown:
    """A terminal display on a screen, moved through a script."""

    def __init__(
        self, columns: int = 92, rows: int = 40, *, colored: bool = False, log_lines: int = 6
    ) -> None:
        self.screen = Screen(columns)
        self.rows = rows
        self.written: list[str] = []
        picture = TerminalPicture(
            "docker:default", ProgressColors(colored=colored), log_lines=log_lines
        )
        self.display = TerminalDisplay(
            self._write, lambda: (self.screen.columns, self.rows), picture
        )

    def _write(self, text: str) -> None:
        self.written.append(text)
        self.screen.write(text)

    def play(self, script: Script, *, until: float | None = None) -> Shown:
        for at, event in script.events:
            if until is not None and at > until:
                break
            self.display.update(event)
            self.display.refresh(at)
        self.display.refresh(script.now if until is None else until)
        return self

    def finish(self, script: Script) -> Shown:
        self.display.finish(script.now)
        return self


def test_the_build_of_the_story_looks_as_it_is_told() -> None:
    script = story()
    assert Shown().play(script).finish(script).screen.text == STORY


def test_every_line_ends_one_cell_before_the_edge() -> None:
    script = story()
    for columns in (60, 80, 92, 120, 200):
        lines = Shown(columns).play(script).finish(script).screen.lines
        assert {len(line) for line in lines} == {columns - 1}


def test_timers_run_while_a_step_does() -> None:
    script = Script().announce("[1/2] FROM box", "[2/2] RUN make").complete(1).start(2)
    shown = Shown(60).play(script)
    shown.display.refresh(START + 1.26)
    assert shown.screen.lines == [
        "[+] Building 1.3s (1/2)                      docker:default",
        " => [1/2] FROM box                                     0.0s",
        " => [2/2] RUN make                                     1.3s",
    ]
    shown.display.refresh(START + 75.0)
    assert shown.screen.lines[2].endswith("RUN make                                    75.0s")


def test_a_step_that_did_not_start_is_counted_and_not_shown() -> None:
    script = Script().announce("one", "two", "three").start(2)
    lines = Shown(60).play(script).screen.lines
    assert "(0/3)" in lines[0]
    assert [line.split()[1] for line in lines[1:]] == ["two"]


def test_a_running_step_shows_the_tail_of_its_output() -> None:
    script = Script().announce("[2/2] RUN make").start(1)
    script.wait(0.5).log(1, "".join(f"line {number}\n" for number in range(9)) + "half")
    assert Shown(60).play(script).screen.lines[1:] == [
        " => [2/2] RUN make                                     0.5s",
        " => => # line 4",
        " => => # line 5",
        " => => # line 6",
        " => => # line 7",
        " => => # line 8",
        " => => # half",
    ]


def test_the_tail_goes_when_the_step_is_done() -> None:
    script = Script().announce("[2/2] RUN make").start(1).wait(0.5).log(1, "word\n")
    shown = Shown(60).play(script)
    assert "# word" in shown.screen.text
    script.complete(1, after=0.1)
    shown.play(script).finish(script)
    assert "# word" not in shown.screen.text
    assert shown.screen.lines[0].startswith("[+] Building 0.6s (1/1) FINISHED")


def test_the_number_of_tail_lines_can_be_chosen() -> None:
    script = Script().announce("RUN make").start(1).log(1, "a\nb\nc\n")
    assert Shown(60, log_lines=2).play(script).screen.lines[2:] == [" => => # b", " => => # c"]


def test_a_failed_step_is_marked_and_all_its_output_repeated() -> None:
    script = Script().announce("[2/3] RUN make", "[3/3] COPY . /app").start(1)
    script.wait(0.25).log(1, "one\n").wait(12).log(1, "two\n10%\r99%\nlast")
    error = 'process "/bin/sh -c make" did not complete successfully: exit code: 3'
    script.complete(1, error=error)
    assert Shown(60).play(script).finish(script).screen.lines == [
        "[+] Building 12.2s (1/2)                     docker:default",
        " => ERROR [2/3] RUN make                              12.2s",
        "------",
        " > [2/3] RUN make:",
        "0.250 one",
        "12.25 two",
        "12.25 99%",
        "12.25 last",
        "------",
    ]


def test_what_another_failure_stopped_is_cancelled() -> None:
    script = Script().announce("[a 1/1] RUN x", "[b 1/1] RUN y").start(1).start(2)
    script.complete(1, after=1, error="it failed").complete(2, is_cancelled=True)
    lines = Shown(60).play(script).finish(script).screen.lines
    assert lines[1].startswith(" => ERROR [a 1/1] RUN x ")
    assert lines[2].startswith(" => CANCELED [b 1/1] RUN y ")
    # There is no output to repeat.
    assert "------" not in lines


def test_a_transfer_shows_how_far_it_is() -> None:
    script = Script().announce("[internal] load build context").start(1).wait(1)
    script.transfer(1, "transferring context:", 1_500_000, 4_000_000)
    assert Shown(70).play(script).screen.lines[2] == (
        " => => transferring context: 1.50MB / 4.00MB                     1.0s"
    )


def test_colours_are_those_of_buildkit() -> None:
    script = Script().announce("ok", "bad", "stopped", "running")
    script.complete(1).start(4).complete(2, error="no").complete(3, is_cancelled=True)
    shown = Shown(60, colored=True).play(script)
    assert shown.screen.colored == {1: "34", 2: "31", 3: "33"}


def test_without_colours_there_are_none() -> None:
    script = story()
    shown = Shown().play(script).finish(script)
    assert all(not part.endswith("m") for text in shown.written for part in text.split("\x1b")[1:])


@pytest.mark.parametrize(
    ("palette", "run", "error"),
    [
        ("", "\x1b[34m", "\x1b[31m"),
        ("run=green:error=light-red", "\x1b[32m", "\x1b[91m"),
        ("run=123,20,245", "\x1b[38;2;123;20;245m", "\x1b[31m"),
        ("run=nocolor:other=red:::", "\x1b[34m", "\x1b[31m"),
        ("error=300,0,0", "\x1b[34m", "\x1b[31m"),
    ],
)
def test_the_palette_can_be_chosen(palette: str, run: str, error: str) -> None:
    colors = ProgressColors(palette)
    assert (colors.run, colors.error) == (run, error)
    assert ProgressColors(palette, colored=False).run == ""


def test_more_lines_than_rows_keep_what_is_running() -> None:
    script = Script().announce(*(f"step {number}" for number in range(1, 31)))
    script.start(1)
    for number in range(2, 31):
        script.complete(number)
    shown = Shown(60, rows=10).play(script)
    names = [" ".join(line.split()[1:3]) for line in shown.screen.lines[1:]]
    assert names == ["step 1", *(f"step {number}" for number in range(24, 31))]
    script.complete(1)
    shown.play(script).finish(script)
    assert len(shown.screen.lines) == 31


def test_a_terminal_too_narrow_for_names_shows_the_counter() -> None:
    script = story()
    assert Shown(16).play(script).finish(script).screen.text == "[+] Building 0."


def test_a_terminal_that_becomes_narrower_keeps_one_picture() -> None:
    script = story()
    shown = Shown(92).play(script)
    shown.screen.resize(61)
    shown.finish(script)
    assert len(shown.screen.lines) == 16
    assert {len(line) for line in shown.screen.lines} == {60}


def test_a_terminal_that_becomes_wider_keeps_one_picture() -> None:
    script = story()
    shown = Shown(61).play(script)
    shown.screen.resize(92)
    assert shown.finish(script).screen.text == STORY


def test_wide_characters_leave_the_timers_in_their_column() -> None:
    script = Script().announce("[1/1] RUN echo 日本語日本語日本語日本語日本語").complete(1)
    for columns in (40, 41, 60):
        line = Shown(columns).play(script).screen.rows[1]
        assert len(line) == columns - 1
        assert "".join(line).endswith(" 0.0s")


def test_a_name_with_control_characters_stays_a_line() -> None:
    script = Script().announce("[1/1] RUN a\n\x1b[2J\tb").complete(1)
    assert Shown(60).play(script).screen.lines[1].startswith(" => [1/1] RUN a\\n\\x1b[2J b")


def test_the_cursor_is_visible_whenever_nothing_is_being_written() -> None:
    script = story()
    shown = Shown()
    for at, event in script.events:
        shown.display.update(event)
        shown.display.refresh(at)
        assert shown.screen.cursor_is_visible
    assert all(text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1 for text in shown.written)


def test_warnings_are_listed_after_the_build() -> None:
    script = Script().announce("[1/1] FROM box").complete(1)
    where = Where("Dockerfile", 3, 3, ("run x",), 0, 3)
    script.tell(Warning_(1, "keyword case differs", None, where)).tell(Warning_(1, "odd"))
    assert Shown(60).play(script).finish(script).screen.lines[1:] == [
        " => [1/1] FROM box                                     0.0s",
        " => WARN: keyword case differs                         0.0s",
        " => WARN: odd                                          0.0s",
        "",
        " 2 warnings found (use --debug to expand):",
        " - keyword case differs (line 3)",
        " - odd",
    ]


def test_nothing_is_drawn_before_something_starts() -> None:
    shown = Shown().play(Script().announce("one"))
    assert shown.written == []


def test_events_are_drawn_ten_times_a_second_at_most() -> None:
    now = START
    shown = Shown()
    live = LiveDisplay(shown.display, lambda: now)
    script = Script().announce("[1/1] RUN make").start(1)
    for _ in range(1000):
        script.wait(0.001).log(1, "x\n")
    for at, event in script.events:
        now = at
        live.on_event(event)
    assert 9 <= len(shown.written) <= 11


def test_the_display_moves_by_itself() -> None:
    shown = Shown()
    ticks = threading.Event()
    drawn: list[float] = []

    class Counting:
        shows_failed_output = True
        update = shown.display.update
        finish = shown.display.finish

        def refresh(self, now: float) -> None:
            drawn.append(now)
            if len(drawn) >= 3:
                ticks.set()

    with LiveDisplay(Counting()):
        assert ticks.wait(5)


def test_a_terminal_that_went_away_ends_the_build() -> None:
    class Gone:
        shows_failed_output = True

        def update(self, event: object) -> None:
            pass

        def refresh(self, now: float) -> None:
            raise BrokenPipeError

        def finish(self, now: float) -> None:
            raise AssertionError("there is nothing to write to")

    script = Script().announce("one").start(1)
    live = LiveDisplay(Gone())
    with pytest.raises(BrokenPipeError), live:
        live.on_event(script.events[0][1])


def test_the_story_is_the_one_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    assert "\n".join(STORY.splitlines()[1:]) in text
