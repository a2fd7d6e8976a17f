"""Bake files, as methods of the engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from dissolver.engine.building import Building

if TYPE_CHECKING:
    import threading

    from dissolver.bake.selection import Selection
    from dissolver.bake.target import Definition
    from dissolver.build.events import OnEvent
    from dissolver.build.request import BuildRequest, BuildResult
    from dissolver.build.together import Order
    from dissolver.config import Settings
    from dissolver.engine.session import Session

P = ParamSpec("P")
R = TypeVar("R")
File = str | os.PathLike[str]


class Baking(Building):
    """What an engine builds from bake files."""

    def bake(
        self,
        targets: Sequence[str] = (),
        *,
        files: Sequence[File] = (),
        stdin: str | None = None,
        variables: Mapping[str, str] | None = None,
        overrides: Sequence[str] = (),
        allow: Sequence[str] = (),
        host_certificates: bool | None = None,
        on_event: OnEvent | None = None,
        cancel: threading.Event | None = None,
    ) -> dict[str, BuildResult]:
        """Build the targets of bake files and of compose files, as many at a time as can be.

        ``targets`` are names of targets and groups, or patterns of such; by default ``default``.
        ``files`` are read instead of those that the current directory has; ``stdin`` is the text
        of one that is called ``-``. ``variables`` take the place of those of the environment.
        ``overrides`` are ``TARGET.KEY=VALUE`` texts, as ``--set`` has them. ``allow`` names what
        files may ask for beyond the current directory: ``network.host``, ``fs.read=/path`` and
        so on. What two targets have in common is done once; the first failure ends all.

        Answers the results by the names of the targets, those included that others take files
        from. The rest is as for ``build``.

        Raises:
            BakeFileError: a mistake in a file, with its place, or something that is not allowed.
            DissolverError: as ``build``.
        """
        from dissolver.engine import builds

        selection = self.bake_selection(
            targets, files=files, stdin=stdin, variables=variables, overrides=overrides
        )
        orders = self._orders(selection, allow, host_certificates)
        return self._do(builds.bake, orders, on_event, cancel)

    def bake_selection(
        self,
        targets: Sequence[str] = (),
        *,
        files: Sequence[File] = (),
        stdin: str | None = None,
        variables: Mapping[str, str] | None = None,
        overrides: Sequence[str] = (),
    ) -> Selection:
        """Tell what ``bake`` would build, all values evaluated; nothing is built.

        Raises:
            BakeFileError: a mistake in a file, with its place.
        """
        from dissolver.bake.selection import select
        from dissolver.config import caller_environment

        definition = self.bake_definition(files=files, stdin=stdin, variables=variables)
        environment = caller_environment()
        return select(definition, targets, overrides=overrides, environment=environment)

    def bake_definition(
        self,
        *,
        files: Sequence[File] = (),
        stdin: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Definition:
        """Tell which targets, groups and variables bake files have.

        Raises:
            BakeFileError: a mistake in a file, with its place.
        """
        from dissolver.bake.sources import define, find_files, read_sources
        from dissolver.build.emulation import machine_platform
        from dissolver.config import caller_environment

        environment = caller_environment()
        directory = Path()
        names = find_files([os.fspath(file) for file in files], environment, directory)
        return define(
            read_sources(names, directory, stdin),
            environment=environment,
            given=variables or {},
            platform=str(machine_platform()),
            directory=directory,
        )

    def _orders(
        self, selection: Selection, allow: Sequence[str], host_certificates: bool | None
    ) -> tuple[Order, ...]:
        from dissolver.bake.permissions import check_allowed
        from dissolver.bake.requests import build_words, check_places
        from dissolver.bake.selection import linked_names
        from dissolver.build.together import Order
        from dissolver.config import caller_environment

        environment = caller_environment()
        places = check_allowed(selection, allow, environment, Path())
        check_places(selection.targets.values())
        asked = _Asked(self.settings)
        orders: list[Order] = []
        for name, target in selection.targets.items():
            words = build_words(target, environment)
            request = asked.request(**words, host_certificates=host_certificates)
            request = replace(request, places=places[name])
            orders.append(Order(name, request, linked_names(target)))
        return tuple(orders)


class _Asked(Building):
    """Takes the words of a build for what they ask, and builds nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def settings(self) -> Settings:
        """The settings in effect."""
        return self._settings

    def request(self, **words: Any) -> BuildRequest:
        """Give the request that ``build`` makes of some words."""
        asked: Any = self.build(**words)
        request: BuildRequest = asked
        return request

    def _do(
        self,
        operation: Callable[Concatenate[Session, P], R],  # noqa: ARG002 - it stays undone
        *arguments: P.args,
        **_named: P.kwargs,
    ) -> R:
        request: Any = arguments[0]
        result: R = request
        return result
