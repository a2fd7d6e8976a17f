"""Instructions that change nothing but the configuration."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dissolver.errors import DockerfileError
from dissolver.image.config import Healthcheck, RunConfig
from dissolver.plan.steps import HISTORY_COMMENT, MetadataStep
from plan.planning import EMPTY, lower

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE = replace(
    EMPTY,
    config=RunConfig(
        user="bin",
        env=("LANG=C", PATH, "HOME=/srv"),
        entrypoint=("/entry",),
        cmd=("base",),
        working_dir="/srv",
        labels={"from": "base"},
        exposed_ports=("22/tcp",),
        volumes=("/old",),
    ),
)

TEXTS = [
    ("ENV A=1", "ENV A=1"),
    ("ENV A=1 B='2 3'", "ENV A=1 B=2 3"),
    ("ENV A rest of line", "ENV A=rest of line"),
    ("ARG A", "ARG A"),
    ("ARG A=1 B C=$A", "ARG A=1 B C=1"),
    ("ARG LATER", "ARG LATER=tomorrow"),
    ("LABEL a=1 b=2", "LABEL a=1 b=2"),
    ('LABEL "a b"="c d"', "LABEL a b=c d"),
    ("EXPOSE 80", "EXPOSE [80/tcp]"),
    ("EXPOSE 443/UDP 80 80", "EXPOSE [443/udp 80/tcp 80/tcp]"),
    ("EXPOSE 9 80-81 81/udp 81", "EXPOSE [80/tcp 81/tcp 81/tcp 81/udp 9/tcp]"),
    ("EXPOSE 8000-8002", "EXPOSE [8000/tcp 8001/tcp 8002/tcp]"),
    ("USER node", "USER node"),
    ("USER $HOME:2", "USER /srv:2"),
    ("VOLUME /a /b", "VOLUME [/a /b]"),
    ('VOLUME ["/a b"]', "VOLUME [/a b]"),
    ("STOPSIGNAL SIGQUIT", "STOPSIGNAL SIGQUIT"),
    ('SHELL ["/bin/bash", "-o", "pipefail", "-c"]', "SHELL [/bin/bash -o pipefail -c]"),
    ("MAINTAINER A B <c@d>", "MAINTAINER A B <c@d>"),
    ('CMD ["node", "server.js"]', 'CMD ["node" "server.js"]'),
    ("CMD node server.js", 'CMD ["/bin/sh" "-c" "node server.js"]'),
    ("CMD []", "CMD []"),
    ("CMD", 'CMD ["/bin/sh" "-c" ""]'),
    ('CMD ["a\\"b", "c\\nd", "é", "\\u0007"]', 'CMD ["a\\"b" "c\\nd" "é" "\\a"]'),
    ("CMD echo $HOME", 'CMD ["/bin/sh" "-c" "echo $HOME"]'),
    ('ENTRYPOINT ["/x"]', 'ENTRYPOINT ["/x"]'),
    ("ENTRYPOINT exec x", 'ENTRYPOINT ["/bin/sh" "-c" "exec x"]'),
    ("ENTRYPOINT []", "ENTRYPOINT []"),
    ("HEALTHCHECK NONE",
     "HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}"),
    ("HEALTHCHECK --interval=1m30s --retries=2 CMD curl -f x",
     "HEALTHCHECK {Test:[CMD-SHELL curl -f x] Interval:1m30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:2}"),  # noqa: E501
    ("WORKDIR /", "WORKDIR /"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "created_by"), TEXTS)
def test_the_history_tells(line: str, created_by: str) -> None:
    lowered = lower(f"ARG LATER=tomorrow\nFROM image\n{line}", base=BASE)
    (step,) = lowered.steps
    assert isinstance(step, MetadataStep)
    assert step.created_by == created_by
    entry = step.history(7)
    assert (entry.created, entry.created_by) == (7, created_by)
    assert (entry.comment, entry.empty_layer) == (HISTORY_COMMENT, True)


CONFIGS = [
    ("ENV A=1", {"env": ("LANG=C", PATH, "HOME=/srv", "A=1")}),
    ("ENV LANG=en HOME=", {"env": ("LANG=en", PATH, "HOME=")}),
    ("ENV A=1 B=$A", {"env": ("LANG=C", PATH, "HOME=/srv", "A=1", "B=")}),
    ("ENV A=1\nENV B=$A", {"env": ("LANG=C", PATH, "HOME=/srv", "A=1", "B=1")}),
    ("ENV ${LANG}_X=1", {"env": ("LANG=C", PATH, "HOME=/srv", "C_X=1")}),
    ("ENV PATH=/opt/bin:$PATH", {"env": ("LANG=C", f"PATH=/opt/bin:{PATH[5:]}", "HOME=/srv")}),
    ("ARG A=1\nENV B=$A", {"env": ("LANG=C", PATH, "HOME=/srv", "B=1")}),
    ("LABEL a=1 from=here", {"labels": {"from": "here", "a": "1"}}),
    ("LABEL a=$LANG", {"labels": {"from": "base", "a": "C"}}),
    ("EXPOSE 80 22/udp", {"exposed_ports": ("22/tcp", "22/udp", "80/tcp")}),
    ("ARG P='80 443'\nEXPOSE $P", {"exposed_ports": ("22/tcp", "443/tcp", "80/tcp")}),
    ("ARG P\nEXPOSE $P", {}),
    ("EXPOSE 127.0.0.1:80:8080", {"exposed_ports": ("22/tcp", "8080/tcp")}),
    ("EXPOSE [::1]:80:8080/sctp", {"exposed_ports": ("22/tcp", "8080/sctp")}),
    ("VOLUME /new $HOME", {"volumes": ("/new", "/old", "/srv")}),
    ("USER node:node", {"user": "node:node"}),
    ("STOPSIGNAL 9", {"stop_signal": "9"}),
    ("STOPSIGNAL rtmin+3", {"stop_signal": "rtmin+3"}),
    ('SHELL ["/bin/bash", "-c"]', {"shell": ("/bin/bash", "-c")}),
    ("CMD x", {"cmd": ("/bin/sh", "-c", "x"), "args_escaped": True}),
    ('CMD ["x"]', {"cmd": ("x",), "args_escaped": True}),
    ('SHELL ["/b"]\nCMD x', {"shell": ("/b",), "cmd": ("/b", "x"), "args_escaped": True}),
    ('ENTRYPOINT ["e"]', {"entrypoint": ("e",), "cmd": ()}),
    ('CMD ["c"]\nENTRYPOINT ["e"]',
     {"entrypoint": ("e",), "cmd": ("c",), "args_escaped": True}),
    ('ENTRYPOINT ["e"]\nCMD ["c"]',
     {"entrypoint": ("e",), "cmd": ("c",), "args_escaped": True}),
    ("ENTRYPOINT []", {"entrypoint": (), "cmd": ()}),
    ("HEALTHCHECK NONE", {"healthcheck": Healthcheck(test=("NONE",))}),
    ("HEALTHCHECK --timeout=2s CMD a b",
     {"healthcheck": Healthcheck(test=("CMD-SHELL", "a b"), timeout=2_000_000_000)}),
    ('HEALTHCHECK CMD ["a", "b"]', {"healthcheck": Healthcheck(test=("CMD", "a", "b"))}),
    ("WORKDIR /", {"working_dir": "/"}),
    ("ARG A=1", {}),
    ("MAINTAINER x", {}),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "changes"), CONFIGS)
def test_the_configuration_becomes(lines: str, changes: dict[str, object]) -> None:
    lowered = lower(lines, base=BASE)
    assert lowered.config.config == replace(BASE.config, **changes)
    assert lowered.steps[-1].config == lowered.config.config


def test_a_maintainer_is_the_author() -> None:
    assert lower("MAINTAINER A B", base=BASE).config.author == "A B"
    assert lower("ENV a=1", base=replace(BASE, author="C")).config.author == "C"


def test_a_command_of_a_base_stage_does_not_count_as_the_stages_own() -> None:
    text = 'FROM a AS b\nCMD ["c"]\nFROM b\nENTRYPOINT ["e"]'
    run = lower(text).config.config
    assert (run.entrypoint, run.cmd) == (("e",), ())


def test_scratch_starts_with_a_search_path_and_the_root() -> None:
    lowered = lower("FROM scratch")
    assert lowered.config.config == RunConfig(env=(PATH,), working_dir="/")
    assert (lowered.config.os, lowered.config.architecture) == ("linux", "amd64")
    assert lowered.steps == ()


def test_an_image_without_a_search_path_gets_one() -> None:
    base = replace(EMPTY, config=RunConfig(env=("A=1",)))
    assert lower("USER x", base=base).config.config.env == ("A=1", PATH)


def test_layers_and_history_of_the_base_are_left_alone() -> None:
    base = replace(BASE, created=5)
    lowered = lower("ENV A=1", base=base)
    assert replace(lowered.config, config=base.config) == base


SCOPES = [
    # Without a default, the value before FROM counts; with one, it does not.
    ("ARG A=g\nFROM x\nARG A\nENV R=$A", {}, "g"),
    ("ARG A=g\nFROM x\nARG A=s\nENV R=$A", {}, "s"),
    ("ARG A=g\nFROM x\nENV R=$A", {}, ""),
    ("ARG A=g\nFROM x\nARG A\nENV R=$A", {"A": "b"}, "b"),
    ("ARG A=g\nFROM x\nARG A=s\nENV R=$A", {"A": "b"}, "b"),
    ("FROM x\nARG A=s\nENV R=$A", {"A": "b"}, "b"),
    ("FROM x\nARG A=s\nENV R=$A", {"A": ""}, ""),
    ("FROM x\nENV R=$A", {"A": "b"}, ""),
    ("FROM x\nENV R=$A\nARG A=s", {}, ""),
    ("FROM x\nARG A\nENV R=${A-unset}", {}, "unset"),
    ("FROM x\nARG A=1 B=$A\nENV R=$B", {}, "1"),
    ("FROM x\nARG A=1\nARG A=2\nENV R=$A", {}, "2"),
    # ENV and ARG of one name: the later one counts while building.
    ("FROM x\nENV A=e\nARG A=s\nENV R=$A", {}, "s"),
    ("FROM x\nARG A=s\nENV A=e\nENV R=$A", {}, "e"),
    # Stages inherit arguments from the stage they are built on, and from no other.
    ("FROM x AS y\nARG A=s\nFROM y\nENV R=$A", {}, "s"),
    ("FROM x AS y\nARG A=s\nFROM x\nCOPY --from=y a b\nENV R=$A", {}, ""),
    ("FROM x AS y\nARG A=s\nENV A=e\nFROM y\nENV R=$A", {}, "e"),
    # Platform arguments have to be declared.
    ("FROM x\nENV R=$TARGETARCH", {}, ""),
    ("FROM x\nARG TARGETARCH\nENV R=$TARGETARCH", {}, "amd64"),
    ("FROM x\nARG TARGETARCH=z\nENV R=$TARGETARCH", {}, "z"),
    ("FROM x AS y\nARG TARGETSTAGE\nENV R=$TARGETSTAGE", {}, "y"),
    ("# escape=`\nFROM x\nARG A=s\nENV R=\\$A`$A", {}, "\\s$A"),
]


@pytest.mark.parametrize(("text", "build_args", "value"), SCOPES)
def test_variables_have_a_scope(text: str, build_args: dict[str, str], value: str) -> None:
    run = lower(text, build_args=build_args).config.config
    assert f"R={value}" in run.env


PORT_FAULTS = [
    ("http", "invalid containerPort `http`"),
    ("65536", "invalid containerPort `65536`"),
    ("99999999999999999999", "invalid containerPort `99999999999999999999`"),
    ("-80", "invalid containerPort `-80`"),
    ("90-80", "invalid containerPort `90-80`"),
    ("80-", "invalid containerPort `80-`"),
    ("1-2-3", "invalid containerPort `1-2-3`"),
    ("/tcp", "invalid port `/tcp`: no port specified"),
    ("80:", "invalid port `80:`: no port specified"),
    ("80/icmp", "invalid proto `icmp` in `80/icmp`"),
    ("x:80", "invalid hostPort `x`"),
    ("nowhere:80:80", "invalid IP address `nowhere`"),
    ("1-3:80-81", "invalid ranges specified for container and host ports: `80-81` and `1-3`"),
    ("²", "invalid containerPort `²`"),
]


@pytest.mark.parametrize(("port", "message"), PORT_FAULTS)
def test_wrong_ports_are_named(port: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        lower(f"EXPOSE {port}")
    assert caught.value.message == message


@pytest.mark.parametrize("signal", ["TERM", "sigterm", "SIGRTMIN+15", "RTMAX-14", "1", "64", "$S"])
def test_signals_have_names_and_numbers(signal: str) -> None:
    assert lower(f"ARG S=HUP\nFROM x\nARG S\nSTOPSIGNAL {signal}").config.config.stop_signal


@pytest.mark.parametrize("signal", ["0", "65", "-1", "SIG", "SIGNOPE", "RTMIN+16", "9 9", "$S"])
def test_other_words_are_no_signals(signal: str) -> None:
    with pytest.raises(DockerfileError, match="invalid signal"):
        lower(f"STOPSIGNAL {signal}")
