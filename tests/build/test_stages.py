"""Several stages: in order where they must, at the same time where they may."""

from __future__ import annotations

import threading
import time

import pytest

from dissolver.errors import Cancelled, StepFailed, UnknownStage

TWO = """\
FROM box AS one
RUN echo one > /one; date +%s%N > /begin1; sleep 0.7; date +%s%N > /end1
FROM box AS two
RUN echo two > /two; date +%s%N > /begin2; sleep 0.7; date +%s%N > /end2
FROM box
COPY --from=one /one /begin1 /end1 /
COPY --from=two /two /begin2 /end2 /
"""


def test_independent_stages_overlap(site) -> None:
    told = site.build(TWO)
    assert site.read(told.image, "/one") == "one\n"
    assert site.read(told.image, "/two") == "two\n"
    first, second = told.vertex("echo one"), told.vertex("echo two")
    assert max(first.started, second.started) < min(first.completed, second.completed)


def test_a_stage_waits_only_where_it_copies(site) -> None:
    told = site.build(
        "FROM box AS slow\nRUN sleep 0.6; echo s > /s\n"
        "FROM box\nRUN echo quick > /q\nCOPY --from=slow /s /s\nRUN cat /q /s > /both\n"
    )
    assert told.vertex("echo quick").completed < told.vertex("sleep 0.6").completed
    assert told.vertex("COPY --from").started >= told.vertex("sleep 0.6").completed
    assert site.read(told.image, "/both") == "quick\ns\n"


def test_a_stage_builds_on_another(site) -> None:
    told = site.build(
        "FROM box AS base\nENV a=1\nRUN echo base > /f\nUSER node\nWORKDIR /w\n"
        "FROM base AS next\nRUN id -u > /tmp/who; echo $a $PWD >> /tmp/who\nLABEL x=y\n"
    )
    assert site.read(told.image, "/f") == "base\n"
    assert site.read(told.image, "/tmp/who") == "1000\n1 /w\n"
    config = told.result.image.config
    assert config.config.user == "node"
    assert config.config.labels == {"x": "y"}
    assert sum(not entry.empty_layer for entry in config.history) == len(config.diff_ids)


def test_stages_that_nothing_needs_are_not_built(site) -> None:
    told = site.build(
        "FROM nowhere AS unused\nRUN false\nFROM box AS wanted\nRUN true\nFROM box\nRUN exit 3\n",
        target="wanted",
    )
    assert [name for name in told.names if "RUN" in name] == ["[wanted 2/2] RUN true"]


@pytest.mark.parametrize(("target", "content"), [("ONE", "1"), ("two", "2"), ("0", "1")])
def test_the_target_is_a_name_in_any_case_or_a_number(site, target: str, content: str) -> None:
    site.write({"f1": "1", "f2": "2"})
    text = "FROM scratch AS one\nCOPY f1 /f\nFROM scratch AS two\nCOPY f2 /f\n"
    assert site.read(site.build(text, target=target).image, "/f") == content


def test_an_unknown_target_gets_a_suggestion(site) -> None:
    with pytest.raises(UnknownStage) as caught:
        site.build("FROM box AS builder\n", target="bulider")
    assert "builder" in caught.value.hint


def test_copying_from_a_stage_by_number_and_from_an_image(site) -> None:
    told = site.build(
        "FROM box\nRUN echo zero > /zero\n"
        "FROM scratch\nCOPY --from=0 /zero /\nCOPY --from=box /etc/passwd /passwd\n"
    )
    assert site.read(told.image, "/zero") == "zero\n"
    assert "node:x:1000" in site.read(told.image, "/passwd")


def test_copying_keeps_owners_of_a_stage_but_not_of_the_context(site) -> None:
    site.write({"f": ""})
    told = site.build(
        "FROM box AS a\nRUN touch /f; chown 1000:29 /f; chmod 4750 /f\n"
        "FROM scratch\nCOPY --from=a /f /stage\nCOPY f /context\n"
    )
    assert site.stat(told.image, "/stage") == (0o4750, 1000, 29)
    assert site.stat(told.image, "/context") == (0o644, 0, 0)


def test_the_first_failure_ends_the_other_stages(site) -> None:
    began = time.monotonic()
    with pytest.raises(StepFailed) as caught:
        site.build(
            "FROM box AS a\nRUN sleep 30\nFROM box AS b\nRUN sleep 0.3; exit 4\n"
            "FROM box\nCOPY --from=a /x /x\nCOPY --from=b /x /x\n"
        )
    assert time.monotonic() - began < 10
    assert caught.value.status == 4
    told = caught.value.told
    assert told.vertex("RUN sleep 30").is_cancelled
    assert told.vertex("exit 4").error is not None


@pytest.mark.parametrize(
    "text",
    [
        "FROM box\nRUN echo begun; sleep 30\n",
        "FROM box AS a\nRUN echo begun; sleep 30\nFROM box\nCOPY --from=a /x /x\n",
    ],
)
def test_a_cancelled_build_ends_soon_and_leaves_nothing(site, text: str) -> None:
    cancel = threading.Event()
    site.write({"Dockerfile": text})

    def ends_it(event: object) -> None:
        if b"begun" in getattr(event, "data", b""):
            cancel.set()

    began = time.monotonic()
    with pytest.raises(Cancelled):
        site.engine.build(site.directory, on_event=ends_it, cancel=cancel)
    assert time.monotonic() - began < 10
    assert site.engine._backend.store.settle(10)
    assert list((site.engine.settings.root / "tmp").iterdir()) == []
    quick = site.build(text.replace("sleep 30", "echo x > /x"))
    assert quick.result.image.id


def test_arguments_reach_the_stages_that_declare_them(site) -> None:
    told = site.build(
        "ARG base=box\nARG who=world\nFROM $base AS a\nARG who\nRUN echo $who > /a\n"
        "FROM a\nRUN echo $who > /b\nFROM box\nRUN echo [$who] > /c\n"
        "COPY --from=a /a /a\nCOPY --from=1 /b /b\n",
        build_args={"who": "moon"},
    )
    read = {name: site.read(told.image, f"/{name}") for name in "abc"}
    assert read == {"a": "moon\n", "b": "moon\n", "c": "[]\n"}


def test_builds_of_the_same_dockerfile_at_once_all_succeed(site) -> None:
    site.write({"Dockerfile": "FROM box\nCOPY f /f\nRUN cat /f > /g; sleep 0.1\n", "f": "x"})
    images: list[str] = []
    errors: list[BaseException] = []

    def build() -> None:
        try:
            images.append(site.engine.build(site.directory, tags=["app"]).image.id)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=build) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(images) == 6
    assert site.read("app", "/g") == "x"
    # What the slower ones made in vain is left for a prune.
    site.engine.prune_images()
    assert site.engine.check() == []
    again = site.engine.build(site.directory)
    assert again.is_cached
    assert again.image.id in images
