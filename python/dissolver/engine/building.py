"""Builds, as methods of the engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from dissolver.engine.arguments import several

if TYPE_CHECKING:
    import threading
    from typing import Unpack

    from dissolver.build.events import OnEvent
    from dissolver.build.request import BuildResult
    from dissolver.cache.shared.options import CacheExport, CacheImport, Word
    from dissolver.config import Settings
    from dissolver.engine.session import Session
    from dissolver.engine.wire import Descriptor
    from dissolver.export.output import Output
    from dissolver.image.annotations import Annotation
    from dissolver.sandbox.confining_options import BuildConfinement

STDIN = "-"
"""What a context is called that is an open file."""

P = ParamSpec("P")
R = TypeVar("R")


class Building:
    """What an engine builds."""

    if TYPE_CHECKING:

        @property
        def settings(self) -> Settings:
            """The settings in effect."""

        def _do(
            self,
            operation: Callable[Concatenate[Session, P], R],
            *arguments: P.args,
            **named: P.kwargs,
        ) -> R: ...

    def build(
        self,
        context: str | os.PathLike[str] | int = ".",
        *,
        contexts: Mapping[str, str] | None = None,
        dockerfile: str | os.PathLike[str] | None = None,
        dockerfile_text: str | None = None,
        tags: Sequence[str] = (),
        target: str | None = None,
        build_args: Mapping[str, str] | None = None,
        no_cache: bool = False,
        no_cache_filter: Sequence[str] = (),
        pull: bool = False,
        platform: str | None = None,
        host_certificates: bool | None = None,
        network: str = "default",
        add_hosts: Sequence[str] = (),
        allow: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        secrets: Mapping[str, bytes] | None = None,
        ssh: Mapping[str, Sequence[str]] | None = None,
        outputs: Sequence[str | Mapping[str, str] | Output] = (),
        cache_from: Sequence[str | Mapping[str, str]] = (),
        cache_to: Sequence[str | Mapping[str, str]] = (),
        on_event: OnEvent | None = None,
        cancel: threading.Event | None = None,
        **confinement: Unpack[BuildConfinement],
    ) -> BuildResult:
        """Build an image from a Dockerfile and the files of ``context``.

        That is a directory, a git repository (``https://host/repo.git#ref:directory``), the URL of
        an archive or of a Dockerfile, or an open file with one of these. ``contexts`` are
        further ones by name, images among them (``docker-image://``, ``oci-layout://``).
        ``dockerfile`` is a path relative to the current directory, or inside of what is not a
        directory; by default the context's own ``Dockerfile`` is read.

        Images that are not there are fetched from their registries; with ``pull`` these are
        asked anew what each name means.
        ``platform`` is what the image is for, such as ``linux/arm64`` (by default this machine);
        RUN steps of another one need an emulator.
        ``no_cache`` runs every step again, ``no_cache_filter`` those of the stages it names.
        ``network`` (``default``, ``none`` or ``host``), ``add_hosts`` (``name:address``) and
        the words of ``BuildConfinement`` are for RUN steps.
        ``allow`` names rights that the Dockerfile may take: ``network.host`` and
        ``security.insecure``.
        ``labels`` go into the image, ``annotations`` into its manifest; their names may begin
        with where they lie (``manifest-descriptor:``).
        ``host_certificates`` lends the machine's trust store to RUN steps (by default as the
        settings say). ``secrets`` are contents by the id that `RUN --mount=type=secret` asks
        for, and ``ssh`` maps ids of `RUN --mount=type=ssh` to the path of an agent's socket,
        or to those of private keys.
        ``outputs`` say what is left behind, as texts (``type=oci,dest=app.tar``), as mappings of
        the same keys, or as ``Output``; by default the image goes into the store.
        ``SOURCE_DATE_EPOCH``, a build argument or else a variable of the caller's environment,
        is the time that the image says it is of.
        ``cache_from`` and ``cache_to`` are caches that machines share, as the command line
        has them (``type=registry,ref=…``, or the name of an image), or by their fields: the
        first are asked for results, the others are told them.
        ``on_event`` is called with each event of ``build.events``, from several
        threads but never twice at once. Setting ``cancel`` ends the build soon.

        Raises:
            DockerfileError: a mistake in the Dockerfile, with its place.
            StepFailed: a RUN step ended with another code than 0.
            BadCacheOption: ``cache_from`` or ``cache_to`` makes no sense.
            CacheExportFailed: the image is stored, and a cache could not be written.
            BuildError: anything else that a build depends on.
            ExportError: an output says nothing that can be meant, or cannot be written.
            BadOption: a text among the options says nothing that can be meant.
            Cancelled: ``cancel`` was set. Ctrl-C ends the build as well, and passes
                through as ``KeyboardInterrupt`` when everything has ended.
        """
        from dissolver.build.epoch import with_epoch
        from dissolver.build.request import BuildRequest, network_mode
        from dissolver.build.rights import check_names
        from dissolver.config import caller_environment
        from dissolver.engine import builds
        from dissolver.errors import BadOption

        check_names(allow)
        if not all(name.strip() for name in labels or ()):
            raise BadOption("a label has no name")
        _check_texts("label", labels or {})
        _check_texts("annotation", annotations or {})
        _check_texts("build argument", build_args or {})
        if not all(isinstance(value, bytes) for value in (secrets or {}).values()):
            raise BadOption("a secret's content has to be bytes")
        if no_cache and no_cache_filter:
            raise BadOption(
                "`--no-cache` does every step again, and `--no-cache-filter` only some",
                hint="leave one of them out",
            )
        environment = caller_environment()
        certificates = self.settings.host_certificates
        request = BuildRequest(
            context=STDIN if isinstance(context, int) else os.fspath(context),
            context_file=_descriptor(context) if isinstance(context, int) else None,
            contexts=dict(contexts or {}),
            dockerfile=None if dockerfile is None else os.fspath(dockerfile),
            dockerfile_text=dockerfile_text,
            tags=several("tags", tags),
            target=target,
            build_args=with_epoch(build_args or {}, environment),
            no_cache=no_cache,
            no_cache_filter=tuple(no_cache_filter),
            pull=pull,
            platform=platform,
            host_certificates=certificates if host_certificates is None else host_certificates,
            certificate_file=environment.get("SSL_CERT_FILE"),
            network=network_mode(network),
            **_surroundings(add_hosts, confinement),
            allow=tuple(allow),
            labels=dict(labels or {}),
            annotations=_annotations(annotations),
            secrets=dict(secrets or {}),
            ssh={identity: tuple(paths) for identity, paths in (ssh or {}).items()},
            environment=environment,
            outputs=tuple(_placed(one) for one in outputs),
            cache_from=_read_imports(cache_from),
            cache_to=_read_exports(cache_to),
        )
        return self._do(builds.build, request, on_event, cancel)


def _descriptor(number: int) -> Descriptor:
    from dissolver.engine.wire import Descriptor

    return Descriptor(number)


def _placed(given: str | Mapping[str, str] | Output) -> Output:
    """Read an output, and name its place so that another process finds it."""
    from dissolver.export.output import STDOUT, Output, parse_output, read_output

    if isinstance(given, str):
        given = parse_output(given)
    elif not isinstance(given, Output):
        given = read_output(given)
    dest = given.dest
    if dest == STDOUT or (dest is None and given.kind in ("oci", "tar")):
        dest = 1
    if isinstance(dest, int):
        return replace(given, dest=_descriptor(dest))
    return given if dest is None else replace(given, dest=str(Path.cwd() / dest))


def _surroundings(hosts: Sequence[str], confinement: BuildConfinement) -> dict[str, Any]:
    """Read what steps see of the machine; what reads it is imported where something is said."""
    found: dict[str, Any] = {}
    if hosts:
        from dissolver.network.hosts import parse_host

        found["hosts"] = tuple(parse_host(text) for text in hosts)
    if confinement:
        from dissolver.sandbox.confining_options import read_confinement

        found["confinement"] = read_confinement("build", confinement)
    return found


def _check_texts(kind: str, given: Mapping[str, str]) -> None:
    """Check that what becomes a part of an image's documents can be written into them."""
    from dissolver.errors import BadOption

    for name, value in given.items():
        try:
            f"{name}={value}".encode()
        except UnicodeEncodeError:
            raise BadOption(
                f"the {kind} `{name}` is no text", hint="names and values are UTF-8"
            ) from None


def _annotations(given: Mapping[str, str] | None) -> tuple[Annotation, ...]:
    if not given:
        return ()
    from dissolver.image.annotations import parse_annotations

    return parse_annotations(given)


def _read_imports(words: Sequence[Word]) -> tuple[CacheImport, ...]:
    if not words:
        return ()
    from dissolver.cache.shared.options import read_imports

    return read_imports(words)


def _read_exports(words: Sequence[Word]) -> tuple[CacheExport, ...]:
    if not words:
        return ()
    from dissolver.cache.shared.options import read_exports

    return read_exports(words)
