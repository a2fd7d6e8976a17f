"""Plain progress: blocks of lines that are only ever appended."""

from __future__ import annotations

import base64
import json

import pytest

from cli.builds import START, Script, story
from dissolver.build.events import Vertex, VertexLog, Warning_
from dissolver.cli.render.progress.plain import PlainDisplay
from dissolver.cli.render.progress.rawjson import RawJsonDisplay
from dissolver.errors import Where


def played(script: Script, *, builder: str = "", debug: bool = False, step: float = 0.0) -> str:
    """Play a script into a plain display; with ``step``, refresh that often as time passes."""
    text: list[str] = []
    display = PlainDisplay(text.append, builder=builder, debug=debug)
    now = START
    for at, event in script.events:
        while step and now + step <= at:
            now += step
            display.refresh(now)
        display.update(event)
        if not step:
            display.refresh(at)
    display.finish(script.now)
    return "".join(text)


def test_the_build_of_the_story_in_plain_lines() -> None:
    image = "sha256:f1bbbd303ca2a880f6fd9bd4dc4cc0db21b2d15879a9fb9b290a9339717da5c6"
    digest = "sha256:bf718fc580177cd927173c8617cf7f527a1b7f6278d5c6a2d6f3c5d0f4a3b2c1"
    assert (
        played(story(), builder="dissolver:root")
        == f"""\
#0 building with dissolver:root

#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 152B done
#1 DONE 0.0s

#2 [internal] load .dockerignore
#2 transferring context: 2B done
#2 DONE 0.0s

#3 [internal] load metadata for docker.io/library/node:latest
#3 DONE 0.8s

#4 [1/5] FROM docker.io/library/node@{digest}
#4 DONE 0.0s

#5 [internal] load build context
#5 transferring context: 1.14kB done
#5 DONE 0.0s

#6 [2/5] WORKDIR /app
#6 CACHED

#7 [3/5] COPY package.json /app
#7 CACHED

#8 [4/5] RUN npm install
#8 CACHED

#9 [5/5] COPY . /app
#9 DONE 0.0s

#10 exporting to image
#10 exporting layers done
#10 writing image {image} done
#10 DONE 0.0s
"""
    )


def test_output_is_told_with_its_time() -> None:
    script = Script().announce("[2/2] RUN make").start(1)
    script.wait(0.123).log(1, "one\ntw").wait(12).log(1, "o\n").wait(100).log(1, "three")
    script.complete(1)
    assert played(script) == (
        "#1 [2/2] RUN make\n#1 0.123 one\n#1 0.123 two\n#1 112.1 three\n#1 DONE 112.1s\n"
    )


def test_a_failure_is_told_and_its_last_ten_lines_repeated() -> None:
    script = Script().announce("[2/2] RUN make").start(1)
    script.log(1, "".join(f"line {number}\n" for number in range(12)))
    script.complete(1, after=0.5, error='process "make" did not complete: exit code: 3')
    text = played(script)
    assert '#1 ERROR: process "make" did not complete: exit code: 3\n' in text
    recap = text.partition("------\n")[2]
    assert recap == (
        " > [2/2] RUN make:\n"
        + "".join(f"0.000 line {number}\n" for number in range(2, 12))
        + "------\n"
    )


def test_steps_at_once_are_told_in_blocks() -> None:
    script = Script().announce("[a 1/1] RUN x", "[b 1/1] RUN y").start(1).log(1, "a1\n")
    script.start(2).log(2, "b1\n").wait(1).log(1, "a2\n").complete(2, after=1)
    script.log(1, "a3\n").complete(1, after=1)
    assert (
        played(script)
        == """\
#1 [a 1/1] RUN x
#1 0.000 a1
#1 1.000 a2
#1 ...

#2 [b 1/1] RUN y
#2 0.000 b1
#2 DONE 2.0s

#1 [a 1/1] RUN x
#1 2.000 a3
#1 DONE 3.0s
"""
    )


def test_a_silent_step_gives_way_to_one_that_waited() -> None:
    script = Script().announce("[a 1/1] RUN x", "[b 1/1] RUN y").start(1).log(1, "a1\n").start(2)
    script.wait(0.5).log(2, "b1\n").wait(8).log(2, "b2\n").complete(2).complete(1, after=1)
    text = played(script, step=0.1)
    assert text.index("#2 0.500 b1") < text.index("#2 8.500 b2")
    assert text.count("#1 ...\n") == 1
    assert text.endswith("#2 DONE 8.5s\n\n#1 [a 1/1] RUN x\n#1 DONE 9.5s\n")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"cached": True}, "#1 CACHED"),
        ({"is_cancelled": True}, "#1 CANCELED"),
        ({"error": "no\nway"}, "#1 ERROR: no\\nway"),
        ({}, "#1 DONE 1.2s"),
    ],
)
def test_outcomes(change: dict[str, object], line: str) -> None:
    script = Script().announce("step").start(1).complete(1, after=1.24, **change)  # type: ignore[arg-type]
    assert played(script).splitlines()[1] == line


def test_a_transfer_is_told_at_every_twentieth_of_it() -> None:
    script = Script().announce("[internal] load build context").start(1)
    for current in range(1001):
        script.wait(0.001).transfer(1, "transferring context:", current * 1000, 1_000_000)
    script.status(1, "transferring context:", 1_000_000, 1_000_000).complete(1)
    lines = played(script).splitlines()
    assert 20 <= sum("transferring context:" in line for line in lines) <= 23
    assert lines[-2] == "#1 transferring context: 1.00MB / 1.00MB done"


def test_warnings_are_told_where_they_happen_and_at_the_end() -> None:
    where = Where("Dockerfile", 3, 3, ("run x",), 0, 3)
    script = Script().announce("step").start(1).tell(Warning_(1, "odd", None, where)).complete(1)
    assert played(script) == (
        "#1 step\n#1 WARN: odd\n#1 DONE 0.0s\n"
        "\n 1 warning found (use --debug to expand):\n - odd (line 3)\n"
    )
    assert played(script, debug=True).endswith(
        "#1 DONE 0.0s\n\nwarning: odd\n  Dockerfile:3\n    3 │ run x\n      │ ^^^\n"
    )


def test_a_build_that_never_started_says_nothing() -> None:
    assert played(Script(), builder="dissolver:rootless") == ""


def test_an_interrupted_step_keeps_what_it_said() -> None:
    script = Script().announce("RUN make").start(1).log(1, "half a line")
    script.complete(1, after=1, is_cancelled=True)
    assert played(script) == "#1 RUN make\n#1 0.000 half a line\n#1 CANCELED\n"


def test_raw_json_has_one_object_for_each_event() -> None:
    text: list[str] = []
    display = RawJsonDisplay(text.append, lambda: START)
    for _, event in story().events:
        display.update(event)
    objects = [json.loads(line) for line in text]
    assert all(line.endswith("\n") for line in text)
    assert {key for item in objects for key in item} == {"vertexes", "statuses"}
    last = objects[-1]["vertexes"][0]
    assert last["name"] == "exporting to image"
    assert last["digest"] == f"sha256:{10:064x}"
    assert last["completed"].startswith("2023-11-14T22:13:20.")


def test_raw_json_carries_output_failures_and_warnings() -> None:
    text: list[str] = []
    display = RawJsonDisplay(text.append, lambda: START)
    display.update(VertexLog(3, 2, b"\xffbytes\n", START))
    display.update(Vertex(3, "RUN x", START, START, error="no"))
    display.update(Warning_(3, "odd", None, Where("Dockerfile", 2, 4)))
    log, vertex, warning = (json.loads(line) for line in text)
    assert base64.b64decode(log["logs"][0]["data"]) == b"\xffbytes\n"
    assert log["logs"][0]["stream"] == 2
    assert vertex["vertexes"][0]["error"] == "no"
    assert base64.b64decode(warning["warnings"][0]["short"]) == b"odd"
    assert warning["warnings"][0]["range"] == [{"start": {"line": 2}, "end": {"line": 4}}]
