"""Several builds at the same time: what they share, and what one takes from another."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from build.conftest import Site, Told
from build.test_add import packed
from dissolver import BuildResult
from dissolver.build.events import Progress
from dissolver.build.request import BuildRequest
from dissolver.build.scheduler import Cancellation
from dissolver.build.together import Order, build_together
from dissolver.build.turns import Turns
from dissolver.errors import BuildError, Cancelled, DockerfileErrors, StepFailed
from dissolver.export.output import Output
from dissolver.registry.access import open_sources
from dissolver.registry.settings import RegistrySettings
from servers import web_server

NOTHING = Output("cacheonly")


@dataclass
class Baked(Told):
    results: Mapping[str, BuildResult] = field(default_factory=dict)


def build_all(site: Site, *orders: Order, cancel: threading.Event | None = None) -> Baked:
    told = Baked()
    store = site.engine._backend.store  # type: ignore[union-attr]
    told.results = build_together(store, orders, told.events.append, cancel=cancel)
    return told


def order(site: Site, name: str, text: str, links: Mapping[str, str] | None = None, **options):
    request = BuildRequest(str(site.directory), dockerfile_text=text, **options)
    return Order(name, request, links or {})


def test_one_build_starts_from_the_image_of_another_or_copies_from_it(site: Site) -> None:
    site.write({"file": "content"})
    told = build_all(
        site,
        order(site, "base", "FROM box\nCOPY file /base/\nENV A=1\nWORKDIR /base\n"),
        order(
            site,
            "app",
            "FROM base AS b\nRUN echo $A $(pwd) $(cat file) > /out\n"
            "FROM box\nCOPY --from=b /out /\nCOPY --from=files /base/file /copied\n",
            {"base": "base", "files": "base"},
        ),
    )
    image = told.results["app"].image.id
    assert site.read(image, "/out") == "1 /base content\n"
    assert site.read(image, "/copied") == "content"


def test_an_image_that_only_others_need_is_not_kept(site: Site) -> None:
    told = build_all(
        site,
        order(site, "base", "FROM box\nRUN echo x > /x\n", outputs=(NOTHING,)),
        order(site, "app", "FROM base\nRUN cat /x > /y\n", {"base": "base"}, tags=("app",)),
    )
    stored = {listed.image.id for listed in site.engine.images()}
    assert told.results["app"].image.id in stored
    assert told.results["base"].image.id not in stored
    assert not any("base] exporting" in name for name in told.names)


@pytest.mark.parametrize("no_cache", [False, True])
def test_what_two_builds_have_in_common_is_done_once(site: Site, no_cache: bool) -> None:
    text = "FROM box\nRUN sleep 0.3; cat /proc/sys/kernel/random/uuid > /id\n"
    told = build_all(
        site,
        *(
            order(site, name, f"{text}RUN echo {name} > /name\n", no_cache=no_cache)
            for name in "abc"
        ),
    )
    shared = [told.results[name].steps[0] for name in "abc"]
    assert len({step.diff_id for step in shared}) == 1
    assert sorted(step.cached for step in shared) == [False, True, True]
    images = [told.results[name].image.id for name in "abc"]
    assert len({site.read(image, "/id") for image in images}) == 1
    assert [site.read(image, "/name") for image in images] == ["a\n", "b\n", "c\n"]
    again = build_all(site, order(site, "a", f"{text}RUN echo a > /name\n", no_cache=no_cache))
    assert again.results["a"].is_cached is not no_cache


def test_the_names_of_builds_are_in_the_one_display(site: Site) -> None:
    site.write({"file": ""})
    text = "FROM box\nCOPY file /\n"
    told = build_all(site, order(site, "a", text), order(site, "b", text))
    assert [vertex.id for vertex in told.vertices] == list(range(1, len(told.vertices) + 1))
    names = [name for name in told.names if name.startswith("[a")]
    assert names == [
        "[a internal] load build definition from Dockerfile",
        "[a internal] load .dockerignore",
        "[a internal] load metadata for docker.io/library/box:latest",
        names[3],
        "[a internal] load build context",
        "[a 2/2] COPY file /",
        "[a] exporting to image",
    ]
    assert len(told.names) == 2 * len(names)
    alone = build_all(site, order(site, "a", text))
    assert "[2/2] COPY file /" in alone.names


def test_labels_go_before_the_names_of_vertices() -> None:
    told = Told()
    progress = Progress(told.events.append)
    labelled = progress.labelled("app")
    with labelled.vertex("[2/5] RUN x"), labelled.vertex("exporting to image") as vertex:
        vertex.log(b"text")
    progress.labelled("").vertex("[1/1] FROM x")
    assert told.names == ["[app 2/5] RUN x", "[app] exporting to image", "[1/1] FROM x"]
    assert told.output("exporting") == b"text"


def test_the_first_failure_ends_all_and_says_whose_it_is(site: Site) -> None:
    with pytest.raises(StepFailed) as caught:
        build_all(
            site,
            order(site, "slow", "FROM box\nRUN sleep 60\n"),
            order(site, "bad", "FROM box\nRUN exit 3\n"),
        )
    assert caught.value.message.startswith("`bad`: ")
    assert caught.value.status == 3


def test_what_a_failed_build_was_needed_for_is_not_begun(site: Site) -> None:
    with pytest.raises(BuildError) as caught:
        build_all(
            site,
            order(site, "base", "FROM box\nCOPY missing /\n"),
            order(site, "app", "FROM base\nRUN true\n", {"base": "base"}),
        )
    assert caught.value.message.startswith("`base`: ")


def test_several_mistakes_in_one_file_stay_together(site: Site) -> None:
    with pytest.raises(DockerfileErrors):
        build_all(
            site,
            order(site, "bad", "FROM box\nCOPY\nEXPOSE\n"),
            order(site, "good", "FROM box\n"),
        )


def test_cancelling_ends_all(site: Site) -> None:
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()
    text = "FROM box\nRUN sleep 60\n"
    with pytest.raises(Cancelled):
        build_all(
            site, order(site, "a", text), order(site, "b", f"{text}RUN true\n"), cancel=cancel
        )


def test_builds_of_one_directory_list_it_once(site: Site, monkeypatch) -> None:
    from dissolver.build import context

    made: list[Path] = []
    original = context.BuildContext.__init__

    def counted(self, root: Path, *rest: object) -> None:
        made.append(root)
        original(self, root, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(context.BuildContext, "__init__", counted)
    site.write({"file": "x"})
    text = "FROM box\nCOPY . /\n"
    build_all(site, order(site, "a", text), order(site, "b", f"{text}RUN true\n"))
    assert made == [site.directory]


def test_what_builds_fetch_is_fetched_once(site: Site) -> None:
    sources = partial(open_sources, RegistrySettings())
    with web_server() as web:
        url = web.put("/a.tar", packed({"Dockerfile": "FROM box\nCOPY a /\n", "a": "a"}), etag="1")
        orders = [Order(name, BuildRequest(url, labels={"name": name})) for name in "abc"]
        store = site.engine._backend.store  # type: ignore[union-attr]
        results = build_together(store, orders, open_sources=sources)
    assert sorted(status for _, status in web.asked) == [200, 304, 304]
    assert [site.read(result.image.id, "/a") for result in results.values()] == ["a", "a", "a"]


# Turns -----------------------------------------------------------------------------


def test_one_at_a_time_does_the_same_work() -> None:
    turns, cancellation = Turns(), Cancellation()
    inside: list[str] = []

    def work(name: str) -> None:
        with turns.of("key", cancellation):
            inside.append(f"{name} in")
            inside.append(f"{name} out")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcdef"]
    with turns.of("key", cancellation):
        for thread in threads:
            thread.start()
        assert inside == []
        with turns.of("other", cancellation):
            pass
    for thread in threads:
        thread.join(timeout=10)
    assert [word.split()[0] for word in inside[::2]] == [word.split()[0] for word in inside[1::2]]
    assert len(inside) == 12


def test_who_waits_for_a_turn_can_be_cancelled() -> None:
    turns, cancellation = Turns(), Cancellation()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with turns.of("key", cancellation):
                raise AssertionError("it had its turn")
        except Cancelled as error:
            failures.append(error)

    with turns.of("key", Cancellation()):
        thread = threading.Thread(target=work)
        thread.start()
        cancellation.request()
        thread.join(timeout=10)
    assert [str(failure) for failure in failures] == ["the build was cancelled"]


def test_a_cancellation_passes_on_to_those_within() -> None:
    outer = Cancellation()
    inner = Cancellation(outer)
    inner.request()
    assert not outer.is_requested()
    other = Cancellation(outer)
    assert not other.is_requested()
    outer.request()
    assert other.is_requested()
