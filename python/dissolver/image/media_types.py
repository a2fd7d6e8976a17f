"""Media types: what the parts of an image are called in manifests and indexes."""

from __future__ import annotations

from typing import Literal

Compression = Literal["none", "gzip", "zstd"]
"""How the tar of a layer is compressed where it is a blob."""

COMPRESSIONS: tuple[Compression, ...] = ("none", "gzip", "zstd")

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"

DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

INDEXES = frozenset((OCI_INDEX, DOCKER_INDEX))
MANIFESTS = frozenset((OCI_MANIFEST, DOCKER_MANIFEST))
CONFIGS = frozenset((OCI_CONFIG, DOCKER_CONFIG))

REFERENCE_NAME = "org.opencontainers.image.ref.name"
"""The annotation of the OCI image layout that names an image; tools put the tag there."""

CONTAINERD_NAME = "io.containerd.image.name"
"""The annotation with the whole name, which containerd, BuildKit and Docker read and write."""

NAMES = frozenset((REFERENCE_NAME, CONTAINERD_NAME))
"""Annotations that name an image, and say nothing about it."""


INLINE_CACHE = "dissolver.cache.v1"
"""The field of an image's configuration with the records of its steps, if it holds any."""


def layer_type(compression: Compression) -> str:
    """Name the type of a layer as a blob (OCI image specification, `layer.md`)."""
    return OCI_LAYER if compression == "none" else f"{OCI_LAYER}+{compression}"


def is_left_out(media_type: str) -> bool:
    """Tell whether registries and archives do not keep the bytes of a layer of this type."""
    return "nondistributable" in media_type or ".foreign." in media_type


def layer_compression(media_type: str) -> Compression:
    """Tell how a layer of this type is compressed, by OCI's names and by Docker's.

    Raises:
        BadManifest: it is no layer, or one whose bytes registries do not keep.
    """
    from dissolver.errors import BadManifest

    if is_left_out(media_type):
        raise BadManifest(
            f"the image has a layer of the type `{media_type}`, which registries do not keep",
            hint="such layers are parts of Windows, and are of no use on Linux",
        )
    known: dict[str, Compression] = {
        **{layer_type(compression): compression for compression in COMPRESSIONS},
        DOCKER_LAYER: "none",
        f"{DOCKER_LAYER}.gzip": "gzip",
        f"{DOCKER_LAYER}.zstd": "zstd",
    }
    found = known.get(media_type)
    if found is None:
        raise BadManifest(f"the image has a layer of the unknown type `{media_type}`")
    return found
