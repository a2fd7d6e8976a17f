"""What ADD takes: files of the context, URLs, and git repositories."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from dissolver.plan.git_reference import GitReference


class LocalSource(msgspec.Struct, frozen=True):
    """Files of the context that match ``path``, a pattern rooted there.

    Where ``unpacks``, an archive among them is unpacked: plain tar, gzip, bzip2, xz
    or zstd, told by its content and not by its name.
    """

    path: str
    unpacks: bool = True


class UrlSource(msgspec.Struct, frozen=True):
    """A file behind an HTTP(S) URL; ``file_name`` is its name in a directory.

    ``checksum`` is the digest it must have. It belongs to root with mode 0600, and its
    time is the server's ``Last-Modified``. ``unpacks`` as for local files.
    """

    url: str
    file_name: str
    checksum: str | None = None
    unpacks: bool = False


class GitSource(msgspec.Struct, frozen=True):
    """The files of a commit: what ``reference`` names, checked out.

    ``checksum`` is the beginning of the commit's ID that it must have.
    ``keeps_git_directory`` leaves ``.git`` in place.
    """

    reference: GitReference
    keeps_git_directory: bool = False
    checksum: str | None = None


AddSource: TypeAlias = LocalSource | UrlSource | GitSource
"""Anything that ADD takes."""
