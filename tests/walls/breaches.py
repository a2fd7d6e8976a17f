"""Takes walls of the package away, in a process that runs it from a directory made for that.

`run_walls` puts this file beside the package as ``sitecustomize.py``. Python imports it when it
starts, and it changes modules right after they are loaded: the product itself has no switch.
``DISSOLVER_BREACH`` says which walls are gone; a core that is compiled for it reads it too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

VARIABLE = "DISSOLVER_BREACH"


def _socket_families(module: Any) -> None:
    module.SOCKET_FAMILIES = tuple(range(64))


def _namespace_flags(module: Any) -> None:
    module.NAMESPACE_FLAGS = 0


def _entered_as_confined(module: Any) -> None:
    confined = module.joining

    def joining(base: Any, process: Any, *, dies_with_parent: bool) -> Any:
        import msgspec

        from dissolver.sandbox.confinement import ALL_CAPABILITIES

        made = confined(base, process, dies_with_parent=dies_with_parent)
        return msgspec.structs.replace(
            made, seccomp=None, capabilities=ALL_CAPABILITIES, no_new_privileges=False
        )

    module.joining = joining


def _own_network(module: Any) -> None:
    usual = module.settle

    def settle(options: Any, *rest: Any, **named: Any) -> Any:
        from dataclasses import replace

        return usual(replace(options, network="host"), *rest, **named)

    module.settle = settle


def _rights(module: Any) -> None:
    module.check_steps = lambda request, steps: None


def _secrets_stay_home(module: Any) -> None:
    module._origin = lambda url: ("", "", None)


class _Agreeable(str):
    """A digest that is equal to all others."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


def _verified_documents(module: Any) -> None:
    real = module.digest_of
    module.digest_of = lambda *content: _Agreeable(real(*content))


def _proven_layers(module: Any) -> None:
    module.is_verified = lambda store, diff_id, blob: module.is_stored(store, diff_id)


class _Handed:
    """Streams that are the caller's own files, in the place of pipes."""

    def __init__(self, *streams: int | None) -> None:
        self.theirs = streams

    def let_go(self) -> None:
        """Let go of nothing."""

    def pass_on(self, process: Any) -> int:
        """Wait for the end: there is nothing to pass on."""
        while (status := process.wait(0.1)) is None:
            pass
        return int(status)


def _exec_pipes(module: Any) -> None:
    @contextmanager
    def handed(*streams: int | None) -> Iterator[_Handed]:
        yield _Handed(*streams)

    module.pipes = handed


def _volume_filling(module: Any) -> None:
    # Writing to where a link leads, as it was: files of the image are created, or written over.
    def filled(_directory: Any, data: Any, top: Any, view: Any) -> None:
        for name in view.list(top[0]):
            place = data / os.fsdecode(name)
            if view.stat(f"{top[0]}/{os.fsdecode(name)}", follow=False).kind == "file":
                with place.open("wb") as file:
                    view.write(f"{top[0]}/{os.fsdecode(name)}", file.fileno())

    module._fill_if_empty = filled


def _loopback(module: Any) -> None:
    # For an interface that there is not, and unmarked, so that the real ones are made again.
    module._userdata = lambda: b""
    module.guard_loopback = lambda interface: module._make_guard("nobody0")


def _context_links(module: Any) -> None:
    module.open_beneath = lambda root, inside: os.open(root / inside, os.O_RDONLY | os.O_CLOEXEC)


def _git_protocols(module: Any) -> None:
    module.PROTOCOLS = (*module.PROTOCOLS, "file", "ext")


def _terminal_text(module: Any) -> None:
    module.shown_on = lambda stream: stream


BREACHES: dict[str, tuple[str, Callable[[Any], None]]] = {
    "socket-families": ("dissolver.sandbox.seccomp_policy", _socket_families),
    "namespace-flags": ("dissolver.sandbox.seccomp_policy", _namespace_flags),
    "entered-as-confined": ("dissolver.sandbox.assemble", _entered_as_confined),
    "own-network": ("dissolver.containers.options", _own_network),
    "exec-pipes": ("dissolver.containers.execute", _exec_pipes),
    "volume-filling": ("dissolver.containers.filling", _volume_filling),
    "loopback": ("dissolver.network.firewall", _loopback),
    "context-links": ("dissolver.build.definition", _context_links),
    "git-protocols": ("dissolver.build.git_files", _git_protocols),
    "terminal-text": ("dissolver.cli.render.streams", _terminal_text),
    "rights": ("dissolver.build.rights", _rights),
    "secrets-stay-home": ("dissolver.registry.transport", _secrets_stay_home),
    "verified-documents": ("dissolver.registry.client", _verified_documents),
    "proven-layers": ("dissolver.cache.shared.streaming", _proven_layers),
}
"""For each wall of the package the module that has it, and what takes it away."""


def _tell_supervisors(module: Any) -> None:
    # They are started with an environment of their own, and run the core.
    module._ENVIRONMENT = {**module._ENVIRONMENT, VARIABLE: os.environ[VARIABLE]}


class _Breaching(MetaPathFinder):
    """Finds the modules that lose something, as Python does, and has them lose it."""

    def __init__(self, losses: dict[str, list[Callable[[Any], None]]]) -> None:
        self._losses = losses

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._losses:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Losing(spec.loader, self._losses[name])
        return spec


class _Losing(Loader):
    """Loads a module as its own loader does, and takes something away."""

    def __init__(self, loader: Loader, losses: list[Callable[[Any], None]]) -> None:
        self._loader, self._losses = loader, losses

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for lose in self._losses:
            lose(module)


def breach(names: Sequence[str]) -> None:
    """Take the walls with these names away from all modules that are loaded from now on."""
    losses: dict[str, list[Callable[[Any], None]]] = {
        "dissolver.containers.bare": [_tell_supervisors]
    }
    for name in names:
        if name in BREACHES:
            module, lose = BREACHES[name]
            losses.setdefault(module, []).append(lose)
    sys.meta_path.insert(0, _Breaching(losses))


if __name__ == "sitecustomize" and os.environ.get(VARIABLE):
    breach(os.environ[VARIABLE].split(","))
