"""References: the names of images, read and written as Docker does."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dissolver.errors import BadDigest, BadReference
from dissolver.image.digest import Digest, parse_digest

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
OFFICIAL = "library/"
"""Namespace of the images that have a bare name on the default registry."""

NAME_LIMIT = 255
"""Longest registry and repository together, from the distribution specification."""

TAG_LIMIT = 128
"""Longest tag, from the distribution specification."""

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", re.ASCII)
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?",
    re.ASCII,
)
_BARE_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of an image: where it lives, what it is called, and which version.

    ``registry`` and ``repository`` are complete (``docker.io``, ``library/node``).
    A reference that was parsed has a tag, a digest, or both.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @property
    def name(self) -> str:
        """Registry and repository: ``docker.io/library/node``."""
        return f"{self.registry}/{self.repository}"

    @property
    def canonical(self) -> str:
        """The whole reference with nothing implied: ``docker.io/library/node:latest``."""
        return self.name + self._version

    @property
    def name_familiar(self) -> str:
        """The name as people write it: ``node``, ``bitnami/redis``, ``ghcr.io/a/b``."""
        if self.registry != DEFAULT_REGISTRY:
            return self.name
        short = self.repository.removeprefix(OFFICIAL)
        # `library/a/b` is not an official image: its short form would name another one.
        return self.repository if "/" in short else short

    @property
    def familiar(self) -> str:
        """The whole reference as people write it: ``node:latest``."""
        return self.name_familiar + self._version

    @property
    def _version(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        return tag + (f"@{self.digest}" if self.digest is not None else "")

    def __str__(self) -> str:
        return self.familiar

    def with_digest(self, digest: Digest | None) -> Reference:
        """Return the same name and tag with another digest."""
        return replace(self, digest=digest)

    def with_tag(self, tag: str) -> Reference:
        """Return the same name with ``tag`` and no digest.

        Raises:
            BadReference: ``tag`` is not a valid tag.
        """
        return replace(self, tag=_checked_tag(tag, f"{self.name_familiar}:{tag}"), digest=None)


def parse_reference(text: str) -> Reference:
    """Read an image reference and complete it as Docker does.

    ``node`` becomes ``docker.io/library/node:latest``; with a digest and no tag,
    no tag is added. The first part is a registry if it has a dot, a colon or a
    capital letter, or is ``localhost``.

    Raises:
        BadReference: a part is missing or has characters it must not have; the
            message names the part.
    """
    if not text:
        raise BadReference("the image reference is empty", hint="name an image, such as `node`")
    if text != text.strip() or any(character.isspace() for character in text):
        raise BadReference(f"the image reference `{text}` contains white space")
    if _BARE_DIGEST.fullmatch(text):
        raise BadReference(
            f"`{text}` is a digest and names no image",
            hint=f"write `sha256:{text}` or `NAME@sha256:…`",
        )
    named, at, digest_text = text.partition("@")
    digest = _checked_digest(digest_text, text) if at else None
    path, tag = _split_tag(named)
    if tag is not None:
        tag = _checked_tag(tag, text)
    registry, repository = _split_registry(path)
    _check_registry(registry, text)
    _check_repository(repository, text)
    if len(registry) + 1 + len(repository) > NAME_LIMIT:
        raise BadReference(
            f"the image name `{path[:40]}…` is longer than {NAME_LIMIT} characters",
        )
    if tag is None and digest is None:
        tag = DEFAULT_TAG
    return Reference(registry, repository, tag, digest)


def parse_new_name(text: str) -> Reference:
    """Read a reference that an image is to be given.

    It has a tag and no digest: an image does not get a digest by being called so, and who
    pins one must not be given another image.

    Raises:
        BadReference: it has a digest, or is no reference.
    """
    reference = parse_reference(text)
    if reference.digest is not None:
        raise BadReference(
            f"`{text}` has a digest, which no image can be given",
            hint=f"name it with a tag: `{reference.name_familiar}:{reference.tag or DEFAULT_TAG}`",
        )
    return reference


def _split_tag(named: str) -> tuple[str, str | None]:
    colon = named.rfind(":")
    if colon < 0 or "/" in named[colon:]:
        return named, None
    return named[:colon], named[colon + 1 :]


def _split_registry(path: str) -> tuple[str, str]:
    first, slash, rest = path.partition("/")
    is_registry = bool(slash) and (
        "." in first or ":" in first or first == "localhost" or first != first.lower()
    )
    registry, repository = (first, rest) if is_registry else (DEFAULT_REGISTRY, path)
    if registry == "index.docker.io":
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and repository and "/" not in repository:
        repository = OFFICIAL + repository
    return registry, repository


def _checked_digest(text: str, whole: str) -> Digest:
    try:
        return parse_digest(text)
    except BadDigest as error:
        raise BadReference(
            f"the digest of `{whole}` is not valid: {error.message}", hint=error.hint
        ) from None


def _checked_tag(tag: str, whole: str) -> str:
    if not tag:
        raise BadReference(
            f"the tag of `{whole}` is empty", hint="write a tag after the colon, or leave it out"
        )
    if len(tag) > TAG_LIMIT:
        raise BadReference(
            f"the tag of `{whole[:40]}…` is longer than {TAG_LIMIT} characters",
        )
    if _TAG.fullmatch(tag) is None:
        raise BadReference(
            f"the tag `{tag}` of `{whole}` is not valid",
            hint="a tag has letters, digits, `_`, `.` and `-`, and starts with no `.` or `-`",
        )
    return tag


def _check_registry(registry: str, whole: str) -> None:
    if _HOST.fullmatch(registry) is None:
        raise BadReference(
            f"the registry `{registry}` of `{whole}` is not a host name",
            hint="a registry reads `HOST` or `HOST:PORT`",
        )


def _check_repository(repository: str, whole: str) -> None:
    if not repository:
        raise BadReference(
            f"the image reference `{whole}` has no name", hint="name an image, such as `node`"
        )
    for component in repository.split("/"):
        if _COMPONENT.fullmatch(component) is not None:
            continue
        if not component:
            raise BadReference(f"the name in `{whole}` has an empty part between slashes")
        if component != component.lower():
            right = whole.replace(component, component.lower(), 1)
            raise BadReference(
                f"the name `{component}` in `{whole}` must be lower case", hint=f"write `{right}`"
            )
        raise BadReference(
            f"the name `{component}` in `{whole}` is not valid",
            hint="a name has lower-case letters and digits, with single `.`, `_`, `__` or `-` "
            "between them",
        )
