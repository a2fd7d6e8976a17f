"""The Python API: one object that builds images and runs containers.

``Engine`` is the whole of it, and the command line is words and rendering
around it. Every method either does what it says and answers a value, or raises
a ``DissolverError`` that says what, where and what to try.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from dissolver.engine.arguments import several
from dissolver.engine.baking import Baking
from dissolver.engine.distribution import Distribution
from dissolver.engine.inquiries import Inquiries
from dissolver.engine.interchange import Interchange

if TYPE_CHECKING:
    import threading

    from dissolver.config import Settings
    from dissolver.containers.life import ContainerSummary, LogLine, RunOptions
    from dissolver.engine.comparison import ImageDifference
    from dissolver.engine.proxy import Proxy
    from dissolver.engine.results import (
        HistoryRow,
        Info,
        ListedVolume,
        Pruned,
        RunResult,
    )
    from dissolver.engine.session import Session
    from dissolver.image.config import Image
    from dissolver.store.cache_usage import CacheEntry
    from dissolver.store.fsck import Finding
    from dissolver.store.images import ListedImage, Removal
    from dissolver.store.usage import Usage

P = ParamSpec("P")
R = TypeVar("R")
OnOutput = Callable[[int, bytes], None]
OnWait = Callable[[], None]


class Engine(Baking, Interchange, Distribution, Inquiries):
    """Images, containers and builds of one store.

    Safe to use from several threads, and several engines and processes may share
    a store. Nothing is opened before the first call. An unprivileged user's
    engine works through a child process in a user namespace of its own, so the
    calling program keeps its identity; ``close`` ends that process.

    ``root`` is the store's directory, by default what the environment and
    ``config.toml`` say; ``settings`` takes the place of reading those.
    """

    def __init__(
        self, root: str | os.PathLike[str] | None = None, *, settings: Settings | None = None
    ) -> None:
        from dissolver.engine.session import open_backend

        self._backend: Session | Proxy = open_backend(root, settings)

    @property
    def settings(self) -> Settings:
        """The settings in effect."""
        return self._backend.settings

    def close(self) -> None:
        """Let go of the store; calling it again changes nothing."""
        self._backend.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _do(
        self,
        operation: Callable[Concatenate[Session, P], R],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> R:
        return self._backend.call(operation, *arguments, **named)

    # Containers --------------------------------------------------------------

    def run(
        self,
        image: str,
        command: Sequence[str] = (),
        options: RunOptions | None = None,
        *,
        stdin: bytes = b"",
        pull: str = "missing",
        on_output: OnOutput | None = None,
        cancel: threading.Event | None = None,
    ) -> RunResult:
        """Run a container to its end and answer everything it wrote.

        An image that is not there is fetched (``pull`` as for ``ensure_image``). ``stdin`` is
        what the process reads when ``options.interactive`` is set. ``on_output(stream, data)``
        is told output as it comes (1 standard output, 2 standard error). With
        ``options.detach`` it returns once the process runs, with exit code 0 and no output.
        ``options.remove`` removes the container afterwards. Setting ``cancel`` kills it, and so
        does Ctrl-C.

        Raises:
            ImageNotFound: no image answers to ``image``.
            RunError: it could not be started; ``exit_code`` is 125, 126 or 127.
            Cancelled: ``cancel`` was set.
        """
        import threading

        from dissolver.engine import containers

        if pull != "never":
            self.ensure_image(image, pull=pull, cancel=cancel)
        return self._do(
            containers.run,
            image,
            several("command", command),
            options,
            stdin,
            on_output,
            containers.current_directory(),
            cancel or threading.Event(),
        )

    def create(
        self,
        image: str,
        command: Sequence[str] = (),
        options: RunOptions | None = None,
        *,
        pull: str = "missing",
    ) -> str:
        """Create a container without starting it and answer its full ID.

        An image that is not there is fetched (``pull`` as for ``ensure_image``).

        Raises:
            ImageNotFound: no image answers to ``image``.
            NameInUse: another container is called ``options.name``.
        """
        from dissolver.engine import containers

        if pull != "never":
            self.ensure_image(image, pull=pull)
        where = containers.current_directory()
        return self._do(containers.create, image, several("command", command), options, where)

    def start(self, container: str, *, waits_for_attach: bool = False) -> None:
        """Start a created or exited container.

        With ``waits_for_attach`` the process begins when ``attach`` connects, so
        that no output is missed; otherwise it runs when this returns.
        """
        from dissolver.engine import containers

        self._do(containers.start, container, waits_for_attach)

    def attach(
        self,
        container: str,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> int:
        """Connect file descriptors to a container until it ends; answer its exit code.

        ``None`` leaves a stream unconnected. When the container has a terminal and
        ``stdin`` is one, that is made raw meanwhile and its size followed.
        """
        from dissolver.engine import containers

        return self._do(containers.attach, container, containers.streams(stdin, stdout, stderr))

    def exec(
        self,
        container: str,
        command: Sequence[str],
        *,
        environment: Sequence[str] = (),
        working_directory: str | None = None,
        user: str | None = None,
        interactive: bool = False,
        terminal: bool = False,
        detach: bool = False,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> RunResult:
        """Run a program in a running container until it ends.

        Output goes to the file descriptors that are given; without ``stdout`` and
        ``stderr`` it is answered. ``environment`` holds ``NAME=value`` texts.

        Raises:
            ContainerNotRunning: the container has to run for this.
            RunError: the program could not be started (126, 127).
        """
        from dissolver.containers.execute import ExecOptions
        from dissolver.engine import containers

        options = ExecOptions(
            env=tuple(environment),
            workdir=working_directory,
            user=user,
            interactive=interactive,
            terminal=terminal,
            detach=detach,
        )
        files = containers.streams(stdin, stdout, stderr)
        return self._do(containers.execute, container, several("command", command), options, files)

    def containers(self, *, all_: bool = False) -> list[ContainerSummary]:
        """List the running containers, or all of them, the newest first."""
        from dissolver.engine import containers

        return self._do(containers.list_all, all_)

    def container(self, container: str) -> ContainerSummary:
        """Tell about one container by its name, ID or unique ID prefix."""
        from dissolver.engine import containers

        return self._do(containers.summary, container)

    def stop(self, container: str, *, timeout: float | None = None) -> None:
        """Ask a container to stop; kill it after ``timeout`` seconds (by default 10)."""
        from dissolver.engine import containers

        self._do(containers.stop, container, timeout)

    def kill(self, container: str, signal: str = "KILL") -> None:
        """Send a signal, by name or number, to a running container."""
        from dissolver.engine import containers

        self._do(containers.kill, container, signal)

    def remove_container(
        self, container: str, *, force: bool = False, removes_volumes: bool = False
    ) -> None:
        """Remove a container that does not run; with ``force`` kill it first.

        Its anonymous volumes go with ``removes_volumes``.

        Raises:
            InUse: it runs.
        """
        from dissolver.engine import containers

        self._do(containers.remove, container, force, removes_volumes)

    def logs(
        self, container: str, *, follow: bool = False, tail: int | None = None
    ) -> Iterator[LogLine]:
        """Yield what a container wrote, or the last ``tail`` lines; ``follow`` waits for more."""
        from dissolver.engine import containers

        return self._do(containers.logs, container, follow, tail)

    def wait(self, container: str) -> int:
        """Wait until a container ends and answer its exit code."""
        from dissolver.engine import containers

        return self._do(containers.wait, container)

    def inspect_container(self, container: str) -> dict[str, Any]:
        """Tell everything about a container, in the shape of ``docker inspect``."""
        from dissolver.engine import inspect

        return self._do(inspect.container, container)

    # Images ------------------------------------------------------------------

    def images(self) -> list[ListedImage]:
        """List the images with their references, the newest first."""
        from dissolver.engine import images

        return self._do(images.list_all)

    def image(self, image: str) -> Image:
        """Find one image by name, ``name:tag``, digest or unique ID prefix."""
        from dissolver.engine import images

        return self._do(images.find, image)

    def tag(self, image: str, reference: str) -> None:
        """Give an image one more name; the name leaves the image that had it."""
        from dissolver.engine import images

        self._do(images.tag, image, reference)

    def remove_image(self, image: str, *, force: bool = False) -> Removal:
        """Take a name from an image, and remove the image with its last name.

        Raises:
            InUse: a container was made from it (with ``force``: one that runs).
        """
        from dissolver.engine import images

        return self._do(images.remove, image, force)

    def history(self, image: str) -> list[HistoryRow]:
        """List the instructions an image was made by, the newest first."""
        from dissolver.engine import images

        return self._do(images.history, image)

    def diff_images(self, before: str, after: str, *, times: bool = False) -> ImageDifference:
        """Tell what differs between two images: file by file, and field by field.

        Files are compared by type, mode, owner, size, content, link target, device and
        attributes, and with ``times`` by modification time; only indexes are read. Of the
        configurations all fields are compared, layers and history place by place.

        Raises:
            ImageNotFound: no local image answers to one of the two.
        """
        from dissolver.engine import comparison

        return self._do(comparison.diff_images, before, after, times)

    def inspect_image(self, image: str) -> dict[str, Any]:
        """Tell everything about an image, in the shape of ``docker image inspect``."""
        from dissolver.engine import inspect

        return self._do(inspect.image, image)

    def bootstrap(
        self,
        suite: str,
        *,
        tags: Sequence[str] = (),
        include: Sequence[str] = (),
        on_output: OnOutput | None = None,
    ) -> Image:
        """Make a base image of a Debian or Ubuntu suite from the machine's apt sources."""
        from dissolver.engine import images

        return self._do(images.bootstrap, suite, several("tags", tags), tuple(include), on_output)

    def import_image(
        self,
        source: str | os.PathLike[str] | int,
        *,
        tags: Sequence[str] = (),
        changes: Sequence[str] = (),
        message: str = "",
        platform: str | None = None,
    ) -> Image:
        """Make an image of a root file system in a tar: a path, a URL, or an open file.

        ``changes`` are Dockerfile instructions that shape its configuration, such as
        ``CMD ["sh"]``; ``message`` is the comment in its history. It is for ``platform``
        (``linux/arm64``), by default that of the machine.
        """
        from dissolver.engine import images
        from dissolver.engine.wire import Descriptor

        if isinstance(source, int):
            at = images.Source(descriptor=Descriptor(source))
        else:
            at = images.Source(location=os.fspath(source))
        lists = several("tags", tags), several("changes", changes)
        return self._do(images.import_tar, at, *lists, message, platform)

    def layer_cat(self, layer: str, descriptor: int) -> int:
        """Write a layer's tar to an open file and answer its size in bytes.

        ``layer`` is a diff ID or a unique prefix of one.
        """
        from dissolver.engine import images
        from dissolver.engine.wire import Descriptor

        return self._do(images.layer_cat, layer, images.Source(descriptor=Descriptor(descriptor)))

    # Tidying up ----------------------------------------------------------------

    def prune_images(
        self,
        *,
        all_: bool = False,
        filters: Sequence[str] = (),
        on_wait: OnWait | None = None,
    ) -> Pruned:
        """Remove images without a name, or with ``all_`` all that no container uses.

        It waits until nobody builds or moves images any more; ``on_wait`` is told once if somebody
        does.

        ``filters`` leave those that do not fit: ``until=24h`` (or a time) was made before, and
        ``label=NAME[=VALUE]`` and ``label!=NAME[=VALUE]`` are about labels.

        Raises:
            BadOption: a filter is none.
        """
        from dissolver.engine import tidy

        return self._do(tidy.prune_images, all_, several("filters", filters), on_wait)

    def prune_containers(self, *, filters: Sequence[str] = ()) -> Pruned:
        """Remove every container that does not run; ``filters`` as for ``prune_images``.

        Raises:
            BadOption: a filter is none.
        """
        from dissolver.engine import tidy

        return self._do(tidy.prune_containers, several("filters", filters))

    def volumes(self) -> list[ListedVolume]:
        """List the volumes of the store by name, with the containers that mount each."""
        from dissolver.engine import volumes

        return self._do(volumes.list_all)

    def remove_volume(self, name: str, *, on_wait: OnWait | None = None) -> None:
        """Remove a volume with all it holds; ``on_wait`` as for ``prune_images``.

        Raises:
            VolumeNotFound: there is none of this name.
            InUse: a container mounts it, running or not.
        """
        from dissolver.engine import volumes

        self._do(volumes.remove, name, on_wait)

    def prune_volumes(self, *, all_: bool = False, on_wait: OnWait | None = None) -> Pruned:
        """Remove anonymous volumes that no container mounts, with ``all_`` named ones, too.

        ``on_wait`` is told as by ``prune_images``.
        """
        from dissolver.engine import volumes

        return self._do(volumes.prune, all_, on_wait)

    def prune_builder(
        self, *, filters: Sequence[str] = (), on_wait: OnWait | None = None
    ) -> Pruned:
        """Forget the build cache, cache mounts included; the next build runs every step again.

        The filter ``until=24h`` (or a time) leaves what was used since. ``on_wait`` is told as by
        ``prune_images``.

        Raises:
            BadOption: a filter is none.
        """
        from dissolver.engine import tidy

        return self._do(tidy.prune_builder, several("filters", filters), on_wait)

    def prune_system(
        self,
        *,
        all_: bool = False,
        volumes: bool = False,
        filters: Sequence[str] = (),
        on_wait: OnWait | None = None,
    ) -> Pruned:
        """Remove stopped containers, images as ``prune_images``, and the build cache.

        With ``volumes`` the anonymous ones that no container mounts go, too. Where ``filters``
        are about labels, which results of steps do not have, the build cache stays.

        Raises:
            BadOption: a filter is none, or goes with ``volumes``.
        """
        from dissolver.engine import tidy

        return self._do(tidy.prune_system, all_, volumes, several("filters", filters), on_wait)

    def disk_usage(self) -> list[Usage]:
        """Tell what images, containers and the build cache take on disk."""
        from dissolver.engine import tidy

        return self._do(tidy.disk_usage)

    def build_cache(self) -> list[CacheEntry]:
        """List what the build cache keeps, cache mounts included; the last used first."""
        from dissolver.engine import tidy

        return self._do(tidy.list_cache)

    def check(self) -> list[Finding]:
        """Verify everything in the store; findings of the kind ``leftover`` are harmless."""
        from dissolver.engine import tidy

        return self._do(tidy.check)

    def info(self) -> Info:
        """Tell about the engine, its store and what the kernel offers."""
        from dissolver.engine import tidy

        return self._do(tidy.info)
