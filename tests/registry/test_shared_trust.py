"""Whom shared caches are believed, and what, and who else can carry them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry.conftest import Ways
from registry.machines import Machine, cached, reasons
from registry.meddler import Meddler

# Trust --------------------------------------------------------------------------------


def test_what_a_cache_said_counts_only_for_those_who_ask_it(
    machine: Callable[[], Machine], stages: str, tmp_path: Path
) -> None:
    to, from_ = f"type=local,dest={tmp_path / 'c'},mode=max", f"type=local,src={tmp_path / 'c'}"
    machine().build(stages, cache_to=[to])
    other = machine()
    first = other.build(stages, cache_from=[from_])
    assert other.build(stages, cache_from=[from_]).image.id == first.image.id
    alone = other.build(stages)
    assert cached(alone) == [False] * 6
    assert reasons(alone)["WORKDIR /app"] == (
        f"its result came from the cache `local:{tmp_path}/c`, which is not asked now"
    )
    # What was made here counts from now on, for everybody.
    assert other.build(stages, cache_from=[from_]).image.id == alone.image.id


def test_a_claim_of_one_cache_is_no_record_of_another(
    machine: Callable[[], Machine], stages: str, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    machine().build(stages, cache_to=[f"type=local,dest={one},mode=max"])
    machine().build(
        stages,
        cache_from=[f"type=local,src={one}"],
        cache_to=[f"type=local,dest={other},mode=max", f"type=local,dest={one},mode=max"],
    )
    keys = {place: [bool(r.get("key")) for r in read_records(place)] for place in (one, other)}
    assert keys[one] == [True] * 6
    # Of the steps whose layers were not here, only the shortcut was derived here.
    assert keys[other] == [False] * 6
    assert all(record["shortcut"] for record in read_records(other))
    assert cached(machine().build(stages, cache_from=[f"type=local,src={other}"])) == [True] * 6


def read_records(place: Path) -> list[dict[str, Any]]:
    index = json.loads((place / "index.json").read_bytes())
    blobs = place / "blobs" / "sha256"
    manifest = json.loads((blobs / index["manifests"][-1]["digest"][7:]).read_bytes())
    return list(json.loads((blobs / manifest["config"]["digest"][7:]).read_bytes())["records"])


# Other tools --------------------------------------------------------------------------


def skopeo(*words: str | Path) -> None:
    program = shutil.which("skopeo")
    if program is None:
        pytest.skip("skopeo is not installed")
    done = subprocess.run(
        [program, "copy", "--src-tls-verify=false", "--dest-tls-verify=false", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_skopeo_carries_caches_and_images_with_records(
    machine: Callable[[], Machine], stages: str, proxy: Meddler, repository: str, tmp_path: Path
) -> None:
    upstream = proxy.upstream
    name, app, copy = (upstream.name(f"{repository}:{tag}") for tag in ("cache", "app", "copy"))
    one = machine()
    first = one.build(
        stages, tags=(app,), cache_to=[f"type=registry,ref={name},mode=max", "type=inline"]
    )
    skopeo(f"docker://{name}", f"oci:{tmp_path}/layout:carried")
    carried = [f"type=local,src={tmp_path}/layout,tag=carried"]
    second = machine().build(stages, cache_from=carried, cache_to=["type=inline"])
    assert (cached(second), second.image.id) == ([True] * 6, first.image.id)
    Ways(one.store).push(app)
    skopeo(f"docker://{app}", f"docker://{copy}")
    assert cached(machine().build(stages, cache_from=[copy])) == [False] * 3 + [True] * 3
