"""Git repositories in ADD and as contexts: which repository, which commit, which part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec
from msgspec.structs import replace

from dissolver.dockerfile.suggest import did_you_mean
from dissolver.errors import DockerfileError
from dissolver.plan.credentials import redacted

ModificationTimes = Literal["checkout", "commit"]
"""What files of a checkout get as their time: that of the checkout, or of the commit."""

PARAMETERS = (
    "ref", "tag", "branch", "subdir", "checksum", "commit", "keep-git-dir", "submodules",
    "mtime", "fetch-by-commit",
)  # fmt: skip
"""What the query of a repository's URL may say; it is for the builder, and git never sees it."""

_CLAIMS = ("keep-git-dir", "submodules", "fetch-by-commit")
"""Parameters that are true where they have no value."""

_PROTOCOL = re.compile(r"([a-zA-Z0-9]+)://")
_SSH_STYLE = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]*@[a-zA-Z0-9][a-zA-Z0-9.-]*:[^?#]*", re.ASCII)
_NO_REF = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:^|/)\.|\.lock(?:/|$)|^[-/]|[/.]$|^@$"
)
"""What no name of a ref has in it: git-check-ref-format(1), and nothing that reads as an option."""
_TRUTHS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


class GitReference(msgspec.Struct, frozen=True):
    """A repository and what of it is meant.

    ``remote`` is what git is given: a URL without fragment and query, or
    ``user@host:path``. ``ref`` is a branch, a tag or a commit (empty: the remote's
    default branch), ``subdirectory`` the only part that is taken (empty: all).
    ``checksum`` is the beginning of the commit's ID that the ref must lead to.
    ``is_unencrypted`` marks ``git://`` and ``http://``.
    """

    remote: str
    name: str
    ref: str = ""
    subdirectory: str = ""
    checksum: str | None = None
    keeps_git_directory: bool | None = None
    has_submodules: bool = True
    modification_times: ModificationTimes = "checkout"
    fetches_by_commit: bool = False
    is_unencrypted: bool = False


def parse_git_reference(text: str) -> GitReference | None:
    """Read a git repository; nothing if the text is another kind of source.

    A repository is ``git://…``, ``ssh://…``, ``user@host:path``, or an HTTP(S) URL
    whose path ends with ``.git``. ``#ref:subdirectory`` may follow it, or a query.

    Raises:
        DockerfileError: it is one, and its query or fragment makes no sense. The
            error has no place.
    """
    found = _PROTOCOL.match(text)
    if found is None:
        return _ssh_style(text)
    protocol = found[1].lower()
    if protocol not in ("http", "https", "ssh", "git"):
        return None
    try:
        url = urlsplit(text)
    except ValueError:
        return None
    if protocol in ("http", "https") and not unquote(url.path).endswith(".git"):
        return None
    if url.netloc.rpartition("@")[2].startswith("-"):
        # ssh would read an option.
        raise DockerfileError(f"`{redacted(text)}` has no host: a name does not begin with `-`")
    remote = SplitResult(protocol, url.netloc, url.path, "", "").geturl()
    reference = _reference(remote, text, url.query, url.fragment)
    return replace(reference, is_unencrypted=protocol in ("http", "git"))


def _ssh_style(text: str) -> GitReference | None:
    found = _SSH_STYLE.match(text)
    if found is None:
        return None
    rest, _, fragment = text[found.end() :].partition("#")
    return _reference(found.group(), text, rest.removeprefix("?"), fragment)


def _reference(remote: str, text: str, query: str, fragment: str) -> GitReference:
    name = remote.rstrip("/").rpartition("/")[2].rpartition(":")[2].removesuffix(".git")
    if fragment.startswith("#"):
        raise DockerfileError(
            f"`{redacted(text)}` has two `#` before its ref",
            hint="write `#REF:SUBDIRECTORY`, or `?ref=REF&subdir=SUBDIRECTORY`",
        )
    ref, _, subdirectory = unquote(fragment).partition(":")
    return _queried(GitReference(remote, name, ref, subdirectory), query)


def _queried(reference: GitReference, query: str) -> GitReference:
    """Return ``reference`` with what a query adds to it."""
    values = _parameters(query)
    if not values:
        return replace(reference, ref=_valid(reference.ref))
    times = values.get("mtime", "checkout")
    if times != "checkout" and times != "commit":
        raise DockerfileError(
            f"invalid mtime value: `{times}`", hint="it is `checkout` or `commit`"
        )
    checksum = values.get("checksum") or values.get("commit")
    ref = _ref(reference.ref, values)
    keeps = values.get("keep-git-dir")
    return replace(
        reference,
        ref=_valid(ref or checksum or ""),
        subdirectory=_agreed("subdir", reference.subdirectory, values.get("subdir")),
        checksum=checksum,
        keeps_git_directory=None if keeps is None else _claim("keep-git-dir", keeps),
        has_submodules=_claim("submodules", values.get("submodules", "true")),
        modification_times=times,
        fetches_by_commit=_claim("fetch-by-commit", values.get("fetch-by-commit", "false")),
    )


def _parameters(query: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in _pairs(query):
        if name not in PARAMETERS:
            raise DockerfileError(f"unexpected query `{name}`", hint=did_you_mean(name, PARAMETERS))
        if name in values:
            raise DockerfileError(f"query `{name}` has multiple values")
        if not value and name not in _CLAIMS:
            raise DockerfileError(f"query `{name}` has no value", hint=f"write `{name}=…`")
        values[name] = value
    return values


def _pairs(query: str) -> Iterable[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True, errors="replace")


def _claim(name: str, value: str) -> bool:
    truth = _TRUTHS.get(value) if value else True
    if truth is None:
        raise DockerfileError(f"invalid {name} value: `{value}`", hint="it is `true` or `false`")
    return truth


def _ref(written: str, values: Mapping[str, str]) -> str:
    """Bring together the fragment and the parameters that name a ref."""
    ref = _agreed("ref", written, values.get("ref"))
    if "tag" in values and "branch" in values:
        raise DockerfileError("branch conflicts with tag", hint="name one of them")
    for parameter, prefix in (("tag", "refs/tags/"), ("branch", "refs/heads/")):
        if parameter in values:
            full = prefix + values[parameter].removeprefix(prefix)
            ref = _agreed("ref", ref, full)
    return ref


def is_ref(text: str) -> bool:
    """Report whether a branch, a tag or a commit may be called so."""
    return bool(text) and _NO_REF.search(text) is None


def _valid(ref: str) -> str:
    if ref and not is_ref(ref):
        raise DockerfileError(
            f"`{ref}` is no name of a branch, a tag or a commit",
            hint="`git check-ref-format --branch NAME` tells what may be one",
        )
    return ref


def _agreed(what: str, first: str, second: str | None) -> str:
    if first and second and first != second:
        raise DockerfileError(f"{what} conflicts: `{first}` and `{second}`")
    return second or first
