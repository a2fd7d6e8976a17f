"""The part of the engine that speaks to registries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    import threading

    from dissolver.engine.session import Session
    from dissolver.image.config import Image
    from dissolver.registry.access import Found
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

        ``pull`` is ``missing``, ``always`` or ``never``. ``on_missing`` is told the name of an
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
