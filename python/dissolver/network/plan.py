"""Networks: what connects a container, as a plan that others carry out.

``host`` shares the machine's network, ``none`` has only the loopback interface,
and ``bridge`` is a network of the container's own with a way out: for root a
bridge (`dissolver.network.bridge`), for others pasta (`dissolver.network.pasta`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from dissolver.errors import NetworkError
from dissolver.network.etc_files import EtcFiles, hosts_text, separate_files, shared_files
from dissolver.network.hosts import HOST_GATEWAY, wants_gateway

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dissolver.network.hosts import Host
    from dissolver.network.ports import Port
    from dissolver.network.programs import Command

Mode = Literal["bridge", "host", "none"]
_MODES: dict[str, Mode] = {
    "bridge": "bridge",
    "default": "bridge",
    "": "bridge",
    "host": "host",
    "none": "none",
}


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """How to connect one container.

    ``setup`` runs between the making of the namespace and the start of the process,
    ``teardown`` after its end. ``ports`` are settled: each has its host port. ``address`` is
    the container's own, where it has one that others could use. ``machine`` is an address at
    which this machine can be reached from inside, if that is so.
    """

    namespace: Literal["host", "new"]
    setup: tuple[Command, ...]
    teardown: tuple[Command, ...]
    files: EtcFiles
    ports: tuple[Port, ...] = ()
    address: str = ""
    gateway: str = ""
    machine: str = ""

    @property
    def resolv_conf(self) -> str:
        """The text of the container's ``/etc/resolv.conf``."""
        return self.files.resolv_conf


def parse_mode(text: str) -> Mode:
    """Read the value of ``--network``.

    Raises:
        NetworkError: no network has this name.
    """
    mode = _MODES.get(text)
    if mode is None:
        raise NetworkError(
            f"unknown network `{text}`", hint="the networks are `bridge`, `host` and `none`"
        )
    return mode


def plan_network(
    mode: Mode,
    ports: Sequence[Port] = (),
    *,
    name: str,
    hostname: str,
    is_rootless: bool,
    run: Path,
    state_file: str = "",
    is_step: bool = False,
    hosts: Sequence[Host] = (),
) -> NetworkPlan:
    """Plan the network of the container or step ``name``, and settle its ports.

    For the bridge this takes an address lease in the name of the calling process, or of
    the supervisor that keeps ``state_file``. ``run`` is a private directory for what a
    reboot may remove. Published ports are ignored on ``host``, as Docker does. ``hosts`` are
    further names for `/etc/hosts`. A step that has no network does without the name of
    this machine, for other steps of the same build may have use for it.

    Raises:
        NetworkError: what the network needs is missing, a port is taken, or this machine is
            to have a name where it cannot be reached.
    """
    if mode == "host":
        plan = NetworkPlan("host", (), (), shared_files(hostname), machine="127.0.0.1")
    elif mode == "none":
        plan = _plan_none(ports, hostname, is_step=is_step)
        if wants_gateway(hosts) and not is_step:
            raise NetworkError(
                "this machine cannot be reached without a network",
                hint="leave out `--network none` or `host-gateway`",
            )
    elif is_rootless:
        from dissolver.network import pasta

        pasta.end_left_behind(run)
        file = pasta.step_file(run, name) if is_step else pasta.container_file(run, name)
        plan = _plan_pasta(ports, hostname, file, reaches_host=wants_gateway(hosts))
    else:
        plan = _plan_bridge(ports, name, hostname, state_file, is_step=is_step)
    return _with_hosts(plan, hosts)


def take_down(name: str, *, is_rootless: bool, run: Path) -> None:
    """Remove what the network of the container ``name`` consists of, after its supervisor died.

    Nothing happens where there is nothing.
    """
    if is_rootless:
        from dissolver.network import pasta

        pasta.end(pasta.container_file(run, name))
    else:
        from dissolver.network import bridge

        bridge.take_down(name)


def _with_hosts(plan: NetworkPlan, hosts: Sequence[Host]) -> NetworkPlan:
    names = [(plan.machine if at == HOST_GATEWAY else at, name) for name, at in hosts]
    return replace(plan, files=plan.files.with_hosts([pair for pair in names if pair[0]]))


def _plan_none(ports: Sequence[Port], hostname: str, *, is_step: bool) -> NetworkPlan:
    if ports:
        raise NetworkError(
            "ports cannot be published without a network",
            hint="leave out `--network none` or `-p`",
        )
    names = [("127.0.0.1", hostname)] if is_step else []
    return NetworkPlan("new", (), (), EtcFiles(hosts_text(names), f"{hostname}\n", ""))


def _plan_bridge(
    ports: Sequence[Port], name: str, hostname: str, state_file: str, *, is_step: bool
) -> NetworkPlan:
    from dissolver.network import bridge

    place = bridge.attach(name, ports, state_file=state_file)
    # A step sees the same files every time, or its layer would depend on an address.
    own = "127.0.0.1" if is_step else place.address
    return NetworkPlan(
        "new",
        place.setup,
        place.teardown,
        separate_files(hostname, [(own, hostname)]),
        place.ports,
        place.address,
        place.gateway,
        place.gateway,
    )


def _plan_pasta(
    ports: Sequence[Port], hostname: str, file: Path, *, reaches_host: bool
) -> NetworkPlan:
    from dissolver.network import pasta
    from dissolver.network.ports import settle

    settled = settle(ports, ())
    machine = pasta.host_gateway() if reaches_host else ""
    commands = pasta.commands(settled, file, gateway=machine)
    files = separate_files(hostname, [("127.0.0.1", hostname)])
    return NetworkPlan("new", commands.setup, commands.teardown, files, settled, machine=machine)
