"""Several builds at the same time that start from images of a registry, or are sent there."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from dissolver.build.request import BuildRequest
from dissolver.build.together import Order, build_together
from dissolver.registry.access import open_sources
from dissolver.registry.settings import RegistrySettings
from dissolver.store import Store
from registry.images import layer, noise, put_image
from registry.meddler import Meddler
from registry.servers import RegistryServer
from scene import Cli


def test_an_image_that_several_builds_start_from_is_fetched_once(
    proxy: Meddler, repository: str, store: Store, tmp_path: Path
) -> None:
    big = layer(a=noise(300_000))
    put_image(proxy.upstream, repository, "v1", big)
    (tmp_path / "file").write_text("x", encoding="ascii")
    orders = [
        Order(
            name,
            BuildRequest(
                str(tmp_path),
                dockerfile_text=f"FROM {proxy.name(repository)}:v1\nCOPY file /{name}\n",
                tags=(name,),
            ),
        )
        for name in ("one", "two", "three")
    ]
    sources = partial(open_sources, RegistrySettings(is_offline=True))
    results = build_together(store, orders, open_sources=sources)
    assert {result.image.config.diff_ids[0] for result in results.values()} == {big.diff_id}
    path = f"/v2/{repository}/blobs/{big.digest}"
    assert [one.method for one in proxy.asked if one.path == path].count("GET") == 1


def test_targets_are_pushed(box: Cli, server: RegistryServer, repository: str) -> None:
    name = server.name(repository)
    text = f"""
        target "default" {{
          name = "t${{v}}"
          matrix = {{ v = ["1", "2"] }}
          dockerfile-inline = "FROM box\\nLABEL v=${{v}}\\n"
          tags = ["{name}:v${{v}}"]
        }}
        target "kept" {{ inherits = ["t1"] }}
    """
    kitchen = box.directory("kitchen", {"docker-bake.hcl": text})
    box("bake", "--push", "--metadata-file", "told.json", cwd=kitchen)
    told = json.loads((kitchen / "told.json").read_text())
    for tag in ("1", "2"):
        manifest = server.manifest(repository, f"v{tag}")
        identity = told[f"t{tag}"]["containerimage.config.digest"]
        assert manifest["config"]["digest"] == identity
        assert told[f"t{tag}"]["image.name"] == f"{name}:v{tag}"
    box("bake", "--set", f"kept.tags={name}:kept", "kept", cwd=kitchen)
    status, _, listed = server.ask("GET", f"/v2/{repository}/tags/list")
    assert (status, sorted(json.loads(listed)["tags"])) == (200, ["v1", "v2"])
