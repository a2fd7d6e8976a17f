"""Checks on images that came from elsewhere."""

from __future__ import annotations

from dissolver.errors import BadDigest, BadImageConfig
from dissolver.image.config import ImageConfig
from dissolver.image.digest import parse_digest


def check_config(config: ImageConfig) -> ImageConfig:
    """Check that an image configuration says what an image must say, and return it.

    Raises:
        BadImageConfig: the platform or a layer's digest is missing or wrong, or the
            history tells of more layers than there are.
    """
    if not config.os or not config.architecture:
        raise BadImageConfig("the image configuration names no platform")
    if config.rootfs.type != "layers":
        raise BadImageConfig(f"the root file system has the unknown type `{config.rootfs.type}`")
    for diff_id in config.rootfs.diff_ids:
        try:
            parse_digest(diff_id)
        except BadDigest as error:
            raise BadImageConfig(f"a layer has no valid digest: {error.message}") from None
    told = sum(not entry.empty_layer for entry in config.history)
    # History is optional, and some tools leave it behind when they add layers.
    if told > len(config.rootfs.diff_ids):
        raise BadImageConfig(
            f"the history tells of {told} layers, and there are {len(config.rootfs.diff_ids)}"
        )
    return config
