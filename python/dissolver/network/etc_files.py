"""The three files that a container gets from its runtime: hosts, hostname, resolv.conf.

They describe the network a container is in, so they are made for each one and
bound over its own; a layer never holds them. A RUN step gets no ``/etc/hostname``: what
it writes there is for the image, which is to start on a machine of that name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PUBLIC_SERVERS = ("8.8.8.8", "8.8.4.4")
"""Name servers for a container whose host knows none that it could reach; Docker's choice."""

RESOLV_CONF = Path("/etc/resolv.conf")
SYSTEMD_RESOLV_CONF = Path("/run/systemd/resolve/resolv.conf")
"""What the host's own stub on 127.0.0.53 asks in turn."""

HOSTS = Path("/etc/hosts")

_LOCAL_NAMES = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


@dataclass(frozen=True, slots=True)
class EtcFiles:
    """The contents of the three files."""

    hosts: str
    hostname: str
    resolv_conf: str

    def with_hosts(self, names: Iterable[tuple[str, str]]) -> EtcFiles:
        """Return the files with further (address, name) pairs at the end of ``hosts``."""
        lines = _host_lines(names)
        separator = "\n" if lines and not self.hosts.endswith("\n") else ""
        return replace(self, hosts=self.hosts + separator + lines)

    def write(self, directory: Path, *, with_hostname: bool = True) -> tuple[tuple[str, str], ...]:
        """Write the files into ``directory``; return (path, place in the container) of each."""
        contents = {"resolv.conf": self.resolv_conf, "hosts": self.hosts}
        if with_hostname:
            contents["hostname"] = self.hostname
        places: list[tuple[str, str]] = []
        for name, text in contents.items():
            path = directory / name
            path.write_text(text, encoding="utf-8", errors="surrogateescape")
            path.chmod(0o644)
            places.append((str(path), f"/etc/{name}"))
        return tuple(places)


def hosts_text(names: Iterable[tuple[str, str]] = ()) -> str:
    """Write an ``/etc/hosts`` with the local names and further (address, name) pairs."""
    return _LOCAL_NAMES + _host_lines(names)


def _host_lines(names: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{address}\t{name}\n" for address, name in names)


def resolv_conf_text(host: str, fallback: str = "") -> str:
    """Turn the host's ``resolv.conf`` into one for another network namespace.

    Servers on a loopback address are left out, for they would be the container's own. If
    that leaves none, ``fallback`` is tried (what systemd-resolved asks), then public servers.
    """
    for text in (host, fallback):
        kept = [line for line in text.splitlines() if not _is_loopback_server(line)]
        if any(line.split()[:1] == ["nameserver"] for line in kept):
            return "\n".join(kept) + "\n"
    kept = [line for line in host.splitlines() if not _is_loopback_server(line)]
    return "\n".join([*kept, *(f"nameserver {server}" for server in PUBLIC_SERVERS)]) + "\n"


def host_resolv_conf() -> str:
    """Read the host's ``resolv.conf``, made fit for another network namespace."""
    return resolv_conf_text(_read(RESOLV_CONF), _read(SYSTEMD_RESOLV_CONF))


def shared_files(hostname: str) -> EtcFiles:
    """Give the files for a container in the host's own network: what the host has."""
    return EtcFiles(
        _read(HOSTS) or hosts_text(), f"{hostname}\n", _read(RESOLV_CONF) or resolv_conf_text("")
    )


def separate_files(hostname: str, names: Iterable[tuple[str, str]]) -> EtcFiles:
    """Give the files for a container in a network of its own."""
    return EtcFiles(hosts_text(names), f"{hostname}\n", host_resolv_conf())


def _is_loopback_server(line: str) -> bool:
    words = line.split()
    return (
        len(words) >= 2
        and words[0] == "nameserver"
        and (words[1].startswith("127.") or words[1] in ("::1", "0.0.0.0", "::"))  # noqa: S104
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
