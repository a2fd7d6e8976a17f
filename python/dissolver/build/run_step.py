"""RUN: a process on top of the layers so far; what it changed is the layer."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.build.lent import Lent
from dissolver.build.step_log import StepLog
from dissolver.cache.keys import run_key
from dissolver.errors import BuildError, RunError, StepFailed
from dissolver.sandbox import defaults
from dissolver.sandbox.confinement import USUAL
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dissolver._core.layer import LayerInfo
    from dissolver.build.events import OpenVertex
    from dissolver.build.origins import Origins
    from dissolver.build.run_mounts import PlannedMounts
    from dissolver.build.workbench import Workbench
    from dissolver.cache.inputs import CacheKey, Input
    from dissolver.image.platform import Platform
    from dissolver.plan.steps import RunStep
    from dissolver.sandbox.certificates import Bundle
    from dissolver.sandbox.run import Surroundings

HOSTNAME_ARGUMENT = "BUILDKIT_SANDBOX_HOSTNAME"
"""The build argument that names the machine which steps see."""

_CERTIFICATE_HINT = (
    "the machine's network seems to inspect TLS; `--host-certificates` lends the machine's "
    "trust store to RUN steps"
)


@dataclass(frozen=True, slots=True)
class RunWork:
    """A RUN step on top of ``parents``: its key, and how to carry it out."""

    kind: str
    key: CacheKey
    step: RunStep
    parents: tuple[str, ...]
    platform: Platform
    mounts: PlannedMounts | None = None

    def make(self, bench: Workbench, vertex: OpenVertex) -> LayerInfo:
        """Run the process and store what it changed as a layer.

        Raises:
            StepFailed: it ended with another code than 0, or could not be started.
            Cancelled: the build was cancelled meanwhile; the process is dead.
        """
        self._check_platform()
        bench.supply.have(self.parents, vertex)
        with ExitStack() as stack:
            lent = Lent()
            if self.mounts is not None:
                lent = stack.enter_context(self.mounts.lend(bench, vertex))
            return self._run(bench, vertex, lent)

    def _check_platform(self) -> None:
        from dissolver.build.emulation import why_not

        reason = why_not(self.platform)
        if reason is not None:
            raise BuildError(
                f"programs of `{self.platform}` cannot be run: {reason}",
                hint="install `qemu-user-static`, or run the step on the builder's own platform: "
                "`FROM --platform=$BUILDPLATFORM`",
                where=self.step.where,
            )

    def _run(self, bench: Workbench, vertex: OpenVertex, lent: Lent) -> LayerInfo:
        from dissolver.sandbox.run import run_step

        step = self.step
        log = StepLog(vertex)
        try:
            mounts, variables = _lent(bench, step)
            result = run_step(
                bench.store,
                parents=self.parents,
                argv=step.argv,
                env=(*step.env, *step.proxies, *variables, *lent.env),
                cwd=step.cwd,
                user=step.user,
                network=_network(bench, step),
                hostname=bench.request.build_args.get(HOSTNAME_ARGUMENT) or defaults.BUILD_HOSTNAME,
                extra_mounts=(*mounts, *lent.mounts),
                surroundings=_surroundings(bench, step),
                on_output=log.write,
                is_cancelled=bench.cancellation.is_requested,
            )
        except RunError as error:
            # `run` has an exit code of its own for this; here the build has failed.
            raise BuildError(error.message, hint=error.hint, where=step.where) from error
        with result:
            bench.cancellation.check()
            if result.status != 0 or result.upper is None:
                raise self._failed(result.status, log)
            with explained("store the layer"):
                return bench.store.layers.commit_upper(
                    result.upper, self.parents, ignore_stubs=result.stubs
                )

    def _failed(self, status: int, log: StepLog) -> StepFailed:
        from dissolver.sandbox.certificates import looks_like_certificate_failure

        hint = _CERTIFICATE_HINT if looks_like_certificate_failure(log.tail) else None
        command = " ".join(self.step.argv)
        return StepFailed(
            f'process "{command}" did not complete successfully: exit code: {status}',
            status=status,
            hint=hint,
            where=self.step.where,
            detail=log.last_lines(),
        )


def _lent(bench: Workbench, step: RunStep) -> tuple[tuple[Bundle, ...], Iterator[tuple[str, str]]]:
    """Give what the step is lent for this one time: no key, layer or image sees it."""
    if not bench.request.host_certificates:
        return (), iter(())
    from dissolver.sandbox.certificates import host_certificates

    named = bench.request.certificate_file
    lent = host_certificates({"SSL_CERT_FILE": named} if named else None)
    # A variable that the Dockerfile sets is the author's decision.
    own = {name for name, _ in (*step.env, *step.proxies)}
    return lent.mounts, (pair for pair in lent.env if pair[0] not in own)


def _surroundings(bench: Workbench, step: RunStep) -> Surroundings:
    """Tell what the step sees of the machine, where that is not the usual."""
    from msgspec.structs import replace

    from dissolver.sandbox.run import Surroundings

    request = bench.request
    return Surroundings(
        hosts=request.hosts,
        confinement=replace(request.confinement, is_privileged=step.security == "insecure"),
    )


def _unusual(bench: Workbench, step: RunStep) -> Iterator[Input]:
    """Name what is unusual about the machine that a step sees, for its key."""
    request, confined = bench.request, bench.request.confinement
    # Where a name leads is where somebody happens to be; BuildKit leaves it out as well.
    yield from ((f"host.{name}", "") for name in sorted({name for name, _ in request.hosts}))
    if confined != USUAL:
        from dissolver.sandbox.confining_options import key_inputs

        yield from key_inputs(confined)
    if hostname := request.build_args.get(HOSTNAME_ARGUMENT):
        yield "hostname", hostname
    if step.security != "sandbox":
        yield "security", step.security


def _network(bench: Workbench, step: RunStep) -> str:
    """Tell the step's own network, or the build's where it names none."""
    return bench.request.network if step.network == "default" else step.network


def plan_run(
    bench: Workbench,
    step: RunStep,
    parents: Sequence[str],
    origins: Origins,
    place: str,
    platform: Platform,
) -> RunWork:
    """Derive the key of ``step``, at ``place`` in its build, on top of ``parents``; nothing runs.

    ``platform`` is that of the programs that it runs.

    Raises:
        ContextError: something that it mounts is not there.
    """
    if not (step.mounts or step.files):
        key = key_of_run(bench, step, parents, platform)
        return RunWork("run", key, step, tuple(parents), platform)
    from dissolver.build.run_mounts import plan_mounts

    mounts = plan_mounts(bench, step, origins, place)
    key = key_of_run(bench, step, parents, platform, mounts.inputs(), mounts.listed)
    return RunWork("run", key, step, tuple(parents), platform, mounts)


def key_of_run(
    bench: Workbench,
    step: RunStep,
    parents: Sequence[str],
    platform: Platform,
    mounts: Sequence[Input] = (),
    listed: Callable[[], Iterable[Input]] | None = None,
) -> CacheKey:
    """Derive the key of ``step`` from what its mounts show, in the network of the build."""
    from dissolver.build.emulation import machine_platform

    return run_key(
        step,
        parents,
        network=_network(bench, step),
        platform="" if platform == machine_platform() else str(platform),
        unusual=tuple(_unusual(bench, step)),
        mounts=mounts,
        listed=listed,
    )
