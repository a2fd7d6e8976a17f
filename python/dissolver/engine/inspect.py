"""Everything about an image or a container, in the shape that ``docker inspect`` has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dissolver.engine.session import Session
    from dissolver.image.config import ImageConfig

# What Docker writes where an image says nothing, so that a template finds the field.
_EMPTY_CONFIG: dict[str, Any] = {
    "User": "",
    "Env": None,
    "Cmd": None,
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}


def image(session: Session, text: str) -> dict[str, Any]:
    """Tell everything about the image that ``text`` means."""
    from dissolver.image.timestamps import format_time

    store = session.store
    found = store.images.resolve(text)
    config = found.config
    references = store.images.references(found.id)
    document: dict[str, Any] = {
        "Id": found.id,
        "RepoTags": [name.familiar for name in references if name.digest is None],
        "RepoDigests": [name.familiar for name in references if name.digest is not None],
        "Parent": "",
        "Comment": config.history[-1].comment if config.history else "",
        "Created": "" if config.created is None else format_time(config.created),
        "Author": config.author,
        "Architecture": config.architecture,
        "Variant": config.variant,
        "Os": config.os,
        "Size": found.size,
        "VirtualSize": found.size,
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
        "Config": run_config(config),
    }
    if not config.variant:
        del document["Variant"]
    return document


def run_config(config: ImageConfig) -> dict[str, Any]:
    """Give an image's start values as Docker's ``Config`` object."""
    import json

    from dissolver.image.config import encode_config

    values: dict[str, Any] = json.loads(encode_config(config)).get("config", {})
    return {**_EMPTY_CONFIG, **values}
