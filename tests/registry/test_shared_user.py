"""Shared caches in an ordinary user's program, whose engine works in another process."""

from __future__ import annotations

import json

from engine.test_ordinary_user import run_program
from registry.servers import RegistryServer
from scene import Account

PROGRAM = """
    import json, os, pathlib, tempfile
    from dissolver import Engine
    from dissolver.errors import BadCacheOption, CacheExportFailed

    with tempfile.TemporaryDirectory(dir=os.environ["HOME"]) as made:
        place = pathlib.Path(made)
        (place / "app").mkdir()
        (place / "app" / "Dockerfile").write_text("FROM scratch\\nCOPY Dockerfile /\\n")
        os.chdir(place)
        local = {"type": "local", "dest": "shelf"}
        with Engine(root=place / "one") as engine:
            first = engine.build("app", cache_to=[f"type=registry,ref={name}", local])
            told = []
            try:
                engine.build("app", cache_to=["type=registry,ref=127.0.0.1:1/x"])
            except CacheExportFailed as error:
                told.append(error.message)
            try:
                engine.build("app", cache_to=["type=tape"])
            except BadCacheOption as error:
                told.append(error.message)
        seen = []
        for number, asked in enumerate((name, {"type": "local", "src": "shelf"})):
            with Engine(root=place / f"other-{number}") as engine:
                built = engine.build("app", cache_from=[asked])
                seen.append([built.is_cached, built.image.id == first.image.id])
        print(json.dumps([seen, told]))
"""


def test_a_program_of_an_ordinary_user_shares_caches(
    user_account: Account, server: RegistryServer, repository: str
) -> None:
    answer = run_program(user_account, PROGRAM, name=server.name(repository))
    seen, told = json.loads(answer)
    assert seen == [[True, True], [True, True]]
    assert told[0].startswith("the cache could not be exported to `127.0.0.1:1/x:latest`: ")
    assert told[1] == "unknown type `tape` in `--cache-to`"
