"""Files of the build context: those that are not there, and those that should not be."""

from __future__ import annotations

from collections.abc import Iterator

from dissolver.dockerfile.ast import Add, Copy
from dissolver.dockerfile.ignore import clean_path
from dissolver.errors import DockerfileError
from dissolver.plan.checks import rules
from dissolver.plan.checks.findings import Finding
from dissolver.plan.checks.subject import Listing, Point
from dissolver.plan.git_reference import parse_git_reference

_EVERYTHING = ("*", "**", "**/*")

_SECRET_NAMES = frozenset(
    (
        ".env", ".npmrc", ".pypirc", ".netrc", "_netrc", ".git-credentials", ".htpasswd",
        ".pgpass", ".my.cnf", "kubeconfig", "credentials", "credentials.json", "key.pem",
        "privatekey.pem", "serverkey.pem", "clientkey.pem",
    )
)  # fmt: skip
_SECRET_STEMS = ("secret", "secrets")
_SECRET_KEYS = ("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519")
_SECRET_ENDS = (
    ".key",
    ".p12",
    ".pfx",
    ".jks",
    ".keystore",
    ".kdbx",
    ".ppk",
    "-key.pem",
    "_key.pem",
)
_SECRET_DIRECTORIES = frozenset((".aws", ".ssh", ".gnupg", ".kube", ".docker"))
_DATA = (".yml", ".yaml", ".json", ".toml")

# What an `.env` is followed by where it shows others what to write into theirs.
_SAMPLES = frozenset(
    ("example", "sample", "template", "dist", "default", "defaults", "test", "schema")
)


def local_sources(point: Point) -> list[str]:
    """Return the sources of a COPY or ADD that are files of the context, expanded."""
    instruction = point.instruction
    if not isinstance(instruction, Copy | Add):
        return []
    if isinstance(instruction, Copy) and instruction.origin is not None:
        return []
    return [
        source
        for word in instruction.sources
        if _is_local(source := point.scope.expand(instruction, word))
    ]


def _is_local(source: str) -> bool:
    if source.startswith(("http://", "https://")):
        return False
    try:
        return parse_git_reference(source) is None
    except DockerfileError:
        return False


def is_broad(source: str) -> bool:
    """Tell whether a source is the whole context."""
    return clean_path(f"/{source}") in ("/", "/*", "/**")


def ignored_sources(point: Point) -> Iterator[Finding]:
    """Find sources that the ignore file keeps out; with exceptions in it, nobody can tell."""
    listing = point.subject.listing
    if listing is None or not listing.patterns or listing.has_exceptions:
        return
    for source in local_sources(point):
        path = clean_path(source)
        is_root = path in (".", "/")
        if is_root and not any(pattern in _EVERYTHING for pattern in listing.patterns):
            continue
        if is_root or listing.excludes(path.removeprefix("/")):
            verb = "Copy" if isinstance(point.instruction, Copy) else "Add"
            yield Finding(
                rules.COPY_IGNORED_FILE,
                f'Attempting to {verb} file "{path}" that is excluded by .dockerignore',
                point.instruction.where,
            )


def copied_secrets(point: Point) -> Iterator[Finding]:
    """Find secrets that a COPY or ADD puts into a layer, by name or with everything else."""
    sources = local_sources(point)
    named = [source for source in sources if is_secret(source)]
    listing = point.subject.listing
    if not named and listing is not None and any(is_broad(source) for source in sources):
        named = sorted(path for path in listing.visible if is_secret(path))
    if named:
        shown = ", ".join(f"`{name}`" for name in named)
        identifier = clean_path(named[0]).rpartition("/")[2].lstrip(".")
        verb = "looks like a secret" if len(named) == 1 else "look like secrets"
        yield Finding(
            rules.SECRET_COPIED,
            f"{shown} {verb}, and whoever has the image can read what it copies; mount it with "
            f"`RUN --mount=type=secret,id={identifier}` where it is needed",
            point.instruction.where,
        )


def is_secret(path: str) -> bool:
    """Tell whether the name of a file says that it holds a secret."""
    *directories, name = clean_path(path).lower().split("/")
    if not _SECRET_DIRECTORIES.isdisjoint((*directories, name)):
        return True
    if "public" in name or "pubkey" in name or name.endswith((".pub", ".pub.key")):
        return False
    if name.startswith(".env."):
        return name.split(".")[2] not in _SAMPLES
    stem, _, end = name.partition(".")
    return (
        name in _SECRET_NAMES
        or name.endswith(_SECRET_ENDS)
        or (not end and stem.startswith(_SECRET_KEYS))
        or (stem in _SECRET_STEMS and f".{end}" in _DATA)
        or (stem.startswith(("service-account", "service_account")) and end == "json")
    )


def repository_history(point: Point) -> Iterator[Finding]:
    """Find a COPY of everything where ``.git`` is a part of it."""
    yield from _with_everything(
        point,
        (".git/",),
        rules.GIT_DIRECTORY_IN_CONTEXT,
        "every commit changes it, so this step and what follows is never cached",
    )


def installed_packages(point: Point) -> Iterator[Finding]:
    """Find a COPY of everything where installed packages are a part of it."""
    yield from _with_everything(
        point,
        ("node_modules/",),
        rules.NODE_MODULES_IN_CONTEXT,
        "packages of this machine take the place of those that the image installs",
    )


def _with_everything(
    point: Point, names: tuple[str, ...], rule: rules.Rule, why: str
) -> Iterator[Finding]:
    listing: Listing | None = point.subject.listing
    if listing is None or not any(is_broad(source) for source in local_sources(point)):
        return
    for name in names:
        if name in listing.visible and not _is_left_out(point, name):
            bare = name.rstrip("/")
            yield Finding(
                rule,
                f"`{bare}` is copied with everything else: {why}; add `{bare}` to `{listing.name}`",
                point.instruction.where,
            )


def _is_left_out(point: Point, name: str) -> bool:
    """Tell whether ``--exclude`` leaves a path out."""
    instruction = point.instruction
    if not isinstance(instruction, Copy | Add):
        return False
    patterns = tuple(clean_path(word.text) for word in instruction.excludes)
    return bool(patterns) and Listing(patterns, ()).excludes(name)
