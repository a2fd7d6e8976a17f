"""Builds, as the engine offers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from dissolver.build.bases import OpenSources
    from dissolver.build.events import OnEvent
    from dissolver.build.request import BuildRequest, BuildResult
    from dissolver.build.together import Order
    from dissolver.engine.session import Session
    from dissolver.registry.resolve import Sources


def build(
    session: Session,
    request: BuildRequest,
    on_event: OnEvent | None,
    cancel: threading.Event | None,
) -> BuildResult:
    """Carry out ``request``; see ``dissolver.build.builder.build``."""
    from dissolver.build.builder import build as carry_out

    return carry_out(
        session.store, request, on_event, cancel=cancel, open_sources=_registries(session)
    )


def bake(
    session: Session,
    orders: tuple[Order, ...],
    on_event: OnEvent | None,
    cancel: threading.Event | None,
) -> dict[str, BuildResult]:
    """Carry out ``orders``; see ``dissolver.build.together.build_together``."""
    from dissolver.build.together import build_together

    return build_together(
        session.store, orders, on_event, cancel=cancel, open_sources=_registries(session)
    )


def plan(session: Session, request: BuildRequest) -> str:
    """Say what ``request`` would do; see ``dissolver.build.builder.explain_plan``."""
    from dissolver.build.builder import explain_plan

    return explain_plan(session.store, request, _registries(session))


def _registries(session: Session) -> OpenSources:
    """Give the way to registries; what speaks to them is imported when one is asked."""

    def open_sources(is_cancelled: Callable[[], bool]) -> AbstractContextManager[Sources]:
        from dissolver.registry import access

        return access.open_sources(session.settings.registries, is_cancelled)

    return open_sources
