"""The examples of docs/api.md that need a registry, run in their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissolver import Engine
from engine.test_api_page import blocks
from registry.servers import RegistryServer


def test_the_examples_with_a_registry_run(
    server: RegistryServer, tmp_path: Path, busybox_tar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the examples write lies beside the test's own files.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISSOLVER_ROOT", str(tmp_path / "store"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    count = 0
    with Engine() as engine:
        engine.import_image(busybox_tar, tags=["greeter:v1"])
        names: dict[str, object] = {"engine": engine, "registry": server.host}
        for _, info, text in blocks():
            if info == "python registry":
                exec(text, names)
                count += 1
    assert count == 6
