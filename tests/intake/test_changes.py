"""Changes of a configuration."""

from __future__ import annotations

import pytest

from dissolver.errors import DissolverError, IntakeError
from dissolver.image.config import ImageConfig, RunConfig
from dissolver.intake.changes import with_changes

EMPTY = ImageConfig("amd64", "linux")


def changed(*changes: str) -> RunConfig:
    return with_changes(EMPTY, changes).config


def test_without_changes_nothing_is_set() -> None:
    assert with_changes(EMPTY, ()) == EMPTY


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ('CMD ["node", "server.js"]', "cmd", ("node", "server.js")),
        ("CMD node server.js", "cmd", ("/bin/sh", "-c", "node server.js")),
        ('ENTRYPOINT ["node"]', "entrypoint", ("node",)),
        ("EXPOSE 80 53/udp", "exposed_ports", ("53/udp", "80/tcp")),
        ("LABEL a=1 b=2", "labels", {"a": "1", "b": "2"}),
        ("USER node", "user", "node"),
        ("VOLUME /data", "volumes", ("/data",)),
        ("WORKDIR /app", "working_dir", "/app"),
        ("STOPSIGNAL SIGINT", "stop_signal", "SIGINT"),
        ('cmd ["sh"]', "cmd", ("sh",)),
    ],
)
def test_a_change_sets_what_its_instruction_sets(change: str, field: str, value: object) -> None:
    assert getattr(changed(change), field) == value


def test_changes_build_on_each_other() -> None:
    run = changed("ENV A=1", "ENV B=$A-2", "WORKDIR /a", "WORKDIR b")
    assert "B=1-2" in run.env
    assert run.working_dir == "/a/b"


def test_triggers_are_kept_and_do_not_fire() -> None:
    run = changed("ONBUILD RUN one", "ONBUILD COPY . /app", "ENV A=1", "CMD sh")
    assert run.on_build == ("RUN one", "COPY . /app")
    assert run.cmd == ("/bin/sh", "-c", "sh")


@pytest.mark.parametrize(
    "change", ["RUN true", "COPY a b", "FROM x", "nonsense", "", "CMD a\nRUN b"]
)
def test_what_is_no_change_is_refused(change: str) -> None:
    with pytest.raises(IntakeError, match="is not a change of an image's configuration"):
        changed(change)


def test_a_mistake_in_a_change_is_told_with_its_text() -> None:
    with pytest.raises(DissolverError) as caught:
        changed("CMD sh", "ENV A")
    assert caught.value.message.startswith("in the change `ENV A`: ")
    assert caught.value.where is None
