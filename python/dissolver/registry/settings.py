"""What a user decides about registries: mirrors, certificates, proxies, credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dissolver.errors import ConfigError

_KEYS = ("mirrors", "insecure", "ca", "certificate", "key", "upload_chunk_bytes")


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What holds for one registry, named as in references (``docker.io``, ``lan:5000``).

    ``mirrors`` are asked first, in order, when something is pulled: hosts or URLs. ``insecure``
    allows plain HTTP and unknown certificates; ``None`` leaves it to the name, as this machine's
    own registries may be. ``ca``, ``certificate`` and ``key`` are PEM files. Uploads go in
    pieces of ``upload_chunk_bytes``, or whole where it is 0.
    """

    mirrors: tuple[str, ...] = ()
    insecure: bool | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    upload_chunk_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """What holds for all registries.

    ``docker_config`` is the directory of Docker's ``config.json``; ``certificates`` lists
    directories with one directory of certificates for each registry, as Docker has them.
    ``proxies`` maps ``http`` and ``https`` to URLs, which may hold a password; ``no_proxy``
    lists what is reached without one. With ``is_offline`` no registry on another machine is asked.
    """

    hosts: Mapping[str, HostSettings] = field(default_factory=dict)
    docker_config: Path | None = None
    certificates: tuple[Path, ...] = ()
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    no_proxy: str = ""
    is_offline: bool = False

    def host(self, name: str) -> HostSettings:
        """Answer what holds for one registry."""
        return self.hosts.get(name, HostSettings())


def from_environment(
    environment: Mapping[str, str], *, home: Path, tables: Mapping[str, object], origin: str
) -> RegistrySettings:
    """Collect the settings of a user from variables and the ``registries`` of a configuration.

    Proxies are taken from the variables that everybody reads; the lower-case ones win.

    Raises:
        ConfigError: a value in ``tables`` (named by ``origin``) does not fit.
    """
    given = environment.get("DOCKER_CONFIG")

    def variable(name: str) -> str:
        return environment.get(name) or environment.get(name.upper()) or ""

    proxies = {scheme: variable(f"{scheme}_proxy") for scheme in ("http", "https")}
    # A web server's CGI programs get headers as variables: `Proxy:` must not become one.
    if "REQUEST_METHOD" in environment:
        proxies["http"] = environment.get("http_proxy", "")
    return RegistrySettings(
        hosts={name: _host(name, table, origin) for name, table in tables.items()},
        docker_config=Path(given) if given else home / ".docker",
        certificates=(home / ".config/docker/certs.d", Path("/etc/docker/certs.d")),
        proxies={scheme: url for scheme, url in proxies.items() if url},
        no_proxy=variable("no_proxy"),
    )


def _host(name: str, table: object, origin: str) -> HostSettings:
    place = f'`registries."{name}"` in {origin}'
    if not isinstance(table, Mapping):
        raise ConfigError(f"{place} must be a table", hint=f'write `[registries."{name}"]`')
    values = {str(key).replace("-", "_"): value for key, value in table.items()}
    unknown = sorted(set(values) - set(_KEYS))
    if unknown:
        raise ConfigError(
            f"unknown setting `{unknown[0]}` of {place}",
            hint="the settings are " + ", ".join(f"`{key}`" for key in _KEYS),
        )
    mirrors = values.get("mirrors", [])
    if not isinstance(mirrors, list) or not all(isinstance(one, str) for one in mirrors):
        raise ConfigError(f"`mirrors` of {place} must be a list of texts")
    for mirror in mirrors:
        _check_mirror(mirror, place)
    insecure = values.get("insecure")
    if insecure is not None and not isinstance(insecure, bool):
        raise ConfigError(f"`insecure` of {place} must be `true` or `false`")
    chunk = values.get("upload_chunk_bytes", 0)
    if not isinstance(chunk, int) or isinstance(chunk, bool) or chunk < 0:
        raise ConfigError(f"`upload_chunk_bytes` of {place} must be a number of bytes")
    return HostSettings(
        mirrors=tuple(mirrors),
        insecure=insecure,
        ca=_file(values, "ca", place),
        certificate=_file(values, "certificate", place),
        key=_file(values, "key", place),
        upload_chunk_bytes=chunk,
    )


def _check_mirror(mirror: str, place: str) -> None:
    scheme = mirror.partition("://")[0] if "://" in mirror else "https"
    try:
        parts = urlsplit(mirror if "://" in mirror else f"//{mirror}")
        host = parts.hostname if (parts.port or 0) >= 0 else None
    except ValueError:
        # What cannot be read may hold a password anywhere.
        raise ConfigError(f"a mirror of {place} is not a host or a URL") from None
    if scheme not in ("http", "https") or not host or parts.username is not None:
        raise ConfigError(
            f"the mirror `{host or mirror}` of {place} is not a host or a URL",
            hint="write `HOST`, `HOST:PORT` or `https://HOST/PATH`; credentials come from `login`",
        )


def _file(values: Mapping[str, object], key: str, place: str) -> Path | None:
    value = values.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ConfigError(f"`{key}` of {place} must be the path of a file")
    path = Path(value).expanduser()
    if not path.is_file():
        raise ConfigError(f"`{key}` of {place} names `{path}`, which is no file")
    return path
