"""Everything about an image or a container, in the shape that ``docker inspect`` has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dissolver.containers.options import ContainerConfig
    from dissolver.containers.state import State
    from dissolver.containers.streams.kept_log import KeptLog
    from dissolver.containers.volumes import Volume
    from dissolver.engine.session import Session
    from dissolver.image.config import Image, ImageConfig
    from dissolver.image.reference import Reference

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
    images = session.store.images
    found = images.resolve(text)
    document = image_document(found, images.references(found.id))
    said = images.annotations(found.id).manifest
    return {**document, "Annotations": said} if said else document


def image_document(found: Image, references: Sequence[Reference]) -> dict[str, Any]:
    """Tell everything about an image with these names."""
    from dissolver.image.timestamps import format_time

    config = found.config
    document: dict[str, Any] = {
        "Id": found.id,
        "RepoTags": [name.familiar for name in references if name.digest is None],
        "RepoDigests": [
            f"{name.name_familiar}@{name.digest}" for name in references if name.digest is not None
        ],
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


def container(session: Session, text: str) -> dict[str, Any]:
    """Tell everything about the container that ``text`` means."""
    from dissolver.containers import life as containers
    from dissolver.containers.streams.logs import FILE as LOG_FILE
    from dissolver.image.timestamps import format_time

    store = session.store
    record = store.containers.resolve(text)
    config = containers.config_of(record)
    directory = store.containers.directory(record.id)
    return {
        "Id": record.id,
        "Created": format_time(record.created_ns),
        "Path": config.argv[0],
        "Args": list(config.argv[1:]),
        "State": _state(containers.state_of(store, record)),
        "Image": record.image_id,
        "ResolvConfPath": str(directory / "resolv.conf"),
        "HostnamePath": str(directory / "hostname"),
        "HostsPath": str(directory / "hosts"),
        "LogPath": str(directory / LOG_FILE),
        "Name": f"/{record.name}",
        "RestartCount": 0,
        "Platform": "linux",
        "Mounts": [_mount(store.layout.volumes, volume) for volume in config.volumes],
        "HostConfig": _host_config(config),
        "Config": _container_config(config),
        "NetworkSettings": _network_settings(directory, config),
    }


def _state(state: State) -> dict[str, Any]:
    from dissolver.image.timestamps import format_time

    never = "0001-01-01T00:00:00Z"
    return {
        "Status": state.status,
        "Running": state.is_running,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": False,
        "Dead": False,
        "Pid": state.pid if state.is_running else 0,
        "ExitCode": state.exit_code or 0,
        "Error": state.error.message if state.error else "",
        "StartedAt": format_time(state.started_at) if state.started_at else never,
        "FinishedAt": format_time(state.finished_at) if state.finished_at else never,
    }


def _mount(volumes: Path, volume: Volume) -> dict[str, Any]:
    document = {
        "Type": "bind" if volume.is_bind else "volume",
        "Source": volume.source if volume.is_bind else str(volumes / volume.source / "_data"),
        "Destination": volume.target,
        "Mode": "ro" if volume.is_read_only else "",
        "RW": not volume.is_read_only,
        "Propagation": "rprivate" if volume.is_bind else "",
    }
    return document if volume.is_bind else {**document, "Name": volume.source, "Driver": "local"}


def _log_config(kept: KeptLog) -> dict[str, Any]:
    if kept.files == 0:
        return {"Type": "none", "Config": {}}
    size = str(kept.bytes) if kept.bytes else "-1"
    return {"Type": "json-file", "Config": {"max-size": size, "max-file": str(kept.files)}}


def _host_config(config: ContainerConfig) -> dict[str, Any]:
    from dissolver.containers.listing import wanted_ports
    from dissolver.sandbox.confining_options import inspected

    bindings: dict[str, list[dict[str, str]]] = {}
    for port in wanted_ports(config):
        host = {"HostIp": port.host_ip, "HostPort": str(port.host_port) if port.host_port else ""}
        bindings.setdefault(f"{port.container_port}/{port.protocol}", []).append(host)
    binds = [volume for volume in config.volumes if volume.is_bind]
    return {
        "Binds": [
            f"{volume.source}:{volume.target}{':ro' if volume.is_read_only else ''}"
            for volume in binds
        ],
        "LogConfig": _log_config(config.kept_log),
        "NetworkMode": config.network,
        "PortBindings": bindings,
        "AutoRemove": config.is_removed_at_end,
        "ReadonlyRootfs": config.is_read_only,
        "ExtraHosts": [f"{name}:{address}" for name, address in config.hosts],
        **inspected(config.confinement),
        "Privileged": False,
    }


def _container_config(config: ContainerConfig) -> dict[str, Any]:
    return {
        **_EMPTY_CONFIG,
        "Hostname": config.hostname,
        "User": config.user,
        "Tty": config.has_terminal,
        "OpenStdin": config.is_interactive,
        "Env": list(config.env),
        "Cmd": list(config.argv),
        "Image": config.image,
        "WorkingDir": config.cwd,
        "Labels": config.labels,
        "StopSignal": config.stop_signal,
    }


def _network_settings(directory: Path, config: ContainerConfig) -> dict[str, Any]:
    from dissolver.containers.start import connection_of

    connection = connection_of(directory)
    published: dict[str, list[dict[str, str]]] = {}
    for port in connection.ports if connection else ():
        host = {"HostIp": port.host_ip or "0.0.0.0", "HostPort": str(port.host_port)}  # noqa: S104
        published.setdefault(f"{port.container_port}/{port.protocol}", []).append(host)
    address = connection.address if connection else ""
    gateway = connection.gateway if connection else ""
    return {
        "Ports": published,
        "IPAddress": address,
        "Gateway": gateway,
        "Networks": {config.network: {"IPAddress": address, "Gateway": gateway}},
    }
