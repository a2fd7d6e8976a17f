"""Every failure that dissolver can explain.

An error carries what happened, where, and what to try as fields; the CLI
renders it once. Nothing in here prints, and nothing ends the process.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dissolver._core import CoreError


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a text file: a range of lines, and the bad part of the first.

    Lines count from 1. ``column`` counts characters from 0 and ``length`` is in
    characters; both are ``None`` when the whole line is meant. ``source`` holds
    the text of the lines ``line`` to ``end_line``, without line ends.
    """

    file: str
    line: int
    end_line: int
    source: tuple[str, ...] = ()
    column: int | None = None
    length: int | None = None


class DissolverError(Exception):
    """A failure with its facts: what (``message``), ``where``, and a ``hint``.

    ``message`` is one sentence in lower case without a full stop, with names in
    backticks. ``exit_code`` is what the CLI ends with when nothing else is said.
    ``detail`` holds further lines, such as the last output of a failed step.
    """

    exit_code: int = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        where: Where | None = None,
        detail: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where
        self.detail = detail


class BadOption(DissolverError):
    """A text, given as an option, that does not say what is meant."""


class CoreFailure(DissolverError):
    """A failure that the Rust core reported; ``kind`` is its stable name."""

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        path: bytes | None = None,
        errno: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.path = path
        self.errno = errno


def from_core(error: CoreError) -> CoreFailure:
    """Turn the core's exception into the one that the rest of the package raises."""
    return CoreFailure(
        error.message, kind=error.kind, path=error.path, errno=error.errno, hint=error.hint
    )


# What an image is ------------------------------------------------------------


class BadReference(DissolverError):
    """A text that is not a valid image reference, name or tag."""


class BadDigest(DissolverError):
    """A text that is not a valid digest."""


class BadPlatform(DissolverError):
    """A text that names no platform."""


class BadImageConfig(DissolverError):
    """An image configuration that does not say what it must."""


class BadManifest(DissolverError):
    """A manifest or an index that does not say what it must."""


# Dockerfiles and plans -------------------------------------------------------


class DockerfileError(DissolverError):
    """A mistake in a Dockerfile; ``where`` says which lines."""


class DockerfileErrors(DockerfileError):
    """Several mistakes in one Dockerfile that do not follow from each other, in their order.

    ``where`` is the place of the first one; each of ``errors`` has its own.
    """

    def __init__(self, errors: tuple[DissolverError, ...]) -> None:
        where = errors[0].where
        file = "the Dockerfile" if where is None else f"`{where.file}`"
        super().__init__(f"there are {len(errors)} mistakes in {file}", where=where)
        self.errors = errors


class UnknownInstruction(DockerfileError):
    """A keyword that the language does not have."""


class UnknownStage(DockerfileError):
    """A stage name that no FROM defined."""


class NotSupportedYet(DockerfileError):
    """A part of the language that this version does not build."""


# The store -------------------------------------------------------------------


class StoreError(DissolverError):
    """The store could not do what was asked; it stays consistent.

    ``errno`` is what the operating system said, where that was asked.
    """

    errno: int | None = None


class UnknownStoreFormat(StoreError):
    """A store written by a newer version."""


class ImageNotFound(DissolverError):
    """No local image answers to the name, digest or ID prefix."""


class ContainerNotFound(DissolverError):
    """No container answers to the name or ID prefix."""


class AmbiguousIdentifier(DissolverError):
    """An ID prefix that fits more than one object."""


class VolumeNotFound(DissolverError):
    """No volume of the store has the name."""


class InUse(DissolverError):
    """Something else still needs what was to be removed."""


class NameInUse(DissolverError):
    """Another container has the name already."""


class IntakeError(DissolverError):
    """A base image that could not be made or imported."""


class ExportError(DissolverError):
    """Images or files that could not be written where they were wanted."""


# Registries ------------------------------------------------------------------


class RegistryError(DissolverError):
    """A registry that answered with something else than what was asked for."""


class RegistryUnreachable(RegistryError):
    """A registry that could not be spoken to at all."""


class AccessDenied(RegistryError):
    """A registry that wants other credentials, or more rights than they give."""


class NotInRegistry(RegistryError):
    """A registry has no image, tag or content of that name."""


class ContentMismatch(RegistryError):
    """Bytes from a registry that are not those that were asked for; nothing is kept of them."""


class CredentialsError(DissolverError):
    """Stored credentials that cannot be read, or a helper that failed."""


# Builds ----------------------------------------------------------------------


class BuildError(DissolverError):
    """A build that could not finish."""


class ContextError(BuildError):
    """The build context could not be read, or lacks what a step copies."""


class BakeFileError(BuildError):
    """A mistake in a bake file or in the build section of a compose file."""


class BadCacheOption(BuildError):
    """What ``--cache-from`` or ``--cache-to`` says makes no sense, or is not built in."""


class BadCache(BuildError):
    """A shared cache does not say what it must."""


class BucketError(BuildError):
    """What a server of buckets refuses, or that it does not answer.

    ``may_pass`` tells that trying again may help.
    """

    may_pass: bool = False


class CacheUnavailable(BuildError):
    """A shared cache, or a layer of it, cannot be had; ``depot`` names it.

    ``blob`` is the digest of what is wrong where the rest of the cache may be good.
    """

    depot: str = ""
    blob: str = ""


class CacheExportFailed(BuildError):
    """A shared cache could not be written."""


class StepFailed(BuildError):
    """A RUN step whose process ended with a code other than 0."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        hint: str | None = None,
        where: Where | None = None,
        detail: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, where=where, detail=detail)
        self.status = status


class Cancelled(DissolverError):
    """The work was interrupted."""

    exit_code = 130


# Containers ------------------------------------------------------------------


class RunError(DissolverError):
    """A container that could not be started; exit code 125 in ``run`` and ``exec``."""

    exit_code = 125


class NotExecutable(RunError):
    """The program exists but cannot be executed."""

    exit_code = 126


class ProgramNotFound(RunError):
    """The program does not exist in the container."""

    exit_code = 127


class OutputLost(RunError):
    """The caller's file did not take all that the program wrote.

    ``exit_code`` is the program's own unless that is 0, and ``errno`` says why.
    """

    def __init__(self, number: int, exit_code: int) -> None:
        reason = os.strerror(number).lower()
        super().__init__(f"the program's output could not be written: {reason}")
        self.errno = number
        self.exit_code = exit_code or 1


class NotATerminal(DissolverError):
    """A terminal was asked for where standard input is none."""


class NetworkError(RunError):
    """The network that was asked for could not be set up."""


class BadPort(RunError):
    """A text that does not say which port to publish."""


class BadVolume(RunError):
    """A text that does not say what to mount where."""


class CopyFailed(DissolverError):
    """Files that cannot be copied to or from a container as it was asked."""


class ContainerNotRunning(DissolverError):
    """The container must run for this."""


class ConfigError(DissolverError):
    """A mistake in ``config.toml`` or an environment variable."""


# The library -----------------------------------------------------------------


class EngineFailed(DissolverError):
    """The engine's own process ended or failed; a mistake of dissolver itself."""
