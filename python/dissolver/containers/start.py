"""Making a container ready to start: everything its supervisor will read.

```
containers/<id>/
  spec.json supervise.json   what to run, and how to watch over it
  network.json               the address and the ports it has
  hosts hostname resolv.conf bound over the container's own
  upper/ work/ root/         the writable layer, overlayfs's own, the mount point
  state.json log.json        written by the supervisor
```
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dissolver.containers import supervisor, volumes
from dissolver.containers.listing import wanted_ports
from dissolver.containers.signals import signal_number
from dissolver.containers.state import FILE as STATE_FILE
from dissolver.containers.streams.attach import LONGEST_SOCKET_PATH
from dissolver.containers.streams.logs import FILE as LOG_FILE
from dissolver.errors import RunError
from dissolver.network.plan import parse_mode, plan_network
from dissolver.network.ports import Port
from dissolver.sandbox import rootfs, spec, users
from dissolver.sandbox.assemble import Process, World, assemble, etc_mounts
from dissolver.sandbox.rootless import is_rootless
from dissolver.sandbox.upper import RunningFiles, make_directories, make_working_directory

if TYPE_CHECKING:
    from dissolver._core.layer import View
    from dissolver.containers.options import ContainerConfig
    from dissolver.network.plan import NetworkPlan
    from dissolver.sandbox.spec import Mount, SandboxSpec
    from dissolver.store import Store
    from dissolver.store.containers import ContainerRecord

NETWORK_FILE = "network.json"
SPEC_FILE = "spec.json"


class Connection(msgspec.Struct, frozen=True):
    """How a started container is connected; ``ports`` are settled."""

    namespace: str
    address: str = ""
    gateway: str = ""
    ports: tuple[Port, ...] = ()


def socket_path(store: Store, identity: str) -> Path:
    """Tell where a container's supervisor listens, or would.

    Raises:
        RunError: the run directory's name is too long for the name of a socket.
    """
    path = store.run / f"{identity[:16]}.sock"
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise RunError(
            f"the path `{path}` is too long for the name of a socket",
            hint="choose a shorter run directory: DISSOLVER_RUN",
        )
    return path


def prepare(
    store: Store, record: ContainerRecord, config: ContainerConfig, *, waits_for_attach: bool
) -> Connection:
    """Write everything that the supervisor of ``record`` reads, and make what it mounts.

    Leases an address and ports; they are the container's once its supervisor runs, and
    fall back when neither that nor this process lives.

    Raises:
        RunError: the user does not exist, or a volume cannot be made.
        NetworkError: the network cannot be had, or a port is taken.
    """
    directory = store.containers.directory(record.id)
    diff_ids = store.containers.layers(record.id)
    view: View = store.layers.view(diff_ids)
    stack = rootfs.lowers(store.layers, diff_ids, rootfs.stubs_directory(store.root))
    make_directories(view, directory)
    make_working_directory(view, directory / "upper", config.cwd)
    plan = plan_network(
        parse_mode(config.network),
        wanted_ports(config),
        name=record.id,
        hostname=_hostname(config),
        is_rootless=is_rootless(),
        run=store.run,
        state_file=str(directory / STATE_FILE),
        hosts=config.hosts,
    )
    mounts: tuple[Mount, ...] = (
        *etc_mounts(plan.files.write(directory)),
        *volumes.mount_volumes(config.volumes, directory=store.layout.volumes, view=view),
    )
    specification = _specify(store, directory, config, plan, mounts, stack, view)
    _write(directory / SPEC_FILE, spec.encode_spec(specification))
    connection = Connection(plan.namespace, plan.address, plan.gateway, plan.ports)
    _write(directory / NETWORK_FILE, msgspec.json.encode(connection))
    supervision = _supervise(store, record, config, plan, waits_for_attach=waits_for_attach)
    _write(directory / supervisor.FILE, msgspec.json.encode(supervision))
    return connection


def connection_of(directory: Path) -> Connection | None:
    """Read how a container was connected when it was last started."""
    try:
        return msgspec.json.decode((directory / NETWORK_FILE).read_bytes(), type=Connection)
    except (OSError, msgspec.MsgspecError):
        return None


def _specify(
    store: Store,
    directory: Path,
    config: ContainerConfig,
    plan: NetworkPlan,
    mounts: tuple[Mount, ...],
    stack: tuple[spec.Lower, ...],
    view: View,
) -> SandboxSpec:
    process = Process(
        argv=config.argv,
        env=config.env,
        cwd=config.cwd,
        user=users.resolve_user(config.user, RunningFiles(view, directory / "upper")),
        terminal=config.has_terminal,
    )
    world = World(
        rootfs=spec.Rootfs(
            lowers=stack,
            upper=str(directory / "upper"),
            work=str(directory / "work"),
            mountpoint=str(directory / "root"),
            read_only=config.is_read_only,
            userxattr=is_rootless(),
        ),
        hostname=_hostname(config),
        network=plan.namespace,
        mounts=mounts,
    )
    return assemble(process, world, config.confinement, filters=store.run)


def _hostname(config: ContainerConfig) -> str:
    """Give the chosen name, or the machine's for a container in the machine's network."""
    return config.hostname or os.uname().nodename


def _supervise(
    store: Store,
    record: ContainerRecord,
    config: ContainerConfig,
    plan: NetworkPlan,
    *,
    waits_for_attach: bool,
) -> supervisor.Supervision:
    directory = store.containers.directory(record.id)
    final: tuple[supervisor.Hook, ...] = ()
    if config.is_removed_at_end:
        final = (supervisor.Hook(_removal(store, record.id)),)
    return supervisor.Supervision(
        id=record.id,
        socket=str(socket_path(store, record.id)),
        log=str(directory / LOG_FILE),
        kept_log=config.kept_log,
        state=str(directory / STATE_FILE),
        waits_for_attach=waits_for_attach,
        keeps_stdin=config.is_interactive,
        terminal=config.has_terminal,
        stop_signal=signal_number(config.stop_signal),
        hooks=supervisor.Hooks(
            start=supervisor.hooks_of(plan.setup),
            stop=supervisor.hooks_of(plan.teardown),
            final=final,
        ),
    )


def _removal(store: Store, identity: str) -> tuple[str, ...]:
    """Give the words of the program that removes a container after its end.

    The package, and what it needs, is found where it was found now, whatever the environment
    says then.
    """
    code = (
        "import sys; sys.path[:0] = [sys.argv.pop(1), sys.argv.pop(1)]; "
        "from dissolver.containers.removal import main; main(*sys.argv[1:])"
    )
    mode = "userxattr" if is_rootless() else "trusted"
    places = (str(Path(__file__).parents[2]), str(Path(msgspec.__file__).parents[1]))
    words = (*places, str(store.root), str(store.run), mode, identity)
    return (sys.executable, "-P", "-c", code, *words)


def _write(path: Path, data: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)
