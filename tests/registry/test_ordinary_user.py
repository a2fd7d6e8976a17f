"""Pulls and pushes by an ordinary user's program, whose engine works in another process."""

from __future__ import annotations

import json

from engine.test_ordinary_user import run_program
from registry.images import layer, put_image
from registry.servers import RegistryServer
from scene import Account

PROGRAM = """
    import json, threading
    from dissolver import Engine
    from dissolver.errors import ImageNotFound, NotInRegistry

    seen = []

    def hear(event):
        seen.append((type(event).__name__, threading.current_thread().name))

    with Engine() as engine:
        (pulled,) = engine.pull(name, on_event=hear)
        missing = []
        image = engine.ensure_image(name, on_missing=missing.append)
        assert image == pulled.image and missing == []
        engine.tag(name, name + "-copy")
        (pushed,) = engine.push(name + "-copy", on_event=hear)
        try:
            engine.ensure_image(name + "-none", on_missing=missing.append)
        except ImageNotFound as error:
            assert isinstance(error.__cause__, (NotInRegistry, type(None)))
            print(json.dumps([pulled.digest, pushed.digest, missing, error.message, seen]))
"""


def test_a_program_of_an_ordinary_user_pulls_and_pushes(
    user_account: Account, server: RegistryServer, repository: str
) -> None:
    made = put_image(server, repository, "v1", layer(a=b"one"))
    name = server.name(f"{repository}:v1")
    answer = json.loads(run_program(user_account, PROGRAM, name=name))
    pulled, pushed, missing, message, seen = answer
    assert (pulled, pushed) == (made.digest, made.digest)
    assert missing == [f"{name}-none"]
    assert message == (
        f"there is no local image `{name}-none`, and cannot read the manifest of "
        f"`{repository}:v1-none`: `{server.host}` does not have it"
    )
    assert {thread for _, thread in seen} == {"MainThread"}
    assert {kind for kind, _ in seen} == {"TransferStarted", "LayerProgress", "TransferDone"}
