"""Questions about builds, as the engine offers them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from dissolver.build.inquiry import CheckReport, FixReport
    from dissolver.build.request import BuildRequest
    from dissolver.engine.session import Session
    from dissolver.plan.outline import Outline, Target

P = ParamSpec("P")
R = TypeVar("R")


class Inquiries:
    """What an engine answers about a Dockerfile without building it."""

    if TYPE_CHECKING:

        def _do(
            self,
            operation: Callable[Concatenate[Session, P], R],
            *arguments: P.args,
            **named: P.kwargs,
        ) -> R: ...

    def check_dockerfile(
        self,
        context: str | os.PathLike[str] = ".",
        *,
        dockerfile: str | os.PathLike[str] | None = None,
        dockerfile_text: str | None = None,
        target: str | None = None,
        build_args: Mapping[str, str] | None = None,
        contexts: Mapping[str, str] | None = None,
        platform: str | None = None,
    ) -> CheckReport:
        """Find what a Dockerfile violates: rules of docs/checks.md, and mistakes.

        All stages are looked at unless ``target`` names one. No registry is asked. A mistake
        is a part of the answer (``error``).
        """
        request = asked(
            context, dockerfile, dockerfile_text, target, build_args, contexts, platform
        )
        return self._do(check, request)

    def fix_dockerfile(
        self,
        context: str | os.PathLike[str] = ".",
        *,
        dockerfile: str | os.PathLike[str] | None = None,
        dockerfile_text: str | None = None,
        target: str | None = None,
        build_args: Mapping[str, str] | None = None,
        contexts: Mapping[str, str] | None = None,
        platform: str | None = None,
    ) -> FixReport:
        """Rewrite what can be rewritten safely, and answer the text; no file is changed."""
        request = asked(
            context, dockerfile, dockerfile_text, target, build_args, contexts, platform
        )
        return self._do(fix, request)

    def outline(
        self,
        context: str | os.PathLike[str] = ".",
        *,
        dockerfile: str | os.PathLike[str] | None = None,
        dockerfile_text: str | None = None,
        target: str | None = None,
        build_args: Mapping[str, str] | None = None,
        contexts: Mapping[str, str] | None = None,
        platform: str | None = None,
    ) -> Outline:
        """Tell which arguments, secrets and agents a target takes.

        Raises:
            DockerfileError: a mistake in the Dockerfile, with its place.
        """
        request = asked(
            context, dockerfile, dockerfile_text, target, build_args, contexts, platform
        )
        return self._do(outline, request)

    def plan(
        self,
        context: str | os.PathLike[str] = ".",
        *,
        dockerfile: str | os.PathLike[str] | None = None,
        dockerfile_text: str | None = None,
        target: str | None = None,
        build_args: Mapping[str, str] | None = None,
        contexts: Mapping[str, str] | None = None,
        platform: str | None = None,
    ) -> str:
        """Say in words what ``build`` would do, step by step; nothing is run or written.

        Raises:
            DockerfileError: a mistake in the Dockerfile, with its place.
            ImageNotFound: a base is no local image.
        """
        from dissolver.engine import builds

        request = asked(
            context, dockerfile, dockerfile_text, target, build_args, contexts, platform
        )
        return self._do(builds.plan, request)

    def targets(
        self,
        context: str | os.PathLike[str] = ".",
        *,
        dockerfile: str | os.PathLike[str] | None = None,
        dockerfile_text: str | None = None,
    ) -> tuple[Target, ...]:
        """List the stages of a Dockerfile that can be built.

        Raises:
            DockerfileError: a mistake in the Dockerfile, with its place.
        """
        return self._do(targets, asked(context, dockerfile, dockerfile_text))


def asked(
    context: str | os.PathLike[str],
    dockerfile: str | os.PathLike[str] | None,
    dockerfile_text: str | None,
    target: str | None = None,
    build_args: Mapping[str, str] | None = None,
    contexts: Mapping[str, str] | None = None,
    platform: str | None = None,
) -> BuildRequest:
    """Make the request of a build that is only asked about."""
    from dissolver.build.epoch import with_epoch
    from dissolver.build.request import BuildRequest
    from dissolver.config import caller_environment

    return BuildRequest(
        context=os.fspath(context),
        dockerfile=None if dockerfile is None else os.fspath(dockerfile),
        dockerfile_text=dockerfile_text,
        target=target,
        build_args=with_epoch(build_args or {}, caller_environment()),
        contexts=dict(contexts or {}),
        platform=platform,
    )


def check(session: Session, request: BuildRequest) -> CheckReport:
    """Check the file of ``request``; see ``dissolver.build.inquiry.check_build``."""
    from dissolver.build.inquiry import check_build

    return check_build(session.store, request)


def fix(session: Session, request: BuildRequest) -> FixReport:
    """Rewrite the file of ``request``; see ``dissolver.build.inquiry.fix_build``."""
    from dissolver.build.inquiry import fix_build

    return fix_build(session.store, request)


def outline(session: Session, request: BuildRequest) -> Outline:
    """Outline the target of ``request``; see ``dissolver.build.inquiry.outline_of``."""
    from dissolver.build.inquiry import outline_of

    del session
    return outline_of(request)


def targets(session: Session, request: BuildRequest) -> tuple[Target, ...]:
    """List the stages of ``request``; see ``dissolver.build.inquiry.targets_of``."""
    from dissolver.build.inquiry import targets_of

    del session
    return targets_of(request)
