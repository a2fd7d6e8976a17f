"""What is built again, and what is not."""

from __future__ import annotations

import os
import time

import pytest

NODE = """\
FROM box
WORKDIR /app
COPY package.json /app
RUN echo installing > /app/installed
COPY . /app
CMD ["cat", "server.js"]
"""
FILES = {
    "package.json": "{}",
    "server.js": "one",
    "lib/a.js": "a",
    ".dockerignore": "Dockerfile",
}
STEPS = [
    "WORKDIR /app",
    "COPY package.json /app",
    "RUN echo installing > /app/installed",
    "COPY . /app",
]


def misses(told: object) -> list[str]:
    return [name for name, cached in told.cached.items() if not cached]  # type: ignore[attr-defined]


def test_the_first_build_builds_everything_and_says_so(site) -> None:
    told = site.write(FILES).build(NODE)
    assert misses(told) == STEPS
    assert set(told.reasons.values()) == {"this step was not built before"}


def test_the_same_build_again_is_cached_and_gives_the_same_image(site) -> None:
    first = site.write(FILES).build(NODE)
    second = site.build()
    assert misses(second) == []
    assert second.image == first.image
    assert second.result.is_cached
    assert all(vertex.cached for vertex in second.vertices if "/5] " in vertex.name[:8]) is False
    assert [v.name for v in second.vertices if v.cached] == [
        f"[{number}/5] {text}" for number, text in enumerate(STEPS, start=2)
    ]


def test_the_image_is_the_same_after_it_was_removed(site) -> None:
    first = site.write(FILES).build(NODE, tags=["app"])
    site.engine.remove_image("app")
    again = site.build(tags=["app"])
    assert misses(again) == []
    assert again.image == first.image


def test_a_touched_file_changes_nothing(site) -> None:
    first = site.write(FILES).build(NODE)
    later = time.time() + 100
    os.utime(site.directory / "server.js", (later, later))
    (site.directory / "package.json").touch()
    second = site.build()
    assert misses(second) == []
    assert second.image == first.image


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("server.js", ["COPY . /app"]),
        ("lib/a.js", ["COPY . /app"]),
        ("package.json", STEPS[1:]),
    ],
)
def test_a_changed_byte_builds_that_step_and_what_follows(
    site, file: str, expected: list[str]
) -> None:
    first = site.write(FILES).build(NODE)
    site.write({file: "changed"})
    second = site.build()
    assert misses(second) == expected
    assert second.image != first.image
    assert file.rpartition("/")[2] in second.reasons[expected[0]]
    assert site.read(second.image, f"/app/{file}") == "changed"


def test_a_changed_byte_back_again_is_cached(site) -> None:
    first = site.write(FILES).build(NODE)
    site.write({"server.js": "two"}).build()
    third = site.write({"server.js": "one"}).build()
    assert misses(third) == []
    assert third.image == first.image


def test_a_changed_mode_is_a_change(site) -> None:
    site.write(FILES).build(NODE)
    (site.directory / "server.js").chmod(0o755)
    second = site.build()
    assert misses(second) == ["COPY . /app"]
    assert second.reasons["COPY . /app"] == "the mode of `server.js` changed"
    assert site.stat(second.image, "/app/server.js")[0] == 0o755


@pytest.mark.parametrize("change", ["added", "removed", "renamed"])
def test_a_changed_list_of_files_is_a_change(site, change: str) -> None:
    site.write(FILES).build(NODE)
    if change == "added":
        site.write({"new": ""})
    elif change == "removed":
        (site.directory / "lib" / "a.js").unlink()
    else:
        (site.directory / "server.js").rename(site.directory / "service.js")
    assert misses(site.build()) == ["COPY . /app"]


def test_a_moved_context_is_cached(site, new_site) -> None:
    first = site.write(FILES).build(NODE)
    second = new_site("elsewhere").write(FILES).build(NODE)
    assert misses(second) == []
    assert second.image == first.image


def test_renaming_a_stage_or_moving_a_line_builds_nothing(site) -> None:
    first = site.write(FILES).build(NODE)
    second = site.build("# a comment\n\n" + NODE.replace("FROM box", "FROM box AS final"))
    assert misses(second) == []
    assert second.image == first.image


def test_a_changed_command_builds_from_there(site) -> None:
    site.write(FILES).build(NODE)
    told = site.build(NODE.replace("echo installing", "echo installed"))
    # The copies do not depend on the layers below them.
    assert misses(told) == ["RUN echo installed > /app/installed"]
    assert "command" in told.reasons["RUN echo installed > /app/installed"]


def test_metadata_changes_the_image_and_builds_nothing(site) -> None:
    first = site.write(FILES).build(NODE)
    second = site.build(NODE + "LABEL version=2\n")
    assert misses(second) == []
    assert second.image != first.image
    assert second.result.image.created == first.result.image.created


def test_no_cache_runs_everything_again_but_workdir(site) -> None:
    site.write(FILES).build(NODE)
    told = site.build(no_cache=True)
    assert misses(told) == STEPS[1:]
    after = site.build()
    assert misses(after) == []
    assert after.image == told.image


def test_forgetting_the_cache_builds_everything_again(site) -> None:
    site.write(FILES).build(NODE)
    assert site.engine.prune_builder().records == 4
    assert misses(site.build()) == STEPS


def test_records_outlive_the_image_prune_of_others(site) -> None:
    first = site.write(FILES).build(NODE, tags=["app"])
    site.write({"server.js": "two"}).build(tags=["app"])
    pruned = site.engine.prune_images()
    assert pruned.images == (first.image,)
    assert misses(site.build()) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"v": "1"}, {"v": "1"}, []),
        ({"v": "1"}, {"v": "2"}, ["RUN echo 2 > /v"]),
        ({}, {"v": "default"}, []),
        ({"unused": "1"}, {"unused": "2"}, []),
    ],
)
def test_an_argument_counts_when_it_is_in_scope(
    site, before: dict[str, str], after: dict[str, str], expected: list[str]
) -> None:
    text = "FROM box\nRUN echo early > /early\nARG v=default\nRUN echo $v > /v\n"
    site.build(text, build_args=before)
    told = site.build(build_args=after)
    assert misses(told) == expected
    assert site.read(told.image, "/v") == after.get("v", "default") + "\n"


def test_two_steps_with_the_same_text_are_two_results(site) -> None:
    told = site.build("FROM box\nRUN date +%N >> /log\nRUN date +%N >> /log\n")
    assert len(site.read(told.image, "/log").splitlines()) == 2
    again = site.build()
    assert misses(again) == []
    assert again.image == told.image


def test_times_come_from_the_records_not_from_the_clock(site) -> None:
    first = site.write(FILES).build(NODE)
    history = first.result.image.config.history
    created = first.result.image.created
    assert created is not None
    assert abs(created - time.time_ns()) < 60_000_000_000
    # What `box` was made of comes first, and keeps its own time.
    times = [entry.created for entry in history[-5:]]
    assert times == sorted(times)
    assert times[-1] == times[-2] == created


def test_an_image_of_metadata_alone_is_as_old_as_its_base(site) -> None:
    base = site.engine.image("box")
    told = site.build("FROM box\nENV a=b\n")
    assert told.result.image.created == base.created
    assert told.result.steps == ()


def test_touching_and_rebuilding_reads_no_content_again(site) -> None:
    site.write({"big": os.urandom(1 << 20)})
    text = "FROM box\nCOPY big /big\n"
    site.build(text)
    time.sleep(0.05)
    site.build()
    stat_caches = list((site.engine.settings.root / "stat").iterdir())
    assert len(stat_caches) == 1
    assert stat_caches[0].stat().st_size > 0


def test_the_machine_that_steps_see_can_be_named_and_counts(site) -> None:
    text = "FROM box\nRUN hostname > /x\n"
    plain = site.build(text)
    named = site.build(text, build_args={"BUILDKIT_SANDBOX_HOSTNAME": "named"})
    assert [site.read(told.image, "/x") for told in (plain, named)] == [
        "buildkitsandbox\n",
        "named\n",
    ]
    assert site.build(text).result.is_cached
