"""Flags of Docker's that there is no use for here: why, and what to do instead."""

from __future__ import annotations

import sys

_STEPS_HAVE_NO_GROUP = (
    "steps run in the control group of who builds",
    "limit that: `systemd-run --user --scope -p MemoryMax=2G dissolver build …`",
)
_NO_ATTESTATIONS = (
    "no attestations are made here",
    "sign and attest the image when it is in a registry, or leave the flag out",
)
_LIMITS = (
    *("--cgroup-parent", "--resource", "-m", "--memory", "--memory-swap", "-c", "--cpu-shares"),
    *("--cpu-period", "--cpu-quota", "--cpuset-cpus", "--cpuset-mems"),
)

BUILD: dict[str, tuple[str, str]] = {
    **dict.fromkeys(_LIMITS, _STEPS_HAVE_NO_GROUP),
    "--attest": _NO_ATTESTATIONS,
    "--builder": ("there is one builder, and it runs in this command", "leave the flag out"),
    "--policy": ("policies for sources are not evaluated here", "leave the flag out"),
}
"""Of ``build``: a reason and a hint for each."""


def refusal(command: str, flag: str) -> tuple[str, str] | None:
    """Say why ``command`` has no ``flag``, and what to do; nothing about unknown ones."""
    if command.rpartition(" ")[2] != "build" or flag not in BUILD:
        return None
    reason, hint = BUILD[flag]
    return f"`{flag}` is not supported: {reason}", hint


def refuse_attestations(**wanted: str | None) -> None:
    """Check that nobody wants attestations; to say so in so many words is no mistake.

    Raises:
        UsageSlip: somebody does.
    """
    from dissolver.cli.words import UsageSlip

    for name, value in wanted.items():
        if value is not None and value.lower() not in ("false", "0", "f", "disabled=true"):
            reason, hint = _NO_ATTESTATIONS
            raise UsageSlip(f"`--{name} {value}` is not supported: {reason}", None, hint)


def tell_ignored(*, isolation: str | None, security_opt: object, squash: bool) -> None:
    """Warn of flags that an older builder of Docker's had, which its newer one ignores as well."""
    from dissolver.cli.invocation import current
    from dissolver.cli.render.failures import warning

    given = {
        "--isolation": isolation not in (None, "", "default"),
        "--security-opt": bool(security_opt),
        "--squash": squash,
    }
    for flag, is_given in given.items():
        if is_given:
            text = f"`{flag}` has no effect on a build, as it has none with BuildKit"
            sys.stderr.write(warning(text, colored=current().colors_errors))
