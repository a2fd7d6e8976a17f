"""The part of the engine that speaks to registries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    import threading

    from dissolver.engine.session import Session
    from dissolver.image.config import Image
    from dissolver.registry.access import Found
    from dissolver.registry.copying import Copied
    from dissolver.registry.events import OnTransfer
    from dissolver.registry.pull import Pulled
    from dissolver.registry.push import Pushed

P = ParamSpec("P")
R = TypeVar("R")


class Distribution:
    """Images from and to registries; ``Engine`` is what people use."""

    if TYPE_CHECKING:

        def _do(
            self,
            operation: Callable[Concatenate[Session, P], R],
            *arguments: P.args,
            **named: P.kwargs,
        ) -> R: ...

    def pull(
        self,
        image: str,
        *,
        platform: str | None = None,
        all_tags: bool = False,
        on_event: OnTransfer | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Pulled]:
        """Fetch an image from its registry, or with ``all_tags`` all of a repository.

        Of an image for several platforms the machine's is taken, or ``platform``
        (``linux/arm64``). Layers that are there are not fetched again, and an interrupted pull
        goes on where it stopped. ``on_event`` is told each event of ``registry.events``. Setting
        ``cancel`` ends the pull soon, and so does Ctrl-C.

        Raises:
            NotInRegistry: the registry has no such image, or none for the platform.
            AccessDenied: it wants other credentials.
            RegistryUnreachable: it does not answer.
            ContentMismatch: something is not what its digest says.
        """
        from dissolver.engine import registries

        return self._do(registries.pull, image, platform, all_tags, on_event, cancel)

    def ensure_image(
        self,
        image: str,
        *,
        pull: str = "missing",
        platform: str | None = None,
        on_missing: Callable[[str], None] | None = None,
        on_event: OnTransfer | None = None,
        cancel: threading.Event | None = None,
    ) -> Image:
        """Have an image, from its registry if need be, and answer it.

        ``pull`` is ``missing``, ``always`` or ``never``. With ``platform`` a local image for
        another one is missing. ``on_missing`` is told the name of an
        image that is not there before a registry is asked. The rest is as for ``pull``.

        Raises:
            ImageNotFound: it is not there, and no registry has it or answers.
        """
        from dissolver.engine import registries

        return self._do(registries.ensure, image, pull, platform, on_missing, on_event, cancel)

    def push(
        self,
        image: str,
        *,
        all_tags: bool = False,
        compression: str = "gzip",
        on_event: OnTransfer | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Pushed]:
        """Send a local image to the registry that its name begins with.

        What is there is not sent. Layers that were pulled go back as they came; the others
        are compressed (``gzip``, ``zstd`` or ``none``). The rest is as for ``pull``.

        Raises:
            ImageNotFound: no local image has the name.
            AccessDenied: the registry allows no push.
            RegistryUnreachable: it does not answer.
        """
        from dissolver.engine import registries

        return self._do(registries.push, image, all_tags, compression, on_event, cancel)

    def login(self, registry: str, user: str, password: str) -> str | None:
        """Try a user's password at a registry, and keep it where Docker does.

        An empty ``registry`` is the default one. Answers the file in which the password can be
        read, or ``None`` if a credential helper keeps it.

        Raises:
            AccessDenied: the registry refuses them.
            CredentialsError: they cannot be kept.
        """
        from dissolver.engine import registries

        return self._do(registries.login, registry, user, password)

    def logout(self, registry: str = "") -> bool:
        """Forget who one is to a registry; tell whether that was known."""
        from dissolver.engine import registries

        return self._do(registries.logout, registry)

    def search(self, term: str, *, limit: int = 25) -> list[Found]:
        """Ask the default registry, or ``HOST/TERM``, for images.

        Raises:
            RegistryError: it does not answer, or answers no searches.
        """
        from dissolver.engine import registries

        return self._do(registries.search, term, limit)

    # Manifests -----------------------------------------------------------------

    def copy_image(
        self,
        source: str,
        target: str,
        *,
        platform: str | None = None,
        all_platforms: bool = False,
        on_event: OnTransfer | None = None,
        cancel: threading.Event | None = None,
    ) -> Copied:
        """Copy an image from place to place, without changing a byte where that can be.

        A place is a name (``docker://NAME`` as well) in a registry, ``store:NAME``,
        ``oci:DIRECTORY[:TAG]``, ``oci-archive:FILE[:TAG]`` or ``docker-archive:FILE[:NAME]``.
        An index is copied with all its images, or with ``platform`` the one for that alone. The
        store and archives for Docker take one image, this machine's unless ``platform`` is
        another; ``all_platforms`` refuses them.

        Raises:
            NotInRegistry, AccessDenied, RegistryUnreachable: what the registries say.
            ImageNotFound, IntakeError: the source has no such image, or lacks a part of it.
            ExportError: the target cannot hold what it should.
        """
        from dissolver.engine import manifests
        from dissolver.exchange.places import made_absolute

        here = Path.cwd()
        return self._do(
            manifests.copy,
            made_absolute(source, here),
            made_absolute(target, here),
            platform,
            all_platforms,
            on_event,
            cancel,
        )

    def inspect_manifest(self, image: str) -> dict[str, Any]:
        """Give the manifest or index of an image in a registry, or a list that is kept here.

        The answer has ``Name``, ``MediaType``, ``Digest``, ``Size``, and the document itself
        as ``Manifest``.
        """
        from dissolver.engine import manifests

        return self._do(manifests.inspect, image)

    def inspect_remote(self, image: str, *, platform: str | None = None) -> dict[str, Any]:
        """Tell about an image in a registry in the shape of ``docker image inspect``.

        No layer is fetched; ``Size`` counts them as they are there, compressed.
        """
        from dissolver.engine import manifests

        return self._do(manifests.inspect_remote, image, platform)

    def create_manifest(
        self, name: str, images: Sequence[str], *, amend: bool = False
    ) -> dict[str, Any]:
        """Begin a list of images for several platforms, or add to one with ``amend``.

        The images are in registries already. Answers as ``inspect_manifest``.

        Raises:
            RegistryError: there is such a list already, or what registries say.
        """
        from dissolver.engine import manifests

        return self._do(manifests.create, name, tuple(images), amend)

    def annotate_manifest(
        self,
        name: str,
        image: str,
        *,
        platform: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Change what a list says of an image.

        ``platform`` has some of ``os``, ``architecture`` and ``variant``.

        Raises:
            ImageNotFound: there is no such list, or the image is not in it.
        """
        from dissolver.engine import manifests

        return self._do(
            manifests.annotate, name, image, dict(platform or {}), dict(annotations or {})
        )

    def push_manifest(
        self, name: str, *, purge: bool = False, on_event: OnTransfer | None = None
    ) -> str:
        """Send a list to its registry, with images that its repository lacks; answer its digest.

        With ``purge`` the list is removed here afterwards.
        """
        from dissolver.engine import manifests

        return self._do(manifests.push, name, purge, on_event)

    def remove_manifest(self, name: str) -> None:
        """Remove a list that is kept here; what was pushed stays."""
        from dissolver.engine import manifests

        self._do(manifests.remove, name)
