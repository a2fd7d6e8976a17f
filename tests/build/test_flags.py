"""What the flags of a build do beside the Dockerfile: labels, limits, names, rights, cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissolver import BuildError
from dissolver.errors import BadOption

TWO_STAGES = """\
FROM box AS first
RUN echo one > /one
FROM box AS second
COPY --from=first /one /
RUN echo two > /two
"""

RUN = "RUN true"


def misses(told: object) -> list[str]:
    return [name for name, cached in told.cached.items() if not cached]  # type: ignore[attr-defined]


def test_labels_come_last_and_cost_no_step(site) -> None:
    text = "FROM box\nLABEL a=file b=file\nRUN true\n"
    site.build(text)
    told = site.build(labels={"a": "flag", "c": ""})
    assert misses(told) == []
    image = site.engine.image(told.image)
    assert image.config.config.labels == {"a": "flag", "b": "file", "c": ""}
    assert [entry.created_by for entry in image.config.history[-2:]] == [
        "LABEL a=file b=file",
        "RUN /bin/sh -c true # buildkit",
    ]


def test_a_label_needs_a_name(site) -> None:
    with pytest.raises(BadOption, match="a label has no name"):
        site.build("FROM box\n", labels={" ": "x"})


@pytest.mark.parametrize(
    ("kind", "word"),
    [("labels", "label"), ("annotations", "annotation"), ("build_args", "build argument")],
)
@pytest.mark.parametrize("given", [{"a": "\udcff"}, {"a\udcff": "x"}])
def test_what_is_said_of_an_image_is_text(
    site, kind: str, word: str, given: dict[str, str]
) -> None:
    with pytest.raises(BadOption, match=f"the {word} `a.?` is no text"):
        site.build("FROM box\n", **{kind: given})


def test_annotations_cost_no_step_and_change_no_id(site) -> None:
    plain = site.build("FROM box\nRUN true\n")
    told = site.build(annotations={"a": "1", "manifest-descriptor:b": "2"})
    assert (misses(told), told.image) == ([], plain.image)
    assert site.engine.inspect_image(told.image)["Annotations"] == {"a": "1"}
    again = site.build()
    assert "Annotations" not in site.engine.inspect_image(again.image)


@pytest.mark.parametrize(
    ("names", "again"),
    [
        (["first"], ["RUN echo one > /one"]),
        (["SECOND"], ["COPY --from=first /one /", "RUN echo two > /two"]),
        (["first", "second"], ["RUN echo one > /one", "COPY --from=first /one /",
                               "RUN echo two > /two"]),
        ([], []),
    ],
)  # fmt: skip
def test_only_the_stages_that_are_named_are_done_again(
    site, names: list[str], again: list[str]
) -> None:
    site.build(TWO_STAGES)
    told = site.build(no_cache_filter=names)
    assert misses(told) == again


def test_a_stage_without_a_name_has_its_number(site) -> None:
    site.build("FROM box\nRUN echo a\nFROM box\nRUN echo b\n", target="1")
    assert misses(site.build(no_cache_filter=["stage-1"], target="1")) == ["RUN echo b"]


def test_a_stage_that_does_not_exist_is_warned_of(site) -> None:
    told = site.build(TWO_STAGES, no_cache_filter=["frist"])
    warnings = [event for event in told.events if type(event).__name__ == "Warning_"]
    assert [(one.message, one.hint) for one in warnings] == [
        ("the stage `frist` of `--no-cache-filter` does not exist", "did you mean `first`?")
    ]


def test_all_and_some_do_not_go_together(site) -> None:
    with pytest.raises(BadOption, match="`--no-cache` does every step again"):
        site.build(TWO_STAGES, no_cache=True, no_cache_filter=["first"])


# What a step sees of the machine ------------------------------------------------------

SURROUNDINGS = [
    ({"add_hosts": ["db:10.0.0.1"]}, "the name `db` of `--add-host` was added"),
    ({"shm_size": "1m"}, "the size of `/dev/shm` changed"),
    ({"ulimits": ["nofile=64:128"]}, "the limit `nofile` of `--ulimit` was added"),
    ({"network": "none"}, "the network mode changed"),
]


@pytest.mark.parametrize(("options", "reason"), SURROUNDINGS)
def test_what_a_step_sees_of_the_machine_is_part_of_its_key(site, options, reason: str) -> None:
    site.build(f"FROM box\n{RUN}\nCOPY Dockerfile /\n")
    told = site.build(**options)
    assert misses(told) == [RUN]
    assert told.reasons[RUN] == reason
    assert misses(site.build(**options)) == []
    assert misses(site.build()) == []


@pytest.mark.parametrize(
    "options",
    [
        {"shm_size": "64m"},
        {"network": "bridge"},
        {"allow": ["network.host", "security.insecure"]},
        {"labels": {"a": "b"}},
        {"no_cache_filter": []},
    ],
)
def test_the_usual_said_aloud_is_no_difference(site, options: dict[str, object]) -> None:
    site.build(f"FROM box\n{RUN}\n")
    assert misses(site.build(**options)) == []


def test_the_address_of_a_name_is_no_part_of_a_key(site) -> None:
    site.build(f"FROM box\n{RUN}\n", add_hosts=["b:10.0.0.1", "a:10.0.0.1", "a:10.0.0.2"])
    assert misses(site.build(add_hosts=["a:10.9.9.9", "b:host-gateway"])) == []
    assert misses(site.build(add_hosts=["a:10.0.0.1"])) == [RUN]


def test_a_step_sees_the_names_the_memory_and_the_limits(site) -> None:
    told = site.build(
        "FROM box\nRUN tail -2 /etc/hosts; ulimit -n; ulimit -Hn; df -k /dev/shm | tail -1\n",
        network="none",
        add_hosts=["db:10.0.0.1", "six=[fd00::1]", "me:host-gateway"],
        ulimits=["nofile=64:128"],
        shm_size="1m",
    )
    *lines, memory = told.output("RUN").decode().splitlines()
    assert lines == ["10.0.0.1\tdb", "fd00::1\tsix", "64", "128"]
    assert memory.split()[1] == "1024"
    assert not site.exists(told.image, "/etc/hosts") or "db" not in site.read(
        told.image, "/etc/hosts"
    )


def test_a_word_that_a_build_does_not_have_is_a_mistake_of_the_program(site) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'shmsize'"):
        site.build(f"FROM box\n{RUN}\n", shmsize="1m")


# Rights -------------------------------------------------------------------------------

INSECURE = "FROM box\nRUN --security=insecure grep -E '^(CapEff|Seccomp):' /proc/self/status\n"
HOST = "FROM box\nRUN --network=host true\n"


@pytest.mark.parametrize(
    ("text", "flag", "right"),
    [
        (INSECURE, "--security=insecure", "security.insecure"),
        (HOST, "--network=host", "network.host"),
    ],
)
def test_a_dockerfile_takes_no_right_by_itself(site, text: str, flag: str, right: str) -> None:
    with pytest.raises(BuildError) as raised:
        site.build(text)
    assert raised.value.message == f"`RUN {flag}` is not allowed"
    assert raised.value.hint == f"if you trust the Dockerfile: `--allow {right}`"
    assert raised.value.where is not None
    assert raised.value.where.line == 2


def test_a_cached_step_needs_its_right_as_well(site) -> None:
    site.build(INSECURE, allow=["security.insecure"])
    assert misses(site.build(allow=["security.insecure"])) == []
    with pytest.raises(BuildError):
        site.build()


def test_the_machines_network_for_all_steps_allows_it_to_each(site) -> None:
    assert misses(site.build(HOST, network="host")) == ["RUN --network=host true"]


def test_a_stage_that_is_not_needed_may_ask_for_anything(site) -> None:
    site.build("FROM box AS unused\nRUN --security=insecure true\nFROM box\nRUN true\n")


def test_an_insecure_step_has_every_right_of_the_builder(site) -> None:
    told = site.build(INSECURE, allow=["security.insecure"])
    own = Path("/proc/self/status").read_text()
    permitted = int(own.partition("CapPrm:")[2].split()[0], 16)
    capabilities, filters = told.output("RUN").decode().splitlines()
    assert int(capabilities.split()[1], 16) == permitted
    assert filters.split() == ["Seccomp:", "0"]


def test_other_steps_of_the_same_file_have_no_more_rights_than_ever(site) -> None:
    told = site.build(f"{INSECURE}RUN grep CapEff /proc/self/status\n", allow=["security.insecure"])
    assert told.output("RUN grep").decode().split()[1] == "00000000a80425fb"


def test_a_right_that_does_not_exist_is_refused(site) -> None:
    with pytest.raises(BadOption, match="`device` cannot be allowed"):
        site.build(HOST, allow=["device"])


def test_a_network_that_does_not_exist_is_refused_before_anything_is_built(site) -> None:
    with pytest.raises(BadOption, match="unknown network `backend` of a build"):
        site.build("FROM box\n", network="backend")


# What came of it ------------------------------------------------------------------------


def test_the_result_tells_programs_what_was_built(site) -> None:
    told = site.build("FROM box\n", tags=["app", "host.example/app:2"])
    assert told.result is not None
    assert told.result.metadata == {
        "containerimage.config.digest": told.image,
        "containerimage.digest": told.image,
        "image.name": "docker.io/library/app:latest,host.example/app:2",
    }
    assert "image.name" not in site.build().result.metadata
