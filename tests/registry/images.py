"""Images that tests put into registries by hand, as other tools would have pushed them."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import Any

from dissolver.image import media_types
from registry.servers import RegistryServer

DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_GZIP = media_types.layer_type("gzip")


@dataclass(frozen=True)
class Layer:
    """A layer: its tar, and the bytes and type that a registry has of it."""

    tar: bytes
    blob: bytes
    media_type: str = OCI_GZIP

    @property
    def diff_id(self) -> str:
        return sha256(self.tar)

    @property
    def digest(self) -> str:
        return sha256(self.blob)


@dataclass(frozen=True)
class Made:
    """An image in a registry."""

    repository: str
    digest: str
    config: bytes
    manifest: bytes
    layers: tuple[Layer, ...]

    @property
    def image_id(self) -> str:
        return sha256(self.config)


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def tar_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@functools.cache
def noise(size: int, seed: str = "") -> bytes:
    """Make bytes that do not compress, always the same ones."""
    blocks = (hashlib.sha256(f"{seed}{n}".encode()).digest() for n in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def layer(media_type: str = OCI_GZIP, **files: bytes) -> Layer:
    """Make a layer; levels and times are such that no writer of ours makes the same bytes."""
    tar = tar_of(**files)
    if media_type.endswith("gzip"):
        return Layer(tar, gzip.compress(tar, compresslevel=1, mtime=7), media_type)
    return Layer(tar, tar, media_type)


def config_of(*layers: Layer, architecture: str = "amd64", variant: str = "", **more: Any) -> bytes:
    document = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": ["sh"], "Env": ["A=1"]},
        "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in layers]},
        **({"variant": variant} if variant else {}),
        **more,
    }
    return json.dumps(document, indent=3).encode()


def manifest_of(
    config: bytes,
    *layers: Layer,
    media_type: str = media_types.OCI_MANIFEST,
    **more: Any,
) -> bytes:
    config_type = (
        media_types.OCI_CONFIG
        if media_type == media_types.OCI_MANIFEST
        else media_types.DOCKER_CONFIG
    )
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": config_type, "size": len(config), "digest": sha256(config)},
        "layers": [
            {"mediaType": one.media_type, "size": len(one.blob), "digest": one.digest}
            for one in layers
        ],
        **more,
    }
    return json.dumps(document, indent=5).encode()


def put_image(
    server: RegistryServer,
    repository: str,
    version: str,
    *layers: Layer,
    media_type: str = media_types.OCI_MANIFEST,
    **more: Any,
) -> Made:
    """Put an image into a registry."""
    config = config_of(*layers, **more)
    for content in (config, *(one.blob for one in layers)):
        server.put_blob(repository, content)
    manifest = manifest_of(config, *layers, media_type=media_type)
    digest = server.put_manifest(repository, version or sha256(manifest), manifest, media_type)
    assert digest == sha256(manifest)
    return Made(repository, digest, config, manifest, layers)


def put_index(
    server: RegistryServer,
    repository: str,
    version: str,
    *made: tuple[str, Made],
    media_type: str = media_types.OCI_INDEX,
) -> str:
    """Put an index of images, each with its platform, into a registry; answer its digest."""
    kind = media_types.OCI_MANIFEST
    if media_type == media_types.DOCKER_INDEX:
        kind = media_types.DOCKER_MANIFEST
    entries = []
    for text, one in made:
        system, architecture, *variant = text.split("/")
        platform = {"os": system, "architecture": architecture}
        if variant:
            platform["variant"] = variant[0]
        entries.append(
            {
                "mediaType": kind,
                "size": len(one.manifest),
                "digest": one.digest,
                "platform": platform,
            }
        )
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    return server.put_manifest(repository, version, document, media_type)
