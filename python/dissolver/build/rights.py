"""Rights that a Dockerfile cannot take by itself: who starts the build has to allow them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.errors import BadOption, BuildError
from dissolver.plan.steps import RunStep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dissolver.build.request import BuildRequest
    from dissolver.plan.steps import Step

NETWORK_HOST = "network.host"
"""A step may use the machine's own network."""

SECURITY_INSECURE = "security.insecure"
"""A step may have every right of the builder."""

KNOWN = (NETWORK_HOST, SECURITY_INSECURE)


def check_names(names: Iterable[str]) -> None:
    """Check that there are such rights.

    Raises:
        BadOption: one is unknown.
    """
    for name in names:
        if name not in KNOWN:
            listed = " and ".join(f"`{known}`" for known in KNOWN)
            raise BadOption(f"`{name}` cannot be allowed", hint=f"a build may allow {listed}")


def check_steps(request: BuildRequest, steps: Iterable[Step]) -> None:
    """Check that the steps ask for nothing that ``request`` does not allow, cached or not.

    The machine's network for the whole build allows it to every step.

    Raises:
        BuildError: one does; ``where`` is its place.
    """
    allowed = {*request.allow, *((NETWORK_HOST,) if request.network == "host" else ())}
    for step in steps:
        for name, flag in _asked(step):
            if name not in allowed:
                raise BuildError(
                    f"`RUN {flag}` is not allowed",
                    hint=f"if you trust the Dockerfile: `--allow {name}`",
                    where=step.where,
                )


def _asked(step: Step) -> Iterator[tuple[str, str]]:
    if not isinstance(step, RunStep):
        return
    if step.network == "host":
        yield NETWORK_HOST, "--network=host"
    if step.security == "insecure":
        yield SECURITY_INSECURE, "--security=insecure"
