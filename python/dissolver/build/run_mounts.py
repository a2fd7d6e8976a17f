"""``RUN --mount``: what a step is lent while it runs, and what of it its key knows."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.build.bound_files import BoundFiles, mount_files, plan_files, seed_directory
from dissolver.build.lent import Lent
from dissolver.errors import BuildError
from dissolver.plan.mounts import BindMount, CacheMount, SecretMount, SshMount, TmpfsMount
from dissolver.store.cache_mounts import CacheName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissolver.build.events import OpenVertex
    from dissolver.build.origins import Origins
    from dissolver.build.workbench import Workbench
    from dissolver.plan.mounts import Mount
    from dissolver.plan.steps import RunStep
    from dissolver.sandbox import spec
    from dissolver.store.cache_mounts import Seed

NAMESPACE_ARGUMENT = "BUILDKIT_CACHE_MOUNT_NS"
"""The build argument that keeps the caches of several projects apart."""


@dataclass(frozen=True, slots=True)
class PlannedMounts:
    """The mounts of ``step``, and the files that some of them show, by their number."""

    step: RunStep
    files: dict[int, BoundFiles]

    def inputs(self) -> tuple[tuple[str, str], ...]:
        """Name what the step's key has to know: no value of a secret, and no cache's content."""
        return tuple(
            (f"mount.{_place(mount)}", _described(mount, _digest(self.files.get(number))))
            for number, mount in enumerate(self.step.mounts)
        )

    def listed(self) -> Iterator[tuple[str, str]]:
        """Name the files that are shown, one by one."""
        for number, files in self.files.items():
            if isinstance(self.step.mounts[number], BindMount):
                yield from files.inputs()

    @contextmanager
    def lend(self, bench: Workbench, vertex: OpenVertex) -> Iterator[Lent]:
        """Make everything ready, and take it away at the end.

        Raises:
            BuildError: a secret or an agent that the step requires was not given.
            CoreFailure: a file changed since it was listed (``changed-while-read``).
            Cancelled: the build was cancelled while a cache was in use elsewhere.
        """
        with ExitStack() as stack:
            directory = stack.enter_context(bench.store.workspace())
            caches = self._caches(bench, vertex, stack)
            lent = Lent()
            for number, mount in enumerate(self.step.mounts):
                place = directory / str(number)
                match mount:
                    case BindMount():
                        lent.mounts.append(
                            mount_files(
                                bench,
                                self.files[number],
                                mount.target,
                                place,
                                is_read_only=mount.is_read_only,
                            )
                        )
                    case CacheMount():
                        lent.mounts.append(_cache_mount(mount, caches[number]))
                    case TmpfsMount():
                        lent.mounts.append(_tmpfs(mount))
                    case SecretMount():
                        self._lend_secret(bench, mount, place, lent)
                    case SshMount():
                        self._lend_agent(bench, mount, place, stack, lent)
            self._lend_scripts(directory / "scripts", lent)
            yield lent

    def _caches(self, bench: Workbench, vertex: OpenVertex, stack: ExitStack) -> dict[int, Path]:
        """Open every cache once, in an order that all steps share: so none waits in a circle."""
        namespace = bench.request.build_args.get(NAMESPACE_ARGUMENT, "")
        names = {
            number: CacheName(namespace, mount.id, _start(mount, self.files.get(number)))
            for number, mount in enumerate(self.step.mounts)
            if isinstance(mount, CacheMount)
        }
        opened: dict[CacheName, Path] = {}
        for number, name in sorted(names.items(), key=lambda item: item[1].digest):
            mount = self.step.mounts[number]
            if name in opened or not isinstance(mount, CacheMount):
                continue

            def on_wait(mount: CacheMount = mount) -> None:
                stack.enter_context(vertex.status(f"waiting for cache mount {mount.id}"))

            use = bench.store.cache_mounts.use(
                name,
                mount.sharing,
                _seed(bench, mount, self.files.get(number)),
                check=bench.cancellation.check,
                on_wait=on_wait,
            )
            opened[name] = stack.enter_context(use)
        return {number: opened[name] for number, name in names.items()}

    def _lend_secret(self, bench: Workbench, mount: SecretMount, place: Path, lent: Lent) -> None:
        from dissolver.sandbox.spec import MemoryFile

        value = bench.request.secrets.get(mount.id)
        if value is None:
            if mount.is_required:
                raise BuildError(
                    f"the secret `{mount.id}` was not given to the build",
                    hint=f"add `--secret id={mount.id},src=FILE` or `--secret id={mount.id},"
                    "env=VARIABLE`",
                    where=self.step.where,
                )
            return
        if mount.target is not None:
            place.mkdir()
            lent.mounts.append(
                MemoryFile(
                    content=value,
                    mountpoint=str(place),
                    target=mount.target,
                    mode=mount.mode,
                    uid=mount.uid,
                    gid=mount.gid,
                )
            )
        if mount.env is not None:
            lent.env.append((mount.env, self._text(mount, value)))

    def _text(self, mount: SecretMount, value: bytes) -> str:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise BuildError(
                f"the secret `{mount.id}` is no text, and no variable can hold it",
                hint="mount it as a file with `target=`",
                where=self.step.where,
            )
        return text

    def _lend_agent(
        self, bench: Workbench, mount: SshMount, place: Path, stack: ExitStack, lent: Lent
    ) -> None:
        from dissolver.build.ssh_relay import relay
        from dissolver.sandbox import spec

        agent = bench.agents.find(mount.id)
        if agent is None:
            if mount.is_required:
                raise BuildError(
                    f"the SSH agent `{mount.id}` was not given to the build",
                    hint=f"add `--ssh {mount.id}`, or `--ssh {mount.id}=SOCKET_OR_KEY`",
                    where=self.step.where,
                )
            return
        place.mkdir()
        socket = place / "agent.sock"
        stack.enter_context(relay(agent, socket))
        import os

        os.chown(socket, mount.uid, mount.gid)
        socket.chmod(mount.mode)
        lent.mounts.append(spec.BindMount(str(socket), mount.target, create="file"))

    def _lend_scripts(self, place: Path, lent: Lent) -> None:
        """Put scripts that the Dockerfile holds where their step starts them."""
        from dissolver.sandbox.spec import MemoryFile

        if not self.step.files:
            return
        place.mkdir()
        for script in self.step.files:
            lent.mounts.append(
                MemoryFile(
                    content=script.content.encode("utf-8", "surrogateescape"),
                    mountpoint=str(place),
                    target=script.path,
                    mode=script.mode,
                    executable=True,
                )
            )


def plan_mounts(bench: Workbench, step: RunStep, origins: Origins, place: str) -> PlannedMounts:
    """List what the mounts of ``step``, at ``place`` in its build, show.

    Raises:
        ContextError: a source is not there.
    """
    files: dict[int, BoundFiles] = {}
    for number, mount in enumerate(step.mounts):
        if isinstance(mount, BindMount) or (isinstance(mount, CacheMount) and mount.is_seeded):
            origin = origins.find(mount.origin)
            at = f"{place}/mount/{number}"
            files[number] = plan_files(bench, origin, mount.source, step.where, at)
    return PlannedMounts(step, files)


def _place(mount: Mount) -> str:
    if isinstance(mount, SecretMount):
        return mount.target or f"${mount.env}"
    return mount.target


def shortcut_inputs(
    bench: Workbench, step: RunStep, origins: Origins, place: str
) -> tuple[tuple[str, str], ...]:
    """Name the same without a look into layers: what these show is said by their diff IDs."""
    inputs = []
    for number, mount in enumerate(step.mounts):
        digest = ""
        if isinstance(mount, BindMount):
            layers = origins.layers_of(mount.origin)
            if layers is None:
                origin = origins.find(mount.origin)
                at = f"{place}/mount/{number}"
                digest = plan_files(bench, origin, mount.source, step.where, at).digest
            else:
                digest = " ".join((mount.source, *layers))
        inputs.append((f"mount.{_place(mount)}", _described(mount, digest)))
    return tuple(inputs)


def _digest(files: BoundFiles | None) -> str:
    return "" if files is None else files.digest


def _described(mount: Mount, digest: str) -> str:
    """Describe a mount as far as it makes a difference for what the step does."""
    match mount:
        case BindMount():
            return f"bind {'ro' if mount.is_read_only else 'rw'} {digest}"
        case CacheMount():
            # What is in it makes no difference that anybody may rely on.
            return f"cache {'ro' if mount.is_read_only else 'rw'}"
        case TmpfsMount():
            return f"tmpfs {'ro' if mount.is_read_only else 'rw'} {mount.size or ''}".rstrip()
        case SecretMount():
            owner = f"{mount.mode:o} {mount.uid}:{mount.gid}"
            return f"secret {mount.id} {owner} {mount.env or ''}".rstrip() + _need(mount)
        case SshMount():
            return f"ssh {mount.id} {mount.mode:o} {mount.uid}:{mount.gid}" + _need(mount)


def _need(mount: SecretMount | SshMount) -> str:
    # A result that came about without it is none for a step that requires it.
    return " required" if mount.is_required else ""


def _start(mount: CacheMount, files: BoundFiles | None) -> str:
    """Name what a cache starts as, if that tells it from others with the same id."""
    if files is not None:
        return files.digest
    if mount.mode is mount.uid is mount.gid is None:
        return ""
    return f"{_mode(mount):o} {mount.uid or 0}:{mount.gid or 0}"


def _mode(mount: CacheMount) -> int:
    return 0o755 if mount.mode is None else mount.mode


def _seed(bench: Workbench, mount: CacheMount, files: BoundFiles | None) -> Seed:
    def fill(directory: Path) -> None:
        import os

        if files is not None:
            seed_directory(bench, files, directory)
            return
        os.chown(directory, mount.uid or 0, mount.gid or 0)
        directory.chmod(_mode(mount))

    return fill


def _cache_mount(mount: CacheMount, directory: Path) -> spec.BindMount:
    from dissolver.sandbox import spec

    return spec.BindMount(
        str(directory), mount.target, read_only=mount.is_read_only, create="directory"
    )


def _tmpfs(mount: TmpfsMount) -> spec.TmpfsMount:
    from dissolver.sandbox import spec

    return spec.TmpfsMount(mount.target, mount.size, executable=True, read_only=mount.is_read_only)
