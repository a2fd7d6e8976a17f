"""Outputs that cannot be written are told before anything is built for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissolver.build.outputs import check_outputs
from dissolver.build.request import BuildRequest
from dissolver.errors import BadReference, DissolverError, ExportError
from dissolver.export.output import parse_output


def request(*outputs: str, tags: tuple[str, ...] = ()) -> BuildRequest:
    return BuildRequest(".", outputs=tuple(map(parse_output, outputs)), tags=tags)


@pytest.mark.parametrize(
    "requests",
    [
        [request()],
        [request("out", "type=tar,dest=a", "type=oci,dest=b")],
        [request("out"), request("out")],
        [request("type=image,push=true", tags=("a",))],
        [request("type=image,name=a,push=true")],
        [request("type=docker", "type=image", "type=cacheonly")],
    ],
)
def test_outputs_that_can_be_written(requests: list[BuildRequest]) -> None:
    check_outputs(*requests)


@pytest.mark.parametrize(
    ("requests", "kind", "message"),
    [
        ([request("type=image,push=true")], ExportError, "an image that is pushed needs a name"),
        ([request("type=oci,dest=a,name=A")], BadReference, "`A`"),
        (
            [request("type=oci,dest=a", "type=tar,dest=a")],
            ExportError,
            "two outputs have the same place `a`",
        ),
        (
            [request("type=tar,dest=a"), request("type=tar,dest=a")],
            ExportError,
            "two outputs have the same place `a`",
        ),
        ([request("type=oci,dest=.")], ExportError, "`.` is a directory"),
        (
            [request("type=oci,dest=file,tar=false")],
            ExportError,
            "`file` exists and is no directory",
        ),
        ([request("file")], ExportError, "`file` exists and is no directory"),
    ],
)
def test_outputs_that_cannot(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    requests: list[BuildRequest],
    kind: type[DissolverError],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(kind) as refused:
        check_outputs(*requests)
    assert message in refused.value.message
